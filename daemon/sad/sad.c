/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int xi_sad_create(struct xi_sad **out, const struct xi_sad_config *config,
		  const struct xi_store *store)
{
	struct xi_sad *sad = calloc(1, sizeof(*sad));
	int err = -ENOMEM;

	if (!sad)
		return -ENOMEM;
	sad->store = *store;
	sad->carries = config->carries;
	sad->df = config->df;
	if (config->state_dir) {
		sad->state_dir = strdup(config->state_dir);
		if (!sad->state_dir)
			goto fail;
	}
	err = xi_slots_init(sad);
	if (!err)
		err = xi_tables_init(sad);
	if (!err)
		err = xi_peers_init(sad);
	if (!err)
		err = xi_senders_init(sad);
	if (!err)
		err = xi_dues_init(sad);
	if (err)
		goto fail;
	*out = sad;
	return 0;
fail:
	xi_sad_destroy(sad);
	return err;
}

static void node_free(struct xi_sad *sad, struct xi_sad_node *node)
{
	xi_peers_del(sad, node);
	xi_sender_del(sad, node);
	xi_reserve_free(node->reserve);
	xi_rec_free(node->rec);
	free(node);
}

void xi_sad_destroy(struct xi_sad *sad)
{
	struct xi_sad_node *node, *next;

	if (!sad)
		return;
	xi_tables_free(sad, node_free);
	for (node = sad->unburied; node; node = next) {
		next = node->doomed;
		free(node);
	}
	xi_peers_free(sad);
	xi_senders_free(sad);
	free(sad->hot);
	xi_dues_free(sad);
	free(sad->round.replaced);
	xi_slots_free(sad);
	xi_recs_free(sad);
	free(sad->state_dir);
	free(sad);
}

void xi_sad_wipe(struct xi_sad *sad)
{
	uint32_t slot;

	for (slot = 0; slot < sad->slots.n; slot++)
		if (sad->slots.recs[slot])
			explicit_bzero(&sad->slots.recs[slot]->key, sizeof(struct xi_sa_key));
}

void xi_sad_listen(struct xi_sad *sad, const struct xi_sad_listener *listener)
{
	if (sad->nlisteners < XI_SAD_LISTENERS)
		sad->listeners[sad->nlisteners++] = *listener;
	else
		abort();
}

void xi_sad_unlisten(struct xi_sad *sad, const void *arg)
{
	unsigned int i, n = 0;

	for (i = 0; i < sad->nlisteners; i++)
		if (sad->listeners[i].arg != arg)
			sad->listeners[n++] = sad->listeners[i];
	sad->nlisteners = n;
}

void xi_sad_on_event(struct xi_sad *sad, const struct xi_sad_events *events)
{
	sad->events = *events;
}

void xi_sad_on_kernel_event(struct xi_sad *sad, const struct xi_sad_events *events)
{
	sad->kernel_events = *events;
}

/* A selector's part in XI_FLOW_*. */
static uint32_t selector_flow_mask(const struct xi_selector *sel)
{
	uint32_t mask = sel->proto ? XI_FLOW_PROTO : 0;

	if (sel->sport_mask || sel->dport_mask)
		mask |= XI_FLOW_PROTO | XI_FLOW_PORTS;
	return mask;
}

uint32_t xi_sad_flow_mask(const struct xi_sad *sad)
{
	return (sad->nproto ? XI_FLOW_PROTO : 0) |
	       (sad->nports ? XI_FLOW_PROTO | XI_FLOW_PORTS : 0);
}

static void flow_mask_count(struct xi_sad *sad, const struct xi_sa_rec *rec, int by)
{
	uint32_t mask;

	if (!rec || rec->sa.life & XI_SA_LARVAL)
		return;
	mask = selector_flow_mask(&rec->sa.sel);
	sad->nproto += mask & XI_FLOW_PROTO ? by : 0;
	sad->nports += mask & XI_FLOW_PORTS ? by : 0;
}

/*
 * rec NULL: workers no longer find the SA. The record that was published before stays the node's:
 * workers who found the node before may look what it is.
 */
