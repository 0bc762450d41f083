/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which SAs and policies hang together: by destination and reqid. One SA of the kernel's that is
 * not carried may serve a policy as well as one that is, and a policy that is not carried may be
 * served by an SA that is. So with either, all of that pattern stay with the kernel, and no SA has
 * two senders.
 */
#include "source/mirror_int.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t anywhere[16];

void xi_pattern_widen(struct xi_pattern out[XI_PATTERN_WIDER], const struct xi_pattern *p)
{
	for (unsigned int i = 0; i < XI_PATTERN_WIDER; i++) {
		out[i] = *p;
		if (i & 1)
			out[i].reqid = 0;
		if (i & 2)
			memset(out[i].daddr, 0, sizeof(out[i].daddr));
	}
}

static bool pattern_eq(const struct xi_pattern *a, const struct xi_pattern *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* One of the two open: patterns of this kind may overlap, and none takes the other in. */
static bool pattern_half_open(const struct xi_pattern *p)
{
	return !p->reqid != !memcmp(p->daddr, anywhere, sizeof(anywhere));
}

/* Widened patterns that are the same as an earlier one are left out. */
static bool pattern_first(const struct xi_pattern *wider, unsigned int i)
{
	for (unsigned int k = 0; k < i; k++)
		if (pattern_eq(&wider[k], &wider[i]))
			return false;
	return true;
}

static struct xi_group *group_find(const struct xi_mirror *m, const struct xi_pattern *p)
{
	struct xi_group *group;

	HASH_FIND(hh, m->groups, p, sizeof(*p), group);
	return group;
}

static struct xi_group *group_get(struct xi_mirror *m, const struct xi_pattern *p)
{
	struct xi_group *group = group_find(m, p);

	if (!group) {
		group = calloc(1, sizeof(*group));
		if (!group)
			return NULL;
		group->pattern = *p;
		HASH_ADD(hh, m->groups, pattern, sizeof(group->pattern), group);
	}
	group->refs++;
	return group;
}

static void group_put(struct xi_mirror *m, struct xi_group *group)
{
	if (!group || --group->refs)
		return;
	HASH_DEL(m->groups, group);
	free(group);
}

int xi_group_link_sa(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	struct xi_pattern wider[XI_PATTERN_WIDER];
	unsigned int i;

	xi_pattern_widen(wider, &sa->pattern);
	for (i = 0; i < XI_PATTERN_WIDER; i++) {
		struct xi_sa_link *link = &sa->links[i];

		if (!pattern_first(wider, i))
			continue;
		link->group = group_get(m, &wider[i]);
		if (!link->group) {
			xi_group_unlink_sa(m, sa);
			return -1;
		}
		link->sa = sa;
		LIST_INSERT_HEAD(&link->group->sas, link, next);
	}
	return 0;
}

void xi_group_unlink_sa(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	for (unsigned int i = 0; i < XI_PATTERN_WIDER; i++) {
		struct xi_sa_link *link = &sa->links[i];

		if (!link->group)
			continue;
		LIST_REMOVE(link, next);
		group_put(m, link->group);
		link->group = NULL;
	}
}

/* Holds the wider ones, too, for what xi_group_keep() counts there. */
int xi_group_link_tmpl(struct xi_mirror *m, struct xi_mirror_policy *policy,
		       const struct xi_pattern *p)
{
	struct xi_tmpl_link *link = &policy->tmpls[policy->ntmpls];
	struct xi_pattern wider[XI_PATTERN_WIDER];
	struct xi_group *held[XI_PATTERN_WIDER] = {NULL};
	unsigned int i;

	xi_pattern_widen(wider, p);
	for (i = 0; i < XI_PATTERN_WIDER; i++) {
		held[i] = group_get(m, &wider[i]);
		if (!held[i]) {
			while (i-- > 0)
				group_put(m, held[i]);
			return -1;
		}
	}
	link->group = held[0];
	link->policy = policy;
	LIST_INSERT_HEAD(&link->group->tmpls, link, next);
	policy->ntmpls++;
	return 0;
}

void xi_group_unlink_tmpls(struct xi_mirror *m, struct xi_mirror_policy *policy)
{
	struct xi_pattern wider[XI_PATTERN_WIDER];

	while (policy->ntmpls) {
		struct xi_tmpl_link *link = &policy->tmpls[--policy->ntmpls];

		LIST_REMOVE(link, next);
		xi_pattern_widen(wider, &link->group->pattern);
		for (unsigned int i = XI_PATTERN_WIDER; i-- > 0;)
			group_put(m, group_find(m, &wider[i]));
		link->group = NULL;
	}
}

static void group_touch_sas(struct xi_mirror *m, const struct xi_group *group)
{
	struct xi_sa_link *link;

	LIST_FOREACH(link, &group->sas, next)
	xi_mirror_sa_touch(m, link->sa);
}

static void group_touch_policies(struct xi_mirror *m, const struct xi_group *group)
{
	struct xi_tmpl_link *link;

	LIST_FOREACH(link, &group->tmpls, next)
	xi_mirror_policy_touch(m, link->policy);
}

/* Counts, and says whether that changed anything. */
static bool keep_count(struct xi_group *group, bool itself, bool on)
{
	uint32_t before = group->keeps_inside;

	group->keeps_inside += on ? 1 : -1;
	if (itself)
		group->keeps += on ? 1 : -1;
	return !before || !group->keeps_inside || (itself && group->keeps <= 1);
}

void xi_group_keep(struct xi_mirror *m, const struct xi_pattern *p, bool on)
{
	struct xi_pattern wider[XI_PATTERN_WIDER];
	bool changed = false;

	xi_pattern_widen(wider, p);
	for (unsigned int i = 0; i < XI_PATTERN_WIDER; i++) {
		struct xi_group *group = pattern_first(wider, i) ? group_find(m, &wider[i]) : NULL;

		if (!group || !keep_count(group, !i, on))
			continue;
		changed = true;
		group_touch_policies(m, group);
		if (!i)
			group_touch_sas(m, group);
	}
	/* of what a pattern with something open takes in, the policies are not at hand */
	if (wider[0].reqid && memcmp(wider[0].daddr, anywhere, sizeof(anywhere)))
		return;
	if (pattern_half_open(p))
		m->open_keeps += on ? 1 : -1;
	if (changed)
		m->touch_policies = true;
}

void xi_group_ask(struct xi_mirror *m, const struct xi_pattern *p, bool on)
{
	struct xi_group *group = group_find(m, p);

	if (!group)
		return;
	group->policies += on ? 1 : -1;
	if (on || !group->policies)
		group_touch_sas(m, group);
}

bool xi_group_kept(const struct xi_mirror *m, const struct xi_pattern *p)
{
	struct xi_pattern wider[XI_PATTERN_WIDER];
	const struct xi_group *group;

	xi_pattern_widen(wider, p);
	for (unsigned int i = 0; i < XI_PATTERN_WIDER; i++) {
		group = group_find(m, &wider[i]);
		if (group && (i ? group->keeps : group->keeps_inside))
			return true;
	}
	return m->open_keeps && pattern_half_open(p);
}

bool xi_group_asked(const struct xi_mirror *m, const struct xi_pattern *p)
{
	struct xi_pattern wider[XI_PATTERN_WIDER];
	const struct xi_group *group;

	xi_pattern_widen(wider, p);
	for (unsigned int i = 0; i < XI_PATTERN_WIDER; i++) {
		group = group_find(m, &wider[i]);
		if (group && group->policies)
			return true;
	}
	return false;
}

bool xi_group_alone(const struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	struct xi_pattern wider[XI_PATTERN_WIDER];
	const struct xi_sa_link *first;
	const struct xi_group *group;
	const struct xi_tmpl_link *tmpl;

	xi_pattern_widen(wider, &sa->pattern);
	for (unsigned int i = 1; i < XI_PATTERN_WIDER; i++) {
		group = group_find(m, &wider[i]);
		if (pattern_first(wider, i) && group && !LIST_EMPTY(&group->tmpls))
			return false;
	}
	group = group_find(m, &sa->pattern);
	first = group ? LIST_FIRST(&group->sas) : NULL;
	if (!first || LIST_NEXT(first, next) || pattern_half_open(&sa->pattern))
		return false;
	LIST_FOREACH(tmpl, &group->tmpls, next)
	{
		if (tmpl->policy->ntmpls > 1)
			return false;
	}
	return group->policies;
}
