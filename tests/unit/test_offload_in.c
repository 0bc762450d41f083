/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Inbound SAs into a device and out of it, against a model of the kernel's XFRM
 * (tests/lib/kernel.h). Packets come, and come again, at every step: between any two messages to
 * the kernel, between XDP's look-up and the workers. Who has a packet is told by the look-up that
 * XDP would do. A naive record of all numbers knows which were accepted.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "ipsec/replay.h"
#include "mirror_ground.h"

#define SAS 6
#define SLOTS 2
#define NUMBERS 400000
#define AGAIN 160 /* numbers that come again: more than any window here */

struct tunnel {
	struct kernel_sa *sa;
	uint32_t spi;
	uint32_t next; /* number of the sender */
	uint8_t accepted[NUMBERS];
	uint32_t late[8]; /* passed by XDP, and in a queue of the kernel's stack still; 0: none */
	uint8_t turns[8]; /* until the kernel comes to them */
	unsigned int ours, kernels, lost, twice; /* packets */
};

struct fixture {
	struct mirror_ground g;
	struct tunnel tunnels[SAS];
	unsigned int held, asides;
	int aside; /* 1 + the tunnel whose packets come by a way that XDP does not see, too; 0: none
		    */
	bool quiet, delays;
};

static struct xi_sa_id id_of(const struct tunnel *t)
{
	struct xi_sa_id id = {.spi = t->spi, .proto = XI_ESP, .family = XI_IPV4};

	sample_addr(id.daddr, LOCAL);
	return id;
}

static const struct xi_sa_rec *ours(const struct fixture *f, const struct tunnel *t)
{
	struct xi_sa_id id = id_of(t);

	return xi_sad_find(f->g.sad, &id);
}

static bool worker_accepts(const struct xi_sa_rec *rec, uint32_t seq)
{
	const struct xi_replay r = {.top = (uint64_t *)&rec->state->top,
				    .words = rec->words,
				    .word_mask = rec->nwords - 1,
				    .window = rec->sa.replay_window};
	bool accepted = !xi_replay_check(&r, seq) && !xi_replay_commit(&r, seq);

	rec->state->packets += accepted;
	rec->state->last_use = time(NULL);
	return accepted;
}

static bool xdp_knows(const struct fixture *f, const struct tunnel *t)
{
	const struct xi_sa_id id = id_of(t);

	for (unsigned int i = 0; i < MEM_STORE_SAS; i++)
		if (f->g.store->lookups[i].used && !memcmp(&f->g.store->lookups[i].id, &id, sizeof(id)))
			return true;
	return false;
}

static void note(struct tunnel *t, uint32_t seq, bool accepted)
{
	if (seq >= NUMBERS)
		abort();
	t->twice += accepted && t->accepted[seq];
	t->accepted[seq] |= accepted;
}

/* False: it is dropped. The kernel's lock is held. */
static bool packet(struct fixture *f, struct tunnel *t, uint32_t seq)
{
	const struct xi_sa_rec *rec = ours(f, t);
	xfrm_address_t local = {0};
	bool accepted = false;

	inet_pton(AF_INET, LOCAL, &local);
	if (!xdp_knows(f, t)) {
		if (f->delays && rand() % 3 == 0 && !t->late[seq % 8]) {
			t->late[seq % 8] = seq;
			t->turns[seq % 8] = rand() % 6;
			return true;
		}
		accepted = kernel_receive(&f->g.k, &local, t->spi, seq);
		t->kernels += accepted;
	} else if (rec && !(rec->sa.life & XI_SA_LARVAL)) {
		accepted = worker_accepts(rec, seq);
		t->ours += accepted;
	} else {
		f->held++;
		return true; /* it will be looked at */
	}
	note(t, seq, accepted);
	return accepted;
}

/* The kernel comes to it, in some order, within milliseconds. */
static void late_packets(struct fixture *f, struct tunnel *t)
{
	xfrm_address_t local = {0};

	inet_pton(AF_INET, LOCAL, &local);
	for (int i = 0; i < 8; i++) {
		uint32_t seq = t->late[i];

		if (!seq || t->turns[i]-- > 0)
			continue;
		t->late[i] = 0;
		note(t, seq, kernel_receive(&f->g.k, &local, t->spi, seq));
	}
}

