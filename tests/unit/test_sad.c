/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <linux/xfrm.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <urcu-qsbr.h>
#include <cmocka.h>

#include "ipsec/replay.h"
#include "cache/sa_table.h"
#include "mem_store.h"
#include "sad/sad_priv.h"

#define NSTATES 8
#define NWINDOWS 17

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
	unsigned int added, removed, updated, syncs;
	unsigned int soft, hard;
	uint32_t hard_spi;
};

static const char *refuse_why;

static bool carries(const struct xi_sa *sa, const char **why)
{
	if (refuse_why)
		*why = refuse_why;
	return !refuse_why;
}

static void on_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	assert_true(old || new);
	if (old && new) {
		f->updated++;
	} else if (new) {
		f->added++;
		assert_ptr_equal(xi_sad_rec(f->sad, new->sa.sa_index), new);
		assert_int_equal(mem_store_lookup(f->m, &new->sa.id), new->sa.sa_index);
	} else {
		f->removed++;
		assert_null(xi_sad_rec(f->sad, old->sa.sa_index));
		assert_int_equal(mem_store_lookup(f->m, &old->sa.id), 0);
		assert_non_null(mem_store_sa(f->m, old->sa.sa_index));
	}
}

static void on_sync(void *arg)
{
	struct fixture *f = arg;

	f->syncs++;
}

static void on_expire(void *arg, const struct xi_sa_rec *rec, bool hard)
{
	struct fixture *f = arg;

	if (hard) {
		f->hard++;
		f->hard_spi = rec->sa.id.spi;
	} else {
		f->soft++;
	}
}

static void sad_open(struct fixture *f)
{
	struct xi_sad_config config = { .carries = carries };
	struct xi_sad_listener listener = { on_changed, on_sync, f };
	struct xi_sad_events events = { on_expire, f };

	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	xi_sad_listen(f->sad, &listener);
	xi_sad_on_event(f->sad, &events);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	refuse_why = NULL;
	f->m = mem_store_new(NSTATES, NWINDOWS);
	sad_open(f);
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

static int add_key(struct fixture *f, const struct xi_sa *sa, uint32_t fill,
		   const struct xi_replay_init *init)
{
	struct xi_sa_key key = sample_key(fill);
	const char *why = NULL;
	int err = xi_sad_add(f->sad, sa, &key, init, &why);

	assert_true(err == 0 || (why && *why));
	return err;
}

static int add(struct fixture *f, const struct xi_sa *sa)
{
	return add_key(f, sa, sa->id.spi, NULL);
}

static int update(struct fixture *f, const struct xi_sa *sa, const struct xi_replay_init *init)
{
	struct xi_sa_key key = sample_key(sa->id.spi);
	const char *why = NULL;
	int err = xi_sad_update(f->sad, sa, &key, init, &why);

	assert_true(err == 0 || (why && *why));
	return err;
}

/* What a store holds, apart from counters; for "changes nothing". */
static bool store_equal(const struct mem_store *a, const struct mem_store *b)
{
	return !memcmp(a->sas, b->sas, sizeof(a->sas)) &&
	       !memcmp(a->lookups, b->lookups, sizeof(a->lookups)) &&
	       !memcmp(a->store.states, b->store.states,
		       a->store.nstates * sizeof(*a->store.states));
}

static struct mem_store *store_copy(const struct mem_store *m)
{
	struct mem_store *copy = mem_store_new(m->store.nstates, m->store.nwindows);
	struct xi_store store = copy->store;

	memcpy(copy, m, sizeof(*m));
	copy->store = store;
	memcpy(store.states, m->store.states, store.nstates * sizeof(*store.states));
	memcpy(store.windows, m->store.windows, store.nwindows * sizeof(*store.windows));
	return copy;
}

static void added_sa_is_found_everywhere(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;

	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	assert_non_null(rec);
	assert_int_not_equal(rec->sa.sa_index, 0);
	assert_ptr_equal(xi_sad_rec(f->sad, rec->sa.sa_index), rec);
	assert_int_equal(mem_store_lookup(f->m, &sa.id), rec->sa.sa_index);
	assert_int_equal(rec->state->sa_index, rec->sa.sa_index);
	assert_ptr_equal(rec->state, &f->m->store.states[XI_SA_SLOT(rec->sa.sa_index)]);
	assert_int_equal(rec->nwords, XI_WINDOW_INLINE_WORDS);
	assert_int_equal(rec->key.len, 20);
	assert_int_equal(f->added, 1);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(xi_sad_count(f->sad), 1);
}

/*
 * What a packet names, RFC 4301 section 4.1: each of destination, SPI, protocol and family counts.
 */
static void packets_find_their_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sas[4], larval = sa_no(0);
	const struct xi_sa_rec *young;
	struct xi_sa_id id;
	unsigned int i, n;

	sas[0] = sa_no(1);
	sas[1] = sample_sa("192.0.2.1", "192.0.2.3", 0x1001);
	sas[2] = sa_no(1);
	sas[2].id.proto = XI_AH;
	sas[3] = sample_sa("2001:db8::1", "2001:db8::2", 0x1001);
	for (i = 0; i < 4; i++)
		assert_int_equal(add_key(f, &sas[i], i, NULL), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(xi_sad_lookup(f->sad, &sas[i].id),
				 xi_sad_find(f->sad, &sas[i].id)->sa.sa_index);
	id = sas[0].id;
	id.spi++;
	assert_int_equal(xi_sad_lookup(f->sad, &id), 0);
	id = sas[1].id;
	id.family = XI_IPV6;
	assert_int_equal(xi_sad_lookup(f->sad, &id), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x9000, 0x9000, 60, &young), 0);
	id = young->sa.id;
	assert_int_equal(xi_sad_lookup(f->sad, &id), 0);
	larval.id = id;
	assert_int_equal(update(f, &larval, NULL), 0);
	assert_int_not_equal(xi_sad_lookup(f->sad, &id), 0);
	assert_int_equal(xi_sad_delete(f->sad, &sas[2].id), 0);
	assert_int_equal(xi_sad_lookup(f->sad, &sas[2].id), 0);
	assert_int_not_equal(xi_sad_lookup(f->sad, &sas[0].id), 0);
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(xi_sad_lookup(f->sad, &sas[3].id),
			 xi_sad_find(f->sad, &sas[3].id)->sa.sa_index);
}

