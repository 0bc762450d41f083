/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One AF_XDP socket: a queue of a port, served by one worker. Implements the transmit path "xsk".
 *
 * A worker has one packet memory, registered once for each port: sockets that share a umem share its mode, and one
 * port's driver may have zero-copy where another's has not. A frame may come in by one umem and go out by another.
 */
#ifndef XI_XSK_H
#define XI_XSK_H

#include <stdbool.h>
#include <stdint.h>

#include <xdp/xsk.h>

#include "dataplane/frames.h"
#include "dataplane/gather.h"
#include "dataplane/port.h"
#include "dataplane/tx.h"

#define XI_XSK_RING 1024
/* A packet received in one descriptor that is longer, Ethernet header and tags included, has too little room behind it. */
#define XI_XSK_ONE_MAX (XI_PACKET_ONE + 22)

struct xi_umem {
	struct xsk_umem *umem;
	struct xi_frames *frames;
	/* libxdp wants rings at creation; the first socket takes them over, further queues have their own */
	struct xsk_ring_prod fill;
	struct xsk_ring_cons comp;
	bool rings_taken;
};

struct xi_xsk {
	struct xi_tx tx;             /* first: tx_xsk.c gets back from it */
	struct xsk_socket *xsk;
	struct xi_umem *umem;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod txr;
	struct xsk_ring_prod *fill;
	struct xsk_ring_cons *comp;
	struct xsk_ring_prod own_fill;
	struct xsk_ring_cons own_comp;
	int fd;
	bool zerocopy;
	bool sg;                     /* a packet may be of several descriptors */
	struct xi_gather gather;     /* the one that is being received */
	uint32_t pending;            /* descriptors, sent, not flushed */
	uint32_t pending_more;       /* of them, those that are not the first of their packet */
	uint32_t outstanding;        /* descriptors with the kernel, not completed */
	uint64_t sent;               /* packets put into the transmit ring */
	uint64_t rx_lost;            /* already reported by xi_xsk_rx_lost */
	const struct xi_port_dev *port;
	uint32_t queue;
};

int xi_umem_create(struct xi_umem *umem, struct xi_frames *frames);
void xi_umem_destroy(struct xi_umem *umem);

/*
 * Binds to a queue, zero-copy where the driver has it, copy mode elsewhere. A queue that a dead daemon held is busy for
 * 10 to 20 ms: retries for a second. 0 or -errno, logged.
 */
int xi_xsk_open(struct xi_xsk *xsk, struct xi_umem *umem, const struct xi_port_dev *port, uint32_t queue);
void xi_xsk_close(struct xi_xsk *xsk);

/* Can AF_XDP sockets of this kernel take and send packets of several descriptors (Linux 6.6)? */
bool xi_xsk_has_sg(void);

/* Gives the kernel free frames to receive into. */
void xi_xsk_refill(struct xi_xsk *xsk);

/* Packets for this socket that the kernel dropped since the last call: ring full, or no free frame. */
uint64_t xi_xsk_rx_lost(struct xi_xsk *xsk);

extern const struct xi_tx_ops xi_tx_xsk_ops;

#endif
