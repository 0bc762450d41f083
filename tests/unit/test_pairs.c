/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs in transport mode by their two addresses, while others of the same addresses come and go. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "mem_store.h"
#include "null_store.h"
#include "sad/sad_priv.h"

#define NSTATES 32768
#define NPAIRS 3
#define NSAS 64
#define STEPS 20000

struct bed {
	struct null_store *n;
	struct xi_sad *sad;
};

static void on_sync(void *arg)
{
	synchronize_rcu();
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->n = null_store_new(NSTATES);
	if (xi_sad_create(&bed->sad, &(struct xi_sad_config){0}, &bed->n->store))
		return -1;
	xi_sad_listen(bed->sad, &(struct xi_sad_listener){.sync = on_sync});
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	xi_sad_destroy(bed->sad);
	null_store_free(bed->n);
	free(bed);
	return 0;
}

static struct xi_sa sa_of(uint32_t pair, uint32_t n)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + n);

	sa.id.daddr[3] += pair;
	sa.mode = XI_TRANSPORT;
	return sa;
}

static void add(struct bed *bed, uint32_t pair, uint32_t n)
{
	struct xi_sa_key key = sample_key(pair * NSTATES + n);
	struct xi_sa sa = sa_of(pair, n);
	const char *why = NULL;

	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
}

static void del(struct bed *bed, uint32_t pair, uint32_t n)
{
	struct xi_sa sa = sa_of(pair, n);

	assert_int_equal(xi_sad_delete(bed->sad, &sa.id), 0);
}

static struct xi_pair_key key_of(uint32_t pair)
{
	struct xi_sa sa = sa_of(pair, 0);
	struct xi_pair_key key = {.proto = sa.id.proto, .family = sa.id.family};

	memcpy(key.saddr, sa.saddr, 16);
	memcpy(key.daddr, sa.id.daddr, 16);
	return key;
}

/* there: of each number of the pair. */
static void check_pair(struct bed *bed, uint32_t pair, const bool there[NSAS])
{
	struct xi_pair_key key = key_of(pair);
	bool seen[NSAS] = {false};
	struct xi_sad_node *node;
	struct xi_pair_iter it;

	for (node = xi_pair_first(&it, bed->sad, &key); node; node = xi_pair_next(&it)) {
		assert_ptr_equal(it.rec, node->rec);
		assert_memory_equal(it.rec->sa.id.daddr, key.daddr, 16);
		assert_true(it.rec->sa.id.spi - 0x1000 < NSAS);
		assert_false(seen[it.rec->sa.id.spi - 0x1000]);
		seen[it.rec->sa.id.spi - 0x1000] = true;
	}
	assert_memory_equal(seen, there, sizeof(seen));
}

static void each_pair_has_its_own_and_each_once(void **state)
{
	bool there[NPAIRS][NSAS] = {{false}};
	struct bed *bed = *state;
	uint32_t i, p;

	srand(1);
	for (i = 0; i < STEPS / 10; i++) {
		uint32_t pair = rand() % NPAIRS, n = rand() % (i % 500 < 250 ? 3 : NSAS);

		(there[pair][n] ? del : add)(bed, pair, n);
		there[pair][n] = !there[pair][n];
		for (p = 0; p < NPAIRS; p++)
			check_pair(bed, p, there[p]);
	}
}

struct reader {
	struct bed *bed;
	atomic_bool stop;
	unsigned long looks, missed;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	struct xi_pair_key key = key_of(0);
	struct xi_sad_node *node;
	struct xi_pair_iter it;
	bool found;

	rcu_register_thread();
	while (!r->stop) {
		found = false;
		for (node = xi_pair_first(&it, r->bed->sad, &key); node; node = xi_pair_next(&it))
			found |= it.rec && it.rec->sa.id.spi == 0x1000;
		r->missed += !found;
		r->looks++;
		rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

/* An SA that stays, behind others and in front of them. */
static void an_sa_is_found_while_those_around_it_go(void **state)
{
	struct bed *bed = *state;
	struct reader r = {.bed = bed};
	pthread_t thread;
	uint32_t i;

	add(bed, 0, 1);
	add(bed, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &r), 0);
	for (i = 1; i < STEPS; i++) {
		add(bed, 0, i + 1);
		del(bed, 0, i);
	}
	r.stop = true;
	pthread_join(thread, NULL);
	assert_true(r.looks > 0);
	assert_int_equal(r.missed, 0);
}

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* ns an SA */
static uint64_t price(struct bed *bed, uint32_t n)
{
	uint64_t best = UINT64_MAX, start;
	uint32_t i, turn;

	for (turn = 0; turn < 3; turn++) {
		start = cpu_ns();
		for (i = 0; i < n; i++)
			add(bed, 0, i);
		for (i = 0; i < n; i++)
			del(bed, 0, i);
		start = cpu_ns() - start;
		best = start / n < best ? start / n : best;
	}
	return best;
}

/* 32 times as many; a walk over all of them would cost 32 times as much each. */
static void one_of_many_costs_what_one_of_few_does(void **state)
{
	struct bed *bed = *state;
	uint64_t few = price(bed, 500), many = price(bed, 16000);

	print_message("an SA of 500: %llu ns, of 16000: %llu ns\n", (unsigned long long)few,
		      (unsigned long long)many);
	assert_true(many < 6 * few);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_pair_has_its_own_and_each_once),
		T(an_sa_is_found_while_those_around_it_go),
		T(one_of_many_costs_what_one_of_few_does),
	};

	return cmocka_run_group_tests_name("pairs", tests, NULL, NULL);
}
