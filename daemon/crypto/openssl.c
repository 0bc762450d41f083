// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* OpenSSL 3: everywhere usable, and the check on the other engine. */
#include "crypto/crypto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/gcm.h"
#include "crypto/ssl_aead.h"
#include "crypto/ssl_etm.h"

/* One of the two. */
struct xi_ckey {
	struct xi_ssl_aead_key *aead;
	struct xi_ssl_etm_key *etm;
};

struct xi_crypto {
	struct xi_ssl_aead *aead;
	struct xi_ssl_etm *etm;
};

static bool ssl_usable(void)
{
	return xi_ssl_aead_usable() && xi_ssl_etm_usable();
}

static void ssl_destroy(struct xi_crypto *c)
{
	if (!c)
		return;
	xi_ssl_aead_free(c->aead);
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
	err = xi_ssl_aead_new(&c->aead, worker);
	if (!err)
		err = xi_ssl_etm_new(&c->etm, worker);
	if (err) {
		ssl_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

static void ssl_key_free(struct xi_ckey *key)
{
	if (!key)
		return;
	xi_ssl_aead_key_free(key->aead);
	xi_ssl_etm_key_free(key->etm);
	free(key);
}

static int ssl_key_new(struct xi_ckey **out, const struct xi_sa_key *raw, unsigned int nworkers)
{
	struct xi_ckey *key;
	int err;

	if (!ssl_usable())
		return -EOPNOTSUPP;
	key = calloc(1, sizeof(*key));
	if (!key)
		return -ENOMEM;
	if (raw->auth == XI_AUTH_NONE)
		err = xi_ssl_aead_key_new(&key->aead, raw, nworkers);
	else
		err = xi_ssl_etm_key_new(&key->etm, raw, nworkers);
	if (err) {
		free(key);
		return err;
	}
	*out = key;
	return 0;
}

static bool is_etm(const struct xi_aead_job *job)
{
	return job->key ? !!job->key->etm : job->raw->auth != XI_AUTH_NONE;
}

static void ssl_seal(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct xi_aead_job *job = &jobs[i];

		xi_gcm_prefetch(jobs, i, n);
		if (!job->key && !job->raw)
			job->status = -EINVAL;
		else if (is_etm(job))
			xi_ssl_etm_seal(c->etm, job->key ? job->key->etm : NULL, job);
		else
			xi_ssl_aead_seal(c->aead, job->key ? job->key->aead : NULL, job);
	}
	xi_ssl_aead_wipe(c->aead);
}

static void ssl_open(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct xi_aead_job *job = &jobs[i];

		xi_gcm_prefetch(jobs, i, n);
		if (!job->key && !job->raw)
			job->status = -EINVAL;
		else if (is_etm(job))
			xi_ssl_etm_open(c->etm, job->key ? job->key->etm : NULL, job);
		else
			xi_ssl_aead_open(c->aead, job->key ? job->key->aead : NULL, job);
	}
	xi_ssl_aead_wipe(c->aead);
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
