/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inbound: from ESP to a verified packet on its way, and cleartext that policy has to judge. */
#include "dataplane/batch.h"

#include <string.h>

#include "ipsec/bytes.h"
#include "ipsec/sa_id.h"
#include "sad/selector.h"

static void in_status(struct xi_worker *w, enum xi_crypto_status status)
{
	xi_worker_count(w, (enum xi_reason)(XI_STATUS_SUCCESS + status));
}

static void in_drop(struct xi_worker *w, struct xi_item *item, enum xi_reason reason,
		    enum xi_crypto_status status)
{
	in_status(w, status);
	xi_item_drop(w, item, reason);
}

/* What policy will ask of a cold SA, once its packet is verified. */
static void in_prefetch_sa(const struct xi_sa *sa)
{
	const uint8_t *from = (const uint8_t *)sa, *end = (const uint8_t *)&sa->if_id;

	for (; from <= end; from += 64)
		__builtin_prefetch(from);
}

/*
 * One packet up to its crypto job, number i of them; last: the packet before it, or NULL. False: the
 * item was consumed.
 */
static bool in_prepare(struct xi_worker *w, struct xi_item *item, const struct xi_item *last,
		       uint32_t i, struct xi_batch_tally *tally)
{
	enum xi_reason reason = XI_DROP_SA_GONE;

	if (last && item->handle == last->handle)
		item->ctx = last->ctx;
	else
		item->ctx = xi_batch_context(w, item->handle, item->slot);
	if (item->ctx) {
		xi_batch_tally(tally, item->ctx);
		if (xi_ctx_is_slow(item->ctx))
			in_prefetch_sa(item->ctx->sa);
		reason = xi_in_prepare(item->ctx, &item->pkt, &w->jobs[i], &w->esp_in[i],
				       &w->saved[i]);
	}
	if (reason == XI_NONE)
		return true;
	in_drop(w, item, reason, XI_CRYPTO_NOT_DONE);
	return false;
}

/* Contexts and jobs for the whole batch. Returns how many are ready, in place. */
static uint32_t in_prepare_all(struct xi_worker *w)
{
	struct xi_item *items = w->in, *last = NULL;
	struct xi_batch_tally tally = { 0 };
	uint32_t i, n = 0;

	for (i = 0; i < w->nin; i++) {
		if (!in_prepare(w, &items[i], last, n, &tally))
			continue;
		if (n != i)
			items[n] = items[i];
		last = &items[n++];
	}
	xi_worker_count_n(w, XI_FAST_IN, tally.fast);
	xi_worker_count_n(w, XI_SLOW_IN, tally.slow);
	return n;
}

/* Multiplications that do not wait for each other. */
static uint32_t flow_hash(const struct xi_flow *flow, uint32_t sa_index)
{
	uint64_t w[5], marks = (uint64_t)flow->mark << 32 | flow->if_id, hash;

	memcpy(w, flow, sizeof(w));
	hash = w[0] * 0x9e3779b97f4a7c15 + w[1] * 0xc2b2ae3d27d4eb4f + w[2] * 0x165667b19e3779f9 +
	       w[3] * 0xd6e8feb86659fd93 + (w[4] ^ flow->family) * 0xff51afd7ed558ccd + marks * 0xc4ceb9fe1a85ec53;
	return (hash ^ (uint64_t)sa_index * 0x9e3779b97f4a7c15) >> 40;
}
XI_ASSERT(__builtin_offsetof(struct xi_flow, family) == 40 && sizeof(struct xi_flow) == 52);

static bool allowed_is(const struct xi_allowed *allowed, const struct xi_flow *flow,
		       uint32_t sa_index, uint32_t next_index, uint32_t generation)
{
	return allowed->sa_index == sa_index && allowed->next_index == next_index &&
	       allowed->generation == generation && !memcmp(&allowed->flow, flow, sizeof(*flow));
}

/* The SAs the packet came through. */
static struct xi_sa_path in_path(const struct xi_item *item)
{
	struct xi_sa_path path = { 0 };

	if (item->next)
		path.sas[path.n++] = item->next->sa;
	path.sas[path.n++] = item->ctx->sa;
	return path;
}

