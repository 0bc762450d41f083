/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/latency.h"

#define SUB (1U << XI_LATENCY_SUB_BITS)

/* Times below 2 * SUB have a bucket each; above, the leading bits of a time choose it. */
static uint32_t latency_bucket(uint64_t ns)
{
	unsigned int top, shift;

	if (ns < 2 * SUB)
		return ns;
	top = 63 - __builtin_clzll(ns);
	if (top > XI_LATENCY_TOP)
		return XI_LATENCY_BUCKETS - 1;
	shift = top - XI_LATENCY_SUB_BITS;
	return (shift << XI_LATENCY_SUB_BITS) + (ns >> shift);
}

/* Longest time of a bucket. */
static uint64_t latency_bound(uint32_t bucket)
{
	unsigned int shift;

	if (bucket < 2 * SUB)
		return bucket;
	shift = (bucket >> XI_LATENCY_SUB_BITS) - 1;
	return ((uint64_t)(SUB + (bucket & (SUB - 1)) + 1) << shift) - 1;
}

void xi_latency_add(struct xi_latency *latency, uint64_t ns)
{
	latency->buckets[latency_bucket(ns)]++;
	latency->count++;
	if (ns > latency->max)
		latency->max = ns;
}

uint64_t xi_latency_quantile(const struct xi_latency *latency, uint32_t ppm)
{
	uint64_t rank = (latency->count / 1000000) * ppm +
			((latency->count % 1000000) * ppm + 999999) / 1000000;
	uint64_t seen = 0, bound;
	uint32_t i;

	if (!latency->count)
		return 0;
	for (i = 0; i < XI_LATENCY_BUCKETS - 1; i++) {
		seen += latency->buckets[i];
		if (seen && seen >= rank)
			break;
	}
	bound = latency_bound(i);
	return bound < latency->max && i < XI_LATENCY_BUCKETS - 1 ? bound : latency->max;
}

uint64_t xi_latency_octave(const struct xi_latency *latency, unsigned int octave)
{
	uint64_t from = octave ? 1ULL << octave : 0, sum = 0;
	uint32_t i;

	if (octave > XI_LATENCY_TOP)
		return 0;
	for (i = latency_bucket(from); i <= latency_bucket((2ULL << octave) - 1); i++)
		sum += latency->buckets[i];
	return sum;
}
