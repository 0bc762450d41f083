/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs that come, and SAs that change. An SA is in the store before it is acknowledged, and is found
 * by workers before XDP finds it; when a step fails, those before it are undone.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "crypto/algs.h"
#include "log.h"

#define SPI_MIN 256             /* RFC 4303 section 2.1: 1 to 255 are reserved, 0 is local */

static const char not_stored[] = "the SA could not be stored; see the log";

int xi_sad_check(const struct xi_sad *sad, const struct xi_sa *sa,
		 const struct xi_replay_init *init, const char **why)
{
	if (sa->id.family != XI_IPV4 && sa->id.family != XI_IPV6) {
		*why = "address family of the SA is neither ipv4 nor ipv6";
		return -EINVAL;
	}
	if (sa->id.spi < SPI_MIN) {
		*why = "SPIs 0 to 255 are reserved (RFC 4303 section 2.1); take one from 0x100 up";
		return -EINVAL;
	}
	if (sa->replay_window > XI_WINDOW_MAX) {
		*why = XI_WHY_WINDOW_TOO_LARGE;
		return -EINVAL;
	}
	if (sa->sel.ifindex) {
		*why = "selectors that name a device are not carried: a packet is judged before it is routed; leave dev out, or use an interface of an if_id";
		return -EOPNOTSUPP;
	}
	if (sa->life & XI_SA_FROM_FILE && !sad->state_dir) {
		*why = "no state directory to reserve sequence numbers in; set one, or let a key manager add the SA";
		return -EINVAL;
	}
	*why = "the datapath does not carry this kind of SA";
	if (sad->carries && !sad->carries(sa, why))
		return -EPROTONOSUPPORT;
	return xi_sa_init_check(sa, init, why);
}

static struct xi_sa_rec *rec_new(struct xi_sad *sad, const struct xi_sa *sa,
				 const struct xi_sa_key *key, uint32_t sa_index)
{
	struct xi_sa_rec *rec = xi_rec_new(sad);

	if (!rec)
		return NULL;
	rec->sa = *sa;
	if (key)
		rec->key = *key;
	rec->sa.sa_index = sa_index;
	rec->sa.window_slot = XI_NO_SLOT;
	return rec;
}

/*
 * Where the counter starts: nothing below it was ever used with this key as far as anybody here
 * knows.
 */
static int seq_start(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa_rec *rec,
		     const struct xi_replay_init *init, uint64_t *oseq, uint64_t *limit,
		     const char **why)
{
	uint64_t used = xi_used_key_oseq(sad, node);
	uint64_t seq_max = xi_sa_seq_max(&rec->sa);

	*oseq = init ? init->oseq : 0;
	if (*oseq < used)
		*oseq = used;
	if (*oseq > seq_max)
		*oseq = seq_max;
	*limit = seq_max;
	if (rec->sa.life & XI_SA_FROM_KERNEL) {
		*limit = init && init->oseq_limit < seq_max ? init->oseq_limit : seq_max;
		if (!init || *limit < *oseq)
			*limit = *oseq;
		return 0;
	}
	if (!(rec->sa.life & XI_SA_FROM_FILE) || rec->sa.sa_dir == XI_SA_DIR_IN)
		return 0;
	return xi_reserve_open(&node->reserve, sad->state_dir, &rec->key, seq_max, oseq, limit,
			       why);
}

/* Of an SA that XDP is not to find; of its larval one it is still to know. */
static void lookup_undo(const struct xi_sad *sad, const struct xi_sa_id *id, bool larval)
{
	const struct xi_store *store = &sad->store;

	if (!larval || store->ops->lookup_put(store->s, id, XI_LARVAL))
		store->ops->lookup_del(store->s, id);
}

/* Makes rec known: chains, store, workers, XDP, in this order. */
static int rec_announce(struct xi_sad *sad, struct xi_sad_node *node, struct xi_sa_rec *rec)
{
	const struct xi_store *store = &sad->store;
	struct xi_sa_rec *larval = node->rec;
	int err;

	err = store->ops->sa_put(store->s, rec->sa.sa_index, &rec->sa, &rec->key);
	if (err)
		goto undo_put;
	xi_sad_publish(sad, node, rec);
	err = xi_peers_add(sad, node);
	if (err)
		goto undo_publish;
	err = store->ops->lookup_put(store->s, &rec->sa.id, rec->sa.sa_index);
	if (!err)
		return 0;
	lookup_undo(sad, &rec->sa.id, larval);
	xi_peers_del(sad, node);
undo_publish:
	xi_sad_publish(sad, node, larval);
	sad->round.changed = true;
	xi_sad_settle(sad);
	node->rec = larval;
undo_put:
	store->ops->sa_del(store->s, rec->sa.sa_index);
	return err;
}

