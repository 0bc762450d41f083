// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "frag_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/ip.h>
#include <cmocka.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/fragment.h"

struct frag_bed frag_bed;
bool frag_v6;

void frag_bed_open(uint32_t packets, uint32_t bytes)
{
	struct xi_reassembly_limits limits = {packets, bytes, FRAG_PKT_MAX, FRAG_TIMEOUT};

	memset(&frag_bed, 0, sizeof(frag_bed));
	assert_int_equal(xi_reassembly_create(&frag_bed.r, &limits, frag_bed.counts), 0);
}

int frag_setup(void **state)
{
	frag_bed_open(256, 1 << 20);
	return 0;
}

int frag_teardown(void **state)
{
	xi_reassembly_destroy(frag_bed.r);
	return 0;
}

uint64_t frag_drops(void)
{
	return frag_bed.counts[XI_DROP_FRAGMENT_BAD] + frag_bed.counts[XI_DROP_FRAGMENT_OVERLAP] +
	       frag_bed.counts[XI_DROP_FRAGMENT_TIMEOUT] + frag_bed.counts[XI_DROP_FRAGMENT_FULL] +
	       frag_bed.counts[XI_DROP_TOO_BIG];
}

uint32_t frag_held(void)
{
	return xi_reassembly_in_use(frag_bed.r).fragments;
}

enum xi_reason frag_add_bytes(const uint8_t *bytes, uint32_t len)
{
	uint64_t before = frag_drops() + frag_held();
	struct xi_pkt pkt = {.data = malloc(len ? len : 1), .len = len};
	enum xi_reason why;

	assert_non_null(pkt.data);
	memcpy(pkt.data, bytes, len);
	frag_bed.whole = (struct xi_pkt){.data = frag_bed.out, .tailroom = sizeof(frag_bed.out)};
	why = xi_reassembly_add(frag_bed.r, frag_bed.now, &pkt, &frag_bed.whole);
	memset(pkt.data, 0xee, len);
	free(pkt.data);
	if (why != XI_REASSEMBLED) {
		assert_int_equal(frag_drops() + frag_held(), before + 1);
		assert_int_equal(frag_bed.whole.len, 0);
	}
	return why;
}

void frag_expect_whole(const char *name, const uint8_t *want, uint32_t len)
{
	if (frag_bed.whole.len != len || memcmp(frag_bed.whole.data, want, len))
		fail_msg("%s: %u bytes, other than the %u wanted", name, frag_bed.whole.len, len);
	assert_int_equal(frag_bed.whole.tailroom, sizeof(frag_bed.out) - len);
}

void frag_expect_empty(void)
{
	struct xi_reassembly_use use = xi_reassembly_in_use(frag_bed.r);

	assert_int_equal(use.packets, 0);
	assert_int_equal(use.fragments, 0);
	assert_int_equal(use.bytes, 0);
}

static uint8_t payload_byte(uint32_t at, uint8_t salt)
{
	return (uint8_t)(at * 7 + (at >> 8) * 13 + salt);
}

uint32_t frag_spec_v4(uint8_t *p, const struct frag_spec *s)
{
	static const uint8_t hdr[20] = {0x45, 0xb8, 0,	 0, 0, 0, 0,   0,  61,	50,
					0,    0,    192, 0, 2, 0, 198, 51, 100, 7};

	memcpy(p, hdr, sizeof(hdr));
	p[1] |= s->ecn;
	xi_put16(p + 2, (uint16_t)(20 + s->len));
	xi_put16(p + 4, (uint16_t)s->id);
	xi_put16(p + 6, (uint16_t)(s->start / 8 | (s->more ? IP_MF : 0)));
	if (s->proto)
		p[9] = s->proto;
	p[15] = s->host;
	xi_put16(p + 10, xi_ip4_checksum(p));
	for (uint32_t i = 0; i < s->len; i++)
		p[20 + i] = payload_byte(s->start + i, s->salt);
	return 20 + s->len;
}

uint32_t frag_spec_v6(uint8_t *p, const struct frag_spec *s)
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

enum xi_reason frag_add(struct frag_spec s)
{
	static uint8_t p[FRAG_PKT_MAX + 100];

	return frag_add_bytes(p, frag_v6 ? frag_spec_v6(p, &s) : frag_spec_v4(p, &s));
}

void frag_expect_spec(uint32_t len, uint8_t ecn, uint32_t id)
{
	static uint8_t want[FRAG_PKT_MAX];
	struct frag_spec s = {.len = len, .ecn = ecn, .id = id};

	if (!frag_v6) {
		frag_expect_whole("IPv4", want, frag_spec_v4(want, &s));
		return;
	}
	frag_spec_v6(want, &s);
	memmove(want + 40, want + 48, len);
	xi_put16(want + 4, (uint16_t)len);
	want[6] = IPPROTO_ESP;
	frag_expect_whole("IPv6", want, 40 + len);
}

void frag_in_both_families(void (*test)(void))
{
	for (frag_v6 = false;; frag_v6 = true) {
		frag_bed_open(256, 1 << 20);
		test();
		xi_reassembly_destroy(frag_bed.r);
		frag_bed.r = NULL;
		if (frag_v6)
			return;
	}
}
