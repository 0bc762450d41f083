// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* AES-CBC with HMAC of every engine against known answers, and engine against engine. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "crypto/algs.h"
#include "etm_bed.h"
#include "vectors.h"

#define HEAD 24 /* SPI, sequence number, IV */
#define BATCH 100 /* more than an engine does at once */

/* A packet from SPI to ICV, with bytes around it that nobody may touch. */
struct packet {
	uint8_t front[16];
	uint8_t bytes[HEAD + DATA_MAX + ICV_MAX + 16];
};

static void fill_random(uint8_t *p, size_t n)
{
	while (n--)
		*p++ = (uint8_t)(random() >> 7);
}

static struct xi_aead_job job_of(struct packet *p, uint32_t len, enum xi_auth auth, bool esn)
{
	struct xi_aead_job job = {
		.data = p->bytes + HEAD,
		.icv = p->bytes + HEAD + len,
		.len = len,
		.icv_len = auths[auth].icv_len,
		.head_len = HEAD,
		.aad_len = esn ? 12 : 8,
		.status = -1,
	};

	memcpy(job.aad, p->bytes, 4);
	memcpy(job.aad + 4, "\0\0\1\7", 4);
	memcpy(job.aad + (esn ? 8 : 4), p->bytes + 4, 4);
	return job;
}

static void hmac_now(enum xi_auth auth, const uint8_t *key, const struct packet *p, uint32_t len,
		     const uint8_t *esn, uint8_t *icv)
{
	static uint8_t msg[HEAD + DATA_MAX + 4];
	uint32_t n = HEAD + len;
	uint8_t tag[64];
	unsigned int tag_len;

	memcpy(msg, p->bytes, n);
	if (esn) {
		memcpy(msg + n, esn, 4);
		n += 4;
	}
	assert_non_null(HMAC(EVP_get_digestbyname(auths[auth].digest), key,
			     (int)auths[auth].key_len, msg, n, tag, &tag_len));
	memcpy(icv, tag, auths[auth].icv_len);
}

/* RFC 3602 section 4, under each HMAC, whose answer OpenSSL's HMAC() gives. */
static void cbc_answers_are_met(void **state)
{
	static const struct {
		const char *key, *iv, *clear, *sealed;
	} cases[] = {
		/* 1 */
		{"06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
		 "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a"},
		/* 2 */
		{"c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
		 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		 "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"},
		/* 3 */
		{"6c3ea0477630ce21a2ce334aa746c2cd", "c782dc4c098c66cbd9cd27d825682c81",
		 "5468697320697320612034382d62797465206d657373616765202865786163746c79203320414553"
		 "20626c6f636b7329",
		 "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c"
		 "8579695d83ba2684"},
		/* 4 */
		{"56e47a38c5598974bc46903dba290349", "8ce82eefbea0da3c44699ed7db51b7d9",
		 "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7"
		 "c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
		 "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf"
		 "868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55"},
	};

	for (size_t i = 0; i < AUTHS * sizeof(cases) / sizeof(cases[0]); i++) {
		enum xi_auth auth = XI_AUTH_HMAC_SHA1 + i / 4;
		uint8_t aes[16], mac[64], clear[64], sealed[64], icv[ICV_MAX];
		uint32_t len = (uint32_t)vec_unhex(cases[i % 4].clear, clear, sizeof(clear));
		static struct packet p;
		struct xi_sa_key raw;

		vec_unhex(cases[i % 4].key, aes, sizeof(aes));
		vec_unhex(cases[i % 4].sealed, sealed, sizeof(sealed));
		vec_unhex(cases[i % 4].iv, p.bytes + 8, 16);
		fill_random(p.bytes, 8);
		fill_random(mac, sizeof(mac));
		raw_set(&raw, auth, aes, 16, mac);
		for (unsigned int n = 0; n < 4 * alg_nengines; n++) {
			const struct alg_engine *en = &alg_engines[n / 4];
			struct xi_aead_job job = job_of(&p, len, auth, n & 1);
			struct xi_ckey *key;

			assert_int_equal(en->e->key_new(&key, &raw, 1), 0);
			job.raw = &raw;
			job.key = n & 2 ? NULL : key;
			memcpy(p.bytes + HEAD, clear, len);
			en->e->seal(en->c, &job, 1);
			assert_int_equal(job.status, 0);
			assert_memory_equal(p.bytes + HEAD, sealed, len);
			hmac_now(auth, mac, &p, len, n & 1 ? job.aad + 4 : NULL, icv);
			assert_memory_equal(job.icv, icv, job.icv_len);
			en->e->open(en->c, &job, 1);
			assert_int_equal(job.status, 0);
			assert_memory_equal(p.bytes + HEAD, clear, len);
			assert_memory_equal(job.icv, icv, job.icv_len);
			en->e->key_free(key);
		}
	}
}

