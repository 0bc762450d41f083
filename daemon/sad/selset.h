/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sets of selectors, and which of a set overlap a given one. Those whose prefixes are as wide as the given one's, or
 * wider, are found by hashing; of narrower ones all are walked, since most of them overlap. The control thread only.
 */
#ifndef XI_SELSET_H
#define XI_SELSET_H

#include <stdint.h>

#include <xipsec/abi.h>

struct xi_selset_cell;
struct xi_selset_tuple;

/* Sits in its owner; sel outlives it, and does not change. */
struct xi_selset_member {
	const struct xi_selector *sel;
	struct xi_selset_cell *cell;
	struct xi_selset_member *prev, *next;
};

/* Empty when zero. */
struct xi_selset {
	struct xi_selset_tuple *tuples;
};

/* Of all sets that share it; empty when NULL. */
struct xi_selset_table {
	struct xi_selset_cell *cells;
};

/* 0 or -ENOMEM. */
int xi_selset_add(struct xi_selset_table *table, struct xi_selset *set,
		  struct xi_selset_member *member);
void xi_selset_del(struct xi_selset_table *table, struct xi_selset *set,
		   struct xi_selset_member *member);
/* Calls fn for each member that overlaps sel, in no order. fn changes no set. */
void xi_selset_each(const struct xi_selset_table *table, const struct xi_selset *set,
		    const struct xi_selector *sel,
		    void (*fn)(void *arg, struct xi_selset_member *member), void *arg);

#endif