static bool in_check(const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
		     const struct xi_item *item)
{
	const struct xi_sa_path path = in_path(item);

	return xi_spd_allows_protected(snap, flow, &path);
}

/*
 * May the packet come in through these SAs? The answer is remembered per flow and SAs until the SPD
 * changes; the full check walks the policies. Of SAs without a slot nothing is remembered: they are
 * so many, or so idle, that it would not be found again, and they would push out what will be.
 */
static bool in_allowed(struct xi_worker *w, const struct xi_flow *flow, const struct xi_item *item)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->config.spd);
	uint32_t i, next_index = item->next ? item->next->sa_index : 0;
	struct xi_allowed *ways;

	if (xi_ctx_is_slow(item->ctx))
		return in_check(snap, flow, item);
	ways = w->allowed[flow_hash(flow, item->handle) % XI_ALLOWED].ways;
	for (i = 0; i < XI_ALLOWED_WAYS; i++)
		if (allowed_is(&ways[i], flow, item->handle, next_index, snap->generation))
			return true;
	if (!in_check(snap, flow, item))
		return false;
	memmove(&ways[1], &ways[0], sizeof(ways[0]) * (XI_ALLOWED_WAYS - 1));
	ways[0] = (struct xi_allowed){ .sa_index = item->handle, .next_index = next_index,
				       .generation = snap->generation, .flow = *flow };
	return true;
}

/*
 * Where verified packets of this flow go: straight out of a plain port when the way is known;
 * else, NULL, to the host; always to the host when their SA gives them a mark or a device, which only
 * the host's stack knows what to do with.
 */
static const struct xi_nexthop *in_way(struct xi_worker *w, const struct xi_flow *flow,
				       const struct xi_sa_ctx *ctx)
{
	const struct xi_nexthop *nh = xi_emit_nexthop(w, flow->daddr, flow->family, 0);

	if (nh && nh->kind == XI_NEXTHOP_PORT && w->by_port[nh->port] && !ctx->to_host &&
	    w->config.ports[nh->port]->config.role == XI_ROLE_PLAIN)
		return nh;
	return NULL;
}

/*
 * What was found out about the packet before: the next of the same SA and flow is allowed too, and
 * goes the same way. For one batch: then policy and next hops may be others.
 */
struct in_run {
	const struct xi_sa_ctx *ctx; /* NULL: nothing yet */
	const struct xi_sa_ctx *next;
	struct xi_flow flow;
	const struct xi_nexthop *nh;
	uint32_t verified;           /* packets of the batch so far */
};

/* XI_NONE: run is about this packet. */
static enum xi_reason in_judge(struct xi_worker *w, const struct xi_item *item, struct in_run *run)
{
	struct xi_flow flow;

	if (run->ctx == item->ctx && run->next == item->next &&
	    xi_flow_goes_on(&run->flow, item->pkt.data, item->pkt.len))
		return XI_NONE;
	if (xi_flow_parse(&flow, item->pkt.data, item->pkt.len))
		return XI_DROP_INNER;
	flow.dir = XI_IN;
	if (item->ctx->to_host) {
		flow.mark = xi_sa_mark_in(item->ctx->sa);
		flow.if_id = item->ctx->sa->if_id;
	}
	if (!in_allowed(w, &flow, item))
		return XI_DROP_IN_POLICY;
	run->ctx = item->ctx;
	run->next = item->next;
	run->flow = flow;
	run->nh = in_way(w, &flow, item->ctx);
	return XI_NONE;
}

/*
 * Did something come out of the SA that is for another of ours? Then it waits for the next round,
 * in which it is taken off as well. Two SAs are the most that policy can ask for. Only what is
 * addressed to this host is (RFC 4301 section 5.2): the SAD also holds SAs that we send by.
 */
static bool in_again(struct xi_worker *w, const struct xi_item *item)
{
	struct xi_sa_id id;
	uint32_t handle;

	if (item->next || !xi_sa_id_likely(item->pkt.data) ||
	    !xi_sa_id_parse(&id, item->pkt.data, item->pkt.len, false))
		return false;
	if (!xi_spd_is_local(xi_spd_snapshot(w->config.spd), id.daddr, id.family))
		return false;
	handle = xi_sad_lookup(w->config.sad, &id);
	if (!handle)
		return false;
	w->again[w->nagain] = *item;
	w->again[w->nagain].next = item->ctx;
	w->again[w->nagain].handle = handle;
	w->again[w->nagain++].slot = XI_NO_SLOT;
	return true;
}

