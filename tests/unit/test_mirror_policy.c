/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policies of the kernel: which the mirror carries, what hangs together with them, and the fence.
 */
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

static void test_outbound_sa_waits_for_its_policy(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out;
	struct kernel_policy *p;
	uint64_t last;

	mirror_start(f);
	settle(f);
	out = sa_out(f, 0x1001);
	settle(f);
	assert_null(ours(f, out));
	assert_int_equal(oseq_of(out), 0);
	p = policy_out(f);
	oseq_set(out, 5); /* before it was in force here */
	settle(f);
	assert_non_null(ours(f, out));
	assert_true(ours(f, out)->state->oseq >= 5);
	last = ++ours(f, out)->state->oseq;
	policy_del(f, p);
	settle(f);
	assert_null(ours(f, out));
	assert_true(oseq_of(out) >= last);
	assert_int_equal(f->fenced, 0);
}

static void uncarried(struct mirror_bed *f, struct kernel_sa *other)
{
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t last;

	policy_out(f);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_null(ours(f, out));
	assert_null(ours(f, other));
	assert_int_equal(f->fenced, 0);
	sa_del(f, other, true);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	assert_non_null(ours(f, out));
	last = ++ours(f, out)->state->oseq;
	other = sa_out(f, 0x1003);
	other->device = 3;
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_null(ours(f, out));
	assert_true(oseq_of(out) >= last);
}

static void test_policy_stays_when_an_sa_is_not_carried(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *other;

	mirror_start(f);
	settle(f);
	other = sa_add_key(f, LOCAL, PEER, 0x1003, 1, 3, false);
	other->comp = true;
	other->info.id.proto = IPPROTO_COMP;
	sa_news(f, other, XFRM_MSG_NEWSA);
	uncarried(f, other);
}

static void test_offloaded_sa_stays(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *other;

	mirror_start(f);
	settle(f);
	other = sa_out(f, 0x1003);
	other->device = 3;
	uncarried(f, other);
}

static void test_policy_that_is_not_carried(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct kernel_policy *p = policy_out(f),
			     *in = policy_add(f, XFRM_POLICY_FWD, "10.1.2.0", "10.1.1.0", true);
	struct xi_flow flow = {.dir = XI_FWD, .proto = 17, .family = XI_IPV4};

	p->tmpl.mode = in->tmpl.mode = XFRM_MODE_BEET;
	mirror_start(f);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_null(ours(f, out));
	assert_int_equal(figures(f).policies_kept, 2);
	/* the kernel would not let it in either */
	sample_addr(flow.saddr, "10.1.2.2");
	sample_addr(flow.daddr, "10.1.1.2");
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->g.spd), &flow));
	/* its guard knows it: nothing leaves in clear while the kernel says otherwise */
	assert_int_equal(mem_store_count_guards(f->g.store), 2);
}

/* By SPD and SAD alone: what they refuse is not tried over and over. */
static void test_refused_policy_and_sa_stay(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *same;
	struct kernel_policy *p = policy_out(f);

	p->tmpl.id.proto = IPPROTO_COMP;
	mirror_start(f);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_null(ours(f, out));
	policy_del(f, p);
	settle(f);
	p = policy_out(f);
	settle(f);
	assert_non_null(ours(f, out));
	/* another SA of this sender with the same key would use nonces twice */
	same = sa_add_key(f, LOCAL, PEER, 0x1003, 1, (uint8_t)0x1001, true);
	settle(f);
	assert_null(ours(f, same));
	assert_null(ours(f, out));
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	sa_del(f, same, true);
	settle(f);
	assert_non_null(ours(f, out));
}

static void test_marked_policy_is_no_matter_of_xdp(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_policy *p = policy_out(f);

	p->mark = (struct xfrm_mark){1, 0xff};
	mirror_start(f);
	settle(f);
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT), 0);
	assert_int_equal(f->fenced, 0);
}

