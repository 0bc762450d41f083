/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When next hops are asked for: what workers want, what the kernel says has changed, and time. */
#include "dataplane/nexthop_priv.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>

#include "dataplane/routes_table.h"
#include "log.h"

#define NEXTHOP_CROWDED (XI_NEXTHOP_MAX / 4 * 3)
#define NEXTHOP_TICK 2	 /* seconds between looks at what is in use */
#define NEXTHOP_IDLE 300 /* seconds without use until one is forgotten */
#define NEXTHOP_IDLE_CROWDED 10
#define NEXTHOP_RECHECK 10  /* seconds: learned path MTUs come and go without a notification */
#define NEXTHOP_ROUND_MS 50 /* from the start of one round of questions to that of the next */
#define NEXTHOP_SLICE 256   /* questions before other events get their turn */
#define NEXTHOP_RETIRED_MAX 256

/*
 * Called where an event has been dealt with: waiting for the workers is worth it only for many, or
 * now and then.
 */
static void nexthops_reclaim_many(struct xi_nexthops *nh)
{
	if (nh->nretired >= NEXTHOP_RETIRED_MAX)
		xi_nexthops_reclaim(nh);
}
/*
 * What the routing table said may be wrong now: ask for all hops again, soon but not at every one
 * of many changes.
 */
static void nexthops_new_round(struct xi_nexthops *nh)
{
	uint64_t since = xi_hop_now_ms() - nh->round_ms;
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
	struct xi_hop *hop;

	nh->round_ms = xi_hop_now_ms();
	for (int i = 0; i < NEXTHOP_SLICE; i++) {
		hop = TAILQ_FIRST(&nh->hops);
		if (!hop || hop->round == nh->round)
			break;
		xi_hop_resolve(nh, hop);
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
	struct xi_hop_key key;

	xi_mailbox_ack(nh->wants);
	for (int i = 0; i < NEXTHOP_SLICE; i++) {
		if (!xi_mailbox_pop(nh->wants, &key))
			return;
		xi_hop_add(nh, &key);
	}
	event_active(nh->on_wants, EV_READ, 0);
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
	struct xi_neigh *neigh, *next;
	struct xi_neigh_state state;
	int err = xi_devices_load(&nh->devices, &nh->ask);

	if (!err)
		err = addrs_update(nh, first);
	HASH_ITER (hh, nh->neighs, neigh, next) {
		if (err)
			break;
		err = xi_fib_neigh(&nh->ask, &neigh->id, &state);
		if (!err)
			xi_neigh_set(nh, neigh, &state);
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
		xi_neigh_event(nh, nlh);
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
static bool hop_take_used(struct xi_hop *hop, time_t now)
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
	time_t now = xi_hop_now_s();
	time_t idle = nh->nhops > NEXTHOP_CROWDED ? NEXTHOP_IDLE_CROWDED : NEXTHOP_IDLE;
	int questions = NEXTHOP_SLICE;
	struct xi_hop *next;

	xi_mailbox_renew(nh->wants);
	if (nh->lost || nh->addrs_changed)
		nexthops_on_notify(-1, 0, nh);
	for (struct xi_hop *hop = TAILQ_FIRST(&nh->hops); hop; hop = next) {
		next = TAILQ_NEXT(hop, all);
		if (!hop_take_used(hop, now)) {
			if (now - hop->last_used > idle)
				xi_hop_remove(nh, hop);
			continue;
		}
		if (hop->neigh)
			xi_neigh_nudge(nh, hop->neigh, now);
		if (now - hop->checked >= NEXTHOP_RECHECK && questions-- > 0)
			xi_hop_resolve(nh, hop);
	}
	xi_nexthops_reclaim(nh);
}

static int events_open(struct xi_nexthops *nh)
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

int xi_nexthops_follow(struct xi_nexthops *nh)
{
	int err = events_open(nh);

	return err ? err : nexthops_resync(nh, true);
}

static void event_drop(struct event *event)
{
	if (event)
		event_free(event);
}

void xi_nexthops_unfollow(struct xi_nexthops *nh)
{
	event_drop(nh->on_notify);
	event_drop(nh->on_wants);
	event_drop(nh->on_round);
	event_drop(nh->on_tick);
}
