/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/nexthop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <time.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>

#include "dataplane/devices.h"
#include "dataplane/fib.h"
#include "dataplane/mailbox.h"
#include "dataplane/routes_table.h"
#include "log.h"

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define NEXTHOP_MAX 65536
#define NEXTHOP_CROWDED (NEXTHOP_MAX / 4 * 3)
#define NEXTHOP_BUCKETS 32768
#define NEXTHOP_TICK 2	 /* seconds between looks at what is in use */
#define NEXTHOP_IDLE 300 /* seconds without use until one is forgotten */
#define NEXTHOP_IDLE_CROWDED 10
#define NEXTHOP_RECHECK 10  /* seconds: learned path MTUs come and go without a notification */
#define NEXTHOP_NUDGE 5	    /* seconds between two nudges of a neighbour */
#define NEXTHOP_ROUND_MS 50 /* from the start of one round of questions to that of the next */
#define NEXTHOP_SLICE 256   /* questions before other events get their turn */
#define NEXTHOP_RETIRED_MAX 256
#define NEXTHOP_MTU_ANY 65535

/* First member of what workers may still hold; freed after all have been quiescent. */
struct retired {
	struct retired *next;
};

/* Immutable once published: a change is a new one. A packet looks at its first cache line. */
struct answer {
	struct retired retired;
	struct xi_nexthop nexthop;
} __attribute__((aligned(64)));

struct neigh;

/* No padding: it is compared as it is. */
struct hop_key {
	struct xi_addr addr;
	uint32_t mark; /* of the packets in the host's routing rules */
};

/*
 * One address. Written by the control thread; workers read chain, key and answer, and set used, all
 * in the first cache line.
 */
struct hop {
	struct retired retired;
	_Atomic(struct hop *) chain;
	_Atomic(struct answer *) answer;
	struct hop_key key;
	atomic_bool used;

	struct xi_nexthop base; /* by the routing table: LOCAL, or HOST until neigh is known */
	struct neigh *neigh;	/* NULL: no neighbour of ours */
	LIST_ENTRY(hop) of_neigh;
	TAILQ_ENTRY(hop) all; /* longest not asked first */
	time_t last_used;
	time_t checked;
	unsigned int round;
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct hop, used) < 64, "workers look at one line");

/* A neighbour that some hop goes by; the kernel's notifications keep its state. */
struct neigh {
	struct xi_neigh_id id;
	struct xi_neigh_state state;
	LIST_HEAD(, hop) hops;
	time_t nudged;
	UT_hash_handle hh;
};

struct xi_nexthops {
	_Atomic(struct hop *) *buckets;
	uint64_t seed[2];
	struct xi_mailbox *wants; /* struct hop_key: what workers ask for */

	struct xi_nexthop_config config;
	struct xi_rtnl ask;
	struct xi_rtnl notify;
	struct event *on_notify;
	struct event *on_wants;
	struct event *on_round;
	struct event *on_tick;
	TAILQ_HEAD(, hop) hops;
	unsigned int nhops;
	struct neigh *neighs;
	struct xi_devices devices;
	struct xi_addr *addrs;
	uint32_t naddrs;
	struct retired *retired;
	unsigned int nretired;
	unsigned int round; /* a hop of another round must be asked again */
	uint64_t round_ms;  /* when the last round began */
	bool addrs_changed;
	bool links_changed;
	bool lost; /* notifications were lost: nothing known is certain */
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static time_t now_s(void)
{
	return (time_t)(now_ms() / 1000);
}

static struct hop_key hop_key(const uint8_t addr[16], enum xi_family family, uint32_t mark)
{
	struct hop_key key = {.addr.family = family, .mark = mark};

