// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Batches that mix every transform, size, keyed and SLOW jobs, and errors: engine against engine.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/crypto.h>

#include "alg_job.h"

#define BATCH 150 /* more than an engine does at once */
#define ROUNDS 120

static struct alg_transform transforms[ALG_TRANSFORMS_MAX];
static unsigned int ntransforms;
static struct alg_case *cases;
static struct xi_aead_job jobs[BATCH];

static int start(void **state)
{
	ntransforms = alg_transforms(transforms);
	cases = calloc(BATCH, sizeof(*cases));
	return cases ? alg_start(state) : -1;
}

static int stop(void **state)
{
	free(cases);
	return alg_stop(state);
}

static const struct alg_engine *engine(unsigned int i)
{
	return &alg_engines[i % alg_nengines];
}

static void batch_make(void)
{
	for (unsigned int i = 0; i < BATCH; i++) {
		unsigned int t = (unsigned int)random() % ntransforms;
		uint32_t len = (uint32_t)random() % (random() % 4 ? 300 : 9001);

		alg_case_make(&cases[i], &transforms[t], len, random() % 2);
		cases[i].job.fresh_iv = transforms[t].alg == XI_ALG_AES_CBC && random() % 2;
	}
}

static void batch_key(const struct alg_engine *en)
{
	for (unsigned int i = 0; i < BATCH; i++)
		if (random() % 4)
			alg_case_key(&cases[i], en->e);
}

static void batch_unkey(const struct alg_engine *en)
{
	for (unsigned int i = 0; i < BATCH; i++)
		alg_case_unkey(&cases[i], en->e);
}

static void batch_run(const struct alg_engine *en, bool seal)
{
	batch_key(en);
	for (unsigned int i = 0; i < BATCH; i++)
		jobs[i] = cases[i].job;
	(seal ? en->e->seal : en->e->open)(en->c, jobs, BATCH);
	for (unsigned int i = 0; i < BATCH; i++)
		cases[i].job.status = jobs[i].status;
	batch_unkey(en);
}

/* One engine's answer is what the other must give for the same IV. */
static void batch_keep(void)
{
	for (unsigned int i = 0; i < BATCH; i++) {
		struct alg_case *c = &cases[i];

		assert_int_equal(c->job.status, 0);
		memcpy(c->sealed, c->job.data, c->job.len);
		memcpy(c->icv, c->job.icv, c->t.icv_len);
		if (c->job.fresh_iv)
			memcpy(c->before + (c->job.data - c->mem) - 16, c->job.data - 16, 16);
		c->job.fresh_iv = 0;
		memcpy(c->mem, c->before, sizeof(c->mem));
	}
}

static void spoil(struct alg_case *c)
{
	struct xi_aead_job *job = &c->job;
	uint32_t r = (uint32_t)random();

	if (r % 2 && job->len)
		job->data[r / 2 % job->len] ^= 0x10;
	else
		job->icv[r / 2 % job->icv_len] ^= 1;
}

static void one_round(unsigned int round)
{
	const struct alg_engine *first = engine(round), *second = engine(round + 1);
	const struct alg_engine *opener = engine(round / 2);
	bool bad[BATCH];

	batch_make();
	batch_run(first, true);
	batch_keep();
	batch_run(second, true);
	for (unsigned int i = 0; i < BATCH; i++) {
		alg_case_is_sealed(&cases[i]);
		bad[i] = random() % 6 == 0;
		if (bad[i])
			spoil(&cases[i]);
	}
	batch_run(opener, false);
	for (unsigned int i = 0; i < BATCH; i++) {
		if (bad[i])
			alg_case_is_refused(&cases[i]);
		else
			alg_case_is_open(&cases[i]);
	}
}

static void engines_agree_on_batches_of_all_transforms(void **state)
{
	srandom(8221);
	for (unsigned int round = 0; round < ROUNDS; round++)
		one_round(round);
}

