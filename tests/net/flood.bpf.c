/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flood's sender, its receiver that spoils what it drops, and what keeps the flood from the stack: see flood.c. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "flood_abi.h"

#define LO_IFINDEX 1
#define HALF 1024

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOOD_CALL);
	__type(key, __u32);
	__type(value, struct flood_frame);
} frames SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} out SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} hole SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flood_frame);
} junk SEC(".maps");

__u32 next_frame;                /* one caller: no atomics */
__u32 frame_count;
__u64 sent;

/* Attached to the sending device, which spares each call the dispatcher's update; real packets pass. */
SEC("xdp")
int flood_send(struct xdp_md *ctx)
{
	struct flood_frame *frame;
	__u32 i = next_frame, len;

	if (ctx->ingress_ifindex != LO_IFINDEX)
		return XDP_PASS;
	if (i >= frame_count)
		return XDP_DROP;
	next_frame = i + 1;
	frame = bpf_map_lookup_elem(&frames, &i);
	if (!frame)
		return XDP_ABORTED;
	len = frame->len;
	if (len < ETH_HLEN || len > FLOOD_FRAME_MAX)
		return XDP_ABORTED;
	if (bpf_xdp_adjust_tail(ctx, (int)len - (int)bpf_xdp_get_buff_len(ctx)))
		return XDP_ABORTED;
	if (bpf_xdp_store_bytes(ctx, 0, frame->data, len))
		return XDP_ABORTED;
	sent++;
	return bpf_redirect_map(&out, 0, XDP_ABORTED);
}

static __always_inline int is_flood(void *data, void *end)
{
	struct ethhdr *eth = data;
	struct udphdr *udp;
	__u8 proto;

	if ((void *)(eth + 1) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end)
			return 0;
		proto = ip->protocol;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		udp = (void *)(ip + 1);
		if ((void *)(udp + 1) > end)
			return 0;
		proto = ip->nexthdr;
	} else {
		return 0;
	}
	return proto == IPPROTO_ESP || (proto == IPPROTO_UDP && udp->dest == bpf_htons(FLOOD_PORT));
}

__u64 spoiled;

/*
 * Frames come back to the sender's page pool with another start, another length and other bytes. Which
 * ones is chance, so that runs of any length are spoiled and passed. A dropped frame keeps the length that
 * it was sent with, whatever the program did; one that was redirected and dropped then does not.
 */
SEC("xdp")
int flood_spoil(struct xdp_md *ctx)
{
	__u32 zero = 0, chance = bpf_get_prandom_u32(), len;
	struct flood_frame *bytes;

	if (!is_flood((void *)(long)ctx->data, (void *)(long)ctx->data_end) || chance % 3)
		return XDP_PASS;
	__sync_fetch_and_add(&spoiled, 1);
	bytes = bpf_map_lookup_elem(&junk, &zero);
	if (!bytes)
		return XDP_ABORTED;
	if ((chance & 0x1100) == 0x100)
		bpf_xdp_adjust_head(ctx, chance & 0x200 ? 16 : -96);
	if (chance & 0x400)
		bpf_xdp_adjust_tail(ctx, chance & 0x800 ? -20 : 60);
	len = bpf_xdp_get_buff_len(ctx);
	/* the mask, for kernel 6.1 derives no bounds from a comparison of half a register */
	if (len > HALF) {
		bpf_xdp_store_bytes(ctx, 0, bytes->data, HALF);
		bpf_xdp_store_bytes(ctx, len - HALF, bytes->data, HALF);
	} else {
		bpf_xdp_store_bytes(ctx, 0, bytes->data, ((len - 1) & (HALF - 1)) + 1);
	}
	/* without a device to go to, it is dropped as well */
	return chance & 0x1000 ? bpf_redirect_map(&hole, 0, XDP_DROP) : XDP_DROP;
}

SEC("xdp")
int flood_drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

/* Packet sockets see a frame before tc does. */
SEC("tc")
int flood_eat(struct __sk_buff *skb)
{
	bpf_skb_pull_data(skb, ETH_HLEN + sizeof(struct ipv6hdr) + sizeof(struct udphdr));
	return is_flood((void *)(long)skb->data, (void *)(long)skb->data_end) ? TC_ACT_SHOT
									       : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
