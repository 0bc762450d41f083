/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <xipsec/flow_key.h>

#include "flow_world.h"

/* ---- flow_cache as packets see it ---- */

bool sim_find(struct sim *sim, const struct xi_flow *flow, struct answer *answer)
{
	uint32_t table = XI_FLOW_TABLE(flow->dir, flow->family);
	struct xi_flow_verdict verdict;
	uint32_t mark = xi_flow_key_mark(flow, sim->w.m->config.mark_mask);
	struct xi_flow_masks masks;
	struct xi_flow_key key;

	assert_int_equal(bpf_map_lookup_elem(sim->flow_masks, &table, &masks), 0);
	for (uint32_t i = 0; i < masks.n; i++) {
		xi_flow_key_make(&key, flow, flow->dir, &masks.rows[i], mark);
		if (bpf_map_lookup_elem(sim->flow_cache, &key, &verdict) ||
		    verdict.generation != sim->w.m->config.spd_generation ||
		    verdict.verdict == XI_VERDICT_NONE)
			continue;
		*answer = (struct answer){ verdict.verdict, verdict.handle, verdict.next_handle };
		return true;
	}
	return false;
}

/* ---- how many masks and elements it takes ---- */

uint32_t elements(const struct sim *sim)
{
	struct xi_flow_key key, *prev = NULL;
	uint32_t n = 0;

	while (!bpf_map_get_next_key(sim->flow_cache, prev, &key)) {
		prev = &key;
		n++;
	}
	return n;
}

uint64_t scan(struct sim *sim, uint32_t n, void (*next)(struct xi_flow *flow, uint32_t i))
{
	struct answer answer;

	sim->misses = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct xi_flow flow = { .dir = XI_OUT, .proto = 6, .sport = 40000, .dport = 443 };

		flow.family = sample_addr(flow.saddr, "10.1.2.3");
		sample_addr(flow.daddr, "10.2.3.4");
		next(&flow, i);
		if (sim_find(sim, &flow, &answer))
			continue;
		sim->misses++;
		xi_flows_miss(&sim->flows, &flow);
	}
	return sim->misses;
}

void anything(struct xi_flow *flow, uint32_t i)
{
	flow->saddr[2] = pick(256);
	flow->saddr[3] = pick(256);
	flow->daddr[2] = pick(256);
	flow->daddr[3] = pick(256);
	flow->proto = pick(256);
	flow->sport = pick(65536);
	flow->dport = pick(65536);
}