static void second_add_is_eexist(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	struct mem_store *before;

	assert_int_equal(add(f, &sa), 0);
	before = store_copy(f->m);
	assert_int_equal(add(f, &sa), -EEXIST);
	assert_true(store_equal(before, f->m));
	mem_store_free(before);
}

static void absent_sa_is_esrch(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	struct xi_replay_init init = { .oseq = 1 };

	assert_int_equal(xi_sad_delete(f->sad, &sa.id), -ESRCH);
	assert_int_equal(update(f, &sa, NULL), -ESRCH);
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), -ESRCH);
	assert_null(xi_sad_find(f->sad, &sa.id));
}

static void bad_sas_are_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_replay_init init = { .oseq = 1ULL << 32 };
	struct xi_sa sa = sa_no(1);

	sa.id.spi = 255;
	assert_int_equal(add(f, &sa), -EINVAL);
	sa = sa_no(1);
	sa.replay_window = XI_WINDOW_MAX + 1;
	assert_int_equal(add(f, &sa), -EINVAL);
	sa = sa_no(1);
	assert_int_equal(add_key(f, &sa, 1, &init), -EINVAL);
	sa.life = XI_SA_FROM_FILE;
	assert_int_equal(add(f, &sa), -EINVAL);
	sa = sa_no(1);
	refuse_why = "no such cipher";
	assert_int_equal(add(f, &sa), -EPROTONOSUPPORT);
	assert_int_equal(f->m->writes, 0);
	refuse_why = NULL;
	sa.alg = XI_ALG_NONE;
	assert_int_equal(add(f, &sa), -EINVAL);
	assert_int_equal(mem_store_count_sas(f->m), 0);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

static void number_limit_follows_esn(void **state)
{
	struct fixture *f = *state;
	struct xi_sa plain = sa_no(1), esn = sa_no(2);

	esn.flags = XFRM_STATE_ESN;
	assert_int_equal(add(f, &plain), 0);
	assert_int_equal(add(f, &esn), 0);
	assert_true(xi_sad_find(f->sad, &plain.id)->state->oseq_limit == 0xffffffffULL);
	assert_true(xi_sad_find(f->sad, &esn.id)->state->oseq_limit == UINT64_MAX);
}

static void deletion_goes_from_xdp_to_key(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint32_t index;

	assert_int_equal(add(f, &sa), 0);
	index = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
	mem_store_fail(f->m, 0, 0);
	f->syncs = 0;
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_string_equal(f->m->log, "ls");
	assert_int_equal(f->removed, 1);
	assert_int_equal(f->syncs, 1);
	assert_null(xi_sad_rec(f->sad, index));
	assert_int_equal(f->m->store.states[XI_SA_SLOT(index)].sa_index, 0);
	assert_int_equal(mem_store_count_sas(f->m), 0);
	assert_int_equal(mem_store_count_lookups(f->m), 0);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

static void add_undone_at_every_failing_write(void **state)
{
	struct fixture *f = *state;
	struct xi_sa first = sa_no(1), sa = sa_no(2);
	struct mem_store *before;
	unsigned int k;
	int err = -EIO;

	assert_int_equal(add(f, &first), 0);
	before = store_copy(f->m);
	for (k = 1; err; k++) {
		mem_store_fail(f->m, k, 1);
		err = add(f, &sa);
		if (!err)
			break;
		assert_int_equal(err, -EIO);
		assert_true(store_equal(before, f->m));
		assert_null(xi_sad_find(f->sad, &sa.id));
		assert_int_equal(xi_sad_count(f->sad), 1);
		assert_int_equal(f->added, 1);
	}
	assert_true(k > 2);
	assert_int_equal(xi_sad_count(f->sad), 2);
	mem_store_free(before);
}

static void update_undone_at_every_failing_write(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1), larval = sa_no(0);
	const struct xi_sa_rec *rec;
	struct mem_store *before;

	assert_int_equal(add(f, &sa), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x2000, 0x2000, 60, &rec), 0);
	larval.id.spi = 0x2000;
	sa.limits.hard_add = 99;
	before = store_copy(f->m);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(update(f, &sa, NULL), -EIO);
	assert_true(xi_sad_find(f->sad, &sa.id)->sa.limits.hard_add == 0);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(update(f, &larval, NULL), -EIO);
	mem_store_fail(f->m, 2, 1);
	assert_int_equal(update(f, &larval, NULL), -EIO);
	assert_true(store_equal(before, f->m));
	assert_ptr_equal(xi_sad_find(f->sad, &larval.id), rec);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(update(f, &larval, NULL), 0);
	mem_store_free(before);
}

