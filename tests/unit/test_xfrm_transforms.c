/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Algorithms, encapsulation, padding and windows of an SA: taken, refused, and given back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>

#include "../interop/charon_messages.h"
#include "crypto/algs.h"
#include "xfrm_message.h"

/* An SA's algorithms as a message names them. The key's bytes count up from its length in bytes. */
struct transform {
	enum xi_proto proto;
	const char *aead, *crypt, *auth;
	uint32_t crypt_bits;         /* of the AEAD's or the cipher's key with its salt */
	uint32_t auth_bits;
	int icv_bits;                /* -1: AUTH, which has none */
};

static void key_fill(uint8_t *key, uint32_t bits)
{
	for (uint32_t i = 0; i < (bits + 7) / 8; i++)
		key[i] = (uint8_t)(bits / 8 + i);
}

static void algo_append(struct message *m, uint16_t type, size_t head, const char *name,
			uint32_t bits, uint32_t icv_bits)
{
	union {
		struct xfrm_algo_auth auth; /* as long, and laid out, as xfrm_algo_aead */
		uint8_t bytes[512];
	} u;

	memset(&u, 0, sizeof(u));
	snprintf(u.auth.alg_name, sizeof(u.auth.alg_name), "%s", name);
	u.auth.alg_key_len = bits;
	u.auth.alg_trunc_len = icv_bits;
	key_fill(u.bytes + head, bits);
	append(m, type, &u, head + (bits + 7) / 8);
}

/* charon's message with other algorithms, no ESN and no window */
static void transform_message(struct message *m, const struct transform *t)
{
	from_hex(m, charon_upd_in);
	m->len = NLMSG_HDRLEN + sizeof(struct xfrm_usersa_info);
	m->hdr.nlmsg_len = m->len;
	info_of(m)->flags = 0;
	info_of(m)->id.proto = t->proto ? t->proto : XI_ESP;
	if (t->aead)
		algo_append(m, XFRMA_ALG_AEAD, sizeof(struct xfrm_algo_aead), t->aead,
			    t->crypt_bits, (uint32_t)t->icv_bits);
	if (t->auth && t->icv_bits < 0)
		algo_append(m, XFRMA_ALG_AUTH, sizeof(struct xfrm_algo), t->auth, t->auth_bits, 0);
	else if (t->auth)
		algo_append(m, XFRMA_ALG_AUTH_TRUNC, sizeof(struct xfrm_algo_auth), t->auth,
			    t->auth_bits, (uint32_t)t->icv_bits);
	if (t->crypt)
		algo_append(m, XFRMA_ALG_CRYPT, sizeof(struct xfrm_algo), t->crypt, t->crypt_bits,
			    0);
}

/* The attributes of m, but AUTH, which goes out beside AUTH_TRUNC, are in what a client is told. */
static void assert_given_back(const struct xi_sa_request *req, struct message *m)
{
	static const uint16_t types[] = { XFRMA_ALG_AEAD, XFRMA_ALG_AUTH_TRUNC, XFRMA_ALG_CRYPT,
					  XFRMA_ENCAP, XFRMA_TFCPAD, XFRMA_REPLAY_ESN_VAL };
	struct xi_sa_request again;
	struct xi_extack ack = { 0 };
	struct xi_nlmsg sa;
	struct xi_attrs sent, told;
	static struct live l;

	live_init(&l, req);
	xi_xfrm_put_sa(&sa, XFRM_MSG_NEWSA, &nobody, &l.rec);
	assert_false(sa.full);
	assert_int_equal(xi_attrs_parse(&sent, &m->hdr, sizeof(struct xfrm_usersa_info), &ack), 0);
	assert_int_equal(xi_attrs_parse(&told, &sa.hdr, sizeof(struct xfrm_usersa_info), &ack), 0);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		const struct nlattr *want = sent.tb[types[i]], *got = told.tb[types[i]];

		if (!want)
			continue;
		assert_non_null(got);
		assert_int_equal(got->nla_len, want->nla_len);
		assert_memory_equal(got, want, want->nla_len);
	}
	assert_int_equal(xi_xfrm_get_newsa(&again, &sa.hdr, &ack), 0);
	assert_memory_equal(&again.sa, &req->sa, sizeof(req->sa));
	assert_memory_equal(&again.key, &req->key, sizeof(req->key));
}

