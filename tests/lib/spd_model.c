/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "spd_model.h"

uint64_t model_seed;

uint32_t rnd(uint32_t n)
{
	model_seed ^= model_seed << 13;
	model_seed ^= model_seed >> 7;
	model_seed ^= model_seed << 17;
	return (model_seed >> 11) % n;
}

void model_sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct spd_model *f = arg;

	if (f->spd && old)
		xi_spd_sa_changed(f->spd, &old->sa);
	if (f->spd && new)
		xi_spd_sa_changed(f->spd, &new->sa);
}

void model_sas_sync(void *arg)
{
	struct spd_model *f = arg;

	if (f->spd)
		xi_spd_sas_changed(f->spd);
}

/* ---- a few addresses, so that everything meets everything ---- */

enum xi_family small_addr(uint8_t out[16], uint32_t net, uint32_t host)
{
	memset(out, 0, 16);
	out[0] = 10;
	out[1] = net;
	out[3] = host;
	return XI_IPV4;
}

static void small_prefix(uint8_t out[16], uint8_t *plen, uint32_t net)
{
	static const uint8_t lens[] = {0, 16, 30, 32, 32};

	*plen = lens[rnd(5)];
	small_addr(out, net, rnd(6));
	if (*plen < 32)
		out[3] &= *plen == 30 ? 0xfc : 0;
	if (!*plen)
		out[0] = out[1] = 0;
}

static struct xi_selector model_random_selector(void)
{
	struct xi_selector sel = {.family = XI_IPV4};

	small_prefix(sel.saddr, &sel.prefixlen_s, 1);
	small_prefix(sel.daddr, &sel.prefixlen_d, 2);
	sel.proto = rnd(6) ? 0 : 6;
	if (sel.proto && rnd(2)) {
		sel.dport = 80;
		sel.dport_mask = 0xffff;
	}
	return sel;
}

static void random_peer(uint8_t out[16])
{
	sample_addr(out, LOCAL);
	out[3] = 10 + rnd(4);
}

static struct xi_tmpl random_tmpl(uint32_t spi_max)
{
	struct xi_tmpl tmpl = {.family = XI_IPV4, .id = {.proto = XI_ESP, .family = XI_IPV4}};

	tmpl.mode = rnd(3) ? XI_TUNNEL : XI_TRANSPORT;
	tmpl.optional = !rnd(5);
	tmpl.reqid = rnd(3) ? 1 + rnd(3) : 0;
	if (tmpl.mode == XI_TUNNEL) {
		if (rnd(5))
			sample_addr(tmpl.saddr, LOCAL);
		if (rnd(6))
			random_peer(tmpl.id.daddr);
	}
	if (!rnd(6))
		tmpl.id.spi = 0x1000 + rnd(spi_max);
	return tmpl;
}

struct xi_policy model_random_policy(void)
{
	struct xi_policy p = {.dir = rnd(8) ? XI_OUT : rnd(2) ? XI_IN : XI_FWD};
	uint32_t t;

	p.priority = 100 * rnd(4);
	p.sel = model_random_selector();
	p.action = rnd(12) ? XI_ALLOW : XI_BLOCK;
	if (p.action == XI_ALLOW)
		p.ntmpls = rnd(8) ? 1 + !rnd(3) : 0;
	if (!rnd(25))
		p.if_id = 1;
	if (!rnd(8)) {
		p.mark_m = rnd(2) ? 3 : 2;
		p.mark_v = rnd(4) & p.mark_m;
	}
	for (t = 0; t < p.ntmpls; t++)
		p.tmpls[t] = random_tmpl(MODEL_SAS);
	return p;
}

struct xi_sa model_random_sa(uint32_t i)
{
	struct xi_sa sa = sample_sa(LOCAL, LOCAL, 0x1000 + i);