static void delete_that_xdp_would_not_see_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;

	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), -EIO);
	assert_ptr_equal(xi_sad_rec(f->sad, rec->sa.sa_index), rec);
	assert_int_equal(f->removed, 0);
}

/* The SA is gone; its slot is not used again before the store has let its key go. */
static void key_the_store_keeps_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint32_t index, n;

	assert_int_equal(add(f, &sa), 0);
	index = xi_sad_find(f->sad, &sa.id)->sa.sa_index;
	mem_store_fail(f->m, 2, 2);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_null(xi_sad_rec(f->sad, index));
	assert_non_null(mem_store_sa(f->m, index));
	assert_int_equal(f->m->store.states[XI_SA_SLOT(index)].sa_index, 0);
	xi_sad_tick(f->sad, time(NULL));
	for (n = 0; n < NSTATES - 1; n++) {
		sa = sa_no(n);
		assert_int_equal(add(f, &sa), 0);
		assert_int_not_equal(XI_SA_SLOT(xi_sad_find(f->sad, &sa.id)->sa.sa_index),
				     XI_SA_SLOT(index));
	}
	sa = sa_no(n);
	assert_int_equal(add(f, &sa), -ENOSPC);
	xi_sad_tick(f->sad, time(NULL));
	assert_null(mem_store_sa(f->m, index));
	assert_int_equal(add(f, &sa), 0);
}

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

static bool window_rejects(const struct xi_sa_rec *rec, uint64_t seq)
{
	struct xi_replay r = {
		.top = (uint64_t *)&rec->state->top,
		.words = rec->words,
		.word_mask = rec->nwords - 1,
		.window = rec->sa.replay_window,
		.esn = (rec->sa.flags & XFRM_STATE_ESN) != 0,
	};

	return xi_replay_check(&r, seq) != XI_NONE;
}

static void sa_starts_from_what_it_is_given(void **state)
{
	struct fixture *f = *state;
	const uint32_t bmp[1] = { 1U << ((100 - 1) % 32) | 1U << ((98 - 1) % 32) };
	struct xi_replay_init init = {
		.oseq = 77, .seq = 100, .bmp = bmp, .bmp_len = 1,
		.has_lifetime = true, .bytes = 5000, .packets = 50, .use_time = 12345,
	};
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;

	assert_int_equal(add_key(f, &sa, 1, &init), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	assert_true(rec->state->oseq == 77 && rec->state->top == 100);
	assert_true(rec->state->bytes == 5000 && rec->state->packets == 50 &&
		    rec->state->use_time == 12345);
	assert_int_equal(xi_sa_table_uses(rec->state), 0); /* elsewhere, not here */
	assert_true(window_rejects(rec, 100) && window_rejects(rec, 98) && window_rejects(rec, 68));
	assert_false(window_rejects(rec, 99) || window_rejects(rec, 69) ||
		     window_rejects(rec, 101));
}

static void update_keeps_counters_and_key(void **state)
{
	struct fixture *f = *state;
	struct xi_replay_init init = { .oseq = 3, .seq = 4 };
	struct xi_sa sa = sa_no(1), change;
	struct xi_sa_key other = sample_key(0xee);
	const struct xi_sa_rec *rec;
	const char *why;
	uint32_t index;

	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	index = rec->sa.sa_index;
	rec->state->oseq = 1000;
	rec->state->top = 2000;
	change = sa;
	change.limits.soft_add = 11;
	change.output_mark = 5;
	change.output_mark_mask = 0xff;
	change.if_id = 9;
	change.reqid = 99;
	change.replay_window = 64;
	assert_int_equal(xi_sad_update(f->sad, &change, &other, &init, &why), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	assert_int_equal(rec->sa.sa_index, index);
	assert_int_equal(rec->sa.generation, 2);
	assert_true(rec->sa.limits.soft_add == 11);
	assert_int_equal(rec->sa.output_mark, 5);
	assert_int_equal(rec->sa.if_id, 9);
	assert_int_equal(rec->sa.reqid, 0);
	assert_int_equal(rec->sa.replay_window, 32);
	assert_int_equal(rec->key.key[0], sa.id.spi & 0xff);
	assert_true(rec->state->oseq == 1000 && rec->state->top == 2000);
	assert_int_equal(mem_store_sa(f->m, index)->key.key[0], sa.id.spi & 0xff);
	assert_int_equal(f->updated, 1);
}

static void update_minds_direction(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);

	sa.sa_dir = 2;
	assert_int_equal(add(f, &sa), 0);
	sa.sa_dir = 1;
	assert_int_equal(update(f, &sa, NULL), -ESRCH);
	sa.sa_dir = 2;
	assert_int_equal(update(f, &sa, NULL), 0);
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

static void flush_takes_one_protocol_with_one_sync(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa;
	unsigned int n;
	uint32_t i;

	for (i = 0; i < 4; i++) {
		sa = sa_no(i);
		sa.id.proto = i == 3 ? XI_AH : XI_ESP;
		assert_int_equal(add(f, &sa), 0);
	}
	f->syncs = 0;
	assert_int_equal(xi_sad_flush(f->sad, XI_ESP, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(f->removed, 3);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(xi_sad_flush(f->sad, XI_PROTO_ANY, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(mem_store_count_sas(f->m), 0);
}

static void walk_goes_by_slot_and_survives_deletions(void **state)
{
	struct fixture *f = *state;
	const struct xi_sa_rec *rec;
	struct xi_sa sa;
	uint32_t i, slot = 0, n = 0;

	for (i = 0; i < NSTATES; i++) {
		sa = sa_no(i);
		assert_int_equal(add(f, &sa), 0);
	}
	while ((rec = xi_sad_next(f->sad, &slot))) {
		struct xi_sa_id id = rec->sa.id;

		assert_int_equal(id.spi, 0x1000 + n++);
		assert_int_equal(xi_sad_delete(f->sad, &id), 0);
	}
	assert_int_equal(n, NSTATES);
}

static void set_replay_only_goes_forward(void **state)
{
	struct fixture *f = *state;
	struct xi_replay_init init = { .oseq = 50, .seq = 60 };
	struct xi_sa sa = sa_no(1), larval = sa_no(0);
	const struct xi_sa_rec *rec, *young;

	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), 0);
	assert_true(rec->state->oseq == 50 && rec->state->top == 60);
	rec->state->packets = 9;
	init = (struct xi_replay_init){ .oseq = 40, .has_lifetime = true, .bytes = 7 };
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), 0);
	assert_true(rec->state->oseq == 50 && rec->state->top == 60 && rec->state->bytes == 7);
	assert_int_equal(xi_sa_table_uses(rec->state), 0);
	init = (struct xi_replay_init){ .seq = 59 };
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), -EINVAL);
	init = (struct xi_replay_init){ .oseq = 1ULL << 32 };
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), -EINVAL);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x7000, 0x7003, 30, &young), 0);
	init = (struct xi_replay_init){ .oseq = 1 };
	assert_int_equal(xi_sad_set_replay(f->sad, &young->sa.id, &init), -EINVAL);
}

