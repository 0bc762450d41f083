/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/rtnetlink.h>

#include "dataplane/link.h"
#include "dataplane/hostif.h"
#include "log.h"
#include "sad/spd.h"

#define ROUTES_PAUSE_US 1000     /* between batches: others of the control thread get their turn, */
#define ROUTES_REPAIR_S 1        /* and before what was refused, or removed by others, is tried again */
#define ROUTES_REFUSED 1024      /* remembered one by one */
#define ROUTES_LOG_S 10
#define ROUTES_FEED 1024         /* policies of before taken in one turn */

struct xi_routes {
	struct xi_routes_config config;
	struct xi_route_table table;
	struct xi_plan *plan;
	struct xi_rtnl ask, batch, notify;
	uint32_t ask_port, batch_port; /* by which notifications tell our own changes */
	struct event *on_notify, *on_work, *on_repair;
	bool up;                     /* xipsec0 is; routes to a device that is not are refused */
	bool repair_rules, repair_all;
	bool feeding;                /* policies with a higher index than fed are not known yet */
	uint32_t fed;
	struct xi_prefix refused[ROUTES_REFUSED];
	uint32_t nrefused;
	struct xi_addr plain[XI_ROUTES_PLAIN];
	uint32_t nplain;
	time_t logged;
	struct xi_routes_figures figures;
};

static void routes_work_soon(struct xi_routes *r)
{
	static const struct timeval at_once = { 0 };

	if (r->up && r->on_work && !evtimer_pending(r->on_work, NULL))
		evtimer_add(r->on_work, &at_once);
}

static void routes_repair_later(struct xi_routes *r)
{
	static const struct timeval later = { .tv_sec = ROUTES_REPAIR_S };

	if (!evtimer_pending(r->on_repair, NULL))
		evtimer_add(r->on_repair, &later);
}

/* One line for many: they mostly have one cause. */
static void routes_log(struct xi_routes *r, const struct xi_route_change *change, int err)
{
	char text[INET6_ADDRSTRLEN] = "";
	time_t now = time(NULL);

	if (now - r->logged < ROUTES_LOG_S)
		return;
	r->logged = now;
	inet_ntop((int)change->now.dst.family, change->now.dst.addr, text, sizeof(text));
	log_warnx("routes: %s/%u in table %u was refused: %s; it is tried again each second, see `xipsec routes`",
		  text, change->now.dst.plen, r->table.table, strerror(-err));
}

static void routes_refused(struct xi_routes *r, const struct xi_route_change *change, int err)
{
	r->figures.refused++;
	routes_log(r, change, err);
	if (r->nrefused < ROUTES_REFUSED)
		r->refused[r->nrefused++] = change->now.dst;
	else
		r->repair_all = true;
	routes_repair_later(r);
}

/* That it is gone is what was wanted; an address that is not there any more is about to be told. */
static bool change_succeeded(const struct xi_route_change *change, int err)
{
	return !err || (change->now.kind == XI_ROUTE_NONE && (err == -ESRCH || err == -ENODEV));
}

static void routes_make(struct xi_routes *r, const struct xi_route_change *changes, uint32_t n)
{
	struct nl_msg *msgs[XI_RTNL_BATCH];
	int errs[XI_RTNL_BATCH] = { 0 };
	uint32_t i;
	int err;

	for (i = 0; i < n; i++)
		msgs[i] = xi_table_change(&r->table, &changes[i]);
	err = xi_rtnl_batch(&r->batch, msgs, errs, n);
	for (i = 0; i < n; i++) {
		if (change_succeeded(&changes[i], err ? err : errs[i]))
			r->figures.changes++;
		else
			routes_refused(r, &changes[i], err ? err : errs[i]);
	}
}

static void routes_rules(struct xi_routes *r)
{
	int err = xi_rules_set(&r->ask, &r->table, r->plain, r->nplain);

	r->repair_rules = err;
	if (!err)
		return;
	log_warnx("routes: the rules of priority %u to %u cannot be set: %s%s%s; trying again",
		  XI_ROUTES_PRIORITY, XI_ROUTES_PRIORITY + 2, strerror(-err),
		  r->ask.text[0] ? ": " : "", r->ask.text);
	routes_repair_later(r);
}

static void routes_take_policy(struct xi_routes *r, uint32_t index, const struct xi_policy *now)
{
	if (xi_plan_policy(r->plan, index, now))
		log_warnx("routes: no memory for the policy with index %u: its route is missing until it changes",
			  index);
}

/* Until all are known, no route is known to be stale. */
static void routes_feed(struct xi_routes *r)
{
	const struct xi_policy *policy;

	for (int i = 0; i < ROUTES_FEED; i++) {
		policy = xi_spd_next(r->config.spd, &r->fed);
		if (!policy) {
			r->feeding = false;
			return;
		}
		routes_take_policy(r, r->fed, policy);
	}
}