struct taken {
	struct transform t;
	enum xi_alg alg;
	enum xi_auth auth;
	uint32_t key_bits, salt_len, icv_len;
};

/*
 * Key, salt and ICV: RFC 4106 sections 6, 8.1; RFC 4309 sections 6, 7.1; RFC 7634 section 2;
 * RFC 4543; RFC 3602; RFC 3686 section 5.1; RFC 2410. HMAC: RFC 2404, RFC 4868
 * section 2.6; CMAC: RFC 4494. The ICV that AUTH stands for: net/xfrm/xfrm_algo.c, aalg_list,
 * icv_truncbits.
 */
#define GCM "rfc4106(gcm(aes))"
#define CCM "rfc4309(ccm(aes))"
#define GMAC "rfc4543(gcm(aes))"
#define CHACHA "rfc7539esp(chacha20,poly1305)"
#define CTR "rfc3686(ctr(aes))"
static const struct taken taken[] = {
	{ { 0, GCM, NULL, NULL, 160, 0, 64 }, XI_ALG_AES_GCM, 0, 128, 4, 8 },
	{ { 0, GCM, NULL, NULL, 224, 0, 96 }, XI_ALG_AES_GCM, 0, 192, 4, 12 },
	{ { 0, GCM, NULL, NULL, 288, 0, 128 }, XI_ALG_AES_GCM, 0, 256, 4, 16 },
	{ { 0, CCM, NULL, NULL, 152, 0, 64 }, XI_ALG_AES_CCM, 0, 128, 3, 8 },
	{ { 0, CCM, NULL, NULL, 216, 0, 96 }, XI_ALG_AES_CCM, 0, 192, 3, 12 },
	{ { 0, CCM, NULL, NULL, 280, 0, 128 }, XI_ALG_AES_CCM, 0, 256, 3, 16 },
	{ { 0, CHACHA, NULL, NULL, 288, 0, 128 }, XI_ALG_CHACHA20_POLY1305, 0, 256, 4, 16 },
	{ { 0, GMAC, NULL, NULL, 160, 0, 128 }, XI_ALG_AES_GMAC, 0, 128, 4, 16 },
	{ { 0, GMAC, NULL, NULL, 288, 0, 128 }, XI_ALG_AES_GMAC, 0, 256, 4, 16 },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 128, 160, 96 },
	  XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA1, 128, 0, 12 },
	{ { 0, NULL, "cbc(aes)", "hmac(sha256)", 192, 256, 128 },
	  XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 192, 0, 16 },
	{ { 0, NULL, "cbc(aes)", "hmac(sha256)", 256, 256, 96 },
	  XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 256, 0, 12 },
	{ { 0, NULL, "cbc(aes)", "hmac(sha384)", 128, 384, 192 },
	  XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA384, 128, 0, 24 },
	{ { 0, NULL, "cbc(aes)", "cmac(aes)", 128, 128, 96 },
	  XI_ALG_AES_CBC, XI_AUTH_AES_CMAC, 128, 0, 12 },
	{ { 0, NULL, CTR, "hmac(sha512)", 288, 512, 256 },
	  XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA512, 256, 4, 32 },
	{ { 0, NULL, CTR, "hmac(sha1)", 160, 160, 96 },
	  XI_ALG_AES_CTR, XI_AUTH_HMAC_SHA1, 128, 4, 12 },
	{ { 0, NULL, "ecb(cipher_null)", "hmac(sha256)", 0, 256, 128 },
	  XI_ALG_NULL, XI_AUTH_HMAC_SHA256, 0, 0, 16 },
	{ { 0, NULL, "ecb(cipher_null)", "cmac(aes)", 0, 128, 96 },
	  XI_ALG_NULL, XI_AUTH_AES_CMAC, 0, 0, 12 },
	{ { XI_AH, NULL, NULL, "hmac(sha1)", 0, 160, 96 }, 0, XI_AUTH_HMAC_SHA1, 0, 0, 12 },
	{ { XI_AH, NULL, NULL, "hmac(sha256)", 0, 256, 128 }, 0, XI_AUTH_HMAC_SHA256, 0, 0, 16 },
	{ { XI_AH, NULL, NULL, "hmac(sha512)", 0, 512, 256 }, 0, XI_AUTH_HMAC_SHA512, 0, 0, 32 },
	{ { XI_AH, NULL, NULL, "cmac(aes)", 0, 128, 96 }, 0, XI_AUTH_AES_CMAC, 0, 0, 12 },
	{ { XI_AH, GMAC, NULL, NULL, 224, 0, 128 }, XI_ALG_AES_GMAC, 0, 192, 4, 16 },
	{ { 0, NULL, "aes", "sha1", 128, 160, -1 },
	  XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA1, 128, 0, 12 },
	{ { 0, NULL, "aes", "sha256", 128, 256, -1 },
	  XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 128, 0, 12 },
	{ { 0, NULL, "cipher_null", "hmac(sha384)", 0, 384, -1 },
	  XI_ALG_NULL, XI_AUTH_HMAC_SHA384, 0, 0, 24 },
	{ { XI_AH, NULL, NULL, "hmac(sha512)", 0, 512, -1 }, 0, XI_AUTH_HMAC_SHA512, 0, 0, 32 },
	{ { XI_AH, NULL, NULL, "cmac(aes)", 0, 128, -1 }, 0, XI_AUTH_AES_CMAC, 0, 0, 12 },
	{ { 0, NULL, "cbc(aes)", "hmac(sha256)", 128, 256, 0 },
	  XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 128, 0, 12 },
};

