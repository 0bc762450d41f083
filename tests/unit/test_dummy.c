// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Dummy packets (RFC 4303 section 2.6): next header 59 inside, and outside a packet like any other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <openssl/evp.h>
#include <cmocka.h>

#include "esp_sa.h"
#include "ipsec/tunnel.h"

#define SEQ 77
#define ICV 16
#define FRONT 16 /* ESP header, IV */

static void start(struct test_sa *t, unsigned int kind)
{
	test_sa_default(t, kind & 1 ? XI_IPV6 : XI_IPV4);
	if (kind & 2)
		t->sa.mode = XI_TRANSPORT;
	if (kind & 4) {
		t->sa.encap = XI_ENCAP_ESPINUDP;
		t->sa.encap_sport = t->sa.encap_dport = 4500;
	}
	test_sa_start(t, NULL);
}

static enum xi_reason frame_dummy(struct test_sa *t, struct test_pkt *p, uint32_t len,
				  struct xi_frame *frame)
{
	static const uint8_t payload[TEST_PKT_MAX] = {0xd1, 0xd2, 0xd3};

	test_pkt_set(p, payload, len);
	return xi_esp_frame_dummy(&t->ctx, SEQ, UINT32_MAX, &p->pkt, frame);
}

static void seal(struct test_sa *t, const struct xi_frame *frame, struct xi_esp_tally *tally)
{
	struct xi_aead_job job;

	xi_esp_out_job(&t->ctx, frame, &job);
	t->engine->seal(t->crypto, &job, 1);
	assert_int_equal(xi_esp_out_finish(&t->ctx, frame, &job, tally), XI_NONE);
}

/* AES-128-GCM by RFC 4106, of OpenSSL alone. esp: from the SPI; returns the plaintext's length. */
static size_t decrypt(const struct test_sa *t, const uint8_t *esp, size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t nonce[12], icv[ICV];
	int n, data = (int)(len - FRONT - ICV);

	memcpy(nonce, t->raw.key + 16, 4);
	memcpy(nonce + 4, esp + 8, 8);
	memcpy(icv, esp + len - ICV, ICV);
	assert_int_equal(EVP_DecryptInit_ex(c, EVP_aes_128_gcm(), NULL, t->raw.key, nonce), 1);
	assert_int_equal(EVP_DecryptUpdate(c, NULL, &n, esp, 8), 1);
	assert_int_equal(EVP_DecryptUpdate(c, out, &n, esp + FRONT, data), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, ICV, icv), 1);
	assert_int_equal(EVP_DecryptFinal_ex(c, out + n, &n), 1);
	EVP_CIPHER_CTX_free(c);
	return (size_t)data;
}

static size_t ip_len(unsigned int kind)
{
	return kind & 1 ? 40 : 20;
}

static void another_implementation_reads_next_header_59(void **state)
{
	static const uint32_t lens[] = {0, 1, 2, 3, 4, 40, 41, 1200, 1446};
	static uint8_t plain[TEST_PKT_MAX];
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;

	for (unsigned int kind = 0; kind < 8; kind++) {
		struct xi_esp_tally tally = {.now = 1000};
		uint64_t bytes = 0;

		start(&t, kind);
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			size_t at = ip_len(kind) + (kind & 4 ? 8 : 0), n, pad;

			assert_int_equal(frame_dummy(&t, &p, lens[i], &frame), XI_NONE);
			seal(&t, &frame, &tally);
			n = decrypt(&t, p.pkt.data + at, p.pkt.len - at, plain);
			assert_int_equal(n % 4, 0);
			assert_int_equal(plain[n - 1], 59);
			pad = plain[n - 2];
			assert_int_equal(n - 2 - pad, lens[i]);
			for (size_t j = 0; j < pad; j++)
				assert_int_equal(plain[lens[i] + j], j + 1);
			if (lens[i] >= 3)
				assert_memory_equal(plain, "\xd1\xd2\xd3", 3);
			bytes += lens[i];
		}
		xi_esp_tally_flush(&tally);
		assert_int_equal(t.state.packets, sizeof(lens) / sizeof(lens[0]));
		assert_int_equal(t.state.bytes, bytes);
		test_sa_stop(&t);
	}
}

