/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One SA of AH, built by hand, with ICVs by OpenSSL alone: nothing of the engines or of
 * xi_sa_ctx_init().
 */
#ifndef XI_TEST_AH_SA_H
#define XI_TEST_AH_SA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_sa.h"
#include "ipsec/ah.h"

struct test_ah {
	struct xi_sa sa;
	struct xi_sa_state state;
	uint64_t words[XI_WINDOW_WORDS];
	struct xi_sa_ctx ctx;
	enum xi_auth auth;           /* XI_AUTH_NONE: AES-GMAC */
	uint8_t key[64];
	size_t key_len;
};

/*
 * SPI 0x1000, window 64, both families inside, between 192.0.2.1/.2 or 2001:db8::1/::2. auth
 * XI_AUTH_NONE: AES-GMAC-128. Flags: XFRM_STATE_ESN, XFRM_STATE_ALIGN4. After changes to t->ctx
 * that bear on lengths: t->ctx.ah_len = xi_ah_len(&t->ctx).
 */
void test_ah_init(struct test_ah *t, int family, bool transport, enum xi_auth auth, uint32_t flags);
/* The outer header's addresses, in tunnel mode. */
void test_ah_tunnel(struct test_ah *t, const char *saddr, const char *daddr);

/* What the job covers, and its ICV. With ESN this writes behind data, as an engine may. */
void test_ah_icv(const struct test_ah *t, const struct xi_aead_job *job, uint8_t *icv);
/* The engine's part. */
void test_ah_seal_job(const struct test_ah *t, struct xi_aead_job *job);
void test_ah_open_job(const struct test_ah *t, struct xi_aead_job *job);

/* All steps of one packet. */
enum xi_reason test_ah_seal(struct test_ah *t, uint64_t seq, struct xi_pkt *pkt);
enum xi_reason test_ah_open(struct test_ah *t, struct xi_pkt *pkt, enum xi_crypto_status *status);

#endif
