/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs by what a packet shows of them, for workers without a lock: by id, and in transport mode by
 * their addresses.
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <utlist.h>

XI_ASSERT(sizeof(struct xi_pair_key) == 40);
XI_ASSERT(sizeof(struct xi_sa_id) == 28);

/*
 * Multiply and fold under secret seeds: a peer chooses SPIs, and must not be able to choose
 * buckets.
 */
unsigned long xi_hash_words(const struct xi_sad_tables *t, const uint64_t w[6])
{
	uint64_t h = xi_hash_fold(w[0] ^ t->seeds[0], w[1] ^ t->seeds[1]);

	h = xi_hash_fold(h ^ w[2] ^ t->seeds[2], w[3] ^ t->seeds[3]);
	return xi_hash_fold(h ^ w[4] ^ t->seeds[1], w[5] ^ t->seeds[0]);
}

static unsigned long id_hash(const struct xi_sad *sad, const struct xi_sa_id *id)
{
	uint64_t w[6] = {0};

	memcpy(w, id, sizeof(*id));
	return xi_hash_words(&sad->tables, w);
}

static unsigned long pair_hash(const struct xi_sad *sad, const struct xi_pair_key *key)
{
	uint64_t w[6] = {0};

	memcpy(w, key, sizeof(*key));
	return xi_hash_words(&sad->tables, w);
}

int xi_tables_init(struct xi_sad *sad)
{
	struct xi_sad_tables *t = &sad->tables;
	unsigned long size = 1;

	if (getrandom(t->seeds, sizeof(t->seeds), 0) != sizeof(t->seeds))
		return -EAGAIN;
	while (size < sad->slots.n)
		size *= 2;
	t->by_id = cds_lfht_new(size, size, size, 0, NULL);
	t->by_pair = cds_lfht_new(size, size, size, 0, NULL);
	return t->by_id && t->by_pair ? 0 : -ENOMEM;
}

static struct xi_sad_node *node_of(struct cds_lfht_node *by_id)
{
	return caa_container_of(by_id, struct xi_sad_node, by_id);
}

void xi_tables_free(struct xi_sad *sad,
		    void (*node_free)(struct xi_sad *sad, struct xi_sad_node *node))
{
	struct xi_sad_tables *t = &sad->tables;
	struct cds_lfht_node *by_id;
	struct cds_lfht_iter iter;

	if (t->by_id) {
		cds_lfht_first(t->by_id, &iter);
		while ((by_id = cds_lfht_iter_get_node(&iter))) {
			cds_lfht_next(t->by_id, &iter);
			cds_lfht_del(t->by_id, by_id);
			node_free(sad, node_of(by_id));
		}
		cds_lfht_destroy(t->by_id, NULL);
	}
	if (t->by_pair)
		cds_lfht_destroy(t->by_pair, NULL);
}

static int id_matches(struct cds_lfht_node *by_id, const void *id)
{
	return !memcmp(&node_of(by_id)->id, id, sizeof(struct xi_sa_id));
}

struct xi_sad_node *xi_sad_node(const struct xi_sad *sad, const struct xi_sa_id *id)
{
	struct cds_lfht_node *by_id;
	struct cds_lfht_iter iter;

	cds_lfht_lookup(sad->tables.by_id, id_hash(sad, id), id_matches, id, &iter);
	by_id = cds_lfht_iter_get_node(&iter);
	return by_id ? node_of(by_id) : NULL;
}

uint32_t xi_sad_lookup(const struct xi_sad *sad, const struct xi_sa_id *id)
{
	const struct xi_sad_node *node = xi_sad_node(sad, id);

	return node && __atomic_load_n(&node->known, __ATOMIC_ACQUIRE) ? node->sa_index : 0;
}

uint32_t xi_sad_lookup_spi(const struct xi_sad *sad, const struct xi_sa_id *id)
{
	const struct xi_sad_node *node = xi_sad_node(sad, id);

	return node ? node->sa_index : 0;
}

void xi_table_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	cds_lfht_node_init(&node->by_id);
	cds_lfht_add(sad->tables.by_id, id_hash(sad, &node->id), &node->by_id);
}

void xi_table_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	cds_lfht_del(sad->tables.by_id, &node->by_id);
}

static struct xi_pair_key pair_key(const struct xi_sa *sa)
{
	struct xi_pair_key key = {.proto = sa->id.proto, .family = sa->id.family};

	memcpy(key.saddr, sa->saddr, 16);
	memcpy(key.daddr, sa->id.daddr, 16);
	return key;
}

