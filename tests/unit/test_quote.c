/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Quoted packets in ICMP errors. The messages are by scapy, as the comment beside each says; expected values are
 * what scapy was given.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ipsec/pmtu.h"
#include "ipsec/quote.h"

/*
 * ICMP(type=3, code=4, nexthopmtu=1400)/IP(src="192.0.2.1", dst="192.0.2.2", flags="DF",
 * len=1500)/ESP(spi=0x1001, seq=77), 28 bytes quoted
 */
static const uint8_t esp4[] = {
	0x03, 0x04, 0xe7, 0x35, 0x00, 0x00, 0x05, 0x78, 0x45, 0x00, 0x05, 0xdc, 0x00, 0x07, 0x40, 0x00,
	0x3e, 0x32, 0xb2, 0xe5, 0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00, 0x02, 0x02, 0x00, 0x00, 0x10, 0x01,
	0x00, 0x00, 0x00, 0x4d,
};

/* the same IP/AH(spi=0x1002, seq=78), 32 bytes quoted */
static const uint8_t ah4[] = {
	0x03, 0x04, 0xe3, 0x33, 0x00, 0x00, 0x05, 0x78, 0x45, 0x00, 0x05, 0xdc, 0x00, 0x07, 0x40, 0x00,
	0x3e, 0x33, 0xb2, 0xe4, 0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00, 0x02, 0x02, 0x04, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x10, 0x02, 0x00, 0x00, 0x00, 0x4e,
};

/* the same IP/UDP(sport=4500, dport=34500)/ESP(spi=0x1003, seq=79), 36 bytes quoted */
static const uint8_t udp4[] = {
	0x03, 0x04, 0x49, 0x11, 0x00, 0x00, 0x05, 0x78, 0x45, 0x00, 0x05, 0xdc, 0x00, 0x07, 0x40, 0x00,
	0x3e, 0x11, 0xb3, 0x06, 0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00, 0x02, 0x02, 0x11, 0x94, 0x86, 0xc4,
	0x05, 0xc8, 0x00, 0x00, 0x00, 0x00, 0x10, 0x03, 0x00, 0x00, 0x00, 0x4f,
};

/* esp4 with IP(options=[IPOption_RR(length=11)]), 40 bytes quoted */
static const uint8_t options4[] = {
	0x03, 0x04, 0xe7, 0x35, 0x00, 0x00, 0x05, 0x78, 0x48, 0x00, 0x05, 0xdc, 0x00, 0x07, 0x40, 0x00,
	0x3e, 0x32, 0xa4, 0xda, 0xc0, 0x00, 0x02, 0x01, 0xc0, 0x00, 0x02, 0x02, 0x07, 0x0b, 0x04, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x01, 0x00, 0x00, 0x00, 0x4d,
};

/*
 * ICMPv6PacketTooBig(mtu=1400)/IPv6(src="2001:db8::1", dst="2001:db8::2", plen=1460)/ESP(spi=0x1011,
 * seq=5), 56 bytes quoted
 */
static const uint8_t esp6[] = {
	0x02, 0x00, 0xb6, 0x3c, 0x00, 0x00, 0x05, 0x78, 0x60, 0x00, 0x00, 0x00, 0x05, 0xb4, 0x32, 0x3e,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x00, 0x00, 0x10, 0x11, 0x00, 0x00, 0x00, 0x05, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78,
};

/* the same IPv6/UDP(sport=4500, dport=4500)/ESP(spi=0x1013, seq=7), 64 bytes quoted */
static const uint8_t udp6[] = {
	0x02, 0x00, 0xae, 0x54, 0x00, 0x00, 0x05, 0x78, 0x60, 0x00, 0x00, 0x00, 0x05, 0xb4, 0x11, 0x3e,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x11, 0x94, 0x11, 0x94, 0x05, 0xb4, 0x00, 0x00, 0x00, 0x00, 0x10, 0x13, 0x00, 0x00, 0x00, 0x07,
	0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78, 0x78,
};

/*
 * the same IPv6/IPv6ExtHdrHopByHop()/IPv6ExtHdrDestOpt()/IPv6ExtHdrFragment(m=1)/AH(spi=0x1012,
 * seq=6), 76 bytes quoted
 */
