// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/seq.h"

static uint64_t load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static uint64_t seq_last(const struct xi_sa_ctx *ctx)
{
	return ctx->esn ? UINT64_MAX : UINT32_MAX;
}

/*
 * How many of n packets the SA's hard limits leave, as the kernel's xfrm_state_check_expire(): a
 * packet goes while the count before it is below the limit.
 */
static unsigned int limit_grant(const struct xi_sa_ctx *ctx, unsigned int n)
{
	const struct xi_limits *limits = &ctx->sa->limits;
	uint64_t packets = load(&ctx->state->packets);

	if (load(&ctx->state->bytes) >= limits->hard_bytes || packets >= limits->hard_packets)
		return 0;
	return limits->hard_packets - packets < n ? (unsigned int)(limits->hard_packets - packets) : n;
}

unsigned int xi_sa_grant(const struct xi_sa_ctx *ctx, unsigned int n)
{
	if (xi_sa_expired(ctx))
		return 0;
	return ctx->limited ? limit_grant(ctx, n) : n;
}

unsigned int xi_seq_take(const struct xi_sa_ctx *ctx, unsigned int n, uint64_t *first,
			 enum xi_reason *why)
{
	uint64_t last = seq_last(ctx);
	uint64_t reserved = load(&ctx->state->oseq_limit);
	uint64_t limit = reserved < last ? reserved : last;
	__u64 oseq = load(&ctx->state->oseq);
	unsigned int wanted = xi_sa_grant(ctx, n);
	uint64_t granted;

	do {
		granted = oseq < limit ? limit - oseq : 0;
		if (granted > wanted)
			granted = wanted;
	} while (granted && !__atomic_compare_exchange_n(&ctx->state->oseq, &oseq, oseq + granted,
							 true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	*first = oseq + 1;
	if (granted < wanted)
		*why = oseq + granted >= last ? XI_DROP_SEQ_EXHAUSTED : XI_DROP_SEQ_RESERVE;
	else if (wanted < n)
		*why = XI_DROP_SA_EXPIRED;
	return (unsigned int)granted;
}
