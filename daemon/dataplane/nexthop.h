/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Next hops: answers of the kernel's FIB and neighbour table, cached on demand. The kernel stays the authority; the
 * control thread asks it by netlink and follows its changes, workers read under RCU (QSBR) and never wait.
 */
#ifndef XI_NEXTHOP_H
#define XI_NEXTHOP_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

struct event_base;
struct xi_nexthops;

enum xi_nexthop_kind {
	XI_NEXTHOP_LOCAL,            /* an address of this host */
	XI_NEXTHOP_PORT,             /* out of one of our ports, neighbour resolved: eth is complete */
	XI_NEXTHOP_HOST,             /* let the host's stack do it: another device, no route, not resolved yet */
};

/* What a packet needs comes first, so that it is in one cache line. */
struct xi_nexthop {
	enum xi_nexthop_kind kind;
	uint32_t mtu;                /* of device or route, bytes of IP packet */
	uint32_t port;               /* port slot, XI_NEXTHOP_PORT only */
	uint8_t eth[14];             /* destination MAC, source MAC, Ethernet type */
	uint32_t ifindex;
	enum xi_family family;
	uint8_t dst[16];
};

/* ifindex -> port slot, or -1; asked on the control thread. */
typedef int (*xi_nexthop_port_fn)(void *arg, uint32_t ifindex);
/* The host's own addresses, whole list, at start and after each change; control thread. */
typedef void (*xi_nexthop_addrs_fn)(void *arg, const struct xi_addr *addrs, uint32_t n);

/* Devices appeared, changed or went; control thread. */
typedef void (*xi_nexthop_links_fn)(void *arg);

struct xi_nexthop_config {
	struct event_base *base;
	unsigned int nworkers;
	xi_nexthop_port_fn port;
	xi_nexthop_addrs_fn addrs;
	xi_nexthop_links_fn links;   /* NULL: nobody wants to know */
	uint32_t mark;               /* of questions about routes, but for packets that have one; 0: none */
	uint16_t sport;              /* of UDP, of questions for those; 0: none */
	uint32_t foreign_table;      /* which no such question comes to; 0: none */
	void (*sync)(void *arg);     /* waits for all workers' quiescent states before memory is freed */
	void *arg;
};

/* Opens netlink (libnl), subscribes to link, address, route and neighbour changes, calls addrs once. 0 or -errno. */
int xi_nexthops_create(struct xi_nexthops **out, const struct xi_nexthop_config *config);
void xi_nexthops_destroy(struct xi_nexthops *nh);

/*
 * Worker. Of a packet with this mark, 0: none, in the host's routing rules. NULL: not known yet; the caller calls want()
 * and uses the host path for this packet.
 */
const struct xi_nexthop *xi_nexthop_find(const struct xi_nexthops *nh, const uint8_t addr[16], enum xi_family family,
					 uint32_t mark);
/* Worker. Asks the control thread to resolve; never blocks; a full request ring or a repeat is ignored. */
void xi_nexthop_want(struct xi_nexthops *nh, unsigned int worker, const uint8_t addr[16], enum xi_family family,
		     uint32_t mark);

/* Control thread: number of next hops held. */
unsigned int xi_nexthops_count(const struct xi_nexthops *nh);

#endif
