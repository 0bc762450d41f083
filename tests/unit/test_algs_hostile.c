// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Jobs and keys that no engine may accept, and memory that none may touch. */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/mman.h>

#include "alg_job.h"
#include "crypto/algs.h"

#define PAGE 4096
#define ROOM (3 * PAGE)

static struct alg_transform transforms[ALG_TRANSFORMS_MAX];
static unsigned int ntransforms;
static struct alg_case c;

static int start(void **state)
{
	ntransforms = alg_transforms(transforms);
	return alg_start(state);
}

static bool is_aead(const struct alg_transform *t)
{
	return t->auth == XI_AUTH_NONE;
}

/* Each kind of hostility: false where it does none to this transform. */
static bool icv_wrong(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	static const uint32_t lens[] = {0, 1, 4, 7, 9, 13, 15, 17, 20, 33, 64, 0xffffffff};

	if (i >= sizeof(lens) / sizeof(lens[0]))
		return false;
	job->icv_len = lens[i];
	return true;
}

/* Eight times which is right, in 32 bits. */
static bool icv_wraps(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	job->icv_len += 0x20000000U;
	return !i;
}

static bool aad_wrong(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	static const uint32_t lens[] = {13, 16, 255, 0x80000000, 0xffffffff, 0, 1, 4, 9, 11};

	if (i >= (is_aead(t) && !t->ah ? 5 : sizeof(lens) / sizeof(lens[0])))
		return false;
	job->aad_len = lens[i];
	return true;
}

static bool head_wrong(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	uint32_t least = t->alg == XI_ALG_AES_CBC ? 16 : t->alg == XI_ALG_AES_GMAC ? 8 : 1;

	if (t->ah || (is_aead(t) && t->alg != XI_ALG_AES_GMAC) || i >= least)
		return false;
	job->head_len = (uint16_t)i;
	return true;
}

static bool nothing(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	job->head_len = 0;
	job->len = 0;
	job->icv = job->data;
	return !i && (t->ah || !is_aead(t));
}

static bool len_wrong(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	if (t->alg != XI_ALG_AES_CBC || i >= 15)
		return false;
	job->len = 17 + i;
	job->icv = job->data + job->len;
	return true;
}

static bool len_huge(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	static const uint32_t lens[] = {65536, 65520, 0x10000010, 0xffffffe0, 0xfffffff0};

	if (t->alg == XI_ALG_AES_GCM || i >= sizeof(lens) / sizeof(lens[0]))
		return false;
	job->len = lens[i];
	job->icv = job->data + job->len;
	return true;
}

static bool icv_elsewhere(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	job->icv += i ? -1 : 1;
	return i < 2 && !t->ah && !is_aead(t);
}

static bool iv_where_there_is_none(struct xi_aead_job *job, const struct alg_transform *t,
				   unsigned int i)
{
	job->fresh_iv = 1;
	return !i && t->alg != XI_ALG_AES_CBC && t->alg != XI_ALG_AES_GCM;
}

static bool other_protocol(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i)
{
	job->ah = !job->ah;
	return !i && t->alg != XI_ALG_AES_GMAC && t->alg != XI_ALG_AES_GCM;
}

static const struct {
	const char *name;
	bool (*apply)(struct xi_aead_job *job, const struct alg_transform *t, unsigned int i);
} hostilities[] = {
	{"wrong ICV", icv_wrong},
	{"an ICV whose bits wrap", icv_wraps},
	{"wrong AAD", aad_wrong},
	{"too short a head", head_wrong},
	{"nothing at all", nothing},
	{"not whole blocks", len_wrong},
	{"too long", len_huge},
	{"ICV elsewhere", icv_elsewhere},
	{"fresh IV without CBC", iv_where_there_is_none},
	{"ESP as AH, or AH as ESP", other_protocol},
};

static void refused(const struct alg_engine *en, const struct xi_aead_job *hostile,
		    const char *what)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct xi_aead_job job = *hostile;

		job.key = i % 2 ? c.key : NULL;
		(i / 2 ? en->e->seal : en->e->open)(en->c, &job, 1);
		if (job.status != -EINVAL)
			fail_msg("%s: %s, %s: status %d", en->e->name, alg_text(&c.t), what,
				 job.status);
		assert_memory_equal(c.mem, c.before, sizeof(c.mem));
	}
}

