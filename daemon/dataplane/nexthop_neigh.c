/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Neighbours that next hops go by, as the kernel's table has them. */
#include "dataplane/nexthop_priv.h"

#include <stdlib.h>

#define NEXTHOP_NUDGE 5 /* seconds between two nudges of a neighbour */

static void neigh_release(struct xi_nexthops *nh, struct xi_hop *hop)
{
	struct xi_neigh *neigh = hop->neigh;

	if (!neigh)
		return;
	LIST_REMOVE(hop, of_neigh);
	hop->neigh = NULL;
	if (LIST_EMPTY(&neigh->hops)) {
		HASH_DEL(nh->neighs, neigh);
		free(neigh);
	}
}

/* NULL without memory, or when the kernel does not answer. */
static struct xi_neigh *neigh_get(struct xi_nexthops *nh, const struct xi_neigh_id *id)
{
	struct xi_neigh *neigh;

	HASH_FIND(hh, nh->neighs, id, sizeof(*id), neigh);
	if (neigh)
		return neigh;
	neigh = calloc(1, sizeof(*neigh));
	if (!neigh)
		return NULL;
	neigh->id = *id;
	LIST_INIT(&neigh->hops);
	if (xi_fib_neigh(&nh->ask, id, &neigh->state)) {
		free(neigh);
		return NULL;
	}
	HASH_ADD(hh, nh->neighs, id, sizeof(neigh->id), neigh);
	if (!neigh->hh.tbl) {
		free(neigh);
		return NULL;
	}
	return neigh;
}

void xi_hop_set_neigh(struct xi_nexthops *nh, struct xi_hop *hop, const struct xi_neigh_id *id)
{
	struct xi_neigh *neigh = id ? neigh_get(nh, id) : NULL;

	if (neigh == hop->neigh)
		return;
	neigh_release(nh, hop);
	hop->neigh = neigh;
	if (neigh)
		LIST_INSERT_HEAD(&neigh->hops, hop, of_neigh);
}

void xi_neigh_set(struct xi_nexthops *nh, struct xi_neigh *neigh,
		      const struct xi_neigh_state *state)
{
	struct xi_hop *hop;

	neigh->state = *state;
	LIST_FOREACH (hop, &neigh->hops, of_neigh)
		xi_hop_publish(nh, hop);
}

void xi_neigh_event(struct xi_nexthops *nh, const struct nlmsghdr *nlh)
{
	struct xi_neigh_state state;
	struct xi_neigh_id id;
	struct xi_neigh *neigh;

	if (xi_fib_neigh_parse(nlh, &id, &state))
		return;
	HASH_FIND(hh, nh->neighs, &id, sizeof(id), neigh);
	if (neigh)
		xi_neigh_set(nh, neigh, &state);
}

void xi_neigh_nudge(struct xi_nexthops *nh, struct xi_neigh *neigh, time_t now)
{
	if (!neigh->state.stale || now - neigh->nudged < NEXTHOP_NUDGE)
		return;
	neigh->nudged = now;
	(void)xi_fib_neigh_use(&nh->ask, &neigh->id);
}
