/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SPD under thousands of changes: what it works out step by step is what a recomputation from
 * scratch, by the rules of the kernel's xfrm_state_find() and of RFC 4301 section 4.4.1, gives at
 * any time; and the work of a step does not grow with the number of policies.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "mem_store.h"
#include "null_store.h"
#include "sad/spd_priv.h"

#define NSTATES 1024
#define LOCAL "192.0.2.1"
#define MODEL_SAS 256
#define MODEL_POLICIES 400
#define FLOWS 150
#define STEPS 3000

struct model_sa {
	struct xi_sa sa;
	uint32_t sa_index;           /* 0: none */
	uint64_t born;
	bool chosen_before;          /* by some policy, or by its pair */
	bool pair_chooses;           /* when that last mattered */
};

struct model_policy {
	bool used;
	struct xi_policy policy;
	uint64_t order;
};

/* A flow and the verdict that XDP would go by. */
struct cached {
	struct xi_flow flow;
	bool filled;
	struct xi_flow_verdict verdict;
};

struct fixture {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	uint64_t clock, order;
	bool disturbing;
	struct model_sa sas[MODEL_SAS];
	struct model_policy policies[MODEL_POLICIES];
	struct cached cached[FLOWS];
};

static uint64_t random_state;

static uint32_t rnd(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % n;
}

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

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct xi_sad_config config = {0};
	struct xi_sad_listener listener = {sa_changed, sas_sync, f};
	struct xi_addr local = {0};

	random_state = 0x9e3779b97f4a7c15ULL;
	f->m = mem_store_new(NSTATES, 0);
	local.family = sample_addr(local.addr, LOCAL);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	xi_sad_listen(f->sad, &listener);
	assert_int_equal(xi_spd_create(&f->spd, f->sad, &f->m->store), 0);
	assert_int_equal(xi_spd_set_local(f->spd, &local, 1), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	xi_spd_destroy(f->spd);
	f->spd = NULL;
	xi_sad_destroy(f->sad);
	mem_store_free(f->m);
	free(f);
	return 0;
}

/* ---- a few addresses, so that everything meets everything ---- */

static enum xi_family small_addr(uint8_t out[16], uint32_t net, uint32_t host)
{
	memset(out, 0, 16);
	out[0] = 10;
	out[1] = net;
	out[3] = host;
	return XI_IPV4;
}

static void small_prefix(uint8_t out[16], uint8_t *plen, uint32_t net)
{
	static const uint8_t lens[] = {0, 16, 30, 32, 32};

	*plen = lens[rnd(5)];
	small_addr(out, net, rnd(6));
	if (*plen < 32)
		out[3] &= *plen == 30 ? 0xfc : 0;
	if (!*plen)
		out[0] = out[1] = 0;
}

static struct xi_selector random_selector(void)
{
	struct xi_selector sel = {.family = XI_IPV4};

	small_prefix(sel.saddr, &sel.prefixlen_s, 1);
	small_prefix(sel.daddr, &sel.prefixlen_d, 2);
	sel.proto = rnd(6) ? 0 : 6;
	if (sel.proto && rnd(2)) {
		sel.dport = 80;
		sel.dport_mask = 0xffff;
	}
	return sel;
}

static void random_peer(uint8_t out[16])
{
	sample_addr(out, LOCAL);
	out[3] = 10 + rnd(4);
}

static struct xi_tmpl random_tmpl(uint32_t spi_max)
{
	struct xi_tmpl tmpl = {.family = XI_IPV4, .id = {.proto = XI_ESP, .family = XI_IPV4}};

	tmpl.mode = rnd(3) ? XI_TUNNEL : XI_TRANSPORT;
	tmpl.optional = !rnd(5);
	tmpl.reqid = rnd(3) ? 1 + rnd(3) : 0;
	if (tmpl.mode == XI_TUNNEL) {
		if (rnd(5))
			sample_addr(tmpl.saddr, LOCAL);
		if (rnd(6))
			random_peer(tmpl.id.daddr);
	}
	if (!rnd(6))
		tmpl.id.spi = 0x1000 + rnd(spi_max);
	return tmpl;
}

static struct xi_policy random_policy(void)
{
	struct xi_policy p = {.dir = rnd(8) ? XI_OUT : rnd(2) ? XI_IN : XI_FWD};
	uint32_t t;

	p.priority = 100 * rnd(4);
	p.sel = random_selector();
	p.action = rnd(12) ? XI_ALLOW : XI_BLOCK;
	if (p.action == XI_ALLOW)
		p.ntmpls = rnd(8) ? 1 + !rnd(3) : 0;
	if (!rnd(25))
		p.if_id = 1;
	if (!rnd(8)) {
		p.mark_m = rnd(2) ? 3 : 2;
		p.mark_v = rnd(4) & p.mark_m;
	}
	for (t = 0; t < p.ntmpls; t++)
		p.tmpls[t] = random_tmpl(MODEL_SAS);
	return p;
}

