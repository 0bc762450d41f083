/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/flows.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <event2/event.h>
#include <xipsec/flow_key.h>

#include "log.h"

#define SWEEP_SOON 1         /* seconds from the first verdict after a change of policy */
#define SWEEP_LATER 30       /* and from the first after a sweep */
#define SWEEP_BATCH 512      /* elements a system call */

static void flows_count(const struct xi_flows *flows, enum xi_reason reason, uint64_t n)
{
	if (flows->counts)
		__atomic_fetch_add(&flows->counts[reason], n, __ATOMIC_RELAXED);
}

void xi_flows_bypass(const struct xi_flows *flows, const struct xi_spd_snapshot *snap,
		     const struct xi_flow *flow)
{
	struct xi_flow_mask want = {0}, mask;
	struct xi_flow_verdict verdict;
	struct xi_flow_key key;

	xi_spd_judge_out_mask(snap, flows->sad, flow, &verdict, NULL, NULL, &want);
	if (verdict.verdict != XI_VERDICT_BYPASS || !verdict.generation ||
	    (flow->if_id && snap->if_marks))
		return;
	mask = xi_masks_find(&flows->masks, XI_FLOW_TABLE(XI_OUT, flow->family), &want);
	xi_flow_key_make(&key, flow, XI_OUT, &mask, xi_flow_key_mark(flow, snap->mark_mask));
	bpf_map_update_elem(flows->flow_cache_fd, &key, &verdict, BPF_ANY);
}

bool xi_flows_forget(const struct xi_flows *flows, const struct xi_flow *flow, uint32_t handle)
{
	uint32_t table = XI_FLOW_TABLE(XI_OUT, flow->family), i;
	uint32_t mark = xi_flow_key_mark(flow, xi_spd_snapshot(flows->spd)->mark_mask);
	struct xi_flow_verdict verdict;
	struct xi_flow_mask mask;
	struct xi_flow_key key;

	for (i = 0; xi_masks_row(&flows->masks, table, i, &mask); i++) {
		xi_flow_key_make(&key, flow, XI_OUT, &mask, mark);
		if (!bpf_map_lookup_elem(flows->flow_cache_fd, &key, &verdict) &&
		    verdict.verdict == XI_VERDICT_PROTECT && verdict.handle == handle)
			return !bpf_map_delete_elem(flows->flow_cache_fd, &key);
	}
	return false;
}

static void flows_sweep_later(struct xi_flows *flows, uint32_t generation)
{
	const struct timeval soon = {.tv_sec = SWEEP_SOON}, later = {.tv_sec = SWEEP_LATER};
	bool changed = flows->swept != generation;

	if (!flows->sweep_event || flows->soon ||
	    (!changed && event_pending(flows->sweep_event, EV_TIMEOUT, NULL)))
		return;
	flows->soon = changed;
	event_add(flows->sweep_event, changed ? &soon : &later);
}

/* Puts a verdict that holds under want, or under any finer mask. */
static void flows_put(struct xi_flows *flows, const struct xi_flow *flow,
		      const struct xi_flow_mask *want, const struct xi_flow_verdict *verdict)
{
	uint32_t table = XI_FLOW_TABLE(flow->dir, flow->family);
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(flows->spd);
	struct xi_flow_mask mask;
	struct xi_flow_key key;

	if (flow->if_id && snap->if_marks)
		return;
	if (flows->swept != verdict->generation && xi_masks_full(&flows->masks, table, want))
		xi_flows_sweep(flows);
	mask = xi_masks_get(&flows->masks, table, want);
	xi_flow_key_make(&key, flow, flow->dir, &mask, xi_flow_key_mark(flow, snap->mark_mask));
	if (bpf_map_update_elem(flows->flow_cache_fd, &key, verdict, BPF_ANY))
		log_warn("flow_cache: cannot insert");
	else if (verdict->verdict != XI_VERDICT_NONE)
		flows_count(flows, XI_FLOW_FILLED, 1);
	flows_sweep_later(flows, verdict->generation);
}

/* A flow whose direction is another by now is left alone: so is IKE, which XDP keeps to itself. */
static void flows_miss_in(struct xi_flows *flows, const struct xi_flow *flow)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(flows->spd);
	struct xi_flow_mask want = {0};
	struct xi_flow_verdict verdict = {
		.slot = XI_NO_SLOT,
		.next_slot = XI_NO_SLOT,
		.generation = snap->generation,
	};

	if (xi_spd_dir_of_arrival(snap, flow) != flow->dir || xi_spd_is_ike(snap, XI_IN, flow))
		return;
	verdict.verdict = xi_spd_allows_clear_mask(snap, flow, NULL, &want) ? XI_VERDICT_BYPASS
									  : XI_VERDICT_DISCARD;
	flows_put(flows, flow, &want, &verdict);
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

