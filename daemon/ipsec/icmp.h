/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP errors that a tunnel's ingress owes the sender (RFC 4301 section 8.2.1). Pure: bytes in, bytes out. */
#ifndef XI_ICMP_H
#define XI_ICMP_H

#include <stdbool.h>
#include <stdint.h>

#include "ipsec/packet.h"

/*
 * May an error be sent about this packet? Not about errors, non-initial fragments, multicast, or from an
 * unspecified source (RFC 1122 section 3.2.2, RFC 4443 section 2.4e).
 */
bool xi_icmp_may_answer(const struct xi_pkt *pkt);
/*
 * Turns pkt into "fragmentation needed" (RFC 1191) or "packet too big" (RFC 4443) to its own sender, from src (16
 * bytes, IPv4 in the first four), quoting as much as fits into 576 or 1280 bytes. False: no room; pkt unchanged.
 */
bool xi_icmp_too_big(struct xi_pkt *pkt, const uint8_t src[16], uint32_t mtu);

#endif
