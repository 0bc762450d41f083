/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mirror, before a model of the kernel's XFRM: what it takes, follows and gives back. */
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

static void test_takes_over_what_a_dump_names(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);

	oseq_set(out, 500);
	in->esn.seq = 77;
	in->bmp[2] = 1U << 12; /* (77 - 1) % 128 */
	in->info.curlft.packets = 9;
	policy_out(f);
	policy_add(f, XFRM_POLICY_IN, "10.1.2.0", "10.1.1.0", true);
	mirror_start(f);
	settle(f);
	assert_non_null(ours(f, out));
	assert_non_null(ours(f, in));
	assert_true(ours(f, out)->sa.life & XI_SA_FROM_KERNEL);
	assert_int_equal(ours(f, out)->sa.add_time, BORN);
	/* what the kernel may yet have sent is left out, and what is reserved is behind its counter
	 */
	assert_true(ours(f, out)->state->oseq > 500);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
	assert_true(oseq_of(out) > ours(f, out)->state->oseq + 1000);
	assert_int_equal(ours(f, in)->state->top, 77);
	assert_int_equal(ours(f, in)->state->packets, 9);
	assert_int_equal(in->esn.seq, 77);
	/* it is not to send with */
	assert_int_equal(ours(f, in)->state->oseq_limit, ours(f, in)->state->oseq);
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	assert_int_equal(f->fenced, 1);
	assert_int_equal(figures(f).policies, 2);
}

static void test_larval_sas_say_nothing(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *larval = sa_out(f, 0x1003);

	larval->larval = true;
	mirror_start_with_policy(f);
	assert_non_null(ours(f, out));
	assert_null(ours(f, larval));
	assert_int_equal(figures(f).sas_kept, 0);
}

static void test_lost_news_are_made_up_for(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002), *late;
	struct kernel_policy *fwd = policy_add(f, XFRM_POLICY_FWD, "10.1.2.0", "10.1.1.0", true);

	mirror_start_with_policy(f);
	assert_non_null(ours(f, out));
	assert_non_null(ours(f, in));
	late = sa_add_key(f, LOCAL, PEER, 0x1005, 1, 5, false);
	policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", false);
	sa_del(f, out, false);
	sa_del(f, in, false);
	fwd->used = false;
	settle(f);
	assert_non_null(ours(f, out));
	news_lost(f);
	settle(f);
	assert_null(ours(f, out));
	assert_null(ours(f, in));
	assert_int_equal(xi_spd_count(f->g.spd, XI_FWD), 0);
	assert_non_null(ours(f, late));
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT), 2);
	assert_int_equal(figures(f).lost, 1);
	assert_int_equal(figures(f).resyncs, 2);
}

/* xfrm_migrate() tells of no SA that comes or goes by it. */
static void test_migrate_is_followed(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct xi_nlmsg msg;

	mirror_start_with_policy(f);
	sa_del(f, out, false);
	out = sa_add_key(f, LOCAL, PEER, 0x1003, 1, 1, false);
	xi_nlmsg_begin(&msg, XFRM_MSG_MIGRATE, 0, 0, 0, sizeof(struct xfrm_userpolicy_id));
	kernel_tell(&f->g.k, &msg);
	settle(f);
	assert_int_equal(xi_sad_count(f->g.sad), 1);
	assert_non_null(ours(f, out));
}

/* To a question that was given up. */
static void test_late_answer_is_no_answer(void **state)
{
	const struct nlmsghdr old = {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = XFRM_MSG_GETSA};
	struct mirror_bed *f = *state;
	struct kernel_sa *out;

	mirror_start_with_policy(f);
	kernel_say_error(f->g.k.fds[1], &old, -ESRCH);
	out = sa_out(f, 0x1001);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(figures(f).resyncs, 1);
}

