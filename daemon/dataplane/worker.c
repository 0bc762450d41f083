/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/worker.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <urcu-qsbr.h>

#include "dataplane/batch.h"
#include "log.h"

#define IDLE_SPINS 16            /* empty rounds before the worker sleeps, or looks at the clock */
#define BURST_ROUND 512          /* packets after which a round sends, though more are waiting */
/* a socket: what a full transmit ring holds, and its part of what a round receives; 4.5 MiB */
#define LONG_BUFFERS (XI_XSK_RING / XI_LONG_FRAMES + 43)
#define SLEEP_MS 1000
#define SLEEP_ADOPTING_MS 2
#define SLEEP_HELD_MS 5          /* while packets wait for their SA */
#define SLEEP_TX_MS 20           /* while frames are out with the kernel */

static void worker_clock(struct xi_worker *w)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	w->now = ts.tv_sec;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	w->now_ms = (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The benchmark's yardstick: the same loop, no crypto. */
static void worker_forward(struct xi_worker *w, const struct xi_xsk *from,
			   const struct xdp_desc *desc)
{
	enum xi_role role =
		from->port->config.role == XI_ROLE_CIPHER ? XI_ROLE_PLAIN : XI_ROLE_CIPHER;
	uint32_t i;

	for (i = 1; i < XI_MAX_PORTS; i++) {
		struct xi_tx *to = w->by_port[i];

		if (!to || w->config.ports[i]->config.role != role)
			continue;
		if (to->ops->send(to, desc->addr, desc->len))
			return;
		xi_worker_count(w, XI_DROP_TX_FULL);
		break;
	}
	xi_frame_put(&w->frames, desc->addr);
}

/* Not in one frame with room behind it. */
static bool worker_is_long(const struct xi_xsk *xsk, const struct xdp_desc *desc)
{
	return __builtin_expect(desc->len > XI_XSK_ONE_MAX || (desc->options & XDP_PKT_CONTD) ||
				xsk->gather.state != XI_GATHER_IDLE, 0);
}

static void worker_batch(struct xi_worker *w)
{
	xi_batch_prefetch_contexts(w);
	if (w->nin)
		xi_batch_in(w);
	if (w->nout)
		xi_batch_out(w);
}

static uint32_t worker_receive(struct xi_worker *w, struct xi_xsk *xsk)
{
	uint32_t i, n, idx;

	if (w->adopting && !xi_hold_has_room(w))
		return 0;
	n = xsk_ring_cons__peek(&xsk->rx, XI_BATCH, &idx);
	if (!n)
		return 0;
	for (i = 0; i < n; i++)
		xi_batch_prefetch(w, xsk_ring_cons__rx_desc(&xsk->rx, idx + i)->addr);
	for (i = 0; i < n; i++) {
		struct xdp_desc desc = *xsk_ring_cons__rx_desc(&xsk->rx, idx + i);

		if (worker_is_long(xsk, &desc) &&
		    !xi_gather_add(&xsk->gather, &w->frames, &desc, w->counts))
			continue;
		if (w->config.forward_only)
			worker_forward(w, xsk, &desc);
		else if (w->adopting)
			xi_hold_or_take(w, desc.addr, desc.len);
		else
			xi_batch_take(w, desc.addr, desc.len);
	}
	xsk_ring_cons__release(&xsk->rx, n);
	worker_batch(w);
	return n;
}

/* Once a second, and before a sleep: what the kernel could not give us. */
static void worker_count_lost(struct xi_worker *w)
{
	uint32_t i;

	w->lost_second = w->now;
	for (i = 0; i < w->nsocks; i++) {
		uint64_t lost = xi_xsk_rx_lost(&w->socks[i]);

		if (lost)
			xi_worker_count_n(w, XI_DROP_RX_FULL, lost);
	}
}

void xi_worker_send(struct xi_worker *w)
{
	uint32_t i;

	for (i = 0; i < XI_MAX_PORTS; i++) {
		struct xi_tx *tx = w->by_port[i];

		if (!tx)
			continue;
		tx->ops->flush(tx);
		tx->ops->reap(tx);
	}
}

/*
 * What has come, at once: a burst call is the cheaper a packet the more it has, so it takes what is
 * waiting, but nothing waits for it.
 */
static uint32_t worker_receive_all(struct xi_worker *w)
{
	uint32_t i, n, sum = 0;

	do {
		n = 0;
		for (i = 0; i < w->nsocks; i++)
			n += worker_receive(w, &w->socks[i]);
		sum += n;
	} while (w->burst && n && sum < BURST_ROUND);
	return sum;
}

/* What was put aside goes before what has come since. */
static void worker_release(struct xi_worker *w)
{
	uint32_t i;

	for (i = 0; i < w->hold.n; i++) {
		xi_batch_take(w, w->hold.list[i].addr, w->hold.list[i].len);
		if ((i + 1) % XI_BATCH && i + 1 < w->hold.n)
			continue;
		worker_batch(w);
		xi_worker_send(w);
	}
	xi_hold_destroy(&w->hold);
}

static void worker_look_adopting(struct xi_worker *w)
{
	w->adopting = atomic_load_explicit(w->config.adopting, memory_order_acquire);
	if (!w->adopting)
		worker_release(w);
}

/* One look at every socket. Returns the packets received. */
static uint32_t worker_round(struct xi_worker *w)
{
	uint32_t i, n;

	worker_clock(w);
	if (w->adopting)
		worker_look_adopting(w);
	xi_batch_look_again(w);
	n = worker_receive_all(w);
	xi_worker_send(w);
	for (i = 0; i < w->nsocks; i++)
		xi_xsk_refill(&w->socks[i]);
	if (w->now != w->lost_second) {
		worker_count_lost(w);
		xi_batch_fragments_expire(w);
	}
	return n;
}

/* Sleeps until a packet comes or the worker is to stop. Holds no RCU pointer. */
static void worker_sleep(struct xi_worker *w, struct pollfd *fds)
{
	int timeout = SLEEP_MS;
	uint32_t i;

	for (i = 0; i < w->nsocks; i++)
		if (w->socks[i].outstanding)
			timeout = SLEEP_TX_MS;
	if (w->await.n || w->early.n)
		timeout = SLEEP_HELD_MS;
	if (w->adopting)
		timeout = SLEEP_ADOPTING_MS;
	if (w->busy) {
		w->busy = false;
		worker_count_lost(w);
	}
	rcu_thread_offline();
	poll(fds, w->nsocks + 1, timeout);
	rcu_thread_online();
}

/*
 * Waking a thread takes tens of microseconds, on a virtual machine hundreds now and then: who cares
 * lets the worker look on for a while after each packet.
 */
static bool worker_looks_on(struct xi_worker *w)
{
	struct timespec ts;
	uint64_t now;

	if (!w->config.spin_us)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
	if (!w->idle_from_us)
		w->idle_from_us = now;
	return now - w->idle_from_us < w->config.spin_us;
}

static void *worker_main(void *arg)
{
	struct xi_worker *w = arg;
	struct pollfd fds[w->nsocks + 1];
	uint32_t i, idle = 0;

	for (i = 0; i < w->nsocks; i++)
		fds[i] = (struct pollfd){ .fd = w->socks[i].fd, .events = POLLIN };
	fds[w->nsocks] = (struct pollfd){ .fd = w->stop_fd, .events = POLLIN };
	rcu_register_thread();
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		if (worker_round(w)) {
			idle = 0;
			w->idle_from_us = 0;
			w->busy = true;
		}
		rcu_quiescent_state();
		if (++idle > IDLE_SPINS && !worker_looks_on(w)) {
			worker_sleep(w, fds);
			idle = 0;
		}
	}
	rcu_unregister_thread();
	return NULL;
}

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

