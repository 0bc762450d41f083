/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ACQUIREs on the socket: what is told of them, to whom, and when they end; as net/xfrm/xfrm_user.c of Linux has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "server_bed.h"

static struct xfrm_user_acquire *acquire(struct bed_msg *m)
{
	struct xfrm_user_acquire *ua = bed_begin(m, XFRM_MSG_ACQUIRE, 0, sizeof(*ua));

	put_addr(&ua->id.daddr, "203.0.113.9"); /* what counts is the template's */
	put_addr(&ua->saddr, "203.0.113.1");
	ua->sel.family = AF_INET;
	put_addr(&ua->sel.daddr, "10.2.0.1");
	ua->sel.prefixlen_d = 32;
	ua->policy.sel.family = AF_INET;
	ua->policy.priority = 12;
	ua->policy.dir = XFRM_POLICY_FWD;
	ua->aalgos = 1;
	ua->ealgos = 2;
	ua->calgos = 4;
	ua->seq = 99;
	return ua;
}

/* xfrm_add_acquire(), km_query(), build_acquire(). */
static void an_acquire_of_a_program_goes_to_the_key_managers(void **state)
{
	struct bed *b = *state;
	struct xfrm_user_tmpl tmpls[2] = {0};
	struct xfrm_user_acquire *ua;
	struct bed_msg m, news;
	uint32_t seq = 0;
	int i;

	for (i = 0; i < 2; i++) {
		put_addr(&tmpls[i].id.daddr, i ? "192.0.2.2" : "10.2.0.254");
		put_addr(&tmpls[i].saddr, "192.0.2.1");
		tmpls[i].id.proto = i ? IPPROTO_AH : IPPROTO_ESP;
		tmpls[i].family = AF_INET;
		tmpls[i].mode = XFRM_MODE_TUNNEL;
		tmpls[i].aalgos = tmpls[i].ealgos = tmpls[i].calgos = ~0U;
	}
	acquire(&m);
	bed_attr(&m, XFRMA_TMPL, tmpls, sizeof(tmpls));
	assert_int_equal(bed_do(b, &m), 0); /* nobody listens: no error */
	bed_join(b, XFRMNLGRP_ACQUIRE);
	assert_int_equal(bed_do(b, &m), 0);
	for (i = 0; i < 2; i++) {
		assert_true(bed_receive(b->listener, &news));
		assert_int_equal(news.hdr.nlmsg_type, XFRM_MSG_ACQUIRE);
		assert_int_equal(news.hdr.nlmsg_seq, 0);
		ua = (void *)(news.buf + NLMSG_HDRLEN);
		assert_memory_equal(&ua->id.daddr, &tmpls[i].id.daddr, 4);
		assert_int_equal(ua->id.proto, tmpls[i].id.proto);
		assert_int_equal(ua->saddr.a4, 0x017100cb);
		assert_int_equal(ua->sel.prefixlen_d, 32);
		assert_int_equal(ua->policy.dir, XFRM_POLICY_OUT);
		assert_int_equal(ua->policy.priority, 12);
		assert_int_equal(ua->aalgos, 1);
		assert_int_equal(ua->ealgos, 2);
		assert_int_equal(ua->calgos, 4);
		assert_int_not_equal(ua->seq, 0);
		assert_int_not_equal(ua->seq, 99);
		assert_int_not_equal(ua->seq, seq);
		seq = ua->seq;
		assert_non_null(bed_find(&news, sizeof(*ua), XFRMA_TMPL, 0));
		assert_non_null(bed_find(&news, sizeof(*ua), XFRMA_POLICY_TYPE, 0));
	}
	assert_false(bed_receive(b->listener, &news));
	assert_int_equal(xi_sad_count(b->sad), 0);
	assert_int_equal(xi_spd_count(b->spd, XI_OUT), 0);
}

