/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which routes follow from which policies, in a table that the test plays the kernel of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/routes_local.h"
#include "dataplane/routes_plan.h"

#define ROOM 64
#define MANY 100000

struct table {
	struct xi_plan *plan;
	char lines[ROOM][160];       /* as `ip route` would list them */
	unsigned int n;
	unsigned int changes, steps;
	char plain[160];
};

static struct xi_prefix prefix(const char *text)
{
	struct xi_prefix p;
	uint8_t addr[16] = { 0 };
	char host[64];
	const char *slash = strchr(text, '/');
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	snprintf(host, sizeof(host), "%.*s", (int)(slash ? slash - text : (long)strlen(text)), text);
	assert_int_equal(inet_pton(family, host, addr), 1);
	xi_prefix_set(&p, addr, family, slash ? (uint32_t)atoi(slash + 1) : family == AF_INET ? 32 : 128);
	return p;
}

static void line_of(char line[160], const struct xi_route *route)
{
	char dst[INET6_ADDRSTRLEN], src[INET6_ADDRSTRLEN];

	inet_ntop((int)route->dst.family, route->dst.addr, dst, sizeof(dst));
	inet_ntop((int)route->dst.family, route->src, src, sizeof(src));
	snprintf(line, 160, "%s%s/%u%s%s", route->kind == XI_ROUTE_THROW ? "throw " : "", dst,
		 route->dst.plen, route->has_src ? " src " : "", route->has_src ? src : "");
}

static void table_remove(struct table *t, const struct xi_route *route, bool unsure)
{
	char line[160];
	unsigned int i;

	line_of(line, route);
	for (i = 0; i < t->n && strcmp(t->lines[i], line); i++)
		;
	if (i == t->n && unsure)
		return;
	if (i == t->n)
		fail_msg("%s was not there to be removed", line);
	memmove(t->lines[i], t->lines[i + 1], (t->n - i - 1) * sizeof(t->lines[0]));
	t->n--;
}

static void table_change(struct table *t, const struct xi_route_change *change)
{
	t->changes++;
	if (change->was.kind != XI_ROUTE_NONE)
		table_remove(t, &change->was, change->unsure);
	if (change->now.kind == XI_ROUTE_NONE)
		return;
	assert_true(t->n < ROOM);
	line_of(t->lines[t->n++], &change->now);
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void table_settle(struct table *t)
{
	struct xi_route_change changes[16];
	struct xi_addr plain[8];
	uint32_t n, i;
	bool more;

	do {
		more = xi_plan_step(t->plan, changes, 16, &n);
		for (i = 0; i < n; i++)
			table_change(t, &changes[i]);
		assert_true(++t->steps < 10000);
	} while (more);
	if (xi_plan_plain(t->plan, plain, 8, &n)) {
		t->plain[0] = '\0';
		for (i = 0; i < n; i++) {
			char text[INET6_ADDRSTRLEN];

			inet_ntop((int)plain[i].family, plain[i].addr, text, sizeof(text));
			strcat(strcat(t->plain, i ? " " : ""), text);
		}
	}
	qsort(t->lines, t->n, sizeof(t->lines[0]), line_cmp);
}

/* want: lines in the order of strcmp. */
static void expect(struct table *t, const char *const *want)
{
	unsigned int i;

	table_settle(t);
	for (i = 0; want[i]; i++) {
		if (i >= t->n)
			fail_msg("no %s", want[i]);
		assert_string_equal(t->lines[i], want[i]);
	}
	if (t->n > i)
		fail_msg("and %s too", t->lines[i]);
}
#define EXPECT(t, ...) expect(t, (const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

static void addrs(struct table *t, const char *text)
{
	struct xi_addr list[16];
	char copy[512], *word, *save;
	uint32_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		struct xi_prefix p = prefix(word);

		memset(&list[n], 0, sizeof(list[n]));
		memcpy(list[n].addr, p.addr, 16);
		list[n++].family = p.family;
	}
	assert_int_equal(xi_plan_addrs(t->plan, list, n), 0);
}

