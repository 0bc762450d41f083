/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "flow_world.h"

uint64_t flow_seed;

uint32_t pick(uint32_t n)
{
	flow_seed = flow_seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(flow_seed >> 33) % n;
}

bool one_in(uint32_t n)
{
	return !pick(n);
}

/* ---- random worlds: few bits vary, so that everything overlaps ---- */

/* Of a mark. */
static uint32_t random_bits(void)
{
	static const uint32_t some[] = { 0, 0, 1, 2, 0x10, 0x80000000, 0x80000001, 0x100 };

	return some[pick(N(some))] | some[pick(N(some))];
}

void random_addr(uint8_t addr[16], enum xi_family family)
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

uint8_t random_proto(void)
{
	static const uint8_t protos[] = { 6, 6, 17, 17, 1, 47, 58 };

	return protos[pick(N(protos))];
}

uint16_t random_port(void)
{
	static const uint16_t ports[] = { 0, 22, 23, 53, 80, 443, 1024, 4096, 4097, 0x8000, 0xffff };

	return one_in(4) ? pick(0x10000) : ports[pick(N(ports))];
}

void random_ports(struct xi_selector *sel)
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

struct xi_selector random_selector(enum xi_family family)
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

void flow_into(struct xi_flow *flow, const struct xi_selector *sel)
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

struct xi_flow random_flow(const struct world *w)
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

void add_random_sa(struct world *w)
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

void add_random_policy(struct world *w)
{
	struct xi_policy p = random_policy();
	const char *why = NULL;

	if (w->npolicies < POLICIES_MAX && !xi_spd_add(w->spd, &p, false, &why))
		w->policies[w->npolicies++] = p;
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

void world_open(struct world *w, unsigned int policies, unsigned int sas)
{
	struct xi_sad_listener listener = {.changed = sa_changed, .sync = sas_sync, .arg = w};
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

void world_close(struct world *w)
{
	xi_spd_destroy(w->spd);
	w->spd = NULL;
	xi_sad_destroy(w->sad);
	mem_store_free(w->m);
}

struct answer judge(const struct world *w, const struct xi_flow *flow, struct xi_flow_mask *mask)
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

struct xi_flow blend(const struct xi_flow *flow, const struct xi_flow *other,
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

bool is_possible(const struct world *w, const struct xi_flow *flow)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(w->spd);

	if (flow->fragment && (flow->sport || flow->dport))
		return false;
	if (xi_spd_is_ike(snap, flow->dir, flow))
		return false;
	return flow->dir == XI_OUT || xi_spd_dir_of_arrival(snap, flow) == flow->dir;
}

struct xi_flow flow_near(const struct xi_selector *sel)
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

struct xi_flow flow_beside(const struct xi_selector *sel)
{
	struct xi_flow flow = flow_near(sel);

	if (one_in(4))
		flow.daddr[pick(sel->family == XI_IPV4 ? 4 : 16)] ^= 1 << pick(8);
	if (one_in(4))
		flow.dport ^= 1 << pick(16);
	return flow;
}
