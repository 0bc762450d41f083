/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every verdict of xdp_cipher about ESP and AH, and about what is malformed. */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "cipher_bed.h"

#define ESP4                                                                                       \
	.src = "192.0.2.2", .dst = "192.0.2.1", .proto = IPPROTO_ESP, .spi = XI_BED_SPI,           \
	.payload_len = 40
#define ESP6                                                                                       \
	.src = "2001:db8::2", .dst = "2001:db8::1", .proto = IPPROTO_ESP, .spi = XI_BED_SPI,       \
	.payload_len = 40
#define LARVAL META(.flags = XI_META_LARVAL)
#define MISS(h) META(.handle = (h), .flags = XI_META_MISS)

static void no_method(struct xi_bed *bed, const struct xi_spec *spec)
{
	cached(bed, XI_METHOD_NONE);
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

static void fast_no_port(struct xi_bed *bed, const struct xi_spec *spec)
{
	fast(bed, spec);
	bpf_map_delete_elem(bpf_map__fd(bed->skel->maps.ports), &bed->ifindex);
}

static void spi_0_cached(struct xi_bed *bed, const struct xi_spec *spec)
{
	xi_bed_sa_cached(bed, spec->dst, 0, XI_METHOD_FAST);
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

TABLE(esp, esp_cases, xdp_cipher, XI_ROLE_CIPHER, 0)
TABLE(ah, ah_cases, xdp_cipher, XI_ROLE_CIPHER, 0)
TABLE(malformed, malformed_cases, xdp_cipher, XI_ROLE_CIPHER, 0)
/* meta-untrusted: the same packets with forged metadata come to the same end. */
TABLE(esp_with_forged_metadata, esp_cases, xdp_cipher, XI_ROLE_CIPHER, 32)
TABLE(ah_with_forged_metadata, ah_cases, xdp_cipher, XI_ROLE_CIPHER, 4)

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esp),
		cmocka_unit_test(ah),
		cmocka_unit_test(malformed),
		cmocka_unit_test(esp_with_forged_metadata),
		cmocka_unit_test(ah_with_forged_metadata),
		cmocka_unit_test(every_truncation),
		cmocka_unit_test(queue_beyond_table),
	};

	return cmocka_run_group_tests_name("xdp_cipher", tests, xi_bed_setup, xi_bed_teardown);
}
