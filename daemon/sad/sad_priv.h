/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of daemon/sad/ share about the SAD. Nobody else includes this. */
#ifndef XI_SAD_PRIV_H
#define XI_SAD_PRIV_H

#define URCU_INLINE_SMALL_FUNCTIONS
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>
#include <uthash.h>

#include "ipsec/sa_ctx.h"
#include "sad/reserve.h"
#include "sad/sad.h"
#include "sad/slot_map.h"
#include "sad/used_key.h"

#define XI_SAD_LISTENERS 4
#define XI_DIGEST_LEN 32
#define XI_SA_DIR_IN 1           /* XFRM_SA_DIR_IN, which headers before 6.10 lack */
#define XI_SPI_MIN 256           /* RFC 4303 section 2.1: 1 to 255 are reserved, 0 is local */
#define XI_WHY_NOT_STORED "the SA could not be stored; see the log"

/*
 * SAs that a template may mean, newest first, by destination and reqid; each of the two may be
 * open. So every SA is in four chains, and a template finds its own with one look-up.
 */
enum xi_chain {
	XI_CHAIN_EXACT,
	XI_CHAIN_ANY_REQID,
	XI_CHAIN_ANY_DADDR,
	XI_CHAIN_ANY,
	XI_CHAIN_MAX
};

struct xi_peer_key {
	uint8_t daddr[16];
	enum xi_family family;
	uint32_t reqid;
	enum xi_chain chain;
};

struct xi_sad_node;

struct xi_peer {
	struct xi_peer_key key;
	struct xi_sad_node *newest;
	struct xi_peer *next;        /* of its bucket */
};

/* A fixed number of buckets, as there may be SAs: no change of an SA has to move all of them. */
struct xi_peers {
	struct xi_peer **buckets;
	uint32_t mask;
};

struct xi_sad_link {
	struct xi_peer *peer;        /* NULL: in no chain */
	struct xi_sad_node *newer, *older;
};

/* Where an SA waits to be looked at; due.c. Links are slots. */
struct xi_due {
	uint32_t next, prev;
	uint32_t watch;              /* where it stands in dues.watched */
	uint16_t bucket;
	bool in_wheel, is_watched;
};

/* The control thread's view of one SA; lives as long as the SA has its slot. */
struct xi_sad_node {
	/* all that a worker's look-up by id needs, close together */
	struct cds_lfht_node by_id;
	struct xi_sa_id id;
	uint32_t sa_index;
	bool known;                  /* atomic; not larval, not deleted */
	uint64_t dies;               /* larval: seconds since the epoch */
	struct xi_due due;
	struct xi_sa_rec *rec;       /* RCU; as published; NULL: deleted, the store still has to forget it */
	struct xi_reserve *reserve;  /* SAs from a file */
	struct xi_sad_node *doomed;  /* next in a list of SAs that go */
	struct xi_sad_link links[XI_CHAIN_MAX];
	struct cds_lfht_node by_pair; /* in transport mode: of the first of its pair */
	struct xi_sad_node *pair_next; /* RCU */
	struct xi_sad_node *pair_prev; /* NULL: the first */
	uint64_t order;              /* by which it became known, larval first: newer ones have a higher one */
	bool paired;
	bool chosen;                 /* of its pair: it counts in the SPD's choices; xi_pairs_update() */
	bool is_news;
	bool key_named;
	bool moved;                  /* its slot and its state are another node's by now */
	struct xi_sad_node *news_prev, *news_next;
	struct xi_key_name key_name; /* if key_named */
	struct xi_sad_node *same_newer, *same_older; /* of the same sender; senders.heads has the newest */
};

static inline uint64_t xi_hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

struct xi_sad_slots {
	struct xi_sa_rec **recs;     /* RCU */
	struct xi_sad_node **nodes;
	uint8_t *superseded;         /* atomic; written by the SPD */
	uint32_t *gens;              /* generation last given out */
	uint32_t *next;              /* free list */
	uint32_t n, head, tail;
	uint32_t gen_top; /* newest generation of all slots, as in xi_config.sad_generation */
};

/* Looks a tick, of which there are four a second. */
#define XI_LOOKS_DUE 8192
#define XI_LOOKS_WATCHED 65536
#define XI_LOOKS_ALL 16384

