/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Slots of sa_window, for the replay windows that do not fit into sa_state: runs of 1, 2, 4, 8 or
 * 16 in a row, each beginning at a multiple of its length. A chunk is as many slots as the largest
 * run; a run is taken out of the smallest free one that is long enough, so that large ones are not
 * broken up in vain.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK XI_WINDOW_RUN
#define ORDERS 5 /* 1 << 0 to 1 << 4 */
#define NONE UINT8_MAX

_Static_assert(CHUNK == 1 << (ORDERS - 1), "the largest run is a chunk");

/* One bit a slot, within a chunk. */
static uint32_t run_mask(unsigned int order, unsigned int at)
{
	return ((1U << (1U << order)) - 1) << at;
}

static bool run_free(uint16_t chunk, unsigned int order, unsigned int at)
{
	return (chunk & run_mask(order, at)) == run_mask(order, at);
}

/* Where a free run of exactly this order begins, which is no part of a longer free one. */
static int run_exact(uint16_t chunk, unsigned int order)
{
	unsigned int at, length = 1U << order;

	for (at = 0; at < CHUNK; at += length)
		if (run_free(chunk, order, at) &&
		    (order == ORDERS - 1 || !run_free(chunk, order, at ^ length)))
			return at;
	return -1;
}

/* Order of the shortest free run of at least `order` in the chunk; NONE. */
static uint8_t run_best(uint16_t chunk, unsigned int order, unsigned int *at)
{
	int found;

	for (; order < ORDERS; order++) {
		found = run_exact(chunk, order);
		if (found < 0)
			continue;
		*at = found;
		return order;
	}
	return NONE;
}

int xi_windows_init(struct xi_sad *sad)
{
	struct xi_sad_windows *w = &sad->windows;
	uint32_t i, n = sad->store.nwindows;

	w->nchunks = (n + CHUNK - 1) / CHUNK;
	w->chunks = calloc(w->nchunks ? w->nchunks : 1, sizeof(*w->chunks));
	if (!w->chunks)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		w->chunks[i / CHUNK] |= 1U << i % CHUNK;
	return 0;
}

void xi_windows_free(struct xi_sad *sad)
{
	free(sad->windows.chunks);
}

uint32_t xi_window_words(uint32_t replay_window)
{
	uint32_t nwords = XI_WINDOW_WORDS;

	if (replay_window <= XI_WINDOW_INLINE_MAX)
		return XI_WINDOW_INLINE_WORDS;
	while (32 * (nwords - 1) < replay_window)
		nwords *= 2;
	return nwords;
}

static unsigned int window_order(uint32_t replay_window)
{
	return __builtin_ctz(xi_window_words(replay_window) / XI_WINDOW_WORDS);
}

static uint32_t window_find(const struct xi_sad_windows *w, unsigned int order)
{
	uint32_t i, slot = XI_NO_SLOT;
	uint8_t best = NONE;

	for (i = 0; i < w->nchunks && best != order; i++) {
		unsigned int at = 0;
		uint8_t found = w->chunks[i] ? run_best(w->chunks[i], order, &at) : NONE;

		if (found >= best)
			continue;
		best = found;
		slot = i * CHUNK + at;
	}
	return slot;
}

int xi_window_take(struct xi_sad *sad, uint32_t replay_window, uint32_t *slot, const char **why)
{
	struct xi_sad_windows *w = &sad->windows;
	unsigned int order;

	*slot = XI_NO_SLOT;
	if (replay_window <= XI_WINDOW_INLINE_MAX)
		return 0;
	if (replay_window > XI_WINDOW_MAX) {
		*why = XI_WHY_WINDOW_TOO_LARGE;
		return -EINVAL;
	}
	order = window_order(replay_window);
	*slot = window_find(w, order);
	if (*slot == XI_NO_SLOT) {
		*why = "no room for another replay window of this size; ask for a smaller one, 480 packets always fit";
		return -ENOSPC;
	}
	w->chunks[*slot / CHUNK] &= ~run_mask(order, *slot % CHUNK);
	memset(&sad->store.windows[*slot], 0, sizeof(struct xi_window) << order);
	return 0;
}

void xi_window_give(struct xi_sad *sad, const struct xi_sa *sa)
{
	uint32_t slot = sa->window_slot;

	if (slot != XI_NO_SLOT)
		sad->windows.chunks[slot / CHUNK] |=
			run_mask(window_order(sa->replay_window), slot % CHUNK);
}

int xi_window_claim(struct xi_sad *sad, const struct xi_sa *sa)
{
	struct xi_sad_windows *w = &sad->windows;
	unsigned int order = window_order(sa->replay_window);
	uint32_t slot = sa->window_slot;

	if (slot / CHUNK >= w->nchunks || slot % (1U << order) ||
	    !run_free(w->chunks[slot / CHUNK], order, slot % CHUNK))
		return -EINVAL;
	w->chunks[slot / CHUNK] &= ~run_mask(order, slot % CHUNK);
	return 0;
}
