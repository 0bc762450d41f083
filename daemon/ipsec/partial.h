/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets of which not every fragment has come: memory, lookup, eviction. Private to reassembly. */
#ifndef XI_PARTIAL_H
#define XI_PARTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ipsec/reassemble.h"

#define XI_FRAGMENT_UNIT 8U /* of fragment offsets */
#define XI_BITMAP_WORD 64U  /* units in a word of a bitmap */
#define XI_PARTIAL_KEY_WORDS (sizeof(struct xi_partial_key) / sizeof(uint32_t))
#define XI_SENDER_KEY_WORDS 3

/* IPv4: addresses, protocol, ID (RFC 791). IPv6: addresses, ID (RFC 8200). */
struct xi_partial_key {
	uint32_t src[4];
	uint32_t dst[4];
	uint32_t id;
	uint32_t kind; /* IP version << 8 | protocol of IPv4 */
};

/* A packet not yet whole. dead: nothing is held, and what still arrives is dropped. */
struct xi_partial {
	TAILQ_ENTRY(xi_partial) by_age;
	TAILQ_ENTRY(xi_partial) of_sender;
	LIST_ENTRY(xi_partial) chain; /* in its bucket, or among the unused */
	struct xi_partial_key key;
	struct xi_partial_sender *sender;
	uint64_t born;
	uint32_t fragments;
	uint32_t npages;
	uint32_t end; /* highest that was seen; of the packet once last is set */
	uint32_t got;
	uint32_t hdr_len; /* 0: the first fragment has not come yet */
	uint32_t next_at;
	uint8_t ecn;	  /* of the first fragment */
	uint8_t ecn_seen; /* bit for each code point */
	bool last;
	enum xi_reason dead;
	uint32_t *page;	  /* number + 1 of each, 0 where there is none */
	uint64_t *have;	  /* a bit for each unit that came, */
	uint64_t *starts; /* and for those that began a fragment */
	uint8_t hdr[XI_REASSEMBLY_HDR_MAX];
};

TAILQ_HEAD(xi_partial_queue, xi_partial);
LIST_HEAD(xi_partial_list, xi_partial);

/* Senders of one hash value. */
struct xi_partial_sender {
	struct xi_partial_queue packets; /* oldest first */
	uint32_t npackets;
	uint32_t npages;
};

struct xi_reassembly {
	struct xi_reassembly_limits limits;
	uint64_t *counts;
	struct xi_reassembly_use use;
	struct {
		uint64_t key[XI_PARTIAL_KEY_WORDS + 1];
		uint64_t sender[XI_SENDER_KEY_WORDS + 1];
	} hash; /* random multipliers, and summands last */
	unsigned int shift;  /* of hashes: as many values as buckets, and as senders */
	uint32_t words;	     /* of a bitmap */
	uint32_t pages_each; /* of the longest packet */
	uint32_t npages;
	uint32_t nfree;
	uint32_t *free_pages; /* stack */
	uint8_t *pages;
	struct xi_partial_queue by_age; /* oldest first */
	struct xi_partial_list unused;
	struct xi_partial_list *buckets;
	struct xi_partial_sender *senders;
	struct xi_partial *packets;
	uint32_t *page_tables;
	uint64_t *bitmaps;
};

static inline void xi_reassembly_count(struct xi_reassembly *r, enum xi_reason reason, uint32_t n)
{
	__atomic_store_n(&r->counts[reason], r->counts[reason] + n, __ATOMIC_RELAXED);
}

struct xi_partial *xi_partial_find(const struct xi_reassembly *r, const struct xi_partial_key *key);
/* Others are given up when there is no room. The caller knows that there is none of this key. */
struct xi_partial *xi_partial_begin(struct xi_reassembly *r, const struct xi_partial_key *key,
				    uint64_t now_ms);
/* Forgets a packet. */
void xi_partial_end(struct xi_reassembly *r, struct xi_partial *p);
/*
 * Drops a packet because of one of its fragments; returns why. Of IPv6 "those not yet received" go
 * too (RFC 5722 section 4); of IPv4 not: its identifications are soon used again, and the next
 * packet would suffer.
 */
enum xi_reason xi_partial_discard(struct xi_reassembly *r, struct xi_partial *p,
				  enum xi_reason why);
/*
 * Pages for the bytes from start to end - 1 at their places. Others are given up when there is no
 * room; in the end there is, as all pages, and a sender's share of them, are enough for any packet.
 */
void xi_partial_take_pages(struct xi_reassembly *r, struct xi_partial *p, uint32_t start,
			   uint32_t end);

/* Bytes from at on that lie in one page, as far as end; where they lie. */
static inline uint8_t *xi_partial_span(const struct xi_reassembly *r, const struct xi_partial *p,
				       uint32_t at, uint32_t end, uint32_t *len)
{
	uint32_t in = at % XI_REASSEMBLY_PAGE, left = XI_REASSEMBLY_PAGE - in;
	size_t page = p->page[at / XI_REASSEMBLY_PAGE] - 1;

	*len = end - at < left ? end - at : left;
	return r->pages + page * XI_REASSEMBLY_PAGE + in;
}

#endif
