/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters, and the one exit of every program: it turns the reason into a verdict and counts it. */
#ifndef XI_STATS_BPF_H
#define XI_STATS_BPF_H

#include <linux/pkt_cls.h>

#include "maps.bpf.h"

/* Reasons lie in blocks of 32, events and drops in turn, so bit 5 tells them apart. */
#define XI_REASON_DROP_BIT 32
#define X(value, symbol, name, kind, text)                                                         \
	XI_ASSERT(!!((value) & XI_REASON_DROP_BIT) == (XI_REASON_##kind == XI_REASON_DROP));
XI_REASONS(X)
#undef X

static __always_inline void xi_count(__u32 reason)
{
	__u64 *counter = bpf_map_lookup_elem(&stats, &reason);

	if (counter)
		(*counter)++;
}

/* XI_TO_WORKER: bpf_redirect_map() has been called and will be carried out. */
static __always_inline int xi_exit_xdp(enum xi_reason reason)
{
	xi_count(reason);
	if (reason & XI_REASON_DROP_BIT)
		return XDP_DROP;
	return reason == XI_TO_WORKER ? XDP_REDIRECT : XDP_PASS;
}

/*
 * Not a drop: go on with whatever other tc programs the operator has on the device. XI_TO_HOSTIF:
 * bpf_redirect() has been called and will be carried out.
 */
static __always_inline int xi_exit_tc(enum xi_reason reason)
{
	xi_count(reason);
	if (reason == XI_TO_HOSTIF)
		return TC_ACT_REDIRECT;
	return reason & XI_REASON_DROP_BIT ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

#endif
