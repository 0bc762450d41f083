// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reassembly: scapy's fragments in every order, and what makes a packet or a fragment bad. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "frag_bed.h"
#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/fragment.h"
#include "vectors.h"

#define PIECES_MAX 400
#define N(a) (sizeof(a) / sizeof((a)[0]))

struct piece {
	uint8_t *bytes;
	uint32_t len;
};

static uint8_t original[FRAG_PKT_MAX];

static struct piece *load_pieces(const json_t *v, size_t *n)
{
	json_t *pieces = json_object_get(v, "pieces"), *piece;
	struct piece *out;
	size_t i;

	*n = json_array_size(pieces);
	out = calloc(*n, sizeof(*out));
	assert_non_null(out);
	json_array_foreach (pieces, i, piece) {
		out[i].bytes = malloc(FRAG_PKT_MAX);
		assert_non_null(out[i].bytes);
		out[i].len =
			(uint32_t)vec_unhex(json_string_value(piece), out[i].bytes, FRAG_PKT_MAX);
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

		assert_int_equal(frag_add_bytes(p->bytes, p->len),
				 i == n - 1 ? XI_REASSEMBLED : XI_NONE);
	}
	frag_expect_whole(name, original, len);
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
	assert_int_equal(frag_bed.counts[XI_REASSEMBLED], orders);
	assert_int_equal(frag_drops(), 0);
	frag_expect_empty();
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
		xi_put16(original + 10, xi_ip4_checksum(original));
	}
	return (struct xi_pkt){.data = original, .len = hdr + payload};
}

/* Cuts, shuffles, repeats one of them, puts together. */
static void shuffled_packet(uint32_t payload, bool v6)
{
	static uint8_t bytes[PIECES_MAX][FRAG_PKT_MAX];
	struct xi_pkt pkt = random_packet(payload, v6);
	uint32_t least = (v6 ? 48 : 20) + payload / (PIECES_MAX - 20) + 16;
	uint32_t mtu = least + (pkt.len > least ? (uint32_t)rand() % (pkt.len - least) : 0);
	uint32_t lens[PIECES_MAX], id = (uint32_t)rand(), repeats = 0;
	struct xi_fragments plan;
	int n = xi_fragment_plan(&plan, &pkt, mtu, &id);

	assert_in_range(n, 1, PIECES_MAX);
	for (int i = 0; i < n; i++)
		lens[i] = xi_fragment_write(&plan, (uint32_t)i, bytes[i], FRAG_PKT_MAX);
	for (int left = n; left > 0; left--) {
		int i = rand() % left;

		assert_int_equal(frag_add_bytes(bytes[i], lens[i]),
				 left > 1 ? XI_NONE : XI_REASSEMBLED);
		if (left > 1 && rand() % 4 == 0) {
			assert_int_equal(frag_add_bytes(bytes[i], lens[i]),
					 XI_DROP_FRAGMENT_OVERLAP);
			repeats++;
		}
		memcpy(bytes[i], bytes[left - 1], lens[left - 1]);
		lens[i] = lens[left - 1];
	}
	frag_expect_whole("shuffled", original, pkt.len);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_OVERLAP], repeats);
	frag_bed.counts[XI_DROP_FRAGMENT_OVERLAP] = 0;
	frag_expect_empty();
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
	static const struct frag_spec cases[] = {
		FRAG_MORE(56, 16),
		FRAG_MORE(0, 8),
		FRAG_MORE(0, 56),
		FRAG_MORE(8, 56),
		FRAG_MORE(0, 72),
		FRAG_MORE(64, 72),
		FRAG_MORE(64, 128),
		FRAG_LAST(64, 129),
		FRAG_MORE(0, 192),
		FRAG_LAST(184, 16),
		FRAG_MORE(0, 64, .salt = 1),
		FRAG_MORE(128, 64, .salt = 1),
	};

	for (unsigned int i = 0; i < N(cases); i++) {
		struct frag_spec s = cases[i];

		s.id = i;
		assert_int_equal(frag_add(FRAG_MORE(0, 64, .id = i)), XI_NONE);
		assert_int_equal(frag_add(FRAG_MORE(128, 64, .id = i)), XI_NONE);
		if (frag_add(s) != XI_DROP_FRAGMENT_OVERLAP)
			fail_msg("case %u is no overlap", i);
		assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_OVERLAP], 3 * (i + 1));
		assert_int_equal(frag_held(), 0);
		assert_int_equal(xi_reassembly_in_use(frag_bed.r).bytes, 0);
	}
}
FRAG_BOTH(overlapping_fragments_discard_the_packet, overlap_discards_the_packet)

