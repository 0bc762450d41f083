/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which SAs serve a policy: its templates, bundles of two, rekeys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "spd_bed.h"

static void templates_choose_sas(void **state)
{
	struct fixture *f = *state;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_sa sa;
	uint32_t handle, good;

	assert_int_equal(add(f, &p), 0);
#define UNFIT(spi, change) do { \
		sa = out_sa(spi, 1); change; add_sa(f, &sa); \
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE); } while (0)
	UNFIT(0x1000, sa.reqid = 2);
	UNFIT(0x1001, sa.mode = XI_TRANSPORT);
	UNFIT(0x1002, sa.id.proto = XI_AH);
	UNFIT(0x1003, sample_addr(sa.saddr, "192.0.2.77"));
	UNFIT(0x1004, sample_addr(sa.id.daddr, "192.0.2.77"));
	UNFIT(0x1005, sa.sa_dir = 1);
	UNFIT(0x1006, sa.if_id = 1);
	UNFIT(0x1007, sa.sel.family = XI_IPV6);
	UNFIT(0x1008, (sa.sel.family = XI_IPV4, sa.sel.prefixlen_s = 8, sa.sel.saddr[0] = 11));
	sa = out_sa(0x2000, 1);
	good = add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, good);
	p.tmpls[0].id.spi = 0x3000;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	p.tmpls[0].id.spi = 0x2000;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	memset(p.tmpls[0].saddr, 0, 16);
	memset(p.tmpls[0].id.daddr, 0, 16);
	p.tmpls[0].id.spi = 0;
	p.tmpls[0].reqid = 0;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, good);
}

static void traps_wait_for_an_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_policy trap = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa sa = out_sa(0x1000, 0);
	struct xi_flow_verdict v;
	const struct xi_spd_policy *p;

	trap.ntmpls = 1;
	trap.tmpls[0].id.proto = XI_ESP;
	trap.tmpls[0].family = XI_IPV4;
	assert_int_equal(add(f, &trap), 0);
	add_sa(f, &sa);
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &fl, &v, &p),
			 XI_VERDICT_NONE);
	assert_int_equal(p->policy.index, xi_spd_find(f->spd, &trap)->index);
	sa = transport_sa("10.0.0.1", "10.1.0.1", 0x1001, 0);
	add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_PROTECT);
}

/* xfrm_tmpl_resolve_one(): template 0 is applied first, the other one around it. */
static void bundles_need_both_sas(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(transport(XI_OUT, "10.0.0.1/32", "10.1.0.1/32", 1), XI_ESP, XI_TUNNEL, 2);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa inner = transport_sa("10.0.0.1", "10.1.0.1", 0x1000, 1),
		     outer = out_sa(0x2000, 2);
	uint32_t handle, next, ii, io, before;
	struct xi_verdict_why why;

	assert_int_equal(add(f, &p), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	assert_int_equal(why.code, XI_WHY_NO_SA);
	assert_int_equal(why.tmpl, 0);
	assert_int_equal(why.policy, xi_spd_find(f->spd, &p)->index);
	ii = add_sa(f, &inner);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	assert_int_equal(why.tmpl, 1);
	assert_int_equal(handle, 0);
	io = add_sa(f, &outer);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ii);
	assert_int_equal(next, io);
	assert_int_equal(why.code, XI_WHY_PROTECT);
	/* a rekey of either is felt by those who hold it */
	before = generation(f);
	outer.id.spi++;
	add_sa(f, &outer);
	assert_true(xi_sad_superseded(f->sad, io));
	assert_false(xi_sad_superseded(f->sad, ii));
	inner.id.spi++;
	add_sa(f, &inner);
	assert_true(xi_sad_superseded(f->sad, ii));
	assert_int_equal(generation(f), before);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &inner.id)->sa.sa_index);
	assert_int_equal(next, xi_sad_find(f->sad, &outer.id)->sa.sa_index);
	/* the selectors of both are of the flow that comes in */
	outer.id.spi++;
	outer.sel = p.sel;
	io = add_sa(f, &outer);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(next, io);
}

/* An optional template is passed over for as long as it has no SA, and no longer. */
static void optional_templates_of_bundles(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(transport(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), XI_ESP, XI_TUNNEL, 2);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa inner = transport_sa("10.0.0.1", "10.1.0.1", 0x1000, 1),
		     outer = out_sa(0x2000, 2);
	uint32_t handle, next, ii, io, before;
	struct xi_verdict_why why;

	p.tmpls[0].optional = 1;
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	assert_int_equal(why.tmpl, 1);
	io = add_sa(f, &outer);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, io);
	assert_int_equal(next, 0);
	before = generation(f);
	ii = add_sa(f, &inner);
	assert_int_not_equal(generation(f), before); /* flows have been cached without it */
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ii);
	assert_int_equal(next, io);
	p.tmpls[1].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(xi_sad_delete(f->sad, &outer.id), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ii);
	assert_int_equal(next, 0);
	assert_int_equal(xi_sad_delete(f->sad, &inner.id), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_BYPASS);
	assert_int_equal(why.code, XI_WHY_OPTIONAL);
	before = generation(f);
	add_sa(f, &outer);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
}

