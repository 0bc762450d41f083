/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mem_store.h"
#include "sad/selector.h"

/* The copy ends where the packet ends, so that sanitizers see every byte read too many. */
static int parse(struct xi_flow *flow, const uint8_t *pkt, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	int err;

	memset(flow, 0, sizeof(*flow));
	memcpy(exact, pkt, len);
	err = xi_flow_parse(flow, exact, len);
	free(exact);
	return err;
}

static size_t ipv4(uint8_t *pkt, unsigned int hlen, uint8_t proto, uint16_t frag, const uint8_t *l4, size_t len)
{
	size_t total = hlen + len;

	memset(pkt, 1, hlen);        /* options: no-operation */
	pkt[0] = 0x40 | hlen / 4;
	pkt[2] = total >> 8;
	pkt[3] = total;
	pkt[6] = frag >> 8;
	pkt[7] = frag;
	pkt[9] = proto;
	memcpy(pkt + 12, "\xc0\x00\x02\x01\xc6\x33\x64\x02", 8);
	memcpy(pkt + hlen, l4, len);
	return total;
}

static size_t ipv6(uint8_t *pkt, uint8_t next, const uint8_t *payload, size_t len)
{
	memset(pkt, 0, 40);
	pkt[0] = 0x60;
	pkt[4] = len >> 8;
	pkt[5] = len;
	pkt[6] = next;
	pkt[8] = 0x20;
	pkt[9] = 0x01;
	pkt[23] = 1;
	pkt[24] = 0x20;
	pkt[25] = 0x02;
	pkt[39] = 2;
	memcpy(pkt + 40, payload, len);
	return 40 + len;
}

static const uint8_t ports[8] = { 0x12, 0x34, 0x00, 0x50, 0, 8, 0, 0 };

static void ipv4_ports(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP, IPPROTO_UDPLITE };
	struct xi_flow flow;
	uint8_t pkt[128];
	unsigned int i, hlen;
	size_t len;

	for (i = 0; i < sizeof(protos); i++) {
		for (hlen = 20; hlen <= 60; hlen += 4) {
			len = ipv4(pkt, hlen, protos[i], 0, ports, sizeof(ports));
			assert_int_equal(parse(&flow, pkt, len), 0);
			assert_int_equal(flow.family, XI_IPV4);
			assert_int_equal(flow.proto, protos[i]);
			assert_int_equal(flow.sport, 0x1234);
			assert_int_equal(flow.dport, 80);
			assert_int_equal(flow.fragment, 0);
			assert_memory_equal(flow.saddr, "\xc0\x00\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0", 16);
			assert_memory_equal(flow.daddr, "\xc6\x33\x64\x02\0\0\0\0\0\0\0\0\0\0\0\0", 16);
		}
	}
}

static void icmp_type_and_code(void **state)
{
	static const uint8_t unreachable[8] = { 3, 4 };
	struct xi_flow flow;
	uint8_t pkt[128];
	size_t len = ipv4(pkt, 20, IPPROTO_ICMP, 0, unreachable, 8);

	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.sport, 3);
	assert_int_equal(flow.dport, 4);
	len = ipv6(pkt, IPPROTO_ICMPV6, (const uint8_t *)"\x87\x01\0\0", 4);
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.sport, 135);
	assert_int_equal(flow.dport, 1);
	len = ipv6(pkt, 135, (const uint8_t *)"\x3b\0\x05\0\0\0\0\0", 8);
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.sport, 5);
	assert_int_equal(flow.dport, 0);
}

static void protocols_without_ports(void **state)
{
	struct xi_flow flow;
	uint8_t pkt[128];
	size_t len = ipv4(pkt, 20, IPPROTO_ESP, 0, ports, sizeof(ports));

	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.proto, IPPROTO_ESP);
	assert_int_equal(flow.sport, 0);
	len = ipv4(pkt, 20, IPPROTO_GRE, 0, ports, 0);
	assert_int_equal(parse(&flow, pkt, len), 0);
}

