// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * HMAC by the SHA functions of old: their states are plain memory, which a packet copies. Behind
 * EVP_MAC of OpenSSL 3.0 each packet would allocate twice.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/ssl_etm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "crypto/algs.h"

#define AES_SIZES 3

union sha {
	SHA_CTX sha1;
	SHA256_CTX sha256;
	SHA512_CTX sha512;
};

struct sha_ops {
	int (*init)(union sha *sha);
	int (*update)(union sha *sha, const void *data, size_t len);
	int (*final)(uint8_t *out, union sha *sha);
	uint8_t block;
	uint8_t len;
};

#define SHA_OPS(name, field, fn)                                                                   \
	static int name##_init(union sha *sha)                                                     \
	{                                                                                          \
		return fn##_Init(&sha->field);                                                     \
	}                                                                                          \
	static int name##_update(union sha *sha, const void *data, size_t len)                     \
	{                                                                                          \
		return fn##_Update(&sha->field, data, len);                                        \
	}                                                                                          \
	static int name##_final(uint8_t *out, union sha *sha)                                      \
	{                                                                                          \
		return fn##_Final(out, &sha->field);                                               \
	}

SHA_OPS(sha1, sha1, SHA1)
SHA_OPS(sha256, sha256, SHA256)
SHA_OPS(sha384, sha512, SHA384)
SHA_OPS(sha512, sha512, SHA512)

static const struct sha_ops shas[] = {
	[XI_AUTH_HMAC_SHA1] = {sha1_init, sha1_update, sha1_final, 64, 20},
	[XI_AUTH_HMAC_SHA256] = {sha256_init, sha256_update, sha256_final, 64, 32},
	[XI_AUTH_HMAC_SHA384] = {sha384_init, sha384_update, sha384_final, 128, 48},
	[XI_AUTH_HMAC_SHA512] = {sha512_init, sha512_update, sha512_final, 128, 64},
};

/* States after the padded key (RFC 2104 section 4). */
struct hmac {
	enum xi_auth auth;
	union sha inner, outer;
};

/* A cipher context is changed by use and has a direction, so a key has two for every worker. */
struct xi_ssl_etm_key {
	struct hmac hmac;
	unsigned int nworkers;
	EVP_CIPHER_CTX *ctx[]; /* seal of worker 0, open of worker 0, seal of worker 1 ... */
};

struct xi_ssl_etm {
	unsigned int worker;
	struct xi_ivgen *ivgen;
	struct hmac scratch;		    /* the SLOW method's; wiped after each job */
	EVP_CIPHER_CTX *slow[AES_SIZES][2]; /* rekeyed, as a new cipher would allocate */
};

enum dir { OPEN, SEAL }; /* values of EVP_CipherInit_ex2 */

/* Fetched once: a fetch takes a lock and walks the providers. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *ciphers[AES_SIZES];

static void fetch(void)
{
	static const char *const names[AES_SIZES] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"};

	for (int i = 0; i < AES_SIZES; i++)
		ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
}

bool xi_ssl_etm_usable(void)
{
	pthread_once(&fetch_once, fetch);
	return ciphers[0] && ciphers[1] && ciphers[2];
}

static unsigned int aes_size(const struct xi_sa_key *raw)
{
	return (raw->len - raw->auth_len) / 8 - 2;
}

static void sha_start(union sha *sha, const struct sha_ops *ops, const struct xi_sa_key *raw,
		      uint8_t fill)
{
	const uint8_t *key = xi_key_auth(raw);
	uint8_t block[128];

	memset(block, fill, sizeof(block));
	for (uint32_t i = 0; i < raw->auth_len; i++)
		block[i] ^= key[i];
	ops->init(sha);
	ops->update(sha, block, ops->block);
	explicit_bzero(block, sizeof(block));
}

static void hmac_start(struct hmac *hmac, const struct xi_sa_key *raw)
{
	hmac->auth = raw->auth;
	sha_start(&hmac->inner, &shas[raw->auth], raw, 0x36);
	sha_start(&hmac->outer, &shas[raw->auth], raw, 0x5c);
}

static void hmac_job(const struct hmac *hmac, const struct xi_aead_job *job, uint8_t *out)
{
	const struct sha_ops *ops = &shas[hmac->auth];
	union sha sha = hmac->inner;

	ops->update(&sha, job->data - job->head_len, job->head_len + job->len);
	if (xi_etm_has_esn(job))
		ops->update(&sha, xi_etm_esn(job), XI_ETM_ESN_LEN);
	ops->final(out, &sha);
	sha = hmac->outer;
	ops->update(&sha, out, ops->len);
	ops->final(out, &sha);
}

static EVP_CIPHER_CTX *ctx_new(unsigned int size, const uint8_t *key, enum dir dir)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && (!EVP_CipherInit_ex2(ctx, ciphers[size], key, NULL, dir, NULL) ||
		    !EVP_CIPHER_CTX_set_padding(ctx, 0))) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* EVP_CIPHER_CTX_free wipes the key schedule. */
void xi_ssl_etm_key_free(struct xi_ssl_etm_key *key)
{
	if (!key)
		return;
	for (unsigned int i = 0; i < 2 * key->nworkers; i++)
		EVP_CIPHER_CTX_free(key->ctx[i]);
	explicit_bzero(&key->hmac, sizeof(key->hmac));
	free(key);
}