static const uint8_t ext6[] = {
	0x02, 0x00, 0x03, 0xf6, 0x00, 0x00, 0x05, 0x78, 0x60, 0x00, 0x00, 0x00, 0x05, 0xb4, 0x00, 0x3e,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
	0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
	0x3c, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00, 0x00, 0x2c, 0x00, 0x01, 0x04, 0x00, 0x00, 0x00, 0x00,
	0x33, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x09, 0x29, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x12,
	0x00, 0x00, 0x00, 0x06,
};

static const uint8_t gw1[16] = { 192, 0, 2, 1 }, gw2[16] = { 192, 0, 2, 2 };
static const uint8_t gw1_6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };
static const uint8_t gw2_6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 2 };

/* In memory of its own size, so that the address sanitizer sees each byte too far. */
static int parse(struct xi_quote *q, enum xi_family family, const uint8_t *bytes, uint32_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int err;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	err = xi_quote_parse(q, family, copy, len);
	free(copy);
	return err;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* RFC 1071, into bytes 2 and 3. */
static void seal(uint8_t *icmp, uint32_t len)
{
	uint32_t sum = 0, i;

	icmp[2] = icmp[3] = 0;
	for (i = 0; i < len; i++)
		sum += (uint32_t)icmp[i] << (i % 2 ? 0 : 8);
	sum = ~fold(sum) & 0xffff;
	icmp[2] = (uint8_t)(sum >> 8);
	icmp[3] = (uint8_t)sum;
}

static void check_ends(const struct xi_quote *q, enum xi_family family, uint32_t len, uint32_t mtu)
{
	assert_int_equal(q->family, family);
	assert_memory_equal(q->saddr, family == XI_IPV6 ? gw1_6 : gw1, 16);
	assert_memory_equal(q->daddr, family == XI_IPV6 ? gw2_6 : gw2, 16);
	assert_int_equal(q->len, len);
	assert_int_equal(q->mtu, mtu);
}

static void check_sa(const struct xi_quote *q, enum xi_proto proto, uint32_t spi, uint32_t seq)
{
	assert_int_equal(q->proto, proto);
	assert_true(q->has_spi);
	assert_int_equal(q->spi, spi);
	assert_true(q->has_seq);
	assert_int_equal(q->seq, seq);
}

static void test_esp_in_eight_bytes(void **state)
{
	struct xi_quote q;

	assert_int_equal(parse(&q, XI_IPV4, esp4, sizeof(esp4)), 0);
	check_ends(&q, XI_IPV4, 1500, 1400);
	check_sa(&q, XI_ESP, 0x1001, 77);
	assert_false(q.encap);
}

static void test_ah_number_needs_twelve_bytes(void **state)
{
	uint8_t cut[sizeof(ah4) - 4];
	struct xi_quote q;

	assert_int_equal(parse(&q, XI_IPV4, ah4, sizeof(ah4)), 0);
	check_ends(&q, XI_IPV4, 1500, 1400);
	check_sa(&q, XI_AH, 0x1002, 78);
	memcpy(cut, ah4, sizeof(cut));
	seal(cut, sizeof(cut));
	assert_int_equal(parse(&q, XI_IPV4, cut, sizeof(cut)), 0);
	assert_int_equal(q.spi, 0x1002);
	assert_false(q.has_seq);
}

static void test_udp_with_and_without_spi(void **state)
{
	uint8_t cut[sizeof(udp4) - 8];
	struct xi_quote q;

	assert_int_equal(parse(&q, XI_IPV4, udp4, sizeof(udp4)), 0);
	check_ends(&q, XI_IPV4, 1500, 1400);
	check_sa(&q, XI_ESP, 0x1003, 79);
	assert_true(q.encap);
	assert_int_equal(q.sport, 4500);
	assert_int_equal(q.dport, 34500);
	memcpy(cut, udp4, sizeof(cut));
	seal(cut, sizeof(cut));
	assert_int_equal(parse(&q, XI_IPV4, cut, sizeof(cut)), 0);
	assert_true(q.encap);
	assert_int_equal(q.dport, 34500);
	assert_false(q.has_spi);
	assert_false(q.has_seq);
}

static void test_ike_and_keepalives_are_no_sas(void **state)
{
	uint8_t other[sizeof(udp4)];
	struct xi_quote q;

	/* the non-ESP marker */
	memcpy(other, udp4, sizeof(other));
	memset(other + 8 + 20 + 8, 0, 4);
	seal(other, sizeof(other));
	assert_int_equal(parse(&q, XI_IPV4, other, sizeof(other)), -EINVAL);
	/* UDP length 9: one byte */
	memcpy(other, udp4, sizeof(other));
	other[8 + 20 + 4] = 0;
	other[8 + 20 + 5] = 9;
	seal(other, sizeof(other));
	assert_int_equal(parse(&q, XI_IPV4, other, sizeof(other)), -EINVAL);
}

static void test_ip_options_are_stepped_over(void **state)
{
	struct xi_quote q;

	assert_int_equal(parse(&q, XI_IPV4, options4, sizeof(options4)), 0);
	check_sa(&q, XI_ESP, 0x1001, 77);
}

static void test_ipv6(void **state)
{
	struct xi_quote q;

	assert_int_equal(parse(&q, XI_IPV6, esp6, sizeof(esp6)), 0);
	check_ends(&q, XI_IPV6, 1500, 1400);
	check_sa(&q, XI_ESP, 0x1011, 5);
	assert_int_equal(parse(&q, XI_IPV6, udp6, sizeof(udp6)), 0);
	check_sa(&q, XI_ESP, 0x1013, 7);
	assert_true(q.encap);
}

static void test_ipv6_extension_headers(void **state)
{
	uint8_t other[sizeof(ext6)];
	struct xi_quote q;

	assert_int_equal(parse(&q, XI_IPV6, ext6, sizeof(ext6)), 0);
	check_ends(&q, XI_IPV6, 1500, 1400);
	check_sa(&q, XI_AH, 0x1012, 6);
	/* a later fragment has no AH at its front: the fragment header is the last one before it */
	memcpy(other, ext6, sizeof(other));
	other[sizeof(other) - 12 - 8 + 3] |= 8;
	assert_int_equal(parse(&q, XI_IPV6, other, sizeof(other)), -EINVAL);
}

/* RFC 1191 section 7.1: the next lower plateau of the quoted length. */
static void test_no_mtu_is_the_next_plateau(void **state)
{
	static const struct {
		uint32_t len, mtu;
	} cases[] = { { 65535, 32000 }, { 1500, 1492 }, { 1492, 1006 }, { 1006, 508 }, { 508, 296 },
		      { 296, 68 }, { 297, 296 } };
	uint8_t other[sizeof(esp4)];
	struct xi_quote q;

	memcpy(other, esp4, sizeof(other));
	other[6] = other[7] = 0;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		other[8 + 2] = (uint8_t)(cases[i].len >> 8);
		other[8 + 3] = (uint8_t)cases[i].len;
		seal(other, sizeof(other));
		assert_int_equal(parse(&q, XI_IPV4, other, sizeof(other)), 0);
		assert_int_equal(q.mtu, cases[i].mtu);
	}
}

