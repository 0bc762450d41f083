/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* Half full when every slot is in use. */
static unsigned int slots_hash_bits(uint32_t n)
{
	unsigned int bits = 1;

	while (bits < 31 && 1U << bits < 2 * n)
		bits++;
	return bits;
}

int xi_slots_create(struct xi_slots *slots, const struct xi_engine *engine, uint32_t n,
		    unsigned int nworkers)
{
	unsigned int bits = slots_hash_bits(n);
	uint32_t i;

	memset(slots, 0, sizeof(*slots));
	slots->engine = engine;
	slots->nworkers = nworkers;
	slots->free = slots->limbo = XI_NO_SLOT;
	slots->hash_shift = 32 - bits;
	slots->slots = aligned_alloc(64, sizeof(*slots->slots) * n);
	slots->links = calloc(n, sizeof(*slots->links));
	slots->heads = malloc(sizeof(*slots->heads) << bits);
	if (!slots->slots || !slots->links || !slots->heads) {
		xi_slots_destroy(slots);
		return -ENOMEM;
	}
	memset(slots->slots, 0, sizeof(*slots->slots) * n);
	memset(slots->heads, 0xff, sizeof(*slots->heads) << bits); /* XI_NO_SLOT */
	slots->n = n;
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
	free(slots->links);
	free(slots->heads);
	memset(slots, 0, sizeof(*slots));
}

uint32_t xi_slots_number(const struct xi_slots *slots, uint32_t sa_index)
{
	const struct xi_sa_ctx *ctx = xi_slots_find(slots, sa_index, XI_NO_SLOT);

	if (!ctx)
		return XI_NO_SLOT;
	return (const struct xi_slot *)ctx - slots->slots;
}

static void slot_link(struct xi_slots *slots, uint32_t number)
{
	uint32_t sa_index = slots->slots[number].sa_index;
	uint32_t *head = &slots->heads[xi_slots_hash(slots, sa_index)];

	__atomic_store_n(&slots->links[number], (uint64_t)sa_index << 32 | *head, __ATOMIC_RELAXED);
	__atomic_store_n(head, number, __ATOMIC_RELEASE);
}

static void slot_unlink(struct xi_slots *slots, uint32_t number)
{
	uint32_t *head = &slots->heads[xi_slots_hash(slots, slots->slots[number].sa_index)];
	uint32_t next = (uint32_t)slots->links[number], before = *head;

	if (before == number) {
		__atomic_store_n(head, next, __ATOMIC_RELEASE);
	} else {
		while ((uint32_t)slots->links[before] != number)
			before = (uint32_t)slots->links[before];
		__atomic_store_n(&slots->links[before],
				 (slots->links[before] >> 32) << 32 | next, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&slots->links[number], next, __ATOMIC_RELEASE);
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
	slot_link(slots, *number);
	return 0;
}

void xi_slots_empty(struct xi_slots *slots, uint32_t sa_index)
{
	uint32_t number = xi_slots_number(slots, sa_index);

	if (number == XI_NO_SLOT)
		return;
	slot_unlink(slots, number);
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
