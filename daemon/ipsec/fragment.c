// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/fragment.h"

#include <errno.h>
#include <string.h>
#include <netinet/in.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/tunnel.h"

#define FRAGMENT_UNIT 8U

/* Smallest header of an upper layer; nothing is asked of those not known. */
static uint32_t upper_len(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
	case IPPROTO_ESP:
		return 8;
	case IPPROTO_ICMPV6:
		return 4;
	case IPPROTO_SCTP:
	case IPPROTO_DCCP:
		return 12;
	case IPPROTO_TCP:
	case IPPROTO_IPIP:
		return 20;
	case IPPROTO_IPV6:
		return 40;
	default:
		return 0;
	}
}

/* Bytes of an extension header of type next at p, of which two bytes are there. 0: another header.
 */
static uint32_t ext_len(uint8_t next, const uint8_t *p)
{
	switch (next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_MH:
		return (p[1] + 1U) * 8;
	case IPPROTO_AH:
		return (p[1] + 2U) * 4;
	default:
		return 0;
	}
}

int xi_ipv6_chain_len(uint8_t next, const uint8_t *p, uint32_t len)
{
	static const uint8_t none[2];
	uint32_t at = 0, hdr;

	while (next != IPPROTO_FRAGMENT) {
		hdr = ext_len(next, at + 2 <= len ? p + at : none);
		if (!hdr) {
			at += upper_len(next);
			return at <= len ? (int)at : -EBADMSG;
		}
		if (at + hdr > len)
			return -EBADMSG;
		next = p[at];
		at += hdr;
	}
	return -EBADMSG;
}

/*
 * RFC 791 section 3.1: options with the copied flag go into every fragment, the others into the
 * first alone. Length of the header that has only the former, or -EBADMSG.
 */
static int copy_options(uint8_t *to, const uint8_t *ip, uint32_t hdr_len)
{
	uint32_t at = sizeof(struct iphdr), n = at, opt;

	memcpy(to, ip, n);
	while (at < hdr_len && ip[at] != IPOPT_EOL) {
		if (ip[at] == IPOPT_NOP) {
			at++;
			continue;
		}
		opt = at + 1 < hdr_len ? ip[at + 1] : 0;
		if (opt < 2 || at + opt > hdr_len)
			return -EBADMSG;
		if (IPOPT_COPIED(ip[at])) {
			memcpy(to + n, ip + at, opt);
			n += opt;
		}
		at += opt;
	}
	while (n % 4)
		to[n++] = IPOPT_EOL;
	to[0] = (uint8_t)(0x40 | n / 4);
	return (int)n;
}

/* Headers are known: how much payload goes where. The packet is longer than mtu. */
static int plan_cut(struct xi_fragments *plan, uint32_t mtu)
{
	uint32_t left, rest_max;

	if (mtu < plan->first_hdr + FRAGMENT_UNIT)
		return -ENOBUFS;
	rest_max = mtu - plan->rest_hdr;
	plan->first_len = (mtu - plan->first_hdr) & ~(FRAGMENT_UNIT - 1);
	plan->rest_len = rest_max & ~(FRAGMENT_UNIT - 1);
	left = plan->len - plan->payload_at - plan->first_len;
	plan->n = 2;
	if (left > rest_max)
		plan->n += (left - rest_max + plan->rest_len - 1) / plan->rest_len;
	return (int)plan->n;
}

static int plan_v4(struct xi_fragments *plan, uint32_t mtu)
{
	uint32_t hdr_len = (plan->ip[0] & 0xfU) * 4, payload = plan->len - hdr_len;
	int rest;

	plan->frag_off = xi_get16(plan->ip + 6);
	if (plan->frag_off & IP_DF)
		return -EMSGSIZE;
	if ((plan->frag_off & IP_MF) && payload % FRAGMENT_UNIT)
		return -EBADMSG;
	if ((plan->frag_off & IP_OFFMASK) * FRAGMENT_UNIT + plan->len > IP_MAXPACKET)
		return -EBADMSG;
	rest = copy_options(plan->rest, plan->ip, hdr_len);
	if (rest < 0)
		return rest;
	plan->payload_at = plan->first_hdr = hdr_len;
	plan->rest_hdr = (uint32_t)rest;
	return plan_cut(plan, mtu);
}

