/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* NEWAE and GETAE: what a stand-by asks for, and what it hears unasked. What the kernel does: its xfrm_sync.rst. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "server_bed.h"

#define AE_SIZE sizeof(struct xfrm_aevent_id)
#define SPI 0x1001

static void ae_request(struct bed_msg *m, uint16_t type, uint16_t flags, uint32_t ae_flags)
{
	struct xfrm_aevent_id *ae = bed_begin(m, type, flags, sizeof(*ae));
	uint8_t daddr[16];

	ae->sa_id.family = sample_addr(daddr, "192.0.2.2");
	memcpy(&ae->sa_id.daddr, daddr, sizeof(daddr));
	ae->sa_id.spi = __builtin_bswap32(SPI);
	ae->sa_id.proto = IPPROTO_ESP;
	ae->flags = ae_flags;
}

static struct xi_sa_state *counters(struct bed *b)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", SPI);

	return xi_sad_find(b->sad, &sa.id)->state;
}

static void add(struct bed *b)
{
	bed_add(b, "192.0.2.1", "192.0.2.2", SPI, 1);
}

/* The thresholds by NEWAE, one more than each in struct xi_sa. */
static void set_thresholds(struct bed *b, uint32_t seqs, uint32_t ticks)
{
	struct bed_msg m;

	ae_request(&m, XFRM_MSG_NEWAE, NLM_F_REPLACE, 0);
	bed_attr_u32(&m, XFRMA_REPLAY_THRESH, seqs);
	bed_attr_u32(&m, XFRMA_ETIMER_THRESH, ticks);
	assert_int_equal(bed_do(b, &m), 0);
}

/* The event's flags; 0: none came. */
static uint32_t event(struct bed *b, struct bed_msg *m)
{
	if (!bed_receive(b->listener, m))
		return 0;
	assert_int_equal(m->hdr.nlmsg_type, XFRM_MSG_NEWAE);
	assert_int_equal(m->hdr.nlmsg_seq, 0);
	return ((const struct xfrm_aevent_id *)(m->buf + NLMSG_HDRLEN))->flags;
}

static uint32_t ticked(struct bed *b)
{
	struct bed_msg m;

	xi_aevents_tick(b->server->aevents);
	return event(b, &m);
}

static void thresholds_are_told_to_who_asks(void **state)
{
	struct bed *b = *state;
	struct xi_ae_defaults defaults = xi_aevents_defaults();
	struct bed_msg m, answer;
	uint32_t value;

	add(b);
	ae_request(&m, XFRM_MSG_GETAE, 0, 0);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	assert_null(bed_find(&answer, AE_SIZE, XFRMA_REPLAY_THRESH, 0));
	assert_null(bed_find(&answer, AE_SIZE, XFRMA_ETIMER_THRESH, 0));
	assert_non_null(bed_find(&answer, AE_SIZE, XFRMA_LTIME_VAL, 0));
	ae_request(&m, XFRM_MSG_GETAE, 0, XFRM_AE_RTHR | XFRM_AE_ETHR);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	memcpy(&value, bed_find(&answer, AE_SIZE, XFRMA_REPLAY_THRESH, 0), 4);
	assert_int_equal(value, defaults.replay);
	memcpy(&value, bed_find(&answer, AE_SIZE, XFRMA_ETIMER_THRESH, 0), 4);
	assert_int_equal(value, defaults.etimer);
	assert_int_equal(((struct xfrm_aevent_id *)(answer.buf + NLMSG_HDRLEN))->flags,
			 XFRM_AE_RTHR | XFRM_AE_ETHR);
	set_thresholds(b, 0, 4000000);
	ae_request(&m, XFRM_MSG_GETAE, 0, XFRM_AE_RTHR | XFRM_AE_ETHR);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	memcpy(&value, bed_find(&answer, AE_SIZE, XFRMA_REPLAY_THRESH, 0), 4);
	assert_int_equal(value, 0);
	memcpy(&value, bed_find(&answer, AE_SIZE, XFRMA_ETIMER_THRESH, 0), 4);
	assert_int_equal(value, 4000000);
}

static void newae_wants_something_to_set(void **state)
{
	struct bed *b = *state;
	struct bed_msg m;

	ae_request(&m, XFRM_MSG_NEWAE, NLM_F_REPLACE, 0);
	bed_attr_u32(&m, XFRMA_REPLAY_THRESH, 5);
	assert_int_equal(bed_do(b, &m), -ESRCH);
	add(b);
	assert_int_equal(bed_do(b, &m), 0);
	m.hdr.nlmsg_flags &= ~NLM_F_REPLACE;
	assert_int_equal(bed_do(b, &m), -EINVAL);
	ae_request(&m, XFRM_MSG_NEWAE, NLM_F_REPLACE, 0);
	assert_int_equal(bed_do(b, &m), -EINVAL);
}