static struct xi_sa random_sa(uint32_t i)
{
	struct xi_sa sa = sample_sa(LOCAL, LOCAL, 0x1000 + i);

	sa.mode = rnd(3) ? XI_TUNNEL : XI_TRANSPORT;
	if (rnd(10) == 0)
		memset(sa.saddr, 0, 16);
	random_peer(sa.id.daddr);
	if (sa.mode == XI_TRANSPORT) {
		small_addr(sa.saddr, 1, rnd(6));
		small_addr(sa.id.daddr, 2, rnd(6));
	}
	sa.reqid = rnd(8) ? 1 + rnd(3) : 0;
	memset(&sa.sel, 0, sizeof(sa.sel));
	if (rnd(3))
		sa.sel = random_selector();
	sa.if_id = rnd(20) ? 0 : 1;
	if (!rnd(8)) {
		sa.mark_m = rnd(2) ? 3 : 1;
		sa.mark_v = rnd(4) & sa.mark_m;
	}
	return sa;
}

/* ---- the rules, once more, over everything ---- */

static bool prefixes_meet(const uint8_t *a, unsigned int alen, const uint8_t *b, unsigned int blen)
{
	unsigned int i, n = alen < blen ? alen : blen;

	for (i = 0; i < n; i++)
		if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static bool selectors_meet(const struct xi_selector *a, const struct xi_selector *b)
{
	return (!a->family || !b->family || a->family == b->family) &&
	       (!a->proto || !b->proto || a->proto == b->proto) &&
	       !((a->dport ^ b->dport) & a->dport_mask & b->dport_mask) &&
	       prefixes_meet(a->saddr, a->prefixlen_s, b->saddr, b->prefixlen_s) &&
	       prefixes_meet(a->daddr, a->prefixlen_d, b->daddr, b->prefixlen_d);
}

static bool selector_takes(const struct xi_selector *sel, const struct xi_flow *fl)
{
	return (!sel->family || sel->family == fl->family) &&
	       (!sel->proto || sel->proto == fl->proto) &&
	       !((sel->dport ^ fl->dport) & sel->dport_mask) &&
	       prefixes_meet(sel->saddr, sel->prefixlen_s, fl->saddr, 128) &&
	       prefixes_meet(sel->daddr, sel->prefixlen_d, fl->daddr, 128);
}

static bool is_zero(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, 16);
}

static bool source_fits(const uint8_t want[16], const struct xi_sa *sa)
{
	if (sa->mode == XI_TUNNEL)
		return is_zero(want) || !memcmp(want, sa->saddr, 16);
	return is_zero(sa->saddr) || !memcmp(want, sa->saddr, 16);
}

static bool serves(const struct xi_policy *p, const struct xi_tmpl *t, const struct xi_sa *sa)
{
	return sa->id.proto == t->id.proto && sa->mode == t->mode &&
	       (!t->id.spi || t->id.spi == sa->id.spi) && (!t->reqid || t->reqid == sa->reqid) &&
	       sa->if_id == p->if_id && (p->mark_v & p->mark_m & sa->mark_m) == sa->mark_v;
}

/* The addresses of template t's SAs, as far as p tells them. */
static bool ends_told(const struct xi_policy *p, uint32_t t, uint8_t src[16], uint8_t dst[16])
{
	const struct xi_tmpl *tmpl = &p->tmpls[t], *inside = t ? &p->tmpls[0] : NULL;

	memcpy(src, tmpl->saddr, 16);
	memcpy(dst, tmpl->id.daddr, 16);
	if (tmpl->mode == XI_TUNNEL)
		return true;
	if (inside && inside->mode == XI_TUNNEL) {
		memcpy(src, inside->saddr, 16);
		memcpy(dst, inside->id.daddr, 16);
		return !inside->optional && !is_zero(src) && !is_zero(dst);
	}
	memcpy(src, p->sel.saddr, 16);
	memcpy(dst, p->sel.daddr, 16);
	return p->sel.prefixlen_s == 32 && p->sel.prefixlen_d == 32;
}

/* The newest SAs that fit, all of them: at most XI_POLICY_SAS. */
static uint32_t naive_list(const struct fixture *f, const struct xi_policy *p, uint32_t t,
			   uint32_t list[XI_POLICY_SAS])
{
	uint64_t before = UINT64_MAX;
	uint8_t src[16], dst[16];
	uint32_t n = 0, i;

	memset(list, 0, XI_POLICY_SAS * sizeof(*list));
	if (p->dir != XI_OUT || p->action != XI_ALLOW || t >= p->ntmpls || !ends_told(p, t, src, dst))
		return 0;
	while (n < XI_POLICY_SAS) {
		const struct model_sa *best = NULL;

		for (i = 0; i < MODEL_SAS; i++) {
			const struct model_sa *m = &f->sas[i];

			if (!m->sa_index || m->born >= before || (best && m->born < best->born) ||
			    !serves(p, &p->tmpls[t], &m->sa) ||
			    !selectors_meet(&p->sel, &m->sa.sel) || !source_fits(src, &m->sa) ||
			    ((m->sa.mode == XI_TRANSPORT || !is_zero(dst)) &&
			     memcmp(dst, m->sa.id.daddr, 16)))
				continue;
			best = m;
		}
		if (!best)
			break;
		list[n++] = best->sa_index;
		before = best->born;
	}
	return n;
}

