/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/admit_sketch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/admit_priv.h"

int xi_sketch_init(struct xi_sketch *sketch, uint64_t per_row)
{
	unsigned int bits = 1;
	int err;

	while ((uint64_t)XI_SKETCH_ROW << bits < per_row)
		bits++;
	sketch->shift = 64 - bits;
	sketch->epoch = 0;
	sketch->lines = aligned_alloc(64, sizeof(*sketch->lines) << bits);
	if (!sketch->lines)
		return -ENOMEM;
	memset(sketch->lines, 0, sizeof(*sketch->lines) << bits);
	err = xi_admit_random(sketch->line_seed, sizeof(sketch->line_seed));
	return err ? err : xi_admit_random(sketch->row_seed, sizeof(sketch->row_seed));
}

void xi_sketch_fini(struct xi_sketch *sketch)
{
	free(sketch->lines);
}

/* The SA's counters, halved as often as is due. */
static void sketch_find(struct xi_sketch *sketch, uint32_t sa_index,
			uint8_t *counts[XI_SKETCH_ROWS])
{
	uint32_t i, age, hash = xi_admit_hash(sketch->row_seed, sa_index, 32);
	struct xi_sketch_line *line;

	line = &sketch->lines[xi_admit_hash(sketch->line_seed, sa_index, sketch->shift)];
	age = sketch->epoch - line->epoch;
	if (age) {
		age = age < 8 ? age : 8;
		for (i = 0; i < sizeof(line->counts); i++)
			line->counts[i] = (uint8_t)(line->counts[i] >> age);
		line->epoch = sketch->epoch;
	}
	for (i = 0; i < XI_SKETCH_ROWS; i++)
		counts[i] = &line->counts[i * XI_SKETCH_ROW +
					  ((hash >> i * 8) & 0xff) * XI_SKETCH_ROW / 256];
}

static uint8_t counts_min(uint8_t *counts[XI_SKETCH_ROWS])
{
	uint8_t min = *counts[0];
	uint32_t i;

	for (i = 1; i < XI_SKETCH_ROWS; i++)
		min = *counts[i] < min ? *counts[i] : min;
	return min;
}

static void counts_raise(uint8_t *counts[XI_SKETCH_ROWS], uint8_t to)
{
	uint32_t i;

	for (i = 0; i < XI_SKETCH_ROWS; i++)
		if (*counts[i] < to)
			*counts[i] = to;
}

uint8_t xi_sketch_add(struct xi_sketch *sketch, uint32_t sa_index, uint32_t n)
{
	uint8_t *counts[XI_SKETCH_ROWS];
	uint8_t to;

	sketch_find(sketch, sa_index, counts);
	to = counts_min(counts);
	to = n < (uint32_t)(XI_SKETCH_MAX - to) ? (uint8_t)(to + n) : XI_SKETCH_MAX;
	counts_raise(counts, to);
	return to;
}

void xi_sketch_raise(struct xi_sketch *sketch, uint32_t sa_index, uint8_t n)
{
	uint8_t *counts[XI_SKETCH_ROWS];

	sketch_find(sketch, sa_index, counts);
	counts_raise(counts, n);
}

uint8_t xi_sketch_get(struct xi_sketch *sketch, uint32_t sa_index)
{
	uint8_t *counts[XI_SKETCH_ROWS];

	sketch_find(sketch, sa_index, counts);
	return counts_min(counts);
}
