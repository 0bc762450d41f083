// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Verdicts and the masks they hold under, against a walk through policies and SAs in order that compares bit by bit:
 * the index, what judging says it looked at, and flow_cache as packets see it while policies and SAs come and go.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <xipsec/flow_key.h>
#include "cache/flows.h"
#include "mem_store.h"
#include "null_store.h"
#include "sad/flowmask.h"
#include "sad/selector.h"
#include "sad/spd_index_priv.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define POLICIES_MAX 48
#define SAS_MAX 32

static uint64_t seed;

static uint32_t pick(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

static bool one_in(uint32_t n)
{
	return !pick(n);
}

/* ---- the reference: nothing but comparisons, in order ---- */

static unsigned int bit_of(const uint8_t *bytes, unsigned int i)
{
	return bytes[i / 8] >> (7 - i % 8) & 1;
}

static bool naive_prefix(const uint8_t *a, const uint8_t *b, unsigned int plen)
{
	for (unsigned int i = 0; i < plen; i++)
		if (bit_of(a, i) != bit_of(b, i))
			return false;
	return true;
}

static bool naive_port(uint16_t port, uint16_t want, uint16_t mask)
{
	for (unsigned int i = 0; i < 16; i++)
		if (mask >> i & 1 && (port >> i & 1) != (want >> i & 1))
			return false;
	return true;
}

static bool naive_matches(const struct xi_selector *sel, const struct xi_flow *flow, bool ports)
{
	if (sel->family && sel->family != flow->family)
		return false;
	if (!naive_prefix(sel->saddr, flow->saddr, sel->prefixlen_s) ||
	    !naive_prefix(sel->daddr, flow->daddr, sel->prefixlen_d))
		return false;
	if (sel->proto && sel->proto != flow->proto)
		return false;
	if (!ports || (!sel->sport_mask && !sel->dport_mask))
		return true;
	return !flow->fragment && naive_port(flow->sport, sel->sport, sel->sport_mask) &&
	       naive_port(flow->dport, sel->dport, sel->dport_mask);
}

/* The kernel's xfrm_policy_match(). */
static bool naive_marked(const struct xi_policy *p, const struct xi_flow *flow)
{
	return p->if_id == flow->if_id && (flow->mark & p->mark_m) == p->mark_v;
}

struct world {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_policy policies[POLICIES_MAX]; /* in order of coming */
	unsigned int npolicies;
	struct xi_sa sas[SAS_MAX];   /* in order of coming */
	unsigned int nsas;
	uint32_t next_spi;
	struct xi_addr local[3];
};

struct answer {
	enum xi_verdict verdict;
	uint32_t handle, next_handle;
};

static const struct xi_policy *naive_lookup(const struct world *w, enum xi_dir dir,
					    const struct xi_flow *flow)
{
	const struct xi_policy *best = NULL;

	for (unsigned int i = 0; i < w->npolicies; i++) {
		const struct xi_policy *p = &w->policies[i];

		if (p->dir == dir && naive_marked(p, flow) && naive_matches(&p->sel, flow, true) &&
		    (!best || p->priority < best->priority))
			best = p;
	}
	return best;
}

/* RFC 4301 section 7: a later fragment may belong to what a policy with ports wants otherwise. */
static bool naive_doubt(const struct world *w, enum xi_dir dir, const struct xi_flow *flow,
			const struct xi_policy *found)
{
	for (unsigned int i = 0; i < w->npolicies && flow->fragment; i++) {
		const struct xi_policy *p = &w->policies[i];
		bool wants = p->action == XI_BLOCK;

		for (uint32_t t = 0; t < p->ntmpls; t++)
			wants |= !p->tmpls[t].optional;
		if (p->dir == dir && naive_marked(p, flow) && wants && (p->sel.sport_mask || p->sel.dport_mask) &&
		    (!found || p->priority <= found->priority) &&
		    naive_matches(&p->sel, flow, false))
			return true;
	}
	return false;
}

static bool is_zero(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, 16);
}