/* The bytes of two, in one: no exact repeat of any. */
static void two_in_one_overlap(void)
{
	assert_int_equal(frag_add(FRAG_MORE(0, 32)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(32, 32)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_OVERLAP], 3);
	assert_int_equal(frag_held(), 0);
}
FRAG_BOTH(two_fragments_in_one_overlap, two_in_one_overlap)

static void neighbours_do_not_overlap(void)
{
	assert_int_equal(frag_add(FRAG_MORE(504, 8)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(512, 8)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(1016, 16)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(0, 504)), XI_NONE);
	assert_int_equal(frag_add(FRAG_LAST(1032, 1)), XI_NONE);
	assert_int_equal(frag_held(), 5);
	assert_int_equal(frag_add(FRAG_MORE(520, 496)), XI_REASSEMBLED);
	frag_expect_spec(1033, 0, 0);
	frag_expect_empty();
}
FRAG_BOTH(adjacent_fragments_do_not_overlap, neighbours_do_not_overlap)

static void repeat_is_dropped_alone(void)
{
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(frag_add(FRAG_LAST(128, 5)), XI_NONE);
	assert_int_equal(frag_add(FRAG_LAST(128, 5)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(frag_held(), 2);
	assert_int_equal(frag_add(FRAG_MORE(64, 64)), XI_REASSEMBLED);
	frag_expect_spec(133, 0, 0);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_OVERLAP], 2);
}
FRAG_BOTH(exact_repeat_is_dropped_alone, repeat_is_dropped_alone)

/* RFC 5722: of IPv6, "including those not yet received", until the time is over. */
static void rest_of_a_discarded_ipv6_packet_is_dropped(void **state)
{
	frag_v6 = true;
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(56, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(frag_add(FRAG_LAST(64, 64)), XI_DROP_FRAGMENT_OVERLAP);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_OVERLAP], 4);
	frag_bed.now = FRAG_TIMEOUT;
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_NONE);
	assert_int_equal(frag_add(FRAG_LAST(64, 64)), XI_REASSEMBLED);
	frag_expect_empty();
	assert_int_equal(frag_drops(), 4);
}

static void discarded_ipv4_packet_leaves_its_id_free(void **state)
{
	frag_v6 = false;
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_NONE);
	assert_int_equal(frag_add(FRAG_MORE(56, 64)), XI_DROP_FRAGMENT_OVERLAP);
	frag_expect_empty();
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_NONE);
	assert_int_equal(frag_add(FRAG_LAST(64, 64)), XI_REASSEMBLED);
}

/* Each pair tells two ends of one packet. */
static void ends_contradict(void)
{
	static const struct frag_spec cases[][2] = {
		{FRAG_LAST(64, 16), FRAG_LAST(72, 16)}, {FRAG_LAST(64, 16), FRAG_LAST(64, 8)},
		{FRAG_LAST(64, 16), FRAG_MORE(80, 8)},	{FRAG_LAST(64, 16), FRAG_MORE(0, 80)},
		{FRAG_LAST(64, 16), FRAG_MORE(64, 16)}, {FRAG_LAST(64, 15), FRAG_MORE(72, 8)},
		{FRAG_MORE(64, 16), FRAG_LAST(64, 16)}, {FRAG_MORE(64, 16), FRAG_LAST(32, 16)},
	};

	for (unsigned int i = 0; i < N(cases); i++) {
		struct frag_spec a = cases[i][0], b = cases[i][1];

		a.id = b.id = i;
		assert_int_equal(frag_add(a), XI_NONE);
		if (frag_add(b) != XI_DROP_FRAGMENT_BAD)
			fail_msg("case %u is no contradiction", i);
		assert_int_equal(frag_held(), 0);
		assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_BAD], 2 * (i + 1));
	}
}
FRAG_BOTH(contradicting_ends_discard_the_packet, ends_contradict)

