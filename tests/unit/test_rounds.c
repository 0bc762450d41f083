/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Many changes of the SAD with one sync: what is seen when. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mem_store.h"
#include "sad/sad.h"

#define NSTATES 8

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
	unsigned int changes, syncs;
	struct xi_sa_state *counting; /* a worker has not heard yet that this SA is gone */
	uint64_t counts_to;
	const struct xi_sa_rec *olds[16]; /* what workers may still be reading */
	unsigned int nolds, read, wiped;
};

static void on_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	f->changes++;
	if (old && f->nolds < 16)
		f->olds[f->nolds++] = old;
}

static void on_sync(void *arg)
{
	struct fixture *f = arg;

	f->syncs++;
	if (f->counting)
		f->counting->oseq = f->counts_to;
	f->counting = NULL;
	for (; f->nolds; f->read++)
		f->wiped += !f->olds[--f->nolds]->key.len;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xi_sad_config config = { 0 };

	f->m = mem_store_new(NSTATES, 1);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	xi_sad_listen(f->sad, &(struct xi_sad_listener){.changed = on_changed, .sync = on_sync, .arg = f});
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	xi_sad_destroy(f->sad);
	mem_store_free(f->m);
	free(f);
	return 0;
}

static struct xi_sa sa_no(uint32_t n)
{
	return sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + n);
}

static int add_key(struct fixture *f, uint32_t n, uint32_t key_no)
{
	struct xi_sa_key key = sample_key(key_no);
	struct xi_sa sa = sa_no(n);
	const char *why;

	return xi_sad_add(f->sad, &sa, &key, NULL, &why);
}

static int add(struct fixture *f, uint32_t n)
{
	return add_key(f, n, n + 1);
}

static int del(struct fixture *f, uint32_t n)
{
	struct xi_sa sa = sa_no(n);

	return xi_sad_delete(f->sad, &sa.id);
}

static const struct xi_sa_rec *find(struct fixture *f, uint32_t n)
{
	struct xi_sa sa = sa_no(n);

	return xi_sad_find(f->sad, &sa.id);
}

static unsigned int listed(struct fixture *f)
{
	unsigned int n = 0;
	uint32_t slot = 0;

	while (xi_sad_next(f->sad, &slot))
		n++;
	return n;
}

static void a_round_has_one_sync_at_its_end(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	xi_sad_hold(f->sad);
	for (i = 0; i < 4; i++)
		assert_int_equal(add(f, i), 0);
	assert_int_equal(del(f, 2), 0);
	assert_int_equal(f->changes, 5);
	assert_int_equal(f->syncs, 0);
	xi_sad_release(f->sad);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(del(f, 1), 0);
	assert_int_equal(f->syncs, 2);
}

static void rounds_nest(void **state)
{
	struct fixture *f = *state;

	xi_sad_hold(f->sad);
	xi_sad_hold(f->sad);
	assert_int_equal(add(f, 1), 0);
	xi_sad_release(f->sad);
	assert_int_equal(f->syncs, 0);
	xi_sad_release(f->sad);
	assert_int_equal(f->syncs, 1);
	xi_sad_hold(f->sad);
	xi_sad_release(f->sad);
	assert_int_equal(f->syncs, 1); /* nothing changed */
}

static void later_requests_see_what_earlier_ones_did(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa;
	uint32_t first;

	xi_sad_hold(f->sad);
	assert_int_equal(add(f, 1), 0);
	assert_int_equal(add(f, 2), 0);
	assert_int_equal(listed(f), 2);
	assert_int_equal(add(f, 1), -EEXIST);
	first = find(f, 1)->sa.sa_index;
	assert_int_equal(del(f, 1), 0);
	assert_null(find(f, 1));
	assert_null(xi_sad_rec(f->sad, first));
	sa = sa_no(1);
	assert_int_equal(mem_store_lookup(f->m, &sa.id), 0);
	assert_int_equal(listed(f), 1);
	assert_int_equal(xi_sad_count(f->sad), 1);
	assert_int_equal(del(f, 1), -ESRCH);
	assert_int_equal(add(f, 1), 0);
	/* the handle of the first stays its own while workers may hold it */
	assert_int_not_equal(XI_SA_SLOT(find(f, 1)->sa.sa_index), XI_SA_SLOT(first));
	xi_sad_release(f->sad);
	assert_int_equal(listed(f), 2);
	assert_int_equal(mem_store_count_sas(f->m), 2);
	assert_int_equal(mem_store_count_lookups(f->m), 2);
}

static void what_is_refused_changes_nothing(void **state)
{
	struct fixture *f = *state;

	xi_sad_hold(f->sad);
	assert_int_equal(add(f, 1), 0);
	assert_int_equal(add_key(f, 2, 2), -EINVAL); /* the key of 1, from the same address */
	assert_null(find(f, 2));
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(add(f, 3), -EIO);
	mem_store_fail(f->m, 2, 1); /* the look-up, when workers could find it already */
	assert_int_equal(add(f, 4), -EIO);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(add(f, 5), 0);
	xi_sad_release(f->sad);
	assert_int_equal(listed(f), 2);
	assert_int_equal(xi_sad_count(f->sad), 2);
	assert_int_equal(mem_store_count_sas(f->m), 2);
	assert_int_equal(add(f, 3), 0);
	assert_int_equal(add(f, 4), 0);
}

