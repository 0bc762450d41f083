/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which ACQUIREs are one, which SA ends them, and how many may be pending. Expected: the kernel's larval SAs (net/xfrm/xfrm_state.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "source/acquire.h"

#define TTL 30

struct bed {
	struct xi_acquires *as;
	struct xi_policy policy;     /* tunnel 192.0.2.1 -> 192.0.2.2, reqid 7 */
	struct xi_flow flow;         /* 10.1.1.2 -> 10.1.2.2 */
	uint64_t now;
	uint32_t seq;                /* of the last one that began */
};

static void addr(uint8_t out[16], uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	memset(out, 0, 16);
	out[0] = a, out[1] = b, out[2] = c, out[3] = d;
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];

	bed->as = xi_acquires_new();
	bed->now = 1000;
	bed->flow = (struct xi_flow){.family = XI_IPV4, .dir = XI_OUT, .proto = 6, .dport = 22};
	addr(bed->flow.saddr, 10, 1, 1, 2);
	addr(bed->flow.daddr, 10, 1, 2, 2);
	bed->policy.index = 9;
	bed->policy.ntmpls = 1;
	*tmpl = (struct xi_tmpl){.mode = XI_TUNNEL, .family = XI_IPV4, .reqid = 7};
	tmpl->id = (struct xi_sa_id){.proto = XI_ESP, .family = XI_IPV4};
	addr(tmpl->saddr, 192, 0, 2, 1);
	addr(tmpl->id.daddr, 192, 0, 2, 2);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	xi_acquires_free(bed->as);
	free(bed);
	return 0;
}

static int begin(struct bed *bed)
{
	return xi_acquires_begin(bed->as, &bed->flow, &bed->policy, bed->now, TTL, &bed->seq);
}

/* The SA that the policy asks for. */
static struct xi_sa sa_of(const struct bed *bed)
{
	const struct xi_tmpl *tmpl = &bed->policy.tmpls[0];
	struct xi_sa sa = {.id = tmpl->id, .mode = tmpl->mode, .reqid = tmpl->reqid};

	sa.id.spi = 0x1234;
	memcpy(sa.saddr, tmpl->saddr, 16);
	return sa;
}

static void all_flows_of_a_tunnel_are_one(void **state)
{
	struct bed *bed = *state;
	unsigned int i;

	assert_int_equal(begin(bed), 0);
	for (i = 0; i < 1000; i++) {
		bed->flow.dport = i;
		bed->flow.daddr[3] = i;
		assert_int_equal(begin(bed), -EALREADY);
	}
	bed->policy.index++;         /* of another policy, too */
	assert_int_equal(begin(bed), -EALREADY);
	assert_int_equal(bed->as->n, 1);
}

static void each_pair_of_hosts_has_one_in_transport_mode(void **state)
{
	struct bed *bed = *state;
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];

	tmpl->mode = XI_TRANSPORT;
	memset(tmpl->saddr, 0, 16);
	memset(tmpl->id.daddr, 0, 16);
	assert_int_equal(begin(bed), 0);
	bed->flow.dport = 80;
	assert_int_equal(begin(bed), -EALREADY);
	bed->flow.daddr[3]++;
	assert_int_equal(begin(bed), 0);
	bed->flow.saddr[3]++;
	assert_int_equal(begin(bed), 0);
}

static void what_makes_another_sa_makes_another_one(void **state)
{
	struct bed *bed = *state;
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];

	assert_int_equal(begin(bed), 0);
	tmpl->reqid++;
	assert_int_equal(begin(bed), 0);
	tmpl->id.proto = XI_AH;
	assert_int_equal(begin(bed), 0);
	tmpl->mode = XI_TRANSPORT;
	assert_int_equal(begin(bed), 0);
	tmpl->id.daddr[3]++;
	assert_int_equal(begin(bed), 0);
	tmpl->saddr[3]++;
	assert_int_equal(begin(bed), 0);
	bed->policy.if_id = 5;
	assert_int_equal(begin(bed), 0);
	bed->policy.mark_v = bed->policy.mark_m = 5;
	assert_int_equal(begin(bed), 0);
	bed->policy.mark_v |= 0x100; /* outside of the mask */
	assert_int_equal(begin(bed), -EALREADY);
	assert_int_equal(bed->as->n, 8);
}

