/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SPD's surroundings: policies an earlier daemon left, default actions, the host's addresses.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct finds {
	struct xi_policy *policies;
	uint32_t n, room;
};

static int find_one(void *arg, const struct xi_policy *policy)
{
	struct finds *finds = arg;
	struct xi_policy *policies;
	uint32_t room = finds->room ? 2 * finds->room : 64;

	if (finds->n == finds->room) {
		policies = realloc(finds->policies, room * sizeof(*policies));
		if (!policies)
			return -ENOMEM;
		finds->policies = policies;
		finds->room = room;
	}
	finds->policies[finds->n++] = *policy;
	return 0;
}

static int by_order(const void *a, const void *b)
{
	const struct xi_policy *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Fails closed: to drop a policy could let in clear what it protected. */
static int policy_sound(const struct xi_spd *spd, const struct xi_policy *policy)
{
	struct xi_policy key = *policy;
	const char *why = "its index or its selector is another policy's too";
	int err = xi_policy_check(policy, &why);

	key.index = 0;
	if (!err && policy->index && !xi_spd_find(spd, policy) && !xi_spd_find(spd, &key))
		return 0;
	log_warnx(
		"policy with index %u cannot be taken over: %s; run `xipsec down` to start afresh",
		policy->index, why);
	return err ? err : -EINVAL;
}

static int policy_adopt(struct xi_spd *spd, const struct xi_policy *policy)
{
	struct xi_spd_node *node = calloc(1, sizeof(*node));
	struct xi_spd_pub *pub = calloc(1, sizeof(*pub));
	int err = -ENOMEM;

	if (!node || !pub || xi_spd_room(spd, policy->dir, 1))
		goto fail;
	node->key = xi_policy_key(policy);
	err = xi_asks_new(spd, node, policy, &node->asks);
	if (!err)
		err = xi_guard_add(spd, policy);
	if (err)
		goto fail;
	pub->p.policy = *policy;
	pub->node = node;
	node->pub = pub;
	node->order = policy->order;
	if (spd->order_next <= policy->order)
		spd->order_next = policy->order + 1;
	xi_pub_resolve(spd, pub);
	xi_spd_node_link(spd, node);
	xi_choices_count(spd, NULL, pub);
	if (spd->index_next <= policy->index)
		spd->index_next = (policy->index | 7) + 1;
	return 0;
fail:
	if (node)
		xi_asks_free(spd, node->asks);
	free(node);
	free(pub);
	return err;
}

/*
 * The table of masks is about to be written in another order, so meanwhile XDP does not rely on it.
 */
static int guard_everything(struct xi_spd *spd)
{
	struct xi_config config;
	int err = spd->store.ops->config_get(spd->store.s, &config);

	if (err)
		return err;
	config.guard_flags[XI_IN] |= XI_GUARD_ALL;
	config.guard_flags[XI_OUT] |= XI_GUARD_ALL;
	return spd->store.ops->config_put(spd->store.s, &config);
}

static int finds_adopt(struct xi_spd *spd, struct finds *finds)
{
	uint32_t i;
	int err;

	if (finds->n) {
		qsort(finds->policies, finds->n, sizeof(*finds->policies), by_order);
		err = guard_everything(spd);
		if (err)
			return err;
	}
	for (i = 0; i < finds->n; i++) {
		err = policy_sound(spd, &finds->policies[i]);
		if (!err)
			err = policy_adopt(spd, &finds->policies[i]);
		if (err)
			return err;
	}
	xi_pairs_update(spd);
	err = xi_spd_renew(spd);
	if (!err)
		xi_guard_sweep(spd);
	return err;
}

int xi_spd_adopt(struct xi_spd *spd, unsigned int *n)
{
	struct finds finds = { 0 };
	int err;

	err = spd->store.ops->each_policy(spd->store.s, find_one, &finds);
	if (!err)
		err = finds_adopt(spd, &finds);
	free(finds.policies);
	*n = spd->by_index.live;
	return err;
}

int xi_spd_set_default(struct xi_spd *spd, enum xi_dir dir, enum xi_action action)
{
	enum xi_action old;
	int err;

	if (dir >= XI_DIR_MAX || (action != XI_ALLOW && action != XI_BLOCK))
		return -EINVAL;
	old = spd->default_action[dir];
	if (old == action)
		return 0;
	spd->default_action[dir] = action;
	err = xi_spd_renew(spd);
	if (err)
		spd->default_action[dir] = old;
	return err;
}

enum xi_action xi_spd_get_default(const struct xi_spd *spd, enum xi_dir dir)
{
	return dir < XI_DIR_MAX ? spd->default_action[dir] : XI_BLOCK;
}

static void local_set(struct xi_spd *spd, struct xi_addr *local, uint32_t n)
{
	spd->local = local;
	spd->nlocal = n;
	xi_part_put(spd->local_part);
	spd->local_part = NULL;
}

static int addr_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct xi_addr));
}

int xi_spd_set_local(struct xi_spd *spd, const struct xi_addr *addrs, uint32_t n)
{
	struct xi_addr *local = calloc(n ? n : 1, sizeof(*local)), *old = spd->local;
	uint32_t nold = spd->nlocal;
	int err;

	if (!local)
		return -ENOMEM;
	if (n) {
		memcpy(local, addrs, n * sizeof(*local));
		qsort(local, n, sizeof(*local), addr_cmp);
	}
	if (n == nold && (!n || !memcmp(local, old, n * sizeof(*local)))) {
		free(local);
		return 0;
	}
	local_set(spd, local, n);
	err = xi_spd_renew(spd);
	if (err) {
		local_set(spd, old, nold);
		free(local);
	} else {
		free(old);
		if (spd->local_changed)
			spd->local_changed(spd->local_arg);
	}
	return err;
}

void xi_spd_on_local(struct xi_spd *spd, void (*changed)(void *arg), void *arg)
{
	spd->local_changed = changed;
	spd->local_arg = arg;
}

void xi_spd_on_policy(struct xi_spd *spd,
		      void (*changed)(void *arg, uint32_t index, const struct xi_policy *now), void *arg)
{
	spd->policy_changed = changed;
	spd->policy_arg = arg;
}

void xi_spd_on_sync(struct xi_spd *spd, void (*sync)(void *arg), void *arg)
{
	spd->sync = sync;
	spd->sync_arg = arg;
}
