/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Routes of many policies: against the rules applied to all of them at once, and how much work they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "routes_bed.h"

#define MANY 100000

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
		T(any_sequence_of_changes_gives_what_the_rules_say),
		T(a_hundred_thousand_policies_are_no_more_work_each),
		T(pages_go_on_where_the_last_one_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
