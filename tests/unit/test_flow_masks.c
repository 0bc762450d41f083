/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mask that a verdict holds under, and the table of those that flow_cache is asked by. */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <xipsec/flow_key.h>

#include "flow_world.h"

static struct xi_flow any_flow(enum xi_family family)
{
	struct xi_flow flow = { .family = family, .fragment = one_in(4), .proto = random_proto() };

	random_addr(flow.saddr, family);
	random_addr(flow.daddr, family);
	flow.sport = flow.fragment ? 0 : random_port();
	flow.dport = flow.fragment ? 0 : random_port();
	return flow;
}

/*
 * A flow that was kept from a selector by what the mask has, and one that tries to match it in all else:
 * it does not, whatever had been looked at before, for prefixes of every length.
 */
static void what_is_ruled_out_matches_nowhere(void **state)
{
	unsigned int n = 0;

	flow_seed = 41;
	for (unsigned int i = 0; i < 200000; i++) {
		enum xi_family family = one_in(3) ? XI_IPV6 : XI_IPV4;
		struct xi_selector sel = random_selector(family);
		struct xi_flow flow = any_flow(family), other = any_flow(family);
		unsigned int bits = family == XI_IPV4 ? 33 : 129;
		struct xi_flow_mask mask = { 0 };

		sel.prefixlen_s = pick(bits);
		sel.prefixlen_d = pick(bits);
		if (one_in(2))
			mask = (struct xi_flow_mask){ pick(bits), pick(bits), one_in(2) ? 0xff : 0,
						      pick(2), one_in(3) ? 0xf000 : 0,
						      one_in(3) ? 0xff00 : 0 };
		if (one_in(2))
			flow_into(&flow, &sel);
		flow.saddr[pick(bits - 1) / 8] ^= 1 << pick(8);
		if (naive_matches(&sel, &flow, true))
			continue;
		xi_flowmask_rule_out(&mask, &sel, &flow);
		flow_into(&other, &sel);
		other.fragment = 0;
		other = blend(&flow, &other, &mask);
		assert_false(naive_matches(&sel, &other, true));
		n++;
	}
	assert_true(n > 50000);
}

static void check_flow(const struct world *w, uint64_t *agreed, uint64_t kinds[4])
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->spd);
	struct xi_flow flow = random_flow(w), other;
	uint32_t marks = !flow.if_id ? snap->mark_mask : snap->if_marks ? UINT32_MAX : 0;
	struct answer want, got, others;
	struct xi_flow_mask mask;

	if (!is_possible(w, &flow))
		return;
	want = naive(w, &flow);
	got = judge(w, &flow, &mask);
	assert_true(same(&want, &got));
	kinds[want.verdict]++;
	for (unsigned int i = 0; i < 4; i++) {
		other = random_flow(w);
		if (other.family != flow.family)
			continue;
		other = blend(&flow, &other, &mask);
		other.mark = flow.dir == XI_OUT ? (other.mark & ~marks) | (flow.mark & marks) : 0;
		other.if_id = flow.if_id;
		if (!is_possible(w, &other))
			continue;
		others = naive(w, &other);
		assert_true(same(&want, &others));
		++*agreed;
	}
}

static void whatever_agrees_under_the_mask_is_judged_alike(void **state)
{
	uint64_t agreed = 0, kinds[4] = { 0 };
	struct world w;

	for (unsigned int round = 0; round < 60; round++) {
		flow_seed = 1000 + round;
		world_open(&w, round % POLICIES_MAX, 6 + round % (SAS_MAX - 6));
		for (unsigned int i = 0; i < 2500; i++)
			check_flow(&w, &agreed, kinds);
		world_close(&w);
	}
	assert_true(agreed > 150000);
	for (unsigned int i = 0; i < N(kinds); i++)
		assert_true(kinds[i] > 1000);
	print_message("%lu pairs of flows; no SA %lu, protect %lu, bypass %lu, discard %lu\n",
		      (unsigned long)agreed, (unsigned long)kinds[XI_VERDICT_NONE],
		      (unsigned long)kinds[XI_VERDICT_PROTECT],
		      (unsigned long)kinds[XI_VERDICT_BYPASS],
		      (unsigned long)kinds[XI_VERDICT_DISCARD]);
}

/* ---- the table of masks ---- */