static void ipv4_fragments(void **state)
{
	struct xi_flow flow;
	uint8_t pkt[128];
	size_t len = ipv4(pkt, 20, IPPROTO_UDP, 0x2000, ports, sizeof(ports));

	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.fragment, 0);
	assert_int_equal(flow.dport, 80);
	len = ipv4(pkt, 20, IPPROTO_UDP, 0x2001, ports, sizeof(ports));
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.fragment, 1);
	assert_int_equal(flow.sport, 0);
	assert_int_equal(flow.dport, 0);
	assert_int_equal(flow.proto, IPPROTO_UDP);
	len = ipv4(pkt, 20, IPPROTO_UDP, 0x0001, ports, 0);
	assert_int_equal(parse(&flow, pkt, len), 0);
}

static void ipv6_extension_headers(void **state)
{
	static const uint8_t chain[] = {
		IPPROTO_ROUTING, 0, 1, 4, 0, 0, 0, 0,                 /* hop by hop */
		IPPROTO_DSTOPTS, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* routing, 16 bytes */
		IPPROTO_FRAGMENT, 0, 1, 4, 0, 0, 0, 0,                /* destination options */
		IPPROTO_TCP, 0, 0x00, 0x01, 0, 0, 0, 7,               /* fragment, first */
		0x12, 0x34, 0x00, 0x50,
	};
	struct xi_flow flow;
	uint8_t pkt[128];
	size_t len = ipv6(pkt, IPPROTO_HOPOPTS, chain, sizeof(chain)), cut;

	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.family, XI_IPV6);
	assert_int_equal(flow.proto, IPPROTO_TCP);
	assert_int_equal(flow.sport, 0x1234);
	assert_int_equal(flow.dport, 80);
	assert_int_equal(flow.fragment, 0);
	assert_int_equal(flow.saddr[0], 0x20);
	assert_int_equal(flow.daddr[15], 2);
	pkt[40 + 32 + 3] = 0x09;     /* offset 1, more */
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_int_equal(flow.fragment, 1);
	assert_int_equal(flow.proto, IPPROTO_TCP);
	assert_int_equal(flow.sport, 0);
	pkt[40 + 32 + 3] = 0x01;
	for (cut = 0; cut < sizeof(chain); cut++) {
		len = ipv6(pkt, IPPROTO_HOPOPTS, chain, cut);
		assert_int_equal(parse(&flow, pkt, len), -EINVAL);
	}
}

static void endless_extension_headers_are_refused(void **state)
{
	uint8_t chain[64 * 8] = { 0 }, pkt[1024];
	struct xi_flow flow;
	size_t len;

	len = ipv6(pkt, IPPROTO_HOPOPTS, chain, sizeof(chain));
	assert_int_equal(parse(&flow, pkt, len), -EINVAL);
}

static void truncated_packets_are_refused(void **state)
{
	struct xi_flow flow;
	uint8_t pkt[128];
	size_t len = ipv4(pkt, 24, IPPROTO_TCP, 0, ports, 8), cut;

	for (cut = 0; cut < len; cut++)
		assert_int_equal(parse(&flow, pkt, cut), -EINVAL);
	len = ipv6(pkt, IPPROTO_UDP, ports, 8);
	for (cut = 0; cut < len; cut++)
		assert_int_equal(parse(&flow, pkt, cut), -EINVAL);
	len = ipv4(pkt, 20, IPPROTO_TCP, 0, ports, 3);
	assert_int_equal(parse(&flow, pkt, len), -EINVAL);
	len = ipv4(pkt, 20, IPPROTO_ICMP, 0, ports, 1);
	assert_int_equal(parse(&flow, pkt, len), -EINVAL);
	ipv4(pkt, 20, IPPROTO_TCP, 0, ports, 8);
	pkt[0] = 0x44;
	assert_int_equal(parse(&flow, pkt, 28), -EINVAL);
	pkt[0] = 0x55;
	assert_int_equal(parse(&flow, pkt, 28), -EINVAL);
	ipv4(pkt, 20, IPPROTO_TCP, 0, ports, 8);
	pkt[3] = 19;
	assert_int_equal(parse(&flow, pkt, 28), -EINVAL);
}

/* The packet may be followed by padding of the link. */
static void bytes_behind_the_packet_do_not_count(void **state)
{
	struct xi_flow flow;
	uint8_t pkt[128];
	size_t len = ipv4(pkt, 20, IPPROTO_TCP, 0, ports, 2);

	assert_int_equal(parse(&flow, pkt, len + 20), -EINVAL);
	len = ipv4(pkt, 20, IPPROTO_TCP, 0, ports, 8);
	assert_int_equal(parse(&flow, pkt, len + 20), 0);
}