static void bad_alone(void)
{
	static const struct frag_spec cases[] = {
		/* empty */
		FRAG_MORE(0, 0),
		FRAG_MORE(64, 0),
		FRAG_LAST(64, 0),
		/* no multiple of 8 */
		FRAG_MORE(0, 63),
		FRAG_MORE(64, 1),
		/* past 65535 */
		FRAG_MORE(65528, 8),
		FRAG_LAST(65528, 8),
		FRAG_LAST(65000, 1000),
	};

	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_NONE);
	for (unsigned int i = 0; i < N(cases); i++) {
		if (frag_add(cases[i]) != XI_DROP_FRAGMENT_BAD)
			fail_msg("case %u is taken", i);
		assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_BAD], i + 1);
		assert_int_equal(frag_held(), 1);
	}
	assert_int_equal(frag_add(FRAG_LAST(64, 64)), XI_REASSEMBLED);
}
FRAG_BOTH(bad_fragments_are_dropped_alone, bad_alone)

static void cut_short(void)
{
	struct frag_spec s = FRAG_MORE(0, 16);
	uint8_t p[128];
	uint32_t len = frag_v6 ? frag_spec_v6(p, &s) : frag_spec_v4(p, &s);

	for (uint32_t n = 0; n < len; n++)
		assert_int_equal(frag_add_bytes(p, n), XI_DROP_FRAGMENT_BAD);
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_BAD], len);
	assert_int_equal(frag_add_bytes(p, len), XI_NONE);
	/* bytes behind the packet are not its own: Ethernet padding */
	s = FRAG_LAST(16, 1);
	len = frag_v6 ? frag_spec_v6(p, &s) : frag_spec_v4(p, &s);
	assert_int_equal(frag_add_bytes(p, len + 20), XI_REASSEMBLED);
	frag_expect_spec(17, 0, 0);
}
FRAG_BOTH(truncated_fragments_are_bad_and_padding_is_ignored, cut_short)

static void bad_ipv4_checksum_is_dropped(void **state)
{
	struct frag_spec s = FRAG_MORE(0, 16);
	uint8_t p[64];

	for (unsigned int bit = 32; bit < 160; bit++) {
		uint32_t len = frag_spec_v4(p, &s);

		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(frag_add_bytes(p, len), XI_DROP_FRAGMENT_BAD);
	}
	frag_expect_empty();
}

/* RFC 7112: an IPv6 first fragment has every header. Next header, bytes of payload, bytes that
 * decide. */
static void ipv6_first_fragment_has_the_whole_chain(void **state)
{
	static const struct {
		const char *what;
		uint8_t next, len;
		uint8_t bytes[16];
		enum xi_reason want;
	} cases[] = {
		{"ESP", IPPROTO_ESP, 8, {0}, XI_NONE},
		{"UDP", IPPROTO_UDP, 8, {0}, XI_NONE},
		{"half of TCP", IPPROTO_TCP, 16, {0}, XI_DROP_FRAGMENT_BAD},
		{"TCP", IPPROTO_TCP, 24, {0}, XI_NONE},
		{"options alone", IPPROTO_DSTOPTS, 8, {IPPROTO_ESP, 0}, XI_DROP_FRAGMENT_BAD},
		{"half of the options",
		 IPPROTO_DSTOPTS,
		 16,
		 {IPPROTO_ESP, 2},
		 XI_DROP_FRAGMENT_BAD},
		{"options and ESP", IPPROTO_DSTOPTS, 16, {IPPROTO_ESP, 0}, XI_NONE},
		{"two options",
		 IPPROTO_DSTOPTS,
		 16,
		 {IPPROTO_DSTOPTS, 0, [8] = IPPROTO_ESP},
		 XI_DROP_FRAGMENT_BAD},
		{"AH without what it covers",
		 IPPROTO_AH,
		 24,
		 {IPPROTO_UDP, 4},
		 XI_DROP_FRAGMENT_BAD},
		{"AH and UDP", IPPROTO_AH, 32, {IPPROTO_UDP, 4}, XI_NONE},
		{"another fragment header",
		 IPPROTO_FRAGMENT,
		 16,
		 {IPPROTO_ESP},
		 XI_DROP_FRAGMENT_BAD},
		{"no next header", IPPROTO_NONE, 8, {0}, XI_NONE},
	};
	uint8_t p[128];

	for (unsigned int i = 0; i < N(cases); i++) {
		struct frag_spec s = FRAG_MORE(0, cases[i].len, .id = i, .proto = cases[i].next);
		uint32_t len = frag_spec_v6(p, &s);

		memset(p + 48, 0, cases[i].len);
		memcpy(p + 48, cases[i].bytes, cases[i].len < 16 ? cases[i].len : 16);
		if (frag_add_bytes(p, len) != cases[i].want)
			fail_msg("%s", cases[i].what);
	}
}

