/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets longer than a frame: what XDP lets go to a worker, and how a worker puts them together. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <linux/if_ether.h>
#include <cmocka.h>

#include "bpf_bed.h"
#include "dataplane/gather.h"

#define OUT4                                                                                       \
	.src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_TCP, .sport = 40000, .dport = 80,   \
	.payload_len = 12
#define ROOM 16000

struct long_case {
	const char *name;
	uint32_t len;        /* of the IP packet by its header */
	uint32_t behind;     /* bytes behind it */
	uint32_t first;      /* bytes of the frame in the first buffer; 0: as many as it takes */
	uint32_t packet_max; /* of the port */
	int verdict;
	enum xi_reason reason;
};

/* clang-format off */
static const struct long_case long_cases[] = {
	{"short, one buffer", 1500, 0, 0, XI_PACKET_ONE, XDP_REDIRECT, XI_TO_WORKER},
	{"all that one buffer takes", 3500, 0, 0, XI_PACKET_ONE, XDP_REDIRECT, XI_TO_WORKER},
	{"one byte more", 3501, 0, 0, XI_PACKET_ONE, XDP_DROP, XI_DROP_TOO_BIG},
	{"padding counts: it fills frames as well", 3500, 1, 0, XI_PACKET_ONE, XDP_DROP, XI_DROP_TOO_BIG},
	{"long, and one buffer alone is carried", 9000, 0, 0, XI_PACKET_ONE, XDP_DROP, XI_DROP_TOO_BIG},
	{"short, but in two buffers", 1500, 0, 600, XI_PACKET_ONE, XDP_DROP, XI_DROP_TOO_BIG},
	{"short, in two buffers, where that is carried", 1500, 0, 600, XI_PACKET_LONG, XDP_REDIRECT, XI_TO_WORKER},
	{"long", 9000, 0, 0, XI_PACKET_LONG, XDP_REDIRECT, XI_TO_WORKER},
	{"the longest", 9600, 0, 0, XI_PACKET_LONG, XDP_REDIRECT, XI_TO_WORKER},
	{"longer than that", 9601, 0, 0, XI_PACKET_LONG, XDP_DROP, XI_DROP_TOO_BIG},
	{"longer by its header than it is", 9000, -1, 0, XI_PACKET_LONG, XDP_DROP, XI_DROP_MALFORMED},
};
/* clang-format on */

static int long_run(struct xi_bed *bed, uint8_t *frame, uint32_t len, uint32_t first, int *verdict)
{
	struct xdp_md ctx = { .data_end = first ? first : len, .ingress_ifindex = bed->ifindex };
	static uint8_t out[ROOM];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &ctx, .ctx_size_in = sizeof(ctx), .repeat = 1);
	int err = bpf_prog_test_run_opts(bpf_program__fd(bed->skel->progs.xdp_plain), &opts);

	*verdict = (int)opts.retval;
	return err;
}

static bool long_case(struct xi_bed *bed, const struct long_case *c)
{
	struct xi_port port = { .role = XI_ROLE_HOST, .slot = XI_BED_SLOT, .queues = 1,
				.packet_max = (uint16_t)c->packet_max };
	static const struct xi_spec spec = {
		OUT4, .dmac = xi_bed_origin, .smac = xi_bed_origin + 6 };
	uint16_t tot_len = htons((uint16_t)c->len);
	struct xi_frame small;
	uint8_t frame[ROOM] = { 0 };
	int verdict, err;

	xi_bed_reset(bed);
	xi_bed_flow(bed, &spec, XI_OUT, XI_VERDICT_PROTECT, XI_BED_GENERATION);
	bpf_map_update_elem(bpf_map__fd(bed->skel->maps.ports), &bed->ifindex, &port, BPF_ANY);
	xi_frame_build(&small, &spec);
	memcpy(frame, small.data, small.len);
	memcpy(frame + ETH_HLEN + 2, &tot_len, sizeof(tot_len));
	err = long_run(bed, frame, ETH_HLEN + c->len + c->behind, c->first, &verdict);
	if (err == -EINVAL && c->first)
		return true; /* the length of the first buffer cannot be chosen before Linux 6.17 */
	if (!err && verdict == c->verdict && xi_bed_stat(bed, c->reason) == 1)
		return true;
	print_error("%s: error %d, verdict %d, reason %u counted %llu times\n", c->name, err, verdict, c->reason,
		    (unsigned long long)xi_bed_stat(bed, c->reason));
	return false;
}

