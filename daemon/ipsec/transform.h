/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ESP or AH, as the SA says: the steps of a packet for whoever does not care which. */
#ifndef XI_TRANSFORM_H
#define XI_TRANSFORM_H

#include "ipsec/ah.h"
#include "ipsec/esp.h"

/* limit: bytes of the largest packet that the SA can wrap and the path still carries (TFC padding). */
static inline enum xi_reason xi_out_frame(const struct xi_sa_ctx *ctx, uint64_t seq, uint32_t limit,
					  struct xi_pkt *pkt, struct xi_frame *frame)
{
	if (ctx->proto == XI_ESP)
		return xi_esp_frame(ctx, seq, limit, pkt, frame);
	return xi_ah_frame(ctx, seq, pkt, frame);
}

/* saved: room for what AH puts aside until xi_out_finish(). */
static inline enum xi_reason xi_out_job(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
					struct xi_ah_saved *saved, struct xi_aead_job *job)
{
	if (ctx->proto == XI_AH)
		return xi_ah_out_job(ctx, frame, saved, job);
	xi_esp_out_job(ctx, frame, job);
	return XI_NONE;
}

static inline enum xi_reason xi_out_finish(const struct xi_sa_ctx *ctx,
					   const struct xi_frame *frame,
					   const struct xi_ah_saved *saved,
					   const struct xi_aead_job *job,
					   struct xi_esp_tally *tally)
{
	if (ctx->proto == XI_ESP)
		return xi_esp_out_finish(ctx, frame, job, tally);
	xi_ah_restore(saved);
	return xi_ah_out_finish(ctx, job, tally);
}

static inline enum xi_reason xi_in_prepare(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
					   struct xi_aead_job *job, struct xi_esp_in *in,
					   struct xi_ah_saved *saved)
{
	if (ctx->proto == XI_ESP)
		return xi_esp_in_prepare(ctx, pkt, job, in);
	return xi_ah_in_prepare(ctx, pkt, job, in, saved);
}

/* After xi_in_verify() of this packet. */
static inline enum xi_reason xi_in_finish(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
					  const struct xi_aead_job *job,
					  const struct xi_esp_in *in,
					  const struct xi_ah_saved *saved,
					  struct xi_esp_tally *tally, enum xi_crypto_status *status)
{
	if (ctx->proto == XI_ESP)
		return xi_esp_in_finish(ctx, pkt, job, in, tally, status);
	xi_ah_restore(saved);
	return xi_ah_in_finish(ctx, pkt, job, in, tally, status);
}

/* Bytes that a packet grows by at most. */
static inline unsigned int xi_overhead(const struct xi_sa_ctx *ctx)
{
	return ctx->proto == XI_ESP ? xi_esp_overhead(ctx) : xi_ah_overhead(ctx);
}

/*
 * Largest packet that the SA can wrap so that what comes out has at most mtu bytes (RFC 4301 section
 * 8.2.1). In transport mode that is for an IP header
 * without options or extension headers.
 */
static inline uint32_t xi_inner_mtu(const struct xi_sa_ctx *ctx, uint32_t mtu)
{
	uint32_t keep = ctx->transport ? (ctx->family == 6 ? 40 : 20) : 0;
	uint32_t fixed, align = ctx->pad_align;

	if (ctx->proto == XI_AH) {
		fixed = ctx->outer_len + ctx->ah_len;
		return mtu > fixed + keep ? mtu - fixed : 0;
	}
	fixed = ctx->outer_len + xi_esp_front(ctx) + ctx->icv_len + keep;
	return mtu > fixed + 2 * align ? keep + ((mtu - fixed) & -align) - XI_ESP_TRAILER_LEN : 0;
}

#endif
