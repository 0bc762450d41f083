/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring of wanted SAs: order, bounds, one wake-up for a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cache/want.h"

static void test_first_post_wakes_and_the_rest_do_not(void **state)
{
	static struct xi_want want;
	uint32_t sa_index;

	assert_false(xi_want_take(&want, &sa_index));
	assert_true(xi_want_post(&want, 7));
	assert_false(xi_want_post(&want, 8));
	assert_false(xi_want_post(&want, 8)); /* a run of one SA is posted once */
	assert_true(xi_want_take(&want, &sa_index));
	assert_int_equal(sa_index, 7);
	assert_true(xi_want_take(&want, &sa_index));
	assert_int_equal(sa_index, 8);
	assert_false(xi_want_take(&want, &sa_index));
	assert_true(xi_want_post(&want, 8)); /* wanted again after it was taken */
}

static void test_full_ring_ignores_posts_and_keeps_order(void **state)
{
	static struct xi_want want;
	uint32_t i, sa_index;

	for (i = 0; i < 2 * XI_WANT_RING; i++)
		xi_want_post(&want, i + 1);
	for (i = 0; i < XI_WANT_RING; i++) {
		assert_true(xi_want_take(&want, &sa_index));
		assert_int_equal(sa_index, i + 1);
	}
	assert_false(xi_want_take(&want, &sa_index));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_post_wakes_and_the_rest_do_not),
		cmocka_unit_test(test_full_ring_ignores_posts_and_keeps_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