/*
 * Two SAs with one key and one sender would count the same numbers, which are AES-GCM's nonces. SAs
 * of a file and of one algorithm draw their numbers from one reserve; what only comes in is the peer's care.
 */
static int key_check(const struct xi_sad *sad, const struct xi_sad_node *node,
		     const struct xi_sa *sa, const char **why)
{
	const struct xi_sa_rec *other;

	if (!xi_alg_counts_nonces(sa->alg) || sa->sa_dir == XI_SA_DIR_IN)
		return 0;
	other = xi_sender_find(sad, node, sa);
	if (!other)
		return 0;
	if ((sa->life & other->sa.life & XI_SA_FROM_FILE) && sa->alg == other->sa.alg &&
	    sa->auth == other->sa.auth)
		return 0;
	*why = "another SA from this source address has the same key, so its cipher would use nonces twice; give each SA a key of its own";
	return -EINVAL;
}

/* Makes the SA of a node that has a slot and, at most, a larval record. */
static int sa_install(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa,
		      const struct xi_sa_key *key, const struct xi_replay_init *init,
		      const char **why)
{
	struct xi_sa_rec *larval = node->rec, *rec;
	uint64_t oseq, limit;
	int err = -ENOMEM;

	if (!key || !key->len || key->len > XI_KEY_MAX || key->alg != sa->alg ||
	    key->auth != sa->auth) {
		*why = "key missing, too long, or of another algorithm than the SA";
		return -EINVAL;
	}
	xi_node_name_key(sad, node, key);
	if (xi_key_dying(sad, node))
		xi_sad_settle(sad);
	err = key_check(sad, node, sa, why);
	if (err)
		return err;
	err = -ENOMEM;
	rec = rec_new(sad, sa, key, node->sa_index);
	if (!rec)
		return err;
	rec->sa.life &= ~(XI_SA_LARVAL | XI_SA_SOFT_EXPIRED);
	if (!(sa->life & XI_SA_FROM_KERNEL))
		rec->sa.add_time = time(NULL);
	rec->sa.df = sad->df;
	rec->sa.generation = larval ? larval->sa.generation + 1 : 1;
	err = xi_window_take(sad, sa->replay_window, &rec->sa.window_slot, why);
	if (err == -ENOSPC && sad->round.doomed) {
		xi_sad_settle(sad);
		err = xi_window_take(sad, sa->replay_window, &rec->sa.window_slot, why);
	}
	if (err)
		goto free_rec;
	err = xi_sad_round_reserve(sad);
	if (err)
		goto give_window;
	xi_rec_bind(sad, rec);
	err = seq_start(sad, node, rec, init, &oseq, &limit, why);
	if (err)
		goto give_window;
	xi_state_start(rec, init, oseq, limit);
	err = rec_announce(sad, node, rec);
	if (err)
		goto reset_state;
	xi_sad_changed(sad, NULL, rec);
	if (larval)
		sad->round.replaced[sad->round.nreplaced++] = larval;
	return 0;
reset_state:
	xi_state_reset(rec->state, node->sa_index);
	xi_reserve_free(node->reserve);
	node->reserve = NULL;
give_window:
	xi_window_give(sad, &rec->sa);
free_rec:
	xi_rec_free(rec);
	return err;
}

/* A node with a slot, found by its id, without a record yet. */
static int node_new(struct xi_sad *sad, struct xi_sad_node **out, const struct xi_sa_id *id,
		    const char **why)
{
	struct xi_sad_node *node = calloc(1, sizeof(*node));
	int err;

	if (!node)
		return -ENOMEM;
	node->id = *id;
	node->order = sad->tables.order_next++;
	err = xi_slot_take(sad, &node->sa_index);
	if (err == -ENOSPC && sad->round.doomed) {
		xi_sad_settle(sad);
		err = xi_slot_take(sad, &node->sa_index);
	}
	if (err) {
		if (err == -ENOSPC)
			*why = "the SA table is full; delete SAs that are no longer needed, or raise max-sas";
		free(node);
		return err;
	}
	sad->slots.nodes[XI_SA_SLOT(node->sa_index)] = node;
	xi_table_add(sad, node);
	sad->count++;
	*out = node;
	return 0;
}

/*
 * An SA that a key manager added turns up in the file, so its key outlives a reboot: from now on its
 * numbers are reserved on disk. Workers take far fewer than a block of them meanwhile.
 */
