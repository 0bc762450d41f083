/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP encapsulation (RFC 3948): one port carries IKE, keepalives and ESP, and the first bytes of a
 * datagram tell which.
 */
#ifndef XI_ENCAP_BPF_H
#define XI_ENCAP_BPF_H

#include "maps.bpf.h"
#include "parse.bpf.h"

#define XI_UDP_HEADER 8
#define XI_UDP_ESP_MIN (XI_UDP_HEADER + 8) /* SPI and sequence number */

/* Port 0: none that could be read, as in a later fragment. */
static __always_inline bool xi_is_encap_port(const struct xi_config *cfg, __u16 port)
{
	__u32 key = port;

	if (port == XI_PORT_NATT)
		return true;
	return (cfg->flags & XI_CONFIG_ENCAP) && port &&
	       bpf_map_lookup_elem(&encap_ports, &key) != NULL;
}

/* Of the host: what such a port sends is IKE, a keepalive, or protected already. */
static __always_inline bool xi_is_ike_port(const struct xi_config *cfg, __u16 port)
{
	return port == XI_PORT_IKE || xi_is_encap_port(cfg, port);
}

/*
 * Of a datagram to an encapsulation port (RFC 3948 sections 2.1 to 2.3); sets v->spi. A fragment is
 * shorter than the length that its UDP header gives. A global function: see xi_guard_hit().
 */
__noinline int xi_udp_holds(struct xdp_md *ctx, struct xi_view *v)
{
	struct xi_span s = { .end = (void *)(long)ctx->data_end };
	__u32 len, left;
	__be16 *udp;
	__be32 *spi;

	if (!v || v->l3_offset > XI_L3_MAX)
		return XI_UDP_BAD;
	s.l3 = (void *)(long)ctx->data + v->l3_offset;
	udp = xi_at(&s, 0, XI_UDP_HEADER, v);
	if (!udp)
		return XI_UDP_BAD;
	len = bpf_ntohs(udp[2]);
	left = v->len - v->off;
	if (len < XI_UDP_HEADER || (len > left && !v->fragment))
		return XI_UDP_BAD;
	if (len < XI_UDP_ESP_MIN || left < XI_UDP_ESP_MIN)
		return XI_UDP_IKE;
	spi = xi_at(&s, XI_UDP_HEADER, 8, v);
	if (!spi)
		return XI_UDP_BAD;
	v->spi = bpf_ntohl(*spi);
	return v->spi ? XI_UDP_ESP : XI_UDP_IKE;
}

/* Looks into datagrams that may concern IPsec; every other one keeps XI_UDP_PLAIN. */
static __always_inline void xi_udp_look(struct xdp_md *ctx, const struct xi_config *cfg,
					struct xi_view *v)
{
	if (v->flow.proto != IPPROTO_UDP)
		return;
	if (v->flow.dport == XI_PORT_IKE)
		v->udp = XI_UDP_IKE; /* never ESP (RFC 3948 section 4) */
	else if (xi_is_encap_port(cfg, v->flow.dport))
		v->udp = xi_udp_holds(ctx, v);
}

#endif
