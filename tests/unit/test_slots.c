// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Context slots: who has one, what a worker finds, when a slot is free again, who has to go. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <urcu-qsbr.h>

#include "cache/slots.h"
#include "mem_store.h"

#define NSAS 64
#define SPI_OF(i) (0x1000U + (i))

struct bed {
	struct xi_slots slots;
	struct xi_sa_rec recs[NSAS];
	struct xi_sa_state states[NSAS];
};

/* SA i of generation 1, in SA slot i; its key and salt are all i. */
static struct bed *bed_new(uint32_t n)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	assert_non_null(bed);
	assert_int_equal(xi_slots_create(&bed->slots, &xi_engine_openssl, n, 1), 0);
	for (uint32_t i = 0; i < NSAS; i++) {
		struct xi_sa_rec *rec = &bed->recs[i];

		rec->sa = sample_sa("192.0.2.1", "192.0.2.2", SPI_OF(i));
		rec->sa.sa_index = XI_SA_INDEX(1, i);
		rec->key = sample_key((uint8_t)i);
		rec->state = &bed->states[i];
		rec->words = (uint64_t *)bed->states[i].words;
		rec->nwords = XI_WINDOW_INLINE_WORDS;
	}
	return bed;
}

static void bed_free(struct bed *bed)
{
	xi_slots_destroy(&bed->slots);
	free(bed);
}

static uint32_t fill(struct bed *bed, uint32_t i)
{
	uint32_t number = XI_NO_SLOT;

	assert_int_equal(xi_slots_fill(&bed->slots, &bed->recs[i], &number), 0);
	assert_true(number < bed->slots.n);
	return number;
}

static const struct xi_sa_ctx *find(struct bed *bed, uint32_t i, uint32_t hint)
{
	return xi_slots_find(&bed->slots, XI_SA_INDEX(1, i), hint);
}

static void a_filled_slot_is_found(void **state)
{
	struct bed *bed = bed_new(4);
	uint32_t number = fill(bed, 7), other = fill(bed, 8);
	const struct xi_sa_ctx *ctx = find(bed, 7, number);

	assert_int_not_equal(number, other);
	assert_int_equal(bed->slots.used, 2);
	assert_int_equal(xi_slots_number(&bed->slots, XI_SA_INDEX(1, 7)), number);
	assert_non_null(ctx);
	assert_int_equal(ntohl(ctx->spi_be), SPI_OF(7));
	assert_int_equal(ctx->salt[0], 7);
	assert_ptr_equal(ctx->state, &bed->states[7]);
	assert_non_null(ctx->key);
	bed_free(bed);
}

/* The hint comes out of a packet's metadata, and may be old. */
static void a_hint_never_misleads(void **state)
{
	struct bed *bed = bed_new(4);
	uint32_t number = fill(bed, 7), other = fill(bed, 8);

	assert_ptr_equal(find(bed, 7, XI_NO_SLOT), find(bed, 7, number));
	assert_ptr_equal(find(bed, 7, other), find(bed, 7, number));
	assert_ptr_equal(find(bed, 7, 3), find(bed, 7, number));
	assert_ptr_equal(find(bed, 7, 4), find(bed, 7, number));
	assert_null(find(bed, 9, number));
	assert_null(xi_slots_find(&bed->slots, XI_SA_INDEX(2, 7), number));
	assert_null(xi_slots_find(&bed->slots, XI_SA_INDEX(2, 7), XI_NO_SLOT));
	assert_null(xi_slots_find(&bed->slots, XI_SA_INDEX(1, NSAS), XI_NO_SLOT));
	bed_free(bed);
}

static void there_are_only_so_many(void **state)
{
	struct bed *bed = bed_new(3);
	uint32_t number = 0;

	for (uint32_t i = 0; i < 3; i++)
		fill(bed, i);
	assert_int_equal(xi_slots_fill(&bed->slots, &bed->recs[3], &number), -ENOSPC);
	assert_int_equal(number, XI_NO_SLOT);
	assert_int_equal(bed->slots.used, 3);
	for (uint32_t i = 0; i < 3; i++)
		assert_non_null(find(bed, i, XI_NO_SLOT));
	bed_free(bed);
}

