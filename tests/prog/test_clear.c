/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every verdict of xdp_cipher about what is neither ESP nor AH. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "cipher_bed.h"

#define MISS(h) META(.handle = (h), .flags = XI_META_MISS)

#define UDP4(...)                                                                                  \
	{                                                                                          \
		.src = "10.2.0.9", .dst = "10.1.0.1", .proto = IPPROTO_UDP, .sport = 500,          \
		__VA_ARGS__                                                                        \
	}
#define UDP6(...)                                                                                  \
	{                                                                                          \
		.src = "fd02::9", .dst = "fd01::1", .proto = IPPROTO_UDP, .sport = 500,            \
		__VA_ARGS__                                                                        \
	}
#define ND(t, d, h)                                                                                \
	{                                                                                          \
		.src = "fd02::9", .dst = d, .proto = IPPROTO_ICMPV6, .sport = t, .hops = h,        \
		.payload_len = 16                                                                  \
	}

static void local_v6(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_local(bed, "fd01::1");
	xi_bed_worker(bed, false);
}

static void guard_all_v6(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_guard(bed, 4, XI_IN, "::/0", "::/0");
	local_v6(bed, spec);
}

/*
 * Of the host itself; the policy of the bed covers every one of these. Without a worker what is
 * judged is dropped.
 */
/* clang-format off */
static const struct xi_case exempt_cases[] = {
	{"IKE", UDP4(.dport = 500, .payload_len = 28), no_worker, XDP_PASS, {XI_PASS_IKE}},
	{"IKE, IPv6", UDP6(.dport = 500, .payload_len = 28), local_v6, XDP_PASS, {XI_PASS_IKE}},
	{"IKE of somebody else", UDP4(.dst = "10.1.0.9", .dport = 500), no_worker, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"other UDP to the host", UDP4(.dport = 53), no_worker, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"later fragment has no ports", UDP4(.dport = 500, .payload_len = 28, .frag_off = 2),
	  no_worker, XDP_DROP, {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"neighbour solicitation", ND(135, "fd01::1", 255), local_v6, XDP_PASS, {XI_PASS_FOREIGN}},
	{"router advertisement to all", ND(134, "ff02::1", 255), guard_all_v6, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"solicitation to a link-local address", ND(135, "fe80::1", 255), guard_all_v6, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"redirect", ND(137, "fd01::1", 255), local_v6, XDP_PASS, {XI_PASS_FOREIGN}},
	{"neighbour discovery from afar", ND(135, "fd01::1", 254), local_v6, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"neighbour discovery in transit", ND(135, "fd01::9", 255), local_v6, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"echo request is no neighbour discovery", ND(128, "fd01::1", 255), local_v6, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"ICMP type 135 is none in IPv4",
	  {.src = "10.2.0.9", .dst = "10.1.0.1", .proto = IPPROTO_ICMPV6, .sport = 135,
	    .hops = 255}, no_worker, XDP_DROP, {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"ARP", {.eth_type = ETH_P_ARP}, no_worker, XDP_PASS, {XI_PASS_FOREIGN}},
	{"802.3 length field", {.eth_type = 46}, no_worker, XDP_PASS, {XI_PASS_FOREIGN}},
};
/* clang-format on */

static void verdict(struct xi_bed *bed, const struct xi_spec *spec, enum xi_verdict v)
{
	xi_bed_flow(bed, spec, XI_IN, v, XI_BED_GENERATION);
}

static void discard(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_DISCARD);
}

static void protect(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_PROTECT);
}

static void stale(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_flow(bed, spec, XI_IN, XI_VERDICT_BYPASS, XI_BED_GENERATION - 1);
}

static void bypass_out(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_flow(bed, spec, XI_OUT, XI_VERDICT_BYPASS, XI_BED_GENERATION);
}

static void other_port(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_spec other = *spec;

	other.sport++;
	bypass(bed, &other);
}

