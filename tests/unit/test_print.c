/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How the tool prints replies for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "control/print.h"

static void assert_printed(void (*print)(FILE *, const json_t *), const char *json,
			   const char *want)
{
	json_error_t error;
	json_t *reply = json_loads(json, 0, &error);
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	if (!reply)
		fail_msg("test's own JSON: %s at %d", error.text, error.position);
	print(out, reply);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
	json_decref(reply);
}

static void print_what_waits(FILE *out, const json_t *reply)
{
	xi_print_waiting(out, reply, "");
	xi_print_acquires(out, reply);
}

static void test_show_for_people(void **state)
{
	assert_printed(
		xi_print_show,
		"{\"daemon\": {\"version\": \"1.2\", \"pid\": 77, \"uptime\": 7500, \"engine\": "
		"\"ipsec-mb\","
		"  \"workers\": 1, \"ports\": [{\"name\": \"wan0\", \"role\": \"cipher\", "
		"\"mode\": \"native\","
		"  \"queues\": 1}, {\"name\": \"lan0\", \"role\": \"plain\", \"mode\": \"skb\", "
		"\"ifindex\": 0, \"queues\": 4}], \"interfaces\": ["
		"{\"name\": \"ipsec1\", \"if_id\": 43, \"ifindex\": 7, \"up\": true},"
		"{\"name\": \"ipsec2\", \"if_id\": 2, \"ifindex\": 8, \"up\": false},"
		"{\"name\": \"ipsec3\", \"if_id\": 3, \"ifindex\": null, \"up\": false}]},"
		" \"cache\": {\"hits\": 312, \"misses\": 2, \"evictions\": 0, \"entries\": 1, "
		"\"capacity\": 1024},"
		" \"flows\": {\"hits\": 1, \"misses\": 1, \"evictions\": 1, \"entries\": 4, "
		"\"capacity\": 65536},"
		" \"sas\": [{\"spi\": \"0xc0000001\", \"src\": \"192.0.2.1\", \"dst\": "
		"\"198.51.100.2\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"out\", \"algorithm\": "
		"\"rfc4106(gcm(aes))\","
		"  \"key_bits\": 128, \"if_id\": 43, \"esn\": true, \"age\": 61, \"last_use\": 2, \"packets\": "
		"12, \"bytes\": 1536,"
		"  \"oseq\": 12, \"top\": 0, \"replay_window\": 1, \"cached\": null},"
		"  {\"spi\": \"0xc0000002\", \"src\": \"198.51.100.2\", \"dst\": \"192.0.2.1\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"in\", \"algorithm\": "
		"\"cbc(aes)\", \"integrity\": \"hmac(sha384)\", \"icv_bits\": 192,"
		"  \"key_bits\": 256, \"mark\": 5, \"mark_mask\": 4294967295, \"esn\": false, \"age\": 0, \"last_use\": null, "
		"\"packets\": 1, \"bytes\": 84,"
		"  \"oseq\": 0, \"top\": 1, \"replay_window\": 32, \"cached\": {\"method\": "
		"\"fast\", \"slot\": 3},"
		"  \"errors\": {\"replay\": 1, \"integrity\": 2, \"other\": 0}},"
		"  {\"spi\": \"0xc0000004\", \"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\","
		"  \"proto\": \"ah\", \"mode\": \"transport\", \"dir\": \"out\", \"algorithm\": "
		"\"none\", \"integrity\": \"cmac(aes)\", \"icv_bits\": 96, \"key_bits\": 0,"
		"  \"esn\": false, \"age\": 0, \"last_use\": null, \"packets\": 0, \"bytes\": 0,"
		"  \"oseq\": 0, \"top\": 0, \"replay_window\": 0, \"encap\": null, \"cached\": null},"
		"  {\"spi\": \"0xc0000005\", \"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\","
		"  \"proto\": \"esp\", \"mode\": \"tunnel\", \"dir\": \"out\", \"algorithm\": "
		"\"ecb(cipher_null)\", \"integrity\": \"hmac(sha256)\", \"icv_bits\": 128, \"key_bits\": 0,"
		"  \"esn\": false, \"age\": 0, \"last_use\": null, \"packets\": 0, \"bytes\": 0,"
		"  \"encap\": {\"type\": \"espinudp\", \"sport\": 4500, \"dport\": 40123},"
		"  \"tfcpad\": 1300, \"oseq\": 0, \"top\": 0, \"replay_window\": 0, \"cached\": null},"
		"  {\"spi\": \"0xc0000006\", \"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\","
		"  \"proto\": \"esp\", \"mode\": \"transport\", \"dir\": \"out\", \"algorithm\": "
		"\"rfc4309(ccm(aes))\", \"icv_bits\": 64, \"key_bits\": 256,"
		"  \"esn\": false, \"age\": 0, \"last_use\": null, \"packets\": 0, \"bytes\": 0,"
		"  \"oseq\": 0, \"top\": 0, \"replay_window\": 0, \"cached\": null},"
		"  {\"spi\": \"0xc0000003\", \"src\": \"198.51.100.2\", \"dst\": \"192.0.2.1\", "
		"\"proto\": \"esp\","
		"  \"dir\": null, \"larval\": true}],"
		" \"policies\": [{\"dir\": \"out\", \"action\": \"allow\", \"priority\": 100,"
		"  \"src\": \"10.1.0.0/16\", \"dst\": \"10.2.0.0/16\", \"proto\": 6, \"sport\": "
		"null, \"dport\": 80, \"mark\": 5, \"mark_mask\": 255, \"if_id\": 43,"
		"  \"templates\": [{\"src\": \"192.0.2.1\", \"dst\": \"198.51.100.2\", \"proto\": "
		"\"esp\","
		"  \"mode\": \"tunnel\", \"spi\": null, \"reqid\": 42, \"optional\": false}]},"
		"  {\"dir\": \"in\", \"action\": \"block\", \"priority\": 0, \"src\": \"any\", "
		"\"dst\": \"any\","
		"  \"proto\": 0, \"sport\": null, \"dport\": null, \"templates\": []}],"
		" \"held\": {\"sas\": 3, \"max_sas\": 65536, \"policies\": 2, \"max_policies\": 16384}}",
		"daemon: xipsecd 1.2, process 77, up 2 hours, 5 minutes\n"
		"  engine: ipsec-mb, 1 worker\n"
		"  port: wan0, cipher, native, 1 queue\n"
		"  port: lan0, plain, skb, 4 queues, the device is gone\n"
		"  interface: ipsec1, if_id 0x2b, up\n"
		"  interface: ipsec2, if_id 0x2, down\n"
		"  interface: ipsec3, if_id 0x3, the device is gone\n"
		"  held: 3 of 65536 SAs, 2 of 16384 policies\n"
		"  sa cache: 1 of 1024 SAs, 312 hits, 2 misses, 0 evictions\n"
		"  flow cache: 4 of 65536 flows, 1 hit, 1 miss, 1 eviction\n"
		"\n"
		"sa: esp 0xc0000001 out, 192.0.2.1 -> 198.51.100.2, if_id 0x2b\n"
		"  algorithm: rfc4106(gcm(aes)) 128, tunnel mode, esn\n"
		"  age: 1 minute, 1 second, last used 2 seconds ago\n"
		"  traffic: 12 packets, 1.50 KiB, sent up to number 12\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000002 in, 198.51.100.2 -> 192.0.2.1, mark 0x5\n"
		"  algorithm: cbc(aes) 256 with hmac(sha384) 192, tunnel mode, replay window 32\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 1 packet, 84 B, received up to number 1\n"
		"  cache: in the cache, fast, slot 3\n"
		"  refused: 1 replayed, 2 bad ICV, 0 other\n"
		"\n"
		"sa: ah 0xc0000004 out, 192.0.2.1 -> 198.51.100.2\n"
		"  algorithm: cmac(aes) 96, transport mode\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 0 packets, 0 B\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000005 out, 192.0.2.1 -> 198.51.100.2\n"
		"  algorithm: ecb(cipher_null) with hmac(sha256) 128, tunnel mode, espinudp 4500 -> 40123, padded up to 1300 bytes\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 0 packets, 0 B\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000006 out, 192.0.2.1 -> 198.51.100.2\n"
		"  algorithm: rfc4309(ccm(aes)) 256 with an ICV of 64, transport mode\n"
		"  age: 0 seconds, never used\n"
		"  traffic: 0 packets, 0 B\n"
		"  cache: not in the cache\n"
		"\n"
		"sa: esp 0xc0000003, 198.51.100.2 -> 192.0.2.1\n"
		"  larval: SPI allotted, no keys yet\n"
		"\n"
		"policy: out, 10.1.0.0/16 -> 10.2.0.0/16, tcp, dport 80, mark 0x5/0xff, if_id 0x2b: allow, priority 100\n"
		"  protect: esp tunnel, 192.0.2.1 -> 198.51.100.2, reqid 42\n"
		"\n"
		"policy: in, any -> any: block, priority 0\n");
}

