// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Packets cut into pieces and put together again (RFC 4301 section 7, RFC 4303 section 3.3.4). */
#include "dataplane/batch.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <linux/if_ether.h>

#include "ipsec/bytes.h"
#include "ipsec/ext.h"
#include "ipsec/fragment.h"
#include "ipsec/sa_id.h"
#include "sad/selector.h"

#define HEADROOM XI_FRAME_HEADROOM /* in front of a piece, as in front of a received packet */
#define PIECE_MAX XI_PORT_MTU_ONE /* a piece has one frame, however much a path takes */
#define LONG_ROOM 256            /* behind a packet put together, for what protects it */
#define HELD_PACKETS 1024        /* not yet whole, each way */
#define HELD_BYTES (2U << 20)
#define PORT_NATT 4500

int xi_batch_fragments_create(struct xi_worker *w)
{
	const struct xi_reassembly_limits limits = {
		.packets = HELD_PACKETS,
		.bytes = HELD_BYTES,
		.packet_len = w->frames.long_size ? XI_LONG_SIZE - HEADROOM - LONG_ROOM :
						    XI_FRAME_SIZE - HEADROOM,
		.timeout_ms = XI_REASSEMBLY_TIMEOUT_MS,
	};
	int err;

	if (getrandom(&w->fragment_id, sizeof(w->fragment_id), 0) != sizeof(w->fragment_id))
		return -EIO;
	err = xi_reassembly_create(&w->held_in, &limits, w->counts);
	return err ? err : xi_reassembly_create(&w->held_out, &limits, w->counts);
}

void xi_batch_fragments_destroy(struct xi_worker *w)
{
	xi_reassembly_destroy(w->held_in);
	xi_reassembly_destroy(w->held_out);
}

void xi_batch_fragments_expire(struct xi_worker *w)
{
	xi_reassembly_expire(w->held_in, w->now_ms);
	xi_reassembly_expire(w->held_out, w->now_ms);
}

/*
 * Where the item's fragment may make a packet whole: in a long buffer if there is one, else where it
 * lies itself.
 */
static uint64_t item_room(struct xi_worker *w, const struct xi_item *item, struct xi_pkt *whole)
{
	uint64_t addr;

	*whole = item->pkt;
	if (!xi_long_get(&w->frames, &addr))
		return item->frame;
	*whole = (struct xi_pkt){ .data = w->frames.base + addr + HEADROOM,
				  .headroom = HEADROOM,
				  .tailroom = XI_LONG_SIZE - HEADROOM };
	/* who sent the frame may have to be told something */
	memcpy(whole->data - ETH_HLEN, item->pkt.data - ETH_HLEN, ETH_HLEN);
	return addr;
}

/* Holds the item's fragment. True: it made a packet whole, which is the item now; else it was consumed. */
static bool item_reassemble(struct xi_worker *w, struct xi_reassembly *held, struct xi_item *item)
{
	struct xi_pkt whole;
	uint64_t frame = item_room(w, item, &whole);
	bool done = xi_reassembly_add(held, w->now_ms, &item->pkt, &whole) == XI_REASSEMBLED;

	if (frame != item->frame)
		xi_frame_put(&w->frames, done ? item->frame : frame);
	if (!done) {
		xi_frame_put(&w->frames, item->frame);
		return false;
	}
	item->frame = frame;
	item->pkt = whole;
	return true;
}

bool xi_batch_whole(struct xi_worker *w, struct xi_item *item)
{
	const uint8_t *ip = item->pkt.data;
	uint32_t offset, nh;
	bool fragment;

	if (ip[0] >> 4 == 4)
		fragment = xi_get16(ip + 6) & (IP_MF | IP_OFFMASK);
	else
		fragment = xi_ext_find(ip, item->pkt.len, IPPROTO_FRAGMENT, &offset, &nh);
	if (!fragment)
		return true;
	item->whole = true;
	return item_reassemble(w, w->held_out, item);
}

/* Where ESP in UDP arrives, as far as SPI and port tell (RFC 3948 section 2.1); port 4500 is for nothing else. */
static bool is_encapsulated(const struct xi_worker *w, uint32_t handle, uint16_t dport)
{
	const struct xi_sa_rec *rec = handle ? xi_sad_rec(w->config.sad, handle) : NULL;

	return dport == PORT_NATT ||
	       (rec && rec->sa.encap != XI_ENCAP_NONE && rec->sa.encap_dport == dport);
}

