/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose numbers a key counts now: two SAs of one sender with one key would use nonces twice. And
 * the keys of SAs that were deleted in this round, whose last number is not known before its end.
 */
#include "sad/sad_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/algs.h"

/*
 * domain keeps digests of different use apart. A digest that could not be made must not name a key:
 * abort.
 */
static void key_digest(EVP_MD_CTX *ctx, uint8_t out[XI_DIGEST_LEN], const char *domain,
		       const struct xi_sa_key *key)
{
	uint32_t head[4] = { htonl(key->alg), htonl(key->len), htonl(key->auth), htonl(key->auth_len) };
	/* an AEAD is as it was before there was anything else: files are named by its digest */
	size_t head_len = key->auth == XI_AUTH_NONE ? sizeof(head) / 2 : sizeof(head);

	if (!EVP_DigestUpdate(ctx, domain, strlen(domain) + 1) ||
	    !EVP_DigestUpdate(ctx, head, head_len) ||
	    !EVP_DigestUpdate(ctx, key->key, key->len) || !EVP_DigestFinal_ex(ctx, out, NULL))
		abort();
}

void xi_key_digest(uint8_t out[XI_DIGEST_LEN], const char *domain, const struct xi_sa_key *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL))
		abort();
	key_digest(ctx, out, domain, key);
	EVP_MD_CTX_free(ctx);
}

/* Is the sequence number all that makes nonces differ? Neither a random IV nor an HMAC cares. */
bool xi_alg_counts_nonces(enum xi_alg alg)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(alg);

	return alg != XI_ALG_NONE && alg != XI_ALG_NULL && !(cipher && cipher->random_iv);
}

/*
 * By what makes a key stream with a nonce: cipher key and salt. Whatever algorithm uses them, GCM's
 * and CTR's are one, and GMAC's hash key is GCM's. Of other algorithms, the whole key.
 */
static void key_name(const struct xi_sad *sad, struct xi_key_name *name,
		     const struct xi_sa_key *key)
{
	struct xi_sa_key cipher = { .alg = XI_ALG_NONE, .len = key->len - key->auth_len };
	uint8_t digest[XI_DIGEST_LEN];

	/* NULL: the context's own digest again, which costs no look-up by name */
	if (!EVP_DigestInit_ex(sad->senders.digest, NULL, NULL))
		abort();
	if (xi_alg_counts_nonces(key->alg)) {
		memcpy(cipher.key, key->key, cipher.len);
		key = &cipher;
	}
	key_digest(sad->senders.digest, digest, "xipsec used key", key);
	memcpy(name->digest, digest, sizeof(name->digest));
	explicit_bzero(&cipher, sizeof(cipher));
}

int xi_senders_init(struct xi_sad *sad)
{
	struct xi_senders *s = &sad->senders;
	uint32_t nkeys = sad->slots.n > XI_USED_KEYS_MIN ? sad->slots.n : XI_USED_KEYS_MIN;

	xi_used_keys_init(&s->used, nkeys);
	s->digest = EVP_MD_CTX_new();
	if (!s->digest || !EVP_DigestInit_ex(s->digest, EVP_sha256(), NULL))
		return -ENOMEM;
	return xi_slot_map_reserve(&s->heads, sad->slots.n);
}

void xi_senders_free(struct xi_sad *sad)
{
	xi_slot_map_free(&sad->senders.heads);
	xi_slot_map_free(&sad->senders.dying);
	xi_used_keys_free(&sad->senders.used);
	EVP_MD_CTX_free(sad->senders.digest);
}

void xi_node_name_key(const struct xi_sad *sad, struct xi_sad_node *node,
		      const struct xi_sa_key *key)
{
	key_name(sad, &node->key_name, key);
	node->key_named = true;
}

void xi_used_key_note(struct xi_sad *sad, const struct xi_sad_node *node, uint64_t oseq)
{
	xi_used_keys_note(&sad->senders.used, &node->key_name, oseq);
}

uint64_t xi_used_key_oseq(const struct xi_sad *sad, const struct xi_sad_node *node)
{
	return xi_used_keys_oseq(&sad->senders.used, &node->key_name);
}

