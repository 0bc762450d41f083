/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The policy guard: may a packet concern a policy at all? Never wrong on the side of "no". */
#ifndef XI_GUARD_BPF_H
#define XI_GUARD_BPF_H

#include <xipsec/guard.h>

#include "maps.bpf.h"

/*
 * Guards that hold for every packet: nothing configured yet, or a policy or default that spares
 * none.
 */
static __always_inline bool xi_guard_all(const struct xi_config *cfg, __u32 dir)
{
	if (cfg->abi_version != XI_ABI_VERSION || (cfg->guard_flags[dir] & XI_GUARD_ALL))
		return true;
	if (cfg->default_action[dir] == XI_BLOCK)
		return true;
	return dir == XI_IN && cfg->default_action[XI_FWD] == XI_BLOCK;
}

/*
 * Is there a policy with these prefix lengths whose prefixes cover the flow? A global function, as
 * others below and the parsers are: the verifier goes through it once, and not once per state of
 * its callers. Its price: it wants arguments checked that are never NULL.
 */
__noinline int xi_guard_covers(const struct xi_guard_mask *mask, const struct xi_flow *flow)
{
	struct xi_guard_key key;

	if (!mask || !flow)
		return true;
	key.saddr = xi_guard_fold(flow->saddr, mask->prefixlen_s, flow->family);
	key.daddr = xi_guard_fold(flow->daddr, mask->prefixlen_d, flow->family);
	key.prefixlen_s = mask->prefixlen_s;
	key.prefixlen_d = mask->prefixlen_d;
	key.dir = mask->dir;
	key.family = flow->family;
	return bpf_map_lookup_elem(&spd_guard, &key) != NULL;
}

/*
 * Policies of dir with templates, or that discard, whose prefixes cover the flow? One lookup a pair
 * of lengths.
 */
__noinline int xi_guard_hit(const struct xi_config *cfg, const struct xi_flow *flow, __u32 dir)
{
	const struct xi_guard_masks *masks;
	__u32 zero = 0;

	if (!cfg || !flow || dir >= XI_DIR_MAX || xi_guard_all(cfg, dir))
		return true;
	masks = bpf_map_lookup_elem(&spd_masks, &zero);
	if (!masks)
		return true;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < XI_MAX_MASKS; i++) {
		const struct xi_guard_mask *mask = &masks->rows[i];

		if (!mask->used)
			return false;
		if (mask->dir == dir && mask->family == flow->family && xi_guard_covers(mask, flow))
			return true;
	}
	return false;
}

#endif
