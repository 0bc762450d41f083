/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mirror against a small model of the kernel's XFRM (tests/lib/kernel.h). */
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
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "kernel.h"
#include "mem_store.h"
#include "source/mirror_int.h"

#define LOCAL "192.0.2.1"
#define PEER "192.0.2.2"
#define BORN 1700000000 /* add_time of the model's SAs */

struct fixture {
	struct kernel k;
	struct event_base *base;
	struct mem_store *store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_mirror *mirror;
	int fenced;
	unsigned int sent_ours, sent_kernel;
	bool strict, told_first;
	unsigned int early, late; /* inbound SAs that were here without their policy */
};

static int kernel_open(void *arg, uint32_t groups)
{
	struct fixture *f = arg;

	return kernel_connect(&f->k, groups);
}

static void fence(void *arg, bool up)
{
	struct fixture *f = arg;

	f->fenced = up;
}

static void mirror_start(struct fixture *f)
{
	const struct xi_mirror_config config = {.base = f->base,
						.sad = f->sad,
						.spd = f->spd,
						.open = kernel_open,
						.fence = fence,
						.arg = f};

	assert_int_equal(xi_mirror_create(&f->mirror, &config), 0);
}

static void mirror_stop(struct fixture *f)
{
	xi_mirror_destroy(f->mirror);
	f->mirror = NULL;
	kernel_disconnect(&f->k);
}

static void sad_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	f->early += f->strict &&
		    new &&xi_spd_is_local(xi_spd_snapshot(f->spd), new->sa.id.daddr, XI_IPV4) &&
		    !xi_spd_count(f->spd, XI_IN);
	f->late += f->strict && old &&
		   xi_spd_is_local(xi_spd_snapshot(f->spd), old->sa.id.daddr, XI_IPV4) &&
		   !xi_spd_count(f->spd, XI_IN);
	if (old)
		xi_spd_sa_changed(f->spd, &old->sa);
	if (new)
		xi_spd_sa_changed(f->spd, &new->sa);
}

static void sad_synced(void *arg)
{
	struct fixture *f = arg;

	xi_spd_sas_changed(f->spd);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xi_sad_config config = {.carries = xi_datapath_carries};
	struct xi_addr local = {0};

	f->fenced = -1;
	f->store = mem_store_new(64, 4);
	f->base = event_base_new();
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->store->store), 0);
	assert_int_equal(xi_spd_create(&f->spd, f->sad, &f->store->store), 0);
	xi_sad_listen(f->sad, &(struct xi_sad_listener){sad_changed, sad_synced, f});
	local.family = sample_addr(local.addr, LOCAL);
	assert_int_equal(xi_spd_set_local(f->spd, &local, 1), 0);
	kernel_start(&f->k);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->mirror)
		mirror_stop(f);
	kernel_stop(&f->k);
	xi_spd_destroy(f->spd);
	xi_sad_destroy(f->sad);
	event_base_free(f->base);
	mem_store_free(f->store);
	free(f);
	return 0;
}

/* The model's side: these tell the mirror, if they are to. */
static struct kernel_sa *sa_add_key(struct fixture *f, const char *src, const char *dst,
				    uint32_t spi, uint32_t reqid, uint8_t key, bool news)
{
	struct kernel_sa *sa = f->k.sas;
	struct xi_nlmsg msg;

	pthread_mutex_lock(&f->k.lock);
	while (sa->used)
		sa++;
	assert_true(sa < f->k.sas + KERNEL_SAS);
	memset(sa, 0, sizeof(*sa));
	sa->used = true;
	memset(sa->key, key, sizeof(sa->key));
	sa->info.family = AF_INET;
	sa->info.mode = XFRM_MODE_TUNNEL;
	sa->info.reqid = reqid;
	sa->info.id.spi = htonl(spi);
	sa->info.id.proto = IPPROTO_ESP;
	inet_pton(AF_INET, src, &sa->info.saddr);
	inet_pton(AF_INET, dst, &sa->info.id.daddr);
	sa->info.lft.soft_byte_limit = sa->info.lft.hard_byte_limit = XFRM_INF;
	sa->info.lft.soft_packet_limit = sa->info.lft.hard_packet_limit = XFRM_INF;
	sa->info.curlft.add_time = BORN;
	sa->info.flags = XFRM_STATE_ESN;
	sa->esn.bmp_len = 4;
	sa->esn.replay_window = 128;
	kernel_put_sa(&msg, XFRM_MSG_NEWSA, 0, 0, sa);
	pthread_mutex_unlock(&f->k.lock);
	if (news)
		kernel_tell(&f->k, &msg);
	return sa;
}

