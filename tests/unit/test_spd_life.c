/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The SPD over time: who is told of its policies, flushes, adoption by a later daemon. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "spd_bed.h"

struct told {
	unsigned int n, gone;
	uint32_t index;
	struct xi_policy now;
};

static void policy_told(void *arg, uint32_t index, const struct xi_policy *now)
{
	struct told *told = arg;

	told->n++;
	told->index = index;
	told->gone += !now;
	if (now)
		told->now = *now;
}

static void a_listener_is_told_of_each_policy(void **state)
{
	struct fixture *f = *state;
	struct xi_policy a = tunnel(XI_OUT, "10.0.1.0/24", "10.1.0.0/16", 1);
	struct xi_policy b = tunnel(XI_IN, "10.1.0.0/16", "10.0.1.0/24", 1);
	struct told told = { 0 };
	const char *why;
	unsigned int n;
	uint32_t index;

	xi_spd_on_policy(f->spd, policy_told, &told);
	assert_int_equal(add(f, &a), 0);
	assert_int_equal(told.n, 1);
	index = xi_spd_find(f->spd, &a)->index;
	assert_int_equal(told.index, index);
	assert_int_equal(told.now.index, index);
	assert_memory_equal(&told.now.sel, &a.sel, sizeof(a.sel));
	/* refused: nothing to tell */
	assert_int_equal(xi_spd_add(f->spd, &a, false, &why), -EEXIST);
	assert_int_equal(told.n, 1);
	a.priority = 7;
	assert_int_equal(xi_spd_add(f->spd, &a, true, &why), 0);
	assert_int_equal(told.n, 2);
	assert_int_equal(told.index, index);
	assert_int_equal(told.now.priority, 7);
	/* within a round as well, and not again at its end */
	xi_spd_hold(f->spd);
	assert_int_equal(add(f, &b), 0);
	assert_int_equal(told.n, 3);
	assert_int_equal(xi_spd_delete(f->spd, &a), 0);
	assert_int_equal(told.n, 4);
	assert_int_equal(told.gone, 1);
	assert_int_equal(told.index, index);
	assert_int_equal(xi_spd_release(f->spd), 0);
	assert_int_equal(told.n, 4);
	index = xi_spd_find(f->spd, &b)->index;
	assert_int_equal(xi_spd_flush(f->spd, &n), 0);
	assert_int_equal(told.n, 5);
	assert_int_equal(told.gone, 2);
	assert_int_equal(told.index, index);
	xi_spd_on_policy(f->spd, NULL, NULL);
	assert_int_equal(add(f, &a), 0);
	assert_int_equal(told.n, 5);
}

static void flush_waits_once(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p;
	unsigned int n, i;
	char src[32];

	for (i = 0; i < 30; i++) {
		snprintf(src, sizeof(src), "10.0.%u.0/24", i);
		p = tunnel(i % 3, src, "10.1.0.0/16", 1);
		assert_int_equal(add(f, &p), 0);
	}
	f->syncs = 0;
	assert_int_equal(xi_spd_flush(f->spd, &n), 0);
	assert_int_equal(n, 30);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(mem_store_count_policies(f->m), 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
	generation(f);
}

/* Invariant fail-closed: on the way a flow has the verdict of before or the default, not that of a policy behind its own. */
static void a_flush_uncovers_no_policy_behind_another(void **state)
{
	static const enum xi_action actions[] = {XI_BLOCK, XI_ALLOW};
	enum xi_verdict before[64], now, after = XI_VERDICT_DISCARD;
	struct fixture *f = *state;
	struct xi_spd_flush flush;
	struct xi_policy p;
	struct xi_flow fl;
	unsigned int i, k, left;
	char dst[32];

	for (i = 0; i < 60; i++) {
		snprintf(dst, sizeof(dst), "10.1.0.%u/%u", i & ~3U, 24 + i % 9);
		p = i % 3 ? policy(XI_OUT, "10.0.0.0/8", dst, 1 + i % 7)
			  : tunnel(XI_OUT, "10.0.0.0/8", dst, 1 + i % 7);
		if (i % 3)
			p.action = actions[i % 2];
		if (i == 59)
			p.mark_v = 1; /* without a mask: no flow has it */
		add(f, &p);
	}
	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_BLOCK), 0);
	for (k = 0; k < 64; k++) {
		snprintf(dst, sizeof(dst), "10.1.0.%u", k);
		fl = flow("10.0.0.1", dst, 6, 1, 2);
		before[k] = judge(f, &fl, NULL);
	}
	assert_int_equal(xi_spd_flush_begin(f->spd, &flush), 0);
	p = policy(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 3);
	assert_int_equal(add(f, &p), 0);
	left = xi_spd_count(f->spd, XI_OUT);
	while (xi_spd_flush_step(f->spd, &flush, 1)) {
		assert_true(xi_spd_count(f->spd, XI_OUT) >= left - 1);
		left = xi_spd_count(f->spd, XI_OUT);
		for (k = 0; k < 64; k++) {
			snprintf(dst, sizeof(dst), "10.1.0.%u", k);
			fl = flow("10.0.0.1", dst, 6, 1, 2);
			now = judge(f, &fl, NULL);
			assert_true(now == before[k] || now == after);
			before[k] = now;
		}
	}
	xi_spd_flush_end(&flush);
	assert_int_equal(flush.err, 0);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 1); /* that came meanwhile */
	assert_non_null(xi_spd_find(f->spd, &p));
}

