/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which routes follow from which policies, in a table that the test plays the kernel of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "routes_bed.h"

static void test_tunnels_have_routes_with_the_hosts_address_in_their_source(void **state)
{
	struct table *t = *state;

	addrs(t, "127.0.0.1 10.1.1.1 192.0.2.1 ::1 fe80::1 2001:db8::1 fd00:1::1");
	set(t, 1, policy("10.1.1.0/24", "10.1.2.0/24", 0, "192.0.2.2"));
	set(t, 9, policy("fd00:1::/64", "fd00:2::/64", 0, "2001:db8::2"));
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1", "fd00:2::/64 src fd00:1::1");
	assert_string_equal(t->plain, "192.0.2.1 2001:db8::1");
	drop(t, 1);
	EXPECT(t, "fd00:2::/64 src fd00:1::1");
	drop(t, 9);
	EXPECT(t);
	/* nothing to be kept away from */
	assert_string_equal(t->plain, "");
}

static void test_what_is_no_route(void **state)
{
	struct table *t = *state;
	struct xi_policy p = policy("10.1.1.0/24", "10.1.2.0/24", 0, "192.0.2.2"), other;

	addrs(t, "10.1.1.1");
	other = p, other.dir = XI_IN, set(t, 1, other);
	other = p, other.dir = XI_FWD, set(t, 2, other);
	other = p, other.action = XI_BLOCK, set(t, 3, other);
	other = p, other.ntmpls = 0, set(t, 4, other);
	other = p, other.tmpls[0].mode = XI_TRANSPORT, set(t, 5, other);
	other = p, other.sel.proto = 6, set(t, 6, other);
	other = p, other.sel.dport_mask = 0xffff, set(t, 7, other);
	other = p, other.if_id = 3, set(t, 8, other);
	other = p, other.mark_m = 1, set(t, 9, other);
	other = p, other.type = XFRM_POLICY_TYPE_SUB, set(t, 10, other);
	other = p, other.sel.ifindex = 2, set(t, 11, other);
	EXPECT(t);
	assert_int_equal(t->changes, 0);
	/* one of them becomes what has one, and is it no more */
	set(t, 6, p);
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1");
	other = p, other.sel.proto = 6, set(t, 6, other);
	EXPECT(t);
}

static void test_a_rekey_changes_nothing(void **state)
{
	struct table *t = *state;
	struct xi_policy p = policy("10.1.1.0/24", "10.1.2.0/24", 7, "192.0.2.2");

	addrs(t, "10.1.1.1");
	set(t, 1, p);
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1");
	p.tmpls[0].id.spi = 0x1234;
	p.tmpls[0].reqid = 5;
	p.limits.hard_bytes = 1;
	set(t, 1, p);
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1");
	assert_int_equal(t->changes, 1);
	/* gone and back before anybody looked */
	drop(t, 1);
	set(t, 2, p);
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1");
	assert_int_equal(t->changes, 1);
}

static void test_an_address_that_comes_later(void **state)
{
	struct table *t = *state;
	uint64_t at = 0;
	const struct xi_route *route;

	addrs(t, "192.0.2.1");
	set(t, 1, policy("10.3.0.5/32", "0.0.0.0/0", 0, "192.0.2.2"));
	EXPECT(t);
	assert_int_equal(xi_plan_count(t->plan).waiting, 1);
	route = xi_plan_next(t->plan, &at);
	assert_non_null(route);
	assert_int_equal(route->kind, XI_ROUTE_NONE);
	assert_null(xi_plan_next(t->plan, &at));
	addrs(t, "192.0.2.1 10.3.0.5");
	/* whose gateway, and what is of a link, must not go there */
	EXPECT(t, "0.0.0.0/0 src 10.3.0.5", "throw 169.254.0.0/16", "throw 192.0.2.2/32",
	       "throw 224.0.0.0/24", "throw 255.255.255.255/32");
	assert_int_equal(xi_plan_count(t->plan).waiting, 0);
	assert_int_equal(xi_plan_count(t->plan).via, 1);
	assert_int_equal(xi_plan_count(t->plan).thrown, 4);
	assert_string_equal(t->plain, "192.0.2.1");
	addrs(t, "192.0.2.1");
	EXPECT(t);
	assert_int_equal(xi_plan_count(t->plan).via + xi_plan_count(t->plan).thrown, 0);
}

