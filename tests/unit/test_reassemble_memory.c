// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reassembly: sizes, time, memory, floods, and that every fragment is counted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "frag_bed.h"
#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/fragment.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void times_out(void)
{
	frag_bed.now = 5000;
	assert_int_equal(frag_add(FRAG_MORE(0, 64, .id = 1)), XI_NONE);
	frag_bed.now = 5500;
	assert_int_equal(frag_add(FRAG_MORE(128, 64, .id = 1)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(0, 64, .id = 2)), XI_NONE);
	assert_int_equal(xi_reassembly_expire(frag_bed.r, 5999), 0);
	assert_int_equal(xi_reassembly_expire(frag_bed.r, 6000), 2);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_TIMEOUT], 2);
	assert_int_equal(xi_reassembly_expire(frag_bed.r, 6499), 0);
	/* a fragment that comes too late begins anew */
	frag_bed.now = 6500;
	assert_int_equal(frag_add(FRAG_LAST(64, 64, .id = 2)), XI_NONE);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_TIMEOUT], 3);
	assert_int_equal(frag_held(), 1);
	assert_int_equal(frag_add(FRAG_MORE(0, 64, .id = 2)), XI_REASSEMBLED);
	frag_expect_empty();
}
FRAG_BOTH(fragments_time_out, times_out)

static void too_big(void)
{
	uint32_t hdr = frag_v6 ? 40 : 20, most = FRAG_PKT_MAX - hdr;
	uint32_t start = most & ~7U, left = most - start;

	/* as long as may be, and one byte longer; the first fragment comes last */
	assert_int_equal(frag_add((struct frag_spec){
				 .start = start, .len = left ? left : 8, .more = !left, .id = 1}),
			 left ? XI_NONE : XI_DROP_TOO_BIG);
	assert_int_equal(frag_add(FRAG_LAST(start, left + 1, .id = 2)), XI_DROP_TOO_BIG);
	assert_int_equal(frag_add(FRAG_MORE(0, 64, .id = 3)), XI_NONE);
	assert_int_equal(frag_add(FRAG_LAST(start, left + 1, .id = 3)), XI_DROP_TOO_BIG);
	assert_int_equal(frag_bed.counts[XI_DROP_TOO_BIG], left ? 3 : 4);
	if (left) {
		assert_int_equal(frag_add(FRAG_MORE(0, start, .id = 1)), XI_REASSEMBLED);
		frag_expect_spec(most, 0, 1);
	}
}
FRAG_BOTH(packets_above_the_limit_are_dropped, too_big)

/* A first fragment with 40 bytes of options, nothing but NOP. */
static enum xi_reason add_first_with_options(uint32_t len)
{
	static uint8_t p[FRAG_PKT_MAX + 100];
	struct frag_spec s = FRAG_MORE(0, len);

	frag_spec_v4(p, &s);
	memmove(p + 60, p + 20, len);
	memset(p + 20, IPOPT_NOP, 40);
	p[0] = 0x4f;
	xi_put16(p + 2, (uint16_t)(60 + len));
	xi_put16(p + 10, 0);
	xi_put16(p + 10, xi_ip4_checksum(p));
	return frag_add_bytes(p, 60 + len);
}

/* That the packet is too long shows when the first fragment tells the length of its header. */
static void options_count_as_length(void **state)
{
	frag_v6 = false;
	for (uint32_t over = 0; over < 2; over++) {
		uint32_t end = FRAG_PKT_MAX - 60 + over, start = (end - 1) & ~7U;

		assert_int_equal(frag_add(FRAG_LAST(start, end - start)), XI_NONE);
		assert_int_equal(frag_add(FRAG_MORE(64, start - 64)), XI_NONE);
		assert_int_equal(add_first_with_options(64),
				 over ? XI_DROP_TOO_BIG : XI_REASSEMBLED);
		assert_int_equal(frag_bed.whole.len, over ? 0 : FRAG_PKT_MAX);
		assert_int_equal(frag_bed.counts[XI_DROP_TOO_BIG], 3 * over);
	}
}

/* 65535 - 60 bytes of payload, and one byte more: to a header of 20 bytes it would be none too
 * many. */
