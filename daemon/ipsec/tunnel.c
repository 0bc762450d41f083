// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/tunnel.h"

#include <string.h>

#include "ipsec/bytes.h"

#define OUTER_TTL 64
#define ECN_MASK 3

enum ecn { NOT_ECT, ECT1, ECT0, CE };

#define ECN_DROP 0xff

/* RFC 6040 figure 4: [inner][outer], both in the order of the code points. */
static const uint8_t ecn_out[4][4] = {
	[NOT_ECT] = {[NOT_ECT] = NOT_ECT, [ECT1] = NOT_ECT, [ECT0] = NOT_ECT, [CE] = ECN_DROP},
	[ECT1] = {[NOT_ECT] = ECT1, [ECT1] = ECT1, [ECT0] = ECT1, [CE] = CE},
	[ECT0] = {[NOT_ECT] = ECT0, [ECT1] = ECT1, [ECT0] = ECT0, [CE] = CE},
	[CE] = {[NOT_ECT] = CE, [ECT1] = CE, [ECT0] = CE, [CE] = CE},
};

/* RFC 1071 over the 20 bytes of a header without options, not folded. */
static uint32_t header_sum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < sizeof(struct iphdr); i += 2)
		sum += xi_get16(ip + i);
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	return (uint16_t)~sum;
}

static void template4(struct xi_sa_ctx *ctx, uint8_t proto, const struct xi_sa *sa)
{
	ctx->outer_len = sizeof(struct iphdr);
	ctx->hdr[0] = 0x45;
	ctx->hdr[8] = OUTER_TTL;
	ctx->hdr[9] = proto;
	memcpy(ctx->hdr + 12, sa->saddr, 4);
	memcpy(ctx->hdr + 16, sa->id.daddr, 4);
	ctx->hdr_sum = header_sum(ctx->hdr);
}

static void template6(struct xi_sa_ctx *ctx, uint8_t proto, const struct xi_sa *sa)
{
	ctx->outer_len = sizeof(struct ip6_hdr);
	ctx->hdr[0] = 0x60;
	ctx->hdr[6] = proto;
	ctx->hdr[7] = OUTER_TTL;
	memcpy(ctx->hdr + 8, sa->saddr, 16);
	memcpy(ctx->hdr + 24, sa->id.daddr, 16);
}

void xi_tunnel_template(struct xi_sa_ctx *ctx, const struct xi_sa *sa)
{
	uint8_t proto = ctx->encap ? IPPROTO_UDP : ctx->proto;

	memset(ctx->hdr, 0, sizeof(ctx->hdr));
	if (ctx->family == 4)
		template4(ctx, proto, sa);
	else
		template6(ctx, proto, sa);
	xi_put16(ctx->hdr + XI_TUNNEL_UDP, sa->encap_sport);
	xi_put16(ctx->hdr + XI_TUNNEL_UDP + 2, sa->encap_dport);
	if (ctx->transport)
		ctx->outer_len = 0;
}

/* RFC 4301 section 5.1.2.1; an IPv6 packet inside may not be fragmented on its way either. */
static bool outer_df(const struct xi_sa_ctx *ctx, const uint8_t *inner)
{
	if (ctx->df_clear || ctx->df_set)
		return ctx->df_set;
	return inner[0] >> 4 == 6 || (inner[6] & 0x40);
}

/*
 * The checksum comes from the template's sum and what differs from it: to read the header back that
 * was just written would wait until its cache line has come from the core that received the packet.
 */
static void encap4(const struct xi_sa_ctx *ctx, uint8_t *outer, uint8_t tos, uint16_t len,
		   uint16_t id, bool df)
{
	uint16_t frag_off = df ? IP_DF : 0;

	memcpy(outer, ctx->hdr, sizeof(struct iphdr));
	outer[1] = tos;
	xi_put16(outer + 2, len);
	xi_put16(outer + 4, id);
	xi_put16(outer + 6, frag_off);
	xi_put16(outer + 10, sum_fold(ctx->hdr_sum + tos + len + id + frag_off));
}

void xi_tunnel_encap(const struct xi_sa_ctx *ctx, uint8_t *outer, const uint8_t *inner,
		     uint32_t len, uint64_t seq)
{
	uint8_t inner_tos = xi_tunnel_tos(inner);
	uint8_t tos = ctx->dscp_copy ? inner_tos & (uint8_t)~ECN_MASK : 0;
	bool df;

	if (ctx->ecn)
		tos |= inner_tos & ECN_MASK;
	if (ctx->family == 4) {
		df = outer_df(ctx, inner);
		encap4(ctx, outer, tos, (uint16_t)len, df ? 0 : (uint16_t)seq, df);
	} else {
		memcpy(outer, ctx->hdr, sizeof(struct ip6_hdr));
		outer[0] |= tos >> 4;
		outer[1] = (uint8_t)(tos << 4);
		xi_put16(outer + 4, (uint16_t)(len - sizeof(struct ip6_hdr)));
	}
}

/* RFC 1624 equation 3, for the 16-bit word that holds version, header length and TOS. */
static void set_tos4(uint8_t *ip, uint8_t tos)
{
	uint32_t sum = (uint16_t)~xi_get16(ip + 10);

	sum += (uint16_t)~xi_get16(ip);
	ip[1] = tos;
	sum += xi_get16(ip);
	xi_put16(ip + 10, sum_fold(sum));
}

static void set_tos6(uint8_t *ip, uint8_t tos)
{
	ip[0] = (uint8_t)((ip[0] & 0xf0) | tos >> 4);
	ip[1] = (uint8_t)((ip[1] & 0x0f) | tos << 4);
}

enum xi_reason xi_tunnel_decap(const struct xi_sa_ctx *ctx, uint8_t *inner, uint8_t outer_tos)
{
	uint8_t inner_tos = xi_tunnel_tos(inner);
	uint8_t ecn = inner_tos & ECN_MASK;
	uint8_t tos;

	if (ctx->ecn)
		ecn = ecn_out[ecn][outer_tos & ECN_MASK];
	if (ecn == ECN_DROP)
		return XI_DROP_INNER_ECN;
	tos = ((ctx->dscp_decap ? outer_tos : inner_tos) & (uint8_t)~ECN_MASK) | ecn;
	if (tos == inner_tos)
		return XI_NONE;
	if (inner[0] >> 4 == 4)
		set_tos4(inner, tos);
	else
		set_tos6(inner, tos);
	return XI_NONE;
}
