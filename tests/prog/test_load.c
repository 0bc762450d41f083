/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel makes of the object: verifier effort, types of the maps, names; and what a packet
 * costs.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "bpf_bed.h"

/* Of the million that the verifier allows; other kernels count otherwise. */
#define INSN_BUDGET 100000
#define NAME_MAX_LEN 15 /* BPF_OBJ_NAME_LEN without its zero */
#define COST_RUNS 200000

static void verifier_budget(void **state)
{
	struct xi_bed *bed = *state;
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, bed->skel->obj)
	{
		struct bpf_prog_info info = {};
		__u32 len = sizeof(info);

		assert_return_code(bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len),
				   errno);
		print_message("%s: %u instructions verified, budget %u\n", bpf_program__name(prog),
			      info.verified_insns, INSN_BUDGET);
		assert_in_range(info.verified_insns, 1, INSN_BUDGET);
	}
}

/*
 * platform: libbpf loads an object whose BTF is refused and only says so; bpftool then prints no
 * names.
 */
static void btf_is_accepted(void **state)
{
	assert_null(strstr(xi_bed_warnings(), "BTF is optional"));
	assert_null(strstr(xi_bed_warnings(), "Retrying without BTF"));
	assert_string_equal(xi_bed_warnings(), "");
}

static bool is_untyped(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_XSKMAP || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

/* .rodata and the like are libbpf's own. */
static void maps_have_types_and_short_names(void **state)
{
	struct xi_bed *bed = *state;
	unsigned int n = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, bed->skel->obj)
	{
		struct bpf_map_info info = {};
		__u32 len = sizeof(info);

		if (bpf_map__is_internal(map))
			continue;
		assert_in_range(strlen(bpf_map__name(map)), 1, NAME_MAX_LEN);
		assert_return_code(bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &len), errno);
		assert_string_equal(info.name, bpf_map__name(map));
		if (!is_untyped(bpf_map__type(map)))
			assert_true(info.btf_id && info.btf_key_type_id && info.btf_value_type_id);
		n++;
	}
	assert_true(n >= 18);
}

struct map_shape {
	const char *name;
	enum bpf_map_type type;
	uint32_t key, value, flags;
};

/* As the daemon and bpftool users know them. */
static const struct map_shape shapes[] = {
	{ XI_MAP_SAD, BPF_MAP_TYPE_HASH, 4, sizeof(struct xi_sa), BPF_F_NO_PREALLOC },
	{ XI_MAP_SAD_KEYS, BPF_MAP_TYPE_HASH, 4, sizeof(struct xi_sa_key), BPF_F_NO_PREALLOC },
	{ XI_MAP_SAD_LOOKUP, BPF_MAP_TYPE_HASH, sizeof(struct xi_sa_id), 4, BPF_F_NO_PREALLOC },
	{ XI_MAP_SA_STATE, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xi_sa_state), BPF_F_MMAPABLE },
	{ XI_MAP_SA_WINDOW, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xi_window), BPF_F_MMAPABLE },
	{ XI_MAP_SA_CACHE, BPF_MAP_TYPE_LRU_HASH, sizeof(struct xi_sa_id),
	  sizeof(struct xi_sa_cached), 0 },
	{ XI_MAP_FLOW_MASKS, BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct xi_flow_masks) },
	{ XI_MAP_FLOW_CACHE, BPF_MAP_TYPE_LRU_HASH, sizeof(struct xi_flow_key),
	  sizeof(struct xi_flow_verdict), 0 },
	{ XI_MAP_SPD, BPF_MAP_TYPE_HASH, 4, sizeof(struct xi_policy), BPF_F_NO_PREALLOC },
	{ XI_MAP_SPD_GUARD, BPF_MAP_TYPE_HASH, sizeof(struct xi_guard_key), 4, BPF_F_NO_PREALLOC },
	{ XI_MAP_SPD_MASKS, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xi_guard_masks), 0 },
	{ XI_MAP_LOCAL_ADDRS, BPF_MAP_TYPE_HASH, sizeof(struct xi_addr), 4, BPF_F_NO_PREALLOC },
	{ XI_MAP_ENCAP_PORTS, BPF_MAP_TYPE_HASH, 4, 4, BPF_F_NO_PREALLOC },
	{ XI_MAP_PORTS, BPF_MAP_TYPE_HASH, 4, sizeof(struct xi_port), BPF_F_NO_PREALLOC },
	{ XI_MAP_XSKS, BPF_MAP_TYPE_XSKMAP, 4, 4, 0 },
	{ XI_MAP_MISSES, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 0 },
	{ XI_MAP_STATS, BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 0 },
	{ XI_MAP_WORKER_STATS, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xi_worker_stats),
	  BPF_F_MMAPABLE },
	{ XI_MAP_CONFIG, BPF_MAP_TYPE_ARRAY, 4, sizeof(struct xi_config), 0 },
};

static void maps_are_the_contract(void **state)
{
	struct xi_bed *bed = *state;

	for (unsigned int i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(bed->skel->obj, shapes[i].name);

		assert_non_null(map);
		assert_int_equal(bpf_map__type(map), shapes[i].type);
		assert_int_equal(bpf_map__key_size(map), shapes[i].key);
		assert_int_equal(bpf_map__value_size(map), shapes[i].value);
		assert_int_equal(bpf_map__map_flags(map), shapes[i].flags);
	}
}

