/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lifetimes over hours of ticks, against a walk over all SAs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "mem_store.h"
#include "sad/sad.h"

#define NSTATES 128
#define SECONDS 9000             /* more than two turns of the wheel */

struct bed {
	struct mem_store *m;
	struct xi_sad *sad;
	uint32_t next_spi;
	struct expected {
		bool there;
		struct xi_sa sa;
		uint64_t dies;       /* seconds since the epoch */
		uint64_t hard_bytes;
	} sas[NSTATES];
};

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->m = mem_store_new(NSTATES, 1);
	bed->next_spi = 0x1000;
	if (xi_sad_create(&bed->sad, &(struct xi_sad_config){0}, &bed->m->store))
		return -1;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	xi_sad_destroy(bed->sad);
	mem_store_free(bed->m);
	free(bed);
	return 0;
}

/* hard_add: seconds from the real clock's now on, which is the SA's beginning; 0 none. hard_bytes: ~0 none. */
static void add(struct bed *bed, struct expected *e, uint64_t hard_add, uint64_t hard_bytes)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", bed->next_spi);
	struct xi_sa_key key = sample_key(bed->next_spi++);
	const char *why = NULL;

	sa.limits.hard_add = hard_add;
	sa.limits.hard_bytes = hard_bytes;
	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
	*e = (struct expected){.there = true, .sa = sa, .dies = UINT64_MAX, .hard_bytes = hard_bytes};
	if (hard_add)
		e->dies = xi_sad_find(bed->sad, &sa.id)->sa.add_time + hard_add;
}

static void carry(struct bed *bed, struct expected *e, uint64_t now, uint64_t bytes)
{
	const struct xi_sa_rec *rec = xi_sad_find(bed->sad, &e->sa.id);

	rec->state->use_time = now;
	rec->state->bytes += bytes;
	if (rec->state->bytes >= e->hard_bytes)
		e->dies = now;
}

static void check(struct bed *bed, uint64_t now)
{
	unsigned int i, n = 0;

	for (i = 0; i < NSTATES; i++) {
		struct expected *e = &bed->sas[i];

		e->there &= now < e->dies;
		n += e->there;
		if (e->sa.id.spi)
			assert_int_equal(xi_sad_find(bed->sad, &e->sa.id) != NULL, e->there);
	}
	assert_int_equal(xi_sad_count(bed->sad), n);
}

/* One SA a second changes: comes, with a lifetime that ends at once, soon or late, carries something, or goes. */
static void sas_die_when_a_walk_over_all_would_have_them_die(void **state)
{
	struct bed *bed = *state;
	uint64_t begin = time(NULL), second;

	srand(1);
	for (second = 1; second < SECONDS; second++) {
		struct expected *e = &bed->sas[rand() % NSTATES];
		uint64_t now = begin + second;
		int what = rand() % 8;

		if (!e->there)
			add(bed, e, what < 6 ? second - time(NULL) + begin + rand() % (1 << 2 * what) : 0,
			    what % 2 ? 1000 : UINT64_MAX);
		else if (what < 6)
			carry(bed, e, now, rand() % 600);
		else if (what == 6) {
			assert_int_equal(xi_sad_delete(bed->sad, &e->sa.id), 0);
			e->there = false;
		}
		xi_sad_tick(bed->sad, now);
		check(bed, now);
	}
}

/* The seconds up to now have been looked at: what ends in this one must not wait for a turn of the wheel. */
static void a_life_that_ends_in_this_very_second_ends(void **state)
{
	struct bed *bed = *state;
	uint64_t now = time(NULL) + 100;

	xi_sad_tick(bed->sad, now);
	add(bed, &bed->sas[0], now - time(NULL), UINT64_MAX);
	now = bed->sas[0].dies;      /* a second later, should one have passed just then */
	xi_sad_tick(bed->sad, now);
	check(bed, now);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sas_die_when_a_walk_over_all_would_have_them_die),
		T(a_life_that_ends_in_this_very_second_ends),
	};

	return cmocka_run_group_tests_name("due", tests, NULL, NULL);
}