static void what_a_key_manager_sets_the_group_hears(void **state)
{
	struct bed *b = *state;
	struct bed_msg m;

	add(b);
	bed_join(b, XFRMNLGRP_AEVENTS);
	ae_request(&m, XFRM_MSG_NEWAE, NLM_F_REPLACE, 0);
	bed_attr_u32(&m, XFRMA_REPLAY_THRESH, 5);
	assert_int_equal(bed_do(b, &m), 0);
	assert_true(bed_receive(b->listener, &m));
	assert_int_equal(((struct xfrm_aevent_id *)(m.buf + NLMSG_HDRLEN))->flags, XFRM_AE_CU);
}

static void packets_beyond_the_threshold_are_news(void **state)
{
	struct bed *b = *state;
	const struct xfrm_replay_state *replay;
	struct bed_msg m;

	add(b);
	set_thresholds(b, 10, 0);
	bed_join(b, XFRMNLGRP_AEVENTS);
	assert_int_equal(ticked(b), 0); /* where it stands when somebody begins to listen */
	counters(b)->oseq = 9;
	assert_int_equal(ticked(b), 0);
	counters(b)->oseq = 10;
	xi_aevents_tick(b->server->aevents);
	assert_int_equal(event(b, &m), XFRM_AE_CR);
	replay = bed_find(&m, AE_SIZE, XFRMA_REPLAY_VAL, 0);
	assert_int_equal(replay->oseq, 10);
	assert_int_equal(ticked(b), 0);
	counters(b)->top = 10;
	assert_int_equal(ticked(b), XFRM_AE_CR);
	counters(b)->top = 1000; /* one event, however many they are */
	assert_int_equal(ticked(b), XFRM_AE_CR);
	assert_int_equal(ticked(b), 0);
}

static void fewer_are_news_when_their_time_is_over(void **state)
{
	struct bed *b = *state;
	int i;

	add(b);
	set_thresholds(b, 1000, 20);
	bed_join(b, XFRMNLGRP_AEVENTS);
	assert_int_equal(ticked(b), 0);
	counters(b)->top = 1;
	for (i = 1; i < 20; i++)
		assert_int_equal(ticked(b), 0);
	assert_int_equal(ticked(b), XFRM_AE_CE);
	for (i = 0; i < 60; i++)
		assert_int_equal(ticked(b), 0); /* nothing moved */
	counters(b)->top = 2;
	assert_int_equal(ticked(b), XFRM_AE_CE); /* its time was over before (XFRM_TIME_DEFER) */
}

/* xfrm_new_ae() of the kernel wants a valid SA; xfrm_get_ae() takes any. */
static void a_larval_sa_has_no_events(void **state)
{
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", SPI);
	struct xi_sa_key key = sample_key(1);
	struct bed *b = *state;
	const struct xi_sa_rec *rec;
	struct bed_msg m, answer;
	const char *why;
	uint32_t value;

	bed_join(b, XFRMNLGRP_AEVENTS);
	sa.replay_thresh = 7; /* of six packets */
	assert_int_equal(xi_sad_alloc_spi(b->sad, &sa, SPI, SPI, 60, &rec), 0);
	assert_true(rec->sa.life & XI_SA_LARVAL);
	ae_request(&m, XFRM_MSG_NEWAE, NLM_F_REPLACE, 0);
	bed_attr_u32(&m, XFRMA_REPLAY_THRESH, 5);
	assert_int_equal(bed_do(b, &m), -EINVAL);
	assert_int_equal(xi_sad_set_thresholds(b->sad, &sa.id, 5, 5), -EINVAL);
	ae_request(&m, XFRM_MSG_GETAE, 0, 0);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	assert_int_equal(answer.hdr.nlmsg_type, XFRM_MSG_NEWAE);
	for (value = 0; value < 3; value++)
		assert_int_equal(ticked(b), 0);

	/* keys come, and with them the thresholds of that request */
	sa.replay_thresh = 4;
	assert_int_equal(xi_sad_update(b->sad, &sa, &key, NULL, &why), 0);
	assert_int_equal(ticked(b), 0);
	counters(b)->oseq = 2;
	assert_int_equal(ticked(b), 0);
	counters(b)->oseq = 3;
	assert_int_equal(ticked(b), XFRM_AE_CR);
	ae_request(&m, XFRM_MSG_GETAE, 0, XFRM_AE_RTHR);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	memcpy(&value, bed_find(&answer, AE_SIZE, XFRMA_REPLAY_THRESH, 0), 4);
	assert_int_equal(value, 3);
}

