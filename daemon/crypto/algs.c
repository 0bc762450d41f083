// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "crypto/algs.h"

#include <stddef.h>
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static const struct xi_cipher_info ciphers[] = {
	/* RFC 4106 */
	[XI_ALG_AES_GCM] = {.name = "rfc4106(gcm(aes))",
			    .salt_len = 4,
			    .iv_len = 8,
			    .block = 1,
			    .pad_align = 4,
			    .aead = true,
			    .key_bits = {128, 192, 256},
			    .icv_bits = {64, 96, 128}},
	/* RFC 3602 */
	[XI_ALG_AES_CBC] = {.name = "cbc(aes)",
			    .compat = "aes",
			    .iv_len = 16,
			    .block = 16,
			    .pad_align = 16,
			    .random_iv = true,
			    .key_bits = {128, 192, 256}},
	/* RFC 2410 */
	[XI_ALG_NULL] = {.name = "ecb(cipher_null)",
			 .compat = "cipher_null",
			 .block = 1,
			 .pad_align = 4},
	/* RFC 3686 */
	[XI_ALG_AES_CTR] = {.name = "rfc3686(ctr(aes))",
			    .salt_len = 4,
			    .iv_len = 8,
			    .block = 1,
			    .pad_align = 4,
			    .key_bits = {128, 192, 256}},
	/* RFC 4309 */
	[XI_ALG_AES_CCM] = {.name = "rfc4309(ccm(aes))",
			    .salt_len = 3,
			    .iv_len = 8,
			    .block = 1,
			    .pad_align = 4,
			    .aead = true,
			    .key_bits = {128, 192, 256},
			    .icv_bits = {64, 96, 128}},
	/* RFC 7634 */
	[XI_ALG_CHACHA20_POLY1305] = {.name = "rfc7539esp(chacha20,poly1305)",
				      .salt_len = 4,
				      .iv_len = 8,
				      .block = 1,
				      .pad_align = 4,
				      .aead = true,
				      .key_bits = {256},
				      .icv_bits = {128}},
	/* RFC 4543 */
	[XI_ALG_AES_GMAC] = {.name = "rfc4543(gcm(aes))",
			     .salt_len = 4,
			     .iv_len = 8,
			     .block = 1,
			     .pad_align = 4,
			     .aead = true,
			     .key_bits = {128, 192, 256},
			     .icv_bits = {128}},
};

/* RFC 2404, RFC 4868, RFC 4494. Linux took 96 bits for SHA-256 before RFC 4868 said 128, and keeps to it. */
static const struct xi_auth_info auths[] = {
	[XI_AUTH_HMAC_SHA1] = {"hmac(sha1)", "sha1", 160, 96, 160, {96}},
	[XI_AUTH_HMAC_SHA256] = {"hmac(sha256)", "sha256", 256, 96, 256, {128, 96}},
	[XI_AUTH_HMAC_SHA384] = {"hmac(sha384)", NULL, 384, 192, 384, {192}},
	[XI_AUTH_HMAC_SHA512] = {"hmac(sha512)", NULL, 512, 256, 512, {256}},
	[XI_AUTH_AES_CMAC] = {"cmac(aes)", NULL, 128, 96, 128, {96}},
};

const struct xi_cipher_info *xi_cipher_info(enum xi_alg alg)
{
	return alg < COUNT(ciphers) && ciphers[alg].name ? &ciphers[alg] : NULL;
}

const struct xi_auth_info *xi_auth_info(enum xi_auth auth)
{
	return auth < COUNT(auths) && auths[auth].name ? &auths[auth] : NULL;
}

static bool is_named(const char *name, const char *want, const char *compat)
{
	return want && (!strcmp(name, want) || (compat && !strcmp(name, compat)));
}

enum xi_alg xi_cipher_named(const char *name, bool aead)
{
	for (size_t i = 0; i < COUNT(ciphers); i++)
		if (ciphers[i].aead == aead && is_named(name, ciphers[i].name, ciphers[i].compat))
			return (enum xi_alg)i;
	return XI_ALG_NONE;
}

enum xi_auth xi_auth_named(const char *name)
{
	for (size_t i = 0; i < COUNT(auths); i++)
		if (is_named(name, auths[i].name, auths[i].compat))
			return (enum xi_auth)i;
	return XI_AUTH_NONE;
}

bool xi_bits_listed(const uint16_t list[4], unsigned int value)
{
	for (int i = 0; i < 4 && list[i]; i++)
		if (list[i] == value)
			return true;
	return false;
}

/* Bits of a cipher's key without salt; NULL and AH's XI_ALG_NONE have none. */
static bool cipher_bits_valid(const struct xi_cipher_info *cipher, unsigned int bits)
{
	return cipher && cipher->key_bits[0] ? xi_bits_listed(cipher->key_bits, bits) : !bits;
}

bool xi_transform_valid(enum xi_alg alg, enum xi_auth auth, unsigned int key_bits,
			unsigned int icv_len)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(alg);
	const struct xi_auth_info *integrity = xi_auth_info(auth);

	if ((!cipher && alg != XI_ALG_NONE) || !cipher_bits_valid(cipher, key_bits))
		return false;
	if (cipher && cipher->aead)
		return auth == XI_AUTH_NONE && xi_bits_listed(cipher->icv_bits, icv_len * 8);
	return integrity && xi_bits_listed(integrity->icv_bits, icv_len * 8);
}

bool xi_key_valid(const struct xi_sa_key *raw)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(raw->alg);
	const struct xi_auth_info *auth = xi_auth_info(raw->auth);
	uint32_t salt_len = cipher ? cipher->salt_len : 0;

	if ((!cipher && raw->alg != XI_ALG_NONE) || raw->len > XI_KEY_MAX ||
	    raw->auth_len > raw->len || raw->len - raw->auth_len < salt_len)
		return false;
	if (cipher && cipher->aead ? raw->auth != XI_AUTH_NONE || raw->auth_len
				   : !auth || raw->auth_len != auth->key_bits / 8U)
		return false;
	return cipher_bits_valid(cipher, (raw->len - raw->auth_len - salt_len) * 8);
}
