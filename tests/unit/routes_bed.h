/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A plan of routes, and a table that the test plays the kernel of. Include cmocka.h first. */
#ifndef XI_ROUTES_BED_H
#define XI_ROUTES_BED_H

#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/routes_local.h"
#include "dataplane/routes_plan.h"

#define ROOM 64

struct table {
	struct xi_plan *plan;
	char lines[ROOM][160];       /* as `ip route` would list them */
	unsigned int n;
	unsigned int changes, steps;
	char plain[160];
};

static inline struct xi_prefix prefix(const char *text)
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

static inline void line_of(char line[160], const struct xi_route *route)
{
	char dst[INET6_ADDRSTRLEN], src[INET6_ADDRSTRLEN];

	inet_ntop((int)route->dst.family, route->dst.addr, dst, sizeof(dst));
	inet_ntop((int)route->dst.family, route->src, src, sizeof(src));
	snprintf(line, 160, "%s%s/%u%s%s", route->kind == XI_ROUTE_THROW ? "throw " : "", dst,
		 route->dst.plen, route->has_src ? " src " : "", route->has_src ? src : "");
}

static inline void table_remove(struct table *t, const struct xi_route *route, bool unsure)
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

static inline void table_change(struct table *t, const struct xi_route_change *change)
{
	t->changes++;
	if (change->was.kind != XI_ROUTE_NONE)
		table_remove(t, &change->was, change->unsure);
	if (change->now.kind == XI_ROUTE_NONE)
		return;
	assert_true(t->n < ROOM);
	line_of(t->lines[t->n++], &change->now);
}

static inline int line_cmp(const void *a, const void *b)
{
	return strcmp(a, b);
}

static inline void table_settle(struct table *t)
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
static inline void expect(struct table *t, const char *const *want)
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

static inline void addrs(struct table *t, const char *text)
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

static inline struct xi_policy policy(const char *src, const char *dst, uint32_t priority, const char *peer)
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

static inline void set(struct table *t, uint32_t index, struct xi_policy p)
{
	p.index = index;
	assert_int_equal(xi_plan_policy(t->plan, index, &p), 0);
}

static inline void drop(struct table *t, uint32_t index)
{
	assert_int_equal(xi_plan_policy(t->plan, index, NULL), 0);
}

static inline int setup(void **state)
{
	struct table *t = calloc(1, sizeof(*t));

	assert_int_equal(xi_plan_create(&t->plan), 0);
	*state = t;
	return 0;
}

static inline int teardown(void **state)
{
	struct table *t = *state;

	xi_plan_destroy(t->plan);
	free(t);
	return 0;
}

#endif
