/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/worker.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <urcu-qsbr.h>

#include "dataplane/batch.h"

#define IDLE_SPINS 16            /* empty rounds before the worker sleeps, or looks at the clock */
#define BURST_ROUND 512          /* packets after which a round sends, though more are waiting */
#define SLEEP_MS 1000
#define SLEEP_ADOPTING_MS 2
#define SLEEP_HELD_MS 5          /* while packets wait for their SA */
#define SLEEP_TX_MS 20           /* while frames are out with the kernel */

void xi_worker_clock(struct xi_worker *w)
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

	xi_worker_clock(w);
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

uint32_t xi_worker_held(const struct xi_worker *w)
{
	return __atomic_load_n(&w->await.n, __ATOMIC_RELAXED) +
	       __atomic_load_n(&w->early.n, __ATOMIC_RELAXED);
}