/* The sender's next, some of which come late or never, and all of before once more. */
static void packets(struct fixture *f, struct tunnel *t, unsigned int n)
{
	uint32_t from = t->next > AGAIN ? t->next - AGAIN : 1;

	for (unsigned int i = 0; i < n; i++) {
		t->next += rand() % 16 ? 1 : 3;
		t->lost += !packet(f, t, t->next);
	}
	for (uint32_t seq = from; seq <= t->next; seq++)
		if (t->accepted[seq] || rand() % 64 == 0)
			packet(f, t, seq);
}

static void meanwhile(void *arg)
{
	struct fixture *f = arg;
	xfrm_address_t local = {0};

	if (f->quiet)
		return;
	for (int i = 0; i < SAS; i++) {
		late_packets(f, &f->tunnels[i]);
		packets(f, &f->tunnels[i], 1);
	}
	if (f->aside) {
		struct tunnel *t = &f->tunnels[f->aside - 1];

		inet_pton(AF_INET, LOCAL, &local);
		t->next++;
		f->asides++;
		note(t, t->next, kernel_receive(&f->g.k, &local, t->spi, t->next));
	}
}

/* XDP does not know it any more; a worker was about to process a packet of it. */
static void sad_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->g.k.lock);
	for (int i = 0; old && !new &&i < SAS; i++) {
		struct tunnel *t = &f->tunnels[i];

		if (old->sa.id.spi != t->spi || f->quiet)
			continue;
		packets(f, t, 1);
		t->next++;
		note(t, t->next, worker_accepts(old, t->next));
		t->next += 40; /* more than a small window */
		note(t, t->next, worker_accepts(old, t->next));
		packets(f, t, 1);
	}
	pthread_mutex_unlock(&f->g.k.lock);
}

static void sad_synced(void *arg)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->g.k.lock);
	meanwhile(f);
	pthread_mutex_unlock(&f->g.k.lock);
}

static uint32_t route(void *arg, const struct xi_sa *sa, bool outbound)
{
	assert_false(outbound);
	return KERNEL_DEVICE;
}

static uint32_t able(void *arg, const char *name)
{
	return KERNEL_DEVICE;
}

static void mirror_start(struct fixture *f)
{
	const struct xi_offload_port port = {.name = "wan0"};
	const struct xi_mirror_config config = {.base = f->g.base,
						.sad = f->g.sad,
						.spd = f->g.spd,
						.open = ground_open,
						.arg = f,
						.offload = {.ports = &port,
							    .nports = 1,
							    .notes = f->g.notes,
							    .route = route,
							    .able = able,
							    .arg = f}};

	assert_int_equal(xi_mirror_create(&f->g.mirror, &config), 0);
}

/* Every other one with a window that is a ring of the kernel's. */
static void tunnel_add(struct fixture *f, int i)
{
	struct tunnel *t = &f->tunnels[i];
	struct kernel_sa *sa = &f->g.k.sas[i];

	*t = (struct tunnel){.sa = sa, .spi = 0x1000 + i, .next = 1};
	*sa = (struct kernel_sa){.used = true, .legacy = i % 2 == 0};
	memset(sa->key, 0x40 + i, sizeof(sa->key));
	sa->info.family = AF_INET;
	sa->info.mode = XFRM_MODE_TUNNEL;
	sa->info.reqid = i + 1;
	sa->info.id.spi = htonl(t->spi);
	sa->info.id.proto = IPPROTO_ESP;
	sa->info.replay_window = sa->legacy ? 32 : 0;
	sa->esn.bmp_len = sa->legacy ? 0 : 4;
	sa->esn.replay_window = sa->legacy ? 0 : 128;
	sa->info.saddr.a4 = htonl(0xc0000202 + i);
	inet_pton(AF_INET, LOCAL, &sa->info.id.daddr);
	sa->info.lft.soft_byte_limit = sa->info.lft.hard_byte_limit = XFRM_INF;
	sa->info.lft.soft_packet_limit = sa->info.lft.hard_packet_limit = XFRM_INF;
	sa->info.curlft.add_time = 1700000000;
}

