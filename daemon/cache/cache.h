/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the fast path holds: answers miss messages by choosing a method and populating sa_cache, flow_cache and
 * context slots, only then and only with what is needed. The control thread's; workers read `slots` and post wants.
 *
 * A sad listener: an SA deleted or changed is out of sa_cache and slots before the request is acknowledged.
 */
#ifndef XI_CACHE_H
#define XI_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>
#include "cache/flows.h"
#include "cache/latency.h"
#include "cache/slots.h"
#include "cache/sa_table.h"
#include "sad/sad.h"
#include "sad/spd.h"

struct event_base;
struct xi_cache;

struct xi_cache_config {
	struct event_base *base;
	struct xi_sad *sad;
	struct xi_spd *spd;
	const struct xi_engine *engine;
	unsigned int nworkers;
	uint32_t sa_entries;
	const char *policy;          /* of admission: xi_admit_policies(); NULL: the default */
	int sa_cache_fd;
	int flow_cache_fd;
	int flow_masks_fd;
	int misses_fd;               /* -1: no perf buffer, xi_cache_miss is called directly (tests) */
	uint64_t *counts;            /* the control thread's own row of worker_stats */
	/* A flow that policy wants protected has no SA for a template, the policy's first as shown here: tell the key managers. */
	void (*acquire)(void *arg, const struct xi_flow *flow, const struct xi_policy *policy);
	void *arg;
};

/* 0 or -errno, logged. Registers itself as listener of the SAD and as the SPD's sync. */
int xi_cache_create(struct xi_cache **out, const struct xi_cache_config *config);
void xi_cache_destroy(struct xi_cache *cache);

const struct xi_flows *xi_cache_flows(const struct xi_cache *cache);
const struct xi_slots *xi_cache_slots(const struct xi_cache *cache);
/* One miss message. len may exceed the struct: the kernel rounds record sizes up. */
void xi_cache_miss(struct xi_cache *cache, const void *record, uint32_t len);

/*
 * A worker holds packets of this outbound flow, which had no SA: as a miss message of one, and not lost with it. Control
 * thread.
 */
void xi_cache_ask(struct xi_cache *cache, const struct xi_flow *flow);
/*
 * Counts changes of SAs and policies. What a worker found out at one count holds as long as that stays; one that counts a
 * change at the beginning of a round does so before XDP knows of it.
 */
const atomic_uint *xi_cache_changes(const struct xi_cache *cache);

/*
 * Worker: a flow names an SA that has no slot (taken away for another). Asks for one again; never blocks; a full
 * ring is ignored, since the next packet asks again.
 */
void xi_cache_want(struct xi_cache *cache, unsigned int worker, uint32_t sa_index);

/* Waits until every worker has passed a quiescent state, then reclaims slots. */
void xi_cache_sync(struct xi_cache *cache);

struct xi_cache_misses {
	uint64_t messages;           /* read */
	uint64_t lost;               /* that the perf rings had no room for, as far as they told */
	uint64_t rests;              /* pauses for the control thread's other work */
	struct xi_latency sa;        /* from the packet to the answer in sa_cache, */
	struct xi_latency flow;      /* in flow_cache */
};

/* For `xipsec show`, `cache` and `stats`; since xi_cache_create. */
const struct xi_sa_table *xi_cache_table(const struct xi_cache *cache);
const struct xi_cache_misses *xi_cache_misses(const struct xi_cache *cache);

#endif
