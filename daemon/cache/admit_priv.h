/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the admission policies share: a table of the SAs they remember, and what makes a policy.
 *
 * A policy's own state begins with struct xi_admit. The table has a fixed number of nodes, named by number; nodes of
 * SAs that are remembered without being resident (ghosts) are in it as well.
 */
#ifndef XI_ADMIT_PRIV_H
#define XI_ADMIT_PRIV_H

#include <stdbool.h>
#include <stddef.h>

#include "cache/admit.h"

#define XI_ADMIT_NONE UINT32_MAX
#define XI_ADMIT_LOOKS 8             /* uses() calls of one miss, at most */

struct xi_admit_node {
	uint32_t sa_index;
	uint32_t chain;              /* next of the same bucket, or of the free nodes */
	union {
		struct {
			uint32_t prev, next; /* in a list */
		};
		struct {
			uint32_t used, looked; /* ticks: last use known of, last asked for uses */
		};
	};
	uint32_t epoch;              /* of count */
	uint8_t count;
	union {
		uint8_t list;
		uint8_t class;
	};
	bool resident;
};

/* Newest at the head. */
struct xi_admit_list {
	uint32_t head, tail;
	uint32_t len;
};

struct xi_admit_table {
	struct xi_admit_node *nodes;
	uint32_t *buckets;
	uint32_t n;
	uint32_t free;
	unsigned int shift;
	uint64_t seed[2];            /* secret, so that nobody can choose SAs that collide */
};

struct xi_admit_ops {
	const char *name;
	size_t size;                 /* of the policy's state, which begins with struct xi_admit */
	uint32_t nodes_per_sa;       /* nodes of the table: that many times the capacity */
	/* The state is zeroed, the table is there. 0 or -errno; fini is called in any case. */
	int (*init)(struct xi_admit *admit);
	void (*fini)(struct xi_admit *admit);
	/* node: the SA's, which is then a ghost, or XI_ADMIT_NONE. */
	void (*miss)(struct xi_admit *admit, uint32_t node, uint32_t sa_index, uint32_t weight,
		     struct xi_admission *out);
	/* Out of the policy's lists; the node is freed afterwards. NULL: nothing to do. */
	void (*remove)(struct xi_admit *admit, uint32_t node);
};

struct xi_admit {
	const struct xi_admit_ops *ops;
	struct xi_admit_config config;
	struct xi_admit_table table;
	uint32_t resident;
};

extern const struct xi_admit_ops xi_admit_rate;
extern const struct xi_admit_ops xi_admit_lru;

/* As xi_admit_create, of a policy that need not be in the list; config->policy is not read. */
int xi_admit_create_ops(struct xi_admit **out, const struct xi_admit_config *config,
			const struct xi_admit_ops *ops);

/* 0, -errno of getrandom(2). */
int xi_admit_random(void *to, size_t len);

/* Upper bits of a keyed mixture: SAs in a row, as the SAD numbers them, must not collide more often than others. */
static inline uint32_t xi_admit_hash(const uint64_t seed[2], uint32_t x, unsigned int shift)
{
	uint64_t h = (seed[0] ^ x) * 0x9e3779b97f4a7c15ULL;

	h = ((h ^ (h >> 32)) + seed[1]) * 0xd6e8feb86659fd93ULL;
	return (uint32_t)((h ^ (h >> 32)) * 0x9e3779b97f4a7c15ULL >> shift);
}

/* A node for an SA that has none. The caller sees to it that one is free. */
uint32_t xi_admit_add(struct xi_admit *admit, uint32_t sa_index);
void xi_admit_del(struct xi_admit *admit, uint32_t node);

void xi_admit_push(struct xi_admit *admit, struct xi_admit_list *list, uint32_t node);
void xi_admit_unlink(struct xi_admit *admit, struct xi_admit_list *list, uint32_t node);
#define XI_ADMIT_LIST ((struct xi_admit_list){ XI_ADMIT_NONE, XI_ADMIT_NONE, 0 })

static inline struct xi_admit_node *xi_admit_node(struct xi_admit *admit, uint32_t node)
{
	return &admit->table.nodes[node];
}

static inline uint32_t xi_admit_uses(struct xi_admit *admit, uint32_t node)
{
	return admit->config.uses(admit->config.arg, admit->table.nodes[node].sa_index);
}

/* The node is resident, in place of the victim if there is one. */
static inline void xi_admit_admit(struct xi_admit *admit, uint32_t node)
{
	admit->table.nodes[node].resident = true;
	admit->resident++;
}

static inline void xi_admit_evict(struct xi_admit *admit, uint32_t node, struct xi_admission *out)
{
	admit->table.nodes[node].resident = false;
	admit->resident--;
	out->verdict = XI_ADMIT_EVICT;
	out->victim = admit->table.nodes[node].sa_index;
}

#endif