static void sa_news(struct fixture *f, const struct kernel_sa *sa, uint16_t type)
{
	kernel_news_sa(&f->k, sa, type);
}

static struct kernel_sa *sa_out(struct fixture *f, uint32_t spi)
{
	return sa_add_key(f, LOCAL, PEER, spi, 1, (uint8_t)spi, true);
}

static struct kernel_sa *sa_in(struct fixture *f, uint32_t spi)
{
	return sa_add_key(f, PEER, LOCAL, spi, 1, (uint8_t)spi, true);
}

static void sa_del(struct fixture *f, struct kernel_sa *sa, bool news)
{
	pthread_mutex_lock(&f->k.lock);
	sa->used = false;
	pthread_mutex_unlock(&f->k.lock);
	if (news)
		sa_news(f, sa, XFRM_MSG_DELSA);
}

static struct kernel_policy *policy_add(struct fixture *f, int dir, const char *src,
					const char *dst, bool news)
{
	struct kernel_policy *p = f->k.policies;
	struct xi_nlmsg msg;

	pthread_mutex_lock(&f->k.lock);
	while (p->used)
		p++;
	assert_true(p < f->k.policies + KERNEL_SAS);
	memset(p, 0, sizeof(*p));
	p->used = true;
	p->info.dir = dir;
	p->info.priority = 100;
	p->info.sel.family = AF_INET;
	p->info.sel.prefixlen_s = p->info.sel.prefixlen_d = 24;
	inet_pton(AF_INET, src, &p->info.sel.saddr);
	inet_pton(AF_INET, dst, &p->info.sel.daddr);
	p->info.lft.soft_byte_limit = p->info.lft.hard_byte_limit = XFRM_INF;
	p->info.lft.soft_packet_limit = p->info.lft.hard_packet_limit = XFRM_INF;
	p->tmpl.id.proto = IPPROTO_ESP;
	p->tmpl.family = AF_INET;
	p->tmpl.reqid = 1;
	p->tmpl.mode = XFRM_MODE_TUNNEL;
	p->tmpl.aalgos = p->tmpl.ealgos = p->tmpl.calgos = ~0U;
	inet_pton(AF_INET, dir == XFRM_POLICY_OUT ? LOCAL : PEER, &p->tmpl.saddr);
	inet_pton(AF_INET, dir == XFRM_POLICY_OUT ? PEER : LOCAL, &p->tmpl.id.daddr);
	kernel_put_policy(&msg, XFRM_MSG_NEWPOLICY, 0, 0, p);
	pthread_mutex_unlock(&f->k.lock);
	if (news)
		kernel_tell(&f->k, &msg);
	return p;
}

static struct kernel_policy *policy_out(struct fixture *f)
{
	return policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.2.0", true);
}

static void policy_del(struct fixture *f, struct kernel_policy *p)
{
	struct xfrm_userpolicy_id *id;
	struct xi_nlmsg msg;

	id = xi_nlmsg_begin(&msg, XFRM_MSG_DELPOLICY, 0, 0, 0, sizeof(*id));
	id->dir = p->info.dir;
	id->sel = p->info.sel;
	xi_nlmsg_put(&msg, XFRMA_POLICY, &p->info, sizeof(p->info));
	pthread_mutex_lock(&f->k.lock);
	p->used = false;
	pthread_mutex_unlock(&f->k.lock);
	kernel_tell(&f->k, &msg);
}

static void news_lost(struct fixture *f)
{
	static uint8_t big[XI_MIRROR_DATAGRAM + 4];

	assert_int_equal(send(f->k.fds[0], big, sizeof(big), 0), sizeof(big));
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

static int unread(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0);
}

static struct xi_mirror_figures figures(const struct fixture *f)
{
	struct xi_mirror_figures figs;

	xi_mirror_figures(f->mirror, &figs);
	return figs;
}

/* Until the mirror has seen to all that it was told. */
static void settle(struct fixture *f)
{
	uint64_t until = now_ms() + 10000;

	do {
		event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(now_ms() < until);
	} while (unread(f->mirror->news_fd) || !figures(f).synced);
}

static struct xi_sa_id id_of(const struct kernel_sa *sa)
{
	struct xi_sa_id id = {.spi = ntohl(sa->info.id.spi), .proto = XI_ESP, .family = XI_IPV4};

