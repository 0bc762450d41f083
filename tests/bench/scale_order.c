/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "scale_order.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* xorshift64*, from a fixed seed: each run sends the same. */
static uint64_t next_chance(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * 0x2545f4914f6cdd1dULL;
}

static uint32_t below(uint64_t *x, uint32_t n)
{
	return (next_chance(x) >> 32) * n >> 32;
}

static uint32_t *shuffled(uint32_t n)
{
	uint32_t *who = malloc(n * sizeof(*who));
	uint64_t chance = 0x9e3779b97f4a7c15ULL;

	for (uint32_t i = 0; who && i < n; i++) {
		uint32_t j = below(&chance, i + 1);

		who[i] = who[j];
		who[j] = i;
	}
	return who;
}

static int draw_zipf(const uint32_t *who, uint32_t n, uint32_t *out)
{
	double *upto = malloc(n * sizeof(*upto)), sum = 0;
	uint64_t chance = 88172645463325252ULL;

	if (!upto)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		upto[i] = sum += pow(i + 1, -SCALE_ZIPF);
	for (uint32_t i = 0; i < SCALE_DRAWS; i++) {
		double at = (next_chance(&chance) >> 11) * 0x1p-53 * sum;
		uint32_t low = 0, high = n - 1;

		while (low < high) {
			uint32_t mid = low + (high - low) / 2;

			if (upto[mid] > at)
				high = mid;
			else
				low = mid + 1;
		}
		out[i] = who[low];
	}
	free(upto);
	return SCALE_DRAWS;
}

static int draw_uniform(const uint32_t *who, uint32_t n, uint32_t *out)
{
	uint64_t chance = 362436069362436069ULL;

	for (uint32_t i = 0; i < SCALE_DRAWS; i++)
		out[i] = who[below(&chance, n)];
	return SCALE_DRAWS;
}

static int copy(const uint32_t *who, uint32_t n, uint32_t *out)
{
	memcpy(out, who, n * sizeof(*out));
	return n;
}

int scale_order(const char *kind, uint32_t n, uint32_t *out)
{
	uint32_t *who = shuffled(n);
	int count = -EINVAL;

	if (!who)
		return -ENOMEM;
	if (!strcmp(kind, "hot"))
		count = draw_uniform(who, n < SCALE_HOT ? n : SCALE_HOT, out);
	else if (!strcmp(kind, "uniform"))
		count = draw_uniform(who, n, out);
	else if (!strcmp(kind, "zipf"))
		count = draw_zipf(who, n, out);
	else if (!strcmp(kind, "scan") && n <= SCALE_DRAWS)
		count = copy(who, n, out);
	free(who);
	return count;
}
