/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a packet that misses to the answer in sa_cache: xdp_cipher, the perf rings, the event loop and the
 * table of SAs together, with maps as the kernel has them.
 */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "bpf_bed.h"
#include "cache/cache.h"
#include "mem_store.h"

#define LOCAL "192.0.2.1"
#define PEER "192.0.2.2"
#define ESP4(number)                                                                               \
	.src = PEER, .dst = LOCAL, .proto = IPPROTO_ESP, .spi = (number), .payload_len = 40

struct gateway {
	struct xi_bed *bed;
	struct event_base *base;
	struct mem_store *store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_cache *cache;
	const struct xi_cache_misses *misses;
	const struct xi_sa_table *table;
};

static void gateway_open(struct gateway *g, struct xi_bed *bed, uint32_t sa_entries)
{
	struct xi_sad_config sad = { 0 };
	struct xi_cache_config config = { .engine = &xi_engine_openssl, .nworkers = 1,
					  .sa_entries = sa_entries };

	xi_bed_reset(bed);
	*g = (struct gateway){ .bed = bed, .base = event_base_new(),
			       .store = mem_store_new(MEM_STORE_SAS, 0) };
	assert_int_equal(xi_sad_create(&g->sad, &sad, &g->store->store), 0);
	assert_int_equal(xi_spd_create(&g->spd, g->sad, &g->store->store), 0);
	config.base = g->base;
	config.sad = g->sad;
	config.spd = g->spd;
	config.sa_cache_fd = bpf_map__fd(bed->skel->maps.sa_cache);
	config.flow_cache_fd = bpf_map__fd(bed->skel->maps.flow_cache);
	config.flow_masks_fd = bpf_map__fd(bed->skel->maps.flow_masks);
	config.misses_fd = bpf_map__fd(bed->skel->maps.misses);
	assert_int_equal(xi_cache_create(&g->cache, &config), 0);
	g->misses = xi_cache_misses(g->cache);
	g->table = xi_cache_table(g->cache);
}

static void gateway_close(struct gateway *g)
{
	xi_spd_destroy(g->spd);
	xi_sad_destroy(g->sad);
	xi_cache_destroy(g->cache);
	mem_store_free(g->store);
	event_base_free(g->base);
}

static const struct xi_sa_rec *sa_add(struct gateway *g, uint32_t spi)
{
	struct xi_sa sa = sample_sa(PEER, LOCAL, spi);
	struct xi_sa_key key = sample_key(spi);
	const struct xi_sa_rec *rec;
	const char *why = NULL;

	assert_int_equal(xi_sad_add(g->sad, &sa, &key, NULL, &why), 0);
	rec = xi_sad_find(g->sad, &sa.id);
	xi_bed_sa_known(g->bed, LOCAL, spi, rec->sa.sa_index);
	return rec;
}

/* What XDP makes of a packet: the metadata's flags and slot. */
static struct xi_meta packet(struct gateway *g, uint32_t spi, int verdict)
{
	const struct xi_spec spec = { ESP4(spi) };
	static struct xi_frame frame;
	static struct xi_run run;
	struct xi_meta meta = { 0 };

	xi_frame_build(&frame, &spec);
	xi_bed_run_xdp(g->bed, g->bed->skel->progs.xdp_cipher, &frame, 0, 1, &run);
	assert_int_equal(run.verdict, verdict);
	if (run.meta_len >= sizeof(meta))
		memcpy(&meta, run.out, sizeof(meta));
	return meta;
}

