// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/reassemble.h"

#include <string.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/fragment.h"
#include "ipsec/partial.h"
#include "ipsec/tunnel.h"

#define UNIT XI_FRAGMENT_UNIT
#define WORD XI_BITMAP_WORD
#define ECN_MASK 3U

enum ecn { NOT_ECT, ECT1, ECT0, CE };

/* A fragment as parsed. Offsets count in the payload of the whole packet. */
struct fragment {
	struct xi_partial_key key;
	const uint8_t *hdr;
	const uint8_t *payload;
	uint32_t hdr_len; /* in front of the whole packet too, if this is the first */
	uint32_t start;
	uint32_t end;
	uint32_t next_at; /* IPv6: the byte that names the fragment header, */
	uint8_t next;	  /* and what it shall name */
	uint8_t ecn;
	bool more;
};

/* Bits from to to - 1 as far as they are in this word. */
static uint64_t bits_mask(uint32_t word, uint32_t from, uint32_t to)
{
	uint32_t base = word * WORD;
	uint64_t mask = ~0ULL;

	if (from > base)
		mask <<= from - base;
	if (to < base + WORD)
		mask &= ~0ULL >> (base + WORD - to);
	return mask;
}

static bool bits_any(const uint64_t *bits, uint32_t from, uint32_t to)
{
	for (uint32_t w = from / WORD; w * WORD < to; w++)
		if (bits[w] & bits_mask(w, from, to))
			return true;
	return false;
}

static bool bits_all(const uint64_t *bits, uint32_t from, uint32_t to)
{
	for (uint32_t w = from / WORD; w * WORD < to; w++)
		if (~bits[w] & bits_mask(w, from, to))
			return false;
	return true;
}

static void bits_set(uint64_t *bits, uint32_t from, uint32_t to)
{
	for (uint32_t w = from / WORD; w * WORD < to; w++)
		bits[w] |= bits_mask(w, from, to);
}

/* The same place and the same bytes as one that is held (RFC 8200 section 4.5). Its units are
 * there. */
static bool fragment_repeats(const struct xi_reassembly *r, const struct xi_partial *p,
			     const struct fragment *f)
{
	uint32_t from = f->start / UNIT, to = (f->end + UNIT - 1) / UNIT, len;

	if (!bits_any(p->starts, from, from + 1) || bits_any(p->starts, from + 1, to))
		return false;
	if (f->end < p->end && bits_any(p->have, to, to + 1) && !bits_any(p->starts, to, to + 1))
		return false;
	for (uint32_t at = f->start; at < f->end; at += len) {
		const uint8_t *held = xi_partial_span(r, p, at, f->end, &len);

		if (memcmp(held, f->payload + (at - f->start), len))
			return false;
	}
	return true;
}

/* The end of the packet is where its last fragment ends, and all others end before. */
static bool fragment_contradicts(const struct xi_partial *p, const struct fragment *f)
{
	if (f->more)
		return p->last && f->end >= p->end;
	return p->last ? f->end != p->end : f->end <= p->end;
}

static bool ecn_mixed(uint8_t seen)
{
	return (seen & 1U << CE) && (seen & 1U << NOT_ECT);
}

static void packet_store(struct xi_reassembly *r, struct xi_partial *p, const struct fragment *f)
{
	uint32_t from = f->start / UNIT, to = (f->end + UNIT - 1) / UNIT, len;

	xi_partial_take_pages(r, p, f->start, f->end);
	for (uint32_t at = f->start; at < f->end; at += len) {
		uint8_t *place = xi_partial_span(r, p, at, f->end, &len);

		memcpy(place, f->payload + (at - f->start), len);
	}
	bits_set(p->have, from, to);
	bits_set(p->starts, from, from + 1);
	p->got += f->end - f->start;
	p->last |= !f->more;
	if (f->end > p->end)
		p->end = f->end;
	if (f->start)
		return;
	memcpy(p->hdr, f->hdr, f->hdr_len);
	p->hdr_len = f->hdr_len;
	p->ecn = f->ecn;
	p->next_at = f->next_at;
	if (p->hdr[0] >> 4 == 6)
		p->hdr[f->next_at] = f->next;
}

/*
 * RFC 3168 section 5.3: CE if any fragment has it. ECT and not-ECT together, of which it says
 * nothing, make not-ECT: a router must not be told that its mark will be heeded when a part of the
 * packet said otherwise.
 */
static uint8_t ecn_whole(const struct xi_partial *p)
{
	if (p->ecn_seen & 1U << CE)
		return CE;
	return p->ecn_seen & 1U << NOT_ECT ? NOT_ECT : p->ecn;
}

