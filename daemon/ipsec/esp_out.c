// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/esp.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/ext.h"
#include "ipsec/job.h"
#include "ipsec/strip.h"
#include "ipsec/tunnel.h"

#define IP_MAX 65535

unsigned int xi_esp_overhead(const struct xi_sa_ctx *ctx)
{
	return ctx->outer_len + xi_esp_front(ctx) + (ctx->pad_align - 1U) + XI_ESP_TRAILER_LEN +
	       ctx->icv_len;
}

/* Payload and trailer end on a multiple of pad_align (RFC 4303 section 2.4). */
static uint32_t pad_len(const struct xi_sa_ctx *ctx, uint32_t payload)
{
	return -(payload + XI_ESP_TRAILER_LEN) & (ctx->pad_align - 1U);
}

static void write_trailer(uint8_t *p, uint32_t pad, uint8_t next_header)
{
	for (uint32_t i = 1; i <= pad; i++)
		*p++ = (uint8_t)i;
	*p++ = (uint8_t)pad;
	*p = next_header;
}

/*
 * SPI, sequence number, IV, and in front of them UDP's header. The sequence number is given out
 * once, so it is the unique IV that counter modes need (RFC 4106 section 3.1). CBC needs one that
 * nobody foresees: sealing puts it in the place. len: from ESP to the end.
 */
static inline void write_front(const struct xi_sa_ctx *ctx, uint64_t seq, uint8_t *esp, uint32_t len)
{
	memcpy(esp, &ctx->spi_be, 4);
	xi_put32(esp + 4, (uint32_t)seq);
	if (ctx->iv_len)
		xi_put64(esp + XI_ESP_HDR_LEN, seq);
	if (ctx->encap) {
		memcpy(esp - XI_UDP_LEN, ctx->hdr + XI_TUNNEL_UDP, 4);
		xi_put16(esp - 4, (uint16_t)(len + XI_UDP_LEN));
		xi_put16(esp - 2, 0);
	}
}

/* Of a packet that has its bounds, IP header and trailer. payload: offset of what is behind the IV. */
static inline void frame_close(const struct xi_sa_ctx *ctx, uint64_t seq, const struct xi_pkt *pkt,
			       uint32_t payload, uint32_t clear_len, struct xi_frame *frame)
{
	*frame = (struct xi_frame){
		.ip = pkt->data,
		.len = pkt->len,
		.offset = payload - XI_ESP_HDR_LEN - ctx->iv_len,
		.clear_len = clear_len,
		.seq = seq,
	};
	write_front(ctx, seq, frame->ip + frame->offset, frame->len - frame->offset);
}

/* Moves the packet's bounds; false: no room, or too long for an IP packet, and nothing was moved. */
static inline bool grow(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt, uint32_t front,
			uint32_t payload_end, uint32_t back)
{
	uint32_t room = pkt->tailroom + (pkt->len - payload_end);
	uint32_t total = front + payload_end + back;

	if (pkt->headroom < front || room < back ||
	    total > IP_MAX + (ctx->family == 6 ? sizeof(struct ip6_hdr) : 0))
		return false;
	pkt->data -= front;
	pkt->len = total;
	pkt->headroom -= front;
	pkt->tailroom = room - back;
	return true;
}

/* RFC 4303 section 2.7: what tfcpad asks for, as far as the path carries it. */
static uint32_t tfc_len(const struct xi_sa_ctx *ctx, uint32_t inner_len, uint32_t limit)
{
	uint32_t to = ctx->tfcpad < limit ? ctx->tfcpad : limit;

	return to > inner_len ? to - inner_len : 0;
}

static enum xi_reason frame_tunnel(const struct xi_sa_ctx *ctx, uint64_t seq, uint32_t limit,
				   struct xi_pkt *pkt, struct xi_frame *frame)
{
	uint32_t esp_front = xi_esp_front(ctx), front = ctx->outer_len + esp_front;
	uint32_t inner_len, tfc = 0, pad, back;
	uint8_t version, *inner = pkt->data;

	if (!xi_tunnel_measure(inner, pkt->len, &version, &inner_len))
		return XI_DROP_WORKER_MALFORMED;
	if (ctx->inner_family && ctx->inner_family != version)
		return XI_DROP_SA_MODE;
	if (ctx->tfcpad)
		tfc = tfc_len(ctx, inner_len, limit);
	pad = pad_len(ctx, inner_len + tfc);
	back = tfc + pad + XI_ESP_TRAILER_LEN + ctx->icv_len;
	if (!grow(ctx, pkt, front, inner_len, back))
		return XI_DROP_TOO_BIG;
	if (tfc)
		memset(inner + inner_len, 0, tfc);
	write_trailer(inner + inner_len + tfc, pad, version == 6 ? IPPROTO_IPV6 : IPPROTO_IPIP);
	xi_tunnel_encap(ctx, pkt->data, inner, pkt->len, seq);
	frame_close(ctx, seq, pkt, front, inner_len + tfc, frame);
	return XI_NONE;
}

