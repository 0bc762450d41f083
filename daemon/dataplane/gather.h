/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Long packets on their way in: what AF_XDP hands over in several descriptors, or in one with no room behind it, is
 * put together in a long buffer, metadata in front. One instance a socket.
 */
#ifndef XI_GATHER_H
#define XI_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/if_xdp.h>

#include "dataplane/frames.h"

/* Another descriptor of the same packet follows (Linux 6.6). */
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif

enum xi_gather_state { XI_GATHER_IDLE, XI_GATHER_FILLING, XI_GATHER_SKIPPING };

struct xi_gather {
	enum xi_gather_state state;
	uint32_t len;
	uint64_t addr;               /* of the packet */
};

/*
 * Takes a descriptor; its frame is free again. True: the packet is whole, and *desc is about all of it. A packet
 * without a long buffer, or longer than one, is counted in counts (by enum xi_reason) and skipped.
 */
bool xi_gather_add(struct xi_gather *gather, struct xi_frames *frames, struct xdp_desc *desc, uint64_t *counts);

#endif
