/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ethernet, IPv4, IPv6: what the judging steps need to know of a packet, read once. */
#ifndef XI_PARSE_BPF_H
#define XI_PARSE_BPF_H

#include <stdbool.h>

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include <xipsec/abi.h>

#define XI_VLAN_TAGS 2	 /* 802.1ad around 802.1Q */
#define XI_L3_MAX (ETH_HLEN + XI_VLAN_TAGS * 4)
#define XI_EXT_HEADERS 8 /* IPv6 extension headers walked over */
#define XI_HEADERS_MAX 4096 /* no header is looked for behind this */

#define XI_IP_MF 0x2000
#define XI_IP_OFFSET 0x1fff
#define XI_PORT_IKE 500
#define XI_PORT_NATT 4500
#define XI_PROTO_MH 135 /* IPPROTO_MH of linux/in6.h; its type takes the place of a port */
#define XI_ND_FIRST 133 /* router solicitation ... redirect (RFC 4861 section 4) */
#define XI_ND_LAST 137
#define XI_ND_HOPS 255

enum xi_parsed { XI_PARSED_OTHER, XI_PARSED_IP, XI_PARSED_BAD };
/* What a datagram to an IKE or encapsulation port holds; keepalives count as IKE (RFC 3948). */
enum xi_udp { XI_UDP_PLAIN, XI_UDP_IKE, XI_UDP_ESP, XI_UDP_BAD };

struct xi_view {
	struct xi_flow flow; /* every field as found; dir is the caller's */
	__u32 spi;	     /* of ESP, AH and XI_UDP_ESP */
	__u32 len;	     /* of the packet by its own header */
	__u32 frame_len;     /* of the whole frame */
	__u32 off;	     /* from l3_offset to the header looked at */
	__u16 l3_offset;
	__u8 tagged;   /* behind VLAN tags */
	__u8 fragment; /* any fragment, the first as well */
	__u8 vague;    /* protocol or ports could not be read */
	__u8 cut;      /* the packet goes on behind what can be read here (tc) */
	__u8 hops;     /* TTL or hop limit */
	__u8 udp;      /* enum xi_udp; set by xi_udp_look() */
};

/* A packet from its IP header on, as far as it can be read. */
struct xi_span {
	void *l3;
	void *end;
};

/*
 * n bytes, skip behind v->off, or NULL. Sets cut or vague. Bytes behind the packet's own length are
 * Ethernet padding and never read as headers. Offset and length are read back from memory: the
 * verifier then knows nothing of them but the checks here, so its states of different header chains
 * are one, which saves it nine tenths of its work.
 */
static __always_inline void *xi_at(const struct xi_span *s, __u32 skip, __u32 n, struct xi_view *v)
{
	__u32 off = *(volatile __u32 *)&v->off + skip;
	void *p;

	v->vague = 1;
	if (off > XI_HEADERS_MAX || off + n > *(volatile __u32 *)&v->len)
		return NULL;
	p = s->l3 + off;
	if (p + n > s->end) {
		v->cut = 1;
		return NULL;
	}
	v->vague = 0;
	return p;
}

/* Protocol v->flow.proto at v->off. Ports of all protocols that have them at the same place. */
static __always_inline void xi_parse_l4(const struct xi_span *s, struct xi_view *v)
{
	__be16 *ports;
	__be32 *spi;
	__u8 *type;

	switch (v->flow.proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		ports = xi_at(s, 0, 8, v);
		if (!ports)
			return;
		v->flow.sport = bpf_ntohs(ports[0]);
		v->flow.dport = bpf_ntohs(ports[1]);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		type = xi_at(s, 0, 4, v);
		if (!type)
			return;
		v->flow.sport = type[0];
		v->flow.dport = type[1];
		return;
	case XI_PROTO_MH:
		type = xi_at(s, 0, 4, v);
		if (type)
			v->flow.sport = type[2];
		return;
	case IPPROTO_ESP:
		spi = xi_at(s, 0, 8, v);
		if (spi)
			v->spi = bpf_ntohl(*spi);
		return;
	case IPPROTO_AH:
		spi = xi_at(s, 0, 12, v);
		if (spi)
			v->spi = bpf_ntohl(spi[1]);
		return;
	}
}

