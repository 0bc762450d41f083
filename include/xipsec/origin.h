/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a packet that the host hands to workers comes from. It is in the Ethernet addresses of its frame, which mean
 * nothing between xipsec0 and its inner end: 02:KK:MM:MM:MM:MM and 02:58:II:II:II:II, kind, mark and if_id. tc_host
 * writes it into each frame that leaves xipsec0, whatever was there.
 */
#ifndef XIPSEC_ORIGIN_H
#define XIPSEC_ORIGIN_H

#include <linux/types.h>

#define XI_ORIGIN_LEN 12             /* of both addresses */
#define XI_ORIGIN_TAG 0x58           /* in neither address of xipsec0 */

enum xi_origin_kind { XI_ORIGIN_NONE, XI_ORIGIN_ROUTED, XI_ORIGIN_GUARD };

/*
 * What tc programs tell tc_host, in skb->tc_index: the guard sent it; it left an interface, whose if_id is in
 * skb->priority. Nobody else sets such an index.
 */
#define XI_TC_GUARD 0x7867
#define XI_TC_INTERFACE 0x7869

struct xi_origin {
	enum xi_origin_kind kind;    /* NONE: nobody has written it; xdp_plain drops it */
	__u32 mark;
	__u32 if_id;                 /* of the interface it was routed to, 0: xipsec0 */
};

static inline __attribute__((always_inline)) __u32 xi_origin_get32(const __u8 *p)
{
	return (__u32)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static inline __attribute__((always_inline)) void xi_origin_put32(__u8 *p, __u32 value)
{
	p[0] = value >> 24;
	p[1] = value >> 16;
	p[2] = value >> 8;
	p[3] = value;
}

static inline __attribute__((always_inline)) void
xi_origin_write(__u8 eth[XI_ORIGIN_LEN], const struct xi_origin *origin)
{
	eth[0] = 0x02;
	eth[1] = origin->kind;
	xi_origin_put32(eth + 2, origin->mark);
	eth[6] = 0x02;
	eth[7] = XI_ORIGIN_TAG;
	xi_origin_put32(eth + 8, origin->if_id);
}

static inline __attribute__((always_inline)) struct xi_origin xi_origin_read(const __u8 *eth)
{
	struct xi_origin origin = {.kind = XI_ORIGIN_NONE};

	if (eth[0] != 0x02 || eth[6] != 0x02 || eth[7] != XI_ORIGIN_TAG ||
	    (eth[1] != XI_ORIGIN_ROUTED && eth[1] != XI_ORIGIN_GUARD))
		return origin;
	origin.kind = eth[1];
	origin.mark = xi_origin_get32(eth + 2);
	origin.if_id = xi_origin_get32(eth + 8);
	return origin;
}

#endif
