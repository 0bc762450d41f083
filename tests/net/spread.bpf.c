/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * On a veth's egress: ESP over IPv4 goes to the peer's queues in turn, by sequence number, as from
 * a card that does not look at flows.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

static __always_inline int spread(struct __sk_buff *skb, __u32 queues)
{
	__u32 at = sizeof(struct ethhdr), seq;
	__u8 proto;

	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, at + 9, &proto, sizeof(proto)) || proto != IPPROTO_ESP ||
	    bpf_skb_load_bytes(skb, at + sizeof(struct iphdr) + 4, &seq, sizeof(seq)))
		return TC_ACT_UNSPEC;
	/* as if it had come in by this queue; 0 stands for none */
	skb->queue_mapping = bpf_ntohl(seq) % queues + 1;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int spread_2(struct __sk_buff *skb)
{
	return spread(skb, 2);
}

SEC("tc")
int spread_4(struct __sk_buff *skb)
{
	return spread(skb, 4);
}

char _license[] SEC("license") = "Dual BSD/GPL";
