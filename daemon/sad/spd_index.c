/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Searching: in order of first ranks, so that what can only be worse is not looked at. */
#include "sad/spd_index_priv.h"

#include <string.h>

#include "sad/flowmask.h"

static struct xi_index_words flow_words(const struct xi_flow *flow)
{
	struct xi_index_words words;

	memcpy(words.w, flow->saddr, 16);
	memcpy(words.w + 2, flow->daddr, 16);
	words.w[4] = xi_index_word_of(flow->mark, flow->if_id);
	return words;
}

static bool tuple_sees(const struct xi_index_tuple *tuple, const struct xi_flow *flow)
{
	return tuple->family == flow->family || tuple->family == XI_FAMILY_NONE;
}

static bool rule_matches(const struct xi_index_rule *rule, const struct xi_flow *flow)
{
	return (!rule->proto || rule->proto == flow->proto) &&
	       !((flow->sport ^ rule->sport) & rule->sport_mask) &&
	       !((flow->dport ^ rule->dport) & rule->dport_mask) &&
	       !(flow->fragment && (rule->sport_mask | rule->dport_mask));
}

static bool rank_lives(const struct xi_spd_policy *const *policies, uint32_t rank)
{
	return !policies[rank]->policy.sel.ifindex;
}

/* The first of the node's that matches and is below best; else best. */
static uint32_t node_find(const struct xi_spd_index *ix,
			  const struct xi_spd_policy *const *policies,
			  const struct xi_index_node *node, const struct xi_flow *flow,
			  uint32_t best)
{
	const struct xi_index_rule *rule = &ix->rules[node->rule];
	uint32_t i;

	for (i = 0; !node->nshapes && i < node->nrules && rule[i].rank < best; i++)
		if (rule_matches(&rule[i], flow) && rank_lives(policies, rule[i].rank))
			return rule[i].rank;
	for (i = 0; i < node->nshapes; i++) {
		const struct xi_index_shape *shape = &ix->shapes[node->shape + i];

		if (shape->first >= best)
			break;
		if (flow->fragment && (shape->sport_mask | shape->dport_mask))
			continue;
		rule = xi_index_rule(ix, node, i, shape->proto ? flow->proto : 0,
				     flow->sport & shape->sport_mask,
				     flow->dport & shape->dport_mask);
		while (rule && rule->rank < best && !rank_lives(policies, rule->rank))
			rule = rule->next == XI_INDEX_NONE ? NULL : &ix->rules[rule->next];
		if (rule && rule->rank < best)
			best = rule->rank;
	}
	return best;
}

uint32_t xi_spd_index_find(const struct xi_spd_index *ix,
			   const struct xi_spd_policy *const *policies, const struct xi_flow *flow)
{
	struct xi_index_words words = flow_words(flow);
	uint32_t best = XI_NO_RANK, t;

	for (t = 0; ix && t < ix->ntuples && ix->tuples[t].first < best; t++) {
		const struct xi_index_tuple *tuple = &ix->tuples[t];
		struct xi_index_words masked = xi_index_masked(tuple, &words);
		const struct xi_index_node *node;

		if (!tuple_sees(tuple, flow))
			continue;
		node = xi_index_node(ix, t, &masked);
		if (node && node->first < best)
			best = node_find(ix, policies, node, flow, best);
	}
	return best;
}

uint32_t xi_spd_index_rank(const struct xi_spd_index *ix, uint32_t priority, uint64_t order)
{
	uint32_t low = 0, high = ix ? ix->nplaces : 0, mid;

	while (low < high) {
		const struct xi_index_place *place;

		mid = low + (high - low) / 2;
		place = &ix->places[mid];
		if (place->priority < priority ||
		    (place->priority == priority && place->order < order))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Bits that two prefixes have in common. */
static unsigned int prefix_common(const struct xi_index_prefix *a, const struct xi_index_prefix *b)
{
	if (a->hi != b->hi)
		return __builtin_clzll(a->hi ^ b->hi);
	return a->lo != b->lo ? 64 + __builtin_clzll(a->lo ^ b->lo) : 128;
}

static bool prefix_below(const struct xi_index_prefix *a, const struct xi_index_prefix *b)
{
	return a->hi != b->hi ? a->hi < b->hi : a->lo < b->lo;
}

/*
 * How many bits tell p from each of n ascending prefixes of its length? Its neighbours have most in
 * common with it. 0: it is one of them.
 */
static unsigned int prefixes_told(const struct xi_index_prefix *set, uint32_t n,
				  const struct xi_index_prefix *p)
{
	uint32_t low = 0, high = n, mid;
	unsigned int common = 0, after;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (prefix_below(&set[mid], p))
			low = mid + 1;
		else
			high = mid;
	}
	if (low > 0)
		common = prefix_common(&set[low - 1], p);
	after = low < n ? prefix_common(&set[low], p) : 0;
	if (after == 128)
		return 0;
	return (common > after ? common : after) + 1;
}

/* Bits of a 16-bit value that tell it from all others of its protocol in the shape; 0: it is one. */
static unsigned int ports_told(const uint32_t *set, uint32_t n, uint32_t value)
{
	uint32_t low = 0, high = n, mid;
	unsigned int told = 0, bits;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (set[mid] < value)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < n && set[low] == value)
		return 0;
	if (low > 0 && set[low - 1] >> 16 == value >> 16)
		told = __builtin_clz(set[low - 1] ^ value) - 15;
	if (low < n && set[low] >> 16 == value >> 16) {
		bits = __builtin_clz(set[low] ^ value) - 15;
		told = told > bits ? told : bits;
	}
	return told;
}

