// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/partial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/random.h>

#define PACKETS_MAX 65536U
#define SHARE 4 /* the part of everything that one sender may hold: 1/SHARE */

static uint32_t hash_words(const struct xi_reassembly *r, const uint64_t *mul, const uint32_t *word,
			   unsigned int n)
{
	uint64_t h = mul[n];

	for (unsigned int i = 0; i < n; i++)
		h += mul[i] * word[i];
	return (uint32_t)(h >> r->shift);
}

static struct xi_partial_list *bucket_of(const struct xi_reassembly *r,
					 const struct xi_partial_key *key)
{
	return &r->buckets[hash_words(r, r->hash.key, (const uint32_t *)key, XI_PARTIAL_KEY_WORDS)];
}

/* A host of IPv6 has a whole /64 of addresses. */
static struct xi_partial_sender *sender_of(const struct xi_reassembly *r,
					   const struct xi_partial_key *key)
{
	uint32_t word[XI_SENDER_KEY_WORDS] = {key->src[0], key->src[1], key->kind >> 8};

	return &r->senders[hash_words(r, r->hash.sender, word, XI_SENDER_KEY_WORDS)];
}

struct xi_partial *xi_partial_find(const struct xi_reassembly *r, const struct xi_partial_key *key)
{
	struct xi_partial *p;

	LIST_FOREACH (p, bucket_of(r, key), chain) {
		if (!memcmp(&p->key, key, sizeof(*key)))
			return p;
	}
	return NULL;
}

static void partial_empty(struct xi_reassembly *r, struct xi_partial *p)
{
	for (uint32_t i = 0; p->npages; i++) {
		if (!p->page[i])
			continue;
		r->free_pages[r->nfree++] = p->page[i] - 1;
		p->page[i] = 0;
		p->npages--;
		p->sender->npages--;
	}
	r->use.fragments -= p->fragments;
	p->fragments = 0;
}

void xi_partial_end(struct xi_reassembly *r, struct xi_partial *p)
{
	partial_empty(r, p);
	TAILQ_REMOVE(&r->by_age, p, by_age);
	TAILQ_REMOVE(&p->sender->packets, p, of_sender);
	p->sender->npackets--;
	LIST_REMOVE(p, chain);
	LIST_INSERT_HEAD(&r->unused, p, chain);
	r->use.packets--;
}

static void partial_give_up(struct xi_reassembly *r, struct xi_partial *p, enum xi_reason why)
{
	xi_reassembly_count(r, why, p->fragments);
	xi_partial_end(r, p);
}

enum xi_reason xi_partial_discard(struct xi_reassembly *r, struct xi_partial *p, enum xi_reason why)
{
	if (p->key.kind >> 8 == 4) {
		partial_give_up(r, p, why);
		return why;
	}
	xi_reassembly_count(r, why, p->fragments);
	partial_empty(r, p);
	p->dead = why;
	return why;
}

struct xi_partial *xi_partial_begin(struct xi_reassembly *r, const struct xi_partial_key *key,
				    uint64_t now_ms)
{
	struct xi_partial_sender *sender = sender_of(r, key);
	struct xi_partial *p;

	if (sender->npackets >= (r->limits.packets + SHARE - 1) / SHARE)
		partial_give_up(r, TAILQ_FIRST(&sender->packets), XI_DROP_FRAGMENT_FULL);
	if (LIST_EMPTY(&r->unused))
		partial_give_up(r, TAILQ_FIRST(&r->by_age), XI_DROP_FRAGMENT_FULL);
	p = LIST_FIRST(&r->unused);
	LIST_REMOVE(p, chain);
	p->key = *key;
	p->sender = sender;
	p->born = now_ms;
	p->end = p->got = p->hdr_len = 0;
	p->ecn_seen = 0;
	p->last = false;
	p->dead = XI_NONE;
	memset(p->have, 0, r->words * sizeof(*p->have));
	memset(p->starts, 0, r->words * sizeof(*p->starts));
	TAILQ_INSERT_TAIL(&r->by_age, p, by_age);
	TAILQ_INSERT_TAIL(&sender->packets, p, of_sender);
	sender->npackets++;
	LIST_INSERT_HEAD(bucket_of(r, key), p, chain);
	r->use.packets++;
	return p;
}

static struct xi_partial *oldest_but(struct xi_partial *p, struct xi_partial *oldest,
				     struct xi_partial *second)
{
	return oldest == p ? second : oldest;
}

void xi_partial_take_pages(struct xi_reassembly *r, struct xi_partial *p, uint32_t start,
			   uint32_t end)
{
	uint32_t first = start / XI_REASSEMBLY_PAGE, need = 0, i, share = r->npages / SHARE;
	uint32_t behind = (end + XI_REASSEMBLY_PAGE - 1) / XI_REASSEMBLY_PAGE;
	struct xi_partial_sender *s = p->sender;
	struct xi_partial *old;

	for (i = first; i < behind; i++)
		need += !p->page[i];
	if (share < r->pages_each)
		share = r->pages_each;
	while (s->npages + need > share) {
		old = TAILQ_FIRST(&s->packets);
		old = oldest_but(p, old, TAILQ_NEXT(old, of_sender));
		partial_give_up(r, old, XI_DROP_FRAGMENT_FULL);
	}
	while (r->nfree < need) {
		old = TAILQ_FIRST(&r->by_age);
		old = oldest_but(p, old, TAILQ_NEXT(old, by_age));
		partial_give_up(r, old, XI_DROP_FRAGMENT_FULL);
	}
	for (i = first; i < behind; i++)
		if (!p->page[i])
			p->page[i] = r->free_pages[--r->nfree] + 1;
	p->npages += need;
	s->npages += need;
}

