// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reassembly: scapy's fragments in every order, and what makes a packet or a fragment bad. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipsec/bytes.h"
#include "ipsec/fragment.h"
#include "ipsec/reassemble.h"
#include "vectors.h"

#define PKT_MAX 9216
#define PIECES_MAX 400
#define TIMEOUT 1000
#define N(a) (sizeof(a) / sizeof((a)[0]))

struct bed {
	struct xi_reassembly *r;
	uint64_t counts[XI_REASON_MAX];
	uint64_t now;
	uint8_t out[PKT_MAX];
	struct xi_pkt whole;
};

struct piece {
	uint8_t *bytes;
	uint32_t len;
};

static struct bed bed;
static uint8_t original[PKT_MAX];

static void bed_open(uint32_t packets, uint32_t bytes)
{
	struct xi_reassembly_limits limits = { packets, bytes, PKT_MAX, TIMEOUT };

	memset(&bed, 0, sizeof(bed));
	assert_int_equal(xi_reassembly_create(&bed.r, &limits, bed.counts), 0);
}

static int bed_setup(void **state)
{
	bed_open(256, 1 << 20);
	return 0;
}

static int bed_teardown(void **state)
{
	xi_reassembly_destroy(bed.r);
	return 0;
}

static uint64_t drops(void)
{
	return bed.counts[XI_DROP_FRAGMENT_BAD] + bed.counts[XI_DROP_FRAGMENT_OVERLAP] +
	       bed.counts[XI_DROP_FRAGMENT_TIMEOUT] + bed.counts[XI_DROP_FRAGMENT_FULL] +
	       bed.counts[XI_DROP_TOO_BIG];
}

static uint32_t held(void)
{
	return xi_reassembly_in_use(bed.r).fragments;
}

/* From memory of just this length, which is overwritten afterwards, as a frame given back is. */
static enum xi_reason add_bytes(const uint8_t *bytes, uint32_t len)
{
	uint64_t before = drops() + held();
	struct xi_pkt pkt = { .data = malloc(len ? len : 1), .len = len };
	enum xi_reason why;

	assert_non_null(pkt.data);
	memcpy(pkt.data, bytes, len);
	bed.whole = (struct xi_pkt){ .data = bed.out, .tailroom = sizeof(bed.out) };
	why = xi_reassembly_add(bed.r, bed.now, &pkt, &bed.whole);
	memset(pkt.data, 0xee, len);
	free(pkt.data);
	if (why != XI_REASSEMBLED) {
		assert_int_equal(drops() + held(), before + 1);
		assert_int_equal(bed.whole.len, 0);
	}
	return why;
}

static void expect_whole(const char *name, const uint8_t *want, uint32_t len)
{
	if (bed.whole.len != len || memcmp(bed.whole.data, want, len))
		fail_msg("%s: %u bytes, other than the %u wanted", name, bed.whole.len, len);
	assert_int_equal(bed.whole.tailroom, sizeof(bed.out) - len);
}

static void expect_empty(void)
{
	struct xi_reassembly_use use = xi_reassembly_in_use(bed.r);

	assert_int_equal(use.packets, 0);
	assert_int_equal(use.fragments, 0);
	assert_int_equal(use.bytes, 0);
}

/* A fragment of bytes start to start + len - 1 of a payload that all fragments of a seed share. */
struct spec {
	uint32_t start;
	uint32_t len;
	bool more;
	uint8_t ecn;
	uint32_t id;
	uint8_t host;                /* of the sender */
	uint8_t proto;
	uint8_t salt;                /* other bytes of payload */
};

/* A fragment that others follow, and one that none does. */
#define MORE(s, l, ...) ((struct spec){ .start = s, .len = l, .more = true, ##__VA_ARGS__ })
#define LAST(s, l, ...) ((struct spec){ .start = s, .len = l, ##__VA_ARGS__ })

static uint8_t payload_byte(uint32_t at, uint8_t salt)
{
	return (uint8_t)(at * 7 + (at >> 8) * 13 + salt);
}

static uint32_t spec_v4(uint8_t *p, const struct spec *s)
{
	static const uint8_t hdr[20] = { 0x45, 0xb8, 0, 0, 0, 0, 0, 0, 61, 50, 0, 0,
					 192, 0, 2, 0, 198, 51, 100, 7 };

	memcpy(p, hdr, sizeof(hdr));
	p[1] |= s->ecn;
	xi_put16(p + 2, (uint16_t)(20 + s->len));
	xi_put16(p + 4, (uint16_t)s->id);
	xi_put16(p + 6, (uint16_t)(s->start / 8 | (s->more ? IP_MF : 0)));
	if (s->proto)
		p[9] = s->proto;
	p[15] = s->host;
	xi_put16(p + 10, xi_ipv4_checksum(p));
	for (uint32_t i = 0; i < s->len; i++)
		p[20 + i] = payload_byte(s->start + i, s->salt);
	return 20 + s->len;
}

