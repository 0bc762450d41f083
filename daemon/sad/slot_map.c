/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/slot_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MIN 64

static void row_put(struct xi_slot_map *map, struct xi_slot_map_row row)
{
	uint32_t i = row.tag & map->mask;

	while (map->rows[i].value != XI_SLOT_MAP_NONE)
		i = (i + 1) & map->mask;
	map->rows[i] = row;
}

int xi_slot_map_reserve(struct xi_slot_map *map, uint32_t n)
{
	struct xi_slot_map old = *map;
	uint32_t i, rows = old.rows ? old.mask + 1 : ROWS_MIN;

	if (old.rows && n <= rows / 2)
		return 0;
	while (rows / 2 < n)
		rows *= 2;
	map->rows = malloc(rows * sizeof(*map->rows));
	if (!map->rows) {
		*map = old;
		return -ENOMEM;
	}
	memset(map->rows, 0xff, rows * sizeof(*map->rows));
	map->mask = rows - 1;
	for (i = 0; old.rows && i <= old.mask; i++)
		if (old.rows[i].value != XI_SLOT_MAP_NONE)
			row_put(map, old.rows[i]);
	free(old.rows);
	return 0;
}

void xi_slot_map_free(struct xi_slot_map *map)
{
	free(map->rows);
	*map = (struct xi_slot_map){ 0 };
}

void xi_slot_map_add(struct xi_slot_map *map, uint64_t hash, uint32_t value)
{
	row_put(map, (struct xi_slot_map_row){ (uint32_t)hash, value });
	map->n++;
}

uint32_t xi_slot_map_next(const struct xi_slot_map *map, uint64_t hash, uint32_t *at)
{
	uint32_t tag = (uint32_t)hash;

	while (map->rows) {
		const struct xi_slot_map_row *row = &map->rows[(tag + (*at)++) & map->mask];

		if (row->value == XI_SLOT_MAP_NONE)
			break;
		if (row->tag == tag)
			return row->value;
	}
	return XI_SLOT_MAP_NONE;
}

/* Rows behind a gap move up to where their search begins, so that no search ends too early. */
static void gap_close(struct xi_slot_map *map, uint32_t gap)
{
	uint32_t i;

	for (i = (gap + 1) & map->mask; map->rows[i].value != XI_SLOT_MAP_NONE;
	     i = (i + 1) & map->mask) {
		uint32_t home = map->rows[i].tag & map->mask;

		if (((i - home) & map->mask) < ((i - gap) & map->mask))
			continue;
		map->rows[gap] = map->rows[i];
		gap = i;
	}
	map->rows[gap].value = XI_SLOT_MAP_NONE;
}

void xi_slot_map_del(struct xi_slot_map *map, uint64_t hash, uint32_t value)
{
	uint32_t at = 0, found;

	while ((found = xi_slot_map_next(map, hash, &at)) != XI_SLOT_MAP_NONE) {
		if (found != value)
			continue;
		gap_close(map, ((uint32_t)hash + at - 1) & map->mask);
		map->n--;
		return;
	}
}
