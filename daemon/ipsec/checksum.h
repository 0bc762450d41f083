/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet checksums (RFC 1071). */
#ifndef XI_CHECKSUM_H
#define XI_CHECKSUM_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Sum of big-endian 16-bit words, an odd byte at the end padded with zero, added to sum. Not folded. */
uint64_t xi_sum_add(uint64_t sum, const uint8_t *p, uint32_t len);
/* Folded and complemented: as it goes into a header, in host byte order. */
uint16_t xi_sum_finish(uint64_t sum);

/* Of an IPv4 header: its checksum if that field is 0 now, else 0 if it is right. */
static inline uint16_t xi_ip4_checksum(const uint8_t *ip)
{
	return xi_sum_finish(xi_sum_add(0, ip, (ip[0] & 0xfU) * 4));
}

/* Is the checksum of an IPv4 header right? Its length has been checked. */
static inline bool xi_ip4_sound(const uint8_t *ip)
{
	uint64_t w[2], sum;
	uint32_t rest;

	if ((ip[0] & 0xf) != 5)
		return !xi_ip4_checksum(ip);
	memcpy(w, ip, sizeof(w));
	memcpy(&rest, ip + sizeof(w), sizeof(rest));
	sum = (uint32_t)w[0] + (w[0] >> 32) + (uint32_t)w[1] + (w[1] >> 32) + rest;
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16)) == 0xffff;
}

/* Length and checksum of an IPv4 header with options. */
void xi_ip4_finish(uint8_t *ip, uint16_t len);

/*
 * Writes the checksum of TCP, UDP or ICMPv6 of len bytes at l4, with the pseudo header (RFC 793, RFC 8200
 * section 8.1) of the packet at ip. UDP's is never 0. False: another protocol, or too short for its header.
 */
bool xi_l4_checksum(const uint8_t *ip, uint8_t *l4, uint32_t len, uint8_t proto);

#endif