static const struct xi_sa *naive_sa(const struct world *w, const struct xi_policy *p,
				    const struct xi_tmpl *tmpl, const struct xi_flow *flow,
				    const uint8_t *saddr, const uint8_t *daddr,
				    enum xi_family family)
{
	for (unsigned int i = w->nsas; i-- > 0;) {
		const struct xi_sa *sa = &w->sas[i];

		if (sa->id.proto != tmpl->id.proto || sa->mode != tmpl->mode ||
		    (tmpl->reqid && tmpl->reqid != sa->reqid) || sa->id.family != family ||
		    sa->if_id != p->if_id || (p->mark_v & p->mark_m & sa->mark_m) != sa->mark_v ||
		    memcmp(sa->id.daddr, daddr, 16) ||
		    (memcmp(sa->saddr, saddr, 16) && !is_zero(saddr) &&
		     !(sa->mode == XI_TRANSPORT && is_zero(sa->saddr))))
			continue;
		if (naive_matches(&sa->sel, flow, true))
			return sa;
	}
	return NULL;
}

static uint32_t handle_of(const struct world *w, const struct xi_sa *sa)
{
	return xi_sad_find(w->sad, &sa->id)->sa.sa_index;
}

static struct answer naive_protect(const struct world *w, const struct xi_policy *p,
				   const struct xi_flow *flow)
{
	const uint8_t *saddr = flow->saddr, *daddr = flow->daddr;
	enum xi_family family = flow->family;
	uint32_t got[2] = { 0 }, n = 0;

	for (uint32_t t = 0; t < p->ntmpls; t++) {
		const struct xi_tmpl *tmpl = &p->tmpls[t];
		bool tunnel = tmpl->mode == XI_TUNNEL;
		const struct xi_sa *sa = naive_sa(w, p, tmpl, flow, tunnel ? tmpl->saddr : saddr,
						  tunnel ? tmpl->id.daddr : daddr,
						  tunnel ? tmpl->family : family);

		if (!sa && !tmpl->optional)
			return (struct answer){ .verdict = XI_VERDICT_NONE };
		if (!sa)
			continue;
		got[n++] = handle_of(w, sa);
		if (tunnel) {
			saddr = sa->saddr;
			daddr = sa->id.daddr;
			family = sa->id.family;
		}
	}
	return (struct answer){ n ? XI_VERDICT_PROTECT : XI_VERDICT_BYPASS, got[0], got[1] };
}

static struct answer naive_out(const struct world *w, const struct xi_flow *flow)
{
	const struct xi_policy *p = naive_lookup(w, XI_OUT, flow);
	struct answer answer = { .verdict = XI_VERDICT_BYPASS };

	if (p && p->action == XI_BLOCK)
		answer.verdict = XI_VERDICT_DISCARD;
	else if (p)
		answer = naive_protect(w, p, flow);
	if (answer.verdict == XI_VERDICT_BYPASS && naive_doubt(w, XI_OUT, flow, p))
		answer.verdict = XI_VERDICT_DISCARD;
	return answer;
}

static struct answer naive_arriving(const struct world *w, const struct xi_flow *flow)
{
	const struct xi_policy *p = naive_lookup(w, flow->dir, flow);
	bool clear = !naive_doubt(w, flow->dir, flow, p) && !(p && p->action == XI_BLOCK);

	for (uint32_t t = 0; p && t < p->ntmpls; t++)
		clear &= p->tmpls[t].optional != 0;
	return (struct answer){ .verdict = clear ? XI_VERDICT_BYPASS : XI_VERDICT_DISCARD };
}

static struct answer naive(const struct world *w, const struct xi_flow *flow)
{
	return flow->dir == XI_OUT ? naive_out(w, flow) : naive_arriving(w, flow);
}

static bool same(const struct answer *a, const struct answer *b)
{
	return a->verdict == b->verdict && (a->verdict != XI_VERDICT_PROTECT ||
					    (a->handle == b->handle && a->next_handle == b->next_handle));
}

/* ---- random worlds: few bits vary, so that everything overlaps ---- */

/* Of a mark. */
static uint32_t random_bits(void)
{
	static const uint32_t some[] = { 0, 0, 1, 2, 0x10, 0x80000000, 0x80000001, 0x100 };

	return some[pick(N(some))] | some[pick(N(some))];
}

