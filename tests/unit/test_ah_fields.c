// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What AH protects and what it lets change (RFC 4302 section 3.3.3.1, appendix A): packets are
 * sealed, changed on the way, and accepted or not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "ah_sa.h"

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void fix_sum(uint8_t *ip)
{
	put16(ip + 10, 0);
	put16(ip + 10, test_checksum(ip, (ip[0] & 0xfU) * 4));
}

/* Refused before the ICV or by it. p stays as it is, and the SA too. */
static bool accepted(struct test_ah *t, const struct test_pkt *p)
{
	static struct test_pkt copy;
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_esp_in in;

	copy = *p;
	copy.pkt.data = copy.buf + (p->pkt.data - p->buf);
	if (xi_ah_in_prepare(&t->ctx, &copy.pkt, &job, &in, &saved))
		return false;
	test_ah_open_job(t, &job);
	xi_ah_restore(&saved);
	assert_memory_equal(copy.buf, p->buf, sizeof(copy.buf));
	return !job.status;
}

static void seal(struct test_ah *t, struct test_pkt *p, const uint8_t *ip, size_t len)
{
	test_pkt_set(p, ip, len);
	assert_int_equal(test_ah_seal(t, 1, &p->pkt), XI_NONE);
	assert_true(accepted(t, p));
}

static bool refused(struct test_ah *t, const uint8_t *ip, size_t len)
{
	static struct test_pkt p;
	struct xi_frame frame;

	test_pkt_set(&p, ip, len);
	return xi_ah_frame(&t->ctx, 1, &p.pkt, &frame) == XI_DROP_WORKER_MALFORMED;
}

/*
 * Every bit from one byte up to another: accepted as the mask of its byte has it, NULL: not at all.
 */
static void flip(struct test_ah *t, struct test_pkt *p, size_t from, size_t to, const uint8_t *mask)
{
	for (size_t bit = from * 8; bit < to * 8; bit++) {
		uint8_t one = (uint8_t)(0x80 >> bit % 8);
		bool want = mask && mask[bit / 8 - from] & one;

		p->pkt.data[bit / 8] ^= one;
		if (accepted(t, p) != want)
			fail_msg("bit %zu of byte %zu: %s", bit % 8, bit / 8,
				 want ? "refused" : "accepted");
		p->pkt.data[bit / 8] ^= one;
	}
}

static const uint8_t all_ones[16] = { 255, 255, 255, 255, 255, 255, 255, 255,
				      255, 255, 255, 255, 255, 255, 255, 255 };

/*
 * RFC 4302 section 3.3.3.1.1.1. Of flags and offset a change to a fragment is none of AH's packets.
 */
static const uint8_t mutable4[20] = { [1] = 255, [6] = 0xc0, [8] = 255, [10] = 255, [11] = 255 };
/* Section 3.3.3.1.2: class, flow label, hop limit. */
static const uint8_t mutable6[40] = { [0] = 0x0f, [1] = 255, [2] = 255, [3] = 255, [7] = 255 };

static void every_bit_of_a_packet_is_protected_or_not(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[80];

	for (int kind = 0; kind < 16; kind++) {
		bool v6 = kind & 1;

		test_ah_init(&t, v6 ? 6 : 4, kind & 2,
			     kind & 4 ? XI_AUTH_NONE : XI_AUTH_HMAC_SHA256,
			     kind & 8 ? XFRM_STATE_ESN : 0);
		if (v6)
			test_inner6(ip, sizeof(ip), 0x55);
		else
			test_inner4(ip, sizeof(ip), 0x55);
		seal(&t, &p, ip, sizeof(ip));
		flip(&t, &p, 0, v6 ? 40 : 20, v6 ? mutable6 : mutable4);
		flip(&t, &p, v6 ? 40 : 20, p.pkt.len, NULL);
	}
}

/*
 * Header of 20 bytes and these options, padded to 4 with end-of-list; then 8 bytes. Returns the
 * length.
 */
static size_t with_options(uint8_t *ip, const uint8_t *opts, size_t len)
{
	size_t hdr = 20 + (len + 3) / 4 * 4;

	test_inner4(ip, (uint16_t)(hdr + 8), 0);
	ip[0] = (uint8_t)(0x40 | hdr / 4);
	memcpy(ip + 20, opts, len);
	fix_sum(ip);
	return hdr + 8;
}

