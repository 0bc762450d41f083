// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * libFuzzer target for fragments. The first byte chooses the limits and what the rest is: packets
 * as they come from the wire, each behind two bytes that say its length; or fragments described in
 * six bytes each, whose payload is a function of packet and place, so that what becomes whole is
 * known. Every whole packet is cut again and put together by a second instance.
 */
#include "fuzz.h"

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/fragment.h"
#include "ipsec/reassemble.h"
#include "ipsec/tunnel.h"

#define TIMEOUT 1000
#define LEN_MAX (65535 + 40)
#define SPEC_LEN 6
#define WIRE 0x80

struct bed {
	struct xi_reassembly *r;
	struct xi_reassembly_limits limits;
	uint64_t counts[XI_REASON_MAX];
	uint64_t now;
};

static void *take(size_t len)
{
	void *p = malloc(len ? len : 1);

	require(p);
	return p;
}

static void bed_open(struct bed *b, uint8_t choice)
{
	static const uint32_t lens[] = {128, 1500, 3840, LEN_MAX};
	uint32_t len = lens[choice & 3];

	memset(b, 0, sizeof(*b));
	b->limits = (struct xi_reassembly_limits){
		.packets = 1U << (choice >> 2 & 3),
		.packet_len = len,
		.timeout_ms = TIMEOUT,
		.bytes = (len + 1023) * (1 + (choice >> 4 & 3)),
	};
	require(!xi_reassembly_create(&b->r, &b->limits, b->counts));
}

static uint64_t settled(const struct bed *b)
{
	uint64_t n = b->counts[XI_DROP_TOO_BIG];

	for (enum xi_reason why = XI_DROP_FRAGMENT_BAD; why <= XI_DROP_FRAGMENT_FULL; why++)
		n += b->counts[why];
	return n + xi_reassembly_in_use(b->r).fragments;
}

/* Adds one fragment; whole has the room. */
static enum xi_reason bed_add(struct bed *b, const struct xi_pkt *pkt, struct xi_pkt *whole)
{
	uint32_t room = whole->len + whole->tailroom, before_len = whole->len;
	uint64_t before = settled(b);
	enum xi_reason why = xi_reassembly_add(b->r, b->now, pkt, whole);
	struct xi_reassembly_use use = xi_reassembly_in_use(b->r);

	require(use.bytes <= b->limits.bytes && use.packets <= b->limits.packets);
	require(why == XI_REASSEMBLED ? settled(b) <= before : settled(b) == before + 1);
	require(why == XI_REASSEMBLED ? whole->len <= b->limits.packet_len
				      : whole->len == before_len);
	require(whole->len + whole->tailroom == room);
	return why;
}

/* Pieces of a packet, last first, become the same packet. */
static void cut_and_mend(const uint8_t *ip, uint32_t len, uint8_t parts)
{
	struct xi_pkt pkt = {.data = (uint8_t *)ip, .len = len}, whole;
	uint32_t mtu = len / (1 + parts % 16), id = 1;
	struct xi_fragments plan;
	struct bed b;
	int n;

	if (mtu < 68)
		mtu = 68;
	n = xi_fragment_plan(&plan, &pkt, mtu, &id);
	if (n < 2 || plan.payload_at > XI_REASSEMBLY_HDR_MAX || plan.frag_off)
		return;
	bed_open(&b, 3);
	whole = (struct xi_pkt){.data = take(plan.len), .tailroom = plan.len};
	while (n-- > 0) {
		uint8_t *piece = take(mtu);
		struct xi_pkt p = {.data = piece};

		p.len = xi_fragment_write(&plan, (uint32_t)n, piece, mtu);
		require(p.len);
		require(bed_add(&b, &p, &whole) == (n ? XI_NONE : XI_REASSEMBLED));
		free(piece);
	}
	require(whole.len == plan.len && !memcmp(whole.data + 12, ip + 12, plan.len - 12));
	free(whole.data);
	xi_reassembly_destroy(b.r);
}

static uint8_t payload_byte(uint32_t id, uint32_t at)
{
	return (uint8_t)(id * 41 + at * 7 + (at >> 8) * 3);
}

/* Bytes: flags, place, place, length, length, ID. */
static struct xi_pkt spec_packet(const uint8_t *s)
{
	uint32_t start = xi_get16(s + 1) % 1200 * 8, len = xi_get16(s + 3) % 2048, id = s[5];
	bool v6 = s[0] & 1, more = s[0] & 2;
	uint32_t hdr = v6 ? 48 : 20;
	struct xi_pkt pkt = {.data = take(hdr + len), .len = hdr + len};

