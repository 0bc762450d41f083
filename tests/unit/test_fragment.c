// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Fragmentation: pieces by scapy, and what must not be cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ipsec/bytes.h"
#include "ipsec/checksum.h"
#include "ipsec/fragment.h"
#include "vectors.h"

#define PKT_MAX 9100
#define CANARY 0xa5

static uint8_t whole[PKT_MAX];

static struct xi_pkt pkt_of(uint32_t len)
{
	return (struct xi_pkt){ .data = whole, .len = len };
}

/* Random payload behind a header of 20 bytes, whose checksum is right. */
static struct xi_pkt ipv4(uint32_t len, uint16_t frag_off)
{
	static const uint8_t hdr[20] = { 0x45, 0, 0, 0, 0x12, 0x34, 0, 0, 61, 50, 0, 0,
					 192, 0, 2, 1, 198, 51, 100, 7 };

	for (uint32_t i = 0; i < len; i++)
		whole[i] = (uint8_t)rand();
	memcpy(whole, hdr, sizeof(hdr));
	xi_put16(whole + 2, (uint16_t)len);
	xi_put16(whole + 6, frag_off);
	xi_put16(whole + 10, xi_ip4_checksum(whole));
	return pkt_of(len);
}

static struct xi_pkt ipv6(uint32_t len, uint8_t next)
{
	for (uint32_t i = 0; i < len; i++)
		whole[i] = (uint8_t)rand();
	whole[0] = 0x60;
	xi_put16(whole + 4, (uint16_t)(len - 40));
	whole[6] = next;
	return pkt_of(len);
}

static int plan_len(const struct xi_pkt *pkt, uint32_t mtu, const uint32_t *id)
{
	struct xi_fragments plan;

	return xi_fragment_plan(&plan, pkt, mtu, id);
}

static void expect_piece(const char *name, const struct xi_fragments *plan, uint32_t i,
			 const uint8_t *want, uint32_t len)
{
	static uint8_t piece[PKT_MAX + 1];

	memset(piece, CANARY, sizeof(piece));
	assert_int_equal(xi_fragment_write(plan, i, piece, len - 1), 0);
	assert_int_equal(piece[0], CANARY);
	if (xi_fragment_write(plan, i, piece, len) != len || memcmp(piece, want, len))
		fail_msg("%s: piece %u is not the one wanted", name, i);
	assert_int_equal(piece[len], CANARY);
}

static void scapy_pieces_are_made_exactly(void **state)
{
	json_t *root = vec_load("fragments.json"), *v, *piece;
	static uint8_t want[PKT_MAX];
	size_t i, j;

	json_array_foreach (json_object_get(root, "vectors"), i, v) {
		struct xi_pkt pkt = pkt_of((uint32_t)vec_hex(v, "whole", whole, sizeof(whole)));
		json_t *pieces = json_object_get(v, "pieces");
		uint32_t id = (uint32_t)vec_int(v, "id");
		struct xi_fragments plan;

		assert_int_equal(xi_fragment_plan(&plan, &pkt, vec_int(v, "mtu"), &id),
				 json_array_size(pieces));
		json_array_foreach (pieces, j, piece) {
			size_t len = vec_unhex(json_string_value(piece), want, sizeof(want));

			expect_piece(vec_str(v, "name"), &plan, j, want, (uint32_t)len);
		}
	}
	assert_int_equal(i, 21);
	json_decref(root);
}

static void what_fits_stays_as_it_is(void **state)
{
	struct xi_pkt pkt = ipv4(1500, IP_DF);
	struct xi_fragments plan;

	assert_int_equal(xi_fragment_plan(&plan, &pkt, 1500, NULL), 1);
	expect_piece("DF", &plan, 0, whole, 1500);
	pkt = ipv6(1280, IPPROTO_ESP);
	assert_int_equal(xi_fragment_plan(&plan, &pkt, 1280, NULL), 1);
	expect_piece("IPv6", &plan, 0, whole, 1280);
	/* padding behind the packet is none of it */
	pkt = ipv4(46, 0);
	pkt.len = 60;
	assert_int_equal(xi_fragment_plan(&plan, &pkt, 46, NULL), 1);
	expect_piece("padded", &plan, 0, whole, 46);
}

static void what_must_not_be_cut_is_refused(void **state)
{
	struct xi_pkt pkt = ipv4(1501, IP_DF);
	uint32_t id = 1;

	assert_int_equal(plan_len(&pkt, 1500, NULL), -EMSGSIZE);
	pkt = ipv4(1500, IP_DF | IP_MF);
	assert_int_equal(plan_len(&pkt, 1499, NULL), -EMSGSIZE);
	pkt = ipv6(1501, IPPROTO_ESP);
	assert_int_equal(plan_len(&pkt, 1500, NULL), -EMSGSIZE);
	assert_int_equal(plan_len(&pkt, 1500, &id), 2);
	pkt = ipv6(1501, IPPROTO_FRAGMENT);
	assert_int_equal(plan_len(&pkt, 1500, &id), -EMSGSIZE);
}

/* A header and 8 bytes at least; RFC 791: of 68 bytes, every header leaves that. */
static void small_mtu_is_refused(void **state)
{
	struct xi_pkt pkt = ipv4(100, 0);
	uint32_t id = 1;

	assert_int_equal(plan_len(&pkt, 0, NULL), -ENOBUFS);
	assert_int_equal(plan_len(&pkt, 27, NULL), -ENOBUFS);
	assert_int_equal(plan_len(&pkt, 28, NULL), 10);
	memset(whole + 20, IPOPT_NOP, 40);
	whole[0] = 0x4f;
	assert_int_equal(plan_len(&pkt, 67, NULL), -ENOBUFS);
	assert_int_equal(plan_len(&pkt, 68, NULL), 2);
	pkt = ipv6(100, IPPROTO_ESP);
	assert_int_equal(plan_len(&pkt, 55, &id), -ENOBUFS);
	assert_int_equal(plan_len(&pkt, 56, &id), 8);
}

