/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/spd_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sad/selector.h"

#define WALK_MAX 8
#define NO_RANK UINT32_MAX

/* A pair of prefix lengths. */
struct tuple {
	enum xi_family family;
	uint8_t prefixlen_s, prefixlen_d;
	uint32_t first;              /* rank of its first policy: tuples are in this order */
};

struct xi_spd_index {
	uint32_t ntuples, mask;
	struct tuple *tuples;
	uint32_t *heads; /* buckets: rank of the first policy, then by next[] in ascending rank */
	uint32_t *next;
	uint32_t *tuple_of;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static uint32_t bucket_of(const struct xi_spd_index *ix, uint32_t tuple, const uint8_t saddr[16],
			  const uint8_t daddr[16])
{
	uint8_t masked[32];
	uint64_t words[4], h = tuple;
	unsigned int i;

	xi_prefix_mask(masked, saddr, ix->tuples[tuple].prefixlen_s);
	xi_prefix_mask(masked + 16, daddr, ix->tuples[tuple].prefixlen_d);
	memcpy(words, masked, sizeof(words));
	for (i = 0; i < 4; i++)
		h = mix(h, words[i]);
	return (uint32_t)(h >> 32) & ix->mask;
}

static uint32_t tuple_get(struct xi_spd_index *ix, const struct xi_selector *sel, uint32_t rank)
{
	uint32_t i;

	for (i = 0; i < ix->ntuples; i++)
		if (ix->tuples[i].family == sel->family &&
		    ix->tuples[i].prefixlen_s == sel->prefixlen_s &&
		    ix->tuples[i].prefixlen_d == sel->prefixlen_d)
			return i;
	ix->tuples[ix->ntuples] =
		(struct tuple){sel->family, sel->prefixlen_s, sel->prefixlen_d, rank};
	return ix->ntuples++;
}

static struct xi_spd_index *index_alloc(uint32_t n)
{
	uint32_t buckets = 16;
	struct xi_spd_index *ix;

	while (buckets < 2 * n)
		buckets *= 2;
	ix = malloc(sizeof(*ix) + n * sizeof(*ix->tuples) +
		    (buckets + 2 * (size_t)n) * sizeof(*ix->heads));
	if (!ix)
		return NULL;
	ix->ntuples = 0;
	ix->mask = buckets - 1;
	ix->tuples = (struct tuple *)(ix + 1);
	ix->heads = (uint32_t *)(ix->tuples + n);
	ix->next = ix->heads + buckets;
	ix->tuple_of = ix->next + n;
	memset(ix->heads, 0xff, buckets * sizeof(*ix->heads));
	return ix;
}

int xi_spd_index_build(struct xi_spd_index **out, const struct xi_spd_policy *const *policies,
		       uint32_t n)
{
	struct xi_spd_index *ix;
	uint32_t rank;

	*out = NULL;
	if (n <= WALK_MAX)
		return 0;
	ix = index_alloc(n);
	if (!ix)
		return -ENOMEM;
	for (rank = 0; rank < n; rank++)
		ix->tuple_of[rank] = tuple_get(ix, &policies[rank]->policy.sel, rank);
	for (rank = n; rank-- > 0;) {
		const struct xi_selector *sel = &policies[rank]->policy.sel;
		uint32_t b = bucket_of(ix, ix->tuple_of[rank], sel->saddr, sel->daddr);

		ix->next[rank] = ix->heads[b];
		ix->heads[b] = rank;
	}
	*out = ix;
	return 0;
}

const struct xi_spd_policy *xi_spd_index_lookup(const struct xi_spd_index *ix,
						const struct xi_spd_policy *const *policies,
						const struct xi_flow *flow)
{
	uint32_t best = NO_RANK, rank, t;

	for (t = 0; t < ix->ntuples && ix->tuples[t].first < best; t++) {
		if (ix->tuples[t].family != flow->family)
			continue;
		rank = ix->heads[bucket_of(ix, t, flow->saddr, flow->daddr)];
		for (; rank < best; rank = ix->next[rank])
			if (ix->tuple_of[rank] == t &&
			    xi_selector_matches(&policies[rank]->policy.sel, flow))
				best = rank;
	}
	return best == NO_RANK ? NULL : policies[best];
}
