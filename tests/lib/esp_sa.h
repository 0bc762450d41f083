/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One SA with everything a worker needs for it, and packets with room around them. */
#ifndef XI_TEST_ESP_SA_H
#define XI_TEST_ESP_SA_H

#include <stddef.h>

#include "alg_job.h"
#include "crypto/crypto.h"
#include "ipsec/transform.h"

struct test_sa {
	struct xi_sa sa;
	struct xi_sa_key raw;
	struct xi_sa_state state;
	uint64_t words[XI_WINDOW_WORDS];
	struct xi_sa_ctx ctx;
	const struct xi_engine *engine;
	struct xi_crypto *crypto;
	struct xi_ckey *key;
};

#define TEST_ROOM 128
#define TEST_PKT_MAX 9216

struct test_pkt {
	struct xi_pkt pkt;
	uint8_t buf[TEST_ROOM + TEST_PKT_MAX + TEST_ROOM];
};

/* AES-128-GCM between 192.0.2.1/.2 or 2001:db8::1/::2, SPI 0x1000, window 64, both families inside.
 */
void test_sa_default(struct test_sa *t, enum xi_family outer);
/* AES-CBC with this HMAC and its usual ICV in the place of AES-GCM; ICV and flags may be changed then. */
void test_sa_cbc(struct test_sa *t, uint32_t key_bits, enum xi_auth auth);
/* Any transform of ESP or AH in the place of AES-GCM. */
void test_sa_transform(struct test_sa *t, const struct alg_transform *tr);
/* After changes to t->sa and t->raw: context, crypto manager and key of the openssl engine, or
 * another. */
void test_sa_start(struct test_sa *t, const struct xi_engine *engine);
void test_sa_stop(struct test_sa *t);

void test_pkt_set(struct test_pkt *p, const uint8_t *data, size_t len);

/* Of ESP: frame and job, in one step; then, once the job was sealed, the end of it. Not of UDP over IPv6. */
enum xi_reason test_prepare(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
			    struct xi_aead_job *job);
enum xi_reason test_finish(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
			   struct xi_esp_tally *tally);
/*
 * Of ESP or AH: all that is done to a packet that is framed already, by whomever. keep_iv: the IV is there,
 * too, though the transform makes one of its own.
 */
enum xi_reason test_crypt(struct test_sa *t, const struct xi_frame *frame, bool keep_iv);
/* All steps of one packet, ESP or AH. */
enum xi_reason test_seal(struct test_sa *t, uint64_t seq, struct xi_pkt *pkt);
enum xi_reason test_open(struct test_sa *t, struct xi_pkt *pkt, enum xi_crypto_status *status);

/*
 * An ESP packet of t whose plaintext, trailer and all, is given: what only the holder of the key
 * can send. The outer header is a bare one with the TOS given.
 */
void test_seal_raw(struct test_sa *t, uint64_t seq, uint8_t tos, const uint8_t *plain, size_t len,
		   struct test_pkt *out);

/* Bare inner packets: header and zeroes. len is the whole packet. */
void test_inner4(uint8_t *ip, uint16_t len, uint8_t tos);
void test_inner6(uint8_t *ip, uint16_t len, uint8_t tos);
/* RFC 1071: 0 over a header whose checksum is right. */
uint16_t test_checksum(const uint8_t *data, size_t len);

#endif