static void random_addr(uint8_t addr[16], enum xi_family family)
{
	static const uint8_t bits[] = { 0x00, 0x01, 0x10, 0x40, 0x80, 0x88, 0xff };

	memset(addr, 0, 16);
	addr[0] = family == XI_IPV4 ? 10 : 0xfd;
	for (unsigned int i = 1; i < (family == XI_IPV4 ? 4 : 16); i++)
		addr[i] = one_in(3) || i < 3 ? bits[pick(N(bits))] : 0;
}

static uint8_t random_plen(enum xi_family family)
{
	static const uint8_t v4[] = { 0, 8, 9, 12, 16, 17, 20, 24, 31, 32 };
	static const uint8_t v6[] = { 0, 8, 16, 20, 33, 48, 64, 65, 100, 128 };

	return family == XI_IPV4 ? v4[pick(N(v4))] : v6[pick(N(v6))];
}

static uint8_t random_proto(void)
{
	static const uint8_t protos[] = { 6, 6, 17, 17, 1, 47, 58 };

	return protos[pick(N(protos))];
}

static uint16_t random_port(void)
{
	static const uint16_t ports[] = { 0, 22, 23, 53, 80, 443, 1024, 4096, 4097, 0x8000, 0xffff };

	return one_in(4) ? pick(0x10000) : ports[pick(N(ports))];
}

static void random_ports(struct xi_selector *sel)
{
	static const uint16_t masks[] = { 0xffff, 0xffff, 0xffff, 0xfc00, 0xf000, 0x8000, 0xff0f };

	if (one_in(3)) {
		sel->dport = random_port();
		sel->dport_mask = masks[pick(N(masks))];
	}
	if (one_in(5)) {
		sel->sport = random_port();
		sel->sport_mask = masks[pick(N(masks))];
	}
}

static struct xi_selector random_selector(enum xi_family family)
{
	struct xi_selector sel = { .family = family };

	random_addr(sel.saddr, family);
	random_addr(sel.daddr, family);
	sel.prefixlen_s = random_plen(family);
	sel.prefixlen_d = random_plen(family);
	if (one_in(2))
		sel.proto = random_proto();
	if (one_in(2))
		random_ports(&sel);
	return sel;
}

static void gateway(uint8_t addr[16], unsigned int i)
{
	memset(addr, 0, 16);
	addr[0] = 192;
	addr[2] = 2;
	addr[3] = i;
}

static struct xi_tmpl random_tmpl(enum xi_mode mode, enum xi_family family)
{
	struct xi_tmpl tmpl = { .mode = mode, .family = family, .reqid = 1 + pick(3) };

	tmpl.id.proto = XI_ESP;
	tmpl.id.family = family;
	tmpl.optional = one_in(6);
	if (mode == XI_TUNNEL) {
		tmpl.family = tmpl.id.family = XI_IPV4;
		gateway(tmpl.saddr, 1);
		gateway(tmpl.id.daddr, 2 + pick(2));
	}
	return tmpl;
}

/* Most have none. */
static void random_mark(uint32_t *v, uint32_t *m, uint32_t *if_id)
{
	static const uint32_t masks[] = { 0x3, 0xf0, 0xffffffff, 0x80000001 };

	if (one_in(3)) {
		*m = masks[pick(N(masks))];
		*v = random_bits() & *m;
	}
	if (one_in(4))
		*if_id = 1 + pick(2);
}

static struct xi_policy random_policy(void)
{
	static const enum xi_dir dirs[] = { XI_OUT, XI_OUT, XI_IN, XI_FWD };
	enum xi_family family = one_in(4) ? XI_IPV6 : XI_IPV4;
	struct xi_policy p = { .dir = dirs[pick(N(dirs))], .priority = pick(12) };

	p.sel = random_selector(family);
	random_mark(&p.mark_v, &p.mark_m, &p.if_id);
	if (one_in(30))
		p.mark_v |= 0x100;   /* perhaps outside of its mask: then it matches nothing */
	p.action = one_in(4) ? XI_BLOCK : XI_ALLOW;
	if (one_in(4))
		return p;
	p.ntmpls = 1;
	p.tmpls[0] = random_tmpl(one_in(3) ? XI_TRANSPORT : XI_TUNNEL, family);
	if (one_in(4) && p.tmpls[0].mode == XI_TUNNEL) {
		p.ntmpls = 2;
		p.tmpls[1] = random_tmpl(XI_TRANSPORT, XI_IPV4);
		p.tmpls[1].id.proto = XI_AH;
	}
	return p;
}

