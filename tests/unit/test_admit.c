// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Admission and eviction: what every policy must keep to, and what the default is chosen for. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cache/admit.h"
#include "cache/admit_sketch.h"

#define NSAS 400000
#define LOOKS_MAX 8                  /* uses() calls of one miss */

/* SAs are 1 to NSAS - 1. */
struct bed {
	struct xi_admit *admit;
	uint32_t capacity;
	uint32_t used[NSAS];         /* since the policy last asked */
	bool resident[NSAS];
	uint32_t nresident;
	uint32_t asked;              /* uses() calls of this miss, and the most of any */
	uint32_t asked_max;
	uint32_t always;             /* every resident was used that often */
	uint32_t evictions, refused;
	uint64_t rng;
};

static uint32_t bed_uses(void *arg, uint32_t sa)
{
	struct bed *bed = arg;
	uint32_t n = bed->used[sa] + bed->always;

	assert_true(bed->resident[sa]);
	bed->used[sa] = 0;
	assert_true(++bed->asked <= LOOKS_MAX);
	return n;
}

static struct bed *bed_new(const char *policy, uint32_t capacity)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct xi_admit_config config = { policy, capacity, bed_uses, bed };

	assert_non_null(bed);
	assert_int_equal(xi_admit_create(&bed->admit, &config), 0);
	bed->capacity = capacity;
	bed->rng = 7;
	return bed;
}

static void bed_free(struct bed *bed)
{
	xi_admit_destroy(bed->admit);
	free(bed);
}

/* xorshift64*, from 0 to n - 1 */
static uint32_t bed_random(struct bed *bed, uint32_t n)
{
	bed->rng ^= bed->rng >> 12;
	bed->rng ^= bed->rng << 25;
	bed->rng ^= bed->rng >> 27;
	return (uint32_t)((bed->rng * 0x2545f4914f6cdd1dULL >> 32) * n >> 32);
}

/* A miss, its answer held against what is resident. */
static enum xi_admit_verdict bed_miss(struct bed *bed, uint32_t sa, uint32_t weight)
{
	struct xi_admission answer = { 99, 99 };
	bool was = bed->resident[sa], room = bed->nresident < bed->capacity;

	bed->asked = 0;
	xi_admit_miss(bed->admit, sa, weight, &answer);
	bed->asked_max = bed->asked > bed->asked_max ? bed->asked : bed->asked_max;
	if (was || room)
		assert_int_equal(answer.verdict, XI_ADMIT_FREE);
	else
		assert_true(answer.verdict == XI_ADMIT_EVICT || answer.verdict == XI_ADMIT_REFUSED);
	if (answer.verdict == XI_ADMIT_EVICT) {
		assert_int_not_equal(answer.victim, sa);
		assert_true(answer.victim < NSAS && bed->resident[answer.victim]);
		bed->resident[answer.victim] = false;
		bed->nresident--;
		bed->evictions++;
	}
	if (answer.verdict == XI_ADMIT_REFUSED) {
		bed->refused++;
	} else if (!was) {
		bed->resident[sa] = true;
		bed->used[sa] = 0;
		bed->nresident++;
	}
	assert_true(bed->nresident <= bed->capacity);
	assert_int_equal(xi_admit_resident(bed->admit), bed->nresident);
	return answer.verdict;
}

/* A packet. True: it hit. */
static bool bed_packet(struct bed *bed, uint32_t sa)
{
	if (bed->resident[sa]) {
		bed->used[sa]++;
		return true;
	}
	bed_miss(bed, sa, 1);
	return false;
}

static void bed_remove(struct bed *bed, uint32_t sa)
{
	xi_admit_remove(bed->admit, sa);
	bed->nresident -= bed->resident[sa];
	bed->resident[sa] = false;
	assert_int_equal(xi_admit_resident(bed->admit), bed->nresident);
}

/* Fills the table with SAs from `from` on. */
static void bed_fill(struct bed *bed, uint32_t from)
{
	for (uint32_t i = 0; i < bed->capacity; i++)
		assert_int_equal(bed_miss(bed, from + i, 1), XI_ADMIT_FREE);
}