static void test_no_key_is_left_in_buffers(void **state)
{
	static const uint8_t zero[XI_MIRROR_DATAGRAM];
	struct mirror_bed *f = *state;

	sa_out(f, 0x1001);
	mirror_start_with_policy(f);
	sa_in(f, 0x1002);
	settle(f);
	assert_int_equal(xi_sad_count(f->g.sad), 2);
	assert_memory_equal(f->g.mirror->answer.buf, zero, sizeof(f->g.mirror->answer.buf));
	assert_memory_equal(f->g.mirror->datagram.buf, zero, sizeof(f->g.mirror->datagram.buf));
}

/* netlink_dump() fails for want of memory: in the midst of it, or at its end. */
static void test_dump_that_breaks_off_is_begun_again(void **state)
{
	static uint8_t big[XI_MIRROR_DATAGRAM + 4];
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	policy_out(f);
	f->g.k.dump_error = ENOMEM;
	mirror_start(f);
	settle(f);
	assert_int_equal(figures(f).resyncs, 2);
	assert_non_null(ours(f, out));
	f->g.mirror->dump = XI_MIRROR_DUMP_SAS; /* and it says no more */
	pthread_mutex_lock(&f->g.k.lock);
	assert_int_equal(send(f->g.k.fds[2], big, sizeof(big), 0), sizeof(big));
	pthread_mutex_unlock(&f->g.k.lock);
	turns_until(f, &f->g.mirror->figures.resyncs, 3);
	settle(f);
	assert_non_null(ours(f, out));
}

/* netlink(7): anybody with CAP_NET_ADMIN may write to the socket; nl_pid 0 is the kernel. */
static void test_messages_of_other_processes_do_not_count(void **state)
{
	struct xi_mirror *m = calloc(1, sizeof(*m));
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK};
	socklen_t len = sizeof(addr);
	int ours = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);
	int theirs = socket(AF_NETLINK, SOCK_RAW, NETLINK_USERSOCK);

	assert_true(ours >= 0 && theirs >= 0);
	assert_int_equal(bind(ours, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(ours, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(
		sendto(theirs, "0123456789abcdef", 16, 0, (struct sockaddr *)&addr, sizeof(addr)),
		16);
	assert_int_equal(unread(ours), 1);
	assert_int_equal(xi_mirror_read(m, ours), 0);
	assert_int_equal(unread(ours), 0);
	close(ours);
	close(theirs);
	free(m);
}

/* Same id, another key, and nobody told. */
static void test_another_sa_with_the_same_id(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	mirror_start_with_policy(f);
	sa_del(f, out, false);
	out = sa_add_key(f, LOCAL, PEER, 0x1001, 1, 99, false);
	news_lost(f);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(ours(f, out)->key.key[0], 99);
}

static void test_deleted_while_it_is_taken_over(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	policy_out(f);
	f->g.k.vanish = true;
	mirror_start(f);
	settle(f);
	assert_null(ours(f, out));
	assert_int_equal(figures(f).sas + figures(f).sas_kept + figures(f).sas_idle, 0);
}

static void test_hard_expire_without_delsa(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct xfrm_user_expire *e;
	struct xi_nlmsg msg;

	mirror_start_with_policy(f);
	sa_del(f, out, false);
	e = xi_nlmsg_begin(&msg, XFRM_MSG_EXPIRE, 0, 0, 0, sizeof(*e));
	e->state = out->info;
	e->hard = 1;
	kernel_tell(&f->g.k, &msg);
	settle(f);
	assert_null(ours(f, out));
}

static void test_flush(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct kernel_policy *p = policy_out(f);
	struct xi_nlmsg msg;

	mirror_start(f);
	settle(f);
	sa_del(f, out, false);
	xi_nlmsg_begin(&msg, XFRM_MSG_FLUSHSA, 0, 0, 0, sizeof(struct xfrm_usersa_flush));
	kernel_tell(&f->g.k, &msg);
	settle(f);
	assert_int_equal(xi_sad_count(f->g.sad), 0);
	p->used = false;
	xi_nlmsg_begin(&msg, XFRM_MSG_FLUSHPOLICY, 0, 0, 0, 0);
	kernel_tell(&f->g.k, &msg);
	settle(f);
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT), 0);
}