static void test_drops_for_people(void **state)
{
#define DROPPED(json, line)                                                                         \
	assert_printed(xi_print_show, "{\"daemon\": {\"version\": \"1\", \"engine\": \"e\"}" json "}",     \
		       "daemon: xipsecd 1, process 0, up 0 seconds\n  engine: e, 0 workers\n" line      \
		       "  sa cache: 0 of 0 SAs, 0 hits, 0 misses, 0 evictions\n"                      \
		       "  flow cache: 0 of 0 flows, 0 hits, 0 misses, 0 evictions\n")
	DROPPED("", ""); /* a daemon that does not tell */
	DROPPED(", \"drops\": 0, \"drop_reasons\": {}", "  dropped: no packet\n");
	DROPPED(", \"drops\": 1, \"drop_reasons\": {\"replay\": 1}", "  dropped: 1 packet: 1 replay\n");
	DROPPED(", \"drops\": 16, \"drop_reasons\": {\"a\": 4, \"b\": 8, \"c\": 4}",
		"  dropped: 16 packets: 8 b, 4 a, 4 c\n");
	DROPPED(", \"drops\": 24, \"drop_reasons\": {\"a\": 3, \"b\": 1, \"c\": 9, \"d\": 4, \"e\": 7}",
		"  dropped: 24 packets: 9 c, 7 e, 4 d ...; xipsec stats has all\n");
#undef DROPPED
}

