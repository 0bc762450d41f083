/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the SPD says of a packet: on its way out, in clear, and out of SAs. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "spd_bed.h"

static struct xi_sa in_sa(uint32_t spi, uint32_t reqid)
{
	struct xi_sa sa = sample_sa(PEER, LOCAL, spi);

	sa.reqid = reqid;
	return sa;
}

/* ---- judgements ---- */

static void actions_decide_outbound(void **state)
{
	struct fixture *f = *state;
	struct xi_policy block = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 2);
	struct xi_policy allow = policy(XI_OUT, "10.0.0.0/8", "10.1.1.0/24", 1);
	struct xi_policy optional = tunnel(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_flow_verdict v;

	block.action = XI_BLOCK;
	optional.tmpls[0].optional = 1;
	assert_int_equal(add(f, &block), 0);
	assert_int_equal(add(f, &allow), 0);
	assert_int_equal(add(f, &optional), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
	fl = flow("10.0.0.1", "10.1.1.1", 6, 1, 2);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	fl = flow("10.0.0.1", "10.2.1.1", 6, 1, 2);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	fl = flow("11.0.0.1", "10.1.1.1", 6, 1, 2);
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &fl, &v, NULL),
			 XI_VERDICT_BYPASS);
	assert_int_equal(v.generation, generation(f));
	assert_int_equal(v.slot, XI_NO_SLOT);
	assert_int_equal(v.next_slot, XI_NO_SLOT);
}

static void ike_of_the_host_is_exempt(void **state)
{
	struct fixture *f = *state;
	struct xi_policy out = tunnel(XI_OUT, "0.0.0.0/0", "0.0.0.0/0", 1);
	struct xi_policy in = tunnel(XI_IN, "0.0.0.0/0", "0.0.0.0/0", 1), fwd = in;
	const struct xi_spd_snapshot *snap;
	struct xi_flow_verdict v;
	struct xi_flow fl;
	static const uint16_t ports[] = { 500, 4500 };
	unsigned int i;

	fwd.dir = XI_FWD;
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &fwd), 0);
	snap = xi_spd_snapshot(f->spd);
	for (i = 0; i < 2; i++) {
		fl = flow(LOCAL, PEER, IPPROTO_UDP, ports[i], 12345);
		assert_int_equal(xi_spd_judge_out(snap, f->sad, &fl, &v, NULL), XI_VERDICT_BYPASS);
		assert_int_equal(v.generation, 0);
		fl = flow("2001:db8::1", "2001:db8::2", IPPROTO_UDP, ports[i], ports[i]);
		assert_int_equal(xi_spd_judge_out(snap, f->sad, &fl, &v, NULL), XI_VERDICT_BYPASS);
		fl = flow(PEER, LOCAL, IPPROTO_UDP, 12345, ports[i]);
		assert_true(xi_spd_allows_clear(snap, &fl));
		/*
		 * Not the host's own, not UDP, another port, a fragment, the far end's port alone.
		 */
		fl = flow("10.0.0.1", PEER, IPPROTO_UDP, ports[i], ports[i]);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		fl = flow(LOCAL, PEER, IPPROTO_TCP, ports[i], ports[i]);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		fl = flow(LOCAL, PEER, IPPROTO_UDP, 501, ports[i]);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		fl = flow(PEER, "10.0.0.1", IPPROTO_UDP, ports[i], ports[i]);
		assert_false(xi_spd_allows_clear(snap, &fl));
		fl = flow(PEER, LOCAL, IPPROTO_UDP, ports[i], 501);
		assert_false(xi_spd_allows_clear(snap, &fl));
		fl = flow(PEER, LOCAL, IPPROTO_UDP, 0, 0);
		fl.fragment = 1;
		assert_false(xi_spd_allows_clear(snap, &fl));
	}
}

static enum xi_why why_out(struct fixture *f, const struct xi_flow *fl)
{
	struct xi_verdict_why why = {0};
	uint32_t handle, next;

	judge_both(f, fl, &handle, &next, &why);
	return why.code;
}

