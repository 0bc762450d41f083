/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the crypto jobs of ESP and AH, sent and received, have in common. */
#ifndef XI_IPSEC_JOB_H
#define XI_IPSEC_JOB_H

#include <errno.h>
#include <string.h>

#include "crypto/crypto.h"
#include "ipsec/bytes.h"
#include "ipsec/sa_ctx.h"

/*
 * Keys; AAD, the SPI and sequence number (RFC 4106 section 5, RFC 4302 and 4303 with ESN); nonce,
 * the salt and the eight bytes at iv (RFC 4106 section 4). Of algorithms without salt or IV the
 * nonce means nothing, but eight bytes must be there.
 */
static inline void xi_job_init(const struct xi_sa_ctx *ctx, uint64_t seq, const uint8_t *iv,
			       struct xi_aead_job *job)
{
	job->key = ctx->key;
	job->raw = ctx->raw;
	job->icv_len = ctx->icv_len;
	job->status = -EINPROGRESS;
	job->clear_len = 0;
	job->fresh_iv = 0;
	job->ah = 0;
	memcpy(job->aad, &ctx->spi_be, 4);
	if (ctx->esn) {
		xi_put64(job->aad + 4, seq);
		job->aad_len = 12;
	} else {
		xi_put32(job->aad + 4, (uint32_t)seq);
		job->aad_len = 8;
	}
	/* constant sizes: gcc 12 makes "rep movs", 25 ns, of a memcpy whose size it does not know */
	memcpy(job->nonce, ctx->salt, sizeof(ctx->salt));
	memcpy(job->nonce + ctx->salt_len, iv, 8);
}

#endif