int xi_ssl_etm_key_new(struct xi_ssl_etm_key **out, const struct xi_sa_key *raw,
		       unsigned int nworkers)
{
	struct xi_ssl_etm_key *key;

	if (raw->alg != XI_ALG_AES_CBC || !xi_key_valid(raw))
		return -EINVAL;
	key = calloc(1, sizeof(*key) + 2 * nworkers * sizeof(key->ctx[0]));
	if (!key)
		return -ENOMEM;
	key->nworkers = nworkers;
	hmac_start(&key->hmac, raw);
	for (unsigned int i = 0; i < 2 * nworkers; i++) {
		key->ctx[i] = ctx_new(aes_size(raw), raw->key, i % 2 ? OPEN : SEAL);
		if (!key->ctx[i]) {
			xi_ssl_etm_key_free(key);
			return -ENOMEM;
		}
	}
	*out = key;
	return 0;
}

void xi_ssl_etm_free(struct xi_ssl_etm *etm)
{
	if (!etm)
		return;
	for (int i = 0; i < AES_SIZES; i++)
		for (int dir = OPEN; dir <= SEAL; dir++)
			EVP_CIPHER_CTX_free(etm->slow[i][dir]);
	xi_ivgen_free(etm->ivgen);
	free(etm);
}

int xi_ssl_etm_new(struct xi_ssl_etm **out, unsigned int worker)
{
	struct xi_ssl_etm *etm = calloc(1, sizeof(*etm));
	int err;

	if (!etm)
		return -ENOMEM;
	etm->worker = worker;
	err = xi_ivgen_new(&etm->ivgen);
	if (err)
		goto free_etm;
	err = -ENOMEM;
	for (unsigned int i = 0; i < AES_SIZES; i++) {
		for (int dir = OPEN; dir <= SEAL; dir++) {
			etm->slow[i][dir] = ctx_new(i, NULL, dir);
			if (!etm->slow[i][dir])
				goto free_etm;
		}
	}
	*out = etm;
	return 0;
free_etm:
	xi_ssl_etm_free(etm);
	return err;
}

static EVP_CIPHER_CTX *slow_ctx(struct xi_ssl_etm *etm, const struct xi_sa_key *raw, enum dir dir)
{
	EVP_CIPHER_CTX *ctx = etm->slow[aes_size(raw)][dir];

	return EVP_CipherInit_ex2(ctx, NULL, raw->key, NULL, dir, NULL) ? ctx : NULL;
}

/* An all-zero key takes the place of the last one, because a reset would free what the next SLOW
 * job needs. */
static void slow_wipe(struct xi_ssl_etm *etm, const struct xi_sa_key *raw, enum dir dir)
{
	static const uint8_t zero[32];

	EVP_CipherInit_ex2(etm->slow[aes_size(raw)][dir], NULL, zero, NULL, dir, NULL);
	explicit_bzero(&etm->scratch, sizeof(etm->scratch));
}

static int cipher(EVP_CIPHER_CTX *ctx, struct xi_aead_job *job, enum dir dir)
{
	int n;

	if (!job->len)
		return 0;
	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, job->data - XI_ETM_BLOCK, dir, NULL) ||
	    !EVP_CipherUpdate(ctx, job->data, &n, job->data, (int)job->len) || n != (int)job->len)
		return -EIO;
	return 0;
}

static int seal(struct xi_ssl_etm *etm, const struct hmac *hmac, EVP_CIPHER_CTX *ctx,
		struct xi_aead_job *job)
{
	uint8_t tag[SHA512_DIGEST_LENGTH];
	int err = xi_ivgen_fill(etm->ivgen, &job, 1);

	if (!err)
		err = cipher(ctx, job, SEAL);
	if (err)
		return err;
	hmac_job(hmac, job, tag);
	memcpy(job->icv, tag, job->icv_len);
	return 0;
}

/* Nothing is decrypted whose ICV was not verified. */
static int open_job(const struct hmac *hmac, EVP_CIPHER_CTX *ctx, struct xi_aead_job *job)
{
	uint8_t tag[SHA512_DIGEST_LENGTH];
	int err;

	hmac_job(hmac, job, tag);
	err = CRYPTO_memcmp(tag, job->icv, job->icv_len) ? -EBADMSG : cipher(ctx, job, OPEN);
	if (err)
		memset(job->data, 0, job->len);
	return err;
}

static int run(struct xi_ssl_etm *etm, const struct hmac *hmac, EVP_CIPHER_CTX *ctx,
	       struct xi_aead_job *job, enum dir dir)
{
	int err = xi_etm_check(job, hmac->auth);

	if (err)
		return err;
	if (!ctx)
		return -EIO;
	return dir == SEAL ? seal(etm, hmac, ctx, job) : open_job(hmac, ctx, job);
}

static int run_slow(struct xi_ssl_etm *etm, struct xi_aead_job *job, enum dir dir)
{
	int err;

	if (job->raw->alg != XI_ALG_AES_CBC || !xi_key_valid(job->raw))
		return -EINVAL;
	hmac_start(&etm->scratch, job->raw);
	err = run(etm, &etm->scratch, slow_ctx(etm, job->raw, dir), job, dir);
	slow_wipe(etm, job->raw, dir);
	return err;
}

static int run_any(struct xi_ssl_etm *etm, const struct xi_ssl_etm_key *key,
		   struct xi_aead_job *job, enum dir dir)
{
	if (!key)
		return run_slow(etm, job, dir);
	if (etm->worker >= key->nworkers)
		return -EINVAL;
	return run(etm, &key->hmac, key->ctx[2 * etm->worker + (dir == OPEN)], job, dir);
}

void xi_ssl_etm_seal(struct xi_ssl_etm *etm, const struct xi_ssl_etm_key *key,
		     struct xi_aead_job *job)
{
	job->status = run_any(etm, key, job, SEAL);
}

void xi_ssl_etm_open(struct xi_ssl_etm *etm, const struct xi_ssl_etm_key *key,
		     struct xi_aead_job *job)
{
	job->status = run_any(etm, key, job, OPEN);
}