static const struct model_sa *sa_of(const struct fixture *f, uint32_t sa_index)
{
	uint32_t i;

	for (i = 0; i < MODEL_SAS; i++)
		if (f->sas[i].sa_index == sa_index)
			return &f->sas[i];
	return NULL;
}

/* First match in order; NULL: none. */
static const struct xi_policy *naive_policy(const struct fixture *f, enum xi_dir dir,
					    const struct xi_flow *fl)
{
	const struct model_policy *best = NULL;
	uint32_t i;

	for (i = 0; i < MODEL_POLICIES; i++) {
		const struct model_policy *m = &f->policies[i];

		if (!m->used || m->policy.dir != dir || m->policy.if_id != fl->if_id ||
		    (fl->mark & m->policy.mark_m) != m->policy.mark_v || !selector_takes(&m->policy.sel, fl))
			continue;
		if (!best || m->policy.priority < best->policy.priority ||
		    (m->policy.priority == best->policy.priority && m->order < best->order))
			best = m;
	}
	return best ? &best->policy : NULL;
}

/* The SA that template t gives a packet which goes between src and dst by then. */
static const struct model_sa *naive_sa(const struct fixture *f, const struct xi_policy *p,
				       uint32_t t, const struct xi_flow *fl, const uint8_t *src,
				       const uint8_t *dst)
{
	uint8_t told_src[16], told_dst[16];
	const struct model_sa *best = NULL;
	uint32_t list[XI_POLICY_SAS], n, i;

	if (ends_told(p, t, told_src, told_dst)) {
		n = naive_list(f, p, t, list);
		for (i = 0; i < n; i++) {
			const struct model_sa *m = sa_of(f, list[i]);

			if (selector_takes(&m->sa.sel, fl) &&
			    (m->sa.mode == XI_TUNNEL || (source_fits(src, &m->sa) &&
							 !memcmp(dst, m->sa.id.daddr, 16))))
				return m;
		}
		return NULL;
	}
	for (i = 0; i < MODEL_SAS; i++) {
		const struct model_sa *m = &f->sas[i];

		if (m->sa_index && (!best || m->born > best->born) &&
		    serves(p, &p->tmpls[t], &m->sa) && selector_takes(&m->sa.sel, fl) &&
		    source_fits(src, &m->sa) && !memcmp(dst, m->sa.id.daddr, 16))
			best = m;
	}
	return best;
}

static struct xi_flow_verdict naive_verdict(const struct fixture *f, const struct xi_flow *fl)
{
	const struct xi_policy *p = naive_policy(f, XI_OUT, fl);
	struct xi_flow_verdict v = {.verdict = XI_VERDICT_BYPASS};
	const uint8_t *src = fl->saddr, *dst = fl->daddr;
	uint32_t got[2] = {0}, n = 0, t;

	if (p && p->action == XI_BLOCK)
		v.verdict = XI_VERDICT_DISCARD;
	for (t = 0; p && p->action == XI_ALLOW && t < p->ntmpls; t++) {
		const struct model_sa *m = naive_sa(f, p, t, fl, src, dst);

		if (!m && p->tmpls[t].optional)
			continue;
		if (!m) {
			v.verdict = XI_VERDICT_NONE;
			return v;
		}
		got[n++] = m->sa_index;
		if (m->sa.mode == XI_TUNNEL) {
			src = m->sa.saddr;
			dst = m->sa.id.daddr;
		}
	}
	if (n)
		v.verdict = XI_VERDICT_PROTECT;
	v.handle = got[0];
	v.next_handle = got[1];
	return v;
}

/* ---- comparison ---- */

static bool covers(const struct xi_selector *outer, const struct xi_selector *inner)
{
	if (!outer->family)
		return true;
	return outer->family == inner->family && (!outer->proto || outer->proto == inner->proto) &&
	       outer->prefixlen_s <= inner->prefixlen_s &&
	       outer->prefixlen_d <= inner->prefixlen_d &&
	       prefixes_meet(outer->saddr, outer->prefixlen_s, inner->saddr, inner->prefixlen_s) &&
	       prefixes_meet(outer->daddr, outer->prefixlen_d, inner->daddr, inner->prefixlen_d) &&
	       !(outer->dport_mask & ~inner->dport_mask) &&
	       !((outer->dport ^ inner->dport) & outer->dport_mask);
}

