/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/routes_plan.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "dataplane/routes_heap.h"
#include "dataplane/routes_local.h"
#include "sad/selector.h"

#define PLAN_SWEEP 1024          /* looked at in one step, of each list that waits for it */
#define PLAN_PEERS 2

struct dest;

/* What matters of a policy that leads somewhere, or spares something. */
struct intent {
	struct xi_prefix src, dst;
	uint32_t priority;
	uint64_t order;
	bool bypass;
	uint32_t npeers;
	struct xi_prefix peers[PLAN_PEERS];
};

struct member {
	uint32_t index;              /* of the policy */
	struct intent intent;
	bool relevant;               /* the host may send from its source */
	struct xi_heap_node at;      /* in its destination's heap, if relevant */
	struct dest *dest;
	struct dest *peers[PLAN_PEERS];
	uint64_t epoch;
	TAILQ_ENTRY(member) all;
	UT_hash_handle hh;
};

/* One prefix. */
struct dest {
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
	TAILQ_ENTRY(dest) queue, throws, all;
	UT_hash_handle hh;
	UT_hash_handle by_id;
};

TAILQ_HEAD(dest_list, dest);

/*
 * Where all of a list must be looked at again, an epoch begins. Who has seen it is at the end, so the first of the list
 * tells whether there is more to do.
 */
struct xi_plan {
	struct xi_locals locals;
	struct dest *dests;
	struct dest *ids;
	struct member *members;
	struct dest_list queue, throws, all;
	TAILQ_HEAD(, member) list;
	uint64_t addr_epoch, lost_epoch, throw_epoch;
	bool lost_one;               /* only routes with lost_src were lost */
	struct xi_addr lost_src;
	uint32_t via_by_len[2][129]; /* destinations to xipsec0, by family and length */
	uint64_t id;
	bool plain_changed;
	struct xi_plan_counts counts;
};

static struct dest *dest_find(const struct xi_plan *plan, const struct xi_prefix *prefix)
{
	struct dest *dest;

	HASH_FIND(hh, plan->dests, prefix, sizeof(*prefix), dest);
	return dest;
}

static void dest_queue(struct xi_plan *plan, struct dest *dest)
{
	if (dest->queued)
		return;
	dest->queued = true;
	TAILQ_INSERT_TAIL(&plan->queue, dest, queue);
}

static struct dest *dest_get(struct xi_plan *plan, const struct xi_prefix *prefix)
{
	struct dest *dest = dest_find(plan, prefix);

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

static void dest_throws_update(struct xi_plan *plan, struct dest *dest)
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
static void dest_put(struct xi_plan *plan, struct dest *dest)
{
	if (dest->members || dest->peers || dest->queued || dest->unsure ||
	    dest->installed.kind != XI_ROUTE_NONE)
		return;
	HASH_DEL(plan->dests, dest);
	HASH_DELETE(by_id, plan->ids, dest);
	TAILQ_REMOVE(&plan->all, dest, all);
	free(dest);
}

static bool policy_is_tunnel(const struct xi_policy *policy)
{
	for (uint32_t i = 0; i < policy->ntmpls; i++)
		if (policy->tmpls[i].mode == XI_TUNNEL)
			return true;
	return false;
}

/* False: the policy means nothing to routes. */
static bool intent_of(const struct xi_policy *policy, struct intent *intent)
{
	const struct xi_selector *sel = &policy->sel;

	if (policy->dir != XI_OUT || policy->action != XI_ALLOW || policy->type || policy->if_id ||
	    policy->mark_m || sel->proto || sel->sport_mask || sel->dport_mask || sel->ifindex ||
	    (sel->family != XI_IPV4 && sel->family != XI_IPV6))
		return false;
	if (policy->ntmpls && !policy_is_tunnel(policy))
		return false;
	memset(intent, 0, sizeof(*intent));
	xi_prefix_set(&intent->src, sel->saddr, sel->family, sel->prefixlen_s);
	xi_prefix_set(&intent->dst, sel->daddr, sel->family, sel->prefixlen_d);
	intent->priority = policy->priority;
	intent->order = policy->order;
	intent->bypass = !policy->ntmpls;
	for (uint32_t i = 0; i < policy->ntmpls && i < PLAN_PEERS; i++) {
		const struct xi_tmpl *tmpl = &policy->tmpls[i];

		if (tmpl->mode == XI_TUNNEL && (tmpl->family == XI_IPV4 || tmpl->family == XI_IPV6))
			xi_prefix_set(&intent->peers[intent->npeers++], tmpl->id.daddr, tmpl->family,
				      xi_family_bits(tmpl->family));
	}
	return true;
}

static struct xi_heap_node **member_heap(const struct member *m)
{
	return m->intent.bypass ? &m->dest->bypasses : &m->dest->protects;
}

static const struct member *member_of(const struct xi_heap_node *node)
{
	return node ? (const void *)((const char *)node - offsetof(struct member, at)) : NULL;
}

/* By the addresses of now. */
static void member_judge(struct xi_plan *plan, struct member *m)
{
	bool relevant = !m->intent.src.plen || xi_locals_in(&plan->locals, &m->intent.src);

	m->epoch = plan->addr_epoch;
	if (relevant == m->relevant) {
		/* its address may be another */
		if (relevant && *member_heap(m) == &m->at)
			dest_queue(plan, m->dest);
		return;
	}
	m->relevant = relevant;
	if (relevant)
		xi_heap_insert(member_heap(m), &m->at);
	else
		xi_heap_remove(member_heap(m), &m->at);
	dest_queue(plan, m->dest);
}

static void member_unlink(struct xi_plan *plan, struct member *m)
{
	struct dest *dest = m->dest;

	HASH_DEL(plan->members, m);
	TAILQ_REMOVE(&plan->list, m, all);
	if (!m->intent.bypass)
		xi_source_drop(&plan->locals, &m->intent.src, &plan->plain_changed);
	if (m->relevant)
		xi_heap_remove(member_heap(m), &m->at);
	dest->members--;
	dest->nbypasses -= m->intent.bypass;
	dest_throws_update(plan, dest);
	dest_queue(plan, dest);
	for (uint32_t i = 0; i < m->intent.npeers; i++) {
		m->peers[i]->peers--;
		dest_throws_update(plan, m->peers[i]);
		dest_queue(plan, m->peers[i]);
	}
	free(m);
}

/* Everything that can fail, before anything is linked. */
static int member_new(struct xi_plan *plan, uint32_t index, const struct intent *intent,
		      struct member **out)
{
	struct member *m = calloc(1, sizeof(*m));
	int err = -ENOMEM;
	uint32_t i;

