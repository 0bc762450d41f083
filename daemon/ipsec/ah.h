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

#define XI_AH_HDR_LEN 12     /* of AH itself, up to the IV or ICV */
#define XI_AH_HDR_MAX 256    /* IP header with options, or extension headers up to AH */
#define XI_AH_ICV_MAX 64
#define XI_AH_SCRATCH 4      /* bytes behind the packet that a job with ESN writes to */

/* What a packet had where zeroes, or what the engine wrote, stand now. */
struct xi_ah_saved {
	uint8_t *ip;
	uint8_t *icv_at;             /* NULL: of a packet to be sent, whose ICV is the engine's */
	uint8_t *behind;             /* NULL: the job does not write there */
	uint16_t hdr_len;
	uint16_t icv_len;
	uint8_t scratch[XI_AH_SCRATCH];
	uint8_t icv[XI_AH_ICV_MAX];  /* received */
	uint8_t hdr[XI_AH_HDR_MAX];
};

/*
 * Bytes of the AH header of an SA, ICV and its padding included (RFC 4302 section 2.6): for
 * ctx->ah_len. As Linux pads it: to 8 bytes, but to 4 in IPv4 with XFRM_STATE_ALIGN4.
 */
unsigned int xi_ah_len(const struct xi_sa_ctx *ctx);
/* Bytes that AH adds to a packet of this SA, exactly. */
unsigned int xi_ah_overhead(const struct xi_sa_ctx *ctx);

/*
 * Tunnel or transport mode. pkt becomes the packet with AH; complete once the job is sealed. Fails
 * with XI_DROP_TOO_BIG (of headroom, 65535, or with ESN the scratch behind the packet),
 * XI_DROP_WORKER_MALFORMED or XI_DROP_SA_MODE (fragments in transport mode, RFC 4302 section 3.3.4,
 * among them); pkt is then unchanged.
 */
enum xi_reason xi_ah_frame(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
			   struct xi_frame *frame);
/*
 * The crypto step of a framed packet. Zeroes what is mutable; xi_ah_restore() after the job is
 * sealed. With ESN the four bytes behind the frame are part of the buffer. They may belong to the
 * layer around this one: they are put back, too. Fails with XI_DROP_WORKER_MALFORMED, which no
 * packet of xi_ah_frame() meets; everything is then as it was.
 */
enum xi_reason xi_ah_out_job(const struct xi_sa_ctx *ctx, const struct xi_frame *frame,
			     struct xi_ah_saved *saved, struct xi_aead_job *job);
/*
 * Puts back what xi_ah_out_job() or xi_ah_in_prepare() changed. The ICV of a sealed packet stays.
 */
void xi_ah_restore(const struct xi_ah_saved *saved);
/* Then: status, and the SA's counters by way of the tally. */
enum xi_reason xi_ah_out_finish(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
				struct xi_esp_tally *tally);

/*
 * pkt is the received packet, IPv4 with options or IPv6 with extension headers; not a fragment. An
 * atomic fragment header (RFC 6946) is taken out of it: no sender covers that (appendix A2). Checks
 * lengths and the replay window, fills job and in. xi_ah_restore() once the job was opened,
 * then xi_in_verify(). When it fails the packet is as it was and there is nothing to restore.
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
