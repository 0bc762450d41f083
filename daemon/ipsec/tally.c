// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/tally.h"

static uint64_t load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static uint64_t add(__u64 *p, uint64_t n)
{
	return __atomic_add_fetch(p, n, __ATOMIC_RELAXED);
}

static void mark_used(struct xi_sa_state *state, uint64_t now)
{
	__u64 never = 0;

	if (load(&state->last_use) != now)
		__atomic_store_n(&state->last_use, now, __ATOMIC_RELAXED);
	if (!load(&state->use_time))
		__atomic_compare_exchange_n(&state->use_time, &never, now, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

/* Crossed with this addition? A limit once passed is no news. */
static bool crosses(uint64_t limit, uint64_t before, uint64_t after)
{
	return before < limit && after >= limit;
}

static void check_limits(struct xi_esp_tally *tally, uint64_t bytes, uint64_t packets)
{
	const struct xi_limits *limits = &tally->ctx->sa->limits;
	uint64_t bytes_before = bytes - tally->bytes, packets_before = packets - tally->packets;

	if (bytes >= limits->hard_bytes || packets >= limits->hard_packets)
		__atomic_store_n(&tally->ctx->state->expired, 1, __ATOMIC_RELAXED);
	if (crosses(limits->hard_bytes, bytes_before, bytes) ||
	    crosses(limits->hard_packets, packets_before, packets) ||
	    crosses(limits->soft_bytes, bytes_before, bytes) ||
	    crosses(limits->soft_packets, packets_before, packets))
		tally->expired = tally->ctx->sa_index;
}

void xi_esp_tally_flush(struct xi_esp_tally *tally)
{
	struct xi_sa_state *state;
	uint64_t bytes, packets;

	if (!tally->ctx)
		return;
	state = tally->ctx->state;
	if (tally->packets) {
		bytes = add(&state->bytes, tally->bytes);
		packets = add(&state->packets, tally->packets);
		if (tally->ctx->limited)
			check_limits(tally, bytes, packets);
	}
	mark_used(state, tally->now);
	*tally = (struct xi_esp_tally){.now = tally->now, .expired = tally->expired};
}