struct batch {
	struct xi_sa_key raw[BATCH];
	struct xi_aead_job jobs[BATCH];
	struct packet clear[BATCH], packets[BATCH];
	struct xi_ckey *keys[BATCH];
	bool gcm[BATCH];
};

static void batch_key(struct xi_sa_key *raw, bool gcm)
{
	static const uint32_t aes_len[] = {16, 24, 32};
	uint8_t aes[32], mac[64];

	fill_random(aes, sizeof(aes));
	fill_random(mac, sizeof(mac));
	raw_set(raw, XI_AUTH_HMAC_SHA1 + random() % AUTHS, aes, aes_len[random() % 3], mac);
	if (gcm) {
		raw->alg = XI_ALG_AES_GCM;
		raw->auth = XI_AUTH_NONE;
		raw->len = 20;
		raw->auth_len = 0;
	}
}

/* All algorithms, key lengths, with and without ESN; sizes as they come, or all of one. */
static void batch_make(struct batch *b, const struct alg_engine *en, uint32_t size)
{
	for (int i = 0; i < BATCH; i++) {
		struct packet *p = &b->clear[i];
		uint32_t len = size;

		if (!size)
			len = (uint32_t)random() % (random() % 4 ? 2000 : DATA_MAX - 16);
		b->gcm[i] = random() % 8 == 0;
		if (!b->gcm[i])
			len = (len + 16) & ~15U;
		batch_key(&b->raw[i], b->gcm[i]);
		fill_random(p->front, sizeof(p->front) + HEAD + len + ICV_MAX + 16);
		b->jobs[i] = job_of(&b->packets[i], len,
				    b->gcm[i] ? XI_AUTH_HMAC_SHA256 : b->raw[i].auth, random() % 2);
		fill_random(b->jobs[i].nonce, 12);
		b->jobs[i].fresh_iv = !b->gcm[i] && random() % 4;
		b->packets[i] = *p;
		b->jobs[i].raw = &b->raw[i];
		b->keys[i] = NULL;
		if (i % 7)
			assert_int_equal(en->e->key_new(&b->keys[i], &b->raw[i], 1), 0);
		b->jobs[i].key = b->keys[i];
	}
}

static void batch_rekey(struct batch *b, const struct alg_engine *from, const struct alg_engine *to)
{
	for (int i = 0; i < BATCH; i++) {
		from->e->key_free(b->keys[i]);
		b->keys[i] = NULL;
		if (to && i % 5)
			assert_int_equal(to->e->key_new(&b->keys[i], &b->raw[i], 1), 0);
		b->jobs[i].key = b->keys[i];
	}
}

static void batch_sealed(struct batch *b)
{
	for (int i = 0; i < BATCH; i++) {
		struct xi_aead_job *job = &b->jobs[i];
		uint32_t head = job->fresh_iv ? 8 : HEAD, end = HEAD + job->len + job->icv_len;

		assert_int_equal(job->status, 0);
		assert_memory_equal(b->packets[i].front, b->clear[i].front, 16 + head);
		assert_memory_equal(b->packets[i].bytes + end, b->clear[i].bytes + end, 16);
		if (job->fresh_iv)
			assert_memory_not_equal(b->packets[i].bytes + 8, b->clear[i].bytes + 8, 16);
		if (job->len > 15)
			assert_memory_not_equal(job->data, b->clear[i].bytes + HEAD, job->len);
	}
}

