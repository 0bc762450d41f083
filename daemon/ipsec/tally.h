/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an SA counts: packets, bytes, when it was used, what failed. */
#ifndef XI_TALLY_H
#define XI_TALLY_H

#include <stdint.h>

#include <xipsec/reasons.h>
#include "ipsec/sa_ctx.h"

/*
 * Packets of one SA in a row, counted together: an atomic addition each costs 6 ns. Begin a batch with now alone set;
 * xi_esp_tally_flush() ends it. The SA's context must live until then.
 */
struct xi_esp_tally {
	uint64_t now;                /* seconds since the epoch */
	const struct xi_sa_ctx *ctx; /* NULL: nothing to add */
	uint64_t packets;
	uint64_t bytes;
	uint32_t expired;            /* SA index: a flush found this one at a limit that is news; 0 none */
};

/*
 * Adds what is in the tally to the counters of its SA, and empties it. An SA that has reached a hard limit
 * of bytes or packets is marked expired.
 */
void xi_esp_tally_flush(struct xi_esp_tally *tally);

static inline void xi_tally_open(struct xi_esp_tally *tally, const struct xi_sa_ctx *ctx)
{
	if (tally->ctx == ctx)
		return;
	xi_esp_tally_flush(tally);
	tally->ctx = ctx;
}

/*
 * bytes as the kernel counts them, both ways: in tunnel mode the inner packet, in transport mode
 * what is behind the IP header, without ESP or AH (xfrm_output_one before encryption; xfrm_input
 * after the trailer is gone, TFC padding included).
 */
static inline void xi_tally_count(struct xi_esp_tally *tally, const struct xi_sa_ctx *ctx,
				  uint32_t bytes)
{
	xi_tally_open(tally, ctx);
	tally->bytes += bytes;
	tally->packets++;
}

/* One more in an SA's counter of failures. */
static inline void xi_tally_failed(__u64 *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* A received packet that is dropped after its ICV was verified. Returns why. */
static inline enum xi_reason xi_tally_reject(const struct xi_sa_ctx *ctx, enum xi_reason why)
{
	xi_tally_failed(&ctx->state->other_failed);
	return why;
}

#endif
