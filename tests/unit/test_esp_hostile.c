// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What attackers, broken peers and small buffers do to ESP. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "esp_sa.h"

/* In memory of exactly its length, so that a sanitizer sees every byte read beyond it. */
static enum xi_reason open_exact(struct test_sa *t, const uint8_t *data, size_t len,
				 enum xi_crypto_status *status)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct xi_pkt pkt = { .data = copy, .len = (uint32_t)len };
	enum xi_reason why;

	assert_non_null(copy);
	memcpy(copy, data, len);
	why = test_open(t, &pkt, status);
	if (why) {
		assert_ptr_equal(pkt.data, copy);
		assert_int_equal(pkt.len, len);
	} else {
		assert_true(pkt.data >= copy && pkt.data + pkt.len <= copy + len);
		assert_int_equal(pkt.headroom + pkt.len + pkt.tailroom, len);
	}
	free(copy);
	return why;
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void set_outer_len(struct test_pkt *p, size_t len)
{
	if (p->pkt.data[0] >> 4 == 4)
		put16(p->pkt.data + 2, len);
	else
		put16(p->pkt.data + 4, len - 40);
}

static void make_packet(struct test_sa *t, enum xi_family outer, struct test_pkt *p)
{
	uint8_t inner[60];

	test_sa_default(t, outer);
	test_sa_start(t, NULL);
	test_inner4(inner, sizeof(inner), 0);
	test_pkt_set(p, inner, sizeof(inner));
	assert_int_equal(test_seal(t, 1, &p->pkt), XI_NONE);
}

/* Cut on the wire (length fields say more), and by a sender whose length fields are consistent. */
static void truncations_are_refused(void **state)
{
	static const enum xi_family families[] = { XI_IPV4, XI_IPV6 };
	static struct test_sa t;
	static struct test_pkt p;

	for (int i = 0; i < 2; i++) {
		make_packet(&t, families[i], &p);
		for (uint32_t len = 0; len < p.pkt.len; len++)
			assert_int_equal(open_exact(&t, p.pkt.data, len, NULL),
					 XI_DROP_WORKER_MALFORMED);
		for (uint32_t len = t.ctx.outer_len; len < p.pkt.len; len++) {
			bool is_short = len < t.ctx.outer_len + 8U + 8 + 2 + 16;

			set_outer_len(&p, len);
			assert_int_equal(open_exact(&t, p.pkt.data, len, NULL),
					 is_short ? XI_DROP_SHORT : XI_DROP_ICV);
		}
		assert_int_equal(t.state.top, 0);
		assert_int_equal(t.state.words[0], 0);
		assert_int_equal(t.words[0], 0);
		set_outer_len(&p, p.pkt.len);
		assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len, NULL), XI_NONE);
		test_sa_stop(&t);
	}
}

/* Any bit of SPI, number, IV, ciphertext or ICV. The window does not move (verify-first). */
static void every_flipped_bit_is_refused(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;

	make_packet(&t, XI_IPV4, &p);
	for (uint32_t bit = 20 * 8; bit < p.pkt.len * 8; bit++) {
		enum xi_crypto_status status = XI_CRYPTO_NOT_DONE;
		enum xi_reason why;

		p.pkt.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		why = open_exact(&t, p.pkt.data, p.pkt.len, &status);
		p.pkt.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (bit < 24 * 8) {
			assert_int_equal(why, XI_DROP_SA_GONE);
		} else if (bit == 27 * 8) {
			assert_int_equal(why, XI_DROP_SEQ_ZERO);
		} else {
			assert_int_equal(why, XI_DROP_ICV);
			assert_int_equal(status, XI_CRYPTO_TUNNEL_ESP_AUTH_FAILED);
		}
		assert_int_equal(t.state.top, 0);
	}
	assert_int_equal(t.state.packets, 1); /* the sealed one */
	assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len, NULL), XI_NONE);
	test_sa_stop(&t);
}

struct outer_case {
	size_t at;
	uint8_t value;
	enum xi_reason want;
};