/* Fail-closed: the first fragment of a packet is protected, so the others do not leave in clear. */
static void fragments_do_not_pass_by_policies_with_ports(void **state)
{
	struct fixture *f = *state;
	struct xi_policy web = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 1), all = web, in = web;
	struct xi_flow rest = flow("10.0.0.1", "10.1.0.1", IPPROTO_TCP, 0, 0), back = rest, udp;
	struct xi_sa sa = out_sa(0x1000, 2);
	uint32_t handle;

	rest.fragment = back.fragment = 1;
	back.dir = XI_IN;
	udp = rest;
	udp.proto = IPPROTO_UDP;
	web.priority = 10;
	web.sel.proto = IPPROTO_TCP;
	web.sel.dport = 443;
	web.sel.dport_mask = 0xffff;
	assert_int_equal(add(f, &web), 0);
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_DISCARD);
	assert_int_equal(why_out(f, &rest), XI_WHY_FRAGMENT);
	assert_int_equal(judge(f, &udp, NULL), XI_VERDICT_BYPASS);
	rest.fragment = 0;
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_BYPASS);
	rest.fragment = 1;
	/* a policy in front of it that matches fragments decides */
	all.ntmpls = 0;
	all.priority = 9;
	assert_int_equal(add(f, &all), 0);
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_BYPASS);
	all.priority = 11;
	assert_int_equal(replace(f, &all), 0);
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_DISCARD);
	/* protected by another policy's SA is not in clear */
	all = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 2);
	all.priority = 11;
	assert_int_equal(replace(f, &all), 0);
	add_sa(f, &sa);
	assert_int_equal(judge(f, &rest, &handle), XI_VERDICT_PROTECT);
	/* the way in */
	in = web;
	in.dir = XI_FWD;
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
	assert_int_equal(add(f, &in), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
	back.fragment = 0;
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
	in.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &in), 0);
	back.fragment = 1;
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
}

static void cleartext_is_judged_by_where_it_goes(void **state)
{
	struct fixture *f = *state;
	struct xi_policy in = tunnel(XI_IN, "10.1.0.0/16", "192.0.2.0/24", 1);
	struct xi_policy fwd = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/8", 1);
	struct xi_flow to_us = flow("10.1.0.1", LOCAL, 6, 1, 2),
		       through = flow("10.1.0.1", "10.0.0.1", 6, 1, 2);
	struct xi_flow past_us = flow("10.1.0.1", "192.0.2.99", 6, 1, 2);

	assert_int_equal(add(f, &in), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &to_us));
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &past_us));
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	assert_int_equal(add(f, &fwd), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	fwd.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &fwd), 0);
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	fwd.action = XI_BLOCK;
	assert_int_equal(replace(f, &fwd), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	fwd.action = XI_ALLOW;
	fwd.ntmpls = 0;
	assert_int_equal(replace(f, &fwd), 0);
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
}

static bool allows(struct fixture *f, const struct xi_flow *fl, const struct xi_sa *outer,
		   const struct xi_sa *inner)
{
	const struct xi_sa_path path = {.n = inner ? 2 : outer ? 1 : 0, .sas = {outer, inner}};

	return xi_spd_allows_protected(xi_spd_snapshot(f->spd), fl, &path);
}

/* As __xfrm_policy_check() of Linux 6.x does for one tunnel SA in the secpath. */
static void protected_packets_need_a_template_that_fits(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/8", 1);
	struct xi_flow fl = flow("10.1.0.1", "10.0.0.1", 6, 1, 2);
	struct xi_sa sa = in_sa(0x1000, 1), bad;
	uint32_t before;

#define ALLOWS(sa) allows(f, &fl, sa, NULL)
	assert_false(ALLOWS(&sa));   /* XfrmInNoPols */
	assert_int_equal(add(f, &p), 0);
	assert_true(ALLOWS(&sa));
#define MISMATCH(change) do { bad = sa; change; assert_false(ALLOWS(&bad)); } while (0)
	MISMATCH(bad.reqid = 2);
	MISMATCH(bad.mode = XI_TRANSPORT);
	MISMATCH(bad.id.proto = XI_AH);
	MISMATCH(sample_addr(bad.saddr, "192.0.2.9"));
	MISMATCH(sample_addr(bad.id.daddr, "192.0.2.9"));
	MISMATCH((bad.sel.family = XI_IPV4, bad.sel.prefixlen_s = 32));
	MISMATCH(bad.sel.family = XI_IPV6);
	bad = sa;
	bad.sel = p.sel;
	assert_true(ALLOWS(&bad));
	p.tmpls[0].id.spi = 0x1001;
	before = generation(f);
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
	/* workers remember answers for as long as the generation is the same */
	assert_int_not_equal(generation(f), before);
	p.tmpls[0].id.spi = 0x1000;
	p.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(ALLOWS(&sa));
	p.tmpls[0].id.spi = 0x1001;  /* optional, not matching: the tunnel is one too many */
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
	p.ntmpls = 0;                /* no tunnel wanted */
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
	p.action = XI_BLOCK;
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
}

