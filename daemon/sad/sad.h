/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The security association database (RFC 4301 section 4.4.2): what is known, in user memory and in the store.
 * Owned by the control thread. Workers read struct xi_sa_rec through sad_rec() under RCU (QSBR); a record is
 * immutable once published, an update publishes a new one.
 */
#ifndef XI_SAD_H
#define XI_SAD_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "sad/store.h"

struct xi_sa_ctx;
struct xi_sad;

struct xi_sa_rec {
	struct xi_sa_key key;
	struct xi_sa sa;
	struct xi_sa_state *state;   /* in the mapped map */
	uint64_t *words;             /* replay window, in the mapped map */
	uint32_t nwords;
};

/*
 * Told of changes on the control thread, after the store was changed and before the request is acknowledged.
 * A larval SA is nothing to a listener. sync follows every change, additions included.
 * old NULL: new SA. new NULL: deleted. When sync returns, no worker uses what changed() took away; the
 * record `old` is wiped and freed after it. A round (xi_sad_hold) of many changes has one sync at its end.
 */
struct xi_sad_listener {
	void (*changed)(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new);
	void (*sync)(void *arg);
	void *arg;
	/* May be NULL. An SA is about to be deleted, and XDP knows it still. -errno: it stays, and the deletion fails. */
	int (*going)(void *arg, const struct xi_sa_rec *rec);
};

/* Key managers' news (RFC 2367 names); the XFRM server multicasts them. */
struct xi_sad_events {
	void (*expire)(void *arg, const struct xi_sa_rec *rec, bool hard);
	void *arg;
};

/*
 * SAs from the kernel (XI_SA_FROM_KERNEL) are not like others: the kernel ends them by the clock, here only volume and
 * numbers do; no mate goes with them; their events are somebody else's (xi_sad_on_kernel_event); their add_time is
 * given; and one that comes by another way takes the place of one with the same id.
 */

/* Counters and window an SA starts from (XFRMA_REPLAY_VAL, XFRMA_REPLAY_ESN_VAL, XFRMA_LTIME_VAL). */
struct xi_replay_init {
	uint64_t oseq;
	uint64_t seq;
	const uint32_t *bmp;         /* as struct xfrm_replay_state_esn; NULL = empty */
	uint32_t bmp_len;            /* 32-bit words */
	uint64_t oseq_limit;         /* of an SA from the kernel: the last number it may use as yet */
	bool has_lifetime;
	uint64_t bytes, packets, use_time;
};

struct xi_sad_config {
	const char *state_dir;       /* for sequence reserves of SAs from files; NULL: none are written */
	bool (*carries)(const struct xi_sa *sa, const char **why); /* can the datapath do this one? */
	enum xi_df df;               /* of every SA, those adopted as well */
};

/* All functions: 0 or -errno. `why`, where there is one, is set on failure to a static text for the user. */
int xi_sad_create(struct xi_sad **out, const struct xi_sad_config *config, const struct xi_store *store);
void xi_sad_destroy(struct xi_sad *sad);     /* frees memory, wipes keys; the store keeps everything */
/* Before the process ends: keys alone. Nothing may be done with the SAD any more. */
void xi_sad_wipe(struct xi_sad *sad);
/* Up to four listeners, told in the order in which they came. Copied. */
void xi_sad_listen(struct xi_sad *sad, const struct xi_sad_listener *listener);
/* The listener with this arg hears of nothing any more. */
void xi_sad_unlisten(struct xi_sad *sad, const void *arg);
void xi_sad_on_event(struct xi_sad *sad, const struct xi_sad_events *events);
void xi_sad_on_kernel_event(struct xi_sad *sad, const struct xi_sad_events *events);

/* Takes over what the store holds. Counts go to *n. An SA that does not make sense is dropped and logged. */
int xi_sad_adopt(struct xi_sad *sad, unsigned int *n);
/*
 * The same in steps. The SAs of these handles (those that are stale are passed over), which packets are likely to bring:
 * from then on workers may run, and find them; listeners may be there, and hear of all as of new ones. Then all
 * SAs, and the rest, which no packet needs; only then may anything be changed.
 */
int xi_sad_adopt_hot(struct xi_sad *sad, const uint32_t *handles, unsigned int n);
/* From any RCU reader: was it among those? Before anything is changed. */
bool xi_sad_is_hot(const struct xi_sad *sad, uint32_t sa_index);
int xi_sad_adopt_first(struct xi_sad *sad, unsigned int *n);
void xi_sad_adopt_rest(struct xi_sad *sad);

/* -EEXIST when {daddr, spi, proto} exists, whatever its mark: a packet that arrives has none. sa_index, add_time, generation, window_slot are filled in here. */
int xi_sad_add(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
	       const struct xi_replay_init *init, const char **why);
/* UPDSA: -ESRCH when there is none, or its mark is another. A larval SA becomes a real one; the rules of the kernel's xfrm_state_update() otherwise. */
int xi_sad_update(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
		  const struct xi_replay_init *init, const char **why);
/* Whether xi_sad_add() would refuse it, whatever else there is. */
int xi_sad_check(const struct xi_sad *sad, const struct xi_sa *sa, const struct xi_replay_init *init, const char **why);
int xi_sad_delete(struct xi_sad *sad, const struct xi_sa_id *id);
int xi_sad_flush(struct xi_sad *sad, enum xi_proto proto, unsigned int *n); /* XI_PROTO_ANY: all */
/*
 * The same in steps of at most so many SAs, between which others may be served: true while there is more to do. SAs that
 * come meanwhile stay.
 */
