/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What packets find of masks and elements of the flow cache while they change. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <xipsec/flow_key.h>

#include "cipher_bed.h"

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
		cmocka_unit_test(a_mask_is_read_once),
		cmocka_unit_test(an_element_may_be_anothers_at_once),
		cmocka_unit_test(so_may_one_that_names_an_sa),
	};

	return cmocka_run_group_tests_name("flow cache races", tests, xi_bed_setup, xi_bed_teardown);
}
