/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The SPD's policies: keys, order, changes that fail. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "spd_bed.h"

/* ---- keys, order, errors ---- */

static void key_is_the_kernels(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 10), q = p;

	assert_int_equal(add(f, &p), 0);
	assert_int_equal(add(f, &p), -EEXIST);
	q.priority = 99;
	assert_int_equal(add(f, &q), -EEXIST);
	q = p;
	q.dir = XI_FWD;
	assert_int_equal(add(f, &q), 0);
	q = p;
	q.sel.proto = 6;
	assert_int_equal(add(f, &q), 0);
	q = p;
	q.mark_v = q.mark_m = 5;
	assert_int_equal(add(f, &q), 0);
	q = p;
	q.if_id = 7;
	assert_int_equal(add(f, &q), 0);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 4);
	assert_int_equal(xi_spd_count(f->spd, XI_FWD), 1);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_int_equal(xi_spd_delete(f->spd, &p), -ENOENT);
	assert_non_null(xi_spd_find(f->spd, &q));
	assert_null(xi_spd_find(f->spd, &p));
}

static void indexes_are_unique_and_show_direction(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p, key;
	const struct xi_policy *found;
	uint32_t index = 0, last = 0, n = 0, i;
	char src[32];

	for (i = 0; i < 30; i++) {
		snprintf(src, sizeof(src), "10.0.%u.0/24", i);
		p = policy(i % 3, src, "10.1.0.0/16", 10);
		if (i == 5)
			p.index = 8 * 1000 + 2;
		assert_int_equal(add(f, &p), 0);
	}
	while ((found = xi_spd_next(f->spd, &index))) {
		assert_true(found->index > last);
		assert_int_equal(found->index & 7, found->dir);
		last = found->index;
		key = (struct xi_policy){ .index = found->index, .dir = found->dir };
		assert_ptr_equal(xi_spd_find(f->spd, &key), found);
		n++;
	}
	assert_int_equal(n, 30);
	assert_int_equal(last, 8002);
	p.index = 8003;
	assert_int_equal(add(f, &p), -EINVAL);
	key = (struct xi_policy){ .index = 8002, .dir = 2 };
	assert_int_equal(xi_spd_delete(f->spd, &key), 0);
	assert_int_equal(xi_spd_delete(f->spd, &key), -ENOENT);
}

static void bad_policies_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_policy good = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), p;

	mem_store_fail(f->m, 0, 0);
#define REFUSED(err, change) do { p = good; change; assert_int_equal(add(f, &p), err); } while (0)
	REFUSED(-EINVAL, p.sel.family = XI_FAMILY_NONE);
	REFUSED(-EINVAL, p.sel.prefixlen_s = 33);
	REFUSED(-EINVAL, p.sel.prefixlen_d = 33);
	REFUSED(-EINVAL, p.dir = 3);
	REFUSED(-EINVAL, p.action = 2);
	REFUSED(-EINVAL, p.share = 4);
	REFUSED(-EINVAL, p.type = 1);
	REFUSED(-EINVAL, p.ntmpls = XI_MAX_TMPLS + 1);
	REFUSED(-EOPNOTSUPP, p.sel.ifindex = 1);
	REFUSED(-EOPNOTSUPP, p.tmpls[0].id.proto = XI_COMP);
	REFUSED(-EOPNOTSUPP,
		(p.tmpls[1] = p.tmpls[0], p.tmpls[1].id.proto = XI_COMP, p.ntmpls = 2));
	REFUSED(-EOPNOTSUPP, (p.tmpls[2] = p.tmpls[1] = p.tmpls[0], p.ntmpls = 3));
	REFUSED(-EINVAL, (p.tmpls[0].mode = XI_TRANSPORT, p.tmpls[0].family = XI_IPV6));
	REFUSED(-EINVAL, (p.tmpls[0].family = XI_IPV6, p.tmpls[1] = p.tmpls[0], p.ntmpls = 2,
			  p.tmpls[1].mode = XI_TRANSPORT, p.tmpls[1].family = XI_IPV4));
	REFUSED(-EINVAL, p.tmpls[0].mode = 2);
	assert_int_equal(f->m->writes, 0);
	assert_int_equal(f->syncs, 1);
}

static uint32_t first_index(struct fixture *f, const struct xi_flow *fl)
{
	const struct xi_spd_policy *p = xi_spd_lookup(xi_spd_snapshot(f->spd), XI_OUT, fl);

	return p ? p->policy.index : 0;
}

