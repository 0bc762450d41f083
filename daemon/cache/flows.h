/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What flow_cache holds: the verdicts on flows that XDP has missed, as the SPD gives them, each under as coarse a mask as
 * policies and SAs allow. All that is found for a flow under the present generation agrees; an element whose SAs are gone
 * or superseded is a worker's to find and to take out. A verdict XI_VERDICT_NONE is none: it says that the key managers
 * have been told of such flows, and is for miss messages alone.
 */
#ifndef XI_FLOWS_H
#define XI_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>
#include "cache/masks.h"
#include "cache/slots.h"
#include "sad/sad.h"
#include "sad/spd.h"

struct event;
struct event_base;

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

	struct xi_masks masks;
	struct event *sweep_event;   /* pending while there is something to sweep; NULL: nobody does (tests) */
	bool soon;                   /* it is, in a second */
	uint32_t swept;              /* generation */
};

/* Of one whose other members are set. 0 or -errno. base NULL: the caller sweeps. */
int xi_flows_open(struct xi_flows *flows, struct event_base *base, int masks_fd);
void xi_flows_close(struct xi_flows *flows);

/* The miss message of a flow. */
void xi_flows_miss(struct xi_flows *flows, const struct xi_flow *flow);
/*
 * Takes out elements that no packet finds any more, and drops masks that have none left. A table that had to join masks
 * is learned anew, so that a passing variety of flows does not leave it finer for ever.
 */
void xi_flows_sweep(struct xi_flows *flows);

/*
 * Worker: a flow that policy bypasses is about to be handed to the host, whose packet the egress guard would hold back
 * until the miss is answered. Puts the verdict into flow_cache at once. A system call, so: for the first packets of
 * bypassed flows inside a protected range, and no more of them than the caller lets through.
 */
void xi_flows_bypass(const struct xi_flows *flows, const struct xi_spd_snapshot *snap,
		     const struct xi_flow *flow);

/*
 * Worker: the SA that flow_cache has for an outbound flow is gone, or superseded. Without the verdict the next packet is a
 * miss, in answer to which it gets another, or the key managers are asked. True: there was one. System calls, too.
 */
bool xi_flows_forget(const struct xi_flows *flows, const struct xi_flow *flow, uint32_t handle);

#endif
