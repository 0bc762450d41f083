/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Changes of the SPD. Each goes: guard up, generation, policy in the store, new snapshot, grace
 * period, guard down. So XDP asks the daemon from the first step on, and nobody judges by the old
 * state when the change returns. In a round that is held, the last three come once, at its end.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <utlist.h>

#include "log.h"

#define INDEX_STEP 8             /* the low three bits of a policy's index are its direction */

/* One that no verdict was made under: that of the store, as long as no snapshot had it. */
uint32_t xi_spd_generation_new(const struct xi_spd *spd)
{
	if (spd->generation != spd->snap->generation)
		return spd->generation;
	return spd->generation + 1 ? spd->generation + 1 : 1;
}

uint32_t xi_spd_flow_mask(const struct xi_spd *spd)
{
	uint32_t mask = xi_sad_flow_mask(spd->sad);

	if (spd->nproto)
		mask |= XI_FLOW_PROTO;
	if (spd->nports)
		mask |= XI_FLOW_PROTO | XI_FLOW_PORTS;
	return mask;
}

uint32_t xi_spd_mark_mask(const struct xi_spd *spd)
{
	uint32_t mask = 0, bit;

	for (bit = 0; bit < 32; bit++)
		mask |= spd->nmarks[bit] ? 1U << bit : 0;
	return mask;
}

static void selector_count(struct xi_spd *spd, const struct xi_policy *policy, int by)
{
	uint32_t bits = policy->dir == XI_OUT ? policy->mark_m : 0;

	if (!xi_policy_sees_flows(policy))
		return;
	if (bits && policy->if_id)
		spd->nif_marks += by;
	for (; bits && !policy->if_id; bits &= bits - 1)
		spd->nmarks[__builtin_ctz(bits)] += by;
	if (policy->sel.proto)
		spd->nproto += by;
	if (policy->sel.sport_mask || policy->sel.dport_mask)
		spd->nports += by;
}

void xi_spd_discard(struct xi_spd *spd, struct xi_spd_pub *pub)
{
	pub->next = spd->garbage;
	spd->garbage = pub;
}

/*
 * exact_guard: directions stop being guarded as a whole where they need not be. Otherwise flags
 * only come.
 */
int xi_spd_config_write(struct xi_spd *spd, uint32_t generation, bool exact_guard)
{
	struct xi_config config, before;
	uint32_t flags[XI_DIR_MAX];
	unsigned int dir;
	int err;

	err = spd->store.ops->config_get(spd->store.s, &config);
	if (err)
		return err;
	before = config;
	xi_guard_flags(spd, flags);
	for (dir = 0; dir < XI_DIR_MAX; dir++) {
		if (exact_guard)
			config.guard_flags[dir] = 0;
		config.guard_flags[dir] |= flags[dir];
		config.default_action[dir] = spd->default_action[dir];
	}
	config.spd_generation = generation;
	config.mark_mask = xi_spd_mark_mask(spd);
	if (memcmp(&config, &before, sizeof(config)))
		err = spd->store.ops->config_put(spd->store.s, &config);
	if (!err) {
		spd->generation = generation;
		spd->flow_mask = xi_spd_flow_mask(spd);
	}
	return err;
}

int xi_spd_create(struct xi_spd **out, struct xi_sad *sad, const struct xi_store *store)
{
	struct xi_spd *spd = calloc(1, sizeof(*spd));
	struct xi_config config;
	unsigned int dir;
	int err;

	if (!spd)
		return -ENOMEM;
	spd->sad = sad;
	spd->store = *store;
	spd->index_next = INDEX_STEP;
	err = store->ops->config_get(store->s, &config);
	if (err)
		goto fail;
	if (!config.spd_generation) {
		config.spd_generation = 1;
		err = store->ops->config_put(store->s, &config);
		if (err)
			goto fail;
	}
	spd->generation = config.spd_generation;
	spd->flow_mask = xi_spd_flow_mask(spd);
	memset(spd->guards.stored, 0xff, sizeof(spd->guards.stored));
	for (dir = 0; dir < XI_DIR_MAX; dir++)
		spd->default_action[dir] = config.default_action[dir];
	err = -ENOMEM;
	spd->choices = calloc(xi_sad_capacity(sad), sizeof(*spd->choices));
	spd->snap = xi_snapshot_build(spd, spd->generation);
	if (!spd->choices || !spd->snap)
		goto fail;
	*out = spd;
	return 0;
fail:
	xi_spd_destroy(spd);
	return err;
}

