/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of daemon/sad/ share about the SPD. Nobody else includes this. */
#ifndef XI_SPD_PRIV_H
#define XI_SPD_PRIV_H

#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu-qsbr.h>
#include <uthash.h>

#include "sad/selset.h"
#include "sad/spd.h"

/* Those of the SAs listed for a template that some flow gets. */
struct xi_spd_choices {
	uint32_t n;
	uint32_t sas[XI_POLICY_SAS];
};

struct xi_sad_node;
struct xi_spd_node;

/* As a snapshot holds it; freed when no snapshot does. */
struct xi_spd_pub {
	struct xi_spd_policy p;      /* first: snapshots point here */
	struct xi_spd_choices choices[XI_PATH_MAX]; /* of each template */
	struct xi_spd_node *node;
	struct xi_spd_pub *next;     /* garbage */
};

struct xi_spd_key {
	struct xi_selector sel;
	enum xi_dir dir;
	uint32_t type, mark_v, mark_m, if_id;
};

/* What a template asks of its SAs; what it leaves open is zero. */
struct xi_ask_key {
	uint8_t daddr[16];
	enum xi_family family;
	uint32_t reqid, spi;
	enum xi_proto proto;
	enum xi_mode mode;
	uint32_t if_id;              /* always given: none is one, too */
};

#define XI_ASK_DADDR (1U << 0)
#define XI_ASK_REQID (1U << 1)
#define XI_ASK_SPI (1U << 2)
#define XI_ASK_CLASSES 8

/* Policies with a template that asks for the same. */
struct xi_ask_group {
	struct xi_ask_key key;
	struct xi_selset policies;   /* by selector */
	UT_hash_handle hh;
};

/* One template among those that ask for the same. */
struct xi_ask {
	struct xi_selset_member member; /* first */
	struct xi_ask_group *group;  /* NULL: which SAs it wants, only a packet tells */
	struct xi_spd_node *node;
	struct xi_tmpl tmpl;         /* with addresses */
};

struct xi_spd_asks {
	struct xi_ask asks[XI_PATH_MAX];
};

enum xi_spd_seat { XI_SEAT_NONE, XI_SEAT_MAIN, XI_SEAT_RECENT };

struct xi_spd_node {
	struct xi_spd_key key;
	struct xi_spd_pub *pub;
	struct xi_spd_asks *asks;    /* NULL: no SA matters to it */
	uint64_t order;              /* among equal priorities */
	uint64_t since;              /* in the same count: when somebody added or updated it; 0 adopted */
	enum xi_spd_seat seat;
	uint32_t rank;               /* in the main segment */
	bool marked;                 /* its SAs may have changed */
	struct xi_spd_node *marked_prev, *marked_next;
	uint32_t due_at;             /* in dues.heap, from 1; 0: nothing is due */
	uint64_t due;                /* seconds since the epoch */
	uint64_t told;               /* when its soft lifetime was; 0: not yet */
	struct xi_spd_node *bundle_prev, *bundle_next; /* of those with more than one template */
	UT_hash_handle hh;
};

/* Nodes by ascending priority, then order. */
struct xi_spd_list {
	struct xi_spd_node **nodes;
	uint32_t n, room;
};

/* Nodes by ascending index. A deleted one leaves its row, which is closed with many others. */
struct xi_spd_row {
	uint32_t index;
	struct xi_spd_node *node;    /* NULL: deleted */
};

struct xi_spd_rows {
	struct xi_spd_row *rows;
	uint32_t n, room, live;
};

/* What snapshots share; the control thread counts who holds it. */
struct xi_spd_part;

/* Policies in ascending order, as the control thread knows them; workers read a copy. */
struct xi_spd_array {
	const struct xi_spd_policy **policies;
	uint32_t n, dead;
};

/*
 * The policies of one direction. Most are in the main segment, in which a deleted policy leaves a dead one behind;
 * those that came since are in the recent one, which is small and made anew with each. Both become one when that has
 * grown.
 */
struct xi_spd_side {
	struct xi_spd_array main;
	struct xi_spd_list recent;
	struct xi_spd_part *index;   /* of main */
	struct xi_spd_part *segments[XI_SPD_SEGMENTS]; /* for the next snapshot; NULL: out of date */
	uint64_t spent;              /* recent policies made anew, since they last joined the others */
	uint32_t n;                  /* policies, those that see no flows included */
	uint64_t indexed;            /* policies indexed, ever; tests watch it */
};

/* How many policies have this SA as the choice for some flow. */
struct xi_spd_choice {
	uint32_t sa_index;
	uint32_t policies;
};

struct xi_mask {
	struct xi_guard_mask mask;   /* key */
	uint32_t guards;
	uint32_t row;                /* in the store's table; XI_NO_SLOT: that is full */
	struct xi_mask *prev, *next; /* of those without a row */
	UT_hash_handle hh;
};