static void a_bad_acquire_is_refused(void **state)
{
	struct bed *b = *state;
	struct xfrm_user_tmpl tmpl = {.id.proto = IPPROTO_TCP, .family = AF_INET};
	struct bed_msg m, news;

	bed_join(b, XFRMNLGRP_ACQUIRE);
	acquire(&m);
	assert_int_equal(bed_do(b, &m), 0); /* no templates: there is nothing to ask for */
	acquire(&m);
	bed_attr(&m, XFRMA_TMPL, &tmpl, sizeof(tmpl));
	assert_int_equal(bed_do(b, &m), -EINVAL);
	acquire(&m)->policy.dir = 3;
	assert_int_equal(bed_do(b, &m), -EINVAL);
	acquire(&m)->policy.sel.family = 3;
	assert_int_equal(bed_do(b, &m), -EINVAL);
	acquire(&m)->policy.action = 2;
	assert_int_equal(bed_do(b, &m), -EINVAL);
	acquire(&m);
	m.hdr.nlmsg_len -= 4;
	assert_int_equal(bed_do(b, &m), -EINVAL);
	assert_false(bed_receive(b->listener, &news));
}

/* Workers hold packets as long as somebody listens, and drop them at once when nobody does any more. */
static void workers_hear_who_listens_to_acquires(void **state)
{
	struct bed *b = *state;
	atomic_bool acquiring = true;
	int other;

	xi_xfrm_server_on_acquiring(b->server, &acquiring);
	assert_false(acquiring);
	bed_join(b, XFRMNLGRP_ACQUIRE);
	assert_true(acquiring);
	other = bed_client(b);
	bed_ctl(b, other, XI_CTL_ADD, XFRMNLGRP_ACQUIRE);
	bed_ctl(b, b->listener, XI_CTL_DROP, XFRMNLGRP_ACQUIRE);
	assert_true(acquiring);
	close(other);
	bed_turn(b);
	assert_false(acquiring);
	xi_xfrm_server_on_acquiring(b->server, NULL);
}

/* An ACQUIRE of UDP for the flow's policy, as of the number given. */
static uint32_t acquire_udp(struct bed *b, struct xi_policy *policy)
{
	struct xi_flow flow = {.dir = XI_OUT, .family = XI_IPV4, .proto = 17, .sport = 7777, .dport = 53};
	struct bed_msg news;

	sample_addr(flow.saddr, "10.1.0.1");
	sample_addr(flow.daddr, "10.2.0.1");
	*policy = bed_policy(XI_OUT, "10.1.0.0", "10.2.0.0", 16);
	bed_tmpl(policy, "192.0.2.1", "192.0.2.2", XI_TUNNEL, 7);
	policy->mark_v = 5;
	policy->mark_m = 7;
	policy->if_id = 3;
	bed_policy_add(b, policy);
	bed_join(b, XFRMNLGRP_ACQUIRE);
	assert_int_equal(xi_xfrm_server_acquire(b->server, &flow, xi_spd_find(b->spd, policy)), 0);
	assert_true(bed_receive(b->listener, &news));
	assert_int_equal(news.hdr.nlmsg_type, XFRM_MSG_ACQUIRE);
	return ((const struct xfrm_user_acquire *)(news.buf + NLMSG_HDRLEN))->seq;
}