static void taken_check(const struct taken *c, const struct xi_sa_request *req)
{
	uint32_t crypt_len = c->t.crypt_bits / 8, auth_len = c->t.auth_bits / 8;
	uint8_t want[64];

	assert_int_equal(req->sa.alg, c->alg);
	assert_int_equal(req->key.alg, c->alg);
	assert_int_equal(req->sa.auth, c->auth);
	assert_int_equal(req->key.auth, c->auth);
	assert_int_equal(req->sa.key_bits, c->key_bits);
	assert_int_equal(req->sa.key_bits, c->t.crypt_bits - c->salt_len * 8);
	assert_int_equal(req->sa.auth_bits, c->t.auth_bits);
	assert_int_equal(req->sa.icv_len, c->icv_len);
	assert_int_equal(req->key.len, crypt_len + auth_len);
	assert_int_equal(req->key.auth_len, auth_len);
	key_fill(want, c->t.crypt_bits);
	assert_memory_equal(req->key.key, want, crypt_len);
	key_fill(want, c->t.auth_bits);
	assert_memory_equal(xi_key_auth(&req->key), want, auth_len);
	assert_true(xi_key_valid(&req->key));
}

static void every_transform_is_taken_and_given_back(void **state)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		for (int mode = 0; mode < 2; mode++) {
			struct xi_sa_request req;
			struct xi_extack ack;
			struct message m;

			transform_message(&m, &taken[i].t);
			info_of(&m)->mode = (uint8_t)mode;
			if (get_sa(&req, &m, &ack))
				fail_msg("case %zu: %s", i + 1, ack.text);
			assert_int_equal(req.sa.mode, mode);
			assert_int_equal(req.sa.id.proto,
					 taken[i].t.proto ? taken[i].t.proto : XI_ESP);
			taken_check(&taken[i], &req);
			if (taken[i].t.icv_bits > 0) /* no older name */
				assert_given_back(&req, &m);
		}
	}
}