static void outer_cases(enum xi_family family, const struct outer_case *cases, size_t n)
{
	static struct test_sa t;
	static struct test_pkt p;

	make_packet(&t, family, &p);
	for (size_t i = 0; i < n; i++) {
		uint8_t was = p.pkt.data[cases[i].at];

		p.pkt.data[cases[i].at] = cases[i].value;
		if (open_exact(&t, p.pkt.data, p.pkt.len, NULL) != cases[i].want)
			fail_msg("family %d, case %zu", family, i + 1);
		p.pkt.data[cases[i].at] = was;
	}
	assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len, NULL), XI_NONE);
	test_sa_stop(&t);
}

static void outer_headers_are_judged(void **state)
{
	static const struct outer_case v4[] = {
		{ 0, 0x44, XI_DROP_WORKER_MALFORMED }, /*  1: header shorter than a header */
		{ 0, 0x05, XI_DROP_WORKER_MALFORMED }, /*  2: version 0 */
		{ 0, 0x55, XI_DROP_WORKER_MALFORMED }, /*  3 */
		{ 0, 0x4f, XI_DROP_SA_GONE },          /*  4: ESP behind options that are none */
		{ 2, 0xff, XI_DROP_WORKER_MALFORMED }, /*  5: total length beyond the packet */
		{ 3, 0x00, XI_DROP_WORKER_MALFORMED }, /*  6: below the header */
		{ 6, 0x20, XI_DROP_WORKER_MALFORMED }, /*  7: MF */
		{ 7, 0x01, XI_DROP_WORKER_MALFORMED }, /*  8: fragment offset */
		{ 9, 51, XI_DROP_WORKER_MALFORMED },   /*  9: AH */
		{ 23, 0x01, XI_DROP_SA_GONE },         /* 10: another SPI */
	};
	static const struct outer_case v6[] = {
		{ 4, 0xff, XI_DROP_WORKER_MALFORMED }, /*  1: payload length beyond the packet */
		{ 5, 0x00, XI_DROP_SHORT },            /*  2: nothing behind the header */
		{ 6, 0, XI_DROP_WORKER_MALFORMED },    /*  3: hop-by-hop options */
		{ 6, 60, XI_DROP_WORKER_MALFORMED },   /*  4: destination options */
		{ 6, 44, XI_DROP_WORKER_MALFORMED },   /*  5: fragment header */
		{ 43, 0x01, XI_DROP_SA_GONE },         /*  6: another SPI */
	};

	outer_cases(XI_IPV4, v4, sizeof(v4) / sizeof(v4[0]));
	outer_cases(XI_IPV6, v6, sizeof(v6) / sizeof(v6[0]));
}

static void a_packet_of_the_other_family_is_not_this_sas(void **state)
{
	static struct test_sa t4, t6;
	static struct test_pkt p4, p6;

	make_packet(&t4, XI_IPV4, &p4);
	make_packet(&t6, XI_IPV6, &p6);
	assert_int_equal(open_exact(&t4, p6.pkt.data, p6.pkt.len, NULL), XI_DROP_SA_GONE);
	assert_int_equal(open_exact(&t6, p4.pkt.data, p4.pkt.len, NULL), XI_DROP_SA_GONE);
	test_sa_stop(&t4);
	test_sa_stop(&t6);
}

static void options_and_link_padding_are_stepped_over(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t with[200] = { 0 };

	make_packet(&t, XI_IPV4, &p);
	memcpy(with, p.pkt.data, 20);
	memset(with + 20, 1, 8); /* two words of no-operation options */
	memcpy(with + 28, p.pkt.data + 20, p.pkt.len - 20);
	with[0] = 0x47;
	put16(with + 2, p.pkt.len + 8);
	assert_int_equal(open_exact(&t, with, p.pkt.len + 8 + 14, NULL), XI_NONE);
	test_sa_stop(&t);
}

struct plain_case {
	const char *name;
	uint32_t flags;              /* XFRM_STATE_AF_UNSPEC, or 0: only the outer family */
	enum xi_reason want;
	enum xi_crypto_status status;
	int version;                 /* of the inner packet at the front */
	int inner_len;               /* what its header says */
	int len;                     /* bytes in front of the trailer */
	int patch_at, patch;         /* a byte of all that; -1: none */
	const char *trailer;         /* padding, pad length, next header */
	size_t trailer_len;
};

#define T(s) s, sizeof(s) - 1
#define AF XFRM_STATE_AF_UNSPEC
#define SYNTAX XI_CRYPTO_INVALID_PACKET_SYNTAX
#define PROTO XI_CRYPTO_INVALID_PROTOCOL

