/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define VICTIM_SAMPLE 32

static void slot_push(struct xi_slots *slots, uint32_t *list, uint32_t number)
{
	slots->slots[number].next_free = *list;
	*list = number;
}

static uint32_t slot_pop(struct xi_slots *slots, uint32_t *list)
{
	uint32_t number = *list;

	if (number != XI_NO_SLOT)
		*list = slots->slots[number].next_free;
	return number;
}

int xi_slots_create(struct xi_slots *slots, const struct xi_engine *engine, uint32_t n,
		    uint32_t nsas, unsigned int nworkers)
{
	uint32_t i;

	memset(slots, 0, sizeof(*slots));
	slots->engine = engine;
	slots->nworkers = nworkers;
	slots->free = slots->limbo = XI_NO_SLOT;
	slots->slots = aligned_alloc(64, sizeof(*slots->slots) * n);
	slots->by_sa = calloc(nsas, sizeof(struct xi_sa_ctx *));
	if (!slots->slots || !slots->by_sa) {
		xi_slots_destroy(slots);
		return -ENOMEM;
	}
	memset(slots->slots, 0, sizeof(*slots->slots) * n);
	slots->n = n;
	slots->nsas = nsas;
	for (i = n; i-- > 0;)
		slot_push(slots, &slots->free, i);
	return 0;
}

static void slot_wipe(struct xi_slots *slots, struct xi_slot *slot)
{
	slots->engine->key_free(slot->ckey);
	slot->ckey = NULL;
	slot->sa_index = 0;
	memset(&slot->ctx, 0, sizeof(slot->ctx));
}

void xi_slots_destroy(struct xi_slots *slots)
{
	uint32_t i;

	for (i = 0; i < slots->n; i++)
		slot_wipe(slots, &slots->slots[i]);
	free(slots->slots);
	free(slots->by_sa);
	memset(slots, 0, sizeof(*slots));
}

uint32_t xi_slots_number(const struct xi_slots *slots, uint32_t sa_index)
{
	const struct xi_sa_ctx *ctx = xi_slots_find(slots, sa_index, XI_NO_SLOT);

	if (!ctx)
		return XI_NO_SLOT;
	return (const struct xi_slot *)ctx - slots->slots;
}

int xi_slots_fill(struct xi_slots *slots, const struct xi_sa_rec *rec, uint32_t *number)
{
	struct xi_sa_ctx ctx;
	struct xi_slot *slot;
	int err;

	*number = slot_pop(slots, &slots->free);
	if (*number == XI_NO_SLOT)
		return -ENOSPC;
	slot = &slots->slots[*number];
	err = slots->engine->key_new(&slot->ckey, &rec->key, slots->nworkers);
	if (!err)
		err = xi_sa_ctx_init(&ctx, &rec->sa, &rec->key, rec->state, rec->words,
				     rec->nwords);
	if (err) {
		slot_wipe(slots, slot);
		slot_push(slots, &slots->free, *number);
		*number = XI_NO_SLOT;
		return err;
	}
	ctx.key = slot->ckey;
	ctx.sa_index = 0;
	slot->ctx = ctx;
	slot->sa_index = rec->sa.sa_index;
	slots->used++;
	__atomic_store_n(&slot->ctx.sa_index, slot->sa_index, __ATOMIC_RELEASE);
	rcu_assign_pointer(slots->by_sa[XI_SA_SLOT(slot->sa_index)], &slot->ctx);
	return 0;
}

void xi_slots_empty(struct xi_slots *slots, uint32_t sa_index)
{
	uint32_t number = xi_slots_number(slots, sa_index);

	if (number == XI_NO_SLOT)
		return;
	rcu_assign_pointer(slots->by_sa[XI_SA_SLOT(sa_index)], NULL);
	__atomic_store_n(&slots->slots[number].ctx.sa_index, 0, __ATOMIC_RELEASE);
	slots->slots[number].sa_index = 0;
	slots->used--;
	slot_push(slots, &slots->limbo, number);
}

void xi_slots_reclaim(struct xi_slots *slots)
{
	uint32_t number;

	while ((number = slot_pop(slots, &slots->limbo)) != XI_NO_SLOT) {
		slot_wipe(slots, &slots->slots[number]);
		slot_push(slots, &slots->free, number);
	}
}

uint32_t xi_slots_victim(struct xi_slots *slots, uint64_t since)
{
	uint64_t last, oldest = since;
	uint32_t i, victim = 0;

	for (i = 0; i < VICTIM_SAMPLE && i < slots->n; i++) {
		const struct xi_slot *slot = &slots->slots[slots->hand];

		slots->hand = slots->hand + 1 < slots->n ? slots->hand + 1 : 0;
		if (!slot->sa_index)
			continue;
		last = __atomic_load_n(&slot->ctx.state->last_use, __ATOMIC_RELAXED);
		if (last < oldest) {
			oldest = last;
			victim = slot->sa_index;
		}
	}
	return victim;
}
