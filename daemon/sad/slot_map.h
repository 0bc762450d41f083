/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From hashes to 32-bit values: an open-addressed table of eight bytes a row, at most half full. Several values may
 * have one hash. Hashes must be uniform in their low 32 bits, which is all that is kept of them. The control thread only.
 */
#ifndef XI_SLOT_MAP_H
#define XI_SLOT_MAP_H

#include <stdbool.h>
#include <stdint.h>

#define XI_SLOT_MAP_NONE UINT32_MAX /* no value */

struct xi_slot_map_row {
	uint32_t tag;
	uint32_t value;
};

struct xi_slot_map {
	struct xi_slot_map_row *rows; /* NULL: empty, without room */
	uint32_t mask;
	uint32_t n;
};

/* Room for n values in all, which may then be added without failure. -ENOMEM: as it was. */
int xi_slot_map_reserve(struct xi_slot_map *map, uint32_t n);
void xi_slot_map_free(struct xi_slot_map *map);
void xi_slot_map_add(struct xi_slot_map *map, uint64_t hash, uint32_t value);
void xi_slot_map_del(struct xi_slot_map *map, uint64_t hash, uint32_t value);
/*
 * Values that may have this hash, one a call; the caller compares keys. *at is 0 at first. XI_SLOT_MAP_NONE: no more.
 */
uint32_t xi_slot_map_next(const struct xi_slot_map *map, uint64_t hash, uint32_t *at);

#endif
