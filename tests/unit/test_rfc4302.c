// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* RFC 4302, where no other test has it: what doc/conformance.md lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "ah_sa.h"

static void seal(struct test_ah *t, int version, uint64_t seq, struct test_pkt *p)
{
	uint8_t ip[100];

	if (version == 4)
		test_inner4(ip, sizeof(ip), 0);
	else
		test_inner6(ip, sizeof(ip), 0);
	test_pkt_set(p, ip, sizeof(ip));
	assert_int_equal(test_ah_seal(t, seq, &p->pkt), XI_NONE);
}

/* Sections 2 to 2.5, byte by byte: 51 in front, next header, words less two, zero, SPI, number. */
static void the_header_is_as_figure_1_has_it(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;

	for (int i = 0; i < 8; i++) {
		int family = i & 1 ? 6 : 4, inner = i & 2 ? 6 : 4;
		bool transport = i & 4;
		/* HMAC-SHA-1-96: 24 bytes, which both alignments take without padding */
		uint8_t want[12] = {253, 24 / 4 - 2, 0, 0, 0, 0, 0x10, 0, 0x12, 0x34, 0x56, 0x78};
		size_t at = family == 4 ? 20 : 40;

		if (transport && inner != family)
			continue;
		if (!transport)
			want[0] = inner == 4 ? 4 : 41;
		test_ah_init(&t, family, transport, XI_AUTH_HMAC_SHA1, XFRM_STATE_ESN);
		seal(&t, inner, 0x912345678, &p);
		assert_int_equal(p.pkt.data[family == 4 ? 9 : 6], 51);
		assert_memory_equal(p.pkt.data + at, want, sizeof(want));
		assert_int_equal(p.pkt.len, 100 + 24 + (transport ? 0 : at));
	}
}

/* Section 2.3: covered by the ICV, and otherwise of no meaning to who receives it. */
static void the_reserved_field_is_ignored(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	struct xi_ah_saved saved;
	struct xi_frame frame = {.len = 124, .seq = 1};
	struct xi_aead_job job;

	for (int family = 4; family <= 6; family += 2) {
		test_ah_init(&t, family, true, XI_AUTH_HMAC_SHA1, 0);
		seal(&t, family, 1, &p);
		frame.ip = p.pkt.data;
		frame.offset = family == 4 ? 20 : 40;
		frame.ip[frame.offset + 2] = 0xab;
		frame.ip[frame.offset + 3] = 0xcd;
		assert_int_equal(xi_ah_out_job(&t.ctx, &frame, &saved, &job), XI_NONE);
		test_ah_seal_job(&t, &job);
		xi_ah_restore(&saved);
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
		assert_int_equal(p.pkt.len, 100);
	}
}

/* Section 3.4.3: the number is looked at first, and costs a replay no ICV. */
static void a_replay_is_refused_before_the_icv(void **state)
{
	static struct test_pkt p, again;
	static struct test_ah t;

	test_ah_init(&t, 4, false, XI_AUTH_HMAC_SHA256, 0);
	seal(&t, 4, 5, &p);
	again = p;
	again.pkt.data = again.buf + (p.pkt.data - p.buf);
	again.pkt.data[40] ^= 1; /* of the ICV */
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
	assert_int_equal(test_ah_open(&t, &again.pkt, NULL), XI_DROP_REPLAY);
	assert_int_equal(t.state.replay_failed, 1);
	assert_int_equal(t.state.integrity_failed, 0);
}

/* Each number once, of the last 32 as of the last 64, and none that is older. */
static void windows_of_32_and_64_are_kept(void **state)
{
	static const uint32_t windows[] = {32, 64};
	static struct test_pkt p;
	static struct test_ah t;

	for (size_t i = 0; i < 2; i++) {
		uint64_t edge = 501 - windows[i];

		test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
		t.ctx.replay.window = windows[i];
		seal(&t, 6, 500, &p);
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
		seal(&t, 6, edge - 1, &p);
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_REPLAY_OLD);
		for (uint64_t seq = edge; seq < 500; seq++) {
			seal(&t, 6, seq, &p);
			assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_NONE);
			seal(&t, 6, seq, &p);
			assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_REPLAY);
		}
	}
}

/* Section 3.4.1: a packet that looks like a fragment. */
static void fragments_are_not_taken(void **state)
{
	static const struct {
		int family;
		uint8_t offset, more;
	} cases[] = {{4, 0, 1}, {4, 1, 0}, {4, 1, 1}, {6, 0, 1}, {6, 8, 0}, {6, 8, 1}};
	static struct test_pkt p;
	static struct test_ah t;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *ip;

		test_ah_init(&t, cases[i].family, true, XI_AUTH_HMAC_SHA1, 0);
		seal(&t, cases[i].family, 1, &p);
		ip = p.pkt.data;
		if (cases[i].family == 4) {
			ip[6] = cases[i].more ? 0x20 : 0;
			ip[7] = cases[i].offset;
		} else {
			memmove(ip - 8, ip, 40);
			ip = p.pkt.data -= 8;
			p.pkt.headroom -= 8;
			p.pkt.len += 8;
			memset(ip + 40, 0, 8);
			ip[40] = 51;
			ip[43] = cases[i].offset | cases[i].more;
			ip[5] += 8;
			ip[6] = 44;
		}
		assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_WORKER_MALFORMED);
		assert_int_equal(t.state.top, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_is_as_figure_1_has_it),
		cmocka_unit_test(the_reserved_field_is_ignored),
		cmocka_unit_test(a_replay_is_refused_before_the_icv),
		cmocka_unit_test(windows_of_32_and_64_are_kept),
		cmocka_unit_test(fragments_are_not_taken),
	};

	return cmocka_run_group_tests_name("rfc4302", tests, NULL, NULL);
}
