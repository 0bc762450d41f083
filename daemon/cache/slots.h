/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Context slots: the SAs whose keys are expanded and ready. The control thread fills and empties them; workers find a
 * context by SA index under RCU (QSBR). The number of slots is the capacity of the fast path.
 */
#ifndef XI_SLOTS_H
#define XI_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

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
	/*
	 * Hash table by SA index, for workers under RCU: heads of chains, and of each slot its SA index (high half) and
	 * the next slot of its chain. Apart from the contexts, so that to find none touches a few small lines. A slot
	 * that was emptied goes on naming its next one until it is filled again, a grace period later.
	 */
	uint32_t *heads;
	uint64_t *links;
	unsigned int hash_shift;
};

/* n slots, whatever the number of SAs. 0 or -errno. */
int xi_slots_create(struct xi_slots *slots, const struct xi_engine *engine, uint32_t n, unsigned int nworkers);
/* No worker runs any more. Wipes keys. */
void xi_slots_destroy(struct xi_slots *slots);

static inline uint32_t xi_slots_hash(const struct xi_slots *slots, uint32_t sa_index)
{
	return (sa_index * 0x9e3779b1U) >> slots->hash_shift;
}

/* XI_NO_SLOT, or a slot that was the SA's a moment ago. */
static inline uint32_t xi_slots_look(const struct xi_slots *slots, uint32_t sa_index)
{
	uint32_t number = __atomic_load_n(&slots->heads[xi_slots_hash(slots, sa_index)], __ATOMIC_ACQUIRE);
	uint64_t link;

	for (; number != XI_NO_SLOT; number = (uint32_t)link) {
		link = __atomic_load_n(&slots->links[number], __ATOMIC_ACQUIRE);
		if (link >> 32 == sa_index)
			break;
	}
	return number;
}

/*
 * Worker: the context of an SA, NULL when it has no slot. Valid until the next quiescent state. hint: the slot that the
 * cache named when the packet's verdict was made, which saves the way through the hash table while it is still right; a
 * slot's ctx.sa_index is written last when it is filled and zeroed first when it is emptied.
 */
static inline const struct xi_sa_ctx *xi_slots_find(const struct xi_slots *slots, uint32_t sa_index, uint32_t hint)
{
	const struct xi_sa_ctx *ctx;

	if (hint < slots->n) {
		ctx = &slots->slots[hint].ctx;
		if (__atomic_load_n(&ctx->sa_index, __ATOMIC_ACQUIRE) == sa_index)
			return ctx;
	}
	hint = xi_slots_look(slots, sa_index);
	if (hint == XI_NO_SLOT)
		return NULL;
	ctx = &slots->slots[hint].ctx;
	return __atomic_load_n(&ctx->sa_index, __ATOMIC_ACQUIRE) == sa_index ? ctx : NULL;
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
	__builtin_prefetch(&slots->heads[xi_slots_hash(slots, sa_index)]);
}

static inline bool xi_slots_prefetch_context(const struct xi_slots *slots, uint32_t sa_index, bool out)
{
	uint32_t number = xi_slots_look(slots, sa_index);

	if (number == XI_NO_SLOT)
		return false;
	xi_sa_ctx_prefetch(&slots->slots[number].ctx, out);
	return true;
}

/* Slot number of an SA, XI_NO_SLOT when it has none. */
uint32_t xi_slots_number(const struct xi_slots *slots, uint32_t sa_index);
/* Expands the keys into a free slot and publishes it. -ENOSPC: none is free. *number is the slot's, XI_NO_SLOT on failure. */
int xi_slots_fill(struct xi_slots *slots, const struct xi_sa_rec *rec, uint32_t *number);
/* Takes the context away from new packets; the slot is free again after xi_slots_reclaim. */
void xi_slots_empty(struct xi_slots *slots, uint32_t sa_index);
/* After a grace period: wipes and frees what was emptied before it. */
void xi_slots_reclaim(struct xi_slots *slots);

#endif
