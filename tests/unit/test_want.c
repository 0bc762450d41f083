/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The ring of wanted SAs: order, bounds, one wake-up for a run. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

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

#define ROUNDS 2000
#define RUN 300                  /* long enough for the reader to catch up with the posts */

struct reader {
	struct xi_want want;
	int fd;
};

/* As the control thread: sleeps until it is woken, then takes what is there. SA index 0 ends it. */
static void *reader_main(void *arg)
{
	struct reader *reader = arg;
	uint32_t sa_index = 1;
	eventfd_t value;

	while (sa_index) {
		eventfd_read(reader->fd, &value);
		while (sa_index && xi_want_take(&reader->want, &sa_index))
			;
	}
	return NULL;
}

static void post(struct reader *reader, uint32_t sa_index)
{
	if (xi_want_post(&reader->want, sa_index))
		eventfd_write(reader->fd, 1);
}

/* False: the reader sleeps though the ring is not empty. */
static bool drained(struct reader *reader)
{
	time_t end = time(NULL) + 5;
	uint32_t i;

	for (i = 1; atomic_load(&reader->want.tail) != atomic_load(&reader->want.head); i++)
		if (i % 1000000 == 0 && time(NULL) > end)
			return false;
	return true;
}

static void test_no_wake_up_is_lost(void **state)
{
	static struct reader reader;
	uint32_t round, i;
	pthread_t thread;
	bool stuck = false;

	reader.fd = eventfd(0, EFD_CLOEXEC);
	assert_true(reader.fd >= 0);
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &reader), 0);
	for (round = 1; round <= ROUNDS && !stuck; round++) {
		for (i = 1; i <= RUN; i++)
			post(&reader, i);
		stuck = !drained(&reader);
	}
	xi_want_post(&reader.want, 0);
	eventfd_write(reader.fd, 1);
	pthread_join(thread, NULL);
	close(reader.fd);
	assert_false(stuck);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_post_wakes_and_the_rest_do_not),
		cmocka_unit_test(test_full_ring_ignores_posts_and_keeps_order),
		cmocka_unit_test(test_no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
