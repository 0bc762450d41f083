// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Outer headers, and the context that an SA becomes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "esp_sa.h"
#include "ipsec/checksum.h"
#include "ipsec/tunnel.h"

enum { NOT_ECT = 0, ECT1 = 1, ECT0 = 2, CE = 3, DROP = 4 };

/* RFC 6040 figure 4; rows: arriving inner, columns: arriving outer Not-ECT, ECT(0), ECT(1), CE. */
static const struct {
	uint8_t inner, out[4];
} figure4[] = {
	{ NOT_ECT, { NOT_ECT, NOT_ECT, NOT_ECT, DROP } },
	{ ECT0, { ECT0, ECT0, ECT1, CE } },
	{ ECT1, { ECT1, ECT1, ECT1, CE } },
	{ CE, { CE, CE, CE, CE } },
};

static const uint8_t columns[4] = { NOT_ECT, ECT0, ECT1, CE };

static uint8_t tos_of(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

static void decap_case(struct test_sa *t, int version, uint8_t inner_tos, uint8_t outer_tos,
		       int want)
{
	uint8_t inner[60], before[60];
	enum xi_reason why;

	if (version == 4)
		test_inner4(inner, sizeof(inner), inner_tos);
	else
		test_inner6(inner, sizeof(inner), inner_tos);
	memcpy(before, inner, sizeof(inner));
	why = xi_tunnel_decap(&t->ctx, inner, outer_tos);
	if (want < 0) {
		assert_int_equal(why, XI_DROP_INNER_ECN);
		assert_memory_equal(inner, before, sizeof(inner));
		return;
	}
	assert_int_equal(why, XI_NONE);
	assert_int_equal(tos_of(inner), want);
	if (version == 4) {
		assert_int_equal(test_checksum(inner, 20), 0);
		assert_memory_equal(inner + 12, before + 12, 48);
	} else {
		assert_int_equal(inner[0] >> 4, 6);
		assert_int_equal(inner[1] & 0xf, before[1] & 0xf); /* flow label */
		assert_memory_equal(inner + 2, before + 2, 58);
	}
}

static void decapsulation_follows_rfc6040_figure4(void **state)
{
	static struct test_sa t;

	test_sa_default(&t, XI_IPV4);
	test_sa_start(&t, NULL);
	for (int i = 0; i < 4 * 4; i++) {
		uint8_t out = figure4[i / 4].out[i % 4];
		int want = out == DROP ? -1 : 0xb8 | out;

		for (int version = 4; version <= 6; version += 2)
			decap_case(&t, version, 0xb8 | figure4[i / 4].inner, 0x28 | columns[i % 4],
				   want);
	}
	test_sa_stop(&t);
}

/* XFRM_STATE_DECAP_DSCP, XFRM_STATE_NOECN. RFC 2983 section 4: pipe and uniform model. */
static void decapsulation_follows_the_sas_flags(void **state)
{
	static struct test_sa t;

	test_sa_default(&t, XI_IPV4);
	t.sa.flags |= XFRM_STATE_DECAP_DSCP;
	test_sa_start(&t, NULL);
	for (int version = 4; version <= 6; version += 2) {
		decap_case(&t, version, 0xb8, 0x28, 0x28);
		decap_case(&t, version, 0xba, 0x2b, 0x2b);
		decap_case(&t, version, 0xff, 0x00, 0x03);
		decap_case(&t, version, 0x00, 0xfc, 0xfc);
		decap_case(&t, version, 0xb8, 0x2b, -1);
	}
	test_sa_stop(&t);
	test_sa_default(&t, XI_IPV4);
	t.sa.flags |= XFRM_STATE_NOECN;
	test_sa_start(&t, NULL);
	for (uint8_t inner = 0; inner < 4; inner++)
		for (uint8_t outer = 0; outer < 4; outer++)
			decap_case(&t, 4, 0x40 | inner, outer, 0x40 | inner);
	test_sa_stop(&t);
}

/* Many TOS over many checksums: the incremental update never disagrees with the whole sum. */
static void incremental_checksums_are_whole(void **state)
{
	static struct test_sa t;
	uint8_t ip[20];

	test_sa_default(&t, XI_IPV4);
	t.sa.flags |= XFRM_STATE_DECAP_DSCP | XFRM_STATE_NOECN;
	test_sa_start(&t, NULL);
	for (uint32_t id = 0; id < 0x10000; id += 7) {
		uint8_t tos = (uint8_t)(id * 31);

		test_inner4(ip, 20, tos);
		ip[4] = (uint8_t)(id >> 8);
		ip[5] = (uint8_t)id;
		ip[10] = ip[11] = 0;
		uint16_t sum = test_checksum(ip, 20);
		ip[10] = (uint8_t)(sum >> 8);
		ip[11] = (uint8_t)sum;
		assert_int_equal(xi_tunnel_decap(&t.ctx, ip, (uint8_t)(id * 57)), XI_NONE);
		assert_int_equal(ip[1], (uint8_t)((id * 57 & 0xfc) | (tos & 3)));
		assert_int_equal(test_checksum(ip, 20), 0);
	}
	test_sa_stop(&t);
}

struct encap_case {
	enum xi_family outer;
	int inner;
	uint32_t flags, extra_flags;
	uint8_t tos, inner_df;
	uint8_t want_tos, want_df;
};

static void encap_case(const struct encap_case *c, size_t i)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t inner[60], *ip;

	test_sa_default(&t, c->outer);
	t.sa.flags |= c->flags;
	t.sa.extra_flags = c->extra_flags;
	test_sa_start(&t, NULL);
	if (c->inner == 4) {
		test_inner4(inner, sizeof(inner), c->tos);
		inner[6] = (uint8_t)(c->inner_df << 6);
	} else {
		test_inner6(inner, sizeof(inner), c->tos);
	}
	test_pkt_set(&p, inner, sizeof(inner));
	assert_int_equal(test_seal(&t, 0x12345, &p.pkt), XI_NONE);
	ip = p.pkt.data;
	if (tos_of(ip) != c->want_tos)
		fail_msg("case %zu: TOS %#x", i, tos_of(ip));
	if (c->outer == XI_IPV4) {
		assert_int_equal(test_checksum(ip, 20), 0);
		assert_int_equal(ip[2] << 8 | ip[3], p.pkt.len);
		if (ip[6] != c->want_df << 6 || ip[7])
			fail_msg("case %zu: DF", i);
		/* RFC 6864: an ID where the packet may be fragmented */
		assert_int_equal(ip[4] << 8 | ip[5], c->want_df ? 0 : 0x2345);
		assert_int_equal(ip[8], 64);
		assert_int_equal(ip[9], 50);
		assert_memory_equal(ip + 12, t.sa.saddr, 4);
		assert_memory_equal(ip + 16, t.sa.id.daddr, 4);
	} else {
		assert_int_equal(ip[4] << 8 | ip[5], p.pkt.len - 40);
		assert_int_equal(ip[6], 50);
		assert_int_equal(ip[7], 64);
		assert_memory_equal(ip + 8, t.sa.saddr, 16);
		assert_memory_equal(ip + 24, t.sa.id.daddr, 16);
	}
	test_sa_stop(&t);
}

