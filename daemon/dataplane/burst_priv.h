/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The insides of burst transmit, shared by burst.c (the path) and burst_open.c (set-up and probe). */
#ifndef XI_BURST_PRIV_H
#define XI_BURST_PRIV_H

#include "dataplane/burst.h"

#include <bpf/bpf.h>

#include <xipsec/burst.h>
#include <xipsec/reasons.h>
#include "dataplane/burst_watch.h"
#include "dataplane/park.h"

#define XI_BURST_PARK XI_BURST_PORTS /* the parking device's own slot */

struct burst_bpf;

struct xi_burst_port {
	struct xi_tx tx;             /* first: the ops get back from it */
	struct xi_burst *burst;
	struct xi_xsk *xsk;
	uint32_t slot;
	uint32_t pending;            /* listed in the ring */
	bool on;                     /* the device takes frames */
	bool drained;                /* nothing is under way by AF_XDP; valid within one flush */
	uint32_t deaf;               /* calls in a row of which the device took nothing */
	uint32_t deaf_frames;        /* and their frames: a full queue refuses a few as well */
	uint32_t pause_ms;           /* until the device is tried again, doubling */
	uint64_t retry_ms;
	uint64_t tried_sent;         /* xsk->sent when it was last tried: an idle port is left alone */
	uint64_t lost_seen;
	uint64_t packets, lost, pauses;
};

struct xi_burst {
	struct xi_burst_config config;
	struct burst_bpf *skel;
	struct xi_park park;
	int link_fd;                 /* of the program on the parking device: goes when the process goes */
	int prog_fd;
	struct xi_burst_ring *ring;
	struct xi_burst_lost *lost;
	uint32_t pending;            /* descriptors behind ring->prod, not yet shown to the program */
	uint32_t longest;            /* packet among them, bytes */
	struct xi_burst_watch watch;
	struct xdp_md md;            /* context of a call: comes in by the parking device */
	struct bpf_test_run_opts opts;
	struct xi_burst_port ports[XI_BURST_PORTS];
};

extern const struct xi_tx_ops xi_tx_burst_ops;

static inline uint64_t xi_burst_lost_frames(const struct xi_burst *burst, uint32_t slot)
{
	return __atomic_load_n(&burst->lost[slot].frames, __ATOMIC_RELAXED);
}

/* Lists a packet; the ring has room. */
void xi_burst_list(struct xi_burst *burst, uint32_t slot, uint64_t addr, uint32_t len);
/*
 * Sends what is listed. Afterwards ring->cons says what was taken off the list, whatever is
 * returned; the frames are still the caller's. 0 or -errno.
 */
int xi_burst_call(struct xi_burst *burst);
/* Does the device take a frame? One call of one frame; nothing else may be listed. */
bool xi_burst_try_port(struct xi_burst_port *port);

/* The device did not take frames: AF_XDP sends until it is tried again. */
void xi_burst_port_off(struct xi_burst_port *port, uint64_t now_ms);

#endif
