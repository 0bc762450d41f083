/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* tc_guard: cleartext that policy protects does not leave a cipher port, whoever sent it. */
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "bpf_bed.h"

#define OUT4                                                                                       \
	.src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_TCP, .sport = 40000, .dport = 80,   \
	.payload_len = 12
#define OUT6                                                                                       \
	.src = "fd01::9", .dst = "fd02::9", .proto = IPPROTO_TCP, .sport = 40000, .dport = 80,     \
	.payload_len = 12
#define FOREIGN                                                                                    \
	TC_ACT_UNSPEC,                                                                             \
	{                                                                                          \
		XI_PASS_FOREIGN                                                                    \
	}
#define BYPASS                                                                                     \
	TC_ACT_UNSPEC,                                                                             \
	{                                                                                          \
		XI_FLOW_HIT, XI_PASS_BYPASS                                                        \
	}
#define HELD                                                                                       \
	TC_ACT_SHOT,                                                                               \
	{                                                                                          \
		XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_CLEAR_OUT                                      \
	}
#define N(a) (sizeof(a) / sizeof((a)[0]))

static void verdict(struct xi_bed *bed, const struct xi_spec *spec, enum xi_verdict v)
{
	xi_bed_flow(bed, spec, XI_OUT, v, XI_BED_GENERATION);
}

static void protect(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_PROTECT);
}

static void discard(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_DISCARD);
}

static void bypass(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_BYPASS);
}

/* A policy that the kernel has as well, and protects by. */
static void of_the_kernel(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_KERNEL);
}

static void stale(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_flow(bed, spec, XI_OUT, XI_VERDICT_BYPASS, XI_BED_GENERATION + 1);
}

static void local_source(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_local(bed, spec->src);
}

/* Redirection is asked for, and no test run carries it out: any device will do. */
static void hostif(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.host_ifindex = 1;
	xi_bed_put_config(bed, &cfg);
}

static void hostif_protect(struct xi_bed *bed, const struct xi_spec *spec)
{
	hostif(bed, spec);
	protect(bed, spec);
}

static void hostif_discard(struct xi_bed *bed, const struct xi_spec *spec)
{
	hostif(bed, spec);
	discard(bed, spec);
}

static void hostif_bypass(struct xi_bed *bed, const struct xi_spec *spec)
{
	hostif(bed, spec);
	bypass(bed, spec);
}

static void no_config(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = {};

	xi_bed_put_config(bed, &cfg);
}

/* clang-format off */
static const struct xi_case cases[] = {
	{"no policy", {OUT4, .dst = "198.51.100.1"}, NULL, FOREIGN},
	{"policy, no verdict", {OUT4}, NULL, HELD},
	{"policy, no verdict, IPv6", {OUT6}, NULL, HELD},
	{"policy, stale verdict", {OUT4}, stale, HELD},
	{"protect", {OUT4}, protect, TC_ACT_SHOT, {XI_FLOW_HIT, XI_DROP_CLEAR_OUT}},
	{"discard", {OUT4}, discard, TC_ACT_SHOT, {XI_FLOW_HIT, XI_DROP_CLEAR_OUT}},
	{"the kernel's, which it did not protect", {OUT4}, of_the_kernel, TC_ACT_SHOT,
	  {XI_FLOW_HIT, XI_DROP_CLEAR_OUT}},
	{"bypass", {OUT4}, bypass, BYPASS},
	{"bypass, IPv6", {OUT6, .ext = "hd"}, bypass, BYPASS},
	{"bypass, later fragment", {OUT4, .frag_off = 7}, bypass, BYPASS},
	{"ESP of the host", {OUT4, .proto = IPPROTO_ESP, .spi = 4711}, local_source, FOREIGN},
	{"later fragment of ESP of the host", {OUT4, .proto = IPPROTO_ESP, .frag_off = 7},
	  local_source, FOREIGN},
	{"AH of the host", {OUT6, .proto = IPPROTO_AH}, local_source, FOREIGN},
	{"ESP of somebody else", {OUT4, .proto = IPPROTO_ESP, .spi = 4711}, NULL, HELD},
	{"AH of somebody else", {OUT6, .proto = IPPROTO_AH}, NULL, HELD},
	{"ESP of somebody else, no policy",
	  {OUT4, .dst = "198.51.100.1", .proto = IPPROTO_ESP, .spi = 4711}, NULL, FOREIGN},
	{"IKE of the host", {OUT4, .proto = IPPROTO_UDP, .sport = 500, .dport = 500}, local_source,
	  FOREIGN},
	{"IKE of the host, from port 4500",
	  {OUT4, .proto = IPPROTO_UDP, .sport = 4500, .dport = 9}, local_source, FOREIGN},
	{"to port 500 and from any", {OUT4, .proto = IPPROTO_UDP, .dport = 500}, local_source,
	  HELD},
	{"IKE of somebody else", {OUT4, .proto = IPPROTO_UDP, .sport = 500, .dport = 500}, NULL,
	  HELD},
	{"TCP from port 500", {OUT4, .sport = 500}, local_source, HELD},
	{"neighbour solicitation", {OUT6, .proto = IPPROTO_ICMPV6, .sport = 135, .hops = 255}, NULL,
	  FOREIGN},
	{"forwarded neighbour solicitation",
	  {OUT6, .proto = IPPROTO_ICMPV6, .sport = 135, .hops = 254}, NULL, HELD},
	{"ARP", {.eth_type = ETH_P_ARP}, NULL, FOREIGN},
	{"behind VLAN tags", {OUT4, .vlans = 2}, NULL, HELD},
	{"behind VLAN tags, bypass", {OUT4, .vlans = 1}, bypass, BYPASS},
	{"protect, by way of xipsec0", {OUT4}, hostif_protect, TC_ACT_REDIRECT,
	  {XI_FLOW_HIT, XI_TO_HOSTIF}},
	{"no verdict, by way of xipsec0", {OUT6}, hostif, TC_ACT_REDIRECT,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_TO_HOSTIF}},
	{"discard, with xipsec0", {OUT4}, hostif_discard, TC_ACT_SHOT,
	  {XI_FLOW_HIT, XI_DROP_CLEAR_OUT}},
	{"bypass, with xipsec0", {OUT4}, hostif_bypass, BYPASS},
	{"behind VLAN tags, with xipsec0", {OUT4, .vlans = 1}, hostif, HELD},
	{"no configuration yet", {OUT4, .dst = "198.51.100.1"}, no_config, TC_ACT_SHOT,
	  {XI_FLOW_MISS, XI_MISS_LIMITED, XI_DROP_CLEAR_OUT}},
	{"cut", {OUT4, .cut = 1}, bypass, TC_ACT_SHOT, {XI_DROP_MALFORMED}},
	{"ports cut", {OUT4, .payload_len = 0, .shrink = 3}, bypass, TC_ACT_SHOT,
	  {XI_DROP_MALFORMED}},
	{"ports cut, no policy", {OUT4, .dst = "198.51.100.1", .payload_len = 0, .shrink = 3}, NULL,
	  FOREIGN},
	{"chain of extension headers too long", {OUT6, .ext = "hdrdrdrdrdrd"}, bypass, TC_ACT_SHOT,
	  {XI_DROP_MALFORMED}},
};
/* clang-format on */

static void leaving(void **state)
{
	struct xi_bed *bed = *state;

	xi_bed_cases(bed, bed->skel->progs.tc_guard, XI_ROLE_CIPHER, cases, N(cases), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaving),
	};

	return cmocka_run_group_tests_name("tc_guard", tests, xi_bed_setup, xi_bed_teardown);
}
