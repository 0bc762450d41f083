/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every verdict of xdp_cipher. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include <xipsec/flow_key.h>

#include "bpf_bed.h"

#define ESP4                                                                                       \
	.src = "192.0.2.2", .dst = "192.0.2.1", .proto = IPPROTO_ESP, .spi = XI_BED_SPI,           \
	.payload_len = 40
#define ESP6                                                                                       \
	.src = "2001:db8::2", .dst = "2001:db8::1", .proto = IPPROTO_ESP, .spi = XI_BED_SPI,       \
	.payload_len = 40
#define CLEAR4                                                                                     \
	.src = "10.2.0.9", .dst = "10.1.0.9", .proto = IPPROTO_TCP, .sport = 80, .dport = 40000,   \
	.payload_len = 12
#define CLEAR6                                                                                     \
	.src = "fd02::9", .dst = "fd01::9", .proto = IPPROTO_TCP, .sport = 80, .dport = 40000,     \
	.payload_len = 12
#define FOREIGN4 .src = "198.51.100.7", .dst = "192.0.2.1"
#define META(...)                                                                                  \
	.meta = { .magic = XI_META_MAGIC,                                                          \
		  .slot = XI_NO_SLOT,                                                              \
		  .next_slot = XI_NO_SLOT,                                                         \
		  .dir = XI_IN,                                                                    \
		  .status = XI_CRYPTO_NOT_DONE,                                                    \
		  .l3_offset = 14,                                                                 \
		  .port = XI_BED_SLOT,                                                             \
		  __VA_ARGS__ }
#define LARVAL META(.flags = XI_META_LARVAL)
#define MISS(h) META(.handle = (h), .flags = XI_META_MISS)
#define N(a) (sizeof(a) / sizeof((a)[0]))

static void method(struct xi_bed *bed, enum xi_method m)
{
	xi_bed_sa_cached(bed, "192.0.2.1", XI_BED_SPI, m);
	xi_bed_sa_cached(bed, "2001:db8::1", XI_BED_SPI, m);
}

static void fast(struct xi_bed *bed, const struct xi_spec *spec)
{
	method(bed, XI_METHOD_FAST);
}

static void slow(struct xi_bed *bed, const struct xi_spec *spec)
{
	method(bed, XI_METHOD_SLOW);
}

static void kernel(struct xi_bed *bed, const struct xi_spec *spec)
{
	method(bed, XI_METHOD_KERNEL);
}

static void drop(struct xi_bed *bed, const struct xi_spec *spec)
{
	method(bed, XI_METHOD_DROP);
}

static void no_method(struct xi_bed *bed, const struct xi_spec *spec)
{
	method(bed, XI_METHOD_NONE);
}

static void known(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_sa_known(bed, spec->dst, spec->spi, XI_BED_HANDLE);
}

static void larval(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_sa_known(bed, spec->dst, spec->spi, XI_LARVAL);
}

static void larval_no_worker(struct xi_bed *bed, const struct xi_spec *spec)
{
	larval(bed, spec);
	xi_bed_worker(bed, false);
}

static void fast_no_worker(struct xi_bed *bed, const struct xi_spec *spec)
{
	fast(bed, spec);
	xi_bed_worker(bed, false);
}

static void no_worker(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_worker(bed, false);
}

static void fast_no_port(struct xi_bed *bed, const struct xi_spec *spec)
{
	fast(bed, spec);
	bpf_map_delete_elem(bpf_map__fd(bed->skel->maps.ports), &bed->ifindex);
}

static void spi_0_cached(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_sa_cached(bed, spec->dst, 0, XI_METHOD_FAST);
}

static void unknown_to_kernel(struct xi_bed *bed, const struct xi_spec *spec)
{
	struct xi_config cfg = xi_bed_config();

	cfg.unknown_spi = XI_METHOD_KERNEL;
	xi_bed_put_config(bed, &cfg);
}

