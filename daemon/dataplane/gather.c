/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/gather.h"

#include <string.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>

XI_ASSERT(XI_LONG_SIZE >= XI_FRAME_HEADROOM + XI_PACKET_LONG + 512);
XI_ASSERT(sizeof(struct xi_meta) <= XI_FRAME_HEADROOM);

static void gather_drop(struct xi_gather *g, uint64_t *counts, enum xi_reason reason)
{
	__atomic_store_n(&counts[reason], counts[reason] + 1, __ATOMIC_RELAXED);
	g->state = XI_GATHER_SKIPPING;
}

/* The frame goes back to XDP, which may not write metadata next time: it keeps none. */
static void gather_begin(struct xi_gather *g, struct xi_frames *frames, const struct xdp_desc *desc,
			 uint64_t *counts)
{
	uint8_t *meta = frames->base + desc->addr - sizeof(struct xi_meta);

	if (xi_long_get(frames, &g->addr)) {
		g->state = XI_GATHER_FILLING;
		g->addr += XI_FRAME_HEADROOM;
		g->len = 0;
		memcpy(frames->base + g->addr - sizeof(struct xi_meta), meta, sizeof(struct xi_meta));
	} else {
		gather_drop(g, counts, XI_DROP_RX_FULL);
	}
	memset(meta, 0, sizeof(struct xi_meta));
}

static void gather_append(struct xi_gather *g, struct xi_frames *frames, const struct xdp_desc *desc,
			  uint64_t *counts)
{
	if (desc->len > XI_LONG_SIZE - XI_FRAME_HEADROOM - g->len) {
		xi_long_put(frames, g->addr);
		gather_drop(g, counts, XI_DROP_TOO_BIG);
		return;
	}
	memcpy(frames->base + g->addr + g->len, frames->base + desc->addr, desc->len);
	g->len += desc->len;
}

bool xi_gather_add(struct xi_gather *g, struct xi_frames *frames, struct xdp_desc *desc, uint64_t *counts)
{
	bool whole;

	if (g->state == XI_GATHER_IDLE)
		gather_begin(g, frames, desc, counts);
	if (g->state == XI_GATHER_FILLING)
		gather_append(g, frames, desc, counts);
	xi_frame_put(frames, desc->addr);
	if (desc->options & XDP_PKT_CONTD)
		return false;
	whole = g->state == XI_GATHER_FILLING;
	g->state = XI_GATHER_IDLE;
	if (whole)
		*desc = (struct xdp_desc){ .addr = g->addr, .len = g->len };
	return whole;
}
