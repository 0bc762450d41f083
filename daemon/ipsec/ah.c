// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/ah.h"

#include <linux/xfrm.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "ipsec/ah_mute.h"
#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/ext.h"
#include "ipsec/job.h"
#include "ipsec/seq.h"
#include "ipsec/strip.h"
#include "ipsec/tunnel.h"

#define IP_MAX 65535
#define AH_LEN 1	     /* 32-bit words of AH, less 2 */
#define AH_SPI 4
#define AH_SEQ 8
#define FRAGMENT_LEN ((uint32_t)sizeof(struct ip6_frag))

static uint32_t aligned(uint32_t len, uint32_t to)
{
	return (len + to - 1) & -to;
}

/* The ICV field of AES-GMAC begins with the IV (RFC 4543 section 4). */
static uint32_t ah_filled(const struct xi_sa_ctx *ctx)
{
	return XI_AH_HDR_LEN + ctx->iv_len + ctx->icv_len;
}

unsigned int xi_ah_len(const struct xi_sa_ctx *ctx)
{
	bool align4 = ctx->family == 4 && (ctx->sa->flags & XFRM_STATE_ALIGN4);

	return aligned(ah_filled(ctx), align4 ? 4 : 8);
}

unsigned int xi_ah_overhead(const struct xi_sa_ctx *ctx)
{
	return ctx->outer_len + ctx->ah_len;
}

/* Where AH goes: in front of the whole packet, or behind its IP header. */
struct place {
	uint32_t len;                /* bytes of the packet as it is */
	uint32_t at;                 /* bytes of it that come in front of AH */
	uint32_t nh;                 /* transport mode: of the byte that says what follows */
	uint8_t next_header;         /* what AH says follows */
};

static enum xi_reason place_tunnel(const struct xi_sa_ctx *ctx, uint8_t version,
				   struct place *place)
{
	if (ctx->inner_family && ctx->inner_family != version)
		return XI_DROP_SA_MODE;
	place->at = 0;
	place->next_header = version == 6 ? IPPROTO_IPV6 : IPPROTO_IPIP;
	return XI_NONE;
}

/* Headers that no ICV can be made of are found before the packet is touched. */
static bool can_mute(const uint8_t *ip, uint32_t len)
{
	uint8_t copy[XI_AH_HDR_MAX];

	if (len > sizeof(copy))
		return false;
	memcpy(copy, ip, len);
	return xi_ah_mute(copy, len, true);
}

/* RFC 4302 section 3.1.1; of fragments section 3.3.4: AH is for whole datagrams. */
static enum xi_reason place_transport(const struct xi_sa_ctx *ctx, const uint8_t *ip,
				      uint8_t version, struct place *place)
{
	uint32_t bare = version == 4 ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);

	if (version != ctx->family)
		return XI_DROP_SA_MODE;
	if (version == 6) {
		if (!xi_ext_insert(ip, place->len, &place->at, &place->nh))
			return XI_DROP_WORKER_MALFORMED;
	} else {
		if (xi_get16(ip + 6) & (IP_MF | IP_OFFMASK))
			return XI_DROP_SA_MODE;
		place->at = (ip[0] & 0xfU) * 4;
		place->nh = 9;
	}
	if (place->at != bare && !can_mute(ip, place->at))
		return XI_DROP_WORKER_MALFORMED;
	place->next_header = ip[place->nh];
	return XI_NONE;
}

/*
 * Moves the packet's bounds; false: no room, or too long for an IP packet, and nothing was moved.
 */
static bool grow(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt, uint32_t len)
{
	uint32_t front = xi_ah_overhead(ctx), room = pkt->tailroom + (pkt->len - len);

	if (pkt->headroom < front || (ctx->esn && room < XI_AH_SCRATCH) ||
	    front + len > IP_MAX + (ctx->family == 6 ? sizeof(struct ip6_hdr) : 0))
		return false;
	pkt->data -= front;
	pkt->headroom -= front;
	pkt->len = front + len;
	pkt->tailroom = room;
	return true;
}

/*
 * The sequence number is given out once, so it is the unique IV that AES-GMAC needs. Padding is
 * zero, where a sender may put what he likes (section 2.6).
 */
static void write_ah(const struct xi_sa_ctx *ctx, uint64_t seq, uint8_t next_header, uint8_t *ah)
{
	memset(ah, 0, ctx->ah_len);
	ah[0] = next_header;
	ah[AH_LEN] = (uint8_t)(ctx->ah_len / 4 - 2);
	memcpy(ah + AH_SPI, &ctx->spi_be, 4);
	xi_put32(ah + AH_SEQ, (uint32_t)seq);
	if (ctx->iv_len)
		xi_put64(ah + XI_AH_HDR_LEN, seq);
}

enum xi_reason xi_ah_frame(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
			   struct xi_frame *frame)
{
	uint8_t version, *ip = pkt->data;
	enum xi_reason why;
	struct place place;