/* sad_lookup knows outbound SAs too: their destination is foreign, as is ESP in transit to it. */
/* clang-format off */
static const struct xi_case esp_cases[] = {
	{"hit, fast", {ESP4}, fast, XDP_REDIRECT, {XI_SA_HIT, XI_TO_WORKER},
	  META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit, fast, IPv6", {ESP6}, fast, XDP_REDIRECT, {XI_SA_HIT, XI_TO_WORKER},
	  META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit behind extension headers", {ESP6, .ext = "hrd"}, fast, XDP_REDIRECT,
	  {XI_SA_HIT, XI_TO_WORKER}, META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit, atomic fragment is a whole packet", {ESP6, .atomic = true}, fast, XDP_REDIRECT,
	  {XI_SA_HIT, XI_TO_WORKER}, META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit, slow", {ESP4}, slow, XDP_REDIRECT, {XI_SA_HIT, XI_TO_WORKER}, MISS(XI_BED_HANDLE)},
	{"hit, kernel", {ESP4}, kernel, XDP_PASS, {XI_SA_HIT, XI_PASS_KERNEL}},
	{"hit, drop", {ESP4}, drop, XDP_DROP, {XI_SA_HIT, XI_DROP_SA_METHOD}},
	{"hit, no method", {ESP4}, no_method, XDP_DROP, {XI_SA_HIT, XI_DROP_SA_METHOD}},
	{"hit, no worker", {ESP4}, fast_no_worker, XDP_DROP, {XI_SA_HIT, XI_DROP_NO_WORKER}},
	{"hit, no port", {ESP4}, fast_no_port, XDP_DROP, {XI_SA_HIT, XI_DROP_NO_PORT}},
	{"hit needs the same destination", {ESP4, .dst = "10.1.0.1"}, fast, XDP_DROP,
	  {XI_DROP_UNKNOWN_SPI}},
	{"miss", {ESP4}, known, XDP_REDIRECT, {XI_SA_MISS, XI_MISS_LOST, XI_TO_WORKER},
	  MISS(XI_BED_HANDLE)},
	{"miss, IPv6", {ESP6}, known, XDP_REDIRECT, {XI_SA_MISS, XI_MISS_LOST, XI_TO_WORKER},
	  MISS(XI_BED_HANDLE)},
	{"larval: no message", {ESP4}, larval, XDP_REDIRECT, {XI_TO_WORKER}, LARVAL},
	{"larval, IPv6", {ESP6, .ext = "hrd"}, larval, XDP_REDIRECT, {XI_TO_WORKER}, LARVAL},
	{"larval, no worker", {ESP4}, larval_no_worker, XDP_DROP, {XI_DROP_NO_WORKER}},
	{"larval SPI of another protocol", {ESP4, .proto = IPPROTO_AH}, larval, XDP_DROP,
	  {XI_DROP_UNKNOWN_SPI}},
	{"larval, of a foreign destination", {ESP4, .dst = "192.0.2.77"}, larval, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"unknown SPI", {ESP4}, NULL, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"unknown SPI, IPv6", {ESP6}, NULL, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"unknown SPI to the kernel", {ESP4}, unknown_to_kernel, XDP_PASS, {XI_PASS_UNKNOWN_SPI}},
	{"reserved SPI", {ESP4, .spi = 255}, NULL, XDP_DROP, {XI_DROP_RESERVED_SPI}},
	{"reserved SPI, even if known", {ESP4, .spi = 255}, known, XDP_DROP,
	  {XI_DROP_RESERVED_SPI}},
	{"SPI 0", {ESP6, .spi = 0}, NULL, XDP_DROP, {XI_DROP_RESERVED_SPI}},
	{"SPI 256 is not reserved", {ESP4, .spi = 256}, NULL, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"foreign ESP", {ESP4, .dst = "192.0.2.77"}, NULL, XDP_PASS, {XI_PASS_FOREIGN}},
	{"foreign ESP with a known SPI", {ESP4, .dst = "192.0.2.77"}, known, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"foreign ESP, though policy covers it: not in clear",
	  {ESP4, .src = "10.2.0.9", .dst = "10.1.0.9"}, NULL, XDP_PASS, {XI_PASS_FOREIGN}},
	{"foreign reserved SPI", {ESP4, .dst = "192.0.2.77", .spi = 3}, NULL, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"behind a VLAN tag: a device above", {ESP4, .vlans = 1}, fast, XDP_PASS,
	  {XI_PASS_FOREIGN}},
};
/* clang-format on */

#define AH4 ESP4, .proto = IPPROTO_AH
#define AH6 ESP6, .proto = IPPROTO_AH

static void ah_method(struct xi_bed *bed, enum xi_method m)
{
	xi_bed_ah_cached(bed, "192.0.2.1", XI_BED_SPI, m);
	xi_bed_ah_cached(bed, "2001:db8::1", XI_BED_SPI, m);
}

static void ah_fast(struct xi_bed *bed, const struct xi_spec *spec)
{
	ah_method(bed, XI_METHOD_FAST);
}

static void ah_slow(struct xi_bed *bed, const struct xi_spec *spec)
{
	ah_method(bed, XI_METHOD_SLOW);
}

static void ah_kernel(struct xi_bed *bed, const struct xi_spec *spec)
{
	ah_method(bed, XI_METHOD_KERNEL);
}

static void ah_drop(struct xi_bed *bed, const struct xi_spec *spec)
{
	ah_method(bed, XI_METHOD_DROP);
}

static void ah_known(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_ah_known(bed, spec->dst, spec->spi, XI_BED_HANDLE);
}

static void ah_larval(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_ah_known(bed, spec->dst, spec->spi, XI_LARVAL);
}

/* RFC 4302: 24 bytes of header with an ICV of 96 bits, of which the fixed part is 12. */
/* clang-format off */
static const struct xi_case ah_cases[] = {
	{"larval", {AH4}, ah_larval, XDP_REDIRECT, {XI_TO_WORKER}, LARVAL},
	{"larval, IPv6", {AH6}, ah_larval, XDP_REDIRECT, {XI_TO_WORKER}, LARVAL},
	{"hit, fast", {AH4}, ah_fast, XDP_REDIRECT, {XI_SA_HIT, XI_TO_WORKER},
	  META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit, fast, IPv6", {AH6}, ah_fast, XDP_REDIRECT, {XI_SA_HIT, XI_TO_WORKER},
	  META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit behind extension headers", {AH6, .ext = "hrd"}, ah_fast, XDP_REDIRECT,
	  {XI_SA_HIT, XI_TO_WORKER}, META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit, atomic fragment is a whole packet", {AH6, .atomic = true}, ah_fast, XDP_REDIRECT,
	  {XI_SA_HIT, XI_TO_WORKER}, META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"hit, slow", {AH4}, ah_slow, XDP_REDIRECT, {XI_SA_HIT, XI_TO_WORKER},
	  MISS(XI_BED_HANDLE)},
	{"hit, kernel", {AH4}, ah_kernel, XDP_PASS, {XI_SA_HIT, XI_PASS_KERNEL}},
	{"hit, drop", {AH4}, ah_drop, XDP_DROP, {XI_SA_HIT, XI_DROP_SA_METHOD}},
	{"miss", {AH4}, ah_known, XDP_REDIRECT, {XI_SA_MISS, XI_MISS_LOST, XI_TO_WORKER},
	  MISS(XI_BED_HANDLE)},
	{"miss, IPv6", {AH6}, ah_known, XDP_REDIRECT, {XI_SA_MISS, XI_MISS_LOST, XI_TO_WORKER},
	  MISS(XI_BED_HANDLE)},
	{"unknown SPI", {AH4}, NULL, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"unknown SPI, IPv6", {AH6}, NULL, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"unknown SPI to the kernel", {AH4}, unknown_to_kernel, XDP_PASS, {XI_PASS_UNKNOWN_SPI}},
	{"the SPI of an ESP SA is not AH's", {AH4}, fast, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"the SPI of an AH SA is not ESP's", {ESP4}, ah_fast, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"reserved SPI, even if known", {AH4, .spi = 255}, ah_known, XDP_DROP,
	  {XI_DROP_RESERVED_SPI}},
	{"SPI 0", {AH6, .spi = 0}, NULL, XDP_DROP, {XI_DROP_RESERVED_SPI}},
	{"SPI 256 is not reserved", {AH4, .spi = 256}, NULL, XDP_DROP, {XI_DROP_UNKNOWN_SPI}},
	{"fixed part alone", {AH4, .payload_len = 4}, ah_fast, XDP_REDIRECT,
	  {XI_SA_HIT, XI_TO_WORKER}, META(.handle = XI_BED_HANDLE, .slot = 11)},
	{"shorter than the fixed part", {AH4, .payload_len = 3}, ah_fast, XDP_DROP,
	  {XI_DROP_MALFORMED}},
	{"shorter than the fixed part, IPv6", {AH6, .payload_len = 4, .shrink = 1}, ah_fast,
	  XDP_DROP, {XI_DROP_MALFORMED}},
	{"in transit, no policy", {AH4, .dst = "192.0.2.77"}, ah_known, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"in transit, is cleartext", {CLEAR4, .proto = IPPROTO_AH}, ah_known, XDP_REDIRECT,
	  {XI_FLOW_MISS, XI_MISS_LOST, XI_TO_WORKER}, MISS(0)},
	{"behind a VLAN tag: a device above", {AH4, .vlans = 1}, ah_fast, XDP_PASS,
	  {XI_PASS_FOREIGN}},
};
/* clang-format on */

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

static void bypass(struct xi_bed *bed, const struct xi_spec *spec)
{
	verdict(bed, spec, XI_VERDICT_BYPASS);
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

#define BAD                                                                                        \
	XDP_DROP,                                                                                  \
	{                                                                                          \
		XI_DROP_MALFORMED                                                                  \
	}

/* clang-format off */
static const struct xi_case malformed_cases[] = {
	{"IPv4 version", {CLEAR4, .version_ihl = 0x55}, NULL, BAD},
	{"IPv4 header of 16 bytes", {CLEAR4, .version_ihl = 0x44}, NULL, BAD},
	{"IPv4 header longer than the packet", {CLEAR4, .version_ihl = 0x4f}, NULL, BAD},
	{"IPv4 length below its header", {CLEAR4, .shrink = 21}, NULL, BAD},
	{"IPv4 cut", {CLEAR4, .cut = 1}, NULL, BAD},
	{"IPv6 version", {CLEAR6, .version_ihl = 0x40}, NULL, BAD},
	{"IPv6 cut", {CLEAR6, .cut = 1}, NULL, BAD},
	{"foreign and cut", {FOREIGN4, .proto = IPPROTO_TCP, .cut = 1}, NULL, BAD},
	{"ESP cut", {ESP4, .cut = 1}, fast, BAD},
	{"ESP shorter than its header", {ESP4, .payload_len = 0, .shrink = 1}, fast, BAD},
	{"ESP shorter than its header is not of SPI 0",
	  {ESP4, .spi = 0, .payload_len = 0, .shrink = 1}, spi_0_cached, BAD},
	{"foreign ESP shorter than its header",
	  {ESP4, .dst = "192.0.2.77", .payload_len = 0, .shrink = 1}, NULL, XDP_PASS,
	  {XI_PASS_FOREIGN}},
	{"ports in Ethernet padding", {CLEAR4, .payload_len = 0, .shrink = 5}, bypass, BAD},
	{"ports in Ethernet padding, foreign", {FOREIGN4, .proto = IPPROTO_TCP, .shrink = 5}, NULL,
	  XDP_PASS, {XI_PASS_FOREIGN}},
	{"chain of extension headers too long", {CLEAR6, .ext = "hdrdrdrdrdrd"}, bypass, BAD},
	{"chain too long, foreign", {CLEAR6, .src = "fd03::1", .ext = "hdrdrdrdrdrd"}, NULL,
	  XDP_PASS, {XI_PASS_FOREIGN}},
	{"fragment inside the chain", {CLEAR6, .proto = IPPROTO_DSTOPTS, .frag_off = 4}, bypass,
	  BAD},
	{"extension header cut", {CLEAR6, .ext = "hd", .payload_len = 0, .shrink = 17}, bypass,
	  BAD},
	{"three VLAN tags", {CLEAR4, .vlans = 3}, bypass, BAD},
};
/* clang-format on */

#define TABLE(name, table, meta)                                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		struct xi_bed *bed = *state;                                                       \
		xi_bed_cases(bed, bed->skel->progs.xdp_cipher, XI_ROLE_CIPHER, table, N(table),    \
			     meta);                                                                \
	}

TABLE(esp, esp_cases, 0)
TABLE(ah, ah_cases, 0)
TABLE(exempt, exempt_cases, 0)
TABLE(clear, clear_cases, 0)
TABLE(malformed, malformed_cases, 0)
/* meta-untrusted: the same packets with forged metadata come to the same end. */
TABLE(esp_with_forged_metadata, esp_cases, 32)
TABLE(ah_with_forged_metadata, ah_cases, 4)
TABLE(clear_with_forged_metadata, clear_cases, 4)

/* Every length from the Ethernet header on: dropped as malformed until the packet is whole. */
static void every_truncation(void **state)
{
	const struct xi_spec specs[] = {
		{ ESP4 }, { ESP6, .ext = "hrd" }, { CLEAR4 }, { CLEAR6, .mf = true }
	};
	struct xi_bed *bed = *state;
	struct xi_frame frame;
	struct xi_run run;

	for (unsigned int i = 0; i < N(specs); i++) {
		xi_bed_reset(bed);
		fast(bed, &specs[i]);
		xi_frame_build(&frame, &specs[i]);
		for (uint32_t whole = frame.len; --frame.len > ETH_HLEN;) {
			xi_bed_run_xdp(bed, bed->skel->progs.xdp_cipher, &frame, 0, 1, &run);
			assert_int_equal(run.verdict, XDP_DROP);
			assert_int_equal(xi_bed_stat(bed, XI_DROP_MALFORMED), whole - frame.len);
		}
	}
}

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

/* A queue without a socket is without a worker, whatever another queue has. */
static void queue_beyond_table(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_port port = { .role = XI_ROLE_CIPHER, .slot = XI_MAX_PORTS };
	struct xi_spec spec = { ESP4 };
	struct xi_frame frame;
	struct xi_run run;

	xi_bed_reset(bed);
	fast(bed, &spec);
	bpf_map_update_elem(bpf_map__fd(bed->skel->maps.ports), &bed->ifindex, &port, BPF_ANY);
	xi_frame_build(&frame, &spec);
	xi_bed_run_xdp(bed, bed->skel->progs.xdp_cipher, &frame, 0, 1, &run);
	assert_int_equal(run.verdict, XDP_DROP);
	assert_int_equal(xi_bed_stat(bed, XI_DROP_NO_WORKER), 1);
}

struct flipper {
	struct xi_bed *bed;
	const struct xi_spec *spec;  /* of the packet whose flow it is about */
	enum xi_dir dir;
	enum xi_verdict other;
	const struct xi_flow_mask *rows;
	atomic_uint flips;
	atomic_bool stop;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;

	while (!atomic_load(&f->stop))
		xi_bed_masks(f->bed, XI_FWD, XI_IPV4,
			     &f->rows[atomic_fetch_add(&f->flips, 1) % 2], 1);
	return NULL;
}

/*
 * The daemon writes flow_masks while packets read it. No element is this packet's, under either mask;
 * the address under the one beside the other mask itself would be the key of the one there is.
 */
static void a_mask_is_read_once(void **state)
{
	static const struct xi_flow_mask rows[2] = {
		{ .prefixlen_s = 8, .prefixlen_d = 8 }, { .prefixlen_s = 16, .prefixlen_d = 16 }
	};
	struct xi_bed *bed = *state;
	struct flipper f = { .bed = bed, .rows = rows };
	struct xi_spec spec = { CLEAR4 }, zero = { .src = "10.0.0.0", .dst = "10.0.0.0" };
	struct xi_frame frame;
	struct xi_run run;
	pthread_t thread;
	uint32_t n;

	xi_bed_reset(bed);
	xi_bed_flow_masked(bed, &zero, XI_IN, &rows[1], XI_VERDICT_BYPASS, XI_BED_GENERATION);
	xi_frame_build(&frame, &spec);
	assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
	for (n = 0; n < 10 || (n < 100 && atomic_load(&f.flips) < 500000); n++)
		xi_bed_run_xdp(bed, bed->skel->progs.xdp_cipher, &frame, 0, 100000, &run);
	atomic_store(&f.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(xi_bed_stat(bed, XI_FLOW_HIT), 0);
	assert_int_equal(xi_bed_stat(bed, XI_FLOW_MISS), n * 100000);
}

/* Two flows by turns, so that the one's element is made of the other's. */
static void *recycle(void *arg)
{
	struct flipper *f = arg;
	const struct xi_flow_mask whole = xi_flow_mask_whole(XI_IPV4);
	struct xi_flow flow = {
		.family = XI_IPV4,
		.proto = f->spec->proto,
		.sport = f->spec->sport,
		.dport = f->spec->dport,
	};
	struct xi_flow_verdict verdict = { .generation = XI_BED_GENERATION };
	int fd = bpf_map__fd(f->bed->skel->maps.flow_cache);
	struct xi_flow_key keys[2];

	xi_addr_parse(flow.saddr, f->spec->src);
	xi_addr_parse(flow.daddr, f->spec->dst);
	for (uint32_t i = 0; i < 2; i++, flow.sport++)
		xi_flow_key_make(&keys[i], &flow, f->dir, &whole, 0);
	for (uint32_t i = 0; !atomic_load(&f->stop); i ^= 1) {
		verdict.verdict = i ? f->other : XI_VERDICT_DISCARD;
		bpf_map_update_elem(fd, &keys[i], &verdict, BPF_ANY);
		bpf_map_delete_elem(fd, &keys[i]);
	}
	return NULL;
}

/* What a packet finds is discarded, if it finds anything: hits are drops. */
static void recycled(struct xi_bed *bed, struct bpf_program *prog, struct flipper *f,
		     enum xi_reason drop)
{
	struct xi_frame frame;
	struct xi_run run;
	pthread_t thread;

	xi_frame_build(&frame, f->spec);
	assert_int_equal(pthread_create(&thread, NULL, recycle, f), 0);
	for (uint32_t n = 0; n < 100; n++)
		xi_bed_run_xdp(bed, prog, &frame, 0, 100000, &run);
	atomic_store(&f->stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(xi_bed_stat(bed, drop) > 0);
	assert_int_equal(xi_bed_stat(bed, XI_FLOW_HIT), xi_bed_stat(bed, drop));
}

static void an_element_may_be_anothers_at_once(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec spec = { CLEAR4 };
	struct flipper f = {
		.bed = bed, .spec = &spec, .dir = XI_FWD, .other = XI_VERDICT_BYPASS
	};

	xi_bed_reset(bed);
	recycled(bed, bed->skel->progs.xdp_cipher, &f, XI_DROP_CLEAR_IN);
	assert_int_equal(xi_bed_stat(bed, XI_PASS_BYPASS), 0);
}

/* The same of the SA under which a packet leaves: not to another's peer. */
static void so_may_one_that_names_an_sa(void **state)
{
	struct xi_bed *bed = *state;
	struct xi_spec spec = { CLEAR4, .src = "10.1.0.9", .dst = "10.2.0.9", .dmac = bed->mac };
	struct flipper f = {
		.bed = bed, .spec = &spec, .dir = XI_OUT, .other = XI_VERDICT_PROTECT
	};

	xi_bed_reset(bed);
	xi_bed_role(bed, XI_ROLE_PLAIN);
	recycled(bed, bed->skel->progs.xdp_plain, &f, XI_DROP_POLICY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp),
		cmocka_unit_test(ah),
		cmocka_unit_test(exempt),
		cmocka_unit_test(clear),
		cmocka_unit_test(malformed),
		cmocka_unit_test(esp_with_forged_metadata),
		cmocka_unit_test(ah_with_forged_metadata),
		cmocka_unit_test(clear_with_forged_metadata),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(queue_beyond_table),
		cmocka_unit_test(every_prefix_length),
		cmocka_unit_test(a_mask_is_read_once),
		cmocka_unit_test(an_element_may_be_anothers_at_once),
		cmocka_unit_test(so_may_one_that_names_an_sa),
	};

	return cmocka_run_group_tests_name("xdp_cipher", tests, xi_bed_setup, xi_bed_teardown);
}
