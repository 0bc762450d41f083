// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* AES-GCM of every engine against known answers, and engine against engine. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "alg_job.h"
#include "crypto/crypto.h"
#include "vectors.h"

#define DATA_MAX 9000
#define BATCH 24

static struct xi_ckey *key_new(const struct alg_engine *en, const struct xi_sa_key *raw)
{
	struct xi_ckey *key = NULL;

	assert_int_equal(en->e->key_new(&key, raw, 1), 0);
	assert_non_null(key);
	return key;
}

struct answer {
	struct xi_sa_key raw;
	uint8_t nonce[12], aad[12], icv[16];
	uint8_t clear[DATA_MAX], sealed[DATA_MAX];
	uint32_t len, aad_len, icv_len;
};

static struct xi_aead_job answer_job(struct answer *a, const struct xi_ckey *key, uint8_t *data,
				     uint8_t *icv)
{
	struct xi_aead_job job = {
		.key = key,
		.raw = &a->raw,
		.data = data,
		.icv = icv,
		.len = a->len,
		.icv_len = a->icv_len,
		.aad_len = a->aad_len,
		.status = -1,
	};

	memcpy(job.nonce, a->nonce, sizeof(job.nonce));
	memcpy(job.aad, a->aad, a->aad_len);
	return job;
}

static void answer_check(const struct alg_engine *en, struct answer *a, const struct xi_ckey *key,
			 bool valid)
{
	uint8_t data[DATA_MAX] = { 0 }, icv[16] = { 0 };
	static const uint8_t zero[DATA_MAX];
	struct xi_aead_job job;

	memcpy(data, a->sealed, a->len);
	memcpy(icv, a->icv, a->icv_len);
	job = answer_job(a, key, data, icv);
	en->e->open(en->c, &job, 1);
	assert_int_equal(job.status, valid ? 0 : -EBADMSG);
	assert_memory_equal(data, valid ? a->clear : zero, a->len);
	if (!valid)
		return;
	memcpy(data, a->clear, a->len);
	memset(icv, 0, sizeof(icv));
	job = answer_job(a, key, data, icv);
	en->e->seal(en->c, &job, 1);
	assert_int_equal(job.status, 0);
	assert_memory_equal(data, a->sealed, a->len);
	assert_memory_equal(icv, a->icv, a->icv_len);
}

/* Keyed and SLOW, every engine. */
static void answer_check_all(struct answer *a, bool valid)
{
	for (unsigned int i = 0; i < alg_nengines; i++) {
		struct xi_ckey *key = key_new(&alg_engines[i], &a->raw);

		answer_check(&alg_engines[i], a, key, valid);
		answer_check(&alg_engines[i], a, NULL, valid);
		alg_engines[i].e->key_free(key);
	}
}

