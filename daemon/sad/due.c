/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When to look at which SA. A million of them are not looked at each second:
 *
 *   what the clock alone decides (larval SAs, lifetimes since the SA was added) waits in a wheel of
 *   one-second buckets, each a list of slots; whatever is further off than a turn of the wheel is
 *   passed over when its bucket comes by; XI_LOOKS_DUE of them a tick;
 *   what packets decide, and who sends them can be told by shared memory alone (soft limits of
 *   volume, lifetimes since first use, reserves on disk), stands in the array `watched`, of which
 *   each tick looks at up to XI_LOOKS_WATCHED;
 *   everything else (sequence numbers, flags that no message told of) comes by in a walk over all
 *   slots, XI_LOOKS_ALL a tick.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NO_LIMIT UINT64_MAX /* XFRM_INF */
#define WHEEL_SECONDS 4096
/* More buckets: what is due already, each tick; and those being looked at. */
#define OVERDUE WHEEL_SECONDS
#define TAKEN (WHEEL_SECONDS + 1)
#define BUCKETS (WHEEL_SECONDS + 2)

int xi_dues_init(struct xi_sad *sad)
{
	struct xi_sad_dues *d = &sad->dues;

	d->buckets = malloc(BUCKETS * sizeof(*d->buckets));
	d->watched = calloc(sad->slots.n, sizeof(*d->watched));
	d->now = time(NULL);
	if (!d->buckets || !d->watched)
		return -ENOMEM;
	memset(d->buckets, 0xff, BUCKETS * sizeof(*d->buckets));
	return 0;
}

void xi_dues_free(struct xi_sad *sad)
{
	free(sad->dues.buckets);
	free(sad->dues.watched);
}

static void earlier(uint64_t *due, uint64_t since, uint64_t limit)
{
	if (limit && limit != NO_LIMIT && limit < NO_LIMIT - since && since + limit < *due)
		*due = since + limit;
}

/* Seconds since the epoch; NO_LIMIT: the clock decides nothing. */
static uint64_t node_due(const struct xi_sad_node *node)
{
	const struct xi_sa *sa = &node->rec->sa;
	uint64_t due = NO_LIMIT;

	if (sa->life & XI_SA_LARVAL)
		return node->dies;
	if (sa->life & XI_SA_FROM_KERNEL)
		return NO_LIMIT;
	earlier(&due, sa->add_time, sa->limits.hard_add);
	if (!(sa->life & XI_SA_SOFT_EXPIRED))
		earlier(&due, sa->add_time, sa->limits.soft_add);
	return due;
}

static bool is_limit(uint64_t limit)
{
	return limit && limit != NO_LIMIT;
}

static bool wants_watch(const struct xi_sad_node *node)
{
	const struct xi_limits *l = &node->rec->sa.limits;

	return node->reserve || is_limit(l->soft_bytes) || is_limit(l->hard_bytes) ||
	       is_limit(l->soft_packets) || is_limit(l->hard_packets) || is_limit(l->soft_use) ||
	       is_limit(l->hard_use);
}

static void wheel_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_due *due = &node->due;

	if (!due->in_wheel)
		return;
	due->in_wheel = false;
	if (due->prev == XI_NO_SLOT)
		sad->dues.buckets[due->bucket] = due->next;
	else
		sad->slots.nodes[due->prev]->due.next = due->next;
	if (due->next != XI_NO_SLOT)
		sad->slots.nodes[due->next]->due.prev = due->prev;
}

static void bucket_put(struct xi_sad *sad, struct xi_sad_node *node, uint16_t bucket)
{
	uint32_t slot = XI_SA_SLOT(node->sa_index), *head = &sad->dues.buckets[bucket];
	struct xi_due *due = &node->due;

	due->in_wheel = true;
	due->bucket = bucket;
	due->prev = XI_NO_SLOT;
	due->next = *head;
	if (*head != XI_NO_SLOT)
		sad->slots.nodes[*head]->due.prev = slot;
	*head = slot;
}

static void wheel_add(struct xi_sad *sad, struct xi_sad_node *node, uint64_t at)
{
	bucket_put(sad, node, at <= sad->dues.now ? OVERDUE : at % WHEEL_SECONDS);
}

