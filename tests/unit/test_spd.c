/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu-qsbr.h>
#include <cmocka.h>

#include <xipsec/guard.h>

#include "mem_store.h"
#include "sad/selector.h"
#include "sad/spd.h"

#define NSTATES 64
#define LOCAL "192.0.2.1"
#define PEER "192.0.2.2"

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	unsigned int syncs;
};

static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct fixture *f = arg;

	if (f->spd && old)
		xi_spd_sa_changed(f->spd, &old->sa);
	if (f->spd && new)
		xi_spd_sa_changed(f->spd, &new->sa);
}

static void sas_sync(void *arg)
{
	struct fixture *f = arg;

	if (f->spd)
		xi_spd_sas_changed(f->spd);
}

static void count_sync(void *arg)
{
	struct fixture *f = arg;

	f->syncs++;
}

static void open_all(struct fixture *f)
{
	struct xi_sad_config config = { 0 };
	struct xi_sad_listener listener = { sa_changed, sas_sync, f };
	struct xi_addr local[2] = { 0 };

	local[0].family = sample_addr(local[0].addr, LOCAL);
	local[1].family = sample_addr(local[1].addr, "2001:db8::1");
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	xi_sad_listen(f->sad, &listener);
	assert_int_equal(xi_spd_create(&f->spd, f->sad, &f->m->store), 0);
	xi_spd_on_sync(f->spd, count_sync, f);
	assert_int_equal(xi_spd_set_local(f->spd, local, 2), 0);
}

static void close_all(struct fixture *f)
{
	xi_spd_destroy(f->spd);
	f->spd = NULL;
	xi_sad_destroy(f->sad);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->m = mem_store_new(NSTATES, 0);
	open_all(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	close_all(f);
	mem_store_free(f->m);
	free(f);
	return 0;
}

static void prefix(uint8_t out[16], uint8_t *plen, enum xi_family *family, const char *text)
{
	char addr[64];
	unsigned int len;

	assert_int_equal(sscanf(text, "%63[^/]/%u", addr, &len), 2);
	*family = sample_addr(out, addr);
	*plen = len;
}

/* A policy that lets everything through between two prefixes. */
static struct xi_policy policy(enum xi_dir dir, const char *src, const char *dst, uint32_t priority)
{
	struct xi_policy p = { .dir = dir, .priority = priority };

	prefix(p.sel.saddr, &p.sel.prefixlen_s, &p.sel.family, src);
	prefix(p.sel.daddr, &p.sel.prefixlen_d, &p.sel.family, dst);
	return p;
}

/* The same with a tunnel between two gateways. */
static struct xi_policy tunnel(enum xi_dir dir, const char *src, const char *dst, uint32_t reqid)
{
	struct xi_policy p = policy(dir, src, dst, 100);
	struct xi_tmpl *t = &p.tmpls[0];

	p.ntmpls = 1;
	t->id.proto = XI_ESP;
	t->mode = XI_TUNNEL;
	t->reqid = reqid;
	t->family = sample_addr(t->saddr, dir == XI_OUT ? LOCAL : PEER);
	t->id.family = sample_addr(t->id.daddr, dir == XI_OUT ? PEER : LOCAL);
	return p;
}

static int add(struct fixture *f, const struct xi_policy *p)
{
	const char *why = NULL;
	int err = xi_spd_add(f->spd, p, false, &why);

	assert_true(!err || (why && *why));
	return err;
}

static int replace(struct fixture *f, const struct xi_policy *p)
{
	const char *why = NULL;

	return xi_spd_add(f->spd, p, true, &why);
}

static uint32_t add_sa(struct fixture *f, const struct xi_sa *sa)
{
	struct xi_sa_key key = sample_key(sa->id.spi);
	const char *why = "";

	assert_int_equal(xi_sad_add(f->sad, sa, &key, NULL, &why), 0);
	return xi_sad_find(f->sad, &sa->id)->sa.sa_index;
}

static struct xi_sa out_sa(uint32_t spi, uint32_t reqid)
{
	struct xi_sa sa = sample_sa(LOCAL, PEER, spi);

	sa.reqid = reqid;
	return sa;
}

static struct xi_sa in_sa(uint32_t spi, uint32_t reqid)
{
	struct xi_sa sa = sample_sa(PEER, LOCAL, spi);

	sa.reqid = reqid;
	return sa;
}

static struct xi_flow flow(const char *src, const char *dst, uint8_t proto, uint16_t sport,
			   uint16_t dport)
{
	struct xi_flow fl = { .proto = proto, .sport = sport, .dport = dport };

	fl.family = sample_addr(fl.saddr, src);
	sample_addr(fl.daddr, dst);
	return fl;
}

static enum xi_verdict judge(struct fixture *f, const struct xi_flow *fl, uint32_t *handle)
{
	struct xi_flow_verdict v;
	enum xi_verdict verdict = xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, fl, &v, NULL);

	assert_int_equal(verdict, v.verdict);
	assert_int_equal(v.next_handle, 0);
	if (handle)
		*handle = v.handle;
	return verdict;
}

static uint32_t generation(const struct fixture *f)
{
	assert_int_equal(xi_spd_snapshot(f->spd)->generation, f->m->config.spd_generation);
	return f->m->config.spd_generation;
}

/* ---- keys, order, errors ---- */

static void key_is_the_kernels(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 10), q = p;

	assert_int_equal(add(f, &p), 0);
	assert_int_equal(add(f, &p), -EEXIST);
	q.priority = 99;
	assert_int_equal(add(f, &q), -EEXIST);
	q = p;
	q.dir = XI_FWD;
	assert_int_equal(add(f, &q), 0);
	q = p;
	q.sel.proto = 6;
	assert_int_equal(add(f, &q), 0);
	q = p;
	q.mark_v = q.mark_m = 5;
	assert_int_equal(add(f, &q), 0);
	q = p;
	q.if_id = 7;
	assert_int_equal(add(f, &q), 0);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 4);
	assert_int_equal(xi_spd_count(f->spd, XI_FWD), 1);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_int_equal(xi_spd_delete(f->spd, &p), -ENOENT);
	assert_non_null(xi_spd_find(f->spd, &q));
	assert_null(xi_spd_find(f->spd, &p));
}

static void indexes_are_unique_and_show_direction(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p, key;
	const struct xi_policy *found;
	uint32_t index = 0, last = 0, n = 0, i;
	char src[32];

	for (i = 0; i < 30; i++) {
		snprintf(src, sizeof(src), "10.0.%u.0/24", i);
		p = policy(i % 3, src, "10.1.0.0/16", 10);
		if (i == 5)
			p.index = 8 * 1000 + 2;
		assert_int_equal(add(f, &p), 0);
	}
	while ((found = xi_spd_next(f->spd, &index))) {
		assert_true(found->index > last);
		assert_int_equal(found->index & 7, found->dir);
		last = found->index;
		key = (struct xi_policy){ .index = found->index, .dir = found->dir };
		assert_ptr_equal(xi_spd_find(f->spd, &key), found);
		n++;
	}
	assert_int_equal(n, 30);
	assert_int_equal(last, 8002);
	p.index = 8003;
	assert_int_equal(add(f, &p), -EINVAL);
	key = (struct xi_policy){ .index = 8002, .dir = 2 };
	assert_int_equal(xi_spd_delete(f->spd, &key), 0);
	assert_int_equal(xi_spd_delete(f->spd, &key), -ENOENT);
}

static void bad_policies_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_policy good = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), p;

	mem_store_fail(f->m, 0, 0);
#define REFUSED(err, change) do { p = good; change; assert_int_equal(add(f, &p), err); } while (0)
	REFUSED(-EINVAL, p.sel.family = XI_FAMILY_NONE);
	REFUSED(-EINVAL, p.sel.prefixlen_s = 33);
	REFUSED(-EINVAL, p.sel.prefixlen_d = 33);
	REFUSED(-EINVAL, p.dir = 3);
	REFUSED(-EINVAL, p.action = 2);
	REFUSED(-EINVAL, p.share = 4);
	REFUSED(-EINVAL, p.type = 1);
	REFUSED(-EINVAL, p.ntmpls = XI_MAX_TMPLS + 1);
	REFUSED(-EOPNOTSUPP, p.sel.ifindex = 1);
	REFUSED(-EOPNOTSUPP, p.tmpls[0].id.proto = XI_COMP);
	REFUSED(-EOPNOTSUPP,
		(p.tmpls[1] = p.tmpls[0], p.tmpls[1].id.proto = XI_COMP, p.ntmpls = 2));
	REFUSED(-EOPNOTSUPP, (p.tmpls[2] = p.tmpls[1] = p.tmpls[0], p.ntmpls = 3));
	REFUSED(-EINVAL, (p.tmpls[0].mode = XI_TRANSPORT, p.tmpls[0].family = XI_IPV6));
	REFUSED(-EINVAL, (p.tmpls[0].family = XI_IPV6, p.tmpls[1] = p.tmpls[0], p.ntmpls = 2,
			  p.tmpls[1].mode = XI_TRANSPORT, p.tmpls[1].family = XI_IPV4));
	REFUSED(-EINVAL, p.tmpls[0].mode = 2);
	assert_int_equal(f->m->writes, 0);
	assert_int_equal(f->syncs, 1);
}

static uint32_t first_index(struct fixture *f, const struct xi_flow *fl)
{
	const struct xi_spd_policy *p = xi_spd_lookup(xi_spd_snapshot(f->spd), XI_OUT, fl);

	return p ? p->policy.index : 0;
}

