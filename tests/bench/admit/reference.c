/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "reference.h"

#include <stdbool.h>
#include <stdlib.h>

#include "trace.h"

struct link {
	uint32_t older, newer;
};

/* sa 0 is the head of the ring of residents: the newest is older than it, the oldest newer. */
struct score reference_lru(const uint32_t *sas, uint32_t n, uint32_t skip, uint32_t capacity)
{
	struct link *ring = calloc(TRACE_SAS_MAX, sizeof(*ring));
	bool *in = calloc(TRACE_SAS_MAX, sizeof(*in));
	struct score score = { 0 };
	uint32_t i, resident = 0;

	if (!ring || !in)
		abort();
	for (i = 0; i < n; i++) {
		uint32_t sa = sas[i], out = sa;

		if (in[sa]) {
			score.all_hits++;
			score.hits += i >= skip;
		} else if (resident == capacity) {
			out = ring[0].newer;
			score.evictions += i >= skip;
		} else {
			out = 0;
			resident++;
		}
		if (out) {
			ring[ring[out].older].newer = ring[out].newer;
			ring[ring[out].newer].older = ring[out].older;
			in[out] = false;
		}
		ring[sa] = (struct link){ .older = ring[0].older, .newer = 0 };
		ring[ring[0].older].newer = sa;
		ring[0].older = sa;
		in[sa] = true;
	}
	free(ring);
	free(in);
	return score;
}

/* Who is wanted latest is on top. place[sa] is the SA's place in the heap, from 1; 0: not resident. */
struct heap {
	uint32_t *sas, *place, *wanted;
	uint32_t n;
};

static void heap_put(struct heap *h, uint32_t at, uint32_t sa)
{
	h->sas[at] = sa;
	h->place[sa] = at;
}

static void heap_up(struct heap *h, uint32_t at, uint32_t sa)
{
	for (; at > 1 && h->wanted[h->sas[at / 2]] < h->wanted[sa]; at /= 2)
		heap_put(h, at, h->sas[at / 2]);
	heap_put(h, at, sa);
}

static void heap_down(struct heap *h, uint32_t at, uint32_t sa)
{
	uint32_t child;

	while ((child = 2 * at) <= h->n) {
		if (child < h->n && h->wanted[h->sas[child + 1]] > h->wanted[h->sas[child]])
			child++;
		if (h->wanted[h->sas[child]] <= h->wanted[sa])
			break;
		heap_put(h, at, h->sas[child]);
		at = child;
	}
	heap_put(h, at, sa);
}

static uint32_t *next_wanted(const uint32_t *sas, uint32_t n)
{
	uint32_t *next = malloc(n * sizeof(*next));
	uint32_t *last = malloc(TRACE_SAS_MAX * sizeof(*last));
	uint32_t i;

	if (!next || !last)
		abort();
	for (i = 0; i < TRACE_SAS_MAX; i++)
		last[i] = UINT32_MAX;
	for (i = n; i-- > 0;) {
		next[i] = last[sas[i]];
		last[sas[i]] = i;
	}
	free(last);
	return next;
}

struct score reference_optimum(const uint32_t *sas, uint32_t n, uint32_t skip, uint32_t capacity)
{
	uint32_t *next = next_wanted(sas, n), i;
	struct heap h = { malloc((capacity + 1) * sizeof(uint32_t)),
			  calloc(TRACE_SAS_MAX, sizeof(uint32_t)),
			  malloc(TRACE_SAS_MAX * sizeof(uint32_t)), 0 };
	struct score score = { 0 };

	if (!h.sas || !h.place || !h.wanted)
		abort();
	for (i = 0; i < n; i++) {
		uint32_t sa = sas[i];

		h.wanted[sa] = next[i];
		if (h.place[sa]) {
			score.all_hits++;
			score.hits += i >= skip;
			heap_up(&h, h.place[sa], sa);
		} else if (h.n < capacity) {
			heap_up(&h, ++h.n, sa);
		} else if (h.wanted[h.sas[1]] > next[i]) {
			score.evictions += i >= skip;
			h.place[h.sas[1]] = 0;
			heap_down(&h, 1, sa);
		}
	}
	free(next);
	free(h.sas);
	free(h.place);
	free(h.wanted);
	return score;
}