static uint32_t spec_v6(uint8_t *p, const struct spec *s)
{
	memset(p, 0, 48);
	p[0] = 0x6b;
	p[1] = (uint8_t)(0x81 | s->ecn << 4);
	xi_put16(p + 4, (uint16_t)(8 + s->len));
	p[6] = IPPROTO_FRAGMENT;
	p[7] = 61;
	p[8] = p[24] = 0x20;
	p[15] = s->host;
	p[39] = 7;
	p[40] = s->proto ? s->proto : IPPROTO_ESP;
	xi_put16(p + 42, (uint16_t)(s->start | s->more));
	xi_put32(p + 44, s->id);
	for (uint32_t i = 0; i < s->len; i++)
		p[48 + i] = payload_byte(s->start + i, s->salt);
	return 48 + s->len;
}

static bool use_v6;

static enum xi_reason add(struct spec s)
{
	static uint8_t p[PKT_MAX + 100];

	return add_bytes(p, use_v6 ? spec_v6(p, &s) : spec_v4(p, &s));
}

/* What a spec's packet of len bytes of payload must be once whole. */
static void expect_spec_whole(uint32_t len, uint8_t ecn, uint32_t id)
{
	static uint8_t want[PKT_MAX];
	struct spec s = { .len = len, .ecn = ecn, .id = id };

	if (!use_v6) {
		expect_whole("IPv4", want, spec_v4(want, &s));
		return;
	}
	spec_v6(want, &s);
	memmove(want + 40, want + 48, len);
	xi_put16(want + 4, (uint16_t)len);
	want[6] = IPPROTO_ESP;
	expect_whole("IPv6", want, 40 + len);
}

static void in_both_families(void (*test)(void))
{
	for (use_v6 = false;; use_v6 = true) {
		bed_open(256, 1 << 20);
		test();
		xi_reassembly_destroy(bed.r);
		bed.r = NULL;
		if (use_v6)
			return;
	}
}

#define BOTH(name, body) \
	static void name(void **state) \
	{ \
		in_both_families(body); \
	}

static struct piece *load_pieces(const json_t *v, size_t *n)
{
	json_t *pieces = json_object_get(v, "pieces"), *piece;
	struct piece *out;
	size_t i;

	*n = json_array_size(pieces);
	out = calloc(*n, sizeof(*out));
	assert_non_null(out);
	json_array_foreach (pieces, i, piece) {
		out[i].bytes = malloc(PKT_MAX);
		assert_non_null(out[i].bytes);
		out[i].len = (uint32_t)vec_unhex(json_string_value(piece), out[i].bytes, PKT_MAX);
	}
	return out;
}

static void free_pieces(struct piece *pieces, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(pieces[i].bytes);
	free(pieces);
}

static void add_in_order(const char *name, const struct piece *pieces, const unsigned int *order,
			 size_t n, uint32_t len)
{
	for (size_t i = 0; i < n; i++) {
		const struct piece *p = &pieces[order[i]];

		assert_int_equal(add_bytes(p->bytes, p->len),
				 i == n - 1 ? XI_REASSEMBLED : XI_NONE);
	}
	expect_whole(name, original, len);
}

/* Heap's algorithm. */
static unsigned int every_order(const char *name, const struct piece *pieces, unsigned int *order,
				size_t n, size_t k, uint32_t len)
{
	unsigned int done = 0;

	if (k == 1) {
		add_in_order(name, pieces, order, n, len);
		return 1;
	}
	for (size_t i = 0; i < k; i++) {
		size_t j = k % 2 ? 0 : i;
		unsigned int swap;

		done += every_order(name, pieces, order, n, k - 1, len);
		swap = order[j];
		order[j] = order[k - 1];
		order[k - 1] = swap;
	}
	return done;
}

static void scapy_fragments_become_whole_in_every_order(void **state)
{
	json_t *root = vec_load("fragments.json"), *v;
	unsigned int order[16], orders = 0;
	size_t i, n;

	json_array_foreach (json_object_get(root, "vectors"), i, v) {
		struct piece *pieces = load_pieces(v, &n);
		uint32_t len = (uint32_t)vec_hex(v, "whole", original, sizeof(original));

		for (unsigned int j = 0; j < n; j++)
			order[j] = j;
		/* two of them are cut from fragments, and become none but these */
		if (!strstr(vec_str(v, "name"), "-fragment-again"))
			orders += every_order(vec_str(v, "name"), pieces, order, n, n, len);
		free_pieces(pieces, n);
	}
	assert_int_equal(i, 21);
	assert_int_equal(orders, 10 * 2 + 3 * 6 + 3 * 24 + 120 + 2 * 5040);
	assert_int_equal(bed.counts[XI_REASSEMBLED], orders);
	assert_int_equal(drops(), 0);
	expect_empty();
	json_decref(root);
}

static struct xi_pkt random_packet(uint32_t payload, bool v6)
{
	uint32_t hdr = v6 ? 40 : 20;