	if (!xi_tunnel_measure(ip, pkt->len, &version, &place.len))
		return XI_DROP_WORKER_MALFORMED;
	if (ctx->transport)
		why = place_transport(ctx, ip, version, &place);
	else
		why = place_tunnel(ctx, version, &place);
	if (why)
		return why;
	if (!grow(ctx, pkt, place.len))
		return XI_DROP_TOO_BIG;
	if (ctx->transport) {
		memmove(pkt->data, ip, place.at);
		xi_ip_changed(pkt->data, pkt->len, place.nh, IPPROTO_AH);
	} else {
		xi_tunnel_encap(ctx, pkt->data, ip, pkt->len, seq);
	}
	frame->ip = pkt->data;
	frame->len = pkt->len;
	frame->offset = ctx->outer_len + place.at;
	frame->clear_len = place.len - place.at;
	frame->seq = seq;
	write_ah(ctx, seq, place.next_header, frame->ip + frame->offset);
	return XI_NONE;
}

/* constant sizes: gcc 12 makes "rep movs", 25 ns, of a memcpy whose size it does not know */
static inline void copy_hdr(uint8_t *to, const uint8_t *from, uint32_t len)
{
	if (len == sizeof(struct iphdr))
		memcpy(to, from, sizeof(struct iphdr));
	else if (len == sizeof(struct ip6_hdr))
		memcpy(to, from, sizeof(struct ip6_hdr));
	else
		memcpy(to, from, len);
}

void xi_ah_restore(const struct xi_ah_saved *saved)
{
	copy_hdr(saved->ip, saved->hdr, saved->hdr_len);
	if (saved->icv_at)
		memcpy(saved->icv_at, saved->icv, saved->icv_len);
	if (saved->behind)
		memcpy(saved->behind, saved->scratch, sizeof(saved->scratch));
}

/*
 * Puts aside and zeroes, and says in the job what is covered: the IP header and what comes up to AH
 * is the head, AH and the rest the data. False: nothing was changed.
 */
static bool cover(const struct xi_sa_ctx *ctx, uint8_t *ip, uint32_t offset, uint32_t len, bool out,
		  struct xi_ah_saved *saved, struct xi_aead_job *job)
{
	uint8_t *icv = ip + offset + XI_AH_HDR_LEN + ctx->iv_len;

	saved->ip = ip;
	saved->hdr_len = (uint16_t)offset;
	saved->icv_at = NULL;
	saved->behind = NULL;
	copy_hdr(saved->hdr, ip, offset);
	if (!xi_ah_mute(ip, offset, out)) {
		xi_ah_restore(saved);
		return false;
	}
	if (!out) {
		saved->icv_at = icv;
		saved->icv_len = ctx->icv_len;
		memcpy(saved->icv, icv, ctx->icv_len);
	}
	memset(icv, 0, ctx->icv_len);
	if (ctx->esn) {
		saved->behind = ip + len;
		memcpy(saved->scratch, saved->behind, sizeof(saved->scratch));
	}
	job->ah = 1;
	job->head_len = (uint16_t)offset;
	job->data = ip + offset;
	job->len = len - offset;
	job->icv = out ? icv : saved->icv;
	return true;
}

enum xi_reason xi_ah_out_job(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
			     struct xi_ah_saved *saved, struct xi_aead_job *job)
{
	if (frame->offset > XI_AH_HDR_MAX || frame->len < frame->offset + ah_filled(ctx))
		return XI_DROP_WORKER_MALFORMED;
	xi_job_init(ctx, frame->seq, frame->ip + frame->offset + XI_AH_HDR_LEN, job);
	job->clear_len = frame->clear_len;
	return cover(ctx, frame->ip, frame->offset, frame->len, true, saved, job)
		       ? XI_NONE
		       : XI_DROP_WORKER_MALFORMED;
}

enum xi_reason xi_ah_out_finish(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
				struct xi_esp_tally *tally)
{
	if (job->status) {
		xi_tally_failed(&ctx->state->other_failed);
		return XI_DROP_CRYPTO;
	}
	xi_tally_count(tally, ctx, job->clear_len);
	return XI_NONE;
}

/* Where AH begins and the packet ends. Ethernet padding behind it is not covered. */
static enum xi_reason parse(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
			    struct xi_esp_in *in, uint32_t *end)
{
	const uint8_t *ip = pkt->data;
	uint32_t offset;
	uint8_t version;

	if (!xi_tunnel_measure(ip, pkt->len, &version, end))
		return XI_DROP_WORKER_MALFORMED;
	if (version != ctx->family)
		return XI_DROP_SA_GONE;
	if (version == 4) {
		offset = (ip[0] & 0xfU) * 4;
		in->next_offset = 9;
		if (ip[9] != IPPROTO_AH || xi_get16(ip + 6) & (IP_MF | IP_OFFMASK))
			return XI_DROP_WORKER_MALFORMED;
	} else if (!xi_ext_find(ip, *end, IPPROTO_AH, &offset, &in->next_offset)) {
		return XI_DROP_WORKER_MALFORMED;
	}
	if (offset > XI_AH_HDR_MAX)
		return XI_DROP_WORKER_MALFORMED;
	in->header_len = (uint16_t)offset;
	return XI_NONE;
}

