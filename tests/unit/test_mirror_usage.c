/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Usage, limits and windows of mirrored SAs. */
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

static void test_usage_and_window_are_told(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);
	struct xi_mirror_sa *sa;
	uint64_t oseq;

	mirror_start_with_policy(f);
	oseq = oseq_of(out);
	ours(f, out)->state->packets = 3;
	ours(f, out)->state->bytes = 300;
	ours(f, out)->state->use_time = BORN + 9;
	/* packet 33: block 1, its first bit (struct xi_sa_state) */
	ours(f, in)->state->packets = 1;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	TAILQ_FOREACH(sa, &f->g.mirror->all_sas, all)
	sa->told_at -= 5;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	assert_int_equal(out->info.curlft.packets, 3);
	assert_int_equal(out->info.curlft.bytes, 300);
	assert_int_equal(out->info.curlft.use_time, BORN + 9);
	assert_int_equal(out->info.curlft.add_time, BORN);
	assert_int_equal(oseq_of(out), oseq);
	assert_int_equal(in->info.curlft.packets, 1);
	assert_int_equal(in->info.curlft.add_time, BORN);
	assert_int_equal(in->esn.seq, 33);
	assert_int_equal(in->bmp[1], 1); /* (33 - 1) % 128 = 32 */
	assert_int_equal(in->esn.oseq, 0);
}

/* What a worker does of a packet (xi_esp_tally_flush()), after which it was told of long ago. */
static void carried(struct mirror_bed *f, const struct kernel_sa *ksa, uint64_t last_use)
{
	struct xi_sa_id id = id_of(ksa);
	struct xi_mirror_sa *sa;

	ours(f, ksa)->state->packets++;
	ours(f, ksa)->state->last_use = last_use;
	HASH_FIND(hh, f->g.mirror->sas, &id, sizeof(id), sa);
	assert_non_null(sa);
	sa->told_at -= 5;
}

/* A turn of the timer, in as many steps as it takes. */
static void tick(struct mirror_bed *f)
{
	uint64_t until = now_ms() + 10000;

	xi_mirror_usage_tick(f->g.mirror);
	while (f->g.mirror->watches.left) {
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(now_ms() < until);
	}
	settle(f);
}

/* The timer's turns until none has anything left to tell. */
static void ticks(struct mirror_bed *f)
{
	struct xi_mirror_sa *sa;

	for (unsigned int i = 0; i < 3; i++) {
		TAILQ_FOREACH(sa, &f->g.mirror->all_sas, all)
		sa->told_at -= 5;
		tick(f);
	}
}

/* netlink(7): a datagram may hold many messages, and without NLM_F_ACK those alone are answered that fail. */
static void test_usage_of_many_is_told_at_once(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *sas[40];

	policy_out(f);
	mirror_start(f);
	for (unsigned int i = 0; i < 40; i++)
		sas[i] = i % 2 ? sa_in(f, 0x2000 + i) : sa_out(f, 0x2000 + i);
	settle(f);
	ticks(f);
	for (unsigned int i = 0; i < 40; i++)
		carried(f, sas[i], BORN);
	/* in the midst of them, one each that the kernel has no more, and nobody told */
	sa_del(f, sas[16], false);
	sa_del(f, sas[19], false);
	f->g.k.most_messages = f->g.k.acks = 0;
	tick(f);
	assert_in_range(f->g.k.acks, 1, 20);
	/* outbound ones have two */
	assert_in_range(f->g.k.most_messages, XI_MIRROR_TELLINGS, 2 * XI_MIRROR_TELLINGS);
	for (unsigned int i = 0; i < 40; i++) {
		if (i == 16 || i == 19)
			assert_null(ours(f, sas[i]));
		else
			assert_int_equal(sas[i]->info.curlft.packets, 1);
	}
	assert_int_equal(figures(f).strays, 0);
	assert_int_equal(figures(f).resyncs, 1);
}

