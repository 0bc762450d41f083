/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the control thread knows of the SAs that were asked for lately: which of them it put into sa_cache, with which
 * method and why. Each is in one list, oldest first. Memory by the size of the table, not by the number of SAs.
 */
#ifndef XI_SHADOW_H
#define XI_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

/* X(SYMBOL, method, "name", "what the operator reads") */
#define XI_CHOICES(X) \
	X(NONE, SLOW, "not_asked", "no packet of late has asked for it") \
	X(ROOM, FAST, "room", "admitted: a slot was free") \
	X(WORTH, FAST, "worth", "admitted in place of an SA that was used less") \
	X(UNPROVEN, SLOW, "unproven", "no slot is free, and no packet of it has passed its integrity check of late") \
	X(REFUSED, SLOW, "refused", "used less than the SAs that have a slot") \
	X(EVICTED, SLOW, "evicted", "gave its slot up for an SA that is used more") \
	X(LARVAL, DROP, "larval", "has no keys yet") \
	X(EXPIRED, DROP, "expired", "its hard lifetime is reached") \
	X(NO_KEY, DROP, "no_key", "its keys cannot be expanded: see the log")

enum xi_choice {
#define X(symbol, method, name, text) XI_CHOICE_##symbol,
	XI_CHOICES(X)
#undef X
	XI_CHOICE_MAX
};

enum xi_method xi_choice_method(enum xi_choice why);
const char *xi_choice_name(enum xi_choice why);

/* NEGATIVE + n: in sa_cache without a slot, for 2^n seconds. NOTED: not in sa_cache. SEATED: may have a slot. */
#define XI_SHADOW_LIVES 4
enum xi_shadow_list {
	XI_SHADOW_FREE,
	XI_SHADOW_SEATED,
	XI_SHADOW_NOTED,
	XI_SHADOW_NEGATIVE,
	XI_SHADOW_LISTS = XI_SHADOW_NEGATIVE + XI_SHADOW_LIVES
};

struct xi_shadow_sa {
	uint32_t sa_index;           /* 0: free */
	uint32_t chain;              /* next of its hash chain */
	uint32_t older, newer;       /* of its list */
	uint8_t list;                /* enum xi_shadow_list */
	uint8_t why;                 /* enum xi_choice */
	uint8_t life;                /* of the next negative answer */
	bool cached;                 /* put into sa_cache; only the kernel may have taken it out */
	struct xi_sa_id id;
	uint32_t generation;
	uint32_t misses;             /* messages since it is known here */
	struct xi_sa_state *state;
	uint64_t since;              /* CLOCK_MONOTONIC ns: when this answer was given, */
	uint64_t put;                /* when sa_cache had it, */
	uint64_t asked;              /* and when it was last asked for */
	uint64_t packets_since;      /* verified packets of its life at `since` */
};

struct xi_shadow {
	struct xi_shadow_sa *sas;
	uint32_t n;
	uint32_t *heads;             /* of hash chains */
	unsigned int hash_shift;
	struct {
		uint32_t oldest, newest, n;
	} lists[XI_SHADOW_LISTS];
};

int xi_shadow_create(struct xi_shadow *shadow, uint32_t n);
void xi_shadow_destroy(struct xi_shadow *shadow);

/* NULL: not known. */
struct xi_shadow_sa *xi_shadow_find(const struct xi_shadow *shadow, uint32_t sa_index);
/* NULL: none is free. Zeroed but for sa_index and list. */
struct xi_shadow_sa *xi_shadow_add(struct xi_shadow *shadow, uint32_t sa_index, enum xi_shadow_list list);
/* To the new end of a list. */
void xi_shadow_move(struct xi_shadow *shadow, struct xi_shadow_sa *sa, enum xi_shadow_list list);
void xi_shadow_remove(struct xi_shadow *shadow, struct xi_shadow_sa *sa);
/* NULL: empty. */
struct xi_shadow_sa *xi_shadow_oldest(const struct xi_shadow *shadow, enum xi_shadow_list list);
/* In sa_cache without a slot. */
uint32_t xi_shadow_negatives(const struct xi_shadow *shadow);

#endif