static void priority_decides_then_age(void **state)
{
	struct fixture *f = *state;
	struct xi_policy a = policy(XI_OUT, "10.0.0.0/8", "0.0.0.0/0", 50);
	struct xi_policy b = policy(XI_OUT, "10.0.0.0/16", "0.0.0.0/0", 50);
	struct xi_policy c = policy(XI_OUT, "10.0.0.0/24", "0.0.0.0/0", 10);
	struct xi_flow fl = flow("10.0.0.1", "10.9.9.9", 6, 1, 2);

	a.index = 9;
	b.index = 17;
	c.index = 25;
	assert_int_equal(add(f, &a), 0);
	assert_int_equal(add(f, &b), 0);
	assert_int_equal(first_index(f, &fl), 9);
	assert_int_equal(add(f, &c), 0);
	assert_int_equal(first_index(f, &fl), 25);
	c.priority = 50;             /* now the youngest of three equals */
	assert_int_equal(replace(f, &c), 0);
	assert_int_equal(first_index(f, &fl), 9);
	a.limits.soft_add = 5;       /* keeps its place */
	assert_int_equal(replace(f, &a), 0);
	assert_int_equal(first_index(f, &fl), 9);
	a.priority = 51;
	assert_int_equal(replace(f, &a), 0);
	assert_int_equal(first_index(f, &fl), 17);
	a.priority = 50;             /* back, but behind the others */
	assert_int_equal(replace(f, &a), 0);
	assert_int_equal(first_index(f, &fl), 17);
}

static void policies_for_marks_and_interfaces_match_their_flows(void **state)
{
	struct fixture *f = *state;
	struct xi_policy mark = tunnel(XI_OUT, "0.0.0.0/0", "0.0.0.0/0", 1), if_id = mark;
	struct xi_flow fl = flow("10.0.0.1", "10.9.9.9", 6, 1, 2);

	mark.mark_v = mark.mark_m = 1;
	if_id.if_id = 42;
	assert_int_equal(add(f, &mark), 0);
	assert_int_equal(add(f, &if_id), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	assert_int_equal(f->m->config.mark_mask, 1);
	fl.mark = 3;
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	fl.if_id = 42;               /* another policy's, whatever the mark */
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	fl.if_id = 43;
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	/* what leaves a port may have the mark, and nothing on a port has an if_id */
	assert_int_equal(mem_store_count_guards(f->m), 1);
	assert_int_equal(xi_spd_delete(f->spd, &mark), 0);
	assert_int_equal(f->m->config.mark_mask, 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* As the kernel has it: kept and shown, and of no effect. */
static void a_mark_outside_of_its_mask_matches_nothing(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "0.0.0.0/0", "0.0.0.0/0", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.9.9.9", 6, 1, 2);

	p.mark_v = 0x11;
	p.mark_m = 0x01;
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_find(f->spd, &p)->mark_v, 0x11);
	for (fl.mark = 0; fl.mark < 0x20; fl.mark++)
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
}

/* Packets that came through an SA of an interface are for that interface's policies, and the other way round. */
static void what_came_through_an_interface_is_judged_by_its_policies(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_IN, "10.1.0.0/16", LOCAL "/32", 1);
	struct xi_flow fl = flow("10.1.0.1", LOCAL, 6, 1, 2);
	struct xi_sa sa = sample_sa(PEER, LOCAL, 0x1000);
	struct xi_sa_path path = { .n = 1, .sas = { &sa } };

	sa.reqid = 1;
	sa.if_id = p.if_id = 42;
	memcpy(p.tmpls[0].saddr, sa.saddr, 16);
	memcpy(p.tmpls[0].id.daddr, sa.id.daddr, 16);
	assert_int_equal(add(f, &p), 0);
	fl.if_id = 42;
	assert_true(xi_spd_allows_protected(xi_spd_snapshot(f->spd), &fl, &path));
	fl.if_id = 0;
	assert_false(xi_spd_allows_protected(xi_spd_snapshot(f->spd), &fl, &path));
	fl.if_id = 42;
	sa.if_id = 43;               /* no SA of that interface */
	assert_false(xi_spd_allows_protected(xi_spd_snapshot(f->spd), &fl, &path));
}

/* The index against a walk in order of priority, over many random policies and flows. */
static void random_prefix(uint8_t addr[16], uint8_t *plen, unsigned int max)
{
	static const uint8_t plens[] = { 0, 8, 12, 16, 20, 24, 28, 32 };

	memset(addr, 0, 16);
	addr[0] = 10;
	addr[1] = rand() % 4;
	addr[2] = rand() % 4 * 64;
	addr[3] = rand() % 8 * 32;
	*plen = plens[rand() % 8] * max / 32;
}

static void lookup_agrees_with_a_walk(void **state)
{
	struct fixture *f = *state;
	struct xi_policy all[300];
	unsigned int n = 0, i, j;

	srand(1);
	for (i = 0; i < 300; i++) {
		struct xi_policy p = {.dir = XI_OUT, .priority = rand() % 20, .action = rand() % 2};
		unsigned int max = rand() % 4 ? 32 : 128;

		p.sel.family = max == 32 ? XI_IPV4 : XI_IPV6;
		random_prefix(p.sel.saddr, &p.sel.prefixlen_s, max);
		random_prefix(p.sel.daddr, &p.sel.prefixlen_d, max);
		p.sel.proto = rand() % 3 ? 0 : 6;
		if (add(f, &p) == 0)
			all[n++] = p;
	}
	assert_true(n > 200);
	for (i = 0; i < 3000; i++) {
		struct xi_flow fl = {.family = rand() % 4 ? XI_IPV4 : XI_IPV6,
				     .proto = rand() % 2 ? 6 : 17};
		const struct xi_policy *best = NULL;
		const struct xi_spd_policy *found;
		uint8_t plen;

		random_prefix(fl.saddr, &plen, 32);
		random_prefix(fl.daddr, &plen, 32);
		for (j = 0; j < n; j++)
			if (xi_selector_matches(&all[j].sel, &fl) &&
			    (!best || all[j].priority < best->priority))
				best = &all[j];
		found = xi_spd_lookup(xi_spd_snapshot(f->spd), XI_OUT, &fl);
		assert_int_equal(!!found, !!best);
		if (found)
			assert_memory_equal(&found->policy.sel, &best->sel, sizeof(best->sel));
	}
}

/* ---- failing writes ---- */


static bool guard_hits(const struct mem_store *m, const struct xi_flow *fl, uint8_t dir);

static void change_undone_at_every_failing_write(void **state)
{
	struct fixture *f = *state;
	struct xi_policy old = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy new = tunnel(XI_OUT, "10.2.0.0/16", "10.1.0.0/24", 1), changed = old;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_flow_verdict v;
	const struct xi_spd_policy *p;
	unsigned int k, what;
	int err;

	assert_int_equal(add(f, &old), 0);
	changed.ntmpls = 0;
	changed.sel.pad = 0;
	for (what = 0; what < 2; what++) {
		for (k = 1;; k++) {
			mem_store_fail(f->m, k, 1);
			err = what ? replace(f, &changed) : add(f, &new);
			if (!err)
				break;
			assert_int_equal(err, -EIO);
			mem_store_fail(f->m, 0, 0);
			assert_int_equal(xi_spd_count(f->spd, XI_OUT), 1 + what);
			assert_int_equal(mem_store_count_policies(f->m), 1 + what);
			assert_int_equal(
				xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &fl, &v, &p),
				XI_VERDICT_NONE);
			assert_int_equal(p->policy.ntmpls, 1);
			assert_int_equal(v.generation, f->m->config.spd_generation);
			assert_true(guard_hits(f->m, &fl, XI_OUT));
		}
		assert_true(k > 2);
	}
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	new = policy(XI_OUT, "10.3.0.0/16", "0.0.0.0/0", 1);
	assert_int_equal(add(f, &new), 0);
	assert_false(guard_hits(f->m, &fl, XI_OUT));
}

static void delete_undone_when_the_store_keeps_the_policy(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	unsigned int k, n;

	assert_int_equal(add(f, &p), 0);
	for (k = 1; k <= 2; k++) {   /* generation, policy; what comes then is only tidying */
		mem_store_fail(f->m, k, 1);
		assert_int_equal(xi_spd_delete(f->spd, &p), -EIO);
		mem_store_fail(f->m, k, 1);
		assert_int_equal(xi_spd_flush(f->spd, &n), -EIO);
		mem_store_fail(f->m, 0, 0);
		assert_int_equal(xi_spd_count(f->spd, XI_OUT), 1);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		assert_true(guard_hits(f->m, &fl, XI_OUT));
		generation(f);
	}
	mem_store_fail(f->m, 3, 1);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	p = policy(XI_IN, "10.3.0.0/16", "0.0.0.0/0", 1);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* ---- the guard, as XDP reads it ---- */

/* A prefix in a guard's key (abi.h): an IPv4 one as it is. */
static uint32_t guard_prefix(const uint8_t addr[16], uint8_t plen, uint32_t family)
{
	uint8_t prefix[16];
	uint32_t word;

	xi_prefix_mask(prefix, addr, plen);
	if (family == XI_IPV6)
		return xi_guard_fold(prefix, 128, family);
	memcpy(&word, prefix, 4);
	return word;
}

static bool guard_hits(const struct mem_store *m, const struct xi_flow *fl, uint8_t dir)
{
	unsigned int i;

	if (m->config.guard_flags[dir] & XI_GUARD_ALL)
		return true;
	for (i = 0; i < XI_MAX_MASKS && m->masks[i].used; i++) {
		struct xi_guard_key key = {
			.prefixlen_s = m->masks[i].prefixlen_s,
			.prefixlen_d = m->masks[i].prefixlen_d,
			.dir = dir,
			.family = fl->family,
		};

		key.saddr = guard_prefix(fl->saddr, key.prefixlen_s, fl->family);
		key.daddr = guard_prefix(fl->daddr, key.prefixlen_d, fl->family);
		if (m->masks[i].dir != dir || m->masks[i].family != fl->family)
			continue;
		if (mem_store_guard(m, &key))
			return true;
	}
	return false;
}

static void guard_order_fails_closed(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);

	mem_store_fail(f->m, 0, 0);
	assert_int_equal(add(f, &p), 0);
	assert_string_equal(f->m->log, "GMCP");
	mem_store_fail(f->m, 0, 0);
	f->syncs = 0;
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_string_equal(f->m->log, "CpMg");
	assert_int_equal(f->syncs, 1);
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* What a failure left of the table of masks is not taken for what was there. */
static void masks_half_written_are_written_again(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);

	assert_int_equal(add(f, &p), 0);
	mem_store_fail(f->m, 3, 1);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_int_equal(f->m->log[2], 'M');
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(add(f, &p), 0);
	assert_true(guard_hits(f->m, &fl, XI_OUT));
}

