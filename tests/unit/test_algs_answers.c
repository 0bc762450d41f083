// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Every engine against known answers: numbers of RFCs, packets of others, Wycheproof. AES-GCM's are
 * in test_engines.c, those of AES-CBC in test_etm.c, and of HMAC in test_hmac.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "alg_job.h"
#include "crypto/algs.h"
#include "vectors.h"

static struct alg_case c;

static void run(const struct alg_engine *en, bool seal)
{
	c.job.status = -1;
	(seal ? en->e->seal : en->e->open)(en->c, &c.job, 1);
}

/* As sealed, by whoever gave the answer. */
static void arrive(void)
{
	memcpy(c.mem, c.before, sizeof(c.mem));
	memcpy(c.job.data, c.sealed, c.job.len);
	memcpy(c.job.icv, c.icv, c.t.icv_len);
}

/* Keyed and SLOW, every engine: c->sealed and c->icv are the answer. */
static void answer_check(bool valid)
{
	for (unsigned int i = 0; i < 2 * alg_nengines; i++) {
		const struct alg_engine *en = &alg_engines[i / 2];

		if (i % 2)
			alg_case_key(&c, en->e);
		arrive();
		run(en, false);
		if (!valid) {
			alg_case_is_refused(&c);
			alg_case_unkey(&c, en->e);
			continue;
		}
		alg_case_is_open(&c);
		memcpy(c.mem, c.before, sizeof(c.mem));
		run(en, true);
		alg_case_is_sealed(&c);
		for (unsigned int bit = 0; bit < 8U * c.t.icv_len; bit += 7) {
			arrive();
			c.job.icv[bit / 8] ^= (uint8_t)(1U << bit % 8);
			run(en, false);
			alg_case_is_refused(&c);
		}
		alg_case_unkey(&c, en->e);
	}
}

static void transform_set(enum xi_alg alg, enum xi_auth auth, uint32_t icv_len, bool ah)
{
	c.t = (struct alg_transform){alg, auth, 0, (uint8_t)icv_len, ah};
	memset(&c.raw, 0, sizeof(c.raw));
	c.raw.alg = alg;
	c.raw.auth = auth;
}

static void key_add(const uint8_t *key, uint32_t len)
{
	memcpy(c.raw.key + c.raw.len, key, len);
	c.raw.len += len;
}

static void auth_key_add(const uint8_t *key, uint32_t len)
{
	key_add(key, len);
	c.raw.auth_len = len;
}

struct ctr_answer {
	const char *key, *salt, *iv, *clear, *sealed;
};

/* Under each integrity algorithm, whose own answer is OpenSSL's. */
static void ctr_check(const struct ctr_answer *a)
{
	static const struct {
		enum xi_auth auth;
		uint32_t key_len, icv_len;
	} auths[] = {
		{XI_AUTH_HMAC_SHA1, 20, 12},   {XI_AUTH_HMAC_SHA256, 32, 16},
		{XI_AUTH_HMAC_SHA384, 48, 24}, {XI_AUTH_HMAC_SHA512, 64, 32},
		{XI_AUTH_AES_CMAC, 16, 12},
	};
	uint8_t head[16], key[64], clear[64], sealed[64];
	uint32_t len = (uint32_t)vec_unhex(a->clear, clear, sizeof(clear));

	alg_random(head, 8);
	vec_unhex(a->iv, head + 8, 8);
	assert_int_equal(vec_unhex(a->sealed, sealed, sizeof(sealed)), len);
	for (size_t i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		transform_set(XI_ALG_AES_CTR, auths[i].auth, auths[i].icv_len, false);
		key_add(key, (uint32_t)vec_unhex(a->key, key, 32));
		c.t.key_bits = (uint16_t)(8 * c.raw.len);
		key_add(key, (uint32_t)vec_unhex(a->salt, key, 4));
		alg_random(key, sizeof(key));
		auth_key_add(key, auths[i].key_len);
		alg_case_set(&c, head, 16, clear, len, i % 2);
		alg_case_reference(&c);
		assert_memory_equal(c.sealed, sealed, len);
		answer_check(true);
	}
}

