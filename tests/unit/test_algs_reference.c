// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Every transform of every engine against OpenSSL asked directly. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "alg_job.h"

#define LANES 75 /* more than an engine does at once */
#define SHORT 300

static struct alg_transform transforms[ALG_TRANSFORMS_MAX];
static unsigned int ntransforms;
static struct alg_case *cases;

static int start(void **state)
{
	ntransforms = alg_transforms(transforms);
	cases = calloc(LANES, sizeof(*cases));
	return cases ? alg_start(state) : -1;
}

static int stop(void **state)
{
	free(cases);
	return alg_stop(state);
}

static void batch_make(const struct alg_transform *t, const uint32_t *lens, unsigned int n,
		       bool esn)
{
	for (unsigned int i = 0; i < n; i++) {
		alg_case_make(&cases[i], t, lens[i], esn);
		alg_case_reference(&cases[i]);
	}
}

static void batch_reset(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		memcpy(cases[i].mem, cases[i].before, sizeof(cases[i].mem));
		cases[i].job.status = -1;
	}
}

static void batch_run(const struct alg_engine *en, unsigned int n, bool seal)
{
	static struct xi_aead_job jobs[LANES];

	for (unsigned int i = 0; i < n; i++)
		jobs[i] = cases[i].job;
	(seal ? en->e->seal : en->e->open)(en->c, jobs, n);
	for (unsigned int i = 0; i < n; i++)
		cases[i].job.status = jobs[i].status;
}

/* Keyed, but each fifth SLOW. */
static void batch_check(const struct alg_engine *en, unsigned int n)
{
	batch_reset(n);
	for (unsigned int i = 0; i < n; i++)
		if (i % 5 != 2)
			alg_case_key(&cases[i], en->e);
	batch_run(en, n, true);
	for (unsigned int i = 0; i < n; i++)
		alg_case_is_sealed(&cases[i]);
	/* the SLOW ones are others */
	for (unsigned int i = 0; i < n; i++) {
		alg_case_unkey(&cases[i], en->e);
		if (i % 5 != 4)
			alg_case_key(&cases[i], en->e);
	}
	batch_run(en, n, false);
	for (unsigned int i = 0; i < n; i++) {
		alg_case_is_open(&cases[i]);
		alg_case_unkey(&cases[i], en->e);
	}
}

static void lengths_check(unsigned int t, const uint32_t *lens, unsigned int n)
{
	for (int esn = 0; esn < 2; esn++) {
		batch_make(&transforms[t], lens, n, esn);
		for (unsigned int i = 0; i < alg_nengines; i++)
			batch_check(&alg_engines[i], n);
	}
}

static void every_short_length_is_as_openssl_says(void **state)
{
	uint32_t lens[LANES];

	srandom(4303);
	assert_int_equal(ntransforms, 3 * 3 + 3 * 3 + 1 + 3 + 3 + 2 * 3 * 6 + 6 + 6);
	for (unsigned int t = 0; t < ntransforms; t++) {
		for (unsigned int first = 0; first <= SHORT; first += LANES) {
			unsigned int n = SHORT + 1 - first < LANES ? SHORT + 1 - first : LANES;

			for (unsigned int i = 0; i < n; i++)
				lens[i] = first + i;
			lengths_check(t, lens, n);
		}
	}
}

static void random_lengths_are_as_openssl_says(void **state)
{
	uint32_t lens[LANES];

	srandom(4304);
	for (unsigned int t = 0; t < ntransforms; t++) {
		for (unsigned int i = 0; i < LANES; i++)
			lens[i] = (uint32_t)random() % 9001;
		lens[0] = 9000;
		lengths_check(t, lens, LANES);
	}
}

/* Batches of one, two ... jobs leave lanes empty. */
static void any_number_of_jobs_is_as_openssl_says(void **state)
{
	uint32_t lens[LANES];

	srandom(4305);
	for (unsigned int t = 0; t < ntransforms; t += 1 + (unsigned int)random() % 3) {
		for (unsigned int n = 1; n < LANES; n += 1 + n / 9) {
			for (unsigned int i = 0; i < n; i++)
				lens[i] = (uint32_t)random() % 200;
			lengths_check(t, lens, n);
		}
	}
}

