/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SPD under thousands of changes: what it works out step by step is what a recomputation from
 * scratch, by the rules of the kernel's xfrm_state_find() and of RFC 4301 section 4.4.1, gives at
 * any time.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "spd_model.h"

#define NSTATES 1024
#define STEPS 3000

static int setup(void **state)
{
	struct spd_model *f = calloc(1, sizeof(*f));
	struct xi_sad_config config = {0};
	struct xi_sad_listener listener = { .changed = model_sa_changed, .sync = model_sas_sync, .arg = f };
	struct xi_addr local = {0};

	model_seed = 0x9e3779b97f4a7c15ULL;
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
	struct spd_model *f = *state;

	xi_spd_destroy(f->spd);
	f->spd = NULL;
	xi_sad_destroy(f->sad);
	mem_store_free(f->m);
	free(f);
	return 0;
}

/* ---- random changes ---- */

static bool same_key(const struct xi_policy *a, const struct xi_policy *b)
{
	return a->dir == b->dir && a->if_id == b->if_id && a->mark_v == b->mark_v &&
	       a->mark_m == b->mark_m && !memcmp(&a->sel, &b->sel, sizeof(a->sel));
}

static struct model_policy *policy_slot(struct spd_model *f, const struct xi_policy *p)
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
static void store_disturb(struct spd_model *f)
{
	if (f->disturbing && rnd(2))
		mem_store_fail(f->m, 1 + rnd(4), 1);
}

static void policy_put(struct spd_model *f)
{
	struct xi_policy p = model_random_policy();
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

static void policy_drop(struct spd_model *f)
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

static void policies_flush(struct spd_model *f)
{
	unsigned int n;
	uint32_t i;

	assert_int_equal(xi_spd_flush(f->spd, &n), 0);
	for (i = 0; i < MODEL_POLICIES; i++)
		f->policies[i].used = false;
}

static void sa_put(struct spd_model *f)
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
	m->sa = model_random_sa(i);
	if (xi_sad_add(f->sad, &m->sa, &key, NULL, &why))
		return;              /* the key was drawn twice */
	m->sa_index = xi_sad_find(f->sad, &m->sa.id)->sa.sa_index;
	m->born = ++f->clock;
	m->chosen_before = m->pair_chooses = false;
}

static void sa_drop(struct spd_model *f)
{
	struct model_sa *m = &f->sas[rnd(MODEL_SAS)];

	if (!m->sa_index)
		return;
	assert_int_equal(xi_sad_delete(f->sad, &m->sa.id), 0);
	m->sa_index = 0;
}

static void sas_flush(struct spd_model *f)
{
	unsigned int n;
	uint32_t i;

	assert_int_equal(xi_sad_flush(f->sad, XI_PROTO_ANY, &n), 0);
	for (i = 0; i < MODEL_SAS; i++)
		f->sas[i].sa_index = 0;
}

/* Of 100 changes, leaning are additions, and policies are changes of a policy. */
static void step(struct spd_model *f, uint32_t leaning, uint32_t policies)
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

static void flows_make(struct spd_model *f)
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
	struct spd_model *f = *state;
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
	struct spd_model *f = *state;
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
static void flows_fill(struct spd_model *f)
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
	struct spd_model *f = *state;
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
static void age_store(struct spd_model *f)
{
	uint32_t i, n;

	for (i = 0; i < MODEL_SAS; i++)
		for (n = 0; n < MEM_STORE_SAS; n++)
			if (f->sas[i].sa_index && f->m->sas[n].used &&
			    f->m->sas[n].sa_index == f->sas[i].sa_index)
				f->m->sas[n].sa.add_time = f->sas[i].born;
}

/* Another daemon: SAs that packets want first, the policies, then all others. */
static void restart_in_steps(struct spd_model *f)
{
	struct xi_sad_config config = {0};
	struct xi_sad_listener listener = { .changed = model_sa_changed, .sync = model_sas_sync, .arg = f };
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
	struct spd_model *f = *state;
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

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(step_by_step_is_as_from_scratch),
		T(rounds_end_as_from_scratch),
		T(failed_changes_change_nothing),
		T(restart_in_steps_is_as_from_scratch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