/* The kernel takes its time: others are served before the rest is told. */
static void test_a_turn_of_the_timer_is_short(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *sas[60];
	unsigned int told = 0;

	mirror_start(f);
	for (unsigned int i = 0; i < 60; i++)
		sas[i] = sa_in(f, 0x2000 + i);
	settle(f);
	ticks(f);
	for (unsigned int i = 0; i < 60; i++)
		carried(f, sas[i], BORN);
	event_del(f->g.mirror->tick);
	event_del(f->g.mirror->on_usage);
	f->g.k.delay_us = 12000;
	xi_mirror_usage_tick(f->g.mirror);
	for (unsigned int i = 0; i < 60; i++)
		told += sas[i]->info.curlft.packets;
	assert_int_equal(told, XI_MIRROR_TELLINGS);
	assert_int_equal(f->g.mirror->watches.left, 60 - XI_MIRROR_TELLINGS);
	turns_until(f, &f->g.mirror->figures.written, f->g.mirror->figures.written + 60 - told);
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(sas[i]->info.curlft.packets, 1);
	assert_int_equal(f->g.mirror->watches.left, 0);
}

/* For want of memory, say: it is told when the next time comes, though no packet came since. */
static void test_usage_that_the_kernel_refused_is_told_again(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);

	mirror_start_with_policy(f);
	ticks(f);
	carried(f, out, BORN);
	carried(f, in, BORN);
	f->g.k.refuse_aes = 2;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	assert_int_equal(f->g.k.refuse_aes, 0);
	ticks(f);
	assert_int_equal(out->info.curlft.packets, 1);
	assert_int_equal(in->info.curlft.packets, 1);
	assert_non_null(ours(f, out));
	assert_non_null(ours(f, in));
	assert_int_equal(figures(f).strays, 0);
}

/* A kernel that does not answer holds the daemon up once a turn, and nobody waits to be told of without a place. */
static void test_usage_without_an_answer(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *sas[60];
	static uint8_t sent[65536];
	int pair[2], fd;

	mirror_start(f);
	for (unsigned int i = 0; i < 60; i++)
		sas[i] = sa_in(f, 0x2000 + i);
	settle(f);
	ticks(f);
	for (unsigned int i = 0; i < 60; i++)
		carried(f, sas[i], BORN);
	fd = f->g.mirror->ask_fd;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	f->g.mirror->ask_fd = pair[0];
	xi_mirror_usage_tick(f->g.mirror);
	assert_true(recv(pair[1], sent, sizeof(sent), MSG_DONTWAIT) > 0);
	assert_int_equal(recv(pair[1], sent, sizeof(sent), MSG_DONTWAIT), -1);
	assert_int_equal(f->g.mirror->telling.n, 0);
	assert_int_equal(f->g.mirror->watches.left, 0);
	f->g.mirror->ask_fd = fd;
	close(pair[0]);
	close(pair[1]);
	settle(f);
	ticks(f);
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(sas[i]->info.curlft.packets, 1);
}

/* Of very many that stand still nobody is asked about. */
static void test_sas_that_stand_still_are_passed_over(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);
	unsigned int aes;

	mirror_start_with_policy(f);
	carried(f, out, BORN);
	carried(f, in, BORN);
	ticks(f);
	assert_int_equal(out->info.curlft.packets, 1);
	assert_int_equal(in->info.curlft.packets, 1);
	aes = f->g.k.aes + f->g.k.getaes;
	ticks(f);
	assert_int_equal(f->g.k.aes + f->g.k.getaes, aes);
	for (unsigned int i = 0; i < f->g.mirror->watches.n; i++)
		assert_false(f->g.mirror->watches.sas[i].anew);
	carried(f, out, BORN + 1);
	ticks(f);
	assert_int_equal(out->info.curlft.packets, 2);
	assert_int_equal(in->info.curlft.packets, 1);
}

/* The time of use, in seconds, says nothing of a second packet in the same second. */
static void test_packets_of_the_second_of_the_telling_are_told(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	time_t at;

	mirror_start_with_policy(f);
	ticks(f);
	at = time(NULL) + 5; /* it is not over when this test is */
	carried(f, out, at);
	ticks(f);
	assert_int_equal(out->info.curlft.packets, 1);
	carried(f, out, at);
	ticks(f);
	assert_int_equal(out->info.curlft.packets, 2);
}

