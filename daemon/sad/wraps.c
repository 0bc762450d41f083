/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which SAs send nothing by themselves: what they protect is protected again. */
#include "sad/spd_priv.h"

static bool policy_wraps(const struct xi_policy *policy, const struct xi_sa *sa)
{
	return policy->ntmpls > 1 && xi_sa_serves(policy, &policy->tmpls[0], sa) &&
	       xi_selector_overlaps(&policy->sel, &sa->sel);
}

bool xi_spd_wraps(const struct xi_spd_snapshot *snap, const struct xi_sa *sa)
{
	uint32_t i;

	for (i = 0; i < snap->n[XI_OUT]; i++)
		if (policy_wraps(&snap->policies[XI_OUT][i]->policy, sa))
			return true;
	return false;
}