static void test_the_same_destination_for_several_sources(void **state)
{
	struct table *t = *state;

	addrs(t, "10.1.1.1 10.5.0.1 192.0.2.1");
	set(t, 1, policy("10.5.0.0/24", "10.2.0.0/16", 20, "192.0.2.2"));
	EXPECT(t, "10.2.0.0/16 src 10.5.0.1");
	/* asked before it */
	set(t, 2, policy("10.1.1.0/24", "10.2.0.0/16", 10, "192.0.2.2"));
	EXPECT(t, "10.2.0.0/16 src 10.1.1.1");
	/* even before, but not of this host */
	set(t, 3, policy("10.9.0.0/16", "10.2.0.0/16", 1, "192.0.2.2"));
	EXPECT(t, "10.2.0.0/16 src 10.1.1.1");
	assert_string_equal(t->plain, "192.0.2.1");
	drop(t, 2);
	EXPECT(t, "10.2.0.0/16 src 10.5.0.1");
	assert_string_equal(t->plain, "10.1.1.1 192.0.2.1");
	drop(t, 1);
	EXPECT(t);
	/* from anywhere: the host may choose */
	set(t, 4, policy("0.0.0.0/0", "10.2.0.0/16", 30, "192.0.2.2"));
	EXPECT(t, "10.2.0.0/16");
	assert_string_equal(t->plain, "");
}

static void test_peers_are_spared_where_a_route_covers_them(void **state)
{
	struct table *t = *state;

	addrs(t, "10.1.1.1 fd00:1::1");
	/* the peer itself, and its network */
	set(t, 1, policy("10.1.1.1/32", "192.0.2.2/32", 0, "192.0.2.2"));
	EXPECT(t);
	set(t, 2, policy("10.1.1.1/32", "192.0.2.0/24", 0, "192.0.2.2"));
	EXPECT(t, "192.0.2.0/24 src 10.1.1.1", "throw 192.0.2.2/32");
	set(t, 3, policy("fd00:1::/64", "::/0", 0, "192.0.2.9"));
	set(t, 4, policy("10.1.1.0/24", "10.2.0.0/16", 0, "2001:db8::2"));
	EXPECT(t, "10.2.0.0/16 src 10.1.1.1", "192.0.2.0/24 src 10.1.1.1", "::/0 src fd00:1::1",
	       "throw 192.0.2.2/32", "throw 192.0.2.9/32", "throw 2001:db8::2/128");
	drop(t, 2);
	EXPECT(t, "10.2.0.0/16 src 10.1.1.1", "::/0 src fd00:1::1", "throw 2001:db8::2/128");
	drop(t, 4);
	drop(t, 3);
	/* the last peer gone, it may be led there */
	set(t, 1, policy("10.1.1.1/32", "192.0.2.2/32", 0, "198.51.100.1"));
	EXPECT(t, "192.0.2.2/32 src 10.1.1.1");
}

static void test_bypass_is_thrown_back(void **state)
{
	struct table *t = *state;

	addrs(t, "10.3.0.5 192.168.1.5");
	/* what strongSwan calls a passthrough: nothing to be spared from */
	set(t, 1, policy("192.168.1.0/24", "192.168.1.0/24", 10, NULL));
	EXPECT(t);
	set(t, 2, policy("10.3.0.5/32", "192.0.0.0/8", 20, "198.51.100.1"));
	EXPECT(t, "192.0.0.0/8 src 10.3.0.5", "throw 192.168.1.0/24");
	/* it comes after the policy whose route covers it: never asked */
	set(t, 1, policy("192.168.1.0/24", "192.168.1.0/24", 30, NULL));
	EXPECT(t, "192.0.0.0/8 src 10.3.0.5");
	set(t, 2, policy("10.3.0.5/32", "192.0.0.0/8", 40, "198.51.100.1"));
	EXPECT(t, "192.0.0.0/8 src 10.3.0.5", "throw 192.168.1.0/24");
	/* for others than this host */
	set(t, 1, policy("192.168.9.0/24", "192.168.1.0/24", 30, NULL));
	EXPECT(t, "192.0.0.0/8 src 10.3.0.5");
	/* of the same destination: only what covers the source stands in the way */
	set(t, 1, policy("192.168.1.5/32", "192.0.0.0/8", 30, NULL));
	EXPECT(t, "192.0.0.0/8 src 10.3.0.5");
	set(t, 1, policy("0.0.0.0/0", "192.0.0.0/8", 30, NULL));
	EXPECT(t);
	drop(t, 1);
	EXPECT(t, "192.0.0.0/8 src 10.3.0.5");
}