/* Appendix A1: what is not in this list changes on the way, or nobody knows. */
static bool option_is_immutable(int type)
{
	return type == 130 || type == 133 || type == 134 || type == 148 || type == 149;
}

static void options_of_every_type_are_protected_or_not(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[80];

	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA1, 0);
	for (int type = 2; type < 256; type++) {
		/* as a source route it is at its end */
		uint8_t opts[8] = { (uint8_t)type, 7, 8, 10, 1, 2, 3, 1 };

		seal(&t, &p, ip, with_options(ip, opts, sizeof(opts)));
		if (option_is_immutable(type))
			flip(&t, &p, 20, 27, NULL);
		else
			flip(&t, &p, 22, 27, all_ones);
		flip(&t, &p, 12, 20, NULL);
		flip(&t, &p, 28, p.pkt.len, NULL);
	}
}

/* No-operation and what is behind the end of the list are covered as they are. */
static void padding_of_options_is_protected(void **state)
{
	static const uint8_t opts[8] = { 1, 0, 131, 7, 4, 1, 2, 3 };
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[80];

	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA1, 0);
	seal(&t, &p, ip, with_options(ip, opts, sizeof(opts)));
	flip(&t, &p, 12, 28, NULL);
}

/*
 * RFC 791 section 3.1: the packet goes to each address in turn, and where one was stands the
 * address of the router that sent it on. The last is where it arrives.
 */
static void source_routes_may_run_their_course(void **state)
{
	static const uint8_t types[] = { 131, 137 };
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[80], *opt;

	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA1, 0);
	for (size_t i = 0; i < 6; i++) {
		uint8_t pointer = (uint8_t)(4 + i / 2 * 4);
		uint8_t opts[16] = { 1, types[i % 2], 11, pointer, 10, 8, 8, 8, 10, 9, 9, 9 };

		test_pkt_set(&p, ip, with_options(ip, opts, 12));
		assert_int_equal(test_ah_seal(&t, 1, &p.pkt), XI_NONE);
		opt = p.pkt.data + 21;
		assert_memory_equal(p.pkt.data + 16, ip + 16, 4); /* sent as it was */
		assert_int_equal(accepted(&t, &p), pointer == 12);
		if (pointer < 12)
			memcpy(p.pkt.data + 16, opt + 7, 4);
		memcpy(opt + 3, "\xc0\0\2\x61\xc0\0\2\x62", 8);
		opt[2] = 12;
		p.pkt.data[8] -= 2;
		fix_sum(p.pkt.data);
		assert_true(accepted(&t, &p));
		flip(&t, &p, 16, 20, NULL);
	}
}

static void options_that_contradict_themselves_are_refused(void **state)
{
	static const uint8_t bad[][8] = {
		{ 7, 0, 4 },		/* no length */
		{ 7, 1, 4 },
		{ 7, 9, 4, 0, 0, 0, 0, 0 }, /* beyond the header */
		{ 148, 9, 0, 0 },
		{ 1, 1, 1, 1, 1, 1, 1, 148 }, /* no room for a length */
		{ 131, 2, 7, 3, 1, 1, 1, 1 }, /* no pointer */
		{ 137, 2, 7, 3, 1, 1, 1, 1 },
		{ 131, 7, 3, 1, 2, 3, 4 }, /* pointer into itself */
		{ 137, 7, 0, 1, 2, 3, 4 },
	};
	static struct test_ah t;
	uint8_t ip[80];

	test_ah_init(&t, 4, true, XI_AUTH_HMAC_SHA1, 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!refused(&t, ip, with_options(ip, bad[i], 8)))
			fail_msg("case %zu was taken", i);
}

/*
 * IPv6 header, one extension header of this protocol and these bytes behind its first two; then 8
 * bytes.
 */
static size_t with_ext(uint8_t *ip, uint8_t proto, const uint8_t *data, size_t len)
{
	size_t total = 40 + 2 + len + 8;

	assert_int_equal((2 + len) % 8, 0);
	test_inner6(ip, (uint16_t)total, 0);
	ip[6] = proto;
	ip[40] = 253;
	ip[41] = (uint8_t)((2 + len) / 8 - 1);
	memcpy(ip + 42, data, len);
	return total;
}

