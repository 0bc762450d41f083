/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How snapshots come cheap: what is large and did not change is shared with the one before. With n
 * policies a new one costs the few that are recent, and whenever that adds up to n, all are put
 * together again: about the root of n for each that comes alone, less in rounds.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sad/spd_index.h"

#define MAIN 0
#define RECENT 1
#define RECENT_MIN 64            /* no fewer than these before they join the others */

struct xi_spd_part {
	uint32_t refs;
	void *mem;                   /* released with it */
	void (*release)(void *mem);
	struct xi_spd_part *index;   /* what a segment is looked up by */
	struct xi_spd_segment segment;
};

/* No flow has a device. */
static const struct xi_spd_policy dead = {.policy = {.sel = {.ifindex = UINT32_MAX}}};

struct xi_spd_part *xi_part_new(void *mem)
{
	struct xi_spd_part *part = calloc(1, sizeof(*part));

	if (part) {
		part->refs = 1;
		part->mem = mem;
		part->release = free;
	} else {
		free(mem);
	}
	return part;
}

struct xi_spd_part *xi_part_get(struct xi_spd_part *part)
{
	if (part)
		part->refs++;
	return part;
}

void xi_part_put(struct xi_spd_part *part)
{
	if (!part || --part->refs)
		return;
	xi_part_put(part->index);
	part->release(part->mem);
	free(part);
}

const void *xi_part_mem(const struct xi_spd_part *part)
{
	return part->mem;
}

const struct xi_spd_segment *xi_part_segment(const struct xi_spd_part *part)
{
	return &part->segment;
}

bool xi_policy_is_ported(const struct xi_policy *policy)
{
	uint32_t i;

	if (!policy->sel.sport_mask && !policy->sel.dport_mask)
		return false;
	for (i = 0; i < policy->ntmpls; i++)
		if (!policy->tmpls[i].optional)
			return true;
	return policy->action == XI_BLOCK;
}

static void segment_outdated(struct xi_spd_side *side, unsigned int which)
{
	xi_part_put(side->segments[which]);
	side->segments[which] = NULL;
}

void xi_seat_take(struct xi_spd *spd, struct xi_spd_node *node)
{
	struct xi_spd_side *side = &spd->sides[node->key.dir];

	side->n++;
	node->seat = XI_SEAT_NONE;
	if (!xi_policy_sees_flows(&node->pub->p.policy))
		return;
	node->seat = XI_SEAT_RECENT;
	xi_spd_list_insert(&side->recent, node);
	segment_outdated(side, RECENT);
}

static void array_kill(struct xi_spd_array *array, uint32_t rank)
{
	array->policies[rank] = &dead;
	array->dead++;
}

void xi_seat_leave(struct xi_spd *spd, struct xi_spd_node *node)
{
	struct xi_spd_side *side = &spd->sides[node->key.dir];

	side->n--;
	if (node->seat == XI_SEAT_RECENT) {
		xi_spd_list_remove(&side->recent, node);
		segment_outdated(side, RECENT);
	} else if (node->seat == XI_SEAT_MAIN) {
		array_kill(&side->main, node->rank);
		segment_outdated(side, MAIN);
	}
	node->seat = XI_SEAT_NONE;
}

void xi_seat_renew(struct xi_spd *spd, struct xi_spd_node *node, bool was_ported)
{
	struct xi_spd_side *side = &spd->sides[node->key.dir];

	if (was_ported != xi_policy_is_ported(&node->pub->p.policy)) {
		xi_seat_leave(spd, node);
		xi_seat_take(spd, node);
	} else if (node->seat == XI_SEAT_RECENT) {
		segment_outdated(side, RECENT);
	} else if (node->seat == XI_SEAT_MAIN) {
		side->main.policies[node->rank] = &node->pub->p;
		segment_outdated(side, MAIN);
	}
}

static struct xi_spd_node *node_of(const struct xi_spd_policy *p)
{
	return ((struct xi_spd_pub *)p)->node;
}

uint32_t xi_side_list(const struct xi_spd_side *side, const struct xi_spd_policy **out)
{
	uint32_t i = 0, k = 0, n = 0;

	while (i < side->main.n || k < side->recent.n) {
		const struct xi_spd_policy *a = i < side->main.n ? side->main.policies[i] : NULL;
		const struct xi_spd_policy *b =
			k < side->recent.n ? &side->recent.nodes[k]->pub->p : NULL;

		if (a == &dead) {
			i++;
			continue;
		}
		if (a && (!b || xi_policy_before(&a->policy, &b->policy)))
			i++;
		else
			k++, a = b;
		out[n++] = a;
	}
	return n;
}

