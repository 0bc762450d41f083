// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * RFC 4303, where no other test has it: what doc/conformance.md lists. With NULL encryption the
 * packet is there to be read.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "crypto/algs.h"
#include "esp_sa.h"

#define ICV 12

/* NULL with HMAC-SHA-1-96; transport mode with inner == outer family. */
static void null_sa(struct test_sa *t, enum xi_family outer, bool transport)
{
	test_sa_default(t, outer);
	test_sa_cbc(t, 0, XI_AUTH_HMAC_SHA1);
	t->sa.alg = t->raw.alg = XI_ALG_NULL;
	t->sa.mode = transport ? XI_TRANSPORT : XI_TUNNEL;
}

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

static void make_inner(int version, uint8_t *ip, size_t len)
{
	if (version == 4)
		test_inner4(ip, (uint16_t)len, 0);
	else
		test_inner6(ip, (uint16_t)len, 0);
	for (size_t i = version == 4 ? 20 : 40; i < len; i++)
		ip[i] = (uint8_t)(i * 3);
}

/*
 * Sections 2.4 to 2.6 of a sealed packet whose ESP header is at esp: padding 1, 2, 3 ..., pad
 * length, next header, and where they end. The payload must be these bytes.
 */
static void expect_trailer(const struct test_pkt *p, size_t esp, const uint8_t *payload, size_t len,
			   uint8_t next_header)
{
	const uint8_t *data = p->pkt.data + esp + 8;
	size_t end = p->pkt.len - esp - 8 - ICV, pad = data[end - 2];

	assert_int_equal(end % 4, 0);
	assert_int_equal(data[end - 1], next_header);
	assert_true(pad < 4);
	assert_int_equal(end, len + pad + 2);
	assert_memory_equal(data, payload, len);
	for (size_t i = 0; i < pad; i++)
		assert_int_equal(data[len + i], i + 1);
}

/* Sections 2.3, 2.4, 2.6, 3.1.2: every length, both families inside. */
static void the_trailer_ends_on_four_bytes_and_names_what_is_inside(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[160];

	for (int i = 0; i < 4; i++) {
		int inner = i & 1 ? 6 : 4;

		null_sa(&t, i & 2 ? XI_IPV6 : XI_IPV4, false);
		test_sa_start(&t, NULL);
		for (size_t len = 40; len < sizeof(ip); len++) {
			make_inner(inner, ip, len);
			test_pkt_set(&p, ip, len);
			assert_int_equal(test_seal(&t, len, &p.pkt), XI_NONE);
			expect_trailer(&p, i & 2 ? 40 : 20, ip, len, inner == 4 ? 4 : 41);
			assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
			assert_int_equal(p.pkt.len, len);
			assert_memory_equal(p.pkt.data, ip, len);
		}
		test_sa_stop(&t);
	}
}

/* Section 3.1.1: behind the IP header with its options, which stay, but for protocol and lengths.
 */
static void transport_mode_goes_behind_the_ip_header(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[200], want[60];

	null_sa(&t, XI_IPV4, true);
	test_sa_start(&t, NULL);
	for (size_t hdr = 20; hdr <= 60; hdr += 4) {
		make_inner(4, ip, 64 + hdr);
		memset(ip + 20, 1, hdr - 20); /* no operation */
		ip[0] = (uint8_t)(0x40 | hdr / 4);
		ip[9] = 17;
		fix_sum(ip);
		test_pkt_set(&p, ip, 64 + hdr);
		assert_int_equal(test_seal(&t, hdr, &p.pkt), XI_NONE);
		memcpy(want, ip, hdr);
		want[9] = 50;
		put16(want + 2, p.pkt.len);
		fix_sum(want);
		assert_memory_equal(p.pkt.data, want, hdr);
		expect_trailer(&p, hdr, ip + hdr, 64, 17);
		assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
		assert_int_equal(p.pkt.len, 64 + hdr);
		assert_memory_equal(p.pkt.data, ip, 64 + hdr);
	}
	test_sa_stop(&t);
}

