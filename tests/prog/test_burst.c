/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Burst transmit on a veth pair in a namespace of the test's own: what xdp_burst makes of good and
 * bad descriptors, what arrives, what is counted, and when AF_XDP takes over. Packets are compared
 * with what was put into packet memory, as a packet socket at the other end sees them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <cmocka.h>

#include "dataplane/burst_priv.h"
#include "burst.skel.h"
#include "testns.h"

#define FRAMES 4096
#define OFFSET 256
#define SLOT 1
/* between calls: two slow ones, as a busy machine may make any, are then no trouble */
#define CALM_MS (XI_BURST_SLOW_WINDOW_MS + 1)

struct bed {
	struct xi_port_dev port;
	struct xi_frames frames;
	struct xi_umem umem;
	struct xi_xsk xsk;
	struct xi_burst *burst;
	struct xi_tx *tx;
	uint64_t now_ms;
	uint64_t counts[XI_REASON_MAX];
	uint32_t free;               /* frames that nobody had when the bed was made */
	int wire;                    /* packet socket at the other end */
};

static bool read_only;           /* /proc/sys in the beds that are opened */

static void bed_open(struct bed *bed, const char *far_gro)
{
	struct xi_port_config config = { .name = "wan0", .role = XI_ROLE_CIPHER };
	const struct xi_burst_config burst = {
		.frames = &bed->frames, .counts = bed->counts, .now_ms = &bed->now_ms };
	char why[XI_BURST_WHY] = "";
	const int room = 8 << 20;

	testns_enter();
	if (read_only)
		testns_run("mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys");
	else
		testns_run("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
	testns_run("ip link add wan0 mtu 3000 type veth peer name far0 mtu 3000");
	testns_run("ethtool -K far0 gro %s > /dev/null", far_gro);
	testns_run("ip link set wan0 up && ip link set far0 up");
	memset(bed, 0, sizeof(*bed));
	bed->now_ms = 5000;
	bed->wire = testns_packets("far0");
	assert_int_equal(setsockopt(bed->wire, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)), 0);
	assert_int_equal(xi_port_open(&bed->port, &config, SLOT), 0);
	assert_int_equal(xi_frames_create(&bed->frames, FRAMES, 0), 0);
	assert_int_equal(xi_umem_create(&bed->umem, &bed->frames), 0);
	assert_int_equal(xi_xsk_open(&bed->xsk, &bed->umem, &bed->port, 0), 0);
	if (xi_burst_open(&bed->burst, &burst, why))
		fail_msg("%s", why);
	bed->free = bed->frames.nfree;
	bed->tx = xi_burst_add_port(bed->burst, &bed->xsk);
	assert_non_null(bed->tx);
}

static void bed_close(struct bed *bed)
{
	xi_burst_close(bed->burst);
	xi_xsk_close(&bed->xsk);
	xi_umem_destroy(&bed->umem);
	xi_frames_destroy(&bed->frames);
	close(bed->wire);
}

/* The bytes of packet `number`, whose type no protocol of the kernel's takes. */
static void packet(uint8_t *at, uint32_t number, uint32_t len)
{
	uint32_t i, x = number * 2654435761U + len;

	memcpy(at, "\2\0\0\0\0\2\2\0\0\0\0\1\x88\xb5", ETH_HLEN);
	memcpy(at + ETH_HLEN, &number, sizeof(number));
	for (i = ETH_HLEN + sizeof(number); i < len; i++) {
		x = x * 1664525U + 1013904223U;
		at[i] = x >> 24;
	}
}

static void give(struct bed *bed, uint32_t number, uint32_t len)
{
	uint64_t addr = xi_frame_get(&bed->frames) + OFFSET;

	packet(bed->frames.base + addr, number, len);
	assert_true(bed->tx->ops->send(bed->tx, addr, len));
}

static void flush(struct bed *bed)
{
	bed->tx->ops->flush(bed->tx);
	bed->tx->ops->reap(bed->tx);
}

/* The next frame on the wire that is no trial of the port. */
static int next(struct bed *bed, uint8_t *got, int room)
{
	int n;

	do
		n = testns_receive(bed->wire, got, room);
	while (n > ETH_HLEN && got[12] == 0x90 && !got[13]);
	return n;
}