/* RFC 4301 section 5.1.2, RFC 6040 section 4.1. */
static void encapsulation_follows_the_sas_flags(void **state)
{
	static const struct encap_case cases[] = {
		{ XI_IPV4, 4, 0, 0, 0xba, 0, 0xba, 0 },
		{ XI_IPV4, 4, 0, 0, 0xbb, 1, 0xbb, 1 },
		{ XI_IPV4, 6, 0, 0, 0xb9, 0, 0xb9, 1 },
		{ XI_IPV6, 4, 0, 0, 0x5a, 1, 0x5a, 0 },
		{ XI_IPV6, 6, 0, 0, 0xff, 0, 0xff, 0 },
		{ XI_IPV4, 4, XFRM_STATE_NOPMTUDISC, 0, 0, 1, 0, 0 },
		{ XI_IPV4, 6, XFRM_STATE_NOPMTUDISC, 0, 0, 0, 0, 0 },
		{ XI_IPV4, 4, XFRM_STATE_NOECN, 0, 0xbb, 0, 0xb8, 0 },
		{ XI_IPV6, 6, XFRM_STATE_NOECN, 0, 0xbb, 0, 0xb8, 0 },
		{ XI_IPV4, 4, 0, XFRM_SA_XFLAG_DONT_ENCAP_DSCP, 0xba, 0, 0x02, 0 },
		{ XI_IPV6, 4, XFRM_STATE_NOECN, XFRM_SA_XFLAG_DONT_ENCAP_DSCP, 0xba, 0, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		encap_case(&cases[i], i + 1);
}

/* Through the whole of ESP: a router on the way marked the outer packet. */
static void congestion_marks_reach_the_inner_packet(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t plain[64] = { 0 };

	test_sa_default(&t, XI_IPV6);
	test_sa_start(&t, NULL);
	test_inner4(plain, 62, ECT0);
	plain[63] = 4;
	test_seal_raw(&t, 1, CE, plain, 64, &p);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
	assert_int_equal(p.pkt.data[1], CE);
	assert_int_equal(test_checksum(p.pkt.data, 20), 0);
	test_inner4(plain, 62, NOT_ECT);
	test_seal_raw(&t, 2, CE, plain, 64, &p);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_DROP_INNER_ECN);
	assert_int_equal(t.state.other_failed, 1);
	test_sa_stop(&t);
}

/* copy_from_user_state() and xfrm_init_state() of Linux decide so. */
static void families_inside_follow_the_kernel(void **state)
{
	static const struct {
		enum xi_family outer, selector;
		uint32_t flags;
		uint8_t inner;
	} cases[] = {
		{ XI_IPV4, XI_FAMILY_NONE, 0, 4 },
		{ XI_IPV6, XI_FAMILY_NONE, 0, 6 },
		{ XI_IPV4, XI_FAMILY_NONE, XFRM_STATE_AF_UNSPEC, 0 },
		{ XI_IPV6, XI_FAMILY_NONE, XFRM_STATE_AF_UNSPEC, 0 },
		{ XI_IPV4, XI_IPV6, 0, 6 },
		{ XI_IPV6, XI_IPV4, 0, 4 },
		{ XI_IPV4, XI_IPV6, XFRM_STATE_AF_UNSPEC, 6 },
		{ XI_IPV4, XI_IPV4, XFRM_STATE_AF_UNSPEC, 4 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct test_sa t;

		test_sa_default(&t, cases[i].outer);
		t.sa.flags = cases[i].flags;
		t.sa.sel.family = cases[i].selector;
		assert_int_equal(xi_sa_ctx_init(&t.ctx, &t.sa, &t.raw, &t.state, t.words, 16), 0);
		assert_int_equal(t.ctx.inner_family, cases[i].inner);
	}
}

static int init_with(uint32_t nwords, void (*change)(struct test_sa *t))
{
	static struct test_sa t;

	test_sa_default(&t, XI_IPV4);
	change(&t);
	return xi_sa_ctx_init(&t.ctx, &t.sa, &t.raw, &t.state, t.words, nwords);
}

static void no_change(struct test_sa *t)
{
}
static void transport(struct test_sa *t)
{
	t->sa.mode = XI_TRANSPORT;
}
static void ah(struct test_sa *t)
{
	t->sa.id.proto = XI_AH;
}
static void no_alg(struct test_sa *t)
{
	t->sa.alg = XI_ALG_NONE;
}
static void odd_icv(struct test_sa *t)
{
	t->sa.icv_len = 10;
}
static void odd_key(struct test_sa *t)
{
	t->sa.key_bits = 160;
}
static void other_key(struct test_sa *t)
{
	t->raw.len = 36;
}
static void no_family(struct test_sa *t)
{
	t->sa.id.family = XI_FAMILY_NONE;
}
static void window_480(struct test_sa *t)
{
	t->sa.replay_window = 480;
}
static void window_481(struct test_sa *t)
{
	t->sa.replay_window = 481;
}
static void window_4096(struct test_sa *t)
{
	t->sa.replay_window = 4096;
}

static void sas_that_are_not_carried_are_refused(void **state)
{
	assert_int_equal(init_with(16, no_change), 0);
	assert_int_equal(init_with(16, transport), 0);
	assert_int_equal(init_with(16, ah), -EOPNOTSUPP);
	assert_int_equal(init_with(16, no_alg), -EOPNOTSUPP);
	assert_int_equal(init_with(16, odd_icv), -EOPNOTSUPP);
	assert_int_equal(init_with(16, odd_key), -EOPNOTSUPP);
	assert_int_equal(init_with(16, other_key), -EOPNOTSUPP);
	assert_int_equal(init_with(16, no_family), -EOPNOTSUPP);
	assert_int_equal(init_with(16, window_480), 0);
	assert_int_equal(init_with(16, window_481), -EOPNOTSUPP);
	assert_int_equal(init_with(256, window_4096), 0);
	assert_int_equal(init_with(128, window_4096), -EOPNOTSUPP);
	assert_int_equal(init_with(17, no_change), -EOPNOTSUPP);
	assert_int_equal(init_with(0, no_change), -EOPNOTSUPP);
}

/* RFC 791 section 3.1, RFC 1071: of every length; against the checksum of the tests' own. */
static void a_header_is_sound_or_not(void **state)
{
	uint8_t ip[60];

	srand(7);
	for (uint32_t round = 0; round < 2000; round++) {
		uint32_t hlen = 20 + 4 * (round % 11);
		uint16_t check;

		for (uint32_t i = 0; i < hlen; i++)
			ip[i] = (uint8_t)rand();
		ip[0] = (uint8_t)(0x40 | hlen / 4);
		ip[10] = ip[11] = 0;
		check = test_checksum(ip, hlen);
		ip[10] = (uint8_t)(check >> 8);
		ip[11] = (uint8_t)check;
		assert_true(xi_ip4_sound(ip));
		for (uint32_t bit = 8; bit < hlen * 8; bit++) {
			ip[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_false(xi_ip4_sound(ip));
			ip[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_is_sound_or_not),
		cmocka_unit_test(decapsulation_follows_rfc6040_figure4),
		cmocka_unit_test(decapsulation_follows_the_sas_flags),
		cmocka_unit_test(incremental_checksums_are_whole),
		cmocka_unit_test(encapsulation_follows_the_sas_flags),
		cmocka_unit_test(congestion_marks_reach_the_inner_packet),
		cmocka_unit_test(families_inside_follow_the_kernel),
		cmocka_unit_test(sas_that_are_not_carried_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
