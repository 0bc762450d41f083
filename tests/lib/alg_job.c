// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "alg_job.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

struct alg_engine alg_engines[2];
unsigned int alg_nengines;

int alg_start(void **state)
{
	static const char *const names[] = {"openssl", "ipsec-mb"};

	alg_nengines = 0;
	for (unsigned int i = 0; i < 2; i++) {
		struct alg_engine *en = &alg_engines[alg_nengines];

		en->e = xi_engine_find(names[i]);
		if (!en->e) {
			print_message("engine %s is not usable on this CPU\n", names[i]);
			continue;
		}
		if (en->e->create(&en->c, 0))
			return -1;
		alg_nengines++;
	}
	return alg_nengines ? 0 : -1;
}

int alg_stop(void **state)
{
	for (unsigned int i = 0; i < alg_nengines; i++)
		alg_engines[i].e->destroy(alg_engines[i].c);
	return 0;
}

/* RFC 4106, 4309, 7634, 4543: bytes of salt and IV. RFC 3602, 3686, 2410. */
static const struct {
	const char *name, *cipher; /* OpenSSL's, %u: bits of the key */
	uint16_t bits[3];
	uint8_t icv[3]; /* of an AEAD */
	uint8_t salt_len, iv_len, block;
} algs[] = {
	[XI_ALG_NONE] = {"ah", NULL, {0}, {0}, 0, 0, 1},
	[XI_ALG_AES_GCM] = {"gcm", "AES-%u-GCM", {128, 192, 256}, {8, 12, 16}, 4, 8, 1},
	[XI_ALG_AES_CBC] = {"cbc", "AES-%u-CBC", {128, 192, 256}, {0}, 0, 16, 16},
	[XI_ALG_NULL] = {"null", NULL, {0}, {0}, 0, 0, 1},
	[XI_ALG_AES_CTR] = {"ctr", "AES-%u-CTR", {128, 192, 256}, {0}, 4, 8, 1},
	[XI_ALG_AES_CCM] = {"ccm", "AES-%u-CCM", {128, 192, 256}, {8, 12, 16}, 3, 8, 1},
	[XI_ALG_CHACHA20_POLY1305] = {"chacha", "ChaCha20-Poly1305", {256}, {16}, 4, 8, 1},
	[XI_ALG_AES_GMAC] = {"gmac", "AES-%u-GCM", {128, 192, 256}, {16}, 4, 8, 1},
};

