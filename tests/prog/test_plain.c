/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every verdict of xdp_plain, on a plain port and behind xipsec0. */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <xipsec/origin.h>

#include "bpf_bed.h"

#define OUT4                                                                                       \
	.src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_TCP, .sport = 40000, .dport = 80,   \
	.payload_len = 12
#define OUT6                                                                                       \
	.src = "fd01::9", .dst = "fd02::9", .proto = IPPROTO_TCP, .sport = 40000, .dport = 80,     \
	.payload_len = 12
#define META(...)                                                                                  \
	.meta = { .magic = XI_META_MAGIC,                                                          \
		  .slot = XI_NO_SLOT,                                                              \
		  .next_slot = XI_NO_SLOT,                                                         \
		  .dir = XI_OUT,                                                                   \
		  .status = XI_CRYPTO_NOT_DONE,                                                    \
		  .l3_offset = 14,                                                                 \
		  .port = XI_BED_SLOT,                                                             \
		  __VA_ARGS__ }
#define MISS META(.flags = XI_META_MISS)
#define MISS_IN META(.flags = XI_META_MISS, .dir = XI_IN)
#define PROTECTED                                                                                  \
	META(.handle = XI_BED_OUT_HANDLE, .next_handle = XI_BED_OUT_HANDLE + 1, .slot = 21,        \
	     .next_slot = 22)
#define JUDGED                                                                                     \
	{                                                                                          \
		XI_FLOW_MISS, XI_MISS_LOST, XI_TO_WORKER                                           \
	}
#define FOREIGN                                                                                    \
	XDP_PASS,                                                                                  \
	{                                                                                          \
		XI_PASS_FOREIGN                                                                    \
	}
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const uint8_t other_mac[] = { 0x02, 0, 0, 0, 0, 0x77 };
static const uint8_t broadcast[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void verdict(struct xi_bed *bed, const struct xi_spec *spec, enum xi_verdict v)
{
	xi_bed_flow(bed, spec, XI_OUT, v, XI_BED_GENERATION);
}

static void protect(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_PROTECT);
}

static void bypass(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_BYPASS);
}

static void discard(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_DISCARD);
}

static void undecided(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_NONE);
}

/* A policy that the kernel has as well, and protects by. */
static void of_the_kernel(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_KERNEL);
}

static void stale(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_flow(bed, spec, XI_OUT, XI_VERDICT_PROTECT, XI_BED_GENERATION - 1);
}

static void protect_no_worker(struct xi_bed *bed, const struct xi_spec *spec)
{
	protect(bed, spec);
	xi_bed_worker(bed, false);
}

static void no_worker(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_worker(bed, false);
}

static void no_port(struct xi_bed *bed, const struct xi_spec *spec)
{
	bpf_map_delete_elem(bpf_map__fd(bed->skel->maps.ports), &bed->ifindex);
}

static void bypass_in(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_flow(bed, spec, XI_IN, XI_VERDICT_BYPASS, XI_BED_GENERATION);
}

static void default_out(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.default_action[XI_OUT] = XI_BLOCK;
	xi_bed_put_config(bed, &cfg);
}

static void guard_flag(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.guard_flags[XI_OUT] = XI_GUARD_ALL;
	xi_bed_put_config(bed, &cfg);
}

static void guard_everything(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_guard(bed, 4, XI_OUT, "0.0.0.0/0", "0.0.0.0/0");
	xi_bed_guard(bed, 5, XI_OUT, "::/0", "::/0");
}

