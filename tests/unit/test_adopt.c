/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs that a later daemon finds in the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "sad_bed.h"

/* Invariant state-survives: another SAD on the same store knows the same. */
static void adoption_finds_everything_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa[3] = { sa_no(0), sa_no(1), sa_no(2) }, larval = sa_no(9);
	struct xi_sa_rec before[3];
	const struct xi_sa_rec *rec;
	uint32_t gone, i;
	unsigned int n;

	gone = 0;
	sa[1].replay_window = 1024;
	sa[2].limits.soft_add = 1;
	for (i = 0; i < 3; i++) {
		assert_int_equal(add(f, &sa[i]), 0);
		before[i] = *xi_sad_find(f->sad, &sa[i].id);
		before[i].state->oseq = 100 + i;
		before[i].state->bytes = 1000 + i;
		before[i].words[3] = 0x1234 + i;
	}
	xi_sad_tick(f->sad, before[2].sa.add_time + 1);
	before[2] = *xi_sad_find(f->sad, &sa[2].id);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x9000, 0x9000, 60, &rec), 0);
	gone = rec->sa.sa_index;
	assert_int_equal(mem_store_count_lookups(f->m), 4);
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(mem_store_count_lookups(f->m), 3); /* XDP knows no SPI that nobody has */
	for (i = 0; i < 3; i++) {
		rec = xi_sad_find(f->sad, &sa[i].id);
		assert_non_null(rec);
		assert_memory_equal(rec, &before[i], sizeof(*rec));
		assert_true(rec->state->oseq == 100 + i && rec->state->bytes == 1000 + i);
		assert_true(rec->words[3] == 0x1234 + i);
	}
	xi_sad_tick(f->sad, before[2].sa.add_time + 2);
	assert_int_equal(f->soft, 1);
	assert_int_equal(f->m->store.states[XI_SA_SLOT(gone)].sa_index, 0);
	larval.replay_window = 4096;
	larval.id.spi = 0x9000;
	assert_int_equal(add(f, &larval), 0);
	assert_int_not_equal(xi_sad_find(f->sad, &larval.id)->sa.window_slot,
			     before[1].sa.window_slot);
	assert_int_not_equal(xi_sad_find(f->sad, &larval.id)->sa.sa_index, gone);
}

static void adoption_drops_what_makes_no_sense(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa[6];
	unsigned int n;
	uint32_t i;

	for (i = 0; i < 6; i++) {
		sa[i] = sa_no(i);
		sa[i].replay_window = i >= 4 ? 1024 : 32;
		assert_int_equal(add(f, &sa[i]), 0);
	}
	f->m->store.states[0].sa_index++;
	memset(&f->m->sas[1].key, 0, sizeof(f->m->sas[1].key));
	f->m->sas[2].sa.sa_index ^= 1;
	f->m->sas[5].sa.window_slot = f->m->sas[4].sa.window_slot;
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 2);
	assert_non_null(xi_sad_find(f->sad, &sa[3].id));
	assert_non_null(xi_sad_find(f->sad, &sa[4].id));
	assert_int_equal(mem_store_count_sas(f->m), 2);
	assert_int_equal(mem_store_count_lookups(f->m), 2);
	assert_int_equal(f->m->store.states[0].sa_index, 0);
}

/*
 * A daemon killed between two writes of an add or a delete: the SA is wholly there, or not at all.
 */
static void adoption_completes_interrupted_changes(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint32_t index;
	unsigned int n;

	assert_int_equal(add(f, &sa), 0);
	index = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
	assert_int_equal(f->m->store.ops->lookup_del(f->m, &sa.id), 0);
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(mem_store_lookup(f->m, &sa.id), index);
}