static void guard_covers_both_inbound_directions(void **state)
{
	struct fixture *f = *state;
	struct xi_policy in = tunnel(XI_IN, "10.1.0.0/16", "10.0.0.0/8", 1), fwd = in, block = in;
	struct xi_flow fl = flow("10.1.2.3", "10.0.0.1", 6, 1, 2);
	struct xi_guard_key key = {
		.saddr = htonl(0x0a010000), .daddr = htonl(0x0a000000),
		.prefixlen_s = 16, .prefixlen_d = 8, .dir = XI_IN, .family = XI_IPV4};

	fwd.dir = XI_FWD;
	block.sel.proto = 6;
	block.action = XI_BLOCK;
	block.ntmpls = 0;
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &fwd), 0);
	assert_int_equal(add(f, &block), 0);
	assert_int_equal(mem_store_guard(f->m, &key)->policies, 3);
	assert_int_equal(xi_spd_delete(f->spd, &in), 0);
	assert_int_equal(xi_spd_delete(f->spd, &block), 0);
	assert_true(guard_hits(f->m, &fl, XI_IN));
	assert_false(guard_hits(f->m, &fl, XI_OUT));
	assert_int_equal(mem_store_guard(f->m, &key)->policies, 1);
	fwd.ntmpls = 0;              /* allowed in clear from now on */
	assert_int_equal(replace(f, &fwd), 0);
	assert_false(guard_hits(f->m, &fl, XI_IN));
	assert_int_equal(mem_store_count_guards(f->m), 0);
}

/* What lies behind the prefix does not count; what lies in it does. */
static void guard_folds_prefixes(void **state)
{
	static uint32_t seen[4096];
	uint8_t addr[16], other[16], prefix[16];
	unsigned int plen, i, j;

	srand(3);
	for (i = 0; i < 50; i++) {
		for (j = 0; j < 16; j++) {
			addr[j] = rand();
			other[j] = rand();
		}
		for (plen = 0; plen <= 128; plen++) {
			xi_prefix_mask(prefix, addr, plen);
			assert_int_equal(xi_guard_fold(addr, plen, XI_IPV6),
					 xi_guard_fold(prefix, 128, XI_IPV6));
			if (plen > 32)
				continue;
			assert_int_equal(xi_guard_fold(addr, plen, XI_IPV4),
					 guard_prefix(addr, plen, XI_IPV4));
			if (!xi_prefix_equal(addr, other, plen))
				assert_int_not_equal(xi_guard_fold(addr, plen, XI_IPV4),
						     xi_guard_fold(other, plen, XI_IPV4));
		}
	}
	sample_addr(addr, "2001:db8::");
	for (i = 0; i < 4096; i++) {
		addr[6] = i >> 8;
		addr[7] = i;
		seen[i] = xi_guard_fold(addr, 64, XI_IPV6);
		for (j = 0; j < i; j++)
			assert_int_not_equal(seen[i], seen[j]);
	}
}

static void guard_covers_ipv6(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "2001:db8:1::/48", "2001:db8:2:8000::/50", 1);
	struct xi_flow in = flow("2001:db8:1::7", "2001:db8:2:bfff::9", 6, 1, 2);
	struct xi_flow out = flow("2001:db8:1::7", "2001:db8:2:7fff::9", 6, 1, 2);

	assert_int_equal(add(f, &p), 0);
	assert_true(guard_hits(f->m, &in, XI_OUT));
	assert_false(guard_hits(f->m, &out, XI_OUT));
	assert_false(guard_hits(f->m, &in, XI_IN));
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	assert_false(guard_hits(f->m, &in, XI_OUT));
}

/* After each of many random changes: what the guard lets go, no policy wants. */
static void guard_agrees_with_policies(void **state)
{
	struct fixture *f = *state;
	struct xi_policy live[80];
	unsigned int n = 0, i, j, k;
	bool overflowed = false;

	srand(2);
	for (i = 0; i < 600; i++) {
		if (n == 80 || (n && rand() % 3 == 0) || (i > 500 && n)) {
			j = rand() % n;
			assert_int_equal(xi_spd_delete(f->spd, &live[j]), 0);
			live[j] = live[--n];
		} else {
			struct xi_policy p = { .dir = rand() % 3, .priority = 1 };

			p.sel.family = XI_IPV4;
			random_prefix(p.sel.saddr, &p.sel.prefixlen_s, 32);
			random_prefix(p.sel.daddr, &p.sel.prefixlen_d, 32);
			p.action = rand() % 2;
			if (rand() % 2) {
				p.ntmpls = 1;
				p.tmpls[0].id.proto = XI_ESP;
				p.tmpls[0].mode = XI_TUNNEL;
			}
			if (add(f, &p))
				continue;
			live[n++] = p;
		}
		overflowed |= f->m->config.guard_flags[XI_IN] || f->m->config.guard_flags[XI_OUT];
		for (k = 0; k < 20; k++) {
			struct xi_flow fl = { .family = XI_IPV4 };
			uint8_t plen, dir = rand() % 2;
			bool wanted = false;

			random_prefix(fl.saddr, &plen, 32);
			random_prefix(fl.daddr, &plen, 32);
			for (j = 0; j < n; j++)
				wanted |= (live[j].dir == XI_OUT) == (dir == XI_OUT) &&
					  (live[j].action == XI_BLOCK || live[j].ntmpls) &&
					  xi_selector_matches(&live[j].sel, &fl);
			if (f->m->config.guard_flags[dir] & XI_GUARD_ALL)
				assert_true(guard_hits(f->m, &fl, dir));
			else
				assert_int_equal(guard_hits(f->m, &fl, dir), wanted);
		}
	}
	assert_true(overflowed);
	assert_int_equal(n, 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
	assert_int_equal(f->m->config.guard_flags[XI_IN] | f->m->config.guard_flags[XI_OUT], 0);
	assert_int_equal(f->m->masks[0].used, 0);
}

static void default_action_is_mirrored(void **state)
{
	struct fixture *f = *state;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_flow in = flow("10.1.0.1", LOCAL, 6, 1, 2),
		       fwd = flow("10.1.0.1", "10.2.0.1", 6, 1, 2);
	uint32_t before = generation(f);

	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_BLOCK), 0);
	assert_int_equal(f->m->config.default_action[XI_OUT], XI_BLOCK);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &in));
	assert_int_equal(xi_spd_set_default(f->spd, XI_IN, XI_BLOCK), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &in));
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &fwd));
	assert_int_equal(xi_spd_set_default(f->spd, XI_FWD, XI_BLOCK), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &fwd));
	assert_int_equal(xi_spd_set_default(f->spd, 3, XI_BLOCK), -EINVAL);
	mem_store_fail(f->m, 1, 1);
	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_ALLOW), -EIO);
	assert_int_equal(xi_spd_get_default(f->spd, XI_OUT), XI_BLOCK);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
}

static void flow_mask_follows_policies_and_sas(void **state)
{
	struct fixture *f = *state;
	struct xi_policy plain = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), proto = plain,
			 port = plain;
	struct xi_sa sa = out_sa(0x1000, 1);
	uint32_t before;

	assert_int_equal(add(f, &plain), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, 0);
	proto.sel.proto = 6;
	assert_int_equal(add(f, &proto), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO);
	port.sel.proto = 17;
	port.sel.dport = 53;
	port.sel.dport_mask = 0xffff;
	assert_int_equal(add(f, &port), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO | XI_FLOW_PORTS);
	assert_int_equal(xi_spd_delete(f->spd, &port), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO);
	assert_int_equal(xi_spd_delete(f->spd, &proto), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, 0);
	before = generation(f);
	sa.sel.family = XI_IPV4;
	sa.sel.proto = 6;
	sa.sel.sport_mask = 0xffff;
	add_sa(f, &sa);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, XI_FLOW_PROTO | XI_FLOW_PORTS);
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_int_equal(xi_spd_snapshot(f->spd)->flow_mask, 0);
	assert_int_not_equal(generation(f), before);
}

/* ---- templates and rekeys ---- */

static struct xi_sa transport_sa(const char *src, const char *dst, uint32_t spi, uint32_t reqid)
{
	struct xi_sa sa = sample_sa(src, dst, spi);

	sa.mode = XI_TRANSPORT;
	sa.reqid = reqid;
	return sa;
}

/* Host to host: what goes between two addresses, in transport mode; the template names none. */
static struct xi_policy transport(enum xi_dir dir, const char *src, const char *dst, uint32_t reqid)
{
	struct xi_policy p = policy(dir, src, dst, 100);
	struct xi_tmpl *t = &p.tmpls[0];

	p.ntmpls = 1;
	t->id.proto = XI_ESP;
	t->mode = XI_TRANSPORT;
	t->reqid = reqid;
	t->family = t->id.family = p.sel.family;
	return p;
}

/* p with a second template, applied around the first. */
static struct xi_policy around(struct xi_policy p, enum xi_proto proto, enum xi_mode mode,
			       uint32_t reqid)
{
	struct xi_tmpl *t = &p.tmpls[p.ntmpls++];
	bool out = p.dir == XI_OUT;

	memset(t, 0, sizeof(*t));
	t->id.proto = proto;
	t->mode = mode;
	t->reqid = reqid;
	t->family = t->id.family = XI_IPV4;
	if (mode == XI_TUNNEL) {
		sample_addr(t->saddr, out ? LOCAL : PEER);
		sample_addr(t->id.daddr, out ? PEER : LOCAL);
	}
	return p;
}

static enum xi_verdict judge_both(struct fixture *f, const struct xi_flow *fl, uint32_t *handle,
				  uint32_t *next_handle, struct xi_verdict_why *why)
{
	struct xi_flow_verdict v;
	enum xi_verdict verdict =
		xi_spd_judge_out_why(xi_spd_snapshot(f->spd), f->sad, fl, &v, NULL, why);

	*handle = v.handle;
	*next_handle = v.next_handle;
	return verdict;
}

