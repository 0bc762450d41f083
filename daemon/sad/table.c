/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs by what a packet shows of them, for workers without a lock: by id, and in transport mode by
 * their addresses.
 */
#include "sad/sad_priv.h"

#include <errno.h>
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

/* Behind a node may be no record, or another by now: then it is none of the pair. */
static struct xi_sad_node *pair_current(struct xi_pair_iter *it)
{
	struct cds_lfht_node *by_pair = cds_lfht_iter_get_node(&it->iter);
	struct xi_sad_node *node;

	if (!by_pair)
		return NULL;
	node = caa_container_of(by_pair, struct xi_sad_node, by_pair);
	it->rec = xi_sad_rec(it->sad, node->sa_index);
	return node;
}

static int pair_matches(struct cds_lfht_node *by_pair, const void *arg)
{
	const struct xi_pair_iter *it = arg;
	const struct xi_sad_node *node = caa_container_of(by_pair, struct xi_sad_node, by_pair);
	const struct xi_sa_rec *rec = xi_sad_rec(it->sad, node->sa_index);
	struct xi_pair_key key;

	if (!rec)
		return false;
	key = pair_key(&rec->sa);
	return !memcmp(&key, &it->key, sizeof(key));
}

struct xi_sad_node *xi_pair_first(struct xi_pair_iter *it, const struct xi_sad *sad,
				  const struct xi_pair_key *key)
{
	it->sad = sad;
	it->key = *key;
	cds_lfht_lookup(sad->tables.by_pair, pair_hash(sad, key), pair_matches, it, &it->iter);
	return pair_current(it);
}

struct xi_sad_node *xi_pair_next(struct xi_pair_iter *it)
{
	cds_lfht_next_duplicate(it->sad->tables.by_pair, pair_matches, it, &it->iter);
	return pair_current(it);
}

static void news_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	if (node->is_news)
		return;
	node->is_news = true;
	DL_APPEND2(sad->tables.news, node, news_prev, news_next);
}

void xi_pair_news_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	if (!node->is_news)
		return;
	node->is_news = false;
	DL_DELETE2(sad->tables.news, node, news_prev, news_next);
}

void xi_pair_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	const struct xi_sa *sa = &node->rec->sa;
	struct xi_pair_key key = pair_key(sa);

	node->order = sad->tables.order_next++;
	if (sa->mode != XI_TRANSPORT)
		return;
	cds_lfht_node_init(&node->by_pair);
	cds_lfht_add(sad->tables.by_pair, pair_hash(sad, &key), &node->by_pair);
	node->paired = true;
	node->chosen = false;
	news_add(sad, node);
}

void xi_pair_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_pair_key key;
	struct xi_sad_node *other;
	struct xi_pair_iter it;

	if (!node->paired)
		return;
	cds_lfht_del(sad->tables.by_pair, &node->by_pair);
	node->paired = false;
	xi_pair_news_del(sad, node);
	key = pair_key(&node->rec->sa);
	other = xi_pair_first(&it, sad, &key);
	if (other)
		news_add(sad, other);
}