/* A packet inside as most are: DSCP 0, not ECN-capable, DF. */
static void inner_packet(uint8_t *ip, uint32_t len, unsigned int kind)
{
	uint16_t sum;

	if (kind & 1) {
		test_inner6(ip, (uint16_t)len, 0);
		ip[1] = ip[2] = ip[3] = 0;
		inet_pton(AF_INET6, "2001:db8::1", ip + 8);
		inet_pton(AF_INET6, "2001:db8::2", ip + 24);
		return;
	}
	test_inner4(ip, (uint16_t)len, 0);
	ip[6] = 0x40;
	inet_pton(AF_INET, "192.0.2.1", ip + 12);
	inet_pton(AF_INET, "192.0.2.2", ip + 16);
	ip[10] = ip[11] = 0;
	sum = test_checksum(ip, 20);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static void outside_it_is_like_any_other(void **state)
{
	static struct test_pkt p, q;
	static uint8_t inner[2048];
	static struct test_sa t;
	struct xi_frame frame, other;

	for (unsigned int kind = 0; kind < 8; kind++) {
		size_t front = ip_len(kind) + (kind & 4 ? 8 : 0) + FRONT;
		uint32_t keep = kind & 2 ? (uint32_t)ip_len(kind) : 0;

		start(&t, kind);
		for (uint32_t len = 41; len < 140; len++) {
			inner_packet(inner, len + keep, kind);
			test_pkt_set(&q, inner, len + keep);
			assert_int_equal(xi_esp_frame(&t.ctx, SEQ, UINT32_MAX, &q.pkt, &other),
					 XI_NONE);
			assert_int_equal(frame_dummy(&t, &p, len, &frame), XI_NONE);
			assert_int_equal(p.pkt.len, q.pkt.len);
			assert_memory_equal(p.pkt.data, q.pkt.data, front);
			assert_int_equal(frame.offset, other.offset);
			assert_int_equal(frame.len, other.len);
			assert_int_equal(frame.clear_len, other.clear_len);
		}
		test_sa_stop(&t);
	}
}

static void tfc_padding_hides_its_length_too(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;
	uint32_t len;

	test_sa_default(&t, XI_IPV4);
	t.sa.tfcpad = 500;
	test_sa_start(&t, NULL);
	assert_int_equal(frame_dummy(&t, &p, 500, &frame), XI_NONE);
	len = p.pkt.len;
	assert_int_equal(frame_dummy(&t, &p, 40, &frame), XI_NONE);
	assert_int_equal(p.pkt.len, len);
	/* the path takes less than that */
	test_pkt_set(&p, p.buf, 40);
	assert_int_equal(xi_esp_frame_dummy(&t.ctx, SEQ, 100, &p.pkt, &frame), XI_NONE);
	assert_int_equal(frame.clear_len, 100);
	test_sa_stop(&t);
}

static void the_receiver_swallows_it_and_moves_its_window(void **state)
{
	static struct test_sa t;
	static struct test_pkt p, again;
	struct xi_esp_tally tally = {.now = 900};
	enum xi_crypto_status status;
	struct xi_frame frame;

	for (unsigned int kind = 0; kind < 4; kind++) {
		start(&t, kind);
		assert_int_equal(frame_dummy(&t, &p, 100, &frame), XI_NONE);
		seal(&t, &frame, &tally);
		xi_esp_tally_flush(&tally);
		t.state.last_use = 0;
		test_pkt_set(&again, p.pkt.data, p.pkt.len);
		assert_int_equal(test_open(&t, &p.pkt, &status), XI_DUMMY);
		assert_int_equal(status, XI_CRYPTO_SUCCESS);
		assert_int_equal(t.state.top, SEQ);
		assert_int_equal(t.state.last_use, 1000);
		assert_int_equal(t.state.other_failed, 0);
		assert_int_equal(test_open(&t, &again.pkt, &status), XI_DROP_REPLAY);
		test_sa_stop(&t);
	}
}

static void without_room_nothing_changes(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_frame frame;
	struct xi_pkt before;

	start(&t, 0);
	for (unsigned int side = 0; side < 2; side++) {
		test_pkt_set(&p, p.buf, 100);
		*(side ? &p.pkt.headroom : &p.pkt.tailroom) = 17;
		before = p.pkt;
		assert_int_equal(xi_esp_frame_dummy(&t.ctx, SEQ, UINT32_MAX, &p.pkt, &frame),
				 XI_DROP_TOO_BIG);
		assert_memory_equal(&p.pkt, &before, sizeof(before));
	}
	test_sa_stop(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_implementation_reads_next_header_59),
		cmocka_unit_test(outside_it_is_like_any_other),
		cmocka_unit_test(tfc_padding_hides_its_length_too),
		cmocka_unit_test(the_receiver_swallows_it_and_moves_its_window),
		cmocka_unit_test(without_room_nothing_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