/* What NEWAE says cannot let a packet in a second time, RFC 4303 section 3.4.3. */
static void set_replay_forgets_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t bmp[1] = { 0 };
	struct xi_replay_init init = { .seq = 60, .bmp = bmp, .bmp_len = 1 };
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;
	struct xi_replay r;

	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	r = (struct xi_replay){ (uint64_t *)&rec->state->top, rec->words, rec->nwords - 1,
				sa.replay_window, false };
	assert_int_equal(xi_replay_commit(&r, 58), XI_NONE);
	assert_int_equal(xi_replay_commit(&r, 60), XI_NONE);
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), 0);
	assert_int_equal(xi_replay_check(&r, 58), XI_DROP_REPLAY);
	assert_int_equal(xi_replay_check(&r, 59), XI_NONE);
	assert_int_equal(xi_replay_check(&r, 60), XI_DROP_REPLAY);
	init.seq = 70;
	bmp[0] = 1U << ((68 - 1) % 32); /* where the kernel's ring has number 68 */
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), 0);
	assert_int_equal(rec->state->top, 70);
	assert_int_equal(xi_replay_check(&r, 58), XI_DROP_REPLAY);
	assert_int_equal(xi_replay_check(&r, 59), XI_NONE);
	assert_int_equal(xi_replay_check(&r, 60), XI_DROP_REPLAY);
	assert_int_equal(xi_replay_check(&r, 68), XI_DROP_REPLAY);
	assert_int_equal(xi_replay_check(&r, 70), XI_DROP_REPLAY);
	init.seq = UINT32_MAX;
	assert_int_equal(xi_sad_set_replay(f->sad, &sa.id, &init), 0);
	assert_int_equal(xi_replay_check(&r, 59), XI_DROP_REPLAY_OLD);
	assert_int_equal(xi_replay_check(&r, UINT32_MAX - 20), XI_NONE);
}

/* Invariant nonce-unique: a moved SA, RFC 4555. */
static void key_that_comes_back_counts_on(void **state)
{
	struct fixture *f = *state;
	struct xi_replay_init init = { .oseq = 10 };
	struct xi_sa sa = sa_no(1), moved = sample_sa("192.0.2.9", "192.0.2.2", 0x1001);

	assert_int_equal(add_key(f, &sa, 1, NULL), 0);
	xi_sad_find(f->sad, &sa.id)->state->oseq = 500;
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(add_key(f, &moved, 1, &init), 0);
	assert_true(xi_sad_find(f->sad, &moved.id)->state->oseq == 500);
	assert_int_equal(xi_sad_delete(f->sad, &moved.id), 0);
	init.oseq = 600;
	assert_int_equal(add_key(f, &moved, 1, &init), 0);
	assert_true(xi_sad_find(f->sad, &moved.id)->state->oseq == 600);
	assert_int_equal(xi_sad_delete(f->sad, &moved.id), 0);
	assert_int_equal(add_key(f, &moved, 2, NULL), 0);
	assert_true(xi_sad_find(f->sad, &moved.id)->state->oseq == 0);
}

