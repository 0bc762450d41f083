/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which SAs serve an outbound policy, as the kernel's xfrm_state_find(), and what a rekey does to
 * flows: an SA that no policy chooses any more is marked superseded, so its flows are judged again
 * and nobody else's.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "sad/sad_priv.h"

#define MISFITS_MAX 64           /* SAs passed over before those that fit are looked up */

static const uint8_t zero[16];

bool xi_sa_serves(const struct xi_policy *policy, const struct xi_tmpl *tmpl,
		  const struct xi_sa *sa)
{
	return sa->id.proto == tmpl->id.proto && sa->mode == tmpl->mode &&
	       (!tmpl->id.spi || tmpl->id.spi == sa->id.spi) &&
	       (!tmpl->reqid || tmpl->reqid == sa->reqid) && sa->sa_dir != XI_SA_DIR_IN &&
	       sa->if_id == policy->if_id &&
	       (policy->mark_v & policy->mark_m & sa->mark_m) == sa->mark_v;
}

bool xi_sa_fits(const struct xi_policy *policy, const struct xi_tmpl *tmpl,
		const struct xi_sa *sa)
{
	const struct xi_ends ends = {tmpl->saddr, tmpl->id.daddr, tmpl->family};

	if (!xi_sa_serves(policy, tmpl, sa) || !xi_selector_overlaps(&policy->sel, &sa->sel))
		return false;
	return sa->mode == XI_TRANSPORT
		       ? xi_ends_fit(&ends, sa)
		       : !memcmp(tmpl->saddr, zero, 16) || !memcmp(tmpl->saddr, sa->saddr, 16);
}

/* An SA whose selector a newer one covers gets no flow any more. */
static void sas_choose(const struct xi_spd *spd, const uint32_t *sas, uint32_t n,
		       struct xi_spd_choices *choices)
{
	const struct xi_selector *chosen[XI_POLICY_SAS];
	uint32_t i, j;

	memset(choices, 0, sizeof(*choices));
	for (i = 0; i < n; i++) {
		const struct xi_sa_rec *rec = xi_sad_rec(spd->sad, sas[i]);

		for (j = 0; j < choices->n; j++)
			if (xi_selector_covers(chosen[j], &rec->sa.sel))
				break;
		if (j < choices->n)
			continue;
		chosen[choices->n] = &rec->sa.sel;
		choices->sas[choices->n++] = sas[i];
	}
}

/* The one SA that a template with SPI and destination can mean. */
static uint32_t tmpl_sa_by_id(const struct xi_spd *spd, const struct xi_policy *policy,
			      const struct xi_tmpl *tmpl, uint32_t sas[XI_POLICY_SAS])
{
	struct xi_sa_id id = {.spi = tmpl->id.spi, .proto = tmpl->id.proto, .family = tmpl->family};
	uint32_t sa_index;

	memcpy(id.daddr, tmpl->id.daddr, 16);
	sa_index = xi_sad_lookup(spd->sad, &id);
	if (!sa_index || !xi_sa_fits(policy, tmpl, &xi_sad_rec(spd->sad, sa_index)->sa))
		return 0;
	sas[0] = sa_index;
	return 1;
}

static uint32_t tmpl_sas_in_chain(struct xi_spd *spd, const struct xi_policy *policy,
				  const struct xi_tmpl *tmpl, uint32_t sas[XI_POLICY_SAS])
{
	uint32_t n = 0, misfits = 0;
	struct xi_sad_node *newest, *node;
	enum xi_chain chain;
	int found;

	newest = xi_peers_newest(spd->sad, tmpl, &chain);
	for (node = newest; node && n < XI_POLICY_SAS; node = node->links[chain].older) {
		spd->walked++;
		if (xi_sa_fits(policy, tmpl, &node->rec->sa)) {
			sas[n++] = node->sa_index;
		} else if (++misfits == MISFITS_MAX) {
			found = xi_crowd_sas(spd, policy, tmpl, newest, chain, sas);
			if (found >= 0)
				return found;
		}
	}
	return n;
}