/* RFC 2404, 4868, 4494; 96 bits of SHA-256 is Linux's. */
static const struct {
	enum xi_auth auth;
	uint8_t icv, key_len;
	const char *mac, *param, *with;
} auths[] = {
	{XI_AUTH_HMAC_SHA1, 12, 20, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA1"},
	{XI_AUTH_HMAC_SHA256, 16, 32, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA256"},
	{XI_AUTH_HMAC_SHA256, 12, 32, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA256"},
	{XI_AUTH_HMAC_SHA384, 24, 48, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA384"},
	{XI_AUTH_HMAC_SHA512, 32, 64, "HMAC", OSSL_MAC_PARAM_DIGEST, "SHA512"},
	{XI_AUTH_AES_CMAC, 12, 16, "CMAC", OSSL_MAC_PARAM_CIPHER, "AES-128-CBC"},
};
#define AUTHS (sizeof(auths) / sizeof(auths[0]))

static unsigned int auth_index(enum xi_auth auth)
{
	unsigned int i = 0;

	while (auths[i].auth != auth)
		i++;
	return i;
}

static void transform_add(struct alg_transform *list, unsigned int *n, enum xi_alg alg,
			  enum xi_auth auth, uint16_t bits, uint8_t icv_len, bool ah)
{
	assert_true(*n < ALG_TRANSFORMS_MAX);
	list[(*n)++] = (struct alg_transform){alg, auth, bits, icv_len, ah};
}

unsigned int alg_transforms(struct alg_transform list[ALG_TRANSFORMS_MAX])
{
	unsigned int n = 0;

	for (enum xi_alg alg = XI_ALG_NONE; alg <= XI_ALG_AES_GMAC; alg++) {
		for (int k = 0; k < 3 && (!k || algs[alg].bits[k]); k++) {
			uint16_t bits = algs[alg].bits[k];

			for (int i = 0; i < 3 && algs[alg].icv[i]; i++)
				transform_add(list, &n, alg, XI_AUTH_NONE, bits, algs[alg].icv[i],
					      false);
			for (unsigned int i = 0; i < AUTHS && !algs[alg].icv[0]; i++)
				transform_add(list, &n, alg, auths[i].auth, bits, auths[i].icv,
					      alg == XI_ALG_NONE);
			if (alg == XI_ALG_AES_GMAC)
				transform_add(list, &n, alg, XI_AUTH_NONE, bits, 16, true);
		}
	}
	return n;
}

const char *alg_text(const struct alg_transform *t)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s%s-%u%s%s icv %u", t->ah ? "ah " : "esp ",
		 algs[t->alg].name, t->key_bits, t->auth ? " " : "",
		 t->auth ? auths[auth_index(t->auth)].with : "", t->icv_len);
	return text;
}

void alg_random(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)(random() >> 7);
}

static void raw_make(struct xi_sa_key *raw, const struct alg_transform *t)
{
	memset(raw, 0, sizeof(*raw));
	raw->alg = t->alg;
	raw->auth = t->auth;
	raw->auth_len = t->auth ? auths[auth_index(t->auth)].key_len : 0;
	raw->len = t->key_bits / 8U + algs[t->alg].salt_len + raw->auth_len;
	alg_random(raw->key, raw->len);
}

/* SPI, sequence number, IV are what the head begins with. */
static void job_make(struct alg_case *c, uint32_t head_len, uint32_t len, bool esn)
{
	uint8_t *head = c->mem + ALG_GUARD, salt_len = algs[c->t.alg].salt_len;
	struct xi_aead_job *job = &c->job;

	*job = (struct xi_aead_job){.raw = &c->raw,
				    .data = head + head_len,
				    .icv = head + head_len + len,
				    .len = len,
				    .icv_len = c->t.icv_len,
				    .aad_len = esn ? 12 : 8,
				    .status = -1,
				    .head_len = (uint16_t)head_len,
				    .ah = c->t.ah};
	memcpy(job->aad, head, 4);
	if (esn)
		alg_random(job->aad + 4, 4);
	memcpy(job->aad + (esn ? 8 : 4), head + 4, 4);
	memcpy(job->nonce, c->raw.key + c->raw.len - c->raw.auth_len - salt_len, salt_len);
	memcpy(job->nonce + salt_len, head + 8, 8); /* of AH and CBC, which use none, anything */
}

void alg_case_set(struct alg_case *c, const uint8_t *head, uint32_t head_len, const uint8_t *clear,
		  uint32_t len, bool esn)
{
	uint8_t *mem = c->mem + ALG_GUARD;

	assert_true(head_len <= ALG_HEAD_MAX && len <= ALG_DATA_MAX);
	c->key = NULL;
	alg_random(c->mem, ALG_GUARD);
	memcpy(mem, head, head_len);
	memcpy(mem + head_len, clear, len);
	alg_random(mem + head_len + len, ALG_ICV_MAX + ALG_GUARD);
	memcpy(c->clear, clear, len);
	job_make(c, head_len, len, esn);
	memcpy(c->before, c->mem, sizeof(c->mem));
}

void alg_case_make(struct alg_case *c, const struct alg_transform *t, uint32_t len, bool esn)
{
	uint32_t head_len = 8U + algs[t->alg].iv_len, block = algs[t->alg].block;
	static uint8_t clear[ALG_DATA_MAX];
	uint8_t head[ALG_HEAD_MAX];

	c->t = *t;
	raw_make(&c->raw, t);
	/* the packet as AH sees it may be divided anywhere */
	if (t->ah)
		head_len = 8 + (uint32_t)random() % (ALG_HEAD_MAX - 8);
	len = (len + block - 1) / block * block;
	alg_random(head, head_len);
	alg_random(clear, len);
	alg_case_set(c, head, head_len, clear, len, esn);
}

void alg_case_key(struct alg_case *c, const struct xi_engine *e)
{
	assert_int_equal(e->key_new(&c->key, &c->raw, 1), 0);
	assert_non_null(c->key);
	c->job.key = c->key;
	c->job.raw = NULL;
}

void alg_case_unkey(struct alg_case *c, const struct xi_engine *e)
{
	e->key_free(c->key);
	c->key = NULL;
	c->job.key = NULL;
	c->job.raw = &c->raw;
}

static EVP_CIPHER *cipher_of(const struct alg_transform *t)
{
	EVP_CIPHER *cipher;
	char name[32];

	snprintf(name, sizeof(name), algs[t->alg].cipher, t->key_bits);
	cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	assert_non_null(cipher);
	return cipher;
}

static void ref_aead(struct alg_case *c)
{
	EVP_CIPHER *cipher = cipher_of(&c->t);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ccm = c->t.alg == XI_ALG_AES_CCM;
	int len = (int)c->job.len, n;

	assert_true(EVP_EncryptInit_ex2(ctx, cipher, NULL, NULL, NULL));
	assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, ccm ? 11 : 12, NULL));
	if (ccm)
		assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, c->t.icv_len, NULL));
	assert_true(EVP_EncryptInit_ex2(ctx, NULL, c->raw.key, c->job.nonce, NULL));
	if (ccm)
		assert_true(EVP_EncryptUpdate(ctx, NULL, &n, NULL, len));
	assert_true(EVP_EncryptUpdate(ctx, NULL, &n, c->job.aad, (int)c->job.aad_len));
	assert_true(EVP_EncryptUpdate(ctx, c->sealed, &n, c->clear, len));
	assert_true(EVP_EncryptFinal_ex(ctx, c->sealed + n, &n));
	assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, c->t.icv_len, c->icv));
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
}