static void expect(struct bed *bed, uint32_t number, uint32_t len)
{
	uint8_t want[4096], got[4096];

	packet(want, number, len);
	assert_int_equal(next(bed, got, sizeof(got)), len);
	assert_memory_equal(got, want, len);
}

static uint32_t length(uint32_t i)
{
	return ETH_ZLEN + i * 797 % 2900;
}

static void every_byte_arrives_in_order(void **state)
{
	uint32_t i, round;
	struct bed bed;

	bed_open(&bed, "on");
	for (round = 0; round < 5; round++) {
		for (i = 0; i < 40; i++)
			give(&bed, round * 40 + i, length(round * 40 + i));
		flush(&bed);
		for (i = 0; i < 40; i++)
			expect(&bed, round * 40 + i, length(round * 40 + i));
		bed.now_ms += CALM_MS;
	}
	assert_int_equal(bed.counts[XI_TX_BURST], 200);
	assert_int_equal(bed.counts[XI_BURST_CALL], 5);
	assert_int_equal(bed.counts[XI_DROP_BURST_LOST], 0);
	assert_int_equal(bed.frames.nfree, bed.free);
	bed_close(&bed);
}

static void few_packets_and_many_keep_their_order(void **state)
{
	static const uint32_t batches[] = { 1, 40, 3, 19, 20, 1, 1, 64, 2 };
	uint32_t i, b, sent = 0, got = 0;
	struct xi_tx_status status;
	struct bed bed;

	bed_open(&bed, "on");
	for (b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
		for (i = 0; i < batches[b]; i++, sent++)
			give(&bed, sent, length(sent));
		flush(&bed);
		/* every third time small batches follow at once, and else after the hold */
		bed.now_ms += b % 3 ? XI_BURST_HOLD_MS : 0;
	}
	for (; got < sent; got++)
		expect(&bed, got, length(got));
	bed.tx->ops->status(bed.tx, &status);
	assert_string_equal(status.path, "burst");
	assert_int_equal(status.burst_packets + status.xsk_packets, sent);
	assert_true(status.burst_packets >= 20 + 40 + 64);
	assert_true(status.xsk_packets >= 1 + 3 + 19 + 1 + 2);
	bed_close(&bed);
}

/* What does not fit a live frame goes by AF_XDP, and does not overtake what came before it. */
static void frames_that_do_not_fit_keep_their_place(void **state)
{
	uint8_t got[4096];
	uint64_t addr;
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "on");
	for (i = 0; i < 30; i++)
		give(&bed, i, 100);
	/* starts too far behind in its frame */
	addr = xi_frame_get(&bed.frames) + XI_BURST_OFFSET_MAX + 1;
	packet(bed.frames.base + addr, 30, 100);
	assert_true(bed.tx->ops->send(bed.tx, addr, 100));
	for (i = 31; i < 60; i++)
		give(&bed, i, 100);
	flush(&bed);
	for (i = 0; i < 60; i++) {
		assert_int_equal(next(&bed, got, sizeof(got)), 100);
		assert_memory_equal(got + ETH_HLEN, &i, sizeof(i));
	}
	bed_close(&bed);
}

/* The longest that goes by burst, and one that is too long for it, which spoils nothing for the others. */
static void the_longest_frame_goes_by_burst(void **state)
{
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "on");
	testns_run("ip link set far0 mtu 3400 && ip link set wan0 mtu 3400");
	for (i = 0; i < 30; i++)
		give(&bed, i, i == 10 ? XI_BURST_LEN_MAX : 100);
	flush(&bed);
	give(&bed, 30, XI_BURST_LEN_MAX + 1);
	flush(&bed);
	for (i = 0; i <= 30; i++)
		expect(&bed, i, i == 30 ? XI_BURST_LEN_MAX + 1 : i == 10 ? XI_BURST_LEN_MAX : 100);
	assert_int_equal(bed.counts[XI_TX_BURST], 30);
	assert_int_equal(bed.counts[XI_BURST_PAUSE], 0);
	assert_int_equal(bed.xsk.sent, 1);
	bed_close(&bed);
}

