/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attributes that packets do not depend on, ACQUIREs of programs, larval SAs that nobody wants, and what of the two
 * databases goes by type: each as net/xfrm/xfrm_user.c of Linux has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>
#include <grp.h>

#include "server_bed.h"

#define SA_SIZE sizeof(struct xfrm_usersa_info)
#define SPI 0x1001

static void put_addr(xfrm_address_t *out, const char *text)
{
	uint8_t bytes[16];

	sample_addr(bytes, text);
	memcpy(out, bytes, sizeof(*out));
}

static void newsa(struct bed_msg *m, uint16_t type, uint32_t spi)
{
	struct xfrm_usersa_info *info = bed_begin(m, type, 0, sizeof(*info));
	struct {
		struct xfrm_algo_aead aead;
		uint8_t key[20];
	} alg = {.aead = {.alg_name = "rfc4106(gcm(aes))", .alg_key_len = 160, .alg_icv_len = 128}};

	put_addr(&info->id.daddr, "192.0.2.2");
	put_addr(&info->saddr, "192.0.2.1");
	info->id.spi = __builtin_bswap32(spi);
	info->id.proto = IPPROTO_ESP;
	info->family = AF_INET;
	info->mode = XFRM_MODE_TUNNEL;
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	memcpy(alg.key, &spi, sizeof(spi));
	bed_attr(m, XFRMA_ALG_AEAD, &alg, sizeof(alg));
}

static void dir(struct bed_msg *m, uint8_t value)
{
	bed_attr(m, XI_XFRMA_SA_DIR, &value, sizeof(value));
}

static void get(struct bed *b, uint32_t spi, struct bed_msg *answer)
{
	struct bed_msg m;
	struct xfrm_usersa_id *id = bed_begin(&m, XFRM_MSG_GETSA, 0, sizeof(*id));

	put_addr(&id->daddr, "192.0.2.2");
	id->spi = __builtin_bswap32(spi);
	id->family = AF_INET;
	id->proto = IPPROTO_ESP;
	assert_int_equal(bed_ask(b, &m, answer), 0);
}

static int add_with(struct bed *b, uint16_t type, const void *data, size_t n)
{
	struct bed_msg m;

	newsa(&m, XFRM_MSG_NEWSA, SPI);
	bed_attr(&m, type, data, n);
	return bed_do(b, &m);
}

static uint32_t u32_of(const struct bed_msg *m, uint16_t type)
{
	const void *data = bed_find(m, SA_SIZE, type, 0);
	uint32_t value;

	assert_non_null(data);
	memcpy(&value, data, sizeof(value));
	return value;
}

static void what_is_kept_is_told_and_taken_back(void **state)
{
	struct bed *b = *state;
	struct xfrm_encap_tmpl encap = {
		.encap_type = 2, .encap_sport = __builtin_bswap16(4500), .encap_dport = __builtin_bswap16(4501)};
	xfrm_address_t coaddr = {.a4 = 0x01020304};
	struct bed_msg m, answer, again;
	struct xi_sa sa;

	newsa(&m, XFRM_MSG_NEWSA, SPI);
	bed_attr(&m, XFRMA_COADDR, &coaddr, sizeof(coaddr));
	bed_attr(&m, XFRMA_ENCAP, &encap, sizeof(encap));
	bed_attr_u32(&m, XFRMA_MTIMER_THRESH, 77);
	bed_attr_u32(&m, XI_XFRMA_SA_PCPU, 0);
	dir(&m, XI_SA_DIR_IN);
	assert_int_equal(bed_do(b, &m), 0);
	get(b, SPI, &answer);
	assert_memory_equal(bed_find(&answer, SA_SIZE, XFRMA_COADDR, 0), &coaddr, 4);
	assert_int_equal(u32_of(&answer, XFRMA_MTIMER_THRESH), 77);
	assert_int_equal(u32_of(&answer, XI_XFRMA_SA_PCPU), 0);
	assert_null(bed_find(&answer, SA_SIZE, XFRMA_LASTUSED, 0));

	/* a key manager that moves an SA sends back all of it, as of now (charon's MOBIKE) */
	sa = xi_sad_at(b->sad, 0)->sa;
	xi_sad_at(b->sad, 0)->state->last_use = 1700000000;
	get(b, SPI, &answer);
	assert_non_null(bed_find(&answer, SA_SIZE, XFRMA_LASTUSED, 0));
	assert_int_equal(xi_sad_delete(b->sad, &sa.id), 0);
	again = answer;
	again.hdr.nlmsg_flags = NLM_F_REQUEST;
	assert_int_equal(bed_do(b, &again), 0);
	get(b, SPI, &again);
	assert_memory_equal(bed_find(&again, SA_SIZE, XFRMA_COADDR, 0), &coaddr, 4);
	assert_int_equal(u32_of(&again, XI_XFRMA_SA_PCPU), 0);
}

