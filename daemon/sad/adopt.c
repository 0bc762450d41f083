/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Taking over the SAs that an earlier daemon left in the store (invariant "state-survives").
 * Packets wait for it, so the store is read in sweeps, and what workers do not need is done once
 * they run.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* What was found of the SA whose index the state of a slot names. */
struct found {
	struct xi_sa_rec *rec;       /* NULL: nothing */
	bool has_key;
};

/* In which they are adopted. */
struct turn {
	uint64_t add_time;
	uint32_t sa_index;
};

/* What has to go. */
struct stray {
	struct xi_sa_id id;
	uint32_t sa_index;
	const char *flaw;            /* NULL: a key without an SA, which nobody misses */
};

struct adoption {
	struct xi_sad *sad;
	struct found *slots;
	struct turn *turns;
	uint32_t nturns;
	struct stray *strays;
	unsigned int nstrays, room;
};

static int stray_add(struct adoption *a, const struct stray *stray)
{
	unsigned int room = a->room ? 2 * a->room : 64;
	struct stray *strays;

	if (a->nstrays == a->room) {
		strays = realloc(a->strays, room * sizeof(*strays));
		if (!strays)
			return -ENOMEM;
		a->strays = strays;
		a->room = room;
	}
	a->strays[a->nstrays++] = *stray;
	return 0;
}

/* NULL: sound; else what is wrong with it. */
static const char *index_flaw(const struct xi_sad *sad, uint32_t sa_index, const struct xi_sa *sa)
{
	uint32_t slot = XI_SA_SLOT(sa_index);

	if (!(sa_index >> XI_SA_SLOT_BITS) || slot >= sad->slots.n || sa->sa_index != sa_index)
		return "its index makes no sense";
	if (sad->store.states[slot].sa_index != sa_index)
		return "its state belongs to another SA";
	return NULL;
}

/* Adopted before the others; NULL: not so. */
static struct xi_sad_node *hot_node(const struct xi_sad *sad, uint32_t sa_index)
{
	uint32_t slot = XI_SA_SLOT(sa_index);
	struct xi_sad_node *node = slot < sad->slots.n ? sad->slots.nodes[slot] : NULL;

	return node && node->sa_index == sa_index ? node : NULL;
}

/* An SA whose policies the last daemon did not come to move has no claim on theirs. */
static void as_of_now(const struct xi_sad *sad, struct xi_sa *sa)
{
	sa->df = sad->df;            /* the daemon's choice, not the SA's */
	sa->moved_under = 0;
}

static int find_sa(void *arg, uint32_t sa_index, const struct xi_sa *sa)
{
	struct adoption *a = arg;
	struct stray stray = { .id = sa->id, .sa_index = sa_index };
	struct xi_sa_rec *rec;

	if (hot_node(a->sad, sa_index)) {
		a->nturns++;
		return 0;
	}
	stray.flaw = index_flaw(a->sad, sa_index, sa);
	if (stray.flaw)
		return stray_add(a, &stray);
	rec = xi_rec_new(a->sad);
	if (!rec)
		return -ENOMEM;
	rec->sa = *sa;
	as_of_now(a->sad, &rec->sa);
	a->slots[XI_SA_SLOT(sa_index)].rec = rec;
	a->nturns++;
	return 0;
}

static struct found *found_of(const struct adoption *a, uint32_t sa_index)
{
	uint32_t slot = XI_SA_SLOT(sa_index);
	struct found *f = slot < a->sad->slots.n ? &a->slots[slot] : NULL;

	return f && f->rec && f->rec->sa.sa_index == sa_index ? f : NULL;
}

/* A key without SA: the daemon died between the two. Nothing else would ever delete it. */
static int find_key(void *arg, uint32_t sa_index, const struct xi_sa_key *key)
{
	struct adoption *a = arg;
	struct found *f = found_of(a, sa_index);

	if (!f && hot_node(a->sad, sa_index))
		return 0;
	if (!f)
		return stray_add(a, &(struct stray){ .sa_index = sa_index });
	f->rec->key = *key;
	f->has_key = true;
	return 0;
}

/* Oldest first: the order in which they were added decides which SA a policy takes. */
static int by_age(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->add_time != y->add_time)
		return x->add_time < y->add_time ? -1 : 1;
	return (x->sa_index > y->sa_index) - (x->sa_index < y->sa_index);
}

/* Slots are given out in order, so SAs are too where none was deleted yet. */
static int take_turns(struct adoption *a)
{
	const struct xi_sad *sad = a->sad;
	bool in_order = true;
	uint32_t slot, n = 0;

	a->turns = calloc(a->nturns + 1, sizeof(*a->turns));
	if (!a->turns)
		return -ENOMEM;
	for (slot = 0; slot < sad->slots.n; slot++) {
		const struct xi_sad_node *node = sad->slots.nodes[slot];
		const struct xi_sa_rec *rec = node ? node->rec : a->slots[slot].rec;

		if (!rec)
			continue;
		a->turns[n] = (struct turn){ rec->sa.add_time, rec->sa.sa_index };
		in_order &= !n || by_age(&a->turns[n - 1], &a->turns[n]) < 0;
		n++;
	}
	if (!in_order)
		qsort(a->turns, n, sizeof(*a->turns), by_age);
	return 0;
}