/* The same of IPv6: hop-by-hop options stay in front, the upper protocol is inside. */
static void transport_mode_goes_behind_ipv6_headers_of_the_way(void **state)
{
	static const uint8_t hop[8] = {6, 0, 1, 4, 0, 0, 0, 0};
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[120];

	null_sa(&t, XI_IPV6, true);
	test_sa_start(&t, NULL);
	make_inner(6, ip, 100);
	ip[6] = 58;
	test_pkt_set(&p, ip, 100);
	assert_int_equal(test_seal(&t, 1, &p.pkt), XI_NONE);
	assert_int_equal(p.pkt.data[6], 50);
	assert_int_equal(p.pkt.data[4] << 8 | p.pkt.data[5], p.pkt.len - 40);
	assert_memory_equal(p.pkt.data + 7, ip + 7, 33);
	expect_trailer(&p, 40, ip + 40, 60, 58);

	ip[6] = 0;
	memcpy(ip + 40, hop, 8);
	test_pkt_set(&p, ip, 100);
	assert_int_equal(test_seal(&t, 2, &p.pkt), XI_NONE);
	assert_int_equal(p.pkt.data[6], 0);
	assert_int_equal(p.pkt.data[40], 50);
	assert_memory_equal(p.pkt.data + 41, hop + 1, 7);
	expect_trailer(&p, 48, ip + 48, 52, 6);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
	assert_int_equal(p.pkt.len, 100);
	assert_memory_equal(p.pkt.data, ip, 100);
	test_sa_stop(&t);
}

/* Section 3.3.4: whole datagrams alone in transport mode, fragments too in tunnel mode. */
static void fragments_go_by_tunnels_alone(void **state)
{
	static const uint16_t offsets[] = {0x2000, 0x0001, 0x3fff};
	static const uint8_t frag6[8] = {17, 0, 0, 1, 1, 2, 3, 4};
	static struct test_sa t;
	static struct test_pkt p, before;
	uint8_t ip[100];

	for (int transport = 0; transport < 2; transport++) {
		enum xi_reason want = transport ? XI_DROP_SA_MODE : XI_NONE;

		null_sa(&t, XI_IPV4, transport);
		test_sa_start(&t, NULL);
		for (size_t i = 0; i < 3; i++) {
			make_inner(4, ip, sizeof(ip));
			put16(ip + 6, offsets[i]);
			fix_sum(ip);
			test_pkt_set(&p, ip, sizeof(ip));
			before = p;
			assert_int_equal(test_seal(&t, i + 1, &p.pkt), want);
			if (transport)
				assert_memory_equal(&p, &before, sizeof(p));
		}
		test_sa_stop(&t);

		null_sa(&t, XI_IPV6, transport);
		test_sa_start(&t, NULL);
		make_inner(6, ip, sizeof(ip));
		ip[6] = 44;
		memcpy(ip + 40, frag6, 8);
		test_pkt_set(&p, ip, sizeof(ip));
		assert_int_equal(test_seal(&t, 1, &p.pkt),
				 transport ? XI_DROP_WORKER_MALFORMED : XI_NONE);
		test_sa_stop(&t);
	}
}

/* Section 2.7: behind the packet, whose own length does not change, up to what was asked for or
 * fits. */
static void tfc_padding_goes_behind_the_packet(void **state)
{
	static const uint32_t limits[] = {UINT32_MAX, 200, 120, 60};
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_esp_tally tally = {.now = 1};
	struct xi_aead_job job;
	struct xi_frame frame;
	uint8_t ip[100];

	for (int version = 4; version <= 6; version += 2) {
		null_sa(&t, XI_IPV4, false);
		t.sa.tfcpad = 300;
		test_sa_start(&t, NULL);
		make_inner(version, ip, sizeof(ip));
		for (size_t i = 0; i < 4; i++) {
			size_t filled = limits[i] < 100	  ? 100
					: limits[i] < 300 ? limits[i]
							  : 300,
			       end;

			test_pkt_set(&p, ip, sizeof(ip));
			memset(p.pkt.data + sizeof(ip), 0xee, 400);
			assert_int_equal(xi_esp_frame(&t.ctx, i + 1, limits[i], &p.pkt, &frame),
					 XI_NONE);
			xi_esp_out_job(&t.ctx, &frame, &job);
			t.engine->seal(t.crypto, &job, 1);
			assert_int_equal(xi_esp_out_finish(&t.ctx, &frame, &job, &tally), XI_NONE);
			end = p.pkt.len - ICV;
			assert_memory_equal(p.pkt.data + 28, ip, sizeof(ip));
			assert_int_equal(end - 28 - 2 - p.pkt.data[end - 2], filled);
			assert_int_equal(p.pkt.data[end - 1], version == 4 ? 4 : 41);
			for (size_t k = 100; k < filled; k++)
				assert_int_not_equal(p.pkt.data[28 + k],
						     0xee); /* nothing of the frame's past */
			assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
			assert_int_equal(p.pkt.len, sizeof(ip));
			assert_memory_equal(p.pkt.data, ip, sizeof(ip));
		}
		xi_esp_tally_flush(&tally);
		test_sa_stop(&t);
	}
}