static void watch_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sad_dues *d = &sad->dues;

	node->due.is_watched = true;
	node->due.watch = d->nwatched;
	d->watched[d->nwatched++] = XI_SA_SLOT(node->sa_index);
}

static void watch_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sad_dues *d = &sad->dues;
	uint32_t last;

	if (!node->due.is_watched)
		return;
	node->due.is_watched = false;
	last = d->watched[--d->nwatched];
	d->watched[node->due.watch] = last;
	sad->slots.nodes[last]->due.watch = node->due.watch;
}

void xi_due_update(struct xi_sad *sad, struct xi_sad_node *node)
{
	bool watch = node->rec && wants_watch(node);
	uint64_t at = node->rec ? node_due(node) : NO_LIMIT;

	wheel_del(sad, node);
	if (at != NO_LIMIT)
		wheel_add(sad, node, at);
	if (watch != node->due.is_watched)
		(watch ? watch_add : watch_del)(sad, node);
}

void xi_due_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	wheel_del(sad, node);
	watch_del(sad, node);
}

static void bucket_take(struct xi_sad *sad, uint16_t bucket)
{
	uint32_t *heads = sad->dues.buckets, slot;

	for (slot = heads[bucket]; slot != XI_NO_SLOT; slot = sad->slots.nodes[slot]->due.next)
		sad->slots.nodes[slot]->due.bucket = TAKEN;
	heads[TAKEN] = heads[bucket];
	heads[bucket] = XI_NO_SLOT;
}

static void taken_look(struct xi_sad *sad, uint64_t now, xi_due_fn fn)
{
	uint32_t slot = sad->dues.buckets[TAKEN];
	struct xi_sad_node *node = sad->slots.nodes[slot];

	wheel_del(sad, node);
	if (node_due(node) <= now)
		fn(sad, node, now);
	if (sad->slots.recs[slot])
		xi_due_update(sad, node);
}

/*
 * Seconds that have passed are worked off in order, each to its end before the next, so that
 * nothing starves; what there is no time for waits for the next tick.
 */
static void wheel_look(struct xi_sad *sad, uint64_t now, xi_due_fn fn)
{
	struct xi_sad_dues *d = &sad->dues;
	uint32_t looks = 0;
	bool repeated = false;

	if (d->now > now)
		d->now = now;        /* the clock was set back */
	if (now - d->now > WHEEL_SECONDS)
		d->now = now - WHEEL_SECONDS;
	for (;;) {
		for (; d->buckets[TAKEN] != XI_NO_SLOT && looks < XI_LOOKS_DUE; looks++)
			taken_look(sad, now, fn);
		if (d->buckets[TAKEN] != XI_NO_SLOT || (repeated && d->now == now))
			break;
		bucket_take(sad, repeated ? ++d->now % WHEEL_SECONDS : OVERDUE);
		repeated = true;
	}
	d->looks += looks;
}

/* From the end on: an SA that goes is replaced by the last, which was looked at. */
static void watched_look(struct xi_sad *sad, uint64_t now, xi_due_fn fn)
{
	struct xi_sad_dues *d = &sad->dues;
	uint32_t n = d->nwatched;

	if (n <= XI_LOOKS_WATCHED)
		d->watch_at = n;
	else
		n = XI_LOOKS_WATCHED;
	d->looks += n;
	for (; n && d->nwatched; n--) {
		if (!d->watch_at || d->watch_at > d->nwatched)
			d->watch_at = d->nwatched;
		fn(sad, sad->slots.nodes[d->watched[--d->watch_at]], now);
	}
}

/* Only one line of memory is read of most. */
static void all_look(struct xi_sad *sad, uint64_t now, xi_due_fn fn)
{
	struct xi_sad_dues *d = &sad->dues;
	uint32_t n = sad->slots.n < XI_LOOKS_ALL ? sad->slots.n : XI_LOOKS_ALL;

	d->looks += n;
	for (; n; n--, d->all_at++) {
		if (d->all_at >= sad->slots.n)
			d->all_at = 0;
		if (sad->slots.recs[d->all_at] && xi_state_alarming(&sad->store.states[d->all_at]))
			fn(sad, sad->slots.nodes[d->all_at], now);
	}
}

void xi_dues_look(struct xi_sad *sad, uint64_t now, xi_due_fn fn)
{
	wheel_look(sad, now, fn);
	watched_look(sad, now, fn);
	all_look(sad, now, fn);
}