/* Where ESP goes into a packet: behind its IP header (RFC 4303 section 3.1.1). *nh: of the protocol's number. */
static enum xi_reason transport_place(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				      uint32_t *len, uint32_t *at, uint32_t *nh)
{
	uint8_t version;

	if (!xi_tunnel_measure(pkt->data, pkt->len, &version, len))
		return XI_DROP_WORKER_MALFORMED;
	if (version != ctx->family)
		return XI_DROP_SA_MODE;
	if (version == 6)
		return xi_ext_insert(pkt->data, *len, at, nh) ? XI_NONE : XI_DROP_WORKER_MALFORMED;
	/* RFC 4303 section 3.3.4: to whole datagrams, not to fragments */
	if (xi_get16(pkt->data + 6) & (IP_MF | IP_OFFMASK))
		return XI_DROP_SA_MODE;
	*at = (pkt->data[0] & 0xfU) * 4;
	*nh = 9;
	return XI_NONE;
}

static enum xi_reason frame_transport(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
				      struct xi_frame *frame)
{
	uint32_t front = xi_esp_front(ctx), len, at, nh, pad, back;
	uint8_t *ip = pkt->data, next_header;
	enum xi_reason why;

	why = transport_place(ctx, pkt, &len, &at, &nh);
	if (why)
		return why;
	pad = pad_len(ctx, len - at);
	back = pad + XI_ESP_TRAILER_LEN + ctx->icv_len;
	if (!grow(ctx, pkt, front, len, back))
		return XI_DROP_TOO_BIG;
	next_header = ip[nh];
	write_trailer(ip + len, pad, next_header);
	memmove(pkt->data, ip, at);
	xi_ip_changed(pkt->data, pkt->len, nh, ctx->encap ? IPPROTO_UDP : IPPROTO_ESP);
	frame_close(ctx, seq, pkt, at + front, len - at, frame);
	return XI_NONE;
}

enum xi_reason xi_esp_frame(const struct xi_sa_ctx *ctx, uint64_t seq, uint32_t limit,
			    struct xi_pkt *pkt, struct xi_frame *frame)
{
	if (ctx->transport)
		return frame_transport(ctx, seq, pkt, frame);
	return frame_tunnel(ctx, seq, limit, pkt, frame);
}

enum xi_reason xi_esp_frame_dummy(const struct xi_sa_ctx *ctx, uint64_t seq, uint32_t limit,
				  struct xi_pkt *pkt, struct xi_frame *frame)
{
	static const uint8_t like[sizeof(struct iphdr)] = {[0] = 0x45, [6] = IP_DF >> 8};
	uint32_t ip_len = ctx->family == 6 ? sizeof(struct ip6_hdr) : sizeof(struct iphdr);
	uint32_t front = ip_len + xi_esp_front(ctx), len = pkt->len;
	uint32_t tfc = ctx->tfcpad ? tfc_len(ctx, len, limit) : 0;
	uint32_t pad = pad_len(ctx, len + tfc);
	uint8_t *payload = pkt->data;

	if (!grow(ctx, pkt, front, len, tfc + pad + XI_ESP_TRAILER_LEN + ctx->icv_len))
		return XI_DROP_TOO_BIG;
	memset(payload + len, 0, tfc);
	write_trailer(payload + len + tfc, pad, IPPROTO_NONE);
	xi_tunnel_encap(ctx, pkt->data, like, pkt->len, seq);
	frame_close(ctx, seq, pkt, front, len + tfc, frame);
	return XI_NONE;
}

void xi_esp_out_job(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
		    struct xi_aead_job *job)
{
	uint8_t *esp = frame->ip + frame->offset;
	uint32_t head = XI_ESP_HDR_LEN + ctx->iv_len;

	xi_job_init(ctx, frame->seq, esp + XI_ESP_HDR_LEN, job);
	job->head_len = (uint16_t)head;
	job->fresh_iv = ctx->random_iv;
	job->data = esp + head;
	job->len = frame->len - frame->offset - head - ctx->icv_len;
	job->icv = job->data + job->len;
	job->clear_len = frame->clear_len;
}

/* RFC 8200 section 8.1 wants UDP's checksum, which RFC 3948 leaves 0 in IPv4. */
static void udp6_finish(const struct xi_frame *frame)
{
	uint8_t *udp = frame->ip + frame->offset - XI_UDP_LEN;
	uint32_t len = frame->len - frame->offset + XI_UDP_LEN;

	xi_l4_checksum(frame->ip, udp, len, IPPROTO_UDP);
}

enum xi_reason xi_esp_out_finish(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
				 const struct xi_aead_job *job, struct xi_esp_tally *tally)
{
	if (job->status) {
		xi_tally_failed(&ctx->state->other_failed);
		return XI_DROP_CRYPTO;
	}
	if (ctx->encap && ctx->family == 6)
		udp6_finish(frame);
	xi_tally_count(tally, ctx, job->clear_len);
	return XI_NONE;
}