/* Section 2.3: the payload begins at a multiple of 8 bytes from the ESP header (4 in IPv4). */
static void payloads_are_aligned_whatever_the_iv(void **state)
{
	static const struct {
		enum xi_alg alg;
		enum xi_auth auth;
		uint32_t key_bits, salt_len, icv_len, front;
	} cases[] = {
		/* what stands in front: 8 bytes, and the IV that the algorithm's RFC has */
		{XI_ALG_NULL, XI_AUTH_HMAC_SHA1, 0, 0, 12, 8},
		{XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA1, 128, 0, 12, 24},	  /* RFC 3602 section 3 */
		{XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA1, 128, 4, 12, 16},	  /* RFC 3686 section 3.1 */
		{XI_ALG_AES_GCM, XI_AUTH_NONE, 128, 4, 16, 16},		  /* RFC 4106 section 3.1 */
		{XI_ALG_AES_CCM, XI_AUTH_NONE, 128, 3, 16, 16},		  /* RFC 4309 section 3.1 */
		{XI_ALG_AES_GMAC, XI_AUTH_NONE, 128, 4, 16, 16},	  /* RFC 4543 section 3.1 */
		{XI_ALG_CHACHA20_POLY1305, XI_AUTH_NONE, 256, 4, 16, 16}, /* RFC 7634 section 2 */
	};
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;
	uint8_t ip[60];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		test_sa_default(&t, XI_IPV6);
		if (cases[i].auth)
			test_sa_cbc(&t, cases[i].key_bits, cases[i].auth);
		t.sa.alg = t.raw.alg = cases[i].alg;
		t.sa.key_bits = cases[i].key_bits;
		t.sa.icv_len = cases[i].icv_len;
		t.raw.len = cases[i].key_bits / 8 + cases[i].salt_len + t.raw.auth_len;
		test_sa_start(&t, NULL);
		make_inner(6, ip, sizeof(ip));
		test_pkt_set(&p, ip, sizeof(ip));
		assert_int_equal(xi_esp_frame(&t.ctx, 1, UINT32_MAX, &p.pkt, &frame), XI_NONE);
		assert_int_equal(frame.offset, 40);
		assert_int_equal(cases[i].front % 8, 0);
		assert_memory_equal(frame.ip + frame.offset + cases[i].front, ip, sizeof(ip));
		test_sa_stop(&t);
	}
}

/* Sections 2.2, 3.3.3: from 1 on, one more each, and no packet behind the last number. */
static void numbers_begin_at_1_and_never_cycle(void **state)
{
	static struct test_sa t;
	enum xi_reason why = XI_NONE;
	uint64_t first;

	for (int esn = 0; esn < 2; esn++) {
		uint64_t last = esn ? UINT64_MAX : UINT32_MAX;

		test_sa_default(&t, XI_IPV4);
		t.sa.flags |= esn ? XFRM_STATE_ESN : 0;
		test_sa_start(&t, NULL);
		assert_int_equal(xi_seq_take(&t.ctx, 1, &first, &why), 1);
		assert_int_equal(first, 1);
		assert_int_equal(xi_seq_take(&t.ctx, 1, &first, &why), 1);
		assert_int_equal(first, 2);
		t.state.oseq = last - 2;
		assert_int_equal(xi_seq_take(&t.ctx, 5, &first, &why), 2);
		assert_true(first == last - 1);
		assert_int_equal(why, XI_DROP_SEQ_EXHAUSTED);
		for (int i = 0; i < 3; i++)
			assert_int_equal(xi_seq_take(&t.ctx, 1, &first, &why), 0);
		assert_true(t.state.oseq == last);
		test_sa_stop(&t);
	}
}

static bool got(struct test_sa *t, uint64_t seq)
{
	static struct test_pkt p;
	uint8_t ip[60];
	enum xi_reason why;

	make_inner(4, ip, sizeof(ip));
	test_pkt_set(&p, ip, sizeof(ip));
	assert_int_equal(test_seal(t, seq, &p.pkt), XI_NONE);
	why = test_open(t, &p.pkt, NULL);
	assert_true(why == XI_NONE || why == XI_DROP_REPLAY || why == XI_DROP_REPLAY_OLD);
	return why == XI_NONE;
}

/* Section 3.4.3: 32 packets are the least, 64 the rule; each number once, and none left of the
 * window. */
static void windows_of_32_and_64_are_kept(void **state)
{
	static const uint32_t windows[] = {32, 64};
	static struct test_sa t;

	for (size_t i = 0; i < 2; i++) {
		uint32_t w = windows[i];

		test_sa_default(&t, XI_IPV4);
		t.sa.replay_window = w;
		test_sa_start(&t, NULL);
		assert_int_equal(t.state.top, 0);
		assert_true(got(&t, 1000));
		assert_false(got(&t, 1000));
		assert_false(got(&t, 1000 - w));
		for (uint64_t seq = 1000 - w + 1; seq < 1000; seq++) {
			assert_true(got(&t, seq));
			assert_false(got(&t, seq));
		}
		assert_true(got(&t, 1001));
		assert_false(got(&t, 1001 - w));
		test_sa_stop(&t);
	}
}

