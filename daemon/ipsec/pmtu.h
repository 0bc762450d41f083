/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The path MTU of an SA (RFC 4301 section 8.2): bytes of the outer packet, as ICMP told, forgotten with age. */
#ifndef XI_PMTU_H
#define XI_PMTU_H

#include <stdint.h>

#include <xipsec/abi.h>

/* Seconds. Nothing is learned for longer, so what a clock that was set back keeps for longer is void. */
#define XI_PMTU_AGE_MAX 3600

/* 0: nothing is known, or no longer. now: seconds since the epoch. */
static inline uint32_t xi_pmtu_learned(const struct xi_sa_state *state, uint64_t now)
{
	uint32_t pmtu = __atomic_load_n(&state->pmtu, __ATOMIC_RELAXED);
	uint64_t until = __atomic_load_n(&state->pmtu_until, __ATOMIC_RELAXED);

	return pmtu && now < until && until - now <= XI_PMTU_AGE_MAX ? pmtu : 0;
}

/* Of the device or route and what was learned, the smaller. */
static inline uint32_t xi_path_mtu(const struct xi_sa_state *state, uint32_t device_mtu, uint64_t now)
{
	uint32_t pmtu = xi_pmtu_learned(state, now);

	return pmtu && pmtu < device_mtu ? pmtu : device_mtu;
}

/*
 * Control thread. Two words that a reader may see in between: for one packet it then takes the MTU of before or
 * none, and hears from the same router again.
 */
static inline void xi_pmtu_learn(struct xi_sa_state *state, uint32_t pmtu, uint64_t until)
{
	__atomic_store_n(&state->pmtu, pmtu, __ATOMIC_RELAXED);
	__atomic_store_n(&state->pmtu_until, (uint32_t)until, __ATOMIC_RELAXED);
}

#endif
