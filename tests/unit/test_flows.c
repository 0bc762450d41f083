/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* flow_cache as packets see it while policies and SAs come and go, and the elements it takes. */
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

/* A newer SA in place of one there is; for a while both are there. */
static void rekey(struct world *w)
{
	struct xi_sa_key key = sample_key(w->next_spi);
	struct xi_sa sa;
	const char *why = NULL;

	if (!w->nsas || w->nsas == SAS_MAX)
		return;
	sa = w->sas[pick(w->nsas)];
	sa.id.spi = w->next_spi++;
	assert_int_equal(xi_sad_add(w->sad, &sa, &key, NULL, &why), 0);
	w->sas[w->nsas++] = sa;
}

static void delete_sa(struct world *w, unsigned int i)
{
	assert_int_equal(xi_sad_delete(w->sad, &w->sas[i].id), 0);
	memmove(&w->sas[i], &w->sas[i + 1], (--w->nsas - i) * sizeof(*w->sas));
}

static void delete_policy(struct world *w, unsigned int i)
{
	assert_int_equal(xi_spd_delete(w->spd, &w->policies[i]), 0);
	memmove(&w->policies[i], &w->policies[i + 1], (--w->npolicies - i) * sizeof(*w->policies));
}

/* ---- flow_cache as packets see it ---- */

static bool sim_ready(void *arg, uint32_t sa_index)
{
	struct sim *sim = arg;

	return xi_sad_rec(sim->w.sad, sa_index) != NULL;
}

static void sim_open(struct sim *sim, uint32_t entries)
{
	memset(&sim->flows, 0, sizeof(sim->flows));
	sim->hits = sim->misses = sim->stale = sim->protected = 0;
	for (unsigned int i = 0; i < N(sim->pool); i++)
		sim->pool[i] = random_flow(&sim->w);
	sim->flow_cache = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, XI_MAP_FLOW_CACHE,
					 sizeof(struct xi_flow_key), sizeof(struct xi_flow_verdict),
					 entries, NULL);
	sim->flow_masks = bpf_map_create(BPF_MAP_TYPE_ARRAY, XI_MAP_FLOW_MASKS, sizeof(uint32_t),
					 sizeof(struct xi_flow_masks), XI_FLOW_TABLES, NULL);
	if (sim->flow_cache < 0 || sim->flow_masks < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	assert_int_equal(xi_slots_create(&sim->slots, &xi_engine_openssl, 1, 1), 0);
	assert_int_equal(xi_flows_open(&sim->flows, NULL, sim->flow_masks), 0);
	sim->flows.sad = sim->w.sad;
	sim->flows.spd = sim->w.spd;
	sim->flows.slots = &sim->slots;
	sim->flows.flow_cache_fd = sim->flow_cache;
	sim->flows.ready_out = sim_ready;
	sim->flows.cache = sim;
}

static void sim_close(struct sim *sim)
{
	close(sim->flow_cache);
	close(sim->flow_masks);
	xi_slots_destroy(&sim->slots);
	world_close(&sim->w);
}

static bool handle_is_stale(const struct sim *sim, uint32_t handle)
{
	return handle && (!xi_sad_rec(sim->w.sad, handle) || xi_sad_superseded(sim->w.sad, handle));
}

static void sim_packet(struct sim *sim)
{
	struct xi_flow flow = one_in(3) ? random_flow(&sim->w) : sim->pool[pick(N(sim->pool))];
	struct answer want, got;
	struct xi_flow_mask mask;

	if (!is_possible(&sim->w, &flow))
		return;
	want = naive(&sim->w, &flow);
	if (!sim_find(sim, &flow, &got)) {
		sim->misses++;
		if (want.verdict == XI_VERDICT_BYPASS && flow.dir == XI_OUT && one_in(2))
			xi_flows_bypass(&sim->flows, xi_spd_snapshot(sim->w.spd), &flow);
		else
			xi_flows_miss(&sim->flows, &flow);
		return;
	}
	sim->hits++;
	sim->protected += got.verdict == XI_VERDICT_PROTECT;
	if (handle_is_stale(sim, got.handle) || handle_is_stale(sim, got.next_handle)) {
		/* a worker sees that, judges, and has the element taken out */
		sim->stale++;
		assert_true(xi_flows_forget(&sim->flows, &flow, got.handle));
		got = judge(&sim->w, &flow, &mask);
	}
	assert_true(same(&want, &got));
}