static void long_packets(void **state)
{
	uint32_t i, failed = 0;

	for (i = 0; i < sizeof(long_cases) / sizeof(long_cases[0]); i++)
		failed += !long_case(*state, &long_cases[i]);
	assert_int_equal(failed, 0);
}

#define FRAMES 64
#define LONGS 3

static void buffers_are_apart(void **state)
{
	struct xi_frames frames;
	uint64_t addr[LONGS], none, ordinary;
	uint32_t i;

	assert_int_equal(xi_frames_create(&frames, FRAMES, LONGS), 0);
	assert_int_equal(frames.n, FRAMES + LONGS * XI_LONG_FRAMES);
	assert_int_equal(frames.nfree, FRAMES);
	for (i = 0; i < LONGS; i++) {
		assert_true(xi_long_get(&frames, &addr[i]));
		assert_int_equal(addr[i], (FRAMES + i * XI_LONG_FRAMES) * XI_FRAME_SIZE);
		assert_int_equal(xi_frame_of(&frames, addr[i] + XI_LONG_SIZE - 1), addr[i]);
		assert_int_equal(xi_frame_size(&frames, addr[i] + 5000), XI_LONG_SIZE);
	}
	assert_false(xi_long_get(&frames, &none));
	for (i = 0; i < FRAMES; i++) {
		ordinary = xi_frame_get(&frames);
		assert_true(ordinary < FRAMES * XI_FRAME_SIZE);
		assert_int_equal(xi_frame_of(&frames, ordinary + XI_FRAME_SIZE - 1), ordinary);
		assert_int_equal(xi_frame_size(&frames, ordinary), XI_FRAME_SIZE);
	}
	for (i = 0; i < LONGS; i++)
		xi_frame_put(&frames, addr[i] + 4711 * i);
	assert_int_equal(frames.nfree, 0);
	for (i = 0; i < LONGS; i++)
		assert_true(xi_long_get(&frames, &addr[i]));
	assert_false(xi_long_get(&frames, &none));
	xi_frames_destroy(&frames);
}

static void buffer_is_free_when_all_parts_are_back(void **state)
{
	struct xi_frames frames;
	uint64_t addr, again;

	assert_int_equal(xi_frames_create(&frames, FRAMES, 1), 0);
	assert_true(xi_long_get(&frames, &addr));
	xi_long_split(&frames, addr + 300, 3);
	xi_frame_put(&frames, addr + 300);
	xi_frame_put(&frames, addr + 2 * XI_FRAME_SIZE);
	assert_false(xi_long_get(&frames, &again));
	xi_frame_put(&frames, addr + XI_FRAME_SIZE);
	assert_true(xi_long_get(&frames, &again));
	assert_int_equal(again, addr);
	/* of one part, until it is split */
	xi_frame_put(&frames, again);
	assert_true(xi_long_get(&frames, &again));
	xi_frames_destroy(&frames);
}

struct gather_bed {
	struct xi_frames frames;
	struct xi_gather gather;
	uint64_t counts[XI_REASON_MAX];
	uint8_t sent[ROOM];
	uint32_t len;
};

/* One descriptor as the kernel hands it over: bytes of a packet, and in front of its first ones metadata. */
static bool gather_give(struct gather_bed *bed, uint32_t len, bool more, struct xdp_desc *desc)
{
	uint64_t addr = xi_frame_get(&bed->frames) + XI_FRAME_HEADROOM;
	struct xi_meta meta = { .magic = XI_META_MAGIC, .handle = 4711 + bed->len };
	uint32_t i;
	bool whole;

	if (bed->gather.state == XI_GATHER_IDLE) {
		bed->len = 0;
		meta.handle = 4711;
	}
	memcpy(bed->frames.base + addr - sizeof(meta), &meta, sizeof(meta));
	for (i = 0; i < len; i++)
		bed->frames.base[addr + i] = bed->sent[bed->len + i] = (uint8_t)rand();
	bed->len += len;
	*desc = (struct xdp_desc){ .addr = addr, .len = len, .options = more ? XDP_PKT_CONTD : 0 };
	whole = xi_gather_add(&bed->gather, &bed->frames, desc, bed->counts);
	assert_int_equal(bed->frames.nfree, FRAMES);
	return whole;
}

