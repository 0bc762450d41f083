// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/ext.h"

#include <netinet/in.h>
#include <netinet/ip6.h>

#include "ipsec/bytes.h"

#define FRAGMENT_OFFSET_OR_MORE 0xfff9

/* The header at *offset is stepped over; false: it does not lie within the packet. */
static bool step(const uint8_t *ip6, uint32_t len, uint32_t *offset, uint32_t *nh)
{
	uint32_t size;

	if (len - *offset < 8)
		return false;
	size = ip6[*nh] == IPPROTO_FRAGMENT ? 8 : (ip6[*offset + 1] + 1U) * 8;
	if (size > len - *offset)
		return false;
	*nh = *offset;
	*offset += size;
	return true;
}

static bool is_atomic(const uint8_t *ip6, uint32_t len, uint32_t offset)
{
	return len - offset >= 8 && !(xi_get16(ip6 + offset + 2) & FRAGMENT_OFFSET_OR_MORE);
}

bool xi_ext_find(const uint8_t *ip6, uint32_t len, uint8_t proto, uint32_t *offset, uint32_t *nh)
{
	*offset = sizeof(struct ip6_hdr);
	*nh = 6;
	while (ip6[*nh] != proto) {
		switch (ip6[*nh]) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			break;
		case IPPROTO_FRAGMENT:
			if (is_atomic(ip6, len, *offset))
				break;
			return false;
		default:
			return false;
		}
		if (!step(ip6, len, offset, nh))
			return false;
	}
	return true;
}

bool xi_ext_insert(const uint8_t *ip6, uint32_t len, uint32_t *offset, uint32_t *nh)
{
	bool routed = false;

	*offset = sizeof(struct ip6_hdr);
	*nh = 6;
	for (;;) {
		switch (ip6[*nh]) {
		case IPPROTO_ROUTING:
			routed = true;
			break;
		case IPPROTO_HOPOPTS:
			break;
		case IPPROTO_DSTOPTS:
			if (routed)
				return true;
			break;
		case IPPROTO_FRAGMENT:
			return false;
		default:
			return true;
		}
		if (!step(ip6, len, offset, nh))
			return false;
	}
}