/* Emptied, nobody finds it; but a worker that had found it before goes on using it. */
static void an_emptied_slot_waits_for_the_grace_period(void **state)
{
	struct bed *bed = bed_new(1);
	uint32_t number = fill(bed, 0), again;
	const struct xi_sa_ctx *held = find(bed, 0, number);
	const struct xi_ckey *key = held->key;

	xi_slots_empty(&bed->slots, XI_SA_INDEX(1, 0));
	assert_null(find(bed, 0, number));
	assert_null(find(bed, 0, XI_NO_SLOT));
	assert_int_equal(bed->slots.used, 0);
	assert_int_equal(xi_slots_fill(&bed->slots, &bed->recs[1], &again), -ENOSPC);
	assert_int_equal(ntohl(held->spi_be), SPI_OF(0));
	assert_ptr_equal(held->key, key);

	xi_slots_reclaim(&bed->slots);
	assert_null(held->key);
	assert_int_equal(held->spi_be, 0);
	assert_int_equal(fill(bed, 1), number);
	assert_null(find(bed, 0, number));
	assert_non_null(find(bed, 1, number));
	bed_free(bed);
}

static void emptying_what_is_not_there_changes_nothing(void **state)
{
	struct bed *bed = bed_new(2);

	fill(bed, 0);
	xi_slots_empty(&bed->slots, XI_SA_INDEX(1, 1));
	xi_slots_empty(&bed->slots, XI_SA_INDEX(2, 0));
	assert_int_equal(bed->slots.used, 1);
	assert_non_null(find(bed, 0, XI_NO_SLOT));
	xi_slots_empty(&bed->slots, XI_SA_INDEX(1, 0));
	xi_slots_empty(&bed->slots, XI_SA_INDEX(1, 0));
	assert_int_equal(bed->slots.used, 0);
	xi_slots_reclaim(&bed->slots);
	fill(bed, 0);
	fill(bed, 1);
	bed_free(bed);
}

static void a_key_that_cannot_be_used_costs_no_slot(void **state)
{
	struct bed *bed = bed_new(1);
	uint32_t number = 0;

	bed->recs[0].key.len = 7;
	assert_true(xi_slots_fill(&bed->slots, &bed->recs[0], &number) < 0);
	assert_int_equal(number, XI_NO_SLOT);
	bed->recs[1].sa.id.proto = XI_COMP;
	assert_int_equal(xi_slots_fill(&bed->slots, &bed->recs[1], &number), -EOPNOTSUPP);
	assert_int_equal(number, XI_NO_SLOT);
	assert_int_equal(bed->slots.used, 0);
	fill(bed, 2);
	bed_free(bed);
}

#define ROUNDS 3000
#define FOUND 1000

struct reader {
	struct bed *bed;
	atomic_bool stop;
	atomic_uint found, wrong;
};

/* As a worker: what is found is the SA's until the next quiescent state, whatever happens meanwhile. */
static void *read_slots(void *arg)
{
	struct reader *r = arg;

	rcu_register_thread();
	for (uint32_t i = 0; !atomic_load(&r->stop); i++) {
		const struct xi_sa_ctx *ctx = find(r->bed, i % 3, i % 5);

		for (int k = 0; ctx && k < 50; k++)
			if (ntohl(ctx->spi_be) != SPI_OF(i % 3) || !ctx->key || ctx->salt[0] != i % 3)
				atomic_fetch_add(&r->wrong, 1);
		if (ctx)
			atomic_fetch_add(&r->found, 1);
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void readers_never_see_another_sa(void **state)
{
	struct reader r = { .bed = bed_new(2) };
	uint32_t number = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, read_slots, &r), 0);
	for (uint32_t i = 0; i < ROUNDS || atomic_load(&r.found) < FOUND; i++) {
		if (xi_slots_fill(&r.bed->slots, &r.bed->recs[i % 3], &number))
			break;
		xi_slots_empty(&r.bed->slots, XI_SA_INDEX(1, (i + 2) % 3));
		synchronize_rcu();
		xi_slots_reclaim(&r.bed->slots);
	}
	assert_int_not_equal(number, XI_NO_SLOT);
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(r.wrong, 0);
	bed_free(r.bed);
}

