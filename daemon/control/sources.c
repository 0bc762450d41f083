/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/sources.h"

#include <time.h>

static const struct xi_sa_rec *next_sa(const struct xi_control_sources *src, uint32_t *slot)
{
	return xi_sad_next(src->sad, slot);
}

static const struct xi_policy *next_policy(const struct xi_control_sources *src, uint32_t *index)
{
	return xi_spd_next(src->spd, index);
}

static void held(const struct xi_control_sources *src, struct xi_held *out)
{
	*out = (struct xi_held){
		.sas = xi_sad_count(src->sad),
		.max_sas = src->max_sas,
		.policies = xi_spd_count(src->spd, XI_IN) + xi_spd_count(src->spd, XI_OUT) +
			    xi_spd_count(src->spd, XI_FWD),
		.max_policies = src->max_policies,
	};
}

static bool is_local(const struct xi_control_sources *src, const uint8_t addr[16],
		     enum xi_family family)
{
	return xi_spd_is_local(xi_spd_snapshot(src->spd), addr, family);
}

static bool wraps(const struct xi_control_sources *src, const struct xi_sa *sa)
{
	return xi_spd_wraps(src->spd, sa);
}

void xi_control_sources_init(struct xi_control_sources *src, const struct xi_sad *sad,
			     const struct xi_spd *spd)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	src->started = (uint64_t)now.tv_sec;
	src->sad = sad;
	src->spd = spd;
	src->held = held;
	src->next_sa = next_sa;
	src->next_policy = next_policy;
	src->is_local = is_local;
	src->wraps = wraps;
}
