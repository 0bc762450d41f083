/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs of one peer by selector. Made when a template first has to walk over too many SAs that do not
 * fit it, and kept up to date from then on, until it is empty.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sad/sad_priv.h"

struct crowd_key {
	uint8_t daddr[16];
	enum xi_family family;
	uint32_t reqid;
	uint32_t chain;              /* enum xi_chain: what of the above is given */
};

struct crowd_sa {
	struct xi_selset_member member; /* first */
	struct xi_selector sel;
	uint32_t sa_index;
	uint64_t order;
	UT_hash_handle hh;
};

struct xi_crowd {
	struct crowd_key key;
	struct xi_selset sas;
	struct crowd_sa *by_index;
	UT_hash_handle hh;
};

static struct crowd_key crowd_key(enum xi_chain chain, const struct xi_sa *sa)
{
	struct crowd_key key = {.family = sa->id.family, .chain = chain};

	if (chain == XI_CHAIN_EXACT || chain == XI_CHAIN_ANY_REQID)
		memcpy(key.daddr, sa->id.daddr, 16);
	if (chain == XI_CHAIN_EXACT || chain == XI_CHAIN_ANY_DADDR)
		key.reqid = sa->reqid;
	return key;
}

static struct xi_crowd *crowd_find(const struct xi_spd *spd, const struct crowd_key *key)
{
	struct xi_crowd *crowd;

	HASH_FIND(hh, spd->crowds, key, sizeof(*key), crowd);
	return crowd;
}

static void member_free(struct xi_spd *spd, struct xi_crowd *crowd, struct crowd_sa *csa)
{
	xi_selset_del(&spd->selsets, &crowd->sas, &csa->member);
	HASH_DEL(crowd->by_index, csa);
	free(csa);
}

static void crowd_free(struct xi_spd *spd, struct xi_crowd *crowd)
{
	struct crowd_sa *csa, *next;

	HASH_ITER(hh, crowd->by_index, csa, next)
		member_free(spd, crowd, csa);
	HASH_DEL(spd->crowds, crowd);
	free(crowd);
}

static int member_add(struct xi_spd *spd, struct xi_crowd *crowd, const struct xi_sa *sa,
		      uint64_t order)
{
	struct crowd_sa *csa = calloc(1, sizeof(*csa));

	if (!csa)
		return -ENOMEM;
	csa->sel = sa->sel;
	csa->member.sel = &csa->sel;
	csa->sa_index = sa->sa_index;
	csa->order = order;
	if (xi_selset_add(&spd->selsets, &crowd->sas, &csa->member)) {
		free(csa);
		return -ENOMEM;
	}
	HASH_ADD(hh, crowd->by_index, sa_index, sizeof(csa->sa_index), csa);
	return 0;
}

static struct crowd_sa *member_find(const struct xi_crowd *crowd, uint32_t sa_index)
{
	struct crowd_sa *csa;

	HASH_FIND(hh, crowd->by_index, &sa_index, sizeof(sa_index), csa);
	return csa;
}

/* Without memory for a newcomer the crowd goes: templates walk, and the next one tries again. */
static void crowd_update(struct xi_spd *spd, struct xi_crowd *crowd, const struct xi_sa *sa)
{
	const struct xi_sad_node *node = spd->sad->slots.nodes[XI_SA_SLOT(sa->sa_index)];
	struct crowd_sa *csa = member_find(crowd, sa->sa_index);
	bool there = xi_sad_rec(spd->sad, sa->sa_index) && node;

	if (csa && !there)
		member_free(spd, crowd, csa);
	else if (csa)
		csa->order = node->order; /* adopted before older ones were */
	if (!csa && there && member_add(spd, crowd, sa, node->order))
		crowd_free(spd, crowd);
	else if (!crowd->by_index)
		crowd_free(spd, crowd);
}

void xi_crowds_update(struct xi_spd *spd, const struct xi_sa *sa)
{
	enum xi_chain chain;

	for (chain = 0; spd->crowds && chain < XI_CHAIN_MAX; chain++) {
		struct crowd_key key = crowd_key(chain, sa);
		struct xi_crowd *crowd = crowd_find(spd, &key);

		if (crowd)
			crowd_update(spd, crowd, sa);
	}
}

static struct xi_crowd *crowd_new(struct xi_spd *spd, const struct crowd_key *key,
				  const struct xi_sad_node *newest)
{
	struct xi_crowd *crowd = calloc(1, sizeof(*crowd));
	const struct xi_sad_node *node;

	if (!crowd)
		return NULL;
	crowd->key = *key;
	HASH_ADD(hh, spd->crowds, key, sizeof(crowd->key), crowd);
	for (node = newest; node; node = node->links[key->chain].older) {
		if (member_add(spd, crowd, &node->rec->sa, node->order)) {
			crowd_free(spd, crowd);
			return NULL;
		}
	}
	return crowd;
}

struct newest {
	struct xi_spd *spd;
	const struct xi_policy *policy;
	const struct xi_tmpl *tmpl;
	const struct crowd_sa *sas[XI_POLICY_SAS]; /* newest first */
	uint32_t n;
};

static void newest_take(void *arg, struct xi_selset_member *member)
{
	const struct crowd_sa *csa = (const struct crowd_sa *)member;
	struct newest *newest = arg;
	const struct xi_sa_rec *rec = xi_sad_rec(newest->spd->sad, csa->sa_index);
	uint32_t i = newest->n;

	newest->spd->walked++;
	if (i == XI_POLICY_SAS && newest->sas[i - 1]->order > csa->order)
		return;
	if (!rec || !xi_sa_fits(newest->policy, newest->tmpl, &rec->sa))
		return;
	if (i == XI_POLICY_SAS)
		i--;
	else
		newest->n++;
	for (; i && newest->sas[i - 1]->order < csa->order; i--)
		newest->sas[i] = newest->sas[i - 1];
	newest->sas[i] = csa;
}

int xi_crowd_sas(struct xi_spd *spd, const struct xi_policy *policy, const struct xi_tmpl *tmpl,
		 struct xi_sad_node *node, unsigned int chain, uint32_t sas[XI_POLICY_SAS])
{
	struct newest newest = {.spd = spd, .policy = policy, .tmpl = tmpl};
	struct crowd_key key = crowd_key(chain, &node->rec->sa);
	struct xi_crowd *crowd = crowd_find(spd, &key);
	uint32_t i;

	if (!crowd)
		crowd = crowd_new(spd, &key, node);
	if (!crowd)
		return -ENOMEM;
	xi_selset_each(&spd->selsets, &crowd->sas, &policy->sel, newest_take, &newest);
	for (i = 0; i < newest.n; i++)
		sas[i] = newest.sas[i]->sa_index;
	return newest.n;
}

void xi_crowds_free(struct xi_spd *spd)
{
	struct xi_crowd *crowd, *next;

	HASH_ITER(hh, spd->crowds, crowd, next)
		crowd_free(spd, crowd);
}