/* What Linux 6.18 says of the SA that stands for an ACQUIRE, by `ip -s xfrm state` and `monitor`. */
static void acquire_is(const struct xfrm_usersa_info *info, uint32_t seq)
{
	assert_int_equal(info->id.daddr.a4, __builtin_bswap32(0xc0000202));
	assert_int_equal(info->saddr.a4, __builtin_bswap32(0xc0000201));
	assert_int_equal(info->id.spi, 0);
	assert_int_equal(info->id.proto, IPPROTO_ESP);
	assert_int_equal(info->family, AF_INET);
	assert_int_equal(info->mode, XFRM_MODE_TUNNEL);
	assert_int_equal(info->reqid, 7);
	assert_int_equal(info->seq, seq);
	assert_int_equal(info->replay_window, 0);
	assert_int_equal(info->flags, 0);
	assert_int_equal(info->sel.family, AF_INET);
	assert_int_equal(info->sel.saddr.a4, __builtin_bswap32(0x0a010001));
	assert_int_equal(info->sel.daddr.a4, __builtin_bswap32(0x0a020001));
	assert_int_equal(info->sel.prefixlen_s, 32);
	assert_int_equal(info->sel.prefixlen_d, 32);
	assert_int_equal(info->sel.proto, 17);
	assert_int_equal(info->sel.sport, __builtin_bswap16(7777));
	assert_int_equal(info->sel.dport, __builtin_bswap16(53));
	assert_int_equal(info->sel.sport_mask, 0xffff);
	assert_int_equal(info->sel.dport_mask, 0xffff);
	assert_true(info->lft.hard_byte_limit == XFRM_INF && info->lft.soft_packet_limit == XFRM_INF);
	assert_true(info->lft.hard_add_expires_seconds == xi_acquire_ttl());
	assert_true(info->lft.soft_add_expires_seconds == 0);
	assert_in_range(info->curlft.add_time, time(NULL) - 5, time(NULL));
	assert_true(info->curlft.use_time == 0 && info->curlft.packets == 0);
}

static void an_acquire_is_an_sa(void **state)
{
	struct bed *b = *state;
	struct bed_msg m, answer;
	struct xi_policy policy;
	struct xi_sa sa = sample_sa("192.0.2.9", "192.0.2.1", 0x1000);
	struct xi_sa_key key = sample_key(1);
	struct xfrm_usersa_flush *flush;
	struct xfrm_usersa_id *id;
	const char *why;
	uint32_t seq;

	assert_int_equal(xi_sad_add(b->sad, &sa, &key, NULL, &why), 0);
	seq = acquire_udp(b, &policy);
	bed_begin(&m, XFRM_MSG_GETSA, NLM_F_DUMP, 0);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	assert_int_equal(((struct xfrm_usersa_info *)(answer.buf + NLMSG_HDRLEN))->id.spi, __builtin_bswap32(0x1000));
	assert_true(bed_receive(b->fd, &answer));
	assert_int_equal(answer.hdr.nlmsg_type, XFRM_MSG_NEWSA);
	acquire_is((struct xfrm_usersa_info *)(answer.buf + NLMSG_HDRLEN), seq);
	assert_true(bed_receive(b->fd, &answer));
	assert_int_equal(answer.hdr.nlmsg_type, NLMSG_DONE);
	bed_begin(&m, XFRM_MSG_GETSADINFO, 0, sizeof(uint32_t));
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	assert_int_equal(*(uint32_t *)(answer.buf + NLMSG_HDRLEN + 4 + NLA_HDRLEN), 2);
	/* it has no SPI to be named by */
	id = bed_begin(&m, XFRM_MSG_DELSA, 0, sizeof(*id));
	put_addr(&id->daddr, "192.0.2.2");
	id->proto = IPPROTO_ESP;
	id->family = AF_INET;
	assert_int_equal(bed_do(b, &m), -ESRCH);
	flush = bed_begin(&m, XFRM_MSG_FLUSHSA, 0, sizeof(*flush));
	flush->proto = IPPROTO_AH;
	assert_int_equal(bed_do(b, &m), 0);
	assert_int_equal(xi_xfrm_server_acquires(b->server)->n, 1);
	flush = bed_begin(&m, XFRM_MSG_FLUSHSA, 0, sizeof(*flush));
	flush->proto = IPPROTO_ESP;
	assert_int_equal(bed_do(b, &m), 0);
	assert_int_equal(xi_xfrm_server_acquires(b->server)->n, 0);
	assert_int_equal(xi_sad_count(b->sad), 0);
	bed_begin(&m, XFRM_MSG_GETSA, NLM_F_DUMP, 0);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	assert_int_equal(answer.hdr.nlmsg_type, NLMSG_DONE);
}

static bool flushes_are_told(struct bed *b, uint16_t type)
{
	struct bed_msg m, news;
	bool told;

	bed_begin(&m, type, 0, type == XFRM_MSG_FLUSHSA ? sizeof(struct xfrm_usersa_flush) : 0);
	assert_int_equal(bed_do(b, &m), 0);
	told = bed_receive(b->listener, &news);
	if (told)
		assert_int_equal(news.hdr.nlmsg_type, type);
	return told;
}

