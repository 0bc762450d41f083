/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What both directions begin with: where a received packet belongs, and the context of its SA. */
#include "dataplane/batch.h"

/* As it lies below the packet, at any alignment. */
struct frame_meta {
	struct xi_meta m;
} __attribute__((packed));

/* XDP wrote it; only frames that came through XDP carry the magic. */
static bool meta_valid(const struct xi_worker *w, const struct frame_meta *meta, uint32_t len)
{
	return meta->m.magic == XI_META_MAGIC && meta->m.l3_offset < len &&
	       meta->m.port < XI_MAX_PORTS && w->config.ports[meta->m.port];
}

void xi_item_prefetch(struct xi_worker *w, const struct xi_item *item, bool out)
{
	if (item->slot < w->slots->n) {
		xi_slots_prefetch(w->slots, item->slot, out);
	} else if (item->handle) {
		w->ncold++;
		xi_slots_prefetch_way(w->slots, item->handle);
		xi_sad_prefetch_way(w->config.sad, item->handle);
		xi_sad_prefetch_state(w->config.sad, item->handle, out);
	}
}

/* Does it belong to w->in? Else it was consumed. */
static bool batch_arrives(struct xi_worker *w, struct xi_item *item)
{
	if (item->handle) {
		if (__builtin_expect(w->early.n, 0))
			xi_batch_early_line(w, item);
		return true;
	}
	if (item->flags & XI_META_FRAGMENT)
		return xi_batch_arrived(w, item);
	if (item->flags & XI_META_LARVAL)
		return xi_batch_early_arrived(w, item);
	xi_batch_clear(w, item);
	return false;
}

void xi_batch_take(struct xi_worker *w, uint64_t addr, uint32_t len)
{
	uint8_t *data = w->frames.base + addr;
	struct frame_meta *meta = (void *)(data - sizeof(*meta));
	bool valid = meta_valid(w, meta, len), out = meta->m.dir == XI_OUT;
	struct xi_item *item = out ? &w->out[w->nout] : &w->in[w->nin];

	__builtin_prefetch(data, 1);
	__builtin_prefetch(data + len, 1);
	/* the frame comes back to XDP, which may not write to it next time */
	meta->m.magic = 0;
	if (!valid) {
		xi_worker_count(w, XI_DROP_WORKER_META);
		xi_frame_put(&w->frames, addr);
		return;
	}
	item->frame = xi_frame_of(&w->frames, addr);
	item->pkt.data = data + meta->m.l3_offset;
	item->pkt.len = len - meta->m.l3_offset;
	item->pkt.headroom = addr + meta->m.l3_offset - item->frame;
	item->pkt.tailroom = item->frame + xi_frame_size(&w->frames, addr) - (addr + len);
	item->ctx = item->next = NULL;
	item->handle = meta->m.handle;
	item->slot = meta->m.slot;
	item->next_handle = meta->m.next_handle;
	item->next_slot = meta->m.next_slot;
	xi_item_prefetch(w, item, out);
	item->port = meta->m.port;
	item->flags = meta->m.flags;
	item->mark = 0;
	item->piece = item->whole = item->judged = false;
	if (out) {
		w->nasked += !item->handle;
		w->nout++;
	} else if (batch_arrives(w, item)) {
		w->nin++;
	}
}

static void prefetch_items(const struct xi_worker *w, const struct xi_item *items, uint32_t n,
			   bool out)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (items[i].slot < w->slots->n)
			xi_sad_prefetch_state(w->config.sad, items[i].handle, out);
		else if (!xi_slots_prefetch_context(w->slots, items[i].handle, out))
			xi_sad_prefetch_context(w->config.sad, items[i].handle, out);
	}
}

void xi_batch_prefetch_contexts(struct xi_worker *w)
{
	if (!w->ncold)
		return;
	w->ncold = 0;
	prefetch_items(w, w->in, w->nin, false);
	prefetch_items(w, w->out, w->nout, true);
}

const struct xi_sa_ctx *xi_batch_context(struct xi_worker *w, uint32_t handle, uint32_t hint)
{
	const struct xi_sa_ctx *ctx = xi_slots_find(w->slots, handle, hint);

	return ctx ? ctx : xi_sad_context(w->config.sad, handle);
}

void xi_batch_tell(struct xi_worker *w, struct xi_esp_tally *tally)
{
	const struct xi_news news = { .kind = XI_NEWS_EXPIRED, .sa_index = tally->expired };

	if (tally->expired && w->config.news)
		xi_news_push(w->config.news, w->config.index, &news);
	tally->expired = 0;
}
