/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A random SAD and SPD, and what they say of a flow by a walk through policies and SAs in order that compares bit
 * by bit.
 */
#ifndef XI_TEST_FLOW_WORLD_H
#define XI_TEST_FLOW_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "cache/flows.h"
#include "mem_store.h"
#include "sad/flowmask.h"
#include "sad/spd.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define POLICIES_MAX 48
#define SAS_MAX 32

struct world {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_policy policies[POLICIES_MAX]; /* in order of coming */
	unsigned int npolicies;
	struct xi_sa sas[SAS_MAX];   /* in order of coming */
	unsigned int nsas;
	uint32_t next_spi;
	struct xi_addr local[3];
};

struct answer {
	enum xi_verdict verdict;
	uint32_t handle, next_handle;
};

struct sim {
	struct world w;
	struct xi_slots slots;
	struct xi_flows flows;
	int flow_cache, flow_masks;
	struct xi_flow pool[64];     /* that come again */
	uint64_t hits, misses, stale, protected;
};

extern uint64_t flow_seed;

uint32_t pick(uint32_t n);
bool one_in(uint32_t n);
bool naive_matches(const struct xi_selector *sel, const struct xi_flow *flow, bool ports);
struct answer naive(const struct world *w, const struct xi_flow *flow);
bool same(const struct answer *a, const struct answer *b);
void random_addr(uint8_t addr[16], enum xi_family family);
uint8_t random_proto(void);
uint16_t random_port(void);
void random_ports(struct xi_selector *sel);
struct xi_selector random_selector(enum xi_family family);
/* Takes what a selector looks at from it. */
void flow_into(struct xi_flow *flow, const struct xi_selector *sel);
struct xi_flow random_flow(const struct world *w);
/* An SA that some policy may use. */
void add_random_sa(struct world *w);
void add_random_policy(struct world *w);
void world_open(struct world *w, unsigned int policies, unsigned int sas);
void world_close(struct world *w);
struct answer judge(const struct world *w, const struct xi_flow *flow, struct xi_flow_mask *mask);
/* Agrees with flow in the mask, and takes the rest from other. */
struct xi_flow blend(const struct xi_flow *flow, const struct xi_flow *other,
		     const struct xi_flow_mask *mask);
/* Are there such packets: a later fragment shows no ports, and dir says whether daddr is local. */
bool is_possible(const struct world *w, const struct xi_flow *flow);
struct xi_flow flow_near(const struct xi_selector *sel);
/* Now and then one that just misses it. */
struct xi_flow flow_beside(const struct xi_selector *sel);
/* As XDP does. */
bool sim_find(struct sim *sim, const struct xi_flow *flow, struct answer *answer);
uint32_t elements(const struct sim *sim);
/* n packets of what scan() makes, each a miss or hit: how many missed. */
uint64_t scan(struct sim *sim, uint32_t n, void (*next)(struct xi_flow *flow, uint32_t i));
void anything(struct xi_flow *flow, uint32_t i);

#endif
