// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* OpenSSL 3: everywhere usable, and the check on the other engine. */
#include "crypto/crypto.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>

#include "crypto/algs.h"
#include "crypto/gcm.h"
#include "crypto/ssl_etm.h"

#define SEAL 1
#define OPEN 0
#define KEEP (-1)

/* A context is changed by use, so a key has one for every worker. */
struct xi_ckey {
	struct xi_ssl_etm_key *etm;  /* else GCM */
	unsigned int nworkers;
	EVP_CIPHER_CTX *ctx[];
};

struct xi_crypto {
	EVP_CIPHER_CTX *scratch[XI_GCM_SIZES]; /* the SLOW method's; rekeyed, as a new cipher would
						  allocate */
	bool dirty[XI_GCM_SIZES];	       /* scratch holds somebody's key */
	unsigned int worker;
	struct xi_ssl_etm *etm;
};

/* Fetched once: a fetch takes a lock and walks the providers. */
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *ciphers[XI_GCM_SIZES];

static void fetch(void)
{
	static const char *const names[XI_GCM_SIZES] = {
		[XI_GCM_128] = "AES-128-GCM",
		[XI_GCM_192] = "AES-192-GCM",
		[XI_GCM_256] = "AES-256-GCM",
	};

	for (int i = 0; i < XI_GCM_SIZES; i++)
		ciphers[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
}

static bool ssl_usable(void)
{
	pthread_once(&fetch_once, fetch);
	return ciphers[XI_GCM_128] && ciphers[XI_GCM_192] && ciphers[XI_GCM_256] &&
	       xi_ssl_etm_usable();
}

static EVP_CIPHER_CTX *ctx_new(enum xi_gcm_size size, const uint8_t *key)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx && !EVP_CipherInit_ex2(ctx, ciphers[size], key, NULL, SEAL, NULL)) {
		EVP_CIPHER_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

static void ssl_destroy(struct xi_crypto *c)
{
	if (!c)
		return;
	for (int i = 0; i < XI_GCM_SIZES; i++)
		EVP_CIPHER_CTX_free(c->scratch[i]);
	xi_ssl_etm_free(c->etm);
	free(c);
}

static int ssl_create(struct xi_crypto **out, unsigned int worker)
{
	struct xi_crypto *c;
	int err;

	if (!ssl_usable())
		return -EOPNOTSUPP;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->worker = worker;
	err = xi_ssl_etm_new(&c->etm, worker);
	if (err) {
		ssl_destroy(c);
		return err;
	}
	for (int i = 0; i < XI_GCM_SIZES; i++) {
		c->scratch[i] = ctx_new(i, NULL);
		if (!c->scratch[i]) {
			ssl_destroy(c);
			return -ENOMEM;
		}
	}
	*out = c;
	return 0;
}

/* EVP_CIPHER_CTX_free wipes the key schedule. */
static void ssl_key_free(struct xi_ckey *key)
{
	if (!key)
		return;
	for (unsigned int i = 0; i < key->nworkers; i++)
		EVP_CIPHER_CTX_free(key->ctx[i]);
	xi_ssl_etm_key_free(key->etm);
	free(key);
}

static int etm_key_new(struct xi_ckey **out, const struct xi_sa_key *raw, unsigned int nworkers)
{
	struct xi_ckey *key = calloc(1, sizeof(*key));
	int err;

	if (!key)
		return -ENOMEM;
	err = xi_ssl_etm_key_new(&key->etm, raw, nworkers);
	if (err) {
		free(key);
		return err;
	}
	*out = key;
	return 0;
}

static int ssl_key_new(struct xi_ckey **out, const struct xi_sa_key *raw, unsigned int nworkers)
{
	enum xi_gcm_size size;
	struct xi_ckey *key;
	int err;

	if (!ssl_usable())
		return -EOPNOTSUPP;
	if (raw->alg != XI_ALG_AES_GCM)
		return etm_key_new(out, raw, nworkers);
	err = xi_gcm_size(raw, &size);
	if (err)
		return err;
	key = calloc(1, sizeof(*key) + nworkers * sizeof(key->ctx[0]));
	if (!key)
		return -ENOMEM;
	key->nworkers = nworkers;
	for (unsigned int i = 0; i < nworkers; i++) {
		key->ctx[i] = ctx_new(size, raw->key);
		if (!key->ctx[i]) {
			ssl_key_free(key);
			return -ENOMEM;
		}
	}
	*out = key;
	return 0;
}

static EVP_CIPHER_CTX *scratch_ctx(struct xi_crypto *c, struct xi_aead_job *job)
{
	enum xi_gcm_size size;

	job->status = xi_gcm_size(job->raw, &size);
	if (job->status)
		return NULL;
	c->dirty[size] = true;
	if (!EVP_CipherInit_ex2(c->scratch[size], NULL, job->raw->key, NULL, KEEP, NULL)) {
		job->status = -EIO;
		return NULL;
	}
	return c->scratch[size];
}

static EVP_CIPHER_CTX *job_ctx(struct xi_crypto *c, struct xi_aead_job *job)
{
	job->status = xi_gcm_check(job);
	if (job->status)
		return NULL;
	if (!job->key)
		return scratch_ctx(c, job);
	if (c->worker >= job->key->nworkers) {
		job->status = -EINVAL;
		return NULL;
	}
	return job->key->ctx[c->worker];
}

/* An all-zero key takes the place of the last one, because a reset would free what the next SLOW
 * job needs. */
static void scratch_wipe(struct xi_crypto *c)
{
	static const uint8_t zero[32];

	for (int i = 0; i < XI_GCM_SIZES; i++) {
		if (!c->dirty[i])
			continue;
		EVP_CipherInit_ex2(c->scratch[i], NULL, zero, NULL, KEEP, NULL);
		c->dirty[i] = false;
	}
}

static int seal(EVP_CIPHER_CTX *ctx, struct xi_aead_job *job)
{
	int n;

	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, job->nonce, SEAL, NULL) ||
	    !EVP_EncryptUpdate(ctx, NULL, &n, job->aad, (int)job->aad_len) ||
	    !EVP_EncryptUpdate(ctx, job->data, &n, job->data, (int)job->len) ||
	    !EVP_EncryptFinal_ex(ctx, job->data + n, &n) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)job->icv_len, job->icv))
		return -EIO;
	return 0;
}