	for (uint32_t i = 0; i < payload; i++)
		original[hdr + i] = (uint8_t)rand();
	memset(original, 0, hdr);
	original[0] = v6 ? 0x60 : 0x45;
	original[6] = v6 ? IPPROTO_ESP : 0;
	original[v6 ? 7 : 9] = 50;
	xi_put16(original + (v6 ? 4 : 2), (uint16_t)(v6 ? payload : payload + hdr));
	if (!v6) {
		xi_put16(original + 4, (uint16_t)rand());
		xi_put16(original + 10, xi_ipv4_checksum(original));
	}
	return (struct xi_pkt){ .data = original, .len = hdr + payload };
}

/* Cuts, shuffles, repeats one of them, puts together. */
static void shuffled_packet(uint32_t payload, bool v6)
{
	static uint8_t bytes[PIECES_MAX][PKT_MAX];
	struct xi_pkt pkt = random_packet(payload, v6);
	uint32_t least = (v6 ? 48 : 20) + payload / (PIECES_MAX - 20) + 16;
	uint32_t mtu = least + (pkt.len > least ? (uint32_t)rand() % (pkt.len - least) : 0);
	uint32_t lens[PIECES_MAX], id = (uint32_t)rand(), repeats = 0;
	struct xi_fragments plan;
	int n = xi_fragment_plan(&plan, &pkt, mtu, &id);

	assert_in_range(n, 1, PIECES_MAX);
	for (int i = 0; i < n; i++)
		lens[i] = xi_fragment_write(&plan, (uint32_t)i, bytes[i], PKT_MAX);
	for (int left = n; left > 0; left--) {
		int i = rand() % left;

		assert_int_equal(add_bytes(bytes[i], lens[i]), left > 1 ? XI_NONE : XI_REASSEMBLED);
		if (left > 1 && rand() % 4 == 0) {
			assert_int_equal(add_bytes(bytes[i], lens[i]), XI_DROP_FRAGMENT_OVERLAP);
			repeats++;
		}
		memcpy(bytes[i], bytes[left - 1], lens[left - 1]);
		lens[i] = lens[left - 1];
	}
	expect_whole("shuffled", original, pkt.len);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_OVERLAP], repeats);
	bed.counts[XI_DROP_FRAGMENT_OVERLAP] = 0;
	expect_empty();
}

static void cut_shuffled_and_put_together_is_the_same(void **state)
{
	for (uint32_t payload = 0; payload <= 9000; payload += payload < 300 ? 1 : 29) {
		shuffled_packet(payload, false);
		shuffled_packet(payload, true);
	}
}

static void overlap_discards_the_packet(void)
{
	/* what arrives, after 0-63 and 128-191 are held */
	static const struct spec cases[] = {
		MORE(56, 16),
		MORE(0, 8),
		MORE(0, 56),
		MORE(8, 56),
		MORE(0, 72),
		MORE(64, 72),
		MORE(64, 128),
		LAST(64, 129),
		MORE(0, 192),
		LAST(184, 16),
		MORE(0, 64, .salt = 1),
		MORE(128, 64, .salt = 1),
	};

	for (unsigned int i = 0; i < N(cases); i++) {
		struct spec s = cases[i];

		s.id = i;
		assert_int_equal(add(MORE(0, 64, .id = i)), XI_NONE);
		assert_int_equal(add(MORE(128, 64, .id = i)), XI_NONE);
		if (add(s) != XI_DROP_FRAGMENT_OVERLAP)
			fail_msg("case %u is no overlap", i);
		assert_int_equal(bed.counts[XI_DROP_FRAGMENT_OVERLAP], 3 * (i + 1));
		assert_int_equal(held(), 0);
		assert_int_equal(xi_reassembly_in_use(bed.r).bytes, 0);
	}
}
BOTH(overlapping_fragments_discard_the_packet, overlap_discards_the_packet)

static void neighbours_do_not_overlap(void)
{
	assert_int_equal(add(MORE(504, 8)), XI_NONE);
	assert_int_equal(add(MORE(512, 8)), XI_NONE);
	assert_int_equal(add(MORE(1016, 16)), XI_NONE);
	assert_int_equal(add(MORE(0, 504)), XI_NONE);
	assert_int_equal(add(LAST(1032, 1)), XI_NONE);
	assert_int_equal(held(), 5);
	assert_int_equal(add(MORE(520, 496)), XI_REASSEMBLED);
	expect_spec_whole(1033, 0, 0);
	expect_empty();
}
BOTH(adjacent_fragments_do_not_overlap, neighbours_do_not_overlap)

