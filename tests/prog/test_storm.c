/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * counted: in a storm of random packets every drop adds one to exactly one reason, and nothing else
 * does.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "bpf_bed.h"

#define STORM 30000
#define ENCAP_PORT 4501
#define TC_RUN_MIN                                                                                 \
	(ETH_HLEN +                                                                                \
	 40) /* Linux 6.18 refuses test runs of less than an IP header; test_host sends those */
#define N(a) (sizeof(a) / sizeof((a)[0]))

static const bool is_drop[XI_REASON_MAX] = {
#define X(value, symbol, name, kind, text) [value] = XI_REASON_##kind == XI_REASON_DROP,
	XI_REASONS(X)
#undef X
};

static unsigned int pick(unsigned int n)
{
	return rand() / (RAND_MAX / n + 1);
}

/* Mostly well-formed, so that the deeper steps are reached; then some bytes are damaged. */
static void random_frame(struct xi_bed *bed, uint32_t min, struct xi_frame *frame)
{
	static const char *const pairs[][2] = {
		{ "10.1.0.9", "10.2.0.9" },	  { "10.2.0.9", "10.1.0.9" },
		{ "10.2.0.9", "10.1.0.1" },	  { "192.0.2.2", "192.0.2.1" },
		{ "10.1.0.9", "198.51.100.1" },	  { "10.1.0.9", "224.0.0.1" },
		{ "fd01::9", "fd02::9" },	  { "fd02::9", "fd01::9" },
		{ "2001:db8::2", "2001:db8::1" }, { "2001:db8::2", "2001:db8::7" },
		{ "fd02::9", "ff02::1" },	  { "fd02::9", "fe80::1" },
	};
	static const uint8_t protos[] = { IPPROTO_ESP,	  IPPROTO_UDP, IPPROTO_TCP,
					  IPPROTO_ICMPV6, IPPROTO_AH,  41 };
	static const char *const exts[] = { NULL, "h", "rd", "hrdrdrdrdrd" };
	static const uint16_t udp_ports[] = { 500, 4500, 53, ENCAP_PORT };
	uint8_t payload[64] = {};
	const char *const *pair = pairs[pick(N(pairs))];
	struct xi_spec spec = {
		.src = pair[0],
		.dst = pair[1],
		.dmac = pick(8) ? bed->mac : NULL,
		.proto = protos[pick(N(protos))],
		.sport = pick(4) ? udp_ports[pick(N(udp_ports))] : 133 + pick(5),
		.dport = udp_ports[pick(N(udp_ports))],
		.spi = pick(2) ? XI_BED_SPI + pick(6) : pick(300),
		.mf = !pick(8),
		.frag_off = pick(8) ? 0 : pick(100),
		.hops = pick(2) ? 255 : 64,
		.ext = exts[pick(N(exts))],
		.vlans = pick(12) ? 0 : pick(4),
		.payload = payload,
		.payload_len = pick(sizeof(payload)),
	};
	uint32_t spi = htonl(pick(3) ? spec.spi : 0);

	memcpy(payload, &spi, sizeof(spi)); /* of ESP in UDP, or no ESP */
	xi_frame_build(frame, &spec);
	for (unsigned int i = pick(3); i--;)
		frame->data[12 + pick(frame->len - 12)] ^= 1 << pick(8);
	if (frame->len > min && !pick(6))
		frame->len = min + pick(frame->len - min);
}

static void storm_bed(struct xi_bed *bed, enum xi_role role, bool worker, bool encap)
{
	static const enum xi_method methods[] = { XI_METHOD_FAST, XI_METHOD_SLOW, XI_METHOD_KERNEL,
						  XI_METHOD_DROP };
	const struct xi_flow_mask mask = { .prefixlen_s = 32, .prefixlen_d = 32, .proto = 0xff };
	struct xi_spec flow = { .src = "10.1.0.9", .dst = "10.2.0.9" };
	struct xi_config cfg;

	xi_bed_reset(bed);
	xi_bed_role(bed, role);
	xi_bed_worker(bed, worker);
	xi_bed_encap(bed, ENCAP_PORT);
	cfg = xi_bed_config();
	cfg.flags = encap ? XI_CONFIG_ENCAP : 0;
	xi_bed_put_config(bed, &cfg);
	for (uint32_t i = 0; i < N(methods); i++) {
		xi_bed_sa_cached(bed, "192.0.2.1", XI_BED_SPI + i, methods[i]);
		xi_bed_sa_cached(bed, "2001:db8::1", XI_BED_SPI + i, methods[i]);
		xi_bed_ah_cached(bed, "192.0.2.1", XI_BED_SPI + i, methods[i]);
		xi_bed_ah_cached(bed, "2001:db8::1", XI_BED_SPI + i, methods[i]);
	}
	xi_bed_sa_known(bed, "192.0.2.1", XI_BED_SPI + 4, XI_BED_HANDLE + 1);
	xi_bed_ah_known(bed, "192.0.2.1", XI_BED_SPI + 4, XI_BED_HANDLE + 2);
	xi_bed_masks(bed, XI_OUT, XI_IPV4, &mask, 1);
	xi_bed_masks(bed, XI_FWD, XI_IPV6, &mask, 1);
	for (flow.proto = 0; flow.proto < 60; flow.proto++)
		xi_bed_flow_masked(bed, &flow, XI_OUT, &mask, XI_VERDICT_PROTECT + flow.proto % 3,
				   XI_BED_GENERATION);
	flow = (struct xi_spec){ .src = "fd02::9", .dst = "fd01::9" };
	for (flow.proto = 0; flow.proto < 60; flow.proto++)
		xi_bed_flow_masked(bed, &flow, XI_IN, &mask, XI_VERDICT_PROTECT + flow.proto % 3,
				   XI_BED_GENERATION);
}