/*
 * __xfrm_policy_check(): a leftover SA in transport mode is let be, and where no policy is, the
 * default decides.
 */
static void transport_sas_are_no_tunnel_too_many(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_IN, PEER "/32", LOCAL "/32", 1);
	struct xi_flow fl = flow(PEER, LOCAL, 6, 1, 2);
	struct xi_sa sa = transport_sa(PEER, LOCAL, 0x1000, 1), bad, tunnel_sa = in_sa(0x1001, 1);

	assert_true(allows(f, &fl, NULL, NULL));
	assert_true(allows(f, &fl, &sa, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	assert_int_equal(xi_spd_set_default(f->spd, XI_IN, XI_BLOCK), 0);
	assert_false(allows(f, &fl, NULL, NULL));
	assert_false(allows(f, &fl, &sa, NULL));
	assert_int_equal(xi_spd_set_default(f->spd, XI_IN, XI_ALLOW), 0);
	assert_int_equal(add(f, &p), 0);
	assert_false(allows(f, &fl, NULL, NULL));
	assert_true(allows(f, &fl, &sa, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	MISMATCH(bad.reqid = 2);
	MISMATCH(bad.id.proto = XI_AH);
	MISMATCH((bad.sel.family = XI_IPV4, bad.sel.proto = 17));
	/* addresses in a template of transport mode mean nothing */
	sample_addr(p.tmpls[0].saddr, "203.0.113.1");
	sample_addr(p.tmpls[0].id.daddr, "203.0.113.2");
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &sa, NULL));
	/* optional in transport mode: with it, without it, and with another one */
	p.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, NULL, NULL));
	assert_true(allows(f, &fl, &sa, NULL));
	bad = sa;
	bad.reqid = 2;
	assert_true(allows(f, &fl, &bad, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	p.ntmpls = 0;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &sa, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	p.action = XI_BLOCK;
	assert_int_equal(replace(f, &p), 0);
	assert_false(allows(f, &fl, &sa, NULL));
}

/*
 * __xfrm_policy_check(): templates from the last to the first meet the path from the outermost SA
 * in.
 */
static void bundles_are_met_from_the_outermost_in(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(transport(XI_IN, PEER "/32", LOCAL "/32", 1), XI_ESP, XI_TUNNEL, 2);
	struct xi_flow fl = flow(PEER, LOCAL, 6, 1, 2);
	struct xi_sa inner = transport_sa(PEER, LOCAL, 0x1000, 1), outer = in_sa(0x2000, 2), bad;

	assert_int_equal(add(f, &p), 0);
	assert_true(allows(f, &fl, &outer, &inner));
	assert_false(allows(f, &fl, &inner, &outer));
	assert_false(allows(f, &fl, &outer, NULL));
	assert_false(allows(f, &fl, &inner, NULL));
	assert_false(allows(f, &fl, NULL, NULL));
	bad = inner;
	bad.reqid = 9;
	assert_false(allows(f, &fl, &outer, &bad));
	bad = outer;
	bad.reqid = 9;
	assert_false(allows(f, &fl, &bad, &inner));
	assert_false(allows(f, &fl, &outer, &outer));
	/* the selector of each SA is held against what is left in the end */
	bad = outer;
	bad.sel.family = XI_IPV4;
	bad.sel.proto = 50;
	assert_false(allows(f, &fl, &bad, &inner));
	bad.sel.proto = 6;
	assert_true(allows(f, &fl, &bad, &inner));
	/* the inner one optional: both ways; another tunnel inside is one too many */
	p.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &outer, &inner));
	assert_true(allows(f, &fl, &outer, NULL));
	assert_false(allows(f, &fl, &outer, &outer));
	/* the outer one optional */
	p.tmpls[0].optional = 0;
	p.tmpls[1].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &outer, &inner));
	assert_true(allows(f, &fl, &inner, NULL));
	assert_false(allows(f, &fl, &outer, NULL));
	/*
	 * AH in transport mode around an ESP tunnel, and one template that passes over an SA in
	 * transport mode
	 */
	p = around(tunnel(XI_IN, PEER "/32", LOCAL "/32", 2), XI_AH, XI_TRANSPORT, 1);
	p.priority = 50;
	assert_int_equal(replace(f, &p), 0);
	inner.id.proto = XI_AH;
	assert_true(allows(f, &fl, &inner, &outer));
	assert_false(allows(f, &fl, &outer, &inner));
	assert_false(allows(f, &fl, &outer, NULL));
	p.ntmpls = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &inner, &outer));
	assert_true(allows(f, &fl, &outer, &inner));
}