/* "The Galois/Counter Mode of Operation", McGrew and Viega, appendix B: without AAD, 96-bit IV. */
static void gcm_specification_answers_are_met(void **state)
{
	static const struct {
		const char *key, *nonce, *clear, *sealed, *icv;
	} cases[] = {
		/* 1 */
		{ "00000000000000000000000000000000", "000000000000000000000000", "", "",
		  "58e2fccefa7e3061367f1d57a4e7455a" },
		/* 2 */
		{ "00000000000000000000000000000000", "000000000000000000000000",
		  "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
		  "ab6e47d42cec13bdf53a67b21257bddf" },
		/* 3 */
		{ "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
		  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
		  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
		  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
		  "4d5c2af327cd64a62cf35abd2ba6fab4" },
		/* 8 */
		{ "000000000000000000000000000000000000000000000000", "000000000000000000000000",
		  "00000000000000000000000000000000", "98e7247c07f0fe411c267e4384b0f600",
		  "2ff58d80033927ab8ef4d4587514f0fb" },
		/* 14 */
		{ "0000000000000000000000000000000000000000000000000000000000000000",
		  "000000000000000000000000", "00000000000000000000000000000000",
		  "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer a = { .raw.alg = XI_ALG_AES_GCM };

		a.raw.len = 4 + (uint32_t)vec_unhex(cases[i].key, a.raw.key, 32);
		vec_unhex(cases[i].nonce, a.nonce, 12);
		a.len = (uint32_t)vec_unhex(cases[i].clear, a.clear, DATA_MAX);
		vec_unhex(cases[i].sealed, a.sealed, DATA_MAX);
		vec_unhex(cases[i].icv, a.icv, 16);
		/* NIST SP 800-38D: a shorter tag is the leading part of the full one */
		for (a.icv_len = 8; a.icv_len <= 16; a.icv_len += 4)
			answer_check_all(&a, true);
	}
}

static void wycheproof_verdicts_are_met(void **state)
{
	json_t *root = vec_load_shared("wycheproof/aes_gcm_test.json"), *group, *test;
	unsigned int done = 0, invalid = 0;
	size_t i, j;

	json_array_foreach (json_object_get(root, "testGroups"), i, group) {
		if (vec_int(group, "ivSize") != 96 || vec_int(group, "tagSize") != 128)
			continue;
		json_array_foreach (json_object_get(group, "tests"), j, test) {
			bool valid = !strcmp(vec_str(test, "result"), "valid");
			struct answer a = { .raw.alg = XI_ALG_AES_GCM, .icv_len = 16 };

			if (strlen(vec_str(test, "aad")) / 2 > sizeof(a.aad))
				continue;
			a.raw.len = 4 + (uint32_t)vec_hex(test, "key", a.raw.key, 32);
			a.aad_len = (uint32_t)vec_hex(test, "aad", a.aad, sizeof(a.aad));
			vec_hex(test, "iv", a.nonce, 12);
			vec_hex(test, "msg", a.clear, DATA_MAX);
			a.len = (uint32_t)vec_hex(test, "ct", a.sealed, DATA_MAX);
			vec_hex(test, "tag", a.icv, 16);
			answer_check_all(&a, valid);
			done++;
			invalid += !valid;
		}
	}
	json_decref(root);
	print_message("%u wycheproof cases, %u of them invalid\n", done, invalid);
	assert_true(done > 100 && invalid > 10);
}

/* draft-mcgrew-gcm-test and others: ESP payloads with the AAD of RFC 4106, transport mode too. */
static void esp_payload_answers_are_met(void **state)
{
	json_t *root = vec_load_shared("esp-packets.json"), *v;
	unsigned int done = 0;
	size_t i;

	json_array_foreach (json_object_get(root, "vectors"), i, v) {
		struct answer a = { .raw.alg = XI_ALG_AES_GCM, .icv_len = 16 };
		uint8_t esp[DATA_MAX], hi[4];
		size_t n;

		if (strcmp(vec_str(v, "aead"), "rfc4106(gcm(aes))"))
			continue;
		a.raw.len = (uint32_t)vec_hex(v, "xfrm_key", a.raw.key, 36);
		vec_hex(v, "salt", a.nonce, 4);
		vec_hex(v, "iv", a.nonce + 4, 8);
		a.len = (uint32_t)vec_hex(v, "esp_clear", a.clear, DATA_MAX);
		n = vec_hex(v, "esp", esp, DATA_MAX);
		assert_int_equal(n, 16 + a.len + 16);
		memcpy(a.sealed, esp + 16, a.len);
		memcpy(a.icv, esp + 16 + a.len, 16);
		memcpy(a.aad, esp, 8);
		a.aad_len = 8;
		if (vec_bool(v, "esn")) {
			for (int b = 0; b < 4; b++)
				hi[b] = (uint8_t)(vec_int(v, "seq_hi") >> (24 - 8 * b));
			memcpy(a.aad + 4, hi, 4);
			memcpy(a.aad + 8, esp + 4, 4);
			a.aad_len = 12;
		}
		answer_check_all(&a, true);
		a.icv[15] ^= 1;
		answer_check_all(&a, false);
		done++;
	}
	json_decref(root);
	assert_int_equal(done, 11);
}

static void fill_random(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)(random() >> 7);
}

static const struct alg_engine *other(unsigned int i)
{
	return &alg_engines[(i + 1) % alg_nengines];
}

struct batch {
	struct xi_sa_key raw[BATCH];
	struct xi_aead_job jobs[BATCH];
	uint8_t clear[BATCH][DATA_MAX], data[BATCH][DATA_MAX], icv[BATCH][16];
	struct xi_ckey *keys[BATCH];
};

static void batch_make(struct batch *b, const struct alg_engine *en)
{
	static const uint32_t key_lens[] = { 20, 28, 36 };

	for (int i = 0; i < BATCH; i++) {
		struct xi_aead_job *job = &b->jobs[i];
		struct xi_sa_key *raw = &b->raw[i];

		memset(job, 0, sizeof(*job));
		/* SLOW jobs come in runs that share a key, and in runs that do not */
		if (i % 6 == 5) {
			*raw = b->raw[i - 1];
		} else {
			raw->alg = XI_ALG_AES_GCM;
			raw->len = key_lens[random() % 3];
			fill_random(raw->key, raw->len);
		}
		job->raw = i % 6 == 5 ? &b->raw[i - 1] : raw;
		b->keys[i] = i % 3 ? NULL : key_new(en, raw);
		job->key = b->keys[i];
		job->len = (uint32_t)random() % (random() % 4 ? 200 : DATA_MAX);
		job->icv_len = 8 + 4 * ((uint32_t)random() % 3);
		job->aad_len = random() % 2 ? 8 : 12;
		job->data = b->data[i];
		job->icv = b->icv[i];
		fill_random(job->aad, job->aad_len);
		fill_random(job->nonce, 12);
		fill_random(b->clear[i], job->len);
		memcpy(b->data[i], b->clear[i], job->len);
	}
}

