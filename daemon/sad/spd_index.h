/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the first policy that matches a flow without walking through all of them: one hash probe
 * for each pair of prefix lengths that occurs (tuple space search). Immutable; one piece of memory,
 * freed with free().
 */
#ifndef XI_SPD_INDEX_H
#define XI_SPD_INDEX_H

#include <stdint.h>

#include "sad/spd.h"

struct xi_spd_index;

/* 0 or -ENOMEM. *out NULL: so few policies that a walk is as good. policies must outlive the index.
 */
int xi_spd_index_build(struct xi_spd_index **out, const struct xi_spd_policy *const *policies,
		       uint32_t n);
const struct xi_spd_policy *xi_spd_index_lookup(const struct xi_spd_index *index,
						const struct xi_spd_policy *const *policies,
						const struct xi_flow *flow);

#endif