static int sa_claim(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa,
		    const struct xi_sa_key *key, const char **why)
{
	const struct xi_sa_rec *rec = node->rec;
	struct xi_sa claimed = rec->sa;
	uint64_t oseq, limit;
	int err;

	if (node->reserve || !(sa->life & XI_SA_FROM_FILE) || claimed.life & (XI_SA_FROM_FILE | XI_SA_LARVAL) ||
	    claimed.sa_dir == XI_SA_DIR_IN || !key || memcmp(key, &rec->key, sizeof(*key)))
		return 0;
	oseq = __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED);
	err = xi_reserve_open(&node->reserve, sad->state_dir, key, xi_sa_seq_max(&claimed), &oseq,
			      &limit, why);
	if (err)
		return err;
	xi_state_limit(rec->state, oseq, limit);
	*why = not_stored;
	claimed.life |= XI_SA_FROM_FILE;
	err = xi_sad_replace(sad, node, &claimed);
	if (err) {
		/* what is reserved may be used up; the next try takes more */
		xi_reserve_free(node->reserve);
		node->reserve = NULL;
	}
	return err;
}

/* What a key manager gives to xipsec itself goes before what it gave to the kernel. */
static bool sa_yields(const struct xi_sad_node *node, const struct xi_sa *sa)
{
	if (!node->rec || !(node->rec->sa.life & ~sa->life & XI_SA_FROM_KERNEL))
		return false;
	log_warnx("SA with SPI 0x%08x: the kernel has one with this destination, SPI and protocol, too, which gives way",
		  sa->id.spi);
	return true;
}

static int sa_add(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
		  const struct xi_replay_init *init, const char **why)
{
	struct xi_sad_node *node;
	int err;

	err = xi_sad_check(sad, sa, init, why);
	if (err)
		return err;
	node = xi_sad_node(sad, &sa->id);
	if (node && sa_yields(node, sa)) {
		err = xi_sad_detach(sad, node);
		if (err)
			return err;
		node = NULL;
	}
	if (node) {
		err = sa_claim(sad, node, sa, key, why);
		if (err)
			return err;
		*why = "an SA with this destination, SPI and protocol exists; delete or update it";
		return -EEXIST;
	}
	*why = not_stored;
	err = node_new(sad, &node, &sa->id, why);
	if (err)
		return err;
	err = sa_install(sad, node, sa, key, init, why);
	if (err)
		xi_sad_abandon(sad, node);
	return err;
}

int xi_sad_add(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
	       const struct xi_replay_init *init, const char **why)
{
	int err;

	xi_sad_hold(sad);
	err = sa_add(sad, sa, key, init, why);
	xi_sad_release(sad);
	return err;
}

int xi_sad_replace(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa)
{
	struct xi_sa_rec *old = node->rec, *rec;
	int err;

	err = xi_sad_round_reserve(sad);
	if (err)
		return err;
	rec = xi_rec_new(sad);
	if (!rec)
		return -ENOMEM;
	*rec = *old;
	rec->sa = *sa;
	rec->sa.generation = old->sa.generation + 1;
	err = sad->store.ops->sa_put(sad->store.s, rec->sa.sa_index, &rec->sa, NULL);
	if (err) {
		xi_rec_free(rec);
		return err;
	}
	xi_sad_publish(sad, node, rec);
	xi_sad_changed(sad, old, rec);
	sad->round.replaced[sad->round.nreplaced++] = old;
	return 0;
}

/*
 * The kernel's xfrm_state_update(): the ports of an encapsulation may change, but not whether there
 * is one.
 */
static int refresh_check(const struct xi_sad_node *node, const struct xi_sa *sa, const char **why)
{
	if (node->rec->sa.encap != sa->encap) {
		*why = "an update cannot bring in or take away UDP encapsulation; delete the SA and add it";
		return -EINVAL;
	}
	if (__atomic_load_n(&node->rec->state->expired, __ATOMIC_ACQUIRE)) {
		*why = "the SA has reached its hard lifetime and is about to be deleted; add a new one";
		return -EINVAL;
	}
	return 0;
}

static bool addr_given(const uint8_t addr[16])
{
	static const uint8_t none[16];

	return memcmp(addr, none, sizeof(none));
}

/*
 * What it changes of an SA in use: lifetimes, output mark, if_id, encapsulation, care-of address. Key, algorithm,
 * sequence number and window are those of before, whatever the request says.
 */