struct xi_guard {
	struct xi_guard_key key;
	uint32_t policies;
	uint32_t stored;             /* what the store has; 0: it may have it not */
	bool unsettled;
	struct xi_guard *prev, *next; /* of those where the store may have something else */
	UT_hash_handle hh;
};

struct xi_guards {
	struct xi_guard *guards;
	struct xi_guard *unsettled;
	struct xi_mask *masks;
	struct xi_mask *rowless;
	uint32_t nrowless[XI_DIR_MAX];
	struct xi_mask *rows[XI_MAX_MASKS];
	struct xi_guard_mask stored[XI_MAX_MASKS];
};

struct xi_crowd;

/* Policies with a lifetime, the one that is due first at the top. */
struct xi_spd_dues {
	struct xi_spd_node **heap;
	uint32_t n, room;
};

struct xi_spd {
	struct xi_sad *sad;
	struct xi_store store;
	struct xi_spd_snapshot *snap; /* RCU */
	struct xi_spd_side sides[XI_DIR_MAX];
	struct xi_spd_rows by_index;
	struct xi_spd_node *by_key;
	struct xi_spd_pub *garbage;  /* freed after the next grace period */
	struct xi_guards guards;
	struct xi_spd_choice *choices; /* by SA slot */
	uint32_t nchoices;
	struct xi_selset_table selsets;
	struct xi_ask_group *groups;
	uint32_t nasks[XI_ASK_CLASSES];
	struct xi_crowd *crowds;
	struct xi_spd_node *marked;
	struct xi_spd_node *bundles;
	struct xi_spd_dues dues;
	/* templates of outbound policies whose SAs only a packet tells: all, without reqid, optional */
	uint32_t npair, npair_any, npair_optional;
	/* work done, ever: templates resolved, SAs looked at for them; tests watch it */
	uint64_t resolved, walked;
	unsigned int held;
	bool unpublished;            /* the snapshot is not what the policies are */
	bool disturbed;              /* a new generation is due with the next look at the SAs */
	uint32_t index_next;
	uint64_t order_next;
	uint32_t generation;         /* as in the store */
	uint32_t flow_mask;          /* of the generation */
	enum xi_action default_action[XI_DIR_MAX];
	struct xi_addr *local;
	struct xi_spd_part *local_part; /* the same for snapshots; NULL: out of date */
	uint32_t nlocal;
	unsigned int nproto, nports; /* policies that look at protocol, at ports */
	unsigned int nmarks[32];     /* outbound ones without if_id that look at this bit of the mark */
	unsigned int nif_marks;      /* and those with one that look at any */
	void (*sync)(void *arg);
	void *sync_arg;
	void (*local_changed)(void *arg);
	void *local_arg;
	void (*policy_changed)(void *arg, uint32_t index, const struct xi_policy *now);
	void *policy_arg;
};

/* Between which addresses an SA works. */
struct xi_ends {
	const uint8_t *saddr, *daddr;
	enum xi_family family;
};

/* policy.c */
int xi_policy_check(const struct xi_policy *policy, const char **why);
/* Is there a mark that it matches? Not when it wants bits that are outside of its mask. */
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

/* Is a asked before b? RFC 4301 section 4.4.1: the order is the administrator's. */
static inline bool xi_policy_before(const struct xi_policy *a, const struct xi_policy *b)
{
	return a->priority != b->priority ? a->priority < b->priority : a->order < b->order;
}

/* list.c */
/* Room for that many more, so that inserts that follow cannot fail. */
int xi_spd_list_reserve(struct xi_spd_list *list, uint32_t more);
void xi_spd_list_insert(struct xi_spd_list *list, struct xi_spd_node *node);
void xi_spd_list_remove(struct xi_spd_list *list, const struct xi_spd_node *node);
int xi_spd_rows_reserve(struct xi_spd_rows *rows, uint32_t more);
void xi_spd_rows_insert(struct xi_spd_rows *rows, struct xi_spd_node *node);
void xi_spd_rows_remove(struct xi_spd_rows *rows, const struct xi_spd_node *node);
/* The first whose index is not below index; NULL: none. */
struct xi_spd_node *xi_spd_rows_seek(const struct xi_spd_rows *rows, uint32_t index);
struct xi_spd_node *xi_spd_rows_find(const struct xi_spd_rows *rows, uint32_t index);

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
 * marks do not reach must be judged again. As long as no policy chooses by pair, they wait.
 */
bool xi_pairs_update(struct xi_spd *spd);

/* judge.c */
bool xi_sa_takes(const struct xi_sa *sa, const struct xi_flow *flow, struct xi_flow_mask *mask);

