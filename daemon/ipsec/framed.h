/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The split path: a packet that the first layer has framed (XI_META_FRAMED), of which only the
 * crypto is left. That is the packet as it goes out, but for ciphertext and ICV: IP header with its
 * final length and checksum, UDP header where the SA has encap (its checksum 0), ESP or AH header
 * with SPI and sequence number, room for the IV, payload and ESP trailer in clear, room for the
 * ICV. Room may hold anything. IP's own fields (TTL, DSCP, ECN, DF, ID, flow label) are the first
 * layer's.
 *
 * Sequence numbers belong to it, too: it takes each by an atomic addition to xi_sa_state.oseq, from
 * programs or from user space. That no number is used twice cannot be verified here, for many may
 * be given out and not have come yet: a first layer that sends one twice breaks the nonces of
 * counter modes. What can be is: the number was given out, and may have been (oseq_limit, and 2^32
 * without ESN). The IV is made of the number, whatever stands in its place.
 */
#ifndef XI_FRAMED_H
#define XI_FRAMED_H

#include <xipsec/reasons.h>
#include "ipsec/frame.h"
#include "ipsec/packet.h"
#include "ipsec/sa_ctx.h"

/*
 * Finds the frame of one SA in pkt, which begins with its IP header, verifies that it is what the
 * SA would send, and writes the IV. frame is then ready for xi_out_job(). Bytes of pkt behind
 * frame->len are no part of it. XI_DROP_WORKER_MALFORMED; XI_DROP_SA_GONE (another SA's SPI or
 * address); XI_DROP_SA_MODE (another family, or UDP encapsulation); XI_DROP_SEQ_RESERVE,
 * XI_DROP_SEQ_EXHAUSTED; XI_DROP_TOO_BIG (no scratch behind AH with ESN). pkt is then unchanged.
 */
enum xi_reason xi_framed_parse(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt,
			       struct xi_frame *frame);

/*
 * Two SAs: next, in tunnel mode, around ctx. Both frames, by the rules above.
 */
enum xi_reason xi_framed_parse_two(const struct xi_sa_ctx *ctx, const struct xi_sa_ctx *next,
				   const struct xi_pkt *pkt, struct xi_frame *frame,
				   struct xi_frame *next_frame);

#endif