/* Of what is listed, does this one get a flow that no newer one takes whole? */
static bool listed_chooses(const struct fixture *f, const uint32_t *list, uint32_t n,
			   uint32_t sa_index)
{
	uint32_t i;

	for (i = 0; i < n && list[i] != sa_index; i++)
		;
	if (i == n)
		return false;
	while (i-- > 0)
		if (covers(&sa_of(f, list[i])->sa.sel, &sa_of(f, sa_index)->sa.sel))
			return false;
	return true;
}

/* In transport mode: no newer one of the pair and of the same reqid takes all its flows. */
static bool pair_chooses(const struct fixture *f, const struct model_sa *m)
{
	uint32_t i;

	if (m->sa.mode != XI_TRANSPORT)
		return false;
	for (i = 0; i < MODEL_SAS; i++) {
		const struct model_sa *o = &f->sas[i];

		if (o->sa_index && o->sa.mode == XI_TRANSPORT && o->born > m->born &&
		    o->sa.reqid == m->sa.reqid && o->sa.if_id == m->sa.if_id &&
		    o->sa.mark_v == m->sa.mark_v && o->sa.mark_m == m->sa.mark_m &&
		    !memcmp(o->sa.saddr, m->sa.saddr, 16) &&
		    !memcmp(o->sa.id.daddr, m->sa.id.daddr, 16) && covers(&o->sa.sel, &m->sa.sel))
			return false;
	}
	return true;
}

/* Is there a policy whose SAs only a packet tells? */
static bool pairs_matter(const struct fixture *f)
{
	uint8_t src[16], dst[16];
	uint32_t i, t;

	for (i = 0; i < MODEL_POLICIES; i++) {
		const struct xi_policy *p = &f->policies[i].policy;

		for (t = 0; f->policies[i].used && p->dir == XI_OUT && t < p->ntmpls; t++)
			if (!ends_told(p, t, src, dst))
				return true;
	}
	return false;
}

/*
 * loosely: what was chosen in the middle of a round only, and is marked for it, does no harm.
 */
static void compare_superseded(struct fixture *f, bool loosely)
{
	uint32_t list[XI_POLICY_SAS], n, i, k, t;
	bool chosen[MODEL_SAS];

	for (k = 0; k < MODEL_SAS; k++) {
		struct model_sa *m = &f->sas[k];

		if (pairs_matter(f) && m->sa_index && m->sa.mode == XI_TRANSPORT) {
			m->pair_chooses = pair_chooses(f, m);
			m->chosen_before = true;
		}
		chosen[k] = m->pair_chooses;
	}
	for (i = 0; i < MODEL_POLICIES; i++) {
		if (!f->policies[i].used)
			continue;
		for (t = 0; t < 2; t++) {
			n = naive_list(f, &f->policies[i].policy, t, list);
			for (k = 0; k < n; k++)
				if (listed_chooses(f, list, n, list[k]))
					chosen[sa_of(f, list[k]) - f->sas] = true;
		}
	}
	for (k = 0; k < MODEL_SAS; k++) {
		struct model_sa *m = &f->sas[k];

		if (!m->sa_index)
			continue;
		m->chosen_before |= chosen[k];
		if (loosely)
			assert_false(chosen[k] && xi_sad_superseded(f->sad, m->sa_index));
		else
			assert_int_equal(xi_sad_superseded(f->sad, m->sa_index),
					 m->chosen_before && !chosen[k]);
	}
}

static const struct model_policy *model_of(const struct fixture *f, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < MODEL_POLICIES; i++)
		if (f->policies[i].used && f->policies[i].policy.index == index)
			return &f->policies[i];
	return NULL;
}

/* Every policy that sees flows is in one segment, in order, with the SAs that it should list. */
static void compare_lists(struct fixture *f)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(f->spd);
	uint32_t list[XI_POLICY_SAS], dir, s, i, n = 0, want = 0;

	for (i = 0; i < MODEL_POLICIES; i++)
		want += f->policies[i].used;
	for (dir = 0; dir < XI_DIR_MAX; dir++) {
		for (s = 0; s < XI_SPD_SEGMENTS; s++) {
			const struct xi_spd_segment *seg = &snap->segments[dir][s];
			const struct xi_spd_policy *last = NULL;

			for (i = 0; i < seg->n; i++) {
				const struct xi_spd_policy *p = seg->policies[i];
				const struct model_policy *m = model_of(f, p->policy.index);

				if (p->policy.sel.ifindex)
					continue; /* dead */
				assert_non_null(m);
				assert_memory_equal(p->policy.tmpls, m->policy.tmpls,
						    sizeof(m->policy.tmpls));
				assert_true(!last || last->policy.priority < p->policy.priority ||
					    (last->policy.priority == p->policy.priority &&
					     last->policy.order < p->policy.order));
				assert_int_equal(naive_list(f, &m->policy, 0, list), p->nsas);
				assert_memory_equal(list, p->sas, sizeof(list));
				assert_int_equal(naive_list(f, &m->policy, 1, list), p->nnext);
				assert_memory_equal(list, p->next, sizeof(list));
				last = p;
				n++;
			}
		}
	}
	assert_int_equal(n, want);
	assert_int_equal(snap->generation, f->m->config.spd_generation);
}