/* Section 6, vectors 3, 6 and 9. */
static void rfc3686_answers_are_met(void **state)
{
#define UP_TO_35 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
	static const struct ctr_answer answers[] = {
		{"7691be035e5020a8ac6e618529f9a0dc", "00e0017b", "27777f3f4a1786f0", UP_TO_35,
		 "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f"},
		{"02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe", "0007bdfd", "5cbd60278dcc0912",
		 UP_TO_35,
		 "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee0935"},
		{"ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d", "001cc5b7",
		 "51a51d70a1c11148", UP_TO_35,
		 "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8"},
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		ctr_check(&answers[i]);
}

/* A MAC over any message: a packet of AH, and one of NULL encryption that is all head, or not. */
static void mac_check(enum xi_auth auth, const char *hex_key, const char *hex_msg,
		      const char *hex_icv)
{
	uint8_t key[64], msg[64], icv[ALG_ICV_MAX];
	uint32_t key_len = (uint32_t)vec_unhex(hex_key, key, sizeof(key));
	uint32_t len = (uint32_t)vec_unhex(hex_msg, msg, sizeof(msg));
	uint32_t icv_len = (uint32_t)vec_unhex(hex_icv, icv, sizeof(icv));

	for (unsigned int i = 0; i < 4; i++) {
		uint32_t head_len = i / 2 ? len : 8;

		transform_set(i % 2 ? XI_ALG_NONE : XI_ALG_NULL, auth, icv_len, i % 2);
		auth_key_add(key, key_len);
		alg_case_set(&c, msg, head_len, msg + head_len, len - head_len, false);
		memcpy(c.sealed, c.clear, c.job.len);
		memcpy(c.icv, icv, icv_len);
		answer_check(true);
	}
}

static void rfc4494_answers_are_met(void **state)
{
#define CMAC_KEY "2b7e151628aed2a6abf7158809cf4f3c"
#define CMAC_MSG                                                                                   \
	"6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"                         \
	"30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
	/* RFC 4493 section 4, examples 2, 3 and 4, of which RFC 4494 takes the leading 96 bits */
	mac_check(XI_AUTH_AES_CMAC, CMAC_KEY, "6bc1bee22e409f96e93d7e117393172a",
		  "070a16b46b4d4144f79bdd9d");
	mac_check(XI_AUTH_AES_CMAC, CMAC_KEY,
		  "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
		  "30c81c46a35ce411",
		  "dfa66747de9ae63030ca3261");
	mac_check(XI_AUTH_AES_CMAC, CMAC_KEY, CMAC_MSG, "51f0bebf7e3b9d92fc497417");
}

/* RFC 2202 section 3 case 1, cut to 96 bits (RFC 2404); RFC 4868 section 2.7.2, case 1 of each. */
static void hmac_answers_are_met_without_a_cipher(void **state)
{
#define TEN(x) x x x x x x x x x x
#define OB32 TEN("0b") TEN("0b") TEN("0b") "0b0b"
#define OB16 TEN("0b") "0b0b0b0b0b0b"
#define HI_THERE "4869205468657265"
	mac_check(XI_AUTH_HMAC_SHA1, TEN("0b") TEN("0b"), HI_THERE, "b617318655057264e28bc0b6");
	mac_check(XI_AUTH_HMAC_SHA256, OB32, HI_THERE, "198a607eb44bfbc69903a0f1cf2bbdc5");
	mac_check(XI_AUTH_HMAC_SHA256, OB32, HI_THERE, "198a607eb44bfbc69903a0f1");
	mac_check(XI_AUTH_HMAC_SHA384, OB32 OB16, HI_THERE,
		  "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973");
	mac_check(XI_AUTH_HMAC_SHA512, OB32 OB32, HI_THERE,
		  "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8");
}

/* esp: from the SPI to the ICV. The key is followed by its salt, then by the integrity key. */
static void esp_check(const char *hex_key, const char *hex_clear, const char *hex_esp)
{
	uint8_t key[XI_KEY_MAX], clear[ALG_DATA_MAX], esp[ALG_DATA_MAX];
	uint32_t iv_len = xi_cipher_info(c.t.alg)->iv_len, head_len = 8 + iv_len;
	uint32_t len = (uint32_t)vec_unhex(hex_clear, clear, sizeof(clear));

	key_add(key, (uint32_t)vec_unhex(hex_key, key, sizeof(key)));
	assert_int_equal(vec_unhex(hex_esp, esp, sizeof(esp)), head_len + len + c.t.icv_len);
	alg_case_set(&c, esp, head_len, clear, len, false);
	memcpy(c.sealed, esp + head_len, len);
	memcpy(c.icv, esp + head_len + len, c.t.icv_len);
	answer_check(true);
}

/* RFC 7634 appendix A. */
static void rfc7634_answer_is_met(void **state)
{
	transform_set(XI_ALG_CHACHA20_POLY1305, XI_AUTH_NONE, 16, false);
	esp_check(
		"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3",
		"45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec100007362708090a0b"
		"0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233"
		"3435363701020204",
		"0102030400000005101112131415161724039428b97f417e3c13753a4f05087b67c352e6a7fab1b9"
		"82d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
		"cbec163fac469b502773f6fb94e664da9165b82829f641e076aaa8266b7fb0f7b11b369907e1ad43");
}

/* draft-mcgrew-gcm-test-01 section 4, the case of RFC 4543. */
static void rfc4543_answer_is_met(void **state)
{
#define PING                                                                                       \
	"45000030da3a00008001df3bc0a80005c0a800010800c6cd02000700616263646566"                     \
	"6768696a6b6c6d6e6f707172737401020201"
	transform_set(XI_ALG_AES_GMAC, XI_AUTH_NONE, 16, false);
	esp_check("4c80cdefbb5d10da906ac73c3613a63422433c64", PING,
		  "00004321000000070000000000000000" PING "f2a9a836e155106aa8dcd618e4099aaa");
}

static enum xi_alg packet_alg(const json_t *v)
{
	const char *aead = vec_str(v, "aead"), *enc = vec_str(v, "enc");

	if (*aead)
		return xi_cipher_named(aead, true);
	return *enc ? xi_cipher_named(enc, false) : XI_ALG_NONE;
}

static void packet_transform(const json_t *v, bool ah)
{
	const char *auth = vec_str(v, "auth");
	uint8_t key[64];

	transform_set(packet_alg(v), *auth ? xi_auth_named(auth) : XI_AUTH_NONE,
		      (uint32_t)vec_int(v, "icv_bits") / 8, ah);
	if (c.t.alg != XI_ALG_NONE)
		key_add(key, (uint32_t)vec_hex(v, "xfrm_key", key, sizeof(key)));
	if (*auth)
		auth_key_add(key, (uint32_t)vec_hex(v, "auth_key", key, sizeof(key)));
}

static void esp_packet_check(const json_t *v)
{
	uint8_t clear[ALG_DATA_MAX], esp[ALG_DATA_MAX];
	uint32_t head_len, len = (uint32_t)vec_hex(v, "esp_clear", clear, sizeof(clear));
	uint64_t hi = vec_int(v, "seq_hi");

	packet_transform(v, false);
	head_len = 8U + xi_cipher_info(c.t.alg)->iv_len;
	assert_int_equal(vec_hex(v, "esp", esp, sizeof(esp)), head_len + len + c.t.icv_len);
	alg_case_set(&c, esp, head_len, clear, len, vec_bool(v, "esn"));
	for (int b = 0; b < 4 && vec_bool(v, "esn"); b++)
		c.job.aad[4 + b] = (uint8_t)(hi >> (24 - 8 * b));
	memcpy(c.sealed, esp + head_len, len);
	memcpy(c.icv, esp + head_len + len, c.t.icv_len);
	answer_check(true);
}

/* RFC 4302 section 3.3.3.1.1: TOS, flags and offset, TTL, checksum and the ICV are zeroed. */
static void ah_packet_check(const json_t *v)
{
	uint8_t packet[ALG_DATA_MAX], icv[ALG_ICV_MAX];
	uint32_t len = (uint32_t)vec_hex(v, "ciphertext_packet", packet, sizeof(packet));
	uint32_t iv_len, salt_len, at;

	packet_transform(v, true);
	iv_len = c.t.alg == XI_ALG_AES_GMAC ? 8 : 0;
	salt_len = c.t.alg == XI_ALG_AES_GMAC ? 4 : 0;
	at = 20 + 12 + iv_len;
	assert_int_equal(packet[0], 0x45);
	memcpy(icv, packet + at, c.t.icv_len);
	memset(packet + at, 0, c.t.icv_len);
	packet[1] = packet[6] = packet[7] = packet[8] = packet[10] = packet[11] = 0;
	alg_case_set(&c, packet, 20, packet + 20, len - 20, false);
	memcpy(c.job.nonce, c.raw.key + c.raw.len - salt_len, salt_len);
	memcpy(c.job.nonce + salt_len, packet + 32, iv_len);
	memcpy(c.sealed, c.clear, c.job.len);
	memcpy(c.icv, icv, c.t.icv_len);
	answer_check(true);
}

/* ESP with each algorithm but those without integrity, and AH. */
static void packets_of_others_are_met(void **state)
{
	json_t *root = vec_load_shared("esp-packets.json"), *v;
	unsigned int esp = 0, ah = 0;
	size_t i;

	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		if (!vec_int(v, "icv_bits"))
			continue;
		if (!strcmp(vec_str(v, "proto"), "ah")) {
			ah_packet_check(v);
			ah++;
		} else {
			esp_packet_check(v);
			esp++;
		}
	}
	json_decref(root);
	assert_int_equal(esp, 20);
	assert_int_equal(ah, 3);
}

