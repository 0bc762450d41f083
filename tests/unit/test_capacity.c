/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Very many SAs: how many there may be, and what they cost while nothing happens to them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "mem_store.h"
#include "null_store.h"
#include "sad/sad_priv.h"

#define MILLION (1U << 20)

static unsigned int soft, hard;

static void on_expire(void *arg, const struct xi_sa_rec *rec, bool is_hard)
{
	*(is_hard ? &hard : &soft) += 1;
}

static struct xi_sad *sad_new(struct xi_store *store)
{
	struct xi_sad_config config = { 0 };
	struct xi_sad *sad;

	assert_int_equal(xi_sad_create(&sad, &config, store), 0);
	xi_sad_on_event(sad, &(struct xi_sad_events){ .expire = on_expire });
	soft = hard = 0;
	return sad;
}

static int add(struct xi_sad *sad, struct xi_sa *sa, uint32_t n)
{
	struct xi_sa_key key = sample_key(0);
	const char *why;

	sa->id.spi = 0x1000 + n;
	memcpy(key.key, &n, sizeof(n));
	return xi_sad_add(sad, sa, &key, NULL, &why);
}

static void fill(struct xi_sad *sad, struct xi_sa *sa, uint32_t first, uint32_t n)
{
	uint32_t i;

	xi_sad_hold(sad);
	for (i = first; i < first + n; i++)
		assert_int_equal(add(sad, sa, i), 0);
	xi_sad_release(sad);
}

/* Of four ticks, a second: less than one look at each SA. */
static void ticks_are_short(struct xi_sad *sad, uint64_t now)
{
	uint64_t looks;
	int i;

	for (i = 0; i < 8; i++) {
		looks = sad->dues.looks;
		xi_sad_tick(sad, now + i / 4);
		assert_true(sad->dues.looks - looks <= MILLION / 8);
	}
}

static void exactly_2_to_the_20(void **state)
{
	struct null_store *store = null_store_new(MILLION + 5);
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000);
	struct xi_sad *sad = sad_new(&store->store);
	uint64_t now;
	struct xi_sa_id id;
	uint32_t slot = 0, n = 0;
	unsigned int gone;

	assert_int_equal(xi_sad_capacity(sad), MILLION);
	fill(sad, &sa, 0, MILLION - 2);
	sa.limits.hard_add = 60; /* two that the clock ends */
	fill(sad, &sa, MILLION - 2, 1);
	sa.limits.soft_add = 30;
	fill(sad, &sa, MILLION - 1, 1);
	assert_int_equal(xi_sad_count(sad), MILLION);
	assert_int_equal(add(sad, &sa, MILLION), -ENOSPC);
	while (xi_sad_next(sad, &slot))
		assert_int_equal(slot, ++n);
	assert_int_equal(n, MILLION);
	sa.id.spi = 0x1000 + MILLION - 1;
	id = sa.id;
	assert_int_equal(XI_SA_SLOT(xi_sad_find(sad, &id)->sa.sa_index), MILLION - 1);
	assert_ptr_equal(xi_sad_rec(sad, xi_sad_lookup(sad, &id)), xi_sad_find(sad, &id));

	now = xi_sad_find(sad, &id)->sa.add_time; /* the other may be a second older */
	ticks_are_short(sad, now + 5);
	assert_int_equal(soft + hard, 0);
	xi_sad_tick(sad, now + 28);
	assert_int_equal(soft, 0);
	xi_sad_tick(sad, now + 30);
	assert_int_equal(soft, 1);
	xi_sad_tick(sad, now + 58);
	assert_int_equal(hard, 0);
	xi_sad_tick(sad, now + 60);
	assert_int_equal(hard, 2);
	assert_int_equal(xi_sad_count(sad), MILLION - 2);

	sa.limits.soft_add = sa.limits.hard_add = 0;
	fill(sad, &sa, MILLION, 2);
	assert_int_equal(add(sad, &sa, MILLION + 2), -ENOSPC);
	assert_int_equal(xi_sad_flush(sad, XI_PROTO_ANY, &gone), 0);
	assert_int_equal(gone, MILLION);
	assert_int_equal(add(sad, &sa, 0), 0);
	xi_sad_destroy(sad);
	null_store_free(store);
}