static void ref_cipher(struct alg_case *c)
{
	uint8_t iv[16] = {[15] = 1};
	EVP_CIPHER_CTX *ctx;
	EVP_CIPHER *cipher;
	int n;

	memcpy(c->sealed, c->clear, c->job.len);
	if (!algs[c->t.alg].cipher)
		return;
	cipher = cipher_of(&c->t);
	ctx = EVP_CIPHER_CTX_new();
	if (c->t.alg == XI_ALG_AES_CBC)
		memcpy(iv, c->job.data - 16, 16);
	else
		memcpy(iv, c->job.nonce, 12);
	assert_true(EVP_EncryptInit_ex2(ctx, cipher, c->raw.key, iv, NULL));
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_true(EVP_EncryptUpdate(ctx, c->sealed, &n, c->clear, (int)c->job.len));
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
}

static uint32_t covered(const struct alg_case *c, uint8_t *msg)
{
	const struct xi_aead_job *job = &c->job;
	uint32_t n = 0;

	if (c->t.alg == XI_ALG_AES_GMAC && !c->t.ah) {
		memcpy(msg, job->aad, job->aad_len);
		memcpy(msg + job->aad_len, job->data - 8, 8);
		n = job->aad_len + 8;
	} else {
		memcpy(msg, job->data - job->head_len, job->head_len);
		n = job->head_len;
	}
	memcpy(msg + n, c->sealed, job->len);
	n += job->len;
	if (job->aad_len == 12 && (c->t.alg != XI_ALG_AES_GMAC || c->t.ah)) {
		memcpy(msg + n, job->aad + 4, 4);
		n += 4;
	}
	return n;
}

