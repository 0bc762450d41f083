/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/fib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

/*
 * States in which the kernel itself would send to the link-layer address (NUD_VALID in
 * net/neighbour.h).
 */
#define FIB_NUD_VALID                                                                              \
	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

_Static_assert(XI_IPV4 == AF_INET && XI_IPV6 == AF_INET6,
	       "families go into netlink headers as they are");

static size_t addr_len(enum xi_family family)
{
	return family == XI_IPV4 ? 4 : 16;
}

/*
 * Copies an address attribute of the family; false if it has another length or the family is no IP.
 */
static bool addr_take(uint8_t addr[16], unsigned int family, const struct nlattr *attr)
{
	if (family != XI_IPV4 && family != XI_IPV6)
		return false;
	if (!attr || (size_t)nla_len(attr) != addr_len(family))
		return false;
	memset(addr, 0, 16);
	memcpy(addr, nla_data(attr), addr_len(family));
	return true;
}

static void route_take_gateway(struct xi_addr *gateway, unsigned int family, struct nlattr *tb[])
{
	const struct rtvia *via;

	if (addr_take(gateway->addr, family, tb[RTA_GATEWAY])) {
		gateway->family = family;
		return;
	}
	/* An IPv4 route by an IPv6 gateway (RFC 5549). */
	if (!tb[RTA_VIA] || (size_t)nla_len(tb[RTA_VIA]) < sizeof(*via))
		return;
	via = nla_data(tb[RTA_VIA]);
	if (via->rtvia_family != AF_INET6 || (size_t)nla_len(tb[RTA_VIA]) < sizeof(*via) + 16)
		return;
	memcpy(gateway->addr, via->rtvia_addr, 16);
	gateway->family = XI_IPV6;
}

/*
 * Is the MTU one that the stack learned for this destination? It is of the host's own packets, which in
 * transport mode go to the SA's peer as well: told what fits inside, it would be taken for the path's.
 */
static bool route_learned(const struct rtmsg *rtm, struct nlattr *tb[])
{
	struct rta_cacheinfo cache;

	if (rtm->rtm_family == AF_INET6)
		return rtm->rtm_flags & RTM_F_CLONED;
	if (!tb[RTA_CACHEINFO] || (size_t)nla_len(tb[RTA_CACHEINFO]) < sizeof(cache))
		return false;
	memcpy(&cache, nla_data(tb[RTA_CACHEINFO]), sizeof(cache));
	return cache.rta_expires;
}

static int route_take(void *arg, const struct nlmsghdr *nlh)
{
	struct nlattr *tb[RTA_MAX + 1], *metrics[RTAX_MAX + 1];
	const struct rtmsg *rtm = nlmsg_data(nlh);
	struct xi_fib_route *route = arg;

	if (nlh->nlmsg_type != RTM_NEWROUTE || xi_rtnl_parse(nlh, sizeof(*rtm), tb, RTA_MAX))
		return -EBADMSG;
	route->local = rtm->rtm_type == RTN_LOCAL;
	route->unicast = rtm->rtm_type == RTN_UNICAST;
	if (tb[RTA_OIF] && nla_len(tb[RTA_OIF]) == 4)
		route->ifindex = nla_get_u32(tb[RTA_OIF]);
	route_take_gateway(&route->gateway, rtm->rtm_family, tb);
	if (!route_learned(rtm, tb) && tb[RTA_METRICS] && !nla_parse_nested(metrics, RTAX_MAX, tb[RTA_METRICS], NULL) &&
	    metrics[RTAX_MTU] && nla_len(metrics[RTAX_MTU]) == 4)
		route->mtu = nla_get_u32(metrics[RTAX_MTU]);
	return 0;
}

int xi_fib_route(struct xi_rtnl *rt, const uint8_t dst[16], enum xi_family family, uint32_t mark,
		 struct xi_fib_route *route)
{
	return xi_fib_route_from(rt, dst, family, mark, 0, route);
}

int xi_fib_route_from(struct xi_rtnl *rt, const uint8_t dst[16], enum xi_family family, uint32_t mark,
		      uint16_t sport, struct xi_fib_route *route)
{
	const uint8_t udp = IPPROTO_UDP;
	const uint16_t port = htons(sport);
	struct rtmsg rtm = {.rtm_family = family,
			    .rtm_dst_len = (unsigned char)(addr_len(family) * 8)};
	struct nl_msg *msg = xi_rtnl_message(RTM_GETROUTE, 0, &rtm, sizeof(rtm));

	*route = (struct xi_fib_route){0};
	xi_rtnl_put(msg, RTA_DST, dst, addr_len(family));
	if (mark)
		xi_rtnl_put_u32(msg, RTA_MARK, mark);
	if (sport) {
		xi_rtnl_put(msg, RTA_IP_PROTO, &udp, sizeof(udp));
		xi_rtnl_put(msg, RTA_SPORT, &port, sizeof(port));
	}
	return xi_rtnl_request(rt, msg, route_take, route);
}

