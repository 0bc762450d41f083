/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a job may ask for, for every engine alike, and where its parts are. AES-GCM, whose jobs are
 * the most, has its own in gcm.h. */
#ifndef XI_JOB_H
#define XI_JOB_H

#include <string.h>

#include "crypto/algs.h"
#include "crypto/crypto.h"

#define XI_CBC_BLOCK 16
#define XI_ICV_MAX 32
#define XI_JOB_ESN_LEN 4 /* high half of the sequence number, behind what is hashed */
#define XI_JOBS_MAX 64	 /* at most these are done together */
/* Bytes that a job covers. ipsec-mb counts what a lane hashes in 16 bits, and keeps the last two
 * values for itself; CCM has up to two blocks in front of the data (RFC 3610 section 2.2). */
#define XI_JOB_MAX (65533 - 32)

/* 0, or -EINVAL for lengths and places that no engine should see. */
int xi_job_check(const struct xi_aead_job *job, enum xi_alg alg, enum xi_auth auth);

static inline bool xi_job_has_esn(const struct xi_aead_job *job)
{
	return job->aad_len == 12;
}

static inline const uint8_t *xi_job_esn(const struct xi_aead_job *job)
{
	return job->aad + 4;
}

static inline const uint8_t *xi_job_head(const struct xi_aead_job *job)
{
	return job->data - job->head_len;
}

/* Plaintext that failed its ICV; of AH, which hides nothing, the packet stays. */
static inline void xi_job_zero(const struct xi_aead_job *job)
{
	if (!job->ah)
		memset(job->data, 0, job->len);
}

/* 0, 1, 2: AES of 128, 192, 256 bits. raw: a valid key of an algorithm that is AES's. */
static inline unsigned int xi_aes_size(const struct xi_sa_key *raw)
{
	return (raw->len - raw->auth_len - xi_cipher_info(raw->alg)->salt_len) / 8 - 2;
}

#endif