/* What is listed for template t. */
static uint32_t tmpl_sas(struct xi_spd *spd, const struct xi_policy *policy, uint32_t t,
			 uint32_t sas[XI_POLICY_SAS])
{
	struct xi_tmpl tmpl;

	memset(sas, 0, XI_POLICY_SAS * sizeof(*sas));
	if (policy->dir != XI_OUT || !xi_policy_protects(policy) || t >= policy->ntmpls ||
	    !xi_tmpl_with_ends(policy, t, &tmpl))
		return 0;
	spd->resolved++;
	if (tmpl.id.spi && memcmp(tmpl.id.daddr, zero, 16))
		return tmpl_sa_by_id(spd, policy, &tmpl, sas);
	return tmpl_sas_in_chain(spd, policy, &tmpl, sas);
}

void xi_pub_resolve(struct xi_spd *spd, struct xi_spd_pub *pub)
{
	struct xi_spd_policy *p = &pub->p;
	struct xi_tmpl tmpl;
	uint32_t t;

	p->nsas = tmpl_sas(spd, &p->policy, 0, p->sas);
	p->nnext = tmpl_sas(spd, &p->policy, 1, p->next);
	for (t = 0; t < XI_PATH_MAX; t++)
		p->by_pair[t] = t < p->policy.ntmpls && !xi_tmpl_with_ends(&p->policy, t, &tmpl);
	sas_choose(spd, p->sas, p->nsas, &pub->choices[0]);
	sas_choose(spd, p->next, p->nnext, &pub->choices[1]);
}

struct xi_spd_choice *xi_choice_of(const struct xi_spd *spd, uint32_t sa_index)
{
	struct xi_spd_choice *choice = &spd->choices[XI_SA_SLOT(sa_index)];

	if (choice->sa_index != sa_index)
		*choice = (struct xi_spd_choice){.sa_index = sa_index};
	return choice;
}

static void choices_gain(struct xi_spd *spd, const struct xi_spd_choices *new)
{
	uint32_t i;

	for (i = 0; i < new->n; i++)
		xi_choice_of(spd, new->sas[i])->policies++;
}

static void choices_lose(struct xi_spd *spd, const struct xi_spd_choices *old)
{
	uint32_t i;

	for (i = 0; i < old->n; i++) {
		struct xi_spd_choice *choice = &spd->choices[XI_SA_SLOT(old->sas[i])];

		if (choice->sa_index == old->sas[i])
			choice->policies--;
	}
}

void xi_choices_count(struct xi_spd *spd, const struct xi_spd_pub *old,
		      const struct xi_spd_pub *new)
{
	uint32_t t;

	for (t = 0; new &&t < XI_PATH_MAX; t++)
		choices_gain(spd, &new->choices[t]);
	for (t = 0; old && t < XI_PATH_MAX; t++)
		choices_lose(spd, &old->choices[t]);
}

static bool chosen_by(const struct xi_spd_choices *choices, uint32_t sa_index)
{
	uint32_t i;

	for (i = 0; i < choices->n; i++)
		if (choices->sas[i] == sa_index)
			return true;
	return false;
}

/* A newcomer that takes some flows of an SA that was, and is still, chosen for others. */
static bool newcomer_divides(const struct xi_spd *spd, const struct xi_spd_choices *old,
			     const struct xi_spd_choices *new)
{
	uint32_t i, j;

	for (i = 0; i < new->n; i++) {
		if (chosen_by(old, new->sas[i]))
			continue;
		for (j = i + 1; j < new->n; j++)
			if (chosen_by(old, new->sas[j]) &&
			    xi_selector_overlaps(&xi_sad_rec(spd->sad, new->sas[i])->sa.sel,
						 &xi_sad_rec(spd->sad, new->sas[j])->sa.sel))
				return true;
	}
	return false;
}

/* Flows that went without this optional template now get it. */
static bool newcomer_serves_optional(const struct xi_tmpl *tmpl, const struct xi_spd_choices *old,
				     const struct xi_spd_choices *new)
{
	uint32_t i;

	for (i = 0; i < new->n && tmpl->optional; i++)
		if (!chosen_by(old, new->sas[i]))
			return true;
	return false;
}

