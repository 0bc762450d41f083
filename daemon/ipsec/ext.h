/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IPv6 extension headers (RFC 8200 section 4). Offsets are from the IPv6 header. */
#ifndef XI_EXT_H
#define XI_EXT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Where header proto begins in a received packet of len bytes: behind hop-by-hop options,
 * destination options, routing headers and an atomic fragment header (RFC 6946). *nh: of the byte
 * that says so. False: another protocol comes first, a fragment, or cut short.
 */
bool xi_ext_find(const uint8_t *ip6, uint32_t len, uint8_t proto, uint32_t *offset, uint32_t *nh);

/*
 * Where ESP or AH goes in transport mode (RFC 4303 section 3.1.1): behind what routers on the way look
 * at, which are hop-by-hop options, routing headers, and destination options unless they come after a
 * routing header (as Linux, ip6_find_1stfragopt()). *nh: of the byte that says what follows. False: a
 * fragment, or cut short.
 */
bool xi_ext_insert(const uint8_t *ip6, uint32_t len, uint32_t *offset, uint32_t *nh);

#endif