static void spoil(struct batch *b, int i)
{
	struct xi_aead_job *job = &b->jobs[i];

	switch (random() % 5) {
	case 0:
		job->data[(uint32_t)random() % (job->len ? job->len : 1)] ^= 0x10;
		break;
	case 1: /* the IV; GCM's is the nonce */
		job->data[-1 - random() % 16] ^= 1;
		job->nonce[random() % 12] ^= 1;
		break;
	case 2: /* SPI, sequence number */
		job->data[-17 - random() % 8] ^= 0x80;
		job->aad[0] ^= 1;
		break;
	case 3: /* ESN, or GCM's AAD, or the header */
		job->aad[4 + random() % 4] ^= 0x20;
		if (job->aad_len == 8)
			job->data[-20] ^= 0x20;
		break;
	default:
		job->icv[(uint32_t)random() % job->icv_len] ^= 1;
	}
}

static void one_round(struct batch *b, unsigned int round, uint32_t size)
{
	const struct alg_engine *sealer = &alg_engines[round % alg_nengines];
	const struct alg_engine *opener = &alg_engines[(round / 2) % alg_nengines];
	static const uint8_t zero[DATA_MAX];
	bool bad[BATCH];

	batch_make(b, sealer, size);
	sealer->e->seal(sealer->c, b->jobs, BATCH);
	batch_sealed(b);
	batch_rekey(b, sealer, opener);
	for (int i = 0; i < BATCH; i++) {
		bad[i] = random() % 8 == 0;
		if (bad[i])
			spoil(b, i);
	}
	opener->e->open(opener->c, b->jobs, BATCH);
	for (int i = 0; i < BATCH; i++) {
		const struct xi_aead_job *job = &b->jobs[i];

		assert_int_equal(job->status, bad[i] ? -EBADMSG : 0);
		assert_memory_equal(job->data, bad[i] ? zero : b->clear[i].bytes + HEAD, job->len);
		assert_memory_equal(job->icv + job->icv_len,
				    b->clear[i].bytes + HEAD + job->len + job->icv_len, 16);
	}
	batch_rekey(b, opener, NULL);
}

/* What one engine sealed, the other opens; whatever was spoilt on the way is found. */
static void engines_agree_on_batches_of_all_algorithms(void **state)
{
	struct batch *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	srandom(3602);
	for (unsigned int round = 0; round < 60; round++)
		one_round(b, round, 0);
	for (uint32_t size = 1; size <= 2000; size += 16)
		one_round(b, size / 16, size);
	free(b);
}

#define BLOCKS 4

/* All batch sizes: lanes that are full, and some that are not. */
static void any_number_of_jobs_is_done(void **state)
{
	static struct packet p[BATCH];
	struct xi_aead_job jobs[BATCH];
	uint8_t aes[16] = {1}, mac[64] = {2};

	for (unsigned int i = 0; i < alg_nengines * AUTHS; i++) {
		const struct alg_engine *en = &alg_engines[i / AUTHS];
		enum xi_auth auth = XI_AUTH_HMAC_SHA1 + i % AUTHS;
		struct xi_sa_key raw;
		struct xi_ckey *key;

		raw_set(&raw, auth, aes, 16, mac);
		assert_int_equal(en->e->key_new(&key, &raw, 1), 0);
		for (unsigned int n = 0; n <= BATCH; n++) {
			for (unsigned int j = 0; j < n; j++) {
				memset(&p[j], (int)j, sizeof(p[j]));
				jobs[j] = job_of(&p[j], 16 * BLOCKS, auth, j & 1);
				jobs[j].key = key;
			}
			en->e->seal(en->c, jobs, n);
			for (unsigned int j = 0; j < n; j++) {
				uint8_t icv[ICV_MAX];

				assert_int_equal(jobs[j].status, 0);
				hmac_now(auth, mac, &p[j], 16 * BLOCKS,
					 j & 1 ? jobs[j].aad + 4 : NULL, icv);
				assert_memory_equal(jobs[j].icv, icv, jobs[j].icv_len);
			}
			en->e->open(en->c, jobs, n);
			for (unsigned int j = 0; j < n; j++) {
				assert_int_equal(jobs[j].status, 0);
				for (unsigned int k = 0; k < 16 * BLOCKS; k++)
					assert_int_equal(jobs[j].data[k], j);
			}
		}
		en->e->key_free(key);
	}
}

