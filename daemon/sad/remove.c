/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs that go. First nobody finds them any more (XDP's look-up, then the workers'), then the
 * listeners drop what they made of them, then a grace period; only then are store, key and slot
 * cleared.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "log.h"

#define BURIED_AT_ONCE 256

static void node_doom(struct xi_sad *sad, struct xi_sad_node *node)
{
	xi_table_del(sad, node);
	sad->count--;
	node->doomed = sad->round.doomed;
	sad->round.doomed = node;
	sad->round.changed = true;
}

int xi_sad_detach(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sa_rec *rec = node->rec;
	bool larval = rec->sa.life & XI_SA_LARVAL;
	int err;

	err = larval ? 0 : xi_sad_going(sad, rec);
	if (err)
		return err;
	err = sad->store.ops->lookup_del(sad->store.s, &node->id);
	if (err && err != -ENOENT)
		return err;
	xi_sad_publish(sad, node, NULL);
	xi_peers_del(sad, node);
	node_doom(sad, node);
	if (larval)
		return 0;
	if (!node->key_named)
		xi_node_name_key(sad, node, &rec->key);
	xi_key_dies(sad, node);
	xi_sad_changed(sad, rec, NULL);
	return 0;
}

/* A worker may have found the node, if no record behind it. */
void xi_sad_abandon(struct xi_sad *sad, struct xi_sad_node *node)
{
	node_doom(sad, node);
}

static void node_forgotten(struct xi_sad *sad, struct xi_sad_node *node)
{
	xi_slot_give(sad, XI_SA_SLOT(node->sa_index));
	free(node);
}

static void node_forget(struct xi_sad *sad, struct xi_sad_node *node)
{
	int err = sad->store.ops->sa_del(sad->store.s, node->sa_index);

	if (err && err != -ENOENT) {
		node->doomed = sad->unburied;
		sad->unburied = node;
		return;
	}
	node_forgotten(sad, node);
}

/* Many at once where the store can; what stops it is looked at alone. */
static void nodes_forget(struct xi_sad *sad, struct xi_sad_node *const *nodes, uint32_t n)
{
	const struct xi_store *store = &sad->store;
	uint32_t indexes[BURIED_AT_ONCE], i, at, done;

	for (i = 0; i < n; i++)
		indexes[i] = nodes[i]->sa_index;
	for (at = 0; at < n; at += done) {
		done = 0;
		if (store->ops->sas_del)
			store->ops->sas_del(store->s, &indexes[at], n - at, &done);
		for (i = 0; i < done; i++)
			node_forgotten(sad, nodes[at + i]);
		if (at + done < n)
			node_forget(sad, nodes[at + done++]);
	}
}

/* False: the store never knew it. */
static bool rec_bury(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sa_rec *rec = node->rec;
	bool stored = rec && !(rec->sa.life & XI_SA_LARVAL);

	if (stored)
		xi_used_key_note(sad, node, __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED));
	if (rec) {
		xi_state_reset(rec->state, 0);
		xi_window_give(sad, &rec->sa);
	}
	xi_rec_free(rec);
	xi_reserve_free(node->reserve);
	node->rec = NULL;
	node->reserve = NULL;
	return stored;
}

/*
 * After the grace period. An SA that the store will not forget is gone all the same: its state is
 * cleared, so that no later daemon adopts it; its slot stays taken until the store gives in.
 */
void xi_sad_bury(struct xi_sad *sad, struct xi_sad_node *doomed)
{
	struct xi_sad_node *node, *stored[BURIED_AT_ONCE];
	uint32_t n = 0;

	while ((node = doomed)) {
		doomed = node->doomed;
		if (node->moved)
			free(node);
		else if (rec_bury(sad, node))
			stored[n++] = node;
		else
			node_forgotten(sad, node);
		if (n == BURIED_AT_ONCE || !doomed) {
			nodes_forget(sad, stored, n);
			n = 0;
		}
	}
}

void xi_sad_bury_again(struct xi_sad *sad)
{
	struct xi_sad_node *node, *next = sad->unburied;

	if (next)
		log_warnx("the SA store did not forget a deleted SA and its key; trying again");
	sad->unburied = NULL;
	while ((node = next)) {
		next = node->doomed;
		node_forget(sad, node);
	}
}

int xi_sad_delete(struct xi_sad *sad, const struct xi_sa_id *id)
{
	struct xi_sad_node *node = xi_sad_node(sad, id);
	int err;

	if (!node)
		return -ESRCH;
	xi_sad_hold(sad);
	err = xi_sad_detach(sad, node);
	xi_sad_release(sad);
	return err;
}

void xi_sad_flush_begin(struct xi_sad *sad, struct xi_sad_flush *flush, enum xi_proto proto)
{
	*flush = (struct xi_sad_flush){ .proto = proto, .before = sad->tables.order_next };
}

static bool flush_wants(const struct xi_sad *sad, const struct xi_sad_flush *flush, uint32_t slot)
{
	const struct xi_sad_node *node = sad->slots.nodes[slot];

	return sad->slots.recs[slot] && node->order < flush->before &&
	       (flush->proto == XI_PROTO_ANY || node->id.proto == flush->proto);
}

bool xi_sad_flush_step(struct xi_sad *sad, struct xi_sad_flush *flush, unsigned int most)
{
	unsigned int n = 0;
	int err;

	xi_sad_hold(sad);
	for (; flush->slot < sad->slots.n && n < most; flush->slot++) {
		if (!flush_wants(sad, flush, flush->slot))
			continue;
		n++;
		err = xi_sad_detach(sad, sad->slots.nodes[flush->slot]);
		if (err)
			flush->err = err;
		else
			flush->n++;
	}
	xi_sad_release(sad);
	return flush->slot < sad->slots.n;
}

int xi_sad_flush(struct xi_sad *sad, enum xi_proto proto, unsigned int *n)
{
	struct xi_sad_flush flush;

	xi_sad_flush_begin(sad, &flush, proto);
	xi_sad_flush_step(sad, &flush, UINT_MAX);
	*n = flush.n;
	return flush.err;
}