static void priority_decides_then_age(void **state)
{
	struct fixture *f = *state;
	struct xi_policy a = policy(XI_OUT, "10.0.0.0/8", "0.0.0.0/0", 50);
	struct xi_policy b = policy(XI_OUT, "10.0.0.0/16", "0.0.0.0/0", 50);
	struct xi_policy c = policy(XI_OUT, "10.0.0.0/24", "0.0.0.0/0", 10);
	struct xi_flow fl = flow("10.0.0.1", "10.9.9.9", 6, 1, 2);

	a.index = 9;
	b.index = 17;
	c.index = 25;
	assert_int_equal(add(f, &a), 0);
	assert_int_equal(add(f, &b), 0);
	assert_int_equal(first_index(f, &fl), 9);
	assert_int_equal(add(f, &c), 0);
	assert_int_equal(first_index(f, &fl), 25);
	c.priority = 50;             /* now the youngest of three equals */
	assert_int_equal(replace(f, &c), 0);
	assert_int_equal(first_index(f, &fl), 9);
	a.limits.soft_add = 5;       /* keeps its place */
	assert_int_equal(replace(f, &a), 0);
	assert_int_equal(first_index(f, &fl), 9);
	a.priority = 51;
	assert_int_equal(replace(f, &a), 0);
	assert_int_equal(first_index(f, &fl), 17);
	a.priority = 50;             /* back, but behind the others */
	assert_int_equal(replace(f, &a), 0);
	assert_int_equal(first_index(f, &fl), 17);
}

static void policies_for_marks_and_interfaces_match_their_flows(void **state)
{
	struct fixture *f = *state;
	struct xi_policy mark = tunnel(XI_OUT, "0.0.0.0/0", "0.0.0.0/0", 1), if_id = mark;
	struct xi_flow fl = flow("10.0.0.1", "10.9.9.9", 6, 1, 2);

	mark.mark_v = mark.mark_m = 1;
	if_id.if_id = 42;
	assert_int_equal(add(f, &mark), 0);
	assert_int_equal(add(f, &if_id), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	assert_int_equal(f->m->config.mark_mask, 1);
	fl.mark = 3;
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	fl.if_id = 42;               /* another policy's, whatever the mark */
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	fl.if_id = 43;
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	/* what leaves a port may have the mark, and nothing on a port has an if_id */
	assert_int_equal(mem_store_count_guards(f->m), 1);
	assert_int_equal(xi_spd_delete(f->spd, &mark), 0);
	assert_int_equal(f->m->config.mark_mask, 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* As the kernel has it: kept and shown, and of no effect. */
static void a_mark_outside_of_its_mask_matches_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "0.0.0.0/0", "0.0.0.0/0", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.9.9.9", 6, 1, 2);

	p.mark_v = 0x11;
	p.mark_m = 0x01;
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_find(f->spd, &p)->mark_v, 0x11);
	for (fl.mark = 0; fl.mark < 0x20; fl.mark++)
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
}

/* Packets that came through an SA of an interface are for that interface's policies, and the other way round. */
static void what_came_through_an_interface_is_judged_by_its_policies(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_IN, "10.1.0.0/16", LOCAL "/32", 1);
	struct xi_flow fl = flow("10.1.0.1", LOCAL, 6, 1, 2);
	struct xi_sa sa = sample_sa(PEER, LOCAL, 0x1000);
	struct xi_sa_path path = { .n = 1, .sas = { &sa } };

	sa.reqid = 1;
	sa.if_id = p.if_id = 42;
	memcpy(p.tmpls[0].saddr, sa.saddr, 16);
	memcpy(p.tmpls[0].id.daddr, sa.id.daddr, 16);
	assert_int_equal(add(f, &p), 0);
	fl.if_id = 42;
	assert_true(xi_spd_allows_protected(xi_spd_snapshot(f->spd), &fl, &path));
	fl.if_id = 0;
	assert_false(xi_spd_allows_protected(xi_spd_snapshot(f->spd), &fl, &path));
	fl.if_id = 42;
	sa.if_id = 43;               /* no SA of that interface */
	assert_false(xi_spd_allows_protected(xi_spd_snapshot(f->spd), &fl, &path));
}

/* The index against a walk in order of priority, over many random policies and flows. */
static void lookup_agrees_with_a_walk(void **state)
{
	struct fixture *f = *state;
	struct xi_policy all[300];
	unsigned int n = 0, i, j;

	srand(1);
	for (i = 0; i < 300; i++) {
		struct xi_policy p = {.dir = XI_OUT, .priority = rand() % 20, .action = rand() % 2};
		unsigned int max = rand() % 4 ? 32 : 128;

		p.sel.family = max == 32 ? XI_IPV4 : XI_IPV6;
		random_prefix(p.sel.saddr, &p.sel.prefixlen_s, max);
		random_prefix(p.sel.daddr, &p.sel.prefixlen_d, max);
		p.sel.proto = rand() % 3 ? 0 : 6;
		if (add(f, &p) == 0)
			all[n++] = p;
	}
	assert_true(n > 200);
	for (i = 0; i < 3000; i++) {
		struct xi_flow fl = {.family = rand() % 4 ? XI_IPV4 : XI_IPV6,
				     .proto = rand() % 2 ? 6 : 17};
		const struct xi_policy *best = NULL;
		const struct xi_spd_policy *found;
		uint8_t plen;

		random_prefix(fl.saddr, &plen, 32);
		random_prefix(fl.daddr, &plen, 32);
		for (j = 0; j < n; j++)
			if (xi_selector_matches(&all[j].sel, &fl) &&
			    (!best || all[j].priority < best->priority))
				best = &all[j];
		found = xi_spd_lookup(xi_spd_snapshot(f->spd), XI_OUT, &fl);
		assert_int_equal(!!found, !!best);
		if (found)
			assert_memory_equal(&found->policy.sel, &best->sel, sizeof(best->sel));
	}
}