/* The kernel's stack must not pass by policies that nobody here knows. */
static void test_fence_is_down_while_policies_may_be_unknown(void **state)
{
	struct mirror_bed *f = *state;

	policy_out(f);
	mirror_start(f);
	assert_int_equal(f->fenced, 0); /* an earlier daemon's */
	settle(f);
	assert_int_equal(f->fenced, 1);
	policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", false);
	news_lost(f);
	turns_until(f, &f->g.mirror->figures.lost, 1);
	event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT), 1);
	assert_int_equal(f->fenced, 0);
	settle(f);
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT), 2);
	assert_int_equal(f->fenced, 1);
	ground_mirror_stop(&f->g);
	assert_int_equal(f->fenced, 0);
}

static void policy_dirty(struct mirror_bed *f, const struct kernel_policy *p)
{
	const struct xi_mirror_policy_key key = {.sel = p->info.sel, .dir = p->info.dir};

	xi_mirror_policy_dirty(f->g.mirror, &key, false);
}

static void test_fence_goes_up_when_all_is_known(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_policy *kept = policy_out(f), *more, none = {.info.dir = XFRM_POLICY_OUT};

	kept->tmpl.mode = XFRM_MODE_BEET;
	kept->tmpl.reqid = 9; /* the others' SAs are not like its own */
	mirror_start(f);
	settle(f);
	policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", true);
	settle(f);
	assert_int_equal(figures(f).policies, 1);
	assert_int_equal(f->fenced, 0);
	/* one goes, and more come than a turn looks at: the last of them is not carried */
	more = policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.4.0", false);
	more->tmpl.mode = XFRM_MODE_BEET;
	more->tmpl.reqid = 9;
	pthread_mutex_lock(&f->g.k.lock);
	kept->used = false;
	pthread_mutex_unlock(&f->g.k.lock);
	policy_dirty(f, kept);
	none.info.sel.family = AF_INET;
	for (int i = 0; i < XI_MIRROR_TURN; i++) {
		none.info.sel.daddr.a4 = htonl(0x0a020000 + i);
		policy_dirty(f, &none);
	}
	policy_dirty(f, more);
	f->fenced = -1; /* so that it shows */
	settle(f);
	assert_int_equal(f->fenced, -1);
	policy_del(f, more);
	settle(f);
	assert_int_equal(f->fenced, 1);
}

static void test_defaults_are_the_kernels(void **state)
{
	struct mirror_bed *f = *state;
	struct xi_nlmsg msg;

	f->g.k.def = (struct xfrm_userpolicy_default){.in = XFRM_USERPOLICY_BLOCK,
						    .fwd = XFRM_USERPOLICY_BLOCK,
						    .out = XFRM_USERPOLICY_BLOCK};
	mirror_start_with_policy(f);
	assert_int_equal(xi_spd_get_default(f->g.spd, XI_IN), XI_BLOCK);
	assert_int_equal(xi_spd_get_default(f->g.spd, XI_FWD), XI_BLOCK);
	assert_int_equal(xi_spd_get_default(f->g.spd, XI_OUT), XI_ALLOW);
	assert_int_equal(f->fenced, 0);
	f->g.k.def = (struct xfrm_userpolicy_default){.in = XFRM_USERPOLICY_ACCEPT,
						    .fwd = XFRM_USERPOLICY_BLOCK,
						    .out = XFRM_USERPOLICY_ACCEPT};
	xi_nlmsg_begin(&msg, XFRM_MSG_SETDEFAULT, 0, 0, 0, sizeof(f->g.k.def));
	kernel_tell(&f->g.k, &msg);
	settle(f);
	assert_int_equal(xi_spd_get_default(f->g.spd, XI_IN), XI_ALLOW);
	assert_int_equal(xi_spd_get_default(f->g.spd, XI_FWD), XI_BLOCK);
	assert_int_equal(f->fenced, 1);
}