static void time_limits(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint64_t born;

	sa.limits.soft_add = 10;
	sa.limits.hard_add = 20;
	assert_int_equal(add(f, &sa), 0);
	born = xi_sad_find(f->sad, &sa.id)->sa.add_time;
	xi_sad_tick(f->sad, born - 1000);
	xi_sad_tick(f->sad, born + 9);
	assert_int_equal(f->soft, 0);
	xi_sad_tick(f->sad, born + 10);
	xi_sad_tick(f->sad, born + 11);
	assert_int_equal(f->soft, 1);
	assert_true(f->m->sas[0].sa.life & XI_SA_SOFT_EXPIRED);
	xi_sad_tick(f->sad, born + 19);
	assert_int_equal(f->hard, 0);
	xi_sad_tick(f->sad, born + 20);
	assert_int_equal(f->hard, 1);
	assert_int_equal(f->hard_spi, sa.id.spi);
	assert_int_equal(f->removed, 1);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

static void use_limits_count_from_first_use(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	const struct xi_sa_rec *rec;
	uint64_t born;

	sa.limits.soft_use = 10;
	sa.limits.hard_use = 20;
	assert_int_equal(add(f, &sa), 0);
	rec = xi_sad_find(f->sad, &sa.id);
	born = rec->sa.add_time;
	xi_sad_tick(f->sad, born + 500);
	assert_int_equal(f->soft, 0);
	rec->state->use_time = born + 500;
	xi_sad_tick(f->sad, born + 510);
	assert_int_equal(f->soft, 1);
	xi_sad_tick(f->sad, born + 520);
	assert_int_equal(f->hard, 1);
}

static void volume_limits(void **state)
{
	struct fixture *f = *state;
	struct xi_sa bytes = sa_no(1), packets = sa_no(2);
	struct xi_sa_state *b, *p;
	uint64_t now = time(NULL);

	bytes.limits.soft_bytes = 1000;
	bytes.limits.hard_bytes = 2000;
	packets.limits.soft_packets = 10;
	packets.limits.hard_packets = 20;
	assert_int_equal(add(f, &bytes), 0);
	assert_int_equal(add(f, &packets), 0);
	b = xi_sad_find(f->sad, &bytes.id)->state;
	p = xi_sad_find(f->sad, &packets.id)->state;
	b->use_time = p->use_time = now;
	b->bytes = 999;
	p->packets = 9;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 0);
	b->bytes = 1000;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 1);
	p->packets = 10;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 2);
	b->bytes = 2000;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 1);
	assert_int_equal(f->hard_spi, bytes.id.spi);
	p->packets = 20;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
}

static struct xi_sa way_back(const struct xi_sa *sa, uint32_t spi)
{
	struct xi_sa back = sample_sa("192.0.2.2", "192.0.2.1", spi);

	back.reqid = sa->reqid;
	back.mode = sa->mode;
	return back;
}

static bool alive(struct fixture *f, const struct xi_sa *sa)
{
	return xi_sad_find(f->sad, &sa->id) != NULL;
}

/*
 * A worker sets it when an SA reaches a limit of bytes or packets; a restart does not bring the SA
 * back.
 */
static void expired_sas_go_with_their_pair(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in, other = sa_no(2), other_in;
	uint64_t now = time(NULL);
	unsigned int n;

	out.reqid = 7;
	other.reqid = 8;
	in = way_back(&out, 0x2001);
	other_in = way_back(&other, 0x2002);
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &other), 0);
	assert_int_equal(add(f, &other_in), 0);
	xi_sad_find(f->sad, &in.id)->state->expired = 1;
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 4);
	f->syncs = 0;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
	assert_int_equal(f->soft, 0);
	assert_int_equal(f->syncs, 1);
	assert_false(alive(f, &out) || alive(f, &in));
	assert_true(alive(f, &other) && alive(f, &other_in));
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
	assert_int_equal(mem_store_count_sas(f->m), 2);
}

static void expire_now_is_the_tick_for_one(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in = way_back(&out, 0x2001), alone = sa_no(2);
	const struct xi_sa_rec *rec;
	uint32_t index;

	out.limits.soft_packets = 5;
	out.limits.hard_packets = 10;
	alone.reqid = 3;
	alone.limits.hard_packets = 10;
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &alone), 0);
	rec = xi_sad_find(f->sad, &out.id);
	index = rec->sa.sa_index;
	xi_sad_expire_now(f->sad, index);
	xi_sad_expire_now(f->sad, index + (1U << XI_SA_SLOT_BITS));
	assert_int_equal(f->soft + f->hard, 0);
	rec->state->use_time = time(NULL);
	rec->state->packets = 5;
	xi_sad_find(f->sad, &alone.id)->state->use_time = time(NULL);
	xi_sad_find(f->sad, &alone.id)->state->packets = 10;
	xi_sad_expire_now(f->sad, index);
	xi_sad_expire_now(f->sad, index);
	assert_int_equal(f->soft, 1);
	assert_int_equal(f->hard, 0);
	xi_sad_find(f->sad, &out.id)->state->expired = 1;
	xi_sad_expire_now(f->sad, index);
	assert_int_equal(f->hard, 2);
	xi_sad_expire_now(f->sad, index);
	assert_int_equal(f->hard, 2);
	assert_true(alive(f, &alone) && !alive(f, &in));
	xi_sad_expire_now(f->sad, xi_sad_find(f->sad, &alone.id)->sa.sa_index);
	assert_int_equal(f->hard, 3);
	assert_int_equal(f->hard_spi, alone.id.spi);
}

/* Protocol, mode, reqid and both addresses make a pair. */
static void pairs_are_of_one_kind(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in[5];
	unsigned int i;

	for (i = 0; i < 5; i++)
		in[i] = way_back(&out, 0x2000 + i);
	in[0].reqid = 1;
	in[1].mode = XI_TRANSPORT;
	in[2].id.proto = XI_AH;
	in[3] = sample_sa("192.0.2.3", "192.0.2.1", 0x2003);
	in[4] = sample_sa("192.0.2.2", "192.0.2.9", 0x2004);
	assert_int_equal(add(f, &out), 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(add(f, &in[i]), 0);
	xi_sad_find(f->sad, &out.id)->state->expired = 1;
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->hard, 1);
	assert_int_equal(xi_sad_count(f->sad), 5);
}

/* Sets when an SA came, as an adopting daemon reads it. */
static void came_at(struct fixture *f, const struct xi_sa *sa, uint64_t when)
{
	unsigned int i;

	for (i = 0; i < MEM_STORE_SAS; i++)
		if (f->m->sas[i].used && !memcmp(&f->m->sas[i].sa.id, &sa->id, sizeof(sa->id)))
			f->m->sas[i].sa.add_time = when;
}