struct xi_sad_dues {
	uint64_t now;                /* seconds since the epoch: those up to it have been looked at */
	uint32_t *buckets;           /* slots */
	uint32_t *watched;           /* slots */
	uint32_t nwatched, watch_at;
	uint32_t all_at;
	uint64_t looks;              /* in all */
};

struct xi_senders {
	struct evp_md_ctx_st *digest; /* EVP_MD_CTX */
	struct xi_slot_map heads;    /* slots, by key and source address; of SAs that count nonces */
	struct xi_slot_map dying;    /* keys deleted in this round; no values */
	bool all_dying;
	struct xi_used_keys used;
};

/* Memory of records, of the control thread. */
struct xi_recs {
	struct xi_rec_chunk *room;   /* chunks with room */
	uint32_t nchunks;
};

struct xi_sad_windows {
	uint16_t *chunks;            /* of XI_WINDOW_RUN slots each; a bit set: free */
	uint32_t nchunks;
};

/*
 * Hash tables for the control thread, which alone changes them, and for workers under RCU. As many buckets as
 * there may be SAs, for good: so nothing resizes them, and no thread but the workers needs to be known to RCU.
 */
struct xi_sad_tables {
	uint64_t seeds[4];
	struct cds_lfht *by_id;      /* larval SAs too */
	struct cds_lfht *by_pair;    /* one of those in transport mode, for each two addresses; the others are behind it */
	uint64_t order_next;
	struct xi_sad_node *news;    /* one at least of each pair whose SAs changed since the SPD looked */
};

/* Changes for which one grace period is waited at the end; see xi_sad_hold(). */
struct xi_sad_round {
	unsigned int held;
	bool changed;                /* listeners must be told at the end */
	struct xi_sad_node *doomed;
	struct xi_sa_rec **replaced;
	uint32_t nreplaced, room;
};

struct xi_sad {
	struct xi_store store;
	char *state_dir;
	bool (*carries)(const struct xi_sa *sa, const char **why);
	enum xi_df df;
	struct xi_sad_listener listeners[XI_SAD_LISTENERS];
	unsigned int nlisteners;
	struct xi_sad_events events, kernel_events;
	struct xi_sad_slots slots;
	struct xi_sad_windows windows;
	struct xi_recs recs;
	struct xi_sad_tables tables;
	struct xi_sad_round round;
	struct xi_sad_dues dues;
	struct xi_sad_node
		*unburied; /* deleted, but the store would not forget the key: tried again */
	struct xi_peers peers;
	struct xi_senders senders;
	bool senders_late;           /* not yet: xi_sad_adopt_rest() */
	uint8_t *hot;                /* by slot, 1: xi_sad_adopt_hot() found it; NULL: was not called */
	unsigned int count;
	unsigned int nproto, nports; /* SAs whose selector looks at protocol, at ports */
};

/* rec.c */
/* Zeroed; NULL: out of memory. */
struct xi_sa_rec *xi_rec_new(struct xi_sad *sad);
/* The same, of sa and its key (NULL: none as yet), without a window. */
struct xi_sa_rec *xi_rec_make(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
			      uint32_t sa_index);
void xi_rec_bind(struct xi_sad *sad, struct xi_sa_rec *rec);
/* A bound record is about to be published: makes the runtime form from it. */
void xi_rec_ready(struct xi_sa_rec *rec);
/* Wiped. NULL is fine. */
void xi_rec_free(struct xi_sa_rec *rec);
/* No record is in use any more. */
void xi_recs_free(struct xi_sad *sad);

/* slot.c */
int xi_slots_init(struct xi_sad *sad);
void xi_slots_free(struct xi_sad *sad);
int xi_slot_take(struct xi_sad *sad, uint32_t *sa_index);
void xi_slot_give(struct xi_sad *sad, uint32_t slot);
/*
 * After adoption: slots without a node become free; their next generation is one never given out
 * before.
 */