	memcpy(id.daddr, &sa->info.id.daddr.a4, 4);
	return id;
}

static const struct xi_sa_rec *ours(const struct fixture *f, const struct kernel_sa *sa)
{
	struct xi_sa_id id = id_of(sa);

	return xi_sad_find(f->sad, &id);
}

static enum xi_verdict verdict(const struct fixture *f)
{
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17, .family = XI_IPV4};
	struct xi_flow_verdict v = {0};

	sample_addr(flow.saddr, "10.1.1.2");
	sample_addr(flow.daddr, "10.1.2.2");
	return xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &flow, &v, NULL);
}

/* --- */

static void test_takes_over_what_a_dump_names(void **state)
{
	struct fixture *f = *state;
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

static void test_outbound_sa_waits_for_its_policy(void **state)
{
	struct fixture *f = *state;
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

static void uncarried(struct fixture *f, struct kernel_sa *other)
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	struct kernel_sa *other;

	mirror_start(f);
	settle(f);
	other = sa_out(f, 0x1003);
	other->device = 3;
	uncarried(f, other);
}

static void test_policy_that_is_not_carried(void **state)
{
	struct fixture *f = *state;
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
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &flow));
	/* its guard knows it: nothing leaves in clear while the kernel says otherwise */
	assert_int_equal(mem_store_count_guards(f->store), 2);
}

/* By SPD and SAD alone: what they refuse is not tried over and over. */
static void test_refused_policy_and_sa_stay(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	struct kernel_policy *p = policy_out(f);

	p->mark = (struct xfrm_mark){1, 0xff};
	mirror_start(f);
	settle(f);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 0);
	assert_int_equal(f->fenced, 0);
}

static void test_larval_sas_say_nothing(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *larval = sa_out(f, 0x1003);

	larval->larval = true;
	policy_out(f);
	mirror_start(f);
	settle(f);
	assert_non_null(ours(f, out));
	assert_null(ours(f, larval));
	assert_int_equal(figures(f).sas_kept, 0);
}

static void test_lost_news_are_made_up_for(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002), *late;
	struct kernel_policy *fwd = policy_add(f, XFRM_POLICY_FWD, "10.1.2.0", "10.1.1.0", true);

	policy_out(f);
	mirror_start(f);
	settle(f);
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
	assert_int_equal(xi_spd_count(f->spd, XI_FWD), 0);
	assert_non_null(ours(f, late));
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 2);
	assert_int_equal(figures(f).lost, 1);
	assert_int_equal(figures(f).resyncs, 2);
}

static void turns_until(struct fixture *f, const uint64_t *figure, uint64_t value)
{
	uint64_t until = now_ms() + 10000;

	while (*figure < value) {
		event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
		assert_true(now_ms() < until);
	}
}

/* The kernel's stack must not pass by policies that nobody here knows. */
static void test_fence_is_down_while_policies_may_be_unknown(void **state)
{
	struct fixture *f = *state;

	policy_out(f);
	mirror_start(f);
	assert_int_equal(f->fenced, 0); /* an earlier daemon's */
	settle(f);
	assert_int_equal(f->fenced, 1);
	policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", false);
	news_lost(f);
	turns_until(f, &f->mirror->figures.lost, 1);
	event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 1);
	assert_int_equal(f->fenced, 0);
	settle(f);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 2);
	assert_int_equal(f->fenced, 1);
	mirror_stop(f);
	assert_int_equal(f->fenced, 0);
}

static void policy_dirty(struct fixture *f, const struct kernel_policy *p)
{
	const struct xi_mirror_policy_key key = {.sel = p->info.sel, .dir = p->info.dir};

	xi_mirror_policy_dirty(f->mirror, &key, false);
}

