// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * HMAC and CMAC by the functions of old: states of SHA are plain memory, which a packet copies, and
 * a CMAC_CTX starts anew with the key it has. Behind EVP_MAC of OpenSSL 3.0 each packet would
 * allocate twice.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/ssl_etm.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/cmac.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "crypto/ivgen.h"

#define AES_SIZES 3
#define CIPHERS (2 * AES_SIZES) /* CBC's sizes, then CTR's */
#define CMAC_KEY_LEN 16

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

enum dir { OPEN, SEAL }; /* values of EVP_CipherInit_ex2 */

/* Contexts are changed by use, and a cipher's has a direction: each worker has its own. */
struct contexts {
	EVP_CIPHER_CTX *cipher[2]; /* NULL encryption and AH have none */
	CMAC_CTX *cmac;		   /* NULL with HMAC */
};

struct xi_ssl_etm_key {
	enum xi_alg alg;
	struct hmac hmac;
	unsigned int nworkers;
	struct contexts of[];
};

struct xi_ssl_etm {
	unsigned int worker;
	struct xi_ivgen *ivgen;
	/* the SLOW method's, wiped after each job; rekeyed, as a new cipher would allocate */
	struct hmac scratch;
	EVP_CIPHER_CTX *slow[CIPHERS][2];
	CMAC_CTX *slow_cmac;
};

/* Fetched once: a fetch takes a lock and walks the providers. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *ciphers[CIPHERS];
static bool fetched;

static void fetch(void)
{
	static const char *const names[CIPHERS] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC",
						   "AES-128-CTR", "AES-192-CTR", "AES-256-CTR"};

	fetched = true;
	for (int i = 0; i < CIPHERS; i++) {
		ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
		fetched = fetched && ciphers[i];
	}
}

bool xi_ssl_etm_usable(void)
{
	pthread_once(&fetch_once, fetch);
	return fetched;
}

static bool has_cipher(enum xi_alg alg)
{
	return alg == XI_ALG_AES_CBC || alg == XI_ALG_AES_CTR;
}

static unsigned int cipher_index(const struct xi_sa_key *raw)
{
	return xi_aes_size(raw) + (raw->alg == XI_ALG_AES_CTR ? AES_SIZES : 0);
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
	if (raw->auth == XI_AUTH_AES_CMAC)
		return;
	sha_start(&hmac->inner, &shas[raw->auth], raw, 0x36);
	sha_start(&hmac->outer, &shas[raw->auth], raw, 0x5c);
}

static void hmac_job(const struct hmac *hmac, const struct xi_aead_job *job, uint8_t *out)
{
	const struct sha_ops *ops = &shas[hmac->auth];
	union sha sha = hmac->inner;

	ops->update(&sha, xi_job_head(job), job->head_len + job->len);
	if (xi_job_has_esn(job))
		ops->update(&sha, xi_job_esn(job), XI_JOB_ESN_LEN);
	ops->final(out, &sha);
	sha = hmac->outer;
	ops->update(&sha, out, ops->len);
	ops->final(out, &sha);
}

static int cmac_job(CMAC_CTX *cmac, const struct xi_aead_job *job, uint8_t *out)
{
	size_t len;

	if (!CMAC_Init(cmac, NULL, 0, NULL, NULL) ||
	    !CMAC_Update(cmac, xi_job_head(job), job->head_len + job->len) ||
	    (xi_job_has_esn(job) && !CMAC_Update(cmac, xi_job_esn(job), XI_JOB_ESN_LEN)) ||
	    !CMAC_Final(cmac, out, &len))
		return -EIO;
	return 0;
}

static int mac_job(const struct hmac *hmac, const struct contexts *ctx,
		   const struct xi_aead_job *job, uint8_t *out)
{
	if (hmac->auth == XI_AUTH_AES_CMAC)
		return cmac_job(ctx->cmac, job, out);
	hmac_job(hmac, job, out);
	return 0;
}

static CMAC_CTX *cmac_new(const uint8_t *key)
{
	CMAC_CTX *cmac = CMAC_CTX_new();

	if (cmac && !CMAC_Init(cmac, key, CMAC_KEY_LEN, EVP_aes_128_cbc(), NULL)) {
		CMAC_CTX_free(cmac);
		return NULL;
	}
	return cmac;
}

static EVP_CIPHER_CTX *ctx_new(unsigned int cipher, const uint8_t *key, enum dir dir)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && (!EVP_CipherInit_ex2(ctx, ciphers[cipher], key, NULL, dir, NULL) ||
		    !EVP_CIPHER_CTX_set_padding(ctx, 0))) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static void contexts_free(struct contexts *ctx)
{
	for (int dir = OPEN; dir <= SEAL; dir++)
		EVP_CIPHER_CTX_free(ctx->cipher[dir]);
	CMAC_CTX_free(ctx->cmac);
}

static int contexts_init(struct contexts *ctx, const struct xi_sa_key *raw)
{
	for (int dir = OPEN; dir <= SEAL && has_cipher(raw->alg); dir++) {
		ctx->cipher[dir] = ctx_new(cipher_index(raw), raw->key, dir);
		if (!ctx->cipher[dir])
			return -ENOMEM;
	}
	if (raw->auth != XI_AUTH_AES_CMAC)
		return 0;
	ctx->cmac = cmac_new(xi_key_auth(raw));
	return ctx->cmac ? 0 : -ENOMEM;
}

/* Freeing a context wipes its key schedule. */
void xi_ssl_etm_key_free(struct xi_ssl_etm_key *key)
{
	if (!key)
		return;
	for (unsigned int i = 0; i < key->nworkers; i++)
		contexts_free(&key->of[i]);
	explicit_bzero(&key->hmac, sizeof(key->hmac));
	free(key);
}

