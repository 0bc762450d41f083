/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sorted arrays of policies: by priority, by index. */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOLES_MIN 64             /* rows without a node that are not worth closing */

static int room_make(void **mem, uint32_t n, uint32_t more, uint32_t *room, size_t size)
{
	uint32_t want = *room ? *room : 16;
	void *grown;

	while (want < n + more)
		want *= 2;
	if (*mem && want == *room)
		return 0;
	grown = realloc(*mem, want * size);
	if (!grown)
		return -ENOMEM;
	*mem = grown;
	*room = want;
	return 0;
}

int xi_spd_list_reserve(struct xi_spd_list *list, uint32_t more)
{
	void *nodes = list->nodes;
	int err = room_make(&nodes, list->n, more, &list->room, sizeof(*list->nodes));

	list->nodes = nodes;
	return err;
}

static uint32_t list_seek(const struct xi_spd_list *list, const struct xi_spd_node *node)
{
	uint32_t low = 0, high = list->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (xi_policy_before(&list->nodes[mid]->pub->p.policy, &node->pub->p.policy))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void xi_spd_list_insert(struct xi_spd_list *list, struct xi_spd_node *node)
{
	uint32_t at = list_seek(list, node);

	memmove(&list->nodes[at + 1], &list->nodes[at], (list->n - at) * sizeof(*list->nodes));
	list->nodes[at] = node;
	list->n++;
}

void xi_spd_list_remove(struct xi_spd_list *list, const struct xi_spd_node *node)
{
	uint32_t at = list_seek(list, node);

	while (list->nodes[at] != node)
		at++;
	list->n--;
	memmove(&list->nodes[at], &list->nodes[at + 1], (list->n - at) * sizeof(*list->nodes));
}

int xi_spd_rows_reserve(struct xi_spd_rows *rows, uint32_t more)
{
	void *mem = rows->rows;
	int err = room_make(&mem, rows->n, more, &rows->room, sizeof(*rows->rows));

	rows->rows = mem;
	return err;
}

static uint32_t rows_seek(const struct xi_spd_rows *rows, uint32_t index)
{
	uint32_t low = 0, high = rows->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (rows->rows[mid].index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void xi_spd_rows_insert(struct xi_spd_rows *rows, struct xi_spd_node *node)
{
	uint32_t index = node->pub->p.policy.index, at = rows_seek(rows, index);

	if (at == rows->n || rows->rows[at].index != index) {
		memmove(&rows->rows[at + 1], &rows->rows[at], (rows->n - at) * sizeof(*rows->rows));
		rows->n++;
	}
	rows->rows[at] = (struct xi_spd_row){.index = index, .node = node};
	rows->live++;
}

static void rows_close(struct xi_spd_rows *rows)
{
	uint32_t i, n = 0;

	for (i = 0; i < rows->n; i++)
		if (rows->rows[i].node)
			rows->rows[n++] = rows->rows[i];
	rows->n = n;
}

void xi_spd_rows_remove(struct xi_spd_rows *rows, const struct xi_spd_node *node)
{
	rows->rows[rows_seek(rows, node->pub->p.policy.index)].node = NULL;
	rows->live--;
	if (rows->n - rows->live > HOLES_MIN + rows->live / 4)
		rows_close(rows);
}

struct xi_spd_node *xi_spd_rows_seek(const struct xi_spd_rows *rows, uint32_t index)
{
	uint32_t at = rows_seek(rows, index);

	while (at < rows->n && !rows->rows[at].node)
		at++;
	return at < rows->n ? rows->rows[at].node : NULL;
}

struct xi_spd_node *xi_spd_rows_find(const struct xi_spd_rows *rows, uint32_t index)
{
	uint32_t at = rows_seek(rows, index);

	return at < rows->n && rows->rows[at].index == index ? rows->rows[at].node : NULL;
}