static void it_is_asked_again_when_time_is_up(void **state)
{
	struct bed *bed = *state;
	uint32_t seq;

	assert_int_equal(begin(bed), 0);
	seq = bed->seq;
	assert_int_not_equal(seq, 0);
	bed->now += TTL - 1;
	assert_int_equal(begin(bed), -EALREADY);
	bed->now++;
	assert_int_equal(begin(bed), 0);
	assert_int_not_equal(bed->seq, seq);
	assert_int_equal(bed->as->n, 1);
	bed->now += TTL;
	xi_acquires_expire(bed->as, bed->now);
	assert_int_equal(bed->as->n, 0);
}

static void its_sa_ends_it(void **state)
{
	struct bed *bed = *state;
	struct xi_sa sa = sa_of(bed), other;

	assert_int_equal(begin(bed), 0);
#define KEEPS(change)                                                                              \
	other = sa;                                                                                \
	other.change;                                                                              \
	xi_acquires_settle(bed->as, &other, bed->now);                                             \
	assert_int_equal(bed->as->n, 1)
	KEEPS(reqid++);
	KEEPS(id.daddr[3]++);
	KEEPS(saddr[3]++);
	KEEPS(id.proto = XI_AH);
	KEEPS(mode = XI_TRANSPORT);
	KEEPS(if_id = 1);
	KEEPS(seq = bed->seq + 1; other.reqid++);
#undef KEEPS
	xi_acquires_settle(bed->as, &sa, bed->now);
	assert_int_equal(bed->as->n, 0);
	assert_int_equal(begin(bed), 0);
}

/* As pluto's traps: transport mode, no addresses, no reqid; its SA has all of them. */
static void an_open_template_is_met_by_what_fits(void **state)
{
	struct bed *bed = *state;
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];
	struct xi_sa sa;

	tmpl->mode = XI_TRANSPORT;
	tmpl->reqid = 0;
	memset(tmpl->saddr, 0, 16);
	memset(tmpl->id.daddr, 0, 16);
	assert_int_equal(begin(bed), 0);
	sa = sa_of(bed);
	memcpy(sa.saddr, bed->flow.saddr, 16);
	memcpy(sa.id.daddr, bed->flow.daddr, 16);
	sa.reqid = 16389;
	xi_acquires_settle(bed->as, &sa, bed->now);
	assert_int_equal(bed->as->n, 0);
}

/* A tunnel from whatever address this host has at the time. */
static void an_open_source_is_met_by_any(void **state)
{
	struct bed *bed = *state;
	struct xi_sa sa;

	memset(bed->policy.tmpls[0].saddr, 0, 16);
	assert_int_equal(begin(bed), 0);
	sa = sa_of(bed);
	sa.saddr[0] = 198;           /* of whatever network it is in */
	sa.reqid++;
	xi_acquires_settle(bed->as, &sa, bed->now);
	assert_int_equal(bed->as->n, 1);
	sa.reqid--;
	xi_acquires_settle(bed->as, &sa, bed->now);
	assert_int_equal(bed->as->n, 0);
}

/* A key manager may choose another mode or reqid than it was asked for, and says which ACQUIRE it means. */
static void its_number_ends_it(void **state)
{
	struct bed *bed = *state;
	struct xi_sa sa = sa_of(bed);

	assert_int_equal(begin(bed), 0);
	sa.reqid = 16389;
	sa.mode = XI_TRANSPORT;
	sa.seq = bed->seq;
	sa.id.daddr[3]++;            /* not of this peer */
	xi_acquires_settle(bed->as, &sa, bed->now);
	assert_int_equal(bed->as->n, 1);
	sa.id.daddr[3]--;
	xi_acquires_settle(bed->as, &sa, bed->now);
	assert_int_equal(bed->as->n, 0);
}

