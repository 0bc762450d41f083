/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inbound SAs that change hands: when the kernel's window is final, and that it is shut then. */
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

enum kind { ESN, RING, LEGACY, KINDS };

static struct kernel_sa *in_of_kind(struct mirror_bed *f, enum kind kind)
{
	struct kernel_sa *in = sa_add_key(f, PEER, LOCAL, 0x2000 + kind, kind + 1, kind, false);

	if (kind != ESN)
		in->info.flags = 0;
	if (kind == LEGACY) {
		in->legacy = true;
		in->info.replay_window = 32;
		memset(&in->esn, 0, sizeof(in->esn));
	}
	return in;
}

/* A number that no sender is near, behind 2^31 in the upper half: or, without one, whatever comes. */
static bool refuses(struct mirror_bed *f, const struct kernel_sa *in)
{
	bool accepted = false;

	if (in->info.flags & XFRM_STATE_ESN)
		return in->esn.seq_hi >> 31;
	kernel_lock(&f->g.k);
	for (uint32_t seq = 1; seq && !accepted; seq = seq < 200 ? seq + 1 : seq * 2)
		accepted = kernel_receive(&f->g.k, &in->info.id.daddr, ntohl(in->info.id.spi), seq);
	accepted |= kernel_receive(&f->g.k, &in->info.id.daddr, ntohl(in->info.id.spi), UINT32_MAX);
	pthread_mutex_unlock(&f->g.k.lock);
	return !accepted;
}

static struct xi_mirror_sa *mirrored(const struct mirror_bed *f, const struct kernel_sa *ksa)
{
	struct xi_sa_id id = id_of(ksa);
	struct xi_mirror_sa *sa;

	HASH_FIND(hh, f->g.mirror->sas, &id, sizeof(id), sa);
	return sa;
}

/* From when on it is looked at again; by then XDP hands its packets to the workers. */
static uint64_t held_until(struct mirror_bed *f, const struct kernel_sa *in)
{
	const struct xi_mirror_sa *sa = NULL;
	uint64_t until = now_ms() + 10000;

	while (!sa || !sa->held || !sa->in_holds) {
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		sa = mirrored(f, in);
		assert_true(now_ms() < until);
	}
	assert_true(ours(f, in)->sa.life & XI_SA_LARVAL);
	return sa->quiet_at;
}

static void received_before(struct kernel_sa *in)
{
	in->info.curlft.packets = 9;
	in->esn.seq = 9;
	in->bmp[0] = 0x1ff;
}

/* Both could have a packet once more: what is left in the kernel's stack comes after the window was read. */
static void test_kernel_accepts_nothing_until_it_is_told(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in[KINDS];
	struct xi_mirror_sa *sa;

	mirror_start(f);
	for (int kind = 0; kind < KINDS; kind++) {
		in[kind] = in_of_kind(f, kind);
		assert_false(in[kind]->esn.seq_hi);
		sa_news(f, in[kind], XFRM_MSG_NEWSA);
	}
	settle(f);
	for (int kind = 0; kind < KINDS; kind++) {
		assert_non_null(ours(f, in[kind]));
		assert_int_equal(ours(f, in[kind])->state->top, 0);
		assert_true(refuses(f, in[kind]));
	}
	TAILQ_FOREACH(sa, &f->g.mirror->all_sas, all)
	sa->told_at -= 5;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	for (int kind = 0; kind < KINDS; kind++)
		assert_false(refuses(f, in[kind]));
}

/* Which it was nobody knows, so no number may count as new. */
static void test_number_accepted_while_the_window_was_shut(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in[KINDS];

	mirror_start(f);
	for (int kind = 0; kind < KINDS; kind++) {
		in[kind] = in_of_kind(f, kind);
		f->g.k.sends = 1; /* the model counts it as one that it received */
		sa_news(f, in[kind], XFRM_MSG_NEWSA);
		settle(f);
		assert_null(ours(f, in[kind]));
		assert_true(refuses(f, in[kind]));
		assert_int_equal(f->g.k.expires[0], kind + 1);
		assert_true(in[kind]->used);
	}
	/* looked at again it is what it was, and the key manager was told */
	news_lost(f);
	settle(f);
	for (int kind = 0; kind < KINDS; kind++)
		assert_null(ours(f, in[kind]));
	assert_int_equal(xi_sad_count(f->g.sad), 0);
}

