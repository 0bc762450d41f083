/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sorted arrays of policies: by priority, by index. */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more, so that the insert that follows cannot fail. */
int xi_spd_list_reserve(struct xi_spd_list *list)
{
	struct xi_spd_node **nodes;
	uint32_t room = list->room ? 2 * list->room : 16;

	if (list->n < list->room)
		return 0;
	nodes = realloc(list->nodes, room * sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	list->nodes = nodes;
	list->room = room;
	return 0;
}

static bool node_before(const struct xi_spd_node *a, const struct xi_spd_node *b, bool by_index)
{
	const struct xi_policy *x = &a->pub->p.policy, *y = &b->pub->p.policy;

	if (by_index)
		return x->index < y->index;
	if (x->priority != y->priority)
		return x->priority < y->priority;
	return a->order < b->order;
}

void xi_spd_list_insert(struct xi_spd_list *list, struct xi_spd_node *node, bool by_index)
{
	uint32_t low = 0, high = list->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (node_before(list->nodes[mid], node, by_index))
			low = mid + 1;
		else
			high = mid;
	}
	memmove(&list->nodes[low + 1], &list->nodes[low], (list->n - low) * sizeof(*list->nodes));
	list->nodes[low] = node;
	list->n++;
}

void xi_spd_list_remove(struct xi_spd_list *list, const struct xi_spd_node *node)
{
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		if (list->nodes[i] != node)
			continue;
		memmove(&list->nodes[i], &list->nodes[i + 1],
			(list->n - i - 1) * sizeof(*list->nodes));
		list->n--;
		return;
	}
}

uint32_t xi_spd_list_seek(const struct xi_spd_list *list, uint32_t index)
{
	uint32_t low = 0, high = list->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (list->nodes[mid]->pub->p.policy.index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}
