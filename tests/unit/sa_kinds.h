/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An SA of each kind: every transform there is, in both modes, with both families, with and without ESN and UDP
 * encapsulation, on every engine.
 */
#ifndef XI_SA_KINDS_H
#define XI_SA_KINDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "alg_job.h"
#include "crypto/algs.h"
#include "esp_sa.h"
#include "ipsec/transform.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct choice {
	struct alg_transform t;
	bool transport, v6, esn, encap;
};

/* test_sa, for AH as well; its engine and crypto manager are alg_engines' */
static struct test_sa sa;
static struct choice current;

static inline void key_fill(struct xi_sa_key *raw, const struct alg_transform *t, uint8_t seed)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(t->alg);
	const struct xi_auth_info *auth = xi_auth_info(t->auth);

	memset(raw, 0, sizeof(*raw));
	raw->alg = t->alg;
	raw->auth = t->auth;
	raw->auth_len = auth ? auth->key_bits / 8U : 0;
	raw->len = t->key_bits / 8U + (cipher ? cipher->salt_len : 0U) + raw->auth_len;
	for (uint32_t i = 0; i < raw->len; i++)
		raw->key[i] = (uint8_t)(i * 13 + seed);
}

static inline void sa_open(struct test_sa *s, const struct choice *c, const struct alg_engine *en)
{
	test_sa_default(s, c->v6 ? XI_IPV6 : XI_IPV4);
	s->sa.id.proto = c->t.ah ? XI_AH : XI_ESP;
	s->sa.mode = c->transport ? XI_TRANSPORT : XI_TUNNEL;
	s->sa.flags |= c->esn ? XFRM_STATE_ESN : 0;
	s->sa.encap = c->encap ? XI_ENCAP_ESPINUDP : XI_ENCAP_NONE;
	s->sa.encap_sport = s->sa.encap_dport = c->encap ? 4500 : 0;
	s->sa.alg = c->t.alg;
	s->sa.auth = c->t.auth;
	s->sa.key_bits = c->t.key_bits;
	s->sa.icv_len = c->t.icv_len;
	key_fill(&s->raw, &c->t, 1);
	s->engine = en->e;
	s->crypto = en->c;
	assert_int_equal(
		xi_sa_ctx_init(&s->ctx, &s->sa, &s->raw, &s->state, s->words, XI_WINDOW_WORDS), 0);
	assert_int_equal(en->e->key_new(&s->key, &s->raw, 1), 0);
	s->ctx.key = s->key;
}

static inline void sa_close(struct test_sa *s)
{
	s->engine->key_free(s->key);
}

static inline const char *choice_text(const struct choice *c)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s %s IPv%d%s%s", alg_text(&c->t),
		 c->transport ? "transport" : "tunnel", c->v6 ? 6 : 4, c->esn ? " esn" : "",
		 c->encap ? " in UDP" : "");
	return text;
}

#define check(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			fail_msg("%s, line %d: not so: %s", choice_text(&current), __LINE__,       \
				 #cond);                                                           \
	} while (0)

/* fn for an SA of each kind, fresh each time. */
static inline void each_sa(void (*fn)(void), bool ah_too)
{
	struct alg_transform list[ALG_TRANSFORMS_MAX];
	unsigned int n = alg_transforms(list), ran = 0;

	for (unsigned int i = 0; i < n * alg_nengines; i++) {
		const struct alg_engine *en = &alg_engines[i / n];

		if ((list[i % n].ah && !ah_too) ||
		    !en->e->carries(list[i % n].alg, list[i % n].auth, list[i % n].key_bits,
				    list[i % n].icv_len))
			continue;
		for (unsigned int bits = 0; bits < 16; bits++) {
			current = (struct choice){list[i % n], bits & 1, bits & 2, bits & 4,
						  bits & 8};
			if (current.encap && current.t.ah)
				continue;
			sa_open(&sa, &current, en);
			fn();
			sa_close(&sa);
			ran++;
		}
	}
	/* 8 ciphers with their key and ICV sizes, both modes and families, ESN, UDP */
	assert_true(ran >= alg_nengines * 16 * 40);
}

/* A packet that the SA takes: in transport mode of its own family, in tunnel mode of either. */
static inline uint32_t inner_make(uint8_t *ip, uint32_t payload, bool v6)
{
	uint32_t len = payload + (v6 ? 40 : 20);

	if (v6)
		test_inner6(ip, (uint16_t)len, 0);
	else
		test_inner4(ip, (uint16_t)len, 0);
	for (uint32_t i = 0; i < payload; i++)
		ip[len - payload + i] = (uint8_t)(0xc1 + i * 7);
	return len;
}

static struct xi_ah_saved saved;
static struct xi_frame frame;

static inline enum xi_reason seal_start(struct test_sa *s, uint64_t seq, struct xi_pkt *pkt,
				 struct xi_aead_job *job)
{
	enum xi_reason why = xi_out_frame(&s->ctx, seq, UINT32_MAX, pkt, &frame);

	return why ? why : xi_out_job(&s->ctx, &frame, &saved, job);
}

static inline void seal_end(struct test_sa *s, struct xi_aead_job *job)
{
	struct xi_esp_tally tally = {.now = 1000};

	s->engine->seal(s->crypto, job, 1);
	check(!xi_out_finish(&s->ctx, &frame, &saved, job, &tally));
	xi_esp_tally_flush(&tally);
}

static inline enum xi_reason seal(struct test_sa *s, uint64_t seq, struct xi_pkt *pkt)
{
	struct xi_aead_job job;
	enum xi_reason why = seal_start(s, seq, pkt, &job);

	if (!why)
		seal_end(s, &job);
	return why;
}

static enum xi_crypto_status last_status;

static inline enum xi_reason open_packet(struct test_sa *s, struct xi_pkt *pkt)
{
	struct xi_esp_tally tally = {.now = 1000};
	struct xi_aead_job job;
	struct xi_esp_in in;
	enum xi_reason why = xi_in_prepare(&s->ctx, pkt, &job, &in, &saved);

	last_status = XI_CRYPTO_NOT_DONE;
	if (why)
		return why;
	s->engine->open(s->crypto, &job, 1);
	xi_in_verify(&s->ctx, &job, &in, 1);
	why = xi_in_finish(&s->ctx, pkt, &job, &in, &saved, &tally, &last_status);
	xi_esp_tally_flush(&tally);
	return why;
}

/* A packet of this SA with seq, as it is on the wire; what came of it in p. */
static inline void wire_make(struct test_sa *s, uint64_t seq, uint32_t payload, struct test_pkt *p)
{
	uint8_t ip[2048];
	uint32_t len = inner_make(ip, payload, current.v6);

	test_pkt_set(p, ip, len);
	check(!seal(s, seq, &p->pkt));
}

#endif
