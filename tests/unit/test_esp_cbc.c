// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* ESP with AES-CBC and HMAC: packets made by others, every length, and what attackers do to it. */
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

#define ENGINES 2
#define IV 16

static const struct xi_engine *engine_at(unsigned int i)
{
	static const char *const names[ENGINES] = {"openssl", "ipsec-mb"};
	const struct xi_engine *e = xi_engine_find(names[i]);

	if (!e)
		print_message("engine %s is not usable on this CPU\n", names[i]);
	return e;
}

static void expect_pkt(const char *name, const struct xi_pkt *pkt, const uint8_t *want, size_t len)
{
	if (pkt->len != len || memcmp(pkt->data, want, len))
		fail_msg("%s: %u bytes, other than the %zu wanted", name, pkt->len, len);
}

/* kind: outer family, inner family, ESN, engine, HMAC. */
static void kind_start(struct test_sa *t, unsigned int kind)
{
	static const uint32_t bits[] = {128, 192, 256};

	test_sa_default(t, kind & 1 ? XI_IPV6 : XI_IPV4);
	test_sa_cbc(t, bits[kind % 3], XI_AUTH_HMAC_SHA1 + kind / 16);
	t->sa.flags |= kind & 4 ? XFRM_STATE_ESN : 0;
	test_sa_start(t, kind & 8 ? xi_engine_find("auto") : &xi_engine_openssl);
}

static void every_length_goes_there_and_back(void **state)
{
	static uint8_t inner[TEST_PKT_MAX];
	static struct test_sa t;
	static struct test_pkt p;

	for (unsigned int kind = 0; kind < 64; kind++) {
		kind_start(&t, kind);
		for (uint16_t len = kind & 2 ? 40 : 20; len < 200; len++) {
			uint64_t seq = len + (kind & 4 ? 1ULL << 32 : 0);
			unsigned int front = t.ctx.outer_len + 8U + IV;

			if (kind & 2)
				test_inner6(inner, len, 0);
			else
				test_inner4(inner, len, 0);
			if (kind & 4)
				t.state.top = seq - 1;
			test_pkt_set(&p, inner, len);
			assert_int_equal(test_seal(&t, seq, &p.pkt), XI_NONE);
			/* RFC 3602 section 3: payload, padding and trailer fill blocks, and no more
			 */
			assert_int_equal(p.pkt.len,
					 front + (len + 2 + 15) / 16 * 16 + t.sa.icv_len);
			assert_true(p.pkt.len <= len + xi_esp_overhead(&t.ctx));
			assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
			expect_pkt("length", &p.pkt, inner, len);
		}
		test_sa_stop(&t);
	}
}

/* One packet, one number, twice: another IV, so another ciphertext. Nothing of the number is in it.
 */
static void an_iv_is_not_seen_before(void **state)
{
	static struct test_sa t;
	static struct test_pkt p, q;
	uint8_t inner[60];

	for (unsigned int n = 0; n < ENGINES; n++) {
		const struct xi_engine *e = engine_at(n);

		if (!e)
			continue;
		test_sa_default(&t, XI_IPV4);
		test_sa_cbc(&t, 128, XI_AUTH_HMAC_SHA256);
		test_sa_start(&t, e);
		test_inner4(inner, sizeof(inner), 0);
		test_pkt_set(&p, inner, sizeof(inner));
		test_pkt_set(&q, inner, sizeof(inner));
		assert_int_equal(test_seal(&t, 7, &p.pkt), XI_NONE);
		assert_int_equal(test_seal(&t, 7, &q.pkt), XI_NONE);
		assert_memory_not_equal(p.pkt.data + 28, q.pkt.data + 28, IV / 2);
		assert_memory_not_equal(p.pkt.data + 28 + IV / 2, q.pkt.data + 28 + IV / 2, IV / 2);
		assert_memory_not_equal(p.pkt.data + 44, q.pkt.data + 44, 16);
		assert_int_equal(test_open(&t, &q.pkt, NULL), XI_NONE);
		expect_pkt("second", &q.pkt, inner, sizeof(inner));
		test_sa_stop(&t);
	}
}

/* In memory of exactly its length, so that a sanitizer sees every byte read or written beyond it.
 */
static enum xi_reason open_exact(struct test_sa *t, const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct xi_pkt pkt = {.data = copy, .len = (uint32_t)len};
	enum xi_reason why;

	assert_non_null(copy);
	memcpy(copy, data, len);
	why = test_open(t, &pkt, NULL);
	free(copy);
	return why;
}

static void set_outer_len(struct test_pkt *p, size_t len)
{
	size_t at = p->pkt.data[0] >> 4 == 4 ? 2 : 4, value = at == 2 ? len : len - 40;

	p->pkt.data[at] = (uint8_t)(value >> 8);
	p->pkt.data[at + 1] = (uint8_t)value;
}

static void hostile_packet(struct test_sa *t, unsigned int kind, struct test_pkt *p)
{
	uint8_t inner[60];

	kind_start(t, kind);
	if (kind & 4)
		t->state.top = 1ULL << 32;
	test_inner4(inner, sizeof(inner), 0);
	test_pkt_set(p, inner, sizeof(inner));
	assert_int_equal(test_seal(t, (kind & 4 ? 1ULL << 32 : 0) + 3, &p->pkt), XI_NONE);
}

