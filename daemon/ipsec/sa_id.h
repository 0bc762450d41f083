/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a received packet shows of its SA (RFC 4301 section 4.1). */
#ifndef XI_SA_ID_H
#define XI_SA_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/in.h>

#include <xipsec/abi.h>

/*
 * Of an ESP or AH packet that is no fragment; with udp, of ESP in UDP as well, whatever its ports
 * (RFC 3948). False: something else, cut short, or a reserved SPI.
 */
bool xi_sa_id_parse(struct xi_sa_id *id, const uint8_t *ip, uint32_t len, bool udp);

/* Of a packet with a whole IP header: false is sure, without the call. UDP aside. */
static inline bool xi_sa_id_likely(const uint8_t *ip)
{
	uint8_t proto = ip[0] >> 4 == 6 ? ip[6] : ip[9];

	return proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_ICMP &&
	       proto != IPPROTO_ICMPV6;
}

#endif
