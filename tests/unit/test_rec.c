/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Records as workers find them: the runtime form of each SA, and where it lies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <linux/xfrm.h>

#include "ipsec/sa_ctx.h"
#include "mem_store.h"
#include "sad/sad_priv.h"

#define NSAS 4000 /* more than one chunk holds */

struct bed {
	struct mem_store *m;
	struct xi_sad *sad;
};

static int setup(void **state)
{
	struct xi_sad_config config = {0};
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->m = mem_store_new(NSAS, 0);
	if (xi_sad_create(&bed->sad, &config, &bed->m->store))
		return -1;
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	xi_sad_destroy(bed->sad);
	mem_store_free(bed->m);
	free(bed);
	return 0;
}

static struct xi_sa sa_of(uint32_t n)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + n);

	sa.encap = n % 2 ? XI_ENCAP_ESPINUDP : XI_ENCAP_NONE;
	sa.encap_sport = sa.encap_dport = n % 2 ? 4500 : 0;
	return sa;
}

static const struct xi_sa_rec *add(struct bed *bed, uint32_t n)
{
	struct xi_sa sa = sa_of(n);
	struct xi_sa_key key = sample_key(n);
	const char *why = NULL;

	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
	return xi_sad_find(bed->sad, &sa.id);
}

static void drop(struct bed *bed, uint32_t n)
{
	struct xi_sa sa = sa_of(n);

	assert_int_equal(xi_sad_delete(bed->sad, &sa.id), 0);
}

/* As if it were made for one packet. */
static void check_context(const struct bed *bed, const struct xi_sa_rec *rec)
{
	const struct xi_sa_ctx *ctx = xi_sad_context(bed->sad, rec->sa.sa_index);
	struct xi_sa_ctx want;

	assert_non_null(ctx);
	assert_int_equal((uintptr_t)ctx % 64, 0);
	assert_int_equal((uintptr_t)&rec->key % 64, 0);
	assert_ptr_equal(rec, xi_sad_rec(bed->sad, rec->sa.sa_index));
	assert_int_equal(xi_sa_ctx_init(&want, &rec->sa, &rec->key, rec->state, rec->words,
					rec->nwords),
			 0);
	assert_memory_equal(ctx, &want, sizeof(want));
	assert_null(ctx->key);
}

static void every_sa_has_its_runtime_form(void **state)
{
	struct bed *bed = *state;
	const struct xi_sa_rec *recs[NSAS];
	uint32_t i;

	for (i = 0; i < NSAS; i++)
		recs[i] = add(bed, i);
	for (i = 0; i < NSAS; i++)
		check_context(bed, recs[i]);
}

static void a_stale_index_finds_nothing(void **state)
{
	struct bed *bed = *state;
	uint32_t sa_index = add(bed, 1)->sa.sa_index;

	assert_non_null(xi_sad_context(bed->sad, sa_index));
	assert_null(xi_sad_context(bed->sad, sa_index + (1U << XI_SA_SLOT_BITS)));
	assert_null(xi_sad_context(bed->sad, 0));
	assert_null(xi_sad_context(bed->sad, XI_SA_INDEX(1, XI_SA_SLOT_MASK)));
	drop(bed, 1);
	assert_null(xi_sad_context(bed->sad, sa_index));
}

static void an_update_shows(void **state)
{
	struct bed *bed = *state;
	struct xi_sa sa = sa_of(1);
	struct xi_sa_key key = sample_key(1);
	const struct xi_sa_rec *rec = add(bed, 1);
	const char *why = NULL;

	sa.encap_dport = 45000;
	assert_int_equal(xi_sad_update(bed->sad, &sa, &key, NULL, &why), 0);
	rec = xi_sad_find(bed->sad, &sa.id);
	assert_int_equal(rec->sa.encap_dport, 45000);
	check_context(bed, rec);
}

static void larval_and_uncarried_sas_have_none(void **state)
{
	struct bed *bed = *state;
	struct xi_sa sa = sa_of(0);
	struct xi_sa_key key = sample_key(1);
	const struct xi_sa_rec *rec;
	const char *why = NULL;

	sa.key_bits = 0;
	assert_int_equal(xi_sad_alloc_spi(bed->sad, &sa, 0x2000, 0x2000, 30, &rec), 0);
	assert_null(xi_sad_context(bed->sad, rec->sa.sa_index));
	sa = sa_of(2);
	sa.icv_len = 10; /* which AES-GCM does not have; this SAD takes anything */
	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
	rec = xi_sad_find(bed->sad, &sa.id);
	assert_null(xi_sad_context(bed->sad, rec->sa.sa_index));
}

/* A key is gone with its SA; the memory is used again, and given back when there is more than enough. */
static void memory_is_wiped_reused_and_given_back(void **state)
{
	struct bed *bed = *state;
	struct xi_sa_key key = sample_key(0);
	const uint8_t *first;
	uint32_t i, chunks;

	first = (const uint8_t *)&add(bed, 0)->key;
	assert_memory_equal(first, &key, sizeof(key));
	drop(bed, 0);
	for (i = 0; i < sizeof(key); i++)
		assert_int_equal(first[i], 0);
	assert_ptr_equal(&add(bed, 0)->key, first);
	for (i = 1; i < NSAS; i++)
		add(bed, i);
	chunks = bed->sad->recs.nchunks;
	assert_in_range(chunks, 2, 3);
	for (i = 0; i < NSAS; i++)
		drop(bed, i);
	assert_int_equal(bed->sad->recs.nchunks, 1);
	for (i = 0; i < NSAS; i++)
		check_context(bed, add(bed, i));
	assert_int_equal(bed->sad->recs.nchunks, chunks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_sa_has_its_runtime_form, setup, teardown),
		cmocka_unit_test_setup_teardown(a_stale_index_finds_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(an_update_shows, setup, teardown),
		cmocka_unit_test_setup_teardown(larval_and_uncarried_sas_have_none, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_wiped_reused_and_given_back, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
