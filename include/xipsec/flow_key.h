/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a flow becomes a key of flow_cache: one definition for the daemon and the programs. */
#ifndef XIPSEC_FLOW_KEY_H
#define XIPSEC_FLOW_KEY_H

#include <xipsec/abi.h>
#include <xipsec/guard.h>

/* mark_mask: of the generation that is looked for. Flows that arrive have no mark. */
static inline __attribute__((always_inline)) __u32 xi_flow_key_mark(const struct xi_flow *flow, __u32 mark_mask)
{
	return flow->if_id ? flow->if_id : flow->mark & mark_mask;
}

/* Both aligned to 8 bytes in the programs: addresses are masked in two halves. mark: as above. */
static inline __attribute__((always_inline)) void
xi_flow_key_make(struct xi_flow_key *key, const struct xi_flow *flow, __u32 dir,
		 const struct xi_flow_mask *mask, __u32 mark)
{
	__u32 plen_s = mask->prefixlen_s, plen_d = mask->prefixlen_d;
	__u64 words[4];
	__u8 bits = dir;

	__builtin_memcpy(words, flow->saddr, 16);
	__builtin_memcpy(words + 2, flow->daddr, 16);
	words[0] &= xi_guard_mask8(plen_s);
	words[2] &= xi_guard_mask8(plen_d);
	if (flow->family == XI_IPV6) {
		words[1] &= xi_guard_mask8(plen_s > 64 ? plen_s - 64 : 0);
		words[3] &= xi_guard_mask8(plen_d > 64 ? plen_d - 64 : 0);
		bits |= XI_KEY_IPV6;
	}
	__builtin_memcpy(key->saddr, words, 16);
	__builtin_memcpy(key->daddr, words + 2, 16);
	key->sport = flow->sport & mask->sport;
	key->dport = flow->dport & mask->dport;
	key->sport_mask = mask->sport;
	key->dport_mask = mask->dport;
	key->prefixlen_s = plen_s;
	key->prefixlen_d = plen_d;
	key->proto = flow->proto & mask->proto;
	if (mask->fragment)
		bits |= XI_KEY_LOOKS_FRAGMENT | (flow->fragment ? XI_KEY_FRAGMENT : 0);
	if (mask->proto)
		bits |= XI_KEY_LOOKS_PROTO;
	if (flow->if_id)
		bits |= XI_KEY_IF_ID;
	key->bits = bits;
	key->mark = mark;
}

static inline __u32 xi_flow_key_dir(const struct xi_flow_key *key)
{
	return key->bits & XI_KEY_DIR;
}

static inline __u32 xi_flow_key_family(const struct xi_flow_key *key)
{
	return key->bits & XI_KEY_IPV6 ? XI_IPV6 : XI_IPV4;
}

/* As it is in flow_masks. */
static inline struct xi_flow_mask xi_flow_key_mask(const struct xi_flow_key *key)
{
	return (struct xi_flow_mask){
		.prefixlen_s = key->prefixlen_s,
		.prefixlen_d = key->prefixlen_d,
		.proto = key->bits & XI_KEY_LOOKS_PROTO ? 0xff : 0,
		.fragment = key->bits & XI_KEY_LOOKS_FRAGMENT ? 1 : 0,
		.sport = key->sport_mask,
		.dport = key->dport_mask,
	};
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