void xi_slots_rebuild(struct xi_sad *sad, uint32_t gen_top);
bool xi_generation_newer(uint32_t a, uint32_t b);
/* window.c */
#define XI_WHY_WINDOW_TOO_LARGE "replay window too large; at most 65536 packets"
int xi_windows_init(struct xi_sad *sad);
void xi_windows_free(struct xi_sad *sad);
/* Words of a window, at most XI_WINDOW_MAX: a power of two, 32 * (words - 1) >= the window. */
uint32_t xi_window_words(uint32_t replay_window);
/*
 * The first slot of a run for the window, zeroed; XI_NO_SLOT for windows that fit into sa_state. -EINVAL too large,
 * -ENOSPC no run free.
 */
int xi_window_take(struct xi_sad *sad, uint32_t replay_window, uint32_t *slot, const char **why);
void xi_window_give(struct xi_sad *sad, const struct xi_sa *sa);
/* Takes the SA's own run away from the free ones. -EINVAL: it is not free, or none. */
int xi_window_claim(struct xi_sad *sad, const struct xi_sa *sa);

/* sa_state.c */
uint64_t xi_sa_seq_max(const struct xi_sa *sa);
int xi_sa_init_check(const struct xi_sa *sa, const struct xi_replay_init *init, const char **why);
void xi_state_reset(struct xi_sa_state *state, uint32_t sa_index);
void xi_state_start(const struct xi_sa_rec *rec, const struct xi_replay_init *init, uint64_t oseq,
		    uint64_t limit);
/* An SA in use goes on behind oseq, up to limit; its limit may be lowered, but not near what it has used. */
void xi_state_limit(struct xi_sa_state *state, uint64_t oseq, uint64_t limit);

/* lifetime.c: a limit may have been met that nobody told of. */
bool xi_state_alarming(const struct xi_sa_state *state);

/* due.c. fn sees to what has come to pass of an SA, and may take any SA away. */
typedef void (*xi_due_fn)(struct xi_sad *sad, struct xi_sad_node *node, uint64_t now);
int xi_dues_init(struct xi_sad *sad);
void xi_dues_free(struct xi_sad *sad);
/* After each change of the record. */
void xi_due_update(struct xi_sad *sad, struct xi_sad_node *node);
void xi_due_del(struct xi_sad *sad, struct xi_sad_node *node);
void xi_dues_look(struct xi_sad *sad, uint64_t now, xi_due_fn fn);

/* table.c */
int xi_tables_init(struct xi_sad *sad);
/* Frees what is left of the nodes, too. */
void xi_tables_free(struct xi_sad *sad, void (*node_free)(struct xi_sad *sad, struct xi_sad_node *node));
/* Of 48 bytes, under the secret seeds. */
unsigned long xi_hash_words(const struct xi_sad_tables *t, const uint64_t w[6]);
void xi_table_add(struct xi_sad *sad, struct xi_sad_node *node);
void xi_table_del(struct xi_sad *sad, struct xi_sad_node *node);
struct xi_sad_node *xi_sad_node(const struct xi_sad *sad, const struct xi_sa_id *id);
/* SAs in transport mode; others are left alone. */
void xi_pair_add(struct xi_sad *sad, struct xi_sad_node *node);
void xi_pair_del(struct xi_sad *sad, struct xi_sad_node *node);
/* It serves other policies now. */
void xi_pair_changed(struct xi_sad *sad, struct xi_sad_node *node);
/*
 * SAs in transport mode with exactly these addresses, in no order; for workers too. The record is as published when
 * it was looked at.
 */
struct xi_pair_iter {
	struct xi_pair_key {
		uint8_t saddr[16];
		uint8_t daddr[16];
		enum xi_proto proto;
		enum xi_family family;
	} key;
	const struct xi_sad *sad;
	struct xi_sad_node *node;
	const struct xi_sa_rec *rec;
};
struct xi_sad_node *xi_pair_first(struct xi_pair_iter *it, const struct xi_sad *sad, const struct xi_pair_key *key);
struct xi_sad_node *xi_pair_next(struct xi_pair_iter *it);
void xi_pair_news_del(struct xi_sad *sad, struct xi_sad_node *node);