/* ---- failing writes ---- */

static void change_undone_at_every_failing_write(void **state)
{
	struct fixture *f = *state;
	struct xi_policy old = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy new = tunnel(XI_OUT, "10.2.0.0/16", "10.1.0.0/24", 1), changed = old;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_flow_verdict v;
	const struct xi_spd_policy *p;
	unsigned int k, what;
	int err;

	assert_int_equal(add(f, &old), 0);
	changed.ntmpls = 0;
	changed.sel.pad = 0;
	for (what = 0; what < 2; what++) {
		for (k = 1;; k++) {
			mem_store_fail(f->m, k, 1);
			err = what ? replace(f, &changed) : add(f, &new);
			if (!err)
				break;
			assert_int_equal(err, -EIO);
			mem_store_fail(f->m, 0, 0);
			assert_int_equal(xi_spd_count(f->spd, XI_OUT), 1 + what);
			assert_int_equal(mem_store_count_policies(f->m), 1 + what);
			assert_int_equal(
				xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &fl, &v, &p),
				XI_VERDICT_NONE);
			assert_int_equal(p->policy.ntmpls, 1);
			assert_int_equal(v.generation, f->m->config.spd_generation);
			assert_true(guard_hits(f->m, &fl, XI_OUT));
		}
		assert_true(k > 2);
	}
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	new = policy(XI_OUT, "10.3.0.0/16", "0.0.0.0/0", 1);
	assert_int_equal(add(f, &new), 0);
	assert_false(guard_hits(f->m, &fl, XI_OUT));
}

static void delete_undone_when_the_store_keeps_the_policy(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	unsigned int k, n;

	assert_int_equal(add(f, &p), 0);
	for (k = 1; k <= 2; k++) {   /* generation, policy; what comes then is only tidying */
		mem_store_fail(f->m, k, 1);
		assert_int_equal(xi_spd_delete(f->spd, &p), -EIO);
		mem_store_fail(f->m, k, 1);
		assert_int_equal(xi_spd_flush(f->spd, &n), -EIO);
		mem_store_fail(f->m, 0, 0);
		assert_int_equal(xi_spd_count(f->spd, XI_OUT), 1);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		assert_true(guard_hits(f->m, &fl, XI_OUT));
		generation(f);
	}
	mem_store_fail(f->m, 3, 1);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	p = policy(XI_IN, "10.3.0.0/16", "0.0.0.0/0", 1);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* ---- life ---- */

static void local_addresses_are_copied_and_found(void **state)
{
	struct fixture *f = *state;
	struct xi_addr addrs[3] = { 0 };
	uint32_t before = generation(f);
	uint8_t addr[16];

	addrs[0].family = sample_addr(addrs[0].addr, "203.0.113.7");
	addrs[1].family = sample_addr(addrs[1].addr, "2001:db8::7");
	addrs[2].family = sample_addr(addrs[2].addr, "10.0.0.1");
	assert_int_equal(xi_spd_set_local(f->spd, addrs, 3), 0);
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	assert_int_equal(xi_spd_set_local(f->spd, addrs, 3), 0);
	assert_int_equal(generation(f), before);
	memset(addrs, 0, sizeof(addrs));
	sample_addr(addr, "203.0.113.7");
	assert_true(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV4));
	assert_false(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV6));
	sample_addr(addr, "2001:db8::7");
	assert_true(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV6));
	sample_addr(addr, LOCAL);
	assert_false(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV4));
	assert_int_equal(xi_spd_set_local(f->spd, NULL, 0), 0);
	assert_false(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV4));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(key_is_the_kernels),
		T(indexes_are_unique_and_show_direction),
		T(bad_policies_change_nothing),
		T(priority_decides_then_age),
		T(policies_for_marks_and_interfaces_match_their_flows),
		T(a_mark_outside_of_its_mask_matches_nothing),
		T(what_came_through_an_interface_is_judged_by_its_policies),
		T(lookup_agrees_with_a_walk),
		T(change_undone_at_every_failing_write),
		T(delete_undone_when_the_store_keeps_the_policy),
		T(local_addresses_are_copied_and_found),
	};

	return cmocka_run_group_tests_name("spd", tests, NULL, NULL);
}