/* Length by a packet's own header; a segment train above 64 KiB (BIG TCP) has none there. */
static __always_inline __u32 xi_ip_len(__u32 len, __u32 avail)
{
	return avail > 0xffff ? avail : len;
}

static __always_inline enum xi_parsed xi_parse_ipv4(const struct xi_span *s, __u32 avail,
						    struct xi_view *v)
{
	struct iphdr *ip = s->l3;
	__u32 frag;

	if ((void *)(ip + 1) > s->end) {
		v->cut = avail >= sizeof(*ip);
		return XI_PARSED_BAD;
	}
	v->off = ip->ihl * 4;
	v->len = xi_ip_len(bpf_ntohs(ip->tot_len), avail);
	if (ip->version != 4 || v->off < sizeof(*ip) || v->len < v->off || v->len > avail)
		return XI_PARSED_BAD;
	v->flow.family = XI_IPV4;
	v->flow.proto = ip->protocol;
	v->hops = ip->ttl;
	__builtin_memcpy(v->flow.saddr, &ip->saddr, 4);
	__builtin_memcpy(v->flow.daddr, &ip->daddr, 4);
	frag = bpf_ntohs(ip->frag_off);
	v->fragment = (frag & (XI_IP_MF | XI_IP_OFFSET)) != 0;
	v->flow.fragment = (frag & XI_IP_OFFSET) != 0;
	return XI_PARSED_IP;
}

/* RFC 8200 section 4.5. An atomic fragment (RFC 6946) is a whole packet. */
static __always_inline void xi_parse_fragment(const __u8 *hdr, struct xi_view *v)
{
	__u32 frag = hdr[2] << 8 | hdr[3];

	v->fragment = (frag & 0xfff9) != 0;
	v->flow.fragment = (frag & 0xfff8) != 0;
}

/*
 * Walks over extension headers (RFC 8200 section 4) up to the upper protocol, as which ESP and AH
 * count. A chain too long leaves the view vague, as does a non-initial fragment that starts inside
 * the chain.
 */
static __always_inline void xi_parse_ext(const struct xi_span *s, struct xi_view *v)
{
	__u8 *hdr;

#pragma clang loop unroll(disable)
	for (int i = 0; i < XI_EXT_HEADERS; i++) {
		__u8 proto = v->flow.proto;

		if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING &&
		    proto != IPPROTO_DSTOPTS && proto != IPPROTO_FRAGMENT)
			return;
		if (v->flow.fragment)
			break;
		hdr = xi_at(s, 0, 8, v);
		if (!hdr)
			return;
		v->flow.proto = hdr[0];
		if (proto == IPPROTO_FRAGMENT)
			xi_parse_fragment(hdr, v);
		v->off += proto == IPPROTO_FRAGMENT ? 8 : (hdr[1] + 1) * 8;
	}
	v->vague = 1;
}

static __always_inline enum xi_parsed xi_parse_ipv6(const struct xi_span *s, __u32 avail,
						    struct xi_view *v)
{
	struct ipv6hdr *ip = s->l3;

	if ((void *)(ip + 1) > s->end) {
		v->cut = avail >= sizeof(*ip);
		return XI_PARSED_BAD;
	}
	v->off = sizeof(*ip);
	v->len = xi_ip_len(sizeof(*ip) + bpf_ntohs(ip->payload_len), avail);
	if (ip->version != 6 || v->len > avail)
		return XI_PARSED_BAD;
	v->flow.family = XI_IPV6;
	v->flow.proto = ip->nexthdr;
	v->hops = ip->hop_limit;
	__builtin_memcpy(v->flow.saddr, &ip->saddr, 16);
	__builtin_memcpy(v->flow.daddr, &ip->daddr, 16);
	xi_parse_ext(s, v);
	return XI_PARSED_IP;
}

/* Ethernet type behind VLAN tags; l3_offset is set. -1: cut short. */
static __always_inline int xi_parse_eth(void *data, void *end, struct xi_view *v)
{
	struct ethhdr *eth = data;
	__be16 *tag;
	int type;

	if ((void *)(eth + 1) > end)
		return -1;
	type = bpf_ntohs(eth->h_proto);
	v->l3_offset = sizeof(*eth);
#pragma clang loop unroll(full)
	for (int i = 0; i < XI_VLAN_TAGS; i++) {
		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			break;
		tag = data + v->l3_offset;
		if ((void *)(tag + 2) > end)
			return -1;
		type = bpf_ntohs(tag[1]);
		v->l3_offset += 4;
		v->tagged = 1;
	}
	return type;
}