static const struct plain_case plain_cases[] = {
	{ "plain v4", AF, XI_NONE, 0, 4, 30, 30, -1, 0, T("\0\4") },
	{ "plain v6", AF, XI_NONE, 0, 6, 50, 50, -1, 0, T("\1\2\3\3\51") },
	{ "TFC padding", AF, XI_NONE, 0, 4, 30, 64, -1, 0, T("\1\1\4") },
	{ "unaligned", AF, XI_NONE, 0, 4, 30, 33, -1, 0, T("\0\4") },
	{ "selector family fits", 0, XI_NONE, 0, 4, 30, 30, -1, 0, T("\0\4") },
	{ "other family than the SA's", 0, XI_DROP_INNER, PROTO, 6, 50, 50, -1, 0, T("\0\51") },
	{ "padding from 0", AF, XI_DROP_PADDING, SYNTAX, 4, 30, 30, -1, 0, T("\0\1\2\4") },
	{ "padding of zeroes", AF, XI_DROP_PADDING, SYNTAX, 4, 30, 30, -1, 0, T("\0\0\2\4") },
	{ "last padding byte", AF, XI_DROP_PADDING, SYNTAX, 4, 30, 30, -1, 0, T("\1\2\4\3\4") },
	{ "pad length one too long", AF, XI_DROP_PADDING, SYNTAX, 4, 30, 30, -1, 0, T("\37\4") },
	{ "pad length 255", AF, XI_DROP_PADDING, SYNTAX, 4, 30, 30, -1, 0, T("\377\4") },
	{ "nothing but padding", AF, XI_DROP_INNER, SYNTAX, 0, 0, 0, -1, 0, T("\1\2\2\4") },
	{ "nothing but a trailer", AF, XI_DROP_INNER, SYNTAX, 0, 0, 0, -1, 0, T("\0\4") },
	{ "dummy", AF, XI_DUMMY, 0, 4, 30, 30, -1, 0, T("\0\73") },
	{ "dummy of nothing", AF, XI_DUMMY, 0, 0, 0, 0, -1, 0, T("\1\2\2\73") },
	{ "dummy with bad padding", AF, XI_DROP_PADDING, SYNTAX, 4, 30, 30, -1, 0, T("\1\1\2\73") },
	{ "next header TCP", AF, XI_DROP_INNER, PROTO, 4, 30, 30, -1, 0, T("\0\6") },
	{ "next header 0", AF, XI_DROP_INNER, PROTO, 4, 30, 30, -1, 0, T("\0\0") },
	{ "v4 said to be v6", AF, XI_DROP_INNER, SYNTAX, 4, 60, 60, -1, 0, T("\0\51") },
	{ "v6 said to be v4", AF, XI_DROP_INNER, SYNTAX, 6, 60, 60, -1, 0, T("\0\4") },
	{ "inner version 0", AF, XI_DROP_INNER, SYNTAX, 4, 30, 30, 0, 0x05, T("\0\4") },
	{ "inner header of 16 bytes", AF, XI_DROP_INNER, SYNTAX, 4, 30, 30, 0, 0x44, T("\0\4") },
	{ "inner header of 60 bytes", AF, XI_DROP_INNER, SYNTAX, 4, 30, 80, 0, 0x4f, T("\0\4") },
	{ "inner v4 longer by 1", AF, XI_DROP_INNER, SYNTAX, 4, 31, 30, -1, 0, T("\1\1\4") },
	{ "inner v4 of 65535", AF, XI_DROP_INNER, SYNTAX, 4, 65535, 30, -1, 0, T("\0\4") },
	{ "inner v4 length 0", AF, XI_DROP_INNER, SYNTAX, 4, 0, 30, -1, 0, T("\0\4") },
	{ "inner v4 length 19", AF, XI_DROP_INNER, SYNTAX, 4, 19, 30, -1, 0, T("\0\4") },
	{ "inner v6 longer by 1", AF, XI_DROP_INNER, SYNTAX, 6, 51, 50, -1, 0, T("\0\51") },
	{ "inner v6 jumbogram", AF, XI_DROP_INNER, SYNTAX, 6, 40, 60, 6, 0, T("\0\51") },
	{ "inner v4 cut in its header", AF, XI_DROP_INNER, SYNTAX, 4, 20, 19, -1, 0, T("\0\4") },
	{ "inner v6 cut in its header", AF, XI_DROP_INNER, SYNTAX, 6, 40, 39, -1, 0, T("\0\51") },
};