#define EACH_POLICY(name) for (const char *const *name = xi_admit_policies(); *name; name++)

static void the_first_policy_is_the_default_and_others_are_unknown(void **state)
{
	struct xi_admit_config config = { "no such", 1, bed_uses, NULL };
	struct xi_admit *admit = NULL;

	assert_int_equal(xi_admit_create(&admit, &config), -EINVAL);
	config = (struct xi_admit_config){ NULL, 0, bed_uses, NULL };
	assert_int_equal(xi_admit_create(&admit, &config), -EINVAL);
	assert_null(admit);
	assert_string_equal(xi_admit_policies()[0], "rate");
	EACH_POLICY(policy)
		bed_free(bed_new(*policy, 1));
	xi_admit_destroy(NULL);
}

static void random_misses(const char *policy, uint32_t capacity, uint32_t nsas)
{
	struct bed *bed = bed_new(policy, capacity);

	for (int i = 0; i < 40000; i++) {
		uint32_t sa = 1 + bed_random(bed, nsas), what = bed_random(bed, 100);

		if (what < 50)
			bed_packet(bed, sa);
		else if (what < 90)
			bed_miss(bed, sa, 1 + bed_random(bed, what < 80 ? 3 : 100000));
		else
			bed_remove(bed, sa);
	}
	assert_true(bed->evictions > 0);
	assert_true(bed->asked_max <= LOOKS_MAX);
	bed_free(bed);
}

static void answers_agree_with_what_is_resident(void **state)
{
	static const uint32_t capacities[] = { 1, 2, 7, 64, 300 };

	EACH_POLICY(policy)
		for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
			random_misses(*policy, capacities[i], 2 * capacities[i] + 1);
			random_misses(*policy, capacities[i], 30 * capacities[i]);
		}
}

static void who_is_removed_is_nobodys_victim_and_may_come_back(void **state)
{
	EACH_POLICY(policy) {
		struct bed *bed = bed_new(*policy, 4);

		bed_fill(bed, 1);
		bed_remove(bed, 2);
		bed_remove(bed, 2);
		bed_remove(bed, 77);
		assert_int_equal(bed_miss(bed, 2, 1), XI_ADMIT_FREE);
		for (uint32_t sa = 1; sa <= 4; sa++)
			bed_remove(bed, sa);
		assert_int_equal(xi_admit_resident(bed->admit), 0);
		bed_fill(bed, 101);
		for (int i = 0; i < 1000; i++)
			bed_miss(bed, 1000 + i % 10, 3);
		assert_true(bed->evictions > 0);
		bed_free(bed);
	}
}

static void a_miss_asks_few_residents_though_all_were_used(void **state)
{
	EACH_POLICY(policy) {
		struct bed *bed = bed_new(*policy, 16384);

		bed_fill(bed, 1);
		bed->always = 1000;
		for (uint32_t i = 0; i < 50000; i++)
			bed_miss(bed, 20000 + i % 30000, 1 + i % 7);
		assert_in_range(bed->asked_max, 1, LOOKS_MAX);
		bed_free(bed);
	}
}

static void memory_does_not_grow_with_the_number_of_sas(void **state)
{
	EACH_POLICY(policy) {
		struct bed *bed = bed_new(*policy, 512);
		size_t before = mallinfo2().uordblks;

		for (uint32_t i = 1; i < NSAS; i++)
			bed_packet(bed, i);
		assert_int_equal(mallinfo2().uordblks, before);
		bed_free(bed);
	}
}

/* A hot set half as big as the table, and SAs that are used once: one packet in four is of the hot set. */
static void a_scan_costs_hot_sas_nothing(void **state)
{
	struct bed *bed = bed_new(NULL, 1024);
	uint32_t hits = 0, hot = 0, before = 0;

	for (uint32_t i = 0; i < 200000; i++) {
		if (i == 40000)
			before = bed->evictions;
		if (bed_random(bed, 4)) {
			bed_packet(bed, 1000 + i);
			continue;
		}
		hits += bed_packet(bed, 1 + bed_random(bed, 512)) && i >= 40000;
		hot += i >= 40000;
	}
	assert_true(hits > hot * 0.99);
	assert_true(bed->evictions - before < 160000 / 100);
	bed_free(bed);
}