static void a_receiver_without_gro_is_found_out(void **state)
{
	struct xi_tx_status status;
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "off");
	bed.tx->ops->status(bed.tx, &status);
	assert_string_equal(status.path, "xsk");
	assert_true(status.paused);
	assert_non_null(strstr(status.why, "gro on"));
	for (i = 0; i < 64; i++)
		give(&bed, i, length(i));
	flush(&bed);
	for (i = 0; i < 64; i++)
		expect(&bed, i, length(i));
	assert_int_equal(bed.counts[XI_TX_BURST], 0);
	assert_int_equal(bed.counts[XI_DROP_BURST_LOST], 0);
	/* which changes, and is noticed after a while */
	testns_run("ethtool -K far0 gro on > /dev/null");
	bed.now_ms += 1000;
	flush(&bed);
	for (; i < 128; i++)
		give(&bed, i, length(i));
	flush(&bed);
	for (i = 64; i < 128; i++)
		expect(&bed, i, length(i));
	assert_int_equal(bed.counts[XI_TX_BURST], 64);
	bed_close(&bed);
}

/* Two calls' packets are lost at most, all of them counted. */
static void a_receiver_that_turns_deaf_is_noticed(void **state)
{
	struct xi_tx_status status;
	struct bed bed;
	uint32_t i, b;

	bed_open(&bed, "on");
	testns_run("ethtool -K far0 gro off > /dev/null");
	for (b = 0; b < 4; b++) {
		for (i = 0; i < 32; i++)
			give(&bed, b * 32 + i, 200);
		flush(&bed);
		bed.now_ms += b == 0 ? CALM_MS : 0;
	}
	for (i = 64; i < 128; i++)
		expect(&bed, i, 200);
	bed.tx->ops->status(bed.tx, &status);
	assert_string_equal(status.path, "xsk");
	assert_int_equal(status.burst_lost, 64);
	assert_int_equal(status.pauses, 1);
	assert_int_equal(bed.counts[XI_DROP_BURST_LOST], 64);
	assert_int_equal(bed.counts[XI_BURST_PAUSE], 1);
	assert_int_equal(bed.frames.nfree + bed.xsk.outstanding, bed.free);
	bed_close(&bed);
}

/* Device numbers are a namespace's own: two daemons that were set up alike have the same. */
static void what_another_namespace_loses_is_not_ours(void **state)
{
	struct bed mine, other;
	uint32_t i;
	int home;

	bed_open(&mine, "on");
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_true(home >= 0);
	bed_open(&other, "on");
	assert_int_equal(other.burst->park.ifindex, mine.burst->park.ifindex);
	assert_int_equal(other.port.ifindex, mine.port.ifindex);
	testns_run("ip link set far0 down");
	for (i = 0; i < 64; i++)
		give(&other, i, 100);
	flush(&other);
	testns_run("ip link set wan0 down");
	for (i = 0; i < 64; i++)
		give(&other, i, 100);
	flush(&other);
	assert_int_equal(other.counts[XI_DROP_BURST_LOST], 128);
	assert_int_equal(xi_burst_lost_frames(mine.burst, SLOT), 0);
	bed_close(&other);
	close(testns_switch(home));
	close(home);
	bed_close(&mine);
}

static void a_port_that_is_down_loses_and_counts(void **state)
{
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "on");
	testns_run("ip link set wan0 down");
	for (i = 0; i < 32; i++)
		give(&bed, i, 200);
	flush(&bed);
	assert_int_equal(bed.counts[XI_DROP_BURST_LOST], 32);
	assert_int_equal(bed.frames.nfree, bed.free);
	bed_close(&bed);
}

