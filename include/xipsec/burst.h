/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Burst transmit: what a worker and its program xdp_burst share. The worker writes descriptors and makes one
 * BPF_PROG_TEST_RUN call with live frames; each run of the program takes the next descriptor, copies the packet from
 * `frames` into a live frame and redirects it. The program runs inside the worker's own system call: one thread, program
 * order, no barriers. Being attached, it would also run for frames that come in by the parking device, which is down for that
 * reason; outside of a call it takes nothing then.
 *
 * None of these maps is pinned: they are one worker's, hold cleartext, and die with it.
 */
#ifndef XIPSEC_BURST_H
#define XIPSEC_BURST_H

#include <linux/types.h>

#include <xipsec/abi.h>

#define XI_FRAME_SIZE 4096       /* of umem, one element of `frames` */
#define XI_BURST_RING 2048       /* descriptors; a power of two */
/*
 * A live frame is a page less headroom, struct xdp_page_head and struct skb_shared_info: 3408 bytes, or 3368 where (before
 * kernel 6.3, for one) struct xdp_frame is part of the second. A call with more than fits fails for all its packets.
 */
#define XI_BURST_LEN_MAX 3360
#define XI_BURST_OFFSET_MAX (XI_FRAME_SIZE - XI_BURST_LEN_MAX)
#define XI_BURST_PORTS XI_MAX_PORTS

struct xi_burst_desc {
	__u32 frame;                 /* element of `frames` */
	__u16 offset;                /* of the Ethernet header in it, at most XI_BURST_OFFSET_MAX */
	__u16 len;                   /* ETH_HLEN to XI_BURST_LEN_MAX */
	__u32 port;                  /* slot in tx_ports */
	__u32 pad;
};

/* Value of `tx_ring`[0]. Counters run freely, a descriptor is at its counter modulo XI_BURST_RING. */
struct xi_burst_ring {
	__u32 prod;                  /* written by the worker */
	__u32 calling;               /* 0: no call is under way, xdp_burst takes nothing */
	__u32 pad0[14];
	__u32 cons;                  /* written by xdp_burst: what was taken, whatever the call returned */
	__u32 pad1[15];
	struct xi_burst_desc desc[XI_BURST_RING];
};

/* Value of `tx_lost`, by port slot: frames that were taken off the ring and did not enter the device. */
struct xi_burst_lost {
	__u64 frames;
	__u64 pad[7];
};

XI_ASSERT(sizeof(struct xi_burst_desc) == 16);
XI_ASSERT(__builtin_offsetof(struct xi_burst_ring, desc) == 128);
XI_ASSERT((XI_BURST_RING & (XI_BURST_RING - 1)) == 0);

#endif
