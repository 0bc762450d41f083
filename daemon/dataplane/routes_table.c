/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/routes_table.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/rtnetlink.h>

#include "dataplane/routes_local.h"

#define TABLE_DUMP_TRIES 8

static size_t addr_len(enum xi_family family)
{
	return family == XI_IPV6 ? 16 : 4;
}

static struct nl_msg *table_message(const struct xi_route_table *table, int type, int flags,
				    const struct xi_route *route)
{
	struct rtmsg rtm = {
		.rtm_family = route->dst.family,
		.rtm_dst_len = (unsigned char)route->dst.plen,
		.rtm_protocol = XI_ROUTES_PROTO,
	};
	struct nl_msg *msg;

	/* to be removed: of any scope and type */
	if (type == RTM_DELROUTE)
		rtm.rtm_scope = RT_SCOPE_NOWHERE;
	else if (route->kind == XI_ROUTE_THROW)
		rtm.rtm_type = RTN_THROW;
	else
		rtm.rtm_type = RTN_UNICAST;
	if (route->kind == XI_ROUTE_VIA && route->dst.family == XI_IPV4 && type == RTM_NEWROUTE)
		rtm.rtm_scope = RT_SCOPE_LINK;
	msg = xi_rtnl_message(type, flags, &rtm, sizeof(rtm));
	xi_rtnl_put_u32(msg, RTA_TABLE, table->table);
	xi_rtnl_put_u32(msg, RTA_PRIORITY, XI_ROUTES_METRIC);
	if (route->dst.plen)
		xi_rtnl_put(msg, RTA_DST, route->dst.addr, addr_len(route->dst.family));
	return msg;
}

struct nl_msg *xi_table_change(const struct xi_route_table *table, const struct xi_route_change *change)
{
	struct nl_msg *msg;

	if (change->now.kind == XI_ROUTE_NONE)
		return table_message(table, RTM_DELROUTE, 0, &change->was);
	msg = table_message(table, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &change->now);
	if (change->now.kind != XI_ROUTE_VIA)
		return msg;
	xi_rtnl_put_u32(msg, RTA_OIF, table->ifindex);
	if (change->now.has_src)
		xi_rtnl_put(msg, RTA_PREFSRC, change->now.src, addr_len(change->now.dst.family));
	return msg;
}

/* NULL: not about a route. */
static const struct rtmsg *route_attrs(const struct nlmsghdr *nlh, struct nlattr *tb[])
{
	const struct rtmsg *rtm = nlmsg_data(nlh);

	if (nlh->nlmsg_type != RTM_NEWROUTE && nlh->nlmsg_type != RTM_DELROUTE)
		return NULL;
	return xi_rtnl_parse(nlh, sizeof(*rtm), tb, RTA_MAX) ? NULL : rtm;
}

static uint32_t attr_u32(const struct nlattr *attr, uint32_t otherwise)
{
	return attr && nla_len(attr) == 4 ? nla_get_u32(attr) : otherwise;
}

uint32_t xi_table_of(const struct nlmsghdr *nlh)
{
	struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *rtm = route_attrs(nlh, tb);

	return rtm ? attr_u32(tb[RTA_TABLE], rtm->rtm_table) : 0;
}

bool xi_table_parse(const struct xi_route_table *table, const struct nlmsghdr *nlh, struct xi_route *route)
{
	struct nlattr *tb[RTA_MAX + 1];
	const struct rtmsg *rtm = route_attrs(nlh, tb);
	uint8_t dst[16] = { 0 };
	size_t len;

	if (!rtm || rtm->rtm_protocol != XI_ROUTES_PROTO ||
	    attr_u32(tb[RTA_TABLE], rtm->rtm_table) != table->table ||
	    (rtm->rtm_family != XI_IPV4 && rtm->rtm_family != XI_IPV6) ||
	    rtm->rtm_dst_len > xi_family_bits(rtm->rtm_family))
		return false;
	len = addr_len(rtm->rtm_family);
	if (tb[RTA_DST] && (size_t)nla_len(tb[RTA_DST]) == len)
		memcpy(dst, nla_data(tb[RTA_DST]), len);
	memset(route, 0, sizeof(*route));
	xi_prefix_set(&route->dst, dst, rtm->rtm_family, rtm->rtm_dst_len);
	if (rtm->rtm_type == RTN_THROW)
		route->kind = XI_ROUTE_THROW;
	else if (rtm->rtm_type == RTN_UNICAST && attr_u32(tb[RTA_OIF], 0) == table->ifindex)
		route->kind = XI_ROUTE_VIA;
	if (route->kind == XI_ROUTE_VIA && tb[RTA_PREFSRC] &&
	    (size_t)nla_len(tb[RTA_PREFSRC]) == len) {
		route->has_src = true;
		memcpy(route->src, nla_data(tb[RTA_PREFSRC]), len);
	}
	return true;
}

struct table_finds {
	const struct xi_route_table *table;
	int (*found)(void *arg, const struct xi_route *route);
	void *arg;
};

static int table_take(void *arg, const struct nlmsghdr *nlh)
{
	struct table_finds *finds = arg;
	struct xi_route route;

	if (nlh->nlmsg_type != RTM_NEWROUTE || !xi_table_parse(finds->table, nlh, &route))
		return 0;
	return finds->found(finds->arg, &route);
}

/* The kernel is to pick them out (strict checking): other tables may be the Internet's. */
static int table_dump_family(struct xi_rtnl *rt, unsigned char family, struct table_finds *finds)
{
	struct rtmsg rtm = { .rtm_family = family, .rtm_protocol = XI_ROUTES_PROTO };
	int err = -EAGAIN;

	for (int i = 0; i < TABLE_DUMP_TRIES && err == -EAGAIN; i++) {
		struct nl_msg *msg = xi_rtnl_message(RTM_GETROUTE, NLM_F_DUMP, &rtm, sizeof(rtm));

		xi_rtnl_put_u32(msg, RTA_TABLE, finds->table->table);
		err = xi_rtnl_request(rt, msg, table_take, finds);
	}
	/* no such table yet; no such family */
	return err == -ENOENT || err == -EAFNOSUPPORT || err == -EOPNOTSUPP ? 0 : err;
}

int xi_table_dump(struct xi_rtnl *rt, const struct xi_route_table *table,
		  int (*found)(void *arg, const struct xi_route *route), void *arg)
{
	struct table_finds finds = { .table = table, .found = found, .arg = arg };
	int strict = 1, err;

	(void)setsockopt(rt->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	err = table_dump_family(rt, AF_INET, &finds);
	if (!err)
		err = table_dump_family(rt, AF_INET6, &finds);
	/* other dumps have short headers */
	strict = 0;
	(void)setsockopt(rt->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &strict, sizeof(strict));
	return err;
}
