// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/ah_mute.h"

#include <string.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#define OPT_ROUTE_POINTER 2  /* of LSRR and SSRR: where the next address is, counted from 1 */
#define OPT_ROUTE_MIN 3
#define OPT6_MUTABLE 0x20    /* RFC 8200 section 4.2: may change on the way */
#define RT_TYPE 2
#define RT_LEFT 3
#define RT_ADDRS 8
#define RT_HOME 2            /* RFC 6275 section 6.4 */
#define ADDR6 16

/* RFC 4302 appendix A1. What is not listed there is of unknown behaviour, and mutable. */
static bool option_stays(uint8_t type)
{
	switch (type) {
	case 130: /* basic security */
	case 133: /* extended security */
	case 134: /* commercial security */
	case 148: /* router alert */
	case 149: /* sender directed multi-destination delivery */
		return true;
	default:
		return false;
	}
}

/* RFC 791 section 3.1: the last address is where a route that has not come to its end leads. */
static bool route_option(uint8_t *ip, const uint8_t *opt, uint32_t len)
{
	uint32_t pointer;

	if (len < OPT_ROUTE_MIN)
		return false;
	pointer = opt[OPT_ROUTE_POINTER];
	if (pointer <= OPT_ROUTE_MIN)
		return false;
	if (pointer + 3 <= len)
		memcpy(ip + 16, opt + len - 4, 4);
	return true;
}

static bool mute_options4(uint8_t *ip, uint32_t hdr_len, bool out)
{
	uint32_t at, len;

	for (at = sizeof(struct iphdr); at < hdr_len && ip[at] != IPOPT_EOL; at += len) {
		len = 1;
		if (ip[at] == IPOPT_NOP)
			continue;
		if (hdr_len - at < 2)
			return false;
		len = ip[at + 1];
		if (len < 2 || len > hdr_len - at)
			return false;
		if (option_stays(ip[at]))
			continue;
		if (out && (ip[at] == IPOPT_LSRR || ip[at] == IPOPT_SSRR) &&
		    !route_option(ip, ip + at, len))
			return false;
		memset(ip + at, 0, len);
	}
	return true;
}

/* TOS, flags and offset, TTL, checksum (section 3.3.3.1.1.1). */
static bool mute4(uint8_t *ip, uint32_t hdr_len, bool out)
{
	if (hdr_len < sizeof(struct iphdr) || hdr_len != (ip[0] & 0xfU) * 4)
		return false;
	ip[1] = 0;
	ip[6] = ip[7] = 0;
	ip[8] = 0;
	ip[10] = ip[11] = 0;
	return mute_options4(ip, hdr_len, out);
}

/* Hop-by-hop or destination options (section 3.3.3.1.2.1): type and length stay. */
static bool mute_options6(uint8_t *ext, uint32_t size)
{
	uint32_t at, len;

	for (at = 2; at < size; at += len) {
		len = 1;
		if (ext[at] == IP6OPT_PAD1)
			continue;
		if (size - at < 2)
			return false;
		len = ext[at + 1] + 2U;
		if (len > size - at)
			return false;
		if (ext[at] & OPT6_MUTABLE)
			memset(ext + at + 2, 0, len - 2);
	}
	return true;
}

/*
 * A route that is done stays as it is. Of the kinds of routes that are not, two end foreseeably:
 * type 0 (RFC 2460 section 4.4, long deprecated), whose addresses change places with the
 * destination one after the other, and type 2, which is the same with one address.
 */
static bool route_ends(uint8_t *ip6, uint8_t *ext, bool out)
{
	uint32_t left = ext[RT_LEFT], all = ext[1] / 2U;
	uint8_t *next, last[ADDR6];

	if (!left)
		return true;
	if (!out || left > all || ext[1] % 2 ||
	    (ext[RT_TYPE] != IPV6_RTHDR_TYPE_0 && ext[RT_TYPE] != RT_HOME))
		return false;
	next = ext + RT_ADDRS + (all - left) * ADDR6;
	memcpy(last, ext + RT_ADDRS + (all - 1) * ADDR6, ADDR6);
	memmove(next + ADDR6, next, (left - 1) * ADDR6);
	memcpy(next, ip6 + 24, ADDR6);
	memcpy(ip6 + 24, last, ADDR6);
	ext[RT_LEFT] = 0;
	return true;
}

static bool mute_ext(uint8_t *ip6, uint8_t proto, uint8_t *ext, uint32_t size, bool out)
{
	switch (proto) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_DSTOPTS:
		return mute_options6(ext, size);
	case IPPROTO_ROUTING:
		return route_ends(ip6, ext, out);
	default: /* a fragment header is none of those that AH covers (appendix A2) */
		return false;
	}
}

/* Class, flow label, hop limit (section 3.3.3.1.2). */
static bool mute6(uint8_t *ip6, uint32_t hdr_len, bool out)
{
	uint32_t at, size, room;
	uint8_t proto;

	if (hdr_len < sizeof(struct ip6_hdr))
		return false;
	proto = ip6[6];
	ip6[0] = 0x60;
	memset(ip6 + 1, 0, 3);
	ip6[7] = 0;
	for (at = sizeof(struct ip6_hdr); at < hdr_len; at += size) {
		room = hdr_len - at;
		if (room < 8)
			return false;
		size = (ip6[at + 1] + 1U) * 8;
		if (size > room || !mute_ext(ip6, proto, ip6 + at, size, out))
			return false;
		proto = ip6[at];
	}
	return true;
}

bool xi_ah_mute(uint8_t *ip, uint32_t hdr_len, bool out)
{
	if (ip[0] >> 4 == 4)
		return mute4(ip, hdr_len, out);
	return ip[0] >> 4 == 6 && mute6(ip, hdr_len, out);
}
