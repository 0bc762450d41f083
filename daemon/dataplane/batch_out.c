/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Outbound: from cleartext with a verdict to ESP on the wire. */
#include "dataplane/batch.h"

#include <string.h>

#include <netinet/ip.h>

#include "ipsec/pmtu.h"
#include "sad/selector.h"

#define BYPASS_PER_MS 16

/* The packet meets the egress guard behind the host, before the miss can have been answered. */
static void out_tell_bypass(struct xi_worker *w, const struct xi_spd_snapshot *snap,
			    const struct xi_flow *flow)
{
	if (w->bypass_ms != w->now_ms) {
		w->bypass_ms = w->now_ms;
		w->bypass_n = 0;
	}
	if (w->bypass_n++ < BYPASS_PER_MS)
		xi_cache_bypass(w->config.cache, snap, flow);
}

/*
 * What to do with a packet whose flow XDP did not find, or found with an SA that is gone or has
 * been superseded: the SPD decides. True: item->handle names the SA. False: the item was
 * consumed.
 */
static bool out_judge(struct xi_worker *w, struct xi_item *item)
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
	switch (xi_spd_judge_out(snap, w->config.sad, &flow, &verdict, &policy)) {
	case XI_VERDICT_PROTECT:
		item->handle = verdict.handle;
		return true;
	case XI_VERDICT_BYPASS:
		if (w->config.ports[item->port]->config.role == XI_ROLE_HOST) {
			/*
			 * the host's routes sent it here, and there is nothing behind xipsec0 but
			 * IPsec
			 */
			xi_item_drop(w, item, XI_DROP_WORKER_POLICY);
			return false;
		}
		if (verdict.generation)
			out_tell_bypass(w, snap, &flow);
		xi_worker_count(w, XI_WORKER_BYPASS);
		xi_emit_host(w, item, 0, XI_CRYPTO_NOT_DONE);
		return false;
	case XI_VERDICT_DISCARD:
		xi_item_drop(w, item, XI_DROP_WORKER_POLICY);
		return false;
	case XI_VERDICT_NONE:
		break;
	}
	xi_item_drop(w, item, XI_DROP_NO_SA);
	return false;
}

/* Finds the SA's context. False: the item was consumed. */
static bool out_resolve(struct xi_worker *w, struct xi_item *item)
{
	bool judged = false;

	if (!item->handle || xi_sad_superseded(w->config.sad, item->handle)) {
		judged = true;
		if (!out_judge(w, item))
			return false;
	}
	item->ctx = xi_batch_context(w, item->handle, item->slot);
	if (!item->ctx && !judged) {
		/* the flow's SA was deleted after XDP read the verdict */
		if (!out_judge(w, item))
			return false;
		item->ctx = xi_batch_context(w, item->handle, item->slot);
	}
	if (!item->ctx) {
		xi_item_drop(w, item, XI_DROP_NO_SA);
		return false;
	}
	if (xi_ctx_is_slow(item->ctx) && w->now_ms != w->want_ms) {
		w->want_ms = w->now_ms;
		xi_cache_want(w->config.cache, w->config.index, item->handle);
	}
	return true;
}

/*
 * Contexts for the whole batch; a packet with the handle of the one before it has the same. Returns
 * how many items are left, in place.
 */
static uint32_t out_resolve_all(struct xi_worker *w)
{
	struct xi_item *items = w->out, *last = NULL;
	struct xi_batch_tally tally = { 0 };
	uint32_t i, n = 0;

	for (i = 0; i < w->nout; i++) {
		struct xi_item *item = &items[i];

		if (last && item->handle == last->handle)
			item->ctx = last->ctx;
		else if (!out_resolve(w, item))
			continue;
		xi_batch_tally(&tally, item->ctx);
		if (n != i)
			items[n] = *item;
		last = &items[n++];
	}
	xi_worker_count_n(w, XI_FAST_OUT, tally.fast);
	xi_worker_count_n(w, XI_SLOW_OUT, tally.slow);
	return n;
}

static const struct xi_nexthop *out_nexthop(struct xi_worker *w, const struct xi_sa_ctx *ctx)
{
	uint8_t addr[16] = { 0 };

	memcpy(addr, ctx->hdr + (ctx->family == 6 ? 24 : 16), ctx->family == 6 ? 16 : 4);
	return xi_emit_nexthop(w, addr, ctx->family == 6 ? XI_IPV6 : XI_IPV4);
}