/* AH around an ESP tunnel: its SA has the tunnel's addresses, not those of the packet inside. */
static void transport_around_a_tunnel_has_its_ends(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), XI_AH, XI_TRANSPORT, 1);
	struct xi_policy any =
		around(tunnel(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 3), XI_AH, XI_TRANSPORT, 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2),
		       fl2 = flow("10.0.0.1", "10.2.0.1", 6, 1, 2);
	struct xi_sa esp = out_sa(0x1000, 1), ah = transport_sa("10.0.0.1", "10.1.0.1", 0x2000, 1);
	uint32_t handle, next, ie, ia;
	struct xi_verdict_why why;

	ah.id.proto = XI_AH;
	assert_int_equal(add(f, &p), 0);
	/* whose source only the SA tells */
	memset(any.tmpls[0].saddr, 0, 16);
	assert_int_equal(add(f, &any), 0);
	ie = add_sa(f, &esp);
	add_sa(f, &ah);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	ah = transport_sa(LOCAL, PEER, 0x2001, 1);
	ah.id.proto = XI_AH;
	ia = add_sa(f, &ah);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ie);
	assert_int_equal(next, ia);
	esp = out_sa(0x1001, 3);
	ie = add_sa(f, &esp);
	assert_int_equal(judge_both(f, &fl2, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ie);
	assert_int_equal(next, ia);
}

static void rekey_disturbs_only_its_own_flows(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy other = tunnel(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 2);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2),
		       fl2 = flow("10.0.0.1", "10.2.0.1", 6, 1, 2);
	struct xi_sa a = out_sa(0x1000, 1), b = out_sa(0x1001, 1), c = out_sa(0x2000, 2);
	uint32_t ia, ib, ic, handle, before;

	ia = add_sa(f, &a);
	ic = add_sa(f, &c);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(add(f, &other), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ia);
	before = generation(f);
	ib = add_sa(f, &b);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
	assert_true(xi_sad_superseded(f->sad, ia));
	assert_false(xi_sad_superseded(f->sad, ib) || xi_sad_superseded(f->sad, ic));
	assert_int_equal(judge(f, &fl2, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ic);
	assert_int_equal(xi_sad_delete(f->sad, &a.id), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(generation(f), before);
	assert_int_equal(xi_sad_delete(f->sad, &b.id), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	assert_int_equal(generation(f), before);
}

/* How strongSwan does it: the outbound policy names the SPI, and is updated after the SAs. */
static void rekey_by_template_spi(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), q;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa a = out_sa(0x1000, 1), b = out_sa(0x1001, 1);
	uint32_t ia = add_sa(f, &a), ib, handle, before;

	p.tmpls[0].id.spi = 0x1000;
	assert_int_equal(add(f, &p), 0);
	ib = add_sa(f, &b);
	assert_false(xi_sad_superseded(f->sad, ia));
	before = generation(f);
	p.tmpls[0].id.spi = 0x1001;
	p.limits.soft_add = 77;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(generation(f), before);
	assert_true(xi_sad_superseded(f->sad, ia));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
	p.tmpls[0].id.spi = 0x1000;  /* and back */
	assert_int_equal(replace(f, &p), 0);
	assert_true(xi_sad_superseded(f->sad, ib));
	assert_false(xi_sad_superseded(f->sad, ia));
	assert_int_equal(generation(f), before);
	p.priority++;
	assert_int_equal(replace(f, &p), 0);
	assert_int_not_equal(generation(f), before);
	/*
	 * Another policy stays with the SA that this one leaves: then a mark on the SA cannot tell
	 * whose flows.
	 */
	q = tunnel(XI_OUT, "10.0.0.0/8", "10.5.0.0/16", 1);
	q.tmpls[0].id.spi = 0x1000;
	assert_int_equal(add(f, &q), 0);
	before = generation(f);
	p.tmpls[0].id.spi = 0x1001;
	assert_int_equal(replace(f, &p), 0);
	assert_int_not_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, ia));
}

static struct xi_sa narrow_sa(uint32_t spi, uint16_t dport)
{
	struct xi_sa sa = out_sa(spi, 1);

	sa.sel.family = XI_IPV4;
	if (dport) {
		sa.sel.proto = 6;
		sa.sel.dport = dport;
		sa.sel.dport_mask = 0xffff;
	}
	return sa;
}

static void sa_selectors_share_a_policy(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow web = flow("10.0.0.1", "10.1.0.1", 6, 1, 80), mail = web, dns = web;
	struct xi_sa a = narrow_sa(0x1000, 80), b = narrow_sa(0x1001, 25),
		     wide = narrow_sa(0x1002, 0);
	uint32_t ia, ib, iw, handle, before;

	mail.dport = 25;
	dns.dport = 53;
	assert_int_equal(add(f, &p), 0);
	ia = add_sa(f, &a);
	before = generation(f);
	ib = add_sa(f, &b);
	assert_int_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, ia));
	assert_int_equal(judge(f, &web, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ia);
	assert_int_equal(judge(f, &mail, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
	assert_int_equal(judge(f, &dns, NULL), XI_VERDICT_NONE);
	iw = add_sa(f, &wide);
	assert_true(xi_sad_superseded(f->sad, ia) && xi_sad_superseded(f->sad, ib));
	assert_int_equal(judge(f, &web, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, iw);
	/* A newer one takes some flows of an SA that keeps the rest. */
	before = generation(f);
	a.id.spi = 0x1003;
	ia = add_sa(f, &a);
	assert_int_not_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, iw));
	assert_int_equal(judge(f, &web, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ia);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(templates_choose_sas),
		T(traps_wait_for_an_sa),
		T(bundles_need_both_sas),
		T(optional_templates_of_bundles),
		T(transport_around_a_tunnel_has_its_ends),
		T(rekey_disturbs_only_its_own_flows),
		T(rekey_by_template_spi),
		T(sa_selectors_share_a_policy),
	};

	return cmocka_run_group_tests_name("spd_templates", tests, NULL, NULL);
}