static size_t plain_build(const struct plain_case *c, uint8_t *plain)
{
	uint8_t hdr[60];

	memset(plain, 0, 256);
	if (c->version == 4)
		test_inner4(hdr, 60, 0);
	else
		test_inner6(hdr, 60, 0);
	memcpy(plain, hdr, (size_t)(c->len < 60 ? c->len : 60));
	if (c->version == 4)
		put16(plain + 2, (size_t)c->inner_len);
	else if (c->version == 6)
		put16(plain + 4, (size_t)c->inner_len - 40);
	if (c->patch_at >= 0)
		plain[c->patch_at] = (uint8_t)c->patch;
	memcpy(plain + c->len, c->trailer, c->trailer_len);
	return (size_t)c->len + c->trailer_len;
}

/* Signed by the key's holder, and yet not fit to be forwarded. */
static void authentic_plaintexts_are_judged(void **state)
{
	for (size_t i = 0; i < sizeof(plain_cases) / sizeof(plain_cases[0]); i++) {
		const struct plain_case *c = &plain_cases[i];
		enum xi_crypto_status status = XI_CRYPTO_NOT_DONE;
		static struct test_sa t;
		static struct test_pkt p;
		uint8_t plain[512];
		enum xi_reason why;
		size_t len;

		test_sa_default(&t, XI_IPV4);
		t.sa.flags = c->flags;
		test_sa_start(&t, NULL);
		len = plain_build(c, plain);
		test_seal_raw(&t, 9, 0, plain, len, &p);
		why = open_exact(&t, p.pkt.data, p.pkt.len, &status);
		if (why != c->want || status != c->status)
			fail_msg("%s: reason %d, status %d", c->name, why, status);
		/* the ICV was good: the number is used up, whatever it carried */
		assert_int_equal(t.state.top, 9);
		assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len, NULL), XI_DROP_REPLAY);
		assert_int_equal(t.state.other_failed, why != XI_NONE && why != XI_DUMMY);
		assert_int_equal(t.state.use_time != 0, why != XI_DROP_PADDING);
		test_sa_stop(&t);
	}
}

/* Random plaintexts of many lengths, next headers and pad lengths: nothing is read outside. */
static void authentic_random_plaintexts_do_no_harm(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t plain[300];

	srandom(50);
	test_sa_default(&t, XI_IPV6);
	test_sa_start(&t, NULL);
	for (uint64_t seq = 1; seq < 4000; seq++) {
		size_t len = 2 + (size_t)random() % 298;

		for (size_t i = 0; i < len; i++)
			plain[i] = (uint8_t)random();
		plain[0] = (uint8_t)(random() % 2 ? 0x45 : 0x60);
		put16(plain + 2, (size_t)random() % 310);
		put16(plain + 4, (size_t)random() % 310);
		plain[len - 1] = random() % 2 ? 4 : 41;
		if (random() % 2)
			plain[len - 2] = 0;
		test_seal_raw(&t, seq, (uint8_t)random(), plain, len, &p);
		open_exact(&t, p.pkt.data, p.pkt.len, NULL);
	}
	test_sa_stop(&t);
}

static void esn_high_half_is_part_of_the_icv(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t inner[60];

	test_sa_default(&t, XI_IPV4);
	t.sa.flags |= XFRM_STATE_ESN;
	t.state.top = 0x500000100;
	test_sa_start(&t, NULL);
	test_inner4(inner, sizeof(inner), 0);
	test_pkt_set(&p, inner, sizeof(inner));
	assert_int_equal(test_seal(&t, 0x400000101, &p.pkt), XI_NONE);
	assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len, NULL), XI_DROP_ICV);
	test_pkt_set(&p, inner, sizeof(inner));
	assert_int_equal(test_seal(&t, 0x500000101, &p.pkt), XI_NONE);
	assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len, NULL), XI_NONE);
	test_sa_stop(&t);
}

