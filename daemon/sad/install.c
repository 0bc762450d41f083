/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs that come. An SA is in the store before it is acknowledged, and is found by workers before XDP
 * finds it; when a step fails, those before it are undone.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crypto/algs.h"
#include "log.h"

int xi_sad_check(const struct xi_sad *sad, const struct xi_sa *sa,
		 const struct xi_replay_init *init, const char **why)
{
	if (sa->id.family != XI_IPV4 && sa->id.family != XI_IPV6) {
		*why = "address family of the SA is neither ipv4 nor ipv6";
		return -EINVAL;
	}
	if (sa->id.spi < XI_SPI_MIN) {
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

int xi_sad_install(struct xi_sad *sad, struct xi_sad_node *node, const struct xi_sa *sa,
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
	rec = xi_rec_make(sad, sa, key, node->sa_index);
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

int xi_sad_node_new(struct xi_sad *sad, struct xi_sad_node **out, const struct xi_sa_id *id,
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
		err = xi_sad_claim(sad, node, sa, key, why);
		if (err)
			return err;
		*why = "an SA with this destination, SPI and protocol exists; delete or update it";
		return -EEXIST;
	}
	*why = XI_WHY_NOT_STORED;
	err = xi_sad_node_new(sad, &node, &sa->id, why);
	if (err)
		return err;
	err = xi_sad_install(sad, node, sa, key, init, why);
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