/* All that can have limits of volume at once: each is seen, if not at once. */
static void watched_sas_come_by_in_turn(void **state)
{
	const uint32_t n = 3 * XI_LOOKS_WATCHED;
	struct null_store *store = null_store_new(n);
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000);
	struct xi_sad *sad = sad_new(&store->store);
	uint64_t now = time(NULL);
	uint32_t slot = 0, ticks;
	const struct xi_sa_rec *rec;

	sa.limits.soft_packets = 10;
	fill(sad, &sa, 0, n);
	while ((rec = xi_sad_next(sad, &slot))) {
		rec->state->packets = slot % 3 ? 10 : 9;
		rec->state->use_time = now;
	}
	for (ticks = 0; ticks < 3; ticks++)
		xi_sad_tick(sad, now);
	assert_int_equal(soft, n - n / 3);
	xi_sad_destroy(sad);
	null_store_free(store);
}

/* A counter near its end is seen without a limit that anybody set. */
static void sequence_numbers_are_seen_in_turn(void **state)
{
	const uint32_t n = 4 * XI_LOOKS_ALL;
	struct null_store *store = null_store_new(n);
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000);
	struct xi_sad *sad = sad_new(&store->store);
	uint32_t ticks;

	fill(sad, &sa, 0, n);
	store->store.states[n - 1].oseq = 0xf0000000;
	store->store.states[5].oseq = 0xffffffff;
	for (ticks = 0; ticks < 4; ticks++)
		xi_sad_tick(sad, time(NULL));
	assert_int_equal(soft, 1);
	assert_int_equal(hard, 1);
	xi_sad_destroy(sad);
	null_store_free(store);
}

/* The clock may be set back, or jump ahead by more than the wheel holds. */
static void clocks_that_jump_lose_no_lifetime(void **state)
{
	struct null_store *store = null_store_new(64);
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000);
	struct xi_sad *sad = sad_new(&store->store);
	uint64_t now = time(NULL);
	uint32_t i;

	for (i = 0; i < 20; i++) {
		sa.limits.hard_add = 1000 * (i + 1);
		fill(sad, &sa, i, 1);
	}
	xi_sad_tick(sad, now + 2500);
	assert_int_equal(hard, 2);
	xi_sad_tick(sad, now - 100000);
	sa.limits.hard_add = 2700;
	fill(sad, &sa, 20, 1);
	xi_sad_tick(sad, now + 2600);
	assert_int_equal(hard, 2);
	xi_sad_tick(sad, now + 2710);
	assert_int_equal(hard, 3);
	xi_sad_tick(sad, now + 10010);
	assert_int_equal(hard, 11);
	for (i = 11; i <= 20; i++) {
		xi_sad_tick(sad, now + 1000 * i - 1);
		assert_int_equal(hard, i);
		xi_sad_tick(sad, now + 1000 * i + 10);
		assert_int_equal(hard, i + 1);
	}
	xi_sad_destroy(sad);
	null_store_free(store);
}

/* A crowd of SAs of one peer and reqid, of both directions; CPU seconds until all have expired. */
static double crowd_expires(uint32_t n)
{
	struct null_store *store = null_store_new(2 * n);
	struct xi_sa out = sample_sa("192.0.2.1", "192.0.2.2", 0x1000),
		     in = sample_sa("192.0.2.2", "192.0.2.1", 0x1000);
	struct xi_sad *sad = sad_new(&store->store);
	uint64_t now = time(NULL);
	clock_t start;
	double took;

	out.reqid = in.reqid = 7;
	out.limits.hard_add = in.limits.hard_add = 10;
	fill(sad, &out, 0, n);
	fill(sad, &in, n, n);
	start = clock();
	while (xi_sad_count(sad))
		xi_sad_tick(sad, now + 20);
	took = (double)(clock() - start) / CLOCKS_PER_SEC;
	assert_int_equal(hard, 2 * n);
	xi_sad_destroy(sad);
	null_store_free(store);
	return took;
}

static void a_crowd_that_expires_costs_no_more_each(void **state)
{
	double few = 1e9, many = 1e9, took;
	int i;

	for (i = 0; i < 3; i++) {
		took = crowd_expires(4000);
		few = took < few ? took : few;
		took = crowd_expires(32000);
		many = took < many ? took : many;
	}
	/* eight times as many: 64 times the time if each looked at all */
	if (many > 24 * few)
		fail_msg("8000 SAs: %f s, 64000: %f s", few, many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exactly_2_to_the_20),
		cmocka_unit_test(watched_sas_come_by_in_turn),
		cmocka_unit_test(sequence_numbers_are_seen_in_turn),
		cmocka_unit_test(clocks_that_jump_lose_no_lifetime),
		cmocka_unit_test(a_crowd_that_expires_costs_no_more_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
