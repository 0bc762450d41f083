/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* flow_cache under ten thousand policies. */
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
#include "null_store.h"

struct big {
	struct null_store *store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_slots slots;
	struct xi_flows flows;
	struct xi_selector sels[10000];
	uint32_t n;
};

static struct big big;

static bool big_ready(void *arg, uint32_t sa_index)
{
	return true;
}

static void big_open(void (*shape)(struct xi_selector *sel, uint32_t i))
{
	struct xi_sad_config config = { 0 };
	int cache = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, XI_MAP_FLOW_CACHE, sizeof(struct xi_flow_key),
				   sizeof(struct xi_flow_verdict), 65536, NULL);
	int masks = bpf_map_create(BPF_MAP_TYPE_ARRAY, XI_MAP_FLOW_MASKS, sizeof(uint32_t),
				   sizeof(struct xi_flow_masks), XI_FLOW_TABLES, NULL);
	const char *why = NULL;

	if (cache < 0 || masks < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	memset(&big, 0, sizeof(big));
	big.store = null_store_new(64);
	assert_int_equal(xi_sad_create(&big.sad, &config, &big.store->store), 0);
	assert_int_equal(xi_spd_create(&big.spd, big.sad, &big.store->store), 0);
	for (uint32_t i = 0; i < N(big.sels); i++) {
		struct xi_policy p = { .dir = XI_OUT, .priority = 1000, .action = XI_BLOCK };

		shape(&p.sel, i);
		big.sels[big.n] = p.sel;
		if (!xi_spd_add(big.spd, &p, false, &why))
			big.n++;
	}
	assert_int_equal(xi_slots_create(&big.slots, &xi_engine_openssl, 1, 1), 0);
	assert_int_equal(xi_flows_open(&big.flows, NULL, masks), 0);
	big.flows.sad = big.sad;
	big.flows.spd = big.spd;
	big.flows.slots = &big.slots;
	big.flows.flow_cache_fd = cache;
	big.flows.ready_out = big_ready;
}

static void big_close(void)
{
	close(big.flows.flow_cache_fd);
	close(big.flows.masks.fd);
	xi_slots_destroy(&big.slots);
	xi_spd_destroy(big.spd);
	xi_sad_destroy(big.sad);
	null_store_free(big.store);
}

/* Packets of n flows, each to some policy; every hit is what judging says. */
static void big_run(const char *what, uint32_t n, struct xi_flow (*next)(const struct xi_selector *sel))
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(big.spd);
	struct sim sim = { .flow_cache = big.flows.flow_cache_fd, .flow_masks = big.flows.masks.fd };
	struct mem_store at = { .config.spd_generation = snap->generation };
	uint32_t misses = 0, late = 0, table = XI_FLOW_TABLE(XI_OUT, XI_IPV4);

	sim.w.m = &at;
	for (uint32_t i = 0; i < n; i++) {
		struct xi_flow flow = next(&big.sels[pick(big.n)]);
		struct xi_flow_verdict verdict;
		struct answer answer;

		if (!sim_find(&sim, &flow, &answer)) {
			misses++;
			late += i >= n / 2;
			xi_flows_miss(&big.flows, &flow);
			continue;
		}
		xi_spd_judge_out(snap, big.sad, &flow, &verdict, NULL);
		assert_int_equal(answer.verdict, verdict.verdict);
	}
	print_message("%s: %u policies, %u flows: %u masks, %u elements, %u misses, %u of them in the second half\n",
		      what, big.n, n, big.flows.masks.tables[table].n, elements(&sim), misses, late);
}

static void shape_star(struct xi_selector *sel, uint32_t i)
{
	*sel = (struct xi_selector){ .family = XI_IPV4, .prefixlen_s = 16, .prefixlen_d = 24 };
	sample_addr(sel->saddr, "10.1.0.0");
	sel->daddr[0] = 172;
	sel->daddr[1] = i >> 8;
	sel->daddr[2] = i;
}

static void shape_warriors(struct xi_selector *sel, uint32_t i)
{
	*sel = (struct xi_selector){ .family = XI_IPV4, .prefixlen_d = 32 };
	sel->daddr[0] = 172;
	sel->daddr[1] = 16;
	sel->daddr[2] = i >> 8;
	sel->daddr[3] = i;
}

/* A hundred sites, of each to each. */
static void shape_mesh(struct xi_selector *sel, uint32_t i)
{
	*sel = (struct xi_selector){ .family = XI_IPV4, .prefixlen_s = 24, .prefixlen_d = 24 };
	sel->saddr[0] = sel->daddr[0] = 10;
	sel->saddr[1] = i / 100;
	sel->daddr[1] = i % 100;
}

static void shape_any(struct xi_selector *sel, uint32_t i)
{
	static const uint8_t lengths[] = { 8, 12, 16, 20, 22, 24, 28, 32 };

	*sel = (struct xi_selector){ .family = XI_IPV4 };
	for (unsigned int j = 0; j < 4; j++) {
		sel->saddr[j] = pick(256);
		sel->daddr[j] = pick(256);
	}
	sel->prefixlen_s = lengths[pick(N(lengths))];
	sel->prefixlen_d = lengths[pick(N(lengths))];
	if (one_in(4))
		sel->proto = random_proto();
	if (one_in(8)) {
		sel->dport = random_port();
		sel->dport_mask = 0xffff;
	}
}

static void policies_of_one_shape_need_one_mask(void **state)
{
	const uint32_t table = XI_FLOW_TABLE(XI_OUT, XI_IPV4);

	flow_seed = 21;
	big_open(shape_star);
	big_run("star", 40000, flow_near);
	assert_int_equal(big.flows.masks.tables[table].n, 2);
	big_close();
	big_open(shape_warriors);
	big_run("road warriors", 40000, flow_near);
	assert_int_equal(big.flows.masks.tables[table].n, 2);
	big_close();
	big_open(shape_mesh);
	big_run("mesh of 100 sites", 40000, flow_near);
	assert_int_equal(big.flows.masks.tables[table].n, 2);
	big_close();
}

/* More masks than there is room for: those of the table become finer, and every verdict stays right. */
static void policies_of_any_shape_share_few_masks(void **state)
{
	const uint32_t table = XI_FLOW_TABLE(XI_OUT, XI_IPV4);

	flow_seed = 22;
	big_open(shape_any);
	big_run("anything", 20000, flow_beside);
	assert_int_equal(big.flows.masks.tables[table].n, XI_FLOW_MASKS);
	assert_true(big.flows.masks.tables[table].joined);
	xi_flows_sweep(&big.flows);
	assert_int_equal(big.flows.masks.tables[table].n, 1);
	assert_false(big.flows.masks.tables[table].joined);
	big_close();
}

#define T(fn) cmocka_unit_test(fn)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(policies_of_one_shape_need_one_mask),
		T(policies_of_any_shape_share_few_masks),
	};

	return cmocka_run_group_tests_name("flows_scale", tests, NULL, NULL);
}
