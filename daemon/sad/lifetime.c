/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What happens to SAs by the clock: lifetimes (RFC 4301 section 4.4.2.1), larval SAs, sequence
 * reserves.
 */
#include "sad/sad_priv.h"

#include <limits.h>
#include <string.h>
#include <time.h>

#include "log.h"

#define NO_LIMIT UINT64_MAX /* XFRM_INF */
/* Numbers left when a new SA is asked for: half a minute's at ten million packets a second. */
#define SEQ_SOFT (1ULL << 28)
/* SAs of one destination and reqid that are looked at for one that goes. */
#define MATES_MAX 512

static bool volume_reached(uint64_t count, uint64_t limit)
{
	return limit != NO_LIMIT && count >= limit;
}

/* A clock that was set back makes no age. */
static bool age_reached(uint64_t now, uint64_t since, uint64_t limit)
{
	return limit && limit != NO_LIMIT && now >= since && now - since >= limit;
}

/*
 * RFC 4303 section 3.3.3: the counter must not cycle, so behind its last number nothing can be
 * sent.
 */
static bool numbers_used(const struct xi_sa_rec *rec, bool hard)
{
	uint64_t oseq = __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED);

	return oseq >= xi_sa_seq_max(&rec->sa) - (hard ? 0 : SEQ_SOFT);
}

/* As in the kernel, volume and use count from the first packet on: an SA never used has none. */
static bool limit_reached(const struct xi_sa_rec *rec, uint64_t now, bool hard)
{
	const struct xi_limits *l = &rec->sa.limits;
	uint64_t use_time = __atomic_load_n(&rec->state->use_time, __ATOMIC_RELAXED);
	bool clock = !(rec->sa.life & XI_SA_FROM_KERNEL);

	if (numbers_used(rec, hard))
		return true;
	if (clock && age_reached(now, rec->sa.add_time, hard ? l->hard_add : l->soft_add))
		return true;
	if (!use_time)
		return false;
	return (clock && age_reached(now, use_time, hard ? l->hard_use : l->soft_use)) ||
	       volume_reached(__atomic_load_n(&rec->state->bytes, __ATOMIC_RELAXED),
			      hard ? l->hard_bytes : l->soft_bytes) ||
	       volume_reached(__atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED),
			      hard ? l->hard_packets : l->soft_packets);
}

static void event_expire(struct xi_sad *sad, const struct xi_sa_rec *rec, bool hard)
{
	const struct xi_sad_events *events =
		rec->sa.life & XI_SA_FROM_KERNEL ? &sad->kernel_events : &sad->events;

	if (events->expire)
		events->expire(events->arg, rec, hard);
}

/* The flag goes to the store first: an event is sent once, also across a restart. */
static void soft_expire(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sa sa = node->rec->sa;

	sa.life |= XI_SA_SOFT_EXPIRED;
	if (!xi_sad_replace(sad, node, &sa))
		event_expire(sad, node->rec, false);
}

static void node_expire(struct xi_sad *sad, struct xi_sad_node *node)
{
	int err;

	/*
	 * Of SAs with limits of bytes or packets workers look at it, and stop at once; should the SA
	 * not go now, the next round tries again.
	 */
	__atomic_store_n(&node->rec->state->expired, 1, __ATOMIC_RELEASE);
	err = xi_sad_detach(sad, node);
	if (err)
		log_warnx("an SA reached its hard lifetime but could not be deleted: %s; trying again",
			  strerror(-err));
	else
		event_expire(sad, node->rec, true);
}

/* From saddr, and otherwise alike. */
static bool is_alike(const struct xi_sa *sa, const uint8_t saddr[16], const struct xi_sa *to)
{
	return !memcmp(sa->saddr, saddr, 16) && sa->id.proto == to->id.proto &&
	       sa->mode == to->mode;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a < b ? b - a : a - b;
}

/*
 * How many rekeys old an SA is: newer ones of its direction. Beyond MATES_MAX nobody counts:
 * UINT_MAX.
 */
static unsigned int node_rank(const struct xi_sad_node *node)
{
	const struct xi_sa *sa = &node->rec->sa;
	const struct xi_sad_node *other = node->links[XI_CHAIN_EXACT].newer;
	unsigned int rank = 0, n;

	for (n = 0; other && n < MATES_MAX; other = other->links[XI_CHAIN_EXACT].newer, n++)
		rank += is_alike(&other->rec->sa, sa->saddr, sa);
	return other ? UINT_MAX : rank;
}

