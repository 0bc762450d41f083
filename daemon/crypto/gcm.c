// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "crypto/gcm.h"

#include <errno.h>

int xi_gcm_size(const struct xi_sa_key *raw, enum xi_gcm_size *size)
{
	if (raw->alg != XI_ALG_AES_GCM || raw->auth != XI_AUTH_NONE || raw->auth_len)
		return -EINVAL;
	switch (raw->len) {
	case 16 + XI_GCM_SALT_LEN:
		*size = XI_GCM_128;
		return 0;
	case 24 + XI_GCM_SALT_LEN:
		*size = XI_GCM_192;
		return 0;
	case 32 + XI_GCM_SALT_LEN:
		*size = XI_GCM_256;
		return 0;
	default:
		return -EINVAL;
	}
}