/* A daemon that was killed in the midst left it so: what was received before nobody knows. */
static void test_window_that_is_found_shut(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in[KINDS];

	for (int kind = 0; kind < KINDS; kind++) {
		in[kind] = in_of_kind(f, kind);
		in[kind]->esn.seq = kind == ESN ? 9 : UINT32_MAX;
		in[kind]->esn.seq_hi = kind == ESN ? 1U << 31 | 5 : 0;
		memset(in[kind]->bmp, 0xff, sizeof(in[kind]->bmp));
	}
	mirror_start(f);
	settle(f);
	for (int kind = 0; kind < KINDS; kind++) {
		assert_null(ours(f, in[kind]));
		assert_true(refuses(f, in[kind]));
	}
	assert_int_equal(f->g.k.expires[0], KINDS);
	/* once, whatever it serves then */
	for (int kind = 0; kind < KINDS; kind++) {
		in[kind]->info.reqid += 10;
		sa_news(f, in[kind], XFRM_MSG_UPDSA);
	}
	settle(f);
	assert_int_equal(f->g.k.expires[0], KINDS);
	assert_int_equal(xi_sad_count(f->g.sad), 0);
}

/* Before the kernel says its count once more: the SAD can store nothing when it is its turn. */
static void fail_when_shut(void *arg)
{
	struct mirror_bed *f = arg;

	if (f->g.k.sas[0].esn.seq_hi >> 31 && !f->told_first) {
		f->told_first = true;
		mem_store_fail(f->g.store, 1, 1);
	}
}

static void test_window_opens_again_when_the_sa_is_not_taken(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = in_of_kind(f, ESN);

	received_before(in);
	f->g.k.meanwhile = fail_when_shut;
	f->g.k.meanwhile_arg = f;
	mirror_start(f);
	settle(f);
	assert_true(f->told_first);
	assert_null(ours(f, in));
	assert_int_equal(in->esn.seq_hi, 0);
	assert_int_equal(in->esn.seq, 9);
	assert_int_equal(in->bmp[0], 0x1ff);
	assert_int_equal(f->g.k.expires[0], 0);
	retries(f, 1);
	assert_int_equal(ours(f, in)->state->top, 9);
	assert_int_equal(ours(f, in)->state->packets, 9);
}

/* Queues of the stack may hold packets of an SA that was ever used, by its count or by its window. */
static void test_used_sas_are_held_for_longer(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *used, *told, *fresh;
	uint64_t now;

	mirror_start(f);
	settle(f);
	now = xi_mirror_now(f->g.mirror);
	used = sa_add_key(f, PEER, LOCAL, 0x1002, 1, 2, false);
	used->info.curlft.packets = 9;
	sa_news(f, used, XFRM_MSG_NEWSA);
	assert_true(held_until(f, used) >= now + 50000000);
	now = xi_mirror_now(f->g.mirror);
	told = sa_add_key(f, PEER, LOCAL, 0x1004, 2, 4, false);
	told->esn.seq = 9; /* its count was set back */
	sa_news(f, told, XFRM_MSG_NEWSA);
	assert_true(held_until(f, told) >= now + 50000000);
	fresh = sa_add_key(f, PEER, LOCAL, 0x1006, 3, 6, true);
	assert_true(held_until(f, fresh) < xi_mirror_now(f->g.mirror) + 2000000);
	settle(f);
	assert_non_null(ours(f, used));
	assert_non_null(ours(f, told));
	assert_non_null(ours(f, fresh));
}

/* The window of then is taken, not that of before. */
static void test_packets_that_come_while_it_is_held(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in;

	mirror_start(f);
	settle(f);
	in = sa_add_key(f, PEER, LOCAL, 0x1002, 1, 2, false);
	received_before(in);
	sa_news(f, in, XFRM_MSG_NEWSA);
	for (int i = 0; i < 3; i++) {
		held_until(f, in);
		kernel_lock(&f->g.k);
		in->info.curlft.packets++;
		in->esn.seq++;
		in->bmp[0] = in->bmp[0] << 1 | 1;
		pthread_mutex_unlock(&f->g.k.lock);
		f->g.mirror->clock_ahead += 60000000;
		event_base_loop(f->g.base, EVLOOP_ONCE);
	}
	settle(f);
	assert_int_equal(ours(f, in)->state->top, 12);
	assert_int_equal(ours(f, in)->state->packets, 12);
	assert_int_equal(figures(f).sas_kept, 0);
}

/* News of it are no reason to look at its window early. */
static void test_sa_that_is_held_stays_so_for_its_time(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in;

	mirror_start(f);
	settle(f);
	in = sa_add_key(f, PEER, LOCAL, 0x1002, 1, 2, false);
	received_before(in);
	sa_news(f, in, XFRM_MSG_NEWSA);
	held_until(f, in);
	f->g.mirror->clock_ahead -= 10000000000ULL; /* that long it takes */
	sa_news(f, in, XFRM_MSG_UPDSA);
	while (unread(f->g.mirror->news_fd) || !TAILQ_EMPTY(&f->g.mirror->dirty_sas))
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_true(ours(f, in)->sa.life & XI_SA_LARVAL);
	assert_int_equal(in->esn.seq_hi, 0);
	f->g.mirror->clock_ahead += 10000000000ULL;
	settle(f);
	assert_int_equal(ours(f, in)->state->top, 9);
}

