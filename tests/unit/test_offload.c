/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs on demand in a device with few places, against a small model of the kernel's XFRM
 * (tests/lib/kernel.h), which knows each number that went out.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "mirror_ground.h"

#define SAS 20
#define SLOTS 4
#define BORN 1700000000

struct fixture {
	struct mirror_ground g;
	uint32_t slots, able;
	uint64_t clear, held;
};

static uint32_t route(void *arg, const struct xi_sa *sa, bool outbound)
{
	return sa->id.family == XI_IPV4 ? KERNEL_DEVICE : 0;
}

static uint32_t able(void *arg, const char *name)
{
	const struct fixture *f = arg;

	assert_string_equal(name, "wan0");
	return f->able;
}

static void mirror_start(struct fixture *f)
{
	const struct xi_offload_port port = {.name = "wan0", .slots = f->slots};
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

static void sad_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	ground_sa_changed(&f->g, old, new);
}

static void sad_synced(void *arg)
{
	struct fixture *f = arg;

	xi_spd_sas_changed(f->g.spd);
}

/* Policy i: to 10.2.i.0/24, by the SA with reqid i + 1. */
static void policy_set(struct kernel_policy *p, int i)
{
	memset(p, 0, sizeof(*p));
	p->used = true;
	p->info.dir = XFRM_POLICY_OUT;
	p->info.priority = 100;
	p->info.sel.family = AF_INET;
	p->info.sel.prefixlen_d = 24;
	p->info.sel.daddr.a4 = htonl(0x0a020000 + (i << 8));
	p->info.lft.soft_byte_limit = p->info.lft.hard_byte_limit = XFRM_INF;
	p->info.lft.soft_packet_limit = p->info.lft.hard_packet_limit = XFRM_INF;
	p->tmpl = (struct xfrm_user_tmpl){.id.proto = IPPROTO_ESP,
					  .family = AF_INET,
					  .reqid = i + 1,
					  .mode = XFRM_MODE_TUNNEL,
					  .aalgos = ~0U,
					  .ealgos = ~0U,
					  .calgos = ~0U};
	p->tmpl.id.daddr.a4 = htonl(0xc0000202 + i);
	inet_pton(AF_INET, LOCAL, &p->tmpl.saddr);
}

static void tunnel_add(struct fixture *f, int i)
{
	struct kernel_sa *sa = &f->g.k.sas[i];

	*sa = (struct kernel_sa){.used = true, .legacy = true};
	memset(sa->key, 0x40 + i, sizeof(sa->key));
	sa->info.family = AF_INET;
	sa->info.mode = XFRM_MODE_TUNNEL;
	sa->info.reqid = i + 1;
	sa->info.id.spi = htonl(0x101 + i);
	sa->info.id.proto = IPPROTO_ESP;
	sa->info.replay_window = 32;
	sa->info.id.daddr.a4 = htonl(0xc0000202 + i);
	inet_pton(AF_INET, LOCAL, &sa->info.saddr);
	sa->info.lft.soft_byte_limit = sa->info.lft.hard_byte_limit = XFRM_INF;
	sa->info.lft.soft_packet_limit = sa->info.lft.hard_packet_limit = XFRM_INF;
	sa->info.curlft.add_time = BORN;
	policy_set(&f->g.k.policies[i], i);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->able = KERNEL_DEVICE;
	f->g.k.slots = SLOTS;
	ground_make(&f->g, &(struct xi_sad_listener){.changed = sad_changed, .sync = sad_synced, .arg = f});
	for (int i = 0; i < SAS; i++)
		tunnel_add(f, i);
	kernel_start(&f->g.k);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

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

static void settle(struct fixture *f)
{
	uint64_t until = now_ms() + 20000;
	struct xi_mirror_figures figs;
	struct pollfd pfd = {.fd = f->g.mirror->news_fd, .events = POLLIN};

	do {
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(now_ms() < until);
		xi_mirror_figures(f->g.mirror, &figs);
	} while (poll(&pfd, 1, 0) || !figs.synced);
}

static const struct xi_sa_rec *ours(const struct fixture *f, int i)
{
	const struct kernel_sa *sa = &f->g.k.sas[i];
	struct xi_sa_id id = {.spi = 0x101 + i, .proto = XI_ESP, .family = XI_IPV4};

	memcpy(id.daddr, &sa->info.id.daddr.a4, 4);
	return xi_sad_find(f->g.sad, &id);
}

/* Whoever has the SA of tunnel i sends n packets; their numbers must ascend. */
static void send_some(struct fixture *f, int i, uint32_t n)
{
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17, .family = XI_IPV4};
	struct xi_flow_verdict v = {0};
	struct kernel_sa *sa = &f->g.k.sas[i];
	const struct xi_sa_rec *rec = ours(f, i);
	char addr[32];
	int verdict;

	sample_addr(flow.saddr, "10.1.1.2");
	snprintf(addr, sizeof(addr), "10.2.%d.2", i);
	sample_addr(flow.daddr, addr);
	verdict = xi_spd_judge_out(xi_spd_snapshot(f->g.spd), f->g.sad, &flow, &v, NULL);
	pthread_mutex_lock(&f->g.k.lock);
	if (verdict == XI_VERDICT_PROTECT && rec) {
		assert_true(rec->state->oseq + 1 > sa->sent);
		assert_true(rec->state->oseq + n <= rec->state->oseq_limit);
		rec->state->oseq += n;
		rec->state->packets += n;
		sa->sent = rec->state->oseq;
	} else if (verdict == XI_VERDICT_KERNEL && sa->used) {
		assert_null(rec);
		assert_true(oseq_of(sa) + 1 > sa->sent);
		oseq_set(sa, oseq_of(sa) + n);
		sa->info.curlft.packets += n;
		sa->sent = oseq_of(sa);
	} else if (verdict == XI_VERDICT_PROTECT || verdict == XI_VERDICT_KERNEL ||
		   verdict == XI_VERDICT_NONE) { /* the kernel drops what it has no SA for */
		f->held += n;
	} else {
		f->clear += n;
	}
	pthread_mutex_unlock(&f->g.k.lock);
}

