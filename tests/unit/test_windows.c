/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where replay windows live: runs of slots in sa_window. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipsec/replay.h"
#include "mem_store.h"
#include "sad/sad.h"

#define NSTATES 256
#define NWINDOWS 71 /* four chunks of 16, and a piece of one */

struct bed {
	struct mem_store *m;
	struct xi_sad *sad;
};

static void sad_open(struct bed *bed)
{
	struct xi_sad_config config = {0};

	assert_int_equal(xi_sad_create(&bed->sad, &config, &bed->m->store), 0);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->m = mem_store_new(NSTATES, NWINDOWS);
	sad_open(bed);
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

static int add(struct bed *bed, uint32_t n, uint32_t window)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + n);
	struct xi_sa_key key = sample_key(n);
	const char *why = NULL;
	int err;

	sa.replay_window = window;
	err = xi_sad_add(bed->sad, &sa, &key, NULL, &why);
	assert_true(!err || (why && *why));
	return err;
}

static const struct xi_sa_rec *find(struct bed *bed, uint32_t n)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + n);

	return xi_sad_find(bed->sad, &sa.id);
}

static void drop(struct bed *bed, uint32_t n)
{
	struct xi_sa_id id = find(bed, n)->sa.id;

	assert_int_equal(xi_sad_delete(bed->sad, &id), 0);
}

/* Slots that a window of this size must have, from the layout in abi.h. */
static uint32_t slots_of(uint32_t window)
{
	uint32_t slots = 1;

	while (window > 32 * (slots * XI_WINDOW_WORDS - 1))
		slots *= 2;
	return slots;
}

static void words_suffice_at_every_boundary(void **state)
{
	static const struct {
		uint32_t window, nwords;
	} sizes[] = {
		{0, 16},       {32, 16},      {480, 16},     {481, 256},    {8160, 256},
		{8161, 512},   {16352, 512},  {16353, 1024}, {32736, 1024}, {32737, 2048},
		{65504, 2048}, {65505, 4096}, {65536, 4096},
	};
	struct bed *bed = *state;
	unsigned int i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct xi_sa_rec *rec;

		assert_int_equal(add(bed, i, sizes[i].window), 0);
		rec = find(bed, i);
		assert_int_equal(rec->nwords, sizes[i].nwords);
		assert_true(32 * (rec->nwords - 1) >= sizes[i].window);
		if (sizes[i].nwords > 16) {
			assert_int_equal(rec->sa.window_slot % (sizes[i].nwords / XI_WINDOW_WORDS),
					 0);
			assert_ptr_equal(rec->words,
					 bed->m->store.windows[rec->sa.window_slot].words);
			drop(bed, i);
		}
	}
	assert_int_equal(add(bed, i, 65537), -EINVAL);
}

/* A window of 65536 works over the whole of its run: the number at its far end is still known. */
static void largest_window_reaches_65536_packets_back(void **state)
{
	struct bed *bed = *state;
	const struct xi_sa_rec *rec;
	struct xi_replay r;
	uint64_t seq;

	assert_int_equal(add(bed, 0, 65536), 0);
	assert_int_equal(add(bed, 1, 8160), 0);
	rec = find(bed, 0);
	r = (struct xi_replay){(uint64_t *)&rec->state->top, rec->words, rec->nwords - 1, 65536,
			       false};
	for (seq = 2; seq <= 65538; seq += 2)
		assert_int_equal(xi_replay_commit(&r, seq), XI_NONE);
	assert_int_equal(xi_replay_check(&r, 3), XI_NONE);
	assert_int_equal(xi_replay_check(&r, 4), XI_DROP_REPLAY);
	assert_int_equal(xi_replay_check(&r, 2), XI_DROP_REPLAY_OLD);
	assert_int_equal(xi_replay_commit(&r, 3), XI_NONE);
	assert_int_equal(xi_replay_commit(&r, 3), XI_DROP_REPLAY);
	rec = find(bed, 1);
	for (seq = 0; seq < rec->nwords; seq++)
		assert_true(rec->words[seq] == 0);
}