/* xfrm_flush_sa() and xfrm_flush_policy() of the kernel say nothing of what took nothing. */
static void a_flush_is_news_if_something_went(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy;

	acquire_udp(b, &policy);
	bed_join(b, XFRMNLGRP_SA);
	assert_true(flushes_are_told(b, XFRM_MSG_FLUSHSA));
	assert_false(flushes_are_told(b, XFRM_MSG_FLUSHSA));
	bed_join(b, XFRMNLGRP_POLICY);
	assert_true(flushes_are_told(b, XFRM_MSG_FLUSHPOLICY));
	assert_false(flushes_are_told(b, XFRM_MSG_FLUSHPOLICY));
}
static void an_acquire_expires(void **state)
{
	const struct xfrm_user_expire *expire;
	struct bed *b = *state;
	struct xi_policy policy;
	uint32_t seq = acquire_udp(b, &policy);
	struct xi_acquire *a = TAILQ_FIRST(&b->server->acquires->pending);
	uint64_t ttl = a->until - a->since;
	struct bed_msg news;

	bed_join(b, XFRMNLGRP_EXPIRE);
	xi_xfrm_server_tick(b->server, time(NULL));
	assert_false(bed_receive(b->listener, &news));
	a->since -= ttl;
	a->until -= ttl;
	xi_xfrm_server_tick(b->server, time(NULL));
	assert_true(bed_receive(b->listener, &news));
	assert_int_equal(news.hdr.nlmsg_type, XFRM_MSG_EXPIRE);
	expire = (const void *)(news.buf + NLMSG_HDRLEN);
	assert_int_equal(expire->hard, 1);
	assert_int_equal(expire->state.seq, seq);
	assert_int_equal(expire->state.id.spi, 0);
	assert_in_range(expire->state.curlft.add_time, time(NULL) - ttl - 5, time(NULL) - ttl);
	assert_int_equal(xi_xfrm_server_acquires(b->server)->n, 0);
	xi_xfrm_server_tick(b->server, time(NULL));
	assert_false(bed_receive(b->listener, &news));
}

static void a_policy_that_is_replaced_ends_its_acquire(void **state)
{
	struct bed *b = *state;
	struct xi_policy policy = bed_policy(XI_OUT, "10.1.0.0", "10.2.0.0", 16);
	struct xi_flow flow = {.dir = XI_OUT, .family = XI_IPV4};
	struct bed_msg m, answer, news;
	struct xfrm_userpolicy_id *id;

	bed_tmpl(&policy, "192.0.2.1", "192.0.2.2", XI_TUNNEL, 7);
	bed_policy_add(b, &policy);
	bed_join(b, XFRMNLGRP_ACQUIRE);
	assert_int_equal(xi_xfrm_server_acquire(b->server, &flow, xi_spd_find(b->spd, &policy)), 0);
	assert_int_equal(xi_xfrm_server_acquires(b->server)->n, 1);
	assert_true(bed_receive(b->listener, &news));
	id = bed_begin(&m, XFRM_MSG_GETPOLICY, 0, sizeof(*id));
	xi_selector_to_xfrm(&id->sel, &policy.sel);
	id->dir = XFRM_POLICY_OUT;
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	answer.hdr.nlmsg_type = XFRM_MSG_UPDPOLICY;
	answer.hdr.nlmsg_flags = NLM_F_REQUEST;
	assert_int_equal(bed_do(b, &answer), 0);
	assert_int_equal(xi_xfrm_server_acquires(b->server)->n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_acquire_of_a_program_goes_to_the_key_managers, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_bad_acquire_is_refused, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(workers_hear_who_listens_to_acquires, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_acquire_is_an_sa, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_flush_is_news_if_something_went, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_acquire_expires, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_policy_that_is_replaced_ends_its_acquire, bed_setup, bed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
