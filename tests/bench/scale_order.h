/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* In which order the SAs' packets come. */
#ifndef XI_BENCH_SCALE_ORDER_H
#define XI_BENCH_SCALE_ORDER_H

#include <stdint.h>

#define SCALE_DRAWS (1U << 22)   /* at most in an order */
#define SCALE_HOT 64
#define SCALE_ZIPF 0.99

/*
 * kind: "hot" (uniform over 64 of n), "zipf" (P(rank) ~ rank^-0.99 over n), "uniform" (over n), "scan" (each of n
 * once, in turn). Which SA has which rank is chance, the same in each run. Fills out[SCALE_DRAWS]; returns how many, or
 * -errno; -EINVAL for an unknown kind.
 */
int scale_order(const char *kind, uint32_t n, uint32_t *out);

#endif