static void ref_mac(struct alg_case *c)
{
	static uint8_t msg[ALG_HEAD_MAX + ALG_DATA_MAX + 16];
	bool gmac = c->t.alg == XI_ALG_AES_GMAC;
	unsigned int a = gmac ? 0 : auth_index(c->t.auth);
	const uint8_t *key = gmac ? c->raw.key : c->raw.key + c->raw.len - c->raw.auth_len;
	EVP_MAC *mac = EVP_MAC_fetch(NULL, gmac ? "GMAC" : auths[a].mac, NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);
	char name[32], *with = name;
	uint8_t tag[64];
	size_t n;

	snprintf(name, sizeof(name), "%s", gmac ? "" : auths[a].with);
	if (gmac)
		snprintf(name, sizeof(name), "AES-%u-GCM", c->t.key_bits);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(gmac ? OSSL_MAC_PARAM_CIPHER : auths[a].param,
						 with, 0),
		gmac ? OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, c->job.nonce, 12)
		     : OSSL_PARAM_construct_end(),
		OSSL_PARAM_construct_end(),
	};
	assert_true(EVP_MAC_init(ctx, key, gmac ? c->t.key_bits / 8U : auths[a].key_len, params));
	assert_true(EVP_MAC_update(ctx, msg, covered(c, msg)));
	assert_true(EVP_MAC_final(ctx, tag, &n, sizeof(tag)));
	assert_true(n >= c->t.icv_len);
	memcpy(c->icv, tag, c->t.icv_len);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
}

void alg_case_reference(struct alg_case *c)
{
	if (algs[c->t.alg].icv[0] && c->t.alg != XI_ALG_AES_GMAC) {
		ref_aead(c);
		return;
	}
	if (c->t.alg == XI_ALG_AES_GMAC)
		memcpy(c->sealed, c->clear, c->job.len);
	else
		ref_cipher(c);
	ref_mac(c);
}

/* All but data, and from there the ICV with AH's scratch. */
static void surroundings_stay(const struct alg_case *c)
{
	size_t front = (size_t)(c->job.data - c->mem), end = front + c->job.len;
	bool inside = c->job.icv == c->job.data + c->job.len;
	size_t back = end + (inside ? c->t.icv_len : 4);

	assert_memory_equal(c->mem, c->before, front);
	assert_memory_equal(c->mem + back, c->before + back, ALG_GUARD);
}

void alg_case_is_sealed(const struct alg_case *c)
{
	if (c->job.status)
		fail_msg("%s, %u bytes: status %d", alg_text(&c->t), c->job.len, c->job.status);
	if (memcmp(c->job.data, c->sealed, c->job.len))
		fail_msg("%s, %u bytes: other data", alg_text(&c->t), c->job.len);
	if (memcmp(c->job.icv, c->icv, c->t.icv_len))
		fail_msg("%s, %u bytes, aad %u: another ICV", alg_text(&c->t), c->job.len,
			 c->job.aad_len);
	surroundings_stay(c);
}

void alg_case_is_open(const struct alg_case *c)
{
	if (c->job.status)
		fail_msg("%s, %u bytes: status %d", alg_text(&c->t), c->job.len, c->job.status);
	if (memcmp(c->job.data, c->clear, c->job.len))
		fail_msg("%s, %u bytes: other data", alg_text(&c->t), c->job.len);
	surroundings_stay(c);
}

void alg_case_is_refused(const struct alg_case *c)
{
	static const uint8_t zero[ALG_DATA_MAX];

	if (c->job.status != -EBADMSG)
		fail_msg("%s, %u bytes: status %d", alg_text(&c->t), c->job.len, c->job.status);
	if (!c->t.ah && memcmp(c->job.data, zero, c->job.len))
		fail_msg("%s, %u bytes: data left", alg_text(&c->t), c->job.len);
}