/* RFC 3168 section 5.3 and, for ECT with not-ECT, the header's comment. -1: the packet is dropped.
 */
static void ecn_is_combined(void)
{
	static const int8_t want[4][4] = {
		{0, 0, 0, -1},
		{0, 1, 1, 3},
		{0, 2, 2, 3},
		{-1, 3, 3, 3},
	};

	for (uint8_t a = 0; a < 4; a++) {
		for (uint8_t b = 0; b < 4; b++) {
			uint32_t id = a * 4U + b;
			enum xi_reason why;

			/* a is of the first fragment, which comes first and last by turns */
			if (b % 2)
				frag_add(FRAG_LAST(64, 9, .ecn = b, .id = id));
			why = frag_add(FRAG_MORE(0, 64, .ecn = a, .id = id));
			if (!(b % 2))
				why = frag_add(FRAG_LAST(64, 9, .ecn = b, .id = id));
			if (want[a][b] < 0) {
				assert_int_equal(why, XI_DROP_FRAGMENT_BAD);
				continue;
			}
			assert_int_equal(why, XI_REASSEMBLED);
			frag_expect_spec(73, (uint8_t)want[a][b], id);
		}
	}
	assert_int_equal(frag_bed.counts[XI_DROP_FRAGMENT_BAD], 4);
}
FRAG_BOTH(ecn_of_fragments_is_combined, ecn_is_combined)

static void packets_are_apart(void)
{
	static const struct frag_spec others[] = {
		FRAG_LAST(64, 8, .id = 2),
		FRAG_LAST(64, 8, .id = 1, .host = 1),
	};

	assert_int_equal(frag_add(FRAG_MORE(0, 64, .id = 1)), XI_NONE);
	for (unsigned int i = 0; i < N(others); i++)
		assert_int_equal(frag_add(others[i]), XI_NONE);
	/* the protocol tells IPv4 packets apart (RFC 791), not those of IPv6 (RFC 8200) */
	assert_int_equal(frag_add(FRAG_LAST(64, 8, .id = 1, .proto = IPPROTO_UDP)),
			 frag_v6 ? XI_REASSEMBLED : XI_NONE);
	if (frag_v6)
		frag_expect_spec(72, 0, 1);
	assert_int_equal(frag_bed.counts[XI_REASSEMBLED], frag_v6);
}
FRAG_BOTH(fragments_of_different_packets_are_not_mixed, packets_are_apart)

static void families_are_apart(void **state)
{
	static uint8_t a[128], b[128];
	struct frag_spec first = FRAG_MORE(0, 64, .id = 9), last = FRAG_LAST(64, 8, .id = 9);

	assert_int_equal(frag_add_bytes(a, frag_spec_v4(a, &first)), XI_NONE);
	assert_int_equal(frag_add_bytes(b, frag_spec_v6(b, &last)), XI_NONE);
	assert_int_equal(frag_held(), 2);
	assert_int_equal(frag_add_bytes(b, frag_spec_v6(b, &first)), XI_REASSEMBLED);
	assert_int_equal(frag_add_bytes(a, frag_spec_v4(a, &last)), XI_REASSEMBLED);
}