/* A second, in which tunnels `from` to `from` + n - 1 are busy: ten times as many packets. */
static void second(struct fixture *f, int from, int n)
{
	for (int i = 0; i < SAS; i++)
		send_some(f, i, i >= from && i < from + n ? 200 : 20);
	f->g.mirror->clock_ahead += 1000000000ULL;
	xi_offload_tick(f->g.mirror);
	/* in the midst of it, too */
	for (int k = 0; k < 6; k++) {
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		for (int i = 0; i < SAS; i++)
			send_some(f, i, 1);
	}
	settle(f);
}

static bool all_on_device(const struct fixture *f, int from, int n)
{
	for (int i = from; i < from + n; i++)
		if (!f->g.k.sas[i].device)
			return false;
	return true;
}

static void start(struct fixture *f)
{
	mirror_start(f);
	settle(f);
}

static int until(struct fixture *f, int from, int n, int limit)
{
	int s;

	for (s = 0; s < limit && !all_on_device(f, from, n); s++)
		second(f, from, n);
	assert_true(s < limit);
	return s;
}

static void test_the_busiest_are_in_and_the_set_follows(void **state)
{
	struct fixture *f = *state;
	uint64_t moves;

	start(f);
	until(f, 3, SLOTS, 60);
	assert_int_equal(figures(f).sas, SLOTS);
	for (int i = 0; i < 40; i++)
		second(f, 3, SLOTS);
	assert_int_equal(figures(f).slots, SLOTS);
	assert_true(all_on_device(f, 3, SLOTS));
	moves = figures(f).in;
	for (int i = 0; i < 30; i++)
		second(f, 3, SLOTS);
	assert_in_range(figures(f).in, moves, moves + 1); /* equals do not displace equals */
	until(f, 12, SLOTS, 120);
	for (int i = 0; i < SAS; i++)
		assert_true(f->g.k.sas[i].used);
	assert_int_equal(f->clear, 0);
	assert_int_equal(f->held, 0);
	assert_int_equal(f->g.k.dels_alone, 0);
	assert_int_equal(f->g.mirror->figures.strays, 0);
}

/* However fast the busy ones change: at most so many moves a second, and nobody before ten of them.
 */