static void repeat_is_dropped_alone(void)
{
	assert_int_equal(add(MORE(0, 64)), XI_NONE);
	assert_int_equal(add(MORE(0, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(add(LAST(128, 5)), XI_NONE);
	assert_int_equal(add(LAST(128, 5)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(held(), 2);
	assert_int_equal(add(MORE(64, 64)), XI_REASSEMBLED);
	expect_spec_whole(133, 0, 0);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_OVERLAP], 2);
}
BOTH(exact_repeat_is_dropped_alone, repeat_is_dropped_alone)

/* RFC 5722: of IPv6, "including those not yet received", until the time is over. */
static void rest_of_a_discarded_ipv6_packet_is_dropped(void **state)
{
	use_v6 = true;
	assert_int_equal(add(MORE(0, 64)), XI_NONE);
	assert_int_equal(add(MORE(56, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(add(MORE(0, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(add(LAST(64, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_OVERLAP], 4);
	bed.now = TIMEOUT;
	assert_int_equal(add(MORE(0, 64)), XI_NONE);
	assert_int_equal(add(LAST(64, 64)), XI_REASSEMBLED);
	expect_empty();
	assert_int_equal(drops(), 4);
}

static void discarded_ipv4_packet_leaves_its_id_free(void **state)
{
	use_v6 = false;
	assert_int_equal(add(MORE(0, 64)), XI_NONE);
	assert_int_equal(add(MORE(56, 64)), XI_DROP_FRAGMENT_OVERLAP);
	expect_empty();
	assert_int_equal(add(MORE(0, 64)), XI_NONE);
	assert_int_equal(add(LAST(64, 64)), XI_REASSEMBLED);
}

/* Each pair tells two ends of one packet. */
static void ends_contradict(void)
{
	static const struct spec cases[][2] = {
		{ LAST(64, 16), LAST(72, 16) },
		{ LAST(64, 16), LAST(64, 8) },
		{ LAST(64, 16), MORE(80, 8) },
		{ LAST(64, 16), MORE(0, 80) },
		{ LAST(64, 16), MORE(64, 16) },
		{ LAST(64, 15), MORE(72, 8) },
		{ MORE(64, 16), LAST(64, 16) },
		{ MORE(64, 16), LAST(32, 16) },
	};

	for (unsigned int i = 0; i < N(cases); i++) {
		struct spec a = cases[i][0], b = cases[i][1];

		a.id = b.id = i;
		assert_int_equal(add(a), XI_NONE);
		if (add(b) != XI_DROP_FRAGMENT_BAD)
			fail_msg("case %u is no contradiction", i);
		assert_int_equal(held(), 0);
		assert_int_equal(bed.counts[XI_DROP_FRAGMENT_BAD], 2 * (i + 1));
	}
}
BOTH(contradicting_ends_discard_the_packet, ends_contradict)

static void bad_alone(void)
{
	static const struct spec cases[] = {
		MORE(0, 0),                  /* empty */
		MORE(64, 0),
		LAST(64, 0),
		MORE(0, 63),                 /* no multiple of 8 */
		MORE(64, 1),
		MORE(65528, 8),              /* past 65535 */
		LAST(65528, 8),
		LAST(65000, 1000),
	};

	assert_int_equal(add(MORE(0, 64)), XI_NONE);
	for (unsigned int i = 0; i < N(cases); i++) {
		if (add(cases[i]) != XI_DROP_FRAGMENT_BAD)
			fail_msg("case %u is taken", i);
		assert_int_equal(bed.counts[XI_DROP_FRAGMENT_BAD], i + 1);
		assert_int_equal(held(), 1);
	}
	assert_int_equal(add(LAST(64, 64)), XI_REASSEMBLED);
}
BOTH(bad_fragments_are_dropped_alone, bad_alone)

static void cut_short(void)
{
	struct spec s = MORE(0, 16);
	uint8_t p[128];
	uint32_t len = use_v6 ? spec_v6(p, &s) : spec_v4(p, &s);

	for (uint32_t n = 0; n < len; n++)
		assert_int_equal(add_bytes(p, n), XI_DROP_FRAGMENT_BAD);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_BAD], len);
	assert_int_equal(add_bytes(p, len), XI_NONE);
	/* bytes behind the packet are not its own: Ethernet padding */
	s = LAST(16, 1);
	len = use_v6 ? spec_v6(p, &s) : spec_v4(p, &s);
	assert_int_equal(add_bytes(p, len + 20), XI_REASSEMBLED);
	expect_spec_whole(17, 0, 0);
}
BOTH(truncated_fragments_are_bad_and_padding_is_ignored, cut_short)

static void bad_ipv4_checksum_is_dropped(void **state)
{
	struct spec s = MORE(0, 16);
	uint8_t p[64];

	for (unsigned int bit = 32; bit < 160; bit++) {
		uint32_t len = spec_v4(p, &s);

		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(add_bytes(p, len), XI_DROP_FRAGMENT_BAD);
	}
	expect_empty();
}

/* RFC 7112: an IPv6 first fragment has every header. Next header, bytes of payload, bytes that decide. */
static void ipv6_first_fragment_has_the_whole_chain(void **state)
{
	static const struct {
		const char *what;
		uint8_t next, len;
		uint8_t bytes[16];
		enum xi_reason want;
	} cases[] = {
		{ "ESP", IPPROTO_ESP, 8, { 0 }, XI_NONE },
		{ "UDP", IPPROTO_UDP, 8, { 0 }, XI_NONE },
		{ "half of TCP", IPPROTO_TCP, 16, { 0 }, XI_DROP_FRAGMENT_BAD },
		{ "TCP", IPPROTO_TCP, 24, { 0 }, XI_NONE },
		{ "options alone", IPPROTO_DSTOPTS, 8, { IPPROTO_ESP, 0 }, XI_DROP_FRAGMENT_BAD },
		{ "half of the options", IPPROTO_DSTOPTS, 16, { IPPROTO_ESP, 2 },
		  XI_DROP_FRAGMENT_BAD },
		{ "options and ESP", IPPROTO_DSTOPTS, 16, { IPPROTO_ESP, 0 }, XI_NONE },
		{ "two options", IPPROTO_DSTOPTS, 16, { IPPROTO_DSTOPTS, 0, [8] = IPPROTO_ESP },
		  XI_DROP_FRAGMENT_BAD },
		{ "AH without what it covers", IPPROTO_AH, 24, { IPPROTO_UDP, 4 },
		  XI_DROP_FRAGMENT_BAD },
		{ "AH and UDP", IPPROTO_AH, 32, { IPPROTO_UDP, 4 }, XI_NONE },
		{ "another fragment header", IPPROTO_FRAGMENT, 16, { IPPROTO_ESP },
		  XI_DROP_FRAGMENT_BAD },
		{ "no next header", IPPROTO_NONE, 8, { 0 }, XI_NONE },
	};
	uint8_t p[128];

	for (unsigned int i = 0; i < N(cases); i++) {
		struct spec s = MORE(0, cases[i].len, .id = i, .proto = cases[i].next);
		uint32_t len = spec_v6(p, &s);

		memset(p + 48, 0, cases[i].len);
		memcpy(p + 48, cases[i].bytes, cases[i].len < 16 ? cases[i].len : 16);
		if (add_bytes(p, len) != cases[i].want)
			fail_msg("%s", cases[i].what);
	}
}

/* RFC 3168 section 5.3 and, for ECT with not-ECT, the header's comment. -1: the packet is dropped. */
static void ecn_is_combined(void)
{
	static const int8_t want[4][4] = {
		{ 0, 0, 0, -1 },
		{ 0, 1, 1, 3 },
		{ 0, 2, 2, 3 },
		{ -1, 3, 3, 3 },
	};

	for (uint8_t a = 0; a < 4; a++) {
		for (uint8_t b = 0; b < 4; b++) {
			uint32_t id = a * 4U + b;
			enum xi_reason why;

			/* a is of the first fragment, which comes first and last by turns */
			if (b % 2)
				add(LAST(64, 9, .ecn = b, .id = id));
			why = add(MORE(0, 64, .ecn = a, .id = id));
			if (!(b % 2))
				why = add(LAST(64, 9, .ecn = b, .id = id));
			if (want[a][b] < 0) {
				assert_int_equal(why, XI_DROP_FRAGMENT_BAD);
				continue;
			}
			assert_int_equal(why, XI_REASSEMBLED);
			expect_spec_whole(73, (uint8_t)want[a][b], id);
		}
	}
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_BAD], 4);
}
BOTH(ecn_of_fragments_is_combined, ecn_is_combined)

static void packets_are_apart(void)
{
	static const struct spec others[] = {
		LAST(64, 8, .id = 2),
		LAST(64, 8, .id = 1, .host = 1),
	};

	assert_int_equal(add(MORE(0, 64, .id = 1)), XI_NONE);
	for (unsigned int i = 0; i < N(others); i++)
		assert_int_equal(add(others[i]), XI_NONE);
	/* the protocol tells IPv4 packets apart (RFC 791), not those of IPv6 (RFC 8200) */
	assert_int_equal(add(LAST(64, 8, .id = 1, .proto = IPPROTO_UDP)),
			 use_v6 ? XI_REASSEMBLED : XI_NONE);
	if (use_v6)
		expect_spec_whole(72, 0, 1);
	assert_int_equal(bed.counts[XI_REASSEMBLED], use_v6);
}
BOTH(fragments_of_different_packets_are_not_mixed, packets_are_apart)

static void families_are_apart(void **state)
{
	static uint8_t a[128], b[128];
	struct spec first = MORE(0, 64, .id = 9), last = LAST(64, 8, .id = 9);

	assert_int_equal(add_bytes(a, spec_v4(a, &first)), XI_NONE);
	assert_int_equal(add_bytes(b, spec_v6(b, &last)), XI_NONE);
	assert_int_equal(held(), 2);
	assert_int_equal(add_bytes(b, spec_v6(b, &first)), XI_REASSEMBLED);
	assert_int_equal(add_bytes(a, spec_v4(a, &last)), XI_REASSEMBLED);
}

static void times_out(void)
{
	bed.now = 5000;
	assert_int_equal(add(MORE(0, 64, .id = 1)), XI_NONE);
	bed.now = 5500;
	assert_int_equal(add(MORE(128, 64, .id = 1)), XI_NONE);
	assert_int_equal(add(MORE(0, 64, .id = 2)), XI_NONE);
	assert_int_equal(xi_reassembly_expire(bed.r, 5999), 0);
	assert_int_equal(xi_reassembly_expire(bed.r, 6000), 2);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_TIMEOUT], 2);
	assert_int_equal(xi_reassembly_expire(bed.r, 6499), 0);
	/* a fragment that comes too late begins anew */
	bed.now = 6500;
	assert_int_equal(add(LAST(64, 64, .id = 2)), XI_NONE);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_TIMEOUT], 3);
	assert_int_equal(held(), 1);
	assert_int_equal(add(MORE(0, 64, .id = 2)), XI_REASSEMBLED);
	expect_empty();
}
BOTH(fragments_time_out, times_out)

static void atomic_is_whole_at_once(void)
{
	assert_int_equal(add(MORE(0, 64)), XI_NONE);
	/* RFC 6946: whatever else is held under this identification */
	assert_int_equal(add(LAST(0, 33)), XI_REASSEMBLED);
	expect_spec_whole(33, 0, 0);
	assert_int_equal(held(), 1);
	assert_int_equal(add(LAST(0, 0)), XI_REASSEMBLED);
	expect_spec_whole(0, 0, 0);
	assert_int_equal(add(LAST(64, 1)), XI_REASSEMBLED);
	expect_spec_whole(65, 0, 0);
	assert_int_equal(bed.counts[XI_REASSEMBLED], 3);
}
BOTH(atomic_fragments_are_whole_at_once, atomic_is_whole_at_once)

static void no_fragment_is_whole_at_once(void **state)
{
	uint32_t len = random_packet(100, false).len;

	assert_int_equal(add_bytes(original, len), XI_REASSEMBLED);
	expect_whole("IPv4", original, len);
	len = random_packet(100, true).len;
	assert_int_equal(add_bytes(original, len), XI_REASSEMBLED);
	expect_whole("IPv6", original, len);
}

/* The frame of the fragment that came last takes the packet. */
static void whole_may_take_the_place_of_the_fragment(void **state)
{
	for (unsigned int i = 0; i < 6; i++) {
		uint8_t frame[1024];
		struct xi_pkt pkt = { .data = frame + 64, .headroom = 64 };
		struct spec s = i >= 4 ? LAST(0, 500) : MORE(0, 64);

		use_v6 = i % 2;
		if (i < 4)
			add(i < 2 ? LAST(64, 436) : s);
		if (i == 2 || i == 3)
			s = LAST(64, 436);
		pkt.len = use_v6 ? spec_v6(pkt.data, &s) : spec_v4(pkt.data, &s);
		pkt.tailroom = sizeof(frame) - 64 - pkt.len;
		assert_int_equal(xi_reassembly_add(bed.r, 0, &pkt, &pkt), XI_REASSEMBLED);
		assert_ptr_equal(pkt.data, frame + 64);
		assert_int_equal(pkt.headroom, 64);
		assert_int_equal(pkt.len + pkt.tailroom, sizeof(frame) - 64);
		memcpy(bed.out, pkt.data, pkt.len);
		bed.whole = (struct xi_pkt){ bed.out, pkt.len, 0, sizeof(bed.out) - pkt.len };
		expect_spec_whole(500, 0, 0);
	}
}

static void too_big(void)
{
	uint32_t hdr = use_v6 ? 40 : 20, most = PKT_MAX - hdr;
	uint32_t start = most & ~7U, left = most - start;

	/* as long as may be, and one byte longer; the first fragment comes last */
	assert_int_equal(add((struct spec){ .start = start, .len = left ? left : 8, .more = !left, .id = 1 }),
			 left ? XI_NONE : XI_DROP_TOO_BIG);
	assert_int_equal(add(LAST(start, left + 1, .id = 2)), XI_DROP_TOO_BIG);
	assert_int_equal(add(MORE(0, 64, .id = 3)), XI_NONE);
	assert_int_equal(add(LAST(start, left + 1, .id = 3)), XI_DROP_TOO_BIG);
	assert_int_equal(bed.counts[XI_DROP_TOO_BIG], left ? 3 : 4);
	if (left) {
		assert_int_equal(add(MORE(0, start, .id = 1)), XI_REASSEMBLED);
		expect_spec_whole(most, 0, 1);
	}
}
BOTH(packets_above_the_limit_are_dropped, too_big)

/* Room of just the packet's length, and one byte less: nothing is written then. */
static void room_is_kept(void)
{
	uint32_t total = (use_v6 ? 40 : 20) + 100;

	for (uint32_t lack = 0; lack < 2; lack++) {
		for (unsigned int atomic = 0; atomic < 2; atomic++) {
			struct spec s = LAST(64, 36);
			uint8_t p[256], *room = malloc(total - lack);
			struct xi_pkt pkt = { .data = p };
			struct xi_pkt whole = { .data = room, .tailroom = total - lack };

			assert_non_null(room);
			memset(room, 0x5a, total - lack);
			if (atomic)
				s = LAST(0, 100);
			else
				add(MORE(0, 64));
			pkt.len = use_v6 ? spec_v6(p, &s) : spec_v4(p, &s);
			assert_int_equal(xi_reassembly_add(bed.r, 0, &pkt, &whole),
					 lack ? XI_DROP_TOO_BIG : XI_REASSEMBLED);
			assert_int_equal(whole.len, lack ? 0 : total);
			assert_true(!lack || room[0] == 0x5a);
			free(room);
		}
	}
	assert_int_equal(bed.counts[XI_DROP_TOO_BIG], 3);
	assert_int_equal(held(), 0);
}
BOTH(room_is_never_exceeded, room_is_kept)

/* 64 packets at most, 16 of one sender. */
static void the_oldest_packet_is_given_up(void **state)
{
	xi_reassembly_destroy(bed.r);
	bed_open(64, 64 * 1024);
	use_v6 = false;
	for (uint8_t host = 0; host < 64; host++)
		assert_int_equal(add(MORE(0, 8, .id = host, .host = host)),
				 XI_NONE);
	assert_int_equal(drops(), 0);
	assert_int_equal(add(MORE(8, 8, .id = 0, .host = 0)), XI_NONE);
	assert_int_equal(add(MORE(0, 8, .id = 99, .host = 99)), XI_NONE);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_FULL], 2);
	assert_int_equal(xi_reassembly_in_use(bed.r).packets, 64);
	for (uint8_t host = 1; host < 64; host++)
		assert_int_equal(add(LAST(8, 8, .id = host, .host = host)),
				 XI_REASSEMBLED);
}

