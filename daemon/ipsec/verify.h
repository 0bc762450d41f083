/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICVs and sequence numbers of received packets, of ESP and AH alike (RFC 4303 section 3.4.3). */
#ifndef XI_VERIFY_H
#define XI_VERIFY_H

#include <stdint.h>

#include <xipsec/reasons.h>
#include "crypto/crypto.h"
#include "ipsec/sa_ctx.h"

/* What a received packet carries from prepare to finish. */
struct xi_esp_in {
	uint64_t seq;
	uint32_t payload_offset;     /* from pkt->data to the first byte behind ESP's or AH's header */
	uint32_t next_offset;        /* from pkt->data to the byte that says what protocol follows */
	uint16_t header_len;         /* transport mode: bytes of the IP header that stays in front */
	uint8_t outer_tos;           /* DSCP and ECN of the outer header */
	uint8_t moved;               /* UDP encapsulation: not from where the SA says its peer is */
	uint8_t verdict;             /* enum xi_reason; XI_NONE: verified and no replay */
};

/* The 64-bit number of a packet with lo on the wire, as far as it can be told before the ICV. */
enum xi_reason xi_seq_judge(const struct xi_sa_ctx *ctx, uint32_t lo, uint64_t *seq);

/*
 * After the jobs of n packets of one SA, in their order, were opened: ICVs, and the replay commit of
 * those whose ICV is right. The verdicts are in ins, for the finish step, which lets no packet
 * pass that was not here.
 */
void xi_in_verify(const struct xi_sa_ctx *ctx, const struct xi_aead_job *jobs,
		  struct xi_esp_in *ins, unsigned int n);

/* Outcome of a job that failed. */
enum xi_crypto_status xi_in_failure(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job);

/* Of the engine's answer; a replay was in order as far as crypto goes. */
static inline enum xi_crypto_status xi_in_status(const struct xi_sa_ctx *ctx,
						 const struct xi_aead_job *job)
{
	return job->status ? xi_in_failure(ctx, job) : XI_CRYPTO_SUCCESS;
}

#endif
