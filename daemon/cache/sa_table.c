/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/sa_table.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <urcu-qsbr.h>

#include "log.h"

#define NSEC_PER_SEC 1000000000ULL
#define ASKS_AGAIN NSEC_PER_SEC  /* within this time: it would go on asking */
#define OTHERS_LEAST 256
#define SPARE_LEAST 16           /* context slots that wait for a grace period together */
#define SPARE_MOST 256
#define BATCH 128

static uint64_t table_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static void table_count(struct xi_sa_table *table, enum xi_reason reason, uint64_t n)
{
	if (table->config.counts)
		__atomic_fetch_add(&table->config.counts[reason], n, __ATOMIC_RELAXED);
}

static uint64_t table_packets(const struct xi_sa_state *state)
{
	return __atomic_load_n(&state->packets, __ATOMIC_RELAXED);
}

uint64_t xi_sa_table_hits(const struct xi_shadow_sa *sa)
{
	uint64_t packets = table_packets(sa->state);

	return packets > sa->packets_since ? packets - sa->packets_since : 0;
}

uint32_t xi_sa_table_uses(const struct xi_sa_state *state)
{
	return (uint32_t)table_packets(state) -
	       __atomic_load_n(&state->packets_asked, __ATOMIC_RELAXED);
}

/* The same, and from now on they are counted. */
static uint32_t table_take_uses(struct xi_sa_state *state)
{
	uint32_t packets = (uint32_t)table_packets(state);

	return packets - __atomic_exchange_n(&state->packets_asked, packets, __ATOMIC_RELAXED);
}

static uint32_t table_others_max(uint32_t sa_entries)
{
	return sa_entries > OTHERS_LEAST ? sa_entries : OTHERS_LEAST;
}

uint32_t xi_sa_table_elements(uint32_t sa_entries)
{
	return sa_entries + table_others_max(sa_entries);
}

static uint32_t table_uses(void *arg, uint32_t sa_index)
{
	struct xi_sa_table *table = arg;
	struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, sa_index);

	return sa ? table_take_uses(sa->state) : 0;
}

int xi_sa_table_create(struct xi_sa_table *table, const struct xi_sa_table_config *config)
{
	const struct xi_admit_config admit = {
		.policy = config->policy,
		.capacity = config->sa_entries,
		.uses = table_uses,
		.arg = table,
	};
	uint32_t spare = config->sa_entries / 8;
	int err;

	memset(table, 0, sizeof(*table));
	table->config = *config;
	if (spare < SPARE_LEAST)
		spare = SPARE_LEAST;
	if (spare > SPARE_MOST)
		spare = SPARE_MOST;
	err = xi_slots_create(&table->slots, config->engine, config->sa_entries + spare,
			      config->nworkers);
	/* one more: an SA has its seat before the one that leaves has given it up */
	if (!err)
		err = xi_shadow_create(&table->shadow, xi_sa_table_elements(config->sa_entries) + 1);
	if (!err)
		err = xi_admit_create(&table->admit, &admit);
	if (err)
		xi_sa_table_destroy(table);
	return err;
}

void xi_sa_table_destroy(struct xi_sa_table *table)
{
	if (table->admit)
		xi_admit_destroy(table->admit);
	xi_shadow_destroy(&table->shadow);
	xi_slots_destroy(&table->slots);
	memset(table, 0, sizeof(*table));
}

void xi_sa_table_sync(struct xi_sa_table *table)
{
	synchronize_rcu();
	xi_slots_reclaim(&table->slots);
}

/* The answer that sa stands for, into sa_cache. */
static bool table_put(struct xi_sa_table *table, struct xi_shadow_sa *sa)
{
	const struct xi_sa_cached cached = {
		.sa_index = sa->sa_index,
		.method = xi_choice_method(sa->why),
		.slot = xi_slots_number(&table->slots, sa->sa_index),
		.generation = sa->generation,
	};

	if (bpf_map_update_elem(table->config.sa_cache_fd, &sa->id, &cached, BPF_ANY)) {
		log_warn("sa_cache: cannot insert SPI 0x%08x", sa->id.spi);
		return false;
	}
	sa->cached = true;
	sa->put = table_clock();
	table_count(table, XI_SA_FILLED, 1);
	table->figures.filled[sa->why]++;
	return true;
}