static void options_count_against_65535(void **state)
{
	struct xi_reassembly_limits limits = {16, 1 << 20, 65575, FRAG_TIMEOUT};
	static uint8_t room[65575];

	frag_v6 = false;
	xi_reassembly_destroy(frag_bed.r);
	assert_int_equal(xi_reassembly_create(&frag_bed.r, &limits, frag_bed.counts), 0);
	for (uint32_t over = 0; over < 2; over++) {
		struct xi_pkt pkt, whole = {.data = room, .tailroom = sizeof(room)};
		uint32_t end = 65475 + over, at;
		static uint8_t p[9000];
		struct frag_spec s;

		assert_int_equal(add_first_with_options(64), XI_NONE);
		for (at = 64; at + 8192 < end; at += 8192)
			assert_int_equal(frag_add(FRAG_MORE(at, 8192)), XI_NONE);
		s = FRAG_LAST(at, end - at);
		pkt = (struct xi_pkt){.data = p, .len = frag_spec_v4(p, &s)};
		assert_int_equal(xi_reassembly_add(frag_bed.r, 0, &pkt, &whole),
				 over ? XI_DROP_FRAGMENT_BAD : XI_REASSEMBLED);
		assert_int_equal(whole.len, over ? 0 : 65535);
		assert_int_equal(frag_drops(), over ? 9 : 0);
	}
}

/* What is kept of headers: 256 bytes. Longer ones are no packet that anyone means. */
static void long_ipv6_headers_are_bad(void **state)
{
	uint8_t p[512];

	frag_v6 = true;
	for (uint32_t over = 0; over < 2; over++) {
		uint32_t options = 216 + 8 * over;
		struct frag_spec first = FRAG_MORE(0, 64, .id = over);

		frag_spec_v6(p, &first);
		memmove(p + 40 + options, p + 40, 72);
		memset(p + 40, 0, options);
		p[6] = IPPROTO_HOPOPTS;
		p[40] = IPPROTO_FRAGMENT;
		p[41] = (uint8_t)(options / 8 - 1);
		xi_put16(p + 4, (uint16_t)(options + 72));
		assert_int_equal(frag_add_bytes(p, 112 + options),
				 over ? XI_DROP_FRAGMENT_BAD : XI_NONE);
		assert_int_equal(frag_add(FRAG_LAST(64, 8, .id = over)),
				 over ? XI_NONE : XI_REASSEMBLED);
	}
}

/* Room of just the packet's length, and one byte less: nothing is written then. */
static void room_is_kept(void)
{
	uint32_t total = (frag_v6 ? 40 : 20) + 100;

	for (uint32_t lack = 0; lack < 2; lack++) {
		for (unsigned int atomic = 0; atomic < 2; atomic++) {
			struct frag_spec s = FRAG_LAST(64, 36);
			uint8_t p[256], *room = malloc(total - lack);
			struct xi_pkt pkt = {.data = p};
			struct xi_pkt whole = {.data = room, .tailroom = total - lack};

			assert_non_null(room);
			memset(room, 0x5a, total - lack);
			if (atomic)
				s = FRAG_LAST(0, 100);
			else
				frag_add(FRAG_MORE(0, 64));
			pkt.len = frag_v6 ? frag_spec_v6(p, &s) : frag_spec_v4(p, &s);
			assert_int_equal(xi_reassembly_add(frag_bed.r, 0, &pkt, &whole),
					 lack ? XI_DROP_TOO_BIG : XI_REASSEMBLED);
			assert_int_equal(whole.len, lack ? 0 : total);
			assert_true(!lack || room[0] == 0x5a);
			free(room);
		}
	}
	assert_int_equal(frag_bed.counts[XI_DROP_TOO_BIG], 3);
	assert_int_equal(frag_held(), 0);
}
FRAG_BOTH(room_is_never_exceeded, room_is_kept)

