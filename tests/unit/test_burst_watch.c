/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When burst transmit is set aside, and when it comes back. Times and figures are the header's own promises. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/burst_watch.h"

#define MS 1000000ULL

static enum xi_burst_verdict call(struct xi_burst_watch *watch, uint64_t now_ms, uint64_t ns)
{
	const struct xi_burst_call c = { .packets = 100, .ns = ns, .waited = true };

	return xi_burst_watch_call(watch, now_ms, &c);
}

static enum xi_burst_verdict failed(struct xi_burst_watch *watch, uint64_t now_ms, int err)
{
	const struct xi_burst_call c = { .packets = 100, .ns = 1, .err = err };

	return xi_burst_watch_call(watch, now_ms, &c);
}

static void few_packets_go_by_af_xdp(void **state)
{
	const struct xi_burst_watch watch = { 0 };

	assert_false(xi_burst_watch_open(&watch, 5000, 1));
	assert_false(xi_burst_watch_open(&watch, 5000, 19));
	assert_true(xi_burst_watch_open(&watch, 5000, 20));
}

/* Until what was sent before has left the queues on its way. */
static void small_batches_after_a_big_one_follow_it(void **state)
{
	struct xi_burst_watch watch = { 0 };
	struct xi_burst_call c = { .packets = 64, .ns = 1 };
	uint64_t now;

	xi_burst_watch_call(&watch, 5000, &c);
	c.packets = 1;
	for (now = 5000; now < 5000 + XI_BURST_HOLD_MS; now++) {
		assert_true(xi_burst_watch_open(&watch, now, 1));
		xi_burst_watch_call(&watch, now, &c);
	}
	assert_false(xi_burst_watch_open(&watch, now, 1));
}

static void one_slow_call_is_forgiven_and_two_are_not(void **state)
{
	struct xi_burst_watch watch = { 0 };

	assert_int_equal(call(&watch, 5000, 2 * MS), XI_BURST_WAS_SLOW);
	assert_true(xi_burst_watch_open(&watch, 5001, 64));
	/* another, long after */
	assert_int_equal(call(&watch, 7000, 2 * MS), XI_BURST_WAS_SLOW);
	assert_int_equal(call(&watch, 7010, MS / 10), XI_BURST_FINE);
	assert_int_equal(call(&watch, 7020, 2 * MS), XI_BURST_SET_ASIDE);
	assert_false(xi_burst_watch_open(&watch, 7021, 64));
	assert_int_equal(watch.pauses, 1);
}

/* It was preempted, or its receivers took long: AF_XDP would not have been faster. */
static void a_call_that_never_waited_was_not_slow(void **state)
{
	struct xi_burst_watch watch = { 0 };
	const struct xi_burst_call c = { .packets = 64, .ns = 8 * MS };

	for (int i = 0; i < 100; i++)
		assert_int_equal(xi_burst_watch_call(&watch, 5000 + i, &c), XI_BURST_FINE);
}

static void a_failed_call_sets_burst_aside_at_once(void **state)
{
	struct xi_burst_watch watch = { 0 };

	assert_int_equal(failed(&watch, 5000, -ENOSPC), XI_BURST_SET_ASIDE);
	assert_false(xi_burst_watch_open(&watch, 5000, 64));
	assert_false(xi_burst_watch_open(&watch, 5000 + XI_BURST_PAUSE_MS - 1, 64));
	assert_true(xi_burst_watch_open(&watch, 5000 + XI_BURST_PAUSE_MS, 64));
}

static void an_interrupted_call_is_no_failure(void **state)
{
	struct xi_burst_watch watch = { 0 };

	assert_int_equal(failed(&watch, 5000, -EINTR), XI_BURST_FINE);
}

static void pauses_double_while_trouble_comes_back(void **state)
{
	struct xi_burst_watch watch = { 0 };
	uint64_t now = 5000, length, last = 0;

	for (int i = 0; i < 12; i++) {
		assert_int_equal(failed(&watch, now, -ENOSPC), XI_BURST_SET_ASIDE);
		length = watch.until_ms - now;
		assert_int_equal(length, last && last * 2 < XI_BURST_PAUSE_MAX_MS ? last * 2 :
					 last ? XI_BURST_PAUSE_MAX_MS : XI_BURST_PAUSE_MS);
		last = length;
		now = watch.until_ms;
	}
	assert_int_equal(last, XI_BURST_PAUSE_MAX_MS);
}

static void after_a_calm_time_a_pause_is_short_again(void **state)
{
	struct xi_burst_watch watch = { 0 };
	uint64_t now;

	failed(&watch, 5000, -ENOSPC);
	failed(&watch, watch.until_ms, -ENOSPC);
	now = watch.until_ms + watch.pause_ms + XI_BURST_SLOW_WINDOW_MS + 1;
	failed(&watch, now, -ENOSPC);
	assert_int_equal(watch.until_ms - now, XI_BURST_PAUSE_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_packets_go_by_af_xdp),
		cmocka_unit_test(small_batches_after_a_big_one_follow_it),
		cmocka_unit_test(one_slow_call_is_forgiven_and_two_are_not),
		cmocka_unit_test(a_call_that_never_waited_was_not_slow),
		cmocka_unit_test(a_failed_call_sets_burst_aside_at_once),
		cmocka_unit_test(an_interrupted_call_is_no_failure),
		cmocka_unit_test(pauses_double_while_trouble_comes_back),
		cmocka_unit_test(after_a_calm_time_a_pause_is_short_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
