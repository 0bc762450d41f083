/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Transport mode: SAs that a policy finds by the addresses of the packet. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <urcu-qsbr.h>
#include <cmocka.h>

#include "spd_bed.h"

/*
 * The kernel's xfrm_state_find() under a policy for two hosts: SAs between others are none of its.
 */
static void transport_sas_have_the_flows_addresses(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, LOCAL "/32", PEER "/32", 1);
	struct xi_flow fl = flow(LOCAL, PEER, 6, 1, 2);
	struct xi_sa sa = transport_sa(LOCAL, "192.0.2.9", 0x1000, 1);
	uint32_t handle, index, before;

	assert_int_equal(add(f, &p), 0);
	add_sa(f, &sa);
	sa = transport_sa("192.0.2.9", PEER, 0x1001, 1);
	add_sa(f, &sa);
	sa = transport_sa(LOCAL, PEER, 0x1002, 2);
	add_sa(f, &sa);
	sa = out_sa(0x1003, 1);
	add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	sa = transport_sa("0.0.0.0", PEER, 0x1004, 1); /* from any source */
	index = add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, index);
	sa = transport_sa(LOCAL, PEER, 0x1005, 1);
	index = add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, index);
	/* a rekey by template SPI, as strongSwan does it: nobody else's flows are judged again */
	sa.id.spi = 0x1006;
	p.tmpls[0].id.spi = 0x1005;
	assert_int_equal(replace(f, &p), 0);
	before = generation(f);
	add_sa(f, &sa);
	assert_false(xi_sad_superseded(f->sad, index));
	p.tmpls[0].id.spi = 0x1006;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(generation(f), before);
	assert_true(xi_sad_superseded(f->sad, index));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &sa.id)->sa.sa_index);
}

#define PEERS 40

static struct xi_sa peer_sa(uint32_t peer, uint32_t spi, uint32_t reqid)
{
	char addr[32];

	snprintf(addr, sizeof(addr), "10.1.0.%u", peer);
	return transport_sa(LOCAL, addr, spi, reqid);
}

static struct xi_flow peer_flow(uint32_t peer)
{
	char addr[32];

	snprintf(addr, sizeof(addr), "10.1.0.%u", peer);
	return flow(LOCAL, addr, 6, 1, 80);
}

/* One policy, many hosts: each has SAs of its own, and a rekey is felt by its own host alone. */
static void wide_transport_policies_serve_every_peer(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	uint32_t first[PEERS], handle, before, renewed, i;
	struct xi_sa sa;
	struct xi_flow fl;

	assert_int_equal(add(f, &p), 0);
	before = generation(f);
	for (i = 0; i < PEERS; i++) {
		sa = peer_sa(i, 0x2000 + i, 1);
		first[i] = add_sa(f, &sa);
	}
	for (i = 0; i < PEERS; i++) {
		fl = peer_flow(i);
		assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
		assert_int_equal(handle, first[i]);
	}
	fl = flow("192.0.2.7", "10.1.0.3", 6, 1, 80); /* another of our addresses */
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	sa = peer_sa(7, 0x1001, 1);
	renewed = add_sa(f, &sa);
	for (i = 0; i < PEERS; i++)
		assert_int_equal(xi_sad_superseded(f->sad, first[i]), i == 7);
	fl = peer_flow(7);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, renewed);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_false(xi_sad_superseded(f->sad, first[7]));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, first[7]);
	assert_int_equal(generation(f), before);
	/* what an SPI in the template changes, no mark on an SA tells */
	p.tmpls[0].id.spi = 0x1001;
	assert_int_equal(replace(f, &p), 0);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
}

/* Several SAs between two hosts: by reqid, and by their selectors. */
static void wide_transport_policies_mind_reqid_and_selector(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_flow fl = peer_flow(1), mail = fl;
	struct xi_sa sa = peer_sa(1, 0x1000, 1), other = peer_sa(1, 0x2000, 2),
		     web = peer_sa(1, 0x3000, 1);
	uint32_t handle, wide, narrow, before;

	mail.dport = 25;
	assert_int_equal(add(f, &p), 0);
	wide = add_sa(f, &sa);
	add_sa(f, &other);
	assert_false(xi_sad_superseded(f->sad, wide));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, wide);
	web.sel.family = XI_IPV4;
	web.sel.proto = 6;
	web.sel.dport = 80;
	web.sel.dport_mask = 0xffff;
	before = generation(f);
	narrow = add_sa(f, &web);
	assert_int_not_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, wide));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, narrow);
	assert_int_equal(judge(f, &mail, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, wide);
	p.tmpls[0].reqid = 2;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &other.id)->sa.sa_index);
}