static void hostile_jobs_are_refused(void **state)
{
	unsigned int done = 0;

	for (unsigned int n = 0; n < ntransforms * alg_nengines; n++) {
		const struct alg_transform *t = &transforms[n / alg_nengines];
		const struct alg_engine *en = &alg_engines[n % alg_nengines];

		alg_case_make(&c, t, 64, n % 2);
		alg_case_key(&c, en->e);
		for (size_t h = 0; h < sizeof(hostilities) / sizeof(hostilities[0]); h++) {
			struct xi_aead_job job = c.job;

			for (unsigned int i = 0; hostilities[h].apply(&job, t, i); i++) {
				refused(en, &job, hostilities[h].name);
				job = c.job;
				done++;
			}
		}
		/* and is none the worse for it */
		alg_case_reference(&c);
		en->e->seal(en->c, &c.job, 1);
		alg_case_is_sealed(&c);
		alg_case_unkey(&c, en->e);
	}
	assert_true(done > 20 * ntransforms);
}

static void key_refused(const struct alg_engine *en, const struct xi_sa_key *raw)
{
	struct xi_aead_job job = c.job;
	struct xi_ckey *key = NULL;

	assert_int_equal(en->e->key_new(&key, raw, 1), -EINVAL);
	job.raw = raw;
	en->e->seal(en->c, &job, 1);
	assert_int_equal(job.status, -EINVAL);
	en->e->open(en->c, &job, 1);
	assert_int_equal(job.status, -EINVAL);
	assert_memory_equal(c.mem, c.before, sizeof(c.mem));
}

static void keys_of_wrong_lengths_are_refused(void **state)
{
	static const uint32_t lens[] = {0, 1, 15, 17, 0x80000000, 0xffffffff, XI_KEY_MAX + 1};

	for (unsigned int n = 0; n < ntransforms * alg_nengines; n++) {
		const struct alg_transform *t = &transforms[n / alg_nengines];
		const struct alg_engine *en = &alg_engines[n % alg_nengines];
		struct xi_sa_key raw;

		alg_case_make(&c, t, 64, false);
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			raw = c.raw;
			raw.len = lens[i];
			/* 16 + 1: the next key size has other bytes of salt */
			key_refused(en, &raw);
			raw = c.raw;
			raw.auth_len = lens[i] ? lens[i] : 3;
			key_refused(en, &raw);
		}
		for (int i = -1; i < 2; i += 2) {
			raw = c.raw;
			raw.len += (uint32_t)i;
			key_refused(en, &raw);
		}
		raw = c.raw;
		raw.alg = 99;
		key_refused(en, &raw);
		raw = c.raw;
		raw.auth = raw.auth ? XI_AUTH_NONE : XI_AUTH_HMAC_SHA1;
		key_refused(en, &raw);
		raw = c.raw;
		raw.auth = 77;
		key_refused(en, &raw);
	}
}

/* Encryption without integrity, integrity twice, lengths that there are not. */
static void no_engine_carries_what_is_no_transform(void **state)
{
	for (unsigned int e = 0; e < alg_nengines; e++) {
		const struct xi_engine *en = alg_engines[e].e;
		unsigned int carried = 0;

		for (unsigned int i = 0; i < ntransforms; i++)
			assert_true(en->carries(transforms[i].alg, transforms[i].auth,
						transforms[i].key_bits, transforms[i].icv_len));
		for (unsigned int alg = 0; alg < 12; alg++)
			for (unsigned int auth = 0; auth < 10; auth++)
				for (unsigned int bits = 0; bits <= 512; bits += 32)
					for (unsigned int icv = 0; icv <= 64; icv++)
						carried += en->carries(alg, auth, bits, icv);
		/* GMAC is listed twice, in ESP and AH */
		assert_int_equal(carried, ntransforms - 3);
	}
}

/* A page that must not be touched right behind a packet, or right in front of it. */
static void at_the_edge(const struct alg_engine *en, uint8_t *room, bool end)
{
	uint32_t behind = c.t.ah ? (c.job.aad_len == 12 ? 4U : 0U) : c.t.icv_len;
	uint32_t size = c.job.head_len + c.job.len + behind;
	uint8_t *head = end ? room + ROOM - size : room, icv[ALG_ICV_MAX];
	struct xi_aead_job job = c.job;

	memcpy(head, c.job.data - c.job.head_len, size);
	job.data = head + c.job.head_len;
	job.icv = c.t.ah ? icv : job.data + job.len;
	en->e->seal(en->c, &job, 1);
	assert_int_equal(job.status, 0);
	assert_memory_equal(job.data, c.sealed, job.len);
	assert_memory_equal(job.icv, c.icv, job.icv_len);
	en->e->open(en->c, &job, 1);
	assert_int_equal(job.status, 0);
	assert_memory_equal(job.data, c.clear, job.len);
}

