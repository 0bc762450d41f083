/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/burst_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>

#define DEAF_CALLS 2
#define DEAF_FRAMES (2 * XI_BURST_MIN)
#define RETRY_MS 1000
#define RETRY_MAX_MS 64000
#define EINTR_TRIES 16

static void add(uint64_t *at, uint64_t n)
{
	__atomic_store_n(at, *at + n, __ATOMIC_RELAXED);
}

static void count(struct xi_burst *b, enum xi_reason reason, uint64_t n)
{
	add(&b->config.counts[reason], n);
}

void xi_burst_list(struct xi_burst *b, uint32_t slot, uint64_t addr, uint32_t len)
{
	struct xi_burst_desc *desc =
		&b->ring->desc[(b->ring->prod + b->pending) & (XI_BURST_RING - 1)];

	desc->frame = addr / XI_FRAME_SIZE;
	desc->offset = addr % XI_FRAME_SIZE;
	desc->len = len;
	desc->port = slot;
	b->pending++;
	if (len > b->longest)
		b->longest = len;
}

/*
 * The frame given to the call only says how long live frames are at first: longer than any packet,
 * so that each is resized. The kernel copies it into every fresh page, so no longer than needed.
 */
int xi_burst_call(struct xi_burst *b)
{
	static const uint8_t blank[XI_BURST_LEN_MAX + 1];
	uint32_t left = b->pending, tries = 0;
	int err = 0;

	b->ring->prod += left;
	b->pending = 0;
	b->md = (struct xdp_md){.data_end = b->longest + 1, .ingress_ifindex = b->park.ifindex};
	b->opts.data_in = blank;
	b->opts.data_size_in = b->longest + 1;
	b->opts.ctx_in = &b->md;
	b->opts.ctx_size_in = sizeof(b->md);
	b->longest = 0;
	__atomic_store_n(&b->ring->calling, 1, __ATOMIC_RELEASE);
	while (left && tries < EINTR_TRIES) {
		b->opts.repeat = left;
		err = bpf_prog_test_run_opts(b->prog_fd, &b->opts);
		if (b->ring->prod - b->ring->cons == left)
			tries++;
		left = b->ring->prod - b->ring->cons;
		if (err && err != -EINTR)
			break;
	}
	__atomic_store_n(&b->ring->calling, 0, __ATOMIC_RELEASE);
	return left ? err : 0;
}

bool xi_burst_try_port(struct xi_burst_port *port)
{
	struct xi_burst *b = port->burst;
	struct xi_frames *frames = b->config.frames;
	uint64_t before = xi_burst_lost_frames(b, port->slot);
	struct ethhdr *eth;
	uint64_t frame;
	int err;

	if (!frames->nfree)
		return false;
	frame = xi_frame_get(frames);
	eth = (void *)(frames->base + frame);
	memset(eth, 0, ETH_ZLEN);
	memcpy(eth->h_dest, port->xsk->port->mac, ETH_ALEN);
	memcpy(eth->h_source, port->xsk->port->mac, ETH_ALEN);
	eth->h_proto = htons(ETH_P_LOOPBACK);
	xi_burst_list(b, port->slot, frame, ETH_ZLEN);
	err = xi_burst_call(b);
	/* not taken at all: nothing may stay behind on the list */
	b->ring->prod = b->ring->cons;
	xi_frame_put(frames, frame);
	port->lost_seen = xi_burst_lost_frames(b, port->slot);
	return !err && port->lost_seen == before;
}

void xi_burst_port_off(struct xi_burst_port *port, uint64_t now_ms)
{
	port->pause_ms = port->pause_ms ? port->pause_ms * 2 : RETRY_MS;
	if (port->pause_ms > RETRY_MAX_MS)
		port->pause_ms = RETRY_MAX_MS;
	port->retry_ms = now_ms + port->pause_ms;
	port->tried_sent = port->xsk->sent;
	port->deaf = port->deaf_frames = 0;
	__atomic_store_n(&port->on, false, __ATOMIC_RELAXED);
}

static bool port_drained(struct xi_burst_port *port)
{
	struct xi_tx *tx = &port->xsk->tx;

	tx->ops->reap(tx);
	return !port->xsk->outstanding && !port->xsk->pending;
}