static void each_row_of_the_table_has_a_case(void **state)
{
	for (int value = 1; value < 32; value++) {
		bool alg = !xi_cipher_info((enum xi_alg)value);
		bool auth = !xi_auth_info((enum xi_auth)value);

		for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
			alg |= taken[i].alg == (enum xi_alg)value;
			auth |= taken[i].auth == (enum xi_auth)value;
		}
		assert_true(alg && auth);
	}
}

static const struct {
	struct transform t;
	int err;
	const char *text;
} refused[] = {
	/* an AEAD */
	{ { 0, GCM, NULL, NULL, 160, 0, 80 }, -ENOSYS, GCM " is carried with an ICV of 64, 96 or 128 bits" },
	{ { 0, CCM, NULL, NULL, 152, 0, 129 }, -ENOSYS, "Requested AEAD algorithm not found" },
	{ { 0, CHACHA, NULL, NULL, 288, 0, 96 }, -ENOSYS, "an ICV of 128 bits" },
	{ { 0, GMAC, NULL, NULL, 160, 0, 96 }, -ENOSYS, "an ICV of 128 bits" },
	{ { 0, GCM, NULL, NULL, 128, 0, 128 }, -EINVAL, "128, 192 or 256 bits and 32 of salt" },
	{ { 0, GCM, NULL, NULL, 24, 0, 128 }, -EINVAL, "128, 192 or 256 bits and 32 of salt" },
	{ { 0, CCM, NULL, NULL, 160, 0, 128 }, -EINVAL, "128, 192 or 256 bits and 24 of salt" },
	{ { 0, CHACHA, NULL, NULL, 160, 0, 128 }, -EINVAL, "a key of 256 bits and 32 of salt" },
	{ { 0, CHACHA, NULL, NULL, 256, 0, 128 }, -EINVAL, "a key of 256 bits and 32 of salt" },
	{ { 0, "gcm(aes)", NULL, NULL, 160, 0, 128 }, -ENOSYS, GCM ", " CCM ", " CHACHA ", " GMAC },
	{ { 0, GCM, "cbc(aes)", NULL, 160, 0, 128 }, -EINVAL, "AEAD can't be used with" },
	{ { 0, GCM, NULL, "hmac(sha1)", 160, 160, 96 }, -EINVAL, "AEAD can't be used with" },
	/* half of a transform: RFC 8221 section 4 */
	{ { 0, NULL, "cbc(aes)", NULL, 128, 0, 0 }, -EOPNOTSUPP, "without integrity" },
	{ { 0, NULL, "ecb(cipher_null)", NULL, 0, 0, 0 }, -EOPNOTSUPP, "without integrity" },
	{ { 0, NULL, NULL, "hmac(sha1)", 0, 160, 96 }, -EINVAL, "AEAD or CRYPT must be provided" },
	{ { 0, NULL, NULL, NULL, 0, 0, 0 }, -EINVAL, "at least one of AUTH, AUTH_TRUNC, CRYPT, AEAD" },
	{ { 0, NULL, "cbc(aes)", "digest_null", 128, 0, -1 }, -ENOSYS, "AUTH algorithm" },
	{ { 0, NULL, "cipher_null", "digest_null", 0, 0, 0 }, -ENOSYS, "AUTH_TRUNC algorithm" },
	/* a cipher */
	{ { 0, NULL, "cbc(des3_ede)", "hmac(sha1)", 192, 160, 96 }, -ENOSYS,
	  "cbc(aes), ecb(cipher_null), " CTR },
	{ { 0, NULL, GCM, "hmac(sha1)", 160, 160, 96 }, -ENOSYS, "CRYPT algorithm" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 0, 160, 96 }, -EINVAL, "128, 192 or 256" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 160, 160, 96 }, -EINVAL, "128, 192 or 256" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 127, 160, 96 }, -EINVAL, "128, 192 or 256" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 2048, 160, 96 }, -EINVAL, "128, 192 or 256" },
	{ { 0, NULL, CTR, "hmac(sha1)", 128, 160, 96 }, -EINVAL, "32 of salt" },
	{ { 0, NULL, CTR, "hmac(sha1)", 0, 160, 96 }, -EINVAL, "32 of salt" },
	{ { 0, NULL, "ecb(cipher_null)", "hmac(sha1)", 8, 160, 96 }, -EINVAL, "takes no key" },
	/* an integrity algorithm */
	{ { 0, NULL, "cbc(aes)", "hmac(md5)", 128, 128, 96 }, -ENOSYS,
	  "carried are hmac(sha1), hmac(sha256), hmac(sha384), hmac(sha512), cmac(aes)" },
	{ { 0, NULL, "cbc(aes)", "xcbc(aes)", 128, 128, 96 }, -ENOSYS, "AUTH_TRUNC algorithm" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 128, 160, 160 }, -ENOSYS, "hmac(sha1) is carried with an ICV of 96 bits" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 128, 160, 97 }, -ENOSYS, "96 bits" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 128, 160, 8 }, -ENOSYS, "96 bits" },
	{ { 0, NULL, "cbc(aes)", "cmac(aes)", 128, 128, 128 }, -ENOSYS, "96 bits" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 128, 160, 168 }, -EINVAL, "truncated ICV" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha256)", 128, 256, 257 }, -EINVAL, "truncated ICV" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha256)", 128, 8, 128 }, -EINVAL, "256 bits (RFC 4868)" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha256)", 128, 0, 128 }, -EINVAL, "256 bits" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha1)", 128, 161, 96 }, -EINVAL, "160 bits (RFC 2404)" },
	{ { 0, NULL, "cbc(aes)", "hmac(sha512)", 128, 2048, 256 }, -EINVAL, "512 bits" },
	{ { 0, NULL, "cbc(aes)", "cmac(aes)", 128, 256, 96 }, -EINVAL, "128 bits (RFC 4494)" },
	/* AH */
	{ { XI_AH, NULL, NULL, NULL, 0, 0, 0 }, -EINVAL, "for AH: AUTH_TRUNC or AUTH" },
	{ { XI_AH, NULL, "cbc(aes)", "hmac(sha1)", 128, 160, 96 }, -EINVAL, "attributes for AH" },
	{ { XI_AH, NULL, "cipher_null", "hmac(sha1)", 0, 160, 96 }, -EINVAL, "attributes for AH" },
	{ { XI_AH, GCM, NULL, NULL, 160, 0, 128 }, -EINVAL, "attributes for AH" },
	{ { XI_AH, CCM, NULL, NULL, 152, 0, 128 }, -EINVAL, "attributes for AH" },
	{ { XI_AH, "foo", NULL, NULL, 152, 0, 128 }, -EINVAL, "attributes for AH" },
	{ { XI_AH, GMAC, NULL, "hmac(sha1)", 160, 160, 96 }, -EINVAL, "attributes for AH" },
	{ { XI_AH, GMAC, NULL, NULL, 160, 0, 96 }, -ENOSYS, "an ICV of 128 bits" },
	{ { XI_AH, NULL, NULL, "digest_null", 0, 0, -1 }, -ENOSYS, "AUTH algorithm" },
	{ { XI_COMP, GCM, NULL, NULL, 160, 0, 128 }, -EPROTONOSUPPORT, "IPComp" },
};

