/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Miss messages: content, de-duplication, budgets; and floods, which must cost neither cache nor
 * messages.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <sched.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <xipsec/flow_key.h>
#include "bpf_bed.h"

#define ESP4                                                                                       \
	.src = "192.0.2.2", .dst = "192.0.2.1", .proto = IPPROTO_ESP, .spi = XI_BED_SPI,           \
	.payload_len = 40
#define OUT6                                                                                       \
	.src = "fd01::9", .dst = "fd02::9", .proto = IPPROTO_TCP, .sport = 40000, .dport = 80,     \
	.payload_len = 12
#define IN4                                                                                        \
	.src = "10.2.0.9", .dst = "10.1.0.9", .proto = IPPROTO_UDP, .sport = 1, .dport = 2,        \
	.payload_len = 12
#define PERF_PAGES 8

struct inbox {
	struct perf_buffer *perf;
	uint32_t n;
	uint64_t lost;
	struct xi_miss last;
};

static void inbox_take(void *ctx, int cpu, void *data, uint32_t size)
{
	struct inbox *inbox = ctx;

	assert_true(size >= sizeof(inbox->last));
	memcpy(&inbox->last, data, sizeof(inbox->last));
	inbox->n++;
}

static void inbox_lost(void *ctx, int cpu, __u64 n)
{
	((struct inbox *)ctx)->lost += n;
}

static void inbox_open(struct inbox *inbox, struct xi_bed *bed)
{
	memset(inbox, 0, sizeof(*inbox));
	inbox->perf = perf_buffer__new(bpf_map__fd(bed->skel->maps.misses), PERF_PAGES, inbox_take,
				       inbox_lost, inbox, NULL);
	assert_non_null(inbox->perf);
}

static uint32_t inbox_read(struct inbox *inbox)
{
	assert_true(perf_buffer__consume(inbox->perf) >= 0);
	return inbox->n;
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int xdp(struct xi_bed *bed, struct bpf_program *prog, const struct xi_spec *spec)
{
	static struct xi_frame frame;
	static struct xi_run run;

	xi_frame_build(&frame, spec);
	xi_bed_run_xdp(bed, prog, &frame, 0, 1, &run);
	return run.verdict;
}

static void limits(struct xi_bed *bed, uint32_t per_second, uint32_t dedup_ms)
{
	struct xi_config cfg = xi_bed_config();

	cfg.miss_per_second = per_second;
	cfg.miss_dedup_ms = dedup_ms;
	xi_bed_put_config(bed, &cfg);
}

static void sa_message(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec spec = { ESP4 };
	uint64_t before = monotonic_ns();
	struct inbox inbox;
	uint8_t daddr[16];

	xi_bed_reset(bed);
	inbox_open(&inbox, bed);
	xi_bed_sa_known(bed, spec.dst, spec.spi, XI_BED_HANDLE);
	assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &spec), XDP_REDIRECT);
	assert_int_equal(inbox_read(&inbox), 1);
	assert_int_equal(xi_bed_stat(bed, XI_MISS_SENT), 1);
	xi_addr_parse(daddr, spec.dst);
	assert_int_equal(inbox.last.kind, XI_MISS_SA);
	assert_int_equal(inbox.last.handle, XI_BED_HANDLE);
	assert_memory_equal(inbox.last.id.daddr, daddr, 16);
	assert_int_equal(inbox.last.id.spi, XI_BED_SPI);
	assert_int_equal(inbox.last.id.proto, XI_ESP);
	assert_int_equal(inbox.last.id.family, XI_IPV4);
	assert_int_equal(inbox.last.ifindex, bed->ifindex);
	assert_int_equal(inbox.last.queue, 0);
	assert_in_range(inbox.last.ktime, before, monotonic_ns());
	perf_buffer__free(inbox.perf);
}

static void flow_is(const struct xi_miss *miss, const struct xi_spec *spec, enum xi_dir dir)
{
	struct xi_flow flow = {
		.proto = spec->proto, .dir = dir, .sport = spec->sport, .dport = spec->dport,
		.mark = spec->mark, .if_id = spec->if_id
	};

	flow.family = xi_addr_parse(flow.saddr, spec->src) == 4 ? XI_IPV4 : XI_IPV6;
	xi_addr_parse(flow.daddr, spec->dst);
	assert_int_equal(miss->kind, XI_MISS_FLOW);
	assert_memory_equal(&miss->flow, &flow, sizeof(flow));
}