/* Once the pause is over, and only for a port that has something to send. */
static void port_retry(struct xi_burst_port *port, uint64_t now_ms)
{
	struct xi_burst *b = port->burst;

	if (now_ms < port->retry_ms || port->xsk->sent == port->tried_sent || b->pending ||
	    now_ms < b->watch.until_ms || !port_drained(port))
		return;
	if (xi_burst_try_port(port))
		__atomic_store_n(&port->on, true, __ATOMIC_RELAXED);
	else
		xi_burst_port_off(port, now_ms);
}

static void send_by_xsk(struct xi_burst_port *port, uint64_t addr, uint32_t len)
{
	struct xi_tx *tx = &port->xsk->tx;

	if (tx->ops->send(tx, addr, len))
		return;
	count(port->burst, XI_DROP_TX_FULL, 1);
	xi_frame_put(port->burst->config.frames, addr);
}

/*
 * Takes packets off the list and sends them by AF_XDP: all of them, or those of ports where AF_XDP
 * still has some under way.
 */
static void burst_divert(struct xi_burst *b, bool all)
{
	uint32_t i, n = b->pending, kept = 0;

	for (i = 0; i < n; i++) {
		const struct xi_burst_desc *desc =
			&b->ring->desc[(b->ring->prod + i) & (XI_BURST_RING - 1)];
		struct xi_burst_port *port = &b->ports[desc->port];

		if (all || !port->drained) {
			send_by_xsk(port, (uint64_t)desc->frame * XI_FRAME_SIZE + desc->offset,
				    desc->len);
			port->pending--;
			continue;
		}
		b->ring->desc[(b->ring->prod + kept++) & (XI_BURST_RING - 1)] = *desc;
	}
	b->pending = kept;
}