static void a_scan_alone_evicts_hardly_anybody(void **state)
{
	struct bed *bed = bed_new(NULL, 256);

	bed_fill(bed, 1);
	for (uint32_t i = 0; i < 100000; i++)
		bed_miss(bed, 1000 + i, 1);
	assert_true(bed->evictions <= 100000 / 1000);
	bed_free(bed);
}

/*
 * The table is full of SAs that were used until now, and from now on others are, as many as it holds. Requests until
 * nine of ten hit.
 */
static uint32_t requests_to_recover(const char *policy, uint32_t capacity)
{
	struct bed *bed = bed_new(policy, capacity);
	uint32_t i, hits = 0;

	for (i = 0; i < 100 * capacity; i++)
		bed_packet(bed, 1 + bed_random(bed, capacity));
	for (i = 0; i < 100 * capacity; i++) {
		if (i % capacity == 0)
			hits = 0;
		hits += bed_packet(bed, 100000 + bed_random(bed, capacity));
		if (i % capacity == capacity - 1 && hits * 10 >= capacity * 9)
			break;
	}
	bed_free(bed);
	return i;
}

/*
 * LRU knows no better than to take everybody; the default has to measure first that those it has are used no more,
 * which takes some packets however small the table is.
 */
static void a_new_hot_set_gets_in_within_bounds(void **state)
{
	static const uint32_t capacities[] = { 16, 64, 1024, 16384 };

	for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		uint32_t capacity = capacities[i];

		assert_true(requests_to_recover("lru", capacity) <= 6 * capacity);
		assert_true(requests_to_recover("rate", capacity) <= 12 * capacity + 2000);
	}
}

/* Nobody resident is used any more: the only one that is need not wait long. */
static void a_single_newcomer_gets_past_idle_residents(void **state)
{
	EACH_POLICY(policy) {
		struct bed *bed = bed_new(*policy, 1024);

		for (uint32_t i = 0; i < 200000; i++)
			bed_packet(bed, 1 + bed_random(bed, 1024));
		while (bed_miss(bed, 5000, 1) == XI_ADMIT_REFUSED)
			assert_true(bed->refused < 256);
		bed_free(bed);
	}
}

static void a_heavy_newcomer_gets_in_where_a_light_one_is_refused(void **state)
{
	struct bed *bed = bed_new(NULL, 128);

	for (uint32_t i = 0; i < 128 * 20; i++)
		bed_packet(bed, 1 + i % 128);
	assert_int_equal(bed_miss(bed, 1000, 1), XI_ADMIT_REFUSED);
	assert_int_equal(bed_miss(bed, 1001, 200), XI_ADMIT_EVICT);
	bed_free(bed);
}

static void residents_and_newcomers_of_equal_use_do_not_take_turns(void **state)
{
	struct bed *bed = bed_new(NULL, 200);
	uint32_t hits = 0;

	for (uint32_t i = 0; i < 40000; i++)
		hits += bed_packet(bed, 1 + i % 400);
	assert_true(hits > 40000 * 0.45);
	assert_true(bed->evictions < 40000 / 50);
	bed_free(bed);
}

/* Least recently used as anybody would write it down: the time of last use of each, and a search for the oldest. */
static uint32_t naive_lru_hits(const uint32_t *sas, uint32_t n, uint32_t capacity)
{
	uint32_t *who = calloc(capacity, sizeof(*who)), *when = calloc(capacity, sizeof(*when));
	uint32_t hits = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = 0;

		for (uint32_t k = 0; k < capacity; k++) {
			if (who[k] == sas[i]) {
				at = k;
				hits++;
				break;
			}
			if (when[k] < when[at])
				at = k;
		}
		who[at] = sas[i];
		when[at] = i + 1;
	}
	free(who);
	free(when);
	return hits;
}

