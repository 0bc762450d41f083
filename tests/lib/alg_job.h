/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every transform there is as a job for an engine, and what OpenSSL, asked directly and by other
 * functions than the engines', says must come of it. */
#ifndef XI_TEST_ALG_JOB_H
#define XI_TEST_ALG_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/crypto.h"

#define ALG_DATA_MAX 9024
#define ALG_GUARD 32
#define ALG_HEAD_MAX 64
#define ALG_ICV_MAX 32
#define ALG_TRANSFORMS_MAX 128

struct alg_engine {
	const struct xi_engine *e;
	struct xi_crypto *c;
};

extern struct alg_engine alg_engines[2];
extern unsigned int alg_nengines;

/* cmocka's: every engine that this CPU can run. */
int alg_start(void **state);
int alg_stop(void **state);

struct alg_transform {
	enum xi_alg alg;
	enum xi_auth auth;
	uint16_t key_bits;
	uint8_t icv_len;
	bool ah;
};

/* All of them: each algorithm, key size, ICV length. */
unsigned int alg_transforms(struct alg_transform list[ALG_TRANSFORMS_MAX]);
const char *alg_text(const struct alg_transform *t);

/* A packet from head to ICV with bytes around it that nobody may touch. */
struct alg_case {
	struct alg_transform t;
	struct xi_sa_key raw;
	struct xi_ckey *key;
	struct xi_aead_job job;
	uint8_t clear[ALG_DATA_MAX];  /* data as it was */
	uint8_t sealed[ALG_DATA_MAX]; /* and must be */
	uint8_t icv[ALG_ICV_MAX];
	uint8_t mem[ALG_GUARD + ALG_HEAD_MAX + ALG_DATA_MAX + ALG_ICV_MAX + ALG_GUARD];
	uint8_t before[ALG_GUARD + ALG_HEAD_MAX + ALG_DATA_MAX + ALG_ICV_MAX + ALG_GUARD];
};

void alg_random(uint8_t *p, size_t n);
/* A random key, head and data of the transform; len: rounded up to what the cipher takes. The job
 * has no key yet but raw. */
void alg_case_make(struct alg_case *c, const struct alg_transform *t, uint32_t len, bool esn);
/* The same of c->t and c->raw as they are, with this head (SPI, sequence number, IV; at least 16
 * bytes of it, or what AH covers first) and data. */
void alg_case_set(struct alg_case *c, const uint8_t *head, uint32_t head_len, const uint8_t *clear,
		  uint32_t len, bool esn);
/* A job with a key has no use for the raw one, and does not get it. */
void alg_case_key(struct alg_case *c, const struct xi_engine *e);
void alg_case_unkey(struct alg_case *c, const struct xi_engine *e);
/* OpenSSL's answer: c->sealed and c->icv, from c->clear and what is in the head. */
void alg_case_reference(struct alg_case *c);
/* Fails the test unless the job was sealed or opened, and no other byte changed. */
void alg_case_is_sealed(const struct alg_case *c);
void alg_case_is_open(const struct alg_case *c);
/* Refused: -EBADMSG, and data zeroed; of AH, untouched. */
void alg_case_is_refused(const struct alg_case *c);

#endif
