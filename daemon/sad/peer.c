/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs by where they go, so that a template finds its SAs without a walk over all of them. */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t zero[16];

XI_ASSERT(sizeof(struct xi_peer_key) == 28);

static struct xi_peer_key peer_key(enum xi_chain chain, const uint8_t daddr[16],
				   enum xi_family family, uint32_t reqid)
{
	struct xi_peer_key key = { .family = family, .chain = chain };

	if (chain == XI_CHAIN_EXACT || chain == XI_CHAIN_ANY_REQID)
		memcpy(key.daddr, daddr, 16);
	if (chain == XI_CHAIN_EXACT || chain == XI_CHAIN_ANY_DADDR)
		key.reqid = reqid;
	return key;
}

int xi_peers_init(struct xi_sad *sad)
{
	uint32_t n = 1;

	while (n < sad->slots.n)
		n *= 2;
	sad->peers.mask = n - 1;
	sad->peers.buckets = calloc(n, sizeof(*sad->peers.buckets));
	return sad->peers.buckets ? 0 : -ENOMEM;
}

void xi_peers_free(struct xi_sad *sad)
{
	free(sad->peers.buckets);
}

static struct xi_peer **peer_bucket(const struct xi_sad *sad, const struct xi_peer_key *key)
{
	uint64_t w[6] = {0};

	memcpy(w, key, sizeof(*key));
	return &sad->peers.buckets[xi_hash_words(&sad->tables, w) & sad->peers.mask];
}

static struct xi_peer *peer_find(const struct xi_sad *sad, const struct xi_peer_key *key)
{
	struct xi_peer *peer = *peer_bucket(sad, key);

	while (peer && memcmp(&peer->key, key, sizeof(*key)))
		peer = peer->next;
	return peer;
}

static struct xi_peer *peer_get(struct xi_sad *sad, const struct xi_peer_key *key)
{
	struct xi_peer *peer = peer_find(sad, key), **bucket = peer_bucket(sad, key);

	if (peer)
		return peer;
	peer = calloc(1, sizeof(*peer));
	if (!peer)
		return NULL;
	peer->key = *key;
	peer->next = *bucket;
	*bucket = peer;
	return peer;
}

static void peer_drop(struct xi_sad *sad, struct xi_peer *peer)
{
	struct xi_peer **at = peer_bucket(sad, &peer->key);

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	free(peer);
}

static void link_del(struct xi_sad *sad, struct xi_sad_node *node, enum xi_chain chain)
{
	struct xi_sad_link *link = &node->links[chain];
	struct xi_peer *peer = link->peer;

	if (!peer)
		return;
	if (link->newer)
		link->newer->links[chain].older = link->older;
	else
		peer->newest = link->older;
	if (link->older)
		link->older->links[chain].newer = link->newer;
	memset(link, 0, sizeof(*link));
	if (!peer->newest)
		peer_drop(sad, peer);
}

int xi_peers_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	const struct xi_sa *sa = &node->rec->sa;
	enum xi_chain chain;

	for (chain = 0; chain < XI_CHAIN_MAX; chain++) {
		struct xi_peer_key key = peer_key(chain, sa->id.daddr, sa->id.family, sa->reqid);
		struct xi_sad_link *link = &node->links[chain];

		link->peer = peer_get(sad, &key);
		if (!link->peer) {
			xi_peers_del(sad, node);
			return -ENOMEM;
		}
		link->older = link->peer->newest;
		if (link->older)
			link->older->links[chain].newer = node;
		link->peer->newest = node;
	}
	xi_pair_add(sad, node);
	return 0;
}

void xi_peers_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	enum xi_chain chain;

	xi_pair_del(sad, node);
	for (chain = 0; chain < XI_CHAIN_MAX; chain++)
		link_del(sad, node, chain);
}

struct xi_sad_node *xi_peers_newest(const struct xi_sad *sad, const struct xi_tmpl *tmpl,
				    enum xi_chain *chain)
{
	bool any_daddr = !memcmp(tmpl->id.daddr, zero, 16);
	struct xi_peer_key key;
	struct xi_peer *peer;

	*chain = any_daddr ? (tmpl->reqid ? XI_CHAIN_ANY_DADDR : XI_CHAIN_ANY)
			   : (tmpl->reqid ? XI_CHAIN_EXACT : XI_CHAIN_ANY_REQID);
	key = peer_key(*chain, tmpl->id.daddr, tmpl->family, tmpl->reqid);
	peer = peer_find(sad, &key);
	return peer ? peer->newest : NULL;
}

struct xi_sad_node *xi_peers_newest_exact(const struct xi_sad *sad, const uint8_t daddr[16],
					  enum xi_family family, uint32_t reqid)
{
	struct xi_peer_key key = peer_key(XI_CHAIN_EXACT, daddr, family, reqid);
	struct xi_peer *peer = peer_find(sad, &key);

	return peer ? peer->newest : NULL;
}