static bool choices_disturb(const struct xi_spd *spd, const struct xi_tmpl *tmpl,
			    const struct xi_spd_choices *old, const struct xi_spd_choices *new)
{
	uint32_t i;

	for (i = 0; i < old->n; i++)
		if (!chosen_by(new, old->sas[i]) && xi_sad_rec(spd->sad, old->sas[i]) &&
		    xi_choice_of(spd, old->sas[i])->policies)
			return true;
	return newcomer_divides(spd, old, new) || newcomer_serves_optional(tmpl, old, new);
}

bool xi_choices_disturb(const struct xi_spd *spd, const struct xi_spd_pub *old,
			const struct xi_spd_pub *new)
{
	uint32_t t;

	for (t = 0; t < XI_PATH_MAX; t++)
		if (choices_disturb(spd, &new->p.policy.tmpls[t], &old->choices[t],
				    &new->choices[t]))
			return true;
	return false;
}

void xi_choices_mark(struct xi_spd *spd, const struct xi_spd_pub *pub)
{
	uint32_t i, t;

	for (t = 0; pub && t < XI_PATH_MAX; t++)
		for (i = 0; i < pub->choices[t].n; i++)
			if (xi_sad_rec(spd->sad, pub->choices[t].sas[i]))
				xi_sad_set_superseded(
					spd->sad, pub->choices[t].sas[i],
					!xi_choice_of(spd, pub->choices[t].sas[i])->policies);
}

/* A pub with the SAs of now; NULL when they are those that node has. */
static int node_resolve(struct xi_spd *spd, const struct xi_spd_node *node, struct xi_spd_pub **out)
{
	struct xi_spd_pub *pub = malloc(sizeof(*pub));

	*out = NULL;
	if (!pub)
		return -ENOMEM;
	*pub = *node->pub;
	xi_pub_resolve(spd, pub);
	if (memcmp(&pub->p, &node->pub->p, sizeof(pub->p)))
		*out = pub;
	else
		free(pub);
	return 0;
}

/*
 * Replaced pubs go to the list *olds; each has a successor in its node, and is counted no more.
 * What could not be resolved stays marked.
 */
static int marked_resolve(struct xi_spd *spd, struct xi_spd_pub **olds)
{
	struct xi_spd_pub *pub, *old;
	struct xi_spd_node *node;
	int err;

	*olds = NULL;
	while ((node = spd->marked)) {
		err = node_resolve(spd, node, &pub);
		if (err)
			return err;
		xi_node_unmark(spd, node);
		if (!pub)
			continue;
		old = node->pub;
		xi_choices_count(spd, old, pub);
		node->pub = pub;
		xi_seat_renew(spd, node, xi_policy_is_ported(&pub->p.policy));
		old->next = *olds;
		*olds = old;
	}
	return 0;
}

/* Old pubs' nodes have the new ones: must all flows be judged again? */
static bool olds_disturb(const struct xi_spd *spd, const struct xi_spd_pub *olds)
{
	for (; olds; olds = olds->next)
		if (xi_choices_disturb(spd, olds, olds->node->pub))
			return true;
	return false;
}

static int marked_commit(struct xi_spd *spd)
{
	struct xi_spd_pub *olds, *old;
	int err = marked_resolve(spd, &olds), failed = 0;
	bool bump = xi_pairs_update(spd) || xi_spd_flow_mask(spd) != spd->flow_mask ||
		    spd->disturbed || olds_disturb(spd, olds);

	if (bump) {
		failed = xi_spd_config_write(spd, xi_spd_generation_new(spd), false);
		spd->disturbed = failed;
	}
	spd->unpublished |= olds || bump;
	while ((old = olds)) {
		olds = old->next;
		xi_choices_mark(spd, old);
		xi_choices_mark(spd, old->node->pub);
		xi_spd_discard(spd, old);
	}
	if (spd->unpublished && xi_spd_publish(spd))
		failed = -ENOMEM;
	return err ? err : failed;
}

void xi_spd_sas_changed(struct xi_spd *spd)
{
	int err = spd->held ? 0 : marked_commit(spd);

	if (err)
		log_warnx("policies could not be brought up to date with the SAs: %s; traffic may keep to old SAs or stop",
			  strerror(-err));
}
