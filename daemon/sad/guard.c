/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policy guard that XDP asks (struct xi_guard_key). What is in the store is always what
 * policies need, or more than that: added before a policy counts, taken out after it has ceased to.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xipsec/guard.h>

#include "log.h"

static struct xi_guard_key guard_key(const struct xi_policy *policy)
{
	const struct xi_selector *sel = &policy->sel;

	return (struct xi_guard_key){
		.saddr = xi_guard_fold(sel->saddr, sel->prefixlen_s, sel->family),
		.daddr = xi_guard_fold(sel->daddr, sel->prefixlen_d, sel->family),
		.prefixlen_s = sel->prefixlen_s,
		.prefixlen_d = sel->prefixlen_d,
		.dir = policy->dir == XI_OUT ? XI_OUT : XI_IN,
		.family = sel->family,
	};
}

static struct xi_mask *mask_find(const struct xi_guards *g, const struct xi_guard_key *key)
{
	uint32_t i;

	for (i = 0; i < g->nmasks; i++) {
		struct xi_guard_mask *m = &g->masks[i].mask;

		if (m->prefixlen_s == key->prefixlen_s && m->prefixlen_d == key->prefixlen_d &&
		    m->dir == key->dir && m->family == key->family)
			return &g->masks[i];
	}
	return NULL;
}

/*
 * A mask keeps its row as long as it lives: XDP, in the middle of the table, never misses one that
 * moves.
 */
static uint32_t row_take(const struct xi_guards *g)
{
	uint32_t used = 0, i;

	_Static_assert(XI_MAX_MASKS == 32, "rows fit one word");
	for (i = 0; i < g->nmasks; i++)
		if (g->masks[i].row < XI_MAX_MASKS)
			used |= 1U << g->masks[i].row;
	return used == UINT32_MAX ? XI_NO_SLOT : (uint32_t)__builtin_ctz(~used);
}

static int mask_ref(struct xi_guards *g, const struct xi_guard_key *key)
{
	struct xi_mask *mask = mask_find(g, key), *masks;

	if (mask) {
		mask->guards++;
		return 0;
	}
	if (g->nmasks == g->room) {
		masks = realloc(g->masks, 2 * (g->room + 8) * sizeof(*masks));
		if (!masks)
			return -ENOMEM;
		g->masks = masks;
		g->room = 2 * (g->room + 8);
	}
	g->masks[g->nmasks] = (struct xi_mask){
		.mask = { key->prefixlen_s, key->prefixlen_d, key->dir, 1, key->family },
		.guards = 1,
		.row = row_take(g),
	};
	g->nmasks++;
	return 0;
}

static void mask_unref(struct xi_guards *g, const struct xi_guard_key *key)
{
	struct xi_mask *mask = mask_find(g, key);

	if (!mask || --mask->guards)
		return;
	memmove(mask, mask + 1, (g->masks + --g->nmasks - mask) * sizeof(*mask));
}

/* Masks that found no row before take those that became free. */
static void rows_fill(struct xi_guards *g)
{
	uint32_t i;

	for (i = 0; i < g->nmasks; i++)
		if (g->masks[i].row == XI_NO_SLOT)
			g->masks[i].row = row_take(g);
}

/*
 * XDP stops at the first row that is not used, so rows in between are used by a direction that no
 * packet has.
 */
static void table_fill(const struct xi_guards *g, struct xi_guard_mask table[XI_MAX_MASKS])
{
	uint32_t i, end = 0;

	memset(table, 0, XI_MAX_MASKS * sizeof(*table));
	for (i = 0; i < g->nmasks; i++) {
		uint32_t row = g->masks[i].row;

		if (row == XI_NO_SLOT)
			continue;
		table[row] = g->masks[i].mask;
		if (end <= row)
			end = row + 1;
	}
	for (i = 0; i < end; i++)
		if (!table[i].used)
			table[i] = (struct xi_guard_mask){ .dir = XI_DIR_MAX, .used = 1 };
}