static void templates_choose_sas(void **state)
{
	struct fixture *f = *state;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_sa sa;
	uint32_t handle, good;

	assert_int_equal(add(f, &p), 0);
#define UNFIT(spi, change) do { \
		sa = out_sa(spi, 1); change; add_sa(f, &sa); \
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE); } while (0)
	UNFIT(0x1000, sa.reqid = 2);
	UNFIT(0x1001, sa.mode = XI_TRANSPORT);
	UNFIT(0x1002, sa.id.proto = XI_AH);
	UNFIT(0x1003, sample_addr(sa.saddr, "192.0.2.77"));
	UNFIT(0x1004, sample_addr(sa.id.daddr, "192.0.2.77"));
	UNFIT(0x1005, sa.sa_dir = 1);
	UNFIT(0x1006, sa.if_id = 1);
	UNFIT(0x1007, sa.sel.family = XI_IPV6);
	UNFIT(0x1008, (sa.sel.family = XI_IPV4, sa.sel.prefixlen_s = 8, sa.sel.saddr[0] = 11));
	sa = out_sa(0x2000, 1);
	good = add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, good);
	p.tmpls[0].id.spi = 0x3000;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	p.tmpls[0].id.spi = 0x2000;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	memset(p.tmpls[0].saddr, 0, 16);
	memset(p.tmpls[0].id.daddr, 0, 16);
	p.tmpls[0].id.spi = 0;
	p.tmpls[0].reqid = 0;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, good);
}

static void traps_wait_for_an_sa(void **state)
{
	struct fixture *f = *state;
	struct xi_policy trap = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa sa = out_sa(0x1000, 0);
	struct xi_flow_verdict v;
	const struct xi_spd_policy *p;

	trap.ntmpls = 1;
	trap.tmpls[0].id.proto = XI_ESP;
	trap.tmpls[0].family = XI_IPV4;
	assert_int_equal(add(f, &trap), 0);
	add_sa(f, &sa);
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &fl, &v, &p),
			 XI_VERDICT_NONE);
	assert_int_equal(p->policy.index, xi_spd_find(f->spd, &trap)->index);
	sa = transport_sa("10.0.0.1", "10.1.0.1", 0x1001, 0);
	add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_PROTECT);
}

/*
 * The kernel's xfrm_state_find() under a policy for two hosts: SAs between others are none of its.
 */
static void transport_sas_have_the_flows_addresses(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, LOCAL "/32", PEER "/32", 1);
	struct xi_flow fl = flow(LOCAL, PEER, 6, 1, 2);
	struct xi_sa sa = transport_sa(LOCAL, "192.0.2.9", 0x1000, 1);
	uint32_t handle, index, before;

	assert_int_equal(add(f, &p), 0);
	add_sa(f, &sa);
	sa = transport_sa("192.0.2.9", PEER, 0x1001, 1);
	add_sa(f, &sa);
	sa = transport_sa(LOCAL, PEER, 0x1002, 2);
	add_sa(f, &sa);
	sa = out_sa(0x1003, 1);
	add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	sa = transport_sa("0.0.0.0", PEER, 0x1004, 1); /* from any source */
	index = add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, index);
	sa = transport_sa(LOCAL, PEER, 0x1005, 1);
	index = add_sa(f, &sa);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, index);
	/* a rekey by template SPI, as strongSwan does it: nobody else's flows are judged again */
	sa.id.spi = 0x1006;
	p.tmpls[0].id.spi = 0x1005;
	assert_int_equal(replace(f, &p), 0);
	before = generation(f);
	add_sa(f, &sa);
	assert_false(xi_sad_superseded(f->sad, index));
	p.tmpls[0].id.spi = 0x1006;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(generation(f), before);
	assert_true(xi_sad_superseded(f->sad, index));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &sa.id)->sa.sa_index);
}

#define PEERS 40

static struct xi_sa peer_sa(uint32_t peer, uint32_t spi, uint32_t reqid)
{
	char addr[32];

	snprintf(addr, sizeof(addr), "10.1.0.%u", peer);
	return transport_sa(LOCAL, addr, spi, reqid);
}

static struct xi_flow peer_flow(uint32_t peer)
{
	char addr[32];

	snprintf(addr, sizeof(addr), "10.1.0.%u", peer);
	return flow(LOCAL, addr, 6, 1, 80);
}

/* One policy, many hosts: each has SAs of its own, and a rekey is felt by its own host alone. */
static void wide_transport_policies_serve_every_peer(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	uint32_t first[PEERS], handle, before, renewed, i;
	struct xi_sa sa;
	struct xi_flow fl;

	assert_int_equal(add(f, &p), 0);
	before = generation(f);
	for (i = 0; i < PEERS; i++) {
		sa = peer_sa(i, 0x2000 + i, 1);
		first[i] = add_sa(f, &sa);
	}
	for (i = 0; i < PEERS; i++) {
		fl = peer_flow(i);
		assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
		assert_int_equal(handle, first[i]);
	}
	fl = flow("192.0.2.7", "10.1.0.3", 6, 1, 80); /* another of our addresses */
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	sa = peer_sa(7, 0x1001, 1);
	renewed = add_sa(f, &sa);
	for (i = 0; i < PEERS; i++)
		assert_int_equal(xi_sad_superseded(f->sad, first[i]), i == 7);
	fl = peer_flow(7);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, renewed);
	assert_int_equal(xi_sad_delete(f->sad, &sa.id), 0);
	assert_false(xi_sad_superseded(f->sad, first[7]));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, first[7]);
	assert_int_equal(generation(f), before);
	/* what an SPI in the template changes, no mark on an SA tells */
	p.tmpls[0].id.spi = 0x1001;
	assert_int_equal(replace(f, &p), 0);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
}

/* Several SAs between two hosts: by reqid, and by their selectors. */
static void wide_transport_policies_mind_reqid_and_selector(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_flow fl = peer_flow(1), mail = fl;
	struct xi_sa sa = peer_sa(1, 0x1000, 1), other = peer_sa(1, 0x2000, 2),
		     web = peer_sa(1, 0x3000, 1);
	uint32_t handle, wide, narrow, before;

	mail.dport = 25;
	assert_int_equal(add(f, &p), 0);
	wide = add_sa(f, &sa);
	add_sa(f, &other);
	assert_false(xi_sad_superseded(f->sad, wide));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, wide);
	web.sel.family = XI_IPV4;
	web.sel.proto = 6;
	web.sel.dport = 80;
	web.sel.dport_mask = 0xffff;
	before = generation(f);
	narrow = add_sa(f, &web);
	assert_int_not_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, wide));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, narrow);
	assert_int_equal(judge(f, &mail, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, wide);
	p.tmpls[0].reqid = 2;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &other.id)->sa.sa_index);
}

/* SAs that no policy chose by pair when they came count from when one does. */
static void wide_transport_policies_find_sas_that_were_there(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_sa old = peer_sa(1, 0x1000, 1), sa = peer_sa(1, 0x1001, 1), web = peer_sa(1, 0x3000, 1);
	struct xi_flow fl = peer_flow(1);
	uint32_t replaced, wide, narrow, handle, before;

	replaced = add_sa(f, &old);
	wide = add_sa(f, &sa);
	assert_int_equal(add(f, &p), 0);
	assert_true(xi_sad_superseded(f->sad, replaced));
	assert_false(xi_sad_superseded(f->sad, wide));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, wide);
	web.sel.family = XI_IPV4;
	web.sel.proto = 6;
	web.sel.dport = 80;
	web.sel.dport_mask = 0xffff;
	before = generation(f);
	narrow = add_sa(f, &web);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, narrow);
}

/* The pairs are found again by a later daemon, newest first. */
static void wide_transport_policies_survive_a_restart(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_sa a = peer_sa(1, 0x1000, 1), b = peer_sa(1, 0x1001, 1);
	struct xi_flow fl = peer_flow(1);
	uint32_t ia, ib, handle;
	unsigned int n;

	assert_int_equal(add(f, &p), 0);
	ia = add_sa(f, &a);
	ib = add_sa(f, &b);
	close_all(f);
	open_all(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	assert_int_equal(xi_spd_adopt(f->spd, &n), 0);
	assert_true(xi_sad_superseded(f->sad, ia));
	assert_false(xi_sad_superseded(f->sad, ib));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
}

/* xfrm_tmpl_resolve_one(): template 0 is applied first, the other one around it. */
static void bundles_need_both_sas(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(transport(XI_OUT, "10.0.0.1/32", "10.1.0.1/32", 1), XI_ESP, XI_TUNNEL, 2);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa inner = transport_sa("10.0.0.1", "10.1.0.1", 0x1000, 1),
		     outer = out_sa(0x2000, 2);
	uint32_t handle, next, ii, io, before;
	struct xi_verdict_why why;

	assert_int_equal(add(f, &p), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	assert_int_equal(why.code, XI_WHY_NO_SA);
	assert_int_equal(why.tmpl, 0);
	assert_int_equal(why.policy, xi_spd_find(f->spd, &p)->index);
	ii = add_sa(f, &inner);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	assert_int_equal(why.tmpl, 1);
	assert_int_equal(handle, 0);
	io = add_sa(f, &outer);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ii);
	assert_int_equal(next, io);
	assert_int_equal(why.code, XI_WHY_PROTECT);
	/* a rekey of either is felt by those who hold it */
	before = generation(f);
	outer.id.spi++;
	add_sa(f, &outer);
	assert_true(xi_sad_superseded(f->sad, io));
	assert_false(xi_sad_superseded(f->sad, ii));
	inner.id.spi++;
	add_sa(f, &inner);
	assert_true(xi_sad_superseded(f->sad, ii));
	assert_int_equal(generation(f), before);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &inner.id)->sa.sa_index);
	assert_int_equal(next, xi_sad_find(f->sad, &outer.id)->sa.sa_index);
	/* the selectors of both are of the flow that comes in */
	outer.id.spi++;
	outer.sel = p.sel;
	io = add_sa(f, &outer);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(next, io);
}