/* Bit by bit, the other way of saying it. */
static bool prefix_equal_slowly(const uint8_t *a, const uint8_t *b, unsigned int plen)
{
	unsigned int i;

	for (i = 0; i < plen; i++)
		if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8)) & 1)
			return false;
	return true;
}

/* Whatever is changed in a packet of a flow: when it is said to go on, parsing says so too. */
static void assert_sure(const uint8_t *pkt, size_t len, size_t headers)
{
	struct xi_flow flow, other;
	uint8_t changed[128];
	unsigned int bit, noes = 0;

	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_true(xi_flow_goes_on(&flow, pkt, len));
	for (bit = 0; bit < headers * 8; bit++) {
		memcpy(changed, pkt, len);
		changed[bit / 8] ^= 1 << bit % 8;
		if (!xi_flow_goes_on(&flow, changed, len)) {
			noes++;
			continue;
		}
		/* lengths that do not fit have been found before */
		if (!parse(&other, changed, len))
			assert_memory_equal(&flow, &other, sizeof(flow));
	}
	/* addresses, ports and protocol at least */
	assert_true(noes >= (pkt[0] >> 4 == 4 ? 64 : 256) + 32 + 8);
}

static void a_flow_goes_on_only_in_its_own_packets(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	uint8_t pkt[128];
	unsigned int i;
	size_t len;

	for (i = 0; i < sizeof(protos); i++) {
		len = ipv4(pkt, 20, protos[i], 0x4000, ports, sizeof(ports));
		assert_sure(pkt, len, 28);
		len = ipv6(pkt, protos[i], ports, sizeof(ports));
		assert_sure(pkt, len, 48);
	}
}

/* ICMP, fragments, options, extension headers, packets without ports: look closer. */
static void other_packets_never_go_on_unparsed(void **state)
{
	static const uint8_t dstopts[16] = { IPPROTO_UDP, 0, 1,	   4,	 0, 0,
					     0,		  0, 0x12, 0x34, 0, 0x50 };
	struct xi_flow flow;
	uint8_t pkt[128];
	size_t len;

	len = ipv4(pkt, 20, IPPROTO_ICMP, 0, ports, sizeof(ports));
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_false(xi_flow_goes_on(&flow, pkt, len));
	len = ipv4(pkt, 20, IPPROTO_UDP, 0x0001, ports, sizeof(ports));
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_false(xi_flow_goes_on(&flow, pkt, len));
	len = ipv4(pkt, 24, IPPROTO_UDP, 0, ports, sizeof(ports));
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_false(xi_flow_goes_on(&flow, pkt, len));
	len = ipv6(pkt, IPPROTO_DSTOPTS, dstopts, sizeof(dstopts));
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_false(xi_flow_goes_on(&flow, pkt, len));
	len = ipv4(pkt, 20, IPPROTO_UDP, 0, ports, sizeof(ports));
	assert_int_equal(parse(&flow, pkt, len), 0);
	assert_false(xi_flow_goes_on(&flow, pkt, 23));
}

static void prefixes_of_every_length(void **state)
{
	uint8_t a[16], b[16], masked[16];
	unsigned int plen, bit, i;

	for (i = 0; i < 16; i++)
		a[i] = 0x35 * (i + 1);
	for (plen = 0; plen <= 128; plen++) {
		xi_prefix_mask(masked, a, plen);
		for (bit = 0; bit < 128; bit++) {
			memcpy(b, a, 16);
			b[bit / 8] ^= 0x80 >> bit % 8;
			assert_int_equal(xi_prefix_equal(a, b, plen), prefix_equal_slowly(a, b, plen));
			assert_int_equal(masked[bit / 8] >> (7 - bit % 8) & 1,
					 bit < plen ? a[bit / 8] >> (7 - bit % 8) & 1 : 0);
		}
		xi_prefix_mask(a, a, 128);
	}
}

static struct xi_selector selector(const char *saddr, uint8_t plen_s, const char *daddr, uint8_t plen_d)
{
	struct xi_selector sel = { .prefixlen_s = plen_s, .prefixlen_d = plen_d };