static bool usable(const struct fixture *f, uint32_t handle)
{
	return !handle || (xi_sad_rec(f->sad, handle) && !xi_sad_superseded(f->sad, handle));
}

/*
 * What is judged is what the rules say; and a verdict from before that XDP would still go by is one
 * that would be given now (invariant cache-coherent).
 */
static void compare_flows(struct fixture *f)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(f->spd);
	uint32_t i;

	for (i = 0; i < FLOWS; i++) {
		struct cached *c = &f->cached[i];
		struct xi_flow_verdict want = naive_verdict(f, &c->flow), got;

		xi_spd_judge_out(snap, f->sad, &c->flow, &got, NULL);
		assert_int_equal(got.verdict, want.verdict);
		if (want.verdict == XI_VERDICT_PROTECT) {
			assert_int_equal(got.handle, want.handle);
			assert_int_equal(got.next_handle, want.next_handle);
		}
		if (c->filled && c->verdict.generation == snap->generation &&
		    usable(f, c->verdict.handle) && usable(f, c->verdict.next_handle)) {
			assert_int_equal(c->verdict.verdict, want.verdict);
			assert_int_equal(c->verdict.handle, want.handle);
			assert_int_equal(c->verdict.next_handle, want.next_handle);
			continue;
		}
		c->filled = got.verdict != XI_VERDICT_NONE;
		c->verdict = got;
	}
}

static void compare_store(struct fixture *f)
{
	uint32_t i, want = 0, guarded = 0, guards = 0;

	for (i = 0; i < MODEL_POLICIES; i++) {
		const struct xi_policy *p = &f->policies[i].policy;

		if (!f->policies[i].used)
			continue;
		want++;
		guarded += !p->if_id && (p->action == XI_BLOCK || p->ntmpls) &&
			   (p->dir == XI_OUT || !p->mark_v);
	}
	assert_int_equal(mem_store_count_policies(f->m), want);
	for (i = 0; i < MEM_STORE_GUARDS; i++)
		guards += f->m->guards[i].used ? f->m->guards[i].policies : 0;
	assert_int_equal(guards, guarded);
}


/* ---- random changes ---- */

static bool same_key(const struct xi_policy *a, const struct xi_policy *b)
{
	return a->dir == b->dir && a->if_id == b->if_id && a->mark_v == b->mark_v &&
	       a->mark_m == b->mark_m && !memcmp(&a->sel, &b->sel, sizeof(a->sel));
}

static struct model_policy *policy_slot(struct fixture *f, const struct xi_policy *p)
{
	struct model_policy *free_one = NULL;
	uint32_t i;

	for (i = 0; i < MODEL_POLICIES; i++) {
		struct model_policy *m = &f->policies[i];

		if (m->used && same_key(&m->policy, p))
			return m;
		if (!m->used && !free_one)
			free_one = m;
	}
	return free_one;
}

/* One of the next writes fails: a change is made as a whole, or not at all. */
static void store_disturb(struct fixture *f)
{
	if (f->disturbing && rnd(2))
		mem_store_fail(f->m, 1 + rnd(4), 1);
}

static void policy_put(struct fixture *f)
{
	struct xi_policy p = random_policy();
	struct model_policy *m = policy_slot(f, &p);
	const char *why;
	int err;

	if (!m)
		return;
	if (m->used && rnd(2)) {      /* a change of little, as key managers make it */
		p = m->policy;
		p.index = 0;
		if (p.ntmpls)
			p.tmpls[rnd(p.ntmpls)].id.spi = 0x1000 + rnd(MODEL_SAS);
	}
	store_disturb(f);
	err = xi_spd_add(f->spd, &p, m->used, &why);
	mem_store_fail(f->m, 0, 0);
	if (err == -EINVAL || (err == -EIO && f->disturbing))
		return;              /* a template that no policy may have */
	assert_int_equal(err, 0);
	if (!m->used || m->policy.priority != p.priority)
		m->order = f->order++;
	m->used = true;
	m->policy = *xi_spd_find(f->spd, &p);
}

static void policy_drop(struct fixture *f)
{
	struct model_policy *m = &f->policies[rnd(MODEL_POLICIES)];
	struct xi_policy key = m->policy;

	int err;

	if (!m->used)
		return;
	key.index = rnd(2) ? key.index : 0;
	store_disturb(f);
	err = xi_spd_delete(f->spd, &key);
	mem_store_fail(f->m, 0, 0);
	if (err == -EIO && f->disturbing)
		return;
	assert_int_equal(err, 0);
	m->used = false;
}

static void policies_flush(struct fixture *f)
{
	unsigned int n;
	uint32_t i;

	assert_int_equal(xi_spd_flush(f->spd, &n), 0);
	for (i = 0; i < MODEL_POLICIES; i++)
		f->policies[i].used = false;
}

