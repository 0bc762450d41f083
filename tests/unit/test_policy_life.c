/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lifetimes of policies: when one is told of and when it goes, as the kernel's xfrm_policy_timer(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "server_bed.h"

static uint64_t now;

static struct xi_policy some_policy(uint32_t n)
{
	struct xi_policy p = bed_policy(XI_OUT, "10.1.0.0", "10.2.0.0", 32);

	p.sel.saddr[2] = n >> 8;
	p.sel.saddr[3] = n;
	return p;
}

static const struct xi_policy *added(struct bed *b, const struct xi_policy *p)
{
	bed_policy_add(b, p);
	return xi_spd_find(b->spd, p);
}

/* What was told in this second: 's' soft, 'h' hard, 0 nothing; more than one fails. */
static char told_at(struct bed *b, uint64_t at)
{
	const struct xfrm_user_polexpire *expire;
	struct bed_msg m, more;

	xi_xfrm_server_tick(b->server, at);
	if (!bed_receive(b->listener, &m))
		return 0;
	assert_int_equal(m.hdr.nlmsg_type, XFRM_MSG_POLEXPIRE);
	expire = (const void *)(m.buf + NLMSG_HDRLEN);
	assert_false(bed_receive(b->listener, &more));
	return expire->hard ? 'h' : 's';
}

static void by_age(void **state)
{
	struct bed *b = *state;
	struct xi_policy p = some_policy(1);
	uint64_t t0;

	bed_join(b, XFRMNLGRP_EXPIRE);
	p.limits.soft_add = 100;
	p.limits.hard_add = 200;
	t0 = added(b, &p)->add_time;
	assert_int_equal(told_at(b, t0 + 99), 0);
	assert_int_equal(told_at(b, t0 + 100), 's');
	assert_int_equal(told_at(b, t0 + 101), 0);
	assert_int_equal(told_at(b, t0 + 129), 0);
	assert_int_equal(told_at(b, t0 + 130), 's'); /* again each XFRM_KM_TIMEOUT of 30 s */
	assert_int_equal(told_at(b, t0 + 199), 's');
	assert_non_null(xi_spd_find(b->spd, &p));
	assert_int_equal(told_at(b, t0 + 200), 'h');
	assert_null(xi_spd_find(b->spd, &p));
	assert_int_equal(mem_store_count_policies(b->m), 0);
	assert_int_equal(told_at(b, t0 + 1000), 0);
}

/* A policy that is not used counts from when it was added; one that is, from its last use. */
static void by_use(void **state)
{
	struct bed *b = *state;
	struct xi_policy p = some_policy(1), q = some_policy(2);
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17};
	struct xi_flow_verdict verdict;
	uint64_t t0;

	bed_join(b, XFRMNLGRP_EXPIRE);
	p.limits.hard_use = q.limits.hard_use = 50;
	added(b, &p);
	t0 = added(b, &q)->add_time;
	assert_int_equal(xi_spd_find(b->spd, &p)->use_time, 0);
	flow.family = sample_addr(flow.saddr, "10.1.0.1");
	sample_addr(flow.daddr, "10.2.0.0");
	xi_spd_judge_out(xi_spd_snapshot(b->spd), b->sad, &flow, &verdict, NULL);
	assert_in_range(xi_spd_find(b->spd, &p)->use_time, t0, time(NULL));
	((struct xi_policy *)xi_spd_find(b->spd, &p))->use_time = t0 + 30;
	assert_int_equal(told_at(b, t0 + 49), 0);
	assert_int_equal(told_at(b, t0 + 50), 'h');
	assert_null(xi_spd_find(b->spd, &q));
	assert_non_null(xi_spd_find(b->spd, &p));
	assert_int_equal(told_at(b, t0 + 79), 0);
	assert_int_equal(told_at(b, t0 + 80), 'h');
}

/* Who asks `xipsec explain` has no packet. */
static void a_question_is_no_use(void **state)
{
	struct bed *b = *state;
	struct xi_policy p = some_policy(1);
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17};
	struct xi_verdict_why why;
	struct xi_flow_verdict verdict;

	added(b, &p);
	flow.family = sample_addr(flow.saddr, "10.1.0.1");
	sample_addr(flow.daddr, "10.2.0.0");
	xi_spd_judge_out_why(xi_spd_snapshot(b->spd), b->sad, &flow, &verdict, NULL, &why);
	assert_int_equal(why.policy, xi_spd_find(b->spd, &p)->index);
	assert_int_equal(xi_spd_find(b->spd, &p)->use_time, 0);
}

/* Packets of a flow that XDP knows show themselves in the SA alone. */
static void what_its_sa_carries_is_use(void **state)
{
	struct bed *b = *state;
	struct xi_policy p = some_policy(1);
	struct xi_sa sa = bed_add(b, "192.0.2.1", "192.0.2.2", 0x1001, 1);
	uint64_t t0;

	bed_tmpl(&p, "192.0.2.1", "192.0.2.2", XI_TUNNEL, 1);
	t0 = added(b, &p)->add_time;
	xi_sad_find(b->sad, &sa.id)->state->last_use = t0 - 10;
	assert_int_equal(xi_spd_find(b->spd, &p)->use_time, 0);
	xi_sad_find(b->sad, &sa.id)->state->last_use = t0 + 5;
	assert_int_equal(xi_spd_find(b->spd, &p)->use_time, t0 + 5);
}

