/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Building: every step is linear in the number of policies, or sorts them. */
#include "sad/spd_index_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sad/selector.h"
#include "sad/spd_priv.h"

struct build {
	struct xi_spd_index *ix;
	const struct xi_spd_policy *const *policies;
	const uint32_t *ranks;       /* of those to take, ascending */
	uint32_t n;
	bool portless;               /* as if none looked at ports */
	uint32_t *node_of;           /* by place in ranks */
	struct xi_index_hash tuples;
};

static int hash_alloc(struct xi_index_hash *hash, uint32_t n)
{
	uint32_t size = 16;

	while (size < 2 * n)
		size *= 2;
	hash->slots = malloc(size * sizeof(*hash->slots));
	if (!hash->slots)
		return -ENOMEM;
	memset(hash->slots, 0xff, size * sizeof(*hash->slots));
	hash->mask = size - 1;
	return 0;
}

static void hash_put(struct xi_index_hash *hash, uint32_t value, uint32_t at)
{
	uint32_t i = value;

	while (hash->slots[i & hash->mask].at != XI_INDEX_NONE)
		i++;
	hash->slots[i & hash->mask] = (struct xi_index_slot){value, at};
}

static const struct xi_policy *build_policy(const struct build *b, uint32_t i)
{
	return &b->policies[b->ranks[i]]->policy;
}

static void tuple_masks(struct xi_index_tuple *tuple)
{
	uint8_t ones[16], masks[32];

	memset(ones, 0xff, sizeof(ones));
	xi_prefix_mask(masks, ones, tuple->prefixlen_s);
	xi_prefix_mask(masks + 16, ones, tuple->prefixlen_d);
	memcpy(tuple->masks, masks, sizeof(masks));
	tuple->masks[4] = xi_index_word_of(tuple->mark_m, UINT32_MAX);
}

static uint32_t tuple_get(struct build *b, const struct xi_policy *policy, uint32_t rank)
{
	const struct xi_selector *sel = &policy->sel;
	uint64_t key = sel->family << 16 | sel->prefixlen_s << 8 | sel->prefixlen_d;
	uint32_t hash = xi_index_mix(policy->mark_m, key) >> 32, i;
	struct xi_spd_index *ix = b->ix;
	struct xi_index_tuple *tuple;

	for (i = hash;; i++) {
		const struct xi_index_slot *slot = &b->tuples.slots[i & b->tuples.mask];

		if (slot->at == XI_INDEX_NONE)
			break;
		tuple = &ix->tuples[slot->at];
		if (tuple->family == sel->family && tuple->prefixlen_s == sel->prefixlen_s &&
		    tuple->prefixlen_d == sel->prefixlen_d && tuple->mark_m == policy->mark_m)
			return slot->at;
	}
	hash_put(&b->tuples, hash, ix->ntuples);
	tuple = &ix->tuples[ix->ntuples];
	*tuple = (struct xi_index_tuple){
		.family = sel->family,
		.prefixlen_s = sel->prefixlen_s,
		.prefixlen_d = sel->prefixlen_d,
		.mark_m = policy->mark_m,
		.first = rank,
	};
	tuple_masks(tuple);
	return ix->ntuples++;
}

static uint32_t node_get(struct build *b, uint32_t tuple, const struct xi_policy *policy,
			 uint32_t rank)
{
	struct xi_spd_index *ix = b->ix;
	const struct xi_index_node *found;
	struct xi_index_words words;
	struct xi_index_node *node;

	memcpy(words.w, policy->sel.saddr, 16);
	memcpy(words.w + 2, policy->sel.daddr, 16);
	words.w[4] = xi_index_word_of(policy->mark_v, policy->if_id);
	words = xi_index_masked(&ix->tuples[tuple], &words);
	found = xi_index_node(ix, tuple, &words);
	if (found)
		return found - ix->nodes;
	node = &ix->nodes[ix->nnodes];
	*node = (struct xi_index_node){
		.hash = xi_index_hash_words(tuple, &words),
		.tuple = tuple,
		.first = rank,
	};
	memcpy(node->words, words.w, sizeof(node->words));
	hash_put(&ix->by_prefix, node->hash, ix->nnodes);
	return ix->nnodes++;
}

static void rule_fill(struct xi_index_rule *rule, const struct xi_selector *sel, uint32_t rank,
		      bool portless)
{
	*rule = (struct xi_index_rule){.rank = rank, .proto = sel->proto};
	if (portless)
		return;
	rule->sport_mask = sel->sport_mask;
	rule->dport_mask = sel->dport_mask;
	rule->sport = sel->sport & sel->sport_mask;
	rule->dport = sel->dport & sel->dport_mask;
}