static void table_take_out(struct xi_sa_table *table, struct xi_shadow_sa *sa)
{
	if (sa->cached)
		bpf_map_delete_elem(table->config.sa_cache_fd, &sa->id);
	sa->cached = false;
}

static void table_answer(struct xi_shadow_sa *sa, enum xi_choice why)
{
	sa->why = why;
	sa->since = table_clock();
	sa->packets_since = table_packets(sa->state);
}

/*
 * Forgets one, if it must, for one more beside those with a seat. force: even one that is in
 * sa_cache.
 */
static bool table_room(struct xi_sa_table *table, bool force)
{
	struct xi_shadow_sa *old = xi_shadow_oldest(&table->shadow, XI_SHADOW_NOTED);
	uint32_t noted = table->shadow.lists[XI_SHADOW_NOTED].n, life;

	if (noted + xi_shadow_negatives(&table->shadow) <
	    table_others_max(table->config.sa_entries))
		return true;
	for (life = 0; force && !old && life < XI_SHADOW_LIVES; life++)
		old = xi_shadow_oldest(&table->shadow, XI_SHADOW_NEGATIVE + life);
	if (!old)
		return false;
	table_take_out(table, old);
	xi_shadow_remove(&table->shadow, old);
	return true;
}

static struct xi_shadow_sa *table_add(struct xi_sa_table *table, const struct xi_sa_rec *rec,
				      enum xi_shadow_list list)
{
	struct xi_shadow_sa *sa = xi_shadow_add(&table->shadow, rec->sa.sa_index, list);

	if (!sa)
		return NULL;
	sa->id = rec->sa.id;
	sa->state = rec->state;
	table_answer(sa, XI_CHOICE_NONE);
	return sa;
}

/*
 * Out of sa_cache and out of its slot. XDP may have read the handle just before: the worker then
 * finds no context, and does the packet by the SLOW method.
 */
static void table_unseat(struct xi_sa_table *table, struct xi_shadow_sa *sa)
{
	table_take_out(table, sa);
	xi_slots_empty(&table->slots, sa->sa_index);
}

static void table_evict(struct xi_sa_table *table, uint32_t victim)
{
	struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, victim);

	if (!sa)
		return;
	table_unseat(table, sa);
	table_answer(sa, XI_CHOICE_EVICTED);
	sa->asked = 0;
	sa->life = 0;
	table->figures.evicted_admission++;
	table_count(table, XI_SA_EVICTED, 1);
	if (table_room(table, false))
		xi_shadow_move(&table->shadow, sa, XI_SHADOW_NOTED);
	else
		xi_shadow_remove(&table->shadow, sa);
}

/* Expands the keys into a slot; one grace period makes many slots free. */
static int table_fill(struct xi_sa_table *table, const struct xi_sa_rec *rec)
{
	uint32_t number = xi_slots_number(&table->slots, rec->sa.sa_index);
	int err;

	if (number != XI_NO_SLOT)
		return 0;
	err = xi_slots_fill(&table->slots, rec, &number);
	if (err == -ENOSPC) {
		xi_sa_table_sync(table);
		err = xi_slots_fill(&table->slots, rec, &number);
	}
	if (err)
		log_warnx("SA with SPI 0x%08x: context slot not filled: %s", rec->sa.id.spi,
			  strerror(-err));
	return err;
}

/*
 * A packet of it passed its integrity check since it last asked, or within a second. Without
 * one it takes nobody's slot: forged packets with a known SPI cannot push live SAs out.
 */
static bool table_is_proven(const struct xi_sa_rec *rec)
{
	uint64_t last = __atomic_load_n(&rec->state->last_use, __ATOMIC_RELAXED);

	return xi_sa_table_uses(rec->state) || last + 1 >= (uint64_t)time(NULL);
}

static enum xi_choice table_seat(struct xi_sa_table *table, const struct xi_sa_rec *rec,
			      struct xi_shadow_sa *sa, const struct xi_admission *admission)
{
	bool evict = admission->verdict == XI_ADMIT_EVICT;

	if (sa) {
		table_take_out(table, sa); /* an SA may be used both ways */
		xi_shadow_move(&table->shadow, sa, XI_SHADOW_SEATED);
	} else {
		sa = table_add(table, rec, XI_SHADOW_SEATED);
	}
	if (evict)
		table_evict(table, admission->victim);
	if (!sa || table_fill(table, rec)) {
		xi_admit_remove(table->admit, rec->sa.sa_index);
		if (sa)
			xi_shadow_remove(&table->shadow, sa);
		return XI_CHOICE_NO_KEY;
	}
	return evict ? XI_CHOICE_WORTH : XI_CHOICE_ROOM;
}