static void routes_plain(struct xi_routes *r)
{
	struct xi_addr plain[XI_ROUTES_PLAIN + 1];
	uint32_t n;

	if (!xi_plan_plain(r->plan, plain, XI_ROUTES_PLAIN + 1, &n))
		return;
	if (n > XI_ROUTES_PLAIN) {
		n = XI_ROUTES_PLAIN;
		log_warnx("routes: more than %d addresses of this host are in no policy's source: what the others send where a route leads to %s is dropped there; add routes by hand in place of routes = yes",
			  XI_ROUTES_PLAIN, XI_HOSTIF_NAME);
	}
	if (!r->repair_rules && n == r->nplain && !memcmp(plain, r->plain, n * sizeof(plain[0])))
		return;
	memcpy(r->plain, plain, n * sizeof(plain[0]));
	r->nplain = n;
	routes_rules(r);
}

static void routes_on_work(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval pause = { .tv_usec = ROUTES_PAUSE_US };
	struct xi_route_change changes[XI_RTNL_BATCH];
	struct xi_routes *r = arg;
	uint32_t n;
	bool more;

	if (!r->up)
		return;
	if (r->feeding) {
		routes_feed(r);
		evtimer_add(r->on_work, &pause);
		return;
	}
	/* before routes that could catch what is from these addresses */
	routes_plain(r);
	more = xi_plan_step(r->plan, changes, XI_RTNL_BATCH, &n);
	if (n)
		routes_make(r, changes, n);
	if (more)
		evtimer_add(r->on_work, &pause);
}

static void routes_on_repair(evutil_socket_t fd, short what, void *arg)
{
	struct xi_routes *r = arg;
	uint32_t i, n = r->nrefused;

	r->nrefused = 0;
	for (i = 0; i < n; i++)
		xi_plan_lost(r->plan, &r->refused[i]);
	if (r->repair_all)
		xi_plan_lost_all(r->plan, NULL);
	r->repair_all = false;
	if (r->repair_rules)
		routes_rules(r);
	routes_work_soon(r);
}

/* A route of ours that others removed, or the kernel with a device. */
static void routes_on_removed(struct xi_routes *r, const struct nlmsghdr *nlh)
{
	struct xi_route route;

	if (nlh->nlmsg_pid == r->batch_port || !xi_table_parse(&r->table, nlh, &route))
		return;
	if (!r->up || !xi_plan_lost(r->plan, &route.dst))
		return;
	r->figures.restored++;
	routes_repair_later(r);
}

static void routes_set_up(struct xi_routes *r, bool up)
{
	if (up && !r->up)
		xi_plan_lost_all(r->plan, NULL);
	r->up = up;
	routes_work_soon(r);
}

static void routes_on_link(struct xi_routes *r, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = nlmsg_data(nlh);

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi)) ||
	    (uint32_t)ifi->ifi_index != r->table.ifindex)
		return;
	routes_set_up(r, nlh->nlmsg_type == RTM_NEWLINK && (ifi->ifi_flags & IFF_UP));
}

/* The kernel takes routes along with their preferred source, and tells nobody. It may be back already. */
static void routes_on_addr_gone(struct xi_routes *r, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = nlmsg_data(nlh);
	struct nlattr *tb[IFA_MAX + 1];
	const struct nlattr *attr;
	struct xi_addr addr = { 0 };

	if (xi_rtnl_parse(nlh, sizeof(*ifa), tb, IFA_MAX))
		return;
	attr = tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS];
	if (!attr || (size_t)nla_len(attr) > sizeof(addr.addr))
		return;
	memcpy(addr.addr, nla_data(attr), (size_t)nla_len(attr));
	addr.family = ifa->ifa_family;
	xi_plan_lost_all(r->plan, &addr);
	routes_work_soon(r);
}

static int routes_event(void *arg, const struct nlmsghdr *nlh)
{
	struct xi_routes *r = arg;

	switch (nlh->nlmsg_type) {
	case RTM_DELROUTE:
		routes_on_removed(r, nlh);
		break;
	case RTM_DELRULE:
		if (nlh->nlmsg_pid != r->ask_port && xi_rules_parse(nlh)) {
			r->repair_rules = true;
			routes_repair_later(r);
		}
		break;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		routes_on_link(r, nlh);
		break;
	case RTM_DELADDR:
		routes_on_addr_gone(r, nlh);
		break;
	default:
		break;
	}
	return 0;
}

/* Asks for what notifications could have told. */
static bool routes_is_up(struct xi_routes *r)
{
	struct xi_link link;

	return !xi_link_get(&r->ask, XI_HOSTIF_NAME, &link) && (link.flags & IFF_UP);
}

