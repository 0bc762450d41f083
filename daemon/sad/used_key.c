/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A key manager that moves an SA (MOBIKE, RFC 4555) deletes it and adds it again with the same key;
 * should it give an old sequence number, ours wins.
 */
#include "sad/used_key.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE XI_SLOT_MAP_NONE

void xi_used_keys_init(struct xi_used_keys *used, uint32_t max)
{
	*used = (struct xi_used_keys){ .max = max, .newest = NONE, .oldest = NONE };
}

void xi_used_keys_free(struct xi_used_keys *used)
{
	free(used->keys);
	xi_slot_map_free(&used->by_name);
}

static uint32_t key_find(const struct xi_used_keys *used, const struct xi_key_name *name)
{
	uint32_t at = 0, i;

	do {
		i = xi_slot_map_next(&used->by_name, xi_key_name_hash(name), &at);
	} while (i != NONE && memcmp(&used->keys[i].name, name, sizeof(*name)));
	return i;
}

static void age_unlink(struct xi_used_keys *used, uint32_t i)
{
	struct xi_used_key *key = &used->keys[i];

	if (key->newer == NONE)
		used->newest = key->older;
	else
		used->keys[key->newer].older = key->older;
	if (key->older == NONE)
		used->oldest = key->newer;
	else
		used->keys[key->older].newer = key->newer;
}

static void age_link(struct xi_used_keys *used, uint32_t i)
{
	struct xi_used_key *key = &used->keys[i];

	key->newer = NONE;
	key->older = used->newest;
	if (used->newest == NONE)
		used->oldest = i;
	else
		used->keys[used->newest].newer = i;
	used->newest = i;
}

static int room_make(struct xi_used_keys *used)
{
	uint32_t room = used->room ? 2 * used->room : 64;
	struct xi_used_key *keys;

	if (used->n < used->room)
		return 0;
	if (room > used->max)
		room = used->max;
	if (xi_slot_map_reserve(&used->by_name, room))
		return -ENOMEM;
	keys = realloc(used->keys, room * sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	used->keys = keys;
	used->room = room;
	return 0;
}

/* A place for one more: a new one, else the oldest key's. NONE: no memory for the first. */
static uint32_t key_take(struct xi_used_keys *used)
{
	uint32_t i = used->oldest;

	if (used->n < used->max && !room_make(used))
		return used->n++;
	if (i == NONE)
		return NONE;
	age_unlink(used, i);
	xi_slot_map_del(&used->by_name, xi_key_name_hash(&used->keys[i].name), i);
	return i;
}

void xi_used_keys_note(struct xi_used_keys *used, const struct xi_key_name *name, uint64_t oseq)
{
	uint32_t i;

	if (!oseq)
		return;
	i = key_find(used, name);
	if (i != NONE) {
		age_unlink(used, i);
		if (used->keys[i].oseq < oseq)
			used->keys[i].oseq = oseq;
	} else {
		i = key_take(used);
		if (i == NONE)
			return;
		used->keys[i].name = *name;
		used->keys[i].oseq = oseq;
		xi_slot_map_add(&used->by_name, xi_key_name_hash(name), i);
	}
	age_link(used, i);
}

uint64_t xi_used_keys_oseq(const struct xi_used_keys *used, const struct xi_key_name *name)
{
	uint32_t i = key_find(used, name);

	return i == NONE ? 0 : used->keys[i].oseq;
}
