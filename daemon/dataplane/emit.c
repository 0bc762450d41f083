/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ways a packet leaves a worker. */
#include "dataplane/batch.h"

#include <errno.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "dataplane/hostif.h"
#include "ipsec/icmp.h"
#include "sad/selector.h"

#define ICMP_PER_SECOND 100

const struct xi_nexthop *xi_emit_nexthop(struct xi_worker *w, const uint8_t addr[16],
					 enum xi_family family, uint32_t mark)
{
	const struct xi_nexthop *nh = xi_nexthop_find(w->config.nexthops, addr, family, mark);

	if (!nh)
		xi_nexthop_want(w->config.nexthops, w->config.index, addr, family, mark);
	return nh;
}

bool xi_emit_age(struct xi_pkt *pkt)
{
	struct ip6_hdr *ip6 = (void *)pkt->data;
	struct iphdr *ip = (void *)pkt->data;
	uint32_t check;

	if (pkt->data[0] >> 4 == 6)
		return ip6->ip6_hlim > 1 && ip6->ip6_hlim--;
	if (ip->ttl <= 1)
		return false;
	ip->ttl--;
	/* RFC 1624: the TTL is the high byte of its 16-bit word */
	check = ip->check + htons(0x0100);
	ip->check = check + (check >= 0xffff);
	return true;
}

/* The frame's Ethernet header goes in front of pkt; then out of the port. Consumes the item. */
static void emit_frame(struct xi_worker *w, struct xi_item *item, struct xi_tx *tx,
		       const uint8_t eth[ETH_HLEN], enum xi_reason sent)
{
	struct xi_pkt *pkt = &item->pkt;

	if (pkt->headroom < ETH_HLEN) {
		xi_item_drop(w, item, XI_DROP_TOO_BIG);
		return;
	}
	memcpy(pkt->data - ETH_HLEN, eth, ETH_HLEN);
	if (!tx->ops->send(tx, pkt->data - ETH_HLEN - w->frames.base,
			       pkt->len + ETH_HLEN)) {
		xi_item_drop(w, item, XI_DROP_TX_FULL);
		return;
	}
	xi_worker_count(w, sent);
}

