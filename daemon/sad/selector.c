/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/selector.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define IPV4_HLEN 20
#define IPV6_HLEN 40
#define IPV4_OFFSET_MASK 0x1fff
#define IPV6_OFFSET_MASK 0xfff8
#define EXTHDRS_MAX 8

#ifndef IPPROTO_MH
#define IPPROTO_MH 135
#endif

bool xi_prefix_equal(const uint8_t a[16], const uint8_t b[16], unsigned int plen)
{
	unsigned int bytes, bits;

	if (plen > 128)
		plen = 128;
	bytes = plen / 8;
	bits = plen % 8;
	if (memcmp(a, b, bytes))
		return false;
	return !bits || !((a[bytes] ^ b[bytes]) >> (8 - bits));
}

void xi_prefix_mask(uint8_t out[16], const uint8_t addr[16], unsigned int plen)
{
	uint8_t masked[16] = { 0 };
	unsigned int bytes, bits;

	if (plen > 128)
		plen = 128;
	bytes = plen / 8;
	bits = plen % 8;
	memcpy(masked, addr, bytes);
	if (bits)
		masked[bytes] = addr[bytes] & (0xff << (8 - bits));
	memcpy(out, masked, 16);
}

/* A flow knows no device: a selector that names one matches none, as with the kernel's oif 0. */
bool xi_selector_matches(const struct xi_selector *sel, const struct xi_flow *flow)
{
	if (sel->family != XI_FAMILY_NONE && sel->family != flow->family)
		return false;
	if (sel->ifindex || (sel->proto && sel->proto != flow->proto))
		return false;
	if (flow->fragment && (sel->sport_mask || sel->dport_mask))
		return false;
	if ((flow->sport ^ sel->sport) & sel->sport_mask)
		return false;
	if ((flow->dport ^ sel->dport) & sel->dport_mask)
		return false;
	return xi_prefix_equal(flow->daddr, sel->daddr, sel->prefixlen_d) &&
	       xi_prefix_equal(flow->saddr, sel->saddr, sel->prefixlen_s);
}

static uint16_t get16(const uint8_t *p)
{
	return p[0] << 8 | p[1];
}

/*
 * What the kernel's xfrm_flowi_sport() and _dport() give: ports, ICMP type and code, mobility
 * header type.
 */
static int parse_ports(struct xi_flow *flow, const uint8_t *l4, uint32_t len)
{
	switch (flow->proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		if (len < 4)
			return -EINVAL;
		flow->sport = get16(l4);
		flow->dport = get16(l4 + 2);
		return 0;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (len < 2)
			return -EINVAL;
		flow->sport = l4[0];
		flow->dport = l4[1];
		return 0;
	case IPPROTO_MH:
		if (len < 3)
			return -EINVAL;
		flow->sport = l4[2];
		return 0;
	}
	return 0;
}

static int parse_ipv4(struct xi_flow *flow, const uint8_t *pkt, uint32_t len)
{
	uint32_t hlen, total;

	if (len < IPV4_HLEN)
		return -EINVAL;
	hlen = (pkt[0] & 0xf) * 4U;
	total = get16(pkt + 2);
	if (hlen < IPV4_HLEN || total < hlen || total > len)
		return -EINVAL;
	flow->family = XI_IPV4;
	flow->proto = pkt[9];
	memcpy(flow->saddr, pkt + 12, 4);
	memcpy(flow->daddr, pkt + 16, 4);
	flow->fragment = (get16(pkt + 6) & IPV4_OFFSET_MASK) != 0;
	if (flow->fragment)
		return 0;
	return parse_ports(flow, pkt + hlen, total - hlen);
}

/*
 * Steps over extension headers (RFC 8200 section 4). Behind a fragment header that is not the
 * first, nothing is known.
 */
static int skip_exthdrs(struct xi_flow *flow, const uint8_t *pkt, uint32_t end, uint32_t *off)
{
	unsigned int n;
	uint32_t hlen;

	for (n = 0; n <= EXTHDRS_MAX; n++) {
		const uint8_t *h = pkt + *off;

		switch (flow->proto) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return 0;
		}
		if (end - *off < 8)
			return -EINVAL;
		hlen = flow->proto == IPPROTO_FRAGMENT ? 8 : (h[1] + 1U) * 8;
		if (end - *off < hlen)
			return -EINVAL;
		if (flow->proto == IPPROTO_FRAGMENT)
			flow->fragment = (get16(h + 2) & IPV6_OFFSET_MASK) != 0;
		flow->proto = h[0];
		*off += hlen;
		if (flow->fragment)
			return 0;
	}
	return -EINVAL;
}

static int parse_ipv6(struct xi_flow *flow, const uint8_t *pkt, uint32_t len)
{
	uint32_t end, off = IPV6_HLEN;
	int err;

	if (len < IPV6_HLEN)
		return -EINVAL;
	end = IPV6_HLEN + get16(pkt + 4);
	if (end > len)
		return -EINVAL;
	flow->family = XI_IPV6;
	flow->proto = pkt[6];
	memcpy(flow->saddr, pkt + 8, 16);
	memcpy(flow->daddr, pkt + 24, 16);
	err = skip_exthdrs(flow, pkt, end, &off);
	if (err || flow->fragment)
		return err;
	return parse_ports(flow, pkt + off, end - off);
}

int xi_flow_parse(struct xi_flow *flow, const uint8_t *pkt, uint32_t len)
{
	uint8_t dir = flow->dir;

	memset(flow, 0, sizeof(*flow));
	flow->dir = dir;
	if (!len)
		return -EINVAL;
	switch (pkt[0] >> 4) {
	case 4:
		return parse_ipv4(flow, pkt, len);
	case 6:
		return parse_ipv6(flow, pkt, len);
	}
	return -EINVAL;
}

bool xi_flow_goes_on(const struct xi_flow *flow, const uint8_t *pkt, uint32_t len)
{
	bool v4 = flow->family == XI_IPV4;
	uint32_t hlen = v4 ? IPV4_HLEN : IPV6_HLEN;

	if ((flow->proto != IPPROTO_TCP && flow->proto != IPPROTO_UDP) || flow->fragment ||
	    len < hlen + 4 || get16(pkt + hlen) != flow->sport ||
	    get16(pkt + hlen + 2) != flow->dport)
		return false;
	if (v4)
		return pkt[0] == 0x45 && pkt[9] == flow->proto &&
		       !(get16(pkt + 6) & IPV4_OFFSET_MASK) && !memcmp(flow->saddr, pkt + 12, 4) &&
		       !memcmp(flow->daddr, pkt + 16, 4);
	return pkt[0] >> 4 == 6 && pkt[6] == flow->proto && !memcmp(flow->saddr, pkt + 8, 16) &&
	       !memcmp(flow->daddr, pkt + 24, 16);
}