/* Descriptors that the worker never writes: they send nothing, and are counted. */
static void bad_descriptors_send_nothing(void **state)
{
	static const struct xi_burst_desc bad[] = {
		{ .frame = FRAMES, .offset = OFFSET, .len = 100, .port = SLOT },
		{ .frame = 1, .offset = XI_BURST_OFFSET_MAX + 1, .len = 100, .port = SLOT },
		{ .frame = 1, .offset = 0xffff, .len = 100, .port = SLOT },
		{ .frame = 1, .offset = OFFSET, .len = XI_BURST_LEN_MAX + 1, .port = SLOT },
		{ .frame = 1, .offset = OFFSET, .len = 0xffff, .port = SLOT },
		{ .frame = 1, .offset = OFFSET, .len = ETH_HLEN - 1, .port = SLOT },
	};
	struct xi_burst *b;
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "on");
	b = bed.burst;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t before = xi_burst_lost_frames(b, SLOT);

		b->ring->desc[b->ring->prod & (XI_BURST_RING - 1)] = bad[i];
		b->pending = 1;
		b->longest = 100;
		assert_int_equal(xi_burst_call(b), 0);
		assert_int_equal(xi_burst_lost_frames(b, SLOT), before + 1);
	}
	/* no such port: there is nobody to count it for */
	b->ring->desc[b->ring->prod & (XI_BURST_RING - 1)] = (struct xi_burst_desc){
		.frame = 1, .offset = OFFSET, .len = 100, .port = 0xffffffff };
	b->pending = 1;
	b->longest = 100;
	assert_int_equal(xi_burst_call(b), 0);
	assert_int_equal(b->ring->cons, b->ring->prod);
	give(&bed, 7, 100);
	flush(&bed);
	expect(&bed, 7, 100);
	bed_close(&bed);
}

static void an_empty_list_sends_nothing(void **state)
{
	uint8_t in[200] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_size_in = sizeof(in), .repeat = 1);
	struct bed bed;
	uint32_t cons;

	bed_open(&bed, "on");
	cons = bed.burst->ring->cons;
	assert_int_equal(bpf_prog_test_run_opts(bed.burst->prog_fd, &opts), 0);
	assert_int_equal(opts.retval, XDP_DROP);
	assert_int_equal(bed.burst->ring->cons, cons);
	bed_close(&bed);
}

static int device_is_up(const char *device)
{
	char command[128];

	snprintf(command, sizeof(command), "ip -o link show up | grep -q ' %s@'", device);
	return !system(command);
}

/* Frames that come in by the parking device run the program, too: they take nothing off the list. */
static void a_stranger_at_the_parking_device_sends_nothing(void **state)
{
	const struct xi_park *park;
	uint8_t got[4096];
	struct bed bed;
	uint32_t i, cons;
	int fd;

	bed_open(&bed, "on");
	park = &bed.burst->park;
	assert_false(device_is_up(park->name));
	assert_false(device_is_up(park->peer));
	testns_run("ip link set %s up && ip link set %s up", park->name, park->peer);
	fd = testns_packets(park->peer);
	packet(got, 0, 200);
	for (i = 0; i < 32; i++)
		give(&bed, i, 100);
	/* shown to the program already, as a call that is about to be made leaves it */
	bed.burst->ring->prod += bed.burst->pending;
	cons = bed.burst->ring->cons;
	for (i = 0; i < 8; i++)
		assert_int_equal(send(fd, got, 200, 0), 200);
	testns_run("timeout 5 sh -c 'until ethtool -S %s | grep -q \"rx_queue_0_xdp_packets: 8$\"; do sleep 0.01; done'",
		   park->name);
	assert_int_equal(bed.burst->ring->cons, cons);
	bed.burst->ring->prod -= bed.burst->pending;
	flush(&bed);
	for (i = 0; i < 32; i++)
		expect(&bed, i, 100);
	close(fd);
	bed_close(&bed);
}

/* All that was listed waits for AF_XDP, and small batches follow big ones: there is no call for nothing. */
static void no_call_is_made_for_nothing(void **state)
{
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "on");
	for (i = 0; i < 40; i++)
		give(&bed, i, 100);
	flush(&bed);
	assert_int_equal(bed.counts[XI_BURST_CALL], 1);
	/* one that the kernel has not given back */
	bed.xsk.outstanding++;
	for (; i < 80; i++)
		give(&bed, i, 100);
	bed.tx->ops->flush(bed.tx);
	bed.xsk.outstanding--;
	assert_int_equal(bed.counts[XI_BURST_CALL], 1);
	assert_int_equal(bed.xsk.sent, 40);
	for (i = 0; i < 80; i++)
		expect(&bed, i, 100);
	bed_close(&bed);
}

