/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The transmit path "xsk": AF_XDP descriptors, one sendto() a batch. */
#include "dataplane/tx.h"

#include <errno.h>
#include <sys/socket.h>

#include "dataplane/xsk.h"

static struct xi_xsk *tx_xsk(struct xi_tx *tx)
{
	return (struct xi_xsk *)tx;
}

static void tx_xsk_reap(struct xi_tx *tx)
{
	struct xi_xsk *xsk = tx_xsk(tx);
	struct xi_frames *frames = xsk->umem->frames;
	uint32_t n, i, idx;

	if (!xsk->outstanding)
		return;
	n = xsk_ring_cons__peek(xsk->comp, XI_XSK_RING, &idx);
	for (i = 0; i < n; i++)
		xi_frame_put(frames, *xsk_ring_cons__comp_addr(xsk->comp, idx + i));
	if (n)
		xsk_ring_cons__release(xsk->comp, n);
	xsk->outstanding -= n;
}

/* Descriptors that the kernel has not taken yet. */
static uint32_t tx_xsk_queued(struct xi_xsk *xsk)
{
	return XI_XSK_RING - xsk_prod_nb_free(&xsk->txr, XI_XSK_RING);
}

/*
 * In copy mode one sendto() takes 32 descriptors before kernel 6.17: call until the ring is empty
 * or stands still (device queue full, link down); what is left goes with the next batch.
 */
static void tx_xsk_kick(struct xi_xsk *xsk)
{
	uint32_t before, left = tx_xsk_queued(xsk);

	while (left && xsk_ring_prod__needs_wakeup(&xsk->txr)) {
		before = left;
		if (sendto(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN &&
		    errno != EBUSY)
			break;
		left = tx_xsk_queued(xsk);
		if (left == before)
			break;
	}
}

static void tx_xsk_flush(struct xi_tx *tx)
{
	struct xi_xsk *xsk = tx_xsk(tx);

	if (xsk->pending) {
		__atomic_store_n(&xsk->sent, xsk->sent + xsk->pending - xsk->pending_more,
				 __ATOMIC_RELAXED);
		xsk_ring_prod__submit(&xsk->txr, xsk->pending);
		xsk->outstanding += xsk->pending;
		xsk->pending = xsk->pending_more = 0;
	}
	if (xsk->outstanding)
		tx_xsk_kick(xsk);
}

/* Room for n descriptors. False: not even after flushing. */
static bool tx_xsk_reserve(struct xi_xsk *xsk, uint32_t n, uint32_t *idx)
{
	if (xsk->outstanding + xsk->pending + n <= XI_XSK_RING &&
	    xsk_ring_prod__reserve(&xsk->txr, n, idx) == n)
		return true;
	tx_xsk_flush(&xsk->tx);
	tx_xsk_reap(&xsk->tx);
	return xsk->outstanding + n <= XI_XSK_RING &&
	       xsk_ring_prod__reserve(&xsk->txr, n, idx) == n;
}

/* A descriptor lies in one frame: a packet that crosses into the next has several. */
static bool tx_xsk_send_long(struct xi_xsk *xsk, uint64_t addr, uint32_t len)
{
	uint32_t offset = addr % XI_FRAME_SIZE, n = (offset + len + XI_FRAME_SIZE - 1) / XI_FRAME_SIZE;
	struct xi_frames *frames = xsk->umem->frames;
	uint32_t i, idx, part;

	if (!xsk->sg || !xi_frame_is_long(frames, addr) || !tx_xsk_reserve(xsk, n, &idx))
		return false;
	xi_long_split(frames, addr, n);
	for (i = 0; i < n; i++, addr += part, len -= part) {
		part = XI_FRAME_SIZE - addr % XI_FRAME_SIZE;
		if (part > len)
			part = len;
		*xsk_ring_prod__tx_desc(&xsk->txr, idx + i) = (struct xdp_desc){
			.addr = addr, .len = part, .options = i + 1 < n ? XDP_PKT_CONTD : 0 };
	}
	xsk->pending += n;
	xsk->pending_more += n - 1;
	return true;
}

static bool tx_xsk_send(struct xi_tx *tx, uint64_t addr, uint32_t len)
{
	struct xi_xsk *xsk = tx_xsk(tx);
	struct xdp_desc *desc;
	uint32_t idx;

	if (__builtin_expect(addr % XI_FRAME_SIZE + len > XI_FRAME_SIZE, 0))
		return tx_xsk_send_long(xsk, addr, len);
	if (!tx_xsk_reserve(xsk, 1, &idx))
		return false;
	desc = xsk_ring_prod__tx_desc(&xsk->txr, idx);
	desc->addr = addr;
	desc->len = len;
	desc->options = 0;
	xsk->pending++;
	return true;
}

static void tx_xsk_status(const struct xi_tx *tx, struct xi_tx_status *status)
{
	const struct xi_xsk *xsk = (const struct xi_xsk *)tx;

	status->path = tx->ops->name;
	status->zerocopy = xsk->zerocopy;
	status->xsk_packets = __atomic_load_n(&xsk->sent, __ATOMIC_RELAXED);
}

const struct xi_tx_ops xi_tx_xsk_ops = {
	.name = "xsk",
	.send = tx_xsk_send,
	.flush = tx_xsk_flush,
	.reap = tx_xsk_reap,
	.status = tx_xsk_status,
};