/* Nodes in order of first rank; rules by node, of each in order of rank. Devices match no flow. */
static void build_rules(struct build *b)
{
	struct xi_spd_index *ix = b->ix;
	uint32_t i, at = 0;

	for (i = 0; i < b->n; i++) {
		const struct xi_policy *policy = build_policy(b, i);
		uint32_t rank = b->ranks[i];

		b->node_of[i] = XI_INDEX_NONE;
		if (policy->sel.ifindex)
			continue;
		b->node_of[i] = node_get(b, tuple_get(b, policy, rank), policy, rank);
		ix->nodes[b->node_of[i]].nrules++;
	}
	for (i = 0; i < ix->nnodes; i++) {
		ix->nodes[i].rule = at;
		at += ix->nodes[i].nrules;
		ix->nodes[i].nrules = 0;
	}
	for (i = 0; i < b->n; i++) {
		struct xi_index_node *node;

		if (b->node_of[i] == XI_INDEX_NONE)
			continue;
		node = &ix->nodes[b->node_of[i]];
		rule_fill(&ix->rules[node->rule + node->nrules++], &build_policy(b, i)->sel,
			  b->ranks[i], b->portless);
	}
	ix->nrules = at;
}

static bool shape_is(const struct xi_index_shape *shape, const struct xi_index_rule *rule)
{
	return shape->sport_mask == rule->sport_mask && shape->dport_mask == rule->dport_mask &&
	       shape->proto == (rule->proto != 0);
}

static void node_shapes(struct xi_spd_index *ix, struct xi_index_node *node)
{
	uint32_t i, s;

	node->shape = ix->nshapes;
	for (i = node->rule; i < node->rule + node->nrules; i++) {
		struct xi_index_rule *rule = &ix->rules[i];
		struct xi_index_shape *shapes = &ix->shapes[node->shape];

		for (s = 0; s < node->nshapes && !shape_is(&shapes[s], rule); s++)
			;
		if (s == node->nshapes) {
			shapes[s] = (struct xi_index_shape){
				.first = rule->rank,
				.sport_mask = rule->sport_mask,
				.dport_mask = rule->dport_mask,
				.proto = rule->proto,
			};
			node->nshapes++;
			ix->nshapes++;
		}
		rule->shape = s;
		shapes[s].nports++;
	}
}

/* Rules that differ in rank alone are found by the first of them. */
static void node_ports(struct xi_spd_index *ix, const struct xi_index_node *node)
{
	struct xi_index_shape *shapes = &ix->shapes[node->shape];
	uint32_t i;

	for (i = 0; i < node->nshapes; i++) {
		shapes[i].port = ix->nports;
		ix->nports += shapes[i].nports;
		shapes[i].nports = 0;
	}
	for (i = node->rule; i < node->rule + node->nrules; i++) {
		struct xi_index_rule *rule = &ix->rules[i], *first;
		struct xi_index_shape *shape = &shapes[rule->shape];
		uint16_t port = rule->dport_mask ? rule->dport : rule->sport;

		rule->next = XI_INDEX_NONE;
		rule->last = i;
		first = (struct xi_index_rule *)xi_index_rule(ix, node, rule->shape, rule->proto,
							      rule->sport, rule->dport);
		if (first) {
			ix->rules[first->last].next = i;
			first->last = i;
			continue;
		}
		ix->ports[shape->port + shape->nports++] = (uint32_t)rule->proto << 16 | port;
		hash_put(&ix->by_port,
			 xi_index_hash_rule(node - ix->nodes, rule->shape, rule->proto, rule->sport,
					    rule->dport),
			 i);
	}
}

static int port_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int build_shapes(struct xi_spd_index *ix)
{
	uint32_t i, n = 0;

	for (i = 0; i < ix->nnodes; i++)
		if (ix->nodes[i].nrules > XI_INDEX_WALK)
			n += ix->nodes[i].nrules;
	ix->shapes = malloc((n + 1) * sizeof(*ix->shapes));
	ix->ports = malloc((n + 1) * sizeof(*ix->ports));
	if (!ix->shapes || !ix->ports || hash_alloc(&ix->by_port, n))
		return -ENOMEM;
	for (i = 0; i < ix->nnodes; i++) {
		struct xi_index_node *node = &ix->nodes[i];

		if (node->nrules <= XI_INDEX_WALK)
			continue;
		node_shapes(ix, node);
		node_ports(ix, node);
	}
	for (i = 0; i < ix->nshapes; i++)
		qsort(&ix->ports[ix->shapes[i].port], ix->shapes[i].nports, sizeof(*ix->ports),
		      port_cmp);
	return 0;
}