/* A job that is refused for its lengths has neighbours that are not. */
static void refused_jobs_harm_no_others(void **state)
{
	srandom(8222);
	for (unsigned int round = 0; round < ROUNDS / 2; round++) {
		const struct alg_engine *en = engine(round);

		batch_make();
		for (unsigned int i = 0; i < BATCH; i++) {
			cases[i].job.fresh_iv = 0;
			alg_case_reference(&cases[i]);
			if (i % 4 == 1)
				cases[i].job.icv_len += 1;
			if (i % 4 == 2)
				cases[i].job.aad_len = 13;
		}
		batch_run(en, true);
		for (unsigned int i = 0; i < BATCH; i++) {
			if (i % 4 != 1 && i % 4 != 2) {
				alg_case_is_sealed(&cases[i]);
				continue;
			}
			assert_int_equal(cases[i].job.status, -EINVAL);
			assert_memory_equal(cases[i].mem, cases[i].before, sizeof(cases[i].mem));
		}
	}
}

/* Two managers, of two workers, with one key: neither is in the other's way. */
static void workers_share_keys_of_every_transform(void **state)
{
	for (unsigned int i = 0; i < ntransforms * alg_nengines; i++) {
		const struct alg_engine *en = &alg_engines[i / ntransforms];
		struct alg_case *c = &cases[0], *other = &cases[1];
		struct xi_crypto *second;

		alg_case_make(c, &transforms[i % ntransforms], 256, false);
		alg_case_make(other, &transforms[i % ntransforms], 256, true);
		other->raw = c->raw;
		alg_case_set(other, other->before + ALG_GUARD, other->job.head_len, other->clear,
			     other->job.len, true);
		alg_case_reference(c);
		alg_case_reference(other);
		assert_int_equal(en->e->create(&second, 1), 0);
		assert_int_equal(en->e->key_new(&c->key, &c->raw, 2), 0);
		c->job.key = other->job.key = c->key;
		en->e->seal(en->c, &c->job, 1);
		en->e->seal(second, &other->job, 1);
		alg_case_is_sealed(c);
		alg_case_is_sealed(other);
		en->e->open(second, &c->job, 1);
		en->e->open(en->c, &other->job, 1);
		alg_case_is_open(c);
		alg_case_is_open(other);
		en->e->destroy(second);
		alg_case_unkey(c, en->e);
	}
}

static unsigned long allocations;

static void *count_malloc(size_t n, const char *file, int line)
{
	allocations++;
	return malloc(n);
}

static void *count_realloc(void *p, size_t n, const char *file, int line)
{
	allocations++;
	return realloc(p, n);
}

static void count_free(void *p, const char *file, int line)
{
	free(p);
}

/* OpenSSL's, that is; ipsec-mb has none. With and without a key. */
static void no_job_allocates(void **state)
{
	for (unsigned int i = 0; i < ntransforms * alg_nengines * 2; i++) {
		const struct alg_engine *en = engine(i);
		struct alg_case *c = &cases[0];
		unsigned long before;

		alg_case_make(c, &transforms[i / 2 / alg_nengines], 1408, i & 4);
		if (i / alg_nengines % 2)
			alg_case_key(c, en->e);
		before = allocations;
		for (int times = 0; times < 4; times++) {
			en->e->seal(en->c, &c->job, 1);
			assert_int_equal(c->job.status, 0);
			en->e->open(en->c, &c->job, 1);
			assert_int_equal(c->job.status, 0);
			c->job.icv[0] ^= 1;
			en->e->open(en->c, &c->job, 1);
			assert_int_equal(c->job.status, -EBADMSG);
		}
		if (allocations != before)
			fail_msg("%s, %s: %lu allocations", en->e->name, alg_text(&c->t),
				 allocations - before);
		alg_case_unkey(c, en->e);
	}
	assert_true(allocations);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(engines_agree_on_batches_of_all_transforms),
		cmocka_unit_test(refused_jobs_harm_no_others),
		cmocka_unit_test(workers_share_keys_of_every_transform),
		cmocka_unit_test(no_job_allocates),
	};

	if (!CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free))
		return 1;
	return cmocka_run_group_tests(tests, start, stop);
}