int xi_fib_neigh_parse(const struct nlmsghdr *nlh, struct xi_neigh_id *id,
		       struct xi_neigh_state *state)
{
	struct nlattr *tb[NDA_MAX + 1];
	const struct ndmsg *ndm = nlmsg_data(nlh);

	*id = (struct xi_neigh_id){0};
	*state = (struct xi_neigh_state){0};
	if (xi_rtnl_parse(nlh, sizeof(*ndm), tb, NDA_MAX))
		return -EBADMSG;
	if ((ndm->ndm_flags & NTF_PROXY) || !addr_take(id->addr, ndm->ndm_family, tb[NDA_DST]))
		return -ENOENT;
	id->family = ndm->ndm_family;
	id->ifindex = (uint32_t)ndm->ndm_ifindex;
	if (nlh->nlmsg_type == RTM_DELNEIGH || !(ndm->ndm_state & FIB_NUD_VALID))
		return 0;
	if (!tb[NDA_LLADDR] || nla_len(tb[NDA_LLADDR]) != 6)
		return 0;
	state->valid = true;
	state->stale = ndm->ndm_state & NUD_STALE;
	memcpy(state->mac, nla_data(tb[NDA_LLADDR]), 6);
	return 0;
}

static int neigh_take(void *arg, const struct nlmsghdr *nlh)
{
	struct xi_neigh_id id;

	return nlh->nlmsg_type == RTM_NEWNEIGH ? xi_fib_neigh_parse(nlh, &id, arg) : 0;
}

static struct nl_msg *neigh_message(int type, unsigned char flags, const struct xi_neigh_id *id)
{
	struct ndmsg ndm = {.ndm_family = (unsigned char)id->family,
			    .ndm_ifindex = (int)id->ifindex,
			    .ndm_flags = flags};
	struct nl_msg *msg = xi_rtnl_message(type, 0, &ndm, sizeof(ndm));

	xi_rtnl_put(msg, NDA_DST, id->addr, addr_len(id->family));
	return msg;
}

int xi_fib_neigh(struct xi_rtnl *rt, const struct xi_neigh_id *id, struct xi_neigh_state *state)
{
	int err;

	*state = (struct xi_neigh_state){0};
	err = xi_rtnl_request(rt, neigh_message(RTM_GETNEIGH, 0, id), neigh_take, state);
	return err == -ENOENT ? 0 : err;
}

int xi_fib_neigh_use(struct xi_rtnl *rt, const struct xi_neigh_id *id)
{
	return xi_rtnl_request(rt, neigh_message(RTM_NEWNEIGH, NTF_USE, id), NULL, NULL);
}

struct addr_list {
	struct xi_addr *addrs;
	uint32_t n;
	uint32_t room;
};

static void addrs_restart(void *arg)
{
	((struct addr_list *)arg)->n = 0;
}

static int addrs_take(void *arg, const struct nlmsghdr *nlh)
{
	struct nlattr *tb[IFA_MAX + 1];
	const struct ifaddrmsg *ifa = nlmsg_data(nlh);
	struct addr_list *list = arg;
	struct xi_addr *addr;

	if (nlh->nlmsg_type != RTM_NEWADDR || xi_rtnl_parse(nlh, sizeof(*ifa), tb, IFA_MAX))
		return 0;
	if (list->n == list->room) {
		uint32_t room = list->room ? 2 * list->room : 64;
		struct xi_addr *more = realloc(list->addrs, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->addrs = more;
		list->room = room;
	}
	addr = &list->addrs[list->n];
	/* On a point-to-point link IFA_ADDRESS is the other end's. */
	if (addr_take(addr->addr, ifa->ifa_family,
		      tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS])) {
		addr->family = ifa->ifa_family;
		list->n++;
	}
	return 0;
}

static int addr_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct xi_addr));
}

int xi_fib_addrs(struct xi_rtnl *rt, struct xi_addr **addrs, uint32_t *n)
{
	struct addr_list list = {0};
	uint32_t kept = 0;
	int err = xi_rtnl_dump(rt, RTM_GETADDR, AF_UNSPEC, addrs_take, addrs_restart, &list);

	if (err) {
		free(list.addrs);
		return err;
	}
	if (list.n)
		qsort(list.addrs, list.n, sizeof(list.addrs[0]), addr_compare);
	for (uint32_t i = 0; i < list.n; i++)
		if (!kept || addr_compare(&list.addrs[kept - 1], &list.addrs[i]))
			list.addrs[kept++] = list.addrs[i];
	*addrs = list.addrs;
	*n = kept;
	return 0;
}