static void test_what_an_earlier_daemon_left(void **state)
{
	struct table *t = *state;
	struct xi_route left[3] = {
		{ .dst = prefix("10.1.2.0/24"), .kind = XI_ROUTE_VIA, .has_src = true },
		{ .dst = prefix("10.1.9.0/24"), .kind = XI_ROUTE_VIA },
		{ .dst = prefix("10.1.8.0/24"), .kind = XI_ROUTE_THROW },
	};

	memcpy(left[0].src, prefix("10.1.1.1").addr, 16);
	for (int i = 0; i < 3; i++) {
		line_of(t->lines[t->n++], &left[i]);
		assert_int_equal(xi_plan_found(t->plan, &left[i]), 0);
	}
	addrs(t, "10.1.1.1");
	set(t, 1, policy("10.1.1.0/24", "10.1.2.0/24", 0, "192.0.2.2"));
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1");
	assert_int_equal(t->changes, 2); /* that one was right as it was */
}

static void test_routes_that_were_lost_come_again(void **state)
{
	struct table *t = *state;
	struct xi_prefix dst = prefix("10.1.2.0/24"), none = prefix("10.7.0.0/16");
	struct xi_addr src = { .family = XI_IPV4 };

	addrs(t, "10.1.1.1 10.4.4.4");
	set(t, 1, policy("10.1.1.0/24", "10.1.2.0/24", 0, "192.0.2.2"));
	set(t, 2, policy("10.4.4.0/24", "10.1.3.0/24", 0, "192.0.2.2"));
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1", "10.1.3.0/24 src 10.4.4.4");
	memmove(t->lines[0], t->lines[1], sizeof(t->lines[0]));
	t->n = 1;
	assert_true(xi_plan_lost(t->plan, &dst));
	assert_false(xi_plan_lost(t->plan, &none));
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1", "10.1.3.0/24 src 10.4.4.4");
	assert_int_equal(t->changes, 3);
	/* an address that went and came back took its route along */
	memcpy(src.addr, prefix("10.4.4.4").addr, 16);
	t->n = 1;
	xi_plan_lost_all(t->plan, &src);
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1", "10.1.3.0/24 src 10.4.4.4");
	assert_int_equal(t->changes, 4);
	/* of a table that kept it: it goes nevertheless when nobody wants it any more */
	xi_plan_lost_all(t->plan, &src);
	addrs(t, "10.1.1.1");
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1");
	addrs(t, "10.1.1.1 10.4.4.4");
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1", "10.1.3.0/24 src 10.4.4.4");
	/* two of them, one after the other, before anybody looked */
	t->n = 0;
	xi_plan_lost_all(t->plan, &src);
	memcpy(src.addr, prefix("10.1.1.1").addr, 16);
	xi_plan_lost_all(t->plan, &src);
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1", "10.1.3.0/24 src 10.4.4.4");
	/* the device went down */
	t->n = 0;
	xi_plan_lost_all(t->plan, NULL);
	EXPECT(t, "10.1.2.0/24 src 10.1.1.1", "10.1.3.0/24 src 10.4.4.4");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
		T(tunnels_have_routes_with_the_hosts_address_in_their_source),
		T(what_is_no_route),
		T(a_rekey_changes_nothing),
		T(an_address_that_comes_later),
		T(the_same_destination_for_several_sources),
		T(peers_are_spared_where_a_route_covers_them),
		T(bypass_is_thrown_back),
		T(what_an_earlier_daemon_left),
		T(routes_that_were_lost_come_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
