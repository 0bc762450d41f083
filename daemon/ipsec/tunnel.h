/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Outer headers of tunnel mode (RFC 4301 section 5.1.2), their ECN (RFC 6040) and DSCP (RFC 2983). */
#ifndef XI_TUNNEL_H
#define XI_TUNNEL_H

#include <stdbool.h>
#include <stdint.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include <xipsec/reasons.h>
#include "ipsec/bytes.h"
#include "ipsec/sa_ctx.h"

#define XI_TUNNEL_UDP 40     /* where in ctx->hdr UDP's ports are */

/*
 * Builds ctx->hdr and ctx->outer_len, which is 0 in transport mode: the addresses are there all the
 * same. family, proto, encap and transport must be set.
 */
void xi_tunnel_template(struct xi_sa_ctx *ctx, const struct xi_sa *sa);

/*
 * IP version and length of the packet at ip as its own header tells it: *ip_len <= len. Bytes
 * behind it belong to no packet (Ethernet padding, TFC padding). False: cut short, contradictory,
 * or a jumbogram.
 */
static inline bool xi_tunnel_measure(const uint8_t *ip, uint32_t len, uint8_t *version,
				     uint32_t *ip_len)
{
	uint32_t hdr_len;

	if (len < sizeof(struct iphdr))
		return false;
	*version = ip[0] >> 4;
	if (*version == 4) {
		hdr_len = (ip[0] & 0xfU) * 4;
		*ip_len = xi_get16(ip + 2);
		return hdr_len >= sizeof(struct iphdr) && hdr_len <= *ip_len && *ip_len <= len;
	}
	if (*version != 6 || len < sizeof(struct ip6_hdr))
		return false;
	*ip_len = sizeof(struct ip6_hdr) + xi_get16(ip + 4);
	if (*ip_len == sizeof(struct ip6_hdr) && ip[6] == IPPROTO_HOPOPTS)
		return false;
	return *ip_len <= len;
}

/* TOS or traffic class of a measured packet. */
static inline uint8_t xi_tunnel_tos(const uint8_t *ip)
{
	return ip[0] >> 4 == 4 ? ip[1] : (uint8_t)(ip[0] << 4 | ip[1] >> 4);
}

/*
 * Writes the outer IP header at outer for an inner packet of a known version. len: bytes of the
 * whole outer packet. The IPv4 ID comes from seq unless DF is set (RFC 6864). The IPv6 flow label is 0:
 * it shows nothing of the flows inside.
 */
void xi_tunnel_encap(const struct xi_sa_ctx *ctx, uint8_t *outer, const uint8_t *inner,
		     uint32_t len, uint64_t seq);

/*
 * What came out of an SA in tunnel mode: it must be what the next header and the SA say, and lie
 * within len bytes; *inner_len is its own length.
 */
static inline enum xi_crypto_status xi_tunnel_judge(const struct xi_sa_ctx *ctx,
						     const uint8_t *inner, uint32_t len,
						     uint8_t next_header, uint32_t *inner_len)
{
	uint8_t family, version;

	if (next_header == IPPROTO_IPIP)
		family = 4;
	else if (next_header == IPPROTO_IPV6)
		family = 6;
	else
		return XI_CRYPTO_INVALID_PROTOCOL;
	if (ctx->inner_family && ctx->inner_family != family)
		return XI_CRYPTO_INVALID_PROTOCOL;
	if (!xi_tunnel_measure(inner, len, &version, inner_len) || version != family)
		return XI_CRYPTO_INVALID_PACKET_SYNTAX;
	return XI_CRYPTO_SUCCESS;
}

/* Carries ECN and DSCP of the outer header over to the inner packet. XI_NONE or XI_DROP_INNER_ECN.
 */
enum xi_reason xi_tunnel_decap(const struct xi_sa_ctx *ctx, uint8_t *inner, uint8_t outer_tos);

#endif