static void test_what_xipsec_was_given_wins(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out, *other;
	struct xi_sa sa = sample_sa(LOCAL, PEER, 0x1001);
	struct xi_sa_key key = sample_key(7);
	const char *why;

	assert_int_equal(xi_sad_add(f->g.sad, &sa, &key, NULL, &why), 0);
	out = sa_out(f, 0x1001);
	other = sa_out(f, 0x1003);
	mirror_start_with_policy(f);
	assert_int_equal(ours(f, out)->sa.life, 0);
	assert_int_equal(oseq_of(out), 0);
	assert_non_null(ours(f, other));
	sa.id.spi = 0x1003;
	key = sample_key(8);
	assert_int_equal(xi_sad_add(f->g.sad, &sa, &key, NULL, &why), 0);
	settle(f);
	assert_int_equal(ours(f, other)->sa.life, 0);
	assert_memory_equal(&ours(f, other)->key, &key, sizeof(key));
	sa_del(f, out, true);
	settle(f);
	assert_non_null(ours(f, out)); /* it is not the kernel's */
}

static void test_another_daemon_carries_on(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t oseq, given;

	mirror_start_with_policy(f);
	oseq = ++ours(f, out)->state->oseq;
	given = oseq_of(out);
	ground_mirror_stop(&f->g);
	assert_non_null(ours(f, out));
	mirror_start(f);
	settle(f);
	assert_int_equal(figures(f).given, 0);
	assert_int_equal(ours(f, out)->state->oseq, oseq);
	assert_int_equal(oseq_of(out), given);
	ground_mirror_stop(&f->g);
	/* and one without a mirror leaves it to the kernel */
	assert_int_equal(xi_mirror_forget(f->g.sad, f->g.spd), 2);
	assert_int_equal(xi_sad_count(f->g.sad) + xi_spd_count(f->g.spd, XI_OUT), 0);
}

static void test_all_is_given_back(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);
	uint64_t last;

	f->strict = true;
	policy_out(f);
	policy_add(f, XFRM_POLICY_IN, "10.1.2.0", "10.1.1.0", true);
	mirror_start(f);
	settle(f);
	assert_non_null(ours(f, in));
	last = ++ours(f, out)->state->oseq;
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	xi_mirror_leave(f->g.mirror);
	event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(xi_sad_count(f->g.sad), 0);
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT) + xi_spd_count(f->g.spd, XI_IN), 0);
	assert_true(oseq_of(out) >= last);
	assert_int_equal(in->esn.seq, 33);
	assert_int_equal(in->bmp[1], 1);
	assert_int_equal(in->info.curlft.packets, 7);
	assert_int_equal(f->fenced, 0);
	/* no packet came in by a tunnel that no policy wanted */
	assert_int_equal(f->early, 0);
	assert_int_equal(f->late, 0);
}

static bool any_waits(const struct mirror_bed *f)
{
	return !TAILQ_EMPTY(&f->g.mirror->retry.sas);
}

