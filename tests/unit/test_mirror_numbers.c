/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sequence numbers between kernel and mirror: each once, and ascending. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "mirror_bed.h"

/* Somebody made it anew, or set it: no number that was reserved for us is the kernel's then. */
static void test_counter_of_the_kernel_that_went_back(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	mirror_start_with_policy(f);
	limit = ours(f, out)->state->oseq_limit;
	oseq_set(out, 5);
	sa_news(f, out, XFRM_MSG_UPDSA);
	settle(f);
	assert_true(ours(f, out)->state->oseq >= limit);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
}

/* The kernel sends between the look at its counter and the reservation, and that takes a while. */
static void test_numbers_sent_meanwhile_are_not_used(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	oseq_set(out, 1000);
	policy_out(f);
	f->g.k.sends = 200000; /* more than the gap of a quick one */
	f->g.k.delay_us = 12000;
	mirror_start(f);
	settle(f);
	assert_int_equal(f->g.k.sent_first, 1001);
	assert_true(ours(f, out)->state->oseq >= f->g.k.sent_last);
	assert_int_equal(oseq_of(out), ours(f, out)->state->oseq_limit);
}

/* And once more while they are reserved again, above what was reserved first. */
static void sends_again(void *arg)
{
	struct mirror_bed *f = arg;

	if (f->g.k.aes == 1 && !f->g.k.sends)
		f->g.k.sends = 7;
}

static void test_numbers_sent_between_two_reservations_are_not_used(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	policy_out(f);
	f->g.k.sends = 1;
	f->g.k.delay_us = 12000;
	f->g.k.meanwhile = sends_again;
	f->g.k.meanwhile_arg = f;
	mirror_start(f);
	settle(f);
	assert_int_equal(f->g.k.sends, 0);
	assert_true(f->g.k.sent_last > XI_MIRROR_BLOCK);
	assert_true(ours(f, out)->state->oseq >= f->g.k.sent_last);
	assert_int_equal(oseq_of(out), ours(f, out)->state->oseq_limit);
}

static void test_stray_packets_of_the_kernel(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t kernel;

	mirror_start_with_policy(f);
	for (int i = 0; i < 4; i++) {
		assert_non_null(ours(f, out));
		oseq_set(out, oseq_of(out) + 100);
		kernel = oseq_of(out);
		ours(f, out)->state->packets++;
		f->g.mirror->sas->told_at -= 5;
		xi_mirror_usage_tick(f->g.mirror);
		settle(f);
		if (i < 3)
			assert_true(ours(f, out)->state->oseq >= kernel);
	}
	assert_int_equal(figures(f).strays, 4);
	/* then it has it for good */
	news_lost(f);
	settle(f);
	assert_null(ours(f, out));
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_true(oseq_of(out) >= kernel);
}

static void test_numbers_are_reserved_ahead(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	mirror_start_with_policy(f);
	limit = ours(f, out)->state->oseq_limit;
	ours(f, out)->state->oseq = limit - 10;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	assert_int_equal(ours(f, out)->state->oseq, limit - 10); /* and none is left out */
	assert_true(ours(f, out)->state->oseq_limit > limit + 1000000);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
}

/* RFC 4303 section 2.2.1: 64 bits, in two halves. */
static void test_numbers_go_on_behind_32_bits(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct xi_sa_id id = id_of(out);
	uint64_t limit;

	oseq_set(out, UINT32_MAX - 1000);
	mirror_start_with_policy(f);
	limit = ours(f, out)->state->oseq_limit;
	assert_true(limit > (1ULL << 32) + 1000000);
	assert_int_equal(oseq_of(out), limit);
	assert_true(ours(f, out)->state->oseq > UINT32_MAX - 1000);
	/* what was reserved once is never less */
	assert_int_equal(xi_sad_set_limit(f->g.sad, &id, 0, UINT32_MAX), 0);
	assert_int_equal(ours(f, out)->state->oseq_limit, limit);
}

/*
 * The kernel sends while its counter is moved on, say for packets of the host that do not pass a
 * port: its numbers are among those that would be ours.
 */
static void test_numbers_sent_while_more_are_reserved(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	mirror_start_with_policy(f);
	limit = ours(f, out)->state->oseq_limit;
	ours(f, out)->state->oseq = limit - 10;
	f->g.k.sends = 3;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	assert_int_equal(f->g.k.sent_first, limit + 1);
	assert_true(ours(f, out)->state->oseq >= f->g.k.sent_last);
	assert_true(ours(f, out)->state->oseq < ours(f, out)->state->oseq_limit);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
	assert_int_equal(figures(f).strays, 1);
}

