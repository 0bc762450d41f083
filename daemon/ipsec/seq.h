/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sequence numbers of an outbound SA, and whether its lifetime lets it go on. */
#ifndef XI_SEQ_H
#define XI_SEQ_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/reasons.h>
#include "ipsec/sa_ctx.h"

/*
 * A hard limit was reached (RFC 4301 section 4.4.2.1): the SA carries nothing more, either way. Of SAs without
 * limits this does not touch sa_state, whose first line inbound packets do not need.
 */
static inline bool xi_sa_expired(const struct xi_sa_ctx *ctx)
{
	return ctx->limited && __atomic_load_n(&ctx->state->expired, __ATOMIC_RELAXED);
}

/* How many of n packets the SA's lifetime lets go, none of them counted yet. */
unsigned int xi_sa_grant(const struct xi_sa_ctx *ctx, unsigned int n);

/*
 * Takes n sequence numbers at once (RFC 4303 section 2.2). *first is the first of them; the caller
 * uses first .. first + granted - 1. Returns how many were granted; fewer than n sets *why to
 * XI_DROP_SEQ_EXHAUSTED, XI_DROP_SEQ_RESERVE or XI_DROP_SA_EXPIRED. Numbers once taken are never
 * given out again.
 */
unsigned int xi_seq_take(const struct xi_sa_ctx *ctx, unsigned int n, uint64_t *first,
			 enum xi_reason *why);

#endif
