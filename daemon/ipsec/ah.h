/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * AH (RFC 4302): framing, and what of the packet goes into the ICV. Pure: bytes in, bytes out.
 * Every function returns XI_NONE or the one reason to drop the packet, unless it says otherwise.
 *
 * The ICV is computed over the packet in place, with its mutable fields and the ICV zeroed: what
 * was there is put aside and put back afterwards, whatever came of it.
 */
#ifndef XI_AH_H
#define XI_AH_H

#include <xipsec/reasons.h>
#include "crypto/crypto.h"
#include "ipsec/esp.h"
#include "ipsec/frame.h"
#include "ipsec/packet.h"
#include "ipsec/sa_ctx.h"

#define XI_AH_HDR_MAX 256    /* IP header with options, or extension headers up to AH */
#define XI_AH_ICV_MAX 64     /* IV of AES-GMAC included */

/* What a packet's header had, while zeroes stand there. */
struct xi_ah_saved {
	uint8_t *ip;
	uint16_t hdr_len;
	uint8_t hdr[XI_AH_HDR_MAX];
	uint8_t icv[XI_AH_ICV_MAX];  /* received */
};

/* Bytes of the AH header of an SA, ICV and its padding included (RFC 4302 section 2.2). */
unsigned int xi_ah_len(const struct xi_sa_ctx *ctx);

/* Tunnel or transport mode. pkt becomes the packet with AH; complete once the job is sealed. */
enum xi_reason xi_ah_frame(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
			   struct xi_frame *frame);
/* The crypto step of a framed packet. Zeroes what is mutable; xi_ah_restore() after the job is sealed. */
enum xi_reason xi_ah_out_job(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
			     struct xi_ah_saved *saved, struct xi_aead_job *job);
/* Puts back what xi_ah_out_job() or xi_ah_in_prepare() zeroed. The ICV of a sealed packet stays. */
void xi_ah_restore(const struct xi_ah_saved *saved);

/*
 * pkt is the received packet, IPv4 with options or IPv6 with extension headers. Checks lengths and the
 * replay window, fills job and in. xi_ah_restore() once the job was opened; xi_esp_in_verify() judges ICVs and
 * sequence numbers of AH and ESP alike.
 */
enum xi_reason xi_ah_in_prepare(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
				struct xi_aead_job *job, struct xi_esp_in *in,
				struct xi_ah_saved *saved);
/*
 * Takes AH off: pkt becomes the inner packet (tunnel mode, ECN and DSCP as with ESP), or the packet
 * without AH, its lengths, next header and checksum right (transport mode).
 */
enum xi_reason xi_ah_in_finish(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt,
			       const struct xi_aead_job *job, const struct xi_esp_in *in,
			       struct xi_esp_tally *tally, enum xi_crypto_status *status);

#endif
