/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * AES-GCM keys for packets of the SLOW method, several at once. ipsec-mb expands one key at a time, always
 * with all 48 powers of the hash key: 126 ns, while a short packet takes 42. Here four keys of one
 * size share each vector instruction, and a packet gets as many powers as it has blocks.
 */
#ifndef XI_GCM_EXPAND_H
#define XI_GCM_EXPAND_H

#include <intel-ipsec-mb.h>

#include "crypto/gcm.h"

#define XI_GCM_LANES 4
#define XI_GCM_POWERS 48

/* One key to expand. */
struct xi_gcm_lane {
	const uint8_t *raw;          /* 16 or 32 bytes */
	struct gcm_key_data *out;    /* as the library's code for VAES and AVX-512 wants it */
	uint32_t powers;             /* at least these of the hash key; more where that costs nothing */
};

/* What a packet of len bytes needs: one a block; lengths and associated data do with the first. */
static inline uint32_t xi_gcm_powers(uint32_t len)
{
	uint32_t blocks = (len + 15) / 16;

	return blocks < XI_GCM_POWERS ? blocks + !blocks : XI_GCM_POWERS;
}

/*
 * The library's code on this CPU has the layout that is known here, and what is expanded here serves it:
 * packets of all numbers of blocks were sealed with keys of both.
 */
bool xi_gcm_expand_fits(const IMB_MGR *mgr);

/* Keys of one size, 128 or 256 bits; n of 1 to XI_GCM_LANES. Constant-time. */
void xi_gcm_expand(enum xi_gcm_size size, const struct xi_gcm_lane *lanes, unsigned int n);

#endif
