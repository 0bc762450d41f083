/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs that go. First nobody finds them any more (XDP's look-up, then the workers'), then the
 * listeners drop what they made of them, then a grace period; only then are store, key and slot
 * cleared.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

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

	err = larval ? 0 : sad->store.ops->lookup_del(sad->store.s, &node->id);
	if (err && err != -ENOENT)
		return err;
	xi_sad_publish(sad, node, NULL);
	node->rec = rec;
	xi_peers_del(sad, node);
	node_doom(sad, node);
	if (!larval)
		xi_key_dies(sad, node);
	if (!larval)
		xi_sad_changed(sad, rec, NULL);
	return 0;
}

/* A worker may have found the node, if no record behind it. */
void xi_sad_abandon(struct xi_sad *sad, struct xi_sad_node *node)
{
	node_doom(sad, node);
}

static void node_forget(struct xi_sad *sad, struct xi_sad_node *node)
{
	int err = sad->store.ops->sa_del(sad->store.s, node->sa_index);

	if (err && err != -ENOENT) {
		node->doomed = sad->unburied;
		sad->unburied = node;
		return;
	}
	xi_slot_give(sad, XI_SA_SLOT(node->sa_index));
	free(node);
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
	struct xi_sad_node *node;

	while ((node = doomed)) {
		doomed = node->doomed;
		if (rec_bury(sad, node)) {
			node_forget(sad, node);
		} else {
			xi_slot_give(sad, XI_SA_SLOT(node->sa_index));
			free(node);
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

int xi_sad_flush(struct xi_sad *sad, enum xi_proto proto, unsigned int *n)
{
	int err = 0, failed;
	uint32_t slot;

	*n = 0;
	xi_sad_hold(sad);
	for (slot = 0; slot < sad->slots.n; slot++) {
		struct xi_sad_node *node = sad->slots.nodes[slot];

		if (!sad->slots.recs[slot] || (proto != XI_PROTO_ANY && node->id.proto != proto))
			continue;
		failed = xi_sad_detach(sad, node);
		if (failed)
			err = failed;
		else
			++*n;
	}
	xi_sad_release(sad);
	return err;
}