/* A sender whose length fields are consistent: a ciphertext is some blocks, at least one. */
static void lengths_that_are_no_blocks_are_refused(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;

	for (unsigned int kind = 0; kind < 64; kind += 5) {
		uint32_t whole, front;
		uint64_t top;

		hostile_packet(&t, kind, &p);
		top = t.state.top;
		whole = p.pkt.len;
		front = t.ctx.outer_len + 8U + IV + t.sa.icv_len;
		for (uint32_t len = t.ctx.outer_len; len < whole; len++) {
			bool blocks = len > front && (len - front) % 16 == 0;

			set_outer_len(&p, len);
			assert_int_equal(open_exact(&t, p.pkt.data, len),
					 blocks ? XI_DROP_ICV : XI_DROP_SHORT);
		}
		assert_int_equal(t.state.top, top);
		set_outer_len(&p, whole);
		assert_int_equal(open_exact(&t, p.pkt.data, whole), XI_NONE);
		test_sa_stop(&t);
	}
}

/* Any bit of number, IV, ciphertext or ICV. The window does not move (verify-first). */
static void every_flipped_bit_is_refused(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;

	for (unsigned int kind = 0; kind < 64; kind += 9) {
		uint64_t top;

		hostile_packet(&t, kind, &p);
		top = t.state.top;
		for (uint32_t bit = (t.ctx.outer_len + 4U) * 8; bit < p.pkt.len * 8; bit++) {
			enum xi_reason why;

			p.pkt.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			why = open_exact(&t, p.pkt.data, p.pkt.len);
			p.pkt.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(why, XI_DROP_ICV);
			assert_int_equal(t.state.top, top);
		}
		assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len), XI_NONE);
		test_sa_stop(&t);
	}
}

/* RFC 4303 section 2.2.1: the high half is part of what the ICV covers, though never sent. */
static void the_high_half_is_authenticated(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;

	for (unsigned int kind = 4; kind < 64; kind += 8) {
		hostile_packet(&t, kind, &p);
		t.state.top = 5ULL << 32;
		assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len), XI_DROP_ICV);
		t.state.top = 1ULL << 32;
		assert_int_equal(open_exact(&t, p.pkt.data, p.pkt.len), XI_NONE);
		test_sa_stop(&t);
	}
}

/* What the holder of the key can send: trailers that lie. */
static void padding_is_checked(void **state)
{
	static const struct {
		const char *what;
		size_t len; /* of plaintext: 32 bytes of packet, then padding */
		uint8_t pad, next, spoilt;
		enum xi_reason want;
	} cases[] = {
		{"shortest", 48, 14, 4, 0, XI_NONE},
		{"one block more", 64, 30, 4, 0, XI_NONE},
		{"the longest", 288, 254, 4, 0, XI_NONE},
		{"no padding, then TFC", 288, 0, 4, 0, XI_NONE},
		{"first byte wrong", 48, 14, 4, 32, XI_DROP_PADDING},
		{"last byte wrong", 48, 14, 4, 45, XI_DROP_PADDING},
		{"more than there is", 48, 47, 4, 0, XI_DROP_PADDING},
		{"all but the trailer", 16, 14, 4, 0, XI_DROP_INNER},
		{"far more than there is", 16, 255, 4, 0, XI_DROP_PADDING},
		{"into the packet", 48, 20, 4, 0, XI_DROP_PADDING},
		{"dummy", 16, 14, 59, 0, XI_DUMMY},
		{"TCP", 48, 14, 6, 0, XI_DROP_INNER},
	};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = cases[i / 2].len, pad = cases[i / 2].pad;
		static struct test_sa t;
		static struct test_pkt p;
		uint8_t plain[288] = {0};
		enum xi_reason why;

		kind_start(&t, i % 2 ? 8 + 16 : 4 + 48);
		test_inner4(plain, 32, 0);
		for (size_t k = 1; k <= pad && pad + 34 <= len; k++)
			plain[len - 2 - pad + k - 1] = (uint8_t)k;
		for (size_t k = 0; len == 16 && k < 14; k++)
			plain[k] = (uint8_t)(k + 1);
		plain[len - 2] = (uint8_t)pad;
		plain[len - 1] = cases[i / 2].next;
		if (cases[i / 2].spoilt)
			plain[cases[i / 2].spoilt] ^= 0x40;
		test_seal_raw(&t, 1, 0, plain, len, &p);
		why = open_exact(&t, p.pkt.data, p.pkt.len);
		if (why != cases[i / 2].want)
			fail_msg("%s: %d", cases[i / 2].what, why);
		test_sa_stop(&t);
	}
}

static void sas_that_do_not_fit_their_key_are_refused(void **state)
{
	static struct test_sa t;

	for (int i = 0; i < 9; i++) {
		test_sa_default(&t, XI_IPV4);
		test_sa_cbc(&t, 128, XI_AUTH_HMAC_SHA256);
		t.sa.icv_len = i == 1 ? 32 : i == 2 ? 12 : t.sa.icv_len;
		t.sa.auth = i == 3 ? XI_AUTH_HMAC_SHA1 : i == 4 ? XI_AUTH_NONE : t.sa.auth;
		t.raw.auth = i == 4 ? XI_AUTH_NONE : t.raw.auth;
		t.sa.key_bits = i == 5 ? 192 : t.sa.key_bits;
		t.raw.len += i == 6 ? 4 : 0;
		t.raw.auth_len -= i == 7 ? 4 : 0;
		t.sa.alg = i == 8 ? XI_ALG_AES_GCM : t.sa.alg;
		/* 2: hmac(sha256) of 96 bits, which Linux has */
		assert_int_equal(
			xi_sa_ctx_init(&t.ctx, &t.sa, &t.raw, &t.state, t.words, XI_WINDOW_WORDS),
			i == 0 || i == 2 ? 0 : -EOPNOTSUPP);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_goes_there_and_back),
		cmocka_unit_test(an_iv_is_not_seen_before),
		cmocka_unit_test(lengths_that_are_no_blocks_are_refused),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(the_high_half_is_authenticated),
		cmocka_unit_test(padding_is_checked),
		cmocka_unit_test(sas_that_do_not_fit_their_key_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
