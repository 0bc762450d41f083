/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Outbound: from cleartext with a verdict to ESP on the wire. */
#include "dataplane/batch.h"

#include <string.h>

#include <linux/if_ether.h>
#include <netinet/ip.h>

#include <xipsec/origin.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/framed.h"
#include "ipsec/pmtu.h"

#define IPV6_MIN 1280            /* bytes that every link carries (RFC 8200 section 5) */

/* The SA whose packets are seen on the wire. */
static const struct xi_sa_ctx *out_last(const struct xi_item *item)
{
	return item->next ? item->next : item->ctx;
}

/* Whose next hop was asked for last. For one batch: then it may be another. */
struct out_peer {
	uint64_t addr[2];            /* as the 16 bytes of an address; of IPv4 the second is 0 */
	uint8_t family;              /* 4, 6; 0: nobody's */
	uint32_t mark;
	const struct xi_nexthop *nh;
};

/* Whose mark the way goes by: the outer tunnel's (xfrm_bundle_create() of the kernel). Transport mode alone has none. */
static const struct xi_sa_ctx *out_marker(const struct xi_item *item)
{
	return item->next && !item->next->transport ? item->next : item->ctx;
}

/* Does the outer packet keep some bits of the mark of what is inside? */
static bool out_mixes_marks(const struct xi_item *item)
{
	return (uint32_t)(out_marker(item)->mark_mask + 1) > 1;
}

/* As xfrm_smark_get() of the kernel has it. A packet has a mark where the host sent it, and a piece its outer one already. */
static uint32_t out_mark(const struct xi_worker *w, const struct xi_item *item)
{
	const struct xi_sa_ctx *ctx = out_marker(item);
	uint32_t mark = 0;

	if (item->piece)
		return item->mark;
	if (out_mixes_marks(item) && w->config.ports[item->port]->config.role == XI_ROLE_HOST)
		mark = xi_origin_read(item->pkt.data - ETH_HLEN).mark;
	return (mark & ~ctx->mark_mask) | ctx->mark;
}

static const struct xi_nexthop *out_nexthop(struct xi_worker *w, const struct xi_sa_ctx *ctx,
					    uint32_t mark, struct out_peer *last)
{
	uint64_t addr[2] = { 0 };

	if (ctx->family == 6)
		memcpy(addr, ctx->hdr + 24, 16);
	else
		memcpy(&addr[0], ctx->hdr + 16, 4);
	if (last->family == ctx->family && last->addr[0] == addr[0] && last->addr[1] == addr[1] &&
	    last->mark == mark)
		return last->nh;
	*last = (struct out_peer){ .family = ctx->family, .addr = { addr[0], addr[1] }, .mark = mark };
	last->nh = xi_emit_nexthop(w, (const uint8_t *)addr,
				   ctx->family == 6 ? XI_IPV6 : XI_IPV4, mark);
	return last->nh;
}

/* What packets of one run have in common. */
struct out_run {
	const struct xi_nexthop *nh;
	uint32_t mtu;                /* of the path */
	uint32_t limit;              /* bytes of a packet that fits into both SAs and the path */
	uint32_t next_limit;         /* of one that fits into the outer SA */
	uint64_t seq, next_seq;      /* of the next packet */
};

/* What may be done with a packet that is too long. */
enum out_cut { OUT_CUT_NEVER, OUT_CUT_BEFORE, OUT_CUT_AFTER };

/*
 * Every IPv6 link carries IPV6_MIN bytes: who sends no more hears of nothing (RFC 2473 section 7.1,
 * RFC 4213 section 3.2.1), and where the path carries less the outer packet is fragmented.
 */
static enum out_cut out_may_cut6(const struct xi_item *item)
{
	if (item->pkt.len <= IPV6_MIN || item->whole)
		return OUT_CUT_AFTER;
	return OUT_CUT_NEVER;
}

/*
 * Fragments show no ports: where policy looks at them, only whole packets are sure to pass the peer's
 * (RFC 4301 section 7). An outer header whose DF is always set is not cut.
 */
static enum out_cut out_may_cut(const struct xi_worker *w, const struct xi_item *item)
{
	const struct iphdr *ip = (const void *)item->pkt.data;

	if (item->pkt.data[0] >> 4 == 6)
		return out_may_cut6(item);
	if (ip->frag_off & htons(IP_DF) || (item->next && item->next->df_set))
		return OUT_CUT_NEVER;
	if (item->ctx->transport || item->next)
		return OUT_CUT_AFTER;
	if (item->ctx->df_set)
		return OUT_CUT_BEFORE;
	if (w->config.fragment_after ||
	    (xi_spd_snapshot(w->config.spd)->flow_mask & XI_FLOW_PORTS))
		return OUT_CUT_AFTER;
	return OUT_CUT_BEFORE;
}