static struct xi_policy policy(const char *src, const char *dst, uint32_t priority, const char *peer)
{
	static uint64_t order;
	struct xi_prefix s = prefix(src), d = prefix(dst), p;
	struct xi_policy policy = {
		.dir = XI_OUT, .action = XI_ALLOW, .priority = priority, .order = ++order,
	};

	policy.sel.family = s.family;
	memcpy(policy.sel.saddr, s.addr, 16);
	memcpy(policy.sel.daddr, d.addr, 16);
	policy.sel.prefixlen_s = (uint8_t)s.plen;
	policy.sel.prefixlen_d = (uint8_t)d.plen;
	if (!peer)
		return policy;
	p = prefix(peer);
	policy.ntmpls = 1;
	policy.tmpls[0].mode = XI_TUNNEL;
	policy.tmpls[0].family = p.family;
	policy.tmpls[0].id.proto = XI_ESP;
	memcpy(policy.tmpls[0].id.daddr, p.addr, 16);
	return policy;
}

static void set(struct table *t, uint32_t index, struct xi_policy p)
{
	p.index = index;
	assert_int_equal(xi_plan_policy(t->plan, index, &p), 0);
}

static void drop(struct table *t, uint32_t index)
{
	assert_int_equal(xi_plan_policy(t->plan, index, NULL), 0);
}

