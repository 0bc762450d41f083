/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a worker has: its sockets, frames, ways to send, and room to hold packets in. */
#include "dataplane/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/batch.h"
#include "log.h"

/* a socket: what a full transmit ring holds, and its part of what a round receives; 4.5 MiB */
#define LONG_BUFFERS (XI_XSK_RING / XI_LONG_FRAMES + 43)

static bool worker_serves(const struct xi_worker *w, uint32_t queue)
{
	return queue % w->config.nworkers == w->config.index;
}

/* Queues of a port; none while its device is gone. */
static uint32_t worker_queues(const struct xi_worker *w, uint32_t slot)
{
	const struct xi_port_dev *port = w->config.ports[slot];

	return port && port->ifindex ? port->queues : 0;
}

static uint32_t worker_count_socks(const struct xi_worker *w)
{
	uint32_t slot, queue, n = 0;

	for (slot = 0; slot < XI_MAX_PORTS; slot++)
		for (queue = 0; queue < worker_queues(w, slot); queue++)
			n += worker_serves(w, queue);
	return n;
}

static int worker_open_sock(struct xi_worker *w, const struct xi_port_dev *port, uint32_t queue)
{
	struct xi_xsk *xsk = &w->socks[w->nsocks];
	uint32_t key = port->slot * XI_MAX_QUEUES + queue;
	int err = 0;

	if (!w->umems[port->slot].umem)
		err = xi_umem_create(&w->umems[port->slot], &w->frames);
	if (!err)
		err = xi_xsk_open(xsk, &w->umems[port->slot], port, queue);
	if (err)
		return err;
	w->nsocks++;
	if (!w->by_port[port->slot] && queue < port->tx_queues)
		w->by_port[port->slot] = &xsk->tx;
	if (bpf_map_update_elem(w->config.xsks_fd, &key, &xsk->fd, BPF_ANY)) {
		err = -errno;
		log_warn("%s: cannot enter the socket of queue %u into xsks", port->config.name,
			 queue);
	}
	return err;
}

static int worker_open_socks(struct xi_worker *w)
{
	uint32_t slot, queue;
	int err;

	for (slot = 0; slot < XI_MAX_PORTS; slot++) {
		const struct xi_port_dev *port = w->config.ports[slot];

		for (queue = 0; queue < worker_queues(w, slot); queue++) {
			if (!worker_serves(w, queue))
				continue;
			err = worker_open_sock(w, port, queue);
			if (err)
				return err;
		}
	}
	return 0;
}

/* Whether a socket can take such packets or not: what arrives in fragments may be put together to one. */
static uint32_t worker_count_longs(const struct xi_worker *w)
{
	uint32_t slot, queue, n = 0;

	for (slot = 0; slot < XI_MAX_PORTS; slot++)
		for (queue = 0; queue < worker_queues(w, slot); queue++)
			if (worker_serves(w, queue) &&
			    xi_port_wants_long(w->config.ports[slot]->mtu))
				n += LONG_BUFFERS;
	return n ? n + 2 * xi_await_longs(w->config.hold) : 0;
}

static int worker_open(struct xi_worker *w)
{
	uint32_t n = worker_count_socks(w), frames;
	int err;

	if (!n)
		return -ENODEV;
	w->socks = calloc(n, sizeof(*w->socks));
	w->allowed = calloc(XI_ALLOWED, sizeof(*w->allowed));
	w->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (!w->socks || !w->allowed || w->stop_fd < 0)
		return -ENOMEM;
	/*
	 * every socket may hold a full fill ring, a full receive ring and a full transmit ring; and
	 * the burst list may be full, and so may that of pieces, and of what is held each way
	 */
	frames = n * 3 * XI_XSK_RING + XI_BURST_RING + XI_PIECES +
		 2 * xi_await_frames(w->config.hold);
	err = xi_frames_create(&w->frames, frames, worker_count_longs(w));
	return err ? err : worker_open_socks(w);
}

int xi_worker_equip(struct xi_worker *w)
{
	int err = xi_batch_fragments_create(w);

	if (!err)
		err = xi_await_create(&w->await, w->config.hold);
	if (!err)
		err = xi_await_create(&w->early, w->config.hold);
	if (!err && w->config.adopting && *w->config.adopting) {
		w->adopting = true;
		err = xi_hold_create(&w->hold, w->frames.n);
	}
	if (!err)
		err = xi_rawout_open(&w->rawout);
	if (!err) {
		xi_worker_open_burst(w);
		xi_worker_log_paths(w);
	}
	if (!err)
		err = w->config.engine->create(&w->crypto, w->config.index);
	return err;
}

int xi_worker_create(struct xi_worker **out, const struct xi_worker_config *config)
{
	struct xi_worker *w;
	int err;

	w = aligned_alloc(64, (sizeof(*w) + 63) & ~63UL);
	if (!w)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->config = *config;
	w->counts = config->counts;
	w->frames.map_fd = -1;
	w->stop_fd = -1;
	w->rawout = (struct xi_rawout){ .fd4 = -1, .fd6 = -1 };
	xi_worker_clock(w);
	err = worker_open(w);
	if (err) {
		xi_worker_destroy(w);
		return err;
	}
	*out = w;
	return 0;
}

void xi_worker_destroy(struct xi_worker *w)
{
	uint32_t i;

	if (!w)
		return;
	if (w->started) {
		atomic_store(&w->stop, true);
		eventfd_write(w->stop_fd, 1);
		pthread_join(w->thread, NULL);
	}
	xi_worker_count_n(w, XI_DROP_HOLD_TIMEOUT, w->await.n + w->early.n);
	xi_burst_close(w->burst);
	for (i = 0; i < w->nsocks; i++)
		xi_xsk_close(&w->socks[i]);
	for (i = 0; i < XI_MAX_PORTS; i++)
		xi_umem_destroy(&w->umems[i]);
	xi_frames_destroy(&w->frames);
	xi_hold_destroy(&w->hold);
	xi_await_destroy(&w->await);
	xi_await_destroy(&w->early);
	xi_batch_fragments_destroy(w);
	xi_rawout_close(&w->rawout);
	if (w->crypto)
		w->config.engine->destroy(w->crypto);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
	free(w->allowed);
	free(w->socks);
	free(w);
}