static void test_what_waits_for_people(void **state)
{
	assert_printed(
		print_what_waits,
		"{\"waiting\": {\"packets\": 1, \"key_manager\": true}, \"acquires\": [{\"seq\": 4,"
		"  \"src\": \"192.0.2.1\", \"dst\": \"192.0.2.2\", \"proto\": \"esp\","
		"  \"mode\": \"tunnel\", \"reqid\": 7, \"policy\": 9, \"flow\": {"
		"  \"src\": \"10.1.1.2\", \"dst\": \"10.1.2.2\", \"proto\": 17,"
		"  \"sport\": 5000, \"dport\": 53}, \"age\": 2, \"left\": 28}]}",
		"waiting: 1 packet for an SA; a key manager listens\n"
		"\n"
		"acquire: esp tunnel, 192.0.2.1 -> 192.0.2.2, reqid 7\n"
		"  for: 10.1.1.2 -> 10.1.2.2, udp\n"
		"  asked: 2 seconds ago, again in 28 seconds\n");
	assert_printed(print_what_waits,
		       "{\"waiting\": {\"packets\": 0, \"key_manager\": false}, \"acquires\": []}",
		       "waiting: 0 packets for an SA; no key manager listens\n");
}

static void test_stats_for_people_lists_only_what_happened(void **state)
{
	assert_printed(
		xi_print_stats,
		"{\"reasons\": {\"sa_hit\": 312, \"unknown_spi\": 10, \"icv_bad\": 0, "
		"\"from_tomorrow\": 1},"
		" \"drops\": 10,"
		" \"cache\": {\"hits\": 312, \"misses\": 2, \"evictions\": 0, \"entries\": 1, "
		"\"capacity\": 1024},"
		" \"flows\": {\"hits\": 0, \"misses\": 0, \"evictions\": 0, \"entries\": 0, "
		"\"capacity\": 64},"
		" \"sa_table\": {\"methods\": {\"fast\": 3, \"slow\": 4, \"kernel\": 0, \"drop\": 1},"
		" \"hits_per_million\": 987654, \"evicted\": {\"admission\": 5, \"kernel\": 6,"
		" \"deleted\": 7, \"changed\": 8}, \"refused\": 9, \"unproven\": 10},"
		" \"misses\": {\"sent\": 20, \"lost\": 1, \"repeated\": 2, \"limited\": 3, \"stale\": 4,"
		" \"latency\": {\"sa\": {\"count\": 9, \"p50_ns\": 999, \"p99_ns\": 39000,"
		" \"p999_ns\": 1250000, \"max_ns\": 2000000000}, \"flow\": {\"count\": 0}}}}",
		"sa cache: 1 of 1024 SAs, 312 hits, 2 misses, 0 evictions\n"
		"flow cache: 0 of 64 flows, 0 hits, 0 misses, 0 evictions\n"
		"sa methods: 3 fast, 4 slow, 0 kernel, 1 drop; 98.77 % of packets fast\n"
		"sa evictions: 5 for others, 6 by the kernel, 7 deleted, 8 changed; 9 refused, 10 unproven\n"
		"miss messages: 20 sent, 1 lost, 5 held back, 4 stale\n"
		"  SAs: half answered in 999 ns, 99 % in 39.0 us, 99.9 % in 1.2 ms, all in 2.0 s\n"
		"dropped: 10\n"
		"            10  unknown_spi        no SA for this destination and SPI\n"
		"events:\n"
		"           312  sa_hit             inbound packet whose SA was in sa_cache\n"
		"             1  from_tomorrow      (this tool does not know it)\n");
}