static void settle(struct gateway *g)
{
	event_base_loop(g->base, EVLOOP_NONBLOCK);
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void a_miss_makes_the_next_packet_fast(void **state)
{
	const struct xi_sa_rec *rec;
	struct xi_meta meta;
	struct gateway g;

	gateway_open(&g, *state, 64);
	rec = sa_add(&g, XI_BED_SPI);
	meta = packet(&g, XI_BED_SPI, XDP_REDIRECT);
	assert_int_equal(meta.flags, XI_META_MISS);
	assert_int_equal(meta.handle, rec->sa.sa_index);
	settle(&g);
	meta = packet(&g, XI_BED_SPI, XDP_REDIRECT);
	assert_int_equal(meta.flags, 0);
	assert_int_equal(meta.slot, xi_slots_number(xi_cache_slots(g.cache), rec->sa.sa_index));
	assert_int_equal(g.misses->messages, 1);
	assert_int_equal(g.misses->sa.count, 1);
	assert_in_range(g.misses->sa.max, 1, 1000000000);
	gateway_close(&g);
}

/* SLOW as before, and the one message is the price. */
static void what_the_kernel_evicts_comes_back(void **state)
{
	const struct xi_sa_rec *rec;
	struct xi_config cfg = xi_bed_config();
	struct xi_meta meta;
	struct gateway g;
	uint32_t slot;

	gateway_open(&g, *state, 64);
	cfg.miss_dedup_ms = 0;
	xi_bed_put_config(g.bed, &cfg);
	rec = sa_add(&g, XI_BED_SPI);
	packet(&g, XI_BED_SPI, XDP_REDIRECT);
	settle(&g);
	slot = packet(&g, XI_BED_SPI, XDP_REDIRECT).slot;
	bpf_map_delete_elem(bpf_map__fd(g.bed->skel->maps.sa_cache), &rec->sa.id);
	meta = packet(&g, XI_BED_SPI, XDP_REDIRECT);
	assert_int_equal(meta.flags, XI_META_MISS);
	settle(&g);
	meta = packet(&g, XI_BED_SPI, XDP_REDIRECT);
	assert_int_equal(meta.flags, 0);
	assert_int_equal(meta.slot, slot);
	assert_int_equal(g.table->figures.evicted_kernel, 1);
	assert_int_equal(xi_cache_slots(g.cache)->used, 1);
	gateway_close(&g);
}

/*
 * Packets that came while the answer was on its way raise messages of their own, which change
 * nothing.
 */
static void late_messages_are_stale(void **state)
{
	struct xi_config cfg = xi_bed_config();
	struct gateway g;

	gateway_open(&g, *state, 64);
	cfg.miss_dedup_ms = 0;
	xi_bed_put_config(g.bed, &cfg);
	sa_add(&g, XI_BED_SPI);
	for (int i = 0; i < 5; i++)
		packet(&g, XI_BED_SPI, XDP_REDIRECT);
	settle(&g);
	assert_int_equal(g.misses->messages, 5);
	assert_int_equal(g.table->figures.stale, 4);
	assert_int_equal(g.table->figures.evicted_kernel, 0);
	assert_int_equal(g.misses->sa.count, 1);
	gateway_close(&g);
}

/* An SA that gets no slot is carried all the same, and XDP stops asking for the life of the answer. */
static void an_sa_without_a_slot_is_slow_and_quiet(void **state)
{
	struct xi_config cfg = xi_bed_config();
	struct xi_meta meta;
	struct gateway g;

	gateway_open(&g, *state, 1);
	cfg.miss_dedup_ms = 0;
	xi_bed_put_config(g.bed, &cfg);
	sa_add(&g, XI_BED_SPI);
	sa_add(&g, XI_BED_SPI + 1);
	packet(&g, XI_BED_SPI, XDP_REDIRECT);
	settle(&g);
	for (int i = 0; i < 2; i++) {
		meta = packet(&g, XI_BED_SPI + 1, XDP_REDIRECT);
		assert_int_equal(meta.flags, XI_META_MISS);
		settle(&g);
	}
	assert_int_equal(xi_bed_stat(g.bed, XI_SA_HIT), 0);
	for (int i = 0; i < 3; i++) {
		meta = packet(&g, XI_BED_SPI + 1, XDP_REDIRECT);
		assert_int_equal(meta.flags, XI_META_MISS);
		assert_int_equal(meta.slot, XI_NO_SLOT);
	}
	assert_int_equal(xi_bed_stat(g.bed, XI_SA_HIT), 3);
	assert_int_equal(xi_bed_stat(g.bed, XI_MISS_SENT), 3);
	xi_sa_table_tick((struct xi_sa_table *)g.table, clock_ns() + 2000000000);
	packet(&g, XI_BED_SPI + 1, XDP_REDIRECT);
	assert_int_equal(xi_bed_stat(g.bed, XI_MISS_SENT), 4);
	gateway_close(&g);
}

static void a_dropped_sa_drops_in_xdp(void **state)
{
	const struct xi_sa_rec *rec;
	struct gateway g;

	gateway_open(&g, *state, 4);
	rec = sa_add(&g, XI_BED_SPI);
	rec->state->expired = 1;
	packet(&g, XI_BED_SPI, XDP_REDIRECT); /* the worker drops it, and counts */
	settle(&g);
	packet(&g, XI_BED_SPI, XDP_DROP);
	assert_int_equal(xi_bed_stat(g.bed, XI_DROP_SA_METHOD), 1);
	gateway_close(&g);
}

/*
 * More messages than a turn takes: the rings are left alone for as long, and in the end every SA
 * that raised one has its answer.
 */
static void a_storm_of_messages_is_served_in_turns(void **state)
{
	struct xi_config cfg = xi_bed_config();
	uint64_t until = clock_ns() + 20000000000;
	struct gateway g;
	uint32_t i;

	gateway_open(&g, *state, 2200);
	cfg.miss_per_second = 1000000;
	xi_bed_put_config(g.bed, &cfg);
	for (i = 0; i < 2200; i++)
		sa_add(&g, 0x2000 + i);
	for (i = 0; i < 2200; i++)
		packet(&g, 0x2000 + i, XDP_REDIRECT);
	while (g.misses->messages < xi_bed_stat(g.bed, XI_MISS_SENT) && clock_ns() < until)
		event_base_loop(g.base, EVLOOP_ONCE);
	assert_int_equal(g.misses->messages, xi_bed_stat(g.bed, XI_MISS_SENT));
	assert_int_equal(xi_bed_stat(g.bed, XI_MISS_SENT) + xi_bed_stat(g.bed, XI_MISS_LOST) +
				 xi_bed_stat(g.bed, XI_MISS_DEDUP), 2200);
	assert_int_equal(xi_cache_slots(g.cache)->used, xi_bed_stat(g.bed, XI_MISS_SENT));
	assert_true(g.misses->rests > 0);
	/* what was lost is asked for by the next packet */
	for (i = 0; i < 2200; i++)
		packet(&g, 0x2000 + i, XDP_REDIRECT);
	while (g.misses->messages < xi_bed_stat(g.bed, XI_MISS_SENT) && clock_ns() < until)
		event_base_loop(g.base, EVLOOP_ONCE);
	assert_true(xi_cache_slots(g.cache)->used >= 2200 - xi_bed_stat(g.bed, XI_MISS_DEDUP));
	gateway_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_miss_makes_the_next_packet_fast),
		cmocka_unit_test(what_the_kernel_evicts_comes_back),
		cmocka_unit_test(late_messages_are_stale),
		cmocka_unit_test(an_sa_without_a_slot_is_slow_and_quiet),
		cmocka_unit_test(a_dropped_sa_drops_in_xdp),
		cmocka_unit_test(a_storm_of_messages_is_served_in_turns),
	};

	xi_bed_cached = 8192;
	return cmocka_run_group_tests_name("answers", tests, xi_bed_setup, xi_bed_teardown);
}