/* A template without an address may be served by SAs of any. */
static void test_policy_of_any_peer_that_is_not_carried(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct kernel_policy *any = policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", true);

	any->tmpl.mode = XFRM_MODE_BEET;
	memset(&any->tmpl.id.daddr, 0, sizeof(any->tmpl.id.daddr));
	mirror_start_with_policy(f);
	assert_null(ours(f, out));
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	policy_del(f, any);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
}

static void test_acquire_is_asked_of_the_kernel(void **state)
{
	struct mirror_bed *f = *state;
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17, .family = XI_IPV4};
	struct xi_flow_verdict v = {0};
	const struct xi_spd_policy *p;

	mirror_start_with_policy(f);
	sample_addr(flow.saddr, "10.1.1.2");
	sample_addr(flow.daddr, "10.1.2.2");
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(f->g.spd), f->g.sad, &flow, &v, &p),
			 XI_VERDICT_NONE);
	xi_mirror_acquire(f->g.mirror, &flow, &p->policy);
	xi_mirror_acquire(f->g.mirror, &flow, &p->policy);
	assert_int_equal(f->g.k.acquires, 1);
}

/* Each leaves open what the other names: SAs of both kinds serve either. */
static void test_half_open_policies_hang_together(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct kernel_policy *p = policy_out(f), *any;

	p->tmpl.reqid = 0; /* of this peer, whatever the reqid */
	mirror_start(f);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	any = policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", false);
	any->tmpl.mode = XFRM_MODE_BEET; /* of this reqid, whatever the peer */
	any->tmpl.reqid = 9;
	memset(&any->tmpl.id.daddr, 0, sizeof(any->tmpl.id.daddr));
	news_lost(f);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_null(ours(f, out));
	policy_del(f, any);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	assert_non_null(ours(f, out));
}

/* xi_group_alone(): hardware takes none that another may stand for. */
static void test_half_open_sa_is_not_alone(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *open;
	struct kernel_policy *p = policy_out(f);
	struct xi_mirror_sa *sa;

	mirror_start(f);
	settle(f);
	assert_non_null(ours(f, out));
	assert_true(xi_group_alone(f->g.mirror, TAILQ_FIRST(&f->g.mirror->all_sas)));
	sa_del(f, out, true);
	p->tmpl.reqid = 0;
	open = sa_add_key(f, LOCAL, PEER, 0x1003, 0, 3, true);
	news_lost(f);
	settle(f);
	assert_non_null(ours(f, open));
	sa = TAILQ_FIRST(&f->g.mirror->all_sas);
	assert_int_equal(sa->id.spi, 0x1003);
	assert_false(xi_group_alone(f->g.mirror, sa));
}

/* A selector with a device or a user: no packet shows it. */
static void one_packet_does_not_show(struct mirror_bed *f, struct kernel_policy *p)
{
	struct kernel_sa *out = sa_out(f, 0x1001);

	mirror_start(f);
	settle(f);
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT), 0);
	assert_int_equal(f->fenced, 0);
	assert_null(ours(f, out));
	/* its SAs serve it alone: another policy that asks for them stays, too */
	policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.2.0", true);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_null(ours(f, out));
	policy_del(f, p);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	assert_non_null(ours(f, out));
}

static void test_policy_of_a_device(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_policy *p = policy_out(f);

	p->info.sel.ifindex = 4;
	one_packet_does_not_show(f, p);
}

/* What comes in and it wants is not known here, so it keeps no SA. */
static void test_inbound_policy_of_a_device(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_policy *p = policy_add(f, XFRM_POLICY_IN, "10.1.2.0", "10.1.1.0", true);
	struct kernel_sa *in = sa_in(f, 0x1002);

	p->info.sel.ifindex = 4;
	mirror_start(f);
	settle(f);
	assert_int_equal(xi_spd_count(f->g.spd, XI_IN), 0);
	assert_non_null(ours(f, in));
}

static void test_policy_of_a_user(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_policy *p = policy_out(f);

	p->info.sel.user = 1000;
	one_packet_does_not_show(f, p);
}

/* The linker puts it in the place of xi_spd_release(), for want of memory by order. */
static unsigned int releases_fail;
int __real_xi_spd_release(struct xi_spd *spd);
int __wrap_xi_spd_release(struct xi_spd *spd);