	sa.mode = rnd(3) ? XI_TUNNEL : XI_TRANSPORT;
	if (rnd(10) == 0)
		memset(sa.saddr, 0, 16);
	random_peer(sa.id.daddr);
	if (sa.mode == XI_TRANSPORT) {
		small_addr(sa.saddr, 1, rnd(6));
		small_addr(sa.id.daddr, 2, rnd(6));
	}
	sa.reqid = rnd(8) ? 1 + rnd(3) : 0;
	memset(&sa.sel, 0, sizeof(sa.sel));
	if (rnd(3))
		sa.sel = model_random_selector();
	sa.if_id = rnd(20) ? 0 : 1;
	if (!rnd(8)) {
		sa.mark_m = rnd(2) ? 3 : 1;
		sa.mark_v = rnd(4) & sa.mark_m;
	}
	return sa;
}

/* ---- the rules, once more, over everything ---- */

bool prefixes_meet(const uint8_t *a, unsigned int alen, const uint8_t *b, unsigned int blen)
{
	unsigned int i, n = alen < blen ? alen : blen;

	for (i = 0; i < n; i++)
		if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static bool selectors_meet(const struct xi_selector *a, const struct xi_selector *b)
{
	return (!a->family || !b->family || a->family == b->family) &&
	       (!a->proto || !b->proto || a->proto == b->proto) &&
	       !((a->dport ^ b->dport) & a->dport_mask & b->dport_mask) &&
	       prefixes_meet(a->saddr, a->prefixlen_s, b->saddr, b->prefixlen_s) &&
	       prefixes_meet(a->daddr, a->prefixlen_d, b->daddr, b->prefixlen_d);
}

static bool selector_takes(const struct xi_selector *sel, const struct xi_flow *fl)
{
	return (!sel->family || sel->family == fl->family) &&
	       (!sel->proto || sel->proto == fl->proto) &&
	       !((sel->dport ^ fl->dport) & sel->dport_mask) &&
	       prefixes_meet(sel->saddr, sel->prefixlen_s, fl->saddr, 128) &&
	       prefixes_meet(sel->daddr, sel->prefixlen_d, fl->daddr, 128);
}

static bool is_zero(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, 16);
}

static bool source_fits(const uint8_t want[16], const struct xi_sa *sa)
{
	if (sa->mode == XI_TUNNEL)
		return is_zero(want) || !memcmp(want, sa->saddr, 16);
	return is_zero(sa->saddr) || !memcmp(want, sa->saddr, 16);
}

static bool serves(const struct xi_policy *p, const struct xi_tmpl *t, const struct xi_sa *sa)
{
	return sa->id.proto == t->id.proto && sa->mode == t->mode &&
	       (!t->id.spi || t->id.spi == sa->id.spi) && (!t->reqid || t->reqid == sa->reqid) &&
	       sa->if_id == p->if_id && (p->mark_v & p->mark_m & sa->mark_m) == sa->mark_v;
}

bool ends_told(const struct xi_policy *p, uint32_t t, uint8_t src[16], uint8_t dst[16])
{
	const struct xi_tmpl *tmpl = &p->tmpls[t], *inside = t ? &p->tmpls[0] : NULL;

	memcpy(src, tmpl->saddr, 16);
	memcpy(dst, tmpl->id.daddr, 16);
	if (tmpl->mode == XI_TUNNEL)
		return true;
	if (inside && inside->mode == XI_TUNNEL) {
		memcpy(src, inside->saddr, 16);
		memcpy(dst, inside->id.daddr, 16);
		return !inside->optional && !is_zero(src) && !is_zero(dst);
	}
	memcpy(src, p->sel.saddr, 16);
	memcpy(dst, p->sel.daddr, 16);
	return p->sel.prefixlen_s == 32 && p->sel.prefixlen_d == 32;
}

uint32_t naive_list(const struct spd_model *f, const struct xi_policy *p, uint32_t t,
		    uint32_t list[XI_POLICY_SAS])
{
	uint64_t before = UINT64_MAX;
	uint8_t src[16], dst[16];
	uint32_t n = 0, i;

	memset(list, 0, XI_POLICY_SAS * sizeof(*list));
	if (p->dir != XI_OUT || p->action != XI_ALLOW || t >= p->ntmpls || !ends_told(p, t, src, dst))
		return 0;
	while (n < XI_POLICY_SAS) {
		const struct model_sa *best = NULL;

		for (i = 0; i < MODEL_SAS; i++) {
			const struct model_sa *m = &f->sas[i];

			if (!m->sa_index || m->born >= before || (best && m->born < best->born) ||
			    !serves(p, &p->tmpls[t], &m->sa) ||
			    !selectors_meet(&p->sel, &m->sa.sel) || !source_fits(src, &m->sa) ||
			    ((m->sa.mode == XI_TRANSPORT || !is_zero(dst)) &&
			     memcmp(dst, m->sa.id.daddr, 16)))
				continue;
			best = m;
		}
		if (!best)
			break;
		list[n++] = best->sa_index;
		before = best->born;
	}
	return n;
}

