/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How frames leave: one table of functions, so that there may be several transmit paths for the same packet memory.
 * A frame handed to send() belongs to the path until it comes back to xi_frames through reap().
 */
#ifndef XI_TX_H
#define XI_TX_H

#include <stdbool.h>
#include <stdint.h>

struct xi_tx;
struct xi_tx_status;

struct xi_tx_ops {
	const char *name;            /* as in the configuration */
	/* Queues a packet at umem offset addr. False: no room even after flushing; the frame stays the caller's. */
	bool (*send)(struct xi_tx *tx, uint64_t addr, uint32_t len);
	/* Makes the kernel take what is queued. Once a batch; the only system call of the path. */
	void (*flush)(struct xi_tx *tx);
	/* Returns frames that the kernel is done with. */
	void (*reap)(struct xi_tx *tx);
	/* Fills in what the path knows of itself; any thread. */
	void (*status)(const struct xi_tx *tx, struct xi_tx_status *status);
};

struct xi_tx {
	const struct xi_tx_ops *ops;
};

/* How one worker sends out of one port, and what came of it. For people and scripts: `xipsec port`. */
#define XI_TX_WHY 128

struct xi_tx_status {
	const char *path;            /* "burst", "xsk"; "none": the worker has no socket to send out of this port with */
	char why[XI_TX_WHY];          /* one line, lower case, why this path and no other */
	bool zerocopy;               /* AF_XDP without copying */
	bool paused;                 /* burst is set aside for now, AF_XDP sends */
	uint64_t burst_packets;      /* handed to burst calls */
	uint64_t burst_lost;         /* of these, not taken by the device */
	uint64_t xsk_packets;        /* put into the AF_XDP transmit ring */
	uint64_t pauses;             /* times that burst was set aside */
};

#endif
