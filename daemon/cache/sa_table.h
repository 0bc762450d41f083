/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The fast path's table of SAs: sa_cache, the context slots, and the choice among methods for an SA that XDP or a
 * worker asks for. The control thread's; workers read `slots`.
 *
 * FAST: at most sa_entries SAs, chosen by an admission policy. Other answers that stand in sa_cache are bounded, too,
 * and live for 1, 2, 4, then 8 seconds; a SLOW one is given only to an SA that asks twice within a second, since
 * only then it spares messages. The table alone puts SAs into sa_cache, so one that it finds missing was evicted by
 * the kernel.
 */
#ifndef XI_SA_TABLE_H
#define XI_SA_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include <xipsec/reasons.h>
#include "cache/admit.h"
#include "cache/shadow.h"
#include "cache/slots.h"
#include "sad/sad.h"

struct xi_sa_table_config {
	const struct xi_engine *engine;
	unsigned int nworkers;
	uint32_t sa_entries;
	int sa_cache_fd;
	const char *policy;          /* as in xi_admit_config */
	uint64_t *counts;            /* by reason; NULL: not counted */
};

/* Since xi_sa_table_create. */
struct xi_sa_table_figures {
	uint64_t filled[XI_CHOICE_MAX]; /* answers put into sa_cache, by reason; outbound SAs: context slots filled */
	uint64_t evicted_admission;  /* a slot given up for an SA that is used more */
	uint64_t evicted_kernel;     /* from sa_cache; put back when next asked for */
	uint64_t evicted_deleted;    /* the SA was deleted, */
	uint64_t evicted_changed;    /* or changed: it keeps its seat */
	uint64_t lapsed;             /* negative answers whose life ended */
	uint64_t refused;            /* by the policy */
	uint64_t unproven;           /* not even asked about */
	uint64_t stale;              /* messages that had been answered when they were read */
};

struct xi_sa_table {
	struct xi_sa_table_config config;
	struct xi_slots slots;
	struct xi_shadow shadow;
	struct xi_admit *admit;
	uint32_t others;             /* SAs remembered beside those with a seat */
	struct xi_sa_table_figures figures;
};

/* Elements that sa_cache holds at most, for its size. */
uint32_t xi_sa_table_elements(uint32_t sa_entries);

/* 0 or -errno. sa_cache must be empty. */
int xi_sa_table_create(struct xi_sa_table *table, const struct xi_sa_table_config *config);
void xi_sa_table_destroy(struct xi_sa_table *table);

/*
 * A miss message of an inbound SA, sent at ktime (CLOCK_MONOTONIC, ns). True: answered in sa_cache; false: nothing was to
 * be done, or the SA stays SLOW and may ask again.
 */
bool xi_sa_table_miss(struct xi_sa_table *table, const struct xi_sa_rec *rec, uint64_t ktime);
/* An outbound SA should have a context slot. False: it got none. */
bool xi_sa_table_want(struct xi_sa_table *table, const struct xi_sa_rec *rec);
/* As xi_sad_listener.changed. */
void xi_sa_table_changed(struct xi_sa_table *table, const struct xi_sa_rec *old, const struct xi_sa_rec *new);
/* Ends lives that are over. True: there are others, call again within a second. */
bool xi_sa_table_tick(struct xi_sa_table *table, uint64_t now);
/* Waits for a grace period of the workers, then reclaims slots. */
void xi_sa_table_sync(struct xi_sa_table *table);

/* Packets of an SA that passed their checks since the table gave its present answer, */
uint64_t xi_sa_table_hits(const struct xi_shadow_sa *sa);
/* and since admission last counted them: of any SA, remembered or not. */
uint32_t xi_sa_table_uses(const struct xi_sa_state *state);

#endif
