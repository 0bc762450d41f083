// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/framed.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/ext.h"
#include "ipsec/transform.h"
#include "ipsec/tunnel.h"

/* Where things are in a framed packet; from its IP header. */
struct layout {
	uint32_t end;	 /* of the packet as its own header tells it */
	uint32_t offset; /* of ESP or AH */
	uint32_t payload;
	uint32_t payload_len; /* without the trailer */
	uint8_t next_header;
};

/* Its addresses are the SA's: in transport mode, too, they name it. */
static bool addresses_fit(const struct xi_sa_ctx *ctx, const uint8_t *ip)
{
	static const uint8_t any[16];
	uint32_t at = ctx->family == 6 ? 8 : 12, len = ctx->family == 6 ? 16 : 4;
	const uint8_t *saddr = ctx->hdr + at;

	return !memcmp(ip + at + len, saddr + len, len) &&
	       (!memcmp(saddr, any, len) || !memcmp(saddr, ip + at, len));
}

static enum xi_reason find_proto4(const uint8_t *ip, uint8_t proto, uint32_t *offset)
{
	uint32_t hdr_len = (ip[0] & 0xfU) * 4;

	if (xi_get16(ip + 6) & (IP_MF | IP_OFFMASK))
		return XI_DROP_WORKER_MALFORMED;
	if (!xi_ip4_sound(ip))
		return XI_DROP_WORKER_MALFORMED;
	*offset = hdr_len;
	return ip[9] == proto ? XI_NONE : XI_DROP_SA_MODE;
}

/* The IP header, and UDP's (RFC 3948 section 2.1) where the SA has it. */
static enum xi_reason find_header(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				  struct layout *at)
{
	uint8_t proto = ctx->encap ? IPPROTO_UDP : ctx->proto;
	const uint8_t *ip = pkt->data, *udp;
	enum xi_reason why;
	uint32_t nh;
	uint8_t version;

	if (!xi_tunnel_measure(ip, pkt->len, &version, &at->end))
		return XI_DROP_WORKER_MALFORMED;
	if (version != ctx->family)
		return XI_DROP_SA_MODE;
	if (version == 4) {
		why = find_proto4(ip, proto, &at->offset);
		if (why)
			return why;
	} else if (!xi_ext_find(ip, at->end, proto, &at->offset, &nh)) {
		return XI_DROP_SA_MODE;
	}
	if (!addresses_fit(ctx, ip))
		return XI_DROP_SA_GONE;
	if (!ctx->encap)
		return XI_NONE;
	udp = ip + at->offset;
	if (at->end - at->offset < XI_UDP_LEN || memcmp(udp, ctx->hdr + XI_TUNNEL_UDP, 4) ||
	    xi_get16(udp + 4) != at->end - at->offset || xi_get16(udp + 6))
		return XI_DROP_WORKER_MALFORMED;
	at->offset += XI_UDP_LEN;
	return XI_NONE;
}

/*
 * The 64-bit number whose low half was sent: the last one given out that ends so. Without ESN, too,
 * the state counts in 64 bits: whoever adds to it does not stop at 2^32.
 */
static enum xi_reason infer_seq(const struct xi_sa_ctx *ctx, uint32_t low, uint64_t *seq)
{
	uint64_t oseq = __atomic_load_n(&ctx->state->oseq, __ATOMIC_RELAXED);
	uint64_t high = oseq >> 32;

	if (low > (uint32_t)oseq && !high--)
		return XI_DROP_WORKER_MALFORMED;
	*seq = high << 32 | low;
	if (!*seq)
		return XI_DROP_WORKER_MALFORMED;
	if (!ctx->esn && high)
		return XI_DROP_SEQ_EXHAUSTED;
	if (*seq > __atomic_load_n(&ctx->state->oseq_limit, __ATOMIC_RELAXED))
		return XI_DROP_SEQ_RESERVE;
	return XI_NONE;
}

/* RFC 4303 sections 2.4 to 2.7. The payload gets its length; ICV and padding are no part of it. */
static enum xi_reason parse_esp(const struct xi_sa_ctx *ctx, const uint8_t *ip, struct layout *at)
{
	uint32_t head = XI_ESP_HDR_LEN + ctx->iv_len, len, pad;
	const uint8_t *data;