	if (!m)
		return err;
	m->index = index;
	m->intent = *intent;
	m->at.major = intent->priority;
	m->at.minor = intent->order;
	m->dest = dest_get(plan, &intent->dst);
	for (i = 0; i < intent->npeers && m->dest; i++) {
		m->peers[i] = dest_get(plan, &intent->peers[i]);
		if (!m->peers[i])
			break;
	}
	if (m->dest && i == intent->npeers)
		err = intent->bypass ? 0 : xi_source_add(&plan->locals, &intent->src,
							 &plan->plain_changed);
	/* those that were made for it go when the queue comes to them */
	for (i = 0; i < intent->npeers; i++)
		if (m->peers[i])
			dest_queue(plan, m->peers[i]);
	if (m->dest)
		dest_queue(plan, m->dest);
	if (err)
		free(m);
	else
		*out = m;
	return err;
}

static int member_link(struct xi_plan *plan, struct member *m)
{
	HASH_ADD(hh, plan->members, index, sizeof(m->index), m);
	if (!m->hh.tbl) {
		if (!m->intent.bypass)
			xi_source_drop(&plan->locals, &m->intent.src, &plan->plain_changed);
		free(m);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&plan->list, m, all);
	m->dest->members++;
	m->dest->nbypasses += m->intent.bypass;
	dest_throws_update(plan, m->dest);
	for (uint32_t i = 0; i < m->intent.npeers; i++) {
		m->peers[i]->peers++;
		dest_throws_update(plan, m->peers[i]);
	}
	member_judge(plan, m);
	return 0;
}

int xi_plan_policy(struct xi_plan *plan, uint32_t index, const struct xi_policy *now)
{
	struct member *old, *m = NULL;
	struct intent intent;
	bool means = now && intent_of(now, &intent);
	int err;

	HASH_FIND(hh, plan->members, &index, sizeof(index), old);
	if (old && means && !memcmp(&old->intent, &intent, sizeof(intent)))
		return 0;
	if (means) {
		err = member_new(plan, index, &intent, &m);
		if (err)
			return err;
	}
	if (old)
		member_unlink(plan, old);
	return m ? member_link(plan, m) : 0;
}

/* The next wider destination whose route leads to xipsec0. */
static const struct dest *dest_cover(const struct xi_plan *plan, const struct dest *dest)
{
	const struct xi_prefix *dst = &dest->route.dst;
	const uint32_t *by_len = plan->via_by_len[xi_family_row(dst->family)];
	const struct dest *cover;
	struct xi_prefix prefix;

	for (uint32_t plen = dst->plen; plen-- > 0;) {
		if (!by_len[plen])
			continue;
		xi_prefix_set(&prefix, dst->addr, dst->family, plen);
		cover = dest_find(plan, &prefix);
		if (cover && cover->route.kind == XI_ROUTE_VIA)
			return cover;
	}
	return NULL;
}

static bool bypass_covers(const struct member *bypass, const struct member *protect)
{
	const struct xi_prefix *outer = &bypass->intent.src, *inner = &protect->intent.src;

	return outer->plen <= inner->plen &&
	       xi_prefix_equal(outer->addr, inner->addr, outer->plen);
}

static bool order_before(const struct xi_heap_node *a, uint64_t major, uint64_t minor)
{
	return a->major != major ? a->major < major : a->minor < minor;
}

static void dest_decide_via(const struct xi_plan *plan, const struct member *protect,
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

static struct xi_route dest_decide(const struct xi_plan *plan, const struct dest *dest)
{
	const struct member *protect = member_of(dest->protects);
	const struct member *bypass = member_of(dest->bypasses);
	struct xi_route route = { .dst = dest->route.dst };
	const struct dest *cover;

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
static void dest_decided(struct xi_plan *plan, struct dest *dest, const struct xi_route *route)
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

static void count_route(struct xi_plan *plan, const struct xi_route *route, uint64_t by)
{
	if (route->kind == XI_ROUTE_VIA)
		plan->counts.via += by;
	else if (route->kind == XI_ROUTE_THROW)
		plan->counts.thrown += by;
}

/* True: change is to be made. */
static bool dest_settle(struct xi_plan *plan, struct dest *dest, struct xi_route_change *change)
{
	struct xi_route route = dest_decide(plan, dest);
	bool differs;

	dest_decided(plan, dest, &route);
	differs = dest->unsure || memcmp(&dest->installed, &route, sizeof(route));
	if (differs) {
		*change = (struct xi_route_change){ dest->installed, route, dest->unsure };
		dest->unsure = false;
		count_route(plan, &dest->installed, (uint64_t)-1);
		count_route(plan, &route, 1);
		dest->installed = route;
	}
	dest_put(plan, dest);
	return differs;
}

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
	struct dest *dest = dest_get(plan, &route->dst);

	if (!dest)
		return -ENOMEM;
	count_route(plan, &dest->installed, (uint64_t)-1);
	count_route(plan, route, 1);
	dest->installed = *route;
	dest_queue(plan, dest);
	return 0;
}

static void dest_lost(struct xi_plan *plan, struct dest *dest)
{
	dest->unsure = true;
	dest_queue(plan, dest);
}

bool xi_plan_lost(struct xi_plan *plan, const struct xi_prefix *dst)
{
	struct dest *dest = dest_find(plan, dst);

	if (!dest)
		return false;
	dest_lost(plan, dest);
	return dest->route.kind != XI_ROUTE_NONE;
}

static bool lost_pending(const struct xi_plan *plan)
{
	const struct dest *first = TAILQ_FIRST(&plan->all);

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

static bool dest_may_be_lost(const struct xi_plan *plan, const struct dest *dest)
{
	const struct xi_route *route = &dest->installed;

	if (route->kind == XI_ROUTE_NONE)
		return false;
	return !plan->lost_one || (route->has_src && route->dst.family == plan->lost_src.family &&
				   !memcmp(route->src, plan->lost_src.addr, sizeof(route->src)));
}

static void sweep_members(struct xi_plan *plan)
{
	struct member *m;

	for (int i = 0; i < PLAN_SWEEP; i++) {
		m = TAILQ_FIRST(&plan->list);
		if (!m || m->epoch == plan->addr_epoch)
			return;
		TAILQ_REMOVE(&plan->list, m, all);
		TAILQ_INSERT_TAIL(&plan->list, m, all);
		member_judge(plan, m);
	}
}

static void sweep_lost(struct xi_plan *plan)
{
	struct dest *dest;

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
	const struct dest *first = TAILQ_FIRST(&plan->throws);

	return first && first->throw_epoch != plan->throw_epoch;
}

static void sweep_throws(struct xi_plan *plan)
{
	struct dest *dest;

	for (int i = 0; i < PLAN_SWEEP && throws_pending(plan); i++) {
		dest = TAILQ_FIRST(&plan->throws);
		dest->throw_epoch = plan->throw_epoch;
		TAILQ_REMOVE(&plan->throws, dest, throws);
		TAILQ_INSERT_TAIL(&plan->throws, dest, throws);
		dest_queue(plan, dest);
	}
}

bool xi_plan_step(struct xi_plan *plan, struct xi_route_change *changes, uint32_t most, uint32_t *n)
{
	struct member *m;
	struct dest *dest;

	*n = 0;
	sweep_members(plan);
	sweep_lost(plan);
	sweep_throws(plan);
	for (int i = 0; i < PLAN_SWEEP && *n < most && !TAILQ_EMPTY(&plan->queue); i++) {
		dest = TAILQ_FIRST(&plan->queue);
		TAILQ_REMOVE(&plan->queue, dest, queue);
		dest->queued = false;
		if (dest_settle(plan, dest, &changes[*n]))
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
	struct dest *dest = NULL;

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
		struct dest *dest = dest_get(plan, &links[i]);

		if (!dest)
			return -ENOMEM;
		dest->peers++;
		dest_throws_update(plan, dest);
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
	struct member *m, *mnext;
	struct dest *dest, *next;

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