int __wrap_xi_spd_release(struct xi_spd *spd)
{
	int err = __real_xi_spd_release(spd);

	if (!releases_fail)
		return err;
	releases_fail--;
	return -ENOMEM;
}

/* Until policies are in force the kernel's stack looks at packets of the host, and no SA changes
 * hands. */
static void test_policies_that_cannot_be_put_in_force(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out;

	mirror_start_with_policy(f);
	assert_int_equal(f->fenced, 1);
	releases_fail = 2;
	policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", true);
	out = sa_out(f, 0x1001);
	while (releases_fail) {
		event_base_loop(f->g.base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		if (releases_fail < 2) {
			assert_true(f->g.mirror->unsure);
			assert_false(figures(f).synced);
			assert_int_equal(f->fenced, 0);
		}
		assert_null(ours(f, out));
	}
	settle(f);
	assert_false(f->g.mirror->unsure);
	assert_int_equal(f->fenced, 1);
	assert_int_equal(xi_spd_count(f->g.spd, XI_OUT), 2);
	assert_non_null(ours(f, out));
}

/* The SPD's or the SAD's store has no room, and has some later. */
static void test_policy_is_tried_again(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	mirror_start(f);
	settle(f);
	mem_store_fail(f->g.store, 1, 1000);
	policy_out(f);
	settle(f);
	assert_null(ours(f, out));
	assert_int_equal(figures(f).policies, 0);
	assert_int_equal(f->fenced, 0);
	mem_store_fail(f->g.store, 0, 0);
	retries(f, 1);
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	assert_non_null(ours(f, out));
	assert_int_equal(f->fenced, 1);
}

/* xfrm_state_find(): an SA whose mark has the value 0 serves policies without one, another's do
 * not. */
static void test_marked_sa_stays(void **state)
{
	struct mirror_bed *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *marked;

	mirror_start_with_policy(f);
	assert_non_null(ours(f, out));
	marked = sa_add_key(f, LOCAL, PEER, 0x1003, 1, 3, false);
	marked->mark = (struct xfrm_mark){7, 0xff};
	sa_news(f, marked, XFRM_MSG_NEWSA);
	settle(f);
	assert_null(ours(f, marked));
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	assert_non_null(ours(f, out));
	sa_del(f, marked, true);
	marked = sa_add_key(f, LOCAL, PEER, 0x1005, 1, 5, false);
	marked->mark = (struct xfrm_mark){0, 0xff};
	sa_news(f, marked, XFRM_MSG_NEWSA);
	settle(f);
	assert_null(ours(f, marked));
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	assert_null(ours(f, out));
	sa_del(f, marked, true);
	settle(f);
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
	assert_non_null(ours(f, out));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, mirror_setup, mirror_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_outbound_sa_waits_for_its_policy),
		TEST(test_policy_stays_when_an_sa_is_not_carried),
		TEST(test_offloaded_sa_stays),
		TEST(test_policy_that_is_not_carried),
		TEST(test_refused_policy_and_sa_stay),
		TEST(test_marked_policy_is_no_matter_of_xdp),
		TEST(test_fence_is_down_while_policies_may_be_unknown),
		TEST(test_fence_goes_up_when_all_is_known),
		TEST(test_defaults_are_the_kernels),
		TEST(test_policy_of_any_peer_that_is_not_carried),
		TEST(test_acquire_is_asked_of_the_kernel),
		TEST(test_half_open_policies_hang_together),
		TEST(test_half_open_sa_is_not_alone),
		TEST(test_policy_of_a_device),
		TEST(test_inbound_policy_of_a_device),
		TEST(test_policy_of_a_user),
		TEST(test_policies_that_cannot_be_put_in_force),
		TEST(test_policy_is_tried_again),
		TEST(test_marked_sa_stays),
	};

	return cmocka_run_group_tests_name("mirror policy", tests, NULL, NULL);
}
