/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an ICMP error says of a packet of ours that was too big on its way: "fragmentation needed" (RFC 1191) and
 * "packet too big" (RFC 4443 section 3.2). Pure: bytes in, struct out. Nothing in it is authenticated.
 */
#ifndef XI_QUOTE_H
#define XI_QUOTE_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

struct xi_quote {
	enum xi_family family;
	enum xi_proto proto;         /* XI_ESP or XI_AH: the SA's, also when the packet is ESP in UDP */
	uint8_t saddr[16];           /* of the quoted packet, which we sent */
	uint8_t daddr[16];
	bool encap;                  /* ESP in UDP: sport and dport hold */
	bool has_spi;                /* without it addresses and ports are all there is (encap only) */
	bool has_seq;
	uint16_t sport, dport;
	uint32_t spi;
	uint32_t seq;                /* low 32 bits with ESN */
	uint32_t len;                /* bytes of the quoted packet, by its own header */
	uint32_t mtu;                /* bytes of IP packet; below len, never 0 */
};

/*
 * icmp: from the ICMP or ICMPv6 header on, at a multiple of 4, len bytes, which may be any. -EINVAL: not such an error, cut short or
 * contradictory, not about ESP, AH or UDP, an IPv6 MTU below 1280 (RFC 8201 section 4), or an MTU that the quoted
 * packet fits into. The ICMPv4 checksum is checked; that of ICMPv6, which covers addresses, is the caller's.
 */
int xi_quote_parse(struct xi_quote *quote, enum xi_family family, const uint8_t *icmp, uint32_t len);

#endif