/* Numbers that packets took which then went nowhere. */
static void test_numbers_run_out_without_a_use(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	mirror_start_with_policy(f);
	ticks(f);
	assert_false(f->g.mirror->watches.sas[0].anew);
	limit = ours(f, out)->state->oseq_limit;
	ours(f, out)->state->oseq = limit;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	assert_true(ours(f, out)->state->oseq_limit > limit);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
}

/* Of a packet whose ICV is right, and whose inside is not (xi_tally_reject()): its number is used up all the same. */
static void test_window_moves_without_a_use(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002);

	mirror_start(f);
	settle(f);
	carried(f, in, BORN);
	ticks(f);
	assert_int_equal(in->esn.seq, 0);
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	ticks(f);
	assert_int_equal(in->esn.seq, 33);
	assert_int_equal(in->bmp[1], 1);
}

/* The clock was put back, or a worker's stood still: the second of use is one that was told of long ago. */
static void test_packets_of_a_second_that_is_long_over_are_told(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	mirror_start_with_policy(f);
	carried(f, out, BORN);
	ticks(f);
	assert_int_equal(out->info.curlft.packets, 1);
	carried(f, out, BORN);
	ticks(f);
	assert_int_equal(out->info.curlft.packets, 2);
}

/* One so fast that its numbers run out from one turn of the timer to the next. */
static void test_usage_is_told_while_numbers_run_out(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	mirror_start_with_policy(f);
	for (unsigned int i = 1; i <= 3; i++) {
		limit = ours(f, out)->state->oseq_limit;
		ours(f, out)->state->oseq = limit;
		carried(f, out, BORN + i);
		tick(f);
		assert_int_equal(out->info.curlft.packets, i);
		assert_true(oseq_of(out) > limit);
	}
	assert_int_equal(figures(f).strays, 0);
}

/* Before the first answer there is something that is none. */
static void answer_badly(void *arg)
{
	struct mirror_bed *f = arg;

	if (!f->told_first)
		assert_int_equal(send(f->g.k.fds[1], "odd", 3, 0), 3);
	f->told_first = true;
}

static void test_usage_of_all_is_told_in_spite_of_a_bad_answer(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *sas[60];

	mirror_start(f);
	for (unsigned int i = 0; i < 60; i++)
		sas[i] = sa_in(f, 0x2000 + i);
	settle(f);
	ticks(f);
	for (unsigned int i = 0; i < 60; i++)
		carried(f, sas[i], BORN);
	kernel_lock(&f->g.k);
	f->g.k.meanwhile = answer_badly;
	f->g.k.meanwhile_arg = f;
	pthread_mutex_unlock(&f->g.k.lock);
	xi_mirror_usage_all(f->g.mirror);
	assert_true(f->told_first);
	for (unsigned int i = 0; i < 60; i++)
		assert_int_equal(sas[i]->info.curlft.packets, 1);
	settle(f);
}

/* netlink_sendmsg() takes no datagram longer than the socket's buffer, whose default is the host's to set. */
static void test_usage_when_long_datagrams_are_not_taken(void **state)
{
	struct mirror_bed *f = *state;
	const int least = 1;
	struct kernel_sa *sas[40];

	policy_out(f);
	mirror_start(f);
	for (unsigned int i = 0; i < 40; i++)
		sas[i] = i % 5 ? sa_in(f, 0x2000 + i) : sa_out(f, 0x2000 + i);
	settle(f);
	ticks(f);
	for (unsigned int i = 0; i < 40; i++)
		carried(f, sas[i], BORN);
	f->g.k.most_messages = 0;
	assert_int_equal(setsockopt(f->g.mirror->ask_fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)), 0);
	tick(f);
	assert_true(f->g.k.most_messages < XI_MIRROR_TELLINGS);
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(sas[i]->info.curlft.packets, 1);
	for (unsigned int i = 0; i < 40; i++)
		carried(f, sas[i], BORN);
	xi_mirror_usage_all(f->g.mirror);
	for (unsigned int i = 0; i < 40; i++)
		assert_int_equal(sas[i]->info.curlft.packets, 2);
	assert_true(f->g.k.most_messages < XI_MIRROR_TELLINGS);
	settle(f);
	assert_int_equal(figures(f).strays, 0);
}

