/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every algorithm, once: its name in the kernel and in `ip xfrm`, and its numbers. A transform of
 * ESP is an AEAD alone, or a cipher (NULL is one) with an integrity algorithm; one without the
 * other is none (RFC 8221 section 4). One of AH is an integrity algorithm alone, which goes with
 * XI_ALG_NONE, or AES-GMAC.
 */
#ifndef XI_ALGS_H
#define XI_ALGS_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

/* Lengths in bytes. */
struct xi_cipher_info {
	const char *name;
	const char *compat; /* the kernel's older name, or NULL */
	uint8_t salt_len;   /* behind the key, no part of key_bits */
	uint8_t iv_len;	    /* on the wire */
	uint8_t block;	    /* the ciphertext is a multiple of it */
	uint8_t pad_align;  /* payload and trailer are (RFC 4303 section 2.4) */
	bool aead;
	bool random_iv;	      /* the IV must be unpredictable; else it must be unique */
	uint16_t key_bits[4]; /* 0 ends; NULL has none */
	uint16_t icv_bits[4]; /* of an AEAD; 0 ends */
};

struct xi_auth_info {
	const char *name;
	const char *compat;
	uint16_t key_bits;
	uint16_t trunc_bits;  /* ICV that XFRMA_ALG_AUTH, which names none, stands for in Linux */
	uint16_t full_bits;   /* output of the whole algorithm */
	uint16_t icv_bits[4]; /* carried; 0 ends */
};

/* NULL: XI_ALG_NONE, XI_AUTH_NONE, or no such algorithm. */
const struct xi_cipher_info *xi_cipher_info(enum xi_alg alg);
const struct xi_auth_info *xi_auth_info(enum xi_auth auth);

/* By name or older name. XI_ALG_NONE, XI_AUTH_NONE: none of that name. */
enum xi_alg xi_cipher_named(const char *name, bool aead);
enum xi_auth xi_auth_named(const char *name);

/* Is value in a list that 0 or its end ends? */
bool xi_bits_listed(const uint16_t list[4], unsigned int value);

/* A transform of ESP or of AH, with lengths that belong to it. */
bool xi_transform_valid(enum xi_alg alg, enum xi_auth auth, unsigned int key_bits,
			unsigned int icv_len);

/* The same of a raw key, whose lengths must fit its algorithms exactly. */
bool xi_key_valid(const struct xi_sa_key *raw);

static inline const uint8_t *xi_key_auth(const struct xi_sa_key *raw)
{
	return raw->key + (raw->len - raw->auth_len);
}

#endif