uint32_t xi_reassembly_expire(struct xi_reassembly *r, uint64_t now_ms)
{
	uint32_t before = r->use.fragments;
	struct xi_partial *p;

	while ((p = TAILQ_FIRST(&r->by_age))) {
		if ((int64_t)(now_ms - p->born) < r->limits.timeout_ms)
			break;
		partial_give_up(r, p, XI_DROP_FRAGMENT_TIMEOUT);
	}
	return before - r->use.fragments;
}

struct xi_reassembly_use xi_reassembly_in_use(const struct xi_reassembly *r)
{
	struct xi_reassembly_use use = r->use;

	use.bytes = (r->npages - r->nfree) * XI_REASSEMBLY_PAGE;
	return use;
}

/* Up to 256 bytes come whole or not at all (getrandom(2)). */
static int seed(struct xi_reassembly *r)
{
	_Static_assert(sizeof(r->hash) <= 256, "getrandom() may cut it short");
	return getrandom(&r->hash, sizeof(r->hash), 0) == sizeof(r->hash) ? 0 : -errno;
}

static int allocate(struct xi_reassembly *r, uint32_t nbuckets)
{
	uint32_t n = r->limits.packets;

	r->buckets = calloc(nbuckets, sizeof(*r->buckets));
	r->senders = calloc(nbuckets, sizeof(*r->senders));
	r->packets = calloc(n, sizeof(*r->packets));
	r->page_tables = calloc(n, r->pages_each * sizeof(*r->page_tables));
	r->bitmaps = calloc(n, 2 * r->words * sizeof(*r->bitmaps));
	r->pages = calloc(r->npages, XI_REASSEMBLY_PAGE);
	r->free_pages = calloc(r->npages, sizeof(*r->free_pages));
	if (!r->buckets || !r->senders || !r->packets || !r->page_tables || !r->bitmaps ||
	    !r->pages || !r->free_pages)
		return -ENOMEM;
	return 0;
}

static void link_up(struct xi_reassembly *r, uint32_t nbuckets)
{
	TAILQ_INIT(&r->by_age);
	LIST_INIT(&r->unused);
	for (uint32_t i = 0; i < nbuckets; i++)
		TAILQ_INIT(&r->senders[i].packets);
	for (uint32_t i = r->limits.packets; i-- > 0;) {
		struct xi_partial *p = &r->packets[i];

		p->page = r->page_tables + (size_t)i * r->pages_each;
		p->have = r->bitmaps + (size_t)i * 2 * r->words;
		p->starts = p->have + r->words;
		LIST_INSERT_HEAD(&r->unused, p, chain);
	}
	while (r->nfree < r->npages) {
		r->free_pages[r->nfree] = r->nfree;
		r->nfree++;
	}
}

static bool limits_valid(const struct xi_reassembly_limits *l)
{
	return l->packets && l->packets <= PACKETS_MAX && l->timeout_ms && l->packet_len &&
	       l->packet_len <= IP_MAXPACKET + sizeof(struct ip6_hdr) &&
	       l->bytes / XI_REASSEMBLY_PAGE >=
		       (l->packet_len + XI_REASSEMBLY_PAGE - 1) / XI_REASSEMBLY_PAGE;
}

int xi_reassembly_create(struct xi_reassembly **out, const struct xi_reassembly_limits *limits,
			 uint64_t *counts)
{
	struct xi_reassembly *r;
	uint32_t nbuckets = 2;
	int err;

	if (!limits_valid(limits))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->limits = *limits;
	r->counts = counts;
	r->words = (limits->packet_len + XI_FRAGMENT_UNIT * XI_BITMAP_WORD - 1) /
		   (XI_FRAGMENT_UNIT * XI_BITMAP_WORD);
	r->pages_each = (limits->packet_len + XI_REASSEMBLY_PAGE - 1) / XI_REASSEMBLY_PAGE;
	r->npages = limits->bytes / XI_REASSEMBLY_PAGE;
	for (r->shift = 63; nbuckets < 4 * limits->packets; nbuckets *= 2)
		r->shift--;
	err = allocate(r, nbuckets);
	if (!err)
		err = seed(r);
	if (err) {
		xi_reassembly_destroy(r);
		return err;
	}
	link_up(r, nbuckets);
	*out = r;
	return 0;
}

void xi_reassembly_destroy(struct xi_reassembly *r)
{
	if (!r)
		return;
	free(r->buckets);
	free(r->senders);
	free(r->packets);
	free(r->page_tables);
	free(r->bitmaps);
	free(r->pages);
	free(r->free_pages);
	free(r);
}