/* 64 packets at most, 16 of one sender. */
static void the_oldest_packet_is_given_up(void **state)
{
	xi_reassembly_destroy(frag_bed.r);
	frag_bed_open(64, 64 * 1024);
	frag_v6 = false;
	for (uint8_t host = 0; host < 64; host++)
		assert_int_equal(frag_add(FRAG_MORE(0, 8, .id = host, .host = host)), XI_NONE);
	assert_int_equal(frag_drops(), 0);
	assert_int_equal(frag_add(FRAG_MORE(8, 8, .id = 0, .host = 0)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(0, 8, .id = 99, .host = 99)), XI_NONE);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_FULL], 2);
	assert_int_equal(xi_reassembly_in_use(frag_bed.r).packets, 64);
	for (uint8_t host = 1; host < 64; host++)
		assert_int_equal(frag_add(FRAG_LAST(8, 8, .id = host, .host = host)),
				 XI_REASSEMBLED);
}

/* False where the two senders have the same hash value, of 64. */
static bool share_is_kept(void)
{
	xi_reassembly_destroy(frag_bed.r);
	frag_bed_open(16, 64 * 1024);
	assert_int_equal(frag_add(FRAG_MORE(0, 8, .host = 7)), XI_NONE);
	for (uint32_t id = 0; id < 1000; id++)
		assert_int_equal(frag_add(FRAG_MORE(0, 8, .id = id, .host = 1)), XI_NONE);
	if (xi_reassembly_in_use(frag_bed.r).packets == 4)
		return false;
	assert_int_equal(xi_reassembly_in_use(frag_bed.r).packets, 5);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_FULL], 996);
	/* the last four of the one are there yet, and the other's */
	for (uint32_t id = 996; id < 1000; id++)
		assert_int_equal(frag_add(FRAG_LAST(8, 8, .id = id, .host = 1)), XI_REASSEMBLED);
	assert_int_equal(frag_add(FRAG_LAST(8, 8, .host = 7)), XI_REASSEMBLED);
	return true;
}

/* Five instances of which each has the two at one value: once in 10^9. */
static void one_sender_gives_up_his_own(void)
{
	for (unsigned int i = 0; i < 5; i++)
		if (share_is_kept())
			return;
	fail_msg("two senders are always taken for one");
}
FRAG_BOTH(a_sender_at_his_share_gives_up_his_own, one_sender_gives_up_his_own)

/* Bytes too: 64 pages, 16 of one sender. */
static void bytes_are_bounded(void)
{
	xi_reassembly_destroy(frag_bed.r);
	frag_bed_open(256, 64 * XI_REASSEMBLY_PAGE);
	for (uint32_t i = 0; i < 1000; i++) {
		struct frag_spec s =
			FRAG_MORE((i % 9) * 1024 + 8, 8, .id = i / 9, .host = (uint8_t)i);

		assert_int_equal(frag_add(s), XI_NONE);
		assert_true(xi_reassembly_in_use(frag_bed.r).bytes <= 64 * XI_REASSEMBLY_PAGE);
	}
	assert_true(frag_bed.counts[XI_DROP_FRAGMENT_FULL] > 0);
	/* a packet of the greatest size still finds its place */
	for (uint32_t at = 0; at < 9000; at += 1000)
		assert_int_equal(frag_add((struct frag_spec){.start = at,
							     .len = 1000,
							     .more = at < 8000,
							     .id = 7777,
							     .host = 3}),
				 at < 8000 ? XI_NONE : XI_REASSEMBLED);
}
FRAG_BOTH(held_bytes_are_bounded, bytes_are_bounded)

static void bytes_of_one_sender_are_bounded(void **state)
{
	xi_reassembly_destroy(frag_bed.r);
	frag_bed_open(256, 64 * XI_REASSEMBLY_PAGE);
	frag_v6 = false;
	for (uint32_t id = 0; id < 50; id++)
		assert_int_equal(frag_add(FRAG_MORE(0, 1024, .id = id)), XI_NONE);
	assert_int_equal(xi_reassembly_in_use(frag_bed.r).packets, 16);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_FULL], 34);
	assert_int_equal(frag_add(FRAG_MORE(1024, 4096, .id = 49)), XI_NONE);
	assert_int_equal(xi_reassembly_in_use(frag_bed.r).packets, 12);
	assert_int_equal(xi_reassembly_in_use(frag_bed.r).bytes, 16 * XI_REASSEMBLY_PAGE);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_FULL], 38);
}