static void primitives_are_met(void **state)
{
	json_t *root = vec_load_shared("primitives.json"), *v;
	unsigned int ctr = 0;
	size_t i;

	json_array_foreach(json_object_get(root, "vectors"), i, v)
	{
		const struct ctr_answer a = {vec_str(v, "key"), vec_str(v, "salt"),
					     vec_str(v, "iv"), vec_str(v, "msg"),
					     vec_str(v, "out")};

		if (strcmp(vec_str(v, "op"), "aes-ctr-rfc3686"))
			continue;
		ctr_check(&a);
		ctr++;
	}
	json_decref(root);
	assert_int_equal(ctr, 9);
}

/* An AEAD's nonce and AAD as they come, as far as a job can have them. */
static bool aead_check(const json_t *test, enum xi_alg alg, uint32_t salt_len, uint32_t icv_len)
{
	bool valid = !strcmp(vec_str(test, "result"), "valid");
	uint8_t key[32], salt[4] = {0}, head[16] = {0};
	static uint8_t clear[ALG_DATA_MAX];
	uint32_t len;

	transform_set(alg, XI_AUTH_NONE, icv_len, false);
	key_add(key, (uint32_t)vec_hex(test, "key", key, sizeof(key)));
	key_add(salt, salt_len);
	len = (uint32_t)vec_hex(test, "msg", clear, sizeof(clear));
	alg_case_set(&c, head, sizeof(head), clear, len, false);
	vec_hex(test, "iv", c.job.nonce, sizeof(c.job.nonce));
	c.job.aad_len = (uint32_t)vec_hex(test, "aad", c.job.aad, sizeof(c.job.aad));
	assert_int_equal(vec_hex(test, "ct", c.sealed, sizeof(c.sealed)), len);
	assert_int_equal(vec_hex(test, "tag", c.icv, sizeof(c.icv)), icv_len);
	answer_check(valid);
	return valid;
}