/* ask.c */
/* Of a policy that SAs matter to; *out NULL for others. 0 or -ENOMEM. From now on it is marked when its SAs change. */
int xi_asks_new(struct xi_spd *spd, struct xi_spd_node *node, const struct xi_policy *policy,
		struct xi_spd_asks **out);
void xi_asks_free(struct xi_spd *spd, struct xi_spd_asks *asks);
void xi_node_unmark(struct xi_spd *spd, struct xi_spd_node *node);
/* Counts a linked policy's templates whose SAs only a packet tells. */
void xi_pairs_count(struct xi_spd *spd, const struct xi_spd_policy *p, int by);

/*
 * crowd.c: SAs of one peer by selector, where so many fit nothing that a template must not walk over them. Told of each
 * change of an SA.
 */
void xi_crowds_update(struct xi_spd *spd, const struct xi_sa *sa);
/* The newest SAs that fit, as xi_spd_policy lists them, of the chain from `newest` on. -ENOMEM: walk the chain. */
int xi_crowd_sas(struct xi_spd *spd, const struct xi_policy *policy, const struct xi_tmpl *tmpl,
		 struct xi_sad_node *newest, unsigned int chain, uint32_t sas[XI_POLICY_SAS]);
void xi_crowds_free(struct xi_spd *spd);

/* resolve.c */
/* Apart from addresses and selectors. */
bool xi_sa_serves(const struct xi_policy *policy, const struct xi_tmpl *tmpl, const struct xi_sa *sa);
bool xi_sa_fits(const struct xi_policy *policy, const struct xi_tmpl *tmpl, const struct xi_sa *sa);
struct xi_spd_choice *xi_choice_of(const struct xi_spd *spd, uint32_t sa_index);
void xi_pub_resolve(struct xi_spd *spd, struct xi_spd_pub *pub);
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

/* segment.c */
/* Where a node's policy is in snapshots. Room for it in the recent list is reserved. */
void xi_seat_take(struct xi_spd *spd, struct xi_spd_node *node);
void xi_seat_leave(struct xi_spd *spd, struct xi_spd_node *node);
/* Another pub of the same place in the order. */
void xi_seat_renew(struct xi_spd *spd, struct xi_spd_node *node, bool was_ported);
bool xi_policy_is_ported(const struct xi_policy *policy);
/* Brings a side's parts up to date. 0 or -ENOMEM. */
int xi_side_build(struct xi_spd_side *side);
/* Its policies that see flows, in order; out has room for all. How many. */
uint32_t xi_side_list(const struct xi_spd_side *side, const struct xi_spd_policy **out);
void xi_side_free(struct xi_spd_side *side);
const void *xi_part_mem(const struct xi_spd_part *part);
const struct xi_spd_segment *xi_part_segment(const struct xi_spd_part *part);
struct xi_spd_part *xi_part_new(void *mem); /* owns mem; NULL: mem was freed */
struct xi_spd_part *xi_part_get(struct xi_spd_part *part);
void xi_part_put(struct xi_spd_part *part);

/* policy_due.c */
/* Room for that many more with a lifetime, so that linking them cannot fail. */
int xi_spd_dues_reserve(struct xi_spd *spd, uint32_t more);
/* Its policy is linked, or about to be unlinked. */
void xi_policy_due_add(struct xi_spd *spd, struct xi_spd_node *node);
void xi_policy_due_del(struct xi_spd *spd, struct xi_spd_node *node);
/* Brings use_time up to what its SAs tell. */
void xi_policy_use(const struct xi_spd *spd, struct xi_spd_node *node);

/* snapshot.c */
struct xi_spd_snapshot *xi_snapshot_build(struct xi_spd *spd, uint32_t generation);
void xi_snapshot_publish(struct xi_spd *spd, struct xi_spd_snapshot *snap);
void xi_snapshot_free(struct xi_spd_snapshot *snap);
void xi_garbage_free(struct xi_spd *spd);

/* spd.c */
int xi_spd_room(struct xi_spd *spd, enum xi_dir dir, uint32_t more);
void xi_spd_node_link(struct xi_spd *spd, struct xi_spd_node *node);
/* 0: and node is freed. */
int xi_spd_node_delete(struct xi_spd *spd, struct xi_spd_node *node);
int xi_spd_renew(struct xi_spd *spd);
int xi_spd_config_write(struct xi_spd *spd, uint32_t generation, bool exact_guard);
uint32_t xi_spd_generation_new(const struct xi_spd *spd);
uint32_t xi_spd_flow_mask(const struct xi_spd *spd);
uint32_t xi_spd_mark_mask(const struct xi_spd *spd);
void xi_spd_discard(struct xi_spd *spd, struct xi_spd_pub *pub);
/* Publishes what there is now, or leaves that to xi_spd_release(). */
int xi_spd_publish(struct xi_spd *spd);

#endif
