/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to SAs by the clock: lifetimes (RFC 4301 section 4.4.2.1), larval SAs, sequence
 * reserves.
 */
#include "sad/sad_priv.h"

#include <string.h>

#include "log.h"

#define NO_LIMIT UINT64_MAX      /* XFRM_INF */

static bool volume_reached(uint64_t count, uint64_t limit)
{
	return limit != NO_LIMIT && count >= limit;
}

/* A clock that was set back makes no age. */
static bool age_reached(uint64_t now, uint64_t since, uint64_t limit)
{
	return limit && limit != NO_LIMIT && now >= since && now - since >= limit;
}

/* As in the kernel, volume and use count from the first packet on: an SA never used has none. */
static bool limit_reached(const struct xi_sa_rec *rec, uint64_t now, bool hard)
{
	const struct xi_limits *l = &rec->sa.limits;
	uint64_t use_time = __atomic_load_n(&rec->state->use_time, __ATOMIC_RELAXED);

	if (age_reached(now, rec->sa.add_time, hard ? l->hard_add : l->soft_add))
		return true;
	if (!use_time)
		return false;
	return age_reached(now, use_time, hard ? l->hard_use : l->soft_use) ||
	       volume_reached(__atomic_load_n(&rec->state->bytes, __ATOMIC_RELAXED),
			      hard ? l->hard_bytes : l->soft_bytes) ||
	       volume_reached(__atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED),
			      hard ? l->hard_packets : l->soft_packets);
}

static void event_expire(struct xi_sad *sad, const struct xi_sa_rec *rec, bool hard)
{
	if (sad->events.expire)
		sad->events.expire(sad->events.arg, rec, hard);
}

/* The flag goes to the store first: an event is sent once, also across a restart. */
static void soft_expire(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sa sa = node->rec->sa;

	sa.life |= XI_SA_SOFT_EXPIRED;
	if (!xi_sad_replace(sad, node, &sa))
		event_expire(sad, node->rec, false);
}

static void hard_expire(struct xi_sad *sad, struct xi_sad_node *node, struct xi_sad_node **doomed)
{
	int err = xi_sad_detach(sad, node, doomed);

	if (err)
		log_warnx("an SA reached its hard lifetime but could not be deleted: %s; trying again",
			  strerror(-err));
	else
		event_expire(sad, node->rec, true);
}

static void sa_tick(struct xi_sad *sad, struct xi_sad_node *node, uint64_t now,
		    struct xi_sad_node **doomed)
{
	const struct xi_sa_rec *rec = node->rec;
	int err;

	if (rec->sa.life & XI_SA_LARVAL) {
		if (now >= node->dies)
			hard_expire(sad, node, doomed);
		return;
	}
	if (limit_reached(rec, now, true)) {
		hard_expire(sad, node, doomed);
		return;
	}
	if (!(rec->sa.life & XI_SA_SOFT_EXPIRED) && limit_reached(rec, now, false))
		soft_expire(sad, node);
	if (!node->reserve)
		return;
	err = xi_reserve_extend(node->reserve, sad->state_dir, node->rec->state);
	if (err)
		log_warnx("sequence numbers of SPI 0x%08x cannot be reserved in %s: %s; its traffic will stop",
			  node->id.spi, sad->state_dir ? sad->state_dir : "(no state directory)",
			  strerror(-err));
}

void xi_sad_tick(struct xi_sad *sad, uint64_t now)
{
	struct xi_sad_node *doomed = NULL;
	uint32_t slot;

	xi_sad_bury_again(sad);
	for (slot = 0; slot < sad->slots.n; slot++)
		if (sad->slots.recs[slot])
			sa_tick(sad, sad->slots.nodes[slot], now, &doomed);
	if (doomed)
		xi_sad_sync(sad);
	xi_sad_bury(sad, doomed);
}
