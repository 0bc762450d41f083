/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Questions to the kernel's routing and neighbour tables. All calls are answered at once; control
 * thread only.
 */
#ifndef XI_FIB_H
#define XI_FIB_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

#include "dataplane/rtnl.h"

struct xi_fib_route {
	bool local;                  /* RTN_LOCAL */
	bool unicast;                /* RTN_UNICAST; neither: broadcast, multicast, anycast */
	uint32_t ifindex;
	uint32_t mtu;                /* route metric or learned path MTU, 0 = the device's */
	struct xi_addr gateway;      /* family XI_FAMILY_NONE: the destination is on the link */
};

/* Neighbours are found by all three. No padding: it is a hash key. */
struct xi_neigh_id {
	uint8_t addr[16];
	uint32_t ifindex;
	enum xi_family family;
};

struct xi_neigh_state {
	bool valid;                  /* mac may be used */
	bool stale;                  /* not confirmed for a while: wants a nudge when in use */
	uint8_t mac[6];
};

/*
 * How a packet of this host to dst would go. -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL: it
 * would not.
 */
int xi_fib_route(struct xi_rtnl *rt, const uint8_t dst[16], enum xi_family family, uint32_t mark,
		 struct xi_fib_route *route);
/* The same of UDP from a port (host order; 0: of no protocol), where rules tell such apart. */
int xi_fib_route_from(struct xi_rtnl *rt, const uint8_t dst[16], enum xi_family family, uint32_t mark,
		      uint16_t sport, struct xi_fib_route *route);

/* A neighbour that the kernel does not know is not valid, and no error. */
int xi_fib_neigh(struct xi_rtnl *rt, const struct xi_neigh_id *id, struct xi_neigh_state *state);
/* The same from a notification. -ENOENT: not about an IP neighbour. */
int xi_fib_neigh_parse(const struct nlmsghdr *nlh, struct xi_neigh_id *id,
		       struct xi_neigh_state *state);
/*
 * Tells the kernel that the neighbour is in use, which its own counters do not show: it confirms it
 * by a probe.
 */
int xi_fib_neigh_use(struct xi_rtnl *rt, const struct xi_neigh_id *id);

/* All addresses of this namespace, sorted, each once. The caller frees *addrs. */
int xi_fib_addrs(struct xi_rtnl *rt, struct xi_addr **addrs, uint32_t *n);

#endif