void xi_spd_destroy(struct xi_spd *spd)
{
	struct xi_spd_node *node, *next;
	unsigned int dir;

	if (!spd)
		return;
	HASH_ITER(hh, spd->by_key, node, next) {
		HASH_DEL(spd->by_key, node);
		xi_asks_free(spd, node->asks);
		free(node->pub);
		free(node);
	}
	for (dir = 0; dir < XI_DIR_MAX; dir++)
		xi_side_free(&spd->sides[dir]);
	free(spd->by_index.rows);
	free(spd->dues.heap);
	xi_crowds_free(spd);
	xi_guards_free(spd);
	xi_garbage_free(spd);
	xi_snapshot_free(spd->snap);
	xi_part_put(spd->local_part);
	free(spd->choices);
	free(spd->local);
	free(spd);
}

static struct xi_spd_node *node_find(const struct xi_spd *spd, const struct xi_policy *policy)
{
	struct xi_spd_key key = xi_policy_key(policy), have;
	struct xi_spd_node *node;

	if (!policy->index) {
		HASH_FIND(hh, spd->by_key, &key, sizeof(key), node);
		return node;
	}
	node = xi_spd_rows_find(&spd->by_index, policy->index);
	if (!node)
		return NULL;
	have = node->key;
	return have.dir == key.dir && have.type == key.type && have.mark_v == key.mark_v &&
	       have.mark_m == key.mark_m && have.if_id == key.if_id ? node : NULL;
}

/* As the kernel's xfrm_gen_index(): the one asked for if it is free. */
static uint32_t index_pick(struct xi_spd *spd, const struct xi_policy *policy)
{
	uint32_t index = policy->index;

	while (!index || xi_spd_rows_find(&spd->by_index, index)) {
		index = spd->index_next | policy->dir;
		spd->index_next += INDEX_STEP;
		if (!spd->index_next)
			spd->index_next = INDEX_STEP;
	}
	return index;
}

/* Room for that many more policies, so that linking them cannot fail. */
int xi_spd_room(struct xi_spd *spd, enum xi_dir dir, uint32_t more)
{
	int err = xi_spd_list_reserve(&spd->sides[dir].recent, more);

	if (!err)
		err = xi_spd_dues_reserve(spd, more);
	return err ? err : xi_spd_rows_reserve(&spd->by_index, more);
}

/* What a node's policy counts for elsewhere. */
static void node_count(struct xi_spd *spd, struct xi_spd_node *node, int by)
{
	const struct xi_spd_policy *p = &node->pub->p;

	selector_count(spd, &p->policy, by);
	xi_pairs_count(spd, p, by);
	(by > 0 ? xi_policy_due_add : xi_policy_due_del)(spd, node);
	if (p->policy.dir != XI_OUT || p->policy.ntmpls < 2)
		return;
	if (by > 0)
		DL_APPEND2(spd->bundles, node, bundle_prev, bundle_next);
	else
		DL_DELETE2(spd->bundles, node, bundle_prev, bundle_next);
}

void xi_spd_node_link(struct xi_spd *spd, struct xi_spd_node *node)
{
	xi_seat_take(spd, node);
	xi_spd_rows_insert(&spd->by_index, node);
	HASH_ADD(hh, spd->by_key, key, sizeof(node->key), node);
	node_count(spd, node, 1);
}

static void node_unlink(struct xi_spd *spd, struct xi_spd_node *node)
{
	xi_seat_leave(spd, node);
	xi_spd_rows_remove(&spd->by_index, node);
	HASH_DEL(spd->by_key, node);
	node_count(spd, node, -1);
}

