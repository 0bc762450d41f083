/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ESP, AH and ESP in UDP that arrive: which SA, and by what method (RFC 4301 section 5.2). */
#ifndef XI_SAD_BPF_H
#define XI_SAD_BPF_H

#include "flow.bpf.h"
#include "maps.bpf.h"
#include "meta.bpf.h"
#include "miss.bpf.h"
#include "parse.bpf.h"
#include "stats.bpf.h"

#define XI_SPI_FIRST 256 /* below: reserved, 0 local (RFC 4302 section 2.4, 4303 2.1) */

static __always_inline enum xi_reason xi_sa_to_worker(struct xdp_md *ctx, const struct xi_view *v,
						      struct xi_meta *meta)
{
	__u32 ifindex = ctx->ingress_ifindex;
	struct xi_port *port = bpf_map_lookup_elem(&ports, &ifindex);

	if (v->udp == XI_UDP_ESP && !v->fragment)
		meta->flags |= XI_META_ENCAP;
	return port ? xi_to_worker(ctx, port, v, meta) : XI_DROP_NO_PORT;
}

static __always_inline enum xi_reason xi_sa_hit(struct xdp_md *ctx, const struct xi_view *v,
						const struct xi_sa_cached *cached)
{
	struct xi_meta meta = xi_meta_miss(XI_IN, cached->sa_index);

	xi_count(XI_SA_HIT);
	switch (cached->method) {
	case XI_METHOD_FAST:
		meta.slot = cached->slot;
		meta.flags = 0;
		break;
	case XI_METHOD_SLOW:
		break;
	case XI_METHOD_KERNEL:
		return XI_PASS_KERNEL;
	default:
		return XI_DROP_SA_METHOD;
	}
	return xi_sa_to_worker(ctx, v, &meta);
}

/* The worker looks for the SA itself. */
static __always_inline enum xi_reason xi_unsettled_to_worker(struct xdp_md *ctx,
							     const struct xi_view *v, __u16 flags)
{
	struct xi_meta meta = xi_meta_miss(XI_IN, 0);

	meta.flags = flags;
	return xi_sa_to_worker(ctx, v, &meta);
}

/*
 * An SPI of nobody raises no message: a flood of them costs lookups and nothing else. Nor does one
 * that is allocated: there is no SA yet that could be cached.
 */
static __always_inline enum xi_reason xi_sa_miss(struct xdp_md *ctx, const struct xi_config *cfg,
						 const struct xi_view *v, const struct xi_sa_id *id)
{
	__u32 *known = bpf_map_lookup_elem(&sad_lookup, id);
	struct xi_meta meta;

	if (!known)
		return cfg->unknown_spi == XI_METHOD_KERNEL ? XI_PASS_UNKNOWN_SPI
							    : XI_DROP_UNKNOWN_SPI;
	if (*known == XI_LARVAL)
		return xi_unsettled_to_worker(ctx, v, XI_META_LARVAL);
	meta = xi_meta_miss(XI_IN, *known);
	xi_count(XI_SA_MISS);
	xi_miss_sa(ctx, cfg, id, meta.handle);
	return xi_sa_to_worker(ctx, v, &meta);
}

/*
 * For an SA, if the host is the destination. A later fragment of UDP does not show its port, so
 * with ESP in UDP about, the worker gets every fragment of UDP: a datagram comes together only if
 * none of it goes another way.
 */
static __always_inline bool xi_is_protected(const struct xi_config *cfg, const struct xi_view *v)
{
	if (v->flow.proto == XI_ESP || v->flow.proto == XI_AH)
		return true;
	if (v->flow.proto != IPPROTO_UDP)
		return false;
	return v->fragment ? (cfg->flags & XI_CONFIG_ENCAP) != 0 : v->udp == XI_UDP_ESP;
}

/* Somebody else's: there is nothing in clear in ESP, while AH and UDP are cleartext to us. */
static __always_inline enum xi_reason xi_sa_foreign(const struct xi_view *v)
{
	return v->flow.proto == XI_ESP ? XI_PASS_FOREIGN : XI_NONE;
}

/* XI_NONE: no matter of an SA of ours, to be judged as cleartext. */
static __always_inline enum xi_reason xi_judge_sa(struct xdp_md *ctx, const struct xi_config *cfg,
						  struct xi_view *v)
{
	struct xi_sa_id id = { .spi = v->spi, .family = v->flow.family };
	struct xi_sa_cached *cached;

	if (!xi_is_protected(cfg, v))
		return XI_NONE;
	if (v->tagged)
		return xi_sa_foreign(v);
	id.proto = v->flow.proto == XI_AH ? XI_AH : XI_ESP;
	__builtin_memcpy(id.daddr, v->flow.daddr, 16);
	if (!v->fragment && !v->vague) {
		cached = bpf_map_lookup_elem(&sa_cache, &id);
		if (cached)
			return xi_sa_hit(ctx, v, cached);
	}
	if (!xi_is_local(v->flow.daddr, v->flow.family)) {
		v->udp = XI_UDP_PLAIN; /* spares xi_exempt_in() the same question */
		return xi_sa_foreign(v);
	}
	if (v->fragment)
		return xi_unsettled_to_worker(ctx, v, XI_META_FRAGMENT);
	if (v->vague)
		return XI_DROP_MALFORMED;
	if (v->spi < XI_SPI_FIRST)
		return XI_DROP_RESERVED_SPI;
	return xi_sa_miss(ctx, cfg, v, &id);
}

#endif
