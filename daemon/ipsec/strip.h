/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A verified packet without its ESP or AH. Inline: most packets come through here. */
#ifndef XI_STRIP_H
#define XI_STRIP_H

#include <string.h>
#include <netinet/ip6.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/packet.h"
#include "ipsec/tally.h"
#include "ipsec/tunnel.h"
#include "ipsec/verify.h"

/* The IP header of a packet that has got another length, and another protocol at nh. */
static inline void xi_ip_changed(uint8_t *ip, uint32_t len, uint32_t nh, uint8_t proto)
{
	ip[nh] = proto;
	if (ip[0] >> 4 == 6)
		xi_put16(ip + 4, (uint16_t)(len - sizeof(struct ip6_hdr)));
	else
		xi_ip4_finish(ip, (uint16_t)len);
}

/* Transport mode: the IP header moves up to the payload, of which len bytes are left. */
static inline void xi_strip_transport(struct xi_pkt *pkt, const struct xi_esp_in *in, uint32_t len,
				      uint8_t next_header)
{
	uint32_t front = in->payload_offset - in->header_len, total = in->header_len + len;

	memmove(pkt->data + front, pkt->data, in->header_len);
	pkt->tailroom += pkt->len - front - total;
	pkt->headroom += front;
	pkt->data += front;
	pkt->len = total;
	xi_ip_changed(pkt->data, total, in->next_offset, next_header);
}

/*
 * Tunnel mode: the packet inside, trimmed to its own length, with ECN and DSCP of the outer header; len: bytes
 * behind the ESP or AH header. Fails with XI_DROP_INNER or XI_DROP_INNER_ECN, which *status explains.
 */
static inline enum xi_reason xi_strip_tunnel(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
					     const struct xi_esp_in *in, uint32_t len,
					     uint8_t next_header, enum xi_crypto_status *status)
{
	uint8_t *inner = pkt->data + in->payload_offset;
	enum xi_reason why;
	uint32_t inner_len;

	*status = xi_tunnel_judge(ctx, inner, len, next_header, &inner_len);
	if (*status)
		return xi_tally_reject(ctx, XI_DROP_INNER);
	why = xi_tunnel_decap(ctx, inner, in->outer_tos);
	if (why)
		return xi_tally_reject(ctx, why);
	pkt->tailroom += pkt->len - in->payload_offset - inner_len;
	pkt->headroom += in->payload_offset;
	pkt->data = inner;
	pkt->len = inner_len;
	return XI_NONE;
}

#endif
