/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tc programs of the devices that are the host's way to the workers and back: xipsec0, and interfaces of an if_id. */
#ifndef XI_HOST_BPF_H
#define XI_HOST_BPF_H

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <xipsec/origin.h>

#include "flow.bpf.h"
#include "maps.bpf.h"
#include "stats.bpf.h"

/*
 * Marks (XFRMA_MARK, XFRMA_SET_MARK) of the SA a packet came through, and the interface that such packets
 * are received by, on the host's side of xipsec0. The worker's record is in the source MAC; it is not
 * turned into metadata, which would travel on with a packet that the host forwards.
 */
static __always_inline int xi_host_receive(struct __sk_buff *skb)
{
	struct ethhdr *eth = (void *)(long)skb->data;
	__u32 handle, mark, *ifindex;
	struct xi_sa *sa;
	const __u8 *mac;

	if ((void *)(eth + 1) > (void *)(long)skb->data_end)
		return TC_ACT_UNSPEC;
	mac = eth->h_source;
	if (mac[0] != XI_RECORD_MAC || (mac[1] & XI_RECORD_STATUS) != XI_CRYPTO_SUCCESS)
		return TC_ACT_UNSPEC;
	handle = xi_origin_get32(mac + 2);
	sa = bpf_map_lookup_elem(&sad, &handle);
	if (!sa)
		return TC_ACT_UNSPEC;
	mark = sa->mark_m ? (skb->mark & ~sa->mark_m) | sa->mark_v : skb->mark;
	skb->mark = (mark & ~sa->output_mark_mask) | (sa->output_mark & sa->output_mark_mask);
	if (!sa->if_id)
		return TC_ACT_UNSPEC;
	ifindex = bpf_map_lookup_elem(&if_ids, &sa->if_id);
	return ifindex ? bpf_redirect(*ifindex, BPF_F_INGRESS) : TC_ACT_UNSPEC;
}

/* On its way into xipsec0: says where it comes from. */
static __always_inline enum xi_reason xi_host_send(struct __sk_buff *skb)
{
	struct xi_origin origin = { .kind = XI_ORIGIN_ROUTED, .mark = skb->mark };
	__u8 eth[XI_ORIGIN_LEN];

	if (skb->tc_index == XI_TC_GUARD)
		origin.kind = XI_ORIGIN_GUARD;
	else if (skb->tc_index == XI_TC_INTERFACE)
		origin.if_id = skb->priority;
	xi_origin_write(eth, &origin);
	return bpf_skb_store_bytes(skb, 0, eth, sizeof(eth), 0) ? XI_DROP_CLEAR_OUT : XI_NONE;
}

/* Leaves an interface of an if_id: to the workers, by way of xipsec0. There is no other way. */
static __always_inline enum xi_reason xi_interface_send(struct __sk_buff *skb)
{
	const struct xi_config *cfg = xi_config_get();
	__u32 ifindex = skb->ifindex, *if_id;

	if_id = bpf_map_lookup_elem(&interfaces, &ifindex);
	if (!cfg || !cfg->host_ifindex || !if_id)
		return XI_DROP_CLEAR_OUT;
	skb->tc_index = XI_TC_INTERFACE;
	skb->priority = *if_id;
	if (bpf_redirect(cfg->host_ifindex, 0) != TC_ACT_REDIRECT)
		return XI_DROP_CLEAR_OUT;
	return XI_TO_HOSTIF;
}

#endif
