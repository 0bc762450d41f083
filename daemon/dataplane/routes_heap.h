/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pairing heap of policies in the order in which they are asked; what it needs is in its elements. */
#ifndef XI_ROUTES_HEAP_H
#define XI_ROUTES_HEAP_H

#include <stdint.h>

struct xi_heap_node {
	uint64_t major, minor;       /* order: by major, then by minor */
	struct xi_heap_node *child, *next, *prev; /* prev: elder sibling, of the first the parent */
};

/* *heap NULL: empty; else the first of all. */
void xi_heap_insert(struct xi_heap_node **heap, struct xi_heap_node *node);
void xi_heap_remove(struct xi_heap_node **heap, struct xi_heap_node *node);

#endif
