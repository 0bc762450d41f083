/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How far deleted SAs had counted, by a hash of their keys. A key manager that moves an SA (MOBIKE,
 * RFC 4555) deletes it and adds it again with the same key; should it give an old sequence number,
 * ours wins. And who counts now: two SAs of one sender with one key would use nonces twice.
 */
#include "sad/sad_priv.h"

#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/algs.h"

#define USED_KEYS_MAX 65536

/*
 * domain keeps digests of different use apart. A digest that could not be made must not name a key:
 * abort.
 */
void xi_key_digest(uint8_t out[XI_DIGEST_LEN], const char *domain, const struct xi_sa_key *key)
{
	uint32_t head[4] = { htonl(key->alg), htonl(key->len), htonl(key->auth), htonl(key->auth_len) };
	/* an AEAD is as it was before there was anything else: files are named by its digest */
	size_t head_len = key->auth == XI_AUTH_NONE ? sizeof(head) / 2 : sizeof(head);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) ||
	    !EVP_DigestUpdate(ctx, domain, strlen(domain) + 1) ||
	    !EVP_DigestUpdate(ctx, head, head_len) ||
	    !EVP_DigestUpdate(ctx, key->key, key->len) ||
	    !EVP_DigestFinal_ex(ctx, out, NULL))
		abort();
	EVP_MD_CTX_free(ctx);
}

/* Is the sequence number all that makes nonces differ? Neither a random IV nor an HMAC cares. */
bool xi_alg_counts_nonces(enum xi_alg alg)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(alg);

	return alg != XI_ALG_NONE && alg != XI_ALG_NULL && !(cipher && cipher->random_iv);
}

/*
 * Of what makes a key stream with a nonce: cipher key and salt. Whatever algorithm uses them, GCM's
 * and CTR's are one, and GMAC's hash key is GCM's. Of other algorithms, the whole key.
 */
static void cipher_digest(uint8_t out[XI_DIGEST_LEN], const char *domain,
			  const struct xi_sa_key *key)
{
	struct xi_sa_key cipher = {.alg = XI_ALG_NONE, .len = key->len - key->auth_len};

	if (!xi_alg_counts_nonces(key->alg)) {
		xi_key_digest(out, domain, key);
		return;
	}
	memcpy(cipher.key, key->key, cipher.len);
	xi_key_digest(out, domain, &cipher);
	explicit_bzero(&cipher, sizeof(cipher));
}

static struct xi_used_key *used_find(const struct xi_sad *sad, const struct xi_sa_key *key,
				     uint8_t *digest)
{
	struct xi_used_key *used;

	cipher_digest(digest, "xipsec used key", key);
	HASH_FIND(hh, sad->used, digest, XI_DIGEST_LEN, used);
	return used;
}

/* The table is ordered by age: uthash keeps the order of insertion. */
void xi_used_key_note(struct xi_sad *sad, const struct xi_sa_key *key, uint64_t oseq)
{
	uint8_t digest[XI_DIGEST_LEN];
	struct xi_used_key *used, *oldest;

	if (!oseq)
		return;
	used = used_find(sad, key, digest);
	if (used) {
		HASH_DEL(sad->used, used);
	} else {
		used = calloc(1, sizeof(*used));
		if (!used)
			return;
		memcpy(used->digest, digest, sizeof(digest));
	}
	if (used->oseq < oseq)
		used->oseq = oseq;
	if (HASH_COUNT(sad->used) >= USED_KEYS_MAX) {
		oldest = sad->used;
		HASH_DEL(sad->used, oldest);
		free(oldest);
	}
	HASH_ADD(hh, sad->used, digest, XI_DIGEST_LEN, used);
}

uint64_t xi_used_key_oseq(const struct xi_sad *sad, const struct xi_sa_key *key)
{
	uint8_t digest[XI_DIGEST_LEN];
	struct xi_used_key *used = used_find(sad, key, digest);

	return used ? used->oseq : 0;
}

void xi_used_keys_free(struct xi_sad *sad)
{
	struct xi_used_key *used, *next;

	HASH_ITER(hh, sad->used, used, next) {
		HASH_DEL(sad->used, used);
		free(used);
	}
}

/* The key of `senders`: cipher key and source address, which together say who gives out numbers. */
static void sender_digest(uint8_t out[XI_DIGEST_LEN], const struct xi_sa *sa,
			  const struct xi_sa_key *key)
{
	char domain[sizeof("xipsec sender ") + 2 * sizeof(sa->saddr)] = "xipsec sender ";
	char *p = domain + strlen(domain);

	for (size_t i = 0; i < sizeof(sa->saddr); i++, p += 2)
		snprintf(p, 3, "%02x", sa->saddr[i]);
	cipher_digest(out, domain, key);
}

const struct xi_sa_rec *xi_sender_find(const struct xi_sad *sad, const struct xi_sa *sa,
				       const struct xi_sa_key *key)
{
	uint8_t digest[XI_DIGEST_LEN];
	struct xi_sad_node *node;

	sender_digest(digest, sa, key);
	HASH_FIND(hh_sender, sad->senders, digest, XI_DIGEST_LEN, node);
	while (node && !xi_alg_counts_nonces(node->rec->sa.alg))
		node = node->same_sender;
	return node ? node->rec : NULL;
}

void xi_sender_add(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sad_node *head;

	if (!node->rec || !node->rec->key.len || sad->senders_late)
		return;
	sender_digest(node->sender, &node->rec->sa, &node->rec->key);
	HASH_FIND(hh_sender, sad->senders, node->sender, XI_DIGEST_LEN, head);
	if (head)
		HASH_DELETE(hh_sender, sad->senders, head);
	node->same_sender = head;
	HASH_ADD(hh_sender, sad->senders, sender, XI_DIGEST_LEN, node);
}

void xi_sender_del(struct xi_sad *sad, struct xi_sad_node *node)
{
	struct xi_sad_node *head, **at;

	if (!node->rec || !node->rec->key.len)
		return;
	HASH_FIND(hh_sender, sad->senders, node->sender, XI_DIGEST_LEN, head);
	if (head == node) {
		HASH_DELETE(hh_sender, sad->senders, node);
		if (node->same_sender) {
			head = node->same_sender;
			HASH_ADD(hh_sender, sad->senders, sender, XI_DIGEST_LEN, head);
		}
	} else {
		for (at = &head; *at && *at != node; at = &(*at)->same_sender)
			;
		if (*at)
			*at = node->same_sender;
	}
	node->same_sender = NULL;
}