/* Another pub for a node that has one; a policy of the same place among others keeps its seat. */
static void node_renew(struct xi_spd *spd, struct xi_spd_node *node, struct xi_spd_pub *pub,
		       uint64_t order)
{
	bool was_ported = xi_policy_is_ported(&node->pub->p.policy);
	bool moves = order != node->order ||
		     pub->p.policy.priority != node->pub->p.policy.priority;

	node_count(spd, node, -1);
	if (moves)
		xi_seat_leave(spd, node);
	node->pub = pub;
	node->order = order;
	if (moves)
		xi_seat_take(spd, node);
	else
		xi_seat_renew(spd, node, was_ported);
	node_count(spd, node, 1);
}

/* Puts pub (NULL: nothing) in the place of node's. */
static void node_swap(struct xi_spd *spd, struct xi_spd_node *node, struct xi_spd_pub *pub,
		      uint64_t order)
{
	if (node->pub && pub) {
		node_renew(spd, node, pub, order);
		return;
	}
	if (node->pub)
		node_unlink(spd, node);
	node->pub = pub;
	node->order = order;
	if (pub)
		xi_spd_node_link(spd, node);
}

int xi_spd_publish(struct xi_spd *spd)
{
	struct xi_spd_snapshot *snap;

	spd->unpublished = true;
	if (spd->held)
		return 0;
	snap = xi_snapshot_build(spd, spd->generation);
	if (!snap)
		return -ENOMEM;
	xi_snapshot_publish(spd, snap);
	return 0;
}

void xi_spd_hold(struct xi_spd *spd)
{
	spd->held++;
}

int xi_spd_release(struct xi_spd *spd)
{
	int err = 0;

	if (--spd->held)
		return 0;
	xi_spd_sas_changed(spd);
	if (spd->unpublished)
		err = xi_spd_publish(spd);
	if (err)
		log_warnx("policies could not be published: %s; packets are judged by those of before until the next change",
			  strerror(-err));
	else
		xi_guard_sweep(spd);
	return err;
}

/* A snapshot to publish; NULL in a round that is held, whose end publishes. 0 or -ENOMEM. */
static int snapshot_prepare(struct xi_spd *spd, uint32_t generation, struct xi_spd_snapshot **snap)
{
	*snap = spd->held ? NULL : xi_snapshot_build(spd, generation);
	return *snap || spd->held ? 0 : -ENOMEM;
}

static void snapshot_commit(struct xi_spd *spd, struct xi_spd_snapshot *snap)
{
	spd->unpublished = true;
	if (snap)
		xi_snapshot_publish(spd, snap);
}

/* What is there now, under a new generation. */
int xi_spd_renew(struct xi_spd *spd)
{
	uint32_t generation = xi_spd_generation_new(spd);
	struct xi_spd_snapshot *snap;
	int err;

	err = snapshot_prepare(spd, generation, &snap);
	if (err)
		return err;
	err = xi_spd_config_write(spd, generation, false);
	if (err)
		xi_snapshot_free(snap);
	else
		snapshot_commit(spd, snap);
	return err;
}

/* Do flows have to be judged again for pub in place of old? */
static bool change_disturbs(const struct xi_spd *spd, const struct xi_spd_pub *old,
			    const struct xi_spd_pub *pub)
{
	return !old || !pub || !xi_policy_judges_alike(&old->p.policy, &pub->p.policy) ||
	       xi_choices_disturb(spd, old, pub) || xi_spd_flow_mask(spd) != spd->flow_mask;
}

/*
 * node has pub in place of old already; writes that down and publishes it. On failure the caller
 * swaps back.
 */
