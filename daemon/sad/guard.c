/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policy guard that XDP asks (struct xi_guard_key). What is in the store is always what
 * policies need, or more than that: added before a policy counts, taken out after it has ceased to.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

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

static struct xi_guard_mask mask_of(const struct xi_guard_key *key)
{
	return (struct xi_guard_mask){key->prefixlen_s, key->prefixlen_d, key->dir, 1, key->family};
}

static struct xi_mask *mask_find(const struct xi_guards *g, const struct xi_guard_key *key)
{
	struct xi_guard_mask mask = mask_of(key);
	struct xi_mask *found;

	HASH_FIND(hh, g->masks, &mask, sizeof(mask), found);
	return found;
}

/*
 * A mask keeps its row as long as it lives: XDP, in the middle of the table, never misses one that
 * moves.
 */
static void row_take(struct xi_guards *g, struct xi_mask *mask)
{
	for (mask->row = 0; mask->row < XI_MAX_MASKS; mask->row++)
		if (!g->rows[mask->row])
			break;
	if (mask->row < XI_MAX_MASKS) {
		g->rows[mask->row] = mask;
		return;
	}
	mask->row = XI_NO_SLOT;
	DL_APPEND(g->rowless, mask);
	g->nrowless[mask->mask.dir]++;
}

static void row_leave(struct xi_guards *g, struct xi_mask *mask)
{
	if (mask->row != XI_NO_SLOT) {
		g->rows[mask->row] = NULL;
		return;
	}
	DL_DELETE(g->rowless, mask);
	g->nrowless[mask->mask.dir]--;
}

static int mask_ref(struct xi_guards *g, const struct xi_guard_key *key)
{
	struct xi_mask *mask = mask_find(g, key);

	if (!mask) {
		mask = calloc(1, sizeof(*mask));
		if (!mask)
			return -ENOMEM;
		mask->mask = mask_of(key);
		HASH_ADD(hh, g->masks, mask, sizeof(mask->mask), mask);
		row_take(g, mask);
	}
	mask->guards++;
	return 0;
}

static void mask_unref(struct xi_guards *g, const struct xi_guard_key *key)
{
	struct xi_mask *mask = mask_find(g, key);

	if (!mask || --mask->guards)
		return;
	row_leave(g, mask);
	HASH_DEL(g->masks, mask);
	free(mask);
}

/* Masks that found no row before take those that became free. */
static void rows_fill(struct xi_guards *g)
{
	uint32_t i;

	for (i = 0; i < XI_MAX_MASKS && g->rowless; i++) {
		struct xi_mask *mask = g->rowless;

		if (g->rows[i])
			continue;
		row_leave(g, mask);
		row_take(g, mask);
	}
}

/*
 * XDP stops at the first row that is not used, so rows in between are used by a direction that no
 * packet has.
 */
static void table_fill(const struct xi_guards *g, struct xi_guard_mask table[XI_MAX_MASKS])
{
	uint32_t i, end = 0;

	memset(table, 0, XI_MAX_MASKS * sizeof(*table));
	for (i = 0; i < XI_MAX_MASKS; i++) {
		if (!g->rows[i])
			continue;
		table[i] = g->rows[i]->mask;
		end = i + 1;
	}
	for (i = 0; i < end; i++)
		if (!table[i].used)
			table[i] = (struct xi_guard_mask){ .dir = XI_DIR_MAX, .used = 1 };
}

static int masks_store(struct xi_spd *spd)
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
	unsigned int dir;

	for (dir = 0; dir < XI_DIR_MAX; dir++)
		flags[dir] = spd->guards.nrowless[dir] ? XI_GUARD_ALL : 0;
}

static void guard_unsettle(struct xi_guards *g, struct xi_guard *guard)
{
	if (guard->unsettled)
		return;
	guard->unsettled = true;
	DL_APPEND(g->unsettled, guard);
}

static void guard_settled(struct xi_guards *g, struct xi_guard *guard)
{
	guard->unsettled = false;
	DL_DELETE(g->unsettled, guard);
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
	guard_unsettle(&spd->guards, guard);
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
		err = masks_store(spd);
		if (err)
			mask_unref(&spd->guards, &key);
	}
	if (err) {
		guard->policies--;
		guard_unsettle(&spd->guards, guard);
	}
	return err;
}

void xi_guard_drop(struct xi_spd *spd, const struct xi_policy *policy)
{
	struct xi_guard_key key = guard_key(policy);
	struct xi_guard *guard;

	if (!xi_policy_guarded(policy))
		return;
	HASH_FIND(hh, spd->guards.guards, &key, sizeof(key), guard);
	if (!guard || !guard->policies)
		return;
	guard_unsettle(&spd->guards, guard);
	if (!--guard->policies)
		mask_unref(&spd->guards, &key);
}

static int guard_settle(struct xi_spd *spd, struct xi_guard *guard)
{
	const struct xi_store *store = &spd->store;
	int err = 0;

	if (guard->policies != guard->stored || !guard->policies)
		err = guard->policies
			      ? store->ops->guard_put(store->s, &guard->key, guard->policies)
			      : store->ops->guard_del(store->s, &guard->key);
	if (err == -ENOENT && !guard->policies)
		err = 0;
	if (err)
		return err;
	guard->stored = guard->policies;
	guard_settled(&spd->guards, guard);
	if (!guard->policies) {
		HASH_DEL(spd->guards.guards, guard);
		free(guard);
	}
	return 0;
}

/* Masks before flags: a direction stops being guarded as a whole when the table is complete. */
void xi_guard_sweep(struct xi_spd *spd)
{
	struct xi_guard *guard, *next;
	int err, failed;

	rows_fill(&spd->guards);
	err = masks_store(spd);
	if (!err)
		err = xi_spd_config_write(spd, spd->generation, true);
	DL_FOREACH_SAFE (spd->guards.unsettled, guard, next) {
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
	struct xi_mask *mask, *tmp;

	HASH_ITER(hh, spd->guards.guards, guard, next) {
		HASH_DEL(spd->guards.guards, guard);
		free(guard);
	}
	HASH_ITER(hh, spd->guards.masks, mask, tmp) {
		HASH_DEL(spd->guards.masks, mask);
		free(mask);
	}
}