static void other_transforms_are_refused(void **state)
{
	static const struct xi_sa_request empty;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct xi_sa_request req;
		struct xi_extack ack;
		struct message m;
		int err;

		transform_message(&m, &refused[i].t);
		err = get_sa(&req, &m, &ack);
		if (err != refused[i].err || !strstr(ack.text, refused[i].text))
			fail_msg("case %zu: %d, %s", i + 1, err, ack.text);
		assert_true(strlen(ack.text) < sizeof(ack.text) - 1);
		assert_memory_equal(&req, &empty, offsetof(struct xi_sa_request, bmp));
	}
}

static void a_key_beyond_its_attribute(void **state)
{
	static const struct transform pair = { 0, NULL, "cbc(aes)", "hmac(sha1)", 128, 160, 96 };
	static const uint16_t types[] = { XFRMA_ALG_AUTH_TRUNC, XFRMA_ALG_CRYPT };
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	for (int i = 0; i < 2; i++) {
		uint32_t bits = 0xffffffff;

		transform_message(&m, &pair);
		memcpy((uint8_t *)attr(&m, sizeof(struct xfrm_usersa_info), types[i]) + NLA_HDRLEN + 64,
		       &bits, sizeof(bits));
		assert_int_equal(get_sa(&req, &m, &ack), -EINVAL);
		assert_non_null(strstr(ack.text, "key length"));
		assert_int_not_equal(ack.offset, 0);
	}
}

