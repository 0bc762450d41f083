/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Burst transmit, one instance a worker: xdp_burst sends what the worker listed (see
 * xipsec/burst.h), and two tracepoint programs count what the outgoing device did not take, which
 * no return value tells.
 */
#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include <xipsec/burst.h>

struct xi_frame {
	__u8 data[XI_FRAME_SIZE];
};

/* The worker's own map takes its place before load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct xi_frame);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xi_burst_ring);
} tx_ring SEC(".maps");

/* Slot -> device; the parking device itself is behind the last port. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, XI_BURST_PORTS + 1);
	__type(key, __u32);
	__type(value, __u32);
} tx_ports SEC(".maps");

/* The way back: ifindex -> slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XI_BURST_PORTS + 1);
	__type(key, __u32);
	__type(value, __u32);
} tx_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, XI_BURST_PORTS + 1);
	__type(key, __u32);
	__type(value, struct xi_burst_lost);
} tx_lost SEC(".maps");

/*
 * The parking device: frames that come "from" it are this worker's. Tracepoints see every network
 * namespace of the machine, and numbers of devices are a namespace's own.
 */
const volatile __u32 park_ifindex;
const volatile __u32 park_netns; /* inode number */

static __always_inline void burst_lost(__u32 slot, __u64 n)
{
	struct xi_burst_lost *lost = bpf_map_lookup_elem(&tx_lost, &slot);

	if (lost)
		__sync_fetch_and_add(&lost->frames, n);
}

/*
 * A live frame is one that an earlier run of the same call may have had: it keeps the length and
 * the bytes that a receiver left in it, and is made anew only when it was resized. So it is always
 * resized (the frame given to the call is longer than any packet), and written whole.
 */
static __always_inline bool burst_fill(struct xdp_md *ctx, const struct xi_burst_desc *desc)
{
	struct xi_frame *frame;
	__u32 key = desc->frame;
	__u32 offset = desc->offset, len = desc->len;

	frame = bpf_map_lookup_elem(&frames, &key);
	if (!frame || offset > XI_BURST_OFFSET_MAX || len < ETH_HLEN || len > XI_BURST_LEN_MAX)
		return false;
	if (bpf_xdp_adjust_tail(ctx, (int)len - (int)bpf_xdp_get_buff_len(ctx)))
		return false;
	return bpf_xdp_store_bytes(ctx, 0, frame->data + offset, len) == 0;
}

SEC("xdp")
int xdp_burst(struct xdp_md *ctx)
{
	struct xi_burst_ring *ring;
	struct xi_burst_desc desc;
	__u32 zero = 0, cons;

	ring = bpf_map_lookup_elem(&tx_ring, &zero);
	if (!ring)
		return XDP_ABORTED;
	cons = ring->cons;
	if (!*(volatile __u32 *)&ring->calling || cons == *(volatile __u32 *)&ring->prod)
		return XDP_DROP;
	desc = ring->desc[cons & (XI_BURST_RING - 1)];
	ring->cons = cons + 1;
	if (burst_fill(ctx, &desc) &&
	    bpf_redirect_map(&tx_ports, desc.port, XDP_DROP) == XDP_REDIRECT)
		return XDP_REDIRECT;
	burst_lost(desc.port, 1);
	return XDP_DROP;
}

/* What is needed of the kernel's own; libbpf finds the offsets. */
struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
	struct ns_common ns;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;             /* not there in a kernel without namespaces */
} __attribute__((preserve_access_index)) possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

static __always_inline __u32 burst_ifindex(const struct net_device *dev)
{
	return (__u32)BPF_CORE_READ(dev, ifindex);
}

static __always_inline bool burst_ours(const struct net_device *from)
{
	if (burst_ifindex(from) != park_ifindex)
		return false;
	return !bpf_core_field_exists(from->nd_net.net) ||
	       BPF_CORE_READ(from, nd_net.net, ns.inum) == park_netns;
}

/* xdp_devmap_xmit(from_dev, to_dev, sent, drops, err): ring full, receiver without NAPI, ... */
SEC("raw_tp/xdp_devmap_xmit")
int burst_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct net_device *from = (void *)ctx->args[0], *to = (void *)ctx->args[1];
	int drops = (int)ctx->args[3];
	__u32 ifindex, *slot;

	if (drops <= 0 || !burst_ours(from))
		return 0;
	ifindex = burst_ifindex(to);
	slot = bpf_map_lookup_elem(&tx_slots, &ifindex);
	if (slot)
		burst_lost(*slot, drops);
	return 0;
}

/*
 * xdp_redirect_err(dev, xdp, tgt, err, map_type, map_id, index): device down, or its driver
 * does not take frames.
 */
SEC("raw_tp/xdp_redirect_err")
int burst_refused(struct bpf_raw_tracepoint_args *ctx)
{
	const struct net_device *dev = (void *)ctx->args[0];

	if (burst_ours(dev))
		burst_lost((__u32)ctx->args[6], 1);
	return 0;
}

char _license[] SEC("license") = "Dual BSD/GPL";
