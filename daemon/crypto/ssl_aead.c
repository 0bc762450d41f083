// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "crypto/ssl_aead.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "crypto/gcm.h"

#define AES_SIZES 3
#define IV_LEN 8
#define CCM_NONCE_LEN 11
#define CCM_ICVS 3 /* 8, 12, 16 */
#define KEEP (-1)

enum dir { OPEN, SEAL }; /* values of EVP_CipherInit_ex2 */

enum cipher {
	GCM_128,
	GCM_192,
	GCM_256,
	CCM_128,
	CCM_192,
	CCM_256,
	CHACHA,
	CIPHERS,
};

/* A context is changed by use, so a key has one for every worker; of CCM, whose key schedule is for
 * a direction and an ICV length, one for each of those. */
struct xi_ssl_aead_key {
	enum xi_alg alg;
	unsigned int nworkers;
	unsigned int nctx; /* a worker */
	EVP_CIPHER_CTX *ctx[];
};

struct xi_ssl_aead {
	unsigned int worker;
	EVP_CIPHER_CTX *scratch[CIPHERS]; /* the SLOW method's; rekeyed, as a new cipher would
					     allocate */
	bool dirty[CIPHERS];		  /* scratch holds somebody's key */
};

/* Fetched once: a fetch takes a lock and walks the providers. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *ciphers[CIPHERS];
static bool fetched;

static void fetch(void)
{
	static const char *const names[CIPHERS] = {
		[GCM_128] = "AES-128-GCM",	[GCM_192] = "AES-192-GCM",
		[GCM_256] = "AES-256-GCM",	[CCM_128] = "AES-128-CCM",
		[CCM_192] = "AES-192-CCM",	[CCM_256] = "AES-256-CCM",
		[CHACHA] = "ChaCha20-Poly1305",
	};

	fetched = true;
	for (int i = 0; i < CIPHERS; i++) {
		ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
		fetched = fetched && ciphers[i];
	}
}

bool xi_ssl_aead_usable(void)
{
	pthread_once(&fetch_once, fetch);
	return fetched;
}

/* raw: a valid key of an AEAD. */
static enum cipher cipher_of(const struct xi_sa_key *raw)
{
	switch (raw->alg) {
	case XI_ALG_AES_CCM:
		return CCM_128 + xi_aes_size(raw);
	case XI_ALG_CHACHA20_POLY1305:
		return CHACHA;
	default:
		return GCM_128 + xi_aes_size(raw);
	}
}

static bool is_aead_key(const struct xi_sa_key *raw)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(raw->alg);

	return cipher && cipher->aead && xi_key_valid(raw);
}

static bool is_ccm(enum cipher cipher)
{
	return cipher >= CCM_128 && cipher <= CCM_256;
}

/* Of CCM lengths come before the key. */
static bool ccm_lengths(EVP_CIPHER_CTX *ctx, uint32_t icv_len)
{
	return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, CCM_NONCE_LEN, NULL) > 0 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)icv_len, NULL) > 0;
}

static EVP_CIPHER_CTX *ctx_new(enum cipher cipher, const uint8_t *key, enum dir dir,
			       uint32_t icv_len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && EVP_CipherInit_ex2(ctx, ciphers[cipher], NULL, NULL, dir, NULL) &&
	    (!is_ccm(cipher) || ccm_lengths(ctx, icv_len)) &&
	    (!key || EVP_CipherInit_ex2(ctx, NULL, key, NULL, KEEP, NULL)))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

/* EVP_CIPHER_CTX_free wipes the key schedule. */
void xi_ssl_aead_key_free(struct xi_ssl_aead_key *key)
{
	if (!key)
		return;
	for (unsigned int i = 0; i < key->nctx * key->nworkers; i++)
		EVP_CIPHER_CTX_free(key->ctx[i]);
	free(key);
}

/* A worker's contexts: one, or CCM's to open by ICV length, then those to seal. */
static unsigned int ctx_index(const struct xi_aead_job *job, enum dir dir)
{
	return dir * CCM_ICVS + job->icv_len / 4 - 2;
}

int xi_ssl_aead_key_new(struct xi_ssl_aead_key **out, const struct xi_sa_key *raw,
			unsigned int nworkers)
{
	unsigned int nctx = raw->alg == XI_ALG_AES_CCM ? 2 * CCM_ICVS : 1;
	struct xi_ssl_aead_key *key;

	if (!is_aead_key(raw))
		return -EINVAL;
	key = calloc(1, sizeof(*key) + nctx * nworkers * sizeof(key->ctx[0]));
	if (!key)
		return -ENOMEM;
	key->alg = raw->alg;
	key->nworkers = nworkers;
	key->nctx = nctx;
	for (unsigned int i = 0; i < nctx * nworkers; i++) {
		enum dir dir = i % nctx < CCM_ICVS ? OPEN : SEAL;

		key->ctx[i] = ctx_new(cipher_of(raw), raw->key, dir, 8 + 4 * (i % CCM_ICVS));
		if (!key->ctx[i]) {
			xi_ssl_aead_key_free(key);
			return -ENOMEM;
		}
	}
	*out = key;
	return 0;
}

void xi_ssl_aead_free(struct xi_ssl_aead *aead)
{
	if (!aead)
		return;
	for (int i = 0; i < CIPHERS; i++)
		EVP_CIPHER_CTX_free(aead->scratch[i]);
	free(aead);
}

int xi_ssl_aead_new(struct xi_ssl_aead **out, unsigned int worker)
{
	struct xi_ssl_aead *aead = calloc(1, sizeof(*aead));

	if (!aead)
		return -ENOMEM;
	aead->worker = worker;
	for (int i = 0; i < CIPHERS; i++) {
		aead->scratch[i] = ctx_new(i, NULL, SEAL, 16);
		if (!aead->scratch[i]) {
			xi_ssl_aead_free(aead);
			return -ENOMEM;
		}
	}
	*out = aead;
	return 0;
}

