/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Miss messages to the control thread. Each asks for one thing, so the same one is held back for a
 * while, and each source has its own budget: a flood of packets can neither fill the ring nor
 * silence another source.
 */
#ifndef XI_MISS_BPF_H
#define XI_MISS_BPF_H

#include <xipsec/flow_key.h>

#include "maps.bpf.h"
#include "stats.bpf.h"

#define XI_NSEC_PER_SEC 1000000000ULL
#define XI_NSEC_PER_MSEC 1000000ULL

/* Token bucket of at most one second's messages. */
static __always_inline bool xi_bucket_take(enum xi_miss_source source, __u32 per_second, __u64 now)
{
	__u32 key = source;
	struct xi_bucket *bucket = bpf_map_lookup_elem(&miss_bucket, &key);
	__u64 credit, cost;

	if (!bucket || !per_second)
		return false;
	cost = XI_NSEC_PER_SEC / per_second;
	credit = bucket->credit + (now - bucket->last);
	if (credit > XI_NSEC_PER_SEC)
		credit = XI_NSEC_PER_SEC;
	bucket->last = now;
	bucket->credit = credit < cost ? credit : credit - cost;
	return credit >= cost;
}

/* seen: when the same message was last sent, NULL: not known. True: send it. */
static __always_inline bool xi_miss_due(const struct xi_config *cfg, const __u64 *seen,
					enum xi_miss_source source, __u64 now)
{
	if (seen && now - *seen < cfg->miss_dedup_ms * XI_NSEC_PER_MSEC) {
		xi_count(XI_MISS_DEDUP);
		return false;
	}
	if (!xi_bucket_take(source, cfg->miss_per_second, now)) {
		xi_count(XI_MISS_LIMITED);
		return false;
	}
	return true;
}

/* ctx: of XDP or tc. */
static __always_inline bool xi_miss_send(void *ctx, struct xi_miss *miss)
{
	bool sent =
		bpf_perf_event_output(ctx, &misses, BPF_F_CURRENT_CPU, miss, sizeof(*miss)) == 0;

	xi_count(sent ? XI_MISS_SENT : XI_MISS_LOST);
	return sent;
}

/* A message that was lost is not remembered: the next packet tries again. */
static __always_inline void xi_miss_sa(struct xdp_md *ctx, const struct xi_config *cfg,
				       const struct xi_sa_id *id, __u32 handle)
{
	__u64 now = bpf_ktime_get_ns();
	struct xi_miss miss = {
		.kind = XI_MISS_SA,
		.handle = handle,
		.id = *id,
		.ktime = now,
		.ifindex = ctx->ingress_ifindex,
		.queue = ctx->rx_queue_index,
	};

	if (!xi_miss_due(cfg, bpf_map_lookup_elem(&miss_sa, &handle), XI_SOURCE_SA, now))
		return;
	if (xi_miss_send(ctx, &miss))
		bpf_map_update_elem(&miss_sa, &handle, &now, BPF_ANY);
}

/*
 * mask: the flow's own, or that of an element which says that the daemon knows of all such flows and
 * has no SA for them: then one message speaks for them.
 */
static __always_inline void xi_miss_flow(void *ctx, const struct xi_config *cfg,
					 const struct xi_flow *flow, __u32 dir,
					 const struct xi_flow_mask *mask, __u32 ifindex,
					 __u32 queue)
{
	struct xi_flow_key key __attribute__((aligned(8)));
	__u64 now = bpf_ktime_get_ns();
	struct xi_miss miss = {
		.kind = XI_MISS_FLOW,
		.flow = *flow,
		.ktime = now,
		.ifindex = ifindex,
		.queue = queue,
	};

	miss.flow.dir = dir;
	xi_flow_key_make(&key, flow, dir, mask);
	if (!xi_miss_due(cfg, bpf_map_lookup_elem(&miss_flow, &key),
			 dir == XI_OUT ? XI_SOURCE_FLOW_OUT : XI_SOURCE_FLOW_IN, now))
		return;
	if (xi_miss_send(ctx, &miss))
		bpf_map_update_elem(&miss_flow, &key, &now, BPF_ANY);
}

#endif