/*
 * frame_len: whole frame, of which [data, end) can be read. XI_PARSED_BAD: no address in it can be
 * relied on. XI_PARSED_IP may still be vague: addresses are right, protocol or ports are not known.
 */
static __always_inline enum xi_parsed xi_parse(void *data, void *end, __u32 frame_len,
					       struct xi_view *v)
{
	struct xi_span s = { .end = end };
	enum xi_parsed parsed;
	int type;

	__builtin_memset(v, 0, sizeof(*v));
	v->frame_len = frame_len;
	type = xi_parse_eth(data, end, v);
	s.l3 = data + v->l3_offset;
	if (type < 0)
		return XI_PARSED_BAD;
	if (type == ETH_P_IP)
		parsed = xi_parse_ipv4(&s, frame_len - v->l3_offset, v);
	else if (type == ETH_P_IPV6)
		parsed = xi_parse_ipv6(&s, frame_len - v->l3_offset, v);
	else
		return type == ETH_P_8021Q || type == ETH_P_8021AD ? XI_PARSED_BAD
								   : XI_PARSED_OTHER;
	if (parsed == XI_PARSED_IP && !v->vague && !v->flow.fragment)
		xi_parse_l4(&s, v);
	return parsed;
}

/*
 * Global functions: see xi_guard_hit(). Of a packet in several buffers the first one is read; drivers have a quarter of
 * a kilobyte in it at least.
 */
__noinline int xi_parse_xdp(struct xdp_md *ctx, struct xi_view *v)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;

	return v ? xi_parse(data, end, bpf_xdp_get_buff_len(ctx), v) : XI_PARSED_BAD;
}

/*
 * Reads what lies in the linear part; only a packet whose headers go on behind it is pulled, and
 * read once more.
 */
__noinline int xi_parse_skb(struct __sk_buff *skb, struct xi_view *v)
{
	enum xi_parsed parsed = XI_PARSED_BAD;
	__u32 len = skb->len;

	if (!v)
		return parsed;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 2; i++) {
		parsed = xi_parse((void *)(long)skb->data, (void *)(long)skb->data_end, len, v);
		if (!v->cut || i ||
		    bpf_skb_pull_data(skb, len < XI_HEADERS_MAX ? len : XI_HEADERS_MAX))
			break;
	}
	return parsed;
}

/* clang 19 leaves memcmp() of six bytes as a call, which BPF has not. */
static __always_inline bool xi_is_for_port(struct xdp_md *ctx, const struct xi_port *port)
{
	__u16 *dest = (void *)(long)ctx->data;
	const __u16 *mac = (const __u16 *)port->mac;

	if ((void *)(dest + 3) > (void *)(long)ctx->data_end)
		return false;
	return ((dest[0] ^ mac[0]) | (dest[1] ^ mac[1]) | (dest[2] ^ mac[2])) == 0;
}

/* The kernel takes a broadcast or multicast frame for the host, whatever address is inside. */
static __always_inline bool xi_is_for_group(struct xdp_md *ctx)
{
	__u8 *dest = (void *)(long)ctx->data;

	return (void *)(dest + 1) <= (void *)(long)ctx->data_end && (dest[0] & 1);
}

/*
 * Neighbour discovery on its own link: never forwarded, so whoever sees hop limit 255 is a
 * neighbour.
 */
static __always_inline bool xi_is_nd(const struct xi_view *v)
{
	return v->flow.family == XI_IPV6 && v->flow.proto == IPPROTO_ICMPV6 && !v->fragment &&
	       !v->vague && v->hops == XI_ND_HOPS && v->flow.sport >= XI_ND_FIRST &&
	       v->flow.sport <= XI_ND_LAST;
}

/* 224/4, ff00::/8, fe80::/10. */
static __always_inline bool xi_is_link_scope(const struct xi_flow *flow)
{
	if (flow->family == XI_IPV4)
		return (flow->daddr[0] & 0xf0) == 0xe0;
	return flow->daddr[0] == 0xff ||
	       (flow->daddr[0] == 0xfe && (flow->daddr[1] & 0xc0) == 0x80);
}

#endif