static void a_policy_that_changes_ends_its_own(void **state)
{
	struct bed *bed = *state;
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];

	tmpl->mode = XI_TRANSPORT;
	tmpl->reqid = 0;
	memset(tmpl->saddr, 0, 16);
	memset(tmpl->id.daddr, 0, 16);
	assert_int_equal(begin(bed), 0);
	bed->flow.daddr[3]++;
	assert_int_equal(begin(bed), 0);
	bed->policy.index += 8 * XI_ACQUIRE_HASH;  /* in the same chain */
	bed->flow.daddr[3]++;
	assert_int_equal(begin(bed), 0);
	xi_acquires_policy(bed->as, 9);
	assert_int_equal(bed->as->n, 1);
	assert_int_equal(begin(bed), -EALREADY);
	bed->flow.daddr[3]--;
	assert_int_equal(begin(bed), 0);
	xi_acquires_policy(bed->as, bed->policy.index);
	assert_int_equal(bed->as->n, 0);
}

static void a_flood_is_bounded(void **state)
{
	struct bed *bed = *state;
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];
	unsigned int i, told = 0;
	struct xi_sa sa;

	for (i = 0; i < 10000; i++) {
		tmpl->reqid = 100 + i;
		bed->policy.index = 8 * i;
		told += begin(bed) == 0;
	}
	assert_int_equal(told, XI_ACQUIRES_MAX);
	assert_int_equal(begin(bed), -ENOBUFS);
	tmpl->reqid = 100 + 500;     /* one in the middle is answered */
	sa = sa_of(bed);
	xi_acquires_settle(bed->as, &sa, bed->now);
	tmpl->reqid = 5;
	assert_int_equal(begin(bed), 0);
	tmpl->reqid = 6;
	assert_int_equal(begin(bed), -ENOBUFS);
	bed->now += TTL;
	assert_int_equal(begin(bed), 0);
	assert_int_equal(bed->as->n, 1);
}

/* A host that sends to addresses at random, under a trap without addresses, leaves room for the others. */
static void one_policy_has_a_share(void **state)
{
	struct bed *bed = *state;
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];
	unsigned int told = 0;
	uint32_t i;

	for (i = 0; i < XI_ACQUIRES_MAX; i++) {
		tmpl->reqid = 100 + i;
		told += begin(bed) == 0;
	}
	assert_int_equal(told, XI_ACQUIRE_SHARE);
	assert_int_equal(begin(bed), -ENOBUFS);
	bed->policy.index += 8;
	assert_int_equal(begin(bed), 0);
	bed->policy.index -= 8;
	tmpl->reqid++;
	assert_int_equal(begin(bed), -ENOBUFS);
	xi_acquires_policy(bed->as, bed->policy.index);
	assert_int_equal(bed->as->n, 1);
	assert_int_equal(begin(bed), 0);
	bed->now += TTL;             /* their time gives it back, too */
	told = 0;
	for (i = 0; i < XI_ACQUIRES_MAX; i++) {
		tmpl->reqid = 100 + i;
		told += begin(bed) == 0;
	}
	assert_int_equal(told, XI_ACQUIRE_SHARE);
}

static void numbers_are_never_zero_nor_twice(void **state)
{
	struct bed *bed = *state;
	struct xi_tmpl *tmpl = &bed->policy.tmpls[0];
	uint32_t first;

	assert_int_equal(begin(bed), 0);
	first = bed->seq;
	bed->as->seq = UINT32_MAX - 1;
	tmpl->reqid = 100;
	assert_int_equal(begin(bed), 0);
	assert_int_equal(bed->seq, UINT32_MAX);
	tmpl->reqid = 101;
	assert_int_equal(begin(bed), 0);
	assert_int_not_equal(bed->seq, 0);
	assert_int_not_equal(bed->seq, first);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(all_flows_of_a_tunnel_are_one),
		T(each_pair_of_hosts_has_one_in_transport_mode),
		T(what_makes_another_sa_makes_another_one),
		T(it_is_asked_again_when_time_is_up),
		T(its_sa_ends_it),
		T(an_open_template_is_met_by_what_fits),
		T(an_open_source_is_met_by_any),
		T(its_number_ends_it),
		T(a_policy_that_changes_ends_its_own),
		T(a_flood_is_bounded),
		T(one_policy_has_a_share),
		T(numbers_are_never_zero_nor_twice),
	};

	return cmocka_run_group_tests_name("acquire", tests, NULL, NULL);
}
