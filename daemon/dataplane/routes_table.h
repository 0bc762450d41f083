/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's side of routes into xipsec0: messages for a routing table of their own, and the rules that lead there.
 *
 *   PRIORITY    fwmark MARK, ipproto 255, udp from port 500 or 4500, from each plain address: goto PRIORITY + 2
 *   PRIORITY+1  iif lo: lookup TABLE
 *   PRIORITY+2  nop
 *
 * "iif lo" is what the host sends. What a worker sends through the stack has protocol 255 in the lookup (IPPROTO_RAW),
 * and the daemon's own questions have the mark (no packet has it), or, where an SA gives its packets one, are of UDP from
 * port 4500: so nothing that a worker has made, and no next hop,
 * ever sees the table, whatever is in it. Routes and rules have the protocol XI_ROUTES_PROTO, by which they are known
 * as xipsec's. Rules need Linux 4.17.
 */
#ifndef XI_ROUTES_TABLE_H
#define XI_ROUTES_TABLE_H

#include "dataplane/routes_plan.h"
#include "dataplane/rtnl.h"

#define XI_ROUTES_TABLE 50051    /* the default; ESP is 50, AH 51 */
#define XI_ROUTES_PRIORITY 210   /* before strongSwan's 220 */
#define XI_ROUTES_PROTO 50
#define XI_ROUTES_MARK 0x50051
#define XI_ROUTES_SPORT 4500     /* of the daemon's questions for packets that have another mark */
/*
 * In another table than main it decides nothing; but key managers that read all tables and take the best route to a peer
 * take that of main.
 */
#define XI_ROUTES_METRIC 50051
#define XI_ROUTES_PLAIN 64       /* plain addresses that get a rule, of both families */

struct xi_route_table {
	uint32_t table;
	uint32_t ifindex;            /* of xipsec0 */
};

/* The message that makes a change; NULL without memory. */
struct nl_msg *xi_table_change(const struct xi_route_table *table, const struct xi_route_change *change);

/*
 * A notification or an answer of a dump: is it of a route of ours in this table? RTM_DELROUTE is told by its type. A route
 * to another device has the kind NONE.
 */
bool xi_table_parse(const struct xi_route_table *table, const struct nlmsghdr *nlh, struct xi_route *route);
/* The table that a notification about a route names, 0: it is about none. */
uint32_t xi_table_of(const struct nlmsghdr *nlh);
/* All of ours, each handed to found. 0 or -errno. */
int xi_table_dump(struct xi_rtnl *rt, const struct xi_route_table *table,
		  int (*found)(void *arg, const struct xi_route *route), void *arg);

/* Is the notification about a rule of ours? */
bool xi_rules_parse(const struct nlmsghdr *nlh);
/*
 * Makes the rules of ours exactly those of table and plain addresses; NULL: none. Routes of ours in another table that
 * they named are removed. 0 or -errno.
 */
int xi_rules_set(struct xi_rtnl *rt, const struct xi_route_table *table, const struct xi_addr *plain,
		 uint32_t nplain);

/* Removes all rules and routes that are xipsec's, in whatever table. 0 or -errno. */
int xi_routes_remove(void);

#endif
