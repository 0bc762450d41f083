// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* HMAC, as an engine has it for AES-CBC, against known answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "etm_bed.h"
#include "vectors.h"

/* A MAC over any message is a job that is all head. */
static void mac_check(const struct alg_engine *en, const struct xi_sa_key *raw, const uint8_t *msg,
		      uint32_t len, const uint8_t *icv, uint32_t icv_len, bool valid)
{
	static uint8_t buf[DATA_MAX + ICV_MAX];
	struct xi_ckey *key;

	assert_int_equal(en->e->key_new(&key, raw, 1), 0);
	for (int slow = 0; slow < 2; slow++) {
		struct xi_aead_job job = {.key = slow ? NULL : key,
					  .raw = raw,
					  .data = buf + len,
					  .icv = buf + len,
					  .icv_len = icv_len,
					  .status = -1,
					  .head_len = (uint16_t)len,
					  .aad_len = 8};

		if (len)
			memcpy(buf, msg, len);
		memcpy(buf + len, icv, icv_len);
		en->e->open(en->c, &job, 1);
		assert_int_equal(job.status, valid ? 0 : -EBADMSG);
		if (!valid)
			continue;
		memset(buf + len, 0, icv_len);
		en->e->seal(en->c, &job, 1);
		assert_int_equal(job.status, 0);
		assert_memory_equal(buf + len, icv, icv_len);
	}
	en->e->key_free(key);
}

static void hmac_answers_are_met(void **state)
{
#define TEN(x) x x x x x x x x x x
#define MSG4 TEN("cd") TEN("cd") TEN("cd") TEN("cd") TEN("cd")
#define MSG3 TEN("dd") TEN("dd") TEN("dd") TEN("dd") TEN("dd")
#define JEFE4 "4a6566654a6566654a6566654a656665"
#define AA16 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HI_THERE "4869205468657265"
#define WHAT "7768617420646f2079612077616e7420666f72206e6f7468696e673f"
#define KEY32 "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
	static const struct {
		enum xi_auth auth;
		const char *key, *msg, *icv;
	} cases[] = {
		/* RFC 2202 section 3, cases 1, 3 and 5, cut to 96 bits (RFC 2404) */
		{XI_AUTH_HMAC_SHA1, TEN("0b") TEN("0b"), HI_THERE, "b617318655057264e28bc0b6"},
		{XI_AUTH_HMAC_SHA1, TEN("aa") TEN("aa"), MSG3, "125d7342b9ac11cd91a39af4"},
		{XI_AUTH_HMAC_SHA1, TEN("0c") TEN("0c"), "546573742057697468205472756e636174696f6e",
		 "4c1a03424b55e07fe7f27be1"},
		/* RFC 4868 section 2.7.2 */
		{XI_AUTH_HMAC_SHA256, JEFE4 JEFE4, WHAT, "167f928588c5cc2eef8e3093caa0e87c"},
		{XI_AUTH_HMAC_SHA256, AA16 AA16, MSG3, "cdcb1220d1ecccea91e53aba3092f962"},
		{XI_AUTH_HMAC_SHA256, KEY32, MSG4, "372efcf9b40b35c2115b1346903d2ef4"},
		{XI_AUTH_HMAC_SHA384, JEFE4 JEFE4 JEFE4, WHAT,
		 "2c7353974f1842fd66d53c452ca42122b28c0b594cfb184d"},
		{XI_AUTH_HMAC_SHA384, AA16 AA16 AA16, MSG3,
		 "809f439be00274321d4a538652164b53554a508184a0c316"},
		{XI_AUTH_HMAC_SHA384, KEY32 "0a0b0c0d0e0f10111213141516171819", MSG4,
		 "5b540085c6e6358096532b2493609ed1cb298f774f87bb5c"},
		{XI_AUTH_HMAC_SHA512, JEFE4 JEFE4 JEFE4 JEFE4, WHAT,
		 "cb370917ae8a7ce28cfd1d8f4705d6141c173b2a9362c15df235dfb251b15454"},
		{XI_AUTH_HMAC_SHA512, AA16 AA16 AA16 AA16, MSG3,
		 "2ee7acd783624ca9398710f3ee05ae41b9f9b0510c87e49e586cc9bf961733d8"},
		{XI_AUTH_HMAC_SHA512,
		 KEY32 "2122232425262728292a2b2c2d2e2f30"
		       "3132333435363738393a3b3c3d3e3f40",
		 MSG4, "5e6688e5a3daec826ca32eaea224eff5e700628947470e13ad01302561bab108"},
	};
	static const uint8_t aes[16];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t key[64], msg[64], icv[ICV_MAX];
		struct xi_sa_key raw;
		uint32_t len, icv_len;

		assert_int_equal(vec_unhex(cases[i].key, key, 64), auths[cases[i].auth].key_len);
		len = (uint32_t)vec_unhex(cases[i].msg, msg, sizeof(msg));
		icv_len = (uint32_t)vec_unhex(cases[i].icv, icv, sizeof(icv));
		raw_set(&raw, cases[i].auth, aes, 16, key);
		for (unsigned int n = 0; n < alg_nengines; n++) {
			mac_check(&alg_engines[n], &raw, msg, len, icv, icv_len, true);
			/* `auth hmac(sha256)` of Linux: the leading 96 bits */
			if (cases[i].auth == XI_AUTH_HMAC_SHA256)
				mac_check(&alg_engines[n], &raw, msg, len, icv, 12, true);
			icv[icv_len - 1] ^= 1;
			mac_check(&alg_engines[n], &raw, msg, len, icv, icv_len, false);
			icv[icv_len - 1] ^= 1;
		}
	}
}

