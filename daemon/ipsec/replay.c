// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/replay.h"

#define BLOCK_BITS 5
#define BLOCK_SIZE (1U << BLOCK_BITS)

/* Low 32 bits of the block number: enough to order blocks less than 2^31 apart, 2^36 packets. */
static uint32_t block_tag(uint64_t seq)
{
	return (uint32_t)(seq >> BLOCK_BITS);
}

static uint32_t block_bit(uint64_t seq)
{
	return 1U << (seq & (BLOCK_SIZE - 1));
}

static uint64_t *block_word(const struct xi_replay *r, uint64_t seq)
{
	return &r->words[(seq >> BLOCK_BITS) & r->word_mask];
}

static uint32_t word_tag(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static uint64_t word_make(uint32_t tag, uint32_t bits)
{
	return (uint64_t)tag << 32 | bits;
}

/* What this word says of seq. */
static enum xi_reason word_judge(uint64_t word, uint64_t seq)
{
	int32_t ahead = (int32_t)(word_tag(word) - block_tag(seq));

	if (ahead > 0)
		return XI_DROP_REPLAY_OLD;
	if (ahead == 0 && ((uint32_t)word & block_bit(seq)))
		return XI_DROP_REPLAY;
	return XI_NONE;
}

static uint64_t top_load(const struct xi_replay *r)
{
	return __atomic_load_n(r->top, __ATOMIC_ACQUIRE);
}

static void top_raise(const struct xi_replay *r, uint64_t seq)
{
	uint64_t top = __atomic_load_n(r->top, __ATOMIC_RELAXED);

	while (seq > top && !__atomic_compare_exchange_n(r->top, &top, seq, true, __ATOMIC_RELEASE,
							 __ATOMIC_RELAXED))
		;
}

/* The checks that need no word. */
static enum xi_reason edge_check(const struct xi_replay *r, uint64_t top, uint64_t seq)
{
	if (seq == 0)
		return XI_DROP_SEQ_ZERO;
	if (top >= r->window && seq <= top - r->window)
		return XI_DROP_REPLAY_OLD;
	return XI_NONE;
}

static enum xi_reason unguarded_check(const struct xi_replay *r, uint64_t seq)
{
	return r->esn && seq == 0 ? XI_DROP_SEQ_ZERO : XI_NONE;
}

bool xi_replay_infer(const struct xi_replay *r, uint32_t lo, uint64_t *seq)
{
	uint32_t window = r->window ? r->window : XI_WINDOW_MAX;
	uint64_t top;
	uint32_t th, tl, bottom;

	if (!r->esn) {
		*seq = lo;
		return true;
	}
	top = top_load(r);
	th = (uint32_t)(top >> 32);
	tl = (uint32_t)top;
	bottom = tl - window + 1;
	if (tl >= window - 1) {
		/* case A: the window lies in one subspace */
		if (lo < bottom && th++ == UINT32_MAX)
			return false;
	} else if (lo >= bottom && th-- == 0) {
		/* case B: it spans two, and there is none before the first */
		return false;
	}
	*seq = (uint64_t)th << 32 | lo;
	return true;
}

enum xi_reason xi_replay_check(const struct xi_replay *r, uint64_t seq)
{
	enum xi_reason why;

	if (!r->window)
		return unguarded_check(r, seq);
	why = edge_check(r, top_load(r), seq);
	if (why)
		return why;
	return word_judge(__atomic_load_n(block_word(r, seq), __ATOMIC_ACQUIRE), seq);
}

/* The word once seq, which it lets pass, is marked. */
static uint64_t word_mark(uint64_t word, uint64_t seq)
{
	return word_tag(word) == block_tag(seq) ? word | block_bit(seq)
						: word_make(block_tag(seq), block_bit(seq));
}

/* How many numbers, from the first on, have their bits in one word. */
static unsigned int block_run(const uint64_t *seqs, unsigned int n)
{
	unsigned int run = 1;

	while (run < n && seqs[run] >> BLOCK_BITS == seqs[0] >> BLOCK_BITS)
		run++;
	return run;
}

/* Marks numbers of one block, in their order. *top: the highest number accepted, before and after. */
static void block_commit(const struct xi_replay *r, const uint64_t *seqs, enum xi_reason *why,
			 unsigned int n, uint64_t *top)
{
	uint64_t *word = block_word(r, seqs[0]);
	uint64_t old = __atomic_load_n(word, __ATOMIC_ACQUIRE), new, high;

	do {
		new = old;
		high = *top;
		for (unsigned int i = 0; i < n; i++) {
			why[i] = edge_check(r, high, seqs[i]);
			if (!why[i])
				why[i] = word_judge(new, seqs[i]);
			if (why[i])
				continue;
			new = word_mark(new, seqs[i]);
			if (seqs[i] > high)
				high = seqs[i];
		}
	} while (new != old && !__atomic_compare_exchange_n(word, &old, new, true, __ATOMIC_ACQ_REL,
							    __ATOMIC_ACQUIRE));
	*top = high;
}

/*
 * Safe without a lock: tags only grow, and bits are set by one compare-and-swap, so of two workers
 * with one number the second finds the bit, or a later tag, or is left of the window. top follows
 * after the bits.
 */
void xi_replay_commit_run(const struct xi_replay *r, const uint64_t *seqs, enum xi_reason *why,
			  unsigned int n)
{
	uint64_t top = top_load(r);
	unsigned int i, run;

	for (i = 0; i < n; i += run) {
		if (r->window) {
			run = block_run(&seqs[i], n - i);
			block_commit(r, &seqs[i], &why[i], run, &top);
		} else {
			run = 1;
			why[i] = unguarded_check(r, seqs[i]);
			if (seqs[i] > top)
				top = seqs[i];
		}
	}
	top_raise(r, top);
}

enum xi_reason xi_replay_commit(const struct xi_replay *r, uint64_t seq)
{
	enum xi_reason why = r->window ? edge_check(r, top_load(r), seq) : unguarded_check(r, seq);
	uint64_t *word = block_word(r, seq);
	uint64_t old;

	if (why)
		return why;
	if (r->window) {
		old = __atomic_load_n(word, __ATOMIC_ACQUIRE);
		do {
			why = word_judge(old, seq);
			if (why)
				return why;
		} while (!__atomic_compare_exchange_n(word, &old, word_mark(old, seq), true,
						      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	}
	top_raise(r, seq);
	return XI_NONE;
}

/*
 * A number whose word went to a later block while we looked counts as received: no copy may accept
 * it.
 */
static bool is_marked(const struct xi_replay *r, uint64_t seq)
{
	return word_judge(__atomic_load_n(block_word(r, seq), __ATOMIC_ACQUIRE), seq) != XI_NONE;
}

/* Where the kernel keeps number top - back (xfrm_replay_check_esn, _bmp; 5.10 to 6.18 alike). */
static uint32_t ring_bit(uint64_t top, uint32_t window, uint32_t back)
{
	uint32_t pos = ((uint32_t)top - 1) % window;

	return pos >= back ? pos - back : window - (back - pos);
}

uint64_t xi_replay_export(const struct xi_replay *r, uint32_t *bmp, uint32_t bmp_len)
{
	uint64_t top = top_load(r);

	for (uint32_t i = 0; i < bmp_len; i++)
		bmp[i] = 0;
	for (uint32_t back = 0; back < r->window && back < top; back++) {
		uint32_t bit = ring_bit(top, r->window, back);

		if (bit / 32 < bmp_len && is_marked(r, top - back))
			bmp[bit / 32] |= 1U << (bit % 32);
	}
	return top;
}

/*
 * Gives every word the tag it has when top is the highest number. Without this, words of tag 0
 * under a top of 2^36 or more would look as if they were ahead.
 */
static void window_reset(const struct xi_replay *r, uint64_t top)
{
	uint64_t block = top >> BLOCK_BITS;

	for (uint32_t i = 0; i <= r->word_mask; i++) {
		uint32_t tag = block >= i ? (uint32_t)(block - i) : 0;

		__atomic_store_n(&r->words[(block - i) & r->word_mask], word_make(tag, 0),
				 __ATOMIC_RELAXED);
	}
	__atomic_store_n(r->top, top, __ATOMIC_RELEASE);
}

static void window_mark(const struct xi_replay *r, uint64_t seq)
{
	__atomic_fetch_or(block_word(r, seq), block_bit(seq), __ATOMIC_RELEASE);
}

void xi_replay_import(const struct xi_replay *r, uint64_t top, const uint32_t *bmp,
		      uint32_t bmp_len)
{
	window_reset(r, top);
	if (!bmp)
		return;
	for (uint32_t back = 0; back < r->window && back < top; back++) {
		uint32_t bit = ring_bit(top, r->window, back);

		if (bit / 32 < bmp_len && (bmp[bit / 32] >> (bit % 32) & 1))
			window_mark(r, top - back);
	}
}

/*
 * By the workers' own step, so that nothing that was received is forgotten. Beyond 2^36 packets
 * words could no longer be told apart; there, nothing of the old window is in the new one.
 */
void xi_replay_advance(const struct xi_replay *r, uint64_t top, const uint32_t *bmp,
		       uint32_t bmp_len)
{
	uint64_t before = top_load(r);

	if (top > before && (top - before) >> BLOCK_BITS > r->word_mask) {
		xi_replay_import(r, top, bmp, bmp_len);
		return;
	}
	for (uint32_t back = 0; bmp && back < r->window && back < top; back++) {
		uint32_t bit = ring_bit(top, r->window, back);

		if (bit / 32 < bmp_len && (bmp[bit / 32] >> (bit % 32) & 1))
			xi_replay_commit(r, top - back);
	}
	if (top)
		xi_replay_commit(r, top);
}
