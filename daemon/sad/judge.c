/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What policy says of one packet. Pure: snapshot and SAD are only read, by workers and by the
 * control thread.
 */
#include "sad/spd_priv.h"

#include <netinet/in.h>
#include <string.h>

#include "sad/selector.h"

#define PORT_IKE 500
#define PORT_IKE_NATT 4500       /* RFC 3948 */

static const uint8_t zero[16];

static bool port_is_ike(uint16_t port)
{
	return port == PORT_IKE || port == PORT_IKE_NATT;
}

/* The host's own end decides: the far end's port is anybody's choice. */
bool xi_spd_is_ike(const struct xi_spd_snapshot *snap, enum xi_dir dir, const struct xi_flow *flow)
{
	if (flow->proto != IPPROTO_UDP || flow->fragment)
		return false;
	if (dir == XI_OUT)
		return port_is_ike(flow->sport) && xi_spd_is_local(snap, flow->saddr, flow->family);
	return port_is_ike(flow->dport) && xi_spd_is_local(snap, flow->daddr, flow->family);
}

/*
 * A later fragment shows no ports, so no policy with ports matches it. It may still belong to a
 * packet that such a policy, ahead of p, wants protected or discarded: then it must not pass in
 * clear (RFC 4301 section 7).
 */
static bool fragment_in_doubt(const struct xi_spd_snapshot *snap, enum xi_dir dir,
			      const struct xi_flow *flow, const struct xi_spd_policy *p)
{
	uint32_t i;

	if (!flow->fragment)
		return false;
	for (i = 0; i < snap->nported[dir]; i++) {
		const struct xi_policy *policy = &snap->ported[dir][i]->policy;
		struct xi_selector sel = policy->sel;

		if (p && policy->priority > p->policy.priority)
			return false;
		sel.sport_mask = sel.dport_mask = 0;
		if (xi_selector_matches(&sel, flow))
			return true;
	}
	return false;
}

/* Newest SA whose selector, if it has one, takes the flow. */
static uint32_t sa_for_flow(const struct xi_spd_policy *p, const struct xi_sad *sad,
			    const struct xi_flow *flow)
{
	uint32_t i;

	for (i = 0; i < p->nsas; i++) {
		const struct xi_sa_rec *rec = xi_sad_rec(sad, p->sas[i]);

		if (rec && xi_selector_matches(&rec->sa.sel, flow))
			return p->sas[i];
	}
	return 0;
}

static enum xi_verdict policy_verdict(const struct xi_spd_policy *p, const struct xi_sad *sad,
				      const struct xi_flow *flow, uint32_t *handle)
{
	if (p->policy.action == XI_BLOCK)
		return XI_VERDICT_DISCARD;
	if (!p->policy.ntmpls)
		return XI_VERDICT_BYPASS;
	*handle = sa_for_flow(p, sad, flow);
	if (*handle)
		return XI_VERDICT_PROTECT;
	return p->policy.tmpls[0].optional ? XI_VERDICT_BYPASS : XI_VERDICT_NONE;
}

enum xi_verdict xi_spd_judge_out(const struct xi_spd_snapshot *snap, const struct xi_sad *sad,
				 const struct xi_flow *flow, struct xi_flow_verdict *verdict,
				 const struct xi_spd_policy **policy)
{
	const struct xi_spd_policy *p = NULL;

	*verdict = (struct xi_flow_verdict){
		.slot = XI_NO_SLOT,
		.next_slot = XI_NO_SLOT,
		.generation = snap->generation,
	};
	if (xi_spd_is_ike(snap, XI_OUT, flow)) {
		verdict->verdict = XI_VERDICT_BYPASS;
		verdict->generation = 0;
	} else {
		p = xi_spd_lookup(snap, XI_OUT, flow);
		if (p)
			verdict->verdict = policy_verdict(p, sad, flow, &verdict->handle);
		else if (snap->default_action[XI_OUT] == XI_BLOCK)
			verdict->verdict = XI_VERDICT_DISCARD;
		else
			verdict->verdict = XI_VERDICT_BYPASS;
		if (verdict->verdict == XI_VERDICT_BYPASS &&
		    fragment_in_doubt(snap, XI_OUT, flow, p))
			verdict->verdict = XI_VERDICT_DISCARD;
	}
	if (policy)
		*policy = p;
	return verdict->verdict;
}