static void engine_errors_are_told_from_forgeries(void **state)
{
	enum xi_crypto_status status = XI_CRYPTO_NOT_DONE;
	struct xi_esp_tally tally = {.now = 1};
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_aead_job job;
	struct xi_esp_in in;

	make_packet(&t, XI_IPV4, &p);
	assert_int_equal(xi_esp_in_prepare(&t.ctx, &p.pkt, &job, &in), XI_NONE);
	job.status = -EIO;
	xi_in_verify(&t.ctx, &job, &in, 1);
	assert_int_equal(xi_esp_in_finish(&t.ctx, &p.pkt, &job, &in, &tally, &status), XI_DROP_CRYPTO);
	assert_int_equal(status, XI_CRYPTO_GENERIC_ERROR);
	assert_int_equal(test_finish(&t.ctx, &job, &tally), XI_DROP_CRYPTO);
	assert_int_equal(t.state.other_failed, 2);
	assert_int_equal(t.state.integrity_failed, 0);
	assert_int_equal(t.state.top, 0);
	test_sa_stop(&t);
}

/* A job that no engine has looked at is no success. */
static void unfinished_jobs_are_errors(void **state)
{
	struct xi_esp_tally tally = {.now = 1};
	enum xi_crypto_status status;
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_aead_job job;
	struct xi_esp_in in;

	make_packet(&t, XI_IPV4, &p);
	assert_int_equal(xi_esp_in_prepare(&t.ctx, &p.pkt, &job, &in), XI_NONE);
	xi_in_verify(&t.ctx, &job, &in, 1);
	assert_int_equal(xi_esp_in_finish(&t.ctx, &p.pkt, &job, &in, &tally, &status), XI_DROP_CRYPTO);
	test_sa_stop(&t);
}

/* Opened, but nobody looked whether its ICV was right and its number new. */
static void what_was_not_verified_does_not_pass(void **state)
{
	struct xi_esp_tally tally = {.now = 1};
	enum xi_crypto_status status;
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_aead_job job;
	struct xi_esp_in in;

	make_packet(&t, XI_IPV4, &p);
	assert_int_equal(xi_esp_in_prepare(&t.ctx, &p.pkt, &job, &in), XI_NONE);
	t.engine->open(t.crypto, &job, 1);
	assert_int_equal(xi_esp_in_finish(&t.ctx, &p.pkt, &job, &in, &tally, &status), XI_DROP_ICV);
	assert_int_equal(t.state.top, 0);
	test_sa_stop(&t);
}

/* A forgery between two good packets takes nothing from them, and no number either. */
static void a_run_is_verified_packet_by_packet(void **state)
{
	static struct test_pkt good[2], forged;
	struct test_pkt *pkts[] = {&good[0], &forged, &good[1]};
	static struct test_sa t;
	struct xi_aead_job jobs[3];
	struct xi_esp_in ins[3];

	make_packet(&t, XI_IPV4, &good[0]);
	for (uint64_t i = 1; i < 3; i++) {
		uint8_t inner[60];

		test_inner4(inner, sizeof(inner), 0);
		test_pkt_set(pkts[i], inner, sizeof(inner));
		assert_int_equal(test_seal(&t, 100 + i, &pkts[i]->pkt), XI_NONE);
	}
	forged.pkt.data[forged.pkt.len - 1] ^= 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(xi_esp_in_prepare(&t.ctx, &pkts[i]->pkt, &jobs[i], &ins[i]),
				 XI_NONE);
	t.engine->open(t.crypto, jobs, 3);
	xi_in_verify(&t.ctx, jobs, ins, 3);
	assert_int_equal(ins[0].verdict, XI_NONE);
	assert_int_equal(ins[1].verdict, XI_DROP_ICV);
	assert_int_equal(ins[2].verdict, XI_NONE);
	assert_int_equal(t.state.integrity_failed, 1);
	assert_int_equal(t.state.replay_failed, 0);
	assert_int_equal(xi_replay_check(&t.ctx.replay, 101), XI_NONE);
	assert_int_equal(xi_replay_check(&t.ctx.replay, 102), XI_DROP_REPLAY);
	test_sa_stop(&t);
}

