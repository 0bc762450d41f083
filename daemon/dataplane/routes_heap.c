/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/routes_heap.h"

#include <stdbool.h>
#include <stddef.h>

static bool heap_before(const struct xi_heap_node *a, const struct xi_heap_node *b)
{
	return a->major != b->major ? a->major < b->major : a->minor < b->minor;
}

/* Of two heaps, neither of which has siblings. */
static struct xi_heap_node *heap_meld(struct xi_heap_node *a, struct xi_heap_node *b)
{
	struct xi_heap_node *top = a;

	if (!a || !b)
		return a ? a : b;
	if (heap_before(b, a)) {
		top = b;
		b = a;
	}
	b->prev = top;
	b->next = top->child;
	if (b->next)
		b->next->prev = b;
	top->child = b;
	return top;
}

/* Siblings two by two, then all from the last to the first: a logarithm in the long run. */
static struct xi_heap_node *heap_join(struct xi_heap_node *first)
{
	struct xi_heap_node *pairs = NULL, *a, *b, *pair, *top = NULL;

	while (first) {
		a = first;
		b = a->next;
		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		pair = heap_meld(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	while (pairs) {
		pair = pairs;
		pairs = pair->next;
		pair->next = NULL;
		top = heap_meld(top, pair);
	}
	return top;
}

void xi_heap_insert(struct xi_heap_node **heap, struct xi_heap_node *node)
{
	node->child = node->next = node->prev = NULL;
	*heap = heap_meld(*heap, node);
}

void xi_heap_remove(struct xi_heap_node **heap, struct xi_heap_node *node)
{
	struct xi_heap_node *rest = heap_join(node->child);

	if (*heap == node) {
		*heap = rest;
	} else {
		if (node->prev->child == node)
			node->prev->child = node->next;
		else
			node->prev->next = node->next;
		if (node->next)
			node->next->prev = node->prev;
		*heap = heap_meld(*heap, rest);
	}
	node->child = node->next = node->prev = NULL;
}
