/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packet generator, forwarder and sinks for the benchmark: see gen.c. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "gen.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gen_frame);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} out SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gen_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, GEN_SAMPLES);
	__type(key, __u32);
	__type(value, struct gen_frame);
} samples SEC(".maps");

const volatile __u32 frame_count = 1;
const volatile __u32 head_len = GEN_FRAME_MAX;  /* beyond it every frame is zeros */
__u32 next_frame;                /* one caller: no atomics */
__u64 sent;

/*
 * Pages are recycled within a call, with the length and the bytes that the last frame and its
 * receiver left in them, so each frame is sized and stored anew, but for zeros that are there from
 * the start. A receiver that writes to them is found out by the sink's samples.
 */
SEC("xdp")
int gen_send(struct xdp_md *ctx)
{
	__u32 i = next_frame;
	struct gen_frame *frame;
	__u32 len;

	next_frame = i + 1 < frame_count ? i + 1 : 0;
	frame = bpf_map_lookup_elem(&frames, &i);
	if (!frame)
		return XDP_ABORTED;
	len = frame->len;
	if (len < GEN_FRAME_MIN || len > GEN_FRAME_MAX)
		return XDP_ABORTED;
	if (bpf_xdp_adjust_tail(ctx, (int)len - (int)bpf_xdp_get_buff_len(ctx)))
		return XDP_ABORTED;
	if (len > head_len)
		len = head_len;
	if (len > GEN_FRAME_MAX || bpf_xdp_store_bytes(ctx, 0, frame->data, len))
		return XDP_ABORTED;
	sent++;
	return bpf_redirect_map(&out, 0, XDP_ABORTED);
}

/* The benchmark's first yardstick. */
SEC("xdp")
int gen_forward(struct xdp_md *ctx)
{
	return bpf_redirect_map(&out, 0, XDP_ABORTED);
}

/* Where to keep this frame; NULL for most of them, and for those that do not fit. */
static __always_inline struct gen_frame *count(__u64 packets, __u64 bytes)
{
	__u32 zero = 0, i;
	struct gen_count *c = bpf_map_lookup_elem(&counts, &zero);

	if (!c)
		return NULL;
	c->packets += packets;
	c->bytes += bytes;
	if (c->packets % GEN_SAMPLE_EVERY || bytes < GEN_FRAME_MIN || bytes > GEN_FRAME_MAX)
		return NULL;
	i = c->packets / GEN_SAMPLE_EVERY % GEN_SAMPLES;
	return bpf_map_lookup_elem(&samples, &i);
}

/* For senders that build skbs: does not slow them down. */
SEC("tc")
int gen_sink_tc(struct __sk_buff *skb)
{
	struct gen_frame *sample = count(skb->gso_segs > 1 ? skb->gso_segs : 1, skb->len);
	__u32 len = skb->len;

	if (sample && len >= GEN_FRAME_MIN && len <= GEN_FRAME_MAX &&
	    !bpf_skb_load_bytes(skb, 0, sample->data, len))
		sample->len = len;
	return TC_ACT_SHOT;
}

/* For senders of XDP frames, which would have to become skbs to reach tc. */
SEC("xdp")
int gen_sink_xdp(struct xdp_md *ctx)
{
	__u32 len = ctx->data_end - ctx->data;
	struct gen_frame *sample = count(1, len);

	if (sample && len >= GEN_FRAME_MIN && len <= GEN_FRAME_MAX &&
	    !bpf_xdp_load_bytes(ctx, 0, sample->data, len))
		sample->len = len;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
