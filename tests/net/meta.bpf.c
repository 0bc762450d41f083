/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frames with metadata in front, and watchers that look for some: see meta.c. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include <xipsec/abi.h>

const volatile __u32 target;     /* ifindex to send out of */

struct {
	__u64 frames;            /* IP frames */
	__u64 with_meta;         /* of these, with metadata */
	__u64 with_ours;         /* of these, with a struct xi_meta */
} seen;

/* A live frame, with the metadata that it was given in the context, out of the target. */
SEC("xdp")
int meta_send(struct xdp_md *ctx)
{
	return bpf_redirect(target, 0);
}

static __always_inline void look(void *meta, void *data, void *end)
{
	struct ethhdr *eth = data;
	struct xi_meta *ours = meta;

	if ((void *)(eth + 1) > end)
		return;
	if (eth->h_proto != __builtin_bswap16(ETH_P_IP) && eth->h_proto != __builtin_bswap16(ETH_P_IPV6))
		return;
	__sync_fetch_and_add(&seen.frames, 1);
	if (meta < data)
		__sync_fetch_and_add(&seen.with_meta, 1);
	if ((void *)(ours + 1) <= data && ours->magic == XI_META_MAGIC)
		__sync_fetch_and_add(&seen.with_ours, 1);
}

SEC("xdp")
int meta_watch_xdp(struct xdp_md *ctx)
{
	look((void *)(long)ctx->data_meta, (void *)(long)ctx->data, (void *)(long)ctx->data_end);
	return XDP_PASS;
}

SEC("tc")
int meta_watch_tc(struct __sk_buff *skb)
{
	look((void *)(long)skb->data_meta, (void *)(long)skb->data, (void *)(long)skb->data_end);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
