/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an update of an SA, and NEWAE, change of it and what they leave. */
#include <errno.h>
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "cache/sa_table.h"
#include "ipsec/replay.h"
#include "sad_bed.h"

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

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(number_limit_follows_esn),
		T(sa_starts_from_what_it_is_given),
		T(update_keeps_counters_and_key),
		T(update_minds_direction),
		T(set_replay_only_goes_forward),
		T(set_replay_forgets_nothing),
		T(key_that_comes_back_counts_on),
		T(update_follows_the_kernel),
		T(update_minds_the_mark),
		T(update_clears_soft_expiry),
	};

	return cmocka_run_group_tests_name("sad_update", tests, NULL, NULL);
}
