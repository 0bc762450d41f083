/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/xsk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_link.h>
#include <linux/if_xdp.h>

#include "log.h"

int xi_umem_create(struct xi_umem *umem, struct xi_frames *frames)
{
	struct xsk_umem_config config = {
		.fill_size = XI_XSK_RING,
		.comp_size = XI_XSK_RING,
		.frame_size = XI_FRAME_SIZE,
	};
	int err;

	memset(umem, 0, sizeof(*umem));
	umem->frames = frames;
	err = xsk_umem__create(&umem->umem, frames->base, (uint64_t)frames->n * XI_FRAME_SIZE,
			       &umem->fill, &umem->comp, &config);
	if (err) {
		errno = -err;
		log_warn("umem: cannot register packet memory with AF_XDP");
	}
	return err;
}

void xi_umem_destroy(struct xi_umem *umem)
{
	if (umem->umem)
		xsk_umem__delete(umem->umem);
	umem->umem = NULL;
}

static bool xsk_is_zerocopy(int fd)
{
	struct xdp_options opts = { 0 };
	socklen_t len = sizeof(opts);

	return getsockopt(fd, SOL_XDP, XDP_OPTIONS, &opts, &len) == 0 &&
	       (opts.flags & XDP_OPTIONS_ZEROCOPY);
}

#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)
#endif

/* Unknown flags are refused before all else; then there is no device of number 0. */
bool xi_xsk_has_sg(void)
{
	const struct sockaddr_xdp addr = { .sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_SG };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool has = false;

	if (fd < 0)
		return false;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		has = errno == ENODEV;
	close(fd);
	return has;
}

/* Kernel 6.17 lifts the limit of 32 descriptors a sendto(); older kernels refuse the option. */
#ifndef XDP_MAX_TX_SKB_BUDGET
#define XDP_MAX_TX_SKB_BUDGET 9
#endif
static void xsk_raise_tx_budget(int fd)
{
	uint32_t budget = XI_XSK_RING;

	setsockopt(fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(budget));
}

static int xsk_bind(struct xi_xsk *xsk, const char *ifname)
{
	struct xsk_socket_config config = {
		.rx_size = XI_XSK_RING,
		.tx_size = XI_XSK_RING,
		.libbpf_flags = XSK_LIBBPF_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_USE_NEED_WAKEUP | (xsk->sg ? XDP_USE_SG : 0),
		.xdp_flags = xsk->port->config.mode == XI_PORT_SKB ? XDP_FLAGS_SKB_MODE :
								     XDP_FLAGS_DRV_MODE,
	};

	return xsk_socket__create_shared(&xsk->xsk, ifname, xsk->queue, xsk->umem->umem, &xsk->rx,
					 &xsk->txr, xsk->fill, xsk->comp, &config);
}

int xi_xsk_open(struct xi_xsk *xsk, struct xi_umem *umem, const struct xi_port_dev *port,
		uint32_t queue)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	const char *ifname = port->config.name;
	int err, tries;

	memset(xsk, 0, sizeof(*xsk));
	xsk->tx.ops = &xi_tx_xsk_ops;
	xsk->umem = umem;
	xsk->port = port;
	xsk->queue = queue;
	xsk->sg = port->packet_max > XI_PACKET_ONE;
	xsk->fill = umem->rings_taken ? &xsk->own_fill : &umem->fill;
	xsk->comp = umem->rings_taken ? &xsk->own_comp : &umem->comp;
	for (tries = 0;; tries++) {
		err = xsk_bind(xsk, ifname);
		if (err != -EBUSY || tries == 1000)
			break;
		nanosleep(&pause, NULL);
	}
	if (err) {
		xsk->xsk = NULL;
		errno = -err;
		log_warn("%s: cannot bind an AF_XDP socket to queue %u; see whether another program has it (ss --xdp)", ifname, queue);
		return err;
	}
	umem->rings_taken = true;
	xsk->fd = xsk_socket__fd(xsk->xsk);
	xsk->zerocopy = xsk_is_zerocopy(xsk->fd);
	xsk_raise_tx_budget(xsk->fd);
	xi_xsk_refill(xsk);
	log_debug("%s: queue %u bound, %s%s", ifname, queue,
		  xsk->zerocopy ? "zero-copy" : "copy mode", xsk->sg ? ", long packets" : "");
	return 0;
}

void xi_xsk_close(struct xi_xsk *xsk)
{
	if (xsk->xsk)
		xsk_socket__delete(xsk->xsk);
	xsk->xsk = NULL;
}

void xi_xsk_refill(struct xi_xsk *xsk)
{
	struct xi_frames *frames = xsk->umem->frames;
	uint32_t n, i, idx;

	n = xsk_prod_nb_free(xsk->fill, XI_XSK_RING);
	if (n > frames->nfree)
		n = frames->nfree;
	if (!n || xsk_ring_prod__reserve(xsk->fill, n, &idx) != n)
		return;
	for (i = 0; i < n; i++)
		*xsk_ring_prod__fill_addr(xsk->fill, idx + i) = xi_frame_get(frames);
	xsk_ring_prod__submit(xsk->fill, n);
	if (xsk->zerocopy && xsk_ring_prod__needs_wakeup(xsk->fill))
		recvfrom(xsk->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

uint64_t xi_xsk_rx_lost(struct xi_xsk *xsk)
{
	struct xdp_statistics stats = { 0 };
	socklen_t len = sizeof(stats);
	uint64_t lost;

	if (getsockopt(xsk->fd, SOL_XDP, XDP_STATISTICS, &stats, &len))
		return 0;
	lost = stats.rx_dropped + stats.rx_ring_full - xsk->rx_lost;
	xsk->rx_lost += lost;
	return lost;
}