/*
 * Looks for one SA that stays, without a hint, while others of its hash chains come and go: never
 * missed, and none is found in its place.
 */
static void *read_one(void *arg)
{
	struct reader *r = arg;
	const struct xi_sa_ctx *ctx;

	rcu_register_thread();
	while (!atomic_load(&r->stop)) {
		ctx = find(r->bed, 0, XI_NO_SLOT);
		if (ctx && ntohl(ctx->spi_be) == SPI_OF(0))
			atomic_fetch_add(&r->found, 1);
		else
			atomic_fetch_add(&r->wrong, 1);
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

/* 64 SAs over 8 slots, whose table has 16 chains. */
static void an_sa_that_stays_is_always_found(void **state)
{
	struct reader r = { .bed = bed_new(8) };
	uint32_t i, k, number;
	pthread_t thread;

	fill(r.bed, 0);
	assert_int_equal(pthread_create(&thread, NULL, read_one, &r), 0);
	for (i = 0; i < ROUNDS || atomic_load(&r.found) < FOUND; i++) {
		for (k = 0; k < 7; k++)
			if (xi_slots_fill(&r.bed->slots, &r.bed->recs[1 + (i * 7 + k) % 63], &number))
				break;
		for (k = 7; k-- > 0;)
			xi_slots_empty(&r.bed->slots, XI_SA_INDEX(1, 1 + (i * 7 + (k * 3) % 7) % 63));
		synchronize_rcu();
		xi_slots_reclaim(&r.bed->slots);
	}
	atomic_store(&r.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(r.bed->slots.used, 1);
	bed_free(r.bed);
}

/* Against the plain truth: an array of who has a slot. */
static void the_hash_table_never_errs(void **state)
{
	struct bed *bed = bed_new(NSAS / 2);
	bool has[NSAS] = { false };
	uint32_t used = 0, number;

	srand(1);
	for (int n = 0; n < 20000; n++) {
		uint32_t i = rand() % NSAS;

		if (has[i]) {
			xi_slots_empty(&bed->slots, XI_SA_INDEX(1, i));
			xi_slots_reclaim(&bed->slots);
		} else if (used == NSAS / 2) {
			assert_int_equal(xi_slots_fill(&bed->slots, &bed->recs[i], &number), -ENOSPC);
			continue;
		} else {
			fill(bed, i);
		}
		used += has[i] ? -1 : 1;
		has[i] = !has[i];
		for (uint32_t k = i; k < NSAS; k += 7) {
			const struct xi_sa_ctx *ctx = find(bed, k, XI_NO_SLOT);

			assert_int_equal(ctx != NULL, has[k]);
			assert_true(!ctx || ntohl(ctx->spi_be) == SPI_OF(k));
		}
	}
	assert_int_equal(bed->slots.used, used);
	bed_free(bed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_filled_slot_is_found),
		cmocka_unit_test(a_hint_never_misleads),
		cmocka_unit_test(there_are_only_so_many),
		cmocka_unit_test(an_emptied_slot_waits_for_the_grace_period),
		cmocka_unit_test(emptying_what_is_not_there_changes_nothing),
		cmocka_unit_test(a_key_that_cannot_be_used_costs_no_slot),
		cmocka_unit_test(readers_never_see_another_sa),
		cmocka_unit_test(an_sa_that_stays_is_always_found),
		cmocka_unit_test(the_hash_table_never_errs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
