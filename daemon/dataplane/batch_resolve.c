// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Outbound: which SAs a packet of a batch gets, or that policy wants something else of it. */
#include "dataplane/batch.h"

#include <string.h>

#include <linux/if_ether.h>

#include <xipsec/origin.h>
#include "dataplane/hostif.h"
#include "sad/selector.h"

#define WANTS_PER_MS 20
#define CACHE_CALLS_PER_MS 16
#define LOOKS_PER_MS 128         /* held flows; one is judged in 0.15 us and more */

/* System calls that change flow_cache are made for few packets. */
static bool resolve_may_call(const struct xi_worker *w, struct xi_allowance *spent)
{
	if (spent->ms != w->now_ms)
		*spent = (struct xi_allowance){.ms = w->now_ms};
	return spent->n++ < CACHE_CALLS_PER_MS;
}

/*
 * The packet meets the egress guard behind the host, before the miss can have been answered. False: it
 * was not told.
 */
static bool resolve_tell_bypass(struct xi_worker *w, const struct xi_spd_snapshot *snap,
				const struct xi_flow *flow)
{
	if (!resolve_may_call(w, &w->bypass))
		return false;
	xi_flows_bypass(xi_cache_flows(w->config.cache), snap, flow);
	return true;
}

/* By the host's routes, to xipsec0 or an interface; not by the guard of a port that it was to leave by. */
static bool resolve_routed_here(const struct xi_item *item)
{
	return xi_origin_read(item->pkt.data - ETH_HLEN).kind != XI_ORIGIN_GUARD;
}

/*
 * Policy lets a packet go that came by xipsec0: the egress guard sent it here, as the first of its flow,
 * and it goes on to where it was bound for. Behind xipsec0 itself there is nothing but IPsec: what a
 * route led here is dropped. As long as its next hop is not known the host's stack decides, and should
 * that have a route to xipsec0, the packet comes back, each time with less to live.
 */
static void resolve_bypass_host(struct xi_worker *w, struct xi_item *item,
				const struct xi_flow *flow)
{
	const struct xi_nexthop *nh = xi_emit_nexthop(w, flow->daddr, flow->family, 0);
	bool goes;

	if (resolve_routed_here(item))
		goes = false;
	else if (nh)
		goes = nh->kind == XI_NEXTHOP_PORT && w->by_port[nh->port] &&
		       item->pkt.len <= nh->mtu &&
		       w->config.ports[nh->port]->config.role != XI_ROLE_HOST;
	else
		goes = xi_emit_age(&item->pkt);
	if (!goes) {
		xi_item_drop(w, item, XI_DROP_WORKER_POLICY);
		return;
	}
	xi_worker_count(w, XI_WORKER_BYPASS);
	item->nh = nh;
	item->mtu = 0;
	xi_emit_esp(w, item);
}

static void resolve_bypass(struct xi_worker *w, struct xi_item *item,
			   const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
			   bool cached)
{
	bool told = cached && resolve_tell_bypass(w, snap, flow);

	if (w->config.ports[item->port]->config.role != XI_ROLE_HOST) {
		xi_worker_count(w, XI_WORKER_BYPASS);
		xi_emit_host(w, item, XI_CRYPTO_NOT_DONE);
	} else if (told) {
		resolve_bypass_host(w, item, flow);
	} else {
		xi_item_drop(w, item, XI_DROP_WORKER_POLICY);
	}
}

/*
 * The host's stack protects it, unless it came from there: then the stack has passed it over, and would do so again.
 */
static void resolve_kernel(struct xi_worker *w, struct xi_item *item)
{
	if (w->config.ports[item->port]->config.role == XI_ROLE_HOST) {
		xi_item_drop(w, item, XI_DROP_WORKER_POLICY);
		return;
	}
	xi_worker_count(w, XI_WORKER_BYPASS);
	xi_emit_host(w, item, XI_CRYPTO_NOT_DONE);
}

/*
 * flow_cache has an SA for this flow, and all others of its element, that is gone or superseded: each
 * of their packets would be judged again, and no miss bring in the new one.
 */