static enum xi_dir dir_of_arrival(const struct xi_spd_snapshot *snap, const struct xi_flow *flow)
{
	return xi_spd_is_local(snap, flow->daddr, flow->family) ? XI_IN : XI_FWD;
}

bool xi_spd_allows_clear(const struct xi_spd_snapshot *snap, const struct xi_flow *flow)
{
	enum xi_dir dir = dir_of_arrival(snap, flow);
	const struct xi_spd_policy *p;
	uint32_t i;

	if (xi_spd_is_ike(snap, XI_IN, flow))
		return true;
	p = xi_spd_lookup(snap, dir, flow);
	if (fragment_in_doubt(snap, dir, flow, p))
		return false;
	if (!p)
		return snap->default_action[dir] == XI_ALLOW;
	if (p->policy.action == XI_BLOCK)
		return false;
	for (i = 0; i < p->policy.ntmpls; i++)
		if (!p->policy.tmpls[i].optional)
			return false;
	return true;
}

/* The kernel's xfrm_state_ok(); the addresses of a template in transport mode mean nothing. */
static bool tmpl_accepts(const struct xi_tmpl *tmpl, const struct xi_sa *sa)
{
	return sa->id.proto == tmpl->id.proto && sa->mode == tmpl->mode &&
	       (!tmpl->id.spi || tmpl->id.spi == sa->id.spi) &&
	       (!tmpl->reqid || tmpl->reqid == sa->reqid) &&
	       (sa->mode == XI_TRANSPORT ||
		((!memcmp(tmpl->saddr, zero, 16) || !memcmp(tmpl->saddr, sa->saddr, 16)) &&
		 (!memcmp(tmpl->id.daddr, zero, 16) || !memcmp(tmpl->id.daddr, sa->id.daddr, 16))));
}

/*
 * The kernel's xfrm_policy_ok(): meets tmpl with an SA of the path, from the k-th on. True: *k is the next one to
 * meet. SAs in transport mode may be passed over, one in tunnel mode may not.
 */
static bool tmpl_met(const struct xi_tmpl *tmpl, const struct xi_sa_path *path, uint32_t *k)
{
	uint32_t i;

	if (tmpl->optional && tmpl->mode == XI_TRANSPORT)
		return true;
	for (i = *k; i < path->n; i++) {
		if (tmpl_accepts(tmpl, path->sas[i])) {
			*k = i + 1;
			return true;
		}
		if (path->sas[i]->mode != XI_TRANSPORT)
			break;
	}
	return tmpl->optional;
}

/* Any SA in tunnel mode from the k-th on? The kernel's secpath_has_nontransport(). */
static bool path_has_tunnel(const struct xi_sa_path *path, uint32_t k)
{
	for (; k < path->n; k++)
		if (path->sas[k]->mode != XI_TRANSPORT)
			return true;
	return false;
}

static bool tmpls_accept(const struct xi_policy *policy, const struct xi_sa_path *path)
{
	uint32_t i, k = 0;

	for (i = policy->ntmpls; i-- > 0;)
		if (!tmpl_met(&policy->tmpls[i], path, &k))
			return false;
	return !path_has_tunnel(path, k);
}

static bool path_selects(const struct xi_sa_path *path, const struct xi_flow *flow)
{
	uint32_t i;

	for (i = 0; i < path->n; i++)
		if (!xi_selector_matches(&path->sas[i]->sel, flow))
			return false;
	return true;
}

bool xi_spd_allows_protected(const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
			     const struct xi_sa_path *path)
{
	enum xi_dir dir = dir_of_arrival(snap, flow);
	const struct xi_spd_policy *p;

	if (!path->n)
		return xi_spd_allows_clear(snap, flow);
	if (!path_selects(path, flow))
		return false;
	p = xi_spd_lookup(snap, dir, flow);
	if (!p)
		return snap->default_action[dir] == XI_ALLOW && !path_has_tunnel(path, 0);
	return p->policy.action == XI_ALLOW && tmpls_accept(&p->policy, path);
}
