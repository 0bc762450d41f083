/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs by what a packet shows of them, for workers without a lock: by id, and in transport mode by their addresses. */
#include "sad/sad_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

struct pair_key {
	uint8_t saddr[16];
	uint8_t daddr[16];
	enum xi_proto proto;
	enum xi_family family;
};
XI_ASSERT(sizeof(struct pair_key) == 40);
XI_ASSERT(sizeof(struct xi_sa_id) == 28);

static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Multiply and fold under secret seeds: a peer chooses SPIs, and must not be able to choose buckets. */
static unsigned long hash_words(const struct xi_sad_tables *t, const uint64_t w[6])
{
	uint64_t h = fold(w[0] ^ t->seeds[0], w[1] ^ t->seeds[1]);

	h = fold(h ^ w[2] ^ t->seeds[2], w[3] ^ t->seeds[3]);
	return fold(h ^ w[4] ^ t->seeds[1], w[5] ^ t->seeds[0]);
}

static unsigned long id_hash(const struct xi_sad *sad, const struct xi_sa_id *id)
{
	uint64_t w[6] = { 0 };

	memcpy(w, id, sizeof(*id));
	return hash_words(&sad->tables, w);
}

static unsigned long pair_hash(const struct xi_sad *sad, const struct pair_key *key)
{
	uint64_t w[6] = { 0 };

	memcpy(w, key, sizeof(*key));
	return hash_words(&sad->tables, w);
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

void xi_tables_free(struct xi_sad *sad, void (*node_free)(struct xi_sad *sad, struct xi_sad_node *node))
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
	const struct xi_sa_rec *rec = node ? xi_sad_rec(sad, node->sa_index) : NULL;

	return rec && !(rec->sa.life & XI_SA_LARVAL) ? node->sa_index : 0;
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

static struct pair_key pair_key(const uint8_t saddr[16], const struct xi_sa_id *id)
{
	struct pair_key key = { .proto = id->proto, .family = id->family };

	memcpy(key.saddr, saddr, 16);
	memcpy(key.daddr, id->daddr, 16);
	return key;
}

void xi_pair_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	const struct xi_sa *sa = &node->rec->sa;
	struct pair_key key = pair_key(sa->saddr, &sa->id);

	node->order = sad->tables.order_next++;
	if (sa->mode != XI_TRANSPORT)
		return;
	cds_lfht_node_init(&node->by_pair);
	cds_lfht_add(sad->tables.by_pair, pair_hash(sad, &key), &node->by_pair);
	node->paired = true;
}

void xi_pair_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	if (node->paired)
		cds_lfht_del(sad->tables.by_pair, &node->by_pair);
	node->paired = false;
}
