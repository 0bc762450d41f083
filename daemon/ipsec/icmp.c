// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/icmp.h"

#include <string.h>

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"

#define QUOTE_V4 (576 - 28)
#define QUOTE_V6 (1280 - 48)

static bool may_answer_v4(const struct xi_pkt *pkt)
{
	const struct iphdr *ip = (const void *)pkt->data;
	uint32_t hlen = ip->ihl * 4U, src = ntohl(ip->saddr), dst = ntohl(ip->daddr);
	uint8_t type;

	if (pkt->len < hlen + 8 || (ntohs(ip->frag_off) & IP_OFFMASK))
		return false;
	if (!src || src >> 28 >= 14 || dst >> 28 >= 14)
		return false;
	if (ip->protocol != IPPROTO_ICMP)
		return true;
	type = pkt->data[hlen];
	return type == ICMP_ECHO || type == ICMP_ECHOREPLY || type == ICMP_TIMESTAMP ||
	       type == ICMP_TIMESTAMPREPLY;
}

static bool may_answer_v6(const struct xi_pkt *pkt)
{
	const struct ip6_hdr *ip6 = (const void *)pkt->data;

	if (pkt->len < sizeof(*ip6) + 8 || IN6_IS_ADDR_MULTICAST(&ip6->ip6_src) ||
	    IN6_IS_ADDR_UNSPECIFIED(&ip6->ip6_src))
		return false;
	return ip6->ip6_nxt != IPPROTO_ICMPV6 || (pkt->data[sizeof(*ip6)] & ICMP6_INFOMSG_MASK);
}

bool xi_icmp_may_answer(const struct xi_pkt *pkt)
{
	if (pkt->len < 1)
		return false;
	if (pkt->data[0] >> 4 == 4)
		return pkt->len >= sizeof(struct iphdr) && may_answer_v4(pkt);
	return pkt->data[0] >> 4 == 6 && may_answer_v6(pkt);
}

static void pkt_prepend(struct xi_pkt *pkt, uint32_t head, uint32_t quote)
{
	uint32_t trimmed = pkt->len > quote ? pkt->len - quote : 0;

	pkt->len -= trimmed;
	pkt->tailroom += trimmed;
	pkt->data -= head;
	pkt->headroom -= head;
	pkt->len += head;
}

/* Packets lie at any alignment: headers are made here and copied there. */
static void too_big_v4(struct xi_pkt *pkt, const uint8_t src[16], uint32_t mtu)
{
	struct icmphdr icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_FRAG_NEEDED};
	struct iphdr ip = {
		.version = 4,
		.ihl = 5,
		.tos = 0xc0,
		.ttl = 64,
		.protocol = IPPROTO_ICMP,
	};
	uint8_t *at;

	memcpy(&ip.daddr, pkt->data + 12, 4);
	memcpy(&ip.saddr, src, 4);
	icmp.un.frag.mtu = htons((uint16_t)mtu);
	pkt_prepend(pkt, sizeof(ip) + sizeof(icmp), QUOTE_V4);
	memcpy(pkt->data, &ip, sizeof(ip));
	xi_ip4_finish(pkt->data, (uint16_t)pkt->len);
	at = pkt->data + sizeof(ip);
	memcpy(at, &icmp, sizeof(icmp));
	xi_put16(at + 2, xi_sum_finish(xi_sum_add(0, at, pkt->len - sizeof(ip))));
}

static void too_big_v6(struct xi_pkt *pkt, const uint8_t src[16], uint32_t mtu)
{
	struct icmp6_hdr icmp = {.icmp6_type = ICMP6_PACKET_TOO_BIG};
	struct ip6_hdr ip6 = {.ip6_flow = htonl(6U << 28)};
	uint32_t payload;

	memcpy(&ip6.ip6_dst, pkt->data + 8, 16);
	memcpy(&ip6.ip6_src, src, 16);
	icmp.icmp6_mtu = htonl(mtu);
	pkt_prepend(pkt, sizeof(ip6) + sizeof(icmp), QUOTE_V6);
	payload = pkt->len - sizeof(ip6);
	ip6.ip6_plen = htons((uint16_t)payload);
	ip6.ip6_nxt = IPPROTO_ICMPV6;
	ip6.ip6_hlim = 64;
	memcpy(pkt->data, &ip6, sizeof(ip6));
	memcpy(pkt->data + sizeof(ip6), &icmp, sizeof(icmp));
	xi_l4_checksum(pkt->data, pkt->data + sizeof(ip6), payload, IPPROTO_ICMPV6);
}

bool xi_icmp_too_big(struct xi_pkt *pkt, const uint8_t src[16], uint32_t mtu)
{
	if (pkt->headroom < sizeof(struct ip6_hdr) + sizeof(struct icmp6_hdr))
		return false;
	if (pkt->data[0] >> 4 == 4)
		too_big_v4(pkt, src, mtu);
	else
		too_big_v6(pkt, src, mtu);
	return true;
}
