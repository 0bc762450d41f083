/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ciphers with a separate integrity algorithm, and integrity alone, of ipsec-mb over many jobs at
 * once. One job alone keeps one of 16 lanes busy: HMAC-SHA-256 over 1408 bytes takes 7 us then, and
 * 0.5 us a job when there are 16.
 */
#ifndef XI_MB_ETM_H
#define XI_MB_ETM_H

#include <intel-ipsec-mb.h>

#include "crypto/job.h"

/* Expanded once an SA: AES both ways; HMAC's states after the padded key (RFC 2104 section 4), or
 * CMAC's key and subkeys (RFC 4493 section 2.3). */
struct xi_mb_etm_key {
	uint8_t enc[15 * 16] __attribute__((aligned(16)));
	uint8_t dec[15 * 16] __attribute__((aligned(16)));
	union {
		struct {
			uint8_t inner[64], outer[64];
		} hmac;
		struct {
			uint8_t enc[11 * 16], k1[16], k2[16];
		} cmac;
	} mac __attribute__((aligned(16)));
	uint8_t aes; /* 0, 1, 2: 128, 192, 256 bits */
	uint8_t alg;
	uint8_t auth;
};

/* What the library has for expanding keys on this CPU. */
struct xi_mb_etm_ops {
	keyexp_t aes[3];
	cmac_subkey_gen_t cmac;
	hash_one_block_t sha[XI_AUTH_HMAC_SHA512 + 1];
};

void xi_mb_etm_ops(const IMB_MGR *mgr, struct xi_mb_etm_ops *ops);
/* 0, or -EINVAL. */
int xi_mb_etm_expand(const struct xi_mb_etm_ops *ops, struct xi_mb_etm_key *key,
		     const struct xi_sa_key *raw);

struct xi_mb_etm;

/* mgr, and sse, which is better for a few jobs: the worker's, which must outlive it. */
int xi_mb_etm_new(struct xi_mb_etm **out, IMB_MGR *mgr, IMB_MGR *sse);
void xi_mb_etm_free(struct xi_mb_etm *etm);

/*
 * Takes a job, to be sealed or opened by the next flush at the latest: all jobs between two flushes
 * go the same way. key NULL: job->raw is expanded until then.
 */
void xi_mb_etm_add(struct xi_mb_etm *etm, struct xi_aead_job *job, const struct xi_mb_etm_key *key,
		   IMB_CIPHER_DIRECTION dir);
void xi_mb_etm_flush(struct xi_mb_etm *etm, IMB_CIPHER_DIRECTION dir);

#endif