/* clang-format off */
static const struct xi_case plain_cases[] = {
	{"protect", {OUT4}, protect, XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"protect, IPv6", {OUT6}, protect, XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"protect, no worker", {OUT4}, protect_no_worker, XDP_DROP,
	  {XI_FLOW_HIT, XI_DROP_NO_WORKER}},
	{"protect, later fragment", {OUT4, .frag_off = 4}, protect, XDP_REDIRECT,
	  {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"bypass", {OUT4}, bypass, XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"the kernel's", {OUT4}, of_the_kernel, XDP_PASS, {XI_FLOW_HIT, XI_PASS_KERNEL}},
	{"discard", {OUT4}, discard, XDP_DROP, {XI_FLOW_HIT, XI_DROP_POLICY}},
	{"no verdict yet", {OUT4}, undecided, XDP_REDIRECT, JUDGED, MISS},
	{"stale", {OUT4}, stale, XDP_REDIRECT, JUDGED, MISS},
	{"miss", {OUT4}, NULL, XDP_REDIRECT, JUDGED, MISS},
	{"miss, IPv6", {OUT6}, NULL, XDP_REDIRECT, JUDGED, MISS},
	{"miss, no worker", {OUT4}, no_worker, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"verdict of the other direction", {OUT4}, bypass_in, XDP_REDIRECT, JUDGED, MISS},
	{"no policy", {OUT4, .dst = "198.51.100.1"}, NULL, FOREIGN},
	{"default", {OUT4, .dst = "198.51.100.1"}, default_out, XDP_REDIRECT, JUDGED, MISS},
	{"guard of all", {OUT4, .dst = "198.51.100.1"}, guard_flag, XDP_REDIRECT, JUDGED, MISS},
	{"ESP of somebody inside", {OUT4, .proto = IPPROTO_ESP, .spi = 5}, NULL, XDP_REDIRECT,
	  JUDGED, MISS},
	{"other destination MAC", {OUT4, .dmac = other_mac}, protect, FOREIGN},
	{"broadcast frame", {OUT4, .dmac = broadcast}, protect, FOREIGN},
	{"multicast", {OUT4, .dst = "239.1.1.1"}, guard_everything, FOREIGN},
	{"multicast, IPv6", {OUT6, .dst = "ff05::1"}, guard_everything, FOREIGN},
	{"link-local", {OUT6, .dst = "febf::1"}, guard_everything, FOREIGN},
	{"fec0::/10 is not link-local", {OUT6, .dst = "fec0::1"}, guard_everything, XDP_REDIRECT,
	  JUDGED, MISS},
	{"ARP", {.eth_type = ETH_P_ARP}, no_port, FOREIGN},
	{"behind a VLAN tag: a device above", {OUT4, .vlans = 1}, protect, FOREIGN},
	{"to the gateway", {OUT4, .dst = "10.1.0.1"}, no_worker, FOREIGN},
	{"to the gateway, though it should be protected",
	  {OUT4, .src = "10.2.0.9", .dst = "10.1.0.1"}, NULL, XDP_REDIRECT, JUDGED, MISS_IN},
	{"to the gateway in a broadcast frame",
	  {OUT4, .src = "10.2.0.9", .dst = "10.1.0.1", .dmac = broadcast}, NULL, XDP_REDIRECT,
	  JUDGED, MISS_IN},
	{"to the gateway's address, for another MAC",
	  {OUT4, .src = "10.2.0.9", .dst = "10.1.0.1", .dmac = other_mac}, NULL, FOREIGN},
	{"to the gateway, bypass", {OUT4, .src = "10.2.0.9", .dst = "10.1.0.1"}, bypass_in,
	  XDP_PASS, {XI_FLOW_HIT, XI_PASS_BYPASS}},
	{"IKE to the gateway",
	  {OUT4, .src = "10.2.0.9", .dst = "10.1.0.1", .proto = IPPROTO_UDP, .dport = 500}, NULL,
	  XDP_PASS, {XI_PASS_IKE}},
	{"IKE in transit is protected", {OUT4, .proto = IPPROTO_UDP, .sport = 500, .dport = 500},
	  protect, XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"neighbour discovery in transit is protected",
	  {OUT6, .proto = IPPROTO_ICMPV6, .sport = 135, .dport = 0, .hops = 255}, NULL,
	  XDP_REDIRECT, JUDGED, MISS},
	{"not a port", {OUT4}, no_port, XDP_DROP, {XI_DROP_NO_PORT}},
	{"cut", {OUT4, .cut = 1}, protect, XDP_DROP, {XI_DROP_MALFORMED}},
	{"cut, for another MAC", {OUT4, .dmac = other_mac, .cut = 1}, protect, FOREIGN},
	{"ports cut", {OUT4, .payload_len = 0, .shrink = 3}, protect, XDP_DROP,
	  {XI_DROP_MALFORMED}},
	{"ports cut, no policy", {OUT4, .dst = "198.51.100.1", .payload_len = 0, .shrink = 3}, NULL,
	  FOREIGN},
};
/* clang-format on */

static void local_source(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_local(bed, spec->src);
	protect(bed, spec);
}

#define IKE4 .src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_UDP, .sport = 500, .dport = 500

/* What tc_host writes: mark and if_id of the packet. */
#define ORIGIN(kind, mark, if_id)                                                                  \
	.dmac = (const uint8_t[]){ 2, kind, 0, 0, 0, mark },                                       \
	.smac = (const uint8_t[]){ 2, XI_ORIGIN_TAG, 0, 0, 0, if_id }

static void protect_marked(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config config = xi_bed_config();

	config.mark_mask = 0x0f;
	xi_bed_put_config(bed, &config);
	protect(bed, spec);
}

/* clang-format off */
static const struct xi_case host_cases[] = {
	{"a mark", {OUT4, ORIGIN(1, 5, 0), .mark = 5}, protect_marked, XDP_REDIRECT,
	  {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"a mark of what the guard redirects", {OUT4, ORIGIN(2, 5, 0), .mark = 5}, protect_marked,
	  XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"a mark and bits that no policy looks at", {OUT6, ORIGIN(1, 0xf5, 0), .mark = 5},
	  protect_marked, XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"marks of which no policy looks at any", {OUT4, ORIGIN(1, 5, 0)}, protect, XDP_REDIRECT,
	  {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"another mark", {OUT4, ORIGIN(1, 4, 0), .mark = 5}, protect_marked, XDP_REDIRECT, JUDGED, MISS},
	{"no mark", {OUT4, ORIGIN(1, 0, 0), .mark = 5}, protect_marked, XDP_REDIRECT, JUDGED, MISS},
	{"a mark, and a verdict on flows without", {OUT4, ORIGIN(1, 5, 0)}, protect_marked,
	  XDP_REDIRECT, JUDGED, MISS},
	{"an interface", {OUT4, ORIGIN(1, 0, 7), .if_id = 7}, protect, XDP_REDIRECT,
	  {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"an interface, whatever the mark", {OUT6, ORIGIN(1, 3, 7), .if_id = 7}, protect_marked,
	  XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"another interface", {OUT4, ORIGIN(1, 0, 8), .if_id = 7}, protect, XDP_REDIRECT, JUDGED, MISS},
	{"no interface", {OUT4, ORIGIN(1, 0, 0), .if_id = 7}, protect, XDP_REDIRECT, JUDGED, MISS},
	{"an interface of the number of a mark", {OUT4, ORIGIN(1, 0, 5), .mark = 5}, protect_marked,
	  XDP_REDIRECT, JUDGED, MISS},
	{"a mark of the number of an interface", {OUT4, ORIGIN(1, 5, 0), .if_id = 5}, protect_marked,
	  XDP_REDIRECT, JUDGED, MISS},
	{"an interface that a policy without one would have", {OUT4, ORIGIN(1, 0, 7)}, protect,
	  XDP_REDIRECT, JUDGED, MISS},
	{"addresses that nobody wrote", {OUT4, ORIGIN(3, 5, 7)}, protect_marked, XDP_DROP,
	  {XI_DROP_CLEAR_OUT}},
	{"protect", {OUT4}, protect, XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"addresses of Ethernet: no program told of its mark", {OUT4, .dmac = other_mac}, protect,
	  XDP_DROP, {XI_DROP_CLEAR_OUT}},
	{"the same of a flow that is not known", {OUT6, .dmac = other_mac}, NULL, XDP_DROP,
	  {XI_DROP_CLEAR_OUT}},
	{"the kernel's, which it did not protect: the worker decides", {OUT4}, of_the_kernel,
	  XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, MISS},
	{"bypass by the worker", {OUT4}, bypass, XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER}, MISS},
	{"discard", {OUT4}, discard, XDP_DROP, {XI_FLOW_HIT, XI_DROP_POLICY}},
	{"miss", {OUT6}, NULL, XDP_REDIRECT, JUDGED, MISS},
	{"no policy: the worker decides", {OUT4, .dst = "198.51.100.1"}, NULL, XDP_REDIRECT, JUDGED,
	  MISS},
	{"no policy, no worker", {OUT4, .dst = "198.51.100.1"}, no_worker, XDP_DROP,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_DROP_NO_WORKER}},
	{"multicast", {OUT4, .dst = "224.0.0.22"}, guard_everything, FOREIGN},
	{"IKE of the host: the worker decides", {IKE4}, local_source, XDP_REDIRECT, {XI_TO_WORKER},
	  MISS},
	{"IKE of the host from port 4500", {IKE4, .sport = 4500}, local_source, XDP_REDIRECT,
	  {XI_TO_WORKER}, MISS},
	{"IKE of somebody else", {IKE4}, protect, XDP_REDIRECT, {XI_FLOW_HIT, XI_TO_WORKER},
	  PROTECTED},
	{"other UDP of the host", {IKE4, .sport = 53}, local_source, XDP_REDIRECT,
	  {XI_FLOW_HIT, XI_TO_WORKER}, PROTECTED},
	{"ports cut, no policy", {OUT4, .dst = "198.51.100.1", .payload_len = 0, .shrink = 3}, NULL,
	  XDP_DROP, {XI_DROP_MALFORMED}},
};
/* clang-format on */

#define TABLE(name, table, role, meta)                                                             \
	static void name(void **state)                                                             \
	{                                                                                          \
		struct xi_bed *bed = *state;                                                       \
		xi_bed_cases(bed, bed->skel->progs.xdp_plain, role, table, N(table), meta);        \
	}

TABLE(plain, plain_cases, XI_ROLE_PLAIN, 0)
TABLE(plain_with_forged_metadata, plain_cases, XI_ROLE_PLAIN, 32)
TABLE(host, host_cases, XI_ROLE_HOST, 0)
TABLE(host_with_forged_metadata, host_cases, XI_ROLE_HOST, 16)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(plain_with_forged_metadata),
		cmocka_unit_test(host),
		cmocka_unit_test(host_with_forged_metadata),
	};

	return cmocka_run_group_tests_name("xdp_plain", tests, xi_bed_setup, xi_bed_teardown);
}
