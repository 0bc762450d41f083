/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AES-CBC and then HMAC (RFC 3602, 2404, 4868) in ESP: which jobs there are, for every engine
 * alike. */
#ifndef XI_ETM_H
#define XI_ETM_H

#include "crypto/crypto.h"

#define XI_ETM_BLOCK 16
#define XI_ETM_ICV_MAX 32
#define XI_ETM_ESN_LEN 4 /* high half of the sequence number, behind the ciphertext */
#define XI_ETM_JOBS 64	 /* at most these are done together */

/* 0, or -EINVAL for lengths and places that no engine should see. */
int xi_etm_check(const struct xi_aead_job *job, enum xi_auth auth);

static inline bool xi_etm_has_esn(const struct xi_aead_job *job)
{
	return job->aad_len == 12;
}

static inline const uint8_t *xi_etm_esn(const struct xi_aead_job *job)
{
	return job->aad + 4;
}

/* Where IVs come from that nobody can foresee; one a worker. */
struct xi_ivgen;

int xi_ivgen_new(struct xi_ivgen **out);
void xi_ivgen_free(struct xi_ivgen *gen);
/* Writes the IVs of those among n <= XI_ETM_JOBS jobs that want one. 0 or -EIO: then none was
 * written. */
int xi_ivgen_fill(struct xi_ivgen *gen, struct xi_aead_job *const *jobs, unsigned int n);

#endif