/* An optional template is passed over for as long as it has no SA, and no longer. */
static void optional_templates_of_bundles(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(transport(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), XI_ESP, XI_TUNNEL, 2);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa inner = transport_sa("10.0.0.1", "10.1.0.1", 0x1000, 1),
		     outer = out_sa(0x2000, 2);
	uint32_t handle, next, ii, io, before;
	struct xi_verdict_why why;

	p.tmpls[0].optional = 1;
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	assert_int_equal(why.tmpl, 1);
	io = add_sa(f, &outer);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, io);
	assert_int_equal(next, 0);
	before = generation(f);
	ii = add_sa(f, &inner);
	assert_int_not_equal(generation(f), before); /* flows have been cached without it */
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ii);
	assert_int_equal(next, io);
	p.tmpls[1].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(xi_sad_delete(f->sad, &outer.id), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ii);
	assert_int_equal(next, 0);
	assert_int_equal(xi_sad_delete(f->sad, &inner.id), 0);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_BYPASS);
	assert_int_equal(why.code, XI_WHY_OPTIONAL);
	before = generation(f);
	add_sa(f, &outer);
	assert_int_not_equal(generation(f), before);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
}

/* AH around an ESP tunnel: its SA has the tunnel's addresses, not those of the packet inside. */
static void transport_around_a_tunnel_has_its_ends(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), XI_AH, XI_TRANSPORT, 1);
	struct xi_policy any =
		around(tunnel(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 3), XI_AH, XI_TRANSPORT, 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2),
		       fl2 = flow("10.0.0.1", "10.2.0.1", 6, 1, 2);
	struct xi_sa esp = out_sa(0x1000, 1), ah = transport_sa("10.0.0.1", "10.1.0.1", 0x2000, 1);
	uint32_t handle, next, ie, ia;
	struct xi_verdict_why why;

	ah.id.proto = XI_AH;
	assert_int_equal(add(f, &p), 0);
	/* whose source only the SA tells */
	memset(any.tmpls[0].saddr, 0, 16);
	assert_int_equal(add(f, &any), 0);
	ie = add_sa(f, &esp);
	add_sa(f, &ah);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_NONE);
	ah = transport_sa(LOCAL, PEER, 0x2001, 1);
	ah.id.proto = XI_AH;
	ia = add_sa(f, &ah);
	assert_int_equal(judge_both(f, &fl, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ie);
	assert_int_equal(next, ia);
	esp = out_sa(0x1001, 3);
	ie = add_sa(f, &esp);
	assert_int_equal(judge_both(f, &fl2, &handle, &next, &why), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ie);
	assert_int_equal(next, ia);
}

struct judge_reader {
	struct fixture *f;
	bool stop, bad;
	unsigned long protected_by;
};

static void *judge_run(void *arg)
{
	struct judge_reader *r = arg;
	uint32_t i = 0;

	rcu_register_thread();
	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		struct xi_flow fl = peer_flow(i % 4);
		struct xi_flow_verdict v;
		const struct xi_sa_rec *rec;

		if (xi_spd_judge_out(xi_spd_snapshot(r->f->spd), r->f->sad, &fl, &v, NULL) ==
		    XI_VERDICT_PROTECT) {
			rec = xi_sad_rec(r->f->sad, v.handle);
			r->bad |= rec && memcmp(rec->sa.id.daddr, fl.daddr, 16);
			r->protected_by++;
		}
		if (++i % 8 == 0)
			rcu_quiescent_state();
	}
	rcu_unregister_thread();
	return NULL;
}

static void wait_for_readers(void *arg)
{
	synchronize_rcu();
}

/* Workers find SAs by address while these come and go. */
static void readers_never_see_a_freed_pair(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_OUT, "192.0.2.0/24", "10.1.0.0/16", 1);
	struct xi_sad_listener listener = {NULL, wait_for_readers, NULL};
	struct judge_reader r = {.f = f};
	pthread_t thread;
	unsigned int i;

	assert_int_equal(add(f, &p), 0);
	xi_sad_listen(f->sad, &listener);
	xi_spd_on_sync(f->spd, wait_for_readers, NULL);
	assert_int_equal(pthread_create(&thread, NULL, judge_run, &r), 0);
	for (i = 0; i < 200 || !__atomic_load_n(&r.protected_by, __ATOMIC_RELAXED); i++) {
		struct xi_sa a = peer_sa(i % 4, 0x1000 + i, 1), b = peer_sa(i % 4, 0x100000 + i, 1);

		add_sa(f, &a);
		add_sa(f, &b);
		assert_int_equal(xi_sad_delete(f->sad, i % 2 ? &a.id : &b.id), 0);
		assert_int_equal(xi_sad_delete(f->sad, i % 2 ? &b.id : &a.id), 0);
	}
	__atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	assert_false(r.bad);
}

static void rekey_disturbs_only_its_own_flows(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy other = tunnel(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 2);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2),
		       fl2 = flow("10.0.0.1", "10.2.0.1", 6, 1, 2);
	struct xi_sa a = out_sa(0x1000, 1), b = out_sa(0x1001, 1), c = out_sa(0x2000, 2);
	uint32_t ia, ib, ic, handle, before;

	ia = add_sa(f, &a);
	ic = add_sa(f, &c);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(add(f, &other), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ia);
	before = generation(f);
	ib = add_sa(f, &b);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
	assert_true(xi_sad_superseded(f->sad, ia));
	assert_false(xi_sad_superseded(f->sad, ib) || xi_sad_superseded(f->sad, ic));
	assert_int_equal(judge(f, &fl2, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ic);
	assert_int_equal(xi_sad_delete(f->sad, &a.id), 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(generation(f), before);
	assert_int_equal(xi_sad_delete(f->sad, &b.id), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
	assert_int_equal(generation(f), before);
}

/* How strongSwan does it: the outbound policy names the SPI, and is updated after the SAs. */
static void rekey_by_template_spi(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1), q;
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_sa a = out_sa(0x1000, 1), b = out_sa(0x1001, 1);
	uint32_t ia = add_sa(f, &a), ib, handle, before;

	p.tmpls[0].id.spi = 0x1000;
	assert_int_equal(add(f, &p), 0);
	ib = add_sa(f, &b);
	assert_false(xi_sad_superseded(f->sad, ia));
	before = generation(f);
	p.tmpls[0].id.spi = 0x1001;
	p.limits.soft_add = 77;
	assert_int_equal(replace(f, &p), 0);
	assert_int_equal(generation(f), before);
	assert_true(xi_sad_superseded(f->sad, ia));
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
	p.tmpls[0].id.spi = 0x1000;  /* and back */
	assert_int_equal(replace(f, &p), 0);
	assert_true(xi_sad_superseded(f->sad, ib));
	assert_false(xi_sad_superseded(f->sad, ia));
	assert_int_equal(generation(f), before);
	p.priority++;
	assert_int_equal(replace(f, &p), 0);
	assert_int_not_equal(generation(f), before);
	/*
	 * Another policy stays with the SA that this one leaves: then a mark on the SA cannot tell
	 * whose flows.
	 */
	q = tunnel(XI_OUT, "10.0.0.0/8", "10.5.0.0/16", 1);
	q.tmpls[0].id.spi = 0x1000;
	assert_int_equal(add(f, &q), 0);
	before = generation(f);
	p.tmpls[0].id.spi = 0x1001;
	assert_int_equal(replace(f, &p), 0);
	assert_int_not_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, ia));
}

static struct xi_sa narrow_sa(uint32_t spi, uint16_t dport)
{
	struct xi_sa sa = out_sa(spi, 1);

	sa.sel.family = XI_IPV4;
	if (dport) {
		sa.sel.proto = 6;
		sa.sel.dport = dport;
		sa.sel.dport_mask = 0xffff;
	}
	return sa;
}