static void test_cache_for_people(void **state)
{
	assert_printed(
		xi_print_cache,
		"{\"cache\": {\"hits\": 3, \"misses\": 1, \"evictions\": 0, \"entries\": 1, "
		"\"capacity\": 16},"
		" \"flows\": {\"hits\": 0, \"misses\": 1, \"evictions\": 0, \"entries\": 2, "
		"\"capacity\": 64},"
		" \"cached_sas\": [{\"spi\": \"0x00001001\", \"dst\": \"192.0.2.1\", \"proto\": "
		"\"esp\","
		"  \"handle\": \"0x00100001\", \"method\": \"fast\", \"slot\": 6},"
		"  {\"spi\": \"0x00001002\", \"dst\": \"192.0.2.1\", \"proto\": \"ah\","
		"  \"handle\": \"0x00100002\", \"method\": \"drop\", \"slot\": null, \"why\": \"larval\","
		"  \"cached\": true, \"age\": 100, \"hits\": 34, \"uses\": 5, \"misses\": 2},"
		"  {\"spi\": \"0x00001003\", \"dst\": \"192.0.2.1\", \"proto\": \"esp\","
		"  \"handle\": \"0x00100003\", \"method\": \"slow\", \"slot\": null, \"why\": \"refused\","
		"  \"cached\": true, \"age\": 1, \"hits\": 1, \"uses\": 1, \"misses\": 1},"
		"  {\"spi\": \"0x00001004\", \"dst\": \"192.0.2.1\", \"proto\": \"esp\","
		"  \"handle\": \"0x00100004\", \"method\": \"slow\", \"slot\": null, \"why\": \"not_asked\","
		"  \"cached\": false, \"age\": null, \"hits\": 0, \"uses\": 0, \"misses\": 0}],"
		" \"cached_flows\": [{\"dir\": \"out\", \"src\": \"10.1.0.0/16\", \"dst\": "
		"\"10.2.0.7/32\", \"proto\": 17,"
		"  \"sport\": \"0x400/0xfc00\", \"dport\": 53, \"fragment\": false, "
		"\"verdict\": \"protect\","
		"  \"handle\": \"0x00100002\", \"next_handle\": null, \"slot\": 7, \"next_slot\": "
		"null},"
		"  {\"dir\": \"out\", \"src\": \"10.1.0.5/32\", \"dst\": \"0.0.0.0/0\", \"proto\": 0, "
		"\"sport\": null,"
		"  \"dport\": null, \"fragment\": true, \"verdict\": \"bypass\", \"handle\": null}],"
		" \"truncated\": true}",
		"sa cache: 1 of 16 SAs, 3 hits, 1 miss, 0 evictions\n"
		"  esp 0x00001001 to 192.0.2.1, handle 0x00100001: fast, slot 6\n"
		"  ah 0x00001002 to 192.0.2.1, handle 0x00100002: drop for 1 minute, 40 seconds, "
		"34 packets, 5 of them not counted yet, asked 2 times; has no keys yet\n"
		"  esp 0x00001003 to 192.0.2.1, handle 0x00100003: slow for 1 second, "
		"1 packet, 1 of them not counted yet, asked 1 time; used less than the SAs that have a slot\n"
		"  esp 0x00001004 to 192.0.2.1, handle 0x00100004: slow; "
		"no packet of late has asked for it\n"
		"flow cache: 2 of 64 flows, 0 hits, 1 miss, 0 evictions\n"
		"  out 10.1.0.0/16 -> 10.2.0.7/32, udp, sport 0x400/0xfc00, dport 53: "
		"protect by 0x00100002, slot 7\n"
		"  out 10.1.0.5/32 -> 0.0.0.0/0, any, fragment: bypass\n"
		"(more of them not listed)\n");
}

