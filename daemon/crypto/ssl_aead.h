/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AEADs of OpenSSL: AES-GCM, AES-CCM, ChaCha20-Poly1305, AES-GMAC. */
#ifndef XI_SSL_AEAD_H
#define XI_SSL_AEAD_H

#include "crypto/job.h"

struct xi_ssl_aead_key;
struct xi_ssl_aead;

bool xi_ssl_aead_usable(void);

/* 0, -EINVAL, -ENOMEM. */
int xi_ssl_aead_key_new(struct xi_ssl_aead_key **out, const struct xi_sa_key *raw,
			unsigned int nworkers);
void xi_ssl_aead_key_free(struct xi_ssl_aead_key *key);

/* 0 or -ENOMEM. */
int xi_ssl_aead_new(struct xi_ssl_aead **out, unsigned int worker);
void xi_ssl_aead_free(struct xi_ssl_aead *aead);

/* key NULL: job->raw is expanded for this job. Sets the job's status. */
void xi_ssl_aead_seal(struct xi_ssl_aead *aead, const struct xi_ssl_aead_key *key,
		      struct xi_aead_job *job);
void xi_ssl_aead_open(struct xi_ssl_aead *aead, const struct xi_ssl_aead_key *key,
		      struct xi_aead_job *job);

/* Wipes what SLOW jobs left; at the end of a batch. */
void xi_ssl_aead_wipe(struct xi_ssl_aead *aead);

#endif