/* Takes what a selector looks at from it. */
static void flow_into(struct xi_flow *flow, const struct xi_selector *sel)
{
	for (unsigned int i = 0; i < 128; i++) {
		uint8_t bit = 0x80 >> i % 8;

		if (i < sel->prefixlen_s)
			flow->saddr[i / 8] = (flow->saddr[i / 8] & ~bit) | (sel->saddr[i / 8] & bit);
		if (i < sel->prefixlen_d)
			flow->daddr[i / 8] = (flow->daddr[i / 8] & ~bit) | (sel->daddr[i / 8] & bit);
	}
	if (sel->proto)
		flow->proto = sel->proto;
	flow->sport = (flow->sport & ~sel->sport_mask) | (sel->sport & sel->sport_mask);
	flow->dport = (flow->dport & ~sel->dport_mask) | (sel->dport & sel->dport_mask);
}

static struct xi_flow random_flow(const struct world *w)
{
	const struct xi_policy *policy =
		w->npolicies && !one_in(4) ? &w->policies[pick(w->npolicies)] : NULL;
	const struct xi_selector *near = policy ? &policy->sel : NULL;
	enum xi_family family = near ? near->family : one_in(4) ? XI_IPV6 : XI_IPV4;
	struct xi_flow flow = { .family = family };

	random_addr(flow.saddr, family);
	random_addr(flow.daddr, family);
	flow.proto = one_in(8) ? pick(256) : random_proto();
	flow.fragment = one_in(8);
	flow.sport = random_port();
	flow.dport = random_port();
	if (near)
		flow_into(&flow, near);
	if (flow.fragment)
		flow.sport = flow.dport = 0;
	flow.dir = one_in(2) ? XI_OUT : XI_IN;
	if (flow.dir == XI_OUT) { /* what arrives in clear has neither */
		flow.mark = random_bits();
		if (policy && one_in(2))
			flow.mark = (flow.mark & ~policy->mark_m) | policy->mark_v;
		flow.if_id = policy ? policy->if_id : one_in(4);
	}
	if (flow.dir == XI_IN && one_in(2)) {
		const struct xi_addr *local = &w->local[pick(N(w->local))];

		flow.family = local->family;
		memset(flow.saddr, 0, 16);
		random_addr(flow.saddr, flow.family);
		memcpy(flow.daddr, local->addr, 16);
	}
	if (flow.dir == XI_IN)
		flow.dir = xi_spd_dir_of_arrival(xi_spd_snapshot(w->spd), &flow);
	return flow;
}

/* An SA that some policy may use. */
static void add_random_sa(struct world *w)
{
	struct xi_sa_key key = sample_key(w->next_spi);
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", w->next_spi++);
	const char *why = NULL;

	if (w->nsas == SAS_MAX)
		return;
	gateway(sa.id.daddr, 2 + pick(2));
	sa.reqid = 1 + pick(3);
	if (one_in(3)) {
		sa.mode = XI_TRANSPORT;
		if (one_in(2)) {
			struct xi_flow flow = random_flow(w);

			memcpy(sa.saddr, flow.saddr, 16);
			memcpy(sa.id.daddr, flow.daddr, 16);
			sa.id.family = flow.family;
			if (one_in(4))
				memset(sa.saddr, 0, 16);
		} else {
			sa.id.proto = XI_AH;
			sa.alg = XI_ALG_AES_GMAC;
		}
	}
	random_mark(&sa.mark_v, &sa.mark_m, &sa.if_id);
	if (one_in(2))
		sa.mark_v = 0;
	if (one_in(2))
		sa.sel = random_selector(sa.id.family);
	if (one_in(2)) {
		sa.sel.prefixlen_s = sa.sel.prefixlen_d = 0;
		memset(sa.sel.saddr, 0, 16);
		memset(sa.sel.daddr, 0, 16);
	}
	if (xi_sad_add(w->sad, &sa, &key, NULL, &why))
		return;
	w->sas[w->nsas++] = sa;
}

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