static unsigned int wycheproof_group(const json_t *group, enum xi_auth auth, unsigned int *invalid)
{
	/* SHA-1's shortest tag there has 80 bits: the leading 96 of the full one, where it is right
	 */
	uint32_t want = auth == XI_AUTH_HMAC_SHA1 ? 20 : auths[auth].icv_len;
	static uint8_t msg[DATA_MAX];
	static const uint8_t aes[16];
	unsigned int done = 0;
	json_t *test;
	size_t i;

	if (vec_int(group, "keySize") != auths[auth].key_len * 8 ||
	    vec_int(group, "tagSize") != want * 8)
		return 0;
	json_array_foreach(json_object_get(group, "tests"), i, test)
	{
		bool valid = !strcmp(vec_str(test, "result"), "valid");
		uint8_t key[64], icv[ICV_MAX];
		struct xi_sa_key raw;
		uint32_t len;

		if (!valid && auth == XI_AUTH_HMAC_SHA1)
			continue;
		vec_hex(test, "key", key, sizeof(key));
		len = (uint32_t)vec_hex(test, "msg", msg, sizeof(msg));
		vec_hex(test, "tag", icv, sizeof(icv));
		if (!len) /* there is no packet without a header */
			continue;
		raw_set(&raw, auth, aes, 16, key);
		for (unsigned int n = 0; n < alg_nengines; n++)
			mac_check(&alg_engines[n], &raw, msg, len, icv, auths[auth].icv_len, valid);
		done++;
		*invalid += !valid;
	}
	return done;
}

static void wycheproof_verdicts_are_met(void **state)
{
	static const char *const files[] = {
		[XI_AUTH_HMAC_SHA1] = "wycheproof/hmac_sha1_test.json",
		[XI_AUTH_HMAC_SHA256] = "wycheproof/hmac_sha256_test.json",
		[XI_AUTH_HMAC_SHA384] = "wycheproof/hmac_sha384_test.json",
		[XI_AUTH_HMAC_SHA512] = "wycheproof/hmac_sha512_test.json",
	};

	for (enum xi_auth auth = XI_AUTH_HMAC_SHA1; auth <= AUTHS; auth++) {
		json_t *root = vec_load_shared(files[auth]), *group;
		unsigned int done = 0, invalid = 0;
		size_t i;

		json_array_foreach(json_object_get(root, "testGroups"), i, group) done +=
			wycheproof_group(group, auth, &invalid);
		json_decref(root);
		assert_true(done >= 20 && (invalid > 20 || auth == XI_AUTH_HMAC_SHA1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hmac_answers_are_met),
		cmocka_unit_test(wycheproof_verdicts_are_met),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
