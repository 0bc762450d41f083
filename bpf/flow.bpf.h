/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Cleartext: arriving from the cipher side (in), on its way to be protected (out), and about to
 * leave a cipher port (leaving). Steps are the same: exempt, guard, flow_cache, worker. Whatever
 * cannot be decided is not let through.
 */
#ifndef XI_FLOW_BPF_H
#define XI_FLOW_BPF_H

#include <xipsec/flow_key.h>
#include <xipsec/origin.h>

#include "encap.bpf.h"
#include "guard.bpf.h"
#include "maps.bpf.h"
#include "meta.bpf.h"
#include "miss.bpf.h"
#include "parse.bpf.h"
#include "stats.bpf.h"

static __always_inline struct xi_config *xi_config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&config, &zero);
}

static __always_inline bool xi_is_local(const __u8 addr[16], enum xi_family family)
{
	struct xi_addr key = { .family = family };

	__builtin_memcpy(key.addr, addr, 16);
	return bpf_map_lookup_elem(&local_addrs, &key) != NULL;
}

/* One or the other: programs have no stack to spare. */
union xi_flow_found {
	struct xi_flow_verdict verdict;
	struct xi_flow_key key; /* of a miss: of all flows that one message speaks for */
};

/*
 * The daemon may be writing the row. It is read as a whole, since a key whose address was masked by one
 * and that names another may be that of somebody else's verdict.
 */
static __always_inline void xi_flow_mask_read(struct xi_flow_mask *mask,
					      const struct xi_flow_mask *row)
{
	__u64 word = *(const volatile __u64 *)row;

	__builtin_memcpy(mask, &word, sizeof(word));
}

/* What a search is made under: config's generation and mark_mask, which belong together. */
struct xi_flow_under {
	__u32 generation;
	__u32 mark; /* of the key */
};

static __always_inline struct xi_flow_under
xi_flow_under(const struct xi_config *cfg, const struct xi_flow *flow)
{
	__u64 word = *(const volatile __u64 *)&cfg->spd_generation;
	__u32 pair[2];

	__builtin_memcpy(pair, &word, sizeof(word));
	return (struct xi_flow_under){ pair[0], xi_flow_key_mark(flow, pair[1]) };
}

/* Does the element say the same now? */
static __always_inline bool xi_verdict_is(const struct xi_flow_verdict *element,
					  const struct xi_flow_verdict *copy)
{
	const volatile __u32 *a = (const void *)element, *b = (const void *)copy;
	__u32 differ = 0;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < sizeof(*copy) / sizeof(__u32); i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

/*
 * Looks for the flow under one mask after the other. Of what the present generation says, all that
 * matches agrees, so the first will do; that there is no SA yet is no verdict. A global function: see
 * xi_guard_hit().
 */
__noinline int xi_flow_look(const struct xi_flow *flow, __u32 dir, __u32 generation, __u32 mark,
			    union xi_flow_found *found)
{
	struct xi_flow_key key __attribute__((aligned(8)));
	const struct xi_flow_verdict *verdict;
	const struct xi_flow_masks *masks;
	struct xi_flow_mask said, mask;
	__u32 table;

	if (!flow || !found)
		return false;
	said = xi_flow_mask_whole(flow->family);
	table = XI_FLOW_TABLE(dir, flow->family);
	masks = bpf_map_lookup_elem(&flow_masks, &table);
	if (!masks)
		goto miss;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < XI_FLOW_MASKS; i++) {
		if (i >= masks->n)
			break;
		xi_flow_mask_read(&mask, &masks->rows[i]);
		xi_flow_key_make(&key, flow, dir, &mask, mark);
		verdict = bpf_map_lookup_elem(&flow_cache, &key);
		if (!verdict || verdict->generation != generation)
			continue;
		if (verdict->verdict == XI_VERDICT_NONE) {
			said = mask;
			continue;
		}
		found->verdict = *verdict;
		/*
		 * An element that is taken out may be another's at once (LRU maps, all kernels): what was
		 * read lets nothing go in clear, nor under an SA to somebody else, unless it still is where
		 * it was, and the same: it may have been another's in between. That costs 20 ns. The
		 * barrier: it is the copy that is used, and it was made before.
		 */
		asm volatile("" ::: "memory");
		if (bpf_map_lookup_elem(&flow_cache, &key) != verdict)
			break;
		if (!xi_verdict_is(verdict, &found->verdict))
			break;
		return true;
	}
miss:
	xi_flow_key_make(&found->key, flow, dir, &said, mark);
	return false;
}