static int node_commit(struct xi_spd *spd, struct xi_spd_pub *old, const struct xi_spd_pub *pub)
{
	const struct xi_store *store = &spd->store;
	struct xi_spd_snapshot *snap;
	uint32_t generation = spd->generation;
	int err;

	if (change_disturbs(spd, old, pub))
		generation = xi_spd_generation_new(spd);
	err = snapshot_prepare(spd, generation, &snap);
	if (err)
		return err;
	err = xi_spd_config_write(spd, generation, false);
	if (!err)
		err = pub ? store->ops->policy_put(store->s, pub->p.policy.index, &pub->p.policy)
			  : store->ops->policy_del(store->s, old->p.policy.index);
	if (err == -ENOENT && !pub)
		err = 0;
	if (err) {
		xi_snapshot_free(snap);
		return err;
	}
	xi_choices_mark(spd, old);
	xi_choices_mark(spd, pub);
	if (old) {
		xi_guard_drop(spd, &old->p.policy);
		xi_spd_discard(spd, old);
	}
	snapshot_commit(spd, snap);
	if (old && !spd->held)
		xi_guard_sweep(spd);
	return 0;
}

static void node_undo(struct xi_spd *spd, struct xi_spd_node *node, struct xi_spd_pub *old,
		      uint64_t order, uint32_t generation)
{
	struct xi_spd_pub *pub = node->pub;

	xi_choices_count(spd, pub, old);
	node_swap(spd, node, old, order);
	if (pub)
		xi_guard_drop(spd, &pub->p.policy);
	if (spd->generation != generation && xi_spd_renew(spd))
		log_warnx("policies could not be published again; flows are not cached until the next change");
}

static void policy_tell(const struct xi_spd *spd, uint32_t index, const struct xi_policy *now)
{
	if (spd->policy_changed)
		spd->policy_changed(spd->policy_arg, index, now);
}

/* node->pub NULL: a new policy; pub NULL: it goes. What is not used any more is freed. */
static int node_change(struct xi_spd *spd, struct xi_spd_node *node, struct xi_spd_pub *pub,
		       uint64_t order)
{
	struct xi_spd_asks *asks = NULL, *old_asks = node->asks;
	struct xi_spd_pub *old = node->pub;
	uint64_t old_order = node->order;
	uint32_t generation = spd->generation, npair = spd->npair;
	uint32_t index = (old ? old : pub)->p.policy.index;
	int err = xi_spd_room(spd, node->key.dir, 1);

	if (!err && pub)
		err = xi_asks_new(spd, node, &pub->p.policy, &asks);
	if (!err && pub)
		err = xi_guard_add(spd, &pub->p.policy);
	if (err)
		goto fail;
	node_swap(spd, node, pub, order);
	xi_choices_count(spd, old, pub);
	if (!npair)
		xi_pairs_update(spd); /* of no flow yet */
	err = node_commit(spd, old, pub);
	if (err) {
		node_undo(spd, node, old, old_order, generation);
		goto fail;
	}
	node->asks = asks;
	xi_asks_free(spd, old_asks);
	if (!pub)
		xi_node_unmark(spd, node);
	policy_tell(spd, index, pub ? &pub->p.policy : NULL);
	return 0;
fail:
	xi_asks_free(spd, asks);
	if (!spd->held)
		xi_guard_sweep(spd);
	free(pub);
	return err;
}

static struct xi_spd_pub *pub_new(struct xi_spd *spd, struct xi_spd_node *node,
				  const struct xi_policy *policy, uint32_t index, uint64_t order)
{
	struct xi_spd_pub *pub = calloc(1, sizeof(*pub));

	if (!pub)
		return NULL;
	pub->node = node;
	pub->p.policy = *policy;
	pub->p.policy.sel.pad = 0;
	memset(&pub->p.policy.tmpls[policy->ntmpls], 0,
	       (XI_MAX_TMPLS - policy->ntmpls) * sizeof(policy->tmpls[0]));
	pub->p.policy.index = index;
	pub->p.policy.add_time = time(NULL);
	pub->p.policy.use_time = 0;
	pub->p.policy.order = order;
	xi_pub_resolve(spd, pub);
	return pub;
}