/* With a policy of before in force a later daemon goes on with what it finds. */
static void policy_add(struct fixture *f)
{
	struct kernel_policy *p = &f->g.k.policies[0];

	p->used = true;
	p->info.dir = XFRM_POLICY_IN;
	p->info.sel.family = AF_INET;
	p->info.sel.prefixlen_s = 24;
	p->info.sel.saddr.a4 = htonl(0x0a090900);
	p->info.lft.soft_byte_limit = p->info.lft.hard_byte_limit = XFRM_INF;
	p->info.lft.soft_packet_limit = p->info.lft.hard_packet_limit = XFRM_INF;
	p->tmpl = (struct xfrm_user_tmpl){.id.proto = IPPROTO_ESP,
					  .family = AF_INET,
					  .reqid = 99,
					  .mode = XFRM_MODE_TUNNEL,
					  .aalgos = ~0U,
					  .ealgos = ~0U,
					  .calgos = ~0U};
	inet_pton(AF_INET, LOCAL, &p->tmpl.id.daddr);
	inet_pton(AF_INET, "192.0.2.99", &p->tmpl.saddr);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	srand(20240229);
	f->g.k.slots = SLOTS;
	f->g.k.meanwhile = meanwhile;
	f->g.k.meanwhile_arg = f;
	ground_make(&f->g, &(struct xi_sad_listener){.changed = sad_changed, .sync = sad_synced, .arg = f});
	for (int i = 0; i < SAS; i++)
		tunnel_add(f, i);
	policy_add(f);
	kernel_start(&f->g.k);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->quiet = true;
	ground_unmake(&f->g);
	free(f);
	return 0;
}

static struct xi_offload_figures figures(const struct fixture *f)
{
	struct xi_mirror_figures figs;

	xi_mirror_figures(f->g.mirror, &figs);
	return figs.offload[0];
}

static bool settled(const struct fixture *f)
{
	struct pollfd pfd = {.fd = f->g.mirror->news_fd, .events = POLLIN};
	struct xi_mirror_figures figs;

	xi_mirror_figures(f->g.mirror, &figs);
	return figs.synced && !poll(&pfd, 1, 0);
}

static void turn(struct fixture *f)
{
	event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	kernel_lock(&f->g.k);
	meanwhile(f);
	pthread_mutex_unlock(&f->g.k.lock);
}

static void settle(struct fixture *f)
{
	uint64_t until = now_ms() + 20000;

	do {
		turn(f);
		f->g.mirror->clock_ahead += 5000000; /* as if that were all that goes on */
		assert_true(now_ms() < until);
	} while (!settled(f));
	for (int i = 0; i < SAS; i++)
		assert_int_equal(f->tunnels[i].twice, 0);
}

/* A second, in which n tunnels from `from` are busy. */
static void second(struct fixture *f, int from, int n)
{
	pthread_mutex_lock(&f->g.k.lock);
	for (int i = 0; i < SAS; i++)
		packets(f, &f->tunnels[i], i >= from && i < from + n ? 200 : 20);
	pthread_mutex_unlock(&f->g.k.lock);
	f->g.mirror->clock_ahead += 1000000000ULL;
	xi_offload_tick(f->g.mirror);
	settle(f);
}

static void until(struct fixture *f, int from, int n)
{
	int s;

	for (s = 0; s < 120; s++) {
		int there = 0;

		for (int i = from; i < from + n; i++)
			there += f->tunnels[i].sa->device != 0;
		if (there == n)
			return;
		second(f, from, n);
	}
	fail_msg("not in the device");
}

static void start(struct fixture *f)
{
	mirror_start(f);
	settle(f);
}

