/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Slots of sa_state, and the generations of their indexes. */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>

static void slot_append(struct xi_sad_slots *s, uint32_t slot)
{
	s->next[slot] = XI_NO_SLOT;
	if (s->head == XI_NO_SLOT)
		s->head = slot;
	else
		s->next[s->tail] = slot;
	s->tail = slot;
}

int xi_slots_init(struct xi_sad *sad)
{
	struct xi_sad_slots *s = &sad->slots;
	uint32_t i;

	s->n = sad->store.nstates;
	if (s->n > XI_SAS_MAX)
		s->n = XI_SAS_MAX;
	if (!s->n)
		return -EINVAL;
	s->recs = calloc(s->n, sizeof(*s->recs));
	s->nodes = calloc(s->n, sizeof(*s->nodes));
	s->superseded = calloc(s->n, sizeof(*s->superseded));
	s->gens = calloc(s->n, sizeof(*s->gens));
	s->next = calloc(s->n, sizeof(*s->next));
	if (!s->recs || !s->nodes || !s->superseded || !s->gens || !s->next)
		return -ENOMEM;
	s->head = XI_NO_SLOT;
	for (i = 0; i < s->n; i++)
		slot_append(s, i);
	return xi_windows_init(sad);
}

void xi_slots_free(struct xi_sad *sad)
{
	free(sad->slots.recs);
	free(sad->slots.nodes);
	free(sad->slots.superseded);
	free(sad->slots.gens);
	free(sad->slots.next);
	xi_windows_free(sad);
}

/* Serial number arithmetic in 1 .. XI_SA_GEN_MAX; everything is newer than 0. */
bool xi_generation_newer(uint32_t a, uint32_t b)
{
	uint32_t ahead = (a + XI_SA_GEN_MAX - b) % XI_SA_GEN_MAX;

	return !b || (ahead && ahead < XI_SA_GEN_MAX / 2);
}

/*
 * Written before the first index of a new generation is given out, so that a later daemon starts
 * beyond it.
 */
static int generation_store(struct xi_sad *sad, uint32_t gen)
{
	const struct xi_store *store = &sad->store;
	struct xi_config config;
	int err;

	err = store->ops->config_get(store->s, &config);
	if (err)
		return err;
	config.sad_generation = gen;
	err = store->ops->config_put(store->s, &config);
	if (!err)
		sad->slots.gen_top = gen;
	return err;
}

int xi_slot_take(struct xi_sad *sad, uint32_t *sa_index)
{
	struct xi_sad_slots *s = &sad->slots;
	uint32_t slot = s->head, gen;
	int err;

	if (slot == XI_NO_SLOT)
		return -ENOSPC;
	gen = s->gens[slot] % XI_SA_GEN_MAX + 1;
	if (xi_generation_newer(gen, s->gen_top)) {
		err = generation_store(sad, gen);
		if (err)
			return err;
	}
	s->head = s->next[slot];
	s->gens[slot] = gen;
	*sa_index = XI_SA_INDEX(gen, slot);
	__atomic_store_n(&s->superseded[slot], 0, __ATOMIC_RELAXED);
	xi_state_reset(&sad->store.states[slot], *sa_index);
	return 0;
}

void xi_slot_give(struct xi_sad *sad, uint32_t slot)
{
	sad->slots.nodes[slot] = NULL;
	xi_state_reset(&sad->store.states[slot], 0);
	slot_append(&sad->slots, slot);
}

void xi_slots_rebuild(struct xi_sad *sad, uint32_t gen_top)
{
	struct xi_sad_slots *s = &sad->slots;
	uint32_t i;

	s->gen_top = gen_top;
	s->head = XI_NO_SLOT;
	for (i = 0; i < s->n; i++) {
		if (s->nodes[i])
			continue;
		s->gens[i] = gen_top;
		if (sad->store.states[i].sa_index)
			xi_state_reset(&sad->store.states[i], 0);
		slot_append(s, i);
	}
}