/* Zipf of exponent 1: a rank is proportional to N^u, u uniform. */
static void no_policy_loses_a_point_to_naive_lru_on_zipf(void **state)
{
	enum { N = 100000, BITS = 14, CAPACITY = 128 };
	uint32_t *sas = calloc(N, sizeof(*sas)), naive;

	EACH_POLICY(policy) {
		struct bed *bed = bed_new(*policy, CAPACITY);
		uint32_t hits = 0;

		for (uint32_t i = 0; i < N; i++) {
			uint32_t octave = bed_random(bed, BITS);

			sas[i] = (1U << octave) + bed_random(bed, 1U << octave);
			hits += bed_packet(bed, sas[i]);
		}
		naive = naive_lru_hits(sas, N, CAPACITY);
		assert_true(hits + N / 100 >= naive);
		bed_free(bed);
	}
	free(sas);
}

/* Against the table that holds the most popular all the time, of which no policy is told; ranks change half-way. */
static void the_default_finds_the_most_popular_and_those_who_become_it(void **state)
{
	enum { N = 200000, BITS = 14, CAPACITY = 1 << 8 };
	uint32_t hits[4] = { 0 }, best[4] = { 0 };
	struct bed *bed = bed_new(NULL, CAPACITY);

	for (uint32_t i = 0; i < N; i++) {
		uint32_t octave = bed_random(bed, BITS), quarter = i / (N / 4);
		uint32_t rank = (1U << octave) + bed_random(bed, 1U << octave);

		hits[quarter] += bed_packet(bed, rank + (quarter < 2 ? 0 : 100000));
		best[quarter] += rank < CAPACITY;
	}
	assert_true(hits[1] > best[1] * 0.95);
	assert_true(hits[2] > best[2] * 0.93);
	assert_true(hits[3] > best[3] * 0.95);
	bed_free(bed);
}

static void a_sketch_never_counts_too_little_and_seldom_too_much(void **state)
{
	enum { N = 2000 };
	struct xi_sketch sketch;
	uint32_t i, over = 0;

	assert_int_equal(xi_sketch_init(&sketch, 8 * N), 0);
	for (i = 0; i < N; i++)
		xi_sketch_add(&sketch, 1 + i, i % 10);
	for (i = 0; i < N; i++) {
		assert_true(xi_sketch_get(&sketch, 1 + i) >= i % 10);
		over += xi_sketch_get(&sketch, 1 + i) > i % 10;
	}
	assert_true(over < N / 20);
	assert_int_equal(xi_sketch_add(&sketch, 1, 1000), XI_SKETCH_MAX);
	assert_int_equal(xi_sketch_add(&sketch, 1, UINT32_MAX), XI_SKETCH_MAX);
	xi_sketch_age(&sketch);
	assert_int_equal(xi_sketch_get(&sketch, 1), XI_SKETCH_MAX / 2);
	xi_sketch_raise(&sketch, 1, 200);
	assert_int_equal(xi_sketch_get(&sketch, 1), 200);
	for (i = 0; i < 300; i++)
		xi_sketch_age(&sketch);
	assert_int_equal(xi_sketch_get(&sketch, 1), 0);
	xi_sketch_fini(&sketch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_policy_is_the_default_and_others_are_unknown),
		cmocka_unit_test(answers_agree_with_what_is_resident),
		cmocka_unit_test(who_is_removed_is_nobodys_victim_and_may_come_back),
		cmocka_unit_test(a_miss_asks_few_residents_though_all_were_used),
		cmocka_unit_test(memory_does_not_grow_with_the_number_of_sas),
		cmocka_unit_test(a_scan_costs_hot_sas_nothing),
		cmocka_unit_test(a_scan_alone_evicts_hardly_anybody),
		cmocka_unit_test(a_new_hot_set_gets_in_within_bounds),
		cmocka_unit_test(a_single_newcomer_gets_past_idle_residents),
		cmocka_unit_test(a_heavy_newcomer_gets_in_where_a_light_one_is_refused),
		cmocka_unit_test(residents_and_newcomers_of_equal_use_do_not_take_turns),
		cmocka_unit_test(no_policy_loses_a_point_to_naive_lru_on_zipf),
		cmocka_unit_test(the_default_finds_the_most_popular_and_those_who_become_it),
		cmocka_unit_test(a_sketch_never_counts_too_little_and_seldom_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