/* RFC 4302 section 3.3.3.1.2.1: the third bit of an option's type says so. Type and length stay. */
static void ipv6_options_are_protected_by_their_type(void **state)
{
	static const uint8_t protos[] = { IPPROTO_HOPOPTS, IPPROTO_DSTOPTS };
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[80];

	test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
	for (int type = 2; type < 512; type++) {
		uint8_t opts[14] = { 0, 0, (uint8_t)type, 4, 1, 2, 3, 4, 1, 1, 0, 0, 0, 0 };

		if (type % 256 < 2)
			continue;
		seal(&t, &p, ip, with_ext(ip, protos[type / 256], opts, sizeof(opts)));
		flip(&t, &p, 40, 46, NULL);
		flip(&t, &p, 46, 50, type & 0x20 ? all_ones : NULL);
		flip(&t, &p, 50, p.pkt.len, NULL);
	}
}

/*
 * They come behind AH when they come behind a routing header, and AH covers all that is behind it.
 */
static void destination_options_behind_ah_are_protected(void **state)
{
	static const uint8_t route[14] = { 4, 0 }; /* done, of any type */
	static const uint8_t opts[6] = { 0x3e, 4, 1, 2, 3, 4 };
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[80];
	size_t len;

	test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
	len = with_ext(ip, IPPROTO_ROUTING, route, sizeof(route));
	ip[40] = IPPROTO_DSTOPTS;
	ip[len - 8] = 253;
	ip[len - 7] = 0;
	memcpy(ip + len - 6, opts, sizeof(opts));
	seal(&t, &p, ip, len);
	assert_int_equal(p.pkt.data[40], IPPROTO_AH);
	assert_int_equal(p.pkt.data[56], IPPROTO_DSTOPTS);
	flip(&t, &p, 40, p.pkt.len, NULL);
}

/* RFC 2460 section 4.4: what a node that is in the list does. */
static void route_step(uint8_t *ip6)
{
	uint8_t *ext = ip6 + 40, *addr, was[16];

	ext[3]--;
	addr = ext + 8 + (ext[1] / 2 - ext[3] - 1) * 16;
	memcpy(was, addr, 16);
	memcpy(addr, ip6 + 24, 16);
	memcpy(ip6 + 24, was, 16);
	ip6[7]--;
}

static size_t with_route(uint8_t *ip, uint8_t type, size_t addrs, uint8_t left)
{
	uint8_t data[6 + 4 * 16] = { type, left };

	for (size_t i = 0; i < addrs * 16; i++)
		data[6 + i] = (uint8_t)(0xa0 + i / 16 * 16 + i % 16);
	return with_ext(ip, IPPROTO_ROUTING, data, 6 + addrs * 16);
}

static void routing_headers_may_run_their_course(void **state)
{
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[160];
	size_t len;

	test_ah_init(&t, 6, true, XI_AUTH_NONE, XFRM_STATE_ESN);
	for (size_t addrs = 1; addrs <= 4; addrs++) {
		for (uint8_t left = 0; left <= addrs; left++) {
			len = with_route(ip, addrs == 1 ? 2 : 0, addrs, left);
			test_pkt_set(&p, ip, len);
			assert_int_equal(test_ah_seal(&t, 1, &p.pkt), XI_NONE);
			assert_memory_equal(p.pkt.data + 24, ip + 24, 16); /* sent as it was */
			while (p.pkt.data[43]) {
				assert_false(accepted(&t, &p));
				route_step(p.pkt.data);
			}
			assert_true(accepted(&t, &p));
			flip(&t, &p, 24, p.pkt.len, NULL);
		}
	}
}

static void routes_whose_end_nobody_foresees_are_refused(void **state)
{
	static const struct {
		uint8_t type, left;
		bool odd, refused;
	} cases[] = {
		{ 0, 3, false, true }, { 0, 255, false, true }, { 2, 3, false, true },
		{ 4, 1, false, true }, { 3, 1, false, true },	{ 254, 2, false, true },
		{ 0, 1, true, true },  { 4, 0, false, false },	{ 0, 0, true, false },
		{ 0, 2, false, false }, { 2, 1, false, false },
	};
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[160];
	size_t len;

	test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = with_route(ip, cases[i].type, 2, cases[i].left);
		if (cases[i].odd) {
			ip[41]--;
			len -= 8;
			put16(ip + 4, len - 40);
		}
		if (refused(&t, ip, len) != cases[i].refused)
			fail_msg("case %zu: %s", i, cases[i].refused ? "taken" : "refused");
		if (!cases[i].left)
			seal(&t, &p, ip, len);
	}
}