	memset(pkt.data, 0, hdr);
	pkt.data[0] = v6 ? 0x60 : 0x45;
	pkt.data[1] = (uint8_t)((s[0] >> 2 & 3) << (v6 ? 4 : 0));
	pkt.data[12] = id >> 6;
	xi_put16(pkt.data + (v6 ? 4 : 2), (uint16_t)(v6 ? 8 + len : 20 + len));
	if (v6) {
		pkt.data[6] = IPPROTO_FRAGMENT;
		pkt.data[40] = IPPROTO_ESP;
		xi_put16(pkt.data + 42, (uint16_t)(start | more));
		xi_put32(pkt.data + 44, id);
	} else {
		pkt.data[9] = IPPROTO_ESP;
		xi_put16(pkt.data + 4, (uint16_t)id);
		xi_put16(pkt.data + 6, (uint16_t)(start / 8 | (more ? IP_MF : 0)));
		xi_put16(pkt.data + 10, xi_ip4_checksum(pkt.data));
	}
	for (uint32_t i = 0; i < len; i++)
		pkt.data[hdr + i] = payload_byte(id, start + i);
	return pkt;
}

static void run_specs(struct bed *b, const uint8_t *data, size_t size)
{
	for (; size >= SPEC_LEN; data += SPEC_LEN, size -= SPEC_LEN) {
		uint32_t room = data[0] & 0x10 ? 600 : b->limits.packet_len;
		struct xi_pkt whole = {.data = take(room), .tailroom = room};
		struct xi_pkt pkt = spec_packet(data);

		b->now += data[0] >> 5;
		if (bed_add(b, &pkt, &whole) == XI_REASSEMBLED) {
			uint32_t hdr = data[0] & 1 ? 40 : 20;

			require(whole.data[hdr == 40 ? 6 : 9] == IPPROTO_ESP);
			for (uint32_t i = hdr; i < whole.len; i++)
				require(whole.data[i] == payload_byte(data[5], i - hdr));
			cut_and_mend(whole.data, whole.len, data[4]);
		}
		free(pkt.data);
		free(whole.data);
	}
}

/* So that what is behind the checksum of an IPv4 header is reached. */
static void mend_checksum(struct xi_pkt *pkt)
{
	if (pkt->len < 60 || pkt->data[0] >> 4 != 4)
		return;
	xi_put16(pkt->data + 10, 0);
	xi_put16(pkt->data + 10, xi_ip4_checksum(pkt->data));
}

/* The second byte of each: whole in the place of the fragment, checksum mended, parts, time. */
static void run_wire(struct bed *b, const uint8_t *data, size_t size)
{
	while (size >= 2) {
		uint32_t len = data[0], extra = data[1];
		uint32_t room = b->limits.packet_len > len ? b->limits.packet_len : len;
		struct xi_pkt pkt = {.len = len < size - 2 ? len : (uint32_t)size - 2};
		struct xi_pkt whole = {.data = take(room), .tailroom = room};

		pkt.data = take(pkt.len);
		memcpy(pkt.data, data + 2, pkt.len);
		if (extra & 2)
			mend_checksum(&pkt);
		data += 2 + pkt.len;
		size -= 2 + pkt.len;
		cut_and_mend(pkt.data, pkt.len, (uint8_t)extra);
		if (extra & 1) {
			memcpy(whole.data, pkt.data, pkt.len);
			whole.len = pkt.len;
			whole.tailroom -= pkt.len;
		}
		if (bed_add(b, extra & 1 ? &whole : &pkt, &whole) == XI_REASSEMBLED) {
			uint8_t version;
			uint32_t ip_len;

			require(xi_tunnel_measure(whole.data, whole.len, &version, &ip_len));
			require(ip_len == whole.len);
			cut_and_mend(whole.data, whole.len, (uint8_t)extra);
		}
		b->now += extra >> 6;
		free(pkt.data);
		free(whole.data);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xi_reassembly_use use;
	struct bed b;

	if (!size)
		return 0;
	bed_open(&b, data[0]);
	if (data[0] & WIRE)
		run_wire(&b, data + 1, size - 1);
	else
		run_specs(&b, data + 1, size - 1);
	use = xi_reassembly_in_use(b.r);
	require(xi_reassembly_expire(b.r, b.now + TIMEOUT) == use.fragments);
	use = xi_reassembly_in_use(b.r);
	require(!use.packets && !use.fragments && !use.bytes);
	xi_reassembly_destroy(b.r);
	return 0;
}
