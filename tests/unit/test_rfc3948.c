// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* RFC 3948, where no other test has it: what doc/conformance.md lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>
#include <cmocka.h>

#include "esp_sa.h"

#define SPORT 4500
#define DPORT 61234 /* a NAT's choice */

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* AES-GCM in UDP. */
static void udp_sa(struct test_sa *t, enum xi_family family, bool transport)
{
	test_sa_default(t, family);
	t->sa.encap = XI_ENCAP_ESPINUDP;
	t->sa.encap_sport = SPORT;
	t->sa.encap_dport = DPORT;
	t->sa.mode = transport ? XI_TRANSPORT : XI_TUNNEL;
	test_sa_start(t, NULL);
}

/* test_seal() with the frame, which the checksum over IPv6 needs. */
static void seal(struct test_sa *t, uint64_t seq, struct xi_pkt *pkt)
{
	struct xi_esp_tally tally = {.now = 1};
	struct xi_frame frame;
	struct xi_aead_job job;

	assert_int_equal(xi_esp_frame(&t->ctx, seq, UINT32_MAX, pkt, &frame), XI_NONE);
	xi_esp_out_job(&t->ctx, &frame, &job);
	t->engine->seal(t->crypto, &job, 1);
	assert_int_equal(xi_esp_out_finish(&t->ctx, &frame, &job, &tally), XI_NONE);
	xi_esp_tally_flush(&tally);
}