/* Makes the call, timed, and judged as far as the machine is concerned. */
static void burst_call_watched(struct xi_burst *b, uint64_t now_ms)
{
	struct xi_burst_call call = {.packets = b->pending};
	struct rusage before, after;
	struct timespec from, to;
	enum xi_burst_verdict verdict;

	getrusage(RUSAGE_THREAD, &before);
	clock_gettime(CLOCK_MONOTONIC, &from);
	call.err = xi_burst_call(b);
	clock_gettime(CLOCK_MONOTONIC, &to);
	call.ns = (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec;
	if (call.ns > XI_BURST_SLOW_NS) {
		getrusage(RUSAGE_THREAD, &after);
		call.waited = after.ru_nvcsw != before.ru_nvcsw;
	}
	count(b, XI_BURST_CALL, 1);
	verdict = xi_burst_watch_call(&b->watch, now_ms, &call);
	if (verdict == XI_BURST_WAS_SLOW || (verdict == XI_BURST_SET_ASIDE && !call.err))
		count(b, XI_BURST_SLOW, 1);
	if (verdict == XI_BURST_SET_ASIDE)
		count(b, XI_BURST_PAUSE, 1);
}

/* What became of a port's share of a call: loss behind the redirect shows nowhere else. */
static void port_account(struct xi_burst_port *port, uint32_t taken, uint64_t now_ms)
{
	struct xi_burst *b = port->burst;
	uint64_t lost = xi_burst_lost_frames(b, port->slot) - port->lost_seen;

	port->lost_seen += lost;
	add(&port->packets, taken);
	count(b, XI_TX_BURST, taken);
	if (!lost) {
		port->deaf = port->deaf_frames = 0;
		port->pause_ms = 0;
		return;
	}
	add(&port->lost, lost);
	count(b, XI_DROP_BURST_LOST, lost);
	port->deaf_frames = lost < taken ? 0 : port->deaf_frames + taken;
	port->deaf = lost < taken ? 0 : port->deaf + 1;
	if (port->deaf < DEAF_CALLS || port->deaf_frames < DEAF_FRAMES)
		return;
	add(&port->pauses, 1);
	count(b, XI_BURST_PAUSE, 1);
	xi_burst_port_off(port, now_ms);
}

static void burst_send(struct xi_burst *b, uint64_t now_ms)
{
	uint32_t first = b->ring->prod, taken[XI_BURST_PORTS] = {0}, i;

	burst_call_watched(b, now_ms);
	for (i = first; i != b->ring->cons; i++) {
		const struct xi_burst_desc *desc = &b->ring->desc[i & (XI_BURST_RING - 1)];

		taken[desc->port]++;
		xi_frame_put(b->config.frames, (uint64_t)desc->frame * XI_FRAME_SIZE);
	}
	/* what the call left is listed again, for AF_XDP */
	b->pending = b->ring->prod - b->ring->cons;
	b->ring->prod = b->ring->cons;
	for (i = 0; i < XI_BURST_PORTS; i++) {
		if (!taken[i])
			continue;
		b->ports[i].pending -= taken[i];
		port_account(&b->ports[i], taken[i], now_ms);
	}
}

static void burst_flush(struct xi_burst *b)
{
	uint64_t now_ms = *b->config.now_ms;
	bool drained = true;
	uint32_t i;

	if (!b->pending)
		return;
	if (xi_burst_watch_open(&b->watch, now_ms, b->pending)) {
		for (i = 0; i < XI_BURST_PORTS; i++)
			if (b->ports[i].pending)
				drained &= b->ports[i].drained = port_drained(&b->ports[i]);
		if (!drained)
			burst_divert(b, false);
		if (b->pending && xi_burst_watch_open(&b->watch, now_ms, b->pending))
			burst_send(b, now_ms);
	}
	if (b->pending)
		burst_divert(b, true);
	b->longest = 0;
}

static struct xi_burst_port *burst_port(struct xi_tx *tx)
{
	return (struct xi_burst_port *)tx;
}

static bool tx_burst_send(struct xi_tx *tx, uint64_t addr, uint32_t len)
{
	struct xi_burst_port *port = burst_port(tx);
	struct xi_burst *b = port->burst;

	if (!port->on || len > XI_BURST_LEN_MAX || addr % XI_FRAME_SIZE > XI_BURST_OFFSET_MAX) {
		/* those before it go first */
		if (port->pending)
			burst_flush(b);
		return port->xsk->tx.ops->send(&port->xsk->tx, addr, len);
	}
	if (b->pending == XI_BURST_RING)
		burst_flush(b);
	xi_burst_list(b, port->slot, addr, len);
	port->pending++;
	return true;
}

static void tx_burst_flush(struct xi_tx *tx)
{
	struct xi_burst_port *port = burst_port(tx);

	burst_flush(port->burst);
	port->xsk->tx.ops->flush(&port->xsk->tx);
	if (!port->on)
		port_retry(port, *port->burst->config.now_ms);
}

static void tx_burst_reap(struct xi_tx *tx)
{
	struct xi_burst_port *port = burst_port(tx);

	port->xsk->tx.ops->reap(&port->xsk->tx);
}

static void tx_burst_status(const struct xi_tx *tx, struct xi_tx_status *status)
{
	const struct xi_burst_port *port = (const struct xi_burst_port *)tx;
	const struct xi_burst *b = port->burst;
	bool on = __atomic_load_n(&port->on, __ATOMIC_RELAXED);
	bool open = *b->config.now_ms >= b->watch.until_ms;

	status->path = on ? "burst" : "xsk";
	status->paused = !on || !open;
	status->burst_packets = __atomic_load_n(&port->packets, __ATOMIC_RELAXED);
	status->burst_lost = __atomic_load_n(&port->lost, __ATOMIC_RELAXED);
	status->xsk_packets = __atomic_load_n(&port->xsk->sent, __ATOMIC_RELAXED);
	status->pauses = __atomic_load_n(&port->pauses, __ATOMIC_RELAXED) +
			 __atomic_load_n(&b->watch.pauses, __ATOMIC_RELAXED);
	if (!on)
		snprintf(status->why, sizeof(status->why),
			 "the device takes no redirected frames (veth: `ethtool -K PEER gro on` at the other end); tried again under traffic");
	else if (!open)
		snprintf(status->why, sizeof(status->why),
			 "set aside for 100 ms to 16 s: calls waited for the kernel or failed");
	else
		snprintf(status->why, sizeof(status->why),
			 "copy mode, and the probe passed; batches below %d packets go by AF_XDP",
			 XI_BURST_MIN);
}

const struct xi_tx_ops xi_tx_burst_ops = {
	.name = "burst",
	.send = tx_burst_send,
	.flush = tx_burst_flush,
	.reap = tx_burst_reap,
	.status = tx_burst_status,
};
