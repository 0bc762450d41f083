/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which SA an ICMP error about a packet of ours lowers, and which one it does not (RFC 4301 section
 * 8.2, RFC 5927).
 */
#include <linux/xfrm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "dataplane/pathmtu.h"
#include "ipsec/pmtu.h"
#include "mem_store.h"

#define NOW 1700000000

static const struct xi_pathmtu_rules rules = { .floor = 552, .age = 600 };

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
};

static bool carries(const struct xi_sa *sa, const char **why)
{
	return true;
}

static int setup(void **state)
{
	static struct fixture f;
	const struct xi_sad_config config = { .carries = carries };

	f.m = mem_store_new(16, 2);
	*state = &f;
	return xi_sad_create(&f.sad, &config, &f.m->store);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	xi_sad_destroy(f->sad);
	mem_store_free(f->m);
	return 0;
}

/* sent: packets that went out by it. */
static struct xi_sa_state *add(struct fixture *f, const struct xi_sa *sa, uint64_t sent)
{
	const struct xi_replay_init init = { .oseq = sent };
	struct xi_sa_key key = sample_key(sa->id.spi);
	const char *why;

	assert_int_equal(xi_sad_add(f->sad, sa, &key, &init, &why), 0);
	return xi_sad_find(f->sad, &sa->id)->state;
}

static struct xi_quote quote_of(const struct xi_sa *sa, uint32_t seq, uint32_t mtu)
{
	struct xi_quote q = {
		.family = sa->id.family, .proto = sa->id.proto, .has_spi = true, .has_seq = true,
		.spi = sa->id.spi, .seq = seq, .len = 1500, .mtu = mtu,
		.encap = sa->encap != XI_ENCAP_NONE, .sport = sa->encap_sport, .dport = sa->encap_dport,
	};

	memcpy(q.saddr, sa->saddr, 16);
	memcpy(q.daddr, sa->id.daddr, 16);
	return q;
}

static unsigned int apply(struct fixture *f, const struct xi_quote *q)
{
	return xi_pathmtu_apply(f->sad, q, &rules, NOW);
}

static void lowered_and_aged(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1001);
	struct xi_sa_state *s = add(f, &sa, 100);
	struct xi_quote q = quote_of(&sa, 100, 1400);

	assert_int_equal(apply(f, &q), 1);
	assert_int_equal(xi_path_mtu(s, 1500, NOW), 1400);
	assert_int_equal(xi_path_mtu(s, 1500, NOW + 599), 1400);
	assert_int_equal(xi_path_mtu(s, 1500, NOW + 600), 1500);
}

static void never_raised_before_it_is_old(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1001);
	struct xi_sa_state *s = add(f, &sa, 100);
	struct xi_quote q = quote_of(&sa, 7, 1300);

	assert_int_equal(apply(f, &q), 1);
	q.mtu = 1400;
	assert_int_equal(apply(f, &q), 0);
	q.mtu = 1300;
	assert_int_equal(apply(f, &q), 0);
	assert_int_equal(xi_path_mtu(s, 1500, NOW), 1300);
	q.mtu = 1400;
	assert_int_equal(xi_pathmtu_apply(f->sad, &q, &rules, NOW + 600), 1);
	assert_int_equal(xi_path_mtu(s, 1500, NOW + 600), 1400);
}

/* Linux's net.ipv4.route.min_pmtu */
static void floor_of_ipv4(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1001);
	struct xi_sa_state *s = add(f, &sa, 100);
	struct xi_quote q = quote_of(&sa, 7, 68);

	assert_int_equal(apply(f, &q), 1);
	assert_int_equal(xi_path_mtu(s, 1500, NOW), 552);
	/* a packet that fits into the floor cannot have been too big */
	s->pmtu = 0;
	q.len = 552;
	assert_int_equal(apply(f, &q), 0);
}

/* What each case changes in a good quote makes it somebody else's. */
static void what_lowers_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1001);
	struct xi_sa_state *s = add(f, &sa, 100);
	const struct xi_quote good = quote_of(&sa, 100, 1400);
	struct xi_quote q;

	q = good, q.spi = 0x1002;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.proto = XI_AH;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.saddr[3] = 9;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.daddr[3] = 9;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.family = XI_IPV6;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.encap = true, q.sport = q.dport = 4500;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.seq = 101;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.seq = 0;
	assert_int_equal(apply(f, &q), 0);
	q = good, q.mtu = 1500;
	assert_int_equal(apply(f, &q), 0);
	assert_int_equal(xi_path_mtu(s, 1500, NOW), 1500);
	assert_int_equal(apply(f, &good), 1);
}