/*
 * During a rekey the old ones go with the old ones; also while one direction has one more than the
 * other.
 */
static void rekeyed_pairs_are_told_apart(void **state)
{
	/* which come, in this order: o and i out and in of the old pair, O and I of the new one */
	static const struct {
		const char *sas;
		char expires;
		const char *left;
	} cases[] = {
		{"oiOI", 'o', "OI"}, {"oiOI", 'i', "OI"}, {"oiOI", 'O', "oi"}, {"ioIO", 'I', "io"},
		{"oiI", 'o', "I"},   {"oiI", 'I', "oi"},  {"oiO", 'i', "O"},   {"iIO", 'i', "IO"},
		{"iIO", 'O', "i"},   {"oIO", 'I', "o"},	  {"oIO", 'o', "IO"},  {"oi", 'o', ""},
		{"o", 'o', ""},	     {"oI", 'o', ""},
	};
	struct fixture *f = *state;
	struct xi_sa sas[128];
	unsigned int c, same, n;
	uint64_t when;
	const char *p;

	sas[0] = sa_no(0);
	for (c = 0; c < 2 * sizeof(cases) / sizeof(cases[0]); c++) {
		same = c % 2; /* all in one second: by their order, as far as that tells */
		if (same && strlen(cases[c / 2].sas) % 2)
			continue;
		for (p = cases[c / 2].sas; *p; p++) {
			sas[(int)*p] = *p == 'o' || *p == 'O'
					       ? sa_no(*p + 256 * c)
					       : way_back(&sas[0], *p + 256 * c + 256);
			sas[(int)*p].reqid = 1;
			assert_int_equal(add(f, &sas[(int)*p]), 0);
			when = *p < 'a' ? 5000 : *p == 'o' ? 1001 : 1000;
			came_at(f, &sas[(int)*p], same ? 1000 : when);
		}
		xi_sad_destroy(f->sad);
		sad_open(f);
		assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
		assert_int_equal(n, strlen(cases[c / 2].sas));
		xi_sad_find(f->sad, &sas[(int)cases[c / 2].expires].id)->state->expired = 1;
		xi_sad_tick(f->sad, 6000);
		for (p = cases[c / 2].sas; *p; p++)
			if (alive(f, &sas[(int)*p]) != (strchr(cases[c / 2].left, *p) != NULL))
				fail_msg("%s, %c expires: %c", cases[c / 2].sas,
					 cases[c / 2].expires, *p);
		assert_int_equal(xi_sad_flush(f->sad, XI_PROTO_ANY, &n), 0);
	}
}

/* RFC 4303 section 3.3.3: no number is sent twice, so the SA ends with its last. */
static void last_sequence_number_ends_an_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in = way_back(&out, 0x2001), esn = sa_no(2);
	uint64_t now = time(NULL);
	struct xi_sa_state *s;

	esn.flags = XFRM_STATE_ESN;
	esn.reqid = 5;
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &esn), 0);
	xi_sad_find(f->sad, &esn.id)->state->oseq = 1ULL << 40;
	/* the peer's numbers are the peer's care */
	xi_sad_find(f->sad, &in.id)->state->top = UINT32_MAX;
	s = xi_sad_find(f->sad, &out.id)->state;
	s->oseq = 0xe0000000;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 0);
	s->oseq = 0xf0000000;
	xi_sad_tick(f->sad, now);
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->soft, 1);
	s->oseq = UINT32_MAX - 1; /* one is left */
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 0);
	s->oseq = UINT32_MAX;
	xi_sad_tick(f->sad, now);
	assert_int_equal(f->hard, 2);
	assert_false(alive(f, &out) || alive(f, &in));
	assert_true(alive(f, &esn));
}

/* An SA that the store does not let go is tried again, and says so once it is gone. */
static void hard_expiry_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct xi_sa out = sa_no(1), in = way_back(&out, 0x2001);

	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	xi_sad_find(f->sad, &out.id)->state->expired = 1;
	mem_store_fail(f->m, 2, 2); /* the look-up of the second one, which has its own turn too */
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->hard, 1);
	assert_true(alive(f, &in));
	assert_int_equal(xi_sad_find(f->sad, &in.id)->state->expired, 1);
	mem_store_fail(f->m, 0, 0);
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->hard, 2);
	assert_int_equal(xi_sad_count(f->sad), 0);
}

/* A thousand soft lifetimes at once cost one grace period. */
static void soft_expiries_share_a_grace_period(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa;
	uint32_t i;

	for (i = 0; i < NSTATES; i++) {
		sa = sa_no(i);
		sa.limits.soft_add = 10;
		assert_int_equal(add(f, &sa), 0);
	}
	f->syncs = 0;
	xi_sad_tick(f->sad, time(NULL) + 20);
	assert_int_equal(f->soft, NSTATES);
	assert_int_equal(f->updated, NSTATES);
	assert_int_equal(f->syncs, 1);
}