/* Counts the hit or miss. */
static __always_inline bool xi_flow_find(const struct xi_config *cfg, const struct xi_flow *flow,
					 enum xi_dir dir, union xi_flow_found *found)
{
	struct xi_flow_under under = xi_flow_under(cfg, flow);
	bool hit = xi_flow_look(flow, dir, under.generation, under.mark, found);

	xi_count(hit ? XI_FLOW_HIT : XI_FLOW_MISS);
	return hit;
}

static __always_inline enum xi_reason
xi_clear_to_worker(struct xdp_md *ctx, const struct xi_port *port, const struct xi_view *v,
		   enum xi_dir dir)
{
	struct xi_meta meta = xi_meta_miss(dir, 0);

	return xi_to_worker(ctx, port, v, &meta);
}

/*
 * Of the host itself, exempt from policy, or nobody else could set SAs up. XI_NONE: not exempt. ESP
 * in UDP that no worker got is no matter of ours, and its content is not in clear.
 */
static __always_inline enum xi_reason xi_exempt_in(const struct xi_view *v)
{
	bool nd = xi_is_nd(v);

	if (nd && xi_is_link_scope(&v->flow))
		return XI_PASS_FOREIGN;
	if ((!nd && v->udp == XI_UDP_PLAIN) || !xi_is_local(v->flow.daddr, v->flow.family))
		return XI_NONE;
	if (v->udp == XI_UDP_BAD)
		return XI_DROP_MALFORMED;
	return v->udp == XI_UDP_IKE ? XI_PASS_IKE : XI_PASS_FOREIGN;
}

/*
 * Cleartext that arrives, for the host or to be forwarded (policies of in and fwd). Frames behind
 * VLAN tags belong to devices above the port, which workers do not know: they pass by a cached
 * verdict, or not at all. local: known to be for the host.
 */
static __always_inline enum xi_reason xi_judge_in(struct xdp_md *ctx, const struct xi_config *cfg,
						  struct xi_view *v, bool local)
{
	__u32 ifindex = ctx->ingress_ifindex;
	enum xi_reason reason = xi_exempt_in(v);
	union xi_flow_found found = {};
	struct xi_port *port;
	enum xi_dir dir;

	if (reason != XI_NONE)
		return reason;
	if (!xi_guard_hit(cfg, &v->flow, XI_IN))
		return XI_PASS_FOREIGN;
	if (v->vague)
		return XI_DROP_MALFORMED;
	dir = local || xi_is_local(v->flow.daddr, v->flow.family) ? XI_IN : XI_FWD;
	if (xi_flow_find(cfg, &v->flow, dir, &found))
		return found.verdict.verdict == XI_VERDICT_BYPASS ? XI_PASS_BYPASS :
								    XI_DROP_CLEAR_IN;
	xi_miss_flow(ctx, cfg, &v->flow, &found.key, ifindex, ctx->rx_queue_index);
	if (v->tagged)
		return XI_DROP_CLEAR_IN;
	port = bpf_map_lookup_elem(&ports, &ifindex);
	return port ? xi_clear_to_worker(ctx, port, v, XI_IN) : XI_DROP_NO_PORT;
}

static __always_inline enum xi_reason xi_protect(struct xdp_md *ctx, const struct xi_port *port,
						 const struct xi_view *v,
						 const struct xi_flow_verdict *found)
{
	struct xi_meta meta = xi_meta_miss(XI_OUT, found->handle);

	meta.next_handle = found->next_handle;
	meta.slot = found->slot;
	meta.next_slot = found->next_slot;
	meta.flags = 0;
	return xi_to_worker(ctx, port, v, &meta);
}

/*
 * Mark and if_id, which tc_host has left in the frame. False: it was not there, and who knows whose policies
 * are the packet's.
 */
static __always_inline bool xi_flow_origin(struct xdp_md *ctx, struct xi_flow *flow)
{
	const __u8 *eth = (void *)(long)ctx->data;
	struct xi_origin origin;

	if ((void *)(eth + XI_ORIGIN_LEN) > (void *)(long)ctx->data_end)
		return false;
	origin = xi_origin_read(eth);
	flow->mark = origin.mark;
	flow->if_id = origin.if_id;
	return origin.kind != XI_ORIGIN_NONE;
}

/*
 * Cleartext on its way out. Behind a plain port the kernel forwards what passes; behind xipsec0
 * (role HOST) there is no other way than the worker, who also knows what is exempt there.
 */