/*
 * Bytes of a received AH header, of which room follow; 0: too few, or other than ICV and padding
 * make them. An IPv4 sender pads to 4 bytes as the RFC has it, or to 8 as Linux does; in IPv6 there
 * is but one way.
 */
static uint32_t ah_received(const struct xi_sa_ctx *ctx, const uint8_t *ah, uint32_t room)
{
	uint32_t filled = ah_filled(ctx), len;

	if (room < filled)
		return 0;
	len = (ah[AH_LEN] + 2U) * 4;
	if (len > room)
		return 0;
	if (len == aligned(filled, 8) || (ctx->family == 4 && len == aligned(filled, 4)))
		return len;
	return 0;
}

/* An atomic fragment header (RFC 6946), whose place *at is and whose name stands at nh, goes. */
static void atomic_remove(struct xi_pkt *pkt, struct xi_esp_in *in, uint32_t at, uint32_t nh)
{
	uint8_t *ip = pkt->data + FRAGMENT_LEN;

	pkt->data[nh] = pkt->data[at];
	xi_put16(pkt->data + 4, (uint16_t)(xi_get16(pkt->data + 4) - FRAGMENT_LEN));
	memmove(ip, pkt->data, at);
	pkt->data = ip;
	pkt->headroom += FRAGMENT_LEN;
	pkt->len -= FRAGMENT_LEN;
	in->header_len -= FRAGMENT_LEN;
	in->payload_offset -= FRAGMENT_LEN;
	in->next_offset = in->next_offset == at ? nh : in->next_offset - FRAGMENT_LEN;
}

/*
 * Appendix A2: a sender cuts a packet after AH was made, so a fragment header is not in the ICV. Of
 * a packet that was whole all the same, it is still there.
 */
static bool cover_received(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt, struct xi_esp_in *in,
			   uint32_t end, struct xi_ah_saved *saved, struct xi_aead_job *job)
{
	const struct xi_pkt before = *pkt;
	uint8_t hdr[XI_AH_HDR_MAX];
	uint32_t at, nh, hdr_len = in->header_len;

	if (ctx->family == 4 || !xi_ext_find(pkt->data, hdr_len, IPPROTO_FRAGMENT, &at, &nh))
		return cover(ctx, pkt->data, hdr_len, end, false, saved, job);
	memcpy(hdr, pkt->data, hdr_len);
	do
		atomic_remove(pkt, in, at, nh);
	while (xi_ext_find(pkt->data, in->header_len, IPPROTO_FRAGMENT, &at, &nh));
	end -= before.len - pkt->len;
	if (cover(ctx, pkt->data, in->header_len, end, false, saved, job))
		return true;
	*pkt = before;
	memcpy(pkt->data, hdr, hdr_len);
	return false;
}

enum xi_reason xi_ah_in_prepare(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
				struct xi_aead_job *job, struct xi_esp_in *in,
				struct xi_ah_saved *saved)
{
	enum xi_reason why;
	uint32_t end, len;
	uint8_t *ah;

	why = parse(ctx, pkt, in, &end);
	if (why)
		return why;
	ah = pkt->data + in->header_len;
	len = ah_received(ctx, ah, end - in->header_len);
	if (!len)
		return XI_DROP_SHORT;
	if (memcmp(ah + AH_SPI, &ctx->spi_be, 4))
		return XI_DROP_SA_GONE;
	if (ctx->esn && pkt->tailroom + (pkt->len - end) < XI_AH_SCRATCH)
		return XI_DROP_TOO_BIG;
	if (xi_sa_expired(ctx))
		return XI_DROP_SA_EXPIRED;
	why = xi_seq_judge(ctx, xi_get32(ah + AH_SEQ), &in->seq);
	if (why)
		return why;

	in->verdict = XI_DROP_ICV;
	in->payload_offset = in->header_len + len;
	in->outer_tos = xi_tunnel_tos(pkt->data);
	in->moved = 0;
	xi_job_init(ctx, in->seq, ah + XI_AH_HDR_LEN, job);
	return cover_received(ctx, pkt, in, end, saved, job) ? XI_NONE : XI_DROP_WORKER_MALFORMED;
}

enum xi_reason xi_ah_in_finish(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
			       const struct xi_aead_job *job, const struct xi_esp_in *in,
			       struct xi_esp_tally *tally, enum xi_crypto_status *status)
{
	uint32_t len = job->len - (in->payload_offset - in->header_len);
	uint8_t next_header = job->data[0];

	*status = xi_in_status(ctx, job);
	if (in->verdict)
		return (enum xi_reason)in->verdict;
	xi_tally_count(tally, ctx, len);
	if (!ctx->transport)
		return xi_strip_tunnel(ctx, pkt, in, len, next_header, status);
	xi_strip_transport(pkt, in, len, next_header);
	return XI_NONE;
}
