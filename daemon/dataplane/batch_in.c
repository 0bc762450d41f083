/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inbound: from ESP to a verified packet on its way, and cleartext that policy has to judge. */
#include "dataplane/batch.h"

#include <string.h>

#include "sad/selector.h"

/* One packet up to its crypto job; last: the packet before it, or NULL. False: the item was consumed. */
static bool in_prepare(struct xi_worker *w, struct xi_item *item, const struct xi_item *last,
		       struct xi_aead_job *job, struct xi_batch_tally *tally)
{
	enum xi_reason reason;

	if (last && item->handle == last->handle)
		item->ctx = last->ctx;
	else
		item->ctx = xi_batch_context(w, item->handle, item->slot);
	if (!item->ctx) {
		xi_item_drop(w, item, XI_DROP_SA_GONE);
		return false;
	}
	xi_batch_tally(tally, item->ctx);
	reason = xi_esp_in_prepare(item->ctx, &item->pkt, job, &item->in);
	if (reason != XI_NONE) {
		xi_item_drop(w, item, reason);
		return false;
	}
	return true;
}

/* Contexts and jobs for the whole batch. Returns how many are ready, in place. */
static uint32_t in_prepare_all(struct xi_worker *w)
{
	struct xi_item *items = w->in, *last = NULL;
	struct xi_batch_tally tally = { 0 };
	uint32_t i, n = 0;

	for (i = 0; i < w->nin; i++) {
		if (!in_prepare(w, &items[i], last, &w->jobs[n], &tally))
			continue;
		if (n != i)
			items[n] = items[i];
		last = &items[n++];
	}
	xi_worker_count_n(w, XI_FAST_IN, tally.fast);
	xi_worker_count_n(w, XI_SLOW_IN, tally.slow);
	return n;
}

static uint32_t flow_hash(const struct xi_flow *flow, uint32_t sa_index)
{
	const uint32_t *words = (const uint32_t *)flow;
	uint32_t i, hash = sa_index;

	for (i = 0; i < sizeof(*flow) / 4; i++)
		hash = (hash ^ words[i]) * 0x9e3779b1U;
	return hash >> 16;
}

/*
 * May the packet come in through this SA? The answer is remembered per flow and SA until the SPD
 * changes; the full check walks the policies.
 */
static bool in_allowed(struct xi_worker *w, const struct xi_flow *flow, const struct xi_item *item)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->config.spd);
	struct xi_allowed *allowed = &w->allowed[flow_hash(flow, item->handle) % XI_ALLOWED];

	if (allowed->sa_index == item->handle && allowed->generation == snap->generation &&
	    !memcmp(&allowed->flow, flow, sizeof(*flow)))
		return true;
	if (!xi_spd_allows_protected(snap, flow, item->ctx->sa))
		return false;
	*allowed = (struct xi_allowed){
		.sa_index = item->handle, .generation = snap->generation, .flow = *flow};
	return true;
}

/*
 * A verified packet: straight out of a plain port when the way is known, else to the host; always
 * to the host when its SA sets a mark, which only the host's stack knows what to do with.
 */
static void in_deliver(struct xi_worker *w, struct xi_item *item, const struct xi_flow *flow,
		       enum xi_crypto_status status)
{
	const struct xi_nexthop *nh = xi_emit_nexthop(w, flow->daddr, flow->family);

	if (nh && nh->kind == XI_NEXTHOP_PORT && w->by_port[nh->port] &&
	    !item->ctx->sa->output_mark_mask &&
	    w->config.ports[nh->port]->config.role == XI_ROLE_PLAIN && item->pkt.len <= nh->mtu &&
	    xi_emit_age(&item->pkt))
		xi_emit_port(w, item, nh);
	else
		xi_emit_host(w, item, item->handle, status);
}

static void in_finish(struct xi_worker *w, struct xi_item *item, const struct xi_aead_job *job,
		      struct xi_esp_tally *tally)
{
	enum xi_crypto_status status = XI_CRYPTO_NOT_DONE;
	enum xi_reason reason;
	struct xi_flow flow;

	reason = xi_esp_in_finish(item->ctx, &item->pkt, job, &item->in, tally, &status);
	if (reason != XI_NONE) {
		xi_item_drop(w, item, reason);
		return;
	}
	if (xi_flow_parse(&flow, item->pkt.data, item->pkt.len)) {
		xi_item_drop(w, item, XI_DROP_INNER);
		return;
	}
	flow.dir = XI_IN;
	if (!in_allowed(w, &flow, item)) {
		xi_item_drop(w, item, XI_DROP_IN_POLICY);
		return;
	}
	in_deliver(w, item, &flow, status);
}

static void in_finish_all(struct xi_worker *w, uint32_t n)
{
	struct xi_esp_tally tally = { .now = w->now };
	uint32_t i;

	for (i = 0; i < n; i++)
		in_finish(w, &w->in[i], &w->jobs[i], &tally);
	xi_esp_tally_flush(&tally);
}

void xi_batch_in(struct xi_worker *w)
{
	uint32_t n = in_prepare_all(w);

	w->config.engine->open(w->crypto, w->jobs, n);
	in_finish_all(w, n);
	w->nin = 0;
}

void xi_batch_clear(struct xi_worker *w, struct xi_item *item)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->config.spd);
	struct xi_flow flow;

	if (xi_flow_parse(&flow, item->pkt.data, item->pkt.len)) {
		xi_item_drop(w, item, XI_DROP_WORKER_MALFORMED);
		return;
	}
	flow.dir = XI_IN;
	if (!xi_spd_allows_clear(snap, &flow)) {
		xi_item_drop(w, item, XI_DROP_CLEAR_IN_WORKER);
		return;
	}
	xi_worker_count(w, XI_WORKER_BYPASS);
	xi_emit_host(w, item, 0, XI_CRYPTO_NOT_DONE);
}