static void resolve_forget(struct xi_worker *w, const struct xi_flow *flow, uint32_t handle)
{
	if (resolve_may_call(w, &w->forget) &&
	    xi_flows_forget(xi_cache_flows(w->config.cache), flow, handle))
		xi_worker_count(w, XI_FLOW_FORGOTTEN);
}

/* The control thread is to raise an ACQUIRE: XDP's miss message may have been lost, or never sent. */
static void resolve_ask(struct xi_worker *w, const struct xi_await_flow *f)
{
	if (w->config.asks)
		xi_mailbox_push(w->config.asks, w->config.index, f->hash, &f->flow);
}

/* A packet without an SA waits for it, if there is somebody who may bring it. Consumes the item. */
static void resolve_hold(struct xi_worker *w, struct xi_item *item, const struct xi_flow *flow,
			 uint32_t policy)
{
	const struct xi_awaited packet = {
		.pkt = item->pkt,
		.frame = item->frame,
		.since_ms = w->now_ms,
		.port = item->port,
		.is_long = xi_frame_is_long(&w->frames, item->frame),
	};
	bool began;

	if (!w->await.per_flow ||
	    !atomic_load_explicit(w->config.acquiring, memory_order_relaxed)) {
		xi_item_drop(w, item, XI_DROP_NO_SA);
		return;
	}
	if (!w->await.n)
		w->look = true;      /* since when there was no change is not known */
	if (!xi_await_put(&w->await, flow, policy, &packet, &began)) {
		xi_item_drop(w, item, XI_DROP_HOLD_FULL);
		return;
	}
	xi_worker_count(w, XI_HELD);
	if (began)
		resolve_ask(w, xi_await_find(&w->await, flow));
}

/* Any verdict but NONE. True: item->handle names the SA. False: the item was consumed. */
static bool resolve_follow(struct xi_worker *w, struct xi_item *item,
			   const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
			   const struct xi_flow_verdict *verdict)
{
	if (verdict->verdict == XI_VERDICT_PROTECT) {
		item->handle = verdict->handle;
		item->next_handle = verdict->next_handle;
		return true;
	}
	if (verdict->verdict == XI_VERDICT_BYPASS)
		resolve_bypass(w, item, snap, flow, verdict->generation);
	else if (verdict->verdict == XI_VERDICT_KERNEL)
		resolve_kernel(w, item);
	else
		xi_item_drop(w, item, XI_DROP_WORKER_POLICY);
	return false;
}

/*
 * What to do with a packet whose flow XDP did not find, or found with an SA that is gone or has
 * been superseded: the SPD decides. A packet whose flow has some held gets in line, though its SA
 * may have come in this moment. True: item->handle names the SA. False: the item was consumed.
 */
static bool resolve_judge(struct xi_worker *w, struct xi_item *item)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->config.spd);
	const struct xi_spd_policy *policy = NULL;
	struct xi_flow_verdict verdict = { 0 };
	struct xi_flow flow;

	if (xi_flow_parse(&flow, item->pkt.data, item->pkt.len)) {
		xi_item_drop(w, item, XI_DROP_WORKER_MALFORMED);
		return false;
	}
	flow.dir = XI_OUT;
	if (w->config.ports[item->port]->config.role == XI_ROLE_HOST)
		xi_hostif_origin(&flow, item->pkt.data);
	if (item->handle && !(item->flags & XI_META_MISS))
		resolve_forget(w, &flow, item->handle);
	xi_spd_judge_out(snap, w->config.sad, &flow, &verdict, &policy);
	if (verdict.verdict != XI_VERDICT_NONE && !xi_await_find(&w->await, &flow))
		return resolve_follow(w, item, snap, &flow, &verdict);
	w->look |= verdict.verdict != XI_VERDICT_NONE;
	resolve_hold(w, item, &flow, policy ? policy->policy.index : 0);
	return false;
}

static void look_send(struct xi_worker *w)
{
	if (!w->nout)
		return;
	xi_batch_out(w);
	xi_worker_send(w);
}

/*
 * What came when policy wanted it protected does not leave in clear because that policy has gone since: a key manager
 * that replaces it by another may delete it first. The kernel's xfrm_policy_kill() drops its queue, too. same: it is
 * that very policy, updated, which decided.
 */
