/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records of workers: nothing is lost while there is room, one wake-up serves many, repeats stay
 * away.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#include <xipsec/abi.h>
#include "dataplane/mailbox.h"

#define WORKERS 3
#define ROUNDS 20000

static void push(struct xi_mailbox *box, unsigned int worker, uint64_t number)
{
	struct xi_addr addr = {.family = XI_IPV6};

	memcpy(addr.addr, &number, sizeof(number));
	xi_mailbox_push(box, worker, number, &addr);
}

static bool readable(const struct xi_mailbox *box, int ms)
{
	struct pollfd p = {.fd = xi_mailbox_fd(box), .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static unsigned int drain(struct xi_mailbox *box)
{
	struct xi_addr addr;
	unsigned int n = 0;

	while (xi_mailbox_pop(box, &addr))
		n++;
	return n;
}

static void one_wake_up_serves_many(void **state)
{
	struct xi_mailbox *box;
	eventfd_t writes;

	assert_int_equal(xi_mailbox_create(&box, WORKERS, sizeof(struct xi_addr)), 0);
	assert_false(readable(box, 0));
	for (uint64_t i = 1; i <= 30; i++)
		push(box, i % WORKERS, i);
	assert_int_equal(eventfd_read(xi_mailbox_fd(box), &writes), 0);
	assert_int_equal(writes, 1);
	xi_mailbox_ack(box);
	assert_int_equal(drain(box), 30);
	assert_false(readable(box, 0));
	push(box, 0, 31);
	assert_true(readable(box, 0));
	xi_mailbox_destroy(box);
}

static void repeats_wait_for_renewal(void **state)
{
	struct xi_mailbox *box;

	assert_int_equal(xi_mailbox_create(&box, 1, sizeof(struct xi_addr)), 0);
	push(box, 0, 5);
	push(box, 0, 5);
	assert_int_equal(drain(box), 1);
	push(box, 0, 5);
	assert_int_equal(drain(box), 0);
	xi_mailbox_renew(box);
	push(box, 0, 5);
	assert_int_equal(drain(box), 1);
	xi_mailbox_destroy(box);
}

static void full_ring_refuses_and_remembers_nothing(void **state)
{
	struct xi_mailbox *box;
	unsigned int held;

	assert_int_equal(xi_mailbox_create(&box, 2, sizeof(struct xi_addr)), 0);
	for (uint64_t i = 1; i <= 1000; i++)
		push(box, 0, i);
	push(box, 1, 1);
	held = drain(box);
	assert_in_range(held, 2, 999);
	/* The last one was refused, so it is no repeat. */
	push(box, 0, 1000);
	assert_int_equal(drain(box), 1);
	xi_mailbox_destroy(box);
}

struct worker {
	struct xi_mailbox *box;
	unsigned int number;
	atomic_uint served;
};

/* Asks only after the last answer: a lost wake-up leaves everybody waiting. */
static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		push(w->box, w->number, (uint64_t)(i + 1) * WORKERS + w->number);
		while (atomic_load(&w->served) <= i)
			sched_yield();
	}
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	struct worker workers[WORKERS] = {0};
	pthread_t threads[WORKERS];
	struct xi_mailbox *box;
	unsigned int total = 0;
	struct xi_addr addr;

	assert_int_equal(xi_mailbox_create(&box, WORKERS, sizeof(struct xi_addr)), 0);
	for (unsigned int i = 0; i < WORKERS; i++) {
		workers[i].box = box;
		workers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	while (total < WORKERS * ROUNDS) {
		assert_true(readable(box, 10000));
		xi_mailbox_ack(box);
		while (xi_mailbox_pop(box, &addr)) {
			uint64_t number;
			struct worker *w;

			memcpy(&number, addr.addr, sizeof(number));
			w = &workers[number % WORKERS];
			assert_int_equal(number / WORKERS, atomic_load(&w->served) + 1);
			atomic_fetch_add(&w->served, 1);
			total++;
		}
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	xi_mailbox_destroy(box);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_wake_up_serves_many),
		cmocka_unit_test(repeats_wait_for_renewal),
		cmocka_unit_test(full_ring_refuses_and_remembers_nothing),
		cmocka_unit_test(no_wake_up_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
