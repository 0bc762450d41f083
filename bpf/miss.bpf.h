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

/* Token bucket of at most one second's messages. NULL: not a single one. */
static __always_inline struct xi_bucket *xi_bucket_open(enum xi_miss_source source,
							__u32 per_second, __u64 now)
{
	__u32 key = source;
	struct xi_bucket *bucket = bpf_map_lookup_elem(&miss_bucket, &key);
	__u64 most = XI_NSEC_PER_SEC * per_second, passed;

	if (!bucket)
		return 0;
	passed = now - bucket->last;
	if (passed > XI_NSEC_PER_SEC)
		passed = XI_NSEC_PER_SEC;
	bucket->last = now;
	bucket->credit += passed * per_second;
	if (bucket->credit > most)
		bucket->credit = most;
	return bucket->credit >= XI_NSEC_PER_SEC ? bucket : 0;
}

/* ctx: of XDP or tc. */
static __always_inline bool xi_miss_send(void *ctx, struct xi_bucket *bucket)
{
	struct xi_miss *miss = &bucket->miss;
	bool sent =
		bpf_perf_event_output(ctx, &misses, BPF_F_CURRENT_CPU, miss, sizeof(*miss)) == 0;

	bucket->credit -= XI_NSEC_PER_SEC;
	xi_count(sent ? XI_MISS_SENT : XI_MISS_LOST);
	return sent;
}

/* Row and stamp of miss_sa. */
static __always_inline __u32 xi_miss_row(__u32 handle)
{
	return (handle * 0x9e3779b1U) >> (32 - XI_MISS_ROW_BITS);
}

static __always_inline bool xi_miss_sa_seen(const struct xi_config *cfg, __u64 seen, __u32 handle,
					    __u64 now)
{
	__u32 passed = (__u32)(now >> 10) - (__u32)seen;

	return seen >> 32 == handle && passed < cfg->miss_dedup_ms * XI_NSEC_PER_MSEC >> 10;
}

/*
 * The budget is looked at first, as under a flood it says no most of the time. A message that was
 * lost is not remembered: the next packet tries again.
 */
static __always_inline void xi_miss_sa(struct xdp_md *ctx, const struct xi_config *cfg,
				       const struct xi_sa_id *id, __u32 handle)
{
	__u64 now = bpf_ktime_get_ns(), *seen;
	__u32 row = xi_miss_row(handle);
	struct xi_bucket *bucket = xi_bucket_open(XI_SOURCE_SA, cfg->miss_per_second, now);

	if (!bucket) {
		xi_count(XI_MISS_LIMITED);
		return;
	}
	seen = bpf_map_lookup_elem(&miss_sa, &row);
	if (!seen || xi_miss_sa_seen(cfg, *seen, handle, now)) {
		xi_count(XI_MISS_DEDUP);
		return;
	}
	bucket->miss.kind = XI_MISS_SA;
	bucket->miss.handle = handle;
	bucket->miss.id = *id;
	bucket->miss.ktime = now;
	bucket->miss.ifindex = ctx->ingress_ifindex;
	bucket->miss.queue = ctx->rx_queue_index;
	if (xi_miss_send(ctx, bucket))
		*seen = (__u64)handle << 32 | (__u32)(now >> 10);
}

/*
 * key: the flow's own, or that of an element which says that the daemon knows of all such flows and
 * has no SA for them: then one message speaks for them.
 */
static __always_inline void xi_miss_flow(void *ctx, const struct xi_config *cfg,
					 const struct xi_flow *flow,
					 const struct xi_flow_key *key, __u32 ifindex, __u32 queue)
{
	__u32 dir = xi_flow_key_dir(key);
	enum xi_miss_source source = dir == XI_OUT ? XI_SOURCE_FLOW_OUT : XI_SOURCE_FLOW_IN;
	__u64 now = bpf_ktime_get_ns(), *seen;
	struct xi_bucket *bucket = xi_bucket_open(source, cfg->miss_per_second, now);

	if (!bucket) {
		xi_count(XI_MISS_LIMITED);
		return;
	}
	seen = bpf_map_lookup_elem(&miss_flow, key);
	if (seen && now - *seen < cfg->miss_dedup_ms * XI_NSEC_PER_MSEC) {
		xi_count(XI_MISS_DEDUP);
		return;
	}
	bucket->miss.kind = XI_MISS_FLOW;
	bucket->miss.flow = *flow;
	bucket->miss.flow.dir = dir;
	bucket->miss.ktime = now;
	bucket->miss.ifindex = ifindex;
	bucket->miss.queue = queue;
	if (xi_miss_send(ctx, bucket))
		bpf_map_update_elem(&miss_flow, key, &now, BPF_ANY);
}

#endif