	if (at->end - at->offset < head + XI_ESP_TRAILER_LEN + ctx->icv_len)
		return XI_DROP_WORKER_MALFORMED;
	at->payload = at->offset + head;
	len = at->end - at->payload - ctx->icv_len;
	if (len & (ctx->pad_align - 1U))
		return XI_DROP_WORKER_MALFORMED;
	data = ip + at->payload;
	pad = data[len - 2];
	at->next_header = data[len - 1];
	if (pad > len - XI_ESP_TRAILER_LEN)
		return XI_DROP_WORKER_MALFORMED;
	at->payload_len = len - XI_ESP_TRAILER_LEN - pad;
	for (uint32_t i = 0; i < pad; i++)
		if (data[at->payload_len + i] != i + 1)
			return XI_DROP_WORKER_MALFORMED;
	return XI_NONE;
}

/* RFC 4302 section 2: next header, length in words less 2, 16 bits reserved. */
static enum xi_reason parse_ah(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
			       struct layout *at)
{
	const uint8_t *ah = pkt->data + at->offset;

	if (at->offset > XI_AH_HDR_MAX || at->end - at->offset < ctx->ah_len ||
	    ah[1] != ctx->ah_len / 4 - 2 || xi_get16(ah + 2))
		return XI_DROP_WORKER_MALFORMED;
	if (ctx->esn && pkt->tailroom + (pkt->len - at->end) < XI_AH_SCRATCH)
		return XI_DROP_TOO_BIG;
	at->next_header = ah[0];
	at->payload = at->offset + ctx->ah_len;
	at->payload_len = at->end - at->payload;
	return XI_NONE;
}

/* A whole packet of the family that next header and SA say, and behind it TFC padding at most; ESP
 * may carry nothing. */
static enum xi_reason judge_inside(const struct xi_sa_ctx *ctx, const uint8_t *ip,
				   const struct layout *at)
{
	uint32_t inner_len;

	if (ctx->transport || (ctx->proto == XI_ESP && at->next_header == IPPROTO_NONE))
		return XI_NONE;
	if (xi_tunnel_judge(ctx, ip + at->payload, at->payload_len, at->next_header, &inner_len))
		return XI_DROP_WORKER_MALFORMED;
	return ctx->proto == XI_AH && inner_len != at->payload_len ? XI_DROP_WORKER_MALFORMED
								   : XI_NONE;
}

static enum xi_reason find_frame(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				 struct layout *at, struct xi_frame *frame)
{
	/* SPI and sequence number */
	uint32_t ids = ctx->proto == XI_AH ? 4 : 0;
	uint8_t *ip = pkt->data;
	enum xi_reason why;

	why = find_header(ctx, pkt, at);
	if (!why)
		why = ctx->proto == XI_AH ? parse_ah(ctx, pkt, at) : parse_esp(ctx, ip, at);
	if (why)
		return why;
	if (memcmp(ip + at->offset + ids, &ctx->spi_be, 4))
		return XI_DROP_SA_GONE;
	why = judge_inside(ctx, ip, at);
	if (!why)
		why = infer_seq(ctx, xi_get32(ip + at->offset + ids + 4), &frame->seq);
	frame->ip = ip;
	frame->len = at->end;
	frame->offset = at->offset;
	frame->clear_len = at->payload_len;
	return why;
}

/* Unique as the number is (RFC 4106 section 3.1, RFC 4543 section 4). Of a random IV the engine
 * makes its own. */
static void write_iv(const struct xi_sa_ctx *ctx, const struct xi_frame *frame)
{
	uint8_t *hdr = frame->ip + frame->offset;

	if (ctx->iv_len)
		xi_put64(hdr + (ctx->proto == XI_AH ? XI_AH_HDR_LEN : XI_ESP_HDR_LEN), frame->seq);
}

enum xi_reason xi_framed_parse(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
			       struct xi_frame *frame)
{
	struct layout at;
	enum xi_reason why = find_frame(ctx, pkt, &at, frame);

	if (!why)
		write_iv(ctx, frame);
	return why;
}

enum xi_reason xi_framed_parse_two(const struct xi_sa_ctx *ctx, const struct xi_sa_ctx *next,
				   const struct xi_pkt *pkt, struct xi_frame *frame,
				   struct xi_frame *next_frame)
{
	struct layout outer, at;
	struct xi_pkt inner;
	enum xi_reason why;

	if (next->transport)
		return XI_DROP_SA_MODE;
	why = find_frame(next, pkt, &outer, next_frame);
	if (why)
		return why;
	if (outer.next_header == IPPROTO_NONE)
		return XI_DROP_WORKER_MALFORMED;
	inner = (struct xi_pkt){
		.data = pkt->data + outer.payload,
		.len = outer.payload_len,
		.tailroom = pkt->tailroom + pkt->len - outer.payload - outer.payload_len,
	};
	why = find_frame(ctx, &inner, &at, frame);
	if (why)
		return why;
	write_iv(next, next_frame);
	write_iv(ctx, frame);
	return XI_NONE;
}
