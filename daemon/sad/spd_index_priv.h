/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the index lies in memory; for the files that build and search it. */
#ifndef XI_SPD_INDEX_PRIV_H
#define XI_SPD_INDEX_PRIV_H

#include "sad/spd_index.h"

#define XI_INDEX_WALK 8      /* rules of a node that are walked through */
#define XI_INDEX_NONE UINT32_MAX

/* In host order, the first bit on top. */
struct xi_index_prefix {
	uint64_t hi, lo;
};

/* A pair of prefix lengths, and a mask of marks. */
struct xi_index_tuple {
	uint64_t masks[5];           /* of both addresses, in network order; of the mark and if_id */
	enum xi_family family;
	uint32_t mark_m;
	uint8_t prefixlen_s, prefixlen_d;
	uint32_t first;              /* rank of its first policy: tuples are in this order */
	uint32_t src, nsrc, dst, ndst; /* in prefixes: those that occur, ascending */
};

/* A pair of prefixes, with mark and if_id. */
struct xi_index_node {
	uint64_t words[5];
	uint32_t hash, tuple;
	uint32_t first;
	uint32_t rule, nrules;       /* ascending rank */
	uint32_t shape, nshapes;     /* 0: rules are walked through; else by first rank */
};

/* Protocol and ports of a policy. */
struct xi_index_rule {
	uint32_t rank;
	uint16_t sport, sport_mask, dport, dport_mask;
	uint8_t proto;               /* 0: any */
	uint32_t shape;              /* of its node's */
	uint32_t next;               /* with shapes: the next that differs in rank alone; XI_INDEX_NONE: none */
	uint32_t last;               /* of the first of such: the last */
};

/* A way to look at protocol and ports. */
struct xi_index_shape {
	uint32_t first;
	uint16_t sport_mask, dport_mask;
	bool proto;
	uint32_t port, nports;       /* in ports: protocol, and one of the ports below it; ascending */
};

struct xi_index_slot {
	uint32_t hash;
	uint32_t at;                 /* XI_INDEX_NONE: free */
};

/* A policy's place in the order. */
struct xi_index_place {
	uint64_t order;
	uint32_t priority;
};

struct xi_index_hash {
	struct xi_index_slot *slots;
	uint32_t mask;
};

struct xi_spd_index {
	struct xi_index_tuple *tuples;
	struct xi_index_node *nodes;
	struct xi_index_rule *rules;
	struct xi_index_shape *shapes;
	struct xi_index_prefix *prefixes;
	uint32_t *ports;
	struct xi_index_place *places; /* by rank; NULL in doubts */
	uint32_t ntuples, nnodes, nrules, nshapes, nports, nplaces;
	struct xi_index_hash by_prefix; /* nodes */
	struct xi_index_hash by_port;   /* rules of nodes with shapes */
	struct xi_spd_index *doubts; /* NULL: none */
};

/* Addresses, source first; then the mark with the if_id above it, which are 0 in most. */
struct xi_index_words {
	uint64_t w[5];
};

static inline uint64_t xi_index_word_of(uint32_t mark, uint32_t if_id)
{
	return (uint64_t)if_id << 32 | mark;
}

static inline uint64_t xi_index_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

static inline uint32_t xi_index_hash_words(uint32_t tuple, const struct xi_index_words *words)
{
	uint64_t h = xi_index_mix(tuple, words->w[0]);

	h = xi_index_mix(h, words->w[2]);
	if (words->w[1] | words->w[3])
		h = xi_index_mix(h, words->w[1] ^ (words->w[3] << 32 | words->w[3] >> 32));
	if (words->w[4])
		h = xi_index_mix(h, words->w[4]);
	return h >> 32;
}

static inline uint32_t xi_index_hash_rule(uint32_t node, uint32_t shape, uint32_t proto,
					  uint16_t sport, uint16_t dport)
{
	uint64_t h = xi_index_mix((uint64_t)node << 16 | shape,
				  (uint64_t)proto << 32 | (uint32_t)sport << 16 | dport);

	return xi_index_mix(h, 0) >> 32;
}

static inline struct xi_index_words xi_index_masked(const struct xi_index_tuple *tuple,
						    const struct xi_index_words *words)
{
	return (struct xi_index_words){{
		words->w[0] & tuple->masks[0],
		words->w[1] & tuple->masks[1],
		words->w[2] & tuple->masks[2],
		words->w[3] & tuple->masks[3],
		words->w[4] & tuple->masks[4],
	}};
}

static inline struct xi_index_prefix xi_index_prefix_of(const struct xi_index_words *words, bool dst)
{
	return (struct xi_index_prefix){
		__builtin_bswap64(words->w[2 * dst]),
		__builtin_bswap64(words->w[2 * dst + 1]),
	};
}

/* The node of these words, already masked by the tuple; NULL: there is none. */
static inline const struct xi_index_node *xi_index_node(const struct xi_spd_index *ix, uint32_t tuple,
							const struct xi_index_words *words)
{
	uint32_t hash = xi_index_hash_words(tuple, words), i;
	const struct xi_index_slot *slot;

	for (i = hash;; i++) {
		const struct xi_index_node *node;

		slot = &ix->by_prefix.slots[i & ix->by_prefix.mask];
		if (slot->at == XI_INDEX_NONE)
			return NULL;
		if (slot->hash != hash)
			continue;
		node = &ix->nodes[slot->at];
		if (node->tuple == tuple && !__builtin_memcmp(node->words, words, sizeof(*words)))
			return node;
	}
}

/* The rule of a node's shape for these values, masked; NULL: there is none. */
static inline const struct xi_index_rule *xi_index_rule(const struct xi_spd_index *ix,
							const struct xi_index_node *node, uint32_t shape,
							uint32_t proto, uint16_t sport, uint16_t dport)
{
	uint32_t hash = xi_index_hash_rule(node - ix->nodes, shape, proto, sport, dport), i;

	for (i = hash;; i++) {
		const struct xi_index_slot *slot = &ix->by_port.slots[i & ix->by_port.mask];
		const struct xi_index_rule *rule;

		if (slot->at == XI_INDEX_NONE)
			return NULL;
		if (slot->hash != hash || slot->at - node->rule >= node->nrules)
			continue;
		rule = &ix->rules[slot->at];
		if (rule->shape == shape && rule->proto == proto && rule->sport == sport &&
		    rule->dport == dport)
			return rule;
	}
}

#endif