static void batch_rekey(struct batch *b, const struct alg_engine *from, const struct alg_engine *to)
{
	for (int i = 0; i < BATCH; i++) {
		from->e->key_free(b->keys[i]);
		b->keys[i] = to && i % 2 ? key_new(to, &b->raw[i]) : NULL;
		b->jobs[i].key = b->keys[i];
	}
}

/* What one engine sealed, the other opens; ICVs, data and AAD spoilt here and there are found. */
static void engines_agree_on_random_batches(void **state)
{
	static const uint8_t zero[DATA_MAX];
	struct batch *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	srandom(4106);
	for (unsigned int round = 0; round < 200; round++) {
		const struct alg_engine *sealer = &alg_engines[round % alg_nengines];
		const struct alg_engine *opener = other(round % alg_nengines);
		uint32_t bad = (uint32_t)random() & (uint32_t)random();

		batch_make(b, sealer);
		sealer->e->seal(sealer->c, b->jobs, BATCH);
		batch_rekey(b, sealer, opener);
		for (int i = 0; i < BATCH; i++) {
			struct xi_aead_job *job = &b->jobs[i];

			assert_int_equal(job->status, 0);
			if (!(bad >> i & 1))
				continue;
			if (i % 3 == 0 && job->len)
				job->data[(uint32_t)random() % job->len] ^= 0x10;
			else if (i % 3 == 1)
				job->aad[(uint32_t)random() % job->aad_len] ^= 0x80;
			else
				job->icv[(uint32_t)random() % job->icv_len] ^= 1;
			if (i % 3 == 0 && !job->len)
				job->icv[0] ^= 1;
		}
		opener->e->open(opener->c, b->jobs, BATCH);
		for (int i = 0; i < BATCH; i++) {
			bool spoilt = bad >> i & 1;

			assert_int_equal(b->jobs[i].status, spoilt ? -EBADMSG : 0);
			assert_memory_equal(b->data[i], spoilt ? zero : b->clear[i],
					    b->jobs[i].len);
		}
		batch_rekey(b, opener, NULL);
	}
	free(b);
}