static void inbound_and_unused_sas_have_none(void **state)
{
	struct fixture *f = *state;
	struct xi_sa in = sample_sa("192.0.2.1", "192.0.2.2", 0x1001);
	struct xi_sa idle = sample_sa("192.0.2.1", "192.0.2.2", 0x1002);
	struct xi_quote q;

	in.sa_dir = 1;
	add(f, &in, 0)->oseq = 100;
	q = quote_of(&in, 100, 1400);
	assert_int_equal(apply(f, &q), 0);
	add(f, &idle, 0);
	q = quote_of(&idle, 0, 1400);
	assert_int_equal(apply(f, &q), 0);
	q.has_seq = false;
	assert_int_equal(apply(f, &q), 0);
}

/* A number of long ago is a guess; the low half of a number with ESN goes round. */
static void numbers_in_flight(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1001);
	struct xi_sa esn = sample_sa("192.0.2.1", "192.0.2.2", 0x1002);
	struct xi_quote q;

	add(f, &sa, 0x80000000);
	q = quote_of(&sa, 0x40000000, 1400);
	assert_int_equal(apply(f, &q), 0);
	q.seq = 0x80000000 - 100000;
	assert_int_equal(apply(f, &q), 1);
	esn.flags |= XFRM_STATE_ESN;
	add(f, &esn, 0x100000005);
	q = quote_of(&esn, 6, 1400);
	assert_int_equal(apply(f, &q), 0);
	q.seq = 0xfffffff0;
	assert_int_equal(apply(f, &q), 1);
}

static void encapsulated(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1001), twin, other;
	struct xi_sa_state *s, *t, *o;
	struct xi_quote q;

	sa.encap = XI_ENCAP_ESPINUDP;
	sa.encap_sport = 4500;
	sa.encap_dport = 34500;
	twin = other = sa;
	twin.id.spi = 0x1002;
	other.id.spi = 0x1003;
	other.encap_dport = 34501;
	s = add(f, &sa, 10);
	t = add(f, &twin, 10);
	o = add(f, &other, 10);

	q = quote_of(&sa, 10, 1400);
	q.dport = 34501;
	assert_int_equal(apply(f, &q), 0);
	q.dport = 34500;
	assert_int_equal(apply(f, &q), 1);
	assert_int_equal(xi_path_mtu(t, 1500, NOW), 1500);

	/* ports alone: all behind them */
	q.has_spi = q.has_seq = false;
	q.mtu = 1300;
	assert_int_equal(apply(f, &q), 2);
	assert_int_equal(xi_path_mtu(s, 1500, NOW), 1300);
	assert_int_equal(xi_path_mtu(t, 1500, NOW), 1300);
	assert_int_equal(xi_path_mtu(o, 1500, NOW), 1500);

	/* which anybody can guess: not below what every path of today carries */
	q.mtu = 600;
	assert_int_equal(apply(f, &q), 2);
	assert_int_equal(xi_path_mtu(s, 1500, NOW), 1280);
}

/* A key manager's update keeps it; a new SA starts anew. */
static void outlives_an_update(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1001);
	struct xi_sa_key key = sample_key(sa.id.spi);
	struct xi_quote q = quote_of(&sa, 7, 1400);
	const char *why;

	add(f, &sa, 10);
	assert_int_equal(apply(f, &q), 1);
	sa.limits.soft_add = 100;
	assert_int_equal(xi_sad_update(f->sad, &sa, &key, NULL, &why), 0);
	assert_int_equal(xi_path_mtu(xi_sad_find(f->sad, &sa.id)->state, 1500, NOW), 1400);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(xi_path_mtu(add(f, &sa, 10), 1500, NOW), 1500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lowered_and_aged),
		TEST(never_raised_before_it_is_old),
		TEST(floor_of_ipv4),
		TEST(what_lowers_nothing),
		TEST(inbound_and_unused_sas_have_none),
		TEST(numbers_in_flight),
		TEST(encapsulated),
		TEST(outlives_an_update),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