static const char *found_flaw(struct xi_sad *sad, const struct found *f)
{
	const struct xi_sa *sa = &f->rec->sa;
	const struct xi_sa_key *key = &f->rec->key;
	bool inline_window = sa->replay_window <= XI_WINDOW_INLINE_MAX;

	if (sa->life & XI_SA_LARVAL)
		return "it is larval";
	if (!f->has_key || !key->len || key->len > XI_KEY_MAX || key->alg != sa->alg ||
	    key->auth != sa->auth || key->auth_len > key->len)
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

static int found_resume(const struct xi_sad *sad, struct xi_sad_node *node,
			const struct xi_sa_rec *rec)
{
	if (!(rec->sa.life & XI_SA_FROM_FILE) || rec->sa.sa_dir == XI_SA_DIR_IN)
		return 0;
	return xi_reserve_resume(&node->reserve, sad->state_dir, &rec->key,
				 xi_sa_seq_max(&rec->sa), rec->state);
}

static int found_keep(struct xi_sad *sad, struct found *f)
{
	struct xi_sad_node *node = calloc(1, sizeof(*node));
	uint32_t slot = XI_SA_SLOT(f->rec->sa.sa_index);
	int err;

	if (!node)
		return -ENOMEM;
	node->id = f->rec->sa.id;
	node->sa_index = f->rec->sa.sa_index;
	xi_rec_bind(sad, f->rec);
	err = found_resume(sad, node, f->rec);
	if (err)
		goto fail;
	xi_sad_publish(sad, node, f->rec);
	err = xi_peers_add(sad, node);
	if (err) {
		xi_sad_publish(sad, node, NULL);
		synchronize_rcu(); /* a worker may have found it by its index */
		goto fail;
	}
	f->rec = NULL;
	sad->slots.nodes[slot] = node;
	sad->slots.gens[slot] = node->sa_index >> XI_SA_SLOT_BITS;
	xi_table_add(sad, node);
	sad->count++;
	return 0;
fail:
	xi_reserve_free(node->reserve);
	free(node);
	return err;
}

static int turn_adopt(struct adoption *a, uint32_t sa_index)
{
	struct found *f = &a->slots[XI_SA_SLOT(sa_index)];
	struct xi_sad_node *hot = hot_node(a->sad, sa_index);
	struct stray stray = { .sa_index = sa_index };

	if (hot)
		return xi_peers_add(a->sad, hot);
	stray.id = f->rec->sa.id;
	stray.flaw = found_flaw(a->sad, f);
	if (stray.flaw)
		return stray_add(a, &stray);
	return found_keep(a->sad, f);
}

/*
 * Hot SAs join the chains again, between those that are older and those that are newer. Workers may
 * be walking through what they leave.
 */
static void hot_leave_chains(struct xi_sad *sad)
{
	uint32_t slot;
	bool any = false;

	for (slot = 0; slot < sad->slots.n; slot++) {
		if (!sad->slots.nodes[slot])
			continue;
		xi_peers_del(sad, sad->slots.nodes[slot]);
		any = true;
	}
	if (any)
		synchronize_rcu();
}

static int turns_adopt(struct adoption *a, uint32_t *gen_top)
{
	uint32_t i, gen;
	int err = 0;

	hot_leave_chains(a->sad);
	for (i = 0; i < a->nturns && !err; i++) {
		err = turn_adopt(a, a->turns[i].sa_index);
		gen = a->turns[i].sa_index >> XI_SA_SLOT_BITS;
		if (xi_generation_newer(gen, *gen_top))
			*gen_top = gen;
	}
	return err;
}

static int hot_adopt(struct xi_sad *sad, uint32_t sa_index)
{
	struct found f = { .rec = xi_rec_new(sad), .has_key = true };
	int err;

	if (!f.rec)
		return -ENOMEM;
	err = sad->store.ops->sa_get(sad->store.s, sa_index, &f.rec->sa, &f.rec->key);
	if (!err && !index_flaw(sad, sa_index, &f.rec->sa) && !found_flaw(sad, &f)) {
		as_of_now(sad, &f.rec->sa);
		err = found_keep(sad, &f);
		sad->hot[XI_SA_SLOT(sa_index)] = !err;
	}
	xi_rec_free(f.rec);
	return err == -ENOENT ? 0 : err;
}

bool xi_sad_is_hot(const struct xi_sad *sad, uint32_t sa_index)
{
	return sad->hot && xi_sad_rec(sad, sa_index) && sad->hot[XI_SA_SLOT(sa_index)];
}

int xi_sad_adopt_hot(struct xi_sad *sad, const uint32_t *handles, unsigned int n)
{
	unsigned int i;
	int err = 0;

	sad->hot = calloc(sad->slots.n, 1);
	if (!sad->hot)
		return -ENOMEM;
	sad->senders_late = true;
	for (i = 0; i < n && !err; i++)
		if (!hot_node(sad, handles[i]))
			err = hot_adopt(sad, handles[i]);
	return err;
}

/* Once all SAs are known that stay: an id may be another's by now. */
static void stray_drop(struct xi_sad *sad, const struct stray *stray)
{
	const struct xi_store *store = &sad->store;

	if (stray->flaw) {
		log_warnx("SA with SPI 0x%08x dropped at start: %s; the key manager has to add it again",
			  stray->id.spi, stray->flaw);
		if (!xi_sad_node(sad, &stray->id))
			store->ops->lookup_del(store->s, &stray->id);
	}
	store->ops->sa_del(store->s, stray->sa_index);
}

static int adoption_read(struct adoption *a)
{
	const struct xi_store *store = &a->sad->store;
	int err;

	a->slots = calloc(a->sad->slots.n, sizeof(*a->slots));
	if (!a->slots)
		return -ENOMEM;
	err = store->ops->each_sa(store->s, find_sa, a);
	if (!err)
		err = store->ops->each_key(store->s, find_key, a);
	return err ? err : take_turns(a);
}

static void adoption_free(struct adoption *a)
{
	uint32_t slot;

	for (slot = 0; a->slots && slot < a->sad->slots.n; slot++)
		xi_rec_free(a->slots[slot].rec);
	free(a->slots);
	free(a->turns);
	free(a->strays);
}

struct lookups {
	const struct xi_sad *sad;
	uint8_t *seen;               /* by slot */
	struct xi_sa_id *wrong;
	unsigned int nwrong, room;
};

static int check_lookup(void *arg, const struct xi_sa_id *id, uint32_t sa_index)
{
	struct lookups *l = arg;
	const struct xi_sad_node *node = xi_sad_node(l->sad, id);
	unsigned int room = l->room ? 2 * l->room : 64;
	struct xi_sa_id *wrong;

	if (node && node->sa_index == sa_index) {
		l->seen[XI_SA_SLOT(sa_index)] = 1;
		return 0;
	}
	if (l->nwrong == l->room) {
		wrong = realloc(l->wrong, room * sizeof(*wrong));
		if (!wrong)
			return -ENOMEM;
		l->wrong = wrong;
		l->room = room;
	}
	l->wrong[l->nwrong++] = *id;
	return 0;
}

/*
 * An add or a delete was interrupted, and acknowledged neither way: the SA is wholly there, or not
 * at all.
 */
static int lookups_mend(const struct lookups *l)
{
	const struct xi_sad *sad = l->sad;
	const struct xi_store *store = &sad->store;
	unsigned int i;
	int err = 0;

	for (i = 0; i < l->nwrong; i++)
		store->ops->lookup_del(store->s, &l->wrong[i]);
	for (i = 0; i < sad->slots.n && !err; i++) {
		const struct xi_sad_node *node = sad->slots.nodes[i];

		if (node && !l->seen[i])
			err = store->ops->lookup_put(store->s, &node->id, node->sa_index);
	}
	return err;
}

static int lookups_check(struct xi_sad *sad)
{
	struct lookups l = { .sad = sad, .seen = calloc(sad->slots.n, 1) };
	int err = -ENOMEM;

	if (l.seen)
		err = sad->store.ops->each_lookup(sad->store.s, check_lookup, &l);
	if (!err)
		err = lookups_mend(&l);
	free(l.wrong);
	free(l.seen);
	return err;
}

/*
 * Listeners that are there already hear of all as of new SAs: where hot ones stand among the
 * others is new, too.
 */
static void adoption_tell(const struct adoption *a)
{
	const struct xi_sa_rec *rec;
	uint32_t i;

	for (i = 0; i < a->nturns; i++) {
		rec = xi_sad_rec(a->sad, a->turns[i].sa_index);
		if (rec)
			xi_sad_changed(a->sad, NULL, rec);
	}
	xi_sad_sync(a->sad);
}

int xi_sad_adopt_first(struct xi_sad *sad, unsigned int *n)
{
	struct adoption a = { .sad = sad };
	struct xi_config config;
	unsigned int i;
	int err;

	sad->senders_late = true;
	err = sad->store.ops->config_get(sad->store.s, &config);
	if (!err)
		err = adoption_read(&a);
	if (!err)
		err = turns_adopt(&a, &config.sad_generation);
	for (i = 0; i < a.nstrays && !err; i++)
		stray_drop(sad, &a.strays[i]);
	if (!err)
		err = lookups_check(sad);
	if (!err) {
		xi_slots_rebuild(sad, config.sad_generation);
		adoption_tell(&a);
	}
	adoption_free(&a);
	*n = sad->count;
	return err;
}

void xi_sad_adopt_rest(struct xi_sad *sad)
{
	uint32_t i;

	if (!sad->senders_late)
		return;
	sad->senders_late = false;
	for (i = 0; i < sad->slots.n; i++)
		if (sad->slots.nodes[i])
			xi_sender_add(sad, sad->slots.nodes[i]);
}

int xi_sad_adopt(struct xi_sad *sad, unsigned int *n)
{
	int err = xi_sad_adopt_first(sad, n);

	if (!err)
		xi_sad_adopt_rest(sad);
	return err;
}