/*
 * The outer header of a packet that will be cut: no DF, and an identification that no other SA between
 * the same two addresses uses at this time (RFC 6864 section 4.3). AH protects it, so it is made here.
 * more: bytes by which it may yet grow.
 */
static void out_mark_cut(struct xi_worker *w, const struct xi_item *item, uint32_t more)
{
	uint8_t *ip = item->pkt.data;

	if (!item->mtu || item->pkt.len + more <= item->mtu || ip[0] >> 4 != 4)
		return;
	if (!(uint16_t)w->fragment_id)
		w->fragment_id++; /* a raw socket would give each piece an identification of its own */
	xi_put16(ip + 4, (uint16_t)w->fragment_id++);
	xi_put16(ip + 6, 0);
	xi_ip4_finish(ip, (uint16_t)item->pkt.len);
}

/*
 * Transport mode moves the IP header, which the inner SA's crypto may need (AH; UDP in IPv6): an outer
 * SA of that mode frames when that crypto is done. Until then its frame has a number and no packet.
 */
static enum xi_reason out_frame(struct xi_worker *w, struct xi_item *item,
				const struct out_run *run, struct xi_frame *framed,
				struct xi_frame *next_framed)
{
	bool later = item->next && item->next->transport;
	enum xi_reason reason;

	reason = xi_out_frame(item->ctx, run->seq, run->limit, &item->pkt, framed);
	if (reason == XI_NONE && later)
		*next_framed = (struct xi_frame){ .seq = run->next_seq };
	else if (reason == XI_NONE && item->next)
		reason = xi_out_frame(item->next, run->next_seq, run->next_limit, &item->pkt,
				      next_framed);
	if (reason == XI_NONE)
		out_mark_cut(w, item, later ? xi_overhead(item->next) : 0);
	return reason;
}

/*
 * While the next hop is not known, any cipher port may be the one: the smallest MTU of them is sure
 * to fit, and what is above the largest is not.
 */
static void out_port_mtus(const struct xi_worker *w, uint32_t *least, uint32_t *most)
{
	*least = UINT32_MAX;
	*most = 0;
	for (uint32_t i = 0; i < XI_MAX_PORTS; i++) {
		const struct xi_port_dev *port = w->config.ports[i];

		if (!port || port->config.role != XI_ROLE_CIPHER)
			continue;
		*least = port->mtu < *least ? port->mtu : *least;
		*most = port->mtu > *most ? port->mtu : *most;
	}
	if (!*most)
		*most = UINT32_MAX;
}

/* As xi_inner_mtu() of both SAs; without a bound there is none inside. */
static uint32_t out_inner_mtu(const struct xi_item *item, uint32_t mtu)
{
	if (mtu == UINT32_MAX)
		return mtu;
	if (item->next)
		mtu = xi_inner_mtu(item->next, mtu);
	return xi_inner_mtu(item->ctx, mtu);
}

/*
 * What the path takes as far as this host knows it: least, sure to fit; most, what fits if anything
 * does.
 */
static void out_mtus(const struct xi_worker *w, const struct out_run *run, uint32_t *least,
		     uint32_t *most)
{
	if (run->nh && run->nh->mtu)
		*least = *most = run->nh->mtu;
	else
		out_port_mtus(w, least, most);
}

/* The MTU that senders hear of; not always the limit. */
static uint32_t out_told(const struct xi_worker *w, const struct xi_item *item,
			 const struct out_run *run)
{
	uint32_t least, most;

	out_mtus(w, run, &least, &most);
	return out_inner_mtu(item, xi_path_mtu(out_last(item)->state, most, w->now));
}

/*
 * A packet longer than the path takes. Its sender hears of it, if it may not be cut; else it is cut
 * before it is protected, so that the peer need not put ESP together, or, where that is asked for and
 * always in transport mode (RFC 4303 section 3.3.4), afterwards: true, and the item goes on.
 */
static bool out_too_long(struct xi_worker *w, struct xi_item *item, const struct out_run *run)
{
	uint32_t told;

	switch (out_may_cut(w, item)) {
	case OUT_CUT_AFTER:
		item->mtu = (uint16_t)run->mtu;
		return true;
	case OUT_CUT_BEFORE:
		if (item->piece)
			xi_item_drop(w, item, XI_DROP_TOO_BIG); /* the path has just become smaller */
		else
			xi_batch_cut(w, item, run->limit);
		return false;
	case OUT_CUT_NEVER:
		break;
	}
	told = out_told(w, item, run);
	if (item->pkt.len <= told)
		return true; /* the host's stack finds out */
	xi_emit_too_big(w, item, told);
	return false;
}

