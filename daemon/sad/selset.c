/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/selset.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>
#include <utlist.h>

#include "sad/selector.h"
#include "sad/spd_priv.h"

/* Members of a set whose prefixes have these lengths. */
struct xi_selset_tuple {
	enum xi_family family;
	uint8_t prefixlen_s, prefixlen_d;
	struct xi_selset_cell *cells;
	struct xi_selset_tuple *prev, *next;
};

struct cell_key {
	const struct xi_selset_tuple *tuple;
	uint8_t saddr[16], daddr[16];
};

/* Members of a tuple with these prefixes. */
struct xi_selset_cell {
	struct cell_key key;
	struct xi_selset_tuple *tuple;
	struct xi_selset_member *members;
	struct xi_selset_cell *prev, *next; /* of the tuple */
	UT_hash_handle hh;
};

static struct cell_key cell_key(const struct xi_selset_tuple *tuple, const struct xi_selector *sel)
{
	struct cell_key key = {.tuple = tuple};

	xi_prefix_mask(key.saddr, sel->saddr, tuple->prefixlen_s);
	xi_prefix_mask(key.daddr, sel->daddr, tuple->prefixlen_d);
	return key;
}

static struct xi_selset_tuple *tuple_get(struct xi_selset *set, const struct xi_selector *sel)
{
	struct xi_selset_tuple *tuple;

	DL_FOREACH (set->tuples, tuple)
		if (tuple->family == sel->family && tuple->prefixlen_s == sel->prefixlen_s &&
		    tuple->prefixlen_d == sel->prefixlen_d)
			return tuple;
	tuple = calloc(1, sizeof(*tuple));
	if (!tuple)
		return NULL;
	tuple->family = sel->family;
	tuple->prefixlen_s = sel->prefixlen_s;
	tuple->prefixlen_d = sel->prefixlen_d;
	DL_APPEND(set->tuples, tuple);
	return tuple;
}

static void tuple_put(struct xi_selset *set, struct xi_selset_tuple *tuple)
{
	if (tuple->cells)
		return;
	DL_DELETE(set->tuples, tuple);
	free(tuple);
}

static struct xi_selset_cell *cell_find(const struct xi_selset_table *table,
					const struct cell_key *key)
{
	struct xi_selset_cell *cell;

	HASH_FIND(hh, table->cells, key, sizeof(*key), cell);
	return cell;
}

static struct xi_selset_cell *cell_get(struct xi_selset_table *table, struct xi_selset_tuple *tuple,
				       const struct xi_selector *sel)
{
	struct cell_key key = cell_key(tuple, sel);
	struct xi_selset_cell *cell = cell_find(table, &key);

	if (cell)
		return cell;
	cell = calloc(1, sizeof(*cell));
	if (!cell)
		return NULL;
	cell->key = key;
	cell->tuple = tuple;
	DL_APPEND(tuple->cells, cell);
	HASH_ADD(hh, table->cells, key, sizeof(cell->key), cell);
	return cell;
}

int xi_selset_add(struct xi_selset_table *table, struct xi_selset *set,
		  struct xi_selset_member *member)
{
	struct xi_selset_tuple *tuple = tuple_get(set, member->sel);

	if (!tuple)
		return -ENOMEM;
	member->cell = cell_get(table, tuple, member->sel);
	if (!member->cell) {
		tuple_put(set, tuple);
		return -ENOMEM;
	}
	DL_APPEND(member->cell->members, member);
	return 0;
}

void xi_selset_del(struct xi_selset_table *table, struct xi_selset *set,
		   struct xi_selset_member *member)
{
	struct xi_selset_cell *cell = member->cell;
	struct xi_selset_tuple *tuple;

	if (!cell)
		return;
	member->cell = NULL;
	DL_DELETE(cell->members, member);
	if (cell->members)
		return;
	tuple = cell->tuple;
	DL_DELETE(tuple->cells, cell);
	HASH_DEL(table->cells, cell);
	free(cell);
	tuple_put(set, tuple);
}

static void cell_each(const struct xi_selset_cell *cell, const struct xi_selector *sel,
		      void (*fn)(void *arg, struct xi_selset_member *member), void *arg)
{
	struct xi_selset_member *member;

	DL_FOREACH (cell->members, member)
		if (xi_selector_overlaps(member->sel, sel))
			fn(arg, member);
}

void xi_selset_each(const struct xi_selset_table *table, const struct xi_selset *set,
		    const struct xi_selector *sel,
		    void (*fn)(void *arg, struct xi_selset_member *member), void *arg)
{
	const struct xi_selset_tuple *tuple;
	const struct xi_selset_cell *cell;

	DL_FOREACH (set->tuples, tuple) {
		if (tuple->prefixlen_s <= sel->prefixlen_s && tuple->prefixlen_d <= sel->prefixlen_d) {
			struct cell_key key = cell_key(tuple, sel);

			cell = cell_find(table, &key);
			if (cell)
				cell_each(cell, sel, fn, arg);
			continue;
		}
		DL_FOREACH (tuple->cells, cell)
			cell_each(cell, sel, fn, arg);
	}
}
