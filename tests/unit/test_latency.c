// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The histogram of times against the sorted samples themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cache/latency.h"

#define SAMPLES 20000

static uint64_t random_bits(void)
{
	static uint64_t x = 88172645463325252ULL; /* xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Smallest sample that at least ppm of a million samples do not exceed. */
static uint64_t exact(const uint64_t *sorted, uint64_t n, uint32_t ppm)
{
	uint64_t rank = 1;

	while (rank * 1000000 < n * ppm)
		rank++;
	return sorted[rank - 1];
}

static void quantiles_are(const struct xi_latency *l, uint64_t *samples, uint64_t n)
{
	static const uint32_t ppms[] = { 1, 10000, 250000, 500000, 900000, 990000, 999000, 999900,
					 1000000 };

	qsort(samples, n, sizeof(*samples), by_size);
	assert_int_equal(l->count, n);
	assert_int_equal(l->max, samples[n - 1]);
	for (size_t i = 0; i < sizeof(ppms) / sizeof(ppms[0]); i++) {
		uint64_t want = exact(samples, n, ppms[i]);

		assert_in_range(xi_latency_quantile(l, ppms[i]), want, want + want / 32);
	}
}

static void octaves_are(const struct xi_latency *l, const uint64_t *samples, uint64_t n)
{
	uint64_t count[64] = { 0 };

	for (uint64_t i = 0; i < n; i++) {
		unsigned int octave = 0;

		for (uint64_t v = samples[i]; v > 1; v >>= 1)
			octave++;
		count[octave]++;
	}
	for (unsigned int octave = 0; octave < XI_LATENCY_TOP; octave++)
		assert_int_equal(xi_latency_octave(l, octave), count[octave]);
}

/* Times of all sizes, as many of each octave up to `bits`. */
static void compare(unsigned int bits, uint64_t n)
{
	uint64_t *samples = calloc(n, sizeof(*samples));
	struct xi_latency *l = calloc(1, sizeof(*l));

	for (uint64_t i = 0; i < n; i++) {
		samples[i] = random_bits() >> (64 - 1 - random_bits() % bits);
		xi_latency_add(l, samples[i]);
	}
	quantiles_are(l, samples, n);
	octaves_are(l, samples, n);
	free(samples);
	free(l);
}

static void quantiles_are_near_the_exact_ones(void **state)
{
	compare(8, 1);
	compare(8, 2);
	compare(8, SAMPLES);
	compare(20, 999);
	compare(30, SAMPLES);
	compare(40, SAMPLES);
}

static void nothing_measured_is_zero(void **state)
{
	struct xi_latency *l = calloc(1, sizeof(*l));

	assert_int_equal(xi_latency_quantile(l, 500000), 0);
	assert_int_equal(xi_latency_octave(l, 3), 0);
	free(l);
}

/* A clock that jumps makes no sample vanish, and none is written beside the buckets. */
static void the_longest_times_count_too(void **state)
{
	struct xi_latency *l = calloc(1, sizeof(*l));

	xi_latency_add(l, UINT64_MAX);
	xi_latency_add(l, 1ULL << XI_LATENCY_TOP);
	xi_latency_add(l, (2ULL << XI_LATENCY_TOP) - 1);
	xi_latency_add(l, 7);
	assert_int_equal(l->count, 4);
	assert_int_equal(xi_latency_quantile(l, 250000), 7);
	assert_int_equal(xi_latency_quantile(l, 1000000), UINT64_MAX);
	assert_int_equal(xi_latency_octave(l, XI_LATENCY_TOP), 3);
	free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_near_the_exact_ones),
		cmocka_unit_test(nothing_measured_is_zero),
		cmocka_unit_test(the_longest_times_count_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