static void add_random_policy(struct world *w)
{
	struct xi_policy p = random_policy();
	const char *why = NULL;

	if (w->npolicies < POLICIES_MAX && !xi_spd_add(w->spd, &p, false, &why))
		w->policies[w->npolicies++] = p;
}

static void delete_policy(struct world *w, unsigned int i)
{
	assert_int_equal(xi_spd_delete(w->spd, &w->policies[i]), 0);
	memmove(&w->policies[i], &w->policies[i + 1], (--w->npolicies - i) * sizeof(*w->policies));
}

static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct world *w = arg;

	if (w->spd && old)
		xi_spd_sa_changed(w->spd, &old->sa);
	if (w->spd && new)
		xi_spd_sa_changed(w->spd, &new->sa);
}

static void sas_sync(void *arg)
{
	struct world *w = arg;

	if (w->spd)
		xi_spd_sas_changed(w->spd);
}

static void world_open(struct world *w, unsigned int policies, unsigned int sas)
{
	struct xi_sad_listener listener = { sa_changed, sas_sync, w };
	struct xi_sad_config config = { 0 };

	memset(w, 0, sizeof(*w));
	w->next_spi = 0x1000;
	w->m = mem_store_new(64, 0);
	assert_int_equal(xi_sad_create(&w->sad, &config, &w->m->store), 0);
	xi_sad_listen(w->sad, &listener);
	assert_int_equal(xi_spd_create(&w->spd, w->sad, &w->m->store), 0);
	for (unsigned int i = 0; i < N(w->local); i++) {
		w->local[i].family = i ? XI_IPV4 : XI_IPV6;
		random_addr(w->local[i].addr, w->local[i].family);
	}
	assert_int_equal(xi_spd_set_local(w->spd, w->local, N(w->local)), 0);
	while (policies--)
		add_random_policy(w);
	while (sas--)
		add_random_sa(w);
}

static void world_close(struct world *w)
{
	xi_spd_destroy(w->spd);
	w->spd = NULL;
	xi_sad_destroy(w->sad);
	mem_store_free(w->m);
}

static struct answer judge(const struct world *w, const struct xi_flow *flow, struct xi_flow_mask *mask)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->spd);
	struct xi_flow_verdict v = { 0 };

	memset(mask, 0, sizeof(*mask));
	if (flow->dir != XI_OUT)
		return (struct answer){
			.verdict = xi_spd_allows_clear_mask(snap, flow, NULL, mask) ?
					   XI_VERDICT_BYPASS :
					   XI_VERDICT_DISCARD,
		};
	v.verdict = xi_spd_judge_out_mask(snap, w->sad, flow, &v, NULL, NULL, mask);
	return (struct answer){ v.verdict, v.handle, v.next_handle };
}

/* Agrees with flow in the mask, and takes the rest from other. */
static struct xi_flow blend(const struct xi_flow *flow, const struct xi_flow *other,
			    const struct xi_flow_mask *mask)
{
	struct xi_flow out = *other;

	for (unsigned int i = 0; i < 128; i++) {
		uint8_t bit = 0x80 >> i % 8;

		if (i < mask->prefixlen_s)
			out.saddr[i / 8] = (out.saddr[i / 8] & ~bit) | (flow->saddr[i / 8] & bit);
		if (i < mask->prefixlen_d)
			out.daddr[i / 8] = (out.daddr[i / 8] & ~bit) | (flow->daddr[i / 8] & bit);
	}
	out.proto = (other->proto & ~mask->proto) | (flow->proto & mask->proto);
	out.sport = (other->sport & ~mask->sport) | (flow->sport & mask->sport);
	out.dport = (other->dport & ~mask->dport) | (flow->dport & mask->dport);
	if (mask->fragment)
		out.fragment = flow->fragment;
	out.dir = flow->dir;
	return out;
}

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

	seed = 41;
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

/* Are there such packets: a later fragment shows no ports, and dir says whether daddr is local. */
static bool is_possible(const struct world *w, const struct xi_flow *flow)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->spd);

	if (flow->fragment && (flow->sport || flow->dport))
		return false;
	if (xi_spd_is_ike(snap, flow->dir, flow))
		return false;
	return flow->dir == XI_OUT || xi_spd_dir_of_arrival(snap, flow) == flow->dir;
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
		seed = 1000 + round;
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