static void nothing_around_a_packet_is_touched(void **state)
{
	uint8_t *pages = mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *room = pages + PAGE;

	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(room, ROOM, PROT_READ | PROT_WRITE), 0);
	for (unsigned int t = 0; t < ntransforms; t++) {
		for (uint32_t len = 0; len < 280; len += 1 + len / 70) {
			alg_case_make(&c, &transforms[t], len, len % 2);
			alg_case_reference(&c);
			for (unsigned int i = 0; i < 2 * alg_nengines; i++)
				at_the_edge(&alg_engines[i / 2], room, i % 2);
		}
	}
	munmap(pages, ROOM + 2 * PAGE);
}

/* As long as an engine accepts, lanes count right; nothing longer is accepted. */
static void the_longest_jobs_are_done(void **state)
{
	static uint8_t big[2][70000];

	for (unsigned int n = 0; n < ntransforms * alg_nengines; n++) {
		const struct alg_transform *t = &transforms[n / alg_nengines];
		const struct alg_engine *en = &alg_engines[n % alg_nengines];
		struct xi_aead_job job, half;
		uint32_t len = 65280;

		alg_case_make(&c, t, 16, true);
		memset(big[0], 0x5a, sizeof(big[0]));
		memcpy(big[0], c.job.data - c.job.head_len, c.job.head_len);
		memcpy(big[1], big[0], sizeof(big[0]));
		job = c.job;
		job.len = len;
		job.data = big[0] + c.job.head_len;
		job.icv = job.data + len;
		half = job;
		half.data = big[1] + c.job.head_len;
		half.icv = half.data + len;
		en->e->seal(en->c, &job, 1);
		assert_int_equal(job.status, 0);
		alg_engines[alg_nengines - 1].e->seal(alg_engines[alg_nengines - 1].c, &half, 1);
		assert_memory_equal(big[0], big[1], c.job.head_len + len + t->icv_len);
		en->e->open(en->c, &job, 1);
		assert_int_equal(job.status, 0);
		assert_int_equal(job.data[len - 1], 0x5a);
	}
}

struct range {
	unsigned long from, to;
};

/* The heap, as the kernel sees it: in it are the engines with all that they allocated. */
static struct range heap(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	struct range r = {0, 0};
	char line[256];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[heap]"))
			assert_int_equal(sscanf(line, "%lx-%lx", &r.from, &r.to), 2);
	fclose(maps);
	return r;
}

static bool is_in_heap(const uint8_t *key)
{
	struct range r = heap();

	return memmem((void *)r.from, r.to - r.from, key, 16);
}

/* An AES key schedule begins with the key, and ChaCha's key is one: found in memory, or not. */
static void the_slow_method_leaves_no_key_behind(void **state)
{
	bool found = false;

	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	if (!heap().to) {
		print_message("a sanitizer's allocator has no heap to search\n");
		skip();
	}
	for (unsigned int n = 0; n < ntransforms * alg_nengines; n++) {
		const struct xi_engine *en = alg_engines[n % alg_nengines].e;
		struct xi_crypto *crypto;

		alg_case_make(&c, &transforms[n / alg_nengines], 64, false);
		assert_int_equal(en->create(&crypto, 0), 0);
		for (int open = 0; open < 2; open++) {
			(open ? en->open : en->seal)(crypto, &c.job, 1);
			assert_int_equal(c.job.status, 0);
			if (c.t.key_bits && is_in_heap(c.raw.key))
				fail_msg("%s, %s: the key", en->name, alg_text(&c.t));
			if (c.raw.auth_len && is_in_heap(xi_key_auth(&c.raw)))
				fail_msg("%s, %s: the integrity key", en->name, alg_text(&c.t));
		}
		alg_case_key(&c, en);
		found = found || (c.t.key_bits && is_in_heap(c.raw.key));
		alg_case_unkey(&c, en);
		en->destroy(crypto);
	}
	assert_true(found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_jobs_are_refused),
		cmocka_unit_test(keys_of_wrong_lengths_are_refused),
		cmocka_unit_test(no_engine_carries_what_is_no_transform),
		cmocka_unit_test(nothing_around_a_packet_is_touched),
		cmocka_unit_test(the_longest_jobs_are_done),
		cmocka_unit_test(the_slow_method_leaves_no_key_behind),
	};

	return cmocka_run_group_tests(tests, start, alg_stop);
}