/* An update is as good as new. */
static void what_is_updated_during_a_flush_stays(void **state)
{
	struct fixture *f = *state;
	struct xi_policy a = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy b = policy(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 1);
	struct xi_spd_flush flush;
	const char *why;

	assert_int_equal(add(f, &a), 0);
	assert_int_equal(add(f, &b), 0);
	assert_int_equal(xi_spd_flush_begin(f->spd, &flush), 0);
	assert_int_equal(xi_spd_add(f->spd, &a, true, &why), 0);
	assert_int_equal(xi_spd_delete(f->spd, &b), 0);
	while (xi_spd_flush_step(f->spd, &flush, 1))
		;
	xi_spd_flush_end(&flush);
	assert_int_equal(flush.err, 0);
	assert_int_equal(flush.gone, 0);
	assert_non_null(xi_spd_find(f->spd, &a));
}

/* Invariant state-survives, and fail-closed on the way: XDP is never less guarded than before. */
static void adoption_finds_everything_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct xi_policy before[40], p;
	struct xi_sa sa = out_sa(0x1000, 1);
	const struct xi_policy *found;
	uint32_t index = 0, handle, before_generation;
	struct xi_flow fl = flow("10.0.3.1", "10.1.0.1", 6, 1, 2);
	unsigned int i, n;
	char src[32];

	for (i = 0; i < 40; i++) {
		snprintf(src, sizeof(src), "10.0.%u.0/%u", i, i % 2 ? 24 : 28);
		p = tunnel(i % 3, src, "10.1.0.0/16", 1);
		assert_int_equal(add(f, &p), 0);
	}
	p = tunnel(XI_OUT, "10.0.3.0/24", "10.1.0.0/16", 1);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	p = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 1);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_set_default(f->spd, XI_FWD, XI_BLOCK), 0);
	add_sa(f, &sa);
	for (n = 0; (found = xi_spd_next(f->spd, &index)) && n < 40; n++)
		before[n] = *found;
	before_generation = generation(f);
	close_all(f);
	open_all(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(xi_spd_adopt(f->spd, &n), 0);
	assert_int_equal(n, 41);
	assert_int_equal(f->m->log[0], 'C');
	assert_null(strpbrk(f->m->log, "Pp"));
	for (index = 0, i = 0; (found = xi_spd_next(f->spd, &index)) && i < 40; i++)
		assert_memory_equal(found, &before[i], sizeof(*found));
	assert_true(generation(f) > before_generation);
	assert_int_equal(xi_spd_get_default(f->spd, XI_FWD), XI_BLOCK);
	assert_int_equal(f->m->config.guard_flags[XI_OUT] | f->m->config.guard_flags[XI_IN], 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &sa.id)->sa.sa_index);
	assert_true(guard_hits(f->m, &fl, XI_OUT));
	p = tunnel(XI_OUT, "10.99.0.0/16", "10.1.0.0/16", 1);
	assert_int_equal(add(f, &p), 0);
	assert_true(xi_spd_find(f->spd, &p)->index > before[39].index);
}

/*
 * Which of two policies of one priority comes first decides what leaves in clear, so a restart must not
 * change it: neither an update that keeps its place, nor one that takes a new one.
 */
static void adoption_keeps_the_order_among_equals(void **state)
{
	struct fixture *f = *state;
	struct xi_policy bypass = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 5);
	struct xi_policy block = policy(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 5);
	struct xi_flow fl = flow("10.0.3.1", "10.1.0.1", 6, 1, 2);
	unsigned int n, i;

	block.action = XI_BLOCK;
	assert_int_equal(add(f, &bypass), 0);
	block.priority = 1;
	assert_int_equal(add(f, &block), 0);
	bypass.priority = 1;
	assert_int_equal(replace(f, &bypass), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
	for (i = 0; i < 2; i++) {
		close_all(f);
		open_all(f);
		assert_int_equal(xi_spd_adopt(f->spd, &n), 0);
		assert_int_equal(n, 2);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
		assert_int_equal(replace(f, &block), 0);
		f->m->policies[1].policy.add_time += 100;
	}
}

static void adoption_of_nonsense_fails_closed(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.3.1", "10.1.0.1", 6, 1, 2);
	unsigned int n;

	assert_int_equal(add(f, &p), 0);
	f->m->policies[0].policy.sel.family = 77;
	close_all(f);
	open_all(f);
	assert_int_equal(xi_spd_adopt(f->spd, &n), -EINVAL);
	assert_true(guard_hits(f->m, &fl, XI_OUT));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_listener_is_told_of_each_policy),
		T(flush_waits_once),
		T(a_flush_uncovers_no_policy_behind_another),
		T(what_is_updated_during_a_flush_stays),
		T(adoption_finds_everything_as_it_was),
		T(adoption_keeps_the_order_among_equals),
		T(adoption_of_nonsense_fails_closed),
	};

	return cmocka_run_group_tests_name("spd_life", tests, NULL, NULL);
}
