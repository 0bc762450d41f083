/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys for AES-CBC with HMAC. */
#ifndef XI_ETM_BED_H
#define XI_ETM_BED_H

#include <string.h>

#include "alg_job.h"
#include "crypto/crypto.h"

#define DATA_MAX 9008
#define ICV_MAX 32
#define AUTHS 4

/* In the order of enum xi_auth: RFC 2404, RFC 4868. */
static const struct {
	uint32_t key_len, icv_len;
	const char *digest;
} auths[AUTHS + 1] = {
	[XI_AUTH_HMAC_SHA1] = {20, 12, "SHA1"},
	[XI_AUTH_HMAC_SHA256] = {32, 16, "SHA256"},
	[XI_AUTH_HMAC_SHA384] = {48, 24, "SHA384"},
	[XI_AUTH_HMAC_SHA512] = {64, 32, "SHA512"},
};

static inline void raw_set(struct xi_sa_key *raw, enum xi_auth auth, const uint8_t *aes,
			   uint32_t aes_len, const uint8_t *key)
{
	memset(raw, 0, sizeof(*raw));
	raw->alg = XI_ALG_AES_CBC;
	raw->auth = auth;
	raw->auth_len = auths[auth].key_len;
	raw->len = aes_len + raw->auth_len;
	memcpy(raw->key, aes, aes_len);
	memcpy(raw->key + aes_len, key, raw->auth_len);
}

#endif
