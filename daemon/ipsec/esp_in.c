// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/esp.h"

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/ext.h"
#include "ipsec/job.h"
#include "ipsec/seq.h"
#include "ipsec/strip.h"
#include "ipsec/tunnel.h"

/*
 * Where ESP begins and the packet ends. Ethernet padding behind it is cut off; IPv4 options and
 * IPv6 extension headers are stepped over; fragments are refused: they are put together before.
 * As in the kernel an SA of UDP encapsulation takes nothing else, and no other SA takes that.
 */
static enum xi_reason parse_outer(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				  struct xi_esp_in *in, uint32_t *esp_offset, uint32_t *end)
{
	uint8_t version, proto = ctx->encap ? IPPROTO_UDP : IPPROTO_ESP;
	const uint8_t *ip = pkt->data;
	uint32_t offset = 0;

	if (!xi_tunnel_measure(ip, pkt->len, &version, end))
		return XI_DROP_WORKER_MALFORMED;
	if (version != ctx->family)
		return XI_DROP_SA_GONE;
	if (version == 4) {
		offset = (ip[0] & 0xfU) * 4;
		in->next_offset = 9;
		if (xi_get16(ip + 6) & (IP_MF | IP_OFFMASK))
			return XI_DROP_WORKER_MALFORMED;
	} else if (!xi_ext_find(ip, *end, proto, &offset, &in->next_offset)) {
		return XI_DROP_WORKER_MALFORMED;
	}
	if (ip[in->next_offset] != proto)
		return ctx->encap || ip[in->next_offset] == IPPROTO_UDP ? XI_DROP_SA_MODE
								       : XI_DROP_WORKER_MALFORMED;
	in->header_len = (uint16_t)offset;
	*esp_offset = offset + (ctx->encap ? XI_UDP_LEN : 0);
	return XI_NONE;
}

/* UDP's length may leave bytes behind the datagram (RFC 768). */
static bool udp_end(const uint8_t *udp, uint32_t udp_offset, uint32_t *end)
{
	uint32_t len;

	if (*end - udp_offset < XI_UDP_LEN)
		return false;
	len = xi_get16(udp + 4);
	if (len < XI_UDP_LEN || len > *end - udp_offset)
		return false;
	*end = udp_offset + len;
	return true;
}

/* Does the packet come from where the SA's peer was last? Behind a NAT that may change (RFC 3948 section 5). */
static bool peer_moved(const struct xi_sa_ctx *ctx, const uint8_t *ip, const uint8_t *udp)
{
	const struct xi_sa *sa = ctx->sa;

	return xi_get16(udp) != sa->encap_sport ||
	       (ctx->family == 4 ? memcmp(ip + 12, sa->saddr, 4) : memcmp(ip + 8, sa->saddr, 16));
}

enum xi_reason xi_esp_in_prepare(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				 struct xi_aead_job *job, struct xi_esp_in *in)
{
	uint32_t head = XI_ESP_HDR_LEN + ctx->iv_len;
	uint32_t esp_offset, end;
	enum xi_reason why;
	uint8_t *esp;

	why = parse_outer(ctx, pkt, in, &esp_offset, &end);
	if (why)
		return why;
	esp = pkt->data + esp_offset;
	if (ctx->encap && !udp_end(esp - XI_UDP_LEN, in->header_len, &end))
		return XI_DROP_WORKER_MALFORMED;
	if (end - esp_offset < head + XI_ESP_TRAILER_LEN + ctx->icv_len ||
	    (end - esp_offset - head - ctx->icv_len) & ctx->block_mask)
		return XI_DROP_SHORT;
	if (memcmp(esp, &ctx->spi_be, 4))
		return XI_DROP_SA_GONE;
	if (xi_sa_expired(ctx))
		return XI_DROP_SA_EXPIRED;
	why = xi_seq_judge(ctx, xi_get32(esp + 4), &in->seq);
	if (why)
		return why;

	in->verdict = XI_DROP_ICV;
	in->payload_offset = esp_offset + head;
	in->outer_tos = xi_tunnel_tos(pkt->data);
	in->moved = ctx->encap && peer_moved(ctx, pkt->data, esp - XI_UDP_LEN);
	xi_job_init(ctx, in->seq, esp + XI_ESP_HDR_LEN, job);
	job->head_len = (uint16_t)head;
	job->data = esp + head;
	job->len = end - in->payload_offset - ctx->icv_len;
	job->icv = job->data + job->len;
	return XI_NONE;
}

/* RFC 4303 section 3.4.4: pad length within the packet, padding bytes 1, 2, 3 ... *len loses the
 * trailer. */
static bool strip_trailer(const uint8_t *data, uint32_t *len, uint8_t *next_header)
{
	uint32_t pad = data[*len - 2];

	*next_header = data[*len - 1];
	if (pad > *len - XI_ESP_TRAILER_LEN)
		return false;
	*len -= XI_ESP_TRAILER_LEN + pad;
	for (uint32_t i = 0; i < pad; i++)
		if (data[*len + i] != i + 1)
			return false;
	return true;
}

/*
 * Behind a NAT the checksums inside are those of other addresses, and are made anew; the ICV has
 * vouched for what they cover (RFC 3948 section 3.1.2). UDP that has none (IPv4) keeps none.
 */
static void renew_checksum(const struct xi_pkt *pkt, uint8_t *payload, uint32_t len,
			   uint8_t next_header)
{
	if (next_header != IPPROTO_UDP || len < XI_UDP_LEN || xi_get16(payload + 6))
		xi_l4_checksum(pkt->data, payload, len, next_header);
}

enum xi_reason xi_esp_in_finish(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
				const struct xi_aead_job *job, const struct xi_esp_in *in,
				struct xi_esp_tally *tally, enum xi_crypto_status *status)
{
	uint32_t len = job->len;
	uint8_t next_header;

	*status = xi_in_status(ctx, job);
	if (in->verdict)
		return in->verdict;
	if (!strip_trailer(job->data, &len, &next_header)) {
		*status = XI_CRYPTO_INVALID_PACKET_SYNTAX;
		return xi_tally_reject(ctx, XI_DROP_PADDING);
	}
	if (next_header == IPPROTO_NONE) {
		xi_tally_open(tally, ctx);
		return XI_DUMMY;
	}
	xi_tally_count(tally, ctx, len);
	if (!ctx->transport)
		return xi_strip_tunnel(ctx, pkt, in, len, next_header, status);
	xi_strip_transport(pkt, in, len, next_header);
	if (ctx->encap)
		renew_checksum(pkt, job->data, len, next_header);
	return XI_NONE;
}
