// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/sa_id.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "ipsec/bytes.h"
#include "ipsec/ext.h"
#include "ipsec/tunnel.h"

#define SPI_FIRST 256 /* 1 to 255 are reserved, 0 is local (RFC 4303 section 2.1) */

static bool is_wanted(uint8_t proto, bool udp)
{
	return proto == IPPROTO_ESP || proto == IPPROTO_AH || (udp && proto == IPPROTO_UDP);
}

/* Where the protocol of an IPv6 packet begins that may be wanted. */
static bool find6(const uint8_t *ip, uint32_t len, bool udp, uint32_t *at, uint8_t *proto)
{
	static const uint8_t protos[] = {IPPROTO_ESP, IPPROTO_AH, IPPROTO_UDP};
	uint32_t nh;

	for (uint32_t i = 0; i < sizeof(protos); i++) {
		*proto = protos[i];
		if (is_wanted(*proto, udp) && xi_ext_find(ip, len, *proto, at, &nh))
			return true;
	}
	return false;
}

static bool find(const uint8_t *ip, uint32_t len, bool udp, uint32_t *at, uint8_t *proto)
{
	if (ip[0] >> 4 == 6)
		return find6(ip, len, udp, at, proto);
	*proto = ip[9];
	*at = (ip[0] & 0xfU) * 4;
	return is_wanted(*proto, udp) && !(xi_get16(ip + 6) & (IP_MF | IP_OFFMASK));
}

bool xi_sa_id_parse(struct xi_sa_id *id, const uint8_t *ip, uint32_t len, bool udp)
{
	uint8_t version, proto;
	uint32_t at;

	if (!xi_tunnel_measure(ip, len, &version, &len) || !find(ip, len, udp, &at, &proto))
		return false;
	at += proto == IPPROTO_AH ? 4 : proto == IPPROTO_UDP ? 8 : 0;
	if (len < at + 8)
		return false;
	*id = (struct xi_sa_id){
		.spi = xi_get32(ip + at),
		.proto = proto == IPPROTO_AH ? XI_AH : XI_ESP,
		.family = version == 6 ? XI_IPV6 : XI_IPV4,
	};
	memcpy(id->daddr, ip + (version == 6 ? 24 : 16), version == 6 ? 16 : 4);
	return id->spi >= SPI_FIRST;
}
