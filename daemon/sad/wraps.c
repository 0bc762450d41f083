/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which SAs send nothing by themselves: what they protect is protected again. */
#include "sad/spd_priv.h"

#include <utlist.h>

static bool policy_wraps(const struct xi_policy *policy, const struct xi_sa *sa)
{
	return policy->ntmpls > 1 && xi_sa_serves(policy, &policy->tmpls[0], sa) &&
	       xi_selector_overlaps(&policy->sel, &sa->sel);
}

bool xi_spd_wraps(const struct xi_spd *spd, const struct xi_sa *sa)
{
	const struct xi_spd_node *node;

	DL_FOREACH2 (spd->bundles, node, bundle_next) {
		const struct xi_policy *policy = &node->pub->p.policy;

		if (xi_policy_sees_flows(policy) && policy_wraps(policy, sa))
			return true;
	}
	return false;
}