/* A whole packet for an SA, larval or not: its handle, 0 for an SA unknown. False: not for any SA. */
static bool arrived_for_sa(const struct xi_worker *w, const struct xi_pkt *pkt, uint32_t *handle)
{
	struct xi_flow flow;
	struct xi_sa_id id;

	if (xi_flow_parse(&flow, pkt->data, pkt->len) ||
	    !xi_sa_id_parse(&id, pkt->data, pkt->len, true))
		return false;
	*handle = xi_sad_lookup_spi(w->config.sad, &id);
	return flow.proto != IPPROTO_UDP || is_encapsulated(w, *handle, flow.dport);
}

bool xi_batch_arrived(struct xi_worker *w, struct xi_item *item)
{
	if (!item_reassemble(w, w->held_in, item))
		return false;
	item->slot = XI_NO_SLOT;
	if (!arrived_for_sa(w, &item->pkt, &item->handle)) {
		xi_batch_clear(w, item);
		return false;
	}
	return xi_batch_early(w, item);
}

/* Piece i of a plan, in a frame of its own; the caller has seen to it that there are so many. */
static void piece_make(struct xi_worker *w, const struct xi_fragments *plan, uint32_t i,
		       const struct xi_item *whole, struct xi_item *piece)
{
	uint32_t room = XI_FRAME_SIZE - HEADROOM;

	*piece = *whole;
	piece->frame = xi_frame_get(&w->frames);
	piece->pkt.data = w->frames.base + piece->frame + HEADROOM;
	piece->pkt.headroom = HEADROOM;
	piece->pkt.len = xi_fragment_write(plan, i, piece->pkt.data, room);
	piece->pkt.tailroom = room - piece->pkt.len;
}

/* Why a packet was not cut; n: of the plan. With a plan only frames can be missing. */
static enum xi_reason cut_failed(int n)
{
	if (n >= 0)
		return XI_DROP_TX_FULL;
	return n == -EBADMSG ? XI_DROP_WORKER_MALFORMED : XI_DROP_TOO_BIG;
}

static int item_plan(struct xi_worker *w, struct xi_fragments *plan, const struct xi_item *item,
		     uint32_t mtu, bool own)
{
	return xi_fragment_plan(plan, &item->pkt, mtu < PIECE_MAX ? mtu : PIECE_MAX,
				own ? &w->fragment_id : NULL);
}

void xi_batch_cut(struct xi_worker *w, struct xi_item *item, uint32_t limit)
{
	struct xi_fragments plan;
	int i, n = item_plan(w, &plan, item, limit, false);

	if (n < 0 || w->npieces + (uint32_t)n > XI_PIECES || w->frames.nfree < (uint32_t)n) {
		xi_item_drop(w, item, cut_failed(n));
		return;
	}
	for (i = 0; i < n; i++) {
		piece_make(w, &plan, (uint32_t)i, item, &w->pieces[w->npieces]);
		w->pieces[w->npieces++].piece = true;
	}
	xi_worker_count(w, XI_FRAGMENTED);
	xi_frame_put(&w->frames, item->frame);
}

/*
 * All pieces or none: those of half a packet would only take the way of others. A packet that may not
 * be cut (DF) meets its end here, as it would on the wire.
 */
void xi_emit_cut(struct xi_worker *w, struct xi_item *item, uint32_t mtu,
		 void (*emit)(struct xi_worker *w, struct xi_item *piece))
{
	struct xi_fragments plan;
	struct xi_item piece;
	int i, n = item_plan(w, &plan, item, mtu, true);

	if (n < 0 || w->frames.nfree < (uint32_t)n) {
		xi_item_drop(w, item, cut_failed(n));
		return;
	}
	w->fragment_id++;
	for (i = 0; i < n; i++) {
		piece_make(w, &plan, (uint32_t)i, item, &piece);
		emit(w, &piece);
	}
	xi_worker_count(w, XI_FRAGMENTED);
	xi_frame_put(&w->frames, item->frame);
}
