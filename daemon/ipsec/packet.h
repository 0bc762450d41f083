/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XI_PACKET_H
#define XI_PACKET_H

#include <stdint.h>

/* An IP packet inside a larger buffer. Grows into headroom and tailroom, never beyond. */
struct xi_pkt {
	uint8_t *data;               /* first byte of the (outermost) IP header */
	uint32_t len;                /* bytes of the packet */
	uint32_t headroom;           /* bytes free in front of data */
	uint32_t tailroom;           /* bytes free behind data + len */
};

#endif