static void masked(struct xi_bed *bed, const struct xi_spec *spec,
		   const struct xi_flow_mask *rows, uint32_t n, const struct xi_flow_mask *mask)
{
	enum xi_family family = strchr(spec->src, ':') ? XI_IPV6 : XI_IPV4;

	xi_bed_masks(bed, XI_IN, family, rows, n);
	xi_bed_masks(bed, XI_FWD, family, rows, n);
	xi_bed_flow_masked(bed, spec, XI_IN, mask, XI_VERDICT_BYPASS, XI_BED_GENERATION);
}

/* No policy looks at ports or protocol: one verdict serves all flows of two networks. */
static void unmasked(struct xi_bed *bed, const struct xi_spec *spec)
{
	const struct xi_flow_mask mask = { .prefixlen_s = 16, .prefixlen_d = 16 };
	struct xi_spec bare = { .src = "10.2.0.0", .dst = "10.1.0.0" };

	masked(bed, &bare, &mask, 1, &mask);
}

static void proto_only(struct xi_bed *bed, const struct xi_spec *spec)
{
	const struct xi_flow_mask mask = { .prefixlen_d = 31, .proto = 0xff };
	struct xi_spec bare = { .src = "203.0.113.1", .dst = spec->dst, .proto = spec->proto };

	masked(bed, &bare, &mask, 1, &mask);
}

/* As many masks as there can be, and the last one hits. */
static void last_mask(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_flow_mask rows[XI_FLOW_MASKS];
	struct xi_spec other = *spec;

	for (uint32_t i = 0; i < XI_FLOW_MASKS; i++)
		rows[i] = (struct xi_flow_mask){ .prefixlen_s = 1 + i, .dport = 0xf000 };
	other.sport ^= 0x1234;
	other.dport ^= 0x0fff;
	masked(bed, &other, rows, XI_FLOW_MASKS, &rows[XI_FLOW_MASKS - 1]);
}

/* The bits behind the mask are those of another element: a key holds for its own mask alone. */
static void other_mask(struct xi_bed *bed, const struct xi_spec *spec)
{
	const struct xi_flow_mask rows[2] = {
		{ .prefixlen_s = 8, .prefixlen_d = 8 }, { .prefixlen_s = 16, .prefixlen_d = 16 }
	};
	struct xi_spec zero = { .src = "10.0.0.0", .dst = "10.0.0.0" };

	masked(bed, &zero, rows, 2, &rows[1]);
}

/* Bits of the second half of an IPv6 address, and of half a byte. */
static void deep_mask(struct xi_bed *bed, const struct xi_spec *spec)
{
	const struct xi_flow_mask mask = { .prefixlen_s = 68, .prefixlen_d = 128, .sport = 0xffff };

	masked(bed, spec, &mask, 1, &mask);
}

/* That no SA serves a flow is no verdict; one under another mask is. */
static void none_first(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_flow_mask rows[2] = { { .prefixlen_s = 8 }, { .prefixlen_s = 32 } };

	masked(bed, spec, rows, 2, &rows[1]);
	xi_bed_flow_masked(bed, spec, XI_IN, &rows[0], XI_VERDICT_NONE, XI_BED_GENERATION);
}

/* RFC 6275 section 6.1.1: the type is the third byte, which is where dport is in the frame. */
static void mobility(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_spec flow = *spec;

	flow.sport = 5;
	flow.dport = 0;
	bypass(bed, &flow);
}

static void guard_flag(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.guard_flags[XI_IN] = XI_GUARD_ALL;
	xi_bed_put_config(bed, &cfg);
}

static void default_in(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.default_action[XI_IN] = XI_BLOCK;
	xi_bed_put_config(bed, &cfg);
}

static void default_fwd(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.default_action[XI_FWD] = XI_BLOCK;
	xi_bed_put_config(bed, &cfg);
}

static void no_config(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = {};

	xi_bed_put_config(bed, &cfg);
}

static void all_masks(struct xi_bed *bed, const struct xi_spec *spec)
{
	for (uint32_t i = 4; i < XI_MAX_MASKS - 1; i++)
		xi_bed_guard(bed, i, XI_IN, "203.0.113.1/32", "203.0.113.0/24");
	xi_bed_guard(bed, XI_MAX_MASKS - 1, XI_IN, "198.51.100.0/25", "192.0.2.1/32");
}