static int prefix_cmp(const void *a, const void *b)
{
	const struct xi_index_prefix *x = a, *y = b;

	if (x->hi != y->hi)
		return x->hi < y->hi ? -1 : 1;
	return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Ascending, each once: how many are left. */
static uint32_t prefixes_sort(struct xi_index_prefix *set, uint32_t n)
{
	uint32_t i, left = 1;

	qsort(set, n, sizeof(*set), prefix_cmp);
	for (i = 1; i < n; i++)
		if (prefix_cmp(&set[left - 1], &set[i]))
			set[left++] = set[i];
	return left;
}

static int build_prefixes(struct xi_spd_index *ix)
{
	uint32_t i, at = 0;

	ix->prefixes = malloc(2 * (size_t)ix->nnodes * sizeof(*ix->prefixes));
	if (ix->nnodes && !ix->prefixes)
		return -ENOMEM;
	for (i = 0; i < ix->nnodes; i++)
		ix->tuples[ix->nodes[i].tuple].nsrc++;
	for (i = 0; i < ix->ntuples; i++) {
		struct xi_index_tuple *tuple = &ix->tuples[i];

		tuple->src = at;
		tuple->dst = at + tuple->nsrc;
		at += 2 * tuple->nsrc;
		tuple->nsrc = 0;
	}
	for (i = 0; i < ix->nnodes; i++) {
		struct xi_index_tuple *tuple = &ix->tuples[ix->nodes[i].tuple];
		struct xi_index_words words;

		memcpy(words.w, ix->nodes[i].words, sizeof(words));
		ix->prefixes[tuple->src + tuple->nsrc++] = xi_index_prefix_of(&words, false);
		ix->prefixes[tuple->dst + tuple->ndst++] = xi_index_prefix_of(&words, true);
	}
	for (i = 0; i < ix->ntuples; i++) {
		struct xi_index_tuple *tuple = &ix->tuples[i];

		tuple->nsrc = prefixes_sort(&ix->prefixes[tuple->src], tuple->nsrc);
		tuple->ndst = prefixes_sort(&ix->prefixes[tuple->dst], tuple->ndst);
	}
	return 0;
}

static int build_all(struct build *b)
{
	struct xi_spd_index *ix = b->ix;
	int err;

	ix->tuples = malloc(b->n * sizeof(*ix->tuples));
	ix->nodes = malloc(b->n * sizeof(*ix->nodes));
	ix->rules = malloc(b->n * sizeof(*ix->rules));
	if (!ix->tuples || !ix->nodes || !ix->rules || hash_alloc(&ix->by_prefix, b->n))
		return -ENOMEM;
	build_rules(b);
	err = build_shapes(ix);
	return err ? err : build_prefixes(ix);
}

static int index_build(struct xi_spd_index **out, const struct xi_spd_policy *const *policies,
		       const uint32_t *ranks, uint32_t n, bool portless)
{
	struct build b = {.policies = policies, .ranks = ranks, .n = n, .portless = portless};
	int err = -ENOMEM;

	b.ix = calloc(1, sizeof(*b.ix));
	b.node_of = malloc(n * sizeof(*b.node_of));
	if (b.ix && b.node_of && !hash_alloc(&b.tuples, n))
		err = build_all(&b);
	free(b.node_of);
	free(b.tuples.slots);
	if (err)
		xi_spd_index_free(b.ix);
	else
		*out = b.ix;
	return err;
}

static int build_places(struct xi_spd_index *ix, const struct xi_spd_policy *const *policies,
			uint32_t n)
{
	uint32_t i;

	ix->places = malloc(n * sizeof(*ix->places));
	if (!ix->places)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		ix->places[i] = (struct xi_index_place){
			.order = policies[i]->policy.order,
			.priority = policies[i]->policy.priority,
		};
	ix->nplaces = n;
	return 0;
}

int xi_spd_index_build(struct xi_spd_index **out, const struct xi_spd_policy *const *policies,
		       uint32_t n)
{
	uint32_t *ranks, i, ndoubts = 0;
	int err;

	*out = NULL;
	if (!n)
		return 0;
	ranks = malloc(n * sizeof(*ranks));
	if (!ranks)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		ranks[i] = i;
	err = index_build(out, policies, ranks, n, false);
	for (i = 0; i < n; i++)
		if (xi_policy_is_ported(&policies[i]->policy))
			ranks[ndoubts++] = i;
	if (!err)
		err = build_places(*out, policies, n);
	if (!err && ndoubts)
		err = index_build(&(*out)->doubts, policies, ranks, ndoubts, true);
	if (err) {
		xi_spd_index_free(*out);
		*out = NULL;
	}
	free(ranks);
	return err;
}

void xi_spd_index_free(struct xi_spd_index *ix)
{
	if (!ix)
		return;
	xi_spd_index_free(ix->doubts);
	free(ix->places);
	free(ix->tuples);
	free(ix->nodes);
	free(ix->rules);
	free(ix->shapes);
	free(ix->prefixes);
	free(ix->ports);
	free(ix->by_prefix.slots);
	free(ix->by_port.slots);
	free(ix);
}