static void in_deliver(struct xi_worker *w, struct xi_item *item, struct in_run *run)
{
	enum xi_reason reason = in_judge(w, item, run);

	if (reason != XI_NONE)
		xi_item_drop(w, item, reason);
	else if (run->nh && item->pkt.len <= run->nh->mtu && xi_emit_sound(&item->pkt) &&
		 xi_emit_age(&item->pkt))
		xi_emit_port(w, item, run->nh);
	else
		xi_emit_host(w, item, XI_CRYPTO_SUCCESS);
}

/*
 * A verified packet of UDP encapsulation from elsewhere than the SA says: told to the key manager,
 * who decides (RFC 3948 section 5). The outer header is still in front of it.
 */
static void in_moved(struct xi_worker *w, const struct xi_item *item, const struct xi_esp_in *in)
{
	struct xi_news news = { .kind = XI_NEWS_MAPPING, .sa_index = item->ctx->sa_index };
	const uint8_t *ip = item->pkt.data;
	bool v6 = ip[0] >> 4 == 6;

	news.addr.family = v6 ? XI_IPV6 : XI_IPV4;
	memcpy(news.addr.addr, ip + (v6 ? 8 : 12), v6 ? 16 : 4);
	news.port = xi_get16(ip + in->header_len);
	xi_worker_count(w, XI_MAPPING);
	if (w->config.news)
		xi_news_push(w->config.news, w->config.index, &news);
}

/* Verified, and the packets of the batch before it have used the SA up. */
static bool in_spent(const struct xi_item *item, const struct xi_esp_in *in)
{
	return item->ctx->limited && !in->verdict && xi_sa_expired(item->ctx);
}

static void in_finish(struct xi_worker *w, uint32_t i, struct xi_esp_tally *tally,
		      struct in_run *run)
{
	struct xi_item *item = &w->in[i];
	enum xi_crypto_status status;
	enum xi_reason reason;

	if (item->ctx->encap && w->esp_in[i].moved && !w->esp_in[i].verdict)
		in_moved(w, item, &w->esp_in[i]);
	if (in_spent(item, &w->esp_in[i])) {
		in_drop(w, item, XI_DROP_SA_EXPIRED, XI_CRYPTO_SUCCESS);
		return;
	}
	reason = xi_in_finish(item->ctx, &item->pkt, &w->jobs[i], &w->esp_in[i], &w->saved[i],
			      tally, &status);
	if (reason != XI_NONE) {
		in_drop(w, item, reason, status);
		return;
	}
	run->verified++;
	/* the record is to say of the last packet that the SA takes that it was the last */
	if (item->ctx->limited)
		xi_esp_tally_flush(tally);
	if (!in_again(w, item))
		in_deliver(w, item, run);
}

/* Runs of packets of one SA are verified together. */
static void in_finish_all(struct xi_worker *w, uint32_t n)
{
	struct xi_esp_tally tally = { .now = w->now };
	struct in_run run = { 0 };
	uint32_t i = 0, end = 0;

	while (i < n) {
		while (end < n && w->in[end].ctx == w->in[i].ctx)
			end++;
		xi_in_verify(w->in[i].ctx, &w->jobs[i], &w->esp_in[i], end - i);
		for (; i < end; i++)
			in_finish(w, i, &tally, &run);
	}
	xi_worker_count_n(w, XI_STATUS_SUCCESS, run.verified);
	xi_esp_tally_flush(&tally);
	xi_batch_tell(w, &tally);
}

static void in_round(struct xi_worker *w)
{
	uint32_t n = in_prepare_all(w);

	w->config.engine->open(w->crypto, w->jobs, n);
	in_finish_all(w, n);
	w->nin = 0;
}

void xi_batch_in(struct xi_worker *w)
{
	in_round(w);
	if (!w->nagain)
		return;
	memcpy(w->in, w->again, w->nagain * sizeof(w->in[0]));
	w->nin = w->nagain;
	w->nagain = 0;
	in_round(w);
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
	xi_emit_host(w, item, XI_CRYPTO_NOT_DONE);
}