	memcpy(key.addr.addr, addr, sizeof(key.addr.addr));
	return key;
}

/* Keyed, so that nobody can choose addresses that share a bucket. */
static uint64_t hop_hash(const struct xi_nexthops *nh, const struct hop_key *key)
{
	uint64_t a, b;
	unsigned __int128 m;

	memcpy(&a, key->addr.addr, 8);
	memcpy(&b, key->addr.addr + 8, 8);
	m = (unsigned __int128)(a ^ nh->seed[0]) * (b ^ nh->seed[1]);
	a = (uint64_t)m ^ (uint64_t)(m >> 64) ^ nh->seed[0] ^ key->mark;
	m = (unsigned __int128)a * (nh->seed[1] | 1);
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static _Atomic(struct hop *) *hop_bucket(const struct xi_nexthops *nh, const struct hop_key *key)
{
	return &nh->buckets[hop_hash(nh, key) % NEXTHOP_BUCKETS];
}

static struct hop *hop_find(const struct xi_nexthops *nh, const struct hop_key *key)
{
	struct hop *hop = atomic_load_explicit(hop_bucket(nh, key), memory_order_acquire);

	while (hop && memcmp(&hop->key, key, sizeof(*key)))
		hop = atomic_load_explicit(&hop->chain, memory_order_acquire);
	return hop;
}

const struct xi_nexthop *xi_nexthop_find(const struct xi_nexthops *nh, const uint8_t addr[16],
					 enum xi_family family, uint32_t mark)
{
	const struct hop_key key = hop_key(addr, family, mark);
	struct hop *hop = hop_find(nh, &key);
	struct answer *answer =
		hop ? atomic_load_explicit(&hop->answer, memory_order_acquire) : NULL;

	if (!answer)
		return NULL;
	/* Looked at first: the line stays shared between workers while nobody clears it. */
	if (!atomic_load_explicit(&hop->used, memory_order_relaxed))
		atomic_store_explicit(&hop->used, true, memory_order_relaxed);
	return &answer->nexthop;
}

void xi_nexthop_want(struct xi_nexthops *nh, unsigned int worker, const uint8_t addr[16],
		     enum xi_family family, uint32_t mark)
{
	const struct hop_key want = hop_key(addr, family, mark);

	xi_mailbox_push(nh->wants, worker, hop_hash(nh, &want) ^ family, &want);
}

unsigned int xi_nexthops_count(const struct xi_nexthops *nh)
{
	return nh->nhops;
}

/* Zeroed, and as aligned as its type wants; NULL without memory. Freed by free(). */
static void *lines_alloc(size_t size)
{
	void *p = aligned_alloc(64, size);

	return p ? memset(p, 0, size) : NULL;
}

static void nexthops_retire(struct xi_nexthops *nh, struct retired *retired)
{
	if (!retired)
		return;
	retired->next = nh->retired;
	nh->retired = retired;
	nh->nretired++;
}

/* Frees what was unpublished, after one wait for all of it. */
static void nexthops_reclaim(struct xi_nexthops *nh)
{
	struct retired *retired = nh->retired;

	if (!retired)
		return;
	nh->retired = NULL;
	nh->nretired = 0;
	nh->config.sync(nh->config.arg);
	while (retired) {
		struct retired *next = retired->next;

		free(retired);
		retired = next;
	}
}

/*
 * Called where an event has been dealt with: waiting for the workers is worth it only for many, or
 * now and then.
 */
static void nexthops_reclaim_many(struct xi_nexthops *nh)
{
	if (nh->nretired >= NEXTHOP_RETIRED_MAX)
		nexthops_reclaim(nh);
}

/*
 * Makes the answer of the routing table and of the neighbour table into what workers see. Without
 * memory there is no answer, and workers use the host's stack: always right, only slower.
 */
static void hop_publish(struct xi_nexthops *nh, struct hop *hop)
{
	struct answer *old = atomic_load_explicit(&hop->answer, memory_order_relaxed);
	struct xi_nexthop next = hop->base;
	struct answer *fresh;

	if (hop->neigh && hop->neigh->state.valid) {
		next.kind = XI_NEXTHOP_PORT;
		memcpy(next.eth, hop->neigh->state.mac, 6);
	}
	if (old && !memcmp(&old->nexthop, &next, sizeof(next)))
		return;
	fresh = lines_alloc(sizeof(*fresh));
	if (fresh)
		memcpy(&fresh->nexthop, &next, sizeof(next));
	atomic_store_explicit(&hop->answer, fresh, memory_order_release);
	if (old)
		nexthops_retire(nh, &old->retired);
}

static void neigh_release(struct xi_nexthops *nh, struct hop *hop)
{
	struct neigh *neigh = hop->neigh;

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
static struct neigh *neigh_get(struct xi_nexthops *nh, const struct xi_neigh_id *id)
{
	struct neigh *neigh;

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

static void hop_set_neigh(struct xi_nexthops *nh, struct hop *hop, const struct xi_neigh_id *id)
{
	struct neigh *neigh = id ? neigh_get(nh, id) : NULL;

	if (neigh == hop->neigh)
		return;
	neigh_release(nh, hop);
	hop->neigh = neigh;
	if (neigh)
		LIST_INSERT_HEAD(&neigh->hops, hop, of_neigh);
}

/*
 * Asks the routing table. True, and the neighbour to go by in id, if the way leads out of one of
 * our ports.
 */
static bool hop_route(struct xi_nexthops *nh, const struct hop_key *key, struct xi_nexthop *base,
		      struct xi_neigh_id *id)
{
	const struct xi_addr *dst = &key->addr;
	static const uint16_t types[2] = {ETH_P_IP, ETH_P_IPV6};
	uint16_t type = types[dst->family == XI_IPV6];
	struct xi_fib_route route;
	const struct xi_link *link;
	int slot;

	memset(base, 0, sizeof(*base));
	memcpy(base->dst, dst->addr, sizeof(base->dst));
	base->family = dst->family;
	base->kind = XI_NEXTHOP_HOST;
	base->mtu = NEXTHOP_MTU_ANY;
	/* No route: the host's stack says so to whoever has to know. */
	if (xi_fib_route_from(&nh->ask, dst->addr, dst->family,
			      key->mark ? key->mark : nh->config.mark,
			      key->mark ? nh->config.sport : 0, &route))
		return false;
	base->ifindex = route.ifindex;
	link = xi_devices_find(&nh->devices, route.ifindex);
	if (link)
		base->mtu = link->mtu;
	if (route.mtu && route.mtu < base->mtu)
		base->mtu = route.mtu;
	if (route.local)
		base->kind = XI_NEXTHOP_LOCAL;
	if (!route.unicast || !link || !link->ethernet || !(link->flags & IFF_UP))
		return false;
	slot = nh->config.port(nh->config.arg, route.ifindex);
	if (slot < 0)
		return false;
	base->port = (uint32_t)slot;
	memcpy(base->eth + 6, link->mac, 6);
	base->eth[12] = (uint8_t)(type >> 8);
	base->eth[13] = (uint8_t)type;
	*id = (struct xi_neigh_id){.ifindex = route.ifindex};
	id->family = route.gateway.family ? route.gateway.family : dst->family;
	memcpy(id->addr, route.gateway.family ? route.gateway.addr : dst->addr, sizeof(id->addr));
	return true;
}

static void hop_resolve(struct xi_nexthops *nh, struct hop *hop)
{
	struct xi_neigh_id id;
	bool direct = hop_route(nh, &hop->key, &hop->base, &id);

	hop_set_neigh(nh, hop, direct ? &id : NULL);
	hop->checked = now_s();
	hop->round = nh->round;
	hop_publish(nh, hop);
}

static void hop_add(struct xi_nexthops *nh, const struct hop_key *key)
{
	_Atomic(struct hop *) *bucket = hop_bucket(nh, key);
	struct hop *hop = hop_find(nh, key);

	if (hop || nh->nhops >= NEXTHOP_MAX)
		return;
	hop = lines_alloc(sizeof(*hop));
	if (!hop)
		return;
	hop->key = *key;
	hop->last_used = now_s();
	hop_resolve(nh, hop);
	atomic_init(&hop->chain, atomic_load_explicit(bucket, memory_order_relaxed));
	atomic_store_explicit(bucket, hop, memory_order_release);
	TAILQ_INSERT_TAIL(&nh->hops, hop, all);
	nh->nhops++;
}

/*
 * A reader that stands on hop goes on along its chain, which stays as it is until all are
 * quiescent.
 */
static void hop_remove(struct xi_nexthops *nh, struct hop *hop)
{
	_Atomic(struct hop *) *link = hop_bucket(nh, &hop->key);
	struct hop *at = atomic_load_explicit(link, memory_order_relaxed);
	struct answer *answer = atomic_load_explicit(&hop->answer, memory_order_relaxed);

	while (at != hop) {
		link = &at->chain;
		at = atomic_load_explicit(link, memory_order_relaxed);
	}
	atomic_store_explicit(link, atomic_load_explicit(&hop->chain, memory_order_relaxed),
			      memory_order_release);
	TAILQ_REMOVE(&nh->hops, hop, all);
	nh->nhops--;
	neigh_release(nh, hop);
	if (answer)
		nexthops_retire(nh, &answer->retired);
	nexthops_retire(nh, &hop->retired);
}

/*
 * What the routing table said may be wrong now: ask for all hops again, soon but not at every one
 * of many changes.
 */
static void nexthops_new_round(struct xi_nexthops *nh)
{
	uint64_t since = now_ms() - nh->round_ms;
	struct timeval delay = {0};

	nh->round++;
	if (evtimer_pending(nh->on_round, NULL))
		return;
	if (since < NEXTHOP_ROUND_MS)
		delay.tv_usec = (suseconds_t)(NEXTHOP_ROUND_MS - since) * 1000;
	evtimer_add(nh->on_round, &delay);
}

static void nexthops_on_round(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval at_once = {0};
	struct xi_nexthops *nh = arg;
	struct hop *hop;

	nh->round_ms = now_ms();
	for (int i = 0; i < NEXTHOP_SLICE; i++) {
		hop = TAILQ_FIRST(&nh->hops);
		if (!hop || hop->round == nh->round)
			break;
		hop_resolve(nh, hop);
		TAILQ_REMOVE(&nh->hops, hop, all);
		TAILQ_INSERT_TAIL(&nh->hops, hop, all);
	}
	hop = TAILQ_FIRST(&nh->hops);
	if (hop && hop->round != nh->round)
		evtimer_add(nh->on_round, &at_once);
	nexthops_reclaim_many(nh);
}

static void nexthops_on_wants(evutil_socket_t fd, short what, void *arg)
{
	struct xi_nexthops *nh = arg;
	struct hop_key key;

	xi_mailbox_ack(nh->wants);
	for (int i = 0; i < NEXTHOP_SLICE; i++) {
		if (!xi_mailbox_pop(nh->wants, &key))
			return;
		hop_add(nh, &key);
	}
	event_active(nh->on_wants, EV_READ, 0);
}

static void neigh_set(struct xi_nexthops *nh, struct neigh *neigh,
		      const struct xi_neigh_state *state)
{
	struct hop *hop;

	neigh->state = *state;
	LIST_FOREACH (hop, &neigh->hops, of_neigh)
		hop_publish(nh, hop);
}

static void neigh_event(struct xi_nexthops *nh, const struct nlmsghdr *nlh)
{
	struct xi_neigh_state state;
	struct xi_neigh_id id;
	struct neigh *neigh;

	if (xi_fib_neigh_parse(nlh, &id, &state))
		return;
	HASH_FIND(hh, nh->neighs, &id, sizeof(id), neigh);
	if (neigh)
		neigh_set(nh, neigh, &state);
}

static void neigh_nudge(struct xi_nexthops *nh, struct neigh *neigh, time_t now)
{
	if (!neigh->state.stale || now - neigh->nudged < NEXTHOP_NUDGE)
		return;
	neigh->nudged = now;
	(void)xi_fib_neigh_use(&nh->ask, &neigh->id);
}

/* Tells the owner of the list, unless it has not changed. */
static int addrs_update(struct xi_nexthops *nh, bool always)
{
	struct xi_addr *addrs;
	uint32_t n;
	int err = xi_fib_addrs(&nh->ask, &addrs, &n);

	if (err)
		return err;
	nh->addrs_changed = false;
	if (!always && n == nh->naddrs && !(n && memcmp(addrs, nh->addrs, n * sizeof(*addrs)))) {
		free(addrs);
		return 0;
	}
	free(nh->addrs);
	nh->addrs = addrs;
	nh->naddrs = n;
	nh->config.addrs(nh->config.arg, addrs, n);
	return 0;
}

/* From scratch, after lost notifications. On failure the next tick tries again. */
static int nexthops_resync(struct xi_nexthops *nh, bool first)
{
	struct neigh *neigh, *next;
	struct xi_neigh_state state;
	int err = xi_devices_load(&nh->devices, &nh->ask);

	if (!err)
		err = addrs_update(nh, first);
	HASH_ITER (hh, nh->neighs, neigh, next) {
		if (err)
			break;
		err = xi_fib_neigh(&nh->ask, &neigh->id, &state);
		if (!err)
			neigh_set(nh, neigh, &state);
	}
	nh->lost = err;
	return err;
}

static int nexthops_event(void *arg, const struct nlmsghdr *nlh)
{
	struct xi_nexthops *nh = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (xi_devices_event(&nh->devices, nlh)) {
			nh->links_changed = true;
			nexthops_new_round(nh);
		}
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		nh->addrs_changed = true;
		nexthops_new_round(nh);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		neigh_event(nh, nlh);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		if (nh->config.foreign_table && xi_table_of(nlh) == nh->config.foreign_table)
			break;
		/* Which destinations it touches is not worth finding out. */
		nexthops_new_round(nh);
		break;
	default:
		/* Rules and next-hop objects. */
		nexthops_new_round(nh);
	}
	return 0;
}

static void nexthops_on_notify(evutil_socket_t fd, short what, void *arg)
{
	struct xi_nexthops *nh = arg;
	int err = xi_rtnl_events(&nh->notify, nexthops_event, nh);

	if (err) {
		log_info("next hops: change notifications lost (%s), asking for everything again",
			 strerror(-err));
		nh->lost = true;
	}
	if (nh->lost) {
		err = nexthops_resync(nh, false);
		nh->links_changed = true;
		nexthops_new_round(nh);
	} else if (nh->addrs_changed) {
		err = addrs_update(nh, false);
	}
	if (err)
		log_warnx("next hops: the kernel does not answer: %s: trying again",
			  strerror(-err));
	if (nh->links_changed && nh->config.links)
		nh->config.links(nh->config.arg);
	nh->links_changed = false;
	nexthops_reclaim_many(nh);
}

/* True: used since the last tick. */
static bool hop_take_used(struct hop *hop, time_t now)
{
	if (!atomic_load_explicit(&hop->used, memory_order_relaxed))
		return false;
	atomic_store_explicit(&hop->used, false, memory_order_relaxed);
	hop->last_used = now;
	return true;
}

static void nexthops_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct xi_nexthops *nh = arg;
	time_t now = now_s();
	time_t idle = nh->nhops > NEXTHOP_CROWDED ? NEXTHOP_IDLE_CROWDED : NEXTHOP_IDLE;
	int questions = NEXTHOP_SLICE;
	struct hop *next;

	xi_mailbox_renew(nh->wants);
	if (nh->lost || nh->addrs_changed)
		nexthops_on_notify(-1, 0, nh);
	for (struct hop *hop = TAILQ_FIRST(&nh->hops); hop; hop = next) {
		next = TAILQ_NEXT(hop, all);
		if (!hop_take_used(hop, now)) {
			if (now - hop->last_used > idle)
				hop_remove(nh, hop);
			continue;
		}
		if (hop->neigh)
			neigh_nudge(nh, hop->neigh, now);
		if (now - hop->checked >= NEXTHOP_RECHECK && questions-- > 0)
			hop_resolve(nh, hop);
	}
	nexthops_reclaim(nh);
}

static int nexthops_open_events(struct xi_nexthops *nh)
{
	static const struct timeval tick = {.tv_sec = NEXTHOP_TICK};
	struct event_base *base = nh->config.base;

	nh->on_notify =
		event_new(base, nh->notify.fd, EV_READ | EV_PERSIST, nexthops_on_notify, nh);
	nh->on_wants = event_new(base, xi_mailbox_fd(nh->wants), EV_READ | EV_PERSIST,
				 nexthops_on_wants, nh);
	nh->on_round = evtimer_new(base, nexthops_on_round, nh);
	nh->on_tick = event_new(base, -1, EV_PERSIST, nexthops_on_tick, nh);
	if (!nh->on_notify || !nh->on_wants || !nh->on_round || !nh->on_tick)
		return -ENOMEM;
	if (event_add(nh->on_notify, NULL) || event_add(nh->on_wants, NULL) ||
	    event_add(nh->on_tick, &tick))
		return -EIO;
	return 0;
}

/*
 * Subscribed before anything is asked: a change in between is then asked about twice, and none is
 * missed.
 */
static int nexthops_open(struct xi_nexthops *nh)
{
	static const unsigned int groups[] = {
		RTNLGRP_LINK,	     RTNLGRP_NEIGH,	 RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,
		RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,	 RTNLGRP_NEXTHOP,
	};
	int err;

	if (getrandom(nh->seed, sizeof(nh->seed), 0) != sizeof(nh->seed))
		return -errno;
	nh->buckets = calloc(NEXTHOP_BUCKETS, sizeof(*nh->buckets));
	if (!nh->buckets)
		return -ENOMEM;
	err = xi_mailbox_create(&nh->wants, nh->config.nworkers, sizeof(struct hop_key));
	if (!err)
		err = xi_rtnl_open(&nh->ask);
	if (!err)
		err = xi_rtnl_open(&nh->notify);
	if (!err)
		err = xi_rtnl_subscribe(&nh->notify, groups, sizeof(groups) / sizeof(groups[0]));
	if (!err)
		err = nexthops_open_events(nh);
	return err ? err : nexthops_resync(nh, true);
}

int xi_nexthops_create(struct xi_nexthops **out, const struct xi_nexthop_config *config)
{
	struct xi_nexthops *nh;
	int err;

	assert(config->base && config->port && config->addrs && config->sync);
	nh = calloc(1, sizeof(*nh));
	if (!nh)
		return -ENOMEM;
	nh->config = *config;
	TAILQ_INIT(&nh->hops);
	err = nexthops_open(nh);
	if (err) {
		log_warnx("next hops: cannot follow the kernel's routing and neighbour tables: %s",
			  strerror(-err));
		xi_nexthops_destroy(nh);
		return err;
	}
	*out = nh;
	return 0;
}

static void event_drop(struct event *event)
{
	if (event)
		event_free(event);
}

void xi_nexthops_destroy(struct xi_nexthops *nh)
{
	if (!nh)
		return;
	event_drop(nh->on_notify);
	event_drop(nh->on_wants);
	event_drop(nh->on_round);
	event_drop(nh->on_tick);
	while (!TAILQ_EMPTY(&nh->hops))
		hop_remove(nh, TAILQ_FIRST(&nh->hops));
	nexthops_reclaim(nh);
	xi_devices_clear(&nh->devices);
	xi_rtnl_close(&nh->ask);
	xi_rtnl_close(&nh->notify);
	xi_mailbox_destroy(nh->wants);
	free(nh->addrs);
	free(nh->buckets);
	free(nh);
}