int xi_ssl_etm_key_new(struct xi_ssl_etm_key **out, const struct xi_sa_key *raw,
		       unsigned int nworkers)
{
	struct xi_ssl_etm_key *key;
	int err;

	if (raw->auth == XI_AUTH_NONE || !xi_key_valid(raw))
		return -EINVAL;
	key = calloc(1, sizeof(*key) + nworkers * sizeof(key->of[0]));
	if (!key)
		return -ENOMEM;
	key->alg = raw->alg;
	key->nworkers = nworkers;
	hmac_start(&key->hmac, raw);
	for (unsigned int i = 0; i < nworkers; i++) {
		err = contexts_init(&key->of[i], raw);
		if (err) {
			xi_ssl_etm_key_free(key);
			return err;
		}
	}
	*out = key;
	return 0;
}

void xi_ssl_etm_free(struct xi_ssl_etm *etm)
{
	if (!etm)
		return;
	for (int i = 0; i < CIPHERS; i++)
		for (int dir = OPEN; dir <= SEAL; dir++)
			EVP_CIPHER_CTX_free(etm->slow[i][dir]);
	CMAC_CTX_free(etm->slow_cmac);
	xi_ivgen_free(etm->ivgen);
	free(etm);
}

int xi_ssl_etm_new(struct xi_ssl_etm **out, unsigned int worker)
{
	static const uint8_t zero[CMAC_KEY_LEN];
	struct xi_ssl_etm *etm = calloc(1, sizeof(*etm));
	int err;

	if (!etm)
		return -ENOMEM;
	etm->worker = worker;
	err = xi_ivgen_new(&etm->ivgen);
	if (err)
		goto free_etm;
	err = -ENOMEM;
	etm->slow_cmac = cmac_new(zero);
	if (!etm->slow_cmac)
		goto free_etm;
	for (unsigned int i = 0; i < CIPHERS; i++) {
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

static int cbc_ctr(EVP_CIPHER_CTX *ctx, enum xi_alg alg, struct xi_aead_job *job, enum dir dir)
{
	/* RFC 3686 section 4: the block counter starts at 1 */
	uint8_t counter[16] = {[15] = 1};
	const uint8_t *iv = counter;
	int n;

	if (!job->len || !ctx)
		return 0;
	if (alg == XI_ALG_AES_CBC)
		iv = job->data - XI_CBC_BLOCK;
	else
		memcpy(counter, job->nonce, sizeof(job->nonce));
	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, iv, dir, NULL) ||
	    !EVP_CipherUpdate(ctx, job->data, &n, job->data, (int)job->len) || n != (int)job->len)
		return -EIO;
	return 0;
}