static __always_inline enum xi_reason xi_judge_out(struct xdp_md *ctx, const struct xi_config *cfg,
						   const struct xi_port *port, struct xi_view *v)
{
	bool host = port->role == XI_ROLE_HOST;
	union xi_flow_found found = {};

	if (host && !xi_flow_origin(ctx, &v->flow))
		return XI_DROP_CLEAR_OUT;
	if (!host && !xi_guard_hit(cfg, &v->flow, XI_OUT))
		return XI_PASS_FOREIGN;
	if (v->vague)
		return XI_DROP_MALFORMED;
	/* what a worker made must not come back to one, or it would go round for ever */
	if (host && (v->flow.proto == XI_ESP || v->flow.proto == XI_AH) &&
	    xi_is_local(v->flow.saddr, v->flow.family))
		return XI_DROP_LOOP;
	/* before flow_cache: no mask there tells IKE from what else its hosts say */
	if (v->flow.proto == IPPROTO_UDP && !v->flow.fragment &&
	    xi_is_ike_port(cfg, v->flow.sport) && xi_is_local(v->flow.saddr, v->flow.family))
		return xi_clear_to_worker(ctx, port, v, XI_OUT);
	if (!xi_flow_find(cfg, &v->flow, XI_OUT, &found))
		xi_miss_flow(ctx, cfg, &v->flow, &found.key, ctx->ingress_ifindex,
			     ctx->rx_queue_index);
	else if (found.verdict.verdict == XI_VERDICT_PROTECT)
		return xi_protect(ctx, port, v, &found.verdict);
	else if (found.verdict.verdict == XI_VERDICT_DISCARD)
		return XI_DROP_POLICY;
	else if (!host && found.verdict.verdict == XI_VERDICT_KERNEL)
		return XI_PASS_KERNEL;
	else if (!host && found.verdict.verdict == XI_VERDICT_BYPASS)
		return XI_PASS_BYPASS;
	return xi_clear_to_worker(ctx, port, v, XI_OUT);
}

/*
 * What may leave a cipher port whatever policy says: protected already, or needed to set protection
 * up. All of it the host's own: ESP or AH of somebody behind it is to be protected like anything
 * else, and as in the workers it is the host's end, not the far one, that makes a packet IKE or ESP
 * in UDP.
 */
static __always_inline bool xi_exempt_leaving(const struct xi_config *cfg, const struct xi_view *v)
{
	const struct xi_flow *flow = &v->flow;

	if (v->vague)
		return false;
	if (xi_is_nd(v))
		return true;
	if (flow->proto != XI_ESP && flow->proto != XI_AH &&
	    !(flow->proto == IPPROTO_UDP && xi_is_ike_port(cfg, flow->sport)))
		return false;
	return xi_is_local(flow->saddr, flow->family);
}

/*
 * To the workers, by way of xipsec0: they judge it again, and protect or drop it. Behind VLAN tags there
 * are devices above the port that workers do not know.
 */
static __always_inline enum xi_reason xi_to_hostif(struct __sk_buff *skb,
						   const struct xi_config *cfg,
						   const struct xi_view *v)
{
	skb->tc_index = XI_TC_GUARD;
	if (v->tagged || !cfg->host_ifindex ||
	    bpf_redirect(cfg->host_ifindex, 0) != TC_ACT_REDIRECT)
		return XI_DROP_CLEAR_OUT;
	return XI_TO_HOSTIF;
}

/* Cleartext about to leave a cipher port, whoever sent it: the host, or the kernel's forwarding. */
static __always_inline enum xi_reason
xi_judge_leaving(struct __sk_buff *skb, const struct xi_config *cfg, struct xi_view *v)
{
	union xi_flow_found found = {};

	if (xi_exempt_leaving(cfg, v) || !xi_guard_hit(cfg, &v->flow, XI_OUT))
		return XI_PASS_FOREIGN;
	if (v->vague)
		return XI_DROP_MALFORMED;
	if (!xi_flow_find(cfg, &v->flow, XI_OUT, &found))
		xi_miss_flow(skb, cfg, &v->flow, &found.key, skb->ifindex, 0);
	else if (found.verdict.verdict != XI_VERDICT_PROTECT)
		return found.verdict.verdict == XI_VERDICT_BYPASS ? XI_PASS_BYPASS :
								    XI_DROP_CLEAR_OUT;
	return xi_to_hostif(skb, cfg, v);
}

#endif