/* By the node's record, published or not: a look-up that meets a first that goes goes on by it. */
static int pair_matches(struct cds_lfht_node *by_pair, const void *arg)
{
	const struct xi_pair_iter *it = arg;
	const struct xi_sad_node *node = caa_container_of(by_pair, struct xi_sad_node, by_pair);
	struct xi_pair_key key = pair_key(&rcu_dereference(node->rec)->sa);

	return !memcmp(&key, &it->key, sizeof(key));
}

/* Behind a node may be no record by now. */
static struct xi_sad_node *pair_at(struct xi_pair_iter *it, struct xi_sad_node *node)
{
	it->node = node;
	if (node)
		it->rec = xi_sad_rec(it->sad, node->sa_index);
	return node;
}

static struct xi_sad_node *pair_head(const struct xi_pair_iter *it, struct cds_lfht_iter *at)
{
	struct cds_lfht_node *by_pair;

	cds_lfht_lookup(it->sad->tables.by_pair, pair_hash(it->sad, &it->key), pair_matches, it, at);
	by_pair = cds_lfht_iter_get_node(at);
	return by_pair ? caa_container_of(by_pair, struct xi_sad_node, by_pair) : NULL;
}

struct xi_sad_node *xi_pair_first(struct xi_pair_iter *it, const struct xi_sad *sad,
				  const struct xi_pair_key *key)
{
	struct cds_lfht_iter at;

	it->sad = sad;
	it->key = *key;
	return pair_at(it, pair_head(it, &at));
}

struct xi_sad_node *xi_pair_next(struct xi_pair_iter *it)
{
	return pair_at(it, rcu_dereference(it->node->pair_next));
}

static void news_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	if (node->is_news)
		return;
	node->is_news = true;
	DL_APPEND2(sad->tables.news, node, news_prev, news_next);
}

void xi_pair_changed(struct xi_sad *sad, struct xi_sad_node *node)
{
	if (node->paired)
		news_add(sad, node);
}

void xi_pair_news_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	if (!node->is_news)
		return;
	node->is_news = false;
	DL_DELETE2(sad->tables.news, node, news_prev, news_next);
}

/* Second in the list: the hash table, which would walk over all of equal hash, has the first alone. */
static void pair_link(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_pair_iter it = {.sad = sad, .key = pair_key(&node->rec->sa)};
	struct cds_lfht_iter at;
	struct xi_sad_node *head = pair_head(&it, &at);

	node->pair_prev = head;
	node->pair_next = head ? head->pair_next : NULL;
	if (node->pair_next)
		node->pair_next->pair_prev = node;
	if (head) {
		rcu_assign_pointer(head->pair_next, node);
		return;
	}
	cds_lfht_node_init(&node->by_pair);
	cds_lfht_add(sad->tables.by_pair, pair_hash(sad, &it.key), &node->by_pair);
}

/* The next one takes the place of the first, in one step. */
static void pair_behead(struct xi_sad *sad, struct xi_sad_node *head)
{
	struct xi_pair_iter it = {.sad = sad, .key = pair_key(&head->rec->sa)};
	struct xi_sad_node *next = head->pair_next;
	struct cds_lfht_iter at;

	if (!next) {
		cds_lfht_del(sad->tables.by_pair, &head->by_pair);
		return;
	}
	next->pair_prev = NULL;
	cds_lfht_node_init(&next->by_pair);
	if (pair_head(&it, &at) != head ||
	    cds_lfht_replace(sad->tables.by_pair, &at, pair_hash(sad, &it.key), pair_matches, &it,
			     &next->by_pair))
		abort();
}

/* node->pair_next stays for workers that are there. */
static void pair_unlink(struct xi_sad *sad, struct xi_sad_node *node)
{
	if (!node->pair_prev) {
		pair_behead(sad, node);
		return;
	}
	rcu_assign_pointer(node->pair_prev->pair_next, node->pair_next);
	if (node->pair_next)
		node->pair_next->pair_prev = node->pair_prev;
}

void xi_pair_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	node->order = sad->tables.order_next++;
	if (node->rec->sa.mode != XI_TRANSPORT)
		return;
	pair_link(sad, node);
	node->paired = true;
	node->chosen = false;
	news_add(sad, node);
}

void xi_pair_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sad_node *other = node->pair_prev ? node->pair_prev : node->pair_next;

	if (!node->paired)
		return;
	pair_unlink(sad, node);
	node->paired = false;
	xi_pair_news_del(sad, node);
	if (other)
		news_add(sad, other);
}