static bool is_alive(struct fixture *f, struct tunnel *t)
{
	bool accepted = false;

	pthread_mutex_lock(&f->g.k.lock);
	for (int i = 0; i < 64 && !accepted; i++) {
		late_packets(f, t);
		packet(f, t, ++t->next);
		accepted = t->accepted[t->next];
	}
	pthread_mutex_unlock(&f->g.k.lock);
	return accepted;
}

static void test_no_number_is_accepted_twice(void **state)
{
	struct fixture *f = *state;

	start(f);
	f->delays = true;
	for (int round = 0; round < 6; round++) {
		until(f, round % 3 * SLOTS, SLOTS);
		for (int i = 0; i < 11; i++)
			second(f, round % 3 * SLOTS, SLOTS);
	}
	assert_true(figures(f).in >= 6 * SLOTS);
	assert_true(figures(f).out >= 5 * SLOTS);
	for (int i = 0; i < SAS; i++) {
		struct tunnel *t = &f->tunnels[i];

		assert_true(is_alive(f, t));
		assert_true(t->ours && t->kernels);
		/* of those that came in the midst of a move inwards */
		assert_true(t->lost < (t->ours + t->kernels) / 20);
	}
	assert_true(f->held);
	assert_int_equal(f->g.k.dels_alone, 0);
}

/* The kernel's window is open again, and some packets behind. */
static void told(struct fixture *f)
{
	struct xi_mirror_sa *sa;

	TAILQ_FOREACH(sa, &f->g.mirror->all_sas, all)
	sa->told_at -= 5;
	xi_mirror_usage_tick(f->g.mirror);
	settle(f);
	second(f, 0, SAS);
}

/* Of the same destination and reqid, and not carried: so its like go back. */
static void like_it(struct fixture *f, struct kernel_sa *other, bool there)
{
	pthread_mutex_lock(&f->g.k.lock);
	other->used = there;
	pthread_mutex_unlock(&f->g.k.lock);
	kernel_news_sa(&f->g.k, other, there ? XFRM_MSG_NEWSA : XFRM_MSG_DELSA);
	settle(f);
}

/* No device is in it. */
static void test_given_and_taken_no_number_is_accepted_twice(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *others[2] = {&f->g.k.sas[SAS], &f->g.k.sas[SAS + 1]};

	for (int i = 0; i < 2; i++) {
		*others[i] = *f->tunnels[i].sa;
		others[i]->info.id.spi = htonl(0x2000 + i);
		others[i]->device = 3;
		others[i]->used = false;
	}
	f->g.k.refuses = -22;
	start(f);
	f->delays = true;
	for (int round = 0; round < 20; round++) {
		told(f);
		like_it(f, others[round % 2], true);
		assert_null(ours(f, &f->tunnels[round % 2]));
		assert_true(is_alive(f, &f->tunnels[round % 2]));
		like_it(f, others[round % 2], false);
		assert_non_null(ours(f, &f->tunnels[round % 2]));
		assert_true(is_alive(f, &f->tunnels[round % 2]));
	}
	for (int i = 0; i < 2; i++)
		assert_true(f->tunnels[i].ours && f->tunnels[i].kernels);
	assert_true(f->held);
}

static void test_another_daemon_in_the_midst(void **state)
{
	struct fixture *f = *state;

	start(f);
	for (int i = 0; i < 60; i++) {
		int from = rand() % (SAS - SLOTS);

		pthread_mutex_lock(&f->g.k.lock);
		for (int t = from; t < from + SLOTS; t++)
			packets(f, &f->tunnels[t], 200);
		pthread_mutex_unlock(&f->g.k.lock);
		f->g.mirror->clock_ahead += 1000000000ULL;
		xi_offload_tick(f->g.mirror);
		for (int n = rand() % 6; n > 0; n--)
			turn(f);
		if (rand() % 3)
			continue;
		ground_mirror_stop(&f->g);
		for (int t = 0; t < SAS; t++) { /* which no later daemon adopts */
			struct xi_sa_id id = id_of(&f->tunnels[t]);

			if (ours(f, &f->tunnels[t]) &&
			    ours(f, &f->tunnels[t])->sa.life & XI_SA_LARVAL)
				xi_sad_delete(f->g.sad, &id);
		}
		mirror_start(f);
		settle(f);
		assert_int_equal(figures(f).others, 0);
	}
	settle(f);
	for (int i = 0; i < SAS; i++)
		assert_true(is_alive(f, &f->tunnels[i]));
}

