/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What routes_plan.c, routes_dest.c and routes_member.c share. Nobody else includes this. */
#ifndef XI_ROUTES_PLAN_INT_H
#define XI_ROUTES_PLAN_INT_H

#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "dataplane/routes_heap.h"
#include "dataplane/routes_local.h"
#include "dataplane/routes_plan.h"

#define XI_PLAN_PEERS 2

struct xi_dest;

/* What matters of a policy that leads somewhere, or spares something. */
struct xi_intent {
	struct xi_prefix src, dst;
	uint32_t priority;
	uint64_t order;
	bool bypass;
	uint32_t npeers;
	struct xi_prefix peers[XI_PLAN_PEERS];
};

struct xi_member {
	uint32_t index;              /* of the policy */
	struct xi_intent intent;
	bool relevant;               /* the host may send from its source */
	struct xi_heap_node at;      /* in its destination's heap, if relevant */
	struct xi_dest *dest;
	struct xi_dest *peers[XI_PLAN_PEERS];
	uint64_t epoch;
	TAILQ_ENTRY(xi_member) all;
	UT_hash_handle hh;
};

/* One prefix. */
struct xi_dest {
	struct xi_route route;       /* as wanted when it was last looked at; its dst is the key */
	struct xi_route installed;
	bool unsure;                 /* whether it is */
	uint64_t first_major, first_minor; /* of VIA: the policy that it is of */
	struct xi_heap_node *protects, *bypasses; /* relevant ones */
	uint32_t members, nbypasses;
	uint32_t peers;              /* policies whose peer this is */
	uint64_t id;
	bool queued, in_throws;
	bool waits;                  /* for an address in the source of one of its policies */
	uint64_t lost_epoch, throw_epoch;
	TAILQ_ENTRY(xi_dest) queue, throws, all;
	UT_hash_handle hh;
	UT_hash_handle by_id;
};

TAILQ_HEAD(xi_dest_list, xi_dest);

/*
 * Where all of a list must be looked at again, an epoch begins. Who has seen it is at the end, so the first of the list
 * tells whether there is more to do.
 */
struct xi_plan {
	struct xi_locals locals;
	struct xi_dest *dests;
	struct xi_dest *ids;
	struct xi_member *members;
	struct xi_dest_list queue, throws, all;
	TAILQ_HEAD(, xi_member) list;
	uint64_t addr_epoch, lost_epoch, throw_epoch;
	bool lost_one;               /* only routes with lost_src were lost */
	struct xi_addr lost_src;
	uint32_t via_by_len[2][129]; /* destinations to xipsec0, by family and length */
	uint64_t id;
	bool plain_changed;
	struct xi_plan_counts counts;
};

/* routes_dest.c */
struct xi_dest *xi_dest_find(const struct xi_plan *plan, const struct xi_prefix *prefix);
/* Finds or makes it; NULL: out of memory. One that nobody speaks of goes when the queue comes to it. */
struct xi_dest *xi_dest_get(struct xi_plan *plan, const struct xi_prefix *prefix);
/* It is to be looked at again. */
void xi_dest_queue(struct xi_plan *plan, struct xi_dest *dest);
/* After its peers or nbypasses changed. */
void xi_dest_throws_update(struct xi_plan *plan, struct xi_dest *dest);
/* Looks at it, and frees it if it is of no use. True: change is to be made. */
bool xi_dest_settle(struct xi_plan *plan, struct xi_dest *dest, struct xi_route_change *change);
void xi_plan_count_route(struct xi_plan *plan, const struct xi_route *route, uint64_t by);

/* routes_member.c */
const struct xi_member *xi_member_of(const struct xi_heap_node *node);
/* By the addresses of now. */
void xi_member_judge(struct xi_plan *plan, struct xi_member *m);

#endif
