/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * AEADs of ipsec-mb other than AES-GCM: AES-CCM of 128 and 256 bits over many jobs at once;
 * ChaCha20-Poly1305 and AES-GMAC one by one, which is as fast.
 */
#ifndef XI_MB_AEAD_H
#define XI_MB_AEAD_H

#include <intel-ipsec-mb.h>

#include "crypto/job.h"

struct xi_mb_aead_key {
	union {
		struct gcm_key_data gmac;
		uint8_t ccm[15 * 16] __attribute__((aligned(16)));
		uint8_t chacha[32];
	};
	uint8_t aes; /* 0, 1, 2: 128, 192, 256 bits */
	uint8_t alg;
};

/* What the library has on this CPU; by size of AES. */
struct xi_mb_aead_ops {
	keyexp_t aes[3];
	aes_gcm_pre_t gcm_expand[3];
	aes_gcm_enc_dec_t gcm[3];
	aes_gmac_init_t gmac_init[3];
	aes_gmac_update_t gmac_update[3];
	aes_gmac_finalize_t gmac_final[3];
};

void xi_mb_aead_ops(const IMB_MGR *mgr, struct xi_mb_aead_ops *ops);

/* The library has no AES-CCM of 192 bits. */
bool xi_mb_aead_has(const struct xi_sa_key *raw);
/* 0, or -EINVAL. */
int xi_mb_aead_expand(const struct xi_mb_aead_ops *ops, struct xi_mb_aead_key *key,
		      const struct xi_sa_key *raw);

struct xi_mb_aead;

/* mgr, and sse, which is better for short jobs: the worker's, which must outlive it. 0 or -ENOMEM.
 */
int xi_mb_aead_new(struct xi_mb_aead **out, IMB_MGR *mgr, IMB_MGR *sse);
void xi_mb_aead_free(struct xi_mb_aead *aead);

/* As xi_mb_etm_add and xi_mb_etm_flush. */
void xi_mb_aead_add(struct xi_mb_aead *aead, struct xi_aead_job *job,
		    const struct xi_mb_aead_key *key, IMB_CIPHER_DIRECTION dir);
void xi_mb_aead_flush(struct xi_mb_aead *aead, IMB_CIPHER_DIRECTION dir);

#endif