/* One bit of ICV, data, head or nonce, each at another place. */
static void spoil(struct alg_case *c, unsigned int what)
{
	struct xi_aead_job *job = &c->job;
	uint32_t r = (uint32_t)random();

	if (what == 0 || (what == 1 && !job->len))
		job->icv[r % job->icv_len] ^= (uint8_t)(1U << r / 64 % 8);
	else if (what == 1)
		job->data[r % job->len] ^= (uint8_t)(1U << r / 16384 % 8);
	else if (c->t.ah || c->t.auth)
		job->data[-1 - (int)(r % job->head_len)] ^= 4;
	else
		job->aad[r % job->aad_len] ^= 32;
}

static void spoilt_check(const struct alg_engine *en)
{
	batch_reset(LANES);
	for (unsigned int i = 0; i < LANES; i++)
		alg_case_key(&cases[i], en->e);
	batch_run(en, LANES, true);
	for (unsigned int i = 0; i < LANES; i += 3)
		spoil(&cases[i], i / 3 % 3);
	batch_run(en, LANES, false);
	for (unsigned int i = 0; i < LANES; i++) {
		if (i % 3)
			alg_case_is_open(&cases[i]);
		else
			alg_case_is_refused(&cases[i]);
		alg_case_unkey(&cases[i], en->e);
	}
}

/* What a spoilt one has for neighbours is opened all the same. */
static void spoilt_jobs_and_no_others_are_refused(void **state)
{
	uint32_t lens[LANES];

	srandom(4306);
	for (unsigned int n = 0; n < 2 * ntransforms; n++) {
		for (unsigned int i = 0; i < LANES; i++)
			lens[i] = (uint32_t)random() % (i % 8 ? 300 : 9001);
		for (unsigned int e = 0; e < alg_nengines; e++) {
			batch_make(&transforms[n / 2], lens, LANES, n % 2);
			spoilt_check(&alg_engines[e]);
		}
	}
}

/* AH's ICV is in the packet, zero while it is computed: it may be anywhere, in what is covered too,
 * and where the high half of the sequence number is hashed. */
static void the_icv_of_ah_may_be_anywhere(void **state)
{
	for (unsigned int n = 0; n < ntransforms * 2 * alg_nengines; n++) {
		const struct alg_transform *t = &transforms[n / 2 / alg_nengines];
		const struct alg_engine *en = &alg_engines[n / 2 % alg_nengines];
		struct alg_case *c = &cases[0];
		uint8_t apart[ALG_ICV_MAX];

		if (!t->ah)
			continue;
		alg_case_make(c, t, 100, n % 2);
		memset(c->job.data + 12, 0, t->icv_len);
		memcpy(c->clear, c->job.data, c->job.len);
		memcpy(c->before, c->mem, sizeof(c->mem));
		alg_case_reference(c);
		c->job.icv = c->job.data + 12;
		memcpy(c->sealed + 12, c->icv, t->icv_len);
		batch_run(en, 1, true);
		alg_case_is_sealed(c);

		memcpy(apart, c->job.icv, t->icv_len);
		memset(c->job.icv, 0, t->icv_len);
		c->job.icv = apart;
		batch_run(en, 1, false);
		alg_case_is_open(c);
		assert_memory_equal(apart, c->icv, t->icv_len);
		apart[n % t->icv_len] ^= 1;
		batch_run(en, 1, false);
		alg_case_is_refused(c);
		assert_memory_equal(c->job.data, c->clear, c->job.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_length_is_as_openssl_says),
		cmocka_unit_test(random_lengths_are_as_openssl_says),
		cmocka_unit_test(any_number_of_jobs_is_as_openssl_says),
		cmocka_unit_test(spoilt_jobs_and_no_others_are_refused),
		cmocka_unit_test(the_icv_of_ah_may_be_anywhere),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