static void flow_messages(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec out = { OUT6, .dmac = bed->mac }, in = { IN4 };
	uint8_t origin[XI_ORIGIN_LEN];
	static struct xi_frame frame;
	static struct xi_run run;
	struct inbox inbox;

	xi_bed_reset(bed);
	inbox_open(&inbox, bed);
	assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &in), XDP_REDIRECT);
	assert_int_equal(inbox_read(&inbox), 1);
	flow_is(&inbox.last, &in, XI_FWD);
	xi_bed_role(bed, XI_ROLE_PLAIN);
	assert_int_equal(xdp(bed, bed->skel->progs.xdp_plain, &out), XDP_REDIRECT);
	assert_int_equal(inbox_read(&inbox), 2);
	flow_is(&inbox.last, &out, XI_OUT);
	assert_int_equal(inbox.last.ifindex, bed->ifindex);
	out.dport++;
	xi_frame_build(&frame, &out);
	xi_bed_run_tc(bed, bed->skel->progs.tc_guard, &frame, 1, &run);
	assert_int_equal(inbox_read(&inbox), 3);
	flow_is(&inbox.last, &out, XI_OUT);
	/* of what the host sends, mark and if_id, whatever policies look at */
	xi_bed_role(bed, XI_ROLE_HOST);
	xi_origin_write(origin, &(struct xi_origin){ XI_ORIGIN_ROUTED, 0xfedcba98, 0x1234567 });
	out.dmac = origin;
	out.smac = origin + 6;
	out.mark = 0xfedcba98;
	out.if_id = 0x1234567;
	assert_int_equal(xdp(bed, bed->skel->progs.xdp_plain, &out), XDP_REDIRECT);
	assert_int_equal(inbox_read(&inbox), 4);
	flow_is(&inbox.last, &out, XI_OUT);
	perf_buffer__free(inbox.perf);
}

/*
 * Each message shows a whole flow. Where the daemon has said that no SA serves any flow of some mask, one
 * message speaks for all of them.
 */
static void flows_without_an_sa_share_a_message(void **state)
{
	const struct xi_flow_mask rows[2] = {
		{ .prefixlen_s = 24, .prefixlen_d = 16 }, xi_flow_mask_whole(XI_IPV4)
	};
	struct xi_bed *bed = *state;
	struct xi_spec spec = { IN4 };
	struct inbox inbox;

	xi_bed_reset(bed);
	inbox_open(&inbox, bed);
	xi_bed_masks(bed, XI_FWD, XI_IPV4, rows, 2);
	for (uint32_t i = 0; i < 2; i++, spec.sport++)
		xdp(bed, bed->skel->progs.xdp_cipher, &spec);
	assert_int_equal(inbox_read(&inbox), 2);
	xi_bed_flow_masked(bed, &spec, XI_IN, &rows[0], XI_VERDICT_NONE, XI_BED_GENERATION);
	for (uint32_t i = 0; i < 100; i++, spec.sport++)
		assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &spec), XDP_REDIRECT);
	assert_int_equal(inbox_read(&inbox), 3);
	assert_int_equal(xi_bed_stat(bed, XI_MISS_DEDUP), 99);
	assert_int_equal(xi_bed_stat(bed, XI_FLOW_MISS), 102);
	spec.sport -= 100;
	flow_is(&inbox.last, &spec, XI_FWD);
	xi_bed_flow_masked(bed, &spec, XI_IN, &rows[0], XI_VERDICT_NONE, XI_BED_GENERATION - 1);
	spec.sport += 50;
	xdp(bed, bed->skel->progs.xdp_cipher, &spec);
	assert_int_equal(inbox_read(&inbox), 4);
	perf_buffer__free(inbox.perf);
}

static void same_message_is_held_back(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec spec = { ESP4 };
	struct inbox inbox;

	xi_bed_reset(bed);
	inbox_open(&inbox, bed);
	for (uint32_t i = 0; i < 2; i++)
		xi_bed_sa_known(bed, spec.dst, spec.spi ^ i, XI_BED_HANDLE + i);
	for (uint32_t i = 0; i < 100; i++, spec.spi ^= 1)
		assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &spec), XDP_REDIRECT);
	assert_int_equal(inbox_read(&inbox), 2);
	assert_int_equal(xi_bed_stat(bed, XI_MISS_DEDUP), 98);
	assert_int_equal(xi_bed_stat(bed, XI_SA_MISS), 100);
	assert_int_equal(xi_bed_stat(bed, XI_TO_WORKER), 100);
	limits(bed, 1000, 0);
	assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &spec), XDP_REDIRECT);
	assert_int_equal(inbox_read(&inbox), 3);
	perf_buffer__free(inbox.perf);
}

/*
 * Each source has its budget on each CPU; the packets go to the worker all the same
 * (miss-lossless).
 */
static void budgets(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec sa = { ESP4 }, in = { IN4 }, out = { OUT6, .dmac = bed->mac };
	uint64_t ncpus = libbpf_num_possible_cpus(), seconds, start = monotonic_ns();
	struct inbox inbox;
	uint32_t n;

	xi_bed_reset(bed);
	limits(bed, 3, 60000);
	inbox_open(&inbox, bed);
	for (int i = 0; i < 200; i++, in.sport++)
		assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &in), XDP_REDIRECT);
	n = inbox_read(&inbox);
	seconds = 1 + (monotonic_ns() - start) / 1000000000;
	assert_in_range(n, 3, 3 * ncpus * (1 + seconds));
	assert_int_equal(xi_bed_stat(bed, XI_MISS_LIMITED), 200 - n);
	assert_int_equal(xi_bed_stat(bed, XI_TO_WORKER), 200);
	xi_bed_sa_known(bed, sa.dst, sa.spi, XI_BED_HANDLE);
	xdp(bed, bed->skel->progs.xdp_cipher, &sa);
	assert_int_equal(inbox_read(&inbox), n + 1);
	xdp(bed, bed->skel->progs.xdp_plain, &out);
	assert_int_equal(inbox_read(&inbox), n + 2);
	limits(bed, 0, 0);
	xdp(bed, bed->skel->progs.xdp_cipher, &sa);
	assert_int_equal(inbox_read(&inbox), n + 2);
	perf_buffer__free(inbox.perf);
}