/* A setting of the host; what an SA says of itself (nopmtudisc) is in its flags. */
static void sas_have_the_hosts_df(void **state)
{
	struct fixture *f = *state;
	struct xi_sad_config config = {.df = XI_DF_SET};
	struct xi_sa before = sa_no(1), after = sa_no(2), larval = sa_no(0);
	const struct xi_sa_rec *rec;
	unsigned int n;

	assert_int_equal(add(f, &before), 0);
	xi_sad_destroy(f->sad);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(add(f, &after), 0);
	assert_int_equal(xi_sad_alloc_spi(f->sad, &larval, 0x9000, 0x9000, 60, &rec), 0);
	larval.id = rec->sa.id;
	assert_int_equal(update(f, &larval, NULL), 0);
	assert_int_equal(xi_sad_find(f->sad, &before.id)->sa.df, XI_DF_SET);
	assert_int_equal(xi_sad_find(f->sad, &after.id)->sa.df, XI_DF_SET);
	assert_int_equal(xi_sad_find(f->sad, &larval.id)->sa.df, XI_DF_SET);
	assert_int_equal(mem_store_sa(f->m, xi_sad_find(f->sad, &after.id)->sa.sa_index)->sa.df,
			 XI_DF_SET);
}

/* The kernel's xfrm_state_update(). */
static void update_follows_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1), nat = sa_no(2), change;
	const struct xi_sa_rec *rec;

	nat.encap = XI_ENCAP_ESPINUDP;
	nat.encap_sport = nat.encap_dport = 4500;
	assert_int_equal(add(f, &sa), 0);
	assert_int_equal(add(f, &nat), 0);
	change = nat;
	change.encap_dport = 1024;
	change.encap_oa[0] = 10;
	assert_int_equal(update(f, &change, NULL), 0);
	rec = xi_sad_find(f->sad, &nat.id);
	assert_int_equal(rec->sa.encap_dport, 1024);
	assert_int_equal(rec->sa.encap_oa[0], 10);
	assert_int_equal(mem_store_sa(f->m, rec->sa.sa_index)->sa.encap_dport, 1024);
	change.encap = XI_ENCAP_NONE;
	assert_int_equal(update(f, &change, NULL), -EINVAL);
	change = sa;
	change.encap = XI_ENCAP_ESPINUDP;
	assert_int_equal(update(f, &change, NULL), -EINVAL);
	xi_sad_find(f->sad, &sa.id)->state->expired = 1;
	assert_int_equal(update(f, &sa, NULL), -EINVAL);
}

/* xfrm_state_update() looks for it by the mark, too. */
static void update_minds_the_mark(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1), change;

	sa.mark_v = 0x5;
	sa.mark_m = 0xf;
	assert_int_equal(add(f, &sa), 0);
	change = sa;
	change.mark_v = 0x6;
	assert_int_equal(update(f, &change, NULL), -ESRCH);
	change.mark_v = change.mark_m = 0;
	assert_int_equal(update(f, &change, NULL), -ESRCH);
	/* bits that the SA does not look at */
	change.mark_v = 0x15;
	change.mark_m = 0xff;
	assert_int_equal(update(f, &change, NULL), 0);
	assert_int_equal(xi_sad_find(f->sad, &sa.id)->sa.mark_v, 0x5);
	assert_int_equal(xi_sad_find(f->sad, &sa.id)->sa.mark_m, 0xf);
}