/* Largest inner packet whose ESP packet has at most mtu bytes (RFC 4301 section 8.2.1). */
static uint32_t out_inner_mtu(const struct xi_sa_ctx *ctx, uint32_t mtu)
{
	uint32_t fixed = ctx->outer_len + 8U + ctx->iv_len + ctx->icv_len, align = ctx->pad_align;

	return mtu > fixed + 2 * align ? ((mtu - fixed) & -align) - 2 : 0;
}

/* Must the sender hear of a packet that is too big, or may the outer packet be fragmented? */
static bool out_dont_fragment(const struct xi_pkt *pkt)
{
	const struct iphdr *ip = (const void *)pkt->data;

	return pkt->data[0] >> 4 == 6 || (ip->frag_off & htons(IP_DF));
}

/* One packet up to its crypto job. False: the item was consumed. limit: of the inner packet. */
static bool out_prepare(struct xi_worker *w, struct xi_item *item, uint64_t seq, uint32_t limit,
			struct xi_aead_job *job)
{
	enum xi_reason reason;

	if (item->pkt.len > limit) {
		if (out_dont_fragment(&item->pkt))
			xi_emit_too_big(w, item, limit);
		else
			xi_item_drop(w, item, XI_DROP_TOO_BIG);
		return false;
	}
	if (w->config.ports[item->port]->config.role == XI_ROLE_PLAIN && !xi_emit_age(&item->pkt)) {
		xi_item_drop(w, item, XI_DROP_TTL);
		return false;
	}
	reason = xi_esp_out_prepare(item->ctx, seq, &item->pkt, job);
	if (reason != XI_NONE) {
		xi_item_drop(w, item, reason);
		return false;
	}
	return true;
}

/* Of an inner packet. What is sent through the host's stack is bounded by the path alone. */
static uint32_t out_limit(const struct xi_worker *w, const struct xi_sa_ctx *ctx,
			  const struct xi_nexthop *nh)
{
	uint32_t mtu = xi_path_mtu(ctx->state, nh && nh->mtu ? nh->mtu : UINT32_MAX, w->now);

	return mtu == UINT32_MAX ? mtu : out_inner_mtu(ctx, mtu);
}

/*
 * A run of packets of one SA: sequence numbers, next hop and MTU are found once for all of them.
 * Returns how many became ready, in place.
 */
static uint32_t out_prepare_run(struct xi_worker *w, struct xi_item *run, uint32_t n,
				struct xi_item *ready, struct xi_aead_job *jobs)
{
	const struct xi_nexthop *nh = out_nexthop(w, run->ctx);
	uint32_t limit = out_limit(w, run->ctx, nh);
	enum xi_reason why = XI_DROP_SEQ_EXHAUSTED;
	uint32_t i, granted, done = 0;
	uint64_t first = 0;

	granted = xi_esp_take_seq(run->ctx, n, &first, &why);
	for (i = granted; i < n; i++)
		xi_item_drop(w, &run[i], why);
	for (i = 0; i < granted; i++) {
		if (!out_prepare(w, &run[i], first + i, limit, &jobs[done]))
			continue;
		if (&ready[done] != &run[i])
			ready[done] = run[i];
		ready[done++].nh = nh;
	}
	return done;
}

/* Jobs for the n resolved items. Returns how many are ready, in place. */
static uint32_t out_prepare_all(struct xi_worker *w, uint32_t n)
{
	struct xi_item *items = w->out;
	uint32_t i, run, ready = 0;

	for (i = 0; i < n; i += run) {
		for (run = 1; i + run < n && items[i + run].ctx == items[i].ctx; run++)
			;
		ready += out_prepare_run(w, &items[i], run, &items[ready], &w->jobs[ready]);
	}
	return ready;
}

static void out_finish_all(struct xi_worker *w, uint32_t n)
{
	struct xi_esp_tally tally = { .now = w->now };
	enum xi_reason reason;
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct xi_item *item = &w->out[i];

		reason = xi_esp_out_finish(item->ctx, &w->jobs[i], &tally);
		if (reason != XI_NONE)
			xi_item_drop(w, item, reason);
		else
			xi_emit_esp(w, item, item->nh);
	}
	xi_esp_tally_flush(&tally);
}

void xi_batch_out(struct xi_worker *w)
{
	uint32_t n = out_prepare_all(w, out_resolve_all(w));

	w->config.engine->seal(w->crypto, w->jobs, n);
	out_finish_all(w, n);
	w->nout = 0;
}