/* A full ring loses messages, counted, and a lost message is tried again by the next packet. */
static void full_ring(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec in = { IN4 }, sa = { ESP4 };
	struct inbox inbox;
	cpu_set_t before, one;
	uint64_t sent;

	/* each CPU has a ring of its own */
	assert_return_code(sched_getaffinity(0, sizeof(before), &before), errno);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_return_code(sched_setaffinity(0, sizeof(one), &one), errno);
	xi_bed_reset(bed);
	limits(bed, 1000000, 60000);
	inbox_open(&inbox, bed);
	xi_bed_sa_known(bed, sa.dst, sa.spi, XI_BED_HANDLE);
	for (int i = 0; i < 2000; i++, in.sport++)
		assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &in), XDP_REDIRECT);
	sent = xi_bed_stat(bed, XI_MISS_SENT);
	assert_int_equal(sent + xi_bed_stat(bed, XI_MISS_LOST), 2000);
	assert_in_range(sent, 1, 1999);
	xdp(bed, bed->skel->progs.xdp_cipher, &sa);
	assert_int_equal(xi_bed_stat(bed, XI_MISS_LOST), 2001 - sent);
	assert_int_equal(inbox_read(&inbox), sent);
	in.sport--;
	xdp(bed, bed->skel->progs.xdp_cipher, &in);
	assert_int_equal(inbox_read(&inbox), sent + 1);
	xdp(bed, bed->skel->progs.xdp_cipher, &sa);
	assert_int_equal(inbox_read(&inbox), sent + 2);
	perf_buffer__free(inbox.perf);
	assert_return_code(sched_setaffinity(0, sizeof(before), &before), errno);
}

/* flood-bounded: random SPIs and random cleartext leave sa_cache, flow_cache and the ring alone. */
static void unknown_spis_are_free(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec spec = { ESP4 };
	struct inbox inbox;

	xi_bed_reset(bed);
	inbox_open(&inbox, bed);
	for (uint32_t i = 0; i < 64; i++)
		xi_bed_sa_cached(bed, spec.dst, XI_BED_SPI + i, XI_METHOD_FAST);
	srand(1);
	for (int i = 0; i < 20000; i++) {
		spec.spi = 0x10000 + rand();
		assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &spec), XDP_DROP);
	}
	assert_int_equal(xi_bed_stat(bed, XI_DROP_UNKNOWN_SPI), 20000);
	assert_int_equal(inbox_read(&inbox), 0);
	assert_int_equal(
		xi_bed_entries(bpf_map__fd(bed->skel->maps.sa_cache), sizeof(struct xi_sa_id)), 64);
	assert_int_equal(xi_bed_stat(bed, XI_MISS_SENT), 0);
	for (uint32_t i = 0; i < 64; i++) {
		spec.spi = XI_BED_SPI + i;
		assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &spec), XDP_REDIRECT);
	}
	assert_int_equal(xi_bed_stat(bed, XI_SA_HIT), 64);
	perf_buffer__free(inbox.perf);
}

static void random_flows_are_bounded(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec spec = { IN4 }, live = { IN4, .sport = 7777 };
	struct inbox inbox;
	uint32_t n;

	xi_bed_reset(bed);
	limits(bed, 10, 60000);
	inbox_open(&inbox, bed);
	xi_bed_flow(bed, &live, XI_IN, XI_VERDICT_BYPASS, XI_BED_GENERATION);
	for (uint32_t i = 0; i < 20000; i++) {
		spec.sport = 10000 + i;
		xdp(bed, bed->skel->progs.xdp_cipher, &spec);
	}
	n = inbox_read(&inbox);
	assert_in_range(n, 10, 1000);
	assert_int_equal(
		xi_bed_entries(bpf_map__fd(bed->skel->maps.flow_cache), sizeof(struct xi_flow_key)), 1);
	assert_int_equal(
		xi_bed_entries(bpf_map__fd(bed->skel->maps.miss_flow), sizeof(struct xi_flow_key)), n);
	assert_int_equal(xdp(bed, bed->skel->progs.xdp_cipher, &live), XDP_PASS);
	perf_buffer__free(inbox.perf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sa_message),
		cmocka_unit_test(flow_messages),
		cmocka_unit_test(flows_without_an_sa_share_a_message),
		cmocka_unit_test(same_message_is_held_back),
		cmocka_unit_test(budgets),
		cmocka_unit_test(full_ring),
		cmocka_unit_test(unknown_spis_are_free),
		cmocka_unit_test(random_flows_are_bounded),
	};

	return cmocka_run_group_tests_name("misses", tests, xi_bed_setup, xi_bed_teardown);
}
