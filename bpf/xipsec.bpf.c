/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Entry points. Each: parse, look up, act; one exit that counts. XDP programs take packets of several buffers
 * (Linux 5.18): drivers refuse others where the MTU is above a page.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>

#include "encap.bpf.h"
#include "flow.bpf.h"
#include "host.bpf.h"
#include "maps.bpf.h"
#include "meta.bpf.h"
#include "parse.bpf.h"
#include "sad.bpf.h"
#include "stats.bpf.h"

/* Aligned, because addresses are masked in two halves. */
#define XI_VIEW(v) struct xi_view v __attribute__((aligned(8)))

static __always_inline enum xi_reason xi_cipher(struct xdp_md *ctx)
{
	struct xi_config *cfg = xi_config_get();
	enum xi_reason reason;
	int parsed;
	XI_VIEW(v);

	if (!cfg || !xi_meta_strip(ctx))
		return XI_DROP_META_ROOM;
	parsed = xi_parse_xdp(ctx, &v);
	if (parsed != XI_PARSED_IP)
		return parsed == XI_PARSED_BAD ? XI_DROP_MALFORMED : XI_PASS_FOREIGN;
	xi_udp_look(ctx, cfg, &v);
	reason = xi_judge_sa(ctx, cfg, &v);
	return reason == XI_NONE ? xi_judge_in(ctx, cfg, &v, false) : reason;
}

SEC("xdp.frags")
int xdp_cipher(struct xdp_md *ctx)
{
	return xi_exit_xdp(xi_cipher(ctx));
}

static __always_inline enum xi_reason xi_plain(struct xdp_md *ctx)
{
	struct xi_config *cfg = xi_config_get();
	__u32 ifindex = ctx->ingress_ifindex;
	int parsed;
	struct xi_port *port;
	bool ours;
	XI_VIEW(v);

	if (!cfg || !xi_meta_strip(ctx))
		return XI_DROP_META_ROOM;
	parsed = xi_parse_xdp(ctx, &v);
	if (parsed == XI_PARSED_OTHER)
		return XI_PASS_FOREIGN;
	port = bpf_map_lookup_elem(&ports, &ifindex);
	if (!port)
		return XI_DROP_NO_PORT;
	ours = port->role == XI_ROLE_HOST || xi_is_for_port(ctx, port);
	if (v.tagged || xi_is_link_scope(&v.flow) || (!ours && !xi_is_for_group(ctx)))
		return XI_PASS_FOREIGN;
	if (parsed == XI_PARSED_BAD)
		return ours ? XI_DROP_MALFORMED : XI_PASS_FOREIGN;
	if (xi_is_local(v.flow.daddr, v.flow.family)) {
		xi_udp_look(ctx, cfg, &v);
		return xi_judge_in(ctx, cfg, &v, true);
	}
	return ours ? xi_judge_out(ctx, cfg, port, &v) : XI_PASS_FOREIGN;
}

SEC("xdp.frags")
int xdp_plain(struct xdp_md *ctx)
{
	return xi_exit_xdp(xi_plain(ctx));
}

/* clsact ingress of xipsec0. */
SEC("tc")
int tc_mark(struct __sk_buff *skb)
{
	return xi_host_receive(skb);
}

/* clsact egress of xipsec0. */
SEC("tc")
int tc_host(struct __sk_buff *skb)
{
	enum xi_reason reason = xi_host_send(skb);

	return reason == XI_NONE ? TC_ACT_UNSPEC : xi_exit_tc(reason);
}

/* clsact egress of interfaces of an if_id. */
SEC("tc")
int tc_interface(struct __sk_buff *skb)
{
	return xi_exit_tc(xi_interface_send(skb));
}

static __always_inline enum xi_reason xi_leaving(struct __sk_buff *skb)
{
	struct xi_config *cfg = xi_config_get();
	int parsed;
	XI_VIEW(v);

	if (!cfg)
		return XI_DROP_CLEAR_OUT;
	parsed = xi_parse_skb(skb, &v);
	if (parsed != XI_PARSED_IP)
		return parsed == XI_PARSED_BAD ? XI_DROP_MALFORMED : XI_PASS_FOREIGN;
	v.flow.mark = skb->mark;
	return xi_judge_leaving(skb, cfg, &v);
}

/* clsact egress of cipher ports. */
SEC("tc")
int tc_guard(struct __sk_buff *skb)
{
	return xi_exit_tc(xi_leaving(skb));
}

char _license[] SEC("license") = "Dual BSD/GPL";