static void sim_change(struct sim *sim)
{
	struct world *w = &sim->w;

	switch (pick(8)) {
	case 0:
		add_random_policy(w);
		break;
	case 1:
		if (w->npolicies)
			delete_policy(w, pick(w->npolicies));
		break;
	case 2:
		if (w->nsas)
			delete_sa(w, pick(w->nsas));
		break;
	case 3:
		xi_flows_sweep(&sim->flows);
		break;
	case 4:
	case 5:
		add_random_sa(w);
		break;
	default:
		rekey(w);
	}
}

static void no_packet_finds_what_policy_does_not_say(void **state)
{
	uint64_t hits = 0, misses = 0, stale = 0, protected = 0;
	struct sim sim = { 0 };

	for (unsigned int round = 0; round < 24; round++) {
		flow_seed = 5000 + round;
		world_open(&sim.w, 4 + round * 2, 8 + round / 2);
		sim_open(&sim, 1024);
		for (unsigned int i = 0; i < 3000; i++) {
			if (one_in(100))
				sim_change(&sim);
			sim_packet(&sim);
		}
		hits += sim.hits;
		misses += sim.misses;
		stale += sim.stale;
		protected += sim.protected;
		sim_close(&sim);
	}
	print_message("%lu hits, %lu to protect, %lu of them by SAs gone or superseded; %lu misses\n",
		      (unsigned long)hits, (unsigned long)protected, (unsigned long)stale,
		      (unsigned long)misses);
	assert_true(hits > 10000);
	assert_true(misses > 1000);
	assert_true(protected > 1000);
	assert_true(stale > 10);
}

/* ---- how many masks and elements it takes ---- */

static struct xi_policy site(enum xi_dir dir, const char *src, uint8_t plen_s, const char *dst,
			     uint8_t plen_d, uint32_t priority)
{
	struct xi_policy p = { .dir = dir, .priority = priority, .ntmpls = 1 };

	p.sel.family = sample_addr(p.sel.saddr, src);
	sample_addr(p.sel.daddr, dst);
	p.sel.prefixlen_s = plen_s;
	p.sel.prefixlen_d = plen_d;
	p.tmpls[0] = (struct xi_tmpl){ .mode = XI_TUNNEL, .reqid = 1, .family = XI_IPV4 };
	p.tmpls[0].id.proto = XI_ESP;
	p.tmpls[0].id.family = sample_addr(p.tmpls[0].id.daddr, "192.0.2.2");
	sample_addr(p.tmpls[0].saddr, "192.0.2.1");
	return p;
}

static void put_policy(struct world *w, struct xi_policy p)
{
	const char *why = NULL;

	assert_int_equal(xi_spd_add(w->spd, &p, false, &why), 0);
}

static void put_tunnel_sa(struct world *w)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", w->next_spi++);
	struct xi_sa_key key = sample_key(w->next_spi);
	const char *why = NULL;

	sa.reqid = 1;
	assert_int_equal(xi_sad_add(w->sad, &sa, &key, NULL, &why), 0);
}

static void ports_in_turn(struct xi_flow *flow, uint32_t i)
{
	flow->dport = i;
}

static void addresses_in_turn(struct xi_flow *flow, uint32_t i)
{
	flow->daddr[2] = i >> 8;
	flow->daddr[3] = i;
}

static void a_scan_through_one_policy_is_one_element(void **state)
{
	struct sim sim = { 0 };

	world_open(&sim.w, 0, 0);
	sim_open(&sim, 1024);
	put_policy(&sim.w, site(XI_OUT, "10.1.0.0", 16, "10.2.0.0", 16, 10));
	put_policy(&sim.w, site(XI_OUT, "10.1.0.0", 16, "10.3.0.0", 16, 5));
	put_tunnel_sa(&sim.w);
	assert_int_equal(scan(&sim, 65536, ports_in_turn), 1);
	assert_int_equal(scan(&sim, 65536, addresses_in_turn), 0);
	assert_int_equal(scan(&sim, 20000, anything), 0);
	assert_int_equal(elements(&sim), 1);
	assert_int_equal(sim.flows.masks.tables[XI_FLOW_TABLE(XI_OUT, XI_IPV4)].n, 2);
	sim_close(&sim);
}