static bool ports_have_proto(const uint32_t *set, uint32_t n, uint32_t proto)
{
	uint32_t low = 0, high = n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (set[mid] < proto << 16)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && set[low] >> 16 == proto;
}

/* What matches in the shape, if anything does, does not count. */
static void shape_rule_out(const struct xi_spd_index *ix, const struct xi_index_shape *shape,
			   const struct xi_flow *flow, struct xi_flow_mask *m)
{
	const uint32_t *set = &ix->ports[shape->port];
	uint32_t proto = shape->proto ? flow->proto : 0;
	uint16_t mask = shape->dport_mask ? shape->dport_mask : shape->sport_mask;
	uint16_t value = (shape->dport_mask ? flow->dport : flow->sport) & mask, looked;
	unsigned int told;

	if (shape->proto) {
		m->proto = 0xff;
		if (!ports_have_proto(set, shape->nports, proto))
			return;
	}
	if (!mask)
		return;
	if (flow->fragment) {
		m->fragment = 1;
		return;
	}
	told = ports_told(set, shape->nports, proto << 16 | value);
	if (!told) {
		m->sport |= shape->sport_mask;
		m->dport |= shape->dport_mask;
		return;
	}
	looked = (uint16_t)(0xffff0000U >> xi_flowmask_step(told, 16)) & mask;
	if (shape->dport_mask)
		m->dport |= looked;
	else
		m->sport |= looked;
}

static void node_rule_out(const struct xi_spd_index *ix, const struct xi_index_node *node,
			  const struct xi_flow *flow, uint32_t rank, struct xi_flow_mask *m)
{
	const struct xi_index_rule *rule = &ix->rules[node->rule];
	uint32_t i;

	for (i = 0; !node->nshapes && i < node->nrules && rule[i].rank < rank; i++) {
		const struct xi_selector sel = {
			.sport = rule[i].sport,
			.sport_mask = rule[i].sport_mask,
			.dport = rule[i].dport,
			.dport_mask = rule[i].dport_mask,
			.proto = rule[i].proto,
		};

		xi_flowmask_rule_out(m, &sel, flow);
	}
	for (i = 0; i < node->nshapes; i++) {
		const struct xi_index_shape *shape = &ix->shapes[node->shape + i];

		if (shape->first >= rank)
			break;
		shape_rule_out(ix, shape, flow, m);
	}
}

/*
 * None of the tuple's pairs of prefixes is the flow's, or none with its mark and if_id, which are looked at
 * anyhow: the mask holds for flows that agree in them. Either address alone may tell, in a few bits;
 * if both occur in other pairs, only all bits do.
 */
static void tuple_rule_out(const struct xi_spd_index *ix, const struct xi_index_tuple *t,
			   const struct xi_index_words *masked, struct xi_flow_mask *m)
{
	struct xi_index_prefix src = xi_index_prefix_of(masked, false);
	struct xi_index_prefix dst = xi_index_prefix_of(masked, true);
	unsigned int s, d;

	if (m->prefixlen_s >= t->prefixlen_s && m->prefixlen_d >= t->prefixlen_d)
		return;
	s = prefixes_told(&ix->prefixes[t->src], t->nsrc, &src);
	d = prefixes_told(&ix->prefixes[t->dst], t->ndst, &dst);
	if ((s && s <= m->prefixlen_s) || (d && d <= m->prefixlen_d))
		return;
	if (!s && !d) {
		xi_flowmask_take_prefixes(m, t->prefixlen_s, t->prefixlen_d);
		return;
	}
	s = s ? xi_flowmask_step(s, t->prefixlen_s) : 0;
	d = d ? xi_flowmask_step(d, t->prefixlen_d) : 0;
	if (d && (!s || d - m->prefixlen_d <= s - m->prefixlen_s))
		m->prefixlen_d = d;
	else
		m->prefixlen_s = s;
}

void xi_spd_index_mask(const struct xi_spd_index *ix, const struct xi_flow *flow, uint32_t rank,
		       struct xi_flow_mask *m)
{
	struct xi_index_words words = flow_words(flow);
	uint32_t t;

	for (t = 0; ix && t < ix->ntuples && ix->tuples[t].first < rank; t++) {
		const struct xi_index_tuple *tuple = &ix->tuples[t];
		struct xi_index_words masked = xi_index_masked(tuple, &words);
		const struct xi_index_node *node;

		if (!tuple_sees(tuple, flow))
			continue;
		node = xi_index_node(ix, t, &masked);
		if (!node) {
			tuple_rule_out(ix, tuple, &masked, m);
			continue;
		}
		xi_flowmask_take_prefixes(m, tuple->prefixlen_s, tuple->prefixlen_d);
		if (node->first < rank)
			node_rule_out(ix, node, flow, rank, m);
	}
}

uint32_t xi_spd_index_doubt(const struct xi_spd_index *ix,
			    const struct xi_spd_policy *const *policies, const struct xi_flow *flow)
{
	return ix ? xi_spd_index_find(ix->doubts, policies, flow) : XI_NO_RANK;
}

void xi_spd_index_doubt_mask(const struct xi_spd_index *ix, const struct xi_flow *flow,
			     uint32_t rank, struct xi_flow_mask *mask)
{
	if (ix)
		xi_spd_index_mask(ix->doubts, flow, rank, mask);
}

bool xi_spd_index_doubts(const struct xi_spd_index *ix)
{
	return ix && ix->doubts;
}