/* Offset, value and reason of one byte that makes a message refused; the checksum is made good again. */
static void test_what_is_refused(void **state)
{
	static const struct {
		const char *what;
		unsigned int offset;
		uint8_t value;
	} cases[] = {
		{ "another type", 0, 11 },
		{ "another code", 1, 1 },
		{ "an MTU that the packet fits into", 6, 6 },
		{ "not IPv4 inside", 8, 0x65 },
		{ "header shorter than one", 8, 0x44 },
		{ "header longer than what is quoted", 8, 0x48 },
		{ "total length below the header", 8 + 2, 0 },
		{ "a later fragment", 8 + 7, 1 },
		{ "TCP", 8 + 9, 6 },
		{ "SPI 1 (reserved)", 8 + 20 + 2, 0 },
	};
	uint8_t other[sizeof(esp4)];
	struct xi_quote q;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(other, esp4, sizeof(other));
		other[cases[i].offset] = cases[i].value;
		if (cases[i].offset == 8 + 2)
			other[8 + 3] = 19;
		seal(other, sizeof(other));
		if (parse(&q, XI_IPV4, other, sizeof(other)) != -EINVAL)
			fail_msg("taken: %s", cases[i].what);
	}
	memcpy(other, esp4, sizeof(other));
	other[sizeof(other) - 1] ^= 1;
	assert_int_equal(parse(&q, XI_IPV4, other, sizeof(other)), -EINVAL);
}

