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

struct xi_tx_ops {
	const char *name;            /* as in the configuration */
	/* Queues a packet at umem offset addr. False: no room even after flushing; the frame stays the caller's. */
	bool (*send)(struct xi_tx *tx, uint64_t addr, uint32_t len);
	/* Makes the kernel take what is queued. Once a batch; the only system call of the path. */
	void (*flush)(struct xi_tx *tx);
	/* Returns frames that the kernel is done with. */
	void (*reap)(struct xi_tx *tx);
};

struct xi_tx {
	const struct xi_tx_ops *ops;
};

#endif