static void host_guard(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_guard(bed, 4, XI_IN, "2001:db8:0:1:8000::/65", "::/0");
}

#define JUDGED                                                                                     \
	{                                                                                          \
		XI_FLOW_MISS, XI_MISS_LOST, XI_TO_WORKER                                           \
	}

/* clang-format off */
static const struct xi_case clear_cases[] = {
	{"foreign", {FOREIGN4, .proto = IPPROTO_TCP}, NULL, XDP_PASS, {XI_PASS_FOREIGN}},
	{"foreign source", {CLEAR4, .src = "10.3.0.9"}, NULL, XDP_PASS, {XI_PASS_FOREIGN}},
	{"foreign destination", {CLEAR4, .dst = "10.3.0.9"}, NULL, XDP_PASS, {XI_PASS_FOREIGN}},
	{"the other way round", {CLEAR4, .src = "10.1.0.9", .dst = "10.2.0.9"}, NULL, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"guarded", {CLEAR4}, NULL, XDP_REDIRECT, JUDGED, MISS(0)},
	{"guarded, IPv6", {CLEAR6}, NULL, XDP_REDIRECT, JUDGED, MISS(0)},
	{"guarded, IPv4 addresses are not IPv6", {CLEAR6, .src = "a02:9::", .dst = "a01:9::"}, NULL,
	  XDP_PASS, {XI_PASS_FOREIGN}},
	{"IP in IP", {CLEAR4, .proto = IPPROTO_IPIP}, NULL, XDP_REDIRECT, JUDGED, MISS(0)},
	{"bypass", {CLEAR4}, bypass, XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"bypass, IPv6", {CLEAR6}, bypass, XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"bypass behind extension headers", {CLEAR6, .ext = "hhhhhhd"}, bypass, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"discard", {CLEAR4}, discard, XDP_DROP, {XI_FLOW_HIT, XI_DROP_CLEAR_IN}},
	{"protect", {CLEAR4}, protect, XDP_DROP, {XI_FLOW_HIT, XI_DROP_CLEAR_IN}},
	{"stale verdict", {CLEAR4}, stale, XDP_REDIRECT, JUDGED, MISS(0)},
	{"verdict of the other direction", {CLEAR4}, bypass_out, XDP_REDIRECT, JUDGED, MISS(0)},
	{"verdict of other ports", {CLEAR4}, other_port, XDP_REDIRECT, JUDGED, MISS(0)},
	{"one verdict for two networks", {CLEAR4}, unmasked, XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"one verdict for two networks, fragment", {CLEAR4, .frag_off = 9}, unmasked, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"one verdict for the last of many masks", {CLEAR4}, last_mask, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"same bits under another mask", {CLEAR4}, other_mask, XDP_REDIRECT, JUDGED, MISS(0)},
	{"deep mask, IPv6", {CLEAR6}, deep_mask, XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"no SA yet under one mask, a verdict under the next", {CLEAR4}, none_first, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"one verdict for a protocol", {CLEAR4}, proto_only, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"first fragment has ports", {CLEAR4, .mf = true}, bypass, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"later fragment has none", {CLEAR4, .frag_off = 5}, bypass, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"later fragment, IPv6", {CLEAR6, .frag_off = 5}, bypass, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"first fragment, IPv6", {CLEAR6, .mf = true}, bypass, XDP_PASS,
	  {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"ICMP type and code", {CLEAR4, .proto = IPPROTO_ICMP, .sport = 8, .dport = 0}, bypass,
	  XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"mobility header type", {CLEAR6, .proto = 135, .sport = 5, .dport = 0x500}, mobility,
	  XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"no worker", {CLEAR4}, no_worker, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"guard of all", {FOREIGN4, .proto = IPPROTO_TCP}, guard_flag, XDP_REDIRECT, JUDGED,
	  MISS(0)},
	{"default of in", {FOREIGN4, .proto = IPPROTO_TCP}, default_in, XDP_REDIRECT, JUDGED,
	  MISS(0)},
	{"default of fwd", {FOREIGN4, .proto = IPPROTO_TCP}, default_fwd, XDP_REDIRECT, JUDGED,
	  MISS(0)},
	{"no configuration yet", {FOREIGN4, .proto = IPPROTO_TCP}, no_config, XDP_REDIRECT,
	  {XI_FLOW_MISS, XI_MISS_LIMITED, XI_TO_WORKER}, MISS(0)},
	{"last of all masks", {.src = "198.51.100.127", .dst = "192.0.2.1", .proto = IPPROTO_TCP},
	  all_masks, XDP_REDIRECT, JUDGED, MISS(0)},
	{"beside the last of all masks",
	  {.src = "198.51.100.128", .dst = "192.0.2.1", .proto = IPPROTO_TCP}, all_masks, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"prefix of 65 bits", {CLEAR6, .src = "2001:db8:0:1:8000::1"}, host_guard, XDP_REDIRECT,
	  JUDGED, MISS(0)},
	{"beside a prefix of 65 bits", {CLEAR6, .src = "2001:db8:0:1:7fff::1"}, host_guard,
	  XDP_PASS, {XI_PASS_FOREIGN}},
	{"tagged, foreign", {FOREIGN4, .proto = IPPROTO_TCP, .vlans = 1}, NULL, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"tagged, bypass", {CLEAR4, .vlans = 2}, bypass, XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"tagged, guarded", {CLEAR4, .vlans = 1}, NULL, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_CLEAR_IN}},
};
/* clang-format on */

