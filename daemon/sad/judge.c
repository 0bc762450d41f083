/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What policy says of one packet. Pure: snapshot and SAD are only read, by workers and by the
 * control thread.
 */
#include "sad/spd_priv.h"

#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "sad/flowmask.h"
#include "sad/selector.h"
#include "sad/spd_index.h"

#define PORT_IKE 500
#define PORT_IKE_NATT 4500 /* RFC 3948 */

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

/* Policies not behind p count. */
static bool segment_doubts(const struct xi_spd_segment *seg, const struct xi_flow *flow,
			   const struct xi_spd_policy *p, struct xi_flow_mask *mask)
{
	uint32_t rank = xi_spd_index_doubt(seg->index, seg->policies, flow), end = XI_NO_RANK;
	const struct xi_policy *first;

	if (rank != XI_NO_RANK) {
		first = &seg->policies[rank]->policy;
		if (!p || first->priority <= p->policy.priority) {
			if (mask)
				xi_flowmask_take_portless(mask, &first->sel);
			return true;
		}
	}
	if (mask && p && p->policy.priority != UINT32_MAX)
		end = xi_spd_index_rank(seg->index, p->policy.priority + 1, 0);
	if (mask)
		xi_spd_index_doubt_mask(seg->index, flow, end, mask);
	return false;
}

/*
 * A later fragment shows no ports, so no policy with ports matches it. It may still belong to a
 * packet that such a policy, not behind p, wants protected or discarded: then it must not pass in
 * clear (RFC 4301 section 7).
 */
static bool fragment_in_doubt(const struct xi_spd_snapshot *snap, enum xi_dir dir,
			      const struct xi_flow *flow, const struct xi_spd_policy *p,
			      struct xi_flow_mask *mask)
{
	uint32_t i;

	for (i = 0; i < XI_SPD_SEGMENTS; i++) {
		const struct xi_spd_segment *seg = &snap->segments[dir][i];

		if (!xi_spd_index_doubts(seg->index))
			continue;
		if (mask)
			mask->fragment = 1;
		if (flow->fragment && segment_doubts(seg, flow, p, mask))
			return true;
	}
	return false;
}

/* xi_spd_lookup(), and by what of the flow. */
static const struct xi_spd_policy *lookup(const struct xi_spd_snapshot *snap, enum xi_dir dir,
					  const struct xi_flow *flow, struct xi_flow_mask *mask)
{
	const struct xi_spd_policy *best = NULL, *p;
	uint32_t i, rank;

	for (i = 0; i < XI_SPD_SEGMENTS; i++) {
		const struct xi_spd_segment *seg = &snap->segments[dir][i];

		rank = xi_spd_index_find(seg->index, seg->policies, flow);
		p = rank == XI_NO_RANK ? NULL : seg->policies[rank];
		if (p && (!best || xi_policy_before(&p->policy, &best->policy)))
			best = p;
	}
	if (mask && best)
		xi_flowmask_take(mask, &best->policy.sel);
	for (i = 0; i < XI_SPD_SEGMENTS && mask; i++) {
		const struct xi_spd_index *ix = snap->segments[dir][i].index;

		rank = best ? xi_spd_index_rank(ix, best->policy.priority, best->policy.order)
			    : XI_NO_RANK;
		xi_spd_index_mask(ix, flow, rank, mask);
	}
	return best;
}

const struct xi_spd_policy *xi_spd_lookup(const struct xi_spd_snapshot *snap, enum xi_dir dir,
					  const struct xi_flow *flow)
{
	return lookup(snap, dir, flow, NULL);
}

/* Who asks for the reason has no packet. Workers share the line, so it is written once a second. */
static const struct xi_spd_policy *policy_used(const struct xi_spd_policy *p,
					       const struct xi_verdict_why *why)
{
	uint64_t *use_time, now;

	if (!p || why)
		return p;
	now = time(NULL);
	use_time = (uint64_t *)&p->policy.use_time;
	if (__atomic_load_n(use_time, __ATOMIC_RELAXED) != now)
		__atomic_store_n(use_time, now, __ATOMIC_RELAXED);
	return p;
}