static void test_fence_goes_up_when_all_is_known(void **state)
{
	struct fixture *f = *state;
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
	pthread_mutex_lock(&f->k.lock);
	kept->used = false;
	pthread_mutex_unlock(&f->k.lock);
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
	struct fixture *f = *state;
	struct xi_nlmsg msg;

	f->k.def = (struct xfrm_userpolicy_default){.in = XFRM_USERPOLICY_BLOCK,
						    .fwd = XFRM_USERPOLICY_BLOCK,
						    .out = XFRM_USERPOLICY_BLOCK};
	policy_out(f);
	mirror_start(f);
	settle(f);
	assert_int_equal(xi_spd_get_default(f->spd, XI_IN), XI_BLOCK);
	assert_int_equal(xi_spd_get_default(f->spd, XI_FWD), XI_BLOCK);
	assert_int_equal(xi_spd_get_default(f->spd, XI_OUT), XI_ALLOW);
	assert_int_equal(f->fenced, 0);
	f->k.def = (struct xfrm_userpolicy_default){.in = XFRM_USERPOLICY_ACCEPT,
						    .fwd = XFRM_USERPOLICY_BLOCK,
						    .out = XFRM_USERPOLICY_ACCEPT};
	xi_nlmsg_begin(&msg, XFRM_MSG_SETDEFAULT, 0, 0, 0, sizeof(f->k.def));
	kernel_tell(&f->k, &msg);
	settle(f);
	assert_int_equal(xi_spd_get_default(f->spd, XI_IN), XI_ALLOW);
	assert_int_equal(xi_spd_get_default(f->spd, XI_FWD), XI_BLOCK);
	assert_int_equal(f->fenced, 1);
}

/* A template without an address may be served by SAs of any. */
static void test_policy_of_any_peer_that_is_not_carried(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct kernel_policy *any = policy_add(f, XFRM_POLICY_OUT, "10.1.1.0", "10.1.3.0", true);

	any->tmpl.mode = XFRM_MODE_BEET;
	memset(&any->tmpl.id.daddr, 0, sizeof(any->tmpl.id.daddr));
	policy_out(f);
	mirror_start(f);
	settle(f);
	assert_null(ours(f, out));
	assert_int_equal(verdict(f), XI_VERDICT_KERNEL);
	policy_del(f, any);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(verdict(f), XI_VERDICT_PROTECT);
}

/* xfrm_migrate() tells of no SA that comes or goes by it. */
static void test_migrate_is_followed(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct xi_nlmsg msg;

	policy_out(f);
	mirror_start(f);
	settle(f);
	sa_del(f, out, false);
	out = sa_add_key(f, LOCAL, PEER, 0x1003, 1, 1, false);
	xi_nlmsg_begin(&msg, XFRM_MSG_MIGRATE, 0, 0, 0, sizeof(struct xfrm_userpolicy_id));
	kernel_tell(&f->k, &msg);
	settle(f);
	assert_int_equal(xi_sad_count(f->sad), 1);
	assert_non_null(ours(f, out));
}

/* To a question that was given up. */
static void test_late_answer_is_no_answer(void **state)
{
	const struct nlmsghdr old = {.nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = XFRM_MSG_GETSA};
	struct fixture *f = *state;
	struct kernel_sa *out;

	policy_out(f);
	mirror_start(f);
	settle(f);
	kernel_say_error(f->k.fds[1], &old, -ESRCH);
	out = sa_out(f, 0x1001);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(figures(f).resyncs, 1);
}

static void test_no_key_is_left_in_buffers(void **state)
{
	static const uint8_t zero[XI_MIRROR_DATAGRAM];
	struct fixture *f = *state;

	sa_out(f, 0x1001);
	policy_out(f);
	mirror_start(f);
	settle(f);
	sa_in(f, 0x1002);
	settle(f);
	assert_int_equal(xi_sad_count(f->sad), 2);
	assert_memory_equal(f->mirror->answer.buf, zero, sizeof(f->mirror->answer.buf));
	assert_memory_equal(f->mirror->datagram.buf, zero, sizeof(f->mirror->datagram.buf));
}

/* Somebody made it anew, or set it: no number that was reserved for us is the kernel's then. */
static void test_counter_of_the_kernel_that_went_back(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	policy_out(f);
	mirror_start(f);
	settle(f);
	limit = ours(f, out)->state->oseq_limit;
	oseq_set(out, 5);
	sa_news(f, out, XFRM_MSG_UPDSA);
	settle(f);
	assert_true(ours(f, out)->state->oseq >= limit);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
}

/* netlink_dump() fails for want of memory: in the midst of it, or at its end. */
static void test_dump_that_breaks_off_is_begun_again(void **state)
{
	static uint8_t big[XI_MIRROR_DATAGRAM + 4];
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	policy_out(f);
	f->k.dump_error = ENOMEM;
	mirror_start(f);
	settle(f);
	assert_int_equal(figures(f).resyncs, 2);
	assert_non_null(ours(f, out));
	f->mirror->dump = XI_MIRROR_DUMP_SAS; /* and it says no more */
	pthread_mutex_lock(&f->k.lock);
	assert_int_equal(send(f->k.fds[2], big, sizeof(big), 0), sizeof(big));
	pthread_mutex_unlock(&f->k.lock);
	turns_until(f, &f->mirror->figures.resyncs, 3);
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
	assert_int_equal(sendto(theirs, "0123456789abcdef", 16, 0, (struct sockaddr *)&addr,
				sizeof(addr)), 16);
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
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	policy_out(f);
	mirror_start(f);
	settle(f);
	sa_del(f, out, false);
	out = sa_add_key(f, LOCAL, PEER, 0x1001, 1, 99, false);
	news_lost(f);
	settle(f);
	assert_non_null(ours(f, out));
	assert_int_equal(ours(f, out)->key.key[0], 99);
}