/* Sum of the drop counters; the number of reasons that moved goes to *kinds. */
static uint64_t drops(struct xi_bed *bed, unsigned int *kinds)
{
	uint64_t stats[XI_REASON_MAX], sum = 0;

	xi_bed_stats(bed, stats);
	*kinds = 0;
	for (unsigned int i = 0; i < XI_REASON_MAX; i++) {
		if (!is_drop[i])
			continue;
		sum += stats[i];
		*kinds += stats[i] != 0;
	}
	return sum;
}

static void storm(struct xi_bed *bed, struct bpf_program *prog, enum xi_role role, bool worker,
		  bool encap, unsigned int want_kinds)
{
	uint64_t verdicts[8] = {};
	struct xi_frame frame;
	static struct xi_run run;
	unsigned int kinds;

	storm_bed(bed, role, worker, encap);
	srand(4711);
	for (int i = 0; i < STORM; i++) {
		random_frame(bed, ETH_HLEN, &frame);
		if (role == XI_ROLE_HOST && pick(8))
			memcpy(frame.data, xi_bed_origin, sizeof(xi_bed_origin));
		xi_bed_run_xdp(bed, prog, &frame, pick(9) * 4, 1, &run);
		assert_in_range(run.verdict, XDP_DROP, XDP_REDIRECT);
		verdicts[run.verdict]++;
	}
	assert_int_equal(drops(bed, &kinds), verdicts[XDP_DROP]);
	assert_int_equal(xi_bed_stat(bed, XI_TO_WORKER), verdicts[XDP_REDIRECT]);
	assert_int_equal(verdicts[XDP_TX], 0);
	assert_true(kinds >= want_kinds);
	print_message("%d packets: %lu pass, %lu redirect, %lu drop for %u reasons\n", STORM,
		      (unsigned long)verdicts[XDP_PASS], (unsigned long)verdicts[XDP_REDIRECT],
		      (unsigned long)verdicts[XDP_DROP], kinds);
}

static void storm_cipher(void **state)
{
	struct xi_bed *bed = *state;

	storm(bed, bed->skel->progs.xdp_cipher, XI_ROLE_CIPHER, true, false, 5);
	storm(bed, bed->skel->progs.xdp_cipher, XI_ROLE_CIPHER, true, true, 5);
	storm(bed, bed->skel->progs.xdp_cipher, XI_ROLE_CIPHER, false, true, 6);
}

static void storm_plain(void **state)
{
	struct xi_bed *bed = *state;

	storm(bed, bed->skel->progs.xdp_plain, XI_ROLE_PLAIN, true, true, 2);
	storm(bed, bed->skel->progs.xdp_plain, XI_ROLE_PLAIN, false, true, 3);
	storm(bed, bed->skel->progs.xdp_plain, XI_ROLE_HOST, true, true, 3);
}

static void storm_guard(void **state)
{
	struct xi_bed *bed = *state;
	uint64_t shot = 0;
	struct xi_frame frame;
	static struct xi_run run;
	unsigned int kinds;

	storm_bed(bed, XI_ROLE_CIPHER, false, true);
	srand(4712);
	for (int i = 0; i < STORM; i++) {
		random_frame(bed, TC_RUN_MIN, &frame);
		xi_bed_run_tc(bed, bed->skel->progs.tc_guard, &frame, 1, &run);
		assert_true(run.verdict == TC_ACT_SHOT || run.verdict == TC_ACT_UNSPEC);
		shot += run.verdict == TC_ACT_SHOT;
	}
	assert_int_equal(drops(bed, &kinds), shot);
	assert_true(kinds >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(storm_cipher),
		cmocka_unit_test(storm_plain),
		cmocka_unit_test(storm_guard),
	};

	return cmocka_run_group_tests_name("counted", tests, xi_bed_setup, xi_bed_teardown);
}