static void sa_put(struct fixture *f)
{
	uint32_t i = rnd(MODEL_SAS);
	struct model_sa *m = &f->sas[i];
	struct xi_sa_key key = sample_key(0x1000 + i + 1000 * rnd(1000));
	const char *why;

	if (m->sa_index) {
		struct xi_sa changed = m->sa;

		changed.if_id = 1 + rnd(2);
		assert_int_equal(xi_sad_update(f->sad, &changed, &key, NULL, &why), 0);
		m->sa.if_id = changed.if_id;
		return;
	}
	m->sa = random_sa(i);
	if (xi_sad_add(f->sad, &m->sa, &key, NULL, &why))
		return;              /* the key was drawn twice */
	m->sa_index = xi_sad_find(f->sad, &m->sa.id)->sa.sa_index;
	m->born = ++f->clock;
	m->chosen_before = m->pair_chooses = false;
}

static void sa_drop(struct fixture *f)
{
	struct model_sa *m = &f->sas[rnd(MODEL_SAS)];

	if (!m->sa_index)
		return;
	assert_int_equal(xi_sad_delete(f->sad, &m->sa.id), 0);
	m->sa_index = 0;
}

static void sas_flush(struct fixture *f)
{
	unsigned int n;
	uint32_t i;

	assert_int_equal(xi_sad_flush(f->sad, XI_PROTO_ANY, &n), 0);
	for (i = 0; i < MODEL_SAS; i++)
		f->sas[i].sa_index = 0;
}

/* Of 100 changes, leaning are additions, and policies are changes of a policy. */
static void step(struct fixture *f, uint32_t leaning, uint32_t policies)
{
	bool addition = rnd(100) < leaning;

	if (!rnd(500))
		sas_flush(f);
	else if (!rnd(1000))
		policies_flush(f);
	else if (rnd(100) < policies)
		addition ? policy_put(f) : policy_drop(f);
	else
		addition ? sa_put(f) : sa_drop(f);
}

static void flows_make(struct fixture *f)
{
	uint32_t i;

	for (i = 0; i < FLOWS; i++) {
		struct xi_flow *fl = &f->cached[i].flow;

		fl->family = small_addr(fl->saddr, 1, rnd(7));
		small_addr(fl->daddr, 2, rnd(7));
		fl->proto = rnd(2) ? 6 : 17;
		fl->sport = 1000;
		fl->dport = rnd(2) ? 80 : 81;
		fl->mark = rnd(3) ? 0 : rnd(4);
		fl->if_id = !rnd(4);
	}
}

static void step_by_step_is_as_from_scratch(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	flows_make(f);
	for (i = 0; i < STEPS; i++) {
		step(f, i / 500 % 2 ? 45 : 70, i / 100 % 3 ? 5 : 60);
		compare_superseded(f, false);
		compare_flows(f);
		compare_lists(f);
		compare_store(f);
	}
}

static void failed_changes_change_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	flows_make(f);
	f->disturbing = true;
	for (i = 0; i < STEPS / 3; i++) {
		step(f, i / 300 % 2 ? 45 : 70, 60);
		compare_superseded(f, true);
		compare_flows(f);
		compare_lists(f);
	}
}

/* XDP and workers go on by what was published while a round is held. */
static void flows_fill(struct fixture *f)
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(f->spd);
	uint32_t n;

	for (n = 0; n < 10; n++) {
		struct cached *c = &f->cached[rnd(FLOWS)];

		xi_spd_judge_out(snap, f->sad, &c->flow, &c->verdict, NULL);
		c->filled = c->verdict.verdict != XI_VERDICT_NONE;
	}
}

static void rounds_end_as_from_scratch(void **state)
{
	struct fixture *f = *state;
	uint32_t i, n;

	flows_make(f);
	for (i = 0; i < STEPS / 8; i++) {
		const struct xi_spd_snapshot *before = xi_spd_snapshot(f->spd);
		uint32_t leaning = i / 60 % 2 ? 45 : 70, policies = i % 3 ? 60 : 5;

		xi_sad_hold(f->sad);
		xi_spd_hold(f->spd);
		xi_spd_hold(f->spd);
		for (n = rnd(20); n > 0; n--) {
			step(f, leaning, policies);
			flows_fill(f);
		}
		xi_sad_release(f->sad);
		assert_int_equal(xi_spd_release(f->spd), 0);
		assert_ptr_equal(xi_spd_snapshot(f->spd), before);
		assert_int_equal(xi_spd_release(f->spd), 0);
		compare_superseded(f, true);
		compare_flows(f);
		compare_lists(f);
		compare_store(f);
	}
}