static void test_deleted_while_it_is_taken_over(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	policy_out(f);
	f->k.vanish = true;
	mirror_start(f);
	settle(f);
	assert_null(ours(f, out));
	assert_int_equal(figures(f).sas + figures(f).sas_kept + figures(f).sas_idle, 0);
}

/* The kernel sends between the look at its counter and the reservation, and that takes a while. */
static void test_numbers_sent_meanwhile_are_not_used(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	oseq_set(out, 1000);
	policy_out(f);
	f->k.sends = 200000; /* more than the gap of a quick one */
	f->k.delay_us = 12000;
	mirror_start(f);
	settle(f);
	assert_int_equal(f->k.sent_first, 1001);
	assert_true(ours(f, out)->state->oseq >= f->k.sent_last);
	assert_int_equal(oseq_of(out), ours(f, out)->state->oseq_limit);
}

static void test_stray_packets_of_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t kernel;

	policy_out(f);
	mirror_start(f);
	settle(f);
	for (int i = 0; i < 4; i++) {
		assert_non_null(ours(f, out));
		oseq_set(out, oseq_of(out) + 100);
		kernel = oseq_of(out);
		ours(f, out)->state->packets++;
		f->mirror->sas->told_at -= 5;
		xi_mirror_count_tick(f->mirror);
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
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	policy_out(f);
	mirror_start(f);
	settle(f);
	limit = ours(f, out)->state->oseq_limit;
	ours(f, out)->state->oseq = limit - 10;
	xi_mirror_count_tick(f->mirror);
	settle(f);
	assert_int_equal(ours(f, out)->state->oseq, limit - 10); /* and none is left out */
	assert_true(ours(f, out)->state->oseq_limit > limit + 1000000);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
}

/* RFC 4303 section 2.2.1: 64 bits, in two halves. */
static void test_numbers_go_on_behind_32_bits(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct xi_sa_id id = id_of(out);
	uint64_t limit;

	oseq_set(out, UINT32_MAX - 1000);
	policy_out(f);
	mirror_start(f);
	settle(f);
	limit = ours(f, out)->state->oseq_limit;
	assert_true(limit > (1ULL << 32) + 1000000);
	assert_int_equal(oseq_of(out), limit);
	assert_true(ours(f, out)->state->oseq > UINT32_MAX - 1000);
	/* what was reserved once is never less */
	assert_int_equal(xi_sad_set_limit(f->sad, &id, 0, UINT32_MAX), 0);
	assert_int_equal(ours(f, out)->state->oseq_limit, limit);
}

/*
 * The kernel sends while its counter is moved on, say for packets of the host that do not pass a
 * port: its numbers are among those that would be ours.
 */
static void test_numbers_sent_while_more_are_reserved(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t limit;

	policy_out(f);
	mirror_start(f);
	settle(f);
	limit = ours(f, out)->state->oseq_limit;
	ours(f, out)->state->oseq = limit - 10;
	f->k.sends = 3;
	xi_mirror_count_tick(f->mirror);
	settle(f);
	assert_int_equal(f->k.sent_first, limit + 1);
	assert_true(ours(f, out)->state->oseq >= f->k.sent_last);
	assert_true(ours(f, out)->state->oseq < ours(f, out)->state->oseq_limit);
	assert_int_equal(ours(f, out)->state->oseq_limit, oseq_of(out));
	assert_int_equal(figures(f).strays, 1);
}

/* RFC 4303 section 3.3.3: without ESN, nothing behind 2^32 - 1. */
static void test_numbers_end(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);

	out->info.flags = 0;
	out->info.replay_window = 32;
	out->legacy = true;
	oseq_set(out, UINT32_MAX - (1 << 17));
	policy_out(f);
	mirror_start(f);
	settle(f);
	assert_int_equal(ours(f, out)->state->oseq_limit, UINT32_MAX);
	assert_int_equal(oseq_of(out), UINT32_MAX);
	assert_true(ours(f, out)->state->oseq > UINT32_MAX - (1 << 17));
}

