/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "bpf_packet.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

int xi_addr_parse(uint8_t addr[16], const char *text)
{
	memset(addr, 0, 16);
	if (strchr(text, ':'))
		return inet_pton(AF_INET6, text, addr) == 1 ? 6 : 0;
	return inet_pton(AF_INET, text, addr) == 1 ? 4 : 0;
}

static void put(struct xi_frame *f, const void *bytes, uint32_t len)
{
	if (bytes)
		memcpy(f->data + f->len, bytes, len);
	else
		memset(f->data + f->len, 0, len);
	f->len += len;
}

static void put8(struct xi_frame *f, uint8_t v)
{
	put(f, &v, 1);
}

static void put16(struct xi_frame *f, uint16_t v)
{
	v = htons(v);
	put(f, &v, 2);
}

static void put32(struct xi_frame *f, uint32_t v)
{
	v = htonl(v);
	put(f, &v, 4);
}

static void put_eth(struct xi_frame *f, const struct xi_spec *s, uint16_t type)
{
	put(f, s->dmac, 6);
	put(f, s->smac, 6);
	for (unsigned int i = 0; i < s->vlans; i++) {
		put16(f, i + 1 < s->vlans ? ETH_P_8021AD : ETH_P_8021Q);
		put16(f, 5 + i);
	}
	put16(f, s->eth_type ? s->eth_type : type);
}

/* Eight bytes, ICMP included, whose meaning depends on the protocol. */
static void put_l4(struct xi_frame *f, const struct xi_spec *s)
{
	if (s->frag_off) {
		put(f, NULL, 8);
	} else if (s->proto == IPPROTO_ESP) {
		put32(f, s->spi);
		put32(f, 1);
	} else if (s->proto == IPPROTO_AH) {
		put8(f, IPPROTO_IPIP);
		put8(f, 4); /* ICV of 12 bytes (RFC 4302 section 2.2) */
		put16(f, 0);
		put32(f, s->spi);
	} else if (s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6) {
		put8(f, s->sport);
		put8(f, s->dport);
		put(f, NULL, 6);
	} else {
		put16(f, s->sport);
		put16(f, s->dport);
		put16(f, 8 + s->payload_len + s->udp_skew);
		put16(f, 0);
	}
	put(f, s->payload, s->payload_len);
}

/* RFC 1071. */
static uint16_t checksum(const uint8_t *p, uint32_t len)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < len; i += 2)
		sum += p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static void put_ipv4(struct xi_frame *f, const struct xi_spec *s, const uint8_t *src,
		     const uint8_t *dst)
{
	uint8_t *ip = f->data + f->len;
	uint16_t sum;

	put8(f, s->version_ihl ? s->version_ihl : 0x45);
	put8(f, 0);
	put16(f, 20 + 8 + s->payload_len - s->shrink);
	put16(f, 1);
	put16(f, (s->mf ? 0x2000 : 0) | s->frag_off);
	put8(f, s->hops ? s->hops : 64);
	put8(f, s->proto);
	put16(f, 0);
	put(f, src, 4);
	put(f, dst, 4);
	sum = checksum(ip, 20);
	memcpy(ip + 10, &sum, 2);
	put_l4(f, s);
}

static uint8_t ext_proto(char c)
{
	return c == 'h' ? IPPROTO_HOPOPTS : c == 'r' ? IPPROTO_ROUTING : IPPROTO_DSTOPTS;
}

/* Extension headers in the order of s->ext, then the fragment header. */
static void put_ipv6(struct xi_frame *f, const struct xi_spec *s, const uint8_t *src,
		     const uint8_t *dst)
{
	const char *ext = s->ext ? s->ext : "";
	bool fragment = s->frag_off || s->mf || s->atomic;
	uint8_t last = fragment ? IPPROTO_FRAGMENT : s->proto;
	size_t n = strlen(ext);

	put32(f, s->version_ihl ? (uint32_t)s->version_ihl << 24 : 0x60000000);
	put16(f, 8 * n + (fragment ? 8 : 0) + 8 + s->payload_len - s->shrink);
	put8(f, n ? ext_proto(ext[0]) : last);
	put8(f, s->hops ? s->hops : 64);
	put(f, src, 16);
	put(f, dst, 16);
	for (size_t i = 0; i < n; i++) {
		put8(f, i + 1 < n ? ext_proto(ext[i + 1]) : last);
		put8(f, 0);
		put(f, "\1\4\0\0\0\0", 6);
	}
	if (fragment) {
		put8(f, s->proto);
		put8(f, 0);
		put16(f, s->frag_off << 3 | s->mf);
		put32(f, 7);
	}
	put_l4(f, s);
}

void xi_frame_build(struct xi_frame *frame, const struct xi_spec *spec)
{
	uint8_t src[16], dst[16];
	int family = spec->src ? xi_addr_parse(src, spec->src) : 0;

	frame->len = 0;
	if (spec->dst)
		xi_addr_parse(dst, spec->dst);
	put_eth(frame, spec, family == 6 ? ETH_P_IPV6 : ETH_P_IP);
	if (family == 4)
		put_ipv4(frame, spec, src, dst);
	else if (family == 6)
		put_ipv6(frame, spec, src, dst);
	else
		put(frame, NULL, 46);
	frame->len -= spec->cut;
}