static bool look_follow(struct xi_worker *w, struct xi_item *item,
			const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
			const struct xi_flow_verdict *verdict, bool same)
{
	if (verdict->verdict != XI_VERDICT_BYPASS || same)
		return resolve_follow(w, item, snap, flow, verdict);
	xi_item_drop(w, item, XI_DROP_WORKER_POLICY);
	return false;
}

/* Judges a flow of which packets are held. True: they are gone, and so is it. */
static bool look_flow(struct xi_worker *w, struct xi_await_flow *f)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->config.spd);
	const struct xi_spd_policy *policy = NULL;
	const struct xi_flow flow = f->flow;
	struct xi_flow_verdict verdict = { 0 };
	struct xi_awaited packet;
	bool same, last;

	if (xi_spd_judge_out(snap, w->config.sad, &flow, &verdict, &policy) == XI_VERDICT_NONE)
		return false;
	same = policy && policy->policy.index == f->policy;
	do {
		struct xi_item *item = &w->out[w->nout];

		last = xi_await_take(&w->await, f, &packet);
		xi_worker_count(w, XI_HELD_DONE);
		*item = (struct xi_item){
			.pkt = packet.pkt,
			.frame = packet.frame,
			.port = packet.port,
			.slot = XI_NO_SLOT,
			.next_slot = XI_NO_SLOT,
			.flags = XI_META_MISS,
			.judged = true,
		};
		w->nout += look_follow(w, item, snap, &flow, &verdict, same);
		if (w->nout == XI_BATCH)
			look_send(w);
	} while (!last);
	return true;
}

/* True: the last of the flow is gone, and so is it. */
static bool look_expire(struct xi_worker *w, struct xi_await *a, struct xi_await_flow *f,
			uint64_t then_ms)
{
	struct xi_awaited packet;
	bool last = false;

	while (!last && xi_await_is_late(a, f, then_ms)) {
		last = xi_await_take(a, f, &packet);
		xi_worker_count(w, XI_DROP_HOLD_TIMEOUT);
		xi_frame_put(&w->frames, packet.frame);
	}
	return last;
}

/* Those that began to wait before then_ms do no longer; 0: all do. Both return how many flows there were. */
static uint32_t look_out(struct xi_worker *w, uint64_t then_ms)
{
	struct xi_await_flow *f, *next;
	uint32_t n = 0;

	for (f = xi_await_first(&w->await); f; f = next, n++) {
		next = xi_await_next(&w->await, f);
		if (!look_flow(w, f) && then_ms && !look_expire(w, &w->await, f, then_ms))
			resolve_ask(w, f);
	}
	return n;
}

static uint32_t look_in(struct xi_worker *w, uint64_t then_ms)
{
	struct xi_await_flow *f, *next;
	uint32_t n = 0;

	for (f = xi_await_first(&w->early); f; f = next, n++) {
		next = xi_await_next(&w->early, f);
		if (!xi_batch_early_look(w, f) && then_ms)
			look_expire(w, &w->early, f, then_ms);
	}
	return n;
}

void xi_batch_look(struct xi_worker *w)
{
	unsigned int changes = atomic_load_explicit(w->changes, memory_order_acquire);
	bool late = w->looked_second != w->now_ms / 1000;
	uint64_t ms, then_ms = 0;
	uint32_t n;

	if (!late && ((changes == w->looked && !w->look) || w->now_ms < w->look_from_ms))
		return;
	w->looked = changes;
	w->looked_second = w->now_ms / 1000;
	w->look = false;
	ms = atomic_load_explicit(w->config.hold_ms, memory_order_relaxed);
	if (late)
		then_ms = w->now_ms > ms ? w->now_ms - ms : 1;
	n = look_in(w, then_ms) + look_out(w, then_ms);
	w->look_from_ms = w->now_ms + n / LOOKS_PER_MS;
	look_send(w);
}

