/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <string.h>

#include "flow_world.h"

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

bool naive_matches(const struct xi_selector *sel, const struct xi_flow *flow, bool ports)
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

struct answer naive(const struct world *w, const struct xi_flow *flow)
{
	return flow->dir == XI_OUT ? naive_out(w, flow) : naive_arriving(w, flow);
}

bool same(const struct answer *a, const struct answer *b)
{
	return a->verdict == b->verdict && (a->verdict != XI_VERDICT_PROTECT ||
					    (a->handle == b->handle && a->next_handle == b->next_handle));
}
