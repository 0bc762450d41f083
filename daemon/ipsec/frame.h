/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Framing and crypto are two steps: the first layer gives a packet its headers, padding, SPI and
 * sequence number; the second computes ICVs and encrypts. Of two SAs over one packet both are framed
 * before any crypto, and the inner one's crypto comes first; but where the outer one is in transport
 * mode it frames afterwards, as it moves the IP header in which the inner frame begins.
 */
#ifndef XI_FRAME_H
#define XI_FRAME_H

#include <stdint.h>

/* One layer's frame in a packet. Pointers into the packet's buffer. */
struct xi_frame {
	uint8_t *ip;                 /* IP header of this layer */
	uint32_t len;                /* bytes from there to the end, ICV included */
	uint32_t offset;             /* from ip to the ESP or AH header */
	uint32_t clear_len;          /* bytes that count against the SA's lifetime */
	uint64_t seq;
};

#endif
