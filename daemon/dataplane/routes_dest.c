/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Destinations of the plan: what route each is to have. */
#include "dataplane/routes_plan_int.h"

#include <stdlib.h>
#include <string.h>

#include "sad/selector.h"

struct xi_dest *xi_dest_find(const struct xi_plan *plan, const struct xi_prefix *prefix)
{
	struct xi_dest *dest;

	HASH_FIND(hh, plan->dests, prefix, sizeof(*prefix), dest);
	return dest;
}

void xi_dest_queue(struct xi_plan *plan, struct xi_dest *dest)
{
	if (dest->queued)
		return;
	dest->queued = true;
	TAILQ_INSERT_TAIL(&plan->queue, dest, queue);
}

struct xi_dest *xi_dest_get(struct xi_plan *plan, const struct xi_prefix *prefix)
{
	struct xi_dest *dest = xi_dest_find(plan, prefix);

	if (dest)
		return dest;
	dest = calloc(1, sizeof(*dest));
	if (!dest)
		return NULL;
	dest->route.dst = dest->installed.dst = *prefix;
	dest->id = ++plan->id;
	HASH_ADD(hh, plan->dests, route.dst, sizeof(dest->route.dst), dest);
	if (!dest->hh.tbl)
		goto fail;
	HASH_ADD(by_id, plan->ids, id, sizeof(dest->id), dest);
	if (!dest->by_id.tbl) {
		HASH_DEL(plan->dests, dest);
		goto fail;
	}
	dest->lost_epoch = plan->lost_epoch;
	TAILQ_INSERT_TAIL(&plan->all, dest, all);
	return dest;
fail:
	free(dest);
	return NULL;
}

void xi_dest_throws_update(struct xi_plan *plan, struct xi_dest *dest)
{
	bool wants = dest->peers || dest->nbypasses;

	if (wants == dest->in_throws)
		return;
	dest->in_throws = wants;
	if (!wants) {
		TAILQ_REMOVE(&plan->throws, dest, throws);
		return;
	}
	dest->throw_epoch = plan->throw_epoch;
	TAILQ_INSERT_TAIL(&plan->throws, dest, throws);
}

/* Frees it when nobody speaks of it and the table has nothing. */
static void dest_put(struct xi_plan *plan, struct xi_dest *dest)
{
	if (dest->members || dest->peers || dest->queued || dest->unsure ||
	    dest->installed.kind != XI_ROUTE_NONE)
		return;
	HASH_DEL(plan->dests, dest);
	HASH_DELETE(by_id, plan->ids, dest);
	TAILQ_REMOVE(&plan->all, dest, all);
	free(dest);
}

/* The next wider destination whose route leads to xipsec0. */
static const struct xi_dest *dest_cover(const struct xi_plan *plan, const struct xi_dest *dest)
{
	const struct xi_prefix *dst = &dest->route.dst;
	const uint32_t *by_len = plan->via_by_len[xi_family_row(dst->family)];
	const struct xi_dest *cover;
	struct xi_prefix prefix;

	for (uint32_t plen = dst->plen; plen-- > 0;) {
		if (!by_len[plen])
			continue;
		xi_prefix_set(&prefix, dst->addr, dst->family, plen);
		cover = xi_dest_find(plan, &prefix);
		if (cover && cover->route.kind == XI_ROUTE_VIA)
			return cover;
	}
	return NULL;
}

static bool bypass_covers(const struct xi_member *bypass, const struct xi_member *protect)
{
	const struct xi_prefix *outer = &bypass->intent.src, *inner = &protect->intent.src;

	return outer->plen <= inner->plen &&
	       xi_prefix_equal(outer->addr, inner->addr, outer->plen);
}

static bool order_before(const struct xi_heap_node *a, uint64_t major, uint64_t minor)
{
	return a->major != major ? a->major < major : a->minor < minor;
}

static void dest_decide_via(const struct xi_plan *plan, const struct xi_member *protect,
			    struct xi_route *route)
{
	const struct xi_addr *src = NULL;

	route->kind = XI_ROUTE_VIA;
	if (protect->intent.src.plen)
		src = xi_locals_in(&plan->locals, &protect->intent.src);
	route->has_src = src != NULL;
	if (src)
		memcpy(route->src, src->addr, sizeof(route->src));
}

static struct xi_route dest_decide(const struct xi_plan *plan, const struct xi_dest *dest)
{
	const struct xi_member *protect = xi_member_of(dest->protects);
	const struct xi_member *bypass = xi_member_of(dest->bypasses);
	struct xi_route route = { .dst = dest->route.dst };
	const struct xi_dest *cover;

	if (protect && !dest->peers &&
	    !(bypass && order_before(&bypass->at, protect->at.major, protect->at.minor) &&
	      bypass_covers(bypass, protect))) {
		dest_decide_via(plan, protect, &route);
		return route;
	}
	if (!dest->peers && !bypass)
		return route;
	cover = dest_cover(plan, dest);
	if (cover && (dest->peers ||
		      order_before(&bypass->at, cover->first_major, cover->first_minor)))
		route.kind = XI_ROUTE_THROW;
	return route;
}

/* What a route to xipsec0 covers depends on which policy it is of. */
static void dest_decided(struct xi_plan *plan, struct xi_dest *dest, const struct xi_route *route)
{
	uint32_t *by_len = plan->via_by_len[xi_family_row(route->dst.family)];
	bool was = dest->route.kind == XI_ROUTE_VIA, is = route->kind == XI_ROUTE_VIA;
	uint64_t major = is ? dest->protects->major : 0, minor = is ? dest->protects->minor : 0;

	by_len[route->dst.plen] += (uint32_t)is - (uint32_t)was;
	if (was != is || major != dest->first_major || minor != dest->first_minor)
		plan->throw_epoch++;
	dest->first_major = major;
	dest->first_minor = minor;
	plan->counts.waiting -= dest->waits;
	dest->waits = !dest->protects && dest->members > dest->nbypasses;
	plan->counts.waiting += dest->waits;
	dest->route = *route;
}

void xi_plan_count_route(struct xi_plan *plan, const struct xi_route *route, uint64_t by)
{
	if (route->kind == XI_ROUTE_VIA)
		plan->counts.via += by;
	else if (route->kind == XI_ROUTE_THROW)
		plan->counts.thrown += by;
}

bool xi_dest_settle(struct xi_plan *plan, struct xi_dest *dest, struct xi_route_change *change)
{
	struct xi_route route = dest_decide(plan, dest);
	bool differs;

	dest_decided(plan, dest, &route);
	differs = dest->unsure || memcmp(&dest->installed, &route, sizeof(route));
	if (differs) {
		*change = (struct xi_route_change){ dest->installed, route, dest->unsure };
		dest->unsure = false;
		xi_plan_count_route(plan, &dest->installed, (uint64_t)-1);
		xi_plan_count_route(plan, &route, 1);
		dest->installed = route;
	}
	dest_put(plan, dest);
	return differs;
}
