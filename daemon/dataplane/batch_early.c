// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Inbound: packets that come before their SA. A key manager's peer may send by a new SA as soon as it knows the SPI, which
 * is before the keys are installed here: such packets wait by larval SA, and go first when it becomes a real one.
 */
#include "dataplane/batch.h"

#include "ipsec/sa_id.h"

/* By its handle, which stays when the SA gets its keys, and when it moves. */
static struct xi_flow early_flow(uint32_t handle)
{
	return (struct xi_flow){ .dir = XI_IN, .if_id = handle };
}

static uint32_t early_handle(const struct xi_await_flow *f)
{
	return f->flow.if_id;
}

/* Consumes the item. Peers share the room: none takes it all by SPIs that it has negotiated. */
static void early_hold(struct xi_worker *w, struct xi_item *item, const struct xi_sa *larval)
{
	const struct xi_awaited packet = {
		.pkt = item->pkt,
		.frame = item->frame,
		.since_ms = w->now_ms,
		.port = item->port,
		.is_long = xi_frame_is_long(&w->frames, item->frame),
	};
	const struct xi_flow flow = early_flow(item->handle);
	bool began;

	if (!w->early.per_flow) {
		xi_item_drop(w, item, XI_DROP_UNKNOWN_SPI);
		return;
	}
	if (xi_await_put(&w->early, &flow, xi_await_peer(&w->early, larval->saddr), &packet, &began))
		xi_worker_count(w, XI_HELD);
	else
		xi_item_drop(w, item, XI_DROP_HOLD_FULL);
}

bool xi_batch_early(struct xi_worker *w, struct xi_item *item)
{
	const struct xi_sa_rec *rec = xi_sad_rec(w->config.sad, item->handle);

	if (!rec) {
		xi_item_drop(w, item, XI_DROP_UNKNOWN_SPI);
		return false;
	}
	if (rec->sa.life & XI_SA_LARVAL) {
		early_hold(w, item, &rec->sa);
		return false;
	}
	xi_batch_early_line(w, item);
	return true;
}

bool xi_batch_early_arrived(struct xi_worker *w, struct xi_item *item)
{
	struct xi_sa_id id;

	if (!xi_sa_id_parse(&id, item->pkt.data, item->pkt.len, true)) {
		xi_item_drop(w, item, XI_DROP_WORKER_MALFORMED);
		return false;
	}
	item->handle = xi_sad_lookup_spi(w->config.sad, &id);
	return xi_batch_early(w, item);
}

static void early_flush(struct xi_worker *w)
{
	if (!w->nin)
		return;
	xi_batch_in(w);
	xi_worker_send(w);
}

/* All of an SA, which is there, behind what is in the batch: an empty one is left. */
static void early_go(struct xi_worker *w, struct xi_await_flow *f)
{
	const uint32_t handle = early_handle(f);
	struct xi_awaited packet;
	bool last;

	do {
		last = xi_await_take(&w->early, f, &packet);
		xi_worker_count(w, XI_HELD_DONE);
		w->in[w->nin++] = (struct xi_item){
			.pkt = packet.pkt,
			.frame = packet.frame,
			.handle = handle,
			.port = packet.port,
			.slot = XI_NO_SLOT,
			.next_slot = XI_NO_SLOT,
			.flags = XI_META_MISS,
		};
		if (w->nin == XI_BATCH)
			early_flush(w);
	} while (!last);
	early_flush(w);
}

void xi_batch_early_line(struct xi_worker *w, struct xi_item *item)
{
	const struct xi_flow flow = early_flow(item->handle);
	struct xi_await_flow *f = xi_await_find(&w->early, &flow);
	struct xi_item next;

	if (!f)
		return;
	next = *item;
	early_go(w, f);
	w->in[w->nin] = next;
}

/* Its larval SA was deleted, or has died. */
static void early_give_up(struct xi_worker *w, struct xi_await_flow *f)
{
	struct xi_awaited packet;
	bool last;

	do {
		last = xi_await_take(&w->early, f, &packet);
		xi_worker_count(w, XI_HELD_DONE);
		xi_worker_count(w, XI_DROP_SA_GONE);
		xi_frame_put(&w->frames, packet.frame);
	} while (!last);
}

bool xi_batch_early_look(struct xi_worker *w, struct xi_await_flow *f)
{
	const struct xi_sa_rec *rec = xi_sad_rec(w->config.sad, early_handle(f));

	if (rec && rec->sa.life & XI_SA_LARVAL)
		return false;
	if (rec)
		early_go(w, f);
	else
		early_give_up(w, f);
	return true;
}