/* False where the two senders have the same hash value, of 64. */
static bool share_is_kept(void)
{
	xi_reassembly_destroy(bed.r);
	bed_open(16, 64 * 1024);
	assert_int_equal(add(MORE(0, 8, .host = 7)), XI_NONE);
	for (uint32_t id = 0; id < 1000; id++)
		assert_int_equal(add(MORE(0, 8, .id = id, .host = 1)), XI_NONE);
	if (xi_reassembly_in_use(bed.r).packets == 4)
		return false;
	assert_int_equal(xi_reassembly_in_use(bed.r).packets, 5);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_FULL], 996);
	/* the last four of the one are there yet, and the other's */
	for (uint32_t id = 996; id < 1000; id++)
		assert_int_equal(add(LAST(8, 8, .id = id, .host = 1)),
				 XI_REASSEMBLED);
	assert_int_equal(add(LAST(8, 8, .host = 7)), XI_REASSEMBLED);
	return true;
}

/* Five instances of which each has the two at one value: once in 10^9. */
static void one_sender_gives_up_his_own(void)
{
	for (unsigned int i = 0; i < 5; i++)
		if (share_is_kept())
			return;
	fail_msg("two senders are always taken for one");
}
BOTH(a_sender_at_his_share_gives_up_his_own, one_sender_gives_up_his_own)