static void atomic_is_whole_at_once(void)
{
	assert_int_equal(frag_add(FRAG_MORE(0, 64)), XI_NONE);
	/* RFC 6946: whatever else is held under this identification */
	assert_int_equal(frag_add(FRAG_LAST(0, 33)), XI_REASSEMBLED);
	frag_expect_spec(33, 0, 0);
	assert_int_equal(frag_held(), 1);
	assert_int_equal(frag_add(FRAG_LAST(0, 0)), XI_REASSEMBLED);
	frag_expect_spec(0, 0, 0);
	assert_int_equal(frag_add(FRAG_LAST(64, 1)), XI_REASSEMBLED);
	frag_expect_spec(65, 0, 0);
	assert_int_equal(frag_bed.counts[XI_REASSEMBLED], 3);
}
FRAG_BOTH(atomic_fragments_are_whole_at_once, atomic_is_whole_at_once)

static void no_fragment_is_whole_at_once(void **state)
{
	uint32_t len = random_packet(100, false).len;

	assert_int_equal(frag_add_bytes(original, len), XI_REASSEMBLED);
	frag_expect_whole("IPv4", original, len);
	len = random_packet(100, true).len;
	assert_int_equal(frag_add_bytes(original, len), XI_REASSEMBLED);
	frag_expect_whole("IPv6", original, len);
}

/* The frame of the fragment that came last takes the packet. */
static void whole_may_take_the_place_of_the_fragment(void **state)
{
	for (unsigned int i = 0; i < 6; i++) {
		uint8_t frame[1024];
		struct xi_pkt pkt = {.data = frame + 64, .headroom = 64};
		struct frag_spec s = i >= 4 ? FRAG_LAST(0, 500) : FRAG_MORE(0, 64);

		frag_v6 = i % 2;
		if (i < 4)
			frag_add(i < 2 ? FRAG_LAST(64, 436) : s);
		if (i == 2 || i == 3)
			s = FRAG_LAST(64, 436);
		pkt.len = frag_v6 ? frag_spec_v6(pkt.data, &s) : frag_spec_v4(pkt.data, &s);
		pkt.tailroom = sizeof(frame) - 64 - pkt.len;
		assert_int_equal(xi_reassembly_add(frag_bed.r, 0, &pkt, &pkt), XI_REASSEMBLED);
		assert_ptr_equal(pkt.data, frame + 64);
		assert_int_equal(pkt.headroom, 64);
		assert_int_equal(pkt.len + pkt.tailroom, sizeof(frame) - 64);
		memcpy(frag_bed.out, pkt.data, pkt.len);
		frag_bed.whole =
			(struct xi_pkt){frag_bed.out, pkt.len, 0, sizeof(frag_bed.out) - pkt.len};
		frag_expect_spec(500, 0, 0);
	}
}

/* Less than the limits allow: a frame where a long buffer was hoped for. */
static void packet_longer_than_its_room_is_dropped(void **state)
{
	for (unsigned int i = 0; i < 2; i++) {
		uint8_t frame[1024], behind[256];
		struct xi_pkt pkt = {.data = frame + 64, .headroom = 64, .tailroom = 10};
		struct frag_spec s = FRAG_LAST(64, 436);

		frag_v6 = i;
		frag_add(FRAG_MORE(0, 64));
		memset(frame, 0xa5, sizeof(frame));
		memset(behind, 0xa5, sizeof(behind));
		pkt.len = frag_v6 ? frag_spec_v6(pkt.data, &s) : frag_spec_v4(pkt.data, &s);
		assert_int_equal(xi_reassembly_add(frag_bed.r, 0, &pkt, &pkt), XI_DROP_TOO_BIG);
		assert_memory_equal(pkt.data + pkt.len + pkt.tailroom, behind, sizeof(behind));
		assert_int_equal(xi_reassembly_in_use(frag_bed.r).bytes, 0);
	}
	assert_int_equal(frag_bed.counts[XI_DROP_TOO_BIG], 4);
	frag_bed.counts[XI_DROP_TOO_BIG] = 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, frag_setup, frag_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(scapy_fragments_become_whole_in_every_order),
		TEST(cut_shuffled_and_put_together_is_the_same),
		cmocka_unit_test(overlapping_fragments_discard_the_packet),
		cmocka_unit_test(two_fragments_in_one_overlap),
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
		cmocka_unit_test(atomic_fragments_are_whole_at_once),
		TEST(no_fragment_is_whole_at_once),
		TEST(whole_may_take_the_place_of_the_fragment),
		TEST(packet_longer_than_its_room_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
