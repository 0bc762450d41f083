/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/nexthop_priv.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>

#include "log.h"

#define NEXTHOP_BUCKETS 32768
#define NEXTHOP_MTU_ANY 65535

/* Immutable once published: a change is a new one. A packet looks at its first cache line. */
struct xi_answer {
	struct xi_retired retired;
	struct xi_nexthop nexthop;
} __attribute__((aligned(64)));

static struct xi_hop_key hop_key(const uint8_t addr[16], enum xi_family family, uint32_t mark)
{
	struct xi_hop_key key = {.addr.family = family, .mark = mark};

	memcpy(key.addr.addr, addr, sizeof(key.addr.addr));
	return key;
}

/* Keyed, so that nobody can choose addresses that share a bucket. */
static uint64_t hop_hash(const struct xi_nexthops *nh, const struct xi_hop_key *key)
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

static _Atomic(struct xi_hop *) *hop_bucket(const struct xi_nexthops *nh,
					    const struct xi_hop_key *key)
{
	return &nh->buckets[hop_hash(nh, key) % NEXTHOP_BUCKETS];
}

static struct xi_hop *hop_find(const struct xi_nexthops *nh, const struct xi_hop_key *key)
{
	struct xi_hop *hop = atomic_load_explicit(hop_bucket(nh, key), memory_order_acquire);

	while (hop && memcmp(&hop->key, key, sizeof(*key)))
		hop = atomic_load_explicit(&hop->chain, memory_order_acquire);
	return hop;
}

const struct xi_nexthop *xi_nexthop_find(const struct xi_nexthops *nh, const uint8_t addr[16],
					 enum xi_family family, uint32_t mark)
{
	const struct xi_hop_key key = hop_key(addr, family, mark);
	struct xi_hop *hop = hop_find(nh, &key);
	struct xi_answer *answer =
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
	const struct xi_hop_key want = hop_key(addr, family, mark);

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

static void nexthops_retire(struct xi_nexthops *nh, struct xi_retired *retired)
{
	if (!retired)
		return;
	retired->next = nh->retired;
	nh->retired = retired;
	nh->nretired++;
}

void xi_nexthops_reclaim(struct xi_nexthops *nh)
{
	struct xi_retired *retired = nh->retired;

	if (!retired)
		return;
	nh->retired = NULL;
	nh->nretired = 0;
	nh->config.sync(nh->config.arg);
	while (retired) {
		struct xi_retired *next = retired->next;

		free(retired);
		retired = next;
	}
}

/*
 * Makes the answer of the routing table and of the neighbour table into what workers see. Without
 * memory there is no answer, and workers use the host's stack: always right, only slower.
 */
void xi_hop_publish(struct xi_nexthops *nh, struct xi_hop *hop)
{
	struct xi_answer *old = atomic_load_explicit(&hop->answer, memory_order_relaxed);
	struct xi_nexthop next = hop->base;
	struct xi_answer *fresh;

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

/*
 * Asks the routing table. True, and the neighbour to go by in id, if the way leads out of one of
 * our ports.
 */
static bool hop_route(struct xi_nexthops *nh, const struct xi_hop_key *key, struct xi_nexthop *base,
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

void xi_hop_resolve(struct xi_nexthops *nh, struct xi_hop *hop)
{
	struct xi_neigh_id id;
	bool direct = hop_route(nh, &hop->key, &hop->base, &id);

	xi_hop_set_neigh(nh, hop, direct ? &id : NULL);
	hop->checked = xi_hop_now_s();
	hop->round = nh->round;
	xi_hop_publish(nh, hop);
}

void xi_hop_add(struct xi_nexthops *nh, const struct xi_hop_key *key)
{
	_Atomic(struct xi_hop *) *bucket = hop_bucket(nh, key);
	struct xi_hop *hop = hop_find(nh, key);

	if (hop || nh->nhops >= XI_NEXTHOP_MAX)
		return;
	hop = lines_alloc(sizeof(*hop));
	if (!hop)
		return;
	hop->key = *key;
	hop->last_used = xi_hop_now_s();
	xi_hop_resolve(nh, hop);
	atomic_init(&hop->chain, atomic_load_explicit(bucket, memory_order_relaxed));
	atomic_store_explicit(bucket, hop, memory_order_release);
	TAILQ_INSERT_TAIL(&nh->hops, hop, all);
	nh->nhops++;
}

/*
 * A reader that stands on hop goes on along its chain, which stays as it is until all are
 * quiescent.
 */
void xi_hop_remove(struct xi_nexthops *nh, struct xi_hop *hop)
{
	_Atomic(struct xi_hop *) *link = hop_bucket(nh, &hop->key);
	struct xi_hop *at = atomic_load_explicit(link, memory_order_relaxed);
	struct xi_answer *answer = atomic_load_explicit(&hop->answer, memory_order_relaxed);

	while (at != hop) {
		link = &at->chain;
		at = atomic_load_explicit(link, memory_order_relaxed);
	}
	atomic_store_explicit(link, atomic_load_explicit(&hop->chain, memory_order_relaxed),
			      memory_order_release);
	TAILQ_REMOVE(&nh->hops, hop, all);
	nh->nhops--;
	xi_hop_set_neigh(nh, hop, NULL);
	if (answer)
		nexthops_retire(nh, &answer->retired);
	nexthops_retire(nh, &hop->retired);
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
	err = xi_mailbox_create(&nh->wants, nh->config.nworkers, sizeof(struct xi_hop_key));
	if (!err)
		err = xi_rtnl_open(&nh->ask);
	if (!err)
		err = xi_rtnl_open(&nh->notify);
	if (!err)
		err = xi_rtnl_subscribe(&nh->notify, groups, sizeof(groups) / sizeof(groups[0]));
	return err ? err : xi_nexthops_follow(nh);
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

void xi_nexthops_destroy(struct xi_nexthops *nh)
{
	if (!nh)
		return;
	xi_nexthops_unfollow(nh);
	while (!TAILQ_EMPTY(&nh->hops))
		xi_hop_remove(nh, TAILQ_FIRST(&nh->hops));
	xi_nexthops_reclaim(nh);
	xi_devices_clear(&nh->devices);
	xi_rtnl_close(&nh->ask);
	xi_rtnl_close(&nh->notify);
	xi_mailbox_destroy(nh->wants);
	free(nh->addrs);
	free(nh->buckets);
	free(nh);
}