const struct model_sa *sa_of(const struct spd_model *f, uint32_t sa_index)
{
	uint32_t i;

	for (i = 0; i < MODEL_SAS; i++)
		if (f->sas[i].sa_index == sa_index)
			return &f->sas[i];
	return NULL;
}

/* First match in order; NULL: none. */
static const struct xi_policy *naive_policy(const struct spd_model *f, enum xi_dir dir,
					    const struct xi_flow *fl)
{
	const struct model_policy *best = NULL;
	uint32_t i;

	for (i = 0; i < MODEL_POLICIES; i++) {
		const struct model_policy *m = &f->policies[i];

		if (!m->used || m->policy.dir != dir || m->policy.if_id != fl->if_id ||
		    (fl->mark & m->policy.mark_m) != m->policy.mark_v || !selector_takes(&m->policy.sel, fl))
			continue;
		if (!best || m->policy.priority < best->policy.priority ||
		    (m->policy.priority == best->policy.priority && m->order < best->order))
			best = m;
	}
	return best ? &best->policy : NULL;
}

/* The SA that template t gives a packet which goes between src and dst by then. */
static const struct model_sa *naive_sa(const struct spd_model *f, const struct xi_policy *p,
				       uint32_t t, const struct xi_flow *fl, const uint8_t *src,
				       const uint8_t *dst)
{
	uint8_t told_src[16], told_dst[16];
	const struct model_sa *best = NULL;
	uint32_t list[XI_POLICY_SAS], n, i;

	if (ends_told(p, t, told_src, told_dst)) {
		n = naive_list(f, p, t, list);
		for (i = 0; i < n; i++) {
			const struct model_sa *m = sa_of(f, list[i]);

			if (selector_takes(&m->sa.sel, fl) &&
			    (m->sa.mode == XI_TUNNEL || (source_fits(src, &m->sa) &&
							 !memcmp(dst, m->sa.id.daddr, 16))))
				return m;
		}
		return NULL;
	}
	for (i = 0; i < MODEL_SAS; i++) {
		const struct model_sa *m = &f->sas[i];

		if (m->sa_index && (!best || m->born > best->born) &&
		    serves(p, &p->tmpls[t], &m->sa) && selector_takes(&m->sa.sel, fl) &&
		    source_fits(src, &m->sa) && !memcmp(dst, m->sa.id.daddr, 16))
			best = m;
	}
	return best;
}

struct xi_flow_verdict naive_verdict(const struct spd_model *f, const struct xi_flow *fl)
{
	const struct xi_policy *p = naive_policy(f, XI_OUT, fl);
	struct xi_flow_verdict v = {.verdict = XI_VERDICT_BYPASS};
	const uint8_t *src = fl->saddr, *dst = fl->daddr;
	uint32_t got[2] = {0}, n = 0, t;

	if (p && p->action == XI_BLOCK)
		v.verdict = XI_VERDICT_DISCARD;
	for (t = 0; p && p->action == XI_ALLOW && t < p->ntmpls; t++) {
		const struct model_sa *m = naive_sa(f, p, t, fl, src, dst);

		if (!m && p->tmpls[t].optional)
			continue;
		if (!m) {
			v.verdict = XI_VERDICT_NONE;
			return v;
		}
		got[n++] = m->sa_index;
		if (m->sa.mode == XI_TUNNEL) {
			src = m->sa.saddr;
			dst = m->sa.id.daddr;
		}
	}
	if (n)
		v.verdict = XI_VERDICT_PROTECT;
	v.handle = got[0];
	v.next_handle = got[1];
	return v;
}
