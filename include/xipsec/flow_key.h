/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a flow becomes a key of flow_cache: one definition for the daemon and the programs. */
#ifndef XIPSEC_FLOW_KEY_H
#define XIPSEC_FLOW_KEY_H

#include <xipsec/abi.h>
#include <xipsec/guard.h>

/*
 * Both aligned to 8 bytes in the programs: addresses are masked in two halves. mark_mask: bits of the mark that policies
 * look at, 0 for flows that arrive, which have none where they are looked for.
 */
static inline __attribute__((always_inline)) void
xi_flow_key_make(struct xi_flow_key *key, const struct xi_flow *flow, __u32 dir,
		 const struct xi_flow_mask *mask, __u32 mark_mask)
{
	__u32 plen_s = mask->prefixlen_s, plen_d = mask->prefixlen_d;
	__u64 words[4];

	__builtin_memcpy(words, flow->saddr, 16);
	__builtin_memcpy(words + 2, flow->daddr, 16);
	words[0] &= xi_guard_mask8(plen_s);
	words[2] &= xi_guard_mask8(plen_d);
	if (flow->family == XI_IPV6) {
		words[1] &= xi_guard_mask8(plen_s > 64 ? plen_s - 64 : 0);
		words[3] &= xi_guard_mask8(plen_d > 64 ? plen_d - 64 : 0);
	}
	__builtin_memcpy(key->saddr, words, 16);
	__builtin_memcpy(key->daddr, words + 2, 16);
	key->sport = flow->sport & mask->sport;
	key->dport = flow->dport & mask->dport;
	key->proto = flow->proto & mask->proto;
	key->dir = dir;
	key->fragment = flow->fragment & mask->fragment;
	key->family = flow->family;
	key->mask = *mask;
	key->mark = flow->mark & mark_mask;
	key->mark_mask = mark_mask;
	key->if_id = flow->if_id;
}

/* The mask that leaves nothing out. */
static inline __attribute__((always_inline)) struct xi_flow_mask xi_flow_mask_whole(__u32 family)
{
	__u8 bits = family == XI_IPV4 ? 32 : 128;

	return (struct xi_flow_mask){
		.prefixlen_s = bits,
		.prefixlen_d = bits,
		.proto = 0xff,
		.fragment = 1,
		.sport = 0xffff,
		.dport = 0xffff,
	};
}

#endif