struct xi_sad_flush {
	enum xi_proto proto;
	uint32_t slot;
	uint64_t before;
	unsigned int n;              /* flushed so far */
	int err;                     /* of the last one that could not be */
};
void xi_sad_flush_begin(struct xi_sad *sad, struct xi_sad_flush *flush, enum xi_proto proto);
bool xi_sad_flush_step(struct xi_sad *sad, struct xi_sad_flush *flush, unsigned int most);
/*
 * A round: what is changed between the two is found changed at once by the functions here, and has been taken over by
 * all listeners, with one sync, when the outermost release returns. Only then may it be acknowledged. Every function
 * above is a round of its own; calls nest. Keep rounds short: memory and slots of what is deleted come back at their end.
 */
void xi_sad_hold(struct xi_sad *sad);
void xi_sad_release(struct xi_sad *sad);
/*
 * Reserves an SPI in [min, max] for a larval SA that dies after ttl seconds. -ENOENT: none is free. From then on XDP hands what
 * comes by that SPI to the workers. No later daemon adopts it.
 */
int xi_sad_alloc_spi(struct xi_sad *sad, const struct xi_sa *sa, uint32_t min, uint32_t max, uint64_t ttl,
		     const struct xi_sa_rec **rec);
/*
 * NEWAE: sets counters and window of an SA. -ESRCH, -EINVAL. oseq only ever goes forward; a window that would go
 * back is refused (-EINVAL), and a number that was received stays so whatever the bitmap says; seq 0 without bitmap
 * leaves the window alone.
 */
int xi_sad_set_replay(struct xi_sad *sad, const struct xi_sa_id *id, const struct xi_replay_init *init);
/* NEWAE: thresholds of its events, as in struct xi_sa; 0 leaves one alone. -ESRCH; -EINVAL: larval. */
int xi_sad_set_thresholds(struct xi_sad *sad, const struct xi_sa_id *id, uint32_t replay, uint32_t etimer);

/*
 * Of an SA from the kernel: the numbers up to oseq are given up, those up to limit may be used. Neither goes back: a limit
 * below the present one is ignored. -ESRCH.
 */
int xi_sad_set_limit(struct xi_sad *sad, const struct xi_sa_id *id, uint64_t oseq, uint64_t limit);

const struct xi_sa_rec *xi_sad_find(const struct xi_sad *sad, const struct xi_sa_id *id);
/* From any RCU reader, without a lock: the SA that a packet names (RFC 4301 section 4.1); 0 when there is none. */
uint32_t xi_sad_lookup(const struct xi_sad *sad, const struct xi_sa_id *id);
/* The same, of a larval SA as well, whose index will be the SA's. */
uint32_t xi_sad_lookup_spi(const struct xi_sad *sad, const struct xi_sa_id *id);
/* From any RCU reader: NULL when the index is stale. */
const struct xi_sa_rec *xi_sad_rec(const struct xi_sad *sad, uint32_t sa_index);
/*
 * From any RCU reader: the runtime form of an SA, with keys as they came (the SLOW method). NULL when the index is
 * stale, and for an SA that is larval or not carried.
 */
const struct xi_sa_ctx *xi_sad_context(const struct xi_sad *sad, uint32_t sa_index);
/* From any RCU reader: fetches what a packet wants of the SA's state. */
void xi_sad_prefetch_state(const struct xi_sad *sad, uint32_t sa_index, bool out);
/* The same of xi_sad_context(), in two steps with other work between them: the way there, then the context. */
void xi_sad_prefetch_way(const struct xi_sad *sad, uint32_t sa_index);
void xi_sad_prefetch_context(const struct xi_sad *sad, uint32_t sa_index, bool out);
/*
 * From any RCU reader: a newer SA took over from this one, so whoever holds it as an outbound handle asks the SPD
 * again (xi_spd_judge_out). Set by the SPD: no policy of those that chose this SA still chooses it.
 */
bool xi_sad_superseded(const struct xi_sad *sad, uint32_t sa_index);
void xi_sad_set_superseded(struct xi_sad *sad, uint32_t sa_index, bool superseded);

#define XI_FLOW_PROTO (1U << 0) /* some policy or SA looks at the protocol */
#define XI_FLOW_PORTS (1U << 1) /* some looks at ports (implies XI_FLOW_PROTO) */
/* XI_FLOW_*: what the selectors of SAs look at. */
uint32_t xi_sad_flow_mask(const struct xi_sad *sad);
unsigned int xi_sad_count(const struct xi_sad *sad);
unsigned int xi_sad_capacity(const struct xi_sad *sad);
/*
 * Iteration that survives changes between calls: slots in ascending order. Start with *slot = 0; NULL at the
 * end. The control thread only.
 */
const struct xi_sa_rec *xi_sad_next(const struct xi_sad *sad, uint32_t *slot);
/* The SA of a slot below xi_sad_capacity(), NULL: none. The control thread only. */
const struct xi_sa_rec *xi_sad_at(const struct xi_sad *sad, uint32_t slot);

/*
 * Four times a second, from a timer: larval SAs that died, lifetimes, sequence reserves on disk. now: seconds since the
 * epoch. What it looks at is bounded (due.c): of very many SAs, some wait for a later call. A soft lifetime raises an event, a hard one an event and takes the SA away, each
 * once; it takes the other direction's SA with it, which raises its own event: the one with the addresses exchanged and the
 * same protocol, mode and reqid, during a rekey the one that came with it. Hard are also an outbound SA's last
 * sequence number and xi_sa_state.expired, which workers set when they meet a limit of bytes or packets.
 */
void xi_sad_tick(struct xi_sad *sad, uint64_t now);
/* The same for one SA, now: a worker told that it met a limit. A stale index is ignored. */
void xi_sad_expire_now(struct xi_sad *sad, uint32_t sa_index);

#endif