static void header_whole(uint8_t *ip, const struct xi_partial *p)
{
	uint8_t ecn = ecn_whole(p);

	memcpy(ip, p->hdr, p->hdr_len);
	if (ip[0] >> 4 == 6) {
		ip[1] = (uint8_t)((ip[1] & ~(ECN_MASK << 4)) | ecn << 4);
		xi_put16(ip + 4, (uint16_t)(p->hdr_len - sizeof(struct ip6_hdr) + p->end));
		return;
	}
	ip[1] = (uint8_t)((ip[1] & ~ECN_MASK) | ecn);
	xi_put16(ip + 2, (uint16_t)(p->hdr_len + p->end));
	xi_put16(ip + 6, 0);
	xi_put16(ip + 10, 0);
	xi_put16(ip + 10, xi_ip4_checksum(ip));
}

static void whole_set(struct xi_pkt *whole, uint32_t len)
{
	whole->tailroom = whole->len + whole->tailroom - len;
	whole->len = len;
}

static enum xi_reason packet_finish(struct xi_reassembly *r, struct xi_partial *p,
				    struct xi_pkt *whole)
{
	uint32_t total = p->hdr_len + p->end, len;
	uint32_t base = p->hdr[0] >> 4 == 6 ? sizeof(struct ip6_hdr) : 0;

	if (total - base > IP_MAXPACKET)
		return xi_partial_discard(r, p, XI_DROP_FRAGMENT_BAD);
	if (total > r->limits.packet_len || total > whole->len + whole->tailroom)
		return xi_partial_discard(r, p, XI_DROP_TOO_BIG);
	header_whole(whole->data, p);
	for (uint32_t at = 0; at < p->end; at += len) {
		const uint8_t *held = xi_partial_span(r, p, at, p->end, &len);

		memcpy(whole->data + p->hdr_len + at, held, len);
	}
	whole_set(whole, total);
	xi_partial_end(r, p);
	xi_reassembly_count(r, XI_REASSEMBLED, 1);
	return XI_REASSEMBLED;
}

static enum xi_reason fragment_drop(struct xi_reassembly *r, enum xi_reason why)
{
	xi_reassembly_count(r, why, 1);
	return why;
}

/* Nothing else of the packet is needed. pkt and whole may be the same memory. */
static enum xi_reason fragment_whole(struct xi_reassembly *r, const struct fragment *f,
				     struct xi_pkt *whole)
{
	uint32_t total = f->hdr_len + f->end;

	if (total > r->limits.packet_len || total > whole->len + whole->tailroom)
		return fragment_drop(r, XI_DROP_TOO_BIG);
	memmove(whole->data, f->hdr, f->hdr_len);
	memmove(whole->data + f->hdr_len, f->payload, f->end);
	if (whole->data[0] >> 4 == 6) {
		whole->data[f->next_at] = f->next;
		xi_put16(whole->data + 4, (uint16_t)(total - sizeof(struct ip6_hdr)));
	}
	whole_set(whole, total);
	xi_reassembly_count(r, XI_REASSEMBLED, 1);
	return XI_REASSEMBLED;
}

static enum xi_reason parse_v4(struct fragment *f, const uint8_t *ip, uint32_t len)
{
	uint16_t frag_off = xi_get16(ip + 6);

	if (!xi_ip4_sound(ip))
		return XI_DROP_FRAGMENT_BAD;
	f->hdr_len = (ip[0] & 0xfU) * 4;
	f->payload = ip + f->hdr_len;
	f->start = (frag_off & IP_OFFMASK) * UNIT;
	f->end = f->start + len - f->hdr_len;
	f->more = frag_off & IP_MF;
	if (f->hdr_len + f->end > IP_MAXPACKET)
		return XI_DROP_FRAGMENT_BAD;
	memcpy(f->key.src, ip + 12, 4);
	memcpy(f->key.dst, ip + 16, 4);
	f->key.id = xi_get16(ip + 4);
	f->key.kind = 4 << 8 | ip[9];
	return XI_NONE;
}

/* Steps over the headers in front of the fragment header, those of RFC 8200 section 4.5. False: cut
 * short. */
static bool find_fragment_header(struct fragment *f, const uint8_t *ip, uint32_t len)
{
	uint32_t at = sizeof(struct ip6_hdr);

	f->next_at = 6;
	f->next = ip[6];
	while (f->next == IPPROTO_HOPOPTS || f->next == IPPROTO_DSTOPTS ||
	       f->next == IPPROTO_ROUTING) {
		if (at + 2 > len)
			return false;
		f->next_at = at;
		f->next = ip[at];
		at += (ip[at + 1] + 1U) * 8;
	}
	f->hdr_len = at;
	return at <= len;
}

