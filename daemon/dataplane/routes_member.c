/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policies of the plan: to what destinations they matter, and when. */
#include "dataplane/routes_plan_int.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sad/selector.h"

static bool policy_is_tunnel(const struct xi_policy *policy)
{
	for (uint32_t i = 0; i < policy->ntmpls; i++)
		if (policy->tmpls[i].mode == XI_TUNNEL)
			return true;
	return false;
}

/* False: the policy means nothing to routes. */
static bool intent_of(const struct xi_policy *policy, struct xi_intent *intent)
{
	const struct xi_selector *sel = &policy->sel;

	if (policy->dir != XI_OUT || policy->action != XI_ALLOW || policy->type || policy->if_id ||
	    policy->mark_m || sel->proto || sel->sport_mask || sel->dport_mask || sel->ifindex ||
	    (sel->family != XI_IPV4 && sel->family != XI_IPV6))
		return false;
	if (policy->ntmpls && !policy_is_tunnel(policy))
		return false;
	memset(intent, 0, sizeof(*intent));
	xi_prefix_set(&intent->src, sel->saddr, sel->family, sel->prefixlen_s);
	xi_prefix_set(&intent->dst, sel->daddr, sel->family, sel->prefixlen_d);
	intent->priority = policy->priority;
	intent->order = policy->order;
	intent->bypass = !policy->ntmpls;
	for (uint32_t i = 0; i < policy->ntmpls && i < XI_PLAN_PEERS; i++) {
		const struct xi_tmpl *tmpl = &policy->tmpls[i];

		if (tmpl->mode == XI_TUNNEL && (tmpl->family == XI_IPV4 || tmpl->family == XI_IPV6))
			xi_prefix_set(&intent->peers[intent->npeers++], tmpl->id.daddr, tmpl->family,
				      xi_family_bits(tmpl->family));
	}
	return true;
}

static struct xi_heap_node **member_heap(const struct xi_member *m)
{
	return m->intent.bypass ? &m->dest->bypasses : &m->dest->protects;
}

const struct xi_member *xi_member_of(const struct xi_heap_node *node)
{
	return node ? (const void *)((const char *)node - offsetof(struct xi_member, at)) : NULL;
}

void xi_member_judge(struct xi_plan *plan, struct xi_member *m)
{
	bool relevant = !m->intent.src.plen || xi_locals_in(&plan->locals, &m->intent.src);

	m->epoch = plan->addr_epoch;
	if (relevant == m->relevant) {
		/* its address may be another */
		if (relevant && *member_heap(m) == &m->at)
			xi_dest_queue(plan, m->dest);
		return;
	}
	m->relevant = relevant;
	if (relevant)
		xi_heap_insert(member_heap(m), &m->at);
	else
		xi_heap_remove(member_heap(m), &m->at);
	xi_dest_queue(plan, m->dest);
}

static void member_unlink(struct xi_plan *plan, struct xi_member *m)
{
	struct xi_dest *dest = m->dest;

	HASH_DEL(plan->members, m);
	TAILQ_REMOVE(&plan->list, m, all);
	if (!m->intent.bypass)
		xi_source_drop(&plan->locals, &m->intent.src, &plan->plain_changed);
	if (m->relevant)
		xi_heap_remove(member_heap(m), &m->at);
	dest->members--;
	dest->nbypasses -= m->intent.bypass;
	xi_dest_throws_update(plan, dest);
	xi_dest_queue(plan, dest);
	for (uint32_t i = 0; i < m->intent.npeers; i++) {
		m->peers[i]->peers--;
		xi_dest_throws_update(plan, m->peers[i]);
		xi_dest_queue(plan, m->peers[i]);
	}
	free(m);
}

/* Everything that can fail, before anything is linked. */
static int member_new(struct xi_plan *plan, uint32_t index, const struct xi_intent *intent,
		      struct xi_member **out)
{
	struct xi_member *m = calloc(1, sizeof(*m));
	int err = -ENOMEM;
	uint32_t i;

	if (!m)
		return err;
	m->index = index;
	m->intent = *intent;
	m->at.major = intent->priority;
	m->at.minor = intent->order;
	m->dest = xi_dest_get(plan, &intent->dst);
	for (i = 0; i < intent->npeers && m->dest; i++) {
		m->peers[i] = xi_dest_get(plan, &intent->peers[i]);
		if (!m->peers[i])
			break;
	}
	if (m->dest && i == intent->npeers)
		err = intent->bypass ? 0 : xi_source_add(&plan->locals, &intent->src,
							 &plan->plain_changed);
	/* those that were made for it go when the queue comes to them */
	for (i = 0; i < intent->npeers; i++)
		if (m->peers[i])
			xi_dest_queue(plan, m->peers[i]);
	if (m->dest)
		xi_dest_queue(plan, m->dest);
	if (err)
		free(m);
	else
		*out = m;
	return err;
}

static int member_link(struct xi_plan *plan, struct xi_member *m)
{
	HASH_ADD(hh, plan->members, index, sizeof(m->index), m);
	if (!m->hh.tbl) {
		if (!m->intent.bypass)
			xi_source_drop(&plan->locals, &m->intent.src, &plan->plain_changed);
		free(m);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&plan->list, m, all);
	m->dest->members++;
	m->dest->nbypasses += m->intent.bypass;
	xi_dest_throws_update(plan, m->dest);
	for (uint32_t i = 0; i < m->intent.npeers; i++) {
		m->peers[i]->peers++;
		xi_dest_throws_update(plan, m->peers[i]);
	}
	xi_member_judge(plan, m);
	return 0;
}

int xi_plan_policy(struct xi_plan *plan, uint32_t index, const struct xi_policy *now)
{
	struct xi_member *old, *m = NULL;
	struct xi_intent intent;
	bool means = now && intent_of(now, &intent);
	int err;

	HASH_FIND(hh, plan->members, &index, sizeof(index), old);
	if (old && means && !memcmp(&old->intent, &intent, sizeof(intent)))
		return 0;
	if (means) {
		err = member_new(plan, index, &intent, &m);
		if (err)
			return err;
	}
	if (old)
		member_unlink(plan, old);
	return m ? member_link(plan, m) : 0;
}
