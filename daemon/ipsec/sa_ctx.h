/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The runtime form of an SA: what a worker reads per packet, and nothing else. Built once from the control
 * form (struct xi_sa), read-only afterwards; what changes per packet is behind `state` and `replay`.
 */
#ifndef XI_SA_CTX_H
#define XI_SA_CTX_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "ipsec/replay.h"

struct xi_ckey;

struct xi_sa_ctx {
	/* line 0 */
	uint32_t sa_index;
	uint32_t spi_be;             /* network byte order */
	struct xi_sa_state *state;
	const struct xi_ckey *key;   /* NULL: SLOW, expand raw per packet */
	const struct xi_sa_key *raw;
	uint8_t family;              /* of the outer header, in transport mode of the packet: 4 or 6 */
	uint8_t outer_len;           /* tunnel mode: outer IP header, 20 or 40; else 0 */
	uint8_t icv_len;
	uint8_t iv_len;
	uint8_t pad_align;           /* RFC 4303 section 2.4: 4, or the cipher's block */
	uint8_t esn;
	uint8_t inner_family;        /* 4, 6, or 0: both; see xi_sa_ctx_init */
	uint8_t dscp_copy;           /* outer DSCP from the inner header */
	uint8_t dscp_decap;          /* inner DSCP from the outer header */
	uint8_t ecn;                 /* RFC 6040 normal mode; 0: outer not-ECT */
	uint8_t df_clear;            /* outer DF 0 (nopmtudisc); else copied, set for IPv6 inside */
	uint8_t salt_len;
	uint8_t salt[4];
	const struct xi_sa *sa;      /* selector, reqid: for policy, not for every packet */
	uint8_t block_mask;          /* ciphertext has none of these bits in its length */
	uint8_t random_iv;           /* the engine makes it; else it is the sequence number */
	uint8_t proto;               /* IPPROTO_ESP or IPPROTO_AH */
	uint8_t transport;           /* transport mode; else tunnel mode */
	uint8_t encap;               /* ESP in UDP */
	uint8_t df_set;              /* outer DF always 1 */
	uint8_t ah_len;              /* AH: bytes of its header with ICV and padding */
	uint8_t limited;             /* has limits of bytes or packets */
	/* line 1, outbound: outer IP header, prebuilt with zero length, ID, checksum, TOS; then UDP's ports */
	uint8_t hdr[48];
	uint32_t hdr_sum;            /* of an IPv4 hdr's 16-bit words, unfolded */
	uint16_t tfcpad;             /* payload bytes; shorter ones are padded (RFC 4303 section 2.7) */
	uint8_t fill1[2];
	uint32_t mark, mark_mask;    /* of the outer packet in the host's routing rules; mask 0: it has none */
	/* line 2, inbound */
	struct xi_replay replay;
	uint8_t to_host;             /* what comes out of it has a mark, or a device, of the host's stack */
	uint8_t fill2[31];
} __attribute__((aligned(64)));

XI_ASSERT(sizeof(struct xi_replay) == 32);
XI_ASSERT(__builtin_offsetof(struct xi_sa_ctx, salt) == 44);
XI_ASSERT(__builtin_offsetof(struct xi_sa_ctx, hdr) == 64);
XI_ASSERT(__builtin_offsetof(struct xi_sa_ctx, replay) == 128);
XI_ASSERT(__builtin_offsetof(struct xi_sa_ctx, to_host) == 160);
XI_ASSERT(sizeof(struct xi_sa_ctx) == 192);

/* Fetches what a packet of this direction wants of a context. */
static inline void xi_sa_ctx_prefetch(const struct xi_sa_ctx *ctx, bool out)
{
	__builtin_prefetch(ctx);
	__builtin_prefetch(out ? (const void *)ctx->hdr : (const void *)&ctx->replay);
}

/*
 * Fills ctx from an SA. No allocation. sa, raw, state and words must outlive ctx. nwords is a power of two, 32 * (nwords - 1) >= the window. key
 * is left NULL. 0, or -EOPNOTSUPP when the datapath does not carry such an SA.
 *
 * What the SA carries inside follows the kernel (copy_from_user_state, xfrm_init_state): the selector's
 * family when it names one; else both families with XFRM_STATE_AF_UNSPEC, and the outer one without.
 */
int xi_sa_ctx_init(struct xi_sa_ctx *ctx, const struct xi_sa *sa, const struct xi_sa_key *raw,
		   struct xi_sa_state *state, uint64_t *words, uint32_t nwords);

#endif