static void test_a_refusal_costs_nothing(void **state)
{
	struct fixture *f = *state;

	f->g.k.refuses = -22;
	start(f);
	for (int i = 0; i < SAS; i++)
		f->tunnels[i].lost = 0;
	for (int i = 0; i < 20; i++)
		second(f, 0, SLOTS);
	assert_true(f->g.k.refusals);
	for (int i = 0; i < SAS; i++) {
		assert_non_null(ours(f, &f->tunnels[i]));
		assert_int_equal(f->tunnels[i].lost, 0);
	}
}

/* There is no window that refuses every number (offload_window.c). */
static void test_esn_stays(void **state)
{
	struct fixture *f = *state;

	f->quiet = true;
	for (int i = 0; i < SAS; i++) {
		f->tunnels[i].sa->info.flags = XFRM_STATE_ESN;
		f->tunnels[i].sa->info.replay_window = 0;
		f->tunnels[i].sa->legacy = false;
		f->tunnels[i].sa->esn.bmp_len = 4;
		f->tunnels[i].sa->esn.replay_window = 128;
	}
	start(f);
	for (int s = 0; s < 20; s++) {
		for (int i = 0; i < SAS; i++)
			ours(f, &f->tunnels[i])->state->packets += 200;
		f->g.mirror->clock_ahead += 1000000000ULL;
		xi_offload_tick(f->g.mirror);
		settle(f);
	}
	assert_int_equal(f->g.k.in + f->g.k.refusals, 0);
}

/* By a port that is not ours, say: its window is never final, so it stays where it is. */
static void test_packets_that_go_on_arriving_keep_it_there(void **state)
{
	struct fixture *f = *state;
	struct tunnel *t = &f->tunnels[0];

	start(f);
	f->delays = true;
	until(f, 0, 1);
	f->aside = 1;
	for (int i = 0; i < 40 && !figures(f).others; i++)
		second(f, SLOTS, SLOTS);
	assert_int_equal(figures(f).others, 1);
	assert_true(f->asides);
	assert_int_equal(t->sa->device, KERNEL_DEVICE);
	assert_null(ours(f, t));
	assert_true(is_alive(f, t));
}

static void test_lost_with_its_device_it_accepts_nothing(void **state)
{
	struct fixture *f = *state;
	struct tunnel *t = &f->tunnels[0];

	start(f);
	until(f, 0, SLOTS);
	xi_offload_link(f->g.mirror, KERNEL_DEVICE, false);
	kernel_device_down(&f->g.k);
	settle(f);
	assert_true(t->sa->used);
	assert_int_equal(t->sa->device, 0);
	assert_int_equal(figures(f).restored, SLOTS);
	assert_int_equal(f->g.k.expires[0], SLOTS); /* soft: the key manager makes others */
	assert_int_equal(f->g.k.expires[1], 0);
	for (int i = 0; i < SLOTS; i++)
		assert_false(is_alive(f, &f->tunnels[i]));
	for (int i = 0; i < 12; i++)
		second(f, 0, SLOTS);
	assert_false(is_alive(f, t));
	assert_true(is_alive(f, &f->tunnels[SAS - 1]));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_no_number_is_accepted_twice),
		TEST(test_given_and_taken_no_number_is_accepted_twice),
		TEST(test_another_daemon_in_the_midst),
		TEST(test_a_refusal_costs_nothing),
		TEST(test_esn_stays),
		TEST(test_packets_that_go_on_arriving_keep_it_there),
		TEST(test_lost_with_its_device_it_accepts_nothing),
	};

	return cmocka_run_group_tests_name("offload_in", tests, NULL, NULL);
}