/* Bytes too: 64 pages, 16 of one sender. */
static void bytes_are_bounded(void)
{
	xi_reassembly_destroy(bed.r);
	bed_open(256, 64 * XI_REASSEMBLY_PAGE);
	for (uint32_t i = 0; i < 1000; i++) {
		struct spec s = MORE((i % 9) * 1024 + 8, 8, .id = i / 9, .host = (uint8_t)i);

		assert_int_equal(add(s), XI_NONE);
		assert_true(xi_reassembly_in_use(bed.r).bytes <= 64 * XI_REASSEMBLY_PAGE);
	}
	assert_true(bed.counts[XI_DROP_FRAGMENT_FULL] > 0);
	/* a packet of the greatest size still finds its place */
	for (uint32_t at = 0; at < 9000; at += 1000)
		assert_int_equal(add((struct spec){ .start = at, .len = 1000, .more = at < 8000,
						   .id = 7777, .host = 3 }),
				 at < 8000 ? XI_NONE : XI_REASSEMBLED);
}
BOTH(held_bytes_are_bounded, bytes_are_bounded)

static void bytes_of_one_sender_are_bounded(void **state)
{
	xi_reassembly_destroy(bed.r);
	bed_open(256, 64 * XI_REASSEMBLY_PAGE);
	use_v6 = false;
	for (uint32_t id = 0; id < 50; id++) {
		assert_int_equal(add(MORE(0, 5120, .id = id)), XI_NONE);
		assert_true(xi_reassembly_in_use(bed.r).bytes <= 16 * XI_REASSEMBLY_PAGE);
	}
	assert_int_equal(xi_reassembly_in_use(bed.r).packets, 3);
	assert_int_equal(bed.counts[XI_DROP_FRAGMENT_FULL], 47);
}