static void sa_selectors_share_a_policy(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow web = flow("10.0.0.1", "10.1.0.1", 6, 1, 80), mail = web, dns = web;
	struct xi_sa a = narrow_sa(0x1000, 80), b = narrow_sa(0x1001, 25),
		     wide = narrow_sa(0x1002, 0);
	uint32_t ia, ib, iw, handle, before;

	mail.dport = 25;
	dns.dport = 53;
	assert_int_equal(add(f, &p), 0);
	ia = add_sa(f, &a);
	before = generation(f);
	ib = add_sa(f, &b);
	assert_int_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, ia));
	assert_int_equal(judge(f, &web, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ia);
	assert_int_equal(judge(f, &mail, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ib);
	assert_int_equal(judge(f, &dns, NULL), XI_VERDICT_NONE);
	iw = add_sa(f, &wide);
	assert_true(xi_sad_superseded(f->sad, ia) && xi_sad_superseded(f->sad, ib));
	assert_int_equal(judge(f, &web, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, iw);
	/* A newer one takes some flows of an SA that keeps the rest. */
	before = generation(f);
	a.id.spi = 0x1003;
	ia = add_sa(f, &a);
	assert_int_not_equal(generation(f), before);
	assert_false(xi_sad_superseded(f->sad, iw));
	assert_int_equal(judge(f, &web, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, ia);
}

/* ---- judgements ---- */

static void actions_decide_outbound(void **state)
{
	struct fixture *f = *state;
	struct xi_policy block = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 2);
	struct xi_policy allow = policy(XI_OUT, "10.0.0.0/8", "10.1.1.0/24", 1);
	struct xi_policy optional = tunnel(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2);
	struct xi_flow_verdict v;

	block.action = XI_BLOCK;
	optional.tmpls[0].optional = 1;
	assert_int_equal(add(f, &block), 0);
	assert_int_equal(add(f, &allow), 0);
	assert_int_equal(add(f, &optional), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
	fl = flow("10.0.0.1", "10.1.1.1", 6, 1, 2);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	fl = flow("10.0.0.1", "10.2.1.1", 6, 1, 2);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_BYPASS);
	fl = flow("11.0.0.1", "10.1.1.1", 6, 1, 2);
	assert_int_equal(xi_spd_judge_out(xi_spd_snapshot(f->spd), f->sad, &fl, &v, NULL),
			 XI_VERDICT_BYPASS);
	assert_int_equal(v.generation, generation(f));
	assert_int_equal(v.slot, XI_NO_SLOT);
	assert_int_equal(v.next_slot, XI_NO_SLOT);
}

static void ike_of_the_host_is_exempt(void **state)
{
	struct fixture *f = *state;
	struct xi_policy out = tunnel(XI_OUT, "0.0.0.0/0", "0.0.0.0/0", 1);
	struct xi_policy in = tunnel(XI_IN, "0.0.0.0/0", "0.0.0.0/0", 1), fwd = in;
	const struct xi_spd_snapshot *snap;
	struct xi_flow_verdict v;
	struct xi_flow fl;
	static const uint16_t ports[] = { 500, 4500 };
	unsigned int i;

	fwd.dir = XI_FWD;
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(add(f, &fwd), 0);
	snap = xi_spd_snapshot(f->spd);
	for (i = 0; i < 2; i++) {
		fl = flow(LOCAL, PEER, IPPROTO_UDP, ports[i], 12345);
		assert_int_equal(xi_spd_judge_out(snap, f->sad, &fl, &v, NULL), XI_VERDICT_BYPASS);
		assert_int_equal(v.generation, 0);
		fl = flow("2001:db8::1", "2001:db8::2", IPPROTO_UDP, ports[i], ports[i]);
		assert_int_equal(xi_spd_judge_out(snap, f->sad, &fl, &v, NULL), XI_VERDICT_BYPASS);
		fl = flow(PEER, LOCAL, IPPROTO_UDP, 12345, ports[i]);
		assert_true(xi_spd_allows_clear(snap, &fl));
		/*
		 * Not the host's own, not UDP, another port, a fragment, the far end's port alone.
		 */
		fl = flow("10.0.0.1", PEER, IPPROTO_UDP, ports[i], ports[i]);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		fl = flow(LOCAL, PEER, IPPROTO_TCP, ports[i], ports[i]);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		fl = flow(LOCAL, PEER, IPPROTO_UDP, 501, ports[i]);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_NONE);
		fl = flow(PEER, "10.0.0.1", IPPROTO_UDP, ports[i], ports[i]);
		assert_false(xi_spd_allows_clear(snap, &fl));
		fl = flow(PEER, LOCAL, IPPROTO_UDP, ports[i], 501);
		assert_false(xi_spd_allows_clear(snap, &fl));
		fl = flow(PEER, LOCAL, IPPROTO_UDP, 0, 0);
		fl.fragment = 1;
		assert_false(xi_spd_allows_clear(snap, &fl));
	}
}

static enum xi_why why_out(struct fixture *f, const struct xi_flow *fl)
{
	struct xi_verdict_why why = {0};
	uint32_t handle, next;

	judge_both(f, fl, &handle, &next, &why);
	return why.code;
}

/* Fail-closed: the first fragment of a packet is protected, so the others do not leave in clear. */
static void fragments_do_not_pass_by_policies_with_ports(void **state)
{
	struct fixture *f = *state;
	struct xi_policy web = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 1), all = web, in = web;
	struct xi_flow rest = flow("10.0.0.1", "10.1.0.1", IPPROTO_TCP, 0, 0), back = rest, udp;
	struct xi_sa sa = out_sa(0x1000, 2);
	uint32_t handle;

	rest.fragment = back.fragment = 1;
	back.dir = XI_IN;
	udp = rest;
	udp.proto = IPPROTO_UDP;
	web.priority = 10;
	web.sel.proto = IPPROTO_TCP;
	web.sel.dport = 443;
	web.sel.dport_mask = 0xffff;
	assert_int_equal(add(f, &web), 0);
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_DISCARD);
	assert_int_equal(why_out(f, &rest), XI_WHY_FRAGMENT);
	assert_int_equal(judge(f, &udp, NULL), XI_VERDICT_BYPASS);
	rest.fragment = 0;
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_BYPASS);
	rest.fragment = 1;
	/* a policy in front of it that matches fragments decides */
	all.ntmpls = 0;
	all.priority = 9;
	assert_int_equal(add(f, &all), 0);
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_BYPASS);
	all.priority = 11;
	assert_int_equal(replace(f, &all), 0);
	assert_int_equal(judge(f, &rest, NULL), XI_VERDICT_DISCARD);
	/* protected by another policy's SA is not in clear */
	all = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 2);
	all.priority = 11;
	assert_int_equal(replace(f, &all), 0);
	add_sa(f, &sa);
	assert_int_equal(judge(f, &rest, &handle), XI_VERDICT_PROTECT);
	/* the way in */
	in = web;
	in.dir = XI_FWD;
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
	assert_int_equal(add(f, &in), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
	back.fragment = 0;
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
	in.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &in), 0);
	back.fragment = 1;
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &back));
}

static void cleartext_is_judged_by_where_it_goes(void **state)
{
	struct fixture *f = *state;
	struct xi_policy in = tunnel(XI_IN, "10.1.0.0/16", "192.0.2.0/24", 1);
	struct xi_policy fwd = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/8", 1);
	struct xi_flow to_us = flow("10.1.0.1", LOCAL, 6, 1, 2),
		       through = flow("10.1.0.1", "10.0.0.1", 6, 1, 2);
	struct xi_flow past_us = flow("10.1.0.1", "192.0.2.99", 6, 1, 2);

	assert_int_equal(add(f, &in), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &to_us));
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &past_us));
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	assert_int_equal(add(f, &fwd), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	fwd.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &fwd), 0);
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	fwd.action = XI_BLOCK;
	assert_int_equal(replace(f, &fwd), 0);
	assert_false(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
	fwd.action = XI_ALLOW;
	fwd.ntmpls = 0;
	assert_int_equal(replace(f, &fwd), 0);
	assert_true(xi_spd_allows_clear(xi_spd_snapshot(f->spd), &through));
}

static bool allows(struct fixture *f, const struct xi_flow *fl, const struct xi_sa *outer,
		   const struct xi_sa *inner)
{
	const struct xi_sa_path path = {.n = inner ? 2 : outer ? 1 : 0, .sas = {outer, inner}};

	return xi_spd_allows_protected(xi_spd_snapshot(f->spd), fl, &path);
}

/* As __xfrm_policy_check() of Linux 6.x does for one tunnel SA in the secpath. */
static void protected_packets_need_a_template_that_fits(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/8", 1);
	struct xi_flow fl = flow("10.1.0.1", "10.0.0.1", 6, 1, 2);
	struct xi_sa sa = in_sa(0x1000, 1), bad;
	uint32_t before;

#define ALLOWS(sa) allows(f, &fl, sa, NULL)
	assert_false(ALLOWS(&sa));   /* XfrmInNoPols */
	assert_int_equal(add(f, &p), 0);
	assert_true(ALLOWS(&sa));
#define MISMATCH(change) do { bad = sa; change; assert_false(ALLOWS(&bad)); } while (0)
	MISMATCH(bad.reqid = 2);
	MISMATCH(bad.mode = XI_TRANSPORT);
	MISMATCH(bad.id.proto = XI_AH);
	MISMATCH(sample_addr(bad.saddr, "192.0.2.9"));
	MISMATCH(sample_addr(bad.id.daddr, "192.0.2.9"));
	MISMATCH((bad.sel.family = XI_IPV4, bad.sel.prefixlen_s = 32));
	MISMATCH(bad.sel.family = XI_IPV6);
	bad = sa;
	bad.sel = p.sel;
	assert_true(ALLOWS(&bad));
	p.tmpls[0].id.spi = 0x1001;
	before = generation(f);
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
	/* workers remember answers for as long as the generation is the same */
	assert_int_not_equal(generation(f), before);
	p.tmpls[0].id.spi = 0x1000;
	p.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(ALLOWS(&sa));
	p.tmpls[0].id.spi = 0x1001;  /* optional, not matching: the tunnel is one too many */
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
	p.ntmpls = 0;                /* no tunnel wanted */
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
	p.action = XI_BLOCK;
	assert_int_equal(replace(f, &p), 0);
	assert_false(ALLOWS(&sa));
}

/*
 * __xfrm_policy_check(): a leftover SA in transport mode is let be, and where no policy is, the
 * default decides.
 */
static void transport_sas_are_no_tunnel_too_many(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = transport(XI_IN, PEER "/32", LOCAL "/32", 1);
	struct xi_flow fl = flow(PEER, LOCAL, 6, 1, 2);
	struct xi_sa sa = transport_sa(PEER, LOCAL, 0x1000, 1), bad, tunnel_sa = in_sa(0x1001, 1);

	assert_true(allows(f, &fl, NULL, NULL));
	assert_true(allows(f, &fl, &sa, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	assert_int_equal(xi_spd_set_default(f->spd, XI_IN, XI_BLOCK), 0);
	assert_false(allows(f, &fl, NULL, NULL));
	assert_false(allows(f, &fl, &sa, NULL));
	assert_int_equal(xi_spd_set_default(f->spd, XI_IN, XI_ALLOW), 0);
	assert_int_equal(add(f, &p), 0);
	assert_false(allows(f, &fl, NULL, NULL));
	assert_true(allows(f, &fl, &sa, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	MISMATCH(bad.reqid = 2);
	MISMATCH(bad.id.proto = XI_AH);
	MISMATCH((bad.sel.family = XI_IPV4, bad.sel.proto = 17));
	/* addresses in a template of transport mode mean nothing */
	sample_addr(p.tmpls[0].saddr, "203.0.113.1");
	sample_addr(p.tmpls[0].id.daddr, "203.0.113.2");
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &sa, NULL));
	/* optional in transport mode: with it, without it, and with another one */
	p.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, NULL, NULL));
	assert_true(allows(f, &fl, &sa, NULL));
	bad = sa;
	bad.reqid = 2;
	assert_true(allows(f, &fl, &bad, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	p.ntmpls = 0;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &sa, NULL));
	assert_false(allows(f, &fl, &tunnel_sa, NULL));
	p.action = XI_BLOCK;
	assert_int_equal(replace(f, &p), 0);
	assert_false(allows(f, &fl, &sa, NULL));
}