/* ---- the index alone, at its size ---- */

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

static struct xi_flow flow_near(const struct xi_selector *sel)
{
	struct xi_flow flow = { .family = sel->family, .dir = XI_OUT };
	unsigned int len = sel->family == XI_IPV4 ? 4 : 16;

	for (unsigned int i = 0; i < len; i++) {
		flow.saddr[i] = pick(256);
		flow.daddr[i] = pick(256);
	}
	flow.proto = random_proto();
	flow.sport = pick(65536);
	flow.dport = pick(65536);
	flow_into(&flow, sel);
	return flow;
}

/* Now and then one that just misses it. */
static struct xi_flow flow_beside(const struct xi_selector *sel)
{
	struct xi_flow flow = flow_near(sel);

	if (one_in(4))
		flow.daddr[pick(sel->family == XI_IPV4 ? 4 : 16)] ^= 1 << pick(8);
	if (one_in(4))
		flow.dport ^= 1 << pick(16);
	return flow;
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

	seed = 7;
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

	seed = 8;
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

/* ---- flow_cache as packets see it ---- */

struct sim {
	struct world w;
	struct xi_slots slots;
	struct xi_flows flows;
	int flow_cache, flow_masks;
	struct xi_flow pool[64];     /* that come again */
	uint64_t hits, misses, stale, protected;
};

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

/* As XDP does. */
static bool sim_find(struct sim *sim, const struct xi_flow *flow, struct answer *answer)
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
		seed = 5000 + round;
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

static uint32_t elements(const struct sim *sim)
{
	struct xi_flow_key key, *prev = NULL;
	uint32_t n = 0;

	while (!bpf_map_get_next_key(sim->flow_cache, prev, &key)) {
		prev = &key;
		n++;
	}
	return n;
}

/* n packets of what scan() makes, each a miss or hit: how many missed. */
static uint64_t scan(struct sim *sim, uint32_t n, void (*next)(struct xi_flow *flow, uint32_t i))
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

static void ports_in_turn(struct xi_flow *flow, uint32_t i)
{
	flow->dport = i;
}

static void addresses_in_turn(struct xi_flow *flow, uint32_t i)
{
	flow->daddr[2] = i >> 8;
	flow->daddr[3] = i;
}

static void anything(struct xi_flow *flow, uint32_t i)
{
	flow->saddr[2] = pick(256);
	flow->saddr[3] = pick(256);
	flow->daddr[2] = pick(256);
	flow->daddr[3] = pick(256);
	flow->proto = pick(256);
	flow->sport = pick(65536);
	flow->dport = pick(65536);
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

/* ---- ten thousand policies ---- */

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

	seed = 21;
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

	seed = 22;
	big_open(shape_any);
	big_run("anything", 20000, flow_beside);
	assert_int_equal(big.flows.masks.tables[table].n, XI_FLOW_MASKS);
	assert_true(big.flows.masks.tables[table].joined);
	xi_flows_sweep(&big.flows);
	assert_int_equal(big.flows.masks.tables[table].n, 1);
	assert_false(big.flows.masks.tables[table].joined);
	big_close();
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
	seed = 31;
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
	seed = 37;
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
		T(a_thousand_interfaces_are_one_lookup),
		T(a_dead_policy_hides_no_other),
		T(ten_thousand_policies_of_any_shape),
		T(ten_thousand_policies_of_one_prefix_pair),
		T(no_packet_finds_what_policy_does_not_say),
		T(a_scan_through_one_policy_is_one_element),
		T(what_holds_for_one_packet_is_not_cached),
		T(only_the_element_of_that_sa_is_forgotten),
		T(a_scan_without_an_sa_is_one_element),
		T(fragments_in_doubt_are_told_apart),
		T(exceptions_cost_a_few_elements),
		T(policies_of_one_shape_need_one_mask),
		T(policies_of_any_shape_share_few_masks),
		T(masks_are_adopted_and_nonsense_is_not),
		T(a_full_table_joins_masks),
		T(more_masks_than_rows_settle),
	};

	return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
