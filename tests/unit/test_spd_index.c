/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The index of policies alone, at its size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "flow_world.h"
#include "sad/selector.h"
#include "sad/spd_index_priv.h"

/* Policies for everything that differ in if_id, or mark, alone: one look-up finds one of them, not a walk. */
static void a_thousand_interfaces_are_one_lookup(void **state)
{
	static struct xi_spd_policy policies[3000];
	const struct xi_spd_policy *list[N(policies)];
	struct xi_flow flow = { .family = XI_IPV4, .dir = XI_OUT, .proto = 6 };
	struct xi_spd_index *ix;

	for (uint32_t i = 0; i < N(policies); i++) {
		policies[i].policy.sel.family = XI_IPV4;
		policies[i].policy.if_id = i % 3 == 0 ? i : 0;
		policies[i].policy.mark_v = i % 3 == 1 ? i : i % 3 == 2 ? i << 16 : 0;
		policies[i].policy.mark_m = i % 3 == 1 ? 0xffff : i % 3 == 2 ? 0xffff0000 : 0;
		list[i] = &policies[i];
	}
	policies[0].policy.if_id = 77777;
	assert_int_equal(xi_spd_index_build(&ix, list, N(list)), 0);
	assert_int_equal(ix->ntuples, 3);
	assert_int_equal(ix->nnodes, N(policies));
	/* a probe that would have to walk over the others is none */
	for (uint32_t i = 0, same = 0; i < ix->nnodes; i++) {
		for (uint32_t j = 0; j < i; j++)
			same += ix->nodes[i].hash == ix->nodes[j].hash;
		assert_true(same < 8);
	}
	for (uint32_t i = 0; i < N(policies); i++) {
		flow.if_id = policies[i].policy.if_id;
		flow.mark = policies[i].policy.mark_v;
		assert_int_equal(xi_spd_index_find(ix, list, &flow), i);
		flow.if_id += 4000;
		assert_int_equal(xi_spd_index_find(ix, list, &flow), XI_NO_RANK);
	}
	xi_spd_index_free(ix);
}

/*
 * Selectors that differ behind their masks are one rule of many policies; of those, the dead are passed
 * over, whichever comes first.
 */
static void a_dead_policy_hides_no_other(void **state)
{
	const struct xi_spd_policy *list[16];
	struct xi_spd_policy policies[16] = { 0 }, dead = { .policy.sel.ifindex = 1 };
	struct xi_flow flow = { .family = XI_IPV4, .dir = XI_OUT, .proto = 6, .dport = 0x5050 };
	struct xi_spd_index *ix;

	for (uint32_t i = 0; i < N(policies); i++) {
		struct xi_selector *sel = &policies[i].policy.sel;

		*sel = (struct xi_selector){ .family = XI_IPV4, .proto = 6, .dport = 100 + i,
					     .dport_mask = 0xffff };
		if (i % 5 == 2) {
			sel->dport = 0x5000 + i;
			sel->dport_mask = 0xff00;
		}
		policies[i].policy.priority = i;
		list[i] = &policies[i];
	}
	assert_int_equal(xi_spd_index_build(&ix, list, N(list)), 0);
	assert_int_equal(xi_spd_index_find(ix, list, &flow), 2);
	list[2] = &dead;
	assert_int_equal(xi_spd_index_find(ix, list, &flow), 7);
	list[7] = &dead;
	assert_int_equal(xi_spd_index_find(ix, list, &flow), 12);
	list[12] = &dead;
	assert_int_equal(xi_spd_index_find(ix, list, &flow), XI_NO_RANK);
	list[7] = &policies[7];
	assert_int_equal(xi_spd_index_find(ix, list, &flow), 7);
	xi_spd_index_free(ix);
}

struct many {
	struct xi_spd_policy *policies;
	const struct xi_spd_policy **list;
	uint32_t n;
	struct xi_spd_index *index;
};

static void many_open(struct many *many, uint32_t n)
{
	many->n = n;
	many->policies = calloc(n, sizeof(*many->policies));
	many->list = calloc(n, sizeof(*many->list));
	for (uint32_t i = 0; i < n; i++)
		many->list[i] = &many->policies[i];
}

