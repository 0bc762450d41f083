/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Context slots: the SAs whose keys are expanded and ready. The control thread fills and empties them; workers find a
 * context by SA index under RCU (QSBR). The number of slots is the capacity of the fast path.
 */
#ifndef XI_SLOTS_H
#define XI_SLOTS_H

#include <stdint.h>

#include <urcu-qsbr.h>

#include "crypto/crypto.h"
#include "ipsec/sa_ctx.h"
#include "sad/sad.h"

struct xi_slot {
	struct xi_sa_ctx ctx;
	struct xi_ckey *ckey;
	uint32_t sa_index;           /* 0: free, or waiting for a grace period */
	uint32_t next_free;
};

struct xi_slots {
	const struct xi_engine *engine;
	unsigned int nworkers;
	struct xi_slot *slots;
	uint32_t n;
	uint32_t used;
	uint32_t free;               /* heads of lists by next_free, XI_NO_SLOT = empty */
	uint32_t limbo;              /* emptied; workers may still be using them */
	uint32_t hand;               /* where the search for a victim goes on */
	struct xi_sa_ctx **by_sa;    /* by SA slot; RCU */
	uint32_t nsas;
};

/* n slots for a SAD of nsas SA slots. 0 or -errno. */
int xi_slots_create(struct xi_slots *slots, const struct xi_engine *engine, uint32_t n, uint32_t nsas,
		    unsigned int nworkers);
/* No worker runs any more. Wipes keys. */
void xi_slots_destroy(struct xi_slots *slots);

/*
 * Worker: the context of an SA, NULL when it has no slot. Valid until the next quiescent state. hint: the slot that the
 * cache named when the packet's verdict was made, which saves the way through by_sa while it is still right; a slot's
 * ctx.sa_index is written last when it is filled and zeroed first when it is emptied.
 */
static inline const struct xi_sa_ctx *xi_slots_find(const struct xi_slots *slots, uint32_t sa_index, uint32_t hint)
{
	const struct xi_sa_ctx *ctx;

	if (hint < slots->n) {
		ctx = &slots->slots[hint].ctx;
		if (__atomic_load_n(&ctx->sa_index, __ATOMIC_ACQUIRE) == sa_index)
			return ctx;
	}
	if (XI_SA_SLOT(sa_index) >= slots->nsas)
		return NULL;
	ctx = rcu_dereference(slots->by_sa[XI_SA_SLOT(sa_index)]);
	return ctx && __atomic_load_n(&ctx->sa_index, __ATOMIC_ACQUIRE) == sa_index ? ctx : NULL;
}

/*
 * Worker: fetches what a packet will want of the context in slot hint, if that is one: its first
 * line, and that of its direction.
 */
static inline void xi_slots_prefetch(const struct xi_slots *slots, uint32_t hint, bool out)
{
	if (hint < slots->n)
		xi_sa_ctx_prefetch(&slots->slots[hint].ctx, out);
}

/* Worker: the same without a hint, in two steps: the way to the context; then what a packet wants of it, if there is one. */
static inline void xi_slots_prefetch_way(const struct xi_slots *slots, uint32_t sa_index)
{
	if (XI_SA_SLOT(sa_index) < slots->nsas)
		__builtin_prefetch(&slots->by_sa[XI_SA_SLOT(sa_index)]);
}

static inline bool xi_slots_prefetch_context(const struct xi_slots *slots, uint32_t sa_index, bool out)
{
	const struct xi_sa_ctx *ctx;

	if (XI_SA_SLOT(sa_index) >= slots->nsas)
		return false;
	ctx = rcu_dereference(slots->by_sa[XI_SA_SLOT(sa_index)]);
	if (ctx)
		xi_sa_ctx_prefetch(ctx, out);
	return ctx;
}

/* Slot number of an SA, XI_NO_SLOT when it has none. */
uint32_t xi_slots_number(const struct xi_slots *slots, uint32_t sa_index);
/* Expands the keys into a free slot and publishes it. -ENOSPC: none is free. *number is the slot's, XI_NO_SLOT on failure. */
int xi_slots_fill(struct xi_slots *slots, const struct xi_sa_rec *rec, uint32_t *number);
/* Takes the context away from new packets; the slot is free again after xi_slots_reclaim. */
void xi_slots_empty(struct xi_slots *slots, uint32_t sa_index);
/* After a grace period: wipes and frees what was emptied before it. */
void xi_slots_reclaim(struct xi_slots *slots);
/*
 * Least recently used of the next few slots, the SA index in it; 0 when each of them was used at or after `since`
 * (seconds since the epoch).
 */
uint32_t xi_slots_victim(struct xi_slots *slots, uint64_t since);

#endif