static void test_usage_and_window_are_told(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);
	struct xi_mirror_sa *sa;
	uint64_t oseq;

	policy_out(f);
	mirror_start(f);
	settle(f);
	oseq = oseq_of(out);
	ours(f, out)->state->packets = 3;
	ours(f, out)->state->bytes = 300;
	ours(f, out)->state->use_time = BORN + 9;
	/* packet 33: block 1, its first bit (struct xi_sa_state) */
	ours(f, in)->state->packets = 1;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	TAILQ_FOREACH(sa, &f->mirror->all_sas, all)
	sa->told_at -= 5;
	xi_mirror_count_tick(f->mirror);
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

/* Until XDP knew of the SA; nobody is to get the packet a second time. */
static void test_packets_received_meanwhile_count(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *in;

	mirror_start(f);
	settle(f);
	f->k.receives = true; /* it is asked twice: when the SA is taken, and afterwards */
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
	struct fixture *f = *state;
	struct kernel_sa *in;

	xi_sad_listen(f->sad, &(struct xi_sad_listener){received_first, received_nothing, f});
	mirror_start(f);
	settle(f);
	f->k.receives = true;
	in = sa_in(f, 0x1002);
	settle(f);
	assert_int_equal(ours(f, in)->state->top, 33);
	assert_int_equal(ours(f, in)->words[1], 1ULL << 32 | 2);
	assert_int_equal(ours(f, in)->words[0], 1 << 5);
}

/* The kernel has it from the moment XDP does not know it any more: neither's packets are forgotten. */
static void given_back(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;
	struct kernel_sa *in = f->k.sas;

	if (!old || new)
		return;
	pthread_mutex_lock(&f->k.lock);
	/* it is not to take those in again */
	f->told_first = in->esn.seq == 33 && in->bmp[1] == 1;
	in->esn.seq = 34;
	in->bmp[1] |= 2;
	pthread_mutex_unlock(&f->k.lock);
	old->state->top = 35; /* was under way to a worker */
	old->words[1] |= 1 << 3;
}

static void test_window_goes_back_without_a_gap(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002), *other;

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	xi_sad_listen(f->sad, &(struct xi_sad_listener){given_back, received_nothing, f});
	other = sa_in(f, 0x1004);
	other->device = 3;
	settle(f);
	assert_null(ours(f, in));
	assert_true(f->told_first);
	assert_int_equal(in->esn.seq, 35);
	assert_int_equal(in->bmp[1], 7);
}

/* By somebody else: it comes again, with the kernel's window. */
static void test_window_outlives_a_deletion(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002);
	struct xi_sa_id id = id_of(in);

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	assert_int_equal(xi_sad_delete(f->sad, &id), 0);
	assert_null(ours(f, in));
	settle(f);
	assert_int_equal(ours(f, in)->state->top, 33);
	assert_int_equal(ours(f, in)->words[1], 1ULL << 32 | 2);
	assert_int_equal(in->esn.seq, 33);
}

/* Linux's xfrm_replay_verify_len() and xfrm_update_ae_params(): such a window it would not take back. */
static void test_window_that_cannot_go_back_stays(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *in, *out;

	policy_out(f);
	mirror_start(f);
	settle(f);
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
	struct fixture *f = *state;
	struct kernel_sa *in = sa_in(f, 0x1002);

	mirror_start(f);
	settle(f);
	ours(f, in)->state->packets = 7;
	ours(f, in)->state->top = 33;
	ours(f, in)->words[1] = 1ULL << 32 | 2;
	assert_int_equal(xi_spd_set_local(f->spd, NULL, 0), 0);
	sa_news(f, in, XFRM_MSG_NEWSA);
	settle(f);
	assert_non_null(ours(f, in));
	assert_int_equal(ours(f, in)->state->top, 33);
	assert_int_equal(oseq_of(in), 0);
}