/* Until the sync a worker may go on counting with a key whose SA is deleted: nonce-unique. */
static void an_sa_that_is_moved_counts_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(add_key(f, 1, 7), 0);
	f->counting = find(f, 1)->state;
	f->counting->oseq = 100;
	f->counts_to = 105;
	xi_sad_hold(f->sad);
	assert_int_equal(del(f, 1), 0);
	assert_int_equal(add_key(f, 2, 7), 0);
	assert_true(find(f, 2)->state->oseq >= 105);
	xi_sad_release(f->sad);
	assert_true(find(f, 2)->state->oseq >= 105);
}

/* Also when it had sent nothing yet as far as anybody could see. */
static void an_sa_that_is_moved_before_its_first_packet_counts_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(add_key(f, 1, 7), 0);
	f->counting = find(f, 1)->state;
	f->counts_to = 3;
	xi_sad_hold(f->sad);
	assert_int_equal(del(f, 1), 0);
	assert_int_equal(add_key(f, 2, 7), 0);
	xi_sad_release(f->sad);
	assert_true(find(f, 2)->state->oseq >= 3);
}

static void a_full_table_takes_an_sa_for_one_that_went(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	for (i = 0; i < NSTATES; i++)
		assert_int_equal(add(f, i), 0);
	f->syncs = 0;
	xi_sad_hold(f->sad);
	assert_int_equal(add(f, 100), -ENOSPC);
	assert_int_equal(f->syncs, 0);
	assert_int_equal(del(f, 3), 0);
	assert_int_equal(add(f, 100), 0);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(add(f, 101), -ENOSPC);
	xi_sad_release(f->sad);
	assert_int_equal(xi_sad_count(f->sad), NSTATES);
}

static void a_window_that_went_is_to_be_had_again(void **state)
{
	struct fixture *f = *state;
	struct xi_sa_key key = sample_key(1), other = sample_key(2);
	struct xi_sa sa = sa_no(1), next = sa_no(2);
	const char *why;

	sa.replay_window = next.replay_window = 1024;
	xi_sad_hold(f->sad);
	assert_int_equal(xi_sad_add(f->sad, &sa, &key, NULL, &why), 0);
	assert_int_equal(xi_sad_add(f->sad, &next, &other, NULL, &why), -ENOSPC);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(xi_sad_add(f->sad, &next, &other, NULL, &why), 0);
	xi_sad_release(f->sad);
}

static void records_live_until_the_sync(void **state)
{
	struct fixture *f = *state;
	struct xi_sa_key key = sample_key(9);
	struct xi_sa sa = sa_no(1);
	const char *why;
	int i;

	assert_int_equal(add_key(f, 1, 9), 0);
	xi_sad_hold(f->sad);
	for (i = 0; i < 10; i++) {
		sa.limits.soft_packets = 1000 + i;
		assert_int_equal(xi_sad_update(f->sad, &sa, &key, NULL, &why), 0);
		assert_int_equal(find(f, 1)->sa.limits.soft_packets, 1000 + i);
	}
	assert_int_equal(del(f, 1), 0);
	xi_sad_release(f->sad);
	assert_int_equal(f->syncs, 2);
	assert_int_equal(f->read, 11);
	assert_int_equal(f->wiped, 0);
}

static void larval_sas_become_real_in_a_round(void **state)
{
	struct fixture *f = *state;
	const struct xi_sa_rec *rec;
	struct xi_sa_key key = sample_key(1);
	struct xi_sa sa = sa_no(1);
	const char *why;

	xi_sad_hold(f->sad);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x2000, 0x2000, 30, &rec), 0);
	sa.id.spi = rec->sa.id.spi;
	assert_int_equal(xi_sad_update(f->sad, &sa, &key, NULL, &why), 0);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x2000, 0x2000, 30, &rec), 0);
	assert_int_equal(xi_sad_delete(f->sad, &rec->sa.id), 0);
	xi_sad_release(f->sad);
	assert_int_equal(xi_sad_count(f->sad), 0);
	assert_int_equal(mem_store_count_sas(f->m), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_round_has_one_sync_at_its_end),
		T(rounds_nest),
		T(later_requests_see_what_earlier_ones_did),
		T(what_is_refused_changes_nothing),
		T(an_sa_that_is_moved_counts_on),
		T(an_sa_that_is_moved_before_its_first_packet_counts_on),
		T(a_full_table_takes_an_sa_for_one_that_went),
		T(a_window_that_went_is_to_be_had_again),
		T(records_live_until_the_sync),
		T(larval_sas_become_real_in_a_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
