/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fragmentation of IPv4 (RFC 791 section 3.2) and IPv6 (RFC 8200 section 4.5). Pure: bytes in,
 * bytes out. */
#ifndef XI_FRAGMENT_H
#define XI_FRAGMENT_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "ipsec/packet.h"

/* How one packet is cut. The packet stays as it is until the last piece is written. */
struct xi_fragments {
	const uint8_t *ip;
	uint32_t len;	     /* of the packet by its own header */
	uint32_t n;	     /* pieces; 1: it fits as it is */
	uint32_t id;	     /* IPv6 */
	uint32_t payload_at; /* what is cut begins there */
	uint32_t first_hdr;  /* bytes of header of the first piece and of the others, */
	uint32_t rest_hdr;
	uint32_t first_len; /* and of payload; the last one has what is left */
	uint32_t rest_len;
	uint32_t next_at;  /* IPv6: the byte that gets to name the fragment header */
	uint16_t frag_off; /* IPv4: that field of the packet, itself perhaps a fragment */
	uint8_t rest[60];  /* IPv4 header of all pieces but the first */
};

/*
 * Plans pieces of at most mtu bytes. id: identification of IPv6 fragments, not used lately between
 * these two addresses (RFC 7739), when the packet is our own; NULL for one that we forward, as
 * routers do not fragment IPv6. Number of pieces, or why there are none:
 *
 * -EMSGSIZE: must not be cut: DF, a forwarded IPv6 packet, an IPv6 fragment. The sender is owed an
 * ICMP error.
 * -ENOBUFS: headers and 8 bytes do not fit mtu, or not all of an IPv6 header chain the first piece
 * (RFC 7112).
 * -EBADMSG: headers cut short or contradictory, IPv4 options included.
 */
int xi_fragment_plan(struct xi_fragments *plan, const struct xi_pkt *pkt, uint32_t mtu,
		     const uint32_t *id);
/* Writes piece i < n at to, outside of the packet. Its length, 0 when room is too small. */
uint32_t xi_fragment_write(const struct xi_fragments *plan, uint32_t i, uint8_t *to, uint32_t room);

/*
 * Bytes at p of an IPv6 header chain that begins with a header of type next: the rest of the
 * extension headers, and the upper-layer header (RFC 7112 section 2). -EBADMSG: longer than len, or
 * with a fragment header in it.
 */
int xi_ipv6_chain_len(uint8_t next, const uint8_t *p, uint32_t len);

#endif