/* The table is full (of 64): what is refused has its turn when something goes. */
static void test_refusal_of_a_full_table_passes(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in[60], *last[4], *more[4];
	unsigned int i, have = 0;

	mirror_start(f);
	for (i = 0; i < 60; i++)
		in[i] = sa_in(f, 0x2000 + i);
	settle(f);
	/* those in the SAD by another way; they are not of the kernel */
	for (i = 0; i < 4; i++) {
		struct xi_sa sa = sample_sa(PEER, LOCAL, 0x3000 + i);
		struct xi_sa_key key = sample_key(100 + i);
		const char *why;

		sa.reqid = 7;
		if (xi_sad_add(f->g.sad, &sa, &key, NULL, &why))
			break;
	}
	assert_int_equal(xi_sad_count(f->g.sad), xi_sad_capacity(f->g.sad));
	for (i = 0; i < 4; i++)
		last[i] = sa_add_key(f, PEER, LOCAL, 0x4000 + i, 9, (uint8_t)(200 + i), true);
	settle(f);
	assert_true(any_waits(f));
	for (i = 0; i < 4; i++)
		assert_null(ours(f, last[i]));
	/* while it is full nobody tries, so nothing moves */
	retries(f, 3);
	assert_int_equal(f->g.mirror->retry.after, 1);
	assert_true(any_waits(f));
	for (i = 0; i < 4; i++)
		sa_del(f, in[i], true);
	settle(f);
	assert_true(f->g.mirror->retry.at <= now_ms() / 1000 + 1);
	retries(f, 2);
	for (i = 0; i < 4; i++)
		have += !!ours(f, last[i]);
	assert_int_equal(have, 4);
	assert_false(any_waits(f));
	/* one that is gone does not wait any more */
	for (i = 0; i < 2; i++)
		more[i] = sa_add_key(f, PEER, LOCAL, 0x5000 + i, 9, (uint8_t)(210 + i), true);
	settle(f);
	assert_true(any_waits(f));
	for (i = 0; i < 2; i++)
		sa_del(f, more[i], true);
	settle(f);
	assert_false(any_waits(f));
}

static void test_tries_that_fail_come_ever_more_seldom(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in, *large, *other = sa_add_key(f, PEER, LOCAL, 0x1004, 9, 4, true);
	uint32_t after = 1;

	mirror_start(f);
	settle(f);
	assert_non_null(ours(f, other));
	mem_store_fail(f->g.store, 1, 100000); /* no write goes well */
	in = sa_in(f, 0x1002);
	settle(f);
	assert_null(ours(f, in));
	assert_int_equal(f->g.mirror->retry.after, 1);
	for (unsigned int i = 0; i < 12; i++) {
		retries(f, 1);
		assert_null(ours(f, in));
		after = after < 512 ? after * 2 : 512;
		assert_int_equal(f->g.mirror->retry.after, after);
	}
	assert_true(f->g.mirror->retry.at > now_ms() / 1000 + 250);
	/* on its own it waits for that */
	xi_mirror_retry_tick(f->g.mirror);
	assert_true(any_waits(f));
	/* unless something goes */
	mem_store_fail(f->g.store, 0, 0);
	sa_del(f, other, true);
	settle(f);
	assert_true(f->g.mirror->retry.at <= now_ms() / 1000 + 1);
	assert_int_equal(f->g.mirror->retry.after, 1);
	retries(f, 1);
	assert_non_null(ours(f, in));
	assert_false(any_waits(f));
	/* what no later time will change is not tried again */
	large = sa_add_key(f, LOCAL, PEER, 0x1007, 1, 7, false);
	large->info.flags |= XFRM_STATE_WILDRECV;
	sa_news(f, large, XFRM_MSG_NEWSA);
	policy_out(f);
	settle(f);
	assert_null(ours(f, large));
	assert_false(any_waits(f));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, mirror_setup, mirror_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_takes_over_what_a_dump_names),
		TEST(test_larval_sas_say_nothing),
		TEST(test_lost_news_are_made_up_for),
		TEST(test_migrate_is_followed),
		TEST(test_late_answer_is_no_answer),
		TEST(test_no_key_is_left_in_buffers),
		TEST(test_dump_that_breaks_off_is_begun_again),
		TEST(test_messages_of_other_processes_do_not_count),
		TEST(test_another_sa_with_the_same_id),
		TEST(test_deleted_while_it_is_taken_over),
		TEST(test_hard_expire_without_delsa),
		TEST(test_flush),
		TEST(test_what_xipsec_was_given_wins),
		TEST(test_another_daemon_carries_on),
		TEST(test_all_is_given_back),
		TEST(test_refusal_of_a_full_table_passes),
		TEST(test_tries_that_fail_come_ever_more_seldom),
	};

	return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
