/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of daemon/sad/ share about the SPD. Nobody else includes this. */
#ifndef XI_SPD_PRIV_H
#define XI_SPD_PRIV_H

#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu-qsbr.h>
#include <uthash.h>

#include "sad/spd.h"

/* Those of the SAs listed for a template that some flow gets. */
struct xi_spd_choices {
	uint32_t n;
	uint32_t sas[XI_POLICY_SAS];
};

/* As a snapshot holds it; freed when no snapshot does. */
struct xi_spd_pub {
	struct xi_spd_policy p;      /* first: snapshots point here */
	struct xi_spd_choices choices[XI_PATH_MAX]; /* of each template */
	struct xi_spd_pub *next;     /* garbage */
};

struct xi_spd_key {
	struct xi_selector sel;
	enum xi_dir dir;
	uint32_t type, mark_v, mark_m, if_id;
};

struct xi_spd_node {
	struct xi_spd_key key;
	struct xi_spd_pub *pub;
	uint64_t order;              /* among equal priorities */
	UT_hash_handle hh;
};

struct xi_spd_list {
	struct xi_spd_node **nodes;
	uint32_t n, room;
};

/* How many policies have this SA as the choice for some flow. */
struct xi_spd_choice {
	uint32_t sa_index;
	uint32_t policies;
};

struct xi_guard {
	struct xi_guard_key key;
	uint32_t policies;
	uint32_t stored;             /* what the store has; 0: it may have it not */
	UT_hash_handle hh;
};

struct xi_mask {
	struct xi_guard_mask mask;
	uint32_t guards;
	uint32_t row;                /* in the store's table; XI_NO_SLOT: that is full */
};

struct xi_guards {
	struct xi_guard *guards;
	struct xi_mask *masks;
	uint32_t nmasks, room;
	struct xi_guard_mask stored[XI_MAX_MASKS];
};

struct xi_spd {
	struct xi_sad *sad;
	struct xi_store store;
	struct xi_spd_snapshot *snap; /* RCU */
	struct xi_spd_list lists[XI_DIR_MAX]; /* ascending priority, then order */
	struct xi_spd_list by_index;
	struct xi_spd_node *by_key;
	struct xi_spd_pub *garbage;  /* freed after the next grace period */
	struct xi_guards guards;
	struct xi_spd_choice *choices; /* by SA slot */
	uint32_t nchoices;
	uint32_t index_next;
	uint64_t order_next;
	uint32_t generation;         /* as in the store */
	uint32_t flow_mask;          /* of the generation */
	enum xi_action default_action[XI_DIR_MAX];
	struct xi_addr *local;
	uint32_t nlocal;
	unsigned int nproto, nports; /* policies that look at protocol, at ports */
	void (*sync)(void *arg);
	void *sync_arg;
	void (*local_changed)(void *arg);
	void *local_arg;
};

/* Between which addresses an SA works. */
struct xi_ends {
	const uint8_t *saddr, *daddr;
	enum xi_family family;
};

/* policy.c */
int xi_policy_check(const struct xi_policy *policy, const char **why);
/* Flows carry neither mark nor if_id: policies that want one match none of them, as in the kernel.
 */
bool xi_policy_sees_flows(const struct xi_policy *policy);
bool xi_policy_protects(const struct xi_policy *policy);
bool xi_policy_guarded(const struct xi_policy *policy);
/* Would every flow be judged alike, apart from which SA of a template it gets? */
bool xi_policy_judges_alike(const struct xi_policy *a, const struct xi_policy *b);
/*
 * Template t with the addresses that its SA must have, as far as the policy tells them: in transport mode those of the
 * tunnel inside, or of a selector for two hosts. False: only a packet tells.
 */
bool xi_tmpl_with_ends(const struct xi_policy *policy, uint32_t t, struct xi_tmpl *tmpl);
struct xi_spd_key xi_policy_key(const struct xi_policy *policy);
bool xi_selector_covers(const struct xi_selector *outer, const struct xi_selector *inner);
bool xi_selector_overlaps(const struct xi_selector *a, const struct xi_selector *b);

