/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ESP (RFC 4303), tunnel and transport mode, in UDP too (RFC 3948), in steps: framing here, crypto in an
 * engine, so that a batch goes through each step together. Pure: bytes in, bytes out. Every function
 * that returns an enum xi_reason returns XI_NONE or the one reason to drop the packet.
 */
#ifndef XI_ESP_H
#define XI_ESP_H

#include <stdint.h>

#include <xipsec/reasons.h>
#include "crypto/crypto.h"
#include "ipsec/frame.h"
#include "ipsec/packet.h"
#include "ipsec/sa_ctx.h"
#include "ipsec/seq.h"
#include "ipsec/tally.h"
#include "ipsec/verify.h"

#define XI_ESP_HDR_LEN 8     /* SPI and sequence number */
#define XI_ESP_TRAILER_LEN 2 /* pad length and next header */
#define XI_UDP_LEN 8

/* Bytes between the IP header and the payload. */
static inline uint32_t xi_esp_front(const struct xi_sa_ctx *ctx)
{
	return (ctx->encap ? XI_UDP_LEN : 0) + XI_ESP_HDR_LEN + ctx->iv_len;
}

/*
 * Frames pkt, an IP packet: outer header (tunnel mode), UDP and ESP header, room for the IV, TFC padding
 * as far as an inner packet of limit bytes would go, padding, trailer, room for the ICV. pkt becomes the
 * packet as it is sent, but for the crypto. Fails with XI_DROP_TOO_BIG, XI_DROP_WORKER_MALFORMED or
 * XI_DROP_SA_MODE; pkt is then unchanged.
 */
enum xi_reason xi_esp_frame(const struct xi_sa_ctx *ctx, uint64_t seq, uint32_t limit,
			    struct xi_pkt *pkt, struct xi_frame *frame);
/*
 * A dummy packet (RFC 4303 section 2.6): pkt, any bytes, becomes the payload, with next header 59.
 * From outside it looks like a packet of the SA that carries one with DSCP 0, not ECN-capable and
 * with DF; in transport mode the SA's addresses are in its IP header. limit as above.
 * XI_DROP_TOO_BIG; pkt is then unchanged.
 */
enum xi_reason xi_esp_frame_dummy(const struct xi_sa_ctx *ctx, uint64_t seq, uint32_t limit,
				  struct xi_pkt *pkt, struct xi_frame *frame);
/* The crypto step of a framed packet. */
void xi_esp_out_job(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
		    struct xi_aead_job *job);
/* After the job was sealed: status, then the SA's counters by way of the tally. */
enum xi_reason xi_esp_out_finish(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
				 const struct xi_aead_job *job, struct xi_esp_tally *tally);

/* pkt is the received packet. Checks lengths and the replay window, fills job. */
enum xi_reason xi_esp_in_prepare(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
				 struct xi_aead_job *job, struct xi_esp_in *in);
/*
 * After xi_in_verify(): trailer, padding, inner header, ECN and DSCP, counters. pkt becomes the inner
 * packet, trimmed to its own length; in transport mode the packet without ESP. *status tells the receive
 * record's outcome. XI_DUMMY: a dummy packet (next header 59), nothing to forward.
 */
enum xi_reason xi_esp_in_finish(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
				const struct xi_aead_job *job, const struct xi_esp_in *in,
				struct xi_esp_tally *tally, enum xi_crypto_status *status);

/* Bytes that ESP adds at most to a packet of this SA. */
unsigned int xi_esp_overhead(const struct xi_sa_ctx *ctx);

#endif