int xi_guard_store_masks(struct xi_spd *spd)
{
	struct xi_guards *g = &spd->guards;
	struct xi_guard_mask table[XI_MAX_MASKS];
	int err;

	table_fill(g, table);
	if (!memcmp(table, g->stored, sizeof(table)))
		return 0;
	err = spd->store.ops->masks_put(spd->store.s, table);
	if (err)
		memset(g->stored, 0xff, sizeof(g->stored)); /* any part of it may be there now */
	else
		memcpy(g->stored, table, sizeof(table));
	return err;
}

/* A direction with a mask that has no row is guarded as a whole. */
void xi_guard_flags(const struct xi_spd *spd, uint32_t flags[XI_DIR_MAX])
{
	uint32_t i;

	memset(flags, 0, XI_DIR_MAX * sizeof(*flags));
	for (i = 0; i < spd->guards.nmasks; i++)
		if (spd->guards.masks[i].row == XI_NO_SLOT)
			flags[spd->guards.masks[i].mask.dir] |= XI_GUARD_ALL;
}

static struct xi_guard *guard_get(struct xi_spd *spd, const struct xi_guard_key *key)
{
	struct xi_guard *guard;

	HASH_FIND(hh, spd->guards.guards, key, sizeof(*key), guard);
	if (guard)
		return guard;
	guard = calloc(1, sizeof(*guard));
	if (!guard)
		return NULL;
	guard->key = *key;
	HASH_ADD(hh, spd->guards.guards, key, sizeof(guard->key), guard);
	return guard;
}

/* Key first, then masks: with the key missing, a mask would find nothing and let the packet go. */
int xi_guard_add(struct xi_spd *spd, const struct xi_policy *policy)
{
	struct xi_guard_key key = guard_key(policy);
	struct xi_guard *guard;
	int err;

	if (!xi_policy_guarded(policy))
		return 0;
	guard = guard_get(spd, &key);
	if (!guard)
		return -ENOMEM;
	err = spd->store.ops->guard_put(spd->store.s, &key, guard->policies + 1);
	if (err)
		return err;
	guard->stored = ++guard->policies;
	if (guard->policies > 1)
		return 0;
	err = mask_ref(&spd->guards, &key);
	if (!err) {
		err = xi_guard_store_masks(spd);
		if (err)
			mask_unref(&spd->guards, &key);
	}
	if (err)
		guard->policies--;
	return err;
}

void xi_guard_drop(struct xi_spd *spd, const struct xi_policy *policy)
{
	struct xi_guard_key key = guard_key(policy);
	struct xi_guard *guard;

	if (!xi_policy_guarded(policy))
		return;
	HASH_FIND(hh, spd->guards.guards, &key, sizeof(key), guard);
	if (guard && guard->policies && !--guard->policies)
		mask_unref(&spd->guards, &key);
}

static int guard_settle(struct xi_spd *spd, struct xi_guard *guard)
{
	const struct xi_store *store = &spd->store;
	int err;

	if (guard->policies) {
		if (guard->policies == guard->stored)
			return 0;
		err = store->ops->guard_put(store->s, &guard->key, guard->policies);
		if (!err)
			guard->stored = guard->policies;
		return err;
	}
	err = store->ops->guard_del(store->s, &guard->key);
	if (err && err != -ENOENT)
		return err;
	HASH_DEL(spd->guards.guards, guard);
	free(guard);
	return 0;
}

/* Masks before flags: a direction stops being guarded as a whole when the table is complete. */
void xi_guard_sweep(struct xi_spd *spd)
{
	struct xi_guard *guard, *next;
	int err, failed;

	rows_fill(&spd->guards);
	err = xi_guard_store_masks(spd);
	if (!err)
		err = xi_spd_config_write(spd, spd->generation, true);
	HASH_ITER(hh, spd->guards.guards, guard, next) {
		failed = guard_settle(spd, guard);
		if (failed)
			err = failed;
	}
	if (err)
		log_warnx("policy guard not yet cleared of deleted policies: %s; more packets than necessary ask the daemon",
			  strerror(-err));
}

void xi_guards_free(struct xi_spd *spd)
{
	struct xi_guard *guard, *next;

	HASH_ITER(hh, spd->guards.guards, guard, next) {
		HASH_DEL(spd->guards.guards, guard);
		free(guard);
	}
	free(spd->guards.masks);
}