static int policy_insert(struct xi_spd *spd, const struct xi_policy *policy)
{
	struct xi_spd_node *node = calloc(1, sizeof(*node));
	uint64_t order = spd->order_next++;
	struct xi_spd_pub *pub;
	int err = -ENOMEM;

	if (!node)
		return err;
	node->key = xi_policy_key(policy);
	node->since = order;
	pub = pub_new(spd, node, policy, index_pick(spd, policy), order);
	if (pub)
		err = node_change(spd, node, pub, order);
	if (err)
		free(node);
	return err;
}

/* kept: it goes on as the same policy, else its lifetime begins anew. */
static int policy_replace(struct xi_spd *spd, struct xi_spd_node *node,
			  const struct xi_policy *policy, bool kept)
{
	const struct xi_policy *old = &node->pub->p.policy;
	uint64_t order = policy->priority == old->priority ? node->order : spd->order_next++;
	struct xi_spd_pub *pub = pub_new(spd, node, policy, old->index, order);

	if (!pub)
		return -ENOMEM;
	if (kept) {
		pub->p.policy.add_time = old->add_time;
		pub->p.policy.use_time = __atomic_load_n(&old->use_time, __ATOMIC_RELAXED);
	} else {
		node->told = 0;
		node->since = spd->order_next++;
	}
	return node_change(spd, node, pub, order);
}

/* What a key manager gives to xipsec itself goes before what it gave to the kernel. */
static bool policy_yields(const struct xi_spd_node *node, const struct xi_policy *policy)
{
	return node->pub->p.policy.origin & ~policy->origin & XI_POLICY_FROM_KERNEL;
}

int xi_spd_change(struct xi_spd *spd, const struct xi_policy *policy, const char **why)
{
	struct xi_spd_node *node = xi_spd_rows_find(&spd->by_index, policy->index);
	int err = xi_policy_check(policy, why);

	if (err)
		return err;
	*why = "there is no policy with this index";
	if (!node)
		return -ENOENT;
	*why = "the policy could not be stored; see the log";
	return policy_replace(spd, node, policy, true);
}

void xi_spd_disturb(struct xi_spd *spd)
{
	spd->disturbed = true;
}

int xi_spd_add(struct xi_spd *spd, const struct xi_policy *policy, bool replace, const char **why)
{
	struct xi_policy key = *policy;
	struct xi_spd_node *node;
	int err;

	err = xi_policy_check(policy, why);
	if (err)
		return err;
	key.index = 0;
	node = node_find(spd, &key);
	if (node && !replace && !policy_yields(node, policy)) {
		*why = "a policy with this direction and selector exists; delete or update it";
		return -EEXIST;
	}
	*why = "the policy could not be stored; see the log";
	err = node ? policy_replace(spd, node, policy, false) : policy_insert(spd, policy);
	if (err == -E2BIG || err == -ENOSPC)
		*why = "the policy table is full; delete policies that are no longer needed, or raise max-policies";
	return err;
}

int xi_spd_node_delete(struct xi_spd *spd, struct xi_spd_node *node)
{
	int err = node_change(spd, node, NULL, node->order);

	if (!err)
		free(node);
	return err;
}

int xi_spd_delete(struct xi_spd *spd, const struct xi_policy *key)
{
	struct xi_spd_node *node = node_find(spd, key);

	return node ? xi_spd_node_delete(spd, node) : -ENOENT;
}

const struct xi_policy *xi_spd_find(const struct xi_spd *spd, const struct xi_policy *key)
{
	struct xi_spd_node *node = node_find(spd, key);

	if (!node)
		return NULL;
	xi_policy_use(spd, node);
	return &node->pub->p.policy;
}

const struct xi_policy *xi_spd_next(const struct xi_spd *spd, uint32_t *index)
{
	struct xi_spd_node *node;

	if (*index == UINT32_MAX)
		return NULL;
	node = xi_spd_rows_seek(&spd->by_index, *index + 1);
	if (!node)
		return NULL;
	xi_policy_use(spd, node);
	*index = node->pub->p.policy.index;
	return &node->pub->p.policy;
}

unsigned int xi_spd_count(const struct xi_spd *spd, enum xi_dir dir)
{
	return dir < XI_DIR_MAX ? spd->sides[dir].n : 0;
}