/* It was refused, and before it is looked at again, the daemon ends. */
static void test_usage_that_was_refused_is_told_at_the_end(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);

	mirror_start_with_policy(f);
	ticks(f);
	carried(f, out, BORN);
	carried(f, in, BORN);
	f->g.k.refuse_aes = 2;
	xi_mirror_usage_tick(f->g.mirror);
	assert_int_equal(out->info.curlft.packets + in->info.curlft.packets, 0);
	xi_mirror_usage_all(f->g.mirror);
	assert_int_equal(out->info.curlft.packets, 1);
	assert_int_equal(in->info.curlft.packets, 1);
	settle(f);
}

/* Made anew with the same id, of which the news are not read: its lifetime starts when it was made. */
static void test_usage_is_not_that_of_another_sa(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *other;

	mirror_start_with_policy(f);
	ticks(f);
	carried(f, out, BORN);
	sa_del(f, out, true);
	other = sa_add_key(f, LOCAL, PEER, 0x1001, 1, 99, false);
	other->info.curlft.add_time = BORN + 1000;
	sa_news(f, other, XFRM_MSG_NEWSA);
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	assert_int_equal(ours(f, other)->key.key[0], 99);
	assert_int_equal(ours(f, other)->state->packets, 0);
	assert_int_equal(other->info.curlft.packets, 0);
	assert_int_equal(other->info.curlft.add_time, BORN + 1000);
	ticks(f);
	assert_int_equal(other->info.curlft.add_time, BORN + 1000);
}

/* News without end do not keep the kernel from being told. */
static void test_usage_is_told_among_news(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	mirror_start_with_policy(f);
	ticks(f);
	carried(f, out, BORN);
	sa_news(f, out, XFRM_MSG_UPDSA);
	for (unsigned int i = 0; i < 4; i++)
		xi_mirror_usage_tick(f->g.mirror);
	assert_int_equal(out->info.curlft.packets, 0);
	for (unsigned int i = 0; i < 8; i++)
		xi_mirror_usage_tick(f->g.mirror);
	assert_int_equal(out->info.curlft.packets, 1);
	settle(f);
}

static void expect_watched(const struct mirror_bed *f, unsigned int n)
{
	const struct xi_mirror_watches *w = &f->g.mirror->watches;

	assert_int_equal(w->n, n);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(w->sas[i].sa->watch, i + 1);
		assert_ptr_equal(w->sas[i].state, xi_sad_find(f->g.sad, &w->sas[i].sa->id)->state);
	}
}

/* Whoever is not ours any more has no place in the walk, and the others keep theirs. */
static void test_walk_follows_who_is_ours(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in[9];
	struct xi_sa_id id;

	mirror_start(f);
	for (unsigned int i = 0; i < 9; i++)
		in[i] = sa_add_key(f, PEER, LOCAL, 0x2000 + i, i + 1, (uint8_t)i, true);
	settle(f);
	expect_watched(f, 9);
	sa_del(f, in[0], true);
	in[4]->device = 3;
	sa_news(f, in[4], XFRM_MSG_UPDSA);
	settle(f);
	expect_watched(f, 7);
	id = id_of(in[2]); /* by somebody else: it comes again */
	assert_int_equal(xi_sad_delete(f->g.sad, &id), 0);
	expect_watched(f, 6);
	settle(f);
	expect_watched(f, 7);
	for (unsigned int i = 0; i < 9; i++)
		if (i && i != 4)
			carried(f, in[i], BORN);
	ticks(f);
	for (unsigned int i = 0; i < 9; i++)
		assert_int_equal(in[i]->info.curlft.packets, i && i != 4);
}

/* Until XDP knew of the SA; nobody is to get the packet a second time. */
static void test_packets_received_meanwhile_count(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in;

	mirror_start(f);
	settle(f);
	f->g.k.receives = true; /* it is asked twice: when the SA is taken, and afterwards */
	in = sa_in(f, 0x1002);
	settle(f);
	assert_int_equal(ours(f, in)->state->top, 5);
	assert_int_equal(ours(f, in)->words[0], 1 << 5);
}

