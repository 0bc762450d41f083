/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/routes_plan_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLAN_SWEEP 1024          /* looked at in one step, of each list that waits for it */

int xi_plan_addrs(struct xi_plan *plan, const struct xi_addr *addrs, uint32_t n)
{
	int err = xi_locals_set(&plan->locals, addrs, n);

	if (!err) {
		plan->addr_epoch++;
		plan->plain_changed = true;
	}
	return err;
}

int xi_plan_found(struct xi_plan *plan, const struct xi_route *route)
{
	struct xi_dest *dest = xi_dest_get(plan, &route->dst);

	if (!dest)
		return -ENOMEM;
	xi_plan_count_route(plan, &dest->installed, (uint64_t)-1);
	xi_plan_count_route(plan, route, 1);
	dest->installed = *route;
	xi_dest_queue(plan, dest);
	return 0;
}

static void dest_lost(struct xi_plan *plan, struct xi_dest *dest)
{
	dest->unsure = true;
	xi_dest_queue(plan, dest);
}

bool xi_plan_lost(struct xi_plan *plan, const struct xi_prefix *dst)
{
	struct xi_dest *dest = xi_dest_find(plan, dst);

	if (!dest)
		return false;
	dest_lost(plan, dest);
	return dest->route.kind != XI_ROUTE_NONE;
}

static bool lost_pending(const struct xi_plan *plan)
{
	const struct xi_dest *first = TAILQ_FIRST(&plan->all);

	return first && first->lost_epoch != plan->lost_epoch;
}

void xi_plan_lost_all(struct xi_plan *plan, const struct xi_addr *src)
{
	bool same = src && plan->lost_one && !memcmp(&plan->lost_src, src, sizeof(*src));

	plan->lost_one = src && (same || !lost_pending(plan));
	if (plan->lost_one)
		plan->lost_src = *src;
	plan->lost_epoch++;
}

static bool dest_may_be_lost(const struct xi_plan *plan, const struct xi_dest *dest)
{
	const struct xi_route *route = &dest->installed;

	if (route->kind == XI_ROUTE_NONE)
		return false;
	return !plan->lost_one || (route->has_src && route->dst.family == plan->lost_src.family &&
				   !memcmp(route->src, plan->lost_src.addr, sizeof(route->src)));
}

static void sweep_members(struct xi_plan *plan)
{
	struct xi_member *m;

	for (int i = 0; i < PLAN_SWEEP; i++) {
		m = TAILQ_FIRST(&plan->list);
		if (!m || m->epoch == plan->addr_epoch)
			return;
		TAILQ_REMOVE(&plan->list, m, all);
		TAILQ_INSERT_TAIL(&plan->list, m, all);
		xi_member_judge(plan, m);
	}
}

static void sweep_lost(struct xi_plan *plan)
{
	struct xi_dest *dest;

	for (int i = 0; i < PLAN_SWEEP && lost_pending(plan); i++) {
		dest = TAILQ_FIRST(&plan->all);
		dest->lost_epoch = plan->lost_epoch;
		TAILQ_REMOVE(&plan->all, dest, all);
		TAILQ_INSERT_TAIL(&plan->all, dest, all);
		if (dest_may_be_lost(plan, dest))
			dest_lost(plan, dest);
	}
}

static bool throws_pending(const struct xi_plan *plan)
{
	const struct xi_dest *first = TAILQ_FIRST(&plan->throws);

	return first && first->throw_epoch != plan->throw_epoch;
}

static void sweep_throws(struct xi_plan *plan)
{
	struct xi_dest *dest;

	for (int i = 0; i < PLAN_SWEEP && throws_pending(plan); i++) {
		dest = TAILQ_FIRST(&plan->throws);
		dest->throw_epoch = plan->throw_epoch;
		TAILQ_REMOVE(&plan->throws, dest, throws);
		TAILQ_INSERT_TAIL(&plan->throws, dest, throws);
		xi_dest_queue(plan, dest);
	}
}

bool xi_plan_step(struct xi_plan *plan, struct xi_route_change *changes, uint32_t most, uint32_t *n)
{
	struct xi_member *m;
	struct xi_dest *dest;

	*n = 0;
	sweep_members(plan);
	sweep_lost(plan);
	sweep_throws(plan);
	for (int i = 0; i < PLAN_SWEEP && *n < most && !TAILQ_EMPTY(&plan->queue); i++) {
		dest = TAILQ_FIRST(&plan->queue);
		TAILQ_REMOVE(&plan->queue, dest, queue);
		dest->queued = false;
		if (xi_dest_settle(plan, dest, &changes[*n]))
			++*n;
	}
	m = TAILQ_FIRST(&plan->list);
	return !TAILQ_EMPTY(&plan->queue) || lost_pending(plan) || throws_pending(plan) ||
	       (m && m->epoch != plan->addr_epoch);
}

bool xi_plan_plain(struct xi_plan *plan, struct xi_addr *plain, uint32_t most, uint32_t *n)
{
	*n = 0;
	if (!plan->plain_changed)
		return false;
	plan->plain_changed = false;
	for (uint32_t i = 0; plan->locals.sources && i < plan->locals.n && *n < most; i++)
		if (!xi_source_covers(&plan->locals, &plan->locals.addrs[i]))
			plain[(*n)++] = plan->locals.addrs[i];
	return true;
}

const struct xi_route *xi_plan_next(const struct xi_plan *plan, uint64_t *at)
{
	struct xi_dest *dest = NULL;

	if (*at)
		HASH_FIND(by_id, plan->ids, at, sizeof(*at), dest);
	/* the table keeps them in the order in which they came; the one before may have gone */
	dest = dest ? dest->by_id.next : plan->ids;
	while (dest && (dest->id <= *at || (dest->route.kind == XI_ROUTE_NONE && !dest->waits)))
		dest = dest->by_id.next;
	if (!dest)
		return NULL;
	*at = dest->id;
	return &dest->route;
}

struct xi_plan_counts xi_plan_count(const struct xi_plan *plan)
{
	return plan->counts;
}

/* Local broadcast, multicast and autoconfigured addresses are of a link, whatever a default route says. */
static int plan_spare_links(struct xi_plan *plan)
{
	static const struct xi_prefix links[] = {
		{ { 255, 255, 255, 255 }, XI_IPV4, 32 },
		{ { 224 }, XI_IPV4, 24 },
		{ { 169, 254 }, XI_IPV4, 16 },
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		struct xi_dest *dest = xi_dest_get(plan, &links[i]);

		if (!dest)
			return -ENOMEM;
		dest->peers++;
		xi_dest_throws_update(plan, dest);
	}
	return 0;
}

int xi_plan_create(struct xi_plan **out)
{
	struct xi_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return -ENOMEM;
	TAILQ_INIT(&plan->queue);
	TAILQ_INIT(&plan->throws);
	TAILQ_INIT(&plan->all);
	TAILQ_INIT(&plan->list);
	if (plan_spare_links(plan)) {
		xi_plan_destroy(plan);
		return -ENOMEM;
	}
	*out = plan;
	return 0;
}

void xi_plan_destroy(struct xi_plan *plan)
{
	struct xi_member *m, *mnext;
	struct xi_dest *dest, *next;

	if (!plan)
		return;
	HASH_ITER(hh, plan->members, m, mnext) {
		HASH_DEL(plan->members, m);
		free(m);
	}
	HASH_CLEAR(by_id, plan->ids);
	HASH_ITER(hh, plan->dests, dest, next) {
		HASH_DEL(plan->dests, dest);
		free(dest);
	}
	xi_locals_free(&plan->locals);
	free(plan);
}
