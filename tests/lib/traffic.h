/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which SA each packet of a test's traffic belongs to. */
#ifndef XI_TRAFFIC_H
#define XI_TRAFFIC_H

#include <stdint.h>

#define TRAFFIC_HOT 64

enum traffic {
	TRAFFIC_TURN,                /* each in turn */
	TRAFFIC_HOT_SET,             /* uniform over the TRAFFIC_HOT most popular */
	TRAFFIC_ZIPF,                /* Zipf with exponent 0.99 over all */
	TRAFFIC_UNIFORM,             /* over all */
	TRAFFIC_MAX
};

extern const char *const traffic_names[TRAFFIC_MAX];

/* TRAFFIC_MAX: no such name. */
enum traffic traffic_find(const char *name);

/*
 * n numbers of SAs, 0 .. nsas - 1, the most popular first: 0. The same for the same arguments. Freed by
 * free(); NULL without memory.
 */
uint32_t *traffic_make(enum traffic traffic, uint32_t nsas, uint32_t n);

/* 0 .. n - 1 in an order that has nothing to do with theirs. As traffic_make(). */
uint32_t *traffic_shuffle(uint32_t n);

#endif