/* First fragments without end, from one address and from all: others' packets pass in between. */
static void flood_keeps_nobody_out(void)
{
	for (uint32_t i = 0; i < 20000; i++) {
		struct spec flood = MORE(0, 1024, .id = i, .host = use_v6 && i % 2 ? (uint8_t)i : 66);

		bed.now = i / 100;
		if (i % 10 == 0)
			assert_int_equal(add(MORE(0, 1400, .id = i)), XI_NONE);
		assert_int_equal(add(flood), XI_NONE);
		if (i % 10 == 5)
			assert_int_equal(add(LAST(1400, 100, .id = i - 5)),
					 XI_REASSEMBLED);
	}
	assert_int_equal(bed.counts[XI_REASSEMBLED], 2000);
	assert_true(xi_reassembly_in_use(bed.r).packets <= 256);
}
BOTH(a_flood_of_first_fragments_keeps_nobody_out, flood_keeps_nobody_out)

/* Whatever comes: every fragment is held, counted once, or part of a packet that became whole. */
static void every_fragment_is_accounted_for(void **state)
{
	uint64_t added = 0, in_wholes = 0, left;

	xi_reassembly_destroy(bed.r);
	bed_open(32, 40 * XI_REASSEMBLY_PAGE);
	for (unsigned int i = 0; i < 200000; i++) {
		struct spec s = {
			.start = (uint32_t)rand() % 4 * 512, .len = 512, .more = rand() % 4,
			.id = (uint32_t)rand() % 12, .host = (uint8_t)(rand() % 3),
			.ecn = rand() % 50 ? 0 : 3, .salt = rand() % 50 ? 0 : 1,
		};
		uint64_t before = drops() + held();

		use_v6 = rand() % 2;
		if (rand() % 100 == 0)
			s.len = (uint32_t)rand() % 2000;
		bed.now += (uint64_t)rand() % 20;
		added++;
		if (add(s) == XI_REASSEMBLED)
			in_wholes += before + 1 - drops() - held();
	}
	left = held();
	assert_int_equal(added, in_wholes + drops() + left);
	assert_int_equal(xi_reassembly_expire(bed.r, bed.now + TIMEOUT), left);
	expect_empty();
	assert_int_equal(added, in_wholes + drops());
	assert_true(bed.counts[XI_REASSEMBLED] > 1000);
	for (enum xi_reason why = XI_DROP_FRAGMENT_BAD; why <= XI_DROP_FRAGMENT_FULL; why++)
		assert_true(bed.counts[why] > 100);
}