static int sa_refresh(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa)
{
	struct xi_sa merged = node->rec->sa;
	int err;

	merged.limits = sa->limits;
	merged.life &= ~XI_SA_SOFT_EXPIRED;
	merged.encap_sport = sa->encap_sport;
	merged.encap_dport = sa->encap_dport;
	memcpy(merged.encap_oa, sa->encap_oa, sizeof(merged.encap_oa));
	if (sa->output_mark || sa->output_mark_mask) {
		merged.output_mark = sa->output_mark;
		merged.output_mark_mask = sa->output_mark_mask;
	}
	if (sa->if_id)
		merged.if_id = sa->if_id;
	if (addr_given(sa->coaddr) && addr_given(merged.coaddr))
		memcpy(merged.coaddr, sa->coaddr, sizeof(merged.coaddr));
	if (merged.if_id == node->rec->sa.if_id)
		return xi_sad_replace(sad, node, &merged);
	err = xi_sad_replace(sad, node, &merged);
	if (!err)
		xi_pair_changed(sad, node);
	return err;
}

static int sa_update(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
		     const struct xi_replay_init *init, const char **why)
{
	struct xi_sad_node *node = xi_sad_node(sad, &sa->id);
	const struct xi_sa *known = node ? &node->rec->sa : NULL;
	bool larval = known && known->life & XI_SA_LARVAL;
	int err;

	if (!known || (sa->mark_v & sa->mark_m & known->mark_m) != known->mark_v ||
	    (sa->sa_dir != known->sa_dir && (sa->sa_dir || !larval))) {
		*why = "no SA with this destination, SPI, protocol, mark and direction; add it";
		return -ESRCH;
	}
	err = xi_sad_check(sad, sa, init, why);
	if (err)
		return err;
	if (!larval)
		err = refresh_check(node, sa, why);
	if (!larval && !err)
		err = sa_claim(sad, node, sa, key, why);
	if (err)
		return err;
	*why = not_stored;
	if (!larval)
		return sa_refresh(sad, node, sa);
	return sa_install(sad, node, sa, key, init, why);
}

int xi_sad_update(struct xi_sad *sad, const struct xi_sa *sa, const struct xi_sa_key *key,
		  const struct xi_replay_init *init, const char **why)
{
	int err;

	xi_sad_hold(sad);
	err = sa_update(sad, sa, key, init, why);
	xi_sad_release(sad);
	return err;
}

int xi_sad_set_thresholds(struct xi_sad *sad, const struct xi_sa_id *id, uint32_t replay,
			  uint32_t etimer)
{
	struct xi_sad_node *node = xi_sad_node(sad, id);
	struct xi_sa sa;
	int err;

	if (!node)
		return -ESRCH;
	if (node->rec->sa.life & XI_SA_LARVAL)
		return -EINVAL;
	sa = node->rec->sa;
	sa.replay_thresh = replay ? replay : sa.replay_thresh;
	sa.etimer_thresh = etimer ? etimer : sa.etimer_thresh;
	xi_sad_hold(sad);
	err = xi_sad_replace(sad, node, &sa);
	xi_sad_release(sad);
	return err;
}

/* An SPI of [min, max] that no SA has for this destination and protocol. */
static int spi_pick(const struct xi_sad *sad, struct xi_sa_id *id, uint32_t min, uint32_t max)
{
	uint64_t random, range = (uint64_t)max - min + 1, i;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EAGAIN;
	for (i = 0; i < range; i++) {
		id->spi = min + (random % range + i) % range;
		if (!xi_sad_node(sad, id))
			return 0;
	}
	return -ENOENT;
}

static int spi_alloc(struct xi_sad *sad, const struct xi_sa *sa, uint32_t min, uint32_t max,
		     uint64_t ttl, const struct xi_sa_rec **out)
{
	struct xi_sad_node *node;
	struct xi_sa_rec *rec;
	struct xi_sa larval = *sa;
	const char *why;
	int err;

	if (min < SPI_MIN)
		min = SPI_MIN;
	if (max < min)
		return -ENOENT;
	err = spi_pick(sad, &larval.id, min, max);
	if (err)
		return err;
	err = node_new(sad, &node, &larval.id, &why);
	if (err)
		return err;
	larval.life = XI_SA_LARVAL;
	larval.add_time = time(NULL);
	larval.generation = 1;
	rec = rec_new(sad, &larval, NULL, node->sa_index);
	err = rec ? sad->store.ops->lookup_put(sad->store.s, &larval.id, XI_LARVAL) : -ENOMEM;
	if (err) {
		xi_rec_free(rec);
		xi_sad_abandon(sad, node);
		return err;
	}
	xi_rec_bind(sad, rec);
	node->dies = larval.add_time + ttl;
	xi_sad_publish(sad, node, rec);
	*out = rec;
	return 0;
}

int xi_sad_alloc_spi(struct xi_sad *sad, const struct xi_sa *sa, uint32_t min, uint32_t max,
		     uint64_t ttl, const struct xi_sa_rec **rec)
{
	int err;

	xi_sad_hold(sad);
	err = spi_alloc(sad, sa, min, max, ttl, rec);
	xi_sad_release(sad);
	return err;
}