static enum xi_choice table_admit(struct xi_sa_table *table, const struct xi_sa_rec *rec,
			       struct xi_shadow_sa *sa, bool inbound)
{
	struct xi_admission admission = { 0 };

	if (sa && sa->list == XI_SHADOW_SEATED)
		return table_fill(table, rec) ? XI_CHOICE_NO_KEY : (enum xi_choice)sa->why;
	if (inbound && xi_admit_resident(table->admit) >= table->config.sa_entries &&
	    !table_is_proven(rec)) {
		table->figures.unproven++;
		return XI_CHOICE_UNPROVEN;
	}
	xi_admit_miss(table->admit, rec->sa.sa_index, table_take_uses(rec->state), &admission);
	if (admission.verdict == XI_ADMIT_REFUSED) {
		table->figures.refused++;
		return XI_CHOICE_REFUSED;
	}
	return table_seat(table, rec, sa, &admission);
}

static enum xi_choice table_choose(struct xi_sa_table *table, const struct xi_sa_rec *rec,
				struct xi_shadow_sa *sa, bool inbound)
{
	if (rec->sa.life & XI_SA_LARVAL)
		return XI_CHOICE_LARVAL;
	if (__atomic_load_n(&rec->state->expired, __ATOMIC_ACQUIRE))
		return XI_CHOICE_EXPIRED;
	return table_admit(table, rec, sa, inbound);
}

/* An SA that gets no slot is remembered, so that one that comes again is known. NULL: no room. */
static struct xi_shadow_sa *table_note(struct xi_sa_table *table, const struct xi_sa_rec *rec,
				       enum xi_choice why)
{
	struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, rec->sa.sa_index);

	if (sa && sa->list == XI_SHADOW_SEATED) {
		table_unseat(table, sa);
		xi_admit_remove(table->admit, sa->sa_index);
		xi_shadow_remove(&table->shadow, sa);
		sa = NULL;
	}
	if (!sa && table_room(table, xi_choice_method(why) != XI_METHOD_SLOW))
		sa = table_add(table, rec, XI_SHADOW_NOTED);
	if (!sa)
		return NULL;
	if (sa->why != why)
		table_answer(sa, why);
	sa->misses++;
	sa->generation = rec->sa.generation;
	return sa;
}

static bool table_asked_lately(const struct xi_shadow_sa *sa, uint64_t now)
{
	return sa->asked && (int64_t)(now - sa->asked) < (int64_t)ASKS_AGAIN;
}

/* Not FAST. True: put into sa_cache. */
static bool table_refuse(struct xi_sa_table *table, const struct xi_sa_rec *rec, enum xi_choice why,
			 bool inbound)
{
	bool slow = xi_choice_method(why) == XI_METHOD_SLOW, again;
	struct xi_shadow_sa *sa = table_note(table, rec, why);
	uint64_t now = table_clock();

	if (slow)
		table_count(table, XI_SA_DENIED, 1);
	if (!sa)
		return false;
	again = table_asked_lately(sa, now);
	sa->asked = now;
	if (!inbound && sa->cached)
		return false;        /* what its inbound packets were told lapses in time */
	if (!again)
		sa->life = 0;
	if (!inbound || (slow && !again) || !table_put(table, sa)) {
		xi_shadow_move(&table->shadow, sa, XI_SHADOW_NOTED);
		return false;
	}
	xi_shadow_move(&table->shadow, sa, XI_SHADOW_NEGATIVE + sa->life);
	if (sa->life < XI_SHADOW_LIVES - 1)
		sa->life++;
	return true;
}

/*
 * A message for an SA that was put into sa_cache: from before that, or the kernel has taken it out
 * again. It is looked for, as putting it where it is would, in a full map, evict others.
 */
static bool table_missing(struct xi_sa_table *table, const struct xi_shadow_sa *sa, uint64_t ktime)
{
	struct xi_sa_cached cached;

	return ktime > sa->put &&
	       bpf_map_lookup_elem(table->config.sa_cache_fd, &sa->id, &cached);
}

