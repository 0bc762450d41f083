/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which policies an SA concerns: those with a template that asks for such a one. Templates that ask
 * for the same are together, by the selectors of their policies.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <utlist.h>

static const uint8_t zero[16];

/* Which of an SA's properties a template names, apart from protocol and mode, which all name. */
static unsigned int tmpl_class(const struct xi_tmpl *tmpl)
{
	return (memcmp(tmpl->id.daddr, zero, 16) ? XI_ASK_DADDR : 0) |
	       (tmpl->reqid ? XI_ASK_REQID : 0) | (tmpl->id.spi ? XI_ASK_SPI : 0);
}

static struct xi_ask_key ask_key(unsigned int class, const struct xi_sa_id *id,
				 enum xi_family family, enum xi_mode mode, uint32_t reqid,
				 uint32_t if_id)
{
	struct xi_ask_key key = {
		.family = family,
		.proto = id->proto,
		.mode = mode,
		.if_id = if_id,
	};

	if (class & XI_ASK_DADDR)
		memcpy(key.daddr, id->daddr, 16);
	if (class & XI_ASK_REQID)
		key.reqid = reqid;
	if (class & XI_ASK_SPI)
		key.spi = id->spi;
	return key;
}

static struct xi_ask_group *group_find(const struct xi_spd *spd, const struct xi_ask_key *key)
{
	struct xi_ask_group *group;

	HASH_FIND(hh, spd->groups, key, sizeof(*key), group);
	return group;
}

static struct xi_ask_group *group_get(struct xi_spd *spd, const struct xi_ask_key *key)
{
	struct xi_ask_group *group = group_find(spd, key);

	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->key = *key;
	HASH_ADD(hh, spd->groups, key, sizeof(group->key), group);
	return group;
}

static void group_put(struct xi_spd *spd, struct xi_ask_group *group)
{
	if (group->policies.tuples)
		return;
	HASH_DEL(spd->groups, group);
	free(group);
}

static int ask_add(struct xi_spd *spd, struct xi_ask *ask, struct xi_spd_node *node,
		   const struct xi_policy *policy, uint32_t t)
{
	struct xi_ask_group *group;
	struct xi_ask_key key;
	unsigned int class;

	if (!xi_tmpl_with_ends(policy, t, &ask->tmpl))
		return 0;
	class = tmpl_class(&ask->tmpl);
	key = ask_key(class, &ask->tmpl.id, ask->tmpl.family, ask->tmpl.mode, ask->tmpl.reqid,
		      policy->if_id);
	group = group_get(spd, &key);
	if (!group)
		return -ENOMEM;
	ask->node = node;
	ask->member.sel = &node->key.sel;
	if (xi_selset_add(&spd->selsets, &group->policies, &ask->member)) {
		group_put(spd, group);
		return -ENOMEM;
	}
	ask->group = group;
	spd->nasks[class]++;
	return 0;
}

void xi_asks_free(struct xi_spd *spd, struct xi_spd_asks *asks)
{
	uint32_t t;

	for (t = 0; asks && t < XI_PATH_MAX; t++) {
		struct xi_ask *ask = &asks->asks[t];

		if (!ask->group)
			continue;
		xi_selset_del(&spd->selsets, &ask->group->policies, &ask->member);
		group_put(spd, ask->group);
		spd->nasks[tmpl_class(&ask->tmpl)]--;
	}
	free(asks);
}

int xi_asks_new(struct xi_spd *spd, struct xi_spd_node *node, const struct xi_policy *policy,
		struct xi_spd_asks **out)
{
	struct xi_spd_asks *asks;
	uint32_t t;

	*out = NULL;
	if (policy->dir != XI_OUT || !xi_policy_protects(policy))
		return 0;
	asks = calloc(1, sizeof(*asks));
	if (!asks)
		return -ENOMEM;
	for (t = 0; t < policy->ntmpls && t < XI_PATH_MAX; t++) {
		if (ask_add(spd, &asks->asks[t], node, policy, t)) {
			xi_asks_free(spd, asks);
			return -ENOMEM;
		}
	}
	*out = asks;
	return 0;
}

void xi_pairs_count(struct xi_spd *spd, const struct xi_spd_policy *p, int by)
{
	uint32_t t;

	for (t = 0; p->policy.dir == XI_OUT && t < p->policy.ntmpls && t < XI_PATH_MAX; t++) {
		const struct xi_tmpl *tmpl = &p->policy.tmpls[t];

		if (!p->by_pair[t])
			continue;
		spd->npair += by;
		spd->npair_any += tmpl->reqid ? 0 : by;
		spd->npair_optional += tmpl->optional ? by : 0;
	}
}

void xi_node_unmark(struct xi_spd *spd, struct xi_spd_node *node)
{
	if (!node->marked)
		return;
	node->marked = false;
	DL_DELETE2(spd->marked, node, marked_prev, marked_next);
}

struct marking {
	struct xi_spd *spd;
	const struct xi_sa *sa;
};

static void ask_mark(void *arg, struct xi_selset_member *member)
{
	const struct marking *marking = arg;
	struct xi_ask *ask = (struct xi_ask *)member;
	struct xi_spd_node *node = ask->node;

	if (node->marked || !node->pub ||
	    !xi_sa_fits(&node->pub->p.policy, &ask->tmpl, marking->sa))
		return;
	node->marked = true;
	DL_APPEND2(marking->spd->marked, node, marked_prev, marked_next);
}

/* sa as it was: flows that found it by a packet's addresses may not find it any more. */
static bool pair_disturbed(const struct xi_spd *spd, const struct xi_sa *sa)
{
	const struct xi_sa_rec *rec = xi_sad_rec(spd->sad, sa->sa_index);

	return spd->npair && sa->mode == XI_TRANSPORT && rec && rec->sa.if_id != sa->if_id;
}

void xi_spd_sa_changed(struct xi_spd *spd, const struct xi_sa *sa)
{
	struct marking marking = {.spd = spd, .sa = sa};
	const struct xi_ask_group *group;
	struct xi_ask_key key;
	unsigned int class;

	xi_crowds_update(spd, sa);
	spd->disturbed |= pair_disturbed(spd, sa);
	for (class = 0; class < XI_ASK_CLASSES; class++) {
		if (!spd->nasks[class])
			continue;
		key = ask_key(class, &sa->id, sa->id.family, sa->mode, sa->reqid, sa->if_id);
		group = group_find(spd, &key);
		if (group)
			xi_selset_each(&spd->selsets, &group->policies, &sa->sel, ask_mark, &marking);
	}
}
