/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The work of a step does not grow with the number of policies: cost, counted and not timed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "null_store.h"
#include "spd_model.h"

#define MANY 10000

struct bed {
	struct null_store *store;
	struct spd_model f;
};

static int setup_large(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct xi_sad_config config = {0};
	struct xi_sad_listener listener = { .changed = model_sa_changed, .sync = model_sas_sync, .arg = &bed->f };

	bed->store = null_store_new(MANY + 16);
	assert_int_equal(xi_sad_create(&bed->f.sad, &config, &bed->store->store), 0);
	xi_sad_listen(bed->f.sad, &listener);
	assert_int_equal(xi_spd_create(&bed->f.spd, bed->f.sad, &bed->store->store), 0);
	*state = bed;
	return 0;
}

static int teardown_large(void **state)
{
	struct bed *bed = *state;

	xi_spd_destroy(bed->f.spd);
	bed->f.spd = NULL;
	xi_sad_destroy(bed->f.sad);
	null_store_free(bed->store);
	free(bed);
	return 0;
}

static struct xi_selector exact_selector(uint32_t i)
{
	struct xi_selector sel = {.family = XI_IPV4, .prefixlen_s = 32, .prefixlen_d = 32};
	const uint8_t host[4] = {10, i >> 16, i >> 8, i};

	memcpy(sel.saddr, host, 4);
	memcpy(sel.daddr, host, 4);
	sel.daddr[0] = 11;
	return sel;
}

/* i-th of many tunnels to one gateway, of one reqid: selectors tell them apart. */
static struct xi_policy exact_policy(uint32_t i)
{
	struct xi_policy p = {.dir = XI_OUT, .ntmpls = 1, .sel = exact_selector(i)};
	struct xi_tmpl *t = &p.tmpls[0];

	t->id.proto = XI_ESP;
	t->mode = XI_TUNNEL;
	t->reqid = 1;
	t->family = t->id.family = sample_addr(t->saddr, LOCAL);
	sample_addr(t->id.daddr, "192.0.2.2");
	return p;
}

static struct xi_sa exact_sa(uint32_t i)
{
	struct xi_sa sa = sample_sa(LOCAL, "192.0.2.2", 0x1000 + i);

	sa.sel = exact_selector(i);
	sa.reqid = 1;
	return sa;
}

static void exact_policies_add(struct bed *bed, uint32_t from, uint32_t to)
{
	const char *why;
	uint32_t i;

	for (i = from; i < to; i++) {
		struct xi_policy p = exact_policy(i);

		assert_int_equal(xi_spd_add(bed->f.spd, &p, false, &why), 0);
	}
}

static void exact_sa_add(struct bed *bed, uint32_t i)
{
	struct xi_sa_key key = sample_key(1);
	struct xi_sa sa = exact_sa(i);
	const char *why;

	memcpy(key.key, &i, sizeof(i));
	assert_int_equal(xi_sad_add(bed->f.sad, &sa, &key, NULL, &why), 0);
}

static uint64_t indexed(const struct bed *bed)
{
	return bed->f.spd->sides[XI_OUT].indexed;
}

static const struct xi_spd_policy *exact_lookup(const struct bed *bed, uint32_t i)
{
	struct xi_selector sel = exact_selector(i);
	struct xi_flow fl = {.family = XI_IPV4, .proto = 6};

	memcpy(fl.saddr, sel.saddr, 16);
	memcpy(fl.daddr, sel.daddr, 16);
	return xi_spd_lookup(xi_spd_snapshot(bed->f.spd), XI_OUT, &fl);
}

/* One at a time: about the root of n is indexed for each that comes, nothing for one that goes. */
static void policies_come_and_go_without_the_others(void **state)
{
	struct bed *bed = *state;
	uint64_t before;
	uint32_t i;

	exact_policies_add(bed, 0, MANY);
	assert_true(indexed(bed) < (uint64_t)MANY * 400);
	for (i = 0; i < MANY; i += 7)
		assert_int_equal(exact_lookup(bed, i)->policy.order, i);
	before = indexed(bed);
	for (i = 0; i < MANY / 2; i++) {
		struct xi_policy p = exact_policy(2 * i);

		assert_int_equal(xi_spd_delete(bed->f.spd, &p), 0);
		assert_null(exact_lookup(bed, 2 * i));
		assert_non_null(exact_lookup(bed, 2 * i + 1));
	}
	assert_true(indexed(bed) - before < 300 * MANY);
}

static void rounds_index_once(void **state)
{
	struct bed *bed = *state;
	uint32_t i;

	for (i = 0; i < MANY; i += MANY / 20) {
		xi_spd_hold(bed->f.spd);
		exact_policies_add(bed, i, i + MANY / 20);
		assert_int_equal(xi_spd_release(bed->f.spd), 0);
	}
	/* as many as there were by then, each time */
	assert_true(indexed(bed) <= (uint64_t)MANY * 21 / 2);
	assert_int_equal(exact_lookup(bed, MANY - 1)->policy.order, MANY - 1);
}

/*
 * Ten thousand policies and as many SAs, all of one gateway and reqid: an SA resolves its own
 * policy, and looks at no more SAs than a few.
 */
static void an_sa_concerns_its_own_policy(void **state)
{
	struct bed *bed = *state;
	const struct xi_spd *spd = bed->f.spd;
	uint64_t resolved, walked, written;
	unsigned int n;
	uint32_t i;

	exact_policies_add(bed, 0, MANY);
	for (i = 0; i < MANY; i++) {
		resolved = spd->resolved;
		walked = spd->walked;
		exact_sa_add(bed, i);
		assert_int_equal(spd->resolved - resolved, 1);
		assert_true(spd->walked - walked <= 70);
	}
	for (i = 0; i < MANY; i += 100)
		assert_int_equal(exact_lookup(bed, i)->nsas, 1);
	resolved = spd->resolved;
	assert_int_equal(xi_sad_flush(bed->f.sad, XI_PROTO_ANY, &n), 0);
	assert_int_equal(n, MANY);
	assert_int_equal(spd->resolved - resolved, MANY);
	for (i = 0; i < MANY; i += 100)
		assert_int_equal(exact_lookup(bed, i)->nsas, 0);
	written = bed->store->writes;
	assert_int_equal(xi_spd_flush(bed->f.spd, &n), 0);
	assert_int_equal(n, MANY);
	assert_true(bed->store->writes - written <= 2 * MANY + 8);
}

/* Many SAs for one policy in one round: it is resolved once. */
static void a_round_resolves_a_policy_once(void **state)
{
	struct bed *bed = *state;
	const struct xi_spd *spd = bed->f.spd;
	struct xi_policy p = exact_policy(0);
	const char *why;
	uint64_t resolved;
	uint32_t i;

	p.sel.prefixlen_s = p.sel.prefixlen_d = 8;
	assert_int_equal(xi_spd_add(bed->f.spd, &p, false, &why), 0);
	resolved = spd->resolved;
	xi_sad_hold(bed->f.sad);
	for (i = 0; i < 1000; i++)
		exact_sa_add(bed, i);
	assert_int_equal(spd->resolved, resolved);
	xi_sad_release(bed->f.sad);
	assert_int_equal(spd->resolved, resolved + 1);
	assert_int_equal(exact_lookup(bed, 3)->nsas, XI_POLICY_SAS);
}

#define L(fn) cmocka_unit_test_setup_teardown(fn, setup_large, teardown_large)

int main(void)
{
	const struct CMUnitTest tests[] = {
		L(policies_come_and_go_without_the_others),
		L(rounds_index_once),
		L(an_sa_concerns_its_own_policy),
		L(a_round_resolves_a_policy_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