static void test_thrashing_is_bounded(void **state)
{
	struct fixture *f = *state;
	uint64_t before;

	start(f);
	until(f, 0, SLOTS, 60);
	before = figures(f).in;
	for (int i = 0; i < 60; i++)
		second(f, i * 5 % (SAS - SLOTS), SLOTS);
	/* each place six times in a minute at most, and a try for more now and then */
	assert_true(figures(f).in - before <= SLOTS * 6 + 4);
	assert_int_equal(f->clear, 0);
}

static void test_a_full_device_is_not_asked_over_and_over(void **state)
{
	struct fixture *f = *state;

	f->g.k.slots = 0;
	start(f);
	for (int i = 0; i < 50; i++)
		second(f, 0, SLOTS);
	assert_int_equal(f->g.k.refusals, 1);
	assert_int_equal(figures(f).sas, 0);
	f->g.k.slots = 2;
	until(f, 0, 2, 600);
}

static void test_a_refused_kind_is_remembered(void **state)
{
	struct fixture *f = *state;

	f->g.k.refuses = -EINVAL;
	start(f);
	for (int i = 0; i < 20; i++)
		second(f, 0, SLOTS);
	/* those of one round were under way */
	assert_in_range(f->g.k.refusals, 1, SAS);
	assert_int_equal(figures(f).kinds, 1);
	assert_int_equal(f->g.mirror->figures.strays, 0);
	f->g.k.refusals = 0;
	for (int i = 0; i < 100; i++)
		second(f, 0, SLOTS);
	assert_int_equal(f->g.k.refusals, 0);
	for (int i = 0; i < SAS; i++)
		assert_non_null(ours(f, i));
}

static void test_one_refused_sa_is_not_its_kind(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, 2, 60);
	f->g.k.refuses_spi = 0x101 + 2;
	for (int i = 0; i < 100; i++)
		second(f, 0, SLOTS + 1);
	assert_int_equal(figures(f).kinds, 0);
	assert_false(f->g.k.sas[2].device);
	assert_true(f->g.k.sas[0].device);
	assert_non_null(ours(f, 2));
}

static void test_software_in_disguise_is_a_refusal(void **state)
{
	struct fixture *f = *state;

	f->g.k.mute = true;
	start(f);
	for (int i = 0; i < 30; i++)
		second(f, 0, SLOTS);
	assert_int_equal(figures(f).sas, 0);
	assert_int_equal(figures(f).kinds, 1);
	for (int i = 0; i < SAS; i++)
		assert_non_null(ours(f, i));
}

static void test_the_kernel_does_not_take_it_back_at_once(void **state)
{
	struct fixture *f = *state;

	f->g.k.refuses = -EINVAL;
	f->g.k.refuse_back = 1;
	start(f);
	for (int i = 0; i < 10; i++)
		second(f, 0, SLOTS);
	assert_int_equal(f->g.k.refuse_back, 0);
	for (int i = 0; i < SAS; i++)
		assert_true(f->g.k.sas[i].used);
}

static void test_the_key_managers_stay(void **state)
{
	struct fixture *f = *state;

	f->g.k.sas[9].device = KERNEL_DEVICE;
	start(f);
	until(f, 0, SLOTS - 1, 60);
	for (int i = 0; i < 30; i++)
		second(f, 0, SLOTS);
	assert_int_equal(f->g.k.sas[9].device, KERNEL_DEVICE);
	assert_int_equal(figures(f).others, 1);
	assert_int_equal(figures(f).slots, SLOTS - 1);
	assert_int_equal(figures(f).sas, SLOTS - 1);
}

static void test_configured_slots(void **state)
{
	struct fixture *f = *state;

	f->slots = 2;
	start(f);
	until(f, 5, 2, 60);
	for (int i = 0; i < 80; i++)
		second(f, 5, 4);
	assert_int_equal(kernel_on_device(&f->g.k), 2);
	assert_int_equal(f->g.k.refusals, 0);
}

/* DELSA of the key manager, and another SA for the same policy. */
static void test_deleted_and_rekeyed(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, SLOTS, 60);
	pthread_mutex_lock(&f->g.k.lock);
	f->g.k.sas[1].used = false;
	f->g.k.sas[1].device = 0;
	kernel_news_sa(&f->g.k, &f->g.k.sas[1], XFRM_MSG_DELSA);
	pthread_mutex_unlock(&f->g.k.lock);
	settle(f);
	assert_int_equal(figures(f).sas, SLOTS - 1);
	pthread_mutex_lock(&f->g.k.lock);
	tunnel_add(f, 1);
	memset(f->g.k.sas[1].key, 0x99, 20);
	kernel_news_sa(&f->g.k, &f->g.k.sas[1], XFRM_MSG_NEWSA);
	pthread_mutex_unlock(&f->g.k.lock);
	settle(f);
	assert_non_null(ours(f, 1)); /* not there at first */
	until(f, 0, SLOTS, 120);
}