/* Seconds are too long to tell the age of the model's SAs. */
static void age_store(struct fixture *f)
{
	uint32_t i, n;

	for (i = 0; i < MODEL_SAS; i++)
		for (n = 0; n < MEM_STORE_SAS; n++)
			if (f->sas[i].sa_index && f->m->sas[n].used &&
			    f->m->sas[n].sa_index == f->sas[i].sa_index)
				f->m->sas[n].sa.add_time = f->sas[i].born;
}

/* Another daemon: SAs that packets want first, the policies, then all others. */
static void restart_in_steps(struct fixture *f)
{
	struct xi_sad_config config = {0};
	struct xi_sad_listener listener = {sa_changed, sas_sync, f};
	struct xi_addr local = {0};
	uint32_t hot[MODEL_SAS], i, n = 0;
	unsigned int adopted;

	age_store(f);
	xi_spd_destroy(f->spd);
	f->spd = NULL;
	xi_sad_destroy(f->sad);
	for (i = 0; i < MODEL_SAS; i++)
		if (f->sas[i].sa_index && rnd(3))
			hot[n++] = f->sas[i].sa_index;
	local.family = sample_addr(local.addr, LOCAL);
	assert_int_equal(xi_sad_create(&f->sad, &config, &f->m->store), 0);
	assert_int_equal(xi_spd_create(&f->spd, f->sad, &f->m->store), 0);
	assert_int_equal(xi_sad_adopt_hot(f->sad, hot, n), 0);
	assert_int_equal(xi_spd_adopt(f->spd, &adopted), 0);
	xi_sad_listen(f->sad, &listener);
	assert_int_equal(xi_spd_set_local(f->spd, &local, 1), 0);
	assert_int_equal(xi_sad_adopt_first(f->sad, &adopted), 0);
	xi_sad_adopt_rest(f->sad);
}

static void restart_in_steps_is_as_from_scratch(void **state)
{
	struct fixture *f = *state;
	uint32_t i, n;

	flows_make(f);
	for (i = 0; i < 100; i++) {
		for (n = 0; n < 50; n++)
			step(f, i / 10 % 2 ? 45 : 70, i % 3 ? 5 : 60);
		restart_in_steps(f);
		compare_flows(f);
		compare_lists(f);
		compare_store(f);
	}
}

/* ---- cost, counted and not timed ---- */

#define MANY 10000

struct bed {
	struct null_store *store;
	struct fixture f;
};

static int setup_large(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct xi_sad_config config = {0};
	struct xi_sad_listener listener = {sa_changed, sas_sync, &bed->f};

	bed->store = null_store_new(MANY + 16);
	assert_int_equal(xi_sad_create(&bed->f.sad, &config, &bed->store->store), 0);
	xi_sad_listen(bed->f.sad, &listener);
	assert_int_equal(xi_spd_create(&bed->f.spd, bed->f.sad, &bed->store->store), 0);
	*state = bed;
	return 0;
}

static int teardown_large(void **state)
{
	struct bed *bed = *state;

	xi_spd_destroy(bed->f.spd);
	bed->f.spd = NULL;
	xi_sad_destroy(bed->f.sad);
	null_store_free(bed->store);
	free(bed);
	return 0;
}

static struct xi_selector exact_selector(uint32_t i)
{
	struct xi_selector sel = {.family = XI_IPV4, .prefixlen_s = 32, .prefixlen_d = 32};
	const uint8_t host[4] = {10, i >> 16, i >> 8, i};

	memcpy(sel.saddr, host, 4);
	memcpy(sel.daddr, host, 4);
	sel.daddr[0] = 11;
	return sel;
}

/* i-th of many tunnels to one gateway, of one reqid: selectors tell them apart. */
static struct xi_policy exact_policy(uint32_t i)
{
	struct xi_policy p = {.dir = XI_OUT, .ntmpls = 1, .sel = exact_selector(i)};
	struct xi_tmpl *t = &p.tmpls[0];

	t->id.proto = XI_ESP;
	t->mode = XI_TUNNEL;
	t->reqid = 1;
	t->family = t->id.family = sample_addr(t->saddr, LOCAL);
	sample_addr(t->id.daddr, "192.0.2.2");
	return p;
}

static struct xi_sa exact_sa(uint32_t i)
{
	struct xi_sa sa = sample_sa(LOCAL, "192.0.2.2", 0x1000 + i);

	sa.sel = exact_selector(i);
	sa.reqid = 1;
	return sa;
}

static void exact_policies_add(struct bed *bed, uint32_t from, uint32_t to)
{
	const char *why;
	uint32_t i;

	for (i = from; i < to; i++) {
		struct xi_policy p = exact_policy(i);

		assert_int_equal(xi_spd_add(bed->f.spd, &p, false, &why), 0);
	}
}

static void exact_sa_add(struct bed *bed, uint32_t i)
{
	struct xi_sa_key key = sample_key(1);
	struct xi_sa sa = exact_sa(i);
	const char *why;

	memcpy(key.key, &i, sizeof(i));
	assert_int_equal(xi_sad_add(bed->f.sad, &sa, &key, NULL, &why), 0);
}