/* Seats all of them in the main segment. */
static void side_reseat(struct xi_spd_side *side)
{
	uint32_t i;

	for (i = 0; i < side->main.n; i++) {
		const struct xi_spd_policy *p = side->main.policies[i];
		struct xi_spd_node *node = node_of(p);

		node->seat = XI_SEAT_MAIN;
		node->rank = i;
	}
	side->recent.n = 0;
	side->spent = 0;
	segment_outdated(side, MAIN);
	segment_outdated(side, RECENT);
}

static void index_release(void *mem)
{
	xi_spd_index_free(mem);
}

static int index_part(struct xi_spd_side *side, struct xi_spd_part **out,
		      const struct xi_spd_policy *const *policies, uint32_t n)
{
	struct xi_spd_index *index;

	*out = NULL;
	side->indexed += n;
	if (xi_spd_index_build(&index, policies, n))
		return -ENOMEM;
	if (!index)
		return 0;
	*out = calloc(1, sizeof(**out));
	if (!*out) {
		xi_spd_index_free(index);
		return -ENOMEM;
	}
	**out = (struct xi_spd_part){.refs = 1, .mem = index, .release = index_release};
	return 0;
}

static int side_unite(struct xi_spd_side *side)
{
	uint32_t n = side->main.n - side->main.dead + side->recent.n;
	const struct xi_spd_policy **policies = calloc(n ? n : 1, sizeof(*policies));
	struct xi_spd_part *index;

	if (!policies)
		return -ENOMEM;
	xi_side_list(side, policies);
	if (index_part(side, &index, policies, n)) {
		free(policies);
		return -ENOMEM;
	}
	xi_part_put(side->index);
	side->index = index;
	free(side->main.policies);
	side->main = (struct xi_spd_array){.policies = policies, .n = n};
	side_reseat(side);
	return 0;
}

/* rows: owned by the part, as a reference to index is. */
static struct xi_spd_part *segment_part(const struct xi_spd_policy **rows, uint32_t n,
					struct xi_spd_part *index)
{
	struct xi_spd_part *part = xi_part_new(rows);

	if (!part) {
		xi_part_put(index);
		return NULL;
	}
	part->index = index;
	part->segment = (struct xi_spd_segment){
		.n = n,
		.policies = rows,
		.index = index ? index->mem : NULL,
	};
	return part;
}

static struct xi_spd_part *main_part(const struct xi_spd_side *side)
{
	uint32_t n = side->main.n;
	const struct xi_spd_policy **rows = malloc((n + 1) * sizeof(*rows));

	if (!rows)
		return NULL;
	if (n)
		memcpy(rows, side->main.policies, n * sizeof(*rows));
	return segment_part(rows, n, xi_part_get(side->index));
}

static struct xi_spd_part *recent_part(struct xi_spd_side *side)
{
	uint32_t n = side->recent.n, i;
	const struct xi_spd_policy **rows = malloc((n + 1) * sizeof(*rows));
	struct xi_spd_part *index;

	if (!rows)
		return NULL;
	for (i = 0; i < n; i++)
		rows[i] = &side->recent.nodes[i]->pub->p;
	if (index_part(side, &index, rows, n)) {
		free(rows);
		return NULL;
	}
	return segment_part(rows, n, index);
}

/* Has it come to cost as much to make the recent ones anew as to put all together? */
static bool side_is_due(const struct xi_spd_side *side)
{
	uint32_t n = side->main.n - side->main.dead;

	return (side->recent.n > RECENT_MIN && side->spent >= n + side->recent.n) ||
	       side->main.dead > RECENT_MIN + n / 2;
}

int xi_side_build(struct xi_spd_side *side)
{
	if (side_is_due(side) && side_unite(side))
		return -ENOMEM;
	if (!side->segments[MAIN])
		side->segments[MAIN] = main_part(side);
	if (!side->segments[RECENT]) {
		side->segments[RECENT] = recent_part(side);
		side->spent += side->recent.n;
	}
	return side->segments[MAIN] && side->segments[RECENT] ? 0 : -ENOMEM;
}

void xi_side_free(struct xi_spd_side *side)
{
	segment_outdated(side, MAIN);
	segment_outdated(side, RECENT);
	xi_part_put(side->index);
	free(side->main.policies);
	free(side->recent.nodes);
}
