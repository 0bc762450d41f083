/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reassembly of IPv4 (RFC 791 section 3.2) and IPv6 (RFC 8200 section 4.5). Pure: bytes in, bytes
 * out. One instance a worker, no locks; all memory is taken at creation.
 *
 * Fragments are copied into memory of the instance and not linked in their frames: frames feed the
 * receive ring, which whoever sends fragments without end would otherwise drain. A packet's bytes
 * lie at their place in pages of its own, and one bit for each 8 bytes says what is there: an
 * overlap is found in time that depends on the fragment alone.
 *
 * Packets are found by a hash whose multipliers are random numbers of the instance (vector
 * multiply-shift: two keys chosen without knowledge of them collide once in as many times as there
 * are buckets), so that nobody can send packets that collide.
 *
 * When memory is full, the packet begun first is given up; a sender who holds his share (a quarter
 * of the packets or of the bytes; IPv6 senders count by /64) gives up his own. A flood thus ages
 * out packets that wait for long, and keeps none from being begun.
 */
#ifndef XI_REASSEMBLE_H
#define XI_REASSEMBLE_H

#include <stdint.h>

#include <xipsec/reasons.h>
#include "ipsec/packet.h"

/*
 * RFC 791 proposes 15 s, RFC 8200 section 4.5 60 s. Fragments of one packet arrive within
 * milliseconds of each other, and an IPv4 sender of 65536 packets a second uses its identifications
 * again after one (RFC 4963): what waits for longer meets fragments of another packet more likely
 * than its own.
 */
#define XI_REASSEMBLY_TIMEOUT_MS 1000

#define XI_REASSEMBLY_PAGE 1024U
#define XI_REASSEMBLY_HDR_MAX 256U /* IPv6 and extension headers before the fragment header */

struct xi_reassembly;

struct xi_reassembly_limits {
	uint32_t packets;    /* not yet whole, at most 65536 */
	uint32_t bytes;      /* of their payload, in whole pages; for one of packet_len at least */
	uint32_t packet_len; /* of a whole packet, IP header included */
	uint32_t timeout_ms; /* from the first fragment that arrived */
};

struct xi_reassembly_use {
	uint32_t packets; /* with those of which the rest is dropped as well (RFC 5722) */
	uint32_t fragments;
	uint32_t bytes;
};

/*
 * counts: indexed by enum xi_reason, of the same thread; counted there are fragments dropped, by
 * their reason, and packets that became whole, XI_REASSEMBLED. 0, -EINVAL (limits), -ENOMEM, or
 * what getrandom() says.
 */
int xi_reassembly_create(struct xi_reassembly **r, const struct xi_reassembly_limits *limits,
			 uint64_t *counts);
void xi_reassembly_destroy(struct xi_reassembly *r);

/*
 * Takes one fragment; its frame is the caller's again at once. now_ms: any monotonic clock. whole:
 * where a packet goes that becomes whole; the room is len + tailroom bytes at data. It may be pkt
 * itself, or elsewhere not above it in the same frame. Counts everything; XI_NONE: held;
 * XI_REASSEMBLED: *whole is the packet (a packet that is no fragment, or an atomic one (RFC 6946),
 * at once); else dropped for this reason, with what is held of its packet:
 *
 * XI_DROP_FRAGMENT_BAD: alone, when cut short, empty, not of a multiple of 8 bytes though not the
 * last, past 65535 bytes, or the first without the whole IPv6 header chain (RFC 7112). With the
 * rest, when it contradicts the end that another one told, or CE and not-ECT meet (RFC 3168
 * section 5.3).
 *
 * XI_DROP_FRAGMENT_OVERLAP: alone, when it repeats another one exactly; with the rest, when it
 * overlaps (RFC 5722).
 *
 * XI_DROP_TOO_BIG: with the rest, when the packet would be longer than packet_len or its room.
 *
 * Fragments of other packets may be dropped too: XI_DROP_FRAGMENT_TIMEOUT, XI_DROP_FRAGMENT_FULL.
 */
enum xi_reason xi_reassembly_add(struct xi_reassembly *r, uint64_t now_ms, const struct xi_pkt *pkt,
				 struct xi_pkt *whole);

/* Gives up packets that are timeout_ms old. How many fragments that dropped; they are counted. */
uint32_t xi_reassembly_expire(struct xi_reassembly *r, uint64_t now_ms);

struct xi_reassembly_use xi_reassembly_in_use(const struct xi_reassembly *r);

#endif