static enum xi_why why_in(struct fixture *f, const struct xi_flow *fl, const struct xi_sa *sa)
{
	const struct xi_sa_path path = {.n = sa ? 1 : 0, .sas = {sa}};
	struct xi_verdict_why why = {0};

	xi_spd_allows_protected_why(xi_spd_snapshot(f->spd), fl, &path, &why);
	assert_true(*xi_why_text(why.code));
	return why.code;
}

static void verdicts_tell_why(void **state)
{
	struct fixture *f = *state;
	struct xi_policy out = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy in = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/8", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2),
		       back = flow("10.1.0.1", "10.0.0.1", 6, 2, 1);
	struct xi_flow ike = flow(LOCAL, PEER, IPPROTO_UDP, 500, 500);
	struct xi_sa sa = out_sa(0x1000, 1), way_in = in_sa(0x1001, 1), bad;

	assert_int_equal(why_out(f, &fl), XI_WHY_DEFAULT_ALLOW);
	assert_int_equal(why_out(f, &ike), XI_WHY_IKE);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_DEFAULT_ALLOW);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_NO_POLICY);
	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_BLOCK), 0);
	assert_int_equal(xi_spd_set_default(f->spd, XI_FWD, XI_BLOCK), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_DEFAULT_BLOCK);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_DEFAULT_BLOCK);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_DEFAULT_BLOCK);
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_NO_SA);
	sa.sel.family = XI_IPV4;
	sa.sel.proto = 17;
	add_sa(f, &sa);
	assert_int_equal(why_out(f, &fl), XI_WHY_NO_SA_SELECTOR);
	fl.proto = 17;
	assert_int_equal(why_out(f, &fl), XI_WHY_PROTECT);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_CLEAR);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_VERIFIED);
	bad = way_in;
	bad.reqid = 7;
	assert_int_equal(why_in(f, &back, &bad), XI_WHY_TEMPLATE);
	bad = sa;
	assert_int_equal(why_in(f, &back, &bad), XI_WHY_SA_SELECTOR);
	out.ntmpls = in.ntmpls = 0;
	assert_int_equal(replace(f, &out), 0);
	assert_int_equal(replace(f, &in), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_ALLOW);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_ALLOW);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_TUNNEL);
	out.action = in.action = XI_BLOCK;
	assert_int_equal(replace(f, &out), 0);
	assert_int_equal(replace(f, &in), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_BLOCK);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_BLOCK);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_BLOCK);
	assert_string_equal(xi_why_text(XI_WHY_MAX), "unknown");
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(actions_decide_outbound),
		T(ike_of_the_host_is_exempt),
		T(fragments_do_not_pass_by_policies_with_ports),
		T(cleartext_is_judged_by_where_it_goes),
		T(protected_packets_need_a_template_that_fits),
		T(transport_sas_are_no_tunnel_too_many),
		T(bundles_are_met_from_the_outermost_in),
		T(verdicts_tell_why),
	};

	return cmocka_run_group_tests_name("spd_judge", tests, NULL, NULL);
}
