/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "ipsec/quote.h"

#include <errno.h>
#include <string.h>

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>

#include "ipsec/bytes.h"

#define ICMP_LEN 8U
#define UPPER_MIN 8U             /* what every ICMPv4 error quotes behind the IP header (RFC 792) */
#define EXT_HEADERS 8            /* our own packets have fewer */
#define SPI_RESERVED 255         /* RFC 4303 section 2.1 */

/* What a router that leaves the MTU at 0 may have meant (RFC 1191 section 7.1, table 7-1). */
static uint32_t plateau_below(uint32_t len)
{
	static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};
	unsigned int i;

	for (i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++)
		if (plateaus[i] < len)
			return plateaus[i];
	return 68;
}

static bool checksum_good(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;

	for (; len > 1; p += 2, len -= 2)
		sum += xi_get16(p);
	if (len)
		sum += (uint32_t)*p << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static int quote_spi(struct xi_quote *q, uint32_t spi)
{
	q->spi = spi;
	q->has_spi = true;
	return spi > SPI_RESERVED ? 0 : -EINVAL;
}

static void quote_seq(struct xi_quote *q, const uint8_t *p, uint32_t len, uint32_t at)
{
	q->has_seq = len >= at + 4;
	if (q->has_seq)
		q->seq = xi_get32(p + at);
}

/* RFC 3948 section 2: a datagram shorter than an ESP header is a keepalive, SPI 0 marks IKE. */
static int quote_udp(struct xi_quote *q, const uint8_t *p, uint32_t len)
{
	int err = 0;

	if (xi_get16(p + 4) < 16)
		return -EINVAL;
	q->proto = XI_ESP;
	q->encap = true;
	q->sport = xi_get16(p);
	q->dport = xi_get16(p + 2);
	if (len >= 12)
		err = quote_spi(q, xi_get32(p + 8));
	quote_seq(q, p, len, 12);
	return err;
}

static int quote_upper(struct xi_quote *q, uint8_t proto, const uint8_t *p, uint32_t len)
{
	if (len < UPPER_MIN)
		return -EINVAL;
	switch (proto) {
	case IPPROTO_ESP:
		q->proto = XI_ESP;
		quote_seq(q, p, len, 4);
		return quote_spi(q, xi_get32(p));
	case IPPROTO_AH:
		q->proto = XI_AH;
		quote_seq(q, p, len, 8);
		return quote_spi(q, xi_get32(p + 4));
	case IPPROTO_UDP:
		return quote_udp(q, p, len);
	}
	return -EINVAL;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static int quote_v4(struct xi_quote *q, const uint8_t *p, uint32_t len)
{
	const struct iphdr *ip = (const void *)p;
	uint32_t hlen;

	if (len < sizeof(*ip))
		return -EINVAL;
	hlen = ip->ihl * 4U;
	q->len = ntohs(ip->tot_len);
	len = min_u32(len, q->len);
	if (ip->version != 4 || hlen < sizeof(*ip) || len < hlen ||
	    (ntohs(ip->frag_off) & IP_OFFMASK))
		return -EINVAL;
	memcpy(q->saddr, &ip->saddr, 4);
	memcpy(q->daddr, &ip->daddr, 4);
	if (!q->mtu)
		q->mtu = plateau_below(q->len);
	return quote_upper(q, ip->protocol, p + hlen, len - hlen);
}

/* Moves *p and *len behind an extension header. 1: there was none, 0: moved, -EINVAL. */
static int ext_skip(uint8_t *next, const uint8_t **p, uint32_t *len)
{
	uint32_t n;

	if (*next != IPPROTO_HOPOPTS && *next != IPPROTO_ROUTING && *next != IPPROTO_DSTOPTS &&
	    *next != IPPROTO_FRAGMENT)
		return 1;
	if (*len < 8)
		return -EINVAL;
	n = *next == IPPROTO_FRAGMENT ? 8 : ((*p)[1] + 1U) * 8;
	if (n > *len || (*next == IPPROTO_FRAGMENT && (xi_get16(*p + 2) & ~7)))
		return -EINVAL;
	*next = (*p)[0];
	*p += n;
	*len -= n;
	return 0;
}

static int quote_v6(struct xi_quote *q, const uint8_t *p, uint32_t len)
{
	const struct ip6_hdr *ip6 = (const void *)p;
	uint8_t next;
	int i, err = 0;

	if (len < sizeof(*ip6) || p[0] >> 4 != 6)
		return -EINVAL;
	memcpy(q->saddr, &ip6->ip6_src, 16);
	memcpy(q->daddr, &ip6->ip6_dst, 16);
	q->len = (uint32_t)sizeof(*ip6) + ntohs(ip6->ip6_plen);
	next = ip6->ip6_nxt;
	len = min_u32(len, q->len) - (uint32_t)sizeof(*ip6);
	p += sizeof(*ip6);
	for (i = 0; i < EXT_HEADERS && !err; i++)
		err = ext_skip(&next, &p, &len);
	return err == 1 ? quote_upper(q, next, p, len) : -EINVAL;
}

int xi_quote_parse(struct xi_quote *quote, enum xi_family family, const uint8_t *icmp, uint32_t len)
{
	int err;

	*quote = (struct xi_quote){ .family = family };
	if (len < ICMP_LEN)
		return -EINVAL;
	if (family == XI_IPV4) {
		if (icmp[0] != ICMP_DEST_UNREACH || icmp[1] != ICMP_FRAG_NEEDED ||
		    !checksum_good(icmp, len))
			return -EINVAL;
		quote->mtu = xi_get16(icmp + 6);
		err = quote_v4(quote, icmp + ICMP_LEN, len - ICMP_LEN);
	} else {
		quote->mtu = xi_get32(icmp + 4);
		if (icmp[0] != ICMP6_PACKET_TOO_BIG || quote->mtu < 1280)
			return -EINVAL;
		err = quote_v6(quote, icmp + ICMP_LEN, len - ICMP_LEN);
	}
	return err ? err : quote->mtu < quote->len ? 0 : -EINVAL;
}