/* No packet waits for an SA that will never be here. */
static void test_sa_that_goes_while_it_is_held(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in, *other;

	mirror_start(f);
	settle(f);
	in = sa_add_key(f, PEER, LOCAL, 0x1002, 1, 2, false);
	received_before(in);
	sa_news(f, in, XFRM_MSG_NEWSA);
	held_until(f, in);
	sa_del(f, in, true);
	settle(f);
	assert_null(ours(f, in));
	in = sa_add_key(f, PEER, LOCAL, 0x1004, 1, 4, false);
	received_before(in);
	sa_news(f, in, XFRM_MSG_NEWSA);
	held_until(f, in);
	other = sa_in(f, 0x1006);
	other->device = 3;
	settle(f);
	assert_null(ours(f, in));
	assert_int_equal(in->esn.seq, 9);
	assert_int_equal(in->esn.seq_hi, 0);
	assert_int_equal(figures(f).sas_kept, 2);
}

/* Made anew with the same id and another key: what is known of the one that went is not its. */
static void test_window_of_another_sa_is_not_shut(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002);

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	sa_del(f, in, false);
	in = sa_add_key(f, PEER, LOCAL, 0x1002, 1, 99, false);
	sa_news(f, in, XFRM_MSG_NEWSA);
	settle(f);
	assert_int_equal(ours(f, in)->key.key[0], 99);
	assert_int_equal(ours(f, in)->state->top, 0);
	assert_int_equal(ours(f, in)->state->packets, 0);
	assert_int_equal(f->g.k.expires[0], 0);
}

/* XDP does not know it any more. */
static void leaves(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct mirror_bed *f = arg;

	if (old && !new)
		f->told_first = f->g.k.sas[0].esn.seq_hi >> 31;
}

static void synced(void *arg)
{
}

/* An SA that is ours, and received: its like is not carried from now on. */
static struct kernel_sa *given_back(struct mirror_bed *f, int refuse_after, int refuse)
{
	struct kernel_sa *in = sa_in(f, 0x1002), *other;

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	xi_sad_listen(f->g.sad, &(struct xi_sad_listener){.changed = leaves, .sync = synced, .arg = f});
	kernel_lock(&f->g.k);
	f->g.k.refuse_aes_after = refuse_after;
	f->g.k.refuse_aes = refuse;
	pthread_mutex_unlock(&f->g.k.lock);
	other = sa_in(f, 0x1004);
	other->device = 3;
	return in;
}

/* The first shuts its window, and one behind it hands ours back. */
static void test_window_goes_back_at_the_second_try(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = given_back(f, 1, 1);

	settle(f);
	assert_null(ours(f, in));
	assert_int_equal(f->g.k.refuse_aes, 0);
	assert_int_equal(in->esn.seq, 33);
	assert_int_equal(in->esn.seq_hi, 0);
	assert_int_equal(in->bmp[1], 1);
	assert_int_equal(f->g.k.expires[0], 0);
}

static void test_window_that_does_not_go_back_stays_shut(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = given_back(f, 1, 2);

	settle(f);
	assert_null(ours(f, in));
	assert_true(refuses(f, in));
	assert_int_equal(f->g.k.expires[0], 1);
}

/* Should the kernel not shut its window, XDP must know the SA still. */
static void test_sa_stays_whose_window_is_not_shut(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = given_back(f, 0, 1);

	turns_until(f, &f->g.mirror->figures.resyncs, 2);
	settle(f);
	/* at the second try it went well */
	assert_int_equal(f->g.k.refuse_aes, 0);
	assert_null(ours(f, in));
	assert_true(f->told_first);
	assert_int_equal(in->esn.seq, 33);
	assert_int_equal(f->g.k.expires[0], 0);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, mirror_setup, mirror_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_kernel_accepts_nothing_until_it_is_told),
		TEST(test_number_accepted_while_the_window_was_shut),
		TEST(test_window_that_is_found_shut),
		TEST(test_window_opens_again_when_the_sa_is_not_taken),
		TEST(test_used_sas_are_held_for_longer),
		TEST(test_packets_that_come_while_it_is_held),
		TEST(test_sa_that_is_held_stays_so_for_its_time),
		TEST(test_sa_that_goes_while_it_is_held),
		TEST(test_window_of_another_sa_is_not_shut),
		TEST(test_window_goes_back_at_the_second_try),
		TEST(test_window_that_does_not_go_back_stays_shut),
		TEST(test_sa_stays_whose_window_is_not_shut),
	};

	return cmocka_run_group_tests_name("mirror hands", tests, NULL, NULL);
}
