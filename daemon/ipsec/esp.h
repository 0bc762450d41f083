/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ESP (RFC 4303) in steps: framing here, crypto in an engine, so that a batch goes through each step together.
 * Pure: bytes in, bytes out. Every function returns XI_NONE or the one reason to drop the packet.
 */
#ifndef XI_ESP_H
#define XI_ESP_H

#include <stdint.h>

#include <xipsec/reasons.h>
#include "crypto/crypto.h"
#include "ipsec/packet.h"
#include "ipsec/sa_ctx.h"

/*
 * Takes n sequence numbers of an outbound SA at once (RFC 4303 section 2.2). *first is the first of them; the
 * caller uses first .. first + granted - 1. Returns how many were granted; fewer than n sets *why
 * to XI_DROP_SEQ_EXHAUSTED or XI_DROP_SEQ_RESERVE. Numbers once taken are never given out again.
 */
unsigned int xi_esp_take_seq(const struct xi_sa_ctx *ctx, unsigned int n, uint64_t *first, enum xi_reason *why);

/*
 * Frames pkt (an inner IP packet) for tunnel mode: outer header, ESP header, IV, padding, trailer; fills job.
 * pkt becomes the outer packet, complete once the job is sealed. Fails with XI_DROP_TOO_BIG,
 * XI_DROP_WORKER_MALFORMED, XI_DROP_SA_MODE; pkt is then unchanged.
 */
enum xi_reason xi_esp_out_prepare(const struct xi_sa_ctx *ctx, uint64_t seq, struct xi_pkt *pkt,
				  struct xi_aead_job *job);

/*
 * Packets of one SA in a row, counted together: an atomic addition each costs 6 ns. Begin a batch with now alone set;
 * xi_esp_tally_flush() ends it. The SA's context must live until then.
 */
struct xi_esp_tally {
	uint64_t now;                /* seconds since the epoch */
	const struct xi_sa_ctx *ctx; /* NULL: nothing to add */
	uint64_t packets;
	uint64_t bytes;
};

/* Adds what is in the tally to the counters of its SA, and empties it. */
void xi_esp_tally_flush(struct xi_esp_tally *tally);

/* After the job was sealed: status, then the SA's counters by way of the tally. */
enum xi_reason xi_esp_out_finish(const struct xi_sa_ctx *ctx, const struct xi_aead_job *job,
				 struct xi_esp_tally *tally);

/* What a packet carries from prepare to finish. */
struct xi_esp_in {
	uint64_t seq;
	uint32_t payload_offset;     /* from pkt->data to the first decrypted byte */
	uint8_t outer_tos;           /* DSCP and ECN of the outer header */
	uint8_t verdict;             /* enum xi_reason; XI_NONE: verified and no replay */
};

/* pkt is the outer packet. Checks lengths and the replay window, fills job. */
enum xi_reason xi_esp_in_prepare(const struct xi_sa_ctx *ctx, const struct xi_pkt *pkt, struct xi_aead_job *job,
				 struct xi_esp_in *in);
/*
 * After the jobs of n packets of one SA, in their order, were opened: ICVs, and the replay commit of
 * those whose ICV is right. The verdicts are in ins, for xi_esp_in_finish(), which lets no packet
 * pass that was not here.
 */
void xi_esp_in_verify(const struct xi_sa_ctx *ctx, const struct xi_aead_job *jobs,
		      struct xi_esp_in *ins, unsigned int n);
/*
 * Then, for each: trailer, padding, inner header, ECN and DSCP, counters. pkt becomes the inner
 * packet, trimmed to its own length. *status tells the receive record's outcome.
 * XI_DUMMY: a dummy packet (next header 59), nothing to forward.
 */
enum xi_reason xi_esp_in_finish(const struct xi_sa_ctx *ctx, struct xi_pkt *pkt, const struct xi_aead_job *job,
				const struct xi_esp_in *in, struct xi_esp_tally *tally,
				enum xi_crypto_status *status);

/* Bytes that tunnel mode adds at most to a packet of this SA. */
unsigned int xi_esp_overhead(const struct xi_sa_ctx *ctx);

#endif