void xi_sad_publish(struct xi_sad *sad, struct xi_sad_node *node, struct xi_sa_rec *rec)
{
	flow_mask_count(sad, node->rec, -1);
	flow_mask_count(sad, rec, 1);
	xi_sender_del(sad, node);
	if (rec) {
		xi_rec_ready(rec);
		rcu_assign_pointer(node->rec, rec);
		xi_sender_add(sad, node);
	}
	rcu_assign_pointer(sad->slots.recs[XI_SA_SLOT(node->sa_index)], rec);
	if (rec)
		xi_due_update(sad, node);
	else
		xi_due_del(sad, node);
	__atomic_store_n(&node->known, rec && !(rec->sa.life & XI_SA_LARVAL), __ATOMIC_RELEASE);
}

void xi_sad_supplant(struct xi_sad *sad, struct xi_sad_node *old, struct xi_sad_node *node,
		     struct xi_sa_rec *rec)
{
	uint32_t slot = XI_SA_SLOT(old->sa_index);

	flow_mask_count(sad, old->rec, -1);
	flow_mask_count(sad, rec, 1);
	xi_sender_del(sad, old);
	xi_due_del(sad, old);
	sad->slots.nodes[slot] = node;
	rcu_assign_pointer(sad->slots.recs[slot], rec);
	xi_sender_add(sad, node);
	xi_due_update(sad, node);
	__atomic_store_n(&node->known, true, __ATOMIC_RELEASE);
}

void xi_sad_changed(struct xi_sad *sad, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	unsigned int i;

	sad->round.changed = true;
	for (i = 0; i < sad->nlisteners; i++)
		if (sad->listeners[i].changed)
			sad->listeners[i].changed(sad->listeners[i].arg, old, new);
}

int xi_sad_going(struct xi_sad *sad, const struct xi_sa_rec *rec)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < sad->nlisteners; i++)
		if (sad->listeners[i].going)
			err = sad->listeners[i].going(sad->listeners[i].arg, rec);
	return err;
}

void xi_sad_sync(struct xi_sad *sad)
{
	unsigned int i;

	for (i = 0; i < sad->nlisteners; i++)
		if (sad->listeners[i].sync)
			sad->listeners[i].sync(sad->listeners[i].arg);
}

const struct xi_sa_rec *xi_sad_find(const struct xi_sad *sad, const struct xi_sa_id *id)
{
	struct xi_sad_node *node = xi_sad_node(sad, id);

	return node ? node->rec : NULL;
}

const struct xi_sa_rec *xi_sad_rec(const struct xi_sad *sad, uint32_t sa_index)
{
	uint32_t slot = XI_SA_SLOT(sa_index);
	const struct xi_sa_rec *rec;

	if (slot >= sad->slots.n)
		return NULL;
	rec = rcu_dereference(sad->slots.recs[slot]);
	return rec && rec->sa.sa_index == sa_index ? rec : NULL;
}

unsigned int xi_sad_count(const struct xi_sad *sad)
{
	return sad->count;
}

unsigned int xi_sad_capacity(const struct xi_sad *sad)
{
	return sad->slots.n;
}

const struct xi_sa_rec *xi_sad_next(const struct xi_sad *sad, uint32_t *slot)
{
	while (*slot < sad->slots.n) {
		const struct xi_sa_rec *rec = sad->slots.recs[(*slot)++];

		if (rec)
			return rec;
	}
	return NULL;
}

const struct xi_sa_rec *xi_sad_at(const struct xi_sad *sad, uint32_t slot)
{
	return slot < sad->slots.n ? sad->slots.recs[slot] : NULL;
}

bool xi_sad_superseded(const struct xi_sad *sad, uint32_t sa_index)
{
	uint32_t slot = XI_SA_SLOT(sa_index);

	return slot < sad->slots.n &&
	       __atomic_load_n(&sad->slots.superseded[slot], __ATOMIC_ACQUIRE);
}

void xi_sad_set_superseded(struct xi_sad *sad, uint32_t sa_index, bool superseded)
{
	uint32_t slot = XI_SA_SLOT(sa_index);

	if (slot < sad->slots.n && sad->slots.recs[slot] &&
	    sad->slots.recs[slot]->sa.sa_index == sa_index)
		__atomic_store_n(&sad->slots.superseded[slot], superseded, __ATOMIC_RELEASE);
}
