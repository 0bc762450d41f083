/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets that wait for their SA: order, bounds, and a random run against a list that a child could keep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dataplane/await.h"

#define PER_FLOW 64

static struct xi_flow flow_of(uint32_t n)
{
	struct xi_flow flow = {.family = XI_IPV4, .dir = XI_OUT, .proto = 17, .dport = 53};

	memcpy(flow.saddr, &n, sizeof(n));
	return flow;
}

/* An index as the SPD gives them: three bits are the direction. */
static uint32_t policy_of(uint32_t n)
{
	return n << 3 | XI_OUT;
}

static bool put(struct xi_await *a, uint32_t flow, uint32_t policy, uint64_t frame, uint64_t ms)
{
	const struct xi_awaited packet = {.frame = frame, .since_ms = ms};
	const struct xi_flow f = flow_of(flow);
	bool known = xi_await_find(a, &f), began, done;

	done = xi_await_put(a, &f, policy_of(policy), &packet, &began);
	assert_int_equal(began, done && !known);
	return done;
}

/* The frame of the flow's first packet. */
static uint64_t take(struct xi_await *a, uint32_t flow)
{
	const struct xi_flow f = flow_of(flow);
	struct xi_await_flow *found = xi_await_find(a, &f);
	struct xi_awaited packet;
	bool last;

	assert_non_null(found);
	last = xi_await_take(a, found, &packet);
	assert_int_equal(last, !xi_await_find(a, &f));
	return packet.frame;
}

static int setup(void **state)
{
	struct xi_await *a = calloc(1, sizeof(*a));

	assert_int_equal(xi_await_create(a, PER_FLOW), 0);
	*state = a;
	return 0;
}

static int teardown(void **state)
{
	xi_await_destroy(*state);
	free(*state);
	return 0;
}

static void packets_of_a_flow_keep_their_order(void **state)
{
	struct xi_await *a = *state;
	uint32_t i;

	for (i = 0; i < 30; i++)
		assert_true(put(a, i % 3, 1, i, 0));
	assert_int_equal(a->n, 30);
	for (i = 0; i < 30; i++)
		assert_int_equal(take(a, i % 3), i);
	assert_int_equal(a->n, 0);
	assert_null(xi_await_first(a));
}

static void flows_keep_the_order_in_which_they_began(void **state)
{
	struct xi_await *a = *state;
	const struct xi_await_flow *f;
	uint32_t i;

	for (i = 0; i < 5; i++)
		assert_true(put(a, i, 1, 0, 0));
	assert_true(put(a, 0, 1, 1, 0));
	take(a, 2);                  /* from the middle, */
	take(a, 4);                  /* and the last */
	assert_true(put(a, 2, 1, 0, 0));
	f = xi_await_first(a);
	for (i = 0; i < 4; i++) {
		static const uint32_t order[] = {0, 1, 3, 2};
		const struct xi_flow want = flow_of(order[i]);

		assert_memory_equal(&f->flow, &want, sizeof(want));
		f = xi_await_next(a, f);
	}
	assert_null(f);
}

static void one_flow_has_its_bound(void **state)
{
	struct xi_await *a = *state;
	uint32_t i;

	for (i = 0; i < PER_FLOW; i++)
		assert_true(put(a, 1, 1, i, 0));
	assert_false(put(a, 1, 1, i, 0));
	assert_true(put(a, 2, 1, i, 0));
	assert_int_equal(take(a, 1), 0);   /* the first is the one that was kept */
	assert_true(put(a, 1, 1, i, 0));
}

static void one_policy_has_a_quarter(void **state)
{
	struct xi_await *a = *state;
	uint32_t i;

	for (i = 0; i < XI_AWAIT_SHARE; i++)
		assert_true(put(a, i, 7, i, 0));
	assert_false(put(a, i, 7, i, 0));
	assert_false(put(a, 3, 7, i, 0));
	assert_true(put(a, i, 8, i, 0));
	assert_int_equal(take(a, 3), 3);
	assert_true(put(a, i + 1, 7, i, 0));
	assert_int_equal(a->n, XI_AWAIT_SHARE + 1);
}

static void a_worker_has_its_bound(void **state)
{
	struct xi_await *a = *state;
	uint32_t i;

	for (i = 0; i < XI_AWAIT_ROOM; i++)
		assert_true(put(a, i, i, i, 0));
	assert_false(put(a, i, i, i, 0));
	assert_false(put(a, 5, 5, i, 0));
	for (i = 0; i < XI_AWAIT_ROOM; i++)
		assert_int_equal(take(a, i), i);
	for (i = 0; i < XI_AWAIT_ROOM; i++)
		assert_true(put(a, i, i, i, 0));
}