/* Small windows go where small ones are, so that large runs last as long as they can. */
static void small_windows_do_not_break_up_large_runs(void **state)
{
	struct bed *bed = *state;
	uint32_t i, n = 0;

	for (i = 0; i < 7; i++)
		assert_int_equal(add(bed, n++, 1024), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(add(bed, n++, 65536), 0);
	assert_int_equal(add(bed, n, 1024), -ENOSPC);
	drop(bed, 0);
	assert_int_equal(add(bed, n, 65536), -ENOSPC);
	assert_int_equal(add(bed, n, 8161), -ENOSPC);
	assert_int_equal(add(bed, n, 1024), 0);
}

/* Freed neighbours become one run again. */
static void freed_runs_join(void **state)
{
	struct bed *bed = *state;
	uint32_t i;

	for (i = 0; i < NWINDOWS; i++)
		assert_int_equal(add(bed, i, 481), 0);
	assert_int_equal(add(bed, i, 481), -ENOSPC);
	for (i = 0; i < NWINDOWS; i++)
		if (find(bed, i)->sa.window_slot / 16 == 2 &&
		    find(bed, i)->sa.window_slot % 16 != 9)
			drop(bed, i);
	assert_int_equal(add(bed, 100, 65536), -ENOSPC);
	assert_int_equal(add(bed, 100, 20000), 0);
	assert_int_equal(find(bed, 100)->sa.window_slot, 2 * 16 + 12);
	drop(bed, 100);
	assert_int_equal(add(bed, 101, 40000), 0);
	assert_int_equal(find(bed, 101)->sa.window_slot, 2 * 16);
	drop(bed, 101);
	for (i = 0; i < NWINDOWS; i++)
		if (find(bed, i) && find(bed, i)->sa.window_slot == 2 * 16 + 9)
			drop(bed, i);
	assert_int_equal(add(bed, 102, 65536), 0);
	assert_int_equal(find(bed, 102)->sa.window_slot, 2 * 16);
}

/*
 * Whatever comes and goes: no slot has two owners, each run is aligned, whole, and zeroed when it
 * is new.
 */
static void owners_never_overlap(void **state)
{
	static const uint32_t windows[] = {481, 8161, 20000, 40000, 65536, 32};
	struct bed *bed = *state;
	uint32_t owner[NWINDOWS] = {0}, i, j, step, refused = 0;
	unsigned int n, before;

	srand(4);
	for (step = 0; step < 4000; step++) {
		const struct xi_sa_rec *rec;

		i = rand() % 60;
		rec = find(bed, i);
		if (rec) {
			for (j = 0; j < slots_of(rec->sa.replay_window) &&
				    rec->sa.window_slot != XI_NO_SLOT;
			     j++) {
				assert_int_equal(owner[rec->sa.window_slot + j], i + 1);
				owner[rec->sa.window_slot + j] = 0;
			}
			drop(bed, i);
			continue;
		}
		if (add(bed, i, windows[rand() % 6])) {
			refused++;
			continue;
		}
		rec = find(bed, i);
		for (j = 0;
		     rec->sa.window_slot != XI_NO_SLOT && j < slots_of(rec->sa.replay_window);
		     j++) {
			assert_in_range(rec->sa.window_slot + j, 0, NWINDOWS - 1);
			assert_int_equal(owner[rec->sa.window_slot + j], 0);
			owner[rec->sa.window_slot + j] = i + 1;
			assert_true(rec->words[j * XI_WINDOW_WORDS] == 0);
			assert_true(rec->words[(j + 1) * XI_WINDOW_WORDS - 1] == 0);
		}
		rec->words[0] = rec->words[rec->nwords - 1] = ~0ULL;
		if (step % 400 == 0) { /* and a later daemon knows who owns what */
			before = xi_sad_count(bed->sad);
			xi_sad_destroy(bed->sad);
			sad_open(bed);
			assert_int_equal(xi_sad_adopt(bed->sad, &n), 0);
			assert_int_equal(n, before);
			rec = find(bed, i);
			assert_true(rec->words[0] == ~0ULL && rec->words[rec->nwords - 1] == ~0ULL);
		}
	}
	assert_true(refused > 0);
}

/* What the store says of windows is not believed. */
static void adoption_refuses_windows_that_make_no_sense(void **state)
{
	struct bed *bed = *state;
	unsigned int n;
	uint32_t i;

	for (i = 0; i < 5; i++)
		assert_int_equal(add(bed, i, i == 4 ? 8160 : 20000), 0);
	for (i = 0; i < MEM_STORE_SAS; i++) {
		struct xi_sa *sa = &bed->m->sas[i].sa;

		if (!bed->m->sas[i].used)
			continue;
		if (sa->id.spi == 0x1000)
			sa->window_slot++; /* not aligned */
		else if (sa->id.spi == 0x1001)
			sa->window_slot = 68; /* beyond the end in part */
		else if (sa->id.spi == 0x1002)
			sa->window_slot = 1 << 30;
		else if (sa->id.spi == 0x1003)
			sa->replay_window = 65537;
	}
	xi_sad_destroy(bed->sad);
	sad_open(bed);
	assert_int_equal(xi_sad_adopt(bed->sad, &n), 0);
	assert_int_equal(n, 1);
	assert_non_null(find(bed, 4));
	for (i = 0; i < 4; i++) /* all that those four had is free */
		assert_int_equal(add(bed, i, 65536 - i), 0);
	assert_int_equal(add(bed, 5, 65536), -ENOSPC);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(words_suffice_at_every_boundary),
		T(largest_window_reaches_65536_packets_back),
		T(small_windows_do_not_break_up_large_runs),
		T(freed_runs_join),
		T(owners_never_overlap),
		T(adoption_refuses_windows_that_make_no_sense),
	};

	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
