/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Templates in transport mode under a selector for many hosts: each pair of hosts has SAs of its
 * own, more than a policy could list. They are found in the SAD by the packet's addresses; what a
 * rekey does to flows is worked out pair by pair.
 */
#include "sad/spd_priv.h"

#include <stdlib.h>
#include <string.h>

#include "sad/sad_priv.h"
#include "sad/selector.h"

static const uint8_t zero[16];

struct xi_ends xi_ends_of(const struct xi_sa *sa)
{
	return (struct xi_ends){.saddr = sa->saddr, .daddr = sa->id.daddr, .family = sa->id.family};
}

bool xi_ends_fit(const struct xi_ends *ends, const struct xi_sa *sa)
{
	return sa->id.family == ends->family && !memcmp(sa->id.daddr, ends->daddr, 16) &&
	       (!memcmp(sa->saddr, ends->saddr, 16) || !memcmp(sa->saddr, zero, 16));
}

static struct xi_pair_key pair_key(const uint8_t saddr[16], const uint8_t daddr[16],
				   enum xi_family family, enum xi_proto proto)
{
	struct xi_pair_key key = {.proto = proto, .family = family};

	memcpy(key.saddr, saddr, 16);
	memcpy(key.daddr, daddr, 16);
	return key;
}

const struct xi_sa *xi_pair_serve(const struct xi_sad *sad, const struct xi_policy *policy,
				  const struct xi_tmpl *tmpl, const struct xi_flow *flow,
				  const struct xi_ends *ends, struct xi_flow_mask *mask)
{
	/* the kernel's xfrm_state_find(): also those without source address */
	const uint8_t *const sources[] = {ends->saddr, zero};
	const struct xi_sa *best = NULL;
	uint64_t order = 0;
	uint32_t i;

	for (i = 0; i < 2; i++) {
		struct xi_pair_key key =
			pair_key(sources[i], ends->daddr, ends->family, tmpl->id.proto);
		struct xi_pair_iter it;
		struct xi_sad_node *node;

		for (node = xi_pair_first(&it, sad, &key); node; node = xi_pair_next(&it)) {
			if (!it.rec || (best && node->order < order) ||
			    !xi_sa_serves(policy, tmpl, &it.rec->sa) ||
			    !xi_sa_takes(&it.rec->sa, flow, mask))
				continue;
			best = &it.rec->sa;
			order = node->order;
		}
	}
	return best;
}

struct members {
	struct xi_sad_node **nodes; /* newest first */
	uint32_t n, room;
};

static int by_order(const void *a, const void *b)
{
	const struct xi_sad_node *x = *(struct xi_sad_node *const *)a,
				 *y = *(struct xi_sad_node *const *)b;

	return (x->order < y->order) - (x->order > y->order);
}

/* All of node's pair, which is no news then. False: no memory. */
static bool members_get(struct xi_sad *sad, struct xi_sad_node *node, struct members *m)
{
	const struct xi_sa *sa = &node->rec->sa;
	struct xi_pair_key key = pair_key(sa->saddr, sa->id.daddr, sa->id.family, sa->id.proto);
	struct xi_pair_iter it;

	m->n = 0;
	xi_pair_news_del(sad, node);
	for (node = xi_pair_first(&it, sad, &key); node; node = xi_pair_next(&it)) {
		if (m->n == m->room) {
			uint32_t room = m->room ? 2 * m->room : 16;
			struct xi_sad_node **nodes =
				realloc(m->nodes, room * sizeof(struct xi_sad_node *));

			if (!nodes)
				return false;
			m->nodes = nodes;
			m->room = room;
		}
		xi_pair_news_del(sad, node);
		m->nodes[m->n++] = node;
	}
	qsort(m->nodes, m->n, sizeof(struct xi_sad_node *), by_order);
	return true;
}

static const struct xi_sa *member_sa(const struct members *m, uint32_t i)
{
	return &m->nodes[i]->rec->sa;
}

/* Is there a policy that may choose between SAs of these two reqids by the packet's addresses? */
static bool choice_matters(const struct xi_spd *spd, uint32_t reqid_a, uint32_t reqid_b)
{
	return reqid_a == reqid_b ? spd->npair : spd->npair_any;
}

/* To the same policies, as far as mark and if_id go. */
static bool serve_alike(const struct xi_sa *a, const struct xi_sa *b)
{
	return a->if_id == b->if_id && a->mark_v == b->mark_v && a->mark_m == b->mark_m;
}

/* Does a newer one of the same reqid, itself chosen, take all flows of the i-th? */
static bool member_covered(const struct members *m, const bool *chosen, uint32_t i)
{
	const struct xi_sa *sa = member_sa(m, i);
	uint32_t j;

	for (j = 0; j < i; j++)
		if (chosen[j] && member_sa(m, j)->reqid == sa->reqid &&
		    serve_alike(member_sa(m, j), sa) &&
		    xi_selector_covers(&member_sa(m, j)->sel, &sa->sel))
			return true;
	return false;
}

/* Does the newly chosen i-th take some flows of older ones that stay chosen? */
static bool member_divides(const struct xi_spd *spd, const struct members *m, const bool *chosen,
			   uint32_t i)
{
	const struct xi_sa *sa = member_sa(m, i);
	uint32_t j;

	for (j = i + 1; j < m->n; j++)
		if (chosen[j] && m->nodes[j]->chosen &&
		    xi_selector_overlaps(&sa->sel, &member_sa(m, j)->sel) &&
		    choice_matters(spd, sa->reqid, member_sa(m, j)->reqid))
			return true;
	return false;
}

/* The i-th becomes, or ceases to be, its pair's choice for some flow. */
static bool member_turn(struct xi_spd *spd, const struct members *m, const bool *chosen, uint32_t i)
{
	struct xi_spd_choice *choice = xi_choice_of(spd, m->nodes[i]->sa_index);
	uint32_t reqid = member_sa(m, i)->reqid;

	if (chosen[i]) {
		choice->policies++;
		return member_divides(spd, m, chosen, i) || spd->npair_optional;
	}
	choice->policies--;
	return choice->policies && choice_matters(spd, reqid, reqid);
}

static bool members_update(struct xi_spd *spd, const struct members *m)
{
	bool *chosen = calloc(m->n ? m->n : 1, sizeof(*chosen)), disturbs = false;
	uint32_t i;

	if (!chosen)
		return true;
	for (i = 0; i < m->n; i++)
		chosen[i] = !member_covered(m, chosen, i);
	for (i = 0; i < m->n; i++)
		if (chosen[i] != m->nodes[i]->chosen)
			disturbs |= member_turn(spd, m, chosen, i);
	for (i = 0; i < m->n; i++) {
		m->nodes[i]->chosen = chosen[i];
		xi_sad_set_superseded(spd->sad, m->nodes[i]->sa_index,
				      !xi_choice_of(spd, m->nodes[i]->sa_index)->policies);
	}
	free(chosen);
	return disturbs;
}

bool xi_pairs_update(struct xi_spd *spd)
{
	struct members m = {0};
	bool disturbs = false;

	while (spd->npair && spd->sad->tables.news) {
		if (!members_get(spd->sad, spd->sad->tables.news, &m)) {
			disturbs = true;
			break;
		}
		disturbs |= members_update(spd, &m);
	}
	free(m.nodes);
	return disturbs;
}
