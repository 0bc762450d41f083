/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The SPD as a whole: what XDP has of it, rounds that are held, and policies by their keys. */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

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
	spd->index_next = XI_SPD_INDEX_STEP;
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

/* What is there now, under a new generation. */
int xi_spd_renew(struct xi_spd *spd)
{
	uint32_t generation = xi_spd_generation_new(spd);
	struct xi_spd_snapshot *snap;
	int err;

	err = xi_snapshot_prepare(spd, generation, &snap);
	if (err)
		return err;
	err = xi_spd_config_write(spd, generation, false);
	if (err)
		xi_snapshot_free(snap);
	else
		xi_snapshot_commit(spd, snap);
	return err;
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
	return xi_spd_node_replace(spd, node, policy, true);
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
	err = node ? xi_spd_node_replace(spd, node, policy, false) : xi_spd_node_add(spd, policy);
	if (err == -E2BIG || err == -ENOSPC)
		*why = "the policy table is full; delete policies that are no longer needed, or raise max-policies";
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