/* RFC 768, RFC 8200 section 8.1: 0xffff over a datagram whose checksum is right. */
static uint16_t l4_sum(const uint8_t *ip, size_t at, size_t len, uint8_t proto)
{
	uint32_t sum = proto + (uint32_t)len;
	size_t i, from = ip[0] >> 4 == 4 ? 12 : 8, to = ip[0] >> 4 == 4 ? 20 : 40;

	for (i = from; i < to; i += 2)
		sum += get16(ip + i);
	for (i = 0; i + 1 < len; i += 2)
		sum += get16(ip + at + i);
	if (len % 2)
		sum += (uint32_t)ip[at + len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Sections 2.1, 3.3: where the UDP header is, and every field of it and of the IP header. */
static void the_udp_header_is_in_its_place(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[61];

	for (int i = 0; i < 4; i++) {
		bool v6 = i & 1, transport = i & 2;
		size_t at = v6 ? 40 : 20;

		udp_sa(&t, v6 ? XI_IPV6 : XI_IPV4, transport);
		if (v6)
			test_inner6(ip, sizeof(ip), 0);
		else
			test_inner4(ip, sizeof(ip), 0);
		test_pkt_set(&p, ip, sizeof(ip));
		seal(&t, 1, &p.pkt);
		assert_int_equal(p.pkt.data[v6 ? 6 : 9], 17);
		if (v6)
			assert_int_equal(get16(p.pkt.data + 4), p.pkt.len - 40);
		else
			assert_int_equal(get16(p.pkt.data + 2), p.pkt.len);
		if (!v6)
			assert_int_equal(test_checksum(p.pkt.data, 20), 0);
		assert_int_equal(get16(p.pkt.data + at), SPORT);
		assert_int_equal(get16(p.pkt.data + at + 2), DPORT);
		assert_int_equal(get16(p.pkt.data + at + 4), p.pkt.len - at);
		assert_memory_equal(p.pkt.data + at + 8, "\0\0\x10\0\0\0\0\1", 8);
		if (v6) /* 0 is no checksum there */
			assert_int_equal(l4_sum(p.pkt.data, at, p.pkt.len - at, 17), 0xffff);
		else
			assert_int_equal(get16(p.pkt.data + at + 6), 0);
		assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
		assert_int_equal(p.pkt.len, sizeof(ip));
		assert_memory_equal(p.pkt.data, ip, sizeof(ip));
		test_sa_stop(&t);
	}
}

/* Section 2.1: whatever stands in the checksum, right, wrong or nothing. */
static void receivers_do_not_depend_on_the_udp_checksum(void **state)
{
	static const uint16_t sums[] = {0, 0xffff, 0x1234, 1};
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[60];

	for (int v6 = 0; v6 < 2; v6++) {
		udp_sa(&t, v6 ? XI_IPV6 : XI_IPV4, false);
		for (size_t i = 0; i < 4; i++) {
			test_inner4(ip, sizeof(ip), 0);
			test_pkt_set(&p, ip, sizeof(ip));
			seal(&t, i + 1, &p.pkt);
			put16(p.pkt.data + (v6 ? 46 : 26), sums[i]);
			assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
			assert_memory_equal(p.pkt.data, ip, sizeof(ip));
		}
		test_sa_stop(&t);
	}
}

/* An upper protocol's checksum as its sender made it: between other addresses than the NAT shows.
 */
static void transport_packet(uint8_t *ip, bool v6, uint8_t proto, size_t len, bool summed)
{
	size_t at = v6 ? 40 : 20, sum_at = at + (proto == 6 ? 16 : 6);
	uint16_t sum;

	if (v6)
		test_inner6(ip, (uint16_t)len, 0);
	else
		test_inner4(ip, (uint16_t)len, 0);
	for (size_t i = at; i < len; i++)
		ip[i] = (uint8_t)(i * 29 + 1);
	ip[v6 ? 6 : 9] = proto;
	if (proto == 17)
		put16(ip + at + 4, len - at);
	put16(ip + sum_at, 0);
	sum = (uint16_t)~l4_sum(ip, at, len - at, proto);
	put16(ip + sum_at, !summed ? 0 : sum ? sum : 0xffff);
	if (!v6) {
		put16(ip + 10, 0);
		put16(ip + 10, test_checksum(ip, 20));
	}
}

/* What a NAT does to the outer header. */
static void translate(uint8_t *ip, bool v6)
{
	ip[v6 ? 23 : 15] ^= 0x55;
	ip[v6 ? 20 : 13] ^= 0x0f;
	if (v6)
		return;
	put16(ip + 10, 0);
	put16(ip + 10, test_checksum(ip, 20));
}

/* Section 3.1.2, second way: the checksum of TCP and UDP is made anew; UDP without one keeps none.
 */
static void checksums_behind_a_nat_are_made_anew(void **state)
{
	static const struct {
		uint8_t proto;
		bool v6, summed;
	} cases[] = {{6, false, true},
		     {17, false, true},
		     {17, false, false},
		     {6, true, true},
		     {17, true, true}};
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[200];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t at = cases[i].v6 ? 40 : 20, sum_at = at + (cases[i].proto == 6 ? 16 : 6);

		udp_sa(&t, cases[i].v6 ? XI_IPV6 : XI_IPV4, true);
		for (size_t len = 100; len < 120; len++) {
			transport_packet(ip, cases[i].v6, cases[i].proto, len, cases[i].summed);
			test_pkt_set(&p, ip, len);
			seal(&t, len, &p.pkt);
			translate(p.pkt.data, cases[i].v6);
			assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
			assert_int_equal(p.pkt.len, len);
			assert_int_equal(p.pkt.data[cases[i].v6 ? 6 : 9], cases[i].proto);
			assert_memory_not_equal(p.pkt.data + (cases[i].v6 ? 8 : 12),
						ip + (cases[i].v6 ? 8 : 12), 4 + 12 * cases[i].v6);
			if (cases[i].summed)
				assert_int_equal(l4_sum(p.pkt.data, at, len - at, cases[i].proto),
						 0xffff);
			else
				assert_int_equal(get16(p.pkt.data + sum_at), 0);
			put16(p.pkt.data + sum_at, get16(ip + sum_at));
			assert_memory_equal(p.pkt.data + at, ip + at, len - at);
		}
		test_sa_stop(&t);
	}
}

/* RFC 768: a checksum that comes out as 0 is sent as 0xffff, for 0 is none. */
static void a_checksum_of_0_is_not_none(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[100];

	for (int v6 = 0; v6 < 2; v6++) {
		size_t at = v6 ? 40 : 20;

		udp_sa(&t, v6 ? XI_IPV6 : XI_IPV4, true);
		transport_packet(ip, v6, 17, sizeof(ip), false);
		translate(ip, v6);
		put16(ip + at + 10, 0);
		put16(ip + at + 10, 0xffff - l4_sum(ip, at, sizeof(ip) - at, 17));
		translate(ip, v6);     /* back */
		put16(ip + at + 6, 1); /* of other addresses; there is one */
		test_pkt_set(&p, ip, sizeof(ip));
		seal(&t, 1, &p.pkt);
		translate(p.pkt.data, v6);
		assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
		assert_int_equal(get16(p.pkt.data + at + 6), 0xffff);
		test_sa_stop(&t);
	}
}

/* In tunnel mode the inner packet has its own addresses, and nothing of it is touched. */
static void tunnels_leave_inner_checksums_alone(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[101];

	udp_sa(&t, XI_IPV4, false);
	transport_packet(ip, false, 6, sizeof(ip), true);
	ip[36] ^= 0x40; /* wrong already: that is for the host inside to find */
	test_pkt_set(&p, ip, sizeof(ip));
	seal(&t, 1, &p.pkt);
	translate(p.pkt.data, false);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_NONE);
	assert_memory_equal(p.pkt.data, ip, sizeof(ip));
	test_sa_stop(&t);
}