/* First fragments without end, from one address and from all: others' packets pass in between. */
static void flood_keeps_nobody_out(void)
{
	for (uint32_t i = 0; i < 20000; i++) {
		struct frag_spec flood =
			FRAG_MORE(0, 1024, .id = i, .host = frag_v6 && i % 2 ? (uint8_t)i : 66);

		frag_bed.now = i / 100;
		if (i % 10 == 0)
			assert_int_equal(frag_add(FRAG_MORE(0, 1400, .id = i)), XI_NONE);
		assert_int_equal(frag_add(flood), XI_NONE);
		if (i % 10 == 5)
			assert_int_equal(frag_add(FRAG_LAST(1400, 100, .id = i - 5)),
					 XI_REASSEMBLED);
	}
	assert_int_equal(frag_bed.counts[XI_REASSEMBLED], 2000);
	assert_true(xi_reassembly_in_use(frag_bed.r).packets <= 256);
}
FRAG_BOTH(a_flood_of_first_fragments_keeps_nobody_out, flood_keeps_nobody_out)

/* Whatever comes: every fragment is held, counted once, or part of a packet that became whole. */
static void every_fragment_is_accounted_for(void **state)
{
	uint64_t added = 0, in_wholes = 0, left;

	xi_reassembly_destroy(frag_bed.r);
	frag_bed_open(32, 40 * XI_REASSEMBLY_PAGE);
	for (unsigned int i = 0; i < 200000; i++) {
		struct frag_spec s = {
			.start = (uint32_t)rand() % 4 * 512,
			.len = 512,
			.more = rand() % 4,
			.id = (uint32_t)rand() % 12,
			.host = (uint8_t)(rand() % 3),
			.ecn = rand() % 50 ? 0 : 3,
			.salt = rand() % 50 ? 0 : 1,
		};
		uint64_t before = frag_drops() + frag_held();

		frag_v6 = rand() % 2;
		if (rand() % 100 == 0)
			s.len = (uint32_t)rand() % 2000;
		frag_bed.now += (uint64_t)rand() % 20;
		added++;
		if (frag_add(s) == XI_REASSEMBLED)
			in_wholes += before + 1 - frag_drops() - frag_held();
	}
	left = frag_held();
	assert_int_equal(added, in_wholes + frag_drops() + left);
	assert_int_equal(xi_reassembly_expire(frag_bed.r, frag_bed.now + FRAG_TIMEOUT), left);
	frag_expect_empty();
	assert_int_equal(added, in_wholes + frag_drops());
	assert_true(frag_bed.counts[XI_REASSEMBLED] > 1000);
	for (enum xi_reason why = XI_DROP_FRAGMENT_BAD; why <= XI_DROP_FRAGMENT_FULL; why++)
		assert_true(frag_bed.counts[why] > 100);
}

static void limits_are_checked(void **state)
{
	static const struct xi_reassembly_limits bad[] = {
		{0, 65536, 4096, 1000}, {65537, 65536, 4096, 1000}, {16, 4095, 4096, 1000},
		{16, 4096, 4097, 1000}, {16, 65536, 0, 1000},	    {16, 1 << 20, 65576, 1000},
		{16, 65536, 4096, 0},
	};
	struct xi_reassembly *r = NULL;

	for (unsigned int i = 0; i < N(bad); i++)
		assert_int_equal(xi_reassembly_create(&r, &bad[i], frag_bed.counts), -EINVAL);
	assert_null(r);
	xi_reassembly_destroy(r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, frag_setup, frag_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments_time_out),
		cmocka_unit_test(packets_above_the_limit_are_dropped),
		TEST(options_count_as_length),
		TEST(options_count_against_65535),
		TEST(long_ipv6_headers_are_bad),
		cmocka_unit_test(room_is_never_exceeded),
		TEST(the_oldest_packet_is_given_up),
		cmocka_unit_test(a_sender_at_his_share_gives_up_his_own),
		cmocka_unit_test(held_bytes_are_bounded),
		TEST(bytes_of_one_sender_are_bounded),
		cmocka_unit_test(a_flood_of_first_fragments_keeps_nobody_out),
		TEST(every_fragment_is_accounted_for),
		TEST(limits_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