/*
 * __xfrm_policy_check(): templates from the last to the first meet the path from the outermost SA
 * in.
 */
static void bundles_are_met_from_the_outermost_in(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p =
		around(transport(XI_IN, PEER "/32", LOCAL "/32", 1), XI_ESP, XI_TUNNEL, 2);
	struct xi_flow fl = flow(PEER, LOCAL, 6, 1, 2);
	struct xi_sa inner = transport_sa(PEER, LOCAL, 0x1000, 1), outer = in_sa(0x2000, 2), bad;

	assert_int_equal(add(f, &p), 0);
	assert_true(allows(f, &fl, &outer, &inner));
	assert_false(allows(f, &fl, &inner, &outer));
	assert_false(allows(f, &fl, &outer, NULL));
	assert_false(allows(f, &fl, &inner, NULL));
	assert_false(allows(f, &fl, NULL, NULL));
	bad = inner;
	bad.reqid = 9;
	assert_false(allows(f, &fl, &outer, &bad));
	bad = outer;
	bad.reqid = 9;
	assert_false(allows(f, &fl, &bad, &inner));
	assert_false(allows(f, &fl, &outer, &outer));
	/* the selector of each SA is held against what is left in the end */
	bad = outer;
	bad.sel.family = XI_IPV4;
	bad.sel.proto = 50;
	assert_false(allows(f, &fl, &bad, &inner));
	bad.sel.proto = 6;
	assert_true(allows(f, &fl, &bad, &inner));
	/* the inner one optional: both ways; another tunnel inside is one too many */
	p.tmpls[0].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &outer, &inner));
	assert_true(allows(f, &fl, &outer, NULL));
	assert_false(allows(f, &fl, &outer, &outer));
	/* the outer one optional */
	p.tmpls[0].optional = 0;
	p.tmpls[1].optional = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &outer, &inner));
	assert_true(allows(f, &fl, &inner, NULL));
	assert_false(allows(f, &fl, &outer, NULL));
	/*
	 * AH in transport mode around an ESP tunnel, and one template that passes over an SA in
	 * transport mode
	 */
	p = around(tunnel(XI_IN, PEER "/32", LOCAL "/32", 2), XI_AH, XI_TRANSPORT, 1);
	p.priority = 50;
	assert_int_equal(replace(f, &p), 0);
	inner.id.proto = XI_AH;
	assert_true(allows(f, &fl, &inner, &outer));
	assert_false(allows(f, &fl, &outer, &inner));
	assert_false(allows(f, &fl, &outer, NULL));
	p.ntmpls = 1;
	assert_int_equal(replace(f, &p), 0);
	assert_true(allows(f, &fl, &inner, &outer));
	assert_true(allows(f, &fl, &outer, &inner));
}

static enum xi_why why_in(struct fixture *f, const struct xi_flow *fl, const struct xi_sa *sa)
{
	const struct xi_sa_path path = {.n = sa ? 1 : 0, .sas = {sa}};
	struct xi_verdict_why why = {0};

	xi_spd_allows_protected_why(xi_spd_snapshot(f->spd), fl, &path, &why);
	assert_true(*xi_why_text(why.code));
	return why.code;
}

static void verdicts_tell_why(void **state)
{
	struct fixture *f = *state;
	struct xi_policy out = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy in = tunnel(XI_FWD, "10.1.0.0/16", "10.0.0.0/8", 1);
	struct xi_flow fl = flow("10.0.0.1", "10.1.0.1", 6, 1, 2),
		       back = flow("10.1.0.1", "10.0.0.1", 6, 2, 1);
	struct xi_flow ike = flow(LOCAL, PEER, IPPROTO_UDP, 500, 500);
	struct xi_sa sa = out_sa(0x1000, 1), way_in = in_sa(0x1001, 1), bad;

	assert_int_equal(why_out(f, &fl), XI_WHY_DEFAULT_ALLOW);
	assert_int_equal(why_out(f, &ike), XI_WHY_IKE);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_DEFAULT_ALLOW);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_NO_POLICY);
	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_BLOCK), 0);
	assert_int_equal(xi_spd_set_default(f->spd, XI_FWD, XI_BLOCK), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_DEFAULT_BLOCK);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_DEFAULT_BLOCK);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_DEFAULT_BLOCK);
	assert_int_equal(add(f, &out), 0);
	assert_int_equal(add(f, &in), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_NO_SA);
	sa.sel.family = XI_IPV4;
	sa.sel.proto = 17;
	add_sa(f, &sa);
	assert_int_equal(why_out(f, &fl), XI_WHY_NO_SA_SELECTOR);
	fl.proto = 17;
	assert_int_equal(why_out(f, &fl), XI_WHY_PROTECT);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_CLEAR);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_VERIFIED);
	bad = way_in;
	bad.reqid = 7;
	assert_int_equal(why_in(f, &back, &bad), XI_WHY_TEMPLATE);
	bad = sa;
	assert_int_equal(why_in(f, &back, &bad), XI_WHY_SA_SELECTOR);
	out.ntmpls = in.ntmpls = 0;
	assert_int_equal(replace(f, &out), 0);
	assert_int_equal(replace(f, &in), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_ALLOW);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_ALLOW);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_TUNNEL);
	out.action = in.action = XI_BLOCK;
	assert_int_equal(replace(f, &out), 0);
	assert_int_equal(replace(f, &in), 0);
	assert_int_equal(why_out(f, &fl), XI_WHY_BLOCK);
	assert_int_equal(why_in(f, &back, NULL), XI_WHY_BLOCK);
	assert_int_equal(why_in(f, &back, &way_in), XI_WHY_BLOCK);
	assert_string_equal(xi_why_text(XI_WHY_MAX), "unknown");
}

/* ---- life ---- */

struct told {
	unsigned int n, gone;
	uint32_t index;
	struct xi_policy now;
};

static void policy_told(void *arg, uint32_t index, const struct xi_policy *now)
{
	struct told *told = arg;

	told->n++;
	told->index = index;
	told->gone += !now;
	if (now)
		told->now = *now;
}

static void a_listener_is_told_of_each_policy(void **state)
{
	struct fixture *f = *state;
	struct xi_policy a = tunnel(XI_OUT, "10.0.1.0/24", "10.1.0.0/16", 1);
	struct xi_policy b = tunnel(XI_IN, "10.1.0.0/16", "10.0.1.0/24", 1);
	struct told told = { 0 };
	const char *why;
	unsigned int n;
	uint32_t index;

	xi_spd_on_policy(f->spd, policy_told, &told);
	assert_int_equal(add(f, &a), 0);
	assert_int_equal(told.n, 1);
	index = xi_spd_find(f->spd, &a)->index;
	assert_int_equal(told.index, index);
	assert_int_equal(told.now.index, index);
	assert_memory_equal(&told.now.sel, &a.sel, sizeof(a.sel));
	/* refused: nothing to tell */
	assert_int_equal(xi_spd_add(f->spd, &a, false, &why), -EEXIST);
	assert_int_equal(told.n, 1);
	a.priority = 7;
	assert_int_equal(xi_spd_add(f->spd, &a, true, &why), 0);
	assert_int_equal(told.n, 2);
	assert_int_equal(told.index, index);
	assert_int_equal(told.now.priority, 7);
	/* within a round as well, and not again at its end */
	xi_spd_hold(f->spd);
	assert_int_equal(add(f, &b), 0);
	assert_int_equal(told.n, 3);
	assert_int_equal(xi_spd_delete(f->spd, &a), 0);
	assert_int_equal(told.n, 4);
	assert_int_equal(told.gone, 1);
	assert_int_equal(told.index, index);
	assert_int_equal(xi_spd_release(f->spd), 0);
	assert_int_equal(told.n, 4);
	index = xi_spd_find(f->spd, &b)->index;
	assert_int_equal(xi_spd_flush(f->spd, &n), 0);
	assert_int_equal(told.n, 5);
	assert_int_equal(told.gone, 2);
	assert_int_equal(told.index, index);
	xi_spd_on_policy(f->spd, NULL, NULL);
	assert_int_equal(add(f, &a), 0);
	assert_int_equal(told.n, 5);
}

static void flush_waits_once(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p;
	unsigned int n, i;
	char src[32];

	for (i = 0; i < 30; i++) {
		snprintf(src, sizeof(src), "10.0.%u.0/24", i);
		p = tunnel(i % 3, src, "10.1.0.0/16", 1);
		assert_int_equal(add(f, &p), 0);
	}
	f->syncs = 0;
	assert_int_equal(xi_spd_flush(f->spd, &n), 0);
	assert_int_equal(n, 30);
	assert_int_equal(f->syncs, 1);
	assert_int_equal(mem_store_count_policies(f->m), 0);
	assert_int_equal(mem_store_count_guards(f->m), 0);
	generation(f);
}

/* Invariant fail-closed: on the way a flow has the verdict of before or the default, not that of a policy behind its own. */
static void a_flush_uncovers_no_policy_behind_another(void **state)
{
	static const enum xi_action actions[] = {XI_BLOCK, XI_ALLOW};
	enum xi_verdict before[64], now, after = XI_VERDICT_DISCARD;
	struct fixture *f = *state;
	struct xi_spd_flush flush;
	struct xi_policy p;
	struct xi_flow fl;
	unsigned int i, k, left;
	char dst[32];

	for (i = 0; i < 60; i++) {
		snprintf(dst, sizeof(dst), "10.1.0.%u/%u", i & ~3U, 24 + i % 9);
		p = i % 3 ? policy(XI_OUT, "10.0.0.0/8", dst, 1 + i % 7)
			  : tunnel(XI_OUT, "10.0.0.0/8", dst, 1 + i % 7);
		if (i % 3)
			p.action = actions[i % 2];
		if (i == 59)
			p.mark_v = 1; /* without a mask: no flow has it */
		add(f, &p);
	}
	assert_int_equal(xi_spd_set_default(f->spd, XI_OUT, XI_BLOCK), 0);
	for (k = 0; k < 64; k++) {
		snprintf(dst, sizeof(dst), "10.1.0.%u", k);
		fl = flow("10.0.0.1", dst, 6, 1, 2);
		before[k] = judge(f, &fl, NULL);
	}
	assert_int_equal(xi_spd_flush_begin(f->spd, &flush), 0);
	p = policy(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 3);
	assert_int_equal(add(f, &p), 0);
	left = xi_spd_count(f->spd, XI_OUT);
	while (xi_spd_flush_step(f->spd, &flush, 1)) {
		assert_true(xi_spd_count(f->spd, XI_OUT) >= left - 1);
		left = xi_spd_count(f->spd, XI_OUT);
		for (k = 0; k < 64; k++) {
			snprintf(dst, sizeof(dst), "10.1.0.%u", k);
			fl = flow("10.0.0.1", dst, 6, 1, 2);
			now = judge(f, &fl, NULL);
			assert_true(now == before[k] || now == after);
			before[k] = now;
		}
	}
	xi_spd_flush_end(&flush);
	assert_int_equal(flush.err, 0);
	assert_int_equal(xi_spd_count(f->spd, XI_OUT), 1); /* that came meanwhile */
	assert_non_null(xi_spd_find(f->spd, &p));
}