/* After it was looked at, and before it was moved. */
static void test_deleted_meanwhile_it_stays_so(void **state)
{
	struct fixture *f = *state;

	start(f);
	f->g.k.vanish_early = true;
	for (int i = 0; i < 20; i++)
		second(f, 0, SLOTS);
	assert_non_null(f->g.k.vanished);
	assert_false(f->g.k.vanished->used);
	assert_null(ours(f, (int)(f->g.k.vanished - f->g.k.sas)));
	assert_int_equal(kernel_on_device(&f->g.k), SLOTS);
}

/* The old one is in hardware; it does not keep the new one with the kernel. */
static void test_a_second_sa_brings_both_here(void **state)
{
	struct fixture *f = *state;

	f->g.k.sas[19].used = f->g.k.policies[19].used = false;
	start(f);
	until(f, 0, SLOTS, 60);
	pthread_mutex_lock(&f->g.k.lock);
	tunnel_add(f, 19);
	f->g.k.policies[19].used = false;
	f->g.k.sas[19].info.reqid = f->g.k.sas[0].info.reqid;
	f->g.k.sas[19].info.id.daddr = f->g.k.sas[0].info.id.daddr;
	kernel_news_sa(&f->g.k, &f->g.k.sas[19], XFRM_MSG_NEWSA);
	pthread_mutex_unlock(&f->g.k.lock);
	settle(f);
	for (int i = 0; i < 3; i++)
		second(f, 0, SLOTS);
	assert_int_equal(f->g.k.sas[0].device, 0);
	assert_non_null(ours(f, 0));
	assert_non_null(ours(f, 19));
	for (int i = 0; i < 60; i++)
		second(f, 0, SLOTS);
	assert_int_equal(f->g.k.sas[0].device, 0); /* as long as there are two */
}

static void test_feature_off_takes_all_out(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, SLOTS, 60);
	f->able = 0;
	for (int i = 0; i < 20; i++)
		second(f, 0, SLOTS);
	assert_int_equal(kernel_on_device(&f->g.k), 0);
	assert_int_equal(figures(f).sas, 0);
	for (int i = 0; i < SAS; i++)
		assert_non_null(ours(f, i));
	assert_int_equal(f->clear, 0);
}

static void test_another_daemon_knows_its_own(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, SLOTS, 60);
	ground_mirror_stop(&f->g);
	assert_int_equal(kernel_on_device(&f->g.k), SLOTS);
	mirror_start(f);
	settle(f);
	for (int i = 0; i < 10; i++)
		second(f, 0, SLOTS);
	assert_int_equal(figures(f).others, 0);
	assert_int_equal(figures(f).sas, SLOTS);
	until(f, 12, SLOTS, 120);
	assert_int_equal(f->clear, 0);
}

static void device_lost(struct fixture *f, bool news_first)
{
	if (news_first) { /* as Linux does */
		xi_offload_link(f->g.mirror, KERNEL_DEVICE, false);
		settle(f);
	}
	kernel_device_down(&f->g.k);
	if (!news_first)
		xi_offload_link(f->g.mirror, KERNEL_DEVICE, false);
	settle(f);
}

static void lost_and_found(struct fixture *f, bool news_first)
{
	uint64_t sent[SLOTS];

	start(f);
	until(f, 0, SLOTS, 60);
	for (int i = 0; i < SLOTS; i++) {
		send_some(f, i, 100000); /* since it was last looked at */
		sent[i] = f->g.k.sas[i].sent;
	}
	device_lost(f, news_first);
	f->able = 0;
	for (int i = 0; i < 3; i++)
		second(f, 0, SLOTS); /* in which numbers must ascend */
	assert_int_equal(figures(f).restored, SLOTS);
	for (int i = 0; i < SLOTS; i++) {
		assert_true(f->g.k.sas[i].used);
		assert_int_equal(f->g.k.sas[i].device, 0);
		assert_int_equal(f->g.k.sas[i].key[0], 0x40 + i);
		assert_non_null(ours(f, i));
		assert_true(f->g.k.sas[i].sent > sent[i]);
	}
	f->able = KERNEL_DEVICE;
	xi_offload_link(f->g.mirror, KERNEL_DEVICE, true);
	until(f, 0, SLOTS, 120);
	assert_int_equal(figures(f).restored, SLOTS);
	assert_int_equal(f->clear, 0);
}