/* peer.c */
int xi_peers_init(struct xi_sad *sad);
void xi_peers_free(struct xi_sad *sad);
int xi_peers_add(struct xi_sad *sad, struct xi_sad_node *node);
void xi_peers_del(struct xi_sad *sad, struct xi_sad_node *node);
/*
 * Newest SA of the chain that holds all which fit tmpl's destination and reqid; go on with
 * links[*chain].older.
 */
struct xi_sad_node *xi_peers_newest(const struct xi_sad *sad, const struct xi_tmpl *tmpl,
				    enum xi_chain *chain);
/* The same, of XI_CHAIN_EXACT. */
struct xi_sad_node *xi_peers_newest_exact(const struct xi_sad *sad, const uint8_t daddr[16],
					  enum xi_family family, uint32_t reqid);

/* sender.c */
int xi_senders_init(struct xi_sad *sad);
void xi_senders_free(struct xi_sad *sad);
bool xi_alg_counts_nonces(enum xi_alg alg);
void xi_key_digest(uint8_t out[XI_DIGEST_LEN], const char *domain, const struct xi_sa_key *key);
/* The others need the name that this gives. */
void xi_node_name_key(const struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa_key *key);
void xi_used_key_note(struct xi_sad *sad, const struct xi_sad_node *node, uint64_t oseq);
uint64_t xi_used_key_oseq(const struct xi_sad *sad, const struct xi_sad_node *node);
/* An SA with this key was deleted in this round; so workers may still count, and nobody knows how far. */
void xi_key_dies(struct xi_sad *sad, const struct xi_sad_node *node);
bool xi_key_dying(const struct xi_sad *sad, const struct xi_sad_node *node);
void xi_keys_died(struct xi_sad *sad);
/* A live SA with sa's source address and node's key, whose sender counts the same nonces; NULL: none. */
const struct xi_sa_rec *xi_sender_find(const struct xi_sad *sad, const struct xi_sad_node *node,
				       const struct xi_sa *sa);
void xi_sender_add(struct xi_sad *sad, struct xi_sad_node *node);
void xi_sender_del(struct xi_sad *sad, struct xi_sad_node *node);

/* install.c; within a round */
/* A node with a slot, found by its id, without a record yet. */
int xi_sad_node_new(struct xi_sad *sad, struct xi_sad_node **out, const struct xi_sa_id *id, const char **why);
/* Makes the SA of a node that has a slot and, at most, a larval record. */
int xi_sad_install(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa, const struct xi_sa_key *key,
		   const struct xi_replay_init *init, const char **why);

/* update.c; within a round */
/* Publishes sa in place of node's; key, state and window stay. */
int xi_sad_replace(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa);
/*
 * An SA that a key manager added turns up in the file, so its key outlives a reboot: from now on its numbers are
 * reserved on disk. Workers take far fewer than a block of them meanwhile.
 */
int xi_sad_claim(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa, const struct xi_sa_key *key,
		 const char **why);

/* sad.c, remove.c, round.c */
void xi_sad_publish(struct xi_sad *sad, struct xi_sad_node *node, struct xi_sa_rec *rec);
/* rec, of the same slot, in the place of old's, in one step for workers. */
void xi_sad_supplant(struct xi_sad *sad, struct xi_sad_node *old, struct xi_sad_node *node,
		     struct xi_sa_rec *rec);
void xi_sad_changed(struct xi_sad *sad, const struct xi_sa_rec *old, const struct xi_sa_rec *new);
int xi_sad_going(struct xi_sad *sad, const struct xi_sa_rec *rec);
void xi_sad_sync(struct xi_sad *sad);
/*
 * These two within a round. Nobody finds a detached node any more; it is buried at the end. On failure nothing
 * was changed.
 */
int xi_sad_detach(struct xi_sad *sad, struct xi_sad_node *node);
/* A node that never had an SA. */
void xi_sad_abandon(struct xi_sad *sad, struct xi_sad_node *node);
void xi_sad_bury(struct xi_sad *sad, struct xi_sad_node *doomed);
void xi_sad_bury_again(struct xi_sad *sad);
/* Ends the round and begins another: what was changed is in force, what was deleted is buried. */
void xi_sad_settle(struct xi_sad *sad);
/* Room for one more record in round.replaced. */
int xi_sad_round_reserve(struct xi_sad *sad);

#endif