TABLE(exempt, exempt_cases, xdp_cipher, XI_ROLE_CIPHER, 0)
TABLE(clear, clear_cases, xdp_cipher, XI_ROLE_CIPHER, 0)
/* meta-untrusted: the same packets with forged metadata come to the same end. */
TABLE(clear_with_forged_metadata, clear_cases, xdp_cipher, XI_ROLE_CIPHER, 4)

static int guarded(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_frame frame;
	struct xi_run run;

	xi_frame_build(&frame, spec);
	xi_bed_run_xdp(bed, bed->skel->progs.xdp_cipher, &frame, 0, 1, &run);
	assert_true(run.verdict == XDP_PASS || run.verdict == XDP_REDIRECT);
	return run.verdict == XDP_REDIRECT;
}

/* The last bit of a prefix decides, the first one behind it does not. */
static void prefix_lengths(struct xi_bed *bed, const char *base, unsigned int bytes, int family)
{
	char prefix[64], addr[INET6_ADDRSTRLEN];
	const char *any = bytes == 4 ? "0.0.0.0/0" : "::/0";
	uint8_t bits[16];

	for (unsigned int plen = 0; plen <= bytes * 8; plen++) {
		struct xi_spec spec = { .src = base, .dst = addr, .proto = IPPROTO_TCP };

		xi_addr_parse(bits, base);
		for (unsigned int bit = plen; bit < bytes * 8; bit++)
			bits[bit / 8] &= ~(0x80 >> bit % 8);
		inet_ntop(family, bits, addr, sizeof(addr));
		snprintf(prefix, sizeof(prefix), "%s/%u", addr, plen);
		xi_bed_reset(bed);
		xi_bed_guard(bed, 0, XI_IN, any, prefix);
		assert_true(guarded(bed, &spec));
		if (plen < bytes * 8) {
			bits[plen / 8] ^= 0x80 >> plen % 8;
			inet_ntop(family, bits, addr, sizeof(addr));
			assert_true(guarded(bed, &spec));
		}
		if (plen) {
			bits[(plen - 1) / 8] ^= 0x80 >> (plen - 1) % 8;
			inet_ntop(family, bits, addr, sizeof(addr));
			assert_false(guarded(bed, &spec));
		}
	}
}

static void every_prefix_length(void **state)
{
	prefix_lengths(*state, "172.85.170.219", 4, AF_INET);
	prefix_lengths(*state, "2aaa:5555:f0f0:1:8000:ffff:1:abcd", 16, AF_INET6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exempt),
		cmocka_unit_test(clear),
		cmocka_unit_test(clear_with_forged_metadata),
		cmocka_unit_test(every_prefix_length),
	};

	return cmocka_run_group_tests_name("xdp_cipher, clear", tests, xi_bed_setup, xi_bed_teardown);
}