static void routes_on_notify(evutil_socket_t fd, short what, void *arg)
{
	struct xi_routes *r = arg;
	int err = xi_rtnl_events(&r->notify, routes_event, r);

	if (!err)
		return;
	log_info("routes: change notifications were lost (%s): making all of them again",
		 strerror(-err));
	r->up = routes_is_up(r);
	r->repair_all = r->repair_rules = true;
	routes_repair_later(r);
}

static void routes_on_policy(void *arg, uint32_t index, const struct xi_policy *now)
{
	struct xi_routes *r = arg;

	routes_take_policy(r, index, now);
	routes_work_soon(r);
}

void xi_routes_addrs(struct xi_routes *r, const struct xi_addr *addrs, uint32_t n)
{
	if (xi_plan_addrs(r->plan, addrs, n))
		log_warnx("routes: no memory for the host's addresses: sources stay as they are until they change");
	routes_work_soon(r);
}

void xi_routes_device(struct xi_routes *r, uint32_t ifindex)
{
	if (ifindex == r->table.ifindex)
		return;
	r->table.ifindex = ifindex;
	r->up = false;
	routes_set_up(r, routes_is_up(r));
}

void xi_routes_figures(const struct xi_routes *r, struct xi_routes_figures *figures)
{
	*figures = r->figures;
	figures->table = r->table.table;
	figures->priority = XI_ROUTES_PRIORITY;
	figures->counts = xi_plan_count(r->plan);
	figures->busy = evtimer_pending(r->on_work, NULL) || evtimer_pending(r->on_repair, NULL);
}

const struct xi_route *xi_routes_next(const struct xi_routes *r, uint64_t *at)
{
	return xi_plan_next(r->plan, at);
}

static int routes_found(void *arg, const struct xi_route *route)
{
	struct xi_routes *r = arg;

	return xi_plan_found(r->plan, route);
}

static int routes_open_events(struct xi_routes *r)
{
	struct event_base *base = r->config.base;

	r->on_notify = event_new(base, r->notify.fd, EV_READ | EV_PERSIST, routes_on_notify, r);
	r->on_work = evtimer_new(base, routes_on_work, r);
	r->on_repair = evtimer_new(base, routes_on_repair, r);
	if (!r->on_notify || !r->on_work || !r->on_repair)
		return -ENOMEM;
	return event_add(r->on_notify, NULL) ? -EIO : 0;
}

static uint32_t routes_port(const struct xi_rtnl *rt)
{
	struct sockaddr_nl nl = { 0 };
	socklen_t len = sizeof(nl);

	return getsockname(rt->fd, (struct sockaddr *)&nl, &len) ? 0 : nl.nl_pid;
}

/* Subscribed before anything is asked, so that no change is missed. */
static int routes_open(struct xi_routes *r)
{
	static const unsigned int groups[] = {
		RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,	 RTNLGRP_IPV6_RULE,
	};
	int err = xi_plan_create(&r->plan);

	if (!err)
		err = xi_rtnl_open(&r->ask);
	if (!err)
		err = xi_rtnl_open(&r->batch);
	if (!err)
		err = xi_rtnl_open(&r->notify);
	if (!err)
		err = xi_rtnl_subscribe(&r->notify, groups, sizeof(groups) / sizeof(groups[0]));
	if (!err)
		err = routes_open_events(r);
	if (!err)
		err = xi_table_dump(&r->ask, &r->table, routes_found, r);
	if (err)
		return err;
	r->ask_port = routes_port(&r->ask);
	r->batch_port = routes_port(&r->batch);
	r->up = routes_is_up(r);
	return 0;
}

/* The host's addresses are known to the SPD by now. */
static int routes_take_addrs(struct xi_routes *r)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(r->config.spd);

	return xi_plan_addrs(r->plan, snap->local, snap->nlocal);
}

int xi_routes_create(struct xi_routes **out, const struct xi_routes_config *config)
{
	struct xi_routes *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->config = *config;
	r->table = (struct xi_route_table){ .table = config->table, .ifindex = config->ifindex };
	err = routes_open(r);
	if (!err)
		err = routes_take_addrs(r);
	if (err) {
		log_warnx("routes: cannot be set up in table %u: %s: set routes = no to go without",
			  config->table, strerror(-err));
		xi_routes_destroy(r);
		return err;
	}
	r->feeding = true;
	xi_spd_on_policy(r->config.spd, routes_on_policy, r);
	r->repair_rules = true;
	routes_work_soon(r);
	*out = r;
	return 0;
}

static void event_drop(struct event *event)
{
	if (event)
		event_free(event);
}

void xi_routes_destroy(struct xi_routes *r)
{
	if (!r)
		return;
	xi_spd_on_policy(r->config.spd, NULL, NULL);
	event_drop(r->on_notify);
	event_drop(r->on_work);
	event_drop(r->on_repair);
	xi_rtnl_close(&r->ask);
	xi_rtnl_close(&r->batch);
	xi_rtnl_close(&r->notify);
	xi_plan_destroy(r->plan);
	free(r);
}