/* The least, and the most that there is: the last value of 32 bits is the same as the one before. */
static void thresholds_reach_from_one_to_all(void **state)
{
	struct bed *b = *state;
	struct bed_msg m, answer;
	uint32_t value;

	add(b);
	set_thresholds(b, 1, 1);
	bed_join(b, XFRMNLGRP_AEVENTS);
	assert_int_equal(ticked(b), 0);
	counters(b)->top = 1;
	assert_int_equal(ticked(b), XFRM_AE_CR);
	set_thresholds(b, UINT32_MAX, UINT32_MAX);
	bed_receive(b->listener, &m); /* what was set */
	ae_request(&m, XFRM_MSG_GETAE, 0, XFRM_AE_RTHR | XFRM_AE_ETHR);
	assert_int_equal(bed_ask(b, &m, &answer), 0);
	memcpy(&value, bed_find(&answer, AE_SIZE, XFRMA_REPLAY_THRESH, 0), 4);
	assert_int_equal(value, UINT32_MAX - 1);
	memcpy(&value, bed_find(&answer, AE_SIZE, XFRMA_ETIMER_THRESH, 0), 4);
	assert_int_equal(value, UINT32_MAX - 1);
	counters(b)->top = UINT32_MAX - 2;
	assert_int_equal(ticked(b), 0);
	counters(b)->top = UINT32_MAX; /* 64 bits are compared, so ESN's too */
	assert_int_equal(ticked(b), XFRM_AE_CR);
	counters(b)->top = 3ULL << 32;
	assert_int_equal(ticked(b), XFRM_AE_CR);
}

static void a_threshold_of_zero_is_none(void **state)
{
	struct bed *b = *state;
	int i;

	add(b);
	set_thresholds(b, 0, 0);
	bed_join(b, XFRMNLGRP_AEVENTS);
	for (i = 0; i < 100; i++) {
		counters(b)->oseq += 100;
		assert_int_equal(ticked(b), 0);
	}
}

static void an_sa_in_the_place_of_another_begins_anew(void **state)
{
	struct bed *b = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", SPI);

	add(b);
	bed_join(b, XFRMNLGRP_AEVENTS);
	ticked(b);
	counters(b)->oseq = 5;
	assert_int_equal(ticked(b), XFRM_AE_CR);
	assert_int_equal(xi_sad_delete(b->sad, &sa.id), 0);
	add(b);
	assert_int_equal(ticked(b), 0);
	counters(b)->oseq = 1;
	assert_int_equal(ticked(b), 0);
	counters(b)->oseq = 2;
	assert_int_equal(ticked(b), XFRM_AE_CR); /* net.core.xfrm_aevent_rseqth is 2 */
}

/* The timer runs as long as somebody listens, and not before. */
static void nobody_listens_nothing_is_done(void **state)
{
	struct bed *b = *state;
	time_t end = time(NULL) + 20;
	struct bed_msg m;

	add(b);
	assert_int_equal(event_base_get_num_events(b->base, EVENT_BASE_COUNT_ADDED),
			 1 /* accept */ + 2 /* clients */);
	bed_join(b, XFRMNLGRP_SA);
	assert_int_equal(event_base_get_num_events(b->base, EVENT_BASE_COUNT_ADDED), 3);
	bed_join(b, XFRMNLGRP_AEVENTS);
	assert_int_equal(event_base_get_num_events(b->base, EVENT_BASE_COUNT_ADDED), 4);
	event_base_loop(b->base, EVLOOP_ONCE);
	counters(b)->oseq = 50;
	while (!event(b, &m) && time(NULL) < end)
		event_base_loop(b->base, EVLOOP_ONCE);
	assert_true(time(NULL) < end);
	bed_ctl(b, b->listener, XI_CTL_DROP, XFRMNLGRP_AEVENTS);
	event_base_loop(b->base, EVLOOP_ONCE);
	assert_int_equal(event_base_get_num_events(b->base, EVENT_BASE_COUNT_ADDED), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(thresholds_are_told_to_who_asks, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(newae_wants_something_to_set, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(what_a_key_manager_sets_the_group_hears, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(packets_beyond_the_threshold_are_news, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(fewer_are_news_when_their_time_is_over, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_larval_sa_has_no_events, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(thresholds_reach_from_one_to_all, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(a_threshold_of_zero_is_none, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(an_sa_in_the_place_of_another_begins_anew, bed_setup, bed_teardown),
		cmocka_unit_test_setup_teardown(nobody_listens_nothing_is_done, bed_setup, bed_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
