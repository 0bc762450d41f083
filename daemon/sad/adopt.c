/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Taking over the SAs that an earlier daemon left in the store (invariant "state-survives"). */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

struct found {
	uint32_t sa_index;
	struct xi_sa sa;
	struct xi_sa_key key;
};

struct finds {
	struct found *sas;
	unsigned int n, room;
};

static int find_one(void *arg, uint32_t sa_index, const struct xi_sa *sa,
		    const struct xi_sa_key *key)
{
	struct finds *finds = arg;

	if (finds->n == finds->room) {
		unsigned int room = finds->room ? 2 * finds->room : 64;
		struct found *sas = calloc(room, sizeof(*sas));

		if (!sas)
			return -ENOMEM;
		if (finds->n) {
			memcpy(sas, finds->sas, finds->n * sizeof(*sas));
			explicit_bzero(finds->sas, finds->n * sizeof(*sas));
		}
		free(finds->sas);
		finds->sas = sas;
		finds->room = room;
	}
	finds->sas[finds->n].sa_index = sa_index;
	finds->sas[finds->n].sa = *sa;
	if (key)
		finds->sas[finds->n].key = *key;
	finds->n++;
	return 0;
}

/* Oldest first: the order in which they were added decides which SA a policy takes. */
static int by_age(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->sa.add_time != y->sa.add_time)
		return x->sa.add_time < y->sa.add_time ? -1 : 1;
	return (x->sa_index > y->sa_index) - (x->sa_index < y->sa_index);
}

/* NULL: sound; else what is wrong with it. */
static const char *found_flaw(struct xi_sad *sad, const struct found *f)
{
	const struct xi_sa *sa = &f->sa;
	uint32_t slot = XI_SA_SLOT(f->sa_index);
	bool inline_window = sa->replay_window <= XI_WINDOW_INLINE_MAX;

	if (!(f->sa_index >> XI_SA_SLOT_BITS) || slot >= sad->slots.n ||
	    sa->sa_index != f->sa_index)
		return "its index makes no sense";
	if (sa->life & XI_SA_LARVAL)
		return "it is larval";
	if (sad->store.states[slot].sa_index != f->sa_index || sad->slots.nodes[slot])
		return "its state belongs to another SA";
	if (!f->key.len || f->key.len > XI_KEY_MAX || f->key.alg != sa->alg ||
	    f->key.auth != sa->auth || f->key.auth_len > f->key.len)
		return "its key is missing";
	if (sa->id.family != XI_IPV4 && sa->id.family != XI_IPV6)
		return "its address family makes no sense";
	if (sa->replay_window > XI_WINDOW_MAX || inline_window != (sa->window_slot == XI_NO_SLOT))
		return "its replay window makes no sense";
	if (xi_sad_node(sad, &sa->id))
		return "another SA has the same destination, SPI and protocol";
	if (sa->window_slot != XI_NO_SLOT && xi_window_claim(sad, sa))
		return "its replay window belongs to another SA";
	return NULL;
}

static void found_drop(struct xi_sad *sad, const struct found *f, const char *flaw)
{
	const struct xi_store *store = &sad->store;

	log_warnx("SA with SPI 0x%08x dropped at start: %s; the key manager has to add it again",
		  f->sa.id.spi, flaw);
	if (!xi_sad_node(sad, &f->sa.id))
		store->ops->lookup_del(store->s, &f->sa.id);
	store->ops->sa_del(store->s, f->sa_index);
}

/* The look-up may be missing: an add or a delete was interrupted, and acknowledged neither way. */
static int found_keep(struct xi_sad *sad, const struct found *f)
{
	struct xi_sad_node *node = calloc(1, sizeof(*node));
	struct xi_sa_rec *rec = xi_rec_new(sad);
	int err = -ENOMEM;

	if (!node || !rec)
		goto fail;
	rec->sa = f->sa;
	rec->sa.df = sad->df; /* the daemon's choice, not the SA's */
	rec->key = f->key;
	xi_rec_bind(sad, rec);
	node->id = f->sa.id;
	node->sa_index = f->sa_index;
	if (f->sa.life & XI_SA_FROM_FILE && f->sa.sa_dir != XI_SA_DIR_IN) {
		err = xi_reserve_resume(&node->reserve, &rec->key, xi_sa_seq_max(&rec->sa),
					rec->state->oseq_limit);
		if (err)
			goto fail;
	}
	err = sad->store.ops->lookup_put(sad->store.s, &f->sa.id, f->sa_index);
	if (err)
		goto fail;
	xi_sad_publish(sad, node, rec);
	err = xi_peers_add(sad, node);
	if (err) {
		xi_sad_publish(sad, node, NULL);
		goto fail;
	}
	sad->slots.nodes[XI_SA_SLOT(f->sa_index)] = node;
	sad->slots.gens[XI_SA_SLOT(f->sa_index)] = f->sa_index >> XI_SA_SLOT_BITS;
	xi_table_add(sad, node);
	sad->count++;
	return 0;
fail:
	if (node)
		xi_reserve_free(node->reserve);
	free(node);
	xi_rec_free(rec);
	return err;
}

static int finds_adopt(struct xi_sad *sad, struct finds *finds)
{
	struct xi_config config;
	uint32_t gen_top;
	unsigned int i;
	int err;

	err = sad->store.ops->config_get(sad->store.s, &config);
	if (err)
		return err;
	gen_top = config.sad_generation;
	if (finds->n)
		qsort(finds->sas, finds->n, sizeof(*finds->sas), by_age);
	for (i = 0; i < finds->n; i++) {
		const struct found *f = &finds->sas[i];
		const char *flaw = found_flaw(sad, f);

		if (flaw) {
			found_drop(sad, f, flaw);
			continue;
		}
		err = found_keep(sad, f);
		if (err)
			return err;
		if (xi_generation_newer(f->sa_index >> XI_SA_SLOT_BITS, gen_top))
			gen_top = f->sa_index >> XI_SA_SLOT_BITS;
	}
	xi_slots_rebuild(sad, gen_top);
	return 0;
}

int xi_sad_adopt(struct xi_sad *sad, unsigned int *n)
{
	struct finds finds = { 0 };
	int err;

	err = sad->store.ops->each_sa(sad->store.s, find_one, &finds);
	if (!err)
		err = finds_adopt(sad, &finds);
	if (finds.sas)
		explicit_bzero(finds.sas, finds.room * sizeof(*finds.sas));
	free(finds.sas);
	*n = sad->count;
	return err;
}