static void ipv6_options_that_contradict_themselves_are_refused(void **state)
{
	static const uint8_t bad[][6] = {
		{ 0x1e, 5, 0, 0, 0, 0 }, { 0x3e, 255, 0, 0, 0, 0 }, { 1, 3, 0, 0, 0, 0x1e },
		{ 0, 0, 0, 0, 1, 1 },	 { 0, 0, 0, 0, 0, 1 },
	};
	static struct test_pkt p;
	static struct test_ah t;
	uint8_t ip[80];
	size_t len;

	test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
	for (size_t i = 0; i < 2 * sizeof(bad) / sizeof(bad[0]); i++) {
		len = with_ext(ip, i & 1 ? IPPROTO_HOPOPTS : IPPROTO_DSTOPTS, bad[i / 2], 6);
		if (!refused(&t, ip, len))
			fail_msg("case %zu was taken", i);
		memset(ip + 42, 0, 6);
		seal(&t, &p, ip, len);
		memcpy(p.pkt.data + 42, bad[i / 2], 6);
		assert_false(accepted(&t, &p));
	}
}

/* What is put aside of a header has its bound. */
static void chains_beyond_the_bound_are_refused(void **state)
{
	static uint8_t data[XI_AH_HDR_MAX], ip[XI_AH_HDR_MAX + 64];
	static struct test_pkt p;
	static struct test_ah t;
	size_t most = XI_AH_HDR_MAX - 40 - 2, len;

	test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
	data[0] = 0x3e;
	data[1] = (uint8_t)(most - 2);
	seal(&t, &p, ip, with_ext(ip, IPPROTO_HOPOPTS, data, most));
	flip(&t, &p, XI_AH_HDR_MAX - 8, XI_AH_HDR_MAX, all_ones);
	data[1] += 8;
	len = with_ext(ip, IPPROTO_HOPOPTS, data, most + 8);
	assert_true(refused(&t, ip, len));
	put16(ip + 4, len + t.ctx.ah_len - 40);
	ip[40] = IPPROTO_AH;
	test_pkt_set(&p, ip, len + t.ctx.ah_len);
	memcpy(p.pkt.data + len - 8, "\xfd\4\0\0\0\0\x10\0\0\0\0\1", 12);
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_WORKER_MALFORMED);
}

/* Puts an atomic fragment header behind `at` bytes of a sealed packet; nh: of what followed. */
static void cut_once(struct test_pkt *p, size_t at, size_t nh)
{
	uint8_t *ip = p->pkt.data - 8;

	memmove(ip, p->pkt.data, at);
	/* 9: reserved, and no length */
	memcpy(ip + at, (const uint8_t[8]){ ip[nh], 9, 0, 0, 1, 2, 3, 4 }, 8);
	ip[nh] = IPPROTO_FRAGMENT;
	p->pkt.data = ip;
	p->pkt.headroom -= 8;
	p->pkt.len += 8;
	put16(ip + 4, p->pkt.len - 40);
}

static void forget_numbers(struct test_ah *t)
{
	t->state.top = 0;
	memset(t->words, 0, sizeof(t->words));
}

static void expect_whole(struct test_ah *t, const struct test_pkt *p, const uint8_t *want,
			 size_t len)
{
	static struct test_pkt copy;

	copy = *p;
	copy.pkt.data = copy.buf + (p->pkt.data - p->buf);
	assert_int_equal(test_ah_open(t, &copy.pkt, NULL), XI_NONE);
	assert_int_equal(copy.pkt.len, len);
	assert_memory_equal(copy.pkt.data, want, len);
	forget_numbers(t);
}

/*
 * RFC 4302 appendix A2: the sender's IP layer put the header in after AH was made, and the ICV knows
 * nothing of it. Here in front of AH, behind hop-by-hop options, twice, and in front of destination
 * options.
 */