/* As many SAs ask from here as from XDP by default: some 20,000 a second. */
static bool resolve_may_want(struct xi_worker *w, uint32_t handle)
{
	if (w->want_ms != w->now_ms)
		w->want_n = w->wanted = 0;
	if (w->want_n == WANTS_PER_MS || w->wanted == handle)
		return false;
	w->want_ms = w->now_ms;
	w->wanted = handle;
	w->want_n++;
	return true;
}

static const struct xi_sa_ctx *resolve_context(struct xi_worker *w, uint32_t handle, uint32_t slot)
{
	const struct xi_sa_ctx *ctx = xi_batch_context(w, handle, slot);

	if (ctx && xi_ctx_is_slow(ctx) && resolve_may_want(w, handle))
		xi_cache_want(w->config.cache, w->config.index, handle);
	return ctx;
}

/* Both contexts, as far as there are two. False: an SA is gone. */
static bool resolve_contexts(struct xi_worker *w, struct xi_item *item)
{
	item->ctx = resolve_context(w, item->handle, item->slot);
	item->next = NULL;
	if (!item->ctx || !item->next_handle)
		return item->ctx;
	item->next = resolve_context(w, item->next_handle, item->next_slot);
	return item->next;
}

static bool resolve_superseded(const struct xi_worker *w, const struct xi_item *item)
{
	return xi_sad_superseded(w->config.sad, item->handle) ||
	       (item->next_handle && xi_sad_superseded(w->config.sad, item->next_handle));
}

/* The first layer has decided, and taken the SAs' numbers. False: the item was consumed. */
static bool resolve_framed(struct xi_worker *w, struct xi_item *item)
{
	if (item->handle && resolve_contexts(w, item))
		return true;
	xi_item_drop(w, item, item->handle ? XI_DROP_SA_GONE : XI_DROP_WORKER_META);
	return false;
}

/* Finds the SAs' contexts. False: the item was consumed. */
static bool resolve_item(struct xi_worker *w, struct xi_item *item)
{
	bool judged = item->judged;

	if (xi_item_is_framed(item))
		return resolve_framed(w, item);
	if (!judged && (!item->handle || resolve_superseded(w, item))) {
		judged = true;
		if (!resolve_judge(w, item))
			return false;
	}
	if (resolve_contexts(w, item))
		return true;
	/* the flow's SA was deleted after XDP read the verdict */
	if (!judged && !resolve_judge(w, item))
		return false;
	if (!judged && resolve_contexts(w, item))
		return true;
	xi_item_drop(w, item, XI_DROP_NO_SA);
	return false;
}

/*
 * The SPD is asked for all packets whose SA XDP did not know, before the first of these SAs is looked
 * at: what is wanted of them is fetched meanwhile.
 */
static void resolve_asked(struct xi_worker *w)
{
	struct xi_item *items = w->out;
	uint32_t i, n = 0;

	for (i = 0; i < w->nout; i++) {
		if (!items[i].handle && !xi_item_is_framed(&items[i])) {
			if (!resolve_judge(w, &items[i]))
				continue;
			items[i].judged = true;
			xi_item_prefetch(w, &items[i], true);
		}
		if (n != i)
			items[n] = items[i];
		n++;
	}
	w->nout = n;
	w->nasked = 0;
	xi_batch_prefetch_contexts(w);
}

uint32_t xi_batch_resolve(struct xi_worker *w)
{
	struct xi_item *items = w->out, *last = NULL;
	struct xi_batch_tally tally = { 0 };
	uint32_t i, n = 0;

	if (w->nasked)
		resolve_asked(w);
	for (i = 0; i < w->nout; i++) {
		struct xi_item *item = &items[i];

		if (last && item->handle == last->handle &&
		    item->next_handle == last->next_handle &&
		    xi_item_is_framed(item) == xi_item_is_framed(last)) {
			item->ctx = last->ctx;
			item->next = last->next;
		} else if (!resolve_item(w, item)) {
			continue;
		}
		xi_batch_tally(&tally, item->ctx);
		if (n != i)
			items[n] = *item;
		last = &items[n++];
	}
	xi_worker_count_n(w, XI_FAST_OUT, tally.fast);
	xi_worker_count_n(w, XI_SLOW_OUT, tally.slow);
	return n;
}