/* Look-ups that lead nowhere, or to another SA's index, go. */
static void adoption_mends_look_ups(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1), none = sa_no(2);
	uint32_t index;
	unsigned int n;

	assert_int_equal(add(f, &sa), 0);
	index = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
	assert_int_equal(f->m->store.ops->lookup_put(f->m, &sa.id, index + 1), 0);
	assert_int_equal(f->m->store.ops->lookup_put(f->m, &none.id, index), 0);
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(mem_store_lookup(f->m, &sa.id), index);
	assert_int_equal(mem_store_count_lookups(f->m), 1);
}

/*
 * Adopted in steps, in whatever order packets want them, SAs stand in the order of their age, as if
 * adopted at once, and are told of once each.
 */
static void hot_sas_come_first_and_stand_where_they_stood(void **state)
{
	static const uint32_t by_age[5] = { 1, 3, 0, 2, 4 }; /* other than by slot */
	struct fixture *f = *state;
	uint32_t handles[5], i, k;
	struct xi_sad_node *node;
	enum xi_chain chain;
	struct xi_tmpl tmpl = { 0 };
	struct xi_sa sa[5];
	unsigned int n, before;
	uint32_t hot[4];

	for (i = 0; i < 5; i++) {
		sa[i] = sa_no(i);
		memcpy(sa[i].id.daddr, sa[0].id.daddr, 16);
		sa[i].reqid = 7;
		assert_int_equal(add(f, &sa[i]), 0);
		handles[i] = xi_sad_find(f->sad, &sa[i].id)->sa.sa_index;
	}
	for (i = 0; i < 5; i++)
		came_at(f, &sa[by_age[i]], 1000 + i);
	xi_sad_destroy(f->sad);
	sad_open(f);
	/* the second is stale */
	hot[0] = hot[3] = handles[3];
	hot[1] = handles[1] + (1U << XI_SA_SLOT_BITS);
	hot[2] = handles[0];
	assert_int_equal(xi_sad_adopt_hot(f->sad, hot, 4), 0);
	assert_int_equal(xi_sad_count(f->sad), 2);
	assert_true(xi_sad_is_hot(f->sad, handles[3]) && xi_sad_is_hot(f->sad, handles[0]));
	assert_false(xi_sad_is_hot(f->sad, handles[1]));
	before = f->added;
	assert_int_equal(xi_sad_adopt_first(f->sad, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(f->added - before, 5);
	assert_false(xi_sad_is_hot(f->sad, handles[1]));
	xi_sad_adopt_rest(f->sad);
	xi_sad_adopt_rest(f->sad);
	memcpy(tmpl.id.daddr, sa[0].id.daddr, 16);
	tmpl.family = sa[0].id.family;
	tmpl.reqid = 7;
	node = xi_peers_newest(f->sad, &tmpl, &chain);
	for (k = 5; k-- > 0; node = node->links[chain].older) {
		i = by_age[k];
		assert_non_null(node);
		assert_int_equal(node->sa_index, handles[i]);
		assert_int_equal(mem_store_lookup(f->m, &sa[i].id), handles[i]);
		/* its sender is known: the same key again would count the same numbers */
		assert_non_null(xi_sender_find(f->sad, node, &node->rec->sa));
	}
	assert_null(node);
	assert_int_equal(mem_store_count_sas(f->m), 5);
}

static void handles_of_an_earlier_daemon_stay_stale(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint32_t old;
	unsigned int n;

	assert_int_equal(add(f, &sa), 0);
	old = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(add(f, &sa), 0);
	assert_int_not_equal(xi_sad_find(f->sad, &sa.id)->sa.sa_index, old);
	assert_null(xi_sad_rec(f->sad, old));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(adoption_finds_everything_as_it_was),
		T(adoption_drops_what_makes_no_sense),
		T(adoption_completes_interrupted_changes),
		T(adoption_mends_look_ups),
		T(hot_sas_come_first_and_stand_where_they_stood),
		T(handles_of_an_earlier_daemon_stay_stale),
	};

	return cmocka_run_group_tests_name("adopt", tests, NULL, NULL);
}