static uint16_t emit_ethertype(const struct xi_pkt *pkt)
{
	return pkt->data[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP;
}

/* What the offload model reports of a received packet: which SAs, and that one of them must go. */
static uint8_t emit_record_flags(const struct xi_item *item)
{
	uint8_t flags = 0;

	if (item->ctx)
		flags |= XI_RECORD_CRYPTO_DONE;
	if (item->next)
		flags |= XI_RECORD_NEXT_CRYPTO_DONE;
	if ((item->ctx && xi_sa_expired(item->ctx)) || (item->next && xi_sa_expired(item->next)))
		flags |= XI_RECORD_SA_DELETE_REQ;
	return flags;
}

/* Pieces of a packet that came out of its SAs. */
static void emit_host_piece(struct xi_worker *w, struct xi_item *piece)
{
	xi_emit_host(w, piece, piece->ctx ? XI_CRYPTO_SUCCESS : XI_CRYPTO_NOT_DONE);
}

void xi_emit_host(struct xi_worker *w, struct xi_item *item, enum xi_crypto_status status)
{
	struct xi_tx *tx = w->by_port[0];
	struct ethhdr eth;

	if (item->pkt.len > w->config.host_mtu) {
		xi_emit_cut(w, item, w->config.host_mtu, emit_host_piece);
		return;
	}

	if (!tx) {
		xi_item_drop(w, item, XI_DROP_HOST_FULL);
		return;
	}
	memcpy(eth.h_dest, w->config.host_mac, ETH_ALEN);
	xi_hostif_record(eth.h_source, item->ctx ? item->ctx->sa_index : 0,
			 (uint8_t)(status | emit_record_flags(item)));
	eth.h_proto = htons(emit_ethertype(&item->pkt));
	emit_frame(w, item, tx, (const uint8_t *)&eth, XI_TX_HOST);
}

void xi_emit_port(struct xi_worker *w, struct xi_item *item, const struct xi_nexthop *nh)
{
	emit_frame(w, item, w->by_port[nh->port], nh->eth, XI_TX_DIRECT);
}

static void emit_raw(struct xi_worker *w, struct xi_item *item)
{
	int err = xi_rawout_send(&w->rawout, item->pkt.data, item->pkt.len, item->mark);
	enum xi_reason reason = XI_TX_RAW;

	if (err == -EMSGSIZE)
		reason = XI_DROP_TOO_BIG;
	else if (err == -ENETUNREACH || err == -EHOSTUNREACH)
		reason = XI_DROP_NO_NEXTHOP;
	else if (err)
		reason = XI_DROP_HOST_FULL;
	xi_worker_count(w, reason);
	xi_frame_put(&w->frames, item->frame);
}

static void emit_protected(struct xi_worker *w, struct xi_item *item)
{
	const struct xi_nexthop *nh = item->nh;

	if (nh && nh->kind == XI_NEXTHOP_PORT && w->by_port[nh->port])
		xi_emit_port(w, item, nh);
	else
		emit_raw(w, item);
}

void xi_emit_esp(struct xi_worker *w, struct xi_item *item)
{
	if (item->mtu && item->pkt.len > item->mtu)
		xi_emit_cut(w, item, item->mtu, emit_protected);
	else
		emit_protected(w, item);
}

/*
 * The address of ours that the sender of addr most likely knows: the one sharing the longest prefix
 * with it.
 */
static const struct xi_addr *emit_source(const struct xi_spd_snapshot *snap, const uint8_t addr[16],
					 enum xi_family family)
{
	const struct xi_addr *best = NULL;
	unsigned int plen, best_plen = 0;
	uint32_t i;

	for (i = 0; i < snap->nlocal; i++) {
		const struct xi_addr *local = &snap->local[i];

		if (local->family != family)
			continue;
		for (plen = family == XI_IPV4 ? 31 : 127; plen > best_plen; plen--)
			if (xi_prefix_equal(local->addr, addr, plen))
				break;
		if (plen > best_plen) {
			best_plen = plen;
			best = local;
		}
	}
	return best;
}

static bool emit_icmp_allowed(struct xi_worker *w)
{
	if (w->icmp_second != w->now) {
		w->icmp_second = w->now;
		w->icmp_tokens = ICMP_PER_SECOND;
	}
	return w->icmp_tokens && w->icmp_tokens--;
}

/* Back to where the frame came from: its Ethernet addresses exchanged. */
static void emit_back(struct xi_worker *w, struct xi_item *item, const uint8_t frame_src[ETH_ALEN])
{
	const struct xi_port_dev *port = w->config.ports[item->port];
	struct ethhdr eth;

	if (port->config.role == XI_ROLE_HOST) {
		xi_emit_host(w, item, XI_CRYPTO_NOT_DONE);
		return;
	}
	memcpy(eth.h_dest, frame_src, ETH_ALEN);
	memcpy(eth.h_source, port->mac, ETH_ALEN);
	eth.h_proto = htons(emit_ethertype(&item->pkt));
	emit_frame(w, item, w->by_port[item->port], (const uint8_t *)&eth, XI_TX_DIRECT);
}

void xi_emit_too_big(struct xi_worker *w, struct xi_item *item, uint32_t mtu)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->config.spd);
	bool v6 = item->pkt.data[0] >> 4 == 6;
	struct xi_addr target = { 0 };
	const struct xi_addr *src;
	uint8_t addr[16] = { 0 }, frame_src[ETH_ALEN];

	xi_worker_count(w, XI_DROP_TOO_BIG);
	memcpy(addr, item->pkt.data + (v6 ? 8 : 12), v6 ? 16 : 4);
	if (w->config.ports[item->port]->config.role == XI_ROLE_HOST) {
		/* the host takes no packet that comes from an address of its own */
		memcpy(target.addr, item->pkt.data + (v6 ? 24 : 16), v6 ? 16 : 4);
		src = &target;
	} else {
		src = emit_source(snap, addr, v6 ? XI_IPV6 : XI_IPV4);
	}
	if (!src || !w->by_port[item->port] || !xi_icmp_may_answer(&item->pkt) ||
	    !emit_icmp_allowed(w)) {
		xi_frame_put(&w->frames, item->frame);
		return;
	}
	memcpy(frame_src, item->pkt.data - ETH_HLEN + ETH_ALEN, ETH_ALEN);
	if (v6 && mtu < 1280)
		mtu = 1280;
	if (!xi_icmp_too_big(&item->pkt, src->addr, mtu)) {
		xi_frame_put(&w->frames, item->frame);
		return;
	}
	emit_back(w, item, frame_src);
}