static void update_clears_soft_expiry(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sa_no(1);
	uint64_t born;

	sa.limits.soft_add = 10;
	assert_int_equal(add(f, &sa), 0);
	born = xi_sad_find(f->sad, &sa.id)->sa.add_time;
	xi_sad_tick(f->sad, born + 10);
	sa.limits.soft_add = 30;
	assert_int_equal(update(f, &sa, NULL), 0);
	xi_sad_tick(f->sad, born + 29);
	assert_int_equal(f->soft, 1);
	xi_sad_tick(f->sad, born + 30);
	assert_int_equal(f->soft, 2);
}

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
	xi_sad_destroy(f->sad);
	sad_open(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(n, 3);
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

/*
 * Workers look SAs up by handle while these come, change and go. What they find is whole until they
 * are quiescent.
 */
struct reader {
	struct xi_sad *sad;
	struct xi_sa_id ids[NSTATES];
	bool stop, bad;
	unsigned long found, looked_up;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;
	uint32_t i = 0;

	rcu_register_thread();
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		uint32_t index = XI_SA_INDEX(1 + i / NSTATES % 64, i % NSTATES);
		const struct xi_sa_rec *rec = xi_sad_rec(r->sad, index);

		if (rec) {
			r->bad |= rec->sa.sa_index != index || rec->key.len != 20 ||
				  rec->key.key[0] != (rec->sa.id.spi & 0xff);
			r->found++;
		}
		index = xi_sad_lookup(r->sad, &r->ids[i % NSTATES]);
		rec = index ? xi_sad_rec(r->sad, index) : NULL;
		if (rec) {
			r->bad |= memcmp(&rec->sa.id, &r->ids[i % NSTATES], sizeof(rec->sa.id));
			r->looked_up++;
		}
		if (++i % 16 == 0)
			rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void wait_for_readers(void *arg)
{
	synchronize_rcu();
}

static void readers_never_see_a_freed_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_sad_listener listener = { NULL, wait_for_readers, NULL };
	struct reader r = { .sad = f->sad };
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < NSTATES; i++)
		r.ids[i] = sa_no(i).id;
	xi_sad_listen(f->sad, &listener);
	assert_int_equal(pthread_create(&thread, NULL, reader_run, &r), 0);
	for (i = 0; i < 200 || !__atomic_load_n(&r.found, __ATOMIC_RELAXED) ||
		    !__atomic_load_n(&r.looked_up, __ATOMIC_RELAXED);
	     i++) {
		struct xi_sa sa = sa_no(i % 64);

		assert_int_equal(add(f, &sa), 0);
		sa.limits.hard_add = i + 1;
		assert_int_equal(update(f, &sa, NULL), 0);
		assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_false(r.bad);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* One key, one sender: both SAs would give out the same numbers, AES-GCM's nonces. */
static void second_sa_of_a_sender_with_the_same_key_is_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_sa first = sa_no(1), second = sa_no(2), back = sample_sa("192.0.2.2", "192.0.2.1", 0x2000);
	struct xi_sa inbound = sa_no(3);

	struct xi_sa ah = sa_no(4);
	struct xi_sa_key ah_key = {.auth = XI_AUTH_HMAC_SHA256, .len = 32, .auth_len = 32};
	const char *why = NULL;
	uint32_t i;

	inbound.sa_dir = 1; /* XFRMA_SA_DIR: in */
	assert_int_equal(add_key(f, &first, 77, NULL), 0);
	assert_int_equal(add_key(f, &second, 77, NULL), -EINVAL);
	assert_null(xi_sad_find(f->sad, &second.id));
	assert_int_equal(add_key(f, &back, 77, NULL), 0);    /* another sender */
	assert_int_equal(add_key(f, &inbound, 77, NULL), 0); /* the peer's numbers */
	assert_int_equal(xi_sad_delete(f->sad, &inbound.id), 0);
	assert_int_equal(add_key(f, &second, 77, NULL), -EINVAL);
	assert_int_equal(xi_sad_delete(f->sad, &first.id), 0);
	assert_int_equal(add_key(f, &second, 77, NULL), 0);
	/* an HMAC has no nonces */
	ah.id.proto = XI_AH;
	ah.alg = XI_ALG_NONE;
	ah.auth = XI_AUTH_HMAC_SHA256;
	for (i = 0; i < 2; i++, ah.id.spi++)
		assert_int_equal(xi_sad_add(f->sad, &ah, &ah_key, NULL, &why), 0);
}

/*
 * RFC 4543 section 5.1: GMAC's hash key is GCM's; GCM's key stream is CTR's. SAs of files are no
 * exception.
 */
static void one_key_in_two_algorithms_is_refused(void **state)
{
	static const struct {
		enum xi_alg alg;
		enum xi_auth auth;
		uint32_t icv_len;
	} others[] = {
		{ XI_ALG_AES_GMAC, XI_AUTH_NONE, 16 },
		{ XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA256, 16 },
	};
	struct fixture *f = *state;
	struct xi_sa gcm = sa_no(1);
	struct xi_sa_key key = sample_key(77);
	const char *why = NULL;

	assert_int_equal(xi_sad_add(f->sad, &gcm, &key, NULL, &why), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct xi_sa sa = sa_no(2 + (uint32_t)i);
		struct xi_sa_key other = key;

		sa.alg = other.alg = others[i].alg;
		sa.auth = other.auth = others[i].auth;
		sa.icv_len = others[i].icv_len;
		if (other.auth) {
			other.auth_len = 32;
			memset(other.key + other.len, 5, other.auth_len);
			other.len += other.auth_len;
		}
		assert_int_equal(xi_sad_add(f->sad, &sa, &other, NULL, &why), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(added_sa_is_found_everywhere),
		T(packets_find_their_sa),
		T(second_add_is_eexist),
		T(second_sa_of_a_sender_with_the_same_key_is_refused),
		T(one_key_in_two_algorithms_is_refused),
		T(absent_sa_is_esrch),
		T(bad_sas_are_refused),
		T(number_limit_follows_esn),
		T(deletion_goes_from_xdp_to_key),
		T(add_undone_at_every_failing_write),
		T(update_undone_at_every_failing_write),
		T(delete_that_xdp_would_not_see_changes_nothing),
		T(key_the_store_keeps_is_tried_again),
		T(slot_comes_back_with_next_generation),
		T(generation_wraps_past_zero),
		T(full_table_is_said),
		T(large_windows_take_slots),
		T(sa_starts_from_what_it_is_given),
		T(update_keeps_counters_and_key),
		T(update_minds_direction),
		T(larval_sa_becomes_real_in_place),
		T(larval_sa_dies),
		T(larval_sa_that_xdp_cannot_know_is_none),
		T(adoption_keeps_no_larval_sa),
		T(spis_are_unused_ones_in_range),
		T(flush_takes_one_protocol_with_one_sync),
		T(walk_goes_by_slot_and_survives_deletions),
		T(set_replay_only_goes_forward),
		T(set_replay_forgets_nothing),
		T(key_that_comes_back_counts_on),
		T(time_limits),
		T(use_limits_count_from_first_use),
		T(volume_limits),
		T(expired_sas_go_with_their_pair),
		T(expire_now_is_the_tick_for_one),
		T(pairs_are_of_one_kind),
		T(rekeyed_pairs_are_told_apart),
		T(last_sequence_number_ends_an_sa),
		T(hard_expiry_is_tried_again),
		T(soft_expiries_share_a_grace_period),
		T(sas_have_the_hosts_df),
		T(update_follows_the_kernel),
		T(update_minds_the_mark),
		T(update_clears_soft_expiry),
		T(adoption_finds_everything_as_it_was),
		T(adoption_drops_what_makes_no_sense),
		T(adoption_completes_interrupted_changes),
		T(readers_never_see_a_freed_sa),
		T(adoption_mends_look_ups),
		T(hot_sas_come_first_and_stand_where_they_stood),
		T(handles_of_an_earlier_daemon_stay_stale),
	};

	return cmocka_run_group_tests_name("sad", tests, NULL, NULL);
}
