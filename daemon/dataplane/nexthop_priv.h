/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What nexthop.c, nexthop_neigh.c and nexthop_follow.c share. Nobody else includes this. */
#ifndef XI_NEXTHOP_PRIV_H
#define XI_NEXTHOP_PRIV_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/queue.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "dataplane/devices.h"
#include "dataplane/fib.h"
#include "dataplane/mailbox.h"
#include "dataplane/nexthop.h"

#define XI_NEXTHOP_MAX 65536

struct xi_answer;
struct xi_neigh;

/* First member of what workers may still hold; freed after all have been quiescent. */
struct xi_retired {
	struct xi_retired *next;
};

/* No padding: it is compared as it is. */
struct xi_hop_key {
	struct xi_addr addr;
	uint32_t mark; /* of the packets in the host's routing rules */
};

/*
 * One address. Written by the control thread; workers read chain, key and answer, and set used, all
 * in the first cache line.
 */
struct xi_hop {
	struct xi_retired retired;
	_Atomic(struct xi_hop *) chain;
	_Atomic(struct xi_answer *) answer;
	struct xi_hop_key key;
	atomic_bool used;

	struct xi_nexthop base; /* by the routing table: LOCAL, or HOST until neigh is known */
	struct xi_neigh *neigh;	/* NULL: no neighbour of ours */
	LIST_ENTRY(xi_hop) of_neigh;
	TAILQ_ENTRY(xi_hop) all; /* longest not asked first */
	time_t last_used;
	time_t checked;
	unsigned int round;
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct xi_hop, used) < 64, "workers look at one line");

/* A neighbour that some hop goes by; the kernel's notifications keep its state. */
struct xi_neigh {
	struct xi_neigh_id id;
	struct xi_neigh_state state;
	LIST_HEAD(, xi_hop) hops;
	time_t nudged;
	UT_hash_handle hh;
};

struct xi_nexthops {
	_Atomic(struct xi_hop *) *buckets;
	uint64_t seed[2];
	struct xi_mailbox *wants; /* struct xi_hop_key: what workers ask for */

	struct xi_nexthop_config config;
	struct xi_rtnl ask;
	struct xi_rtnl notify;
	struct event *on_notify;
	struct event *on_wants;
	struct event *on_round;
	struct event *on_tick;
	TAILQ_HEAD(, xi_hop) hops;
	unsigned int nhops;
	struct xi_neigh *neighs;
	struct xi_devices devices;
	struct xi_addr *addrs;
	uint32_t naddrs;
	struct xi_retired *retired;
	unsigned int nretired;
	unsigned int round; /* a hop of another round must be asked again */
	uint64_t round_ms;  /* when the last round began */
	bool addrs_changed;
	bool links_changed;
	bool lost; /* notifications were lost: nothing known is certain */
};

static inline uint64_t xi_hop_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline time_t xi_hop_now_s(void)
{
	return (time_t)(xi_hop_now_ms() / 1000);
}

/* nexthop.c; all but the workers' two on the control thread */

/* Asks the kernel about one that is not there yet; beyond XI_NEXTHOP_MAX, and without memory, nothing happens. */
void xi_hop_add(struct xi_nexthops *nh, const struct xi_hop_key *key);
void xi_hop_remove(struct xi_nexthops *nh, struct xi_hop *hop);
/* Asks the kernel, again, and publishes what it says. */
void xi_hop_resolve(struct xi_nexthops *nh, struct xi_hop *hop);
void xi_hop_publish(struct xi_nexthops *nh, struct xi_hop *hop);
/* Frees what was unpublished, after one wait for all of it. */
void xi_nexthops_reclaim(struct xi_nexthops *nh);

/* nexthop_neigh.c */

/* NULL: by none. */
void xi_hop_set_neigh(struct xi_nexthops *nh, struct xi_hop *hop, const struct xi_neigh_id *id);
void xi_neigh_set(struct xi_nexthops *nh, struct xi_neigh *neigh, const struct xi_neigh_state *state);
/* The kernel's notification; of neighbours that no hop goes by it says nothing. */
void xi_neigh_event(struct xi_nexthops *nh, const struct nlmsghdr *nlh);
/* A stale one in use is to be confirmed, or found gone. */
void xi_neigh_nudge(struct xi_nexthops *nh, struct xi_neigh *neigh, time_t now);

/* nexthop_follow.c */

/* The sockets are open and subscribed, the mailbox is there. Asks for all that is known so far. 0 or -errno. */
int xi_nexthops_follow(struct xi_nexthops *nh);
void xi_nexthops_unfollow(struct xi_nexthops *nh);

#endif