static void test_window_goes_back_with_the_sa(void **state)
{
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001), *in = sa_in(f, 0x1002);

	out->info.lft.soft_byte_limit = 1000;
	out->info.lft.hard_byte_limit = 2000;
	out->info.lft.hard_add_expires_seconds = 1; /* BORN is long ago: the kernel's matter */
	policy_out(f);
	mirror_start(f);
	settle(f);
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->k.expires[0] + f->k.expires[1], 0);
	ours(f, out)->state->use_time = BORN;
	ours(f, out)->state->bytes = 1500;
	xi_sad_tick(f->sad, time(NULL));
	xi_sad_tick(f->sad, time(NULL));
	assert_int_equal(f->k.expires[0], 1);
	assert_int_equal(out->info.curlft.bytes, 1500);
	ours(f, out)->state->bytes = 2500;
	xi_sad_tick(f->sad, time(NULL));
	settle(f);
	assert_int_equal(f->k.expires[1], 1);
	assert_false(out->used);
	assert_null(ours(f, out));
	assert_non_null(ours(f, in)); /* the kernel's key manager sees to that */
}

static void test_hard_expire_without_delsa(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct xfrm_user_expire *e;
	struct xi_nlmsg msg;

	policy_out(f);
	mirror_start(f);
	settle(f);
	sa_del(f, out, false);
	e = xi_nlmsg_begin(&msg, XFRM_MSG_EXPIRE, 0, 0, 0, sizeof(*e));
	e->state = out->info;
	e->hard = 1;
	kernel_tell(&f->k, &msg);
	settle(f);
	assert_null(ours(f, out));
}

static void test_flush(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	struct kernel_policy *p = policy_out(f);
	struct xi_nlmsg msg;

	mirror_start(f);
	settle(f);
	sa_del(f, out, false);
	xi_nlmsg_begin(&msg, XFRM_MSG_FLUSHSA, 0, 0, 0, sizeof(struct xfrm_usersa_flush));
	kernel_tell(&f->k, &msg);
	settle(f);
	assert_int_equal(xi_sad_count(f->sad), 0);
	p->used = false;
	xi_nlmsg_begin(&msg, XFRM_MSG_FLUSHPOLICY, 0, 0, 0, 0);
	kernel_tell(&f->k, &msg);
	settle(f);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 0);
}

static void test_what_xipsec_was_given_wins(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out, *other;
	struct xi_sa sa = sample_sa(LOCAL, PEER, 0x1001);
	struct xi_sa_key key = sample_key(7);
	const char *why;

	assert_int_equal(xi_sad_add(f->sad, &sa, &key, NULL, &why), 0);
	out = sa_out(f, 0x1001);
	other = sa_out(f, 0x1003);
	policy_out(f);
	mirror_start(f);
	settle(f);
	assert_int_equal(ours(f, out)->sa.life, 0);
	assert_int_equal(oseq_of(out), 0);
	assert_non_null(ours(f, other));
	sa.id.spi = 0x1003;
	key = sample_key(8);
	assert_int_equal(xi_sad_add(f->sad, &sa, &key, NULL, &why), 0);
	settle(f);
	assert_int_equal(ours(f, other)->sa.life, 0);
	assert_memory_equal(&ours(f, other)->key, &key, sizeof(key));
	sa_del(f, out, true);
	settle(f);
	assert_non_null(ours(f, out)); /* it is not the kernel's */
}

static void test_another_daemon_carries_on(void **state)
{
	struct fixture *f = *state;
	struct kernel_sa *out = sa_out(f, 0x1001);
	uint64_t oseq, given;

	policy_out(f);
	mirror_start(f);
	settle(f);
	oseq = ++ours(f, out)->state->oseq;
	given = oseq_of(out);
	mirror_stop(f);
	assert_non_null(ours(f, out));
	mirror_start(f);
	settle(f);
	assert_int_equal(figures(f).given, 0);
	assert_int_equal(ours(f, out)->state->oseq, oseq);
	assert_int_equal(oseq_of(out), given);
	mirror_stop(f);
	/* and one without a mirror leaves it to the kernel */
	assert_int_equal(xi_mirror_forget(f->sad, f->spd), 2);
	assert_int_equal(xi_sad_count(f->sad) + xi_spd_count(f->spd, XI_OUT), 0);
}

static void test_all_is_given_back(void **state)
{
	struct fixture *f = *state;
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
	xi_mirror_leave(f->mirror);
	event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	assert_int_equal(xi_sad_count(f->sad), 0);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT) + xi_spd_count(f->spd, XI_IN), 0);
	assert_true(oseq_of(out) >= last);
	assert_int_equal(in->esn.seq, 33);
	assert_int_equal(in->bmp[1], 1);
	assert_int_equal(in->info.curlft.packets, 7);
	assert_int_equal(f->fenced, 0);
	/* no packet came in by a tunnel that no policy wanted */
	assert_int_equal(f->early, 0);
	assert_int_equal(f->late, 0);
}