/* The check that costs nothing comes first: a replay is refused whatever its ICV. */
static void a_replay_is_refused_before_the_icv(void **state)
{
	static struct test_sa t;
	static struct test_pkt p, again;
	uint8_t ip[60];

	test_sa_default(&t, XI_IPV4);
	test_sa_start(&t, NULL);
	make_inner(4, ip, sizeof(ip));
	test_pkt_set(&p, ip, sizeof(ip));
	assert_int_equal(test_seal(&t, 7, &p.pkt), XI_NONE);
	again = p;
	again.pkt.data = again.buf + (p.pkt.data - p.buf);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
	again.pkt.data[again.pkt.len - 1] ^= 1;
	assert_int_equal(test_open(&t, &again.pkt, NULL), XI_DROP_REPLAY);
	assert_int_equal(t.state.replay_failed, 1);
	assert_int_equal(t.state.integrity_failed, 0);
	test_sa_stop(&t);
}

/* Without anti-replay nothing of the number is checked: a receiver's choice, for one SA. */
static void anti_replay_is_the_receivers_choice(void **state)
{
	static struct test_sa t;

	test_sa_default(&t, XI_IPV4);
	t.sa.replay_window = 0;
	test_sa_start(&t, NULL);
	assert_true(got(&t, 1000));
	assert_true(got(&t, 1000));
	assert_true(got(&t, 1));
	test_sa_stop(&t);
}

/* Section 2.6: any payload at all behind next header 59; a number is used up, and nothing is an
 * error. */
static void dummy_packets_are_no_errors(void **state)
{
	static const size_t lens[] = {2, 16, 64, 1000};
	enum xi_crypto_status status;
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t plain[1000];

	test_sa_default(&t, XI_IPV4);
	test_sa_start(&t, NULL);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		for (size_t k = 0; k < lens[i]; k++)
			plain[k] = (uint8_t)(k * 37 + 11);
		plain[lens[i] - 2] = 0;
		plain[lens[i] - 1] = 59;
		test_seal_raw(&t, i + 1, 0, plain, lens[i], &p);
		assert_int_equal(test_open(&t, &p.pkt, &status), XI_DUMMY);
		assert_int_equal(status, XI_CRYPTO_SUCCESS);
		assert_int_equal(t.state.top, i + 1);
	}
	assert_int_equal(t.state.other_failed, 0);
	assert_int_equal(t.state.integrity_failed, 0);
	test_sa_stop(&t);
}

/* Section 3.2, 5: NULL encryption is there, but never without integrity. */
static void null_with_null_is_no_sa(void **state)
{
	static struct test_sa t;

	null_sa(&t, XI_IPV4, false);
	assert_int_equal(xi_sa_ctx_init(&t.ctx, &t.sa, &t.raw, &t.state, t.words, 16), 0);
	t.sa.auth = t.raw.auth = XI_AUTH_NONE;
	t.sa.auth_bits = t.sa.icv_len = t.raw.auth_len = t.raw.len = 0;
	assert_int_equal(xi_sa_ctx_init(&t.ctx, &t.sa, &t.raw, &t.state, t.words, 16), -EOPNOTSUPP);
	/* nor is encryption alone, which a compliant implementation need not offer */
	t.sa.alg = t.raw.alg = XI_ALG_AES_CBC;
	t.sa.key_bits = 128;
	t.raw.len = 16;
	assert_int_equal(xi_sa_ctx_init(&t.ctx, &t.sa, &t.raw, &t.state, t.words, 16), -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_trailer_ends_on_four_bytes_and_names_what_is_inside),
		cmocka_unit_test(transport_mode_goes_behind_the_ip_header),
		cmocka_unit_test(transport_mode_goes_behind_ipv6_headers_of_the_way),
		cmocka_unit_test(fragments_go_by_tunnels_alone),
		cmocka_unit_test(tfc_padding_goes_behind_the_packet),
		cmocka_unit_test(payloads_are_aligned_whatever_the_iv),
		cmocka_unit_test(numbers_begin_at_1_and_never_cycle),
		cmocka_unit_test(windows_of_32_and_64_are_kept),
		cmocka_unit_test(a_replay_is_refused_before_the_icv),
		cmocka_unit_test(anti_replay_is_the_receivers_choice),
		cmocka_unit_test(dummy_packets_are_no_errors),
		cmocka_unit_test(null_with_null_is_no_sa),
	};

	return cmocka_run_group_tests_name("rfc4303", tests, NULL, NULL);
}
