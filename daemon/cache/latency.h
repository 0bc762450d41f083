/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A histogram of times: 32 buckets an octave, so that a quantile is at most 1/32 above the exact one, whatever its
 * size. Fixed memory, one increment a sample.
 */
#ifndef XI_LATENCY_H
#define XI_LATENCY_H

#include <stdint.h>

#define XI_LATENCY_SUB_BITS 5
#define XI_LATENCY_TOP 40            /* longer times, above 18 minutes, count as that */
#define XI_LATENCY_BUCKETS ((XI_LATENCY_TOP - XI_LATENCY_SUB_BITS + 2) << XI_LATENCY_SUB_BITS)

struct xi_latency {
	uint64_t count;
	uint64_t max;                /* ns */
	uint64_t buckets[XI_LATENCY_BUCKETS];
};

void xi_latency_add(struct xi_latency *latency, uint64_t ns);
/* ns that ppm of a million samples do not exceed; 0 without samples. */
uint64_t xi_latency_quantile(const struct xi_latency *latency, uint32_t ppm);
/* Samples in [2^octave, 2^(octave + 1)) ns; octave 0 has those of 0 as well, the last one all above it. */
uint64_t xi_latency_octave(const struct xi_latency *latency, unsigned int octave);

#endif
