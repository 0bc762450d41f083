/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What flow_cache holds: the verdicts on flows that XDP has missed, as the SPD gives them. */
#ifndef XI_FLOWS_H
#define XI_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>
#include "cache/slots.h"
#include "sad/sad.h"
#include "sad/spd.h"

struct xi_flows {
	struct xi_sad *sad;
	struct xi_spd *spd;
	const struct xi_slots *slots;
	int flow_cache_fd;
	uint64_t *counts;            /* the control thread's own row of worker_stats */
	/* Gives an outbound SA a context slot if one is to be had. False: there is no such SA. */
	bool (*ready_out)(void *cache, uint32_t sa_index);
	void *cache;
	/* As in xi_cache_config. */
	void (*acquire)(void *arg, const struct xi_flow *flow, const struct xi_policy *policy);
	void *arg;
};

/* The miss message of a flow. */
void xi_flows_miss(const struct xi_flows *flows, const struct xi_flow *flow);

/*
 * Worker: a flow that policy bypasses is about to be handed to the host, whose packet the egress guard would hold back
 * until the miss is answered. Puts the verdict into flow_cache at once. A system call, so: for the first packets of
 * bypassed flows inside a protected range, and no more of them than the caller lets through.
 */
void xi_flows_bypass(const struct xi_flows *flows, const struct xi_spd_snapshot *snap,
		     const struct xi_flow *flow);

/*
 * Worker: the SA that flow_cache has for a flow is gone, and no other serves it. Without the verdict its next packet is a
 * miss, in answer to which the key managers are asked. A system call, too.
 */
void xi_flows_forget(const struct xi_flows *flows, const struct xi_spd_snapshot *snap,
		     const struct xi_flow *flow);

#endif