static const struct transform gcm = { 0, GCM, NULL, NULL, 160, 0, 128 };
static const struct transform ah = { XI_AH, NULL, NULL, "hmac(sha256)", 0, 256, 128 };

static void encapsulation_is_taken_and_given_back(void **state)
{
	struct xfrm_encap_tmpl encap = { .encap_type = 2,
					 .encap_sport = htons(4500),
					 .encap_dport = htons(40123),
					 .encap_oa = { .a4 = inet_addr("192.0.2.77") } };
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	for (int mode = 0; mode < 2; mode++) {
		transform_message(&m, &gcm);
		info_of(&m)->mode = (uint8_t)mode;
		append(&m, XFRMA_ENCAP, &encap, sizeof(encap));
		assert_int_equal(get_sa(&req, &m, &ack), 0);
		assert_int_equal(req.sa.encap, XI_ENCAP_ESPINUDP);
		assert_int_equal(req.sa.encap_sport, 4500);
		assert_int_equal(req.sa.encap_dport, 40123);
		assert_memory_equal(req.sa.encap_oa, &encap.encap_oa, 16);
		assert_given_back(&req, &m);
	}
	transform_message(&m, &ah);
	append(&m, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_int_equal(get_sa(&req, &m, &ack), -EINVAL);
	assert_string_equal(ack.text, "AH is not compatible with encapsulation");
}

static void tfc_padding_is_taken_and_given_back(void **state)
{
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	transform_message(&m, &gcm);
	append_u32(&m, XFRMA_TFCPAD, 1300);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	assert_int_equal(req.sa.tfcpad, 1300);
	assert_given_back(&req, &m);
	info_of(&m)->mode = XFRM_MODE_TRANSPORT;
	assert_int_equal(get_sa(&req, &m, &ack), -EINVAL);
	assert_string_equal(ack.text, "TFC padding can only be used in tunnel mode");
	transform_message(&m, &ah);
	append_u32(&m, XFRMA_TFCPAD, 1300);
	assert_int_equal(get_sa(&req, &m, &ack), -EINVAL);
	assert_non_null(strstr(ack.text, "for AH: AEAD, CRYPT, COMP, TFCPAD"));
}

static void flags_are_kept(void **state)
{
	uint8_t flags = XFRM_STATE_ALIGN4 | XFRM_STATE_NOPMTUDISC | XFRM_STATE_DECAP_DSCP |
			XFRM_STATE_NOECN | XFRM_STATE_AF_UNSPEC | XFRM_STATE_ICMP;
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	transform_message(&m, &ah);
	info_of(&m)->flags = flags;
	append_u32(&m, XFRMA_SA_EXTRA_FLAGS, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	assert_int_equal(req.sa.flags, flags);
	assert_int_equal(req.sa.extra_flags, XFRM_SA_XFLAG_DONT_ENCAP_DSCP);
	assert_given_back(&req, &m);
}

static void window_append(struct message *m, uint32_t window, uint32_t words, bool bitmap)
{
	struct xfrm_replay_state_esn rs = { .replay_window = window, .bmp_len = words };
	static uint8_t data[sizeof(rs) + XI_WINDOW_MAX / 8];

	memcpy(data, &rs, sizeof(rs));
	append(m, XFRMA_REPLAY_ESN_VAL, data, sizeof(rs) + (bitmap ? words * 4 : 0));
}

/* The kernel's longest has 4096 packets; the bitmap of 65536 has 8 KiB. */
static void windows_of_every_size(void **state)
{
	static const uint32_t windows[] = { 0,   1,    32,   33,   64,    480,
					    481, 4096, 4097, 8160, 65535, 65536 };
	static struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		for (int esn = 0; esn < 2; esn++) {
			if (!esn && windows[i] <= 32)
				continue;
			transform_message(&m, esn ? &gcm : &ah);
			info_of(&m)->flags = esn ? XFRM_STATE_ESN : 0;
			window_append(&m, windows[i], (windows[i] + 31) / 32, true);
			if (get_sa(&req, &m, &ack))
				fail_msg("window of %u: %s", windows[i], ack.text);
			assert_int_equal(req.sa.replay_window, windows[i]);
			assert_given_back(&req, &m);
		}
	}
	transform_message(&m, &gcm);
	window_append(&m, 65536, 2049, false);
	assert_int_equal(get_sa(&req, &m, &ack), -EINVAL);
	assert_string_equal(ack.text, "ESN bitmap length must be <= 2048");
}

static void a_wide_window_comes_back_bit_by_bit(void **state)
{
	static struct xi_sa_request req, again;
	static struct live l;
	struct xi_extack ack;
	struct xi_nlmsg sa, deleted;
	struct xi_replay r;
	struct message m;

	transform_message(&m, &gcm);
	info_of(&m)->flags = XFRM_STATE_ESN;
	window_append(&m, 65536, 2048, false);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	live_init(&l, &req);
	r = live_replay(&l);
	for (uint64_t seq = 0x1ffff0000; seq < 0x200010000; seq += 7)
		assert_int_equal(xi_replay_commit(&r, seq), XI_NONE);
	xi_xfrm_put_sa(&sa, XFRM_MSG_NEWSA, &nobody, &l.rec);
	xi_xfrm_put_delsa(&deleted, &nobody, &l.rec);
	assert_false(sa.full || deleted.full);
	assert_int_equal(xi_xfrm_get_newsa(&again, &sa.hdr, &ack), 0);
	assert_true(again.init.seq == l.state.top);
	assert_int_equal(again.init.bmp_len, 2048);
	for (uint64_t back = 0; back < 65536; back++) {
		uint32_t bit = (uint32_t)(l.state.top - back - 1) % 65536;
		bool got = again.bmp[bit / 32] & (1U << (bit % 32));

		assert_int_equal(got, back % 7 == 0);
	}
}

/* Messages other than of SAs with such windows fit charon's buffer of 4096 bytes. */
static void errors_stay_short(void **state)
{
	struct xi_extack ack = { .text = "why", .offset = 240 };
	struct xi_nlmsg error;
	struct message m;

	transform_message(&m, &gcm);
	window_append(&m, 65536, 2048, true);
	assert_true(m.len > 8192);
	xi_xfrm_put_error(&error, &m.hdr, 7, -EINVAL, false, &ack);
	assert_true(error.hdr.nlmsg_len <= 4096);
	assert_int_equal(error.hdr.nlmsg_flags, NLM_F_CAPPED | NLM_F_ACK_TLVS);
}

/* net/xfrm/xfrm_user.c, build_mapping() */
static void mapping_names_both_ends(void **state)
{
	struct xfrm_encap_tmpl encap = { .encap_type = 2,
					 .encap_sport = htons(4500),
					 .encap_dport = htons(4500) };
	const struct xfrm_user_mapping *um;
	struct xi_sa_request req;
	uint8_t saddr[16] = { 198, 51, 100, 7 };
	struct xi_extack ack;
	struct xi_nlmsg out;
	static struct live l;
	struct message m;

	transform_message(&m, &gcm);
	append(&m, XFRMA_ENCAP, &encap, sizeof(encap));
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	live_init(&l, &req);
	xi_xfrm_put_mapping(&out, &l.rec, saddr, 61000);
	um = (const struct xfrm_user_mapping *)(out.buf + NLMSG_HDRLEN);
	assert_int_equal(out.hdr.nlmsg_type, XFRM_MSG_MAPPING);
	assert_int_equal(out.hdr.nlmsg_len, NLMSG_HDRLEN + sizeof(*um));
	assert_int_equal(um->id.daddr.a4, inet_addr("192.0.2.1"));
	assert_int_equal(um->id.spi, htonl(0xc5f8a2a2));
	assert_int_equal(um->id.family, AF_INET);
	assert_int_equal(um->id.proto, IPPROTO_ESP);
	assert_int_equal(um->reqid, 1);
	assert_int_equal(um->old_saddr.a4, inet_addr("192.0.2.2"));
	assert_int_equal(um->new_saddr.a4, inet_addr("198.51.100.7"));
	assert_int_equal(um->old_sport, htons(4500));
	assert_int_equal(um->new_sport, htons(61000));
}

/* Of an SA that did not come as a message: adopted from an earlier run, say. */
static void what_the_datapath_does_not_carry(void **state)
{
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;
	const char *why;

	transform_message(&m, &gcm);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	assert_int_equal(xi_datapath_check(&req.sa, &why), 0);
	assert_true(xi_datapath_carries(&req.sa, &why));
#define NOT_CARRIED(code, change) \
	do { \
		struct xi_sa sa = req.sa; \
		change; \
		assert_int_equal(xi_datapath_check(&sa, &why), code); \
		assert_non_null(why); \
	} while (0)
	NOT_CARRIED(-EPROTONOSUPPORT, sa.id.proto = XI_COMP);
	NOT_CARRIED(-EINVAL, sa.id.proto = XI_AH);
	NOT_CARRIED(-ENOSYS, sa.alg = XI_ALG_NONE);
	NOT_CARRIED(-ENOSYS, sa.alg = (enum xi_alg)99);
	NOT_CARRIED(-ENOSYS, sa.auth = XI_AUTH_HMAC_SHA1);
	NOT_CARRIED(-ENOSYS, sa.icv_len = 15);
	NOT_CARRIED(-ENOSYS, sa.key_bits = 160);
	NOT_CARRIED(-EINVAL, (sa.alg = XI_ALG_NONE, sa.key_bits = 0, sa.auth = XI_AUTH_AES_CMAC, sa.icv_len = 12));
	NOT_CARRIED(-EOPNOTSUPP, sa.mode = (enum xi_mode)4);
	NOT_CARRIED(-EOPNOTSUPP, sa.replay_window = XI_WINDOW_MAX + 1);
	NOT_CARRIED(-EINVAL, sa.encap = (enum xi_encap)1);
#undef NOT_CARRIED
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_transform_is_taken_and_given_back),
		cmocka_unit_test(each_row_of_the_table_has_a_case),
		cmocka_unit_test(other_transforms_are_refused),
		cmocka_unit_test(a_key_beyond_its_attribute),
		cmocka_unit_test(encapsulation_is_taken_and_given_back),
		cmocka_unit_test(tfc_padding_is_taken_and_given_back),
		cmocka_unit_test(flags_are_kept),
		cmocka_unit_test(windows_of_every_size),
		cmocka_unit_test(a_wide_window_comes_back_bit_by_bit),
		cmocka_unit_test(errors_stay_short),
		cmocka_unit_test(mapping_names_both_ends),
		cmocka_unit_test(what_the_datapath_does_not_carry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