static void an_atomic_fragment_is_received(void **state)
{
	static const uint8_t padn[6] = { 1, 4, 0, 0, 0, 0 };
	static struct test_pkt p, cut;
	static struct test_ah t;
	uint8_t ip[120];
	size_t len;

	for (int esn = 0; esn < 2; esn++) {
		test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, esn ? XFRM_STATE_ESN : 0);
		test_inner6(ip, 60, 0);
		seal(&t, &p, ip, 60);
		cut_once(&p, 40, 6);
		expect_whole(&t, &p, ip, 60);
		cut_once(&p, 40, 6);
		expect_whole(&t, &p, ip, 60);
	}
	test_ah_init(&t, 6, true, XI_AUTH_HMAC_SHA1, 0);
	len = with_ext(ip, IPPROTO_HOPOPTS, padn, sizeof(padn));
	seal(&t, &p, ip, len);
	cut = p;
	cut.pkt.data = cut.buf + (p.pkt.data - p.buf);
	cut_once(&cut, 48, 40);
	expect_whole(&t, &cut, ip, len);
	len = with_ext(ip, IPPROTO_DSTOPTS, padn, sizeof(padn));
	seal(&t, &p, ip, len);
	cut_once(&p, 40, 6);
	expect_whole(&t, &p, ip, len);
	/* it hides nothing: neither what is in front of it nor what is behind */
	p.pkt.data[30] ^= 1;
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_ICV);
	/* and what is refused before the ICV is left as it was */
	len = with_ext(ip, IPPROTO_DSTOPTS, padn, sizeof(padn));
	seal(&t, &p, ip, len);
	cut_once(&p, 40, 6);
	p.pkt.data[51] = 200; /* the option's length */
	cut = p;
	assert_int_equal(test_ah_open(&t, &p.pkt, NULL), XI_DROP_WORKER_MALFORMED);
	assert_memory_equal(&cut, &p, sizeof(p));
	/* who sends does not cover it either */
	len = with_ext(ip, IPPROTO_FRAGMENT, padn, sizeof(padn));
	assert_true(refused(&t, ip, len));
}

/* Frames that come from elsewhere: what no ICV can be made of is told, and put back. */
static void hostile_frames_are_refused_and_unchanged(void **state)
{
	static struct test_pkt p, before;
	static uint8_t ip[400], data[350];
	static struct test_ah t;
	struct xi_ah_saved saved;
	struct xi_aead_job job;

	for (int kind = 0; kind < 4; kind++) {
		uint32_t good = kind == 0 ? 20 : 40;

		test_ah_init(&t, kind == 0 ? 4 : 6, true, XI_AUTH_HMAC_SHA1, 0);
		if (kind == 0)
			test_inner4(ip, sizeof(ip), 0x77);
		else
			test_inner6(ip, sizeof(ip), 0x77);
		if (kind == 2) /* options that go on behind every bound */
			with_ext(ip, IPPROTO_HOPOPTS, data, sizeof(data));
		if (kind == 3) /* no version of IP */
			ip[0] = 0x75;
		test_pkt_set(&p, ip, sizeof(ip));
		before = p;
		for (uint32_t offset = 0; offset < 420; offset++) {
			struct xi_frame frame = { p.pkt.data, sizeof(ip), offset, 0, 1 };

			if (offset == good && kind < 3)
				frame.len = offset + 23; /* one byte less than AH has */
			assert_int_equal(xi_ah_out_job(&t.ctx, &frame, &saved, &job),
					 XI_DROP_WORKER_MALFORMED);
			assert_memory_equal(&before, &p, sizeof(p));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_bit_of_a_packet_is_protected_or_not),
		cmocka_unit_test(options_of_every_type_are_protected_or_not),
		cmocka_unit_test(padding_of_options_is_protected),
		cmocka_unit_test(source_routes_may_run_their_course),
		cmocka_unit_test(options_that_contradict_themselves_are_refused),
		cmocka_unit_test(ipv6_options_are_protected_by_their_type),
		cmocka_unit_test(destination_options_behind_ah_are_protected),
		cmocka_unit_test(routing_headers_may_run_their_course),
		cmocka_unit_test(routes_whose_end_nobody_foresees_are_refused),
		cmocka_unit_test(ipv6_options_that_contradict_themselves_are_refused),
		cmocka_unit_test(chains_beyond_the_bound_are_refused),
		cmocka_unit_test(an_atomic_fragment_is_received),
		cmocka_unit_test(hostile_frames_are_refused_and_unchanged),
	};

	return cmocka_run_group_tests_name("ah_fields", tests, NULL, NULL);
}