static void limits_are_checked(void **state)
{
	static const struct xi_reassembly_limits bad[] = {
		{ 0, 65536, 4096, 1000 },
		{ 65537, 65536, 4096, 1000 },
		{ 16, 4095, 4096, 1000 },
		{ 16, 4096, 4097, 1000 },
		{ 16, 65536, 0, 1000 },
		{ 16, 1 << 20, 65576, 1000 },
		{ 16, 65536, 4096, 0 },
	};
	struct xi_reassembly *r = NULL;

	for (unsigned int i = 0; i < N(bad); i++)
		assert_int_equal(xi_reassembly_create(&r, &bad[i], bed.counts), -EINVAL);
	assert_null(r);
	xi_reassembly_destroy(r);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(scapy_fragments_become_whole_in_every_order),
		TEST(cut_shuffled_and_put_together_is_the_same),
		cmocka_unit_test(overlapping_fragments_discard_the_packet),
		cmocka_unit_test(adjacent_fragments_do_not_overlap),
		cmocka_unit_test(exact_repeat_is_dropped_alone),
		TEST(rest_of_a_discarded_ipv6_packet_is_dropped),
		TEST(discarded_ipv4_packet_leaves_its_id_free),
		cmocka_unit_test(contradicting_ends_discard_the_packet),
		cmocka_unit_test(bad_fragments_are_dropped_alone),
		cmocka_unit_test(truncated_fragments_are_bad_and_padding_is_ignored),
		TEST(bad_ipv4_checksum_is_dropped),
		TEST(ipv6_first_fragment_has_the_whole_chain),
		cmocka_unit_test(ecn_of_fragments_is_combined),
		cmocka_unit_test(fragments_of_different_packets_are_not_mixed),
		TEST(families_are_apart),
		cmocka_unit_test(fragments_time_out),
		cmocka_unit_test(atomic_fragments_are_whole_at_once),
		TEST(no_fragment_is_whole_at_once),
		TEST(whole_may_take_the_place_of_the_fragment),
		cmocka_unit_test(packets_above_the_limit_are_dropped),
		cmocka_unit_test(room_is_never_exceeded),
		TEST(the_oldest_packet_is_given_up),
		cmocka_unit_test(a_sender_at_his_share_gives_up_his_own),
		cmocka_unit_test(held_bytes_are_bounded),
		TEST(bytes_of_one_sender_are_bounded),
		cmocka_unit_test(a_flood_of_first_fragments_keeps_nobody_out),
		TEST(every_fragment_is_accounted_for),
		TEST(limits_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
