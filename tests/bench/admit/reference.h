/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What policies are measured against: they see every hit, and Belady's sees what is to come. */
#ifndef XI_BENCH_REFERENCE_H
#define XI_BENCH_REFERENCE_H

#include <stdint.h>

struct score {
	uint64_t all_hits;           /* of the whole trace */
	uint64_t hits, evictions;    /* after the first `skip` requests */
};

/* Least recently used, knowing of every hit at once. */
struct score reference_lru(const uint32_t *sas, uint32_t n, uint32_t skip, uint32_t capacity);
/* Belady's optimum, free not to take a newcomer: of those here and the newcomer, who is wanted latest has to go. */
struct score reference_optimum(const uint32_t *sas, uint32_t n, uint32_t skip, uint32_t capacity);

#endif