static int seal(struct xi_ssl_etm *etm, const struct hmac *hmac, const struct contexts *ctx,
		enum xi_alg alg, struct xi_aead_job *job)
{
	uint8_t tag[SHA512_DIGEST_LENGTH];
	int err = xi_ivgen_fill(etm->ivgen, &job, 1);

	if (!err)
		err = cbc_ctr(ctx->cipher[SEAL], alg, job, SEAL);
	if (!err)
		err = mac_job(hmac, ctx, job, tag);
	if (!err)
		memcpy(job->icv, tag, job->icv_len);
	return err;
}

/* Nothing is decrypted whose ICV was not verified. */
static int open_job(const struct hmac *hmac, const struct contexts *ctx, enum xi_alg alg,
		    struct xi_aead_job *job)
{
	uint8_t tag[SHA512_DIGEST_LENGTH];
	int err = mac_job(hmac, ctx, job, tag);

	if (!err && CRYPTO_memcmp(tag, job->icv, job->icv_len))
		err = -EBADMSG;
	if (!err)
		err = cbc_ctr(ctx->cipher[OPEN], alg, job, OPEN);
	if (err)
		xi_job_zero(job);
	return err;
}

static int run(struct xi_ssl_etm *etm, const struct hmac *hmac, const struct contexts *ctx,
	       enum xi_alg alg, struct xi_aead_job *job, enum dir dir)
{
	return dir == SEAL ? seal(etm, hmac, ctx, alg, job) : open_job(hmac, ctx, alg, job);
}

static bool slow_key(struct xi_ssl_etm *etm, const struct xi_sa_key *raw, const uint8_t *key,
		     const uint8_t *auth, enum dir dir)
{
	if (has_cipher(raw->alg) &&
	    !EVP_CipherInit_ex2(etm->slow[cipher_index(raw)][dir], NULL, key, NULL, dir, NULL))
		return false;
	return raw->auth != XI_AUTH_AES_CMAC ||
	       CMAC_Init(etm->slow_cmac, auth, CMAC_KEY_LEN, NULL, NULL);
}

/* An all-zero key takes the place of the last one, because a reset would free what the next SLOW
 * job needs. */
static void slow_wipe(struct xi_ssl_etm *etm, const struct xi_sa_key *raw, enum dir dir)
{
	static const uint8_t zero[32];

	slow_key(etm, raw, zero, zero, dir);
	explicit_bzero(&etm->scratch, sizeof(etm->scratch));
}

static int run_slow(struct xi_ssl_etm *etm, struct xi_aead_job *job, enum dir dir)
{
	const struct xi_sa_key *raw = job->raw;
	struct contexts ctx = {.cmac = etm->slow_cmac};
	int err;

	if (raw->auth == XI_AUTH_NONE || !xi_key_valid(raw))
		return -EINVAL;
	err = xi_job_check(job, raw->alg, raw->auth);
	if (err)
		return err;
	hmac_start(&etm->scratch, raw);
	if (has_cipher(raw->alg))
		ctx.cipher[dir] = etm->slow[cipher_index(raw)][dir];
	err = -EIO;
	if (slow_key(etm, raw, raw->key, xi_key_auth(raw), dir))
		err = run(etm, &etm->scratch, &ctx, raw->alg, job, dir);
	slow_wipe(etm, raw, dir);
	return err;
}

static int run_any(struct xi_ssl_etm *etm, const struct xi_ssl_etm_key *key,
		   struct xi_aead_job *job, enum dir dir)
{
	int err;

	if (!key)
		return run_slow(etm, job, dir);
	if (etm->worker >= key->nworkers)
		return -EINVAL;
	err = xi_job_check(job, key->alg, key->hmac.auth);
	return err ? err : run(etm, &key->hmac, &key->of[etm->worker], key->alg, job, dir);
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
