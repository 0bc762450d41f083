/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which routes into xipsec0 follow from outbound policies and the host's addresses. Pure: it knows no sockets; who
 * owns it makes the changes that it asks for (routes.c: the kernel's table; unit tests: one of their own).
 *
 *  - A policy that protects in tunnel mode, of any protocol and port, without mark and interface, whose source selector
 *    has an address of the host: its destination goes to xipsec0, with that address as the preferred source. Of several
 *    with the same destination the one asked first tells the source; a socket bound to another is judged by policy.
 *  - What must not go there although such a route covers it is thrown back to the host's other tables: the peers of
 *    tunnels; link-local destinations of IPv4; the destination of a BYPASS policy that comes before the one whose route
 *    covers it, if the host has an address in its source.
 *  - An address of the host that no such policy has in its source is plain: from it nothing can be protected, so it
 *    is kept away from the table as a whole.
 * No call does more than a bounded amount of work, but for xi_plan_addrs, which sorts the host's addresses.
 */
#ifndef XI_ROUTES_PLAN_H
#define XI_ROUTES_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

enum xi_route_kind { XI_ROUTE_NONE, XI_ROUTE_VIA, XI_ROUTE_THROW };

struct xi_prefix {
	uint8_t addr[16];            /* no bit behind the prefix */
	enum xi_family family;
	uint32_t plen;
};

struct xi_route {
	struct xi_prefix dst;
	enum xi_route_kind kind;     /* VIA: xipsec0 */
	uint32_t has_src;            /* VIA: a preferred source is told, */
	uint8_t src[16];             /* this */
};

/* What the table has, and shall have; the kind may be NONE. */
struct xi_route_change {
	struct xi_route was, now;
	bool unsure;                 /* the table may have it or not: make it so all the same */
};

struct xi_plan;

int xi_plan_create(struct xi_plan **out);
void xi_plan_destroy(struct xi_plan *plan);

/* The policy of this index is now this one; NULL: there is none. 0 or -ENOMEM: as before. */
int xi_plan_policy(struct xi_plan *plan, uint32_t index, const struct xi_policy *now);
/* The host's addresses, all of them. 0 or -ENOMEM: as before. */
int xi_plan_addrs(struct xi_plan *plan, const struct xi_addr *addrs, uint32_t n);

/* The table has this route, put there by an earlier daemon. 0 or -ENOMEM. */
int xi_plan_found(struct xi_plan *plan, const struct xi_route *route);
/* The table lost its route to this prefix, or refused the change. True: one is wanted, and will be asked for again. */
bool xi_plan_lost(struct xi_plan *plan, const struct xi_prefix *dst);
/* It may have lost any; src not NULL: of those with this preferred source. */
void xi_plan_lost_all(struct xi_plan *plan, const struct xi_addr *src);

/*
 * Does a part of what there is to do, and fills in at most `most` changes, which count as made. *n: how many. True:
 * there is more to do.
 */
bool xi_plan_step(struct xi_plan *plan, struct xi_route_change *changes, uint32_t most, uint32_t *n);

/* Plain addresses of the host, at most `most`, in a fixed order. True once after each change of them. */
bool xi_plan_plain(struct xi_plan *plan, struct xi_addr *plain, uint32_t most, uint32_t *n);

/*
 * Iteration that survives changes: in the order in which destinations came. Start with *at = 0; NULL at the end.
 * The route as it is wanted: NONE of a destination that waits for an address in the source of one of its policies.
 */
const struct xi_route *xi_plan_next(const struct xi_plan *plan, uint64_t *at);

struct xi_plan_counts {
	uint64_t via, thrown;        /* routes in the table */
	uint64_t waiting;            /* destinations without, for want of an address of the host */
};
struct xi_plan_counts xi_plan_count(const struct xi_plan *plan);

#endif
