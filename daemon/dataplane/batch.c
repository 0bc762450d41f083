/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What both directions begin with: where a received packet belongs, and the context of its SA. */
#include "dataplane/batch.h"

#include <string.h>

/*
 * Metadata lies just below the packet; XDP wrote it, and only frames that came through XDP carry
 * the magic.
 */
static bool batch_read_meta(struct xi_worker *w, struct xi_item *item, uint64_t addr, uint32_t len)
{
	uint8_t *data = w->frames.base + addr;

	memcpy(&item->meta, data - sizeof(item->meta), sizeof(item->meta));
	memset(data - sizeof(item->meta), 0, sizeof(item->meta));
	if (item->meta.magic != XI_META_MAGIC || item->meta.l3_offset >= len ||
	    item->meta.port >= XI_MAX_PORTS || !w->config.ports[item->meta.port])
		return false;
	item->frame = xi_frame_of(addr);
	item->pkt.data = data + item->meta.l3_offset;
	item->pkt.len = len - item->meta.l3_offset;
	item->pkt.headroom = addr + item->meta.l3_offset - item->frame;
	item->pkt.tailroom = item->frame + XI_FRAME_SIZE - (addr + len);
	return true;
}

void xi_batch_take(struct xi_worker *w, uint64_t addr, uint32_t len)
{
	struct xi_item item, *slot;

	if (!batch_read_meta(w, &item, addr, len)) {
		xi_worker_count(w, XI_DROP_WORKER_META);
		xi_frame_put(&w->frames, addr);
		return;
	}
	if (item.meta.dir == XI_IN && !item.meta.handle) {
		xi_batch_clear(w, &item);
		return;
	}
	slot = item.meta.dir == XI_OUT ? &w->out[w->nout++] : &w->in[w->nin++];
	*slot = item;
}

const struct xi_sa_ctx *xi_batch_context(struct xi_worker *w, uint32_t handle, uint32_t hint,
					 bool *slow)
{
	const struct xi_sa_ctx *ctx = xi_slots_find(w->slots, handle, hint);
	const struct xi_sa_rec *rec;
	struct xi_sa_ctx *made;

	*slow = false;
	if (ctx)
		return ctx;
	/* a run of packets of one SA needs one context */
	if (w->nslow && w->slow[w->nslow - 1].sa_index == handle) {
		*slow = true;
		return &w->slow[w->nslow - 1];
	}
	rec = xi_sad_rec(w->config.sad, handle);
	if (!rec || (rec->sa.life & XI_SA_LARVAL))
		return NULL;
	made = &w->slow[w->nslow];
	if (xi_sa_ctx_init(made, &rec->sa, &rec->key, rec->state, rec->words, rec->nwords))
		return NULL;
	w->nslow++;
	*slow = true;
	return made;
}