static int block_order(const void *a, const void *b)
{
	return memcmp(a, b, 16);
}

/*
 * RFC 3602 section 3: at random and unpredictable. The same packets, keys and sequence numbers get
 * others each time, with every worker; none twice, none that differs from another by what two
 * others do.
 */
static void ivs_are_fresh(void **state)
{
	enum { ROUNDS = 20, ALL = ROUNDS * BATCH };
	static uint8_t ivs[4 * ALL][16], diffs[4 * ALL][16];
	static struct packet p[BATCH];
	uint8_t aes[16] = {1}, mac[64] = {2};
	struct xi_aead_job jobs[BATCH];
	unsigned int n = 0, ones = 0;
	struct xi_sa_key raw;

	raw_set(&raw, XI_AUTH_HMAC_SHA1, aes, 16, mac);
	for (unsigned int i = 0; i < 2 * alg_nengines; i++) {
		const struct xi_engine *e = alg_engines[i / 2].e;
		struct xi_crypto *c;
		struct xi_ckey *key;

		assert_int_equal(e->create(&c, 0), 0);
		assert_int_equal(e->key_new(&key, &raw, 1), 0);
		for (unsigned int j = 0; j < ALL; j++) {
			memset(&p[j % BATCH], 0, sizeof(p[0]));
			jobs[j % BATCH] = job_of(&p[j % BATCH], 16, XI_AUTH_HMAC_SHA1, false);
			jobs[j % BATCH].key = key;
			jobs[j % BATCH].fresh_iv = true;
			if (j % BATCH < BATCH - 1)
				continue;
			e->seal(c, jobs, BATCH);
			for (unsigned int k = 0; k < BATCH; k++)
				memcpy(ivs[n++], p[k].bytes + 8, 16);
		}
		e->key_free(key);
		e->destroy(c);
	}
	for (unsigned int i = 0; i < n; i++) {
		for (unsigned int k = 0; k < 16; k++) {
			diffs[i][k] = ivs[i][k] ^ ivs[(i + 1) % n][k];
			ones += (unsigned int)__builtin_popcount(ivs[i][k]);
		}
	}
	qsort(ivs, n, 16, block_order);
	qsort(diffs, n, 16, block_order);
	for (unsigned int i = 1; i < n; i++) {
		assert_memory_not_equal(ivs[i - 1], ivs[i], 16);
		assert_memory_not_equal(diffs[i - 1], diffs[i], 16);
	}
	/* 64 of 128 bits; standard deviation of the mean below 0.09 */
	assert_in_range(ones, n * 63, n * 65);
}