/* An SA that has its slot now. */
static struct xi_shadow_sa *table_seated(struct xi_sa_table *table, const struct xi_sa_rec *rec,
					 enum xi_choice why)
{
	struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, rec->sa.sa_index);

	if (sa->why != why)
		table_answer(sa, why);
	sa->misses++;
	sa->generation = rec->sa.generation;
	return sa;
}

bool xi_sa_table_miss(struct xi_sa_table *table, const struct xi_sa_rec *rec, uint64_t ktime)
{
	struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, rec->sa.sa_index);
	enum xi_choice why;

	if (sa && sa->cached) {
		if (!table_missing(table, sa, ktime)) {
			table->figures.stale++;
			return false;
		}
		table->figures.evicted_kernel++;
		sa->cached = false;
		sa->misses++;
		xi_shadow_move(&table->shadow, sa, sa->list); /* in order of `put` */
		return table_put(table, sa);
	}
	why = table_choose(table, rec, sa, true);
	if (xi_choice_method(why) != XI_METHOD_FAST)
		return table_refuse(table, rec, why, true);
	return table_put(table, table_seated(table, rec, why));
}

bool xi_sa_table_want(struct xi_sa_table *table, const struct xi_sa_rec *rec)
{
	struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, rec->sa.sa_index);
	enum xi_choice why;

	if (xi_slots_number(&table->slots, rec->sa.sa_index) != XI_NO_SLOT)
		return true;
	if (sa && sa->why == XI_CHOICE_NO_KEY && table_asked_lately(sa, table_clock()))
		return false;
	why = table_choose(table, rec, sa, false);
	if (xi_choice_method(why) != XI_METHOD_FAST)
		return table_refuse(table, rec, why, false);
	table_seated(table, rec, why);
	table->figures.filled[why]++;
	return true;
}

/* A changed SA keeps its seat, and is filled anew when it is next asked for. */
void xi_sa_table_changed(struct xi_sa_table *table, const struct xi_sa_rec *old,
		      const struct xi_sa_rec *new)
{
	uint32_t sa_index = old ? old->sa.sa_index : new->sa.sa_index;
	struct xi_shadow_sa *sa = xi_shadow_find(&table->shadow, sa_index);
	bool stays;

	if (!sa)
		return;
	stays = new && new->sa.sa_index == sa_index && sa->list == XI_SHADOW_SEATED;
	if (stays)
		table->figures.evicted_changed++;
	else if (sa->cached || sa->list == XI_SHADOW_SEATED)
		table->figures.evicted_deleted++;
	table_unseat(table, sa);
	if (stays) {
		sa->id = new->sa.id; /* it may have moved */
		return;
	}
	if (sa->list == XI_SHADOW_SEATED)
		xi_admit_remove(table->admit, sa_index);
	xi_shadow_remove(&table->shadow, sa);
}

/* The kernel may have evicted some; a batch ends at the first that is not there. */
static void table_delete_batch(struct xi_sa_table *table, const struct xi_sa_id *ids, uint32_t n)
{
	uint32_t from, count;

	for (from = 0; from < n; from += count + 1) {
		count = n - from;
		if (!bpf_map_delete_batch(table->config.sa_cache_fd, &ids[from], &count, NULL))
			break;
	}
}

static void table_lapse(struct xi_sa_table *table, unsigned int life, uint64_t now)
{
	struct xi_sa_id ids[BATCH];
	struct xi_shadow_sa *sa;
	uint32_t n = 0;

	while ((sa = xi_shadow_oldest(&table->shadow, XI_SHADOW_NEGATIVE + life)) &&
	       now >= sa->put + (NSEC_PER_SEC << life)) {
		ids[n++] = sa->id;
		sa->cached = false;
		sa->asked = now;
		xi_shadow_move(&table->shadow, sa, XI_SHADOW_NOTED);
		table->figures.lapsed++;
		if (n == BATCH) {
			table_delete_batch(table, ids, n);
			n = 0;
		}
	}
	table_delete_batch(table, ids, n);
}

bool xi_sa_table_tick(struct xi_sa_table *table, uint64_t now)
{
	unsigned int life;

	for (life = 0; life < XI_SHADOW_LIVES; life++)
		table_lapse(table, life, now);
	return xi_shadow_negatives(&table->shadow) > 0;
}