/*
 * Of the other direction's SAs the one that came at about the same time; of several, the one as
 * many rekeys old.
 */
static struct xi_sad_node *node_nearest(const struct xi_sad *sad, const struct xi_sad_node *node)
{
	const struct xi_sa *sa = &node->rec->sa;
	uint64_t rank = 0, apart = 0, apart_rank = 0, own_rank;
	struct xi_sad_node *other, *best = NULL;
	unsigned int n;

	other = xi_peers_newest_exact(sad, sa->saddr, sa->id.family, sa->reqid);
	own_rank = other ? node_rank(node) : UINT_MAX;
	if (own_rank == UINT_MAX)
		return NULL;
	for (n = 0; other && n < MATES_MAX; other = other->links[XI_CHAIN_EXACT].older, n++) {
		uint64_t time = distance(other->rec->sa.add_time, sa->add_time);

		if (other == node || !is_alike(&other->rec->sa, sa->id.daddr, sa))
			continue;
		if (!best || time < apart ||
		    (time == apart && distance(rank, own_rank) < apart_rank)) {
			best = other;
			apart = time;
			apart_rank = distance(rank, own_rank);
		}
		rank++;
	}
	return best;
}

/*
 * The other direction's SA: addresses exchanged, the same protocol, mode and reqid. A rekey has
 * several of each, for a while one more of one direction than of the other (strongSwan installs and
 * deletes them one by one), so the two must be each other's nearest. NULL: there is none, or it is
 * not among the newest MATES_MAX of this destination and reqid.
 */
static struct xi_sad_node *node_mate(const struct xi_sad *sad, const struct xi_sad_node *node)
{
	struct xi_sad_node *mate = node_nearest(sad, node);

	return mate && node_nearest(sad, mate) == node ? mate : NULL;
}

/*
 * SA_DELETE_REQ of the receive record: an inbound SA goes with its outbound pair, and the other way
 * round.
 */
static void hard_expire(struct xi_sad *sad, struct xi_sad_node *node)
{
	bool alone = node->rec->sa.life & (XI_SA_LARVAL | XI_SA_FROM_KERNEL);
	struct xi_sad_node *mate = alone ? NULL : node_mate(sad, node);

	node_expire(sad, node);
	if (mate)
		node_expire(sad, mate);
}

static bool hard_reached(const struct xi_sad_node *node, uint64_t now)
{
	if (node->rec->sa.life & XI_SA_LARVAL)
		return now >= node->dies;
	return __atomic_load_n(&node->rec->state->expired, __ATOMIC_ACQUIRE) ||
	       limit_reached(node->rec, now, true);
}

static void sa_tick(struct xi_sad *sad, struct xi_sad_node *node, uint64_t now)
{
	int err;

	if (hard_reached(node, now)) {
		hard_expire(sad, node);
		return;
	}
	if (node->rec->sa.life & XI_SA_LARVAL)
		return;
	if (!(node->rec->sa.life & XI_SA_SOFT_EXPIRED) && limit_reached(node->rec, now, false))
		soft_expire(sad, node);
	if (!node->reserve)
		return;
	err = xi_reserve_extend(node->reserve, sad->state_dir, node->rec->state);
	if (err)
		log_warnx("sequence numbers of SPI 0x%08x cannot be reserved in %s: %s; its traffic will stop",
			  node->id.spi, sad->state_dir ? sad->state_dir : "(no state directory)",
			  strerror(-err));
}

bool xi_state_alarming(const struct xi_sa_state *state)
{
	return __atomic_load_n(&state->oseq, __ATOMIC_RELAXED) >= UINT32_MAX - SEQ_SOFT ||
	       __atomic_load_n(&state->expired, __ATOMIC_ACQUIRE);
}

void xi_sad_tick(struct xi_sad *sad, uint64_t now)
{
	xi_sad_hold(sad);
	xi_sad_bury_again(sad);
	xi_dues_look(sad, now, sa_tick);
	xi_sad_release(sad);
}

void xi_sad_expire_now(struct xi_sad *sad, uint32_t sa_index)
{
	if (!xi_sad_rec(sad, sa_index))
		return;
	xi_sad_hold(sad);
	sa_tick(sad, sad->slots.nodes[XI_SA_SLOT(sa_index)], time(NULL));
	xi_sad_release(sad);
}