/* Does this port want burst transmit, as far as configuration and driver go? Else says why not. */
static bool worker_wants_burst(struct xi_worker *w, const struct xi_xsk *xsk)
{
	const struct xi_port_config *config = &xsk->port->config;
	const char *why = NULL;

	if (config->role == XI_ROLE_HOST)
		why = "the host's side of xipsec0 builds packets of its own";
	else if (config->tx == XI_PORT_TX_XSK)
		why = "tx = xsk";
	else if (config->tx == XI_PORT_TX_AUTO && xsk->zerocopy)
		why = "the driver has zero-copy";
	if (why)
		snprintf(w->why[xsk->port->slot], XI_TX_WHY, "%s", why);
	return !why;
}

/* Ports that can send by burst do. A worker without it works, only slower: never an error. */
static void worker_open_burst(struct xi_worker *w)
{
	const struct xi_burst_config config = {
		.worker = w->config.index,
		.frames = &w->frames,
		.counts = w->counts,
		.now_ms = &w->now_ms,
	};
	char why[XI_BURST_WHY] = "";
	uint32_t slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++) {
		/* so far by_port names sockets */
		struct xi_xsk *xsk = (struct xi_xsk *)w->by_port[slot];
		struct xi_tx *tx = NULL;

		if (!xsk || !worker_wants_burst(w, xsk))
			continue;
		if (!w->burst && !*why)
			xi_burst_open(&w->burst, &config, why);
		if (w->burst)
			tx = xi_burst_add_port(w->burst, xsk);
		if (tx)
			w->by_port[slot] = tx;
		else
			snprintf(w->why[slot], XI_TX_WHY, "%s",
				 *why ? why : "the device cannot be entered into the program's map");
	}
}