/* SAs that no policy chose by pair when they came count from when one does. */
static void wide_transport_policies_find_sas_that_were_there(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_sa old = peer_sa(1, 0x1000, 1), sa = peer_sa(1, 0x1001, 1), web = peer_sa(1, 0x3000, 1);
	struct xi_flow fl = peer_flow(1);
	uint32_t replaced, wide, narrow, handle, before;

	replaced = add_sa(f, &old);
	wide = add_sa(f, &sa);
	assert_int_equal(add(f, &p), 0);
	assert_true(xi_sad_superseded(f->sad, replaced));
	assert_false(xi_sad_superseded(f->sad, wide));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, wide);
	web.sel.family = XI_IPV4;
	web.sel.proto = 6;
	web.sel.dport = 80;
	web.sel.dport_mask = 0xffff;
	before = generation(f);
	narrow = add_sa(f, &web);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, narrow);
}

/* The pairs are found again by a later daemon, newest first. */
static void wide_transport_policies_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_sa a = peer_sa(1, 0x1000, 1), b = peer_sa(1, 0x1001, 1);
	struct xi_flow fl = peer_flow(1);
	uint32_t ia, ib, handle;
	unsigned int n;

	assert_int_equal(add(f, &p), 0);
	ia = add_sa(f, &a);
	ib = add_sa(f, &b);
	close_all(f);
	open_all(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(xi_spd_adopt(f->spd, &n), 0);
	assert_true(xi_sad_superseded(f->sad, ia));
	assert_false(xi_sad_superseded(f->sad, ib));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
}

struct judge_reader {
	struct fixture *f;
	bool stop, bad;
	unsigned long protected_by;
};

static void *judge_run(void *arg)
{
	struct judge_reader *r = arg;
	uint32_t i = 0;

	rcu_register_thread();
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		struct xi_flow fl = peer_flow(i % 4);
		struct xi_flow_verdict v;
		const struct xi_sa_rec *rec;

		if (xi_spd_judge_out(xi_spd_snapshot(r->f->spd), r->f->sad, &fl, &v, NULL) ==
		    XI_VERDICT_PROTECT) {
			rec = xi_sad_rec(r->f->sad, v.handle);
			r->bad |= rec && memcmp(rec->sa.id.daddr, fl.daddr, 16);
			r->protected_by++;
		}
		if (++i % 8 == 0)
			rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void wait_for_readers(void *arg)
{
	synchronize_rcu();
}

/* Workers find SAs by address while these come and go. */
static void readers_never_see_a_freed_pair(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_sad_listener listener = { .changed = NULL, .sync = wait_for_readers, .arg = NULL };
	struct judge_reader r = {.f = f};
	pthread_t thread;
	unsigned int i;

	assert_int_equal(add(f, &p), 0);
	xi_sad_listen(f->sad, &listener);
	xi_spd_on_sync(f->spd, wait_for_readers, NULL);
	assert_int_equal(pthread_create(&thread, NULL, judge_run, &r), 0);
	for (i = 0; i < 200 || !__atomic_load_n(&r.protected_by, __ATOMIC_RELAXED); i++) {
		struct xi_sa a = peer_sa(i % 4, 0x1000 + i, 1), b = peer_sa(i % 4, 0x100000 + i, 1);

		add_sa(f, &a);
		add_sa(f, &b);
		assert_int_equal(xi_sad_delete(f->sad, i % 2 ? &a.id : &b.id), 0);
		assert_int_equal(xi_sad_delete(f->sad, i % 2 ? &b.id : &a.id), 0);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_false(r.bad);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(transport_sas_have_the_flows_addresses),
		T(wide_transport_policies_serve_every_peer),
		T(wide_transport_policies_mind_reqid_and_selector),
		T(wide_transport_policies_find_sas_that_were_there),
		T(wide_transport_policies_survive_a_restart),
		T(readers_never_see_a_freed_pair),
	};

	return cmocka_run_group_tests_name("spd_peers", tests, NULL, NULL);
}