static void flows_miss_out(struct xi_flows *flows, struct xi_flow seen)
{
	const struct xi_flow *flow = &seen;
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(flows->spd);
	const struct xi_spd_policy *policy = NULL;
	struct xi_flow_verdict verdict = {0};
	struct xi_verdict_why why = {0};
	struct xi_flow_mask want = {0};

	if (!flow->if_id)
		seen.mark &= snap->mark_mask; /* one question, whatever else is in it */
	xi_spd_judge_out_mask(snap, flows->sad, flow, &verdict, &policy, &why, &want);
	if (!verdict.generation)
		return;              /* holds for this packet alone */
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
	flows_put(flows, flow, &want, &verdict);
	if (verdict.verdict == XI_VERDICT_NONE)
		flows_acquire(flows, flow, &policy->policy, why.tmpl);
}

void xi_flows_miss(struct xi_flows *flows, const struct xi_flow *flow)
{
	if (flow->family != XI_IPV4 && flow->family != XI_IPV6)
		return;
	if (flow->dir == XI_OUT)
		flows_miss_out(flows, *flow);
	else if (flow->dir == XI_IN || flow->dir == XI_FWD)
		flows_miss_in(flows, flow);
}

/* Is the element one that packets may find? Then its mask is in use. */
static bool flows_alive(const struct xi_flows *flows, uint32_t generation,
			const struct xi_flow_key *key, const struct xi_flow_verdict *verdict,
			uint32_t used[XI_FLOW_TABLES])
{
	uint32_t table = XI_FLOW_TABLE(xi_flow_key_dir(key), xi_flow_key_family(key)), i;
	struct xi_flow_mask want = xi_flow_key_mask(key), mask;

	if (verdict->generation != generation || table >= XI_FLOW_TABLES)
		return false;
	for (i = 0; xi_masks_row(&flows->masks, table, i, &mask); i++) {
		if (memcmp(&mask, &want, sizeof(mask)))
			continue;
		used[table] |= 1U << i;
		return true;
	}
	return false;
}

/* One batch. False: it was the last. */
static bool flows_sweep_batch(struct xi_flows *flows, uint32_t *in, uint32_t *cursor,
			      uint32_t used[XI_FLOW_TABLES], bool *failed)
{
	uint32_t generation = xi_spd_snapshot(flows->spd)->generation;
	struct xi_flow_verdict verdicts[SWEEP_BATCH];
	struct xi_flow_key keys[SWEEP_BATCH];
	uint32_t i, n = SWEEP_BATCH;
	bool more = true;

	if (bpf_map_lookup_batch(flows->flow_cache_fd, in, cursor, keys, verdicts, &n, NULL)) {
		more = false;
		*failed |= errno != ENOENT;
		if (errno != ENOENT)
			return false;
	}
	for (i = 0; i < n; i++)
		if (!flows_alive(flows, generation, &keys[i], &verdicts[i], used))
			bpf_map_delete_elem(flows->flow_cache_fd, &keys[i]);
	return more;
}

void xi_flows_sweep(struct xi_flows *flows)
{
	uint32_t used[XI_FLOW_TABLES] = {0}, cursor, table;
	bool failed = false, first = true;

	for (table = 0; table < XI_FLOW_TABLES; table++)
		if (flows->masks.tables[table].joined)
			xi_masks_keep(&flows->masks, table, 0);
	while (flows_sweep_batch(flows, first ? NULL : &cursor, &cursor, used, &failed))
		first = false;
	flows->swept = xi_spd_snapshot(flows->spd)->generation;
	for (table = 0; table < XI_FLOW_TABLES && !failed; table++)
		xi_masks_keep(&flows->masks, table, used[table]);
}

static void flows_on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct xi_flows *flows = arg;

	flows->soon = false;
	xi_flows_sweep(flows);
}

int xi_flows_open(struct xi_flows *flows, struct event_base *base, int masks_fd)
{
	if (base) {
		flows->sweep_event = evtimer_new(base, flows_on_sweep, flows);
		if (!flows->sweep_event)
			return -ENOMEM;
	}
	return xi_masks_open(&flows->masks, masks_fd);
}

void xi_flows_close(struct xi_flows *flows)
{
	if (flows->sweep_event)
		event_free(flows->sweep_event);
	flows->sweep_event = NULL;
}