static void wycheproof_aead(const char *file, enum xi_alg alg, uint32_t salt_len, unsigned int want,
			    unsigned int want_invalid)
{
	json_t *root = vec_load_shared(file), *group, *test;
	unsigned int done = 0, invalid = 0;
	size_t i, j;

	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		if (vec_int(group, "ivSize") != 8 * (salt_len + 8) ||
		    vec_int(group, "tagSize") != 128)
			continue;
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			if (strlen(vec_str(test, "aad")) / 2 > sizeof(c.job.aad))
				continue;
			invalid += !aead_check(test, alg, salt_len, 16);
			done++;
		}
	}
	json_decref(root);
	assert_int_equal(done, want);
	assert_int_equal(invalid, want_invalid);
}

/* Nonces of 11 bytes, which are ESP's, and ICVs of 16. */
static void wycheproof_ccm_verdicts_are_met(void **state)
{
	wycheproof_aead("wycheproof/aes_ccm_test.json", XI_ALG_AES_CCM, 3, 18, 0);
}

static void wycheproof_chacha_verdicts_are_met(void **state)
{
	wycheproof_aead("wycheproof/chacha20_poly1305_test.json", XI_ALG_CHACHA20_POLY1305, 4, 246,
			60);
}

/* As AH, which covers the message and nothing else; a message of nothing is no packet. */
static void wycheproof_gmac_verdicts_are_met(void **state)
{
	json_t *root = vec_load_shared("wycheproof/aes_gmac_test.json"), *group, *test;
	unsigned int done = 0, invalid = 0;
	uint8_t key[32], salt[4] = {0}, msg[ALG_DATA_MAX];
	size_t i, j;

	json_array_foreach(json_object_get(root, "testGroups"), i, group)
	{
		if (vec_int(group, "ivSize") != 96)
			continue;
		json_array_foreach(json_object_get(group, "tests"), j, test)
		{
			bool valid = !strcmp(vec_str(test, "result"), "valid");
			uint32_t len = (uint32_t)vec_hex(test, "msg", msg, sizeof(msg));
			uint32_t head_len = len / 3 < ALG_HEAD_MAX ? len / 3 : ALG_HEAD_MAX;

			if (!len)
				continue;
			transform_set(XI_ALG_AES_GMAC, XI_AUTH_NONE, 16, true);
			key_add(key, (uint32_t)vec_hex(test, "key", key, sizeof(key)));
			key_add(salt, 4);
			alg_case_set(&c, msg, head_len, msg + head_len, len - head_len, false);
			vec_hex(test, "iv", c.job.nonce, 12);
			memcpy(c.sealed, c.clear, c.job.len);
			vec_hex(test, "tag", c.icv, sizeof(c.icv));
			answer_check(valid);
			done++;
			invalid += !valid;
		}
	}
	json_decref(root);
	assert_int_equal(done, 204);
	assert_int_equal(invalid, 162);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc3686_answers_are_met),
		cmocka_unit_test(rfc4494_answers_are_met),
		cmocka_unit_test(hmac_answers_are_met_without_a_cipher),
		cmocka_unit_test(rfc7634_answer_is_met),
		cmocka_unit_test(rfc4543_answer_is_met),
		cmocka_unit_test(packets_of_others_are_met),
		cmocka_unit_test(primitives_are_met),
		cmocka_unit_test(wycheproof_ccm_verdicts_are_met),
		cmocka_unit_test(wycheproof_chacha_verdicts_are_met),
		cmocka_unit_test(wycheproof_gmac_verdicts_are_met),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