/* xfrm_dev_state_add(): no device here has offload. */
static void offload_is_a_hint_unless_it_is_of_packets(void **state)
{
	struct bed *b = *state;
	struct xfrm_user_offload offload = {.ifindex = 1, .flags = XFRM_OFFLOAD_INBOUND};
	struct bed_msg m, answer;

	assert_int_equal(add_with(b, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload)), 0);
	get(b, SPI, &answer);
	assert_null(bed_find(&answer, SA_SIZE, XFRMA_OFFLOAD_DEV, 0)); /* as of x->xso.dev == NULL */
	offload.flags = 4;
	newsa(&m, XFRM_MSG_NEWSA, SPI + 1);
	bed_attr(&m, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
	assert_int_equal(bed_do(b, &m), -EINVAL);
	offload.flags = 8;
	newsa(&m, XFRM_MSG_NEWSA, SPI + 1);
	bed_attr(&m, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
	assert_int_equal(bed_do(b, &m), -EINVAL);
	offload.flags = 0;
	newsa(&m, XFRM_MSG_NEWSA, SPI + 1);
	dir(&m, XI_SA_DIR_IN);
	bed_attr(&m, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
	assert_int_equal(bed_do(b, &m), -EINVAL); /* "Mismatched SA and offload direction" */
	newsa(&m, XFRM_MSG_NEWSA, SPI + 1);
	bed_attr_u32(&m, XFRMA_TFCPAD, 100);
	bed_attr(&m, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
	assert_int_equal(bed_do(b, &m), -EINVAL);
	assert_int_equal(xi_sad_count(b->sad), 1);
}

static void a_security_context_is_measured_and_dropped(void **state)
{
	struct bed *b = *state;
	struct {
		struct xfrm_user_sec_ctx head;
		char text[8];
	} ctx = {.head = {.len = sizeof(struct xfrm_user_sec_ctx) + 8, .ctx_len = 8}, .text = "a:b:c:d"};
	struct bed_msg m, answer;

	ctx.head.ctx_len = 9;
	assert_int_equal(add_with(b, XFRMA_SEC_CTX, &ctx, sizeof(ctx)), -EINVAL);
	ctx.head.ctx_len = 8;
	assert_int_equal(add_with(b, XFRMA_SEC_CTX, &ctx, sizeof(ctx) - 4), -EINVAL);
	assert_int_equal(xi_sad_count(b->sad), 0);
	assert_int_equal(add_with(b, XFRMA_SEC_CTX, &ctx, sizeof(ctx)), 0);
	get(b, SPI, &answer);
	assert_null(bed_find(&answer, SA_SIZE, XFRMA_SEC_CTX, 0));
	newsa(&m, XFRM_MSG_NEWSA, SPI + 1);
	bed_attr(&m, XFRMA_SEC_CTX, &ctx, sizeof(struct xfrm_user_sec_ctx));
	assert_int_equal(bed_do(b, &m), -EINVAL);
}

static void keepalives_are_told_as_they_were_asked_for(void **state)
{
	struct xfrm_encap_tmpl encap = {.encap_type = XI_ENCAP_ESPINUDP};
	struct bed *b = *state;
	struct bed_msg m, answer;
	const uint32_t *interval;
	uint32_t i;

	encap.encap_sport = encap.encap_dport = __builtin_bswap16(4500);
	for (i = 0; i < 2; i++) {
		newsa(&m, XFRM_MSG_NEWSA, SPI + i);
		dir(&m, XI_SA_DIR_OUT);
		bed_attr(&m, XFRMA_ENCAP, &encap, sizeof(encap));
		bed_attr_u32(&m, XI_XFRMA_NAT_KEEPALIVE, i * 20);
		assert_int_equal(bed_do(b, &m), 0);
		get(b, SPI + i, &answer);
		interval = bed_find(&answer, SA_SIZE, XI_XFRMA_NAT_KEEPALIVE, 0);
		assert_true(i ? interval && *interval == 20 : !interval);
	}
}

static void attributes_of_another_sort_of_sa_are_refused(void **state)
{
	struct xfrm_encap_tmpl encap = {.encap_type = XI_ENCAP_ESPINUDP};
	struct bed *b = *state;
	uint32_t value = 5, cpu = 1 << 20, i;
	struct bed_msg m;

	/* "MTIMER_THRESH attribute can only be set on ENCAP states" */
	assert_int_equal(add_with(b, XFRMA_MTIMER_THRESH, &value, sizeof(value)), -EINVAL);
	assert_int_equal(add_with(b, XI_XFRMA_SA_PCPU, &value, sizeof(value)), -EINVAL);
	/* "NAT keepalive is only supported for outbound SAs": inbound, or of no direction */
	encap.encap_sport = encap.encap_dport = __builtin_bswap16(4500);
	for (i = 0; i < 2; i++) {
		newsa(&m, XFRM_MSG_NEWSA, SPI);
		if (i)
			dir(&m, XI_SA_DIR_IN);
		bed_attr(&m, XFRMA_ENCAP, &encap, sizeof(encap));
		bed_attr_u32(&m, XI_XFRMA_NAT_KEEPALIVE, value);
		assert_int_equal(bed_do(b, &m), -EINVAL);
	}
	newsa(&m, XFRM_MSG_NEWSA, SPI);
	dir(&m, XI_SA_DIR_OUT);
	bed_attr_u32(&m, XI_XFRMA_NAT_KEEPALIVE, value);
	assert_int_equal(bed_do(b, &m), -EINVAL); /* "... for UDP encapsulation" */
	newsa(&m, XFRM_MSG_NEWSA, SPI);
	dir(&m, XI_SA_DIR_OUT);
	bed_attr_u32(&m, XI_XFRMA_SA_PCPU, cpu);
	assert_int_equal(bed_do(b, &m), -ERANGE); /* "pCPU number too big" */
	assert_int_equal(xi_sad_count(b->sad), 0);
}

static void thresholds_of_a_new_sa_are_its_own(void **state)
{
	struct bed *b = *state;
	struct bed_msg m;

	newsa(&m, XFRM_MSG_NEWSA, SPI);
	bed_attr_u32(&m, XFRMA_REPLAY_THRESH, 0);
	bed_attr_u32(&m, XFRMA_ETIMER_THRESH, UINT32_MAX);
	assert_int_equal(bed_do(b, &m), 0);
	assert_int_equal(xi_sad_at(b->sad, 0)->sa.replay_thresh, 1);
	assert_int_equal(xi_sad_at(b->sad, 0)->sa.etimer_thresh, UINT32_MAX);
}

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

/* xfrm_timer_handler(): a larval SA that got an SPI goes with a hard EXPIRE. */
static void a_larval_sa_expires(void **state)
{
	struct bed *b = *state;
	struct xfrm_userspi_info *spi;
	const struct xfrm_user_expire *expire;
	struct bed_msg m, answer, news;

	bed_join(b, XFRMNLGRP_EXPIRE);
	spi = bed_begin(&m, XFRM_MSG_ALLOCSPI, 0, sizeof(*spi));
	put_addr(&spi->info.id.daddr, "192.0.2.2");
	put_addr(&spi->info.saddr, "192.0.2.1");
	spi->info.id.proto = IPPROTO_ESP;
	spi->info.family = AF_INET;
	spi->min = spi->max = 0xc0000001;
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	assert_int_equal(bed_ask(b, &m, &answer), -ENOENT);
	xi_sad_tick(b->sad, time(NULL) + xi_acquire_ttl() - 2);
	assert_int_equal(xi_sad_count(b->sad), 1);
	xi_sad_tick(b->sad, time(NULL) + xi_acquire_ttl() + 1);
	assert_int_equal(xi_sad_count(b->sad), 0);
	assert_true(bed_receive(b->listener, &news));
	expire = (const void *)(news.buf + NLMSG_HDRLEN);
	assert_int_equal(news.hdr.nlmsg_type, XFRM_MSG_EXPIRE);
	assert_int_equal(expire->hard, 1);
	assert_int_equal(expire->state.id.spi, __builtin_bswap32(0xc0000001));
}

static void policies_by_type_and_offload(void **state)
{
	struct bed *b = *state;
	struct xfrm_userpolicy_type type = {.type = XFRM_POLICY_TYPE_SUB};
	struct xfrm_user_offload offload = {.ifindex = 1, .flags = 4};
	struct xi_policy p = bed_policy(XI_OUT, "10.1.0.0", "10.2.0.0", 16);
	struct xfrm_userpolicy_info *info;
	struct bed_msg m;

	bed_policy_add(b, &p);
	bed_begin(&m, XFRM_MSG_FLUSHPOLICY, 0, 0);
	bed_attr(&m, XFRMA_POLICY_TYPE, &type, sizeof(type));
	assert_int_equal(bed_do(b, &m), 0);
	assert_int_equal(xi_spd_count(b->spd, XI_OUT), 1);
	type.type = 77;
	bed_begin(&m, XFRM_MSG_FLUSHPOLICY, 0, 0);
	bed_attr(&m, XFRMA_POLICY_TYPE, &type, sizeof(type));
	assert_int_equal(bed_do(b, &m), -EINVAL);
	info = bed_begin(&m, XFRM_MSG_NEWPOLICY, 0, sizeof(*info));
	info->sel.family = AF_INET;
	bed_attr(&m, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
	assert_int_equal(bed_do(b, &m), -EINVAL);
	assert_int_equal(xi_spd_count(b->spd, XI_IN), 0);
	bed_begin(&m, XFRM_MSG_FLUSHPOLICY, 0, 0);
	assert_int_equal(bed_do(b, &m), 0);
	assert_int_equal(xi_spd_count(b->spd, XI_OUT), 0);
}

/* Any group may be joined; a group that nothing is said in is one of them. */
static void groups_without_news_can_be_joined(void **state)
{
	struct bed *b = *state;
	struct bed_msg m;

	bed_join(b, XFRMNLGRP_REPORT);
	bed_join(b, XFRMNLGRP_MIGRATE);
	bed_join(b, 0);
	bed_join(b, 33);
	newsa(&m, XFRM_MSG_NEWSA, SPI);
	assert_int_equal(bed_do(b, &m), 0);
	assert_false(bed_receive(b->listener, &m));
}

/* Bytes at random behind each header: an answer comes, and the server lives. */
static void noise(void **state)
{
	static const uint16_t types[] = {XFRM_MSG_MIGRATE, XFRM_MSG_ACQUIRE, XFRM_MSG_NEWAE, XFRM_MSG_NEWSA};
	struct bed *b = *state;
	struct bed_msg m, answer;
	uint32_t i, j;

	srand(3);
	for (i = 0; i < 20000; i++) {
		bed_begin(&m, types[i % 4], NLM_F_ACK, 0);
		m.hdr.nlmsg_len += rand() % 600;
		for (j = NLMSG_HDRLEN; j < m.hdr.nlmsg_len; j++)
			m.buf[j] = rand() % 3 ? 0 : rand();
		bed_ask(b, &m, &answer);
	}
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

/* xfrm_user_state_lookup(): by the mark, too. */
static void an_update_names_the_mark(void **state)
{
	const struct xfrm_mark its = {5, 0xff}, another = {6, 0xff};
	struct bed *b = *state;
	struct bed_msg m;

	assert_int_equal(add_with(b, XFRMA_MARK, &its, sizeof(its)), 0);
	newsa(&m, XFRM_MSG_UPDSA, SPI);
	assert_int_equal(bed_do(b, &m), -ESRCH);
	newsa(&m, XFRM_MSG_UPDSA, SPI);
	bed_attr(&m, XFRMA_MARK, &another, sizeof(another));
	assert_int_equal(bed_do(b, &m), -ESRCH);
	newsa(&m, XFRM_MSG_UPDSA, SPI);
	bed_attr(&m, XFRMA_MARK, &its, sizeof(its));
	assert_int_equal(bed_do(b, &m), 0);
}

/* As that user and group, no other groups. False: the server has closed the connection. */
static bool may_connect(struct bed *b, uid_t uid, gid_t gid)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	socklen_t len = 0;
	char byte;
	bool may;

	assert_true(fd >= 0);
	assert_int_equal(xi_xfrm_sock_addr(&addr, &len, b->name), 0);
	assert_int_equal(setegid(gid), 0);
	assert_int_equal(seteuid(uid), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(setegid(0), 0);
	event_base_loop(b->base, EVLOOP_NONBLOCK);
	may = recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
	close(fd);
	return may;
}

/* Root's group is no group of key managers, unless it was said to be. */
static void who_may_connect(void **state)
{
	struct bed *b = *state;
	gid_t groups[64];
	int n = getgroups(64, groups);
	const gid_t other = 12345;

	if (geteuid() != 0)
		skip();
	assert_true(n >= 0);
	assert_int_equal(setgroups(0, NULL), 0);
	assert_true(may_connect(b, 0, 0));
	assert_false(may_connect(b, 65534, 0));
	assert_false(may_connect(b, 65534, 4321));
	xi_xfrm_server_set_group(b->server, 4321);
	assert_true(may_connect(b, 65534, 4321));
	assert_false(may_connect(b, 65534, 0));
	assert_int_equal(setgroups(1, &other), 0);
	assert_false(may_connect(b, 65534, 65534));
	xi_xfrm_server_set_group(b->server, other);
	assert_true(may_connect(b, 65534, 65534));
	assert_int_equal(setgroups(n, groups), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_kept_is_told_and_taken_back, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(offload_is_a_hint_unless_it_is_of_packets, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_security_context_is_measured_and_dropped, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(keepalives_are_told_as_they_were_asked_for, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(attributes_of_another_sort_of_sa_are_refused, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(thresholds_of_a_new_sa_are_its_own, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_acquire_of_a_program_goes_to_the_key_managers, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_bad_acquire_is_refused, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_larval_sa_expires, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(policies_by_type_and_offload, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(groups_without_news_can_be_joined, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(workers_hear_who_listens_to_acquires, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_acquire_is_an_sa, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_flush_is_news_if_something_went, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_acquire_expires, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_policy_that_is_replaced_ends_its_acquire, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_update_names_the_mark, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(who_may_connect, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(noise, bed_setup, bed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