static void too_little_room_changes_nothing(void **state)
{
	static struct test_sa t;
	static uint8_t inner[61], before[256];
	uint8_t buf[256];

	test_sa_default(&t, XI_IPV4);
	test_sa_start(&t, NULL);
	test_inner4(inner, sizeof(inner), 0);
	/* 61 + 2 need one byte of padding; 20 + 8 + 8 in front, 1 + 2 + 16 behind */
	for (uint32_t head = 0; head <= 40; head++) {
		for (uint32_t tail = 0; tail <= 24; tail++) {
			struct xi_pkt pkt = { buf + head, 61, head, tail }, was = pkt;
			struct xi_aead_job job;
			enum xi_reason why;

			memset(buf, 0xee, sizeof(buf));
			memcpy(pkt.data, inner, 61);
			memcpy(before, buf, sizeof(buf));
			why = test_prepare(&t.ctx, 1, &pkt, &job);
			if (head >= 36 && tail >= 19) {
				assert_int_equal(why, XI_NONE);
				assert_int_equal(pkt.headroom, head - 36);
				assert_int_equal(pkt.tailroom, tail - 19);
				assert_memory_equal(buf, before, head - 36);
				continue;
			}
			assert_int_equal(why, XI_DROP_TOO_BIG);
			assert_memory_equal(&pkt, &was, sizeof(pkt));
			assert_memory_equal(buf, before, sizeof(buf));
		}
	}
	test_sa_stop(&t);
}

static void ip_cannot_carry_more_than_65535(void **state)
{
	static const struct {
		enum xi_family outer;
		uint32_t most;
	} cases[] = {
		{ XI_IPV4, 65535 - 3 - 20 - 16 - 18 }, /* 65535 itself is no multiple of 4 */
		{ XI_IPV6, 65535 - 3 - 16 - 18 },
	};
	static uint8_t buf[70000];

	for (int i = 0; i < 2; i++) {
		static struct test_sa t;

		test_sa_default(&t, cases[i].outer);
		test_sa_start(&t, NULL);
		for (uint32_t over = 0; over < 2; over++) {
			struct xi_pkt pkt = { buf + 100, cases[i].most + over, 100, 100 };
			struct xi_aead_job job;

			test_inner4(pkt.data, (uint16_t)pkt.len, 0);
			assert_int_equal(test_prepare(&t.ctx, 1, &pkt, &job),
					 over ? XI_DROP_TOO_BIG : XI_NONE);
		}
		test_sa_stop(&t);
	}
}

static void outbound_packets_are_judged(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t inner[60];

	test_sa_default(&t, XI_IPV4);
	test_sa_start(&t, NULL);
	test_inner4(inner, sizeof(inner), 0);
	for (uint32_t len = 0; len < sizeof(inner); len++) {
		test_pkt_set(&p, inner, len);
		assert_int_equal(test_seal(&t, 1, &p.pkt), XI_DROP_WORKER_MALFORMED);
		assert_int_equal(p.pkt.len, len);
	}
	inner[0] = 0x54;
	test_pkt_set(&p, inner, sizeof(inner));
	assert_int_equal(test_seal(&t, 1, &p.pkt), XI_DROP_WORKER_MALFORMED);
	test_sa_stop(&t);

	test_sa_default(&t, XI_IPV4);
	t.sa.sel.family = XI_IPV6;
	test_sa_start(&t, NULL);
	test_inner4(inner, sizeof(inner), 0);
	test_pkt_set(&p, inner, sizeof(inner));
	assert_int_equal(test_seal(&t, 1, &p.pkt), XI_DROP_SA_MODE);
	test_inner6(inner, sizeof(inner), 0);
	test_pkt_set(&p, inner, sizeof(inner));
	assert_int_equal(test_seal(&t, 1, &p.pkt), XI_NONE);
	test_sa_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(truncations_are_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(outer_headers_are_judged),
		cmocka_unit_test(a_packet_of_the_other_family_is_not_this_sas),
		cmocka_unit_test(options_and_link_padding_are_stepped_over),
		cmocka_unit_test(authentic_plaintexts_are_judged),
		cmocka_unit_test(authentic_random_plaintexts_do_no_harm),
		cmocka_unit_test(esn_high_half_is_part_of_the_icv),
		cmocka_unit_test(engine_errors_are_told_from_forgeries),
		cmocka_unit_test(unfinished_jobs_are_errors),
		cmocka_unit_test(what_was_not_verified_does_not_pass),
		cmocka_unit_test(a_run_is_verified_packet_by_packet),
		cmocka_unit_test(too_little_room_changes_nothing),
		cmocka_unit_test(ip_cannot_carry_more_than_65535),
		cmocka_unit_test(outbound_packets_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