static void cost(struct xi_bed *bed, struct bpf_program *prog, const char *what,
		 const struct xi_spec *spec, int verdict)
{
	static struct xi_frame frame;
	static struct xi_run run;

	xi_frame_build(&frame, spec);
	if (bpf_program__type(prog) == BPF_PROG_TYPE_XDP)
		xi_bed_run_xdp(bed, prog, &frame, 0, COST_RUNS, &run);
	else
		xi_bed_run_tc(bed, prog, &frame, COST_RUNS, &run);
	assert_int_equal(run.verdict, verdict);
	print_message("%s, %s: %u ns a packet\n", bpf_program__name(prog), what, run.ns);
}

/*
 * Reported, not asserted: machines differ. Hits include stripping the metadata that the run before
 * has written.
 */
static void cost_of_a_packet(void **state)
{
	struct xi_bed *bed = *state;
	static const uint8_t spi[8] = { 0, 0, XI_BED_SPI >> 8, XI_BED_SPI & 255 };
	struct xi_spec foreign = { .src = "198.51.100.7",
				   .dst = "192.0.2.1",
				   .proto = IPPROTO_TCP };
	struct xi_spec esp = {
		.src = "192.0.2.2", .dst = "192.0.2.1", .proto = IPPROTO_ESP, .spi = XI_BED_SPI
	};
	struct xi_spec out = {
		.src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_TCP, .dmac = bed->mac
	};
	struct xi_spec clear = { .src = "10.2.0.9", .dst = "10.1.0.9", .proto = IPPROTO_TCP };
	struct xi_spec natt = { .src = "192.0.2.2",
				.dst = "192.0.2.1",
				.proto = IPPROTO_UDP,
				.dport = 4500,
				.payload = spi,
				.payload_len = sizeof(spi) };
	struct xi_spec unknown = esp;

	xi_bed_reset(bed);
	xi_bed_sa_cached(bed, esp.dst, esp.spi, XI_METHOD_FAST);
	xi_bed_flow(bed, &out, XI_OUT, XI_VERDICT_PROTECT, XI_BED_GENERATION);
	xi_bed_flow(bed, &clear, XI_IN, XI_VERDICT_BYPASS, XI_BED_GENERATION);
	unknown.spi++;
	cost(bed, bed->skel->progs.xdp_cipher, "foreign", &foreign, XDP_PASS);
	cost(bed, bed->skel->progs.xdp_cipher, "ESP of an unknown SPI", &unknown, XDP_DROP);
	cost(bed, bed->skel->progs.xdp_cipher, "bypass", &clear, XDP_PASS);
	cost(bed, bed->skel->progs.xdp_cipher, "ESP hit", &esp, XDP_REDIRECT);
	cost(bed, bed->skel->progs.xdp_cipher, "ESP in UDP hit", &natt, XDP_REDIRECT);
	cost(bed, bed->skel->progs.tc_guard, "ESP leaving", &esp, -1);
	foreign.proto = IPPROTO_UDP;
	cost(bed, bed->skel->progs.xdp_cipher, "foreign UDP", &foreign, XDP_PASS);
	xi_bed_encap(bed, 4501);
	cost(bed, bed->skel->progs.xdp_cipher, "foreign UDP, other encapsulation ports in use",
	     &foreign, XDP_PASS);
	foreign.proto = IPPROTO_TCP;
	xi_bed_role(bed, XI_ROLE_PLAIN);
	foreign.dmac = bed->mac;
	foreign.dst = "198.51.100.8";
	cost(bed, bed->skel->progs.xdp_plain, "foreign", &foreign, XDP_PASS);
	cost(bed, bed->skel->progs.xdp_plain, "hit", &out, XDP_REDIRECT);
}

/* How much it takes to look under more masks than one. */
static void cost_of_masks(void **state)
{
	static const uint32_t counts[] = { 1, 2, 4, 8, XI_FLOW_MASKS };
	struct xi_bed *bed = *state;
	struct xi_spec out = {
		.src = "10.1.0.9", .dst = "10.2.0.9", .proto = IPPROTO_TCP, .dmac = bed->mac
	};
	struct xi_flow_mask rows[XI_FLOW_MASKS];
	char what[64];

	for (uint32_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint32_t n = counts[i];

		xi_bed_reset(bed);
		xi_bed_role(bed, XI_ROLE_PLAIN);
		for (uint32_t k = 0; k < n; k++)
			rows[k] = (struct xi_flow_mask){ .prefixlen_s = 32 - n + 1 + k,
							 .prefixlen_d = 16 };
		xi_bed_masks(bed, XI_OUT, XI_IPV4, rows, n);
		xi_bed_flow_masked(bed, &out, XI_OUT, &rows[n - 1], XI_VERDICT_PROTECT,
				   XI_BED_GENERATION);
		snprintf(what, sizeof(what), "hit under the last of %u masks", n);
		cost(bed, bed->skel->progs.xdp_plain, what, &out, XDP_REDIRECT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verifier_budget),
		cmocka_unit_test(btf_is_accepted),
		cmocka_unit_test(maps_have_types_and_short_names),
		cmocka_unit_test(maps_are_the_contract),
		cmocka_unit_test(cost_of_a_packet),
		cmocka_unit_test(cost_of_masks),
	};

	return cmocka_run_group_tests_name("load", tests, xi_bed_setup, xi_bed_teardown);
}
