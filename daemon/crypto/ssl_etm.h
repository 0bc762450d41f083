/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ciphers with a separate integrity algorithm, and integrity alone, of OpenSSL, one job after the
 * other. */
#ifndef XI_SSL_ETM_H
#define XI_SSL_ETM_H

#include "crypto/job.h"

struct xi_ssl_etm_key;
struct xi_ssl_etm;

bool xi_ssl_etm_usable(void);

/* 0, -EINVAL, -ENOMEM. */
int xi_ssl_etm_key_new(struct xi_ssl_etm_key **out, const struct xi_sa_key *raw,
		       unsigned int nworkers);
void xi_ssl_etm_key_free(struct xi_ssl_etm_key *key);

int xi_ssl_etm_new(struct xi_ssl_etm **out, unsigned int worker);
void xi_ssl_etm_free(struct xi_ssl_etm *etm);

/* key NULL: job->raw is expanded for this job alone. Sets the job's status. */
void xi_ssl_etm_seal(struct xi_ssl_etm *etm, const struct xi_ssl_etm_key *key,
		     struct xi_aead_job *job);
void xi_ssl_etm_open(struct xi_ssl_etm *etm, const struct xi_ssl_etm_key *key,
		     struct xi_aead_job *job);

#endif
