/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How an address becomes part of a key of spd_guard: one definition for the daemon and the programs. */
#ifndef XIPSEC_GUARD_H
#define XIPSEC_GUARD_H

#include <bpf/bpf_endian.h>

#include <xipsec/abi.h>

/* First plen bits set, in network order. Shifts stay below the width: by more they are undefined in C. */
static inline __u32 xi_guard_mask4(__u32 plen)
{
	return bpf_htonl(plen >= 32 ? ~0U : ~(~0U >> (plen & 31)));
}

static inline __u64 xi_guard_mask8(__u32 plen)
{
	return bpf_cpu_to_be64(plen >= 64 ? ~0ULL : ~(~0ULL >> (plen & 63)));
}

/* The prefix of an address. Odd factors: every bit of an IPv6 prefix has its say in the upper half. */
static inline __u32 xi_guard_fold(const __u8 addr[16], __u32 plen, __u32 family)
{
	__u64 words[2];
	__u32 word;

	if (family == XI_IPV4) {
		__builtin_memcpy(&word, addr, 4);
		return word & xi_guard_mask4(plen);
	}
	__builtin_memcpy(words, addr, 16);
	words[0] &= xi_guard_mask8(plen);
	words[1] &= xi_guard_mask8(plen > 64 ? plen - 64 : 0);
	return (words[0] * 0x9e3779b97f4a7c15ULL + words[1] * 0xc2b2ae3d27d4eb4fULL) >> 32;
}

#endif
