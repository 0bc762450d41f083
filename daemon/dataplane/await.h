/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets whose SA a key manager is about to bring, kept until it is there, by flow, in the order in which they came:
 * those that go out, and that policy wants protected; and those that came in before their SA had keys, of which a larval
 * SA is a flow, and its peer takes the place of the policy. Two a worker, one for each way, so that a flood of the
 * one takes nothing from the other; all memory is taken at creation.
 *
 * Bounded three times: packets of one flow, of one policy (a quarter of all; policies of one hash share theirs), and
 * all. What is beyond is refused, and what is held stays: the first packet of a flow is the one to be kept. Packets
 * stay in their frames, of which a worker has as many more (xi_await_frames()): those that feed the receive rings are never
 * fewer for them.
 */
#ifndef XI_AWAIT_H
#define XI_AWAIT_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "ipsec/packet.h"

#define XI_AWAIT_ROOM 1024           /* packets of a worker */
#define XI_AWAIT_LONGS 64            /* of them, those in long buffers */
#define XI_AWAIT_SHARE (XI_AWAIT_ROOM / 4) /* of one policy */
#define XI_AWAIT_SHARES 256
#define XI_AWAIT_HASH (2 * XI_AWAIT_ROOM)

struct xi_awaited {
	struct xi_pkt pkt;
	uint64_t frame;
	uint64_t since_ms;           /* by the worker's clock */
	uint32_t next;               /* of its flow; free: of the free ones */
	uint16_t port;
	bool is_long;                /* in a long buffer */
};

struct xi_await_flow {
	struct xi_flow flow;
	uint32_t hash, share;
	uint32_t policy;             /* index of the one that its first packet met */
	uint32_t chain;              /* the next of this hash */
	uint32_t older, newer;       /* flows in the order in which they began; free: newer is the next free one */
	uint32_t first, last;        /* packets */
	uint32_t n;
};

struct xi_await {
	uint32_t per_flow;           /* 0: nothing is ever held */
	uint32_t n;                  /* packets held; written by the worker alone, read by anybody */
	uint32_t longs;
	uint32_t oldest, newest;     /* flows */
	uint32_t free_packet, free_flow;
	struct xi_awaited *packets;
	struct xi_await_flow *flows;
	uint32_t *heads;             /* by hash */
	uint16_t *shares;            /* packets of the policies of a hash */
	uint64_t seeds[sizeof(struct xi_flow) / 4 + 1]; /* secret */
};

#define XI_AWAIT_NONE UINT32_MAX

/* Frames, and long buffers, that a worker needs for what it holds each way. */
static inline uint32_t xi_await_frames(uint32_t per_flow)
{
	return per_flow ? XI_AWAIT_ROOM : 0;
}

static inline uint32_t xi_await_longs(uint32_t per_flow)
{
	return per_flow ? XI_AWAIT_LONGS : 0;
}

/* per_flow: packets of one flow, at most XI_AWAIT_SHARE. 0, -ENOMEM, or what getrandom() says. */
int xi_await_create(struct xi_await *a, uint32_t per_flow);
/* Of one that was zeroed, too. The packets' frames are the caller's. */
void xi_await_destroy(struct xi_await *a);

/* The flow of which packets are held; NULL: none are. Padding of flow counts. */
struct xi_await_flow *xi_await_find(const struct xi_await *a, const struct xi_flow *flow);
/*
 * Keeps a packet, behind those of its flow. policy: index of the one that wants it protected. began: it is the first of its
 * flow. False: there is no room for it, and it is the caller's still.
 */
bool xi_await_put(struct xi_await *a, const struct xi_flow *flow, uint32_t policy,
		  const struct xi_awaited *packet, bool *began);
/* What xi_await_put() takes for the policy of packets from this address. */
uint32_t xi_await_peer(const struct xi_await *a, const uint8_t addr[16]);
/* The flow that began first; the one that began next after it. NULL: there is none. */
struct xi_await_flow *xi_await_first(const struct xi_await *a);
struct xi_await_flow *xi_await_next(const struct xi_await *a, const struct xi_await_flow *f);
/* The first packet of a flow, which is held no more. True: it was the last, and the flow is gone. */
bool xi_await_take(struct xi_await *a, struct xi_await_flow *f, struct xi_awaited *packet);
/* Is the flow's first packet held since before then? */
static inline bool xi_await_is_late(const struct xi_await *a, const struct xi_await_flow *f,
				    uint64_t then_ms)
{
	return a->packets[f->first].since_ms < then_ms;
}

#endif