static void why_set(struct xi_verdict_why *why, enum xi_why code, const struct xi_spd_policy *p,
		    uint32_t tmpl, uint32_t sa_index)
{
	if (why)
		*why = (struct xi_verdict_why){
			.code = code,
			.policy = p ? p->policy.index : 0,
			.tmpl = tmpl,
			.sa_index = sa_index,
		};
}

static void look_whole_addresses(struct xi_flow_mask *mask, const struct xi_flow *flow)
{
	unsigned int bits = flow->family == XI_IPV4 ? 32 : 128;

	xi_flowmask_take_prefixes(mask, bits, bits);
}

/* Does an SA's selector take the flow? */
bool xi_sa_takes(const struct xi_sa *sa, const struct xi_flow *flow, struct xi_flow_mask *mask)
{
	bool takes = xi_selector_matches(&sa->sel, flow);

	if (mask && takes)
		xi_flowmask_take(mask, &sa->sel);
	else if (mask)
		xi_flowmask_rule_out(mask, &sa->sel, flow);
	return takes;
}

/* Newest of those listed for a template whose selector takes the flow; NULL: none. */
static const struct xi_sa *listed_sa(const struct xi_spd_policy *p, uint32_t t,
				     const struct xi_sad *sad, const struct xi_flow *flow,
				     const struct xi_ends *ends, struct xi_flow_mask *mask)
{
	const uint32_t *sas = t ? p->next : p->sas;
	uint32_t i, n = t ? p->nnext : p->nsas;

	for (i = 0; i < n; i++) {
		const struct xi_sa_rec *rec = xi_sad_rec(sad, sas[i]);

		if (!rec || !xi_sa_takes(&rec->sa, flow, mask))
			continue;
		if (rec->sa.mode == XI_TUNNEL)
			return &rec->sa;
		if (mask && ends->saddr == flow->saddr)
			look_whole_addresses(mask, flow);
		if (xi_ends_fit(ends, &rec->sa))
			return &rec->sa;
	}
	return NULL;
}

/*
 * The kernel's xfrm_tmpl_resolve_one(). An SA in transport mode has the addresses of the packet
 * that it is applied to, which are the flow's, or those of the tunnel inside. False: *t is a
 * template that no SA serves and that is not optional.
 */
static bool tmpls_serve(const struct xi_spd_policy *p, const struct xi_sad *sad,
			const struct xi_flow *flow, struct xi_flow_verdict *verdict, uint32_t *t,
			struct xi_flow_mask *mask)
{
	struct xi_ends ends = {.saddr = flow->saddr, .daddr = flow->daddr, .family = flow->family};
	uint32_t got[XI_PATH_MAX] = {0}, n = 0;

	for (*t = 0; *t < p->policy.ntmpls; ++*t) {
		const struct xi_tmpl *tmpl = &p->policy.tmpls[*t];
		const struct xi_sa *sa;

		if (mask && p->by_pair[*t] && ends.saddr == flow->saddr)
			look_whole_addresses(mask, flow);
		sa = p->by_pair[*t] ? xi_pair_serve(sad, &p->policy, tmpl, flow, &ends, mask)
				    : listed_sa(p, *t, sad, flow, &ends, mask);
		if (!sa && !tmpl->optional)
			return false;
		if (!sa)
			continue;
		got[n++] = sa->sa_index;
		if (tmpl->mode == XI_TUNNEL)
			ends = xi_ends_of(sa);
	}
	verdict->handle = got[0];
	verdict->next_handle = got[1];
	return true;
}

static enum xi_verdict policy_verdict(const struct xi_spd_policy *p, const struct xi_sad *sad,
				      const struct xi_flow *flow, struct xi_flow_verdict *verdict,
				      struct xi_verdict_why *why, struct xi_flow_mask *mask)
{
	uint32_t t;