	sel.family = sample_addr(sel.saddr, saddr);
	sample_addr(sel.daddr, daddr);
	return sel;
}

static struct xi_flow flow_of(const char *saddr, const char *daddr, uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct xi_flow flow = { .proto = proto, .sport = sport, .dport = dport };

	flow.family = sample_addr(flow.saddr, saddr);
	sample_addr(flow.daddr, daddr);
	return flow;
}

static void selectors_match_prefixes_and_family(void **state)
{
	struct xi_selector v4 = selector("10.1.0.0", 16, "10.2.3.0", 25);
	struct xi_selector v6 = selector("2001:db8:1::", 48, "2001:db8:2:8000::", 49), any = { 0 };
	struct xi_flow flow;

	flow = flow_of("10.1.255.9", "10.2.3.127", 6, 1, 2);
	assert_true(xi_selector_matches(&v4, &flow));
	assert_true(xi_selector_matches(&any, &flow));
	assert_false(xi_selector_matches(&v6, &flow));
	flow = flow_of("10.1.255.9", "10.2.3.128", 6, 1, 2);
	assert_false(xi_selector_matches(&v4, &flow));
	flow = flow_of("10.0.255.9", "10.2.3.1", 6, 1, 2);
	assert_false(xi_selector_matches(&v4, &flow));
	flow = flow_of("2001:db8:1:2::1", "2001:db8:2:ffff::1", 6, 1, 2);
	assert_true(xi_selector_matches(&v6, &flow));
	flow = flow_of("2001:db8:1:2::1", "2001:db8:2:7fff::1", 6, 1, 2);
	assert_false(xi_selector_matches(&v6, &flow));
	v4 = selector("0.0.0.0", 0, "0.0.0.0", 0);
	assert_false(xi_selector_matches(&v4, &flow));
	any.ifindex = 3;
	assert_false(xi_selector_matches(&any, &flow));
}

static void selectors_match_protocol_and_ports(void **state)
{
	struct xi_selector sel = selector("0.0.0.0", 0, "0.0.0.0", 0);
	struct xi_flow web = flow_of("10.0.0.1", "10.0.0.2", 6, 40000, 443), rest = web, udp = web;

	udp.proto = 17;
	rest.sport = rest.dport = 0;
	rest.fragment = 1;
	sel.proto = 6;
	assert_true(xi_selector_matches(&sel, &web));
	assert_false(xi_selector_matches(&sel, &udp));
	assert_true(xi_selector_matches(&sel, &rest));
	sel.dport = 443;
	sel.dport_mask = 0xffff;
	assert_true(xi_selector_matches(&sel, &web));
	assert_false(xi_selector_matches(&sel, &rest));
	sel.dport = 0x100;           /* 256 to 511 */
	sel.dport_mask = 0xff00;
	assert_true(xi_selector_matches(&sel, &web));
	web.dport = 512;
	assert_false(xi_selector_matches(&sel, &web));
	sel.dport = sel.dport_mask = 0;
	sel.sport = 40000;
	sel.sport_mask = 0xffff;
	assert_true(xi_selector_matches(&sel, &web));
	sel.sport = 0;               /* port 0 exactly: still a port */
	assert_false(xi_selector_matches(&sel, &web));
	assert_false(xi_selector_matches(&sel, &rest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_ports),
		cmocka_unit_test(icmp_type_and_code),
		cmocka_unit_test(protocols_without_ports),
		cmocka_unit_test(ipv4_fragments),
		cmocka_unit_test(ipv6_extension_headers),
		cmocka_unit_test(endless_extension_headers_are_refused),
		cmocka_unit_test(truncated_packets_are_refused),
		cmocka_unit_test(bytes_behind_the_packet_do_not_count),
		cmocka_unit_test(a_flow_goes_on_only_in_its_own_packets),
		cmocka_unit_test(other_packets_never_go_on_unparsed),
		cmocka_unit_test(prefixes_of_every_length),
		cmocka_unit_test(selectors_match_prefixes_and_family),
		cmocka_unit_test(selectors_match_protocol_and_ports),
	};

	return cmocka_run_group_tests_name("selector", tests, NULL, NULL);
}
