/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What SAs take: slots and their generations, large windows, SPIs; larval SAs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "ipsec/replay.h"
#include "sad_bed.h"

static void slot_comes_back_with_next_generation(void **state)
{
	struct fixture *f = *state;
	uint32_t seen[3 * NSTATES], i, j;

	for (i = 0; i < 3 * NSTATES; i++) {
		struct xi_sa sa = sa_no(1);

		assert_int_equal(add(f, &sa), 0);
		seen[i] = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
		assert_int_equal(XI_SA_SLOT(seen[i]), i % NSTATES);
		for (j = 0; j < i; j++) {
			assert_int_not_equal(seen[j], seen[i]);
			assert_null(xi_sad_rec(f->sad, seen[j]));
		}
		assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	}
}

static void generation_wraps_past_zero(void **state)
{
	struct fixture *f = *state;
	struct mem_store *m = mem_store_new(1, 0);
	struct xi_sad_config config = { 0 };
	struct xi_sa sa = sa_no(1);
	struct xi_sa_key key = sample_key(1);
	struct xi_sad *sad;
	const char *why;
	uint32_t i, index, last = 0;

	assert_non_null(f);
	assert_int_equal(xi_sad_create(&sad, &config, &m->store), 0);
	for (i = 0; i < XI_SA_GEN_MAX + 2; i++) {
		assert_int_equal(xi_sad_add(sad, &sa, &key, NULL, &why), 0);
		index = xi_sad_find(sad, &sa.id)->sa.sa_index;
		assert_int_not_equal(index >> XI_SA_SLOT_BITS, 0);
		assert_int_not_equal(index, last);
		last = index;
		assert_int_equal(xi_sad_delete(sad, &sa.id), 0);
	}
	assert_int_equal(last, XI_SA_INDEX(2, 0));
	assert_int_equal(m->config.sad_generation, 2);
	xi_sad_destroy(sad);
	mem_store_free(m);
}

static void full_table_is_said(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa;
	uint32_t i;

	for (i = 0; i < NSTATES; i++) {
		sa = sa_no(i);
		assert_int_equal(add(f, &sa), 0);
	}
	sa = sa_no(i);
	assert_int_equal(add(f, &sa), -ENOSPC);
	assert_int_equal(xi_sad_capacity(f->sad), NSTATES);
}

static void large_windows_take_slots(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa[4] = { sa_no(0), sa_no(1), sa_no(2), sa_no(3) };
	const struct xi_sa_rec *rec;
	uint32_t i;

	sa[0].replay_window = XI_WINDOW_INLINE_MAX;
	sa[1].replay_window = XI_WINDOW_INLINE_MAX + 1;
	sa[2].replay_window = XI_WINDOW_MAX;
	sa[3].replay_window = XI_WINDOW_MAX;
	memset(f->m->store.windows, 0xff, NWINDOWS * sizeof(struct xi_window));
	assert_int_equal(add(f, &sa[0]), 0);
	assert_int_equal(xi_sad_find(f->sad, &sa[0].id)->sa.window_slot, XI_NO_SLOT);
	assert_int_equal(add(f, &sa[1]), 0);
	rec = xi_sad_find(f->sad, &sa[1].id);
	assert_int_equal(rec->nwords, XI_WINDOW_WORDS);
	assert_ptr_equal(rec->words, f->m->store.windows[rec->sa.window_slot].words);
	assert_true(rec->words[0] == 0 && rec->words[XI_WINDOW_WORDS - 1] == 0);
	assert_int_equal(add(f, &sa[2]), 0);
	rec = xi_sad_find(f->sad, &sa[2].id);
	assert_int_equal(rec->nwords, XI_WINDOW_WORDS * XI_WINDOW_RUN);
	for (i = 0; i < rec->nwords; i++)
		assert_true(rec->words[i] == 0);
	assert_int_equal(add(f, &sa[3]), -ENOSPC);
	assert_int_equal(xi_sad_count(f->sad), 3);
	assert_int_equal(xi_sad_delete(f->sad, &sa[2].id), 0);
	assert_int_equal(add(f, &sa[3]), 0);
}