/* An update is as good as new. */
static void what_is_updated_during_a_flush_stays(void **state)
{
	struct fixture *f = *state;
	struct xi_policy a = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_policy b = policy(XI_OUT, "10.0.0.0/8", "10.2.0.0/16", 1);
	struct xi_spd_flush flush;
	const char *why;

	assert_int_equal(add(f, &a), 0);
	assert_int_equal(add(f, &b), 0);
	assert_int_equal(xi_spd_flush_begin(f->spd, &flush), 0);
	assert_int_equal(xi_spd_add(f->spd, &a, true, &why), 0);
	assert_int_equal(xi_spd_delete(f->spd, &b), 0);
	while (xi_spd_flush_step(f->spd, &flush, 1))
		;
	xi_spd_flush_end(&flush);
	assert_int_equal(flush.err, 0);
	assert_int_equal(flush.gone, 0);
	assert_non_null(xi_spd_find(f->spd, &a));
}

/* Invariant state-survives, and fail-closed on the way: XDP is never less guarded than before. */
static void adoption_finds_everything_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct xi_policy before[40], p;
	struct xi_sa sa = out_sa(0x1000, 1);
	const struct xi_policy *found;
	uint32_t index = 0, handle, before_generation;
	struct xi_flow fl = flow("10.0.3.1", "10.1.0.1", 6, 1, 2);
	unsigned int i, n;
	char src[32];

	for (i = 0; i < 40; i++) {
		snprintf(src, sizeof(src), "10.0.%u.0/%u", i, i % 2 ? 24 : 28);
		p = tunnel(i % 3, src, "10.1.0.0/16", 1);
		assert_int_equal(add(f, &p), 0);
	}
	p = tunnel(XI_OUT, "10.0.3.0/24", "10.1.0.0/16", 1);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_delete(f->spd, &p), 0);
	p = tunnel(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 1);
	assert_int_equal(add(f, &p), 0);
	assert_int_equal(xi_spd_set_default(f->spd, XI_FWD, XI_BLOCK), 0);
	add_sa(f, &sa);
	for (n = 0; (found = xi_spd_next(f->spd, &index)) && n < 40; n++)
		before[n] = *found;
	before_generation = generation(f);
	close_all(f);
	open_all(f);
	assert_int_equal(xi_sad_adopt(f->sad, &n), 0);
	mem_store_fail(f->m, 0, 0);
	assert_int_equal(xi_spd_adopt(f->spd, &n), 0);
	assert_int_equal(n, 41);
	assert_int_equal(f->m->log[0], 'C');
	assert_null(strpbrk(f->m->log, "Pp"));
	for (index = 0, i = 0; (found = xi_spd_next(f->spd, &index)) && i < 40; i++)
		assert_memory_equal(found, &before[i], sizeof(*found));
	assert_true(generation(f) > before_generation);
	assert_int_equal(xi_spd_get_default(f->spd, XI_FWD), XI_BLOCK);
	assert_int_equal(f->m->config.guard_flags[XI_OUT] | f->m->config.guard_flags[XI_IN], 0);
	assert_int_equal(judge(f, &fl, &handle), XI_VERDICT_PROTECT);
	assert_int_equal(handle, xi_sad_find(f->sad, &sa.id)->sa.sa_index);
	assert_true(guard_hits(f->m, &fl, XI_OUT));
	p = tunnel(XI_OUT, "10.99.0.0/16", "10.1.0.0/16", 1);
	assert_int_equal(add(f, &p), 0);
	assert_true(xi_spd_find(f->spd, &p)->index > before[39].index);
}

/*
 * Which of two policies of one priority comes first decides what leaves in clear, so a restart must not
 * change it: neither an update that keeps its place, nor one that takes a new one.
 */
static void adoption_keeps_the_order_among_equals(void **state)
{
	struct fixture *f = *state;
	struct xi_policy bypass = policy(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 5);
	struct xi_policy block = policy(XI_OUT, "10.0.0.0/16", "10.1.0.0/16", 5);
	struct xi_flow fl = flow("10.0.3.1", "10.1.0.1", 6, 1, 2);
	unsigned int n, i;

	block.action = XI_BLOCK;
	assert_int_equal(add(f, &bypass), 0);
	block.priority = 1;
	assert_int_equal(add(f, &block), 0);
	bypass.priority = 1;
	assert_int_equal(replace(f, &bypass), 0);
	assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
	for (i = 0; i < 2; i++) {
		close_all(f);
		open_all(f);
		assert_int_equal(xi_spd_adopt(f->spd, &n), 0);
		assert_int_equal(n, 2);
		assert_int_equal(judge(f, &fl, NULL), XI_VERDICT_DISCARD);
		assert_int_equal(replace(f, &block), 0);
		f->m->policies[1].policy.add_time += 100;
	}
}

static void adoption_of_nonsense_fails_closed(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = tunnel(XI_OUT, "10.0.0.0/8", "10.1.0.0/16", 1);
	struct xi_flow fl = flow("10.0.3.1", "10.1.0.1", 6, 1, 2);
	unsigned int n;

	assert_int_equal(add(f, &p), 0);
	f->m->policies[0].policy.sel.family = 77;
	close_all(f);
	open_all(f);
	assert_int_equal(xi_spd_adopt(f->spd, &n), -EINVAL);
	assert_true(guard_hits(f->m, &fl, XI_OUT));
}

static void local_addresses_are_copied_and_found(void **state)
{
	struct fixture *f = *state;
	struct xi_addr addrs[3] = { 0 };
	uint32_t before = generation(f);
	uint8_t addr[16];

	addrs[0].family = sample_addr(addrs[0].addr, "203.0.113.7");
	addrs[1].family = sample_addr(addrs[1].addr, "2001:db8::7");
	addrs[2].family = sample_addr(addrs[2].addr, "10.0.0.1");
	assert_int_equal(xi_spd_set_local(f->spd, addrs, 3), 0);
	assert_int_not_equal(generation(f), before);
	before = generation(f);
	assert_int_equal(xi_spd_set_local(f->spd, addrs, 3), 0);
	assert_int_equal(generation(f), before);
	memset(addrs, 0, sizeof(addrs));
	sample_addr(addr, "203.0.113.7");
	assert_true(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV4));
	assert_false(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV6));
	sample_addr(addr, "2001:db8::7");
	assert_true(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV6));
	sample_addr(addr, LOCAL);
	assert_false(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV4));
	assert_int_equal(xi_spd_set_local(f->spd, NULL, 0), 0);
	assert_false(xi_spd_is_local(xi_spd_snapshot(f->spd), addr, XI_IPV4));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(key_is_the_kernels),
		T(indexes_are_unique_and_show_direction),
		T(bad_policies_change_nothing),
		T(priority_decides_then_age),
		T(policies_for_marks_and_interfaces_match_their_flows),
		T(a_mark_outside_of_its_mask_matches_nothing),
		T(what_came_through_an_interface_is_judged_by_its_policies),
		T(lookup_agrees_with_a_walk),
		T(change_undone_at_every_failing_write),
		T(delete_undone_when_the_store_keeps_the_policy),
		T(guard_order_fails_closed),
		T(masks_half_written_are_written_again),
		T(guard_covers_both_inbound_directions),
		T(guard_folds_prefixes),
		T(guard_covers_ipv6),
		T(guard_agrees_with_policies),
		T(default_action_is_mirrored),
		T(flow_mask_follows_policies_and_sas),
		T(templates_choose_sas),
		T(traps_wait_for_an_sa),
		T(transport_sas_have_the_flows_addresses),
		T(wide_transport_policies_serve_every_peer),
		T(wide_transport_policies_mind_reqid_and_selector),
		T(wide_transport_policies_find_sas_that_were_there),
		T(wide_transport_policies_survive_a_restart),
		T(bundles_need_both_sas),
		T(optional_templates_of_bundles),
		T(transport_around_a_tunnel_has_its_ends),
		T(readers_never_see_a_freed_pair),
		T(rekey_disturbs_only_its_own_flows),
		T(rekey_by_template_spi),
		T(sa_selectors_share_a_policy),
		T(actions_decide_outbound),
		T(ike_of_the_host_is_exempt),
		T(fragments_do_not_pass_by_policies_with_ports),
		T(cleartext_is_judged_by_where_it_goes),
		T(protected_packets_need_a_template_that_fits),
		T(transport_sas_are_no_tunnel_too_many),
		T(bundles_are_met_from_the_outermost_in),
		T(verdicts_tell_why),
		T(a_listener_is_told_of_each_policy),
		T(flush_waits_once),
		T(a_flush_uncovers_no_policy_behind_another),
		T(what_is_updated_during_a_flush_stays),
		T(adoption_finds_everything_as_it_was),
		T(adoption_keeps_the_order_among_equals),
		T(adoption_of_nonsense_fails_closed),
		T(local_addresses_are_copied_and_found),
	};

	return cmocka_run_group_tests_name("spd", tests, NULL, NULL);
}
