// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ah_sa.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <cmocka.h>

static const struct {
	const char *mac, *param, *value;
	uint8_t key_len, icv_len;
} auths[] = {
	[XI_AUTH_NONE] = { NULL, NULL, NULL, 16, 16 },
	[XI_AUTH_HMAC_SHA1] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA1", 20, 12 },
	[XI_AUTH_HMAC_SHA256] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA256", 32, 16 },
	[XI_AUTH_HMAC_SHA384] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA384", 48, 24 },
	[XI_AUTH_HMAC_SHA512] = { "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA512", 64, 32 },
	[XI_AUTH_AES_CMAC] = { "CMAC", OSSL_MAC_PARAM_CIPHER, "AES-128-CBC", 16, 12 },
};

void test_ah_init(struct test_ah *t, int family, bool transport, enum xi_auth auth, uint32_t flags)
{
	bool esn = flags & XFRM_STATE_ESN, gmac = auth == XI_AUTH_NONE;

	memset(t, 0, sizeof(*t));
	t->sa.flags = flags;
	t->auth = auth;
	t->key_len = auths[auth].key_len;
	for (size_t i = 0; i < t->key_len; i++)
		t->key[i] = (uint8_t)(i * 11 + 5);
	t->ctx = (struct xi_sa_ctx){
		.spi_be = htonl(0x1000),
		.state = &t->state,
		.family = (uint8_t)family,
		.outer_len = transport ? 0 : family == 4 ? 20 : 40,
		.icv_len = auths[auth].icv_len,
		.iv_len = gmac ? 8 : 0,
		.salt_len = gmac ? 4 : 0,
		.esn = esn,
		.dscp_copy = 1,
		.ecn = 1,
		.sa = &t->sa,
		.proto = IPPROTO_AH,
		.transport = transport,
		.replay = { .top = (uint64_t *)&t->state.top, .words = t->words,
			    .word_mask = XI_WINDOW_WORDS - 1, .window = 64, .esn = esn },
	};
	if (gmac)
		memcpy(t->ctx.salt, "\xca\xfe\xba\xbe", 4);
	t->ctx.ah_len = (uint8_t)xi_ah_len(&t->ctx);
	if (!transport)
		test_ah_tunnel(t, family == 4 ? "192.0.2.1" : "2001:db8::1",
			       family == 4 ? "192.0.2.2" : "2001:db8::2");
}

void test_ah_tunnel(struct test_ah *t, const char *saddr, const char *daddr)
{
	uint8_t *hdr = t->ctx.hdr;

	memset(hdr, 0, sizeof(t->ctx.hdr));
	if (t->ctx.family == 4) {
		hdr[0] = 0x45;
		hdr[8] = 64;
		hdr[9] = IPPROTO_AH;
		inet_pton(AF_INET, saddr, hdr + 12);
		inet_pton(AF_INET, daddr, hdr + 16);
		t->ctx.hdr_sum = 0;
		for (int i = 0; i < 20; i += 2)
			t->ctx.hdr_sum += (uint32_t)(hdr[i] << 8 | hdr[i + 1]);
	} else {
		hdr[0] = 0x60;
		hdr[6] = IPPROTO_AH;
		hdr[7] = 64;
		inet_pton(AF_INET6, saddr, hdr + 8);
		inet_pton(AF_INET6, daddr, hdr + 24);
	}
}

static void mac(const struct test_ah *t, const uint8_t *data, size_t len, uint8_t *icv)
{
	OSSL_PARAM params[2] = {
		OSSL_PARAM_construct_utf8_string(auths[t->auth].param,
						 (char *)(uintptr_t)auths[t->auth].value, 0),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *alg = EVP_MAC_fetch(NULL, auths[t->auth].mac, NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(alg);
	uint8_t full[EVP_MAX_MD_SIZE];
	size_t full_len;

	assert_non_null(ctx);
	assert_int_equal(EVP_MAC_init(ctx, t->key, t->key_len, params), 1);
	assert_int_equal(EVP_MAC_update(ctx, data, len), 1);
	assert_int_equal(EVP_MAC_final(ctx, full, &full_len, sizeof(full)), 1);
	assert_true(full_len >= t->ctx.icv_len);
	memcpy(icv, full, t->ctx.icv_len);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(alg);
}

static void gmac(const struct test_ah *t, const uint8_t *nonce, const uint8_t *data, size_t len,
		 uint8_t *icv)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t nothing[16];
	int n;

	assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, t->key, nonce), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, data, (int)len), 1);
	assert_int_equal(EVP_EncryptFinal_ex(ctx, nothing, &n), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, icv), 1);
	EVP_CIPHER_CTX_free(ctx);
}

void test_ah_icv(const struct test_ah *t, const struct xi_aead_job *job, uint8_t *icv)
{
	const uint8_t *from = job->data - job->head_len;
	size_t len = job->head_len + job->len;

	assert_int_equal(job->ah, 1);
	assert_int_equal(job->icv_len, t->ctx.icv_len);
	assert_int_equal(job->aad_len, t->ctx.esn ? 12 : 8);
	if (t->ctx.esn) {
		memcpy(job->data + job->len, job->aad + 4, 4);
		len += 4;
	}
	if (t->auth == XI_AUTH_NONE)
		gmac(t, job->nonce, from, len, icv);
	else
		mac(t, from, len, icv);
}

void test_ah_seal_job(const struct test_ah *t, struct xi_aead_job *job)
{
	uint8_t icv[64];

	test_ah_icv(t, job, icv);
	memcpy(job->icv, icv, job->icv_len);
	job->status = 0;
}

void test_ah_open_job(const struct test_ah *t, struct xi_aead_job *job)
{
	uint8_t icv[64];

	test_ah_icv(t, job, icv);
	job->status = memcmp(job->icv, icv, job->icv_len) ? -EBADMSG : 0;
}

enum xi_reason test_ah_seal(struct test_ah *t, uint64_t seq, struct xi_pkt *pkt)
{
	struct xi_esp_tally tally = {.now = 1000};
	struct xi_ah_saved saved;
	struct xi_frame frame;
	struct xi_aead_job job;
	enum xi_reason why = xi_ah_frame(&t->ctx, seq, pkt, &frame);

	if (why)
		return why;
	assert_int_equal(xi_ah_out_job(&t->ctx, &frame, &saved, &job), XI_NONE);
	test_ah_seal_job(t, &job);
	xi_ah_restore(&saved);
	why = xi_ah_out_finish(&t->ctx, &job, &tally);
	xi_esp_tally_flush(&tally);
	return why;
}

enum xi_reason test_ah_open(struct test_ah *t, struct xi_pkt *pkt, enum xi_crypto_status *status)
{
	struct xi_esp_tally tally = {.now = 1000};
	enum xi_crypto_status unused;
	struct xi_ah_saved saved;
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why = xi_ah_in_prepare(&t->ctx, pkt, &job, &in, &saved);

	if (why)
		return why;
	test_ah_open_job(t, &job);
	xi_ah_restore(&saved);
	xi_in_verify(&t->ctx, &job, &in, 1);
	why = xi_ah_in_finish(&t->ctx, pkt, &job, &in, &tally, status ? status : &unused);
	xi_esp_tally_flush(&tally);
	return why;
}
