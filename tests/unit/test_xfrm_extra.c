/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attributes that packets do not depend on, larval SAs that nobody wants, and what of the two databases goes by type:
 * each as net/xfrm/xfrm_user.c of Linux has it.
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

static void newsa(struct bed_msg *m, uint16_t type, uint32_t spi)
{
	struct xfrm_usersa_info *info = bed_begin(m, type, 0, sizeof(*info));
	_Alignas(struct xfrm_algo_aead) uint8_t alg[sizeof(struct xfrm_algo_aead) + 20];
	struct xfrm_algo_aead *aead = (struct xfrm_algo_aead *)alg;

	put_addr(&info->id.daddr, "192.0.2.2");
	put_addr(&info->saddr, "192.0.2.1");
	info->id.spi = __builtin_bswap32(spi);
	info->id.proto = IPPROTO_ESP;
	info->family = AF_INET;
	info->mode = XFRM_MODE_TUNNEL;
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	memset(alg, 0, sizeof(alg));
	*aead = (struct xfrm_algo_aead){.alg_name = "rfc4106(gcm(aes))", .alg_key_len = 160, .alg_icv_len = 128};
	memcpy(aead->alg_key, &spi, sizeof(spi));
	bed_attr(m, XFRMA_ALG_AEAD, alg, sizeof(alg));
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
		cmocka_unit_test_setup_teardown(a_larval_sa_expires, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(policies_by_type_and_offload, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(groups_without_news_can_be_joined, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_update_names_the_mark, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(who_may_connect, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(noise, bed_setup, bed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
