// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/checksum.h"

#include <netinet/in.h>
#include <netinet/ip6.h>

#include "ipsec/bytes.h"

uint64_t xi_sum_add(uint64_t sum, const uint8_t *p, uint32_t len)
{
	for (; len >= 4; p += 4, len -= 4)
		sum += xi_get32(p);
	if (len >= 2) {
		sum += xi_get16(p);
		p += 2;
		len -= 2;
	}
	return len ? sum + ((uint32_t)*p << 8) : sum;
}

uint16_t xi_sum_finish(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

void xi_ip4_finish(uint8_t *ip, uint16_t len)
{
	xi_put16(ip + 2, len);
	xi_put16(ip + 10, 0);
	xi_put16(ip + 10, xi_ip4_checksum(ip));
}

/* Where a protocol keeps its checksum; 0: it has none of this kind. */
static uint32_t checksum_offset(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMPV6:
		return 2;
	default:
		return 0;
	}
}

bool xi_l4_checksum(const uint8_t *ip, uint8_t *l4, uint32_t len, uint8_t proto)
{
	uint32_t at = checksum_offset(proto);
	bool v6 = ip[0] >> 4 == 6;
	uint64_t sum = len + proto;
	uint16_t check;

	if (!at || len < at + 2)
		return false;
	sum = xi_sum_add(sum, ip + (v6 ? 8 : 12), v6 ? 32 : 8);
	xi_put16(l4 + at, 0);
	check = xi_sum_finish(xi_sum_add(sum, l4, len));
	if (!check && proto == IPPROTO_UDP)
		check = 0xffff;
	xi_put16(l4 + at, check);
	return true;
}