static void test_ipv6_below_1280_is_refused(void **state)
{
	uint8_t other[sizeof(esp6)];
	struct xi_quote q;

	memcpy(other, esp6, sizeof(other));
	other[6] = 1279 >> 8;
	other[7] = 1279 & 0xff;
	assert_int_equal(parse(&q, XI_IPV6, other, sizeof(other)), -EINVAL);
	other[6] = 1280 >> 8;
	other[7] = 1280 & 0xff;
	assert_int_equal(parse(&q, XI_IPV6, other, sizeof(other)), 0);
	assert_int_equal(q.mtu, 1280);
	other[0] = 1;
	assert_int_equal(parse(&q, XI_IPV6, other, sizeof(other)), -EINVAL);
}

/* IPv4's error quotes 8 bytes behind the header at least (RFC 792); less names nothing. */
static void test_truncation_is_refused(void **state)
{
	uint8_t other[256];
	struct xi_quote q;
	uint32_t len;

	for (len = 0; len < 8 + 20 + 8; len++) {
		memcpy(other, esp4, len);
		if (len >= 4)
			seal(other, len);
		assert_int_equal(parse(&q, XI_IPV4, other, len), -EINVAL);
	}
	for (len = 0; len < 8 + 40 + 8; len++)
		assert_int_equal(parse(&q, XI_IPV6, esp6, len), -EINVAL);
	/* all headers and eight bytes of AH */
	for (len = 0; len < sizeof(ext6) - 4; len++)
		assert_int_equal(parse(&q, XI_IPV6, ext6, len), -EINVAL);
}

/* Whatever the bytes: no byte beyond them is read (the sanitizer says so), and what is taken makes sense. */
static void hostile(enum xi_family family, const uint8_t *base, uint32_t size)
{
	uint64_t random = 0x9e3779b97f4a7c15;
	uint8_t other[256];
	struct xi_quote q;
	unsigned int taken = 0;

	for (int round = 0; round < 200000; round++) {
		uint32_t len;

		memcpy(other, base, size);
		for (int flips = 0; flips < 3; flips++) {
			random = random * 6364136223846793005U + 1442695040888963407U;
			/* mostly behind type, code and checksum */
			other[4 + (random >> 33) % (size - 4)] = (uint8_t)(random >> 56);
		}
		len = round % 4 ? size : (uint32_t)(random >> 40) % (size + 1);
		if (len >= 4)
			seal(other, len);
		if (parse(&q, family, other, len))
			continue;
		taken++;
		assert_true(q.mtu > 0 && q.mtu < q.len);
		assert_true(q.proto == XI_ESP || q.proto == XI_AH);
		assert_true(q.encap || q.has_spi);
		assert_true(!q.has_spi || q.spi > 255);
	}
	assert_true(taken > 1000);
}

static void test_hostile_bytes(void **state)
{
	hostile(XI_IPV4, esp4, sizeof(esp4));
	hostile(XI_IPV4, udp4, sizeof(udp4));
	hostile(XI_IPV4, options4, sizeof(options4));
	hostile(XI_IPV6, esp6, sizeof(esp6));
	hostile(XI_IPV6, ext6, sizeof(ext6));
}

/* RFC 1191 section 6.3 */
static void test_path_mtu_ages(void **state)
{
	struct xi_sa_state s = { 0 };
	const uint64_t now = 1000000;

	assert_int_equal(xi_path_mtu(&s, 1500, now), 1500);
	xi_pmtu_learn(&s, 1400, now + 600);
	assert_int_equal(xi_path_mtu(&s, 1500, now), 1400);
	assert_int_equal(xi_path_mtu(&s, 1300, now), 1300);
	assert_int_equal(xi_path_mtu(&s, 1500, now + 599), 1400);
	assert_int_equal(xi_path_mtu(&s, 1500, now + 600), 1500);
	/* the clock was set back by a day */
	assert_int_equal(xi_path_mtu(&s, 1500, now - 86400), 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_esp_in_eight_bytes),
		cmocka_unit_test(test_ah_number_needs_twelve_bytes),
		cmocka_unit_test(test_udp_with_and_without_spi),
		cmocka_unit_test(test_ike_and_keepalives_are_no_sas),
		cmocka_unit_test(test_ip_options_are_stepped_over),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ipv6_extension_headers),
		cmocka_unit_test(test_no_mtu_is_the_next_plateau),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_ipv6_below_1280_is_refused),
		cmocka_unit_test(test_truncation_is_refused),
		cmocka_unit_test(test_hostile_bytes),
		cmocka_unit_test(test_path_mtu_ages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