/*
 * What a router does to each packet that it forwards. False: the item was consumed. One that has no hop
 * left is the host's, whose stack forwards none such either, but tells the sender (RFC 1812 section
 * 5.3.1).
 */
static bool out_hop(struct xi_worker *w, struct xi_item *item)
{
	if (!xi_emit_sound(&item->pkt)) {
		xi_item_drop(w, item, XI_DROP_WORKER_MALFORMED);
		return false;
	}
	if (xi_emit_age(&item->pkt))
		return true;
	item->ctx = item->next = NULL;
	xi_emit_host(w, item, XI_CRYPTO_NOT_DONE);
	return false;
}

/* What happens to a packet before it is framed. False: the item was consumed. */
static bool out_admit(struct xi_worker *w, struct xi_item *item, const struct out_run *run)
{
	if (item->ctx->transport && !xi_batch_whole(w, item))
		return false;
	if (w->config.ports[item->port]->config.role == XI_ROLE_PLAIN && !item->piece &&
	    !out_hop(w, item))
		return false;
	item->mtu = 0;
	return item->pkt.len <= run->limit || out_too_long(w, item, run);
}

/*
 * A packet that came framed. It is as long as it is: with DF it finds its end where others are cut,
 * for its sender can be told nothing any more.
 */
static enum xi_reason out_take_framed(struct xi_item *item, const struct out_run *run,
				      struct xi_frame *framed, struct xi_frame *next_framed)
{
	struct xi_pkt *pkt = &item->pkt;
	enum xi_reason reason;
	uint32_t len;

	if (item->next)
		reason = xi_framed_parse_two(item->ctx, item->next, pkt, framed, next_framed);
	else
		reason = xi_framed_parse(item->ctx, pkt, framed);
	if (reason != XI_NONE)
		return reason;
	len = item->next ? next_framed->len : framed->len;
	pkt->tailroom += pkt->len - len;
	pkt->len = len;
	item->mtu = len > run->mtu ? (uint16_t)run->mtu : 0;
	return XI_NONE;
}

/* One packet, framed, up to its crypto job: all of them number i. False: the item was consumed. */
static bool out_prepare(struct xi_worker *w, struct xi_item *item, const struct out_run *run,
			uint32_t i)
{
	enum xi_reason reason;

	if (xi_item_is_framed(item)) {
		reason = out_take_framed(item, run, &w->framed[i], &w->next_framed[i]);
	} else {
		if (!out_admit(w, item, run))
			return false;
		reason = out_frame(w, item, run, &w->framed[i], &w->next_framed[i]);
	}
	if (reason == XI_NONE)
		reason = xi_out_job(item->ctx, &w->framed[i], &w->saved[i], &w->jobs[i]);
	if (reason != XI_NONE) {
		xi_item_drop(w, item, reason);
		return false;
	}
	return true;
}

static void out_limits(const struct xi_worker *w, struct out_run *run, const struct xi_item *item)
{
	uint32_t mtu, most;

	out_mtus(w, run, &mtu, &most);
	run->mtu = xi_path_mtu(out_last(item)->state, mtu, w->now);
	run->limit = out_inner_mtu(item, run->mtu);
	run->next_limit = item->next && run->mtu != UINT32_MAX ? xi_inner_mtu(item->next, run->mtu)
							       : UINT32_MAX;
}

/*
 * Sequence numbers of both SAs, or, where the packets have theirs, only leave to go. Returns for
 * how many packets.
 */
static uint32_t out_take_seqs(struct out_run *run, const struct xi_item *item, uint32_t n,
			      enum xi_reason *why)
{
	if (xi_item_is_framed(item)) {
		*why = XI_DROP_SA_EXPIRED;
		if (item->next)
			n = xi_sa_grant(item->next, n);
		return xi_sa_grant(item->ctx, n);
	}
	if (item->next)
		n = xi_seq_take(item->next, n, &run->next_seq, why);
	return n ? xi_seq_take(item->ctx, n, &run->seq, why) : 0;
}

/*
 * A run of packets of the same SAs: sequence numbers, next hop and MTU are found once for all of
 * them. Returns how many became ready, in place, from number first on.
 */
static uint32_t out_prepare_run(struct xi_worker *w, struct xi_item *items, uint32_t n,
				uint32_t first, struct out_peer *peer)
{
	enum xi_reason why = XI_DROP_SEQ_EXHAUSTED;
	uint32_t i, granted, done = first, mark = out_mark(w, &items[0]);
	struct out_run run = {.nh = out_nexthop(w, out_last(&items[0]), mark, peer)};

	out_limits(w, &run, &items[0]);
	granted = out_take_seqs(&run, &items[0], n, &why);
	for (i = granted; i < n; i++)
		xi_item_drop(w, &items[i], why);
	for (i = 0; i < granted; i++, run.seq++, run.next_seq++) {
		items[i].mark = mark;
		if (!out_prepare(w, &items[i], &run, done))
			continue;
		if (&w->out[done] != &items[i])
			w->out[done] = items[i];
		w->out[done++].nh = run.nh;
	}
	return done - first;
}

