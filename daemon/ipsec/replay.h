/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Anti-replay window (RFC 4303 section 3.4.3 and appendix A2), shared by several workers without a lock.
 * The words are laid out as described at XI_WINDOW_INLINE_WORDS in abi.h.
 */
#ifndef XI_REPLAY_H
#define XI_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>

struct xi_replay {
	uint64_t *top;               /* highest sequence number accepted; atomic */
	uint64_t *words;             /* atomic each */
	uint32_t word_mask;          /* number of words - 1 */
	uint32_t window;             /* packets; 0 = no anti-replay, top still moves */
	bool esn;
};

/*
 * The 64-bit number a packet with `lo` on the wire must carry (A2.2). False: it would lie below 0 or
 * above 2^64 - 1. With ESN and window 0 the inference works as with a window of XI_WINDOW_MAX.
 */
bool xi_replay_infer(const struct xi_replay *r, uint32_t lo, uint64_t *seq);

/*
 * Before the ICV. XI_NONE, XI_DROP_REPLAY, XI_DROP_REPLAY_OLD or XI_DROP_SEQ_ZERO. Changes nothing.
 * With neither anti-replay nor ESN number 0 passes: such a sender may let its counter cycle (RFC 4303
 * section 2.2).
 */
enum xi_reason xi_replay_check(const struct xi_replay *r, uint64_t seq);

/* After the ICV verified: marks seq. The same returns; of two workers with one seq exactly one gets XI_NONE. */
enum xi_reason xi_replay_commit(const struct xi_replay *r, uint64_t seq);
/*
 * The same for n numbers, one after the other: why[i] is what xi_replay_commit() would return for
 * seqs[i]. Neighbours of one block are marked with one compare-and-swap, and top is raised once: a
 * compare-and-swap costs 4 ns.
 */
void xi_replay_commit_run(const struct xi_replay *r, const uint64_t *seqs, enum xi_reason *why,
			  unsigned int n);

/*
 * To and from the bitmap of XFRM (struct xfrm_replay_state_esn). The kernel keeps a ring of `window`
 * bits: the highest number stands at bit (low half of top - 1) mod window, its predecessors below,
 * wrapping. bmp_len in 32-bit words. export writes all of bmp and returns the number the bitmap relates
 * to. import resets the window first; bmp NULL = nothing up to top was received. A number that a worker
 * commits while import runs may be forgotten, so import before the SA carries traffic.
 */
uint64_t xi_replay_export(const struct xi_replay *r, uint32_t *bmp, uint32_t bmp_len);
void xi_replay_import(const struct xi_replay *r, uint64_t top, const uint32_t *bmp, uint32_t bmp_len);
/*
 * The same while workers use the window: top, not below the present one, and what bmp marks count as
 * received, and what was received stays so.
 */
void xi_replay_advance(const struct xi_replay *r, uint64_t top, const uint32_t *bmp, uint32_t bmp_len);

#endif