static void larval_sa_becomes_real_in_place(void **state)
{
	struct fixture *f = *state;
	struct xi_replay_init init = { .oseq = 5 };
	struct xi_sa sa = sa_no(0);
	const struct xi_sa_rec *rec;
	uint32_t index;

	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x5000, 0x5fff, 30, &rec), 0);
	assert_in_range(rec->sa.id.spi, 0x5000, 0x5fff);
	assert_true(rec->sa.life & XI_SA_LARVAL);
	assert_int_equal(mem_store_count_lookups(f->m), 1);
	assert_int_equal(mem_store_lookup(f->m, &rec->sa.id), XI_LARVAL);
	assert_int_equal(f->added, 0);
	index = rec->sa.sa_index;
	sa.id.spi = rec->sa.id.spi;
	assert_int_equal(xi_sad_lookup(f->sad, &sa.id), 0);
	assert_int_equal(xi_sad_lookup_spi(f->sad, &sa.id), index);
	assert_int_equal(add(f, &sa), -EEXIST);
	assert_int_equal(update(f, &sa, &init), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	assert_int_equal(rec->sa.sa_index, index);
	assert_int_equal(rec->sa.life, 0);
	assert_true(rec->state->oseq == 5);
	assert_int_equal(mem_store_lookup(f->m, &sa.id), index);
	assert_int_equal(xi_sad_lookup_spi(f->sad, &sa.id), index);
	assert_int_equal(f->added, 1);
	xi_sad_tick(f->sad, time(NULL) + 1000);
	assert_non_null(xi_sad_find(f->sad, &sa.id));
}

static void larval_sa_dies(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(0);
	const struct xi_sa_rec *rec;
	uint64_t born;

	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x5000, 0x5fff, 30, &rec), 0);
	born = rec->sa.add_time;
	xi_sad_tick(f->sad, born + 29);
	assert_int_equal(xi_sad_count(f->sad), 1);
	assert_int_equal(mem_store_count_lookups(f->m), 1);
	xi_sad_tick(f->sad, born + 30);
	assert_int_equal(xi_sad_count(f->sad), 0);
	assert_int_equal(mem_store_count_lookups(f->m), 0);
	assert_int_equal(f->hard, 1);
	assert_int_equal(f->removed, 0);
}

static void larval_sa_that_xdp_cannot_know_is_none(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(0);
	const struct xi_sa_rec *rec;

	mem_store_fail(f->m, 1, 1);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x5000, 0x5000, 30, &rec), -EIO);
	assert_int_equal(xi_sad_count(f->sad), 0);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x5000, 0x5000, 30, &rec), 0);
	sa.id = rec->sa.id;
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(mem_store_count_lookups(f->m), 0);
	assert_int_equal(xi_sad_lookup_spi(f->sad, &sa.id), 0);
}

/* Its key manager asks for another SPI when it finds that this one is gone. */
static void adoption_keeps_no_larval_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1), larval = sa_no(0);
	const struct xi_sa_rec *rec;
	unsigned int n;

	assert_int_equal(add(f, &sa), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x5000, 0x5000, 30, &rec), 0);
	larval.id = rec->sa.id;
	assert_int_equal(mem_store_count_lookups(f->m), 2);
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(mem_store_count_lookups(f->m), 1);
	assert_int_equal(xi_sad_lookup_spi(f->sad, &larval.id), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x5000, 0x5000, 30, &rec), 0);
}

static void spis_are_unused_ones_in_range(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(0), other = sample_sa("192.0.2.1", "192.0.2.3", 0);
	const struct xi_sa_rec *rec;
	uint32_t i, seen = 0;

	for (i = 0; i < 4; i++) {
		assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x7000, 0x7003, 30, &rec), 0);
		seen |= 1U << (rec->sa.id.spi - 0x7000);
	}
	assert_int_equal(seen, 0xf);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0x7000, 0x7003, 30, &rec), -ENOENT);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &other, 0x7000, 0x7000, 30, &rec), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0, 255, 30, &rec), -ENOENT);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &sa, 0, 256, 30, &rec), 0);
	assert_int_equal(rec->sa.id.spi, 256);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(slot_comes_back_with_next_generation),
		T(generation_wraps_past_zero),
		T(full_table_is_said),
		T(large_windows_take_slots),
		T(larval_sa_becomes_real_in_place),
		T(larval_sa_dies),
		T(larval_sa_that_xdp_cannot_know_is_none),
		T(adoption_keeps_no_larval_sa),
		T(spis_are_unused_ones_in_range),
	};

	return cmocka_run_group_tests_name("sad_slots", tests, NULL, NULL);
}
