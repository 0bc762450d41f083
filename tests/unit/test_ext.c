// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* IPv6 extension headers: what is stepped over, and where ESP and AH go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <cmocka.h>

#include "ipsec/ext.h"

#define CHAIN_MAX 8

/*
 * A packet of these headers, one a letter: h hop-by-hop, d destination options, r routing, all of 8
 * bytes, in capitals of 24; f a fragment that is whole (RFC 6946), m one with more to come, o one
 * with an offset; then e ESP, a AH, u UDP, n nothing, M mobility (RFC 6275). Its length; *offset[i]
 * of the i-th header.
 */
static size_t build(const char *chain, uint8_t *ip6, uint32_t offset[CHAIN_MAX])
{
	static const char letters[] = "hdrHDRfmoeaunM";
	static const uint8_t protos[] = { 0, 60, 43, 0, 60, 43, 44, 44, 44, 50, 51, 17, 59, 135 };
	size_t at = 40, nh = 6;

	memset(ip6, 0, 512);
	ip6[0] = 0x60;
	for (size_t i = 0; chain[i]; i++) {
		const char *letter = strchr(letters, chain[i]);

		assert_true(letter && i < CHAIN_MAX);
		offset[i] = (uint32_t)at;
		ip6[nh] = protos[letter - letters];
		nh = at;
		if (chain[i] == 'm')
			ip6[at + 3] = 1;
		if (chain[i] == 'o')
			ip6[at + 3] = 8;
		if (strchr("HDR", chain[i])) {
			ip6[at + 1] = 2;
			at += 16;
		}
		if (strchr("fmo", chain[i]))
			ip6[at + 1] = 0xff; /* reserved, and no length */
		at += chain[i] == 'n' ? 0 : 8;
	}
	ip6[5] = (uint8_t)(at - 40);
	return at;
}

/* RFC 4303 section 3.1.1, and where it leaves a choice ip6_find_1stfragopt() of Linux. */
static void protection_goes_behind_what_routers_look_at(void **state)
{
	static const struct {
		const char *chain;
		int before; /* index of the header it goes in front of; -1: refused */
	} cases[] = {
		{ "u", 0 },	{ "n", 0 },	{ "hu", 1 },	{ "ru", 1 },	{ "hru", 2 },
		{ "du", 1 },	{ "hdu", 2 },	{ "dru", 2 },	{ "rdu", 1 },	{ "hdrdu", 3 },
		{ "HDRDu", 3 }, { "hrn", 2 },	{ "rru", 2 },	{ "ddu", 2 },	{ "rdru", 1 },
		{ "hM", 1 },	{ "ea", 0 },	{ "hea", 1 },	{ "fu", -1 },	{ "hmu", -1 },
		{ "rou", -1 },	{ "rdfu", 1 },
	};
	uint32_t offset[CHAIN_MAX], at, nh;
	uint8_t ip6[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = build(cases[i].chain, ip6, offset);
		bool ok = xi_ext_insert(ip6, (uint32_t)len, &at, &nh);

		if (ok != (cases[i].before >= 0))
			fail_msg("%s: %s", cases[i].chain, ok ? "taken" : "refused");
		if (!ok)
			continue;
		if (at != offset[cases[i].before])
			fail_msg("%s: at %u", cases[i].chain, at);
		assert_int_equal(nh, cases[i].before ? offset[cases[i].before - 1] : 6);
	}
}

static void a_protocol_is_found_behind_every_extension_header(void **state)
{
	static const struct {
		const char *chain;
		uint8_t proto;
		int index; /* -1: not found */
	} cases[] = {
		{ "e", 50, 0 },	   { "a", 51, 0 },     { "he", 50, 1 },	   { "hdrde", 50, 4 },
		{ "HDRDa", 51, 4 }, { "fe", 50, 1 },	{ "hrfda", 51, 4 }, { "me", 50, -1 },
		{ "oe", 50, -1 },  { "hmda", 51, -1 }, { "u", 50, -1 },	   { "hu", 51, -1 },
		{ "ae", 50, -1 },  { "n", 50, -1 },    { "Me", 50, -1 },   { "hru", 17, 2 },
	};
	uint32_t offset[CHAIN_MAX], at, nh;
	uint8_t ip6[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = build(cases[i].chain, ip6, offset);
		bool ok = xi_ext_find(ip6, (uint32_t)len, cases[i].proto, &at, &nh);

		if (ok != (cases[i].index >= 0))
			fail_msg("%s: %s", cases[i].chain, ok ? "found" : "not found");
		if (!ok)
			continue;
		if (at != offset[cases[i].index])
			fail_msg("%s: at %u", cases[i].chain, at);
		assert_int_equal(nh, cases[i].index ? offset[cases[i].index - 1] : 6);
	}
}

/* In a buffer of exactly the packet's length. */
static void headers_beyond_the_packet_are_refused(void **state)
{
	static const char *const chains[] = { "hdrde", "HDRDe", "hrfe", "e", "de" };
	uint32_t offset[CHAIN_MAX], at, nh;
	uint8_t ip6[512];

	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		size_t last = strlen(chains[i]) - 1;

		build(chains[i], ip6, offset);
		for (uint32_t len = 40; len <= offset[last]; len++) {
			uint8_t *exact = malloc(len);

			assert_non_null(exact);
			memcpy(exact, ip6, len);
			assert_int_equal(xi_ext_find(exact, len, IPPROTO_ESP, &at, &nh),
					 len == offset[last]);
			if (!strchr(chains[i], 'f') && xi_ext_insert(exact, len, &at, &nh))
				assert_true(at <= len && nh < len);
			free(exact);
		}
	}
}

/* A chain that never ends but with the packet. */
static void a_chain_ends_with_the_packet(void **state)
{
	static const uint8_t protos[] = { 0, 43, 60 };
	uint8_t ip6[512] = { 0x60 };
	uint32_t at, nh;

	for (size_t i = 0; i < sizeof(protos); i++) {
		ip6[6] = protos[i];
		for (size_t k = 40; k < sizeof(ip6); k += 8)
			ip6[k] = protos[i];
		assert_false(xi_ext_find(ip6, sizeof(ip6), IPPROTO_AH, &at, &nh));
		assert_false(xi_ext_insert(ip6, sizeof(ip6), &at, &nh));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protection_goes_behind_what_routers_look_at),
		cmocka_unit_test(a_protocol_is_found_behind_every_extension_header),
		cmocka_unit_test(headers_beyond_the_packet_are_refused),
		cmocka_unit_test(a_chain_ends_with_the_packet),
	};

	return cmocka_run_group_tests_name("ext", tests, NULL, NULL);
}