/* Without memory for it, every key counts as one of them until the round ends. */
void xi_key_dies(struct xi_sad *sad, const struct xi_sad_node *node)
{
	struct xi_senders *s = &sad->senders;

	if (xi_key_dying(sad, node))
		return;
	if (xi_slot_map_reserve(&s->dying, s->dying.n + 1))
		s->all_dying = true;
	else
		xi_slot_map_add(&s->dying, xi_key_name_hash(&node->key_name), 0);
}

/* By 32 bits of the name: one in a few million is taken for one of them, which costs a sync. */
bool xi_key_dying(const struct xi_sad *sad, const struct xi_sad_node *node)
{
	uint32_t at = 0;

	return sad->senders.all_dying ||
	       xi_slot_map_next(&sad->senders.dying, xi_key_name_hash(&node->key_name), &at) !=
		       XI_SLOT_MAP_NONE;
}

void xi_keys_died(struct xi_sad *sad)
{
	xi_slot_map_free(&sad->senders.dying);
	sad->senders.all_dying = false;
}

/* Key and source address, which together say who gives out numbers. */
static uint64_t sender_hash(const struct xi_sad *sad, const struct xi_key_name *name,
			    const uint8_t saddr[16])
{
	uint64_t words[2];

	memcpy(words, saddr, sizeof(words));
	return xi_key_name_hash(name) ^
	       xi_hash_fold(words[0] ^ sad->tables.seeds[0], words[1] ^ sad->tables.seeds[1]);
}

static struct xi_sad_node *head_find(const struct xi_sad *sad, const struct xi_key_name *name,
				     const uint8_t saddr[16])
{
	uint64_t hash = sender_hash(sad, name, saddr);
	struct xi_sad_node *node;
	uint32_t at = 0, slot;

	while ((slot = xi_slot_map_next(&sad->senders.heads, hash, &at)) != XI_SLOT_MAP_NONE) {
		node = sad->slots.nodes[slot];
		if (!memcmp(&node->key_name, name, sizeof(*name)) &&
		    !memcmp(node->rec->sa.saddr, saddr, 16))
			return node;
	}
	return NULL;
}

const struct xi_sa_rec *xi_sender_find(const struct xi_sad *sad, const struct xi_sad_node *node,
				       const struct xi_sa *sa)
{
	struct xi_sad_node *head = head_find(sad, &node->key_name, sa->saddr);

	return head ? head->rec : NULL;
}

static bool is_sender(const struct xi_sad_node *node)
{
	return node->rec && node->rec->key.len && xi_alg_counts_nonces(node->rec->sa.alg);
}

void xi_sender_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	const struct xi_sa_rec *rec = node->rec;
	struct xi_sad_node *head;
	uint64_t hash;

	if (sad->senders_late)
		return;
	if (rec && rec->key.len && !node->key_named)
		xi_node_name_key(sad, node, &rec->key);
	if (!is_sender(node))
		return;
	hash = sender_hash(sad, &node->key_name, rec->sa.saddr);
	head = head_find(sad, &node->key_name, rec->sa.saddr);
	if (head) {
		xi_slot_map_del(&sad->senders.heads, hash, XI_SA_SLOT(head->sa_index));
		head->same_newer = node;
	}
	node->same_older = head;
	node->same_newer = NULL;
	xi_slot_map_add(&sad->senders.heads, hash, XI_SA_SLOT(node->sa_index));
}

void xi_sender_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sad_node *newer = node->same_newer, *older = node->same_older;
	uint64_t hash;

	if (sad->senders_late || !is_sender(node))
		return;
	if (older)
		older->same_newer = newer;
	if (newer) {
		newer->same_older = older;
	} else {
		hash = sender_hash(sad, &node->key_name, node->rec->sa.saddr);
		xi_slot_map_del(&sad->senders.heads, hash, XI_SA_SLOT(node->sa_index));
		if (older)
			xi_slot_map_add(&sad->senders.heads, hash, XI_SA_SLOT(older->sa_index));
	}
	node->same_newer = node->same_older = NULL;
}