/*
 * RFC 8200 section 4.5: the per-fragment headers end with the routing header if there is one, else
 * with the hop-by-hop options. Destination options in front of a routing header are among them,
 * others are not.
 */
static int per_fragment_headers(struct xi_fragments *plan)
{
	uint32_t at = sizeof(struct ip6_hdr), hdr;
	uint8_t next = plan->ip[6];

	plan->payload_at = sizeof(struct ip6_hdr);
	plan->next_at = 6;
	while (next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING) {
		if (at + 2 > plan->len)
			return -EBADMSG;
		hdr = ext_len(next, plan->ip + at);
		if (at + hdr > plan->len)
			return -EBADMSG;
		if (next != IPPROTO_DSTOPTS) {
			plan->payload_at = at + hdr;
			plan->next_at = at;
		}
		next = plan->ip[at];
		at += hdr;
	}
	return next == IPPROTO_FRAGMENT ? -EMSGSIZE : 0;
}

static int plan_v6(struct xi_fragments *plan, uint32_t mtu, uint32_t id)
{
	int err, chain;

	err = per_fragment_headers(plan);
	if (err)
		return err;
	chain = xi_ipv6_chain_len(plan->ip[plan->next_at], plan->ip + plan->payload_at,
				  plan->len - plan->payload_at);
	if (chain < 0)
		return chain;
	plan->id = id;
	plan->first_hdr = plan->rest_hdr = plan->payload_at + sizeof(struct ip6_frag);
	err = plan_cut(plan, mtu);
	return err > 0 && (uint32_t)chain > plan->first_len ? -ENOBUFS : err;
}

int xi_fragment_plan(struct xi_fragments *plan, const struct xi_pkt *pkt, uint32_t mtu,
		     const uint32_t *id)
{
	uint8_t version;

	*plan = (struct xi_fragments){.ip = pkt->data, .n = 1};
	if (!xi_tunnel_measure(pkt->data, pkt->len, &version, &plan->len))
		return -EBADMSG;
	if (plan->len <= mtu)
		return 1;
	if (version == 4)
		return plan_v4(plan, mtu);
	return id ? plan_v6(plan, mtu, *id) : -EMSGSIZE;
}

static void write_v4(const struct xi_fragments *plan, uint8_t *to, uint32_t start, uint32_t len,
		     bool more)
{
	uint32_t hdr_len = start ? plan->rest_hdr : plan->first_hdr;
	uint16_t frag_off = (uint16_t)(plan->frag_off + start / FRAGMENT_UNIT);

	memcpy(to, start ? plan->rest : plan->ip, hdr_len);
	xi_put16(to + 2, (uint16_t)(hdr_len + len));
	xi_put16(to + 6, more ? frag_off | IP_MF : frag_off);
	xi_put16(to + 10, 0);
	xi_put16(to + 10, xi_ip4_checksum(to));
}

static void write_v6(const struct xi_fragments *plan, uint8_t *to, uint32_t start, uint32_t len,
		     bool more)
{
	uint8_t *frag = to + plan->payload_at;

	memcpy(to, plan->ip, plan->payload_at);
	xi_put16(to + 4, (uint16_t)(plan->first_hdr + len - sizeof(struct ip6_hdr)));
	to[plan->next_at] = IPPROTO_FRAGMENT;
	frag[0] = plan->ip[plan->next_at];
	frag[1] = 0;
	xi_put16(frag + 2, (uint16_t)(start | more));
	xi_put32(frag + 4, plan->id);
}

uint32_t xi_fragment_write(const struct xi_fragments *plan, uint32_t i, uint8_t *to, uint32_t room)
{
	uint32_t start = i ? plan->first_len + (i - 1) * plan->rest_len : 0;
	uint32_t len = i ? plan->rest_len : plan->first_len;
	uint32_t hdr_len = i ? plan->rest_hdr : plan->first_hdr;
	bool more = i + 1 < plan->n;

	if (!more)
		len = plan->len - plan->payload_at - start;
	if (hdr_len + len > room)
		return 0;
	memcpy(to + hdr_len, plan->ip + plan->payload_at + start, len);
	if (plan->n == 1)
		return len;
	if (plan->ip[0] >> 4 == 4)
		write_v4(plan, to, start, len, more);
	else
		write_v6(plan, to, start, len, more);
	return hdr_len + len;
}
