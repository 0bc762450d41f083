/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A model of the SAD and the SPD that follows the rules over everything there is, and what compares them. */
#ifndef XI_TEST_SPD_MODEL_H
#define XI_TEST_SPD_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "mem_store.h"
#include "sad/spd_priv.h"

#define LOCAL "192.0.2.1"
#define MODEL_SAS 256
#define MODEL_POLICIES 400
#define FLOWS 150

struct model_sa {
	struct xi_sa sa;
	uint32_t sa_index;           /* 0: none */
	uint64_t born;
	bool chosen_before;          /* by some policy, or by its pair */
	bool pair_chooses;           /* when that last mattered */
};

struct model_policy {
	bool used;
	struct xi_policy policy;
	uint64_t order;
};

/* A flow and the verdict that XDP would go by. */
struct cached {
	struct xi_flow flow;
	bool filled;
	struct xi_flow_verdict verdict;
};

struct spd_model {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	uint64_t clock, order;
	bool disturbing;
	struct model_sa sas[MODEL_SAS];
	struct model_policy policies[MODEL_POLICIES];
	struct cached cached[FLOWS];
};

extern uint64_t model_seed;

uint32_t rnd(uint32_t n);
void model_sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new);
void model_sas_sync(void *arg);
enum xi_family small_addr(uint8_t out[16], uint32_t net, uint32_t host);
struct xi_policy model_random_policy(void);
struct xi_sa model_random_sa(uint32_t i);
bool prefixes_meet(const uint8_t *a, unsigned int alen, const uint8_t *b, unsigned int blen);
/* The addresses of template t's SAs, as far as p tells them. */
bool ends_told(const struct xi_policy *p, uint32_t t, uint8_t src[16], uint8_t dst[16]);
/* The newest SAs that fit, all of them: at most XI_POLICY_SAS. */
uint32_t naive_list(const struct spd_model *f, const struct xi_policy *p, uint32_t t,
		    uint32_t list[XI_POLICY_SAS]);
const struct model_sa *sa_of(const struct spd_model *f, uint32_t sa_index);
struct xi_flow_verdict naive_verdict(const struct spd_model *f, const struct xi_flow *fl);
/* In transport mode: no newer one of the pair and of the same reqid takes all its flows. */
bool pair_chooses(const struct spd_model *f, const struct model_sa *m);
/*
 * loosely: what was chosen in the middle of a round only, and is marked for it, does no harm.
 */
void compare_superseded(struct spd_model *f, bool loosely);
/* Every policy that sees flows is in one segment, in order, with the SAs that it should list. */
void compare_lists(struct spd_model *f);
/*
 * What is judged is what the rules say; and a verdict from before that XDP would still go by is one
 * that would be given now (invariant cache-coherent).
 */
void compare_flows(struct spd_model *f);
void compare_store(struct spd_model *f);

#endif