/* RFC 7112: destination options of 64 bytes and ESP's 8 are all in the first piece. */
static void header_chain_stays_in_the_first_piece(void **state)
{
	struct xi_pkt pkt = ipv6(200, IPPROTO_DSTOPTS);
	uint32_t id = 1;

	whole[40] = IPPROTO_ESP;
	whole[41] = 7;
	assert_int_equal(plan_len(&pkt, 48 + 71, &id), -ENOBUFS);
	assert_int_equal(plan_len(&pkt, 48 + 72, &id), 3);
	/* the same in front of a routing header of 24 bytes belongs to each fragment */
	whole[40] = IPPROTO_ROUTING;
	whole[104] = IPPROTO_ESP;
	whole[105] = 2;
	assert_int_equal(plan_len(&pkt, 48 + 88 + 7, &id), -ENOBUFS);
	assert_int_equal(plan_len(&pkt, 48 + 88 + 8, &id), 9);
}

static void contradictions_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t opts[4];
		int want;
	} cases[] = {
		{ "end, then rubbish", { IPOPT_EOL, 130, 0, 0 }, 2 },
		{ "no length", { IPOPT_NOP, IPOPT_NOP, IPOPT_NOP, 130 }, -EBADMSG },
		{ "length 0", { 130, 0, 0, 0 }, -EBADMSG },
		{ "length 1", { 130, 1, 0, 0 }, -EBADMSG },
		{ "past the header", { IPOPT_NOP, 130, 4, 0 }, -EBADMSG },
		{ "to the end of the header", { IPOPT_NOP, 130, 3, 0 }, 2 },
	};
	struct xi_pkt pkt = ipv4(104, 0);
	uint32_t id = 1;

	whole[0] = 0x46;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(whole + 20, cases[i].opts, 4);
		if (plan_len(&pkt, 80, NULL) != cases[i].want)
			fail_msg("%s: %d", cases[i].what, plan_len(&pkt, 80, NULL));
	}
	pkt = ipv4(101, IP_MF);
	assert_int_equal(plan_len(&pkt, 80, NULL), -EBADMSG);
	pkt = ipv4(100, 8191);
	assert_int_equal(plan_len(&pkt, 80, NULL), -EBADMSG);
	pkt = ipv4(100, 0);
	pkt.len = 99;
	assert_int_equal(plan_len(&pkt, 80, NULL), -EBADMSG);
	pkt = ipv6(100, IPPROTO_DSTOPTS);
	whole[40] = IPPROTO_ESP;
	whole[41] = 7;
	assert_int_equal(plan_len(&pkt, 80, &id), -EBADMSG);
	whole[6] = IPPROTO_ROUTING;
	assert_int_equal(plan_len(&pkt, 80, &id), -EBADMSG);
}

static uint32_t plain_sum(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] * 256 + p[i + 1];
	return (uint32_t)(sum % 0xffff);
}

/* Read back after RFC 791 and RFC 8200: where the bytes belong, and whether others follow. */
static void check_piece(const uint8_t *piece, uint32_t len, uint32_t mtu, uint32_t at, bool last)
{
	bool v4 = piece[0] >> 4 == 4;
	uint32_t hdr = v4 ? 20 : 48, field = v4 ? 8U * xi_get16(piece + 6) : xi_get16(piece + 42);

	assert_true(len <= mtu && len > hdr);
	assert_int_equal(xi_get16(piece + (v4 ? 2 : 4)), v4 ? len : len - 40);
	assert_int_equal(field, v4 ? at + (last ? 0 : 8 * IP_MF) : at | !last);
	assert_true(last || (len - hdr) % 8 == 0);
	if (v4)
		assert_int_equal(plain_sum(piece, 20), 0);
	assert_memory_equal(piece + hdr, whole + (v4 ? 20 : 40) + at, len - hdr);
}

static void every_size_is_cut_whole(void **state)
{
	static uint8_t piece[PKT_MAX];
	struct xi_fragments plan;
	uint32_t id = 7;

	for (uint32_t len = 61; len <= 9000; len += len < 400 ? 1 : 37) {
		for (unsigned int v6 = 0; v6 < 2; v6++) {
			struct xi_pkt pkt = v6 ? ipv6(len, IPPROTO_ESP) : ipv4(len, 0);
			uint32_t mtu = 56 + (uint32_t)rand() % (len - 56), at = 0, i, n;
			uint32_t hdr = v6 ? 40 : 20;

			n = (uint32_t)xi_fragment_plan(&plan, &pkt, mtu, &id);
			assert_true(n > 1 && n <= len / 8);
			for (i = 0; i < n; i++) {
				uint32_t got = xi_fragment_write(&plan, i, piece, sizeof(piece));

				check_piece(piece, got, mtu, at, i == n - 1);
				at += got - (v6 ? 48 : 20);
			}
			assert_int_equal(at, len - hdr);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scapy_pieces_are_made_exactly),
		cmocka_unit_test(what_fits_stays_as_it_is),
		cmocka_unit_test(what_must_not_be_cut_is_refused),
		cmocka_unit_test(small_mtu_is_refused),
		cmocka_unit_test(header_chain_stays_in_the_first_piece),
		cmocka_unit_test(contradictions_are_refused),
		cmocka_unit_test(every_size_is_cut_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