/* The same after that, and before the kernel is asked whether it did. */
static void sends_behind(void *arg)
{
	struct mirror_bed *f = arg;
	struct kernel_sa *out = f->g.k.sas;

	if (!f->sent_kernel || f->g.k.aes != f->sent_kernel)
		return;
	f->sent_kernel = 0;
	oseq_set(out, oseq_of(out) + 300000);
	out->info.curlft.packets += 300000;
	f->g.k.sent_last = oseq_of(out);
}

static void test_numbers_sent_after_more_are_reserved(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	mirror_start_with_policy(f);
	limit = ours(f, out)->state->oseq_limit;
	ours(f, out)->state->oseq = limit - 10;
	f->sent_kernel = f->g.k.aes + 1;
	f->g.k.meanwhile = sends_behind;
	f->g.k.meanwhile_arg = f;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	assert_true(f->g.k.sent_last > limit);
	assert_true(ours(f, out)->state->oseq >= f->g.k.sent_last);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
	assert_int_equal(figures(f).strays, 1);
}

/* RFC 4303 section 3.3.3: without ESN, nothing behind 2^32 - 1. */
static void test_numbers_end(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	out->info.flags = 0;
	out->info.replay_window = 32;
	out->legacy = true;
	oseq_set(out, UINT32_MAX - (1 << 17));
	mirror_start_with_policy(f);
	assert_int_equal(ours(f, out)->state->oseq_limit, UINT32_MAX);
	assert_int_equal(oseq_of(out), UINT32_MAX);
	assert_true(ours(f, out)->state->oseq > UINT32_MAX - (1 << 17));
}

/* Whoever has the SA sends; what it puts on the wire must ascend, whatever happens. */
static void send_some(struct mirror_bed *f, struct kernel_sa *sa)
{
	const struct xi_sa_rec *rec;
	uint64_t n;

	if (!sa->used)
		return;
	rec = ours(f, sa);
	if (verdict(f) == XI_VERDICT_PROTECT && rec) {
		assert_true(rec->state->oseq < rec->state->oseq_limit);
		n = ++rec->state->oseq;
	} else if (verdict(f) == XI_VERDICT_KERNEL || !xi_spd_count(f->g.spd, XI_OUT)) {
		pthread_mutex_lock(&f->g.k.lock);
		n = oseq_of(sa) + 1;
		oseq_set(sa, n);
		pthread_mutex_unlock(&f->g.k.lock);
	} else {
		return; /* held, or dropped */
	}
	assert_true(n > sa->sent);
	*(rec && verdict(f) == XI_VERDICT_PROTECT ? &f->sent_ours : &f->sent_kernel) += 1;
	sa->sent = n;
}

static void test_numbers_ascend_whatever_happens(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *sas[3] = {NULL}, *other = NULL;
	struct kernel_policy *p = NULL;
	uint32_t spi = 0x2000;

	srand(20240229);
	mirror_start(f);
	for (int step = 0; step < 600; step++) {
		int i = rand() % 3;

		switch (rand() % 8) {
		case 0:
			if (sas[i])
				sa_del(f, sas[i], true);
			sas[i] = sa_out(f, spi++);
			break;
		case 1:
			if (sas[i])
				sa_del(f, sas[i], rand() % 2);
			sas[i] = NULL;
			break;
		case 2:
			if (p)
				policy_del(f, p);
			p = p ? NULL : policy_out(f);
			break;
		case 3:
			if (other)
				sa_del(f, other, true);
			other = other ? NULL : sa_out(f, spi++);
			if (other)
				other->device = 3;
			break;
		case 4:
			if (rand() % 8 == 0) {
				ground_mirror_stop(&f->g);
				mirror_start(f);
			}
			break;
		default:
			break;
		}
		/* in the midst of it, too */
		for (int n = rand() % 4; n > 0; n--)
			event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (rand() % 4 == 0)
			settle(f);
		for (i = 0; i < 3; i++)
			if (sas[i])
				send_some(f, sas[i]);
	}
	settle(f);
	assert_true(f->sent_ours > 50 && f->sent_kernel > 50);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, mirror_setup, mirror_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_counter_of_the_kernel_that_went_back),
		TEST(test_numbers_sent_meanwhile_are_not_used),
		TEST(test_numbers_sent_between_two_reservations_are_not_used),
		TEST(test_stray_packets_of_the_kernel),
		TEST(test_numbers_are_reserved_ahead),
		TEST(test_numbers_go_on_behind_32_bits),
		TEST(test_numbers_sent_while_more_are_reserved),
		TEST(test_numbers_sent_after_more_are_reserved),
		TEST(test_numbers_end),
		TEST(test_numbers_ascend_whatever_happens),
	};

	return cmocka_run_group_tests_name("mirror numbers", tests, NULL, NULL);
}