static void masks_are_adopted_and_nonsense_is_not(void **state)
{
	const struct xi_flow_mask want = { .prefixlen_s = 16, .prefixlen_d = 8 };
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, XI_MAP_FLOW_MASKS, sizeof(uint32_t),
				sizeof(struct xi_flow_masks), XI_FLOW_TABLES, NULL);
	struct xi_flow_masks value = { .n = XI_FLOW_MASKS + 1 };
	struct xi_flow_mask got, whole = xi_flow_mask_whole(XI_IPV6);
	struct xi_masks masks;
	uint32_t table = XI_FLOW_TABLE(XI_FWD, XI_IPV6);

	if (fd < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	assert_int_equal(bpf_map_update_elem(fd, &table, &value, BPF_ANY), 0);
	assert_int_equal(xi_masks_open(&masks, fd), 0);
	assert_true(xi_masks_row(&masks, table, 0, &got));
	assert_memory_equal(&got, &whole, sizeof(got));
	assert_false(xi_masks_row(&masks, table, 1, &got));
	got = xi_masks_get(&masks, table, &want);
	assert_memory_equal(&got, &want, sizeof(got));
	assert_int_equal(xi_masks_open(&masks, fd), 0);
	assert_true(xi_masks_row(&masks, table, 0, &got));
	assert_memory_equal(&got, &want, sizeof(got));
	assert_true(xi_masks_row(&masks, table, 1, &got));
	assert_memory_equal(&got, &whole, sizeof(got));
	xi_masks_keep(&masks, table, 0);
	got = xi_masks_find(&masks, table, &want);
	assert_memory_equal(&got, &whole, sizeof(got));
	close(fd);
}

/* Whatever comes, there is a mask that covers it, the whole is the last, and none is there twice. */
static void a_full_table_joins_masks(void **state)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, XI_MAP_FLOW_MASKS, sizeof(uint32_t),
				sizeof(struct xi_flow_masks), XI_FLOW_TABLES, NULL);
	struct xi_flow_mask row, other, whole = xi_flow_mask_whole(XI_IPV4);
	struct xi_masks masks;
	uint32_t n;

	if (fd < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	flow_seed = 31;
	assert_int_equal(xi_masks_open(&masks, fd), 0);
	for (unsigned int i = 0; i < 2000; i++) {
		struct xi_flow_mask want = { pick(33), pick(33), one_in(2) ? 0xff : 0, pick(2),
					     one_in(3) ? 0xf000 : 0, one_in(3) ? 0xff00 : 0 };
		struct xi_flow_mask got = xi_masks_get(&masks, 0, &want);

		assert_true(xi_flowmask_covers(&got, &want));
		for (n = 0; xi_masks_row(&masks, 0, n, &row); n++)
			for (uint32_t k = 0; k < n && xi_masks_row(&masks, 0, k, &other); k++)
				assert_memory_not_equal(&row, &other, sizeof(row));
		assert_in_range(n, 1, XI_FLOW_MASKS);
		assert_true(xi_masks_row(&masks, 0, n - 1, &row));
		assert_memory_equal(&row, &whole, sizeof(row));
	}
	close(fd);
}

/* Elements are lost with their mask; those of sixty kinds of flows that all go on find a place each in the end. */
static void more_masks_than_rows_settle(void **state)
{
	struct xi_flow_mask wants[60], at[60] = { 0 }, row;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, XI_MAP_FLOW_MASKS, sizeof(uint32_t),
				sizeof(struct xi_flow_masks), XI_FLOW_TABLES, NULL);
	struct xi_masks masks;
	unsigned int i, round, missed = 0;

	if (fd < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	flow_seed = 37;
	assert_int_equal(xi_masks_open(&masks, fd), 0);
	for (i = 0; i < N(wants); i++)
		wants[i] = (struct xi_flow_mask){ 4 * pick(9), 4 * pick(9), one_in(2) ? 0xff : 0,
						  pick(2), one_in(3) ? 0xf000 : 0,
						  one_in(3) ? 0xff00 : 0 };
	for (round = 0; round < 4; round++) {
		for (i = missed = 0; i < N(wants); i++) {
			bool found = false;

			for (uint32_t k = 0; round && xi_masks_row(&masks, 0, k, &row); k++)
				found |= !memcmp(&row, &at[i], sizeof(row));
			if (found)
				continue;
			missed++;
			at[i] = xi_masks_get(&masks, 0, &wants[i]);
			assert_true(xi_flowmask_covers(&at[i], &wants[i]));
		}
	}
	assert_int_equal(missed, 0);
	assert_true(masks.tables[0].joined);
	close(fd);
}

#define T(fn) cmocka_unit_test(fn)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(what_is_ruled_out_matches_nowhere),
		T(whatever_agrees_under_the_mask_is_judged_alike),
		T(masks_are_adopted_and_nonsense_is_not),
		T(a_full_table_joins_masks),
		T(more_masks_than_rows_settle),
	};

	return cmocka_run_group_tests_name("flow_masks", tests, NULL, NULL);
}