static void test_port_for_people(void **state)
{
	assert_printed(
		xi_print_port,
		"{\"ports\": ["
		"{\"name\": \"wan0\", \"role\": \"cipher\", \"mode\": \"native\", \"attach\": "
		"\"netlink\", \"queues\": 2, \"mtu\": 1500, \"packet_max\": 3500,"
		" \"tx\": {\"configured\": \"auto\", \"path\": \"burst\", \"why\": \"the driver has "
		"no zero-copy, and the probe passed\", \"zerocopy\": false, \"paused\": true,"
		" \"burst_packets\": 1000, \"burst_lost\": 3, \"xsk_packets\": 12, \"pauses\": 1},"
		" \"device\": {\"xdp_xmit\": 997, \"xdp_xmit_errors\": 3}},"
		"{\"name\": \"lan0\", \"role\": \"plain\", \"mode\": \"skb\", \"attach\": "
		"\"link\", \"queues\": 1, \"mtu\": 9000, \"packet_max\": 9600,"
		" \"tx\": {\"configured\": \"xsk\", \"path\": \"xsk\", \"why\": \"\","
		" \"zerocopy\": false, \"paused\": false,"
		" \"burst_packets\": 0, \"burst_lost\": 0, \"xsk_packets\": 5, \"pauses\": 0},"
		" \"device\": {\"xdp_xmit\": 4, \"xdp_xmit_errors\": null}},"
		"{\"name\": \"lan1\", \"role\": \"plain\", \"mode\": \"native\", \"attach\": "
		"\"none\", \"ifindex\": 7, \"queues\": 1, \"mtu\": 1500, \"packet_max\": 3500,"
		" \"tx\": {\"configured\": \"burst\", \"path\": \"xsk\", \"why\": \"as it is\","
		" \"zerocopy\": true, \"paused\": false,"
		" \"burst_packets\": 0, \"burst_lost\": 0, \"xsk_packets\": 0, \"pauses\": 0},"
		" \"device\": null},"
		"{\"name\": \"lan2\", \"role\": \"plain\", \"mode\": \"native\", \"attach\": "
		"\"none\", \"ifindex\": 0, \"queues\": 1, \"mtu\": 1500, \"packet_max\": 3500,"
		" \"tx\": {\"configured\": \"burst\", \"path\": \"xsk\", \"why\": \"as it is\","
		" \"zerocopy\": true, \"paused\": false,"
		" \"burst_packets\": 0, \"burst_lost\": 0, \"xsk_packets\": 9, \"pauses\": 0},"
		" \"device\": null}]}",
		"port: wan0, cipher, native, attach netlink, 2 queues, mtu 1500, packets up to 3500\n"
		"  transmit: burst, configured auto, paused: xsk sends for now\n"
		"  why: the driver has no zero-copy, and the probe passed\n"
		"  sent: 1000 by burst, 3 of them lost, 12 by xsk, 1 pause\n"
		"  device: 997 xdp_xmit, 3 xdp_xmit_errors\n"
		"\n"
		"port: lan0, plain, skb, attach link, 1 queue, mtu 9000, packets up to 9600\n"
		"  transmit: xsk, copying, configured xsk\n"
		"  sent: 0 by burst, 0 of them lost, 5 by xsk, 0 pauses\n"
		"  device: 4 xdp_xmit\n"
		"\n"
		"port: lan1, plain, native, attach none, 1 queue, mtu 1500, packets up to 3500\n"
		"  transmit: xsk, zero-copy, configured burst\n"
		"  why: as it is\n"
		"  sent: 0 by burst, 0 of them lost, 0 by xsk, 0 pauses\n"
		"\n"
		"port: lan2, plain, native, attach none, 1 queue, mtu 1500, packets up to 3500\n"
		"  the device is gone: nothing goes that way until there is one of this name\n"
		"  sent: 0 by burst, 0 of them lost, 9 by xsk, 0 pauses\n");
}

