/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "spd_model.h"

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
static bool listed_chooses(const struct spd_model *f, const uint32_t *list, uint32_t n,
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

bool pair_chooses(const struct spd_model *f, const struct model_sa *m)
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
static bool pairs_matter(const struct spd_model *f)
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

void compare_superseded(struct spd_model *f, bool loosely)
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

static const struct model_policy *model_of(const struct spd_model *f, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < MODEL_POLICIES; i++)
		if (f->policies[i].used && f->policies[i].policy.index == index)
			return &f->policies[i];
	return NULL;
}

void compare_lists(struct spd_model *f)
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

static bool usable(const struct spd_model *f, uint32_t handle)
{
	return !handle || (xi_sad_rec(f->sad, handle) && !xi_sad_superseded(f->sad, handle));
}

void compare_flows(struct spd_model *f)
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

void compare_store(struct spd_model *f)
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