void xi_worker_report(struct xi_worker *w)
{
	struct xi_tx_status status;
	uint64_t now = time(NULL);
	uint32_t slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++) {
		if (!w->by_port[slot])
			continue;
		xi_worker_tx_status(w, slot, &status);
		if ((status.paused == w->told[slot].paused && status.pauses == w->told[slot].pauses) ||
		    now < w->told[slot].second + XI_TX_LOG_SECONDS)
			continue;
		log_warnx("port %s: worker %u sends by %s (pauses of burst so far: %llu): %s",
			  w->config.ports[slot]->config.name, w->config.index,
			  status.paused ? "xsk for now" : status.path,
			  (unsigned long long)status.pauses, status.why);
		w->told[slot].paused = status.paused;
		w->told[slot].pauses = status.pauses;
		w->told[slot].second = now;
	}
}

static void worker_log_paths(struct xi_worker *w)
{
	struct xi_tx_status status;
	uint32_t slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++) {
		if (!w->by_port[slot])
			continue;
		xi_worker_tx_status(w, slot, &status);
		w->told[slot].paused = status.paused;
		if (w->config.ports[slot]->config.tx == XI_PORT_TX_BURST && strcmp(status.path, "burst"))
			log_warnx("port %s: tx = burst, and worker %u sends by %s: %s",
				  w->config.ports[slot]->config.name, w->config.index, status.path,
				  status.why);
		else
			log_info("port %s: worker %u sends by %s: %s",
				 w->config.ports[slot]->config.name, w->config.index, status.path,
				 status.why);
	}
}

static uint32_t worker_count_longs(const struct xi_worker *w)
{
	uint32_t slot, queue, n = 0;

	for (slot = 0; slot < XI_MAX_PORTS; slot++)
		for (queue = 0; queue < worker_queues(w, slot); queue++)
			if (worker_serves(w, queue) &&
			    w->config.ports[slot]->packet_max > XI_PACKET_ONE)
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
		worker_open_burst(w);
		worker_log_paths(w);
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
	worker_clock(w);
	err = worker_open(w);
	if (err) {
		xi_worker_destroy(w);
		return err;
	}
	*out = w;
	return 0;
}

static bool worker_has_queues(const struct xi_worker *w)
{
	uint32_t slot;

	for (slot = 1; w->burst && slot < XI_MAX_PORTS; slot++)
		if (w->by_port[slot] && w->config.ports[slot]->tx_queues > 1)
			return true;
	return false;
}

/*
 * Frames of burst transmit enter a device of several queues by that of the CPU that sends them: a worker
 * that moved would overtake itself. So worker i stays on the i-th CPU that the process may use.
 */
static void worker_pin(const struct xi_worker *w)
{
	cpu_set_t allowed, one;
	int cpu, n;

	if (!worker_has_queues(w) || sched_getaffinity(0, sizeof(allowed), &allowed))
		return;
	n = CPU_COUNT(&allowed) ? (int)(w->config.index % CPU_COUNT(&allowed)) : 0;
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed) || n--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(w->thread, sizeof(one), &one);
		return;
	}
}

int xi_worker_start(struct xi_worker *w, const struct xi_worker_bases *bases)
{
	sigset_t all, old;
	char name[16];
	int err;

	w->config.sad = bases->sad;
	w->config.spd = bases->spd;
	w->config.cache = bases->cache;
	w->config.nexthops = bases->nexthops;
	w->config.news = bases->news;
	w->config.asks = bases->asks;
	w->changes = xi_cache_changes(bases->cache);
	w->slots = xi_cache_slots(bases->cache);
	/* signals are the control thread's: here they would only interrupt calls */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return err;
	w->started = true;
	worker_pin(w);
	snprintf(name, sizeof(name), "xipsec-%u", w->config.index);
	pthread_setname_np(w->thread, name);
	return 0;
}

void xi_worker_tx_status(const struct xi_worker *w, uint32_t slot, struct xi_tx_status *status)
{
	const struct xi_tx *tx = w->by_port[slot];

	*status = (struct xi_tx_status){ .path = "none" };
	if (!tx)
		return;
	tx->ops->status(tx, status);
	if (*w->why[slot])
		snprintf(status->why, sizeof(status->why), "%s", w->why[slot]);
}

uint32_t xi_worker_held(const struct xi_worker *w)
{
	return __atomic_load_n(&w->await.n, __ATOMIC_RELAXED) +
	       __atomic_load_n(&w->early.n, __ATOMIC_RELAXED);
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