/* Counters of the list run on past 2^32. */
static void the_list_goes_round(void **state)
{
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "on");
	bed.burst->ring->prod = bed.burst->ring->cons = UINT32_MAX - 20;
	for (i = 0; i < 64; i++)
		give(&bed, i, length(i));
	flush(&bed);
	for (i = 0; i < 64; i++)
		expect(&bed, i, length(i));
	assert_int_equal(bed.burst->ring->cons, 43);
	bed_close(&bed);
}

static void a_full_list_is_sent_at_once(void **state)
{
	struct bed bed;
	uint32_t i;

	bed_open(&bed, "on");
	for (i = 0; i < XI_BURST_RING; i++)
		give(&bed, i, 60);
	assert_int_equal(bed.counts[XI_BURST_CALL], 0);
	give(&bed, i, 60);
	assert_int_equal(bed.counts[XI_BURST_CALL], 1);
	assert_int_equal(bed.counts[XI_TX_BURST], XI_BURST_RING);
	flush(&bed);
	bed_close(&bed);
}

/* Nothing of it outlives the process's own use: the device goes, the program was held by a link. */
static void closing_leaves_nothing(void **state)
{
	struct bed bed;

	bed_open(&bed, "on");
	testns_run("ip link show xipsec-tx0 > /dev/null");
	bed_close(&bed);
	testns_run("! ip link show xipsec-tx0 2> /dev/null");
}

/* A daemon that was killed left its device, and another of that name is somebody else's. */
static void the_parking_device(void **state)
{
	struct xi_park park;
	struct bed bed;

	testns_enter();
	testns_run("ip link add xipsec-tx0 type veth peer name xipsec-tx0-p");
	assert_int_equal(xi_park_open(&park, 0), 0);
	xi_park_close(&park);
	testns_run("ip link add xipsec-tx0 type veth peer name other0");
	assert_int_equal(xi_park_open(&park, 0), -EEXIST);
	testns_run("ip link show xipsec-tx0 > /dev/null");
	bed_open(&bed, "on");
	bed_close(&bed);
}

/* Somebody else's device stays, and keeps none of ours from going. */
static void what_was_left_behind_goes(void **state)
{
	testns_enter();
	testns_run("ip link add xipsec-tx0 type veth peer name other0");
	testns_run("ip link add xipsec-tx3 type veth peer name xipsec-tx3-p");
	assert_int_equal(xi_park_remove_all(), -EEXIST);
	testns_run("ip link show xipsec-tx0 > /dev/null");
	testns_run("! ip link show xipsec-tx3 2> /dev/null");
	testns_run("ip link del xipsec-tx0");
	assert_int_equal(xi_park_remove_all(), 0);
}

/* As a container may have it, with IPv6 on. */
static void settings_that_cannot_be_written_are_no_obstacle(void **state)
{
	struct bed bed;

	read_only = true;
	bed_open(&bed, "on");
	read_only = false;
	testns_run("! echo 1 2> /dev/null > /proc/sys/net/ipv6/conf/all/disable_ipv6");
	bed_close(&bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_arrives_in_order),
		cmocka_unit_test(few_packets_and_many_keep_their_order),
		cmocka_unit_test(frames_that_do_not_fit_keep_their_place),
		cmocka_unit_test(the_longest_frame_goes_by_burst),
		cmocka_unit_test(a_receiver_without_gro_is_found_out),
		cmocka_unit_test(a_receiver_that_turns_deaf_is_noticed),
		cmocka_unit_test(what_another_namespace_loses_is_not_ours),
		cmocka_unit_test(a_port_that_is_down_loses_and_counts),
		cmocka_unit_test(bad_descriptors_send_nothing),
		cmocka_unit_test(an_empty_list_sends_nothing),
		cmocka_unit_test(a_stranger_at_the_parking_device_sends_nothing),
		cmocka_unit_test(no_call_is_made_for_nothing),
		cmocka_unit_test(the_list_goes_round),
		cmocka_unit_test(a_full_list_is_sent_at_once),
		cmocka_unit_test(closing_leaves_nothing),
		cmocka_unit_test(the_parking_device),
		cmocka_unit_test(what_was_left_behind_goes),
		cmocka_unit_test(settings_that_cannot_be_written_are_no_obstacle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