static enum xi_reason parse_v6(struct fragment *f, const uint8_t *ip, uint32_t len)
{
	const uint8_t *frag;

	if (!find_fragment_header(f, ip, len))
		return XI_DROP_FRAGMENT_BAD;
	f->payload = frag = ip + f->hdr_len;
	f->end = len - f->hdr_len;
	if (f->next != IPPROTO_FRAGMENT)
		return XI_NONE;
	if (f->end < sizeof(struct ip6_frag) || f->hdr_len > XI_REASSEMBLY_HDR_MAX)
		return XI_DROP_FRAGMENT_BAD;
	f->payload += sizeof(struct ip6_frag);
	f->next = frag[0];
	f->start = xi_get16(frag + 2) & ~(UNIT - 1);
	f->more = frag[3] & 1;
	f->end = f->start + f->end - (uint32_t)sizeof(struct ip6_frag);
	if (f->hdr_len - sizeof(struct ip6_hdr) + f->end > IP_MAXPACKET)
		return XI_DROP_FRAGMENT_BAD;
	if (!f->start && f->more && xi_ipv6_chain_len(f->next, f->payload, f->end) < 0)
		return XI_DROP_FRAGMENT_BAD;
	memcpy(f->key.src, ip + 8, 32);
	f->key.id = xi_get32(frag + 4);
	f->key.kind = 6 << 8;
	return XI_NONE;
}

static enum xi_reason parse(struct fragment *f, const struct xi_pkt *pkt)
{
	enum xi_reason why;
	uint8_t version;
	uint32_t len;

	memset(f, 0, sizeof(*f));
	if (!xi_tunnel_measure(pkt->data, pkt->len, &version, &len))
		return XI_DROP_FRAGMENT_BAD;
	f->hdr = pkt->data;
	f->ecn = xi_tunnel_tos(pkt->data) & ECN_MASK;
	why = version == 4 ? parse_v4(f, pkt->data, len) : parse_v6(f, pkt->data, len);
	if (why || (!f->start && !f->more))
		return why;
	if (f->start == f->end || (f->more && f->end % UNIT))
		return XI_DROP_FRAGMENT_BAD;
	return XI_NONE;
}

/* XI_NONE, or why the packet cannot become whole any more. */
static enum xi_reason fragment_judge(const struct xi_reassembly *r, const struct xi_partial *p,
				     const struct fragment *f)
{
	uint32_t hdr_len = p->hdr_len ? p->hdr_len : f->hdr_len;

	if (hdr_len + f->end > r->limits.packet_len)
		return XI_DROP_TOO_BIG;
	if (fragment_contradicts(p, f) || ecn_mixed(p->ecn_seen | 1U << f->ecn))
		return XI_DROP_FRAGMENT_BAD;
	if (bits_any(p->have, f->start / UNIT, (f->end + UNIT - 1) / UNIT))
		return XI_DROP_FRAGMENT_OVERLAP;
	return XI_NONE;
}

enum xi_reason xi_reassembly_add(struct xi_reassembly *r, uint64_t now_ms, const struct xi_pkt *pkt,
				 struct xi_pkt *whole)
{
	struct fragment f;
	struct xi_partial *p;
	enum xi_reason why;

	xi_reassembly_expire(r, now_ms);
	why = parse(&f, pkt);
	if (why)
		return fragment_drop(r, why);
	if (!f.start && !f.more)
		return fragment_whole(r, &f, whole);
	p = xi_partial_find(r, &f.key);
	if (!p)
		p = xi_partial_begin(r, &f.key, now_ms);
	if (p->dead)
		return fragment_drop(r, p->dead);
	why = fragment_judge(r, p, &f);
	if (why == XI_DROP_FRAGMENT_OVERLAP &&
	    bits_all(p->have, f.start / UNIT, (f.end + UNIT - 1) / UNIT) &&
	    fragment_repeats(r, p, &f))
		return fragment_drop(r, why);
	p->fragments++;
	r->use.fragments++;
	if (why)
		return xi_partial_discard(r, p, why);
	p->ecn_seen |= (uint8_t)(1U << f.ecn);
	packet_store(r, p, &f);
	if (p->last && p->got == p->end)
		return packet_finish(r, p, whole);
	return XI_NONE;
}