static int open_job(EVP_CIPHER_CTX *ctx, struct xi_aead_job *job)
{
	int n;

	if (!EVP_CipherInit_ex2(ctx, NULL, NULL, job->nonce, OPEN, NULL) ||
	    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)job->icv_len, job->icv) ||
	    !EVP_DecryptUpdate(ctx, NULL, &n, job->aad, (int)job->aad_len) ||
	    !EVP_DecryptUpdate(ctx, job->data, &n, job->data, (int)job->len))
		return -EIO;
	return EVP_DecryptFinal_ex(ctx, job->data + n, &n) > 0 ? 0 : -EBADMSG;
}

static bool is_etm(const struct xi_aead_job *job)
{
	if (job->key)
		return job->key->etm;
	return job->raw && job->raw->alg != XI_ALG_AES_GCM;
}

static void ssl_seal(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct xi_aead_job *job = &jobs[i];
		EVP_CIPHER_CTX *ctx;

		xi_gcm_prefetch(jobs, i, n);
		if (is_etm(job)) {
			xi_ssl_etm_seal(c->etm, job->key ? job->key->etm : NULL, job);
			continue;
		}
		ctx = job_ctx(c, job);
		if (ctx)
			job->status = seal(ctx, job);
	}
	scratch_wipe(c);
}

static void ssl_open(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct xi_aead_job *job = &jobs[i];
		EVP_CIPHER_CTX *ctx;

		xi_gcm_prefetch(jobs, i, n);
		if (is_etm(job)) {
			xi_ssl_etm_open(c->etm, job->key ? job->key->etm : NULL, job);
			continue;
		}
		ctx = job_ctx(c, job);
		if (!ctx)
			continue;
		job->status = open_job(ctx, job);
		if (job->status)
			memset(job->data, 0, job->len);
	}
	scratch_wipe(c);
}

const struct xi_engine xi_engine_openssl = {
	.name = "openssl",
	.usable = ssl_usable,
	.carries = xi_transform_valid,
	.create = ssl_create,
	.destroy = ssl_destroy,
	.key_new = ssl_key_new,
	.key_free = ssl_key_free,
	.seal = ssl_seal,
	.open = ssl_open,
};