/* Jobs for the n resolved items. Returns how many are ready, in place. */
static uint32_t out_prepare_all(struct xi_worker *w, uint32_t n)
{
	struct xi_item *items = w->out;
	struct out_peer peer = { 0 };
	uint32_t i, run, ready = 0;

	for (i = 0; i < n; i += run) {
		for (run = 1; i + run < n && items[i + run].ctx == items[i].ctx &&
			      items[i + run].next == items[i].next && !out_mixes_marks(&items[i]) &&
			      xi_item_is_framed(&items[i + run]) == xi_item_is_framed(&items[i]); run++)
			;
		ready += out_prepare_run(w, &items[i], run, ready, &peer);
	}
	return ready;
}

/* As inbound: what comes before it in the batch may have used the SA up. */
static enum xi_reason out_seal_done(struct xi_worker *w, uint32_t i, struct xi_esp_tally *tally)
{
	const struct xi_sa_ctx *ctx = w->out[i].ctx;
	enum xi_reason reason;

	if (xi_sa_expired(ctx))
		return XI_DROP_SA_EXPIRED;
	reason = xi_out_finish(ctx, &w->framed[i], &w->saved[i], &w->jobs[i], tally);
	if (ctx->limited)
		xi_esp_tally_flush(tally);
	return reason;
}

/*
 * Sends what is finished. Packets with another SA around them stay, in place, with their frames by
 * that SA. Returns how many these are.
 */
static uint32_t out_finish_all(struct xi_worker *w, uint32_t n, struct xi_esp_tally *tally)
{
	enum xi_reason reason;
	uint32_t i, again = 0;

	for (i = 0; i < n; i++) {
		struct xi_item *item = &w->out[i];

		reason = out_seal_done(w, i, tally);
		if (reason != XI_NONE) {
			xi_item_drop(w, item, reason);
		} else if (!item->next) {
			xi_emit_esp(w, item);
		} else {
			w->framed[again] = w->next_framed[i];
			w->out[again] = *item;
			w->out[again].ctx = item->next;
			w->out[again++].next = NULL;
		}
	}
	return again;
}

/* The job of packet i by the SA around it. TFC padding, which has a limit, is tunnel mode's. */
static enum xi_reason out_next_job(struct xi_worker *w, uint32_t i)
{
	struct xi_item *item = &w->out[i];
	struct xi_frame *framed = &w->framed[i];
	enum xi_reason reason = XI_NONE;

	if (!framed->ip)
		reason = xi_out_frame(item->ctx, framed->seq, UINT32_MAX, &item->pkt, framed);
	if (reason == XI_NONE)
		reason = xi_out_job(item->ctx, framed, &w->saved[i], &w->jobs[i]);
	return reason;
}

/* The jobs of n packets by the SA around them. Returns how many are ready. */
static uint32_t out_next_jobs(struct xi_worker *w, uint32_t n)
{
	enum xi_reason reason;
	uint32_t i, ready = 0;

	for (i = 0; i < n; i++) {
		w->framed[ready] = w->framed[i];
		w->out[ready] = w->out[i];
		reason = out_next_job(w, ready);
		if (reason == XI_NONE)
			ready++;
		else
			xi_item_drop(w, &w->out[ready], reason);
	}
	return ready;
}

/* The first n packets of out[], whose contexts are known. */
static void out_send(struct xi_worker *w, uint32_t n)
{
	struct xi_esp_tally tally = { .now = w->now };

	n = out_prepare_all(w, n);
	w->config.engine->seal(w->crypto, w->jobs, n);
	n = out_finish_all(w, n, &tally);
	if (n) {
		n = out_next_jobs(w, n);
		w->config.engine->seal(w->crypto, w->jobs, n);
		out_finish_all(w, n, &tally);
	}
	xi_esp_tally_flush(&tally);
	xi_batch_tell(w, &tally);
}

/* Pieces fit: each round only frames what the one before has cut. */
static void out_send_pieces(struct xi_worker *w)
{
	uint32_t i, n, npieces = w->npieces;

	w->npieces = 0;
	for (i = 0; i < npieces; i += n) {
		n = npieces - i < XI_BATCH ? npieces - i : XI_BATCH;
		memcpy(w->out, &w->pieces[i], n * sizeof(w->out[0]));
		out_send(w, n);
	}
}

void xi_batch_out(struct xi_worker *w)
{
	out_send(w, xi_batch_resolve(w));
	if (w->npieces)
		out_send_pieces(w);
	w->nout = 0;
}