static EVP_CIPHER_CTX *scratch_ctx(struct xi_ssl_aead *aead, const struct xi_aead_job *job,
				   enum dir dir)
{
	enum cipher cipher = cipher_of(job->raw);
	EVP_CIPHER_CTX *ctx = aead->scratch[cipher];

	aead->dirty[cipher] = true;
	if ((is_ccm(cipher) && !ccm_lengths(ctx, job->icv_len)) ||
	    !EVP_CipherInit_ex2(ctx, NULL, job->raw->key, NULL, dir, NULL))
		return NULL;
	return ctx;
}

/* An all-zero key takes the place of the last one, because a reset would free what the next SLOW
 * job needs. */
void xi_ssl_aead_wipe(struct xi_ssl_aead *aead)
{
	static const uint8_t zero[32];

	for (int i = 0; i < CIPHERS; i++) {
		if (!aead->dirty[i])
			continue;
		EVP_CipherInit_ex2(aead->scratch[i], NULL, zero, NULL, KEEP, NULL);
		aead->dirty[i] = false;
	}
}

static int job_ctx(struct xi_ssl_aead *aead, const struct xi_ssl_aead_key *key,
		   const struct xi_aead_job *job, enum dir dir, EVP_CIPHER_CTX **ctx)
{
	enum xi_alg alg = key ? key->alg : job->raw->alg;
	int err;

	if (!key && !is_aead_key(job->raw))
		return -EINVAL;
	err = alg == XI_ALG_AES_GCM ? xi_gcm_check(job) : xi_job_check(job, alg, XI_AUTH_NONE);
	if (err)
		return err;
	if (!key)
		*ctx = scratch_ctx(aead, job, dir);
	else if (aead->worker >= key->nworkers)
		return -EINVAL;
	else
		*ctx = key->ctx[key->nctx * aead->worker +
				(key->nctx > 1 ? ctx_index(job, dir) : 0)];
	return *ctx ? 0 : -EIO;
}

static bool aad_add(EVP_CIPHER_CTX *ctx, const uint8_t *p, uint32_t len)
{
	int n;

	return !len || EVP_CipherUpdate(ctx, NULL, &n, p, (int)len);
}

static bool gmac_add(EVP_CIPHER_CTX *ctx, const struct xi_aead_job *job)
{
	if (job->ah)
		return aad_add(ctx, xi_job_head(job), job->head_len + job->len) &&
		       aad_add(ctx, xi_job_esn(job), xi_job_has_esn(job) ? XI_JOB_ESN_LEN : 0);
	return aad_add(ctx, job->aad, job->aad_len) && aad_add(ctx, job->data - IV_LEN, IV_LEN) &&
	       aad_add(ctx, job->data, job->len);
}

/* CCM is told the length first, and compares the ICV on the way. EVP_CipherUpdate would put an
 * error into a queue for a wrong one, which allocates. */
static bool ccm_add(EVP_CIPHER_CTX *ctx, const struct xi_aead_job *job)
{
	int n;

	return EVP_CipherUpdate(ctx, NULL, &n, NULL, (int)job->len) &&
	       aad_add(ctx, job->aad, job->aad_len) &&
	       EVP_Cipher(ctx, job->data, job->data, job->len) >= 0;
}

static bool data_add(EVP_CIPHER_CTX *ctx, enum xi_alg alg, const struct xi_aead_job *job)
{
	int n;

	if (alg == XI_ALG_AES_GMAC)
		return gmac_add(ctx, job);
	if (alg == XI_ALG_AES_CCM)
		return ccm_add(ctx, job);
	return aad_add(ctx, job->aad, job->aad_len) &&
	       EVP_CipherUpdate(ctx, job->data, &n, job->data, (int)job->len);
}

static int seal(EVP_CIPHER_CTX *ctx, enum xi_alg alg, struct xi_aead_job *job)
{
	uint8_t none[16];
	int n;

	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, job->nonce, SEAL, NULL) ||
	    !data_add(ctx, alg, job) || !EVP_EncryptFinal_ex(ctx, none, &n) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)job->icv_len, job->icv))
		return -EIO;
	return 0;
}

static int open_job(EVP_CIPHER_CTX *ctx, enum xi_alg alg, struct xi_aead_job *job)
{
	uint8_t none[16];
	int n;

	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, job->nonce, OPEN, NULL) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)job->icv_len, job->icv))
		return -EIO;
	if (!data_add(ctx, alg, job))
		return alg == XI_ALG_AES_CCM ? -EBADMSG : -EIO;
	if (alg == XI_ALG_AES_CCM)
		return 0;
	return EVP_DecryptFinal_ex(ctx, none, &n) > 0 ? 0 : -EBADMSG;
}

void xi_ssl_aead_seal(struct xi_ssl_aead *aead, const struct xi_ssl_aead_key *key,
		      struct xi_aead_job *job)
{
	EVP_CIPHER_CTX *ctx = NULL;

	job->status = job_ctx(aead, key, job, SEAL, &ctx);
	if (job->status)
		return;
	job->status = seal(ctx, key ? key->alg : job->raw->alg, job);
}

void xi_ssl_aead_open(struct xi_ssl_aead *aead, const struct xi_ssl_aead_key *key,
		      struct xi_aead_job *job)
{
	EVP_CIPHER_CTX *ctx = NULL;

	job->status = job_ctx(aead, key, job, OPEN, &ctx);
	if (job->status)
		return;
	job->status = open_job(ctx, key ? key->alg : job->raw->alg, job);
	if (job->status)
		xi_job_zero(job);
}