static void test_printing_survives_a_reply_of_another_shape(void **state)
{
	static const char *const replies[] = {
		"{}",
		"{\"sas\": 7, \"daemon\": [], \"policies\": {}, \"reasons\": [1], \"cached_sas\": "
		"\"x\"}",
		"{\"sas\": [1, null, {}], \"policies\": [[], {\"templates\": [3]}], \"reasons\": "
		"{\"a\": \"b\"},"
		" \"cached_sas\": [{}], \"cached_flows\": [null, {}], \"daemon\": {\"ports\": "
		"[null]}, \"ports\": [null, {\"tx\": 7, \"device\": {}}]}",
	};
	size_t len;
	char *text;

	for (size_t i = 0; i < 3; i++) {
		json_t *reply = json_loads(replies[i], 0, NULL);
		FILE *out = open_memstream(&text, &len);

		xi_print_show(out, reply);
		xi_print_stats(out, reply);
		xi_print_cache(out, reply);
		xi_print_port(out, reply);
		xi_print_routes(out, reply);
		fclose(out);
		assert_true(len > 0);
		free(text);
		json_decref(reply);
	}
}

static void test_routes_for_people(void **state)
{
	assert_printed(
		xi_print_routes,
		"{\"table\": 50051, \"priority\": 210, \"via\": 2, \"thrown\": 1, \"waiting\": 1, \"changes\": 9,"
		" \"refused\": 3, \"restored\": 2, \"busy\": true, \"routes\": ["
		"{\"dst\": \"10.1.2.0/24\", \"type\": \"xipsec0\", \"src\": \"10.1.1.1\"},"
		"{\"dst\": \"::/0\", \"type\": \"xipsec0\", \"src\": null},"
		"{\"dst\": \"192.0.2.2/32\", \"type\": \"throw\", \"src\": null},"
		"{\"dst\": \"10.9.0.0/16\", \"type\": \"waiting\", \"src\": null}]}",
		"table: 50051, rules of priority 210 to 212\n"
		"  2 routes to xipsec0, 1 thrown back to other tables, 1 waiting; changes are under way\n"
		"  3 refused by the kernel and tried again, 2 removed by others and put back\n"
		"10.1.2.0/24 dev xipsec0 src 10.1.1.1\n"
		"::/0 dev xipsec0\n"
		"throw 192.0.2.2/32\n"
		"10.9.0.0/16 waits: no address of this host is in the source of its policies\n");
	assert_printed(xi_print_routes, "{\"table\": null, \"routes\": []}",
		       "none are made: set routes = yes in [daemon]\n");
}

static void test_durations_and_bytes(void **state)
{
	char text[XI_TEXT_MAX];

	assert_string_equal(xi_text_duration(text, 0), "0 seconds");
	assert_string_equal(xi_text_duration(text, 1), "1 second");
	assert_string_equal(xi_text_duration(text, 3600), "1 hour");
	assert_string_equal(xi_text_duration(text, 3601), "1 hour");
	assert_string_equal(xi_text_duration(text, 86400 + 7200), "1 day, 2 hours");
	assert_string_equal(xi_text_duration(text, UINT64_MAX), "213503982334601 days, 7 hours");
	assert_string_equal(xi_text_bytes(text, 1023), "1023 B");
	assert_string_equal(xi_text_bytes(text, 1024), "1.00 KiB");
	assert_string_equal(xi_text_bytes(text, 5ULL << 30), "5.00 GiB");
	assert_string_equal(xi_text_bytes(text, UINT64_MAX), "16.00 EiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_show_for_people),
		cmocka_unit_test(test_drops_for_people),
		cmocka_unit_test(test_what_waits_for_people),
		cmocka_unit_test(test_stats_for_people_lists_only_what_happened),
		cmocka_unit_test(test_cache_for_people),
		cmocka_unit_test(test_port_for_people),
		cmocka_unit_test(test_routes_for_people),
		cmocka_unit_test(test_printing_survives_a_reply_of_another_shape),
		cmocka_unit_test(test_durations_and_bytes),
	};

	return cmocka_run_group_tests_name("print", tests, NULL, NULL);
}