/*
 * IKE of the host is let pass for what it is, and a message may be older than an address of the host:
 * neither says anything of other flows, which an element under its mask would take along.
 */
static void what_holds_for_one_packet_is_not_cached(void **state)
{
	struct sim sim = { 0 };
	struct xi_flow flow = { .proto = 17, .sport = 500, .dport = 500, .family = XI_IPV4 };
	struct xi_addr host = { .family = XI_IPV4 };

	world_open(&sim.w, 0, 0);
	sim_open(&sim, 1024);
	put_policy(&sim.w, site(XI_IN, "10.2.0.0", 16, "10.1.0.0", 16, 10));
	put_policy(&sim.w, site(XI_FWD, "10.2.0.0", 16, "10.1.0.0", 16, 10));
	put_policy(&sim.w, site(XI_OUT, "10.1.0.0", 16, "10.2.0.0", 16, 10));
	sample_addr(host.addr, "10.1.0.1");
	assert_int_equal(xi_spd_set_local(sim.w.spd, &host, 1), 0);
	memcpy(flow.daddr, host.addr, 16);
	sample_addr(flow.saddr, "10.2.3.4");
	flow.dir = XI_IN;
	xi_flows_miss(&sim.flows, &flow);
	flow.dport = 80;
	flow.dir = XI_FWD;           /* it was, until the address came */
	xi_flows_miss(&sim.flows, &flow);
	sample_addr(flow.daddr, "10.1.0.2");
	flow.dir = XI_IN;            /* until it went */
	xi_flows_miss(&sim.flows, &flow);
	memcpy(flow.saddr, host.addr, 16);
	sample_addr(flow.daddr, "10.2.3.4");
	flow.dir = XI_OUT;
	xi_flows_miss(&sim.flows, &flow);
	xi_flows_bypass(&sim.flows, xi_spd_snapshot(sim.w.spd), &flow);
	assert_int_equal(elements(&sim), 0);
	for (uint32_t i = 0; i < XI_FLOW_TABLES; i++)
		assert_int_equal(sim.flows.masks.tables[i].n, 1);
	sim_close(&sim);
}

/* A worker that found an SA gone does not know that the daemon has put in another since. */
static void only_the_element_of_that_sa_is_forgotten(void **state)
{
	struct sim sim = { 0 };
	struct xi_flow flow = { .dir = XI_OUT, .proto = 6, .sport = 1, .dport = 2 }, other;
	struct answer answer;

	world_open(&sim.w, 0, 0);
	sim_open(&sim, 1024);
	put_policy(&sim.w, site(XI_OUT, "10.1.0.0", 16, "10.2.0.0", 16, 10));
	put_policy(&sim.w, site(XI_OUT, "10.1.0.0", 16, "10.3.0.0", 16, 10));
	put_tunnel_sa(&sim.w);
	flow.family = sample_addr(flow.saddr, "10.1.2.3");
	sample_addr(flow.daddr, "10.2.3.4");
	other = flow;
	sample_addr(other.daddr, "10.3.3.4");
	xi_flows_miss(&sim.flows, &flow);
	xi_flows_miss(&sim.flows, &other);
	assert_true(sim_find(&sim, &flow, &answer));
	assert_int_equal(answer.verdict, XI_VERDICT_PROTECT);
	assert_false(xi_flows_forget(&sim.flows, &flow, answer.handle + 1));
	assert_int_equal(elements(&sim), 2);
	assert_true(xi_flows_forget(&sim.flows, &flow, answer.handle));
	assert_false(sim_find(&sim, &flow, &answer));
	assert_true(sim_find(&sim, &other, &answer));
	assert_false(xi_flows_forget(&sim.flows, &flow, answer.handle));
	sim_close(&sim);
}