static void a_policy_that_is_updated_begins_anew(void **state)
{
	struct bed *b = *state;
	struct xi_policy p = some_policy(1);
	const char *why;
	uint64_t t0;

	bed_join(b, XFRMNLGRP_EXPIRE);
	p.limits.soft_add = 100;
	t0 = added(b, &p)->add_time;
	assert_int_equal(told_at(b, t0 + 100), 's');
	p.limits.soft_add = 101;
	assert_int_equal(xi_spd_add(b->spd, &p, true, &why), 0);
	t0 = xi_spd_find(b->spd, &p)->add_time;
	assert_int_equal(told_at(b, t0 + 100), 0);
	assert_int_equal(told_at(b, t0 + 101), 's');
	p.limits.soft_add = 0;
	assert_int_equal(xi_spd_add(b->spd, &p, true, &why), 0);
	assert_int_equal(told_at(b, t0 + 100000), 0);
	p.limits.hard_add = XFRM_INF;
	assert_int_equal(xi_spd_add(b->spd, &p, true, &why), 0);
	assert_int_equal(told_at(b, t0 + 100000), 0);
}

/* Against the obvious: look at all of them each second. */
static void many_against_a_list(void **state)
{
	enum { N = 300 };
	struct bed *b = *state;
	uint64_t dies[N] = {0}, t0 = 0;
	uint32_t i, live = 0, expected = 0;
	const char *why;

	srand(2);
	for (i = 0; i < N; i++) {
		struct xi_policy p = some_policy(i);

		p.limits.hard_add = rand() % 4 ? 1 + rand() % 1000 : 0;
		t0 = added(b, &p)->add_time;
		dies[i] = p.limits.hard_add ? t0 + p.limits.hard_add : UINT64_MAX;
	}
	for (now = t0; now < t0 + 1200; now += 7) {
		i = rand() % N;
		if (dies[i] > now && rand() % 2) {
			struct xi_policy p = some_policy(i);

			assert_int_equal(xi_spd_delete(b->spd, &p), 0);
			dies[i] = 0;
		} else if (dies[i] > now) {
			struct xi_policy p = some_policy(i);

			p.limits.hard_add = 1 + rand() % 1000;
			assert_int_equal(xi_spd_add(b->spd, &p, true, &why), 0);
			dies[i] = xi_spd_find(b->spd, &p)->add_time + p.limits.hard_add;
		}
		xi_xfrm_server_tick(b->server, now);
		expected = 0;
		for (i = 0; i < N; i++) {
			struct xi_policy p = some_policy(i);

			expected += dies[i] > now;
			assert_int_equal(!!xi_spd_find(b->spd, &p), dies[i] > now);
		}
		live = xi_spd_count(b->spd, XI_OUT);
		assert_int_equal(live, expected);
	}
	assert_true(live && live < N / 2);
}

/* A store that does not let it go keeps it, and it is tried again. */
static void a_store_that_fails_keeps_it(void **state)
{
	struct bed *b = *state;
	struct xi_policy p = some_policy(1);
	uint64_t t0;

	bed_join(b, XFRMNLGRP_EXPIRE);
	p.limits.hard_add = 10;
	t0 = added(b, &p)->add_time;
	mem_store_fail(b->m, 1, 100);
	assert_int_equal(told_at(b, t0 + 10), 0);
	mem_store_fail(b->m, 0, 0);
	assert_non_null(xi_spd_find(b->spd, &p));
	assert_int_equal(told_at(b, t0 + 11), 'h');
	assert_null(xi_spd_find(b->spd, &p));
}

/* What was adopted goes on from when it was added. */
static void another_daemon_goes_on(void **state)
{
	struct bed *b = *state;
	struct xi_policy p = some_policy(1);
	unsigned int n;
	uint64_t t0;

	bed_join(b, XFRMNLGRP_EXPIRE);
	p.limits.hard_add = 10;
	t0 = added(b, &p)->add_time;
	b->server->spd = NULL;
	xi_spd_destroy(b->spd);
	assert_int_equal(xi_spd_create(&b->spd, b->sad, &b->m->store), 0);
	assert_int_equal(xi_spd_adopt(b->spd, &n), 0);
	assert_int_equal(n, 1);
	b->server->spd = b->spd;
	assert_int_equal(told_at(b, t0 + 9), 0);
	assert_int_equal(told_at(b, t0 + 10), 'h');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(by_age, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(by_use, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_question_is_no_use, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(what_its_sa_carries_is_use, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_policy_that_is_updated_begins_anew, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(many_against_a_list, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_store_that_fails_keeps_it, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(another_daemon_goes_on, bed_setup, bed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
