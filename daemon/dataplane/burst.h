/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The transmit path "burst": finished frames are listed in a ring that the BPF program xdp_burst
 * reads, and one BPF_PROG_TEST_RUN call with live frames a batch sends them all, out of any port.
 * On copy-mode devices this costs a fraction of AF_XDP's own transmit.
 *
 * One a worker. Where a batch is too small, the call is in trouble (burst_watch.h), or a port does
 * not take frames, the port's AF_XDP socket sends instead; a port changes from one to the other
 * only when nothing of the first is under way, so that packets keep their order.
 */
#ifndef XI_BURST_H
#define XI_BURST_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frames.h"
#include "dataplane/tx.h"
#include "dataplane/xsk.h"

struct xi_burst;

#define XI_BURST_WHY 96

struct xi_burst_config {
	unsigned int worker;
	struct xi_frames *frames;    /* the worker's; sent frames go back there */
	uint64_t *counts;            /* the worker's row of worker_stats */
	const uint64_t *now_ms;      /* the worker's clock, monotonic */
};

/*
 * Loads and parks the program, and sends itself frames: 0 when every byte of them arrived and the
 * loss of others was seen. Else -errno, and `why` says in a line what does not work here.
 */
int xi_burst_open(struct xi_burst **out, const struct xi_burst_config *config,
		  char why[XI_BURST_WHY]);
/* NULL is fine. The device that the program was parked on goes. */
void xi_burst_close(struct xi_burst *burst);

/*
 * A way out of xsk's port that uses burst where it can and xsk where not. Sends one frame of the
 * Ethernet configuration test protocol (0x9000) to the port's own address, to see whether the
 * device takes it; where it does not, tries again from time to time. Owned by burst. NULL: the
 * device cannot be sent to at all.
 */
struct xi_tx *xi_burst_add_port(struct xi_burst *burst, struct xi_xsk *xsk);

#endif