static void every_spoilt_icv_bit_is_found(void **state)
{
	struct answer a = { .raw = { .alg = XI_ALG_AES_GCM, .len = 20 }, .len = 32, .aad_len = 8 };

	for (unsigned int i = 0; i < alg_nengines; i++) {
		for (a.icv_len = 8; a.icv_len <= 16; a.icv_len += 4) {
			struct xi_aead_job job = answer_job(&a, NULL, a.sealed, a.icv);

			memcpy(a.sealed, a.clear, a.len);
			alg_engines[i].e->seal(alg_engines[i].c, &job, 1);
			assert_int_equal(job.status, 0);
			for (uint32_t bit = 0; bit < 8 * a.icv_len; bit++) {
				a.icv[bit / 8] ^= (uint8_t)(1 << bit % 8);
				answer_check(&alg_engines[i], &a, NULL, false);
				a.icv[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
			answer_check(&alg_engines[i], &a, NULL, true);
		}
	}
}

static void wrong_keys_and_jobs_are_refused(void **state)
{
	static const uint32_t lens[] = { 0, 4, 16, 19, 21, 24, 32, 35, 37, XI_KEY_MAX };
	uint8_t data[16] = { 1 }, icv[16] = { 0 };

	for (unsigned int i = 0; i < alg_nengines; i++) {
		const struct xi_engine *e = alg_engines[i].e;
		struct xi_sa_key raw = { .alg = XI_ALG_AES_GCM };
		struct xi_ckey *key = NULL;
		struct xi_aead_job job = { .raw = &raw, .data = data, .icv = icv, .len = 16,
					   .icv_len = 16, .aad_len = 8 };

		for (size_t j = 0; j < sizeof(lens) / sizeof(lens[0]); j++) {
			raw.len = lens[j];
			assert_int_equal(e->key_new(&key, &raw, 1), -EINVAL);
			e->seal(alg_engines[i].c, &job, 1);
			assert_int_equal(job.status, -EINVAL);
		}
		raw.len = 20;
		raw.alg = XI_ALG_NONE;
		assert_int_equal(e->key_new(&key, &raw, 1), -EINVAL);
		raw.alg = XI_ALG_AES_GCM;
		job.icv_len = 4;
		e->open(alg_engines[i].c, &job, 1);
		assert_int_equal(job.status, -EINVAL);
		job.icv_len = 16;
		job.raw = NULL;
		e->seal(alg_engines[i].c, &job, 1);
		assert_int_equal(job.status, -EINVAL);
		e->key_free(NULL);
		assert_true(e->carries(XI_ALG_AES_GCM, XI_AUTH_NONE, 192, 12));
		assert_false(e->carries(XI_ALG_AES_GCM, XI_AUTH_NONE, 160, 16));
		assert_false(e->carries(XI_ALG_AES_GCM, XI_AUTH_NONE, 128, 10));
		assert_false(e->carries(XI_ALG_AES_GCM, XI_AUTH_HMAC_SHA1, 128, 12));
		assert_false(e->carries(XI_ALG_NONE, XI_AUTH_NONE, 128, 16));
	}
}

/* A key of two workers is used by both managers, one after the other in each other's nonces. */
static void workers_share_a_key(void **state)
{
	struct answer a = { .raw = { .alg = XI_ALG_AES_GCM, .len = 28 }, .len = 100, .aad_len = 8,
			    .icv_len = 16 };

	for (unsigned int i = 0; i < alg_nengines; i++) {
		struct alg_engine second = { .e = alg_engines[i].e };
		struct xi_ckey *key;
		struct xi_aead_job job;

		assert_int_equal(second.e->key_new(&key, &a.raw, 2), 0);
		assert_int_equal(second.e->create(&second.c, 1), 0);
		for (uint8_t n = 0; n < 4; n++) {
			a.nonce[11] = n;
			memcpy(a.sealed, a.clear, a.len);
			job = answer_job(&a, key, a.sealed, a.icv);
			second.e->seal(second.c, &job, 1);
			answer_check(&alg_engines[i], &a, key, true);
		}
		second.e->destroy(second.c);
		second.e->key_free(key);
	}
}

/* The first round keys of an AES key schedule are the key itself: found in memory, or not. */
static void the_slow_method_leaves_no_key_behind(void **state)
{
	struct xi_sa_key raw = { .alg = XI_ALG_AES_GCM, .len = 36 };
	uint8_t data[16] = { 0 }, icv[16];
	struct xi_aead_job job = { .raw = &raw, .data = data, .icv = icv, .len = 16,
				   .icv_len = 16, .aad_len = 8 };
	struct xi_ckey *key;
	struct xi_crypto *c;

	if (!xi_engine_ipsec_mb.usable()) {
		print_message("engine ipsec-mb is not usable on this CPU\n");
		skip();
	}
	for (uint32_t i = 0; i < raw.len; i++)
		raw.key[i] = (uint8_t)(200 - i);
	assert_int_equal(xi_engine_ipsec_mb.create(&c, 0), 0);
	assert_int_equal(xi_engine_ipsec_mb.key_new(&key, &raw, 1), 0);
	assert_non_null(memmem(key, malloc_usable_size(key), raw.key, 32));
	xi_engine_ipsec_mb.seal(c, &job, 1);
	assert_int_equal(job.status, 0);
	assert_null(memmem(c, malloc_usable_size(c), raw.key, 16));
	xi_engine_ipsec_mb.key_free(key);
	xi_engine_ipsec_mb.destroy(c);
}

static void engines_are_found_by_name(void **state)
{
	assert_ptr_equal(xi_engine_find("openssl"), &xi_engine_openssl);
	assert_null(xi_engine_find("nss"));
	assert_null(xi_engine_find(""));
	if (xi_engine_ipsec_mb.usable())
		assert_ptr_equal(xi_engine_find("auto"), &xi_engine_ipsec_mb);
	else
		assert_ptr_equal(xi_engine_find("auto"), &xi_engine_openssl);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_are_found_by_name),
		cmocka_unit_test(gcm_specification_answers_are_met),
		cmocka_unit_test(wycheproof_verdicts_are_met),
		cmocka_unit_test(esp_payload_answers_are_met),
		cmocka_unit_test(engines_agree_on_random_batches),
		cmocka_unit_test(every_spoilt_icv_bit_is_found),
		cmocka_unit_test(wrong_keys_and_jobs_are_refused),
		cmocka_unit_test(workers_share_a_key),
		cmocka_unit_test(the_slow_method_leaves_no_key_behind),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