/* An SA is of UDP encapsulation or it is not. */
static void encapsulation_is_what_the_sa_says(void **state)
{
	static struct test_sa t, plain;
	static struct test_pkt p;
	uint8_t ip[60];

	udp_sa(&t, XI_IPV4, false);
	test_sa_default(&plain, XI_IPV4);
	test_sa_start(&plain, NULL);
	test_inner4(ip, sizeof(ip), 0);
	test_pkt_set(&p, ip, sizeof(ip));
	seal(&plain, 1, &p.pkt);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_DROP_SA_MODE);
	test_pkt_set(&p, ip, sizeof(ip));
	seal(&t, 1, &p.pkt);
	assert_int_equal(test_open(&plain, &p.pkt, NULL), XI_DROP_SA_MODE);
	test_sa_stop(&plain);
	test_sa_stop(&t);
}

/* Lengths that UDP may have and those that it may not. */
static void the_length_of_udp_is_minded(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	uint8_t ip[60];

	udp_sa(&t, XI_IPV4, false);
	for (int skew = -60; skew <= 20; skew++) {
		uint32_t len;

		test_inner4(ip, sizeof(ip), 0);
		test_pkt_set(&p, ip, sizeof(ip));
		seal(&t, (uint64_t)(skew + 100), &p.pkt);
		len = get16(p.pkt.data + 24);
		p.pkt.len += 16; /* bytes of the IP packet behind the datagram */
		put16(p.pkt.data + 2, p.pkt.len);
		put16(p.pkt.data + 24, len + (uint32_t)skew);
		assert_int_equal(test_open(&t, &p.pkt, NULL), skew > 16 ? XI_DROP_WORKER_MALFORMED
							      : len + (uint32_t)skew < 42
								      ? XI_DROP_SHORT
							      : skew ? XI_DROP_ICV
								     : XI_NONE);
	}
	test_pkt_set(&p, ip, sizeof(ip));
	seal(&t, 200, &p.pkt);
	put16(p.pkt.data + 24, 7);
	assert_int_equal(test_open(&t, &p.pkt, NULL), XI_DROP_WORKER_MALFORMED);
	test_sa_stop(&t);
}

/* Section 4 of RFC 3947, 5 of this: seen from another address or port, and only once that is
 * verified. */
static void a_peer_that_moved_is_noticed(void **state)
{
	static struct test_sa t;
	static struct test_pkt p;
	struct xi_aead_job job;
	struct xi_esp_in in;
	uint8_t ip[60];

	for (int i = 0; i < 4; i++) {
		udp_sa(&t, XI_IPV4, false);
		test_inner4(ip, sizeof(ip), 0);
		test_pkt_set(&p, ip, sizeof(ip));
		seal(&t, 1, &p.pkt);
		if (i & 1)
			translate(p.pkt.data, false);
		if (i & 2)
			put16(p.pkt.data + 20, SPORT + 1);
		assert_int_equal(xi_esp_in_prepare(&t.ctx, &p.pkt, &job, &in), XI_NONE);
		assert_int_equal(!!in.moved, i != 0);
		assert_int_not_equal(in.verdict, XI_NONE); /* which whoever reports it asks first */
		test_sa_stop(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_udp_header_is_in_its_place),
		cmocka_unit_test(receivers_do_not_depend_on_the_udp_checksum),
		cmocka_unit_test(checksums_behind_a_nat_are_made_anew),
		cmocka_unit_test(a_checksum_of_0_is_not_none),
		cmocka_unit_test(tunnels_leave_inner_checksums_alone),
		cmocka_unit_test(encapsulation_is_what_the_sa_says),
		cmocka_unit_test(the_length_of_udp_is_minded),
		cmocka_unit_test(a_peer_that_moved_is_noticed),
	};

	return cmocka_run_group_tests_name("rfc3948", tests, NULL, NULL);
}