static uint64_t indexed(const struct bed *bed)
{
	return bed->f.spd->sides[XI_OUT].indexed;
}

static const struct xi_spd_policy *exact_lookup(const struct bed *bed, uint32_t i)
{
	struct xi_selector sel = exact_selector(i);
	struct xi_flow fl = {.family = XI_IPV4, .proto = 6};

	memcpy(fl.saddr, sel.saddr, 16);
	memcpy(fl.daddr, sel.daddr, 16);
	return xi_spd_lookup(xi_spd_snapshot(bed->f.spd), XI_OUT, &fl);
}

/* One at a time: about the root of n is indexed for each that comes, nothing for one that goes. */
static void policies_come_and_go_without_the_others(void **state)
{
	struct bed *bed = *state;
	uint64_t before;
	uint32_t i;

	exact_policies_add(bed, 0, MANY);
	assert_true(indexed(bed) < (uint64_t)MANY * 400);
	for (i = 0; i < MANY; i += 7)
		assert_int_equal(exact_lookup(bed, i)->policy.order, i);
	before = indexed(bed);
	for (i = 0; i < MANY / 2; i++) {
		struct xi_policy p = exact_policy(2 * i);

		assert_int_equal(xi_spd_delete(bed->f.spd, &p), 0);
		assert_null(exact_lookup(bed, 2 * i));
		assert_non_null(exact_lookup(bed, 2 * i + 1));
	}
	assert_true(indexed(bed) - before < 300 * MANY);
}

static void rounds_index_once(void **state)
{
	struct bed *bed = *state;
	uint32_t i;

	for (i = 0; i < MANY; i += MANY / 20) {
		xi_spd_hold(bed->f.spd);
		exact_policies_add(bed, i, i + MANY / 20);
		assert_int_equal(xi_spd_release(bed->f.spd), 0);
	}
	/* as many as there were by then, each time */
	assert_true(indexed(bed) <= (uint64_t)MANY * 21 / 2);
	assert_int_equal(exact_lookup(bed, MANY - 1)->policy.order, MANY - 1);
}

/*
 * Ten thousand policies and as many SAs, all of one gateway and reqid: an SA resolves its own
 * policy, and looks at no more SAs than a few.
 */
static void an_sa_concerns_its_own_policy(void **state)
{
	struct bed *bed = *state;
	const struct xi_spd *spd = bed->f.spd;
	uint64_t resolved, walked, written;
	unsigned int n;
	uint32_t i;

	exact_policies_add(bed, 0, MANY);
	for (i = 0; i < MANY; i++) {
		resolved = spd->resolved;
		walked = spd->walked;
		exact_sa_add(bed, i);
		assert_int_equal(spd->resolved - resolved, 1);
		assert_true(spd->walked - walked <= 70);
	}
	for (i = 0; i < MANY; i += 100)
		assert_int_equal(exact_lookup(bed, i)->nsas, 1);
	resolved = spd->resolved;
	assert_int_equal(xi_sad_flush(bed->f.sad, XI_PROTO_ANY, &n), 0);
	assert_int_equal(n, MANY);
	assert_int_equal(spd->resolved - resolved, MANY);
	for (i = 0; i < MANY; i += 100)
		assert_int_equal(exact_lookup(bed, i)->nsas, 0);
	written = bed->store->writes;
	assert_int_equal(xi_spd_flush(bed->f.spd, &n), 0);
	assert_int_equal(n, MANY);
	assert_true(bed->store->writes - written <= 2 * MANY + 8);
}

/* Many SAs for one policy in one round: it is resolved once. */
static void a_round_resolves_a_policy_once(void **state)
{
	struct bed *bed = *state;
	const struct xi_spd *spd = bed->f.spd;
	struct xi_policy p = exact_policy(0);
	const char *why;
	uint64_t resolved;
	uint32_t i;

	p.sel.prefixlen_s = p.sel.prefixlen_d = 8;
	assert_int_equal(xi_spd_add(bed->f.spd, &p, false, &why), 0);
	resolved = spd->resolved;
	xi_sad_hold(bed->f.sad);
	for (i = 0; i < 1000; i++)
		exact_sa_add(bed, i);
	assert_int_equal(spd->resolved, resolved);
	xi_sad_release(bed->f.sad);
	assert_int_equal(spd->resolved, resolved + 1);
	assert_int_equal(exact_lookup(bed, 3)->nsas, XI_POLICY_SAS);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define L(fn) cmocka_unit_test_setup_teardown(fn, setup_large, teardown_large)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(step_by_step_is_as_from_scratch),
		T(rounds_end_as_from_scratch),
		T(failed_changes_change_nothing),
		T(restart_in_steps_is_as_from_scratch),
		L(policies_come_and_go_without_the_others),
		L(rounds_index_once),
		L(an_sa_concerns_its_own_policy),
		L(a_round_resolves_a_policy_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