static void test_lost_with_its_device_it_comes_back(void **state)
{
	lost_and_found(*state, false);
}

static void test_link_news_come_before_the_loss(void **state)
{
	lost_and_found(*state, true);
}

/* Down and up before anybody looked. */
static void test_a_short_loss_is_noticed(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, SLOTS, 60);
	kernel_device_down(&f->g.k);
	xi_offload_link(f->g.mirror, KERNEL_DEVICE, false);
	xi_offload_link(f->g.mirror, KERNEL_DEVICE, true);
	second(f, 0, SLOTS);
	assert_int_equal(figures(f).restored, SLOTS);
	until(f, 0, SLOTS, 120);
	/* that is over: what goes now went for another reason */
	kernel_device_down(&f->g.k);
	for (int i = 0; i < 3; i++)
		second(f, 0, SLOTS);
	assert_int_equal(figures(f).restored, SLOTS);
}

/* The key manager's own deletion, while the device is down, is final. */
static void test_what_was_deleted_does_not_come_back(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, SLOTS, 60);
	xi_offload_link(f->g.mirror, KERNEL_DEVICE, false);
	settle(f);
	pthread_mutex_lock(&f->g.k.lock);
	f->g.k.sas[1].used = false;
	f->g.k.sas[1].device = 0;
	kernel_news_sa(&f->g.k, &f->g.k.sas[1], XFRM_MSG_DELSA);
	pthread_mutex_unlock(&f->g.k.lock);
	settle(f);
	for (int i = 0; i < 3; i++)
		second(f, 0, SLOTS);
	assert_false(f->g.k.sas[1].used);
	assert_int_equal(figures(f).restored, 0);
}

/* And without news of a link so is any. */
static void test_gone_without_news_of_a_link(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, SLOTS, 60);
	kernel_device_down(&f->g.k);
	for (int i = 0; i < 3; i++)
		second(f, 0, SLOTS);
	for (int i = 0; i < SLOTS; i++)
		assert_false(f->g.k.sas[i].used);
}

/* Moves and losses must not use an SA's numbers up. */
static void test_too_few_numbers_are_left(void **state)
{
	struct fixture *f = *state;

	start(f);
	until(f, 0, SLOTS, 60);
	pthread_mutex_lock(&f->g.k.lock);
	oseq_set(&f->g.k.sas[0], UINT32_MAX / 2 + 2);
	pthread_mutex_unlock(&f->g.k.lock);
	second(f, 0, SLOTS);
	device_lost(f, false);
	assert_int_equal(figures(f).restored, SLOTS - 1);
	assert_false(f->g.k.sas[0].used);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_the_busiest_are_in_and_the_set_follows),
		TEST(test_thrashing_is_bounded),
		TEST(test_a_full_device_is_not_asked_over_and_over),
		TEST(test_a_refused_kind_is_remembered),
		TEST(test_one_refused_sa_is_not_its_kind),
		TEST(test_software_in_disguise_is_a_refusal),
		TEST(test_the_kernel_does_not_take_it_back_at_once),
		TEST(test_the_key_managers_stay),
		TEST(test_configured_slots),
		TEST(test_deleted_and_rekeyed),
		TEST(test_deleted_meanwhile_it_stays_so),
		TEST(test_a_second_sa_brings_both_here),
		TEST(test_feature_off_takes_all_out),
		TEST(test_another_daemon_knows_its_own),
		TEST(test_lost_with_its_device_it_comes_back),
		TEST(test_link_news_come_before_the_loss),
		TEST(test_a_short_loss_is_noticed),
		TEST(test_what_was_deleted_does_not_come_back),
		TEST(test_gone_without_news_of_a_link),
		TEST(test_too_few_numbers_are_left),
	};

	return cmocka_run_group_tests_name("offload", tests, NULL, NULL);
}