static void long_buffers_have_theirs(void **state)
{
	const struct xi_awaited packet = {.is_long = true};
	struct xi_await *a = *state;
	struct xi_flow f;
	uint32_t i;
	bool began;

	for (i = 0; i < XI_AWAIT_LONGS; i++) {
		f = flow_of(i);
		assert_true(xi_await_put(a, &f, policy_of(i), &packet, &began));
	}
	f = flow_of(i);
	assert_false(xi_await_put(a, &f, policy_of(i), &packet, &began));
	assert_true(put(a, i, i, 0, 0));
	take(a, 0);
	f = flow_of(i + 1);
	assert_true(xi_await_put(a, &f, policy_of(i), &packet, &began));
}

static void what_came_before_is_late(void **state)
{
	struct xi_await *a = *state;
	const struct xi_flow f = flow_of(1);

	put(a, 1, 1, 0, 1000);
	put(a, 1, 1, 1, 2000);
	assert_false(xi_await_is_late(a, xi_await_find(a, &f), 1000));
	assert_true(xi_await_is_late(a, xi_await_find(a, &f), 1001));
	take(a, 1);
	assert_false(xi_await_is_late(a, xi_await_find(a, &f), 2000));
}

static void nothing_is_held_when_told_so(void **state)
{
	struct xi_await a;

	assert_int_equal(xi_await_create(&a, 0), 0);
	assert_int_equal(xi_await_frames(0), 0);
	assert_false(put(&a, 1, 1, 0, 0));
	assert_null(xi_await_first(&a));
	xi_await_destroy(&a);
}

/* The same in the simplest way. */
struct naive {
	struct {
		uint32_t flow, share;
		uint64_t frame;
	} list[XI_AWAIT_ROOM];
	uint32_t n;
};

static bool naive_put(struct naive *l, uint32_t flow, uint32_t policy, uint64_t frame)
{
	uint32_t i, same = 0, share = policy % XI_AWAIT_SHARES, in_share = 0;

	for (i = 0; i < l->n; i++) {
		same += l->list[i].flow == flow;
		in_share += l->list[i].share == share;
	}
	if (l->n == XI_AWAIT_ROOM || same == PER_FLOW || in_share == XI_AWAIT_SHARE)
		return false;
	l->list[l->n].flow = flow;
	l->list[l->n].share = share;
	l->list[l->n++].frame = frame;
	return true;
}

static bool naive_take(struct naive *l, uint32_t flow, uint64_t *frame)
{
	uint32_t i;

	for (i = 0; i < l->n; i++) {
		if (l->list[i].flow != flow)
			continue;
		*frame = l->list[i].frame;
		memmove(&l->list[i], &l->list[i + 1], (--l->n - i) * sizeof(l->list[0]));
		return true;
	}
	return false;
}

static void a_random_run_agrees_with_a_plain_list(void **state)
{
	struct naive *l = calloc(1, sizeof(*l));
	struct xi_await *a = *state;
	uint64_t frame, i;

	srand(6);
	for (i = 0; i < 200000; i++) {
		/* few flows take much, many take little; a flow keeps its policy */
		uint32_t flow = rand() % 4 ? rand() % 12 : rand() % 2000, policy = flow % 300;
		const struct xi_flow f = flow_of(flow);

		if (rand() % 100 < (i / 20000 % 2 ? 70 : 35)) {
			assert_int_equal(put(a, flow, policy, i, i), naive_put(l, flow, policy, i));
		} else if (naive_take(l, flow, &frame)) {
			assert_int_equal(take(a, flow), frame);
		} else {
			assert_null(xi_await_find(a, &f));
		}
		assert_int_equal(a->n, l->n);
	}
	free(l);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(packets_of_a_flow_keep_their_order),
		T(flows_keep_the_order_in_which_they_began),
		T(one_flow_has_its_bound),
		T(one_policy_has_a_quarter),
		T(a_worker_has_its_bound),
		T(long_buffers_have_theirs),
		T(what_came_before_is_late),
		T(nothing_is_held_when_told_so),
		T(a_random_run_agrees_with_a_plain_list),
	};

	return cmocka_run_group_tests_name("await", tests, NULL, NULL);
}
