// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "crypto/job.h"

#include <errno.h>

static bool icv_fits(const struct xi_aead_job *job, const struct xi_cipher_info *cipher,
		     const struct xi_auth_info *auth)
{
	const uint16_t *bits = auth ? auth->icv_bits : NULL;

	if (cipher && cipher->aead)
		bits = cipher->icv_bits;
	return bits && job->icv_len <= XI_ICV_MAX && xi_bits_listed(bits, job->icv_len * 8);
}

/* A hash of nothing spoils ipsec-mb's lanes for whoever comes after. */
static bool size_fits(const struct xi_aead_job *job)
{
	return job->len <= XI_JOB_MAX && job->len + job->head_len + XI_JOB_ESN_LEN <= XI_JOB_MAX;
}

static bool esn_fits(const struct xi_aead_job *job)
{
	return job->aad_len == 8 || job->aad_len == 12;
}

static bool ah_fits(const struct xi_aead_job *job, enum xi_alg alg)
{
	return (alg == XI_ALG_NONE || alg == XI_ALG_AES_GMAC) && job->head_len + job->len &&
	       esn_fits(job);
}

/* GMAC covers the IV where it stands. */
static bool aead_fits(const struct xi_aead_job *job, const struct xi_cipher_info *cipher,
		      enum xi_alg alg)
{
	return job->aad_len <= sizeof(job->aad) &&
	       (alg != XI_ALG_AES_GMAC || job->head_len >= cipher->iv_len);
}

/* ESN takes the place of the ICV, so that one is directly behind data. */
static bool etm_fits(const struct xi_aead_job *job, enum xi_alg alg)
{
	if (!esn_fits(job) || !job->head_len || job->icv != job->data + job->len)
		return false;
	if (alg != XI_ALG_AES_CBC)
		return true;
	return !(job->len % XI_CBC_BLOCK) &&
	       (!(job->len || job->fresh_iv) || job->head_len >= XI_CBC_BLOCK);
}

int xi_job_check(const struct xi_aead_job *job, enum xi_alg alg, enum xi_auth auth)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(alg);
	bool fits;

	if (!icv_fits(job, cipher, xi_auth_info(auth)) || !size_fits(job))
		return -EINVAL;
	if (job->fresh_iv && alg != XI_ALG_AES_CBC)
		return -EINVAL;
	if (job->ah)
		fits = ah_fits(job, alg);
	else if (!cipher)
		fits = false;
	else
		fits = cipher->aead ? aead_fits(job, cipher, alg) : etm_fits(job, alg);
	return fits ? 0 : -EINVAL;
}