	if (p->policy.action == XI_BLOCK) {
		why_set(why, XI_WHY_BLOCK, p, 0, 0);
		return XI_VERDICT_DISCARD;
	}
	if (p->policy.origin & XI_POLICY_IN_KERNEL) {
		why_set(why, XI_WHY_IN_KERNEL, p, 0, 0);
		return XI_VERDICT_KERNEL;
	}
	if (!tmpls_serve(p, sad, flow, verdict, &t, mask)) {
		why_set(why, (t ? p->nnext : p->nsas) ? XI_WHY_NO_SA_SELECTOR : XI_WHY_NO_SA, p, t,
			0);
		return XI_VERDICT_NONE;
	}
	if (verdict->handle) {
		why_set(why, XI_WHY_PROTECT, p, 0, 0);
		return XI_VERDICT_PROTECT;
	}
	why_set(why, p->policy.ntmpls ? XI_WHY_OPTIONAL : XI_WHY_ALLOW, p, 0, 0);
	return XI_VERDICT_BYPASS;
}

static enum xi_verdict default_verdict(const struct xi_spd_snapshot *snap, enum xi_dir dir,
				       struct xi_verdict_why *why)
{
	bool block = snap->default_action[dir] == XI_BLOCK;

	why_set(why, block ? XI_WHY_DEFAULT_BLOCK : XI_WHY_DEFAULT_ALLOW, NULL, 0, 0);
	return block ? XI_VERDICT_DISCARD : XI_VERDICT_BYPASS;
}

enum xi_verdict xi_spd_judge_out_mask(const struct xi_spd_snapshot *snap, const struct xi_sad *sad,
				     const struct xi_flow *flow, struct xi_flow_verdict *verdict,
				     const struct xi_spd_policy **policy,
				     struct xi_verdict_why *why, struct xi_flow_mask *mask)
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
		why_set(why, XI_WHY_IKE, NULL, 0, 0);
	} else {
		p = policy_used(lookup(snap, XI_OUT, flow, mask), why);
		verdict->verdict = p ? policy_verdict(p, sad, flow, verdict, why, mask)
				     : default_verdict(snap, XI_OUT, why);
		if (verdict->verdict == XI_VERDICT_BYPASS &&
		    fragment_in_doubt(snap, XI_OUT, flow, p, mask)) {
			verdict->verdict = XI_VERDICT_DISCARD;
			why_set(why, XI_WHY_FRAGMENT, p, 0, 0);
		}
	}
	if (policy)
		*policy = p;
	return verdict->verdict;
}

enum xi_dir xi_spd_dir_of_arrival(const struct xi_spd_snapshot *snap, const struct xi_flow *flow)
{
	return xi_spd_is_local(snap, flow->daddr, flow->family) ? XI_IN : XI_FWD;
}

static bool policy_allows_clear(const struct xi_spd_policy *p, struct xi_verdict_why *why)
{
	uint32_t i;

	if (p->policy.action == XI_BLOCK) {
		why_set(why, XI_WHY_BLOCK, p, 0, 0);
		return false;
	}
	for (i = 0; i < p->policy.ntmpls; i++)
		if (!p->policy.tmpls[i].optional) {
			why_set(why, XI_WHY_CLEAR, p, i, 0);
			return false;
		}
	why_set(why, XI_WHY_ALLOW, p, 0, 0);
	return true;
}

bool xi_spd_allows_clear_mask(const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
			      struct xi_verdict_why *why, struct xi_flow_mask *mask)
{
	enum xi_dir dir = xi_spd_dir_of_arrival(snap, flow);
	const struct xi_spd_policy *p;

	if (xi_spd_is_ike(snap, XI_IN, flow)) {
		why_set(why, XI_WHY_IKE, NULL, 0, 0);
		return true;
	}
	p = policy_used(lookup(snap, dir, flow, mask), why);
	if (fragment_in_doubt(snap, dir, flow, p, mask)) {
		why_set(why, XI_WHY_FRAGMENT, p, 0, 0);
		return false;
	}
	if (!p)
		return default_verdict(snap, dir, why) == XI_VERDICT_BYPASS;
	return policy_allows_clear(p, why);
}

/*
 * The kernel's xfrm_state_ok(); the addresses of a template in transport mode mean nothing. Nor do those of an SA that
 * has just moved: workers see it there before they see the policies of after it.
 */