/* The same without an SA: one element, which is no verdict, so that one message is for all. */
static void a_scan_without_an_sa_is_one_element(void **state)
{
	struct sim sim = { 0 };

	world_open(&sim.w, 0, 0);
	sim_open(&sim, 1024);
	put_policy(&sim.w, site(XI_OUT, "10.1.0.0", 16, "10.2.0.0", 16, 10));
	assert_int_equal(scan(&sim, 1000, anything), 1000);
	assert_int_equal(elements(&sim), 1);
	put_tunnel_sa(&sim.w);
	assert_int_equal(scan(&sim, 1000, anything), 1);
	sim_close(&sim);
}

/*
 * RFC 4301 section 7: a policy with ports that is not behind the one that lets a fragment pass, of the
 * same priority but younger, takes those it may mean. Others that pass must not take them along.
 */
static void fragments_in_doubt_are_told_apart(void **state)
{
	static const uint32_t priorities[] = { 5, UINT32_MAX };

	for (unsigned int i = 0; i < N(priorities); i++) {
		struct xi_policy allow = site(XI_OUT, "10.1.0.0", 16, "10.2.0.0", 16, priorities[i]);
		struct xi_policy ssh = site(XI_OUT, "10.1.0.0", 16, "10.2.3.0", 24, priorities[i]);
		struct xi_flow flow = { .dir = XI_OUT, .proto = 6, .fragment = 1 }, other;
		struct xi_flow_mask mask;
		struct world w = { 0 };

		world_open(&w, 0, 0);
		allow.ntmpls = 0;
		ssh.sel.proto = 6;
		ssh.sel.dport = 22;
		ssh.sel.dport_mask = 0xffff;
		put_policy(&w, allow);
		put_policy(&w, ssh);
		flow.family = sample_addr(flow.saddr, "10.1.2.3");
		sample_addr(flow.daddr, "10.2.7.7");
		other = flow;
		sample_addr(other.daddr, "10.2.3.4");
		assert_int_equal(judge(&w, &other, &mask).verdict, XI_VERDICT_DISCARD);
		assert_int_equal(judge(&w, &flow, &mask).verdict, XI_VERDICT_BYPASS);
		other = blend(&flow, &other, &mask);
		assert_int_equal(judge(&w, &other, &mask).verdict, XI_VERDICT_BYPASS);
		world_close(&w);
	}
}

/* One port is excepted: the others take as many elements as it takes to tell it from them. */
static void exceptions_cost_a_few_elements(void **state)
{
	struct xi_policy ssh = site(XI_OUT, "10.1.0.0", 16, "10.2.0.0", 16, 5);
	struct xi_policy host = site(XI_OUT, "0.0.0.0", 0, "10.2.9.9", 32, 5);
	struct sim sim = { 0 };

	world_open(&sim.w, 0, 0);
	sim_open(&sim, 1024);
	ssh.ntmpls = host.ntmpls = 0;
	ssh.sel.proto = 6;
	ssh.sel.dport = 22;
	ssh.sel.dport_mask = 0xffff;
	put_policy(&sim.w, site(XI_OUT, "10.1.0.0", 16, "10.2.0.0", 16, 10));
	put_policy(&sim.w, ssh);
	put_tunnel_sa(&sim.w);
	assert_in_range(scan(&sim, 65536, ports_in_turn), 2, 64);
	put_policy(&sim.w, host);
	assert_in_range(scan(&sim, 65536, addresses_in_turn), 2, 64);
	assert_int_equal(scan(&sim, 65536, addresses_in_turn), 0);
	sim_close(&sim);
}

#define T(fn) cmocka_unit_test(fn)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_packet_finds_what_policy_does_not_say),
		T(a_scan_through_one_policy_is_one_element),
		T(what_holds_for_one_packet_is_not_cached),
		T(only_the_element_of_that_sa_is_forgotten),
		T(a_scan_without_an_sa_is_one_element),
		T(fragments_in_doubt_are_told_apart),
		T(exceptions_cost_a_few_elements),
	};

	return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
