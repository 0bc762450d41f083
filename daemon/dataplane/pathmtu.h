/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Path MTU of outbound SAs, from ICMP errors that quote our packets (RFC 4301 section 8.2). On the control thread.
 * An ICMP error is from anybody, so it has to name an SA as only a router on the way, or who sees its packets, can:
 * by SPI and by a sequence number that is in flight (RFC 5927 section 4).
 */
#ifndef XI_PATHMTU_H
#define XI_PATHMTU_H

#include <stdint.h>

#include "ipsec/quote.h"
#include "sad/sad.h"
#include "sad/spd.h"

struct event_base;
struct xi_pathmtu;

/* Of the network namespace: net.ipv4.route.min_pmtu, net.ipv4|ipv6.route.mtu_expires. */
struct xi_pathmtu_rules {
	uint32_t floor;              /* of IPv4, bytes: who says less is taken to say this. IPv6 has 1280 */
	uint32_t age;                /* seconds until it is forgotten, at most XI_PMTU_AGE_MAX */
};

struct xi_pathmtu_config {
	struct event_base *base;
	const struct xi_sad *sad;
	const struct xi_spd *spd;    /* knows the local addresses */
	uint64_t *counts;            /* by reason; NULL: none */
};

/* Opens the ICMP sockets; a host without IPv6 has one. 0 or -errno, logged. */
int xi_pathmtu_create(struct xi_pathmtu **out, const struct xi_pathmtu_config *config);
void xi_pathmtu_destroy(struct xi_pathmtu *pm);

/*
 * Lowers what the quote names: one SA by its SPI, or without one, at the cost of a walk through the SAD, every SA
 * of these addresses and ports. Returns how many SAs were lowered. now: seconds since the epoch.
 */
unsigned int xi_pathmtu_apply(const struct xi_sad *sad, const struct xi_quote *quote,
			      const struct xi_pathmtu_rules *rules, uint64_t now);

#endif
