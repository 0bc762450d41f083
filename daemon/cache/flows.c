/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/flows.h"

#include <string.h>

#include <bpf/bpf.h>

#include "log.h"

static void flows_count(const struct xi_flows *flows, enum xi_reason reason, uint64_t n)
{
	if (flows->counts)
		__atomic_fetch_add(&flows->counts[reason], n, __ATOMIC_RELAXED);
}

static void flows_put(const struct xi_flows *flows, const struct xi_flow *flow,
		      const struct xi_flow_verdict *verdict)
{
	if (bpf_map_update_elem(flows->flow_cache_fd, flow, verdict, BPF_ANY)) {
		log_warn("flow_cache: cannot insert");
		return;
	}
	flows_count(flows, XI_FLOW_FILLED, 1);
}

/* As xi_flow_key() of the XDP programs makes it. */
static struct xi_flow flows_key(const struct xi_flow *flow, uint32_t flow_mask)
{
	struct xi_flow key = *flow;

	if (!(flow_mask & XI_FLOW_PORTS))
		key.sport = key.dport = key.fragment = 0;
	if (!(flow_mask & (XI_FLOW_PORTS | XI_FLOW_PROTO)))
		key.proto = 0;
	return key;
}

void xi_flows_bypass(const struct xi_flows *flows, const struct xi_spd_snapshot *snap,
		     const struct xi_flow *flow)
{
	const struct xi_flow_verdict verdict = {
		.verdict = XI_VERDICT_BYPASS,
		.slot = XI_NO_SLOT,
		.next_slot = XI_NO_SLOT,
		.generation = snap->generation,
	};
	struct xi_flow key = flows_key(flow, snap->flow_mask);

	bpf_map_update_elem(flows->flow_cache_fd, &key, &verdict, BPF_ANY);
}

void xi_flows_forget(const struct xi_flows *flows, const struct xi_spd_snapshot *snap,
		     const struct xi_flow *flow)
{
	struct xi_flow key = flows_key(flow, snap->flow_mask);

	bpf_map_delete_elem(flows->flow_cache_fd, &key);
}

static void flows_miss_in(const struct xi_flows *flows, const struct xi_flow *flow)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(flows->spd);
	struct xi_flow_verdict verdict = {
		.slot = XI_NO_SLOT,
		.next_slot = XI_NO_SLOT,
		.generation = snap->generation,
	};

	verdict.verdict = xi_spd_allows_clear(snap, flow) ? XI_VERDICT_BYPASS : XI_VERDICT_DISCARD;
	flows_put(flows, flow, &verdict);
}

/*
 * Tells the key managers which template lacks its SA: that one comes first in the policy they are
 * shown, between the addresses of the tunnel inside when it goes around one.
 */
static void flows_acquire(const struct xi_flows *flows, const struct xi_flow *flow,
			  const struct xi_policy *policy, uint32_t lacking)
{
	struct xi_policy shown = *policy;

	flows_count(flows, XI_ACQUIRE, 1);
	if (!flows->acquire)
		return;
	if (lacking) {
		shown.tmpls[0] = policy->tmpls[lacking];
		shown.tmpls[lacking] = policy->tmpls[0];
		if (shown.tmpls[0].mode == XI_TRANSPORT && policy->tmpls[0].mode == XI_TUNNEL) {
			memcpy(shown.tmpls[0].saddr, policy->tmpls[0].saddr, 16);
			memcpy(shown.tmpls[0].id.daddr, policy->tmpls[0].id.daddr, 16);
		}
	}
	flows->acquire(flows->arg, flow, &shown);
}

static void flows_miss_out(const struct xi_flows *flows, const struct xi_flow *flow)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(flows->spd);
	const struct xi_spd_policy *policy = NULL;
	struct xi_flow_verdict verdict = { 0 };
	struct xi_verdict_why why = { 0 };

	xi_spd_judge_out_why(snap, flows->sad, flow, &verdict, &policy, &why);
	if (!verdict.generation)
		return;              /* holds for this packet alone */
	if (verdict.verdict == XI_VERDICT_NONE) {
		flows_acquire(flows, flow, &policy->policy, why.tmpl);
		return;
	}
	if (verdict.verdict == XI_VERDICT_PROTECT) {
		if (!flows->ready_out(flows->cache, verdict.handle))
			return;
		if (verdict.next_handle &&
		    !flows->ready_out(flows->cache, verdict.next_handle))
			return;
		/* numbers last: room for the second may have been made by taking the first's */
		verdict.slot = xi_slots_number(flows->slots, verdict.handle);
		if (verdict.next_handle)
			verdict.next_slot = xi_slots_number(flows->slots, verdict.next_handle);
	}
	flows_put(flows, flow, &verdict);
}

void xi_flows_miss(const struct xi_flows *flows, const struct xi_flow *flow)
{
	if (flow->dir == XI_IN)
		flows_miss_in(flows, flow);
	else if (flow->dir == XI_OUT)
		flows_miss_out(flows, flow);
}