/* Of a busy SA our window is ahead of the kernel's when that is looked at once more. */
static void received_first(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	if (!old && new &&new->sa.id.spi == 0x1002) {
		new->state->top = 33;
		new->words[1] = 1ULL << 32 | 2;
	}
}

static void received_nothing(void *arg)
{
}

static void test_packets_received_meanwhile_count_behind_ours(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in;

	xi_sad_listen(f->g.sad, &(struct xi_sad_listener){.changed = received_first, .sync = received_nothing, .arg = f});
	mirror_start(f);
	settle(f);
	f->g.k.receives = true;
	in = sa_in(f, 0x1002);
	settle(f);
	assert_int_equal(ours(f, in)->state->top, 33);
	assert_int_equal(ours(f, in)->words[1], 1ULL << 32 | 2);
	assert_int_equal(ours(f, in)->words[0], 1 << 5);
}

/* The kernel has it from the moment XDP does not know it any more, and accepts nothing before our window is final. */
static void given_back(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct mirror_bed *f = arg;
	struct kernel_sa *in = f->g.k.sas;

	if (!old || new)
		return;
	pthread_mutex_lock(&f->g.k.lock);
	/* an upper half that no sender has: no ICV is right */
	f->told_first = in->esn.seq_hi >> 31;
	pthread_mutex_unlock(&f->g.k.lock);
	old->state->top = 35; /* was under way to a worker */
	old->words[1] |= 1 << 3;
}

static void test_window_goes_back_without_a_gap(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002), *other;

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	xi_sad_listen(f->g.sad, &(struct xi_sad_listener){.changed = given_back, .sync = received_nothing, .arg = f});
	other = sa_in(f, 0x1004);
	other->device = 3;
	settle(f);
	assert_null(ours(f, in));
	assert_true(f->told_first);
	assert_int_equal(in->esn.seq, 35);
	assert_int_equal(in->esn.seq_hi, 0);
	assert_int_equal(in->bmp[1], 5);
}

/* By somebody else: it comes again, with the kernel's window. */
static void test_window_outlives_a_deletion(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002);
	struct xi_sa_id id = id_of(in);

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	assert_int_equal(xi_sad_delete(f->g.sad, &id), 0);
	assert_null(ours(f, in));
	settle(f);
	assert_int_equal(ours(f, in)->state->top, 33);
	assert_int_equal(ours(f, in)->words[1], 1ULL << 32 | 2);
	assert_int_equal(in->esn.seq, 33);
}

/* Linux's xfrm_replay_verify_len() and xfrm_update_ae_params(): such a window it would not take back. */
static void test_window_that_cannot_go_back_stays(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in, *out;

	mirror_start_with_policy(f);
	in = sa_add_key(f, PEER, LOCAL, 0x1002, 2, 2, false);
	in->esn.replay_window = 64; /* of 4 words */
	sa_news(f, in, XFRM_MSG_NEWSA);
	settle(f);
	assert_null(ours(f, in));
	assert_int_equal(figures(f).sas_kept, 1);
	sa_del(f, in, true);
	in = sa_add_key(f, PEER, LOCAL, 0x1004, 2, 4, false);
	in->info.flags = 0;
	in->esn.replay_window = 32; /* a ring all the same */
	sa_news(f, in, XFRM_MSG_NEWSA);
	settle(f);
	assert_null(ours(f, in));
	sa_del(f, in, true);
	out = sa_add_key(f, LOCAL, PEER, 0x1001, 1, 1, false);
	out->esn.replay_window = 0; /* nobody looks at that of one that sends */
	sa_news(f, out, XFRM_MSG_NEWSA);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(figures(f).sas_kept, 0);
}

/* What comes in goes on coming in, and its counter is not ours to move: an address that went says nothing. */
static void test_direction_stays(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002);

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	assert_int_equal(xi_spd_set_local(f->g.spd, NULL, 0), 0);
	sa_news(f, in, XFRM_MSG_NEWSA);
	settle(f);
	assert_non_null(ours(f, in));
	assert_int_equal(ours(f, in)->state->top, 33);
	assert_int_equal(oseq_of(in), 0);
}