/* list.c */
int xi_spd_list_reserve(struct xi_spd_list *list);
void xi_spd_list_insert(struct xi_spd_list *list, struct xi_spd_node *node, bool by_index);
void xi_spd_list_remove(struct xi_spd_list *list, const struct xi_spd_node *node);
/* First node whose index is not below index: its position. */
uint32_t xi_spd_list_seek(const struct xi_spd_list *list, uint32_t index);

/* guard.c */
int xi_guard_add(struct xi_spd *spd, const struct xi_policy *policy);
void xi_guard_drop(struct xi_spd *spd, const struct xi_policy *policy);
/* XI_GUARD_* for directions whose masks do not all fit. */
void xi_guard_flags(const struct xi_spd *spd, uint32_t flags[XI_DIR_MAX]);
/*
 * Takes out of the store what no policy needs any more. Failures are logged and made good by a
 * later call.
 */
void xi_guard_sweep(struct xi_spd *spd);
int xi_guard_store_masks(struct xi_spd *spd);
void xi_guards_free(struct xi_spd *spd);

/* pair.c */
struct xi_ends xi_ends_of(const struct xi_sa *sa);
/* An SA without source address has any. */
bool xi_ends_fit(const struct xi_ends *ends, const struct xi_sa *sa);
/*
 * For workers too: the newest SA in transport mode between these ends that serves tmpl and takes the flow; or NULL. mask:
 * NULL, or what of the flow was looked at but for the ends.
 */
const struct xi_sa *xi_pair_serve(const struct xi_sad *sad, const struct xi_policy *policy,
				  const struct xi_tmpl *tmpl, const struct xi_flow *flow,
				  const struct xi_ends *ends, struct xi_flow_mask *mask);
/*
 * Pairs whose SAs changed: counts and marks the choice among them, as for a listed template. True: flows that
 * marks do not reach must be judged again.
 */
bool xi_pairs_update(struct xi_spd *spd);

/* judge.c */
bool xi_sa_takes(const struct xi_sa *sa, const struct xi_flow *flow, struct xi_flow_mask *mask);

/* resolve.c */
/* Apart from addresses and selectors. */
bool xi_sa_serves(const struct xi_policy *policy, const struct xi_tmpl *tmpl, const struct xi_sa *sa);
struct xi_spd_choice *xi_choice_of(const struct xi_spd *spd, uint32_t sa_index);
void xi_pub_resolve(const struct xi_spd *spd, struct xi_spd_pub *pub);
/* Counts choices: new's more, old's less. Either may be NULL. */
void xi_choices_count(struct xi_spd *spd, const struct xi_spd_pub *old,
		      const struct xi_spd_pub *new);
/*
 * Choices counted: must all flows be judged again, because superseded marks would not reach those
 * concerned?
 */
bool xi_choices_disturb(const struct xi_spd *spd, const struct xi_spd_pub *old,
			const struct xi_spd_pub *new);
/* Choices counted: marks SAs that nobody chooses any more, unmarks those that somebody does. */
void xi_choices_mark(struct xi_spd *spd, const struct xi_spd_pub *pub);

/* snapshot.c */
struct xi_spd_snapshot *xi_snapshot_build(const struct xi_spd *spd, uint32_t generation);
void xi_snapshot_publish(struct xi_spd *spd, struct xi_spd_snapshot *snap);
void xi_snapshot_free(struct xi_spd_snapshot *snap);
void xi_garbage_free(struct xi_spd *spd);

/* spd.c */
void xi_spd_node_link(struct xi_spd *spd, struct xi_spd_node *node);
int xi_spd_renew(struct xi_spd *spd);
int xi_spd_config_write(struct xi_spd *spd, uint32_t generation, bool exact_guard);
uint32_t xi_spd_generation_after(uint32_t generation);
uint32_t xi_spd_flow_mask(const struct xi_spd *spd);
void xi_spd_count_selector(struct xi_spd *spd, const struct xi_policy *policy, int by);
void xi_spd_discard(struct xi_spd *spd, struct xi_spd_pub *pub);

#endif