static int setup(void **state)
{
	struct table *t = calloc(1, sizeof(*t));

	assert_int_equal(xi_plan_create(&t->plan), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct table *t = *state;

	xi_plan_destroy(t->plan);
	free(t);
	return 0;
}

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

/* Against the rules of routes_plan.h, applied to all policies at once. */
struct model {
	struct xi_policy policies[24];
	bool there[24];
	struct xi_prefix locals[4];
	unsigned int nlocals;
};

static bool in(const struct xi_prefix *outer, const struct xi_prefix *inner)
{
	struct xi_prefix cut;

	if (outer->family != inner->family || outer->plen > inner->plen)
		return false;
	xi_prefix_set(&cut, inner->addr, inner->family, outer->plen);
	return !memcmp(&cut, outer, sizeof(cut));
}

static struct xi_prefix of(const uint8_t addr[16], uint8_t plen)
{
	struct xi_prefix p;

	xi_prefix_set(&p, addr, XI_IPV4, plen);
	return p;
}

/* The lowest address of the host in a prefix. */
static const struct xi_prefix *model_src(const struct model *m, const struct xi_prefix *src)
{
	const struct xi_prefix *best = NULL;

	for (unsigned int i = 0; i < m->nlocals; i++)
		if (in(src, &m->locals[i]) && (!best || memcmp(m->locals[i].addr, best->addr, 16) < 0))
			best = &m->locals[i];
	return best;
}

static const struct xi_policy *model_first(const struct model *m, const struct xi_prefix *dst, bool bypass)
{
	const struct xi_policy *best = NULL;

	for (int i = 0; i < 24; i++) {
		const struct xi_policy *p = &m->policies[i];
		struct xi_prefix d = of(p->sel.daddr, p->sel.prefixlen_d);
		struct xi_prefix s = of(p->sel.saddr, p->sel.prefixlen_s);

		if (!m->there[i] || bypass != !p->ntmpls || memcmp(&d, dst, sizeof(d)) ||
		    (s.plen && !model_src(m, &s)))
			continue;
		if (!best || p->priority < best->priority ||
		    (p->priority == best->priority && p->order < best->order))
			best = p;
	}
	return best;
}

static bool model_peer(const struct model *m, const struct xi_prefix *dst)
{
	for (int i = 0; i < 24; i++) {
		struct xi_prefix peer = of(m->policies[i].tmpls[0].id.daddr, 32);

		if (m->there[i] && m->policies[i].ntmpls && !memcmp(&peer, dst, sizeof(peer)))
			return true;
	}
	return false;
}

static bool before(const struct xi_policy *a, const struct xi_policy *b)
{
	return a->priority != b->priority ? a->priority < b->priority : a->order < b->order;
}

/* NULL: no route to xipsec0. */
static const struct xi_policy *model_via(const struct model *m, const struct xi_prefix *dst)
{
	const struct xi_policy *protect = model_first(m, dst, false), *bypass = model_first(m, dst, true);
	struct xi_prefix outer, inner;

	if (!protect || model_peer(m, dst))
		return NULL;
	if (!bypass || !before(bypass, protect))
		return protect;
	outer = of(bypass->sel.saddr, bypass->sel.prefixlen_s);
	inner = of(protect->sel.saddr, protect->sel.prefixlen_s);
	return in(&outer, &inner) ? NULL : protect;
}

static void model_route(const struct model *m, const struct xi_prefix *dst, bool spared, char line[160])
{
	const struct xi_policy *via = model_via(m, dst), *bypass = model_first(m, dst, true), *cover = NULL;
	struct xi_route route = { .dst = *dst };
	bool peer = spared || model_peer(m, dst);

	line[0] = '\0';
	if (via && !spared) {
		struct xi_prefix src = of(via->sel.saddr, via->sel.prefixlen_s);
		const struct xi_prefix *local = src.plen ? model_src(m, &src) : NULL;

		route.kind = XI_ROUTE_VIA;
		route.has_src = local != NULL;
		if (local)
			memcpy(route.src, local->addr, 16);
		line_of(line, &route);
		return;
	}
	if (!peer && !bypass)
		return;
	for (uint32_t plen = dst->plen; plen-- > 0 && !cover;) {
		struct xi_prefix wider = of(dst->addr, (uint8_t)plen);

		cover = model_via(m, &wider);
	}
	if (!cover || (!peer && !before(bypass, cover)))
		return;
	route.kind = XI_ROUTE_THROW;
	line_of(line, &route);
}

static void model_expect(const struct model *m, struct table *t)
{
	struct xi_prefix dsts[64] = { prefix("255.255.255.255"), prefix("224.0.0.0/24"), prefix("169.254.0.0/16") };
	char want[64][160];
	unsigned int n = 3, nwant = 0, i, j;

	for (i = 0; i < 24; i++) {
		const struct xi_policy *p = &m->policies[i];

		if (!m->there[i])
			continue;
		dsts[n++] = of(p->sel.daddr, p->sel.prefixlen_d);
		if (p->ntmpls)
			dsts[n++] = of(p->tmpls[0].id.daddr, 32);
	}
	for (i = 0; i < n; i++) {
		for (j = 0; j < i && memcmp(&dsts[i], &dsts[j], sizeof(dsts[i])); j++)
			;
		if (j < i)
			continue;
		model_route(m, &dsts[i], i < 3, want[nwant]);
		nwant += want[nwant][0] != '\0';
	}
	qsort(want, nwant, sizeof(want[0]), line_cmp);
	table_settle(t);
	assert_int_equal(t->n, nwant);
	for (i = 0; i < nwant; i++)
		assert_string_equal(t->lines[i], want[i]);
}

static void test_any_sequence_of_changes_gives_what_the_rules_say(void **state)
{
	static const char *const nets[] = { "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.1/32", "10.1.1.9/32", "10.2.0.0/16", "20.0.0.0/8" };
	static const char *const hosts[] = { "10.1.1.1", "10.1.1.9", "10.2.0.1", "192.0.2.1" };
	struct table *t = *state;
	struct model m = { 0 };
	char text[160] = "";

	srandom(7);
	for (int round = 0; round < 3000; round++) {
		uint32_t i = (uint32_t)random() % 24;

		if (random() % 8 == 0) {
			m.nlocals = 0;
			text[0] = '\0';
			for (int h = 0; h < 4; h++)
				if (random() % 2) {
					m.locals[m.nlocals++] = prefix(hosts[h]);
					strcat(strcat(text, " "), hosts[h]);
				}
			addrs(t, text);
		} else if (m.there[i] && random() % 2) {
			m.there[i] = false;
			drop(t, i + 1);
		} else {
			m.there[i] = true;
			m.policies[i] = policy(nets[random() % 8], nets[random() % 8], (uint32_t)random() % 4,
					       random() % 3 ? hosts[random() % 4] : NULL);
			set(t, i + 1, m.policies[i]);
		}
		if (random() % 3)
			model_expect(&m, t);
	}
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Steps until nothing is left; the longest of them. */
static double settle_many(struct xi_plan *plan, uint32_t *changes)
{
	struct xi_route_change list[128];
	double longest = 0, from;
	uint32_t n;
	bool more;

	*changes = 0;
	do {
		from = seconds();
		more = xi_plan_step(plan, list, 128, &n);
		from = seconds() - from;
		longest = from > longest ? from : longest;
		*changes += n;
	} while (more);
	return longest;
}

/* Of very many policies: many destinations under a default route, or one destination of many sources. */
static void fill_many(struct table *t, bool one_destination)
{
	char src[32], dst[32], peer[32];

	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(src, sizeof(src), "10.%u.%u.%u/32", i >> 16, i >> 8 & 255, i & 255);
		snprintf(dst, sizeof(dst), "20.%u.%u.%u/32", i >> 16, i >> 8 & 255, i & 255);
		snprintf(peer, sizeof(peer), "30.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		if (one_destination)
			set(t, i + 2, policy(src, "99.0.0.0/8", MANY - i, "192.0.2.2"));
		else
			set(t, i + 2, policy("10.0.0.0/8", dst, i, peer));
	}
}

static void test_a_hundred_thousand_policies_are_no_more_work_each(void **state)
{
	struct table *t = *state;
	double from = seconds();
	uint32_t n;

	addrs(t, "10.0.0.7 10.0.0.9");
	fill_many(t, false);
	set(t, 1, policy("10.0.0.0/8", "0.0.0.0/0", 0, "192.0.2.2"));
	settle_many(t->plan, &n);
	/* routes, the peers that the default route covers, its own peer, and those of links */
	assert_int_equal(n, 2 * MANY + 2 + 3);
	addrs(t, "10.0.0.9");
	settle_many(t->plan, &n);
	assert_int_equal(n, MANY + 1);
	drop(t, 1);
	settle_many(t->plan, &n);
	assert_int_equal(n, 1 + MANY + 1 + 3);
	for (uint32_t i = 0; i < MANY; i++)
		drop(t, i + 2);
	settle_many(t->plan, &n);
	assert_int_equal(n, MANY);
	fill_many(t, true);
	settle_many(t->plan, &n);
	assert_int_equal(n, 1);
	for (uint32_t i = 0; i < MANY; i++)
		drop(t, i + 2);
	settle_many(t->plan, &n);
	assert_int_equal(n, 1);
	/* a quadratic step anywhere would take minutes */
	assert_true(seconds() - from < 30);
	print_message("%.2f s\n", seconds() - from);
}

static void test_pages_go_on_where_the_last_one_ended(void **state)
{
	struct table *t = *state;
	char dst[32];
	uint64_t at = 0;
	unsigned int i, n = 0;

	addrs(t, "10.1.1.1");
	for (i = 0; i < 50; i++) {
		snprintf(dst, sizeof(dst), "10.2.%u.0/24", i);
		set(t, i + 1, policy("10.1.1.0/24", dst, 0, "192.0.2.2"));
	}
	table_settle(t);
	for (; n < 20; n++)
		assert_non_null(xi_plan_next(t->plan, &at));
	/* the one where it stands and the next two go */
	for (i = 19; i < 22; i++)
		drop(t, i + 1);
	table_settle(t);
	while (xi_plan_next(t->plan, &at))
		n++;
	assert_int_equal(n, 48);
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
		T(any_sequence_of_changes_gives_what_the_rules_say),
		T(a_hundred_thousand_policies_are_no_more_work_each),
		T(pages_go_on_where_the_last_one_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