static void test_window_goes_back_with_the_sa(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002), *other;

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	other = sa_in(f, 0x1004);
	other->device = 3;
	settle(f);
	assert_null(ours(f, in));
	assert_int_equal(in->esn.seq, 33);
	assert_int_equal(in->bmp[1], 1);
	assert_int_equal(in->info.curlft.packets, 7);
}

static void test_byte_limits_are_ours(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);

	out->info.lft.soft_byte_limit = 1000;
	out->info.lft.hard_byte_limit = 2000;
	out->info.lft.hard_add_expires_seconds = 1; /* BORN is long ago: the kernel's matter */
	mirror_start_with_policy(f);
	xi_sad_tick(f->g.sad, time(NULL));
	assert_int_equal(f->g.k.expires[0] + f->g.k.expires[1], 0);
	ours(f, out)->state->use_time = BORN;
	ours(f, out)->state->bytes = 1500;
	xi_sad_tick(f->g.sad, time(NULL));
	xi_sad_tick(f->g.sad, time(NULL));
	assert_int_equal(f->g.k.expires[0], 1);
	assert_int_equal(out->info.curlft.bytes, 1500);
	ours(f, out)->state->bytes = 2500;
	xi_sad_tick(f->g.sad, time(NULL));
	settle(f);
	assert_int_equal(f->g.k.expires[1], 1);
	assert_false(out->used);
	assert_null(ours(f, out));
	assert_non_null(ours(f, in)); /* the kernel's key manager sees to that */
}

/* Though no packet came since. */
static void test_usage_that_was_refused_at_a_limit_is_told_again(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002);

	in->info.lft.soft_byte_limit = 1000;
	mirror_start(f);
	settle(f);
	ticks(f);
	ours(f, in)->state->use_time = BORN;
	ours(f, in)->state->bytes = 1500;
	carried(f, in, BORN);
	f->g.k.refuse_aes = 1;
	xi_sad_tick(f->g.sad, time(NULL));
	assert_int_equal(f->g.k.expires[0], 1);
	assert_int_equal(f->g.k.refuse_aes, 0);
	ticks(f);
	assert_int_equal(in->info.curlft.bytes, 1500);
	assert_int_equal(in->info.curlft.packets, 1);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, mirror_setup, mirror_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_usage_and_window_are_told),
		TEST(test_usage_of_many_is_told_at_once),
		TEST(test_a_turn_of_the_timer_is_short),
		TEST(test_usage_that_the_kernel_refused_is_told_again),
		TEST(test_usage_without_an_answer),
		TEST(test_sas_that_stand_still_are_passed_over),
		TEST(test_packets_of_the_second_of_the_telling_are_told),
		TEST(test_numbers_run_out_without_a_use),
		TEST(test_window_moves_without_a_use),
		TEST(test_packets_of_a_second_that_is_long_over_are_told),
		TEST(test_usage_is_told_while_numbers_run_out),
		TEST(test_usage_of_all_is_told_in_spite_of_a_bad_answer),
		TEST(test_usage_when_long_datagrams_are_not_taken),
		TEST(test_usage_that_was_refused_is_told_at_the_end),
		TEST(test_usage_is_not_that_of_another_sa),
		TEST(test_usage_is_told_among_news),
		TEST(test_walk_follows_who_is_ours),
		TEST(test_packets_received_meanwhile_count),
		TEST(test_packets_received_meanwhile_count_behind_ours),
		TEST(test_window_goes_back_without_a_gap),
		TEST(test_window_outlives_a_deletion),
		TEST(test_window_that_cannot_go_back_stays),
		TEST(test_direction_stays),
		TEST(test_window_goes_back_with_the_sa),
		TEST(test_byte_limits_are_ours),
		TEST(test_usage_that_was_refused_at_a_limit_is_told_again),
	};

	return cmocka_run_group_tests_name("mirror usage", tests, NULL, NULL);
}
