/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How often SAs were used of late, in memory that does not grow with their number: a count-min sketch with conservative
 * update, of saturating 8-bit counters that are halved with each epoch. A cache line holds the four counters of an SA
 * and the epoch it was last brought up to, so that halving needs no sweep.
 */
#ifndef XI_ADMIT_SKETCH_H
#define XI_ADMIT_SKETCH_H

#include <stdint.h>

#define XI_SKETCH_ROWS 4
#define XI_SKETCH_ROW 15
#define XI_SKETCH_MAX UINT8_MAX

struct xi_sketch_line {
	uint32_t epoch;
	uint8_t counts[XI_SKETCH_ROWS * XI_SKETCH_ROW];
};

_Static_assert(sizeof(struct xi_sketch_line) == 64, "a cache line");

struct xi_sketch {
	struct xi_sketch_line *lines;
	unsigned int shift;
	uint32_t epoch;
	uint64_t line_seed[2];       /* secret: nobody can choose SAs that share counters */
	uint64_t row_seed[2];
};

/* Counters: four rows of at least per_row each. 0, -ENOMEM, -errno of getrandom(2). */
int xi_sketch_init(struct xi_sketch *sketch, uint64_t per_row);
void xi_sketch_fini(struct xi_sketch *sketch);
/* n more uses of an SA. What it has now. */
uint8_t xi_sketch_add(struct xi_sketch *sketch, uint32_t sa_index, uint32_t n);
/* The SA has at least n. */
void xi_sketch_raise(struct xi_sketch *sketch, uint32_t sa_index, uint8_t n);
uint8_t xi_sketch_get(struct xi_sketch *sketch, uint32_t sa_index);
/* Halves all counters. */
static inline void xi_sketch_age(struct xi_sketch *sketch)
{
	sketch->epoch++;
}

#endif