static void many_close(struct many *many)
{
	xi_spd_index_free(many->index);
	free(many->policies);
	free(many->list);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* What a walk costs that compares words. */
static uint32_t many_walk(const struct many *many, const struct xi_flow *flow)
{
	for (uint32_t i = 0; i < many->n; i++)
		if (xi_selector_matches(&many->policies[i].policy.sel, flow))
			return i;
	return XI_NO_RANK;
}

static uint32_t many_naive(const struct many *many, const struct xi_flow *flow)
{
	for (uint32_t i = 0; i < many->n; i++)
		if (naive_matches(&many->policies[i].policy.sel, flow, true))
			return i;
	return XI_NO_RANK;
}

static void many_check(const struct many *many, const char *what)
{
	enum { FLOWS = 4096, CHECKED = 400, TIMED = 200000 };
	struct xi_flow *flows = calloc(FLOWS, sizeof(*flows));
	uint64_t start, scan, fast, sum = 0;

	for (uint32_t i = 0; i < FLOWS; i++)
		flows[i] = flow_beside(&many->policies[pick(many->n)].policy.sel);
	start = now_ns();
	for (uint32_t i = 0; i < CHECKED; i++)
		sum += many_walk(many, &flows[i]);
	scan = (now_ns() - start) / CHECKED;
	for (uint32_t i = 0; i < CHECKED; i++) {
		uint32_t rank = xi_spd_index_find(many->index, many->list, &flows[i]);
		struct xi_flow_mask mask = { 0 };
		struct xi_flow other;

		assert_int_equal(rank, many_naive(many, &flows[i]));
		if (rank != XI_NO_RANK)
			xi_flowmask_take(&mask, &many->policies[rank].policy.sel);
		xi_spd_index_mask(many->index, &flows[i], rank, &mask);
		other = flows[pick(FLOWS)];
		if (other.family != flows[i].family)
			continue;
		other = blend(&flows[i], &other, &mask);
		assert_int_equal(many_naive(many, &other), rank);
	}
	start = now_ns();
	for (uint32_t i = 0; i < TIMED; i++)
		sum += xi_spd_index_find(many->index, many->list, &flows[i % FLOWS]);
	fast = (now_ns() - start) / TIMED;
	print_message("%s: %lu ns a lookup, %lu by a walk\n", what, (unsigned long)fast,
		      (unsigned long)scan);
	assert_true(sum);
	free(flows);
}

static void many_build(struct many *many)
{
	uint64_t start = now_ns();

	assert_int_equal(xi_spd_index_build(&many->index, many->list, many->n), 0);
	print_message("%u policies: built in %lu us\n", many->n, (unsigned long)(now_ns() - start) / 1000);
}

/* A hundred pairs of prefix lengths, every policy anywhere. */
static void ten_thousand_policies_of_any_shape(void **state)
{
	static const uint8_t lengths[] = { 8, 12, 16, 18, 20, 22, 24, 26, 28, 32 };
	struct many many = { 0 };

	flow_seed = 7;
	many_open(&many, 10000);
	for (uint32_t i = 0; i < many.n; i++) {
		struct xi_selector *sel = &many.policies[i].policy.sel;

		sel->family = XI_IPV4;
		for (unsigned int j = 0; j < 4; j++) {
			sel->saddr[j] = pick(256);
			sel->daddr[j] = pick(256);
		}
		sel->prefixlen_s = lengths[pick(N(lengths))];
		sel->prefixlen_d = lengths[pick(N(lengths))];
		if (one_in(3))
			sel->proto = random_proto();
		if (one_in(3))
			random_ports(sel);
	}
	many_build(&many);
	many_check(&many, "100 pairs of lengths");
	many_close(&many);
}

/* What used to be one chain. */
static void ten_thousand_policies_of_one_prefix_pair(void **state)
{
	struct many many = { 0 };

	flow_seed = 8;
	many_open(&many, 10000);
	for (uint32_t i = 0; i < many.n; i++) {
		struct xi_selector *sel = &many.policies[i].policy.sel;

		sel->family = XI_IPV4;
		sel->saddr[0] = sel->daddr[0] = 10;
		sel->prefixlen_s = sel->prefixlen_d = 16;
		sel->proto = random_proto();
		sel->dport = pick(65536);
		sel->dport_mask = one_in(10) ? 0xfff0 : 0xffff;
		if (one_in(3)) {
			sel->sport = pick(65536);
			sel->sport_mask = 0xffff;
		}
	}
	many.policies[many.n - 1].policy.sel.proto = 0;
	many.policies[many.n - 1].policy.sel.dport_mask = 0;
	many.policies[many.n - 1].policy.sel.sport_mask = 0;
	many_build(&many);
	many_check(&many, "one pair of prefixes");
	many_close(&many);
}

#define T(fn) cmocka_unit_test(fn)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_thousand_interfaces_are_one_lookup),
		T(a_dead_policy_hides_no_other),
		T(ten_thousand_policies_of_any_shape),
		T(ten_thousand_policies_of_one_prefix_pair),
	};

	return cmocka_run_group_tests_name("spd_index", tests, NULL, NULL);
}