static bool tmpl_accepts(const struct xi_tmpl *tmpl, const struct xi_sa *sa, uint32_t if_id,
			 uint32_t generation)
{
	return (!if_id || if_id == sa->if_id) && sa->id.proto == tmpl->id.proto && sa->mode == tmpl->mode &&
	       (!tmpl->id.spi || tmpl->id.spi == sa->id.spi) &&
	       (!tmpl->reqid || tmpl->reqid == sa->reqid) &&
	       (sa->mode == XI_TRANSPORT || sa->moved_under == generation ||
		((!memcmp(tmpl->saddr, zero, 16) || !memcmp(tmpl->saddr, sa->saddr, 16)) &&
		 (!memcmp(tmpl->id.daddr, zero, 16) || !memcmp(tmpl->id.daddr, sa->id.daddr, 16))));
}

/*
 * The kernel's xfrm_policy_ok(): meets tmpl with an SA of the path, from the k-th on. True: *k is
 * the next one to meet. SAs in transport mode may be passed over, one in tunnel mode may not.
 */
static bool tmpl_met(const struct xi_tmpl *tmpl, const struct xi_sa_path *path, uint32_t if_id,
		     uint32_t generation, uint32_t *k)
{
	uint32_t i;

	if (tmpl->optional && tmpl->mode == XI_TRANSPORT)
		return true;
	for (i = *k; i < path->n; i++) {
		if (tmpl_accepts(tmpl, path->sas[i], if_id, generation)) {
			*k = i + 1;
			return true;
		}
		if (path->sas[i]->mode != XI_TRANSPORT)
			break;
	}
	return tmpl->optional;
}

/*
 * The first SA in tunnel mode from the k-th on, NULL: none. The kernel's
 * secpath_has_nontransport().
 */
static const struct xi_sa *path_tunnel(const struct xi_sa_path *path, uint32_t k)
{
	for (; k < path->n; k++)
		if (path->sas[k]->mode != XI_TRANSPORT)
			return path->sas[k];
	return NULL;
}

static bool policy_accepts(const struct xi_spd_policy *p, const struct xi_sa_path *path,
			   uint32_t if_id, uint32_t generation, struct xi_verdict_why *why)
{
	const struct xi_sa *tunnel;
	uint32_t i, k = 0;

	if (p->policy.action == XI_BLOCK) {
		why_set(why, XI_WHY_BLOCK, p, 0, 0);
		return false;
	}
	for (i = p->policy.ntmpls; i-- > 0;) {
		if (!tmpl_met(&p->policy.tmpls[i], path, if_id, generation, &k)) {
			why_set(why, XI_WHY_TEMPLATE, p, i, 0);
			return false;
		}
	}
	tunnel = path_tunnel(path, k);
	why_set(why, tunnel ? XI_WHY_TUNNEL : XI_WHY_VERIFIED, p, 0, tunnel ? tunnel->sa_index : 0);
	return !tunnel;
}

/* Of those whose selector does not match. */
static const struct xi_sa *path_mismatch(const struct xi_sa_path *path, const struct xi_flow *flow)
{
	uint32_t i;

	for (i = 0; i < path->n; i++)
		if (!xi_selector_matches(&path->sas[i]->sel, flow))
			return path->sas[i];
	return NULL;
}

bool xi_spd_allows_protected_why(const struct xi_spd_snapshot *snap, const struct xi_flow *flow,
				 const struct xi_sa_path *path, struct xi_verdict_why *why)
{
	enum xi_dir dir = xi_spd_dir_of_arrival(snap, flow);
	const struct xi_spd_policy *p;
	const struct xi_sa *bad;

	if (!path->n)
		return xi_spd_allows_clear_why(snap, flow, why);
	bad = path_mismatch(path, flow);
	if (bad) {
		why_set(why, XI_WHY_SA_SELECTOR, NULL, 0, bad->sa_index);
		return false;
	}
	p = policy_used(xi_spd_lookup(snap, dir, flow), why);
	if (p)
		return policy_accepts(p, path, flow->if_id, snap->generation, why);
	bad = path_tunnel(path, 0);
	if (default_verdict(snap, dir, why) == XI_VERDICT_DISCARD || !bad)
		return snap->default_action[dir] == XI_ALLOW;
	why_set(why, XI_WHY_NO_POLICY, NULL, 0, bad->sa_index);
	return false;
}
