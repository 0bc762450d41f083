/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the first policy that matches a flow without walking through all of them: one hash probe for each pair of
 * prefix lengths that occurs (tuple space search), and where many policies share a pair of prefixes, one for each way in
 * which they look at protocol and ports. Immutable. It names policies by their rank, their place in the array it was
 * built from.
 */
#ifndef XI_SPD_INDEX_H
#define XI_SPD_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "sad/spd.h"

#define XI_NO_RANK UINT32_MAX

struct xi_spd_index;

/* 0 or -ENOMEM. *out NULL: no policies. */
int xi_spd_index_build(struct xi_spd_index **out, const struct xi_spd_policy *const *policies,
		       uint32_t n);
void xi_spd_index_free(struct xi_spd_index *ix);

/*
 * ix of all below may be NULL. policies: those it was built from, or others of the same selectors and order; a dead one,
 * whose selector names a device, matches no flow. XI_NO_RANK: no policy matches.
 */
uint32_t xi_spd_index_find(const struct xi_spd_index *ix, const struct xi_spd_policy *const *policies,
			   const struct xi_flow *flow);
/* First rank whose policy does not come before one of this priority and order. */
uint32_t xi_spd_index_rank(const struct xi_spd_index *ix, uint32_t priority, uint64_t order);
/* What had to be looked at, beyond what the mask has already, to see that no policy below rank matches. */
void xi_spd_index_mask(const struct xi_spd_index *ix, const struct xi_flow *flow, uint32_t rank,
		       struct xi_flow_mask *mask);

/*
 * Of a later fragment, which shows no ports: the first policy that looks at ports, does not let cleartext pass, and would
 * match but for its ports. XI_NO_RANK: none.
 */
uint32_t xi_spd_index_doubt(const struct xi_spd_index *ix, const struct xi_spd_policy *const *policies,
			    const struct xi_flow *flow);
void xi_spd_index_doubt_mask(const struct xi_spd_index *ix, const struct xi_flow *flow,
			     uint32_t rank, struct xi_flow_mask *mask);
/* Are there any such policies? */
bool xi_spd_index_doubts(const struct xi_spd_index *ix);

#endif