static void gather_check(struct gather_bed *bed, const struct xdp_desc *desc)
{
	struct xi_meta meta;

	assert_true(xi_frame_is_long(&bed->frames, desc->addr));
	assert_int_equal(desc->addr - xi_frame_of(&bed->frames, desc->addr), XI_FRAME_HEADROOM);
	assert_int_equal(desc->len, bed->len);
	assert_memory_equal(bed->frames.base + desc->addr, bed->sent, bed->len);
	memcpy(&meta, bed->frames.base + desc->addr - sizeof(meta), sizeof(meta));
	assert_int_equal(meta.magic, XI_META_MAGIC);
	assert_int_equal(meta.handle, 4711);
	xi_frame_put(&bed->frames, desc->addr);
}

static struct gather_bed *gather_open(uint32_t longs)
{
	struct gather_bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	assert_int_equal(xi_frames_create(&bed->frames, FRAMES, longs), 0);
	return bed;
}

static void gather_close(struct gather_bed *bed)
{
	xi_frames_destroy(&bed->frames);
	free(bed);
}

static void pieces_become_one_packet(void **state)
{
	struct gather_bed *bed = gather_open(1);
	struct xdp_desc desc;
	uint32_t i;

	for (i = 0; i < 5; i++) {
		assert_false(gather_give(bed, 3840, true, &desc));
		assert_false(gather_give(bed, 3840, true, &desc));
		assert_true(gather_give(bed, 1 + 300 * i, false, &desc));
		gather_check(bed, &desc);
		/* of one descriptor, which it fills */
		assert_true(gather_give(bed, 3840, false, &desc));
		gather_check(bed, &desc);
	}
	gather_close(bed);
}

/* The frame that metadata was taken from goes back to XDP without. */
static void metadata_does_not_stay(void **state)
{
	struct gather_bed *bed = gather_open(1);
	struct xdp_desc desc;
	struct xi_meta meta;
	uint64_t frame;

	assert_true(gather_give(bed, 3840, false, &desc));
	frame = xi_frame_get(&bed->frames);
	memcpy(&meta, bed->frames.base + frame + XI_FRAME_HEADROOM - sizeof(meta), sizeof(meta));
	assert_int_equal(meta.magic, 0);
	gather_close(bed);
}

static void without_a_buffer_a_packet_is_dropped_whole(void **state)
{
	struct gather_bed *bed = gather_open(1);
	struct xdp_desc desc;
	uint64_t addr;

	assert_true(xi_long_get(&bed->frames, &addr));
	assert_false(gather_give(bed, 3840, true, &desc));
	/* one that becomes free meanwhile does not make the rest a packet */
	xi_frame_put(&bed->frames, addr);
	assert_false(gather_give(bed, 3840, true, &desc));
	assert_false(gather_give(bed, 100, false, &desc));
	assert_int_equal(bed->counts[XI_DROP_RX_FULL], 1);
	assert_true(gather_give(bed, 3840, false, &desc));
	gather_check(bed, &desc);
	gather_close(bed);
}

static void too_long_a_packet_is_dropped_whole(void **state)
{
	struct gather_bed *bed = gather_open(1);
	struct xdp_desc desc;
	uint32_t i;

	for (i = 0; i < 3; i++)
		assert_false(gather_give(bed, 3840, true, &desc));
	assert_int_equal(bed->counts[XI_DROP_TOO_BIG], 0);
	/* 3 * 4096 less 256 less 3 * 3840, and one */
	assert_false(gather_give(bed, 513, true, &desc));
	assert_int_equal(bed->counts[XI_DROP_TOO_BIG], 1);
	assert_false(gather_give(bed, 1000, false, &desc));
	assert_int_equal(bed->counts[XI_DROP_TOO_BIG], 1);
	for (i = 0; i < 3; i++)
		assert_false(gather_give(bed, 3840, true, &desc));
	assert_true(gather_give(bed, 512, false, &desc));
	gather_check(bed, &desc);
	assert_int_equal(bed->counts[XI_DROP_TOO_BIG], 1);
	assert_int_equal(bed->counts[XI_DROP_RX_FULL], 0);
	gather_close(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_packets),
		cmocka_unit_test(buffers_are_apart),
		cmocka_unit_test(buffer_is_free_when_all_parts_are_back),
		cmocka_unit_test(pieces_become_one_packet),
		cmocka_unit_test(metadata_does_not_stay),
		cmocka_unit_test(without_a_buffer_a_packet_is_dropped_whole),
		cmocka_unit_test(too_long_a_packet_is_dropped_whole),
	};

	return cmocka_run_group_tests_name("long", tests, xi_bed_setup, xi_bed_teardown);
}