static void wrong_keys_and_jobs_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint32_t len, icv_len, aad_len, head_len, gap;
	} cases[] = {
		{"not a multiple of the block", 17, 16, 8, HEAD, 0},
		{"one byte", 1, 16, 8, HEAD, 0},
		{"ICV of 8 bytes", 32, 8, 8, HEAD, 0},
		{"ICV of 20 bytes", 32, 20, 8, HEAD, 0},
		{"ICV of 0 bytes", 32, 0, 8, HEAD, 0},
		{"AAD of 4 bytes", 32, 16, 4, HEAD, 0},
		{"no IV", 32, 16, 8, 8, 0},
		{"nothing at all", 0, 16, 8, 0, 0},
		{"ICV elsewhere", 32, 16, 8, HEAD, 1},
		{"longer than any packet", 65536, 16, 8, HEAD, 0},
		{"longer than a lane counts", 65520, 16, 8, HEAD, 0},
		{"nearly 4 GiB", 0xfffffff0, 16, 8, HEAD, 0},
	};
	static struct packet p, before;
	uint8_t aes[32] = {1}, mac[64] = {2};
	struct xi_sa_key raw, bad;
	struct xi_ckey *key;

	fill_random(p.front, sizeof(p));
	before = p;
	for (unsigned int i = 0; i < alg_nengines; i++) {
		const struct alg_engine *en = &alg_engines[i];

		raw_set(&raw, XI_AUTH_HMAC_SHA256, aes, 16, mac);
		for (size_t j = 0; j < 2 * sizeof(cases) / sizeof(cases[0]); j++) {
			struct xi_aead_job job = job_of(&p, cases[j / 2].len, raw.auth, false);

			assert_int_equal(en->e->key_new(&key, &raw, 1), 0);
			job.raw = &raw;
			job.key = j % 2 ? key : NULL;
			job.icv_len = cases[j / 2].icv_len;
			job.aad_len = cases[j / 2].aad_len;
			job.head_len = (uint16_t)cases[j / 2].head_len;
			job.icv += cases[j / 2].gap;
			en->e->seal(en->c, &job, 1);
			if (job.status != -EINVAL)
				fail_msg("sealed: %s", cases[j / 2].what);
			en->e->open(en->c, &job, 1);
			if (job.status != -EINVAL)
				fail_msg("opened: %s", cases[j / 2].what);
			assert_memory_equal(p.front, before.front, sizeof(p));
			en->e->key_free(key);
		}
		for (int j = 0; j < 8; j++) {
			struct xi_aead_job job = job_of(&p, 32, XI_AUTH_HMAC_SHA256, false);

			bad = raw;
			bad.len += j == 0 ? 4 : j == 1 ? 24 : 0;
			bad.auth_len += j == 2 ? 4 : 0;
			bad.auth = j == 3 ? XI_AUTH_NONE : j == 4 ? 77 : bad.auth;
			bad.alg = j == 5 ? XI_ALG_AES_GCM : j == 6 ? 77 : bad.alg;
			bad.auth_len = j == 7 ? 0xffffffff : bad.auth_len;
			assert_int_equal(en->e->key_new(&key, &bad, 1), -EINVAL);
			job.raw = &bad;
			en->e->seal(en->c, &job, 1);
			assert_int_equal(job.status, -EINVAL);
		}
		assert_true(en->e->carries(XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA1, 192, 12));
		assert_true(en->e->carries(XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA256, 256, 12));
		assert_false(en->e->carries(XI_ALG_AES_CBC, XI_AUTH_HMAC_SHA1, 192, 16));
		assert_false(en->e->carries(XI_ALG_AES_CBC, XI_AUTH_NONE, 128, 16));
		assert_false(en->e->carries(XI_ALG_NONE, XI_AUTH_HMAC_SHA1, 128, 12));
	}
}

/* The key schedule begins with the key: found in memory, or not. */
static void the_slow_method_leaves_no_key_behind(void **state)
{
	uint8_t aes[32], mac[64] = {0};
	static struct packet p;
	struct xi_sa_key raw;
	struct xi_ckey *key;
	struct xi_crypto *c;

	if (!xi_engine_ipsec_mb.usable()) {
		print_message("engine ipsec-mb is not usable on this CPU\n");
		skip();
	}
	for (unsigned int i = 0; i < sizeof(aes); i++)
		aes[i] = (uint8_t)(200 - i);
	raw_set(&raw, XI_AUTH_HMAC_SHA512, aes, 32, mac);
	assert_int_equal(xi_engine_ipsec_mb.create(&c, 0), 0);
	assert_int_equal(xi_engine_ipsec_mb.key_new(&key, &raw, 1), 0);
	assert_non_null(memmem(key, malloc_usable_size(key), raw.key, 32));
	for (int open = 0; open < 2; open++) {
		struct xi_aead_job job = job_of(&p, 64, raw.auth, true);

		job.raw = &raw;
		(open ? xi_engine_ipsec_mb.open : xi_engine_ipsec_mb.seal)(c, &job, 1);
		assert_int_equal(job.status, 0);
		assert_null(memmem(c, malloc_usable_size(c), raw.key, 16));
	}
	xi_engine_ipsec_mb.key_free(key);
	xi_engine_ipsec_mb.destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cbc_answers_are_met),
		cmocka_unit_test(engines_agree_on_batches_of_all_algorithms),
		cmocka_unit_test(any_number_of_jobs_is_done),
		cmocka_unit_test(ivs_are_fresh),
		cmocka_unit_test(wrong_keys_and_jobs_are_refused),
		cmocka_unit_test(the_slow_method_leaves_no_key_behind),
	};

	return cmocka_run_group_tests(tests, alg_start, alg_stop);
}