static void test_acquire_is_asked_of_the_kernel(void **state)
{
	struct fixture *f = *state;
	struct xi_flow flow = {.dir = XI_OUT, .proto = 17, .family = XI_IPV4};
	struct xi_flow_verdict v = {0};
	const struct xi_spd_policy *p;

	policy_out(f);
	mirror_start(f);
	settle(f);
	sample_addr(flow.saddr, "10.1.1.2");
	sample_addr(flow.daddr, "10.1.2.2");
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &flow, &v, &p),
			 XI_VERDICT_NONE);
	xi_mirror_acquire(f->mirror, &flow, &p->policy);
	xi_mirror_acquire(f->mirror, &flow, &p->policy);
	assert_int_equal(f->k.acquires, 1);
}

/* Whoever has the SA sends; what it puts on the wire must ascend, whatever happens. */
static void send_some(struct fixture *f, struct kernel_sa *sa)
{
	const struct xi_sa_rec *rec;
	uint64_t n;

	if (!sa->used)
		return;
	rec = ours(f, sa);
	if (verdict(f) == XI_VERDICT_PROTECT && rec) {
		assert_true(rec->state->oseq < rec->state->oseq_limit);
		n = ++rec->state->oseq;
	} else if (verdict(f) == XI_VERDICT_KERNEL || !xi_spd_count(f->spd, XI_OUT)) {
		pthread_mutex_lock(&f->k.lock);
		n = oseq_of(sa) + 1;
		oseq_set(sa, n);
		pthread_mutex_unlock(&f->k.lock);
	} else {
		return; /* held, or dropped */
	}
	assert_true(n > sa->sent);
	*(rec && verdict(f) == XI_VERDICT_PROTECT ? &f->sent_ours : &f->sent_kernel) += 1;
	sa->sent = n;
}

static void test_numbers_ascend_whatever_happens(void **state)
{
	struct fixture *f = *state;
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
				mirror_stop(f);
				mirror_start(f);
			}
			break;
		default:
			break;
		}
		/* in the midst of it, too */
		for (int n = rand() % 4; n > 0; n--)
			event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
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
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_takes_over_what_a_dump_names),
		TEST(test_outbound_sa_waits_for_its_policy),
		TEST(test_policy_stays_when_an_sa_is_not_carried),
		TEST(test_offloaded_sa_stays),
		TEST(test_policy_that_is_not_carried),
		TEST(test_refused_policy_and_sa_stay),
		TEST(test_marked_policy_is_no_matter_of_xdp),
		TEST(test_larval_sas_say_nothing),
		TEST(test_lost_news_are_made_up_for),
		TEST(test_fence_is_down_while_policies_may_be_unknown),
		TEST(test_fence_goes_up_when_all_is_known),
		TEST(test_defaults_are_the_kernels),
		TEST(test_policy_of_any_peer_that_is_not_carried),
		TEST(test_migrate_is_followed),
		TEST(test_late_answer_is_no_answer),
		TEST(test_no_key_is_left_in_buffers),
		TEST(test_counter_of_the_kernel_that_went_back),
		TEST(test_dump_that_breaks_off_is_begun_again),
		TEST(test_messages_of_other_processes_do_not_count),
		TEST(test_another_sa_with_the_same_id),
		TEST(test_deleted_while_it_is_taken_over),
		TEST(test_numbers_sent_meanwhile_are_not_used),
		TEST(test_stray_packets_of_the_kernel),
		TEST(test_numbers_are_reserved_ahead),
		TEST(test_numbers_sent_while_more_are_reserved),
		TEST(test_numbers_go_on_behind_32_bits),
		TEST(test_numbers_end),
		TEST(test_usage_and_window_are_told),
		TEST(test_packets_received_meanwhile_count),
		TEST(test_packets_received_meanwhile_count_behind_ours),
		TEST(test_window_goes_back_with_the_sa),
		TEST(test_window_goes_back_without_a_gap),
		TEST(test_window_outlives_a_deletion),
		TEST(test_direction_stays),
		TEST(test_window_that_cannot_go_back_stays),
		TEST(test_byte_limits_are_ours),
		TEST(test_hard_expire_without_delsa),
		TEST(test_flush),
		TEST(test_what_xipsec_was_given_wins),
		TEST(test_another_daemon_carries_on),
		TEST(test_all_is_given_back),
		TEST(test_acquire_is_asked_of_the_kernel),
		TEST(test_numbers_ascend_whatever_happens),
	};

	return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
