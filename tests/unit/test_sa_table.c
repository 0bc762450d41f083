// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which method an SA gets and why, in a real LRU map: seats, negative answers and their lives, what the
 * kernel evicts. Skipped where BPF maps cannot be made.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "cache/sa_table.h"
#include "mem_store.h"

#define NSAS 2048
#define SECOND 1000000000ULL

struct bed {
	struct xi_sa_table table;
	int map;
	uint64_t counts[XI_REASON_MAX];
	struct xi_sa_rec recs[NSAS];
	struct xi_sa_state states[NSAS];
};

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static int map_new(uint32_t n)
{
	return bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "sa_cache", sizeof(struct xi_sa_id),
			      sizeof(struct xi_sa_cached), n, NULL);
}

static struct bed *bed_new_by(const char *policy, uint32_t sa_entries, uint32_t map_entries)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	struct xi_sa_table_config config = {
		.engine = &xi_engine_openssl,
		.nworkers = 1,
		.sa_entries = sa_entries,
		.policy = policy,
	};

	assert_non_null(bed);
	config.counts = bed->counts;
	config.sa_cache_fd = bed->map = map_new(map_entries);
	if (bed->map < 0) {
		free(bed);
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	assert_int_equal(xi_sa_table_create(&bed->table, &config), 0);
	for (uint32_t i = 0; i < NSAS; i++) {
		struct xi_sa_rec *rec = &bed->recs[i];

		rec->sa = sample_sa("192.0.2.2", "192.0.2.1", 0x1000 + i);
		rec->sa.sa_index = XI_SA_INDEX(1, i);
		rec->key = sample_key(i);
		rec->state = &bed->states[i];
		rec->words = (uint64_t *)bed->states[i].words;
		rec->nwords = XI_WINDOW_INLINE_WORDS;
	}
	return bed;
}

/* Plain LRU, so that who goes is known; SA i has no packet yet. */
static struct bed *bed_new(uint32_t sa_entries, uint32_t map_entries)
{
	return bed_new_by("lru", sa_entries, map_entries);
}

static void bed_free(struct bed *bed)
{
	xi_sa_table_destroy(&bed->table);
	close(bed->map);
	free(bed);
}

/* n packets that pass their integrity check, now */
static void verified(struct bed *bed, uint32_t i, uint64_t n)
{
	bed->states[i].packets += n;
	bed->states[i].last_use = time(NULL);
}

static bool miss(struct bed *bed, uint32_t i)
{
	return xi_sa_table_miss(&bed->table, &bed->recs[i], clock_ns());
}

/* In sa_cache; XI_METHOD_NONE: not there. */
static enum xi_method cached(struct bed *bed, uint32_t i)
{
	struct xi_sa_cached value;

	if (bpf_map_lookup_elem(bed->map, &bed->recs[i].sa.id, &value))
		return XI_METHOD_NONE;
	assert_int_equal(value.sa_index, bed->recs[i].sa.sa_index);
	assert_int_equal(value.slot, xi_slots_number(&bed->table.slots, value.sa_index));
	assert_int_equal(value.slot != XI_NO_SLOT, value.method == XI_METHOD_FAST);
	return value.method;
}

static int why(struct bed *bed, uint32_t i)
{
	const struct xi_shadow_sa *sa =
		xi_shadow_find(&bed->table.shadow, bed->recs[i].sa.sa_index);

	return sa ? sa->why : -1;
}

static uint32_t entries(struct bed *bed)
{
	struct xi_sa_id id, *prev = NULL;
	uint32_t n = 0;

	while (!bpf_map_get_next_key(bed->map, prev, &id)) {
		prev = &id;
		n++;
	}
	return n;
}

static void method_is(struct bed *bed, uint32_t i, enum xi_choice choice)
{
	assert_true(miss(bed, i));
	assert_int_equal(cached(bed, i), xi_choice_method(choice));
	assert_int_equal(why(bed, i), choice);
	assert_int_equal(bed->table.figures.filled[choice], 1);
}

/* RFC 4301 has no packet carried by an SA without keys, or beyond its hard lifetime. */
static void the_sa_decides_the_method(void **state)
{
	struct bed *bed = bed_new(64, 1024);

	method_is(bed, 0, XI_CHOICE_ROOM);
	bed->recs[1].sa.life = XI_SA_LARVAL;
	method_is(bed, 1, XI_CHOICE_LARVAL);
	bed->states[2].expired = 1;
	method_is(bed, 2, XI_CHOICE_EXPIRED);
	bed->recs[3].key.len = 7;
	method_is(bed, 3, XI_CHOICE_NO_KEY);
	assert_int_equal(bed->table.slots.used, 1);
	assert_int_equal(xi_admit_resident(bed->table.admit), 1);
	bed_free(bed);
}

/* A seat is lost with the lifetime. */
static void an_expired_sa_loses_its_slot(void **state)
{
	struct bed *bed = bed_new(64, 1024);

	assert_true(miss(bed, 0));
	bed->states[0].expired = 1;
	assert_int_equal(bpf_map_delete_elem(bed->map, &bed->recs[0].sa.id), 0);
	xi_sa_table_changed(&bed->table, &bed->recs[0], &bed->recs[0]);
	assert_true(miss(bed, 0));
	assert_int_equal(cached(bed, 0), XI_METHOD_DROP);
	assert_int_equal(bed->table.slots.used, 0);
	assert_int_equal(xi_admit_resident(bed->table.admit), 0);
	bed_free(bed);
}

/* One that asks once is not worth an answer; one that goes on has peace for 1, 2, 4, 8, 8 seconds. */
static void a_negative_answer_lives_and_dies(void **state)
{
	static const unsigned int lives[] = { 1, 2, 4, 8, 8 };
	struct bed *bed = bed_new(1, 1024);
	struct xi_shadow_sa *sa;

	miss(bed, 0);
	assert_false(miss(bed, 1));
	assert_int_equal(why(bed, 1), XI_CHOICE_UNPROVEN);
	assert_int_equal(cached(bed, 1), XI_METHOD_NONE);
	assert_false(xi_sa_table_tick(&bed->table, clock_ns()));
	for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
		assert_true(miss(bed, 1));
		assert_int_equal(cached(bed, 1), XI_METHOD_SLOW);
		sa = xi_shadow_find(&bed->table.shadow, bed->recs[1].sa.sa_index);
		assert_true(xi_sa_table_tick(&bed->table, sa->put + lives[i] * SECOND - 1));
		assert_int_equal(cached(bed, 1), XI_METHOD_SLOW);
		assert_false(xi_sa_table_tick(&bed->table, sa->put + lives[i] * SECOND));
		assert_int_equal(cached(bed, 1), XI_METHOD_NONE);
		assert_int_equal(bed->table.figures.lapsed, i + 1);
	}
	/* silent for more than a second: it begins anew */
	sa->asked = clock_ns() - 2 * SECOND;
	assert_false(miss(bed, 1));
	assert_true(miss(bed, 1));
	assert_false(xi_sa_table_tick(&bed->table, sa->put + SECOND));
	assert_int_equal(cached(bed, 0), XI_METHOD_FAST);
	bed_free(bed);
}

/* The end of a life deletes in batches, which what the kernel evicted meanwhile does not stop. */
static void all_lives_end_whatever_the_kernel_evicted(void **state)
{
	struct bed *bed = bed_new(1, 1024);

	for (uint32_t i = 0; i < 200; i++)
		bed->recs[i].sa.life = XI_SA_LARVAL;
	for (uint32_t i = 0; i < 200; i++)
		assert_true(miss(bed, i));
	for (uint32_t i = 0; i < 200; i += 3)
		assert_int_equal(bpf_map_delete_elem(bed->map, &bed->recs[i].sa.id), 0);
	assert_false(xi_sa_table_tick(&bed->table, clock_ns() + SECOND));
	assert_int_equal(entries(bed), 0);
	bed_free(bed);
}

/* Forged packets: whoever cannot show a verified one takes nobody's place, however often it asks. */
static void unproven_sas_evict_nobody(void **state)
{
	struct bed *bed = bed_new(8, 1024);

	for (uint32_t i = 0; i < 8; i++)
		assert_true(miss(bed, i));
	/* half of them were in use, until two seconds ago, and admission knows */
	for (uint32_t i = 8; i < 58; i++) {
		bed->states[i].packets = bed->states[i].packets_asked = 5;
		bed->states[i].last_use = time(NULL) - 2;
	}
	for (uint32_t n = 0; n < 20 * 100; n++)
		miss(bed, 8 + n % 100);
	for (uint32_t i = 0; i < 8; i++)
		assert_int_equal(cached(bed, i), XI_METHOD_FAST);
	assert_int_equal(bed->table.figures.evicted_admission, 0);
	assert_int_equal(xi_admit_resident(bed->table.admit), 8);
	bed_free(bed);
}

/* An outbound SA's packets are the host's own: it needs no proof. It is not in sa_cache. */
static void an_sa_that_is_used_takes_an_idle_ones_place(void **state)
{
	struct bed *bed = bed_new(2, 1024);

	assert_true(miss(bed, 0));
	assert_true(miss(bed, 1));
	verified(bed, 2, 5);
	assert_true(miss(bed, 2));
	assert_int_equal(why(bed, 2), XI_CHOICE_WORTH);
	assert_int_equal(cached(bed, 0), XI_METHOD_NONE);
	assert_int_equal(why(bed, 0), XI_CHOICE_EVICTED);
	assert_int_equal(cached(bed, 1), XI_METHOD_FAST);
	assert_int_equal(cached(bed, 2), XI_METHOD_FAST);
	assert_int_equal(bed->counts[XI_SA_EVICTED], 1);
	assert_true(xi_sa_table_want(&bed->table, &bed->recs[3]));
	assert_int_equal(cached(bed, 3), XI_METHOD_NONE);
	assert_int_not_equal(xi_slots_number(&bed->table.slots, bed->recs[3].sa.sa_index),
			     XI_NO_SLOT);
	assert_int_equal(cached(bed, 1), XI_METHOD_NONE);
	assert_int_equal(bed->table.slots.used, 2);
	bed_free(bed);
}

/*
 * Residents with a thousand packets between misses, and newcomers with one each that is verified: by
 * the policy that weighs, they stay out, SLOW; but one that is used as much gets in.
 */
static void who_is_used_less_is_refused(void **state)
{
	struct bed *bed = bed_new_by("rate", 8, 1024);
	const struct xi_sa_table_figures *figures = &bed->table.figures;
	uint32_t i, n;

	for (i = 0; i < 8; i++)
		assert_true(miss(bed, i));
	for (n = 0; n < 2000; n++) {
		for (i = 0; i < 8; i++)
			verified(bed, i, 1000);
		verified(bed, 8 + n % 500, 1);
		miss(bed, 8 + n % 500);
	}
	assert_true(figures->refused > 1900);
	assert_int_equal(figures->unproven, 0);
	for (i = n = 0; i < 8; i++)
		n += cached(bed, i) == XI_METHOD_FAST;
	assert_true(n >= 7);
	assert_int_equal(why(bed, 8 + 499), XI_CHOICE_REFUSED);
	assert_int_equal(bed->table.slots.used, 8);
	/* packets of a resident cease, and another's begin */
	for (n = 0; n < 2000 && cached(bed, 600) != XI_METHOD_FAST; n++) {
		for (i = 1; i < 8; i++)
			verified(bed, i, 1000);
		verified(bed, 600, 1000);
		miss(bed, 600);
		xi_sa_table_tick(&bed->table, clock_ns() + 8 * SECOND);
	}
	assert_int_equal(cached(bed, 600), XI_METHOD_FAST);
	assert_int_equal(why(bed, 600), XI_CHOICE_WORTH);
	bed_free(bed);
}

/* As of a host that is its own peer: the one use must not leave the other's answer behind. */
static void an_sa_may_be_used_both_ways(void **state)
{
	struct bed *bed = bed_new_by("rate", 1, 1024);

	assert_true(miss(bed, 0));
	verified(bed, 0, 1000000);
	assert_false(miss(bed, 1));
	assert_true(miss(bed, 1));
	assert_int_equal(cached(bed, 1), XI_METHOD_SLOW);
	assert_false(xi_sa_table_want(&bed->table, &bed->recs[1]));
	assert_int_equal(cached(bed, 1), XI_METHOD_SLOW);
	xi_sa_table_changed(&bed->table, &bed->recs[0], NULL);
	assert_true(xi_sa_table_want(&bed->table, &bed->recs[1]));
	assert_int_equal(cached(bed, 1), XI_METHOD_NONE);
	assert_true(miss(bed, 1));
	assert_int_equal(cached(bed, 1), XI_METHOD_FAST);
	assert_false(xi_sa_table_tick(&bed->table, clock_ns() + 10 * SECOND));
	assert_int_equal(cached(bed, 1), XI_METHOD_FAST);
	bed_free(bed);
}

static void verified_packets_since_then_are_hits(void **state)
{
	struct bed *bed = bed_new(2, 1024);
	struct xi_shadow_sa *sa;

	verified(bed, 0, 7);
	assert_true(miss(bed, 0));
	sa = xi_shadow_find(&bed->table.shadow, bed->recs[0].sa.sa_index);
	assert_int_equal(xi_sa_table_hits(sa), 0);
	verified(bed, 0, 30);
	assert_int_equal(xi_sa_table_hits(sa), 30);
	bed_free(bed);
}

/* A key manager may set an SA's counters back (XFRM_MSG_NEWAE). */
static void hits_are_never_negative(void **state)
{
	struct bed *bed = bed_new(2, 1024);
	struct xi_shadow_sa *sa;

	verified(bed, 0, 7);
	assert_true(miss(bed, 0));
	sa = xi_shadow_find(&bed->table.shadow, bed->recs[0].sa.sa_index);
	bed->states[0].packets = 0;
	assert_int_equal(xi_sa_table_hits(sa), 0);
	bed_free(bed);
}

/*
 * All packets of an SA since it last asked are weighed, also of one that many others have made the
 * table forget; and each once.
 */
static void uses_are_counted_whoever_is_remembered(void **state)
{
	struct bed *bed = bed_new_by("rate", 8, 1024);
	uint32_t i;

	for (i = 0; i < 8; i++)
		assert_true(miss(bed, i));
	verified(bed, 8, 3);
	assert_int_equal(xi_sa_table_uses(&bed->states[8]), 3);
	miss(bed, 8);
	assert_int_equal(xi_sa_table_uses(&bed->states[8]), 0);
	for (i = 9; i < NSAS; i++) {
		verified(bed, i, 1);
		miss(bed, i);
	}
	assert_int_equal(why(bed, 8), -1);
	assert_int_not_equal(cached(bed, 8), XI_METHOD_FAST);
	/* across the wrap of the low half */
	bed->states[8].packets += (1ULL << 32) - 20;
	bed->states[8].packets_asked = (uint32_t)bed->states[8].packets;
	verified(bed, 8, 200);
	assert_int_equal(xi_sa_table_uses(&bed->states[8]), 200);
	assert_true(miss(bed, 8));
	assert_int_equal(why(bed, 8), XI_CHOICE_WORTH);
	assert_int_equal(xi_sa_table_uses(&bed->states[8]), 0);
	bed_free(bed);
}

/* What is put back has its whole life before it, and does not keep those behind it alive. */
static void a_life_that_begins_anew_prolongs_no_other(void **state)
{
	struct bed *bed = bed_new(64, 1024);
	uint64_t put;

	for (uint32_t i = 0; i < 2; i++) {
		bed->recs[i].sa.life = XI_SA_LARVAL;
		assert_true(miss(bed, i));
	}
	put = xi_shadow_find(&bed->table.shadow, bed->recs[1].sa.sa_index)->put;
	assert_int_equal(bpf_map_delete_elem(bed->map, &bed->recs[0].sa.id), 0);
	assert_true(miss(bed, 0));
	assert_true(xi_sa_table_tick(&bed->table, put + SECOND));
	assert_int_equal(cached(bed, 1), XI_METHOD_NONE);
	assert_int_equal(cached(bed, 0), XI_METHOD_DROP);
	bed_free(bed);
}

/* What an element of sa_cache is put back for costs no slot and no seat; an old message nothing. */
static void kernel_evictions_are_noticed(void **state)
{
	struct bed *bed = bed_new(64, 1024);
	uint64_t before = clock_ns();
	uint32_t slot;

	assert_true(miss(bed, 0));
	slot = xi_slots_number(&bed->table.slots, bed->recs[0].sa.sa_index);
	assert_false(xi_sa_table_miss(&bed->table, &bed->recs[0], before));
	assert_false(miss(bed, 0)); /* XDP looked just before the answer came */
	assert_int_equal(bed->table.figures.stale, 2);
	assert_int_equal(bpf_map_delete_elem(bed->map, &bed->recs[0].sa.id), 0);
	assert_false(xi_sa_table_miss(&bed->table, &bed->recs[0], before));
	assert_int_equal(cached(bed, 0), XI_METHOD_NONE);
	assert_int_equal(bed->table.figures.evicted_kernel, 0);
	assert_true(miss(bed, 0));
	assert_int_equal(cached(bed, 0), XI_METHOD_FAST);
	assert_int_equal(xi_slots_number(&bed->table.slots, bed->recs[0].sa.sa_index), slot);
	assert_int_equal(bed->table.figures.evicted_kernel, 1);
	assert_int_equal(bed->table.slots.used, 1);
	bed_free(bed);
}

/* A map that is far too small, as one that an earlier daemon had pinned: every SA is served all the same. */
static void a_small_map_costs_misses_alone(void **state)
{
	struct bed *bed = bed_new(512, 64);
	uint32_t i, again = 0;

	for (i = 0; i < 512; i++)
		assert_true(miss(bed, i));
	for (i = 0; i < 512; i++) {
		if (cached(bed, i) == XI_METHOD_FAST)
			continue;
		again++;
		assert_true(miss(bed, i));
		assert_int_equal(cached(bed, i), XI_METHOD_FAST);
	}
	assert_true(again >= 512 - 64);
	assert_int_equal(bed->table.figures.evicted_kernel, again);
	assert_int_equal(bed->table.figures.evicted_admission, 0);
	assert_int_equal(bed->table.slots.used, 512);
	bed_free(bed);
}

static void a_changed_sa_keeps_its_seat_and_a_deleted_one_leaves_nothing(void **state)
{
	struct bed *bed = bed_new(1, 1024);
	struct xi_sa_rec new;

	assert_true(miss(bed, 0));
	new = bed->recs[0];
	new.sa.generation++;
	xi_sa_table_changed(&bed->table, &bed->recs[0], &new);
	assert_int_equal(cached(bed, 0), XI_METHOD_NONE);
	assert_int_equal(bed->table.slots.used, 0);
	xi_sa_table_sync(&bed->table);
	assert_int_equal(bed->table.figures.evicted_changed, 1);
	bed->recs[0] = new;
	assert_false(miss(bed, 1));
	assert_true(miss(bed, 0));
	assert_int_equal(cached(bed, 0), XI_METHOD_FAST);
	xi_sa_table_changed(&bed->table, &bed->recs[0], NULL);
	assert_int_equal(cached(bed, 0), XI_METHOD_NONE);
	assert_int_equal(why(bed, 0), -1);
	assert_int_equal(bed->table.slots.used, 0);
	assert_int_equal(xi_admit_resident(bed->table.admit), 0);
	assert_int_equal(bed->table.figures.evicted_deleted, 1);
	assert_true(miss(bed, 1));
	/* one that had a negative answer, and becomes what it was not */
	bed->recs[2].sa.life = XI_SA_LARVAL;
	assert_true(miss(bed, 2));
	bed->recs[2].sa.life = 0;
	xi_sa_table_changed(&bed->table, NULL, &bed->recs[2]);
	assert_int_equal(cached(bed, 2), XI_METHOD_NONE);
	assert_int_equal(why(bed, 2), -1);
	bed_free(bed);
}

/* A scan of many more SAs than there is room for, each with a packet or two that is verified. */
static void memory_and_map_are_bounded(void **state)
{
	struct bed *bed = bed_new(64, 2 * (64 + 256));
	uint32_t n = xi_sa_table_elements(64);

	assert_int_equal(n, 64 + 256);
	for (uint32_t k = 0; k < 20000; k++) {
		uint32_t i = (k * 7 + (k >> 3)) % NSAS;

		if (k % 3)
			verified(bed, i, 1 + k % 2);
		bed->recs[i].sa.life = i % 5 ? 0 : XI_SA_LARVAL;
		miss(bed, i);
		if (k % 1000 == 0)
			xi_sa_table_tick(&bed->table, clock_ns() + SECOND);
		assert_true(bed->table.slots.used <= 64);
	}
	assert_in_range(entries(bed), 64, n);
	assert_int_equal(bed->table.slots.used, 64);
	assert_int_equal(xi_admit_resident(bed->table.admit), 64);
	assert_int_equal(bed->table.shadow.lists[XI_SHADOW_SEATED].n, 64);
	assert_true(bed->table.figures.evicted_admission > 1000);
	for (uint32_t i = 0; i < NSAS; i++) {
		bool seated = xi_slots_number(&bed->table.slots, bed->recs[i].sa.sa_index) != XI_NO_SLOT;

		assert_int_equal(cached(bed, i) == XI_METHOD_FAST, seated);
	}
	bed_free(bed);
}

/* A key that cannot be expanded is tried again after a while, not with every packet. */
static void a_bad_key_is_not_tried_for_ever(void **state)
{
	struct bed *bed = bed_new(4, 1024);
	struct xi_shadow_sa *sa;

	bed->recs[0].key.len = 7;
	assert_false(xi_sa_table_want(&bed->table, &bed->recs[0]));
	sa = xi_shadow_find(&bed->table.shadow, bed->recs[0].sa.sa_index);
	assert_int_equal(sa->misses, 1);
	assert_false(xi_sa_table_want(&bed->table, &bed->recs[0]));
	assert_int_equal(sa->misses, 1);
	bed->recs[0].key = sample_key(0);
	sa->asked -= 2 * SECOND;
	assert_true(xi_sa_table_want(&bed->table, &bed->recs[0]));
	assert_int_equal(bed->table.slots.used, 1);
	bed_free(bed);
}

/* On fresh maps of the daemon's size everything that the table may put there stays. */
static void a_map_of_the_right_size_evicts_nothing(void **state)
{
	static const uint32_t sizes[] = { 64, 1024, 16384 };

	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		uint32_t n = xi_sa_table_elements(sizes[k]), i, left = 0;
		uint32_t least = 256 * libbpf_num_possible_cpus();
		int map = map_new(2 * n > least ? 2 * n : least);
		struct xi_sa_id id = { .proto = XI_ESP, .family = XI_IPV4 };
		struct xi_sa_cached value = { 0 };

		if (map < 0) {
			print_message("# skip: BPF maps cannot be made here (root needed)\n");
			skip();
		}
		for (id.spi = 1; id.spi <= n; id.spi++)
			assert_int_equal(bpf_map_update_elem(map, &id, &value, BPF_ANY), 0);
		for (i = 1; i <= n; i++) {
			id.spi = i;
			left += !bpf_map_lookup_elem(map, &id, &value);
		}
		assert_int_equal(left, n);
		close(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sa_decides_the_method),
		cmocka_unit_test(an_expired_sa_loses_its_slot),
		cmocka_unit_test(a_negative_answer_lives_and_dies),
		cmocka_unit_test(all_lives_end_whatever_the_kernel_evicted),
		cmocka_unit_test(unproven_sas_evict_nobody),
		cmocka_unit_test(an_sa_that_is_used_takes_an_idle_ones_place),
		cmocka_unit_test(who_is_used_less_is_refused),
		cmocka_unit_test(an_sa_may_be_used_both_ways),
		cmocka_unit_test(verified_packets_since_then_are_hits),
		cmocka_unit_test(hits_are_never_negative),
		cmocka_unit_test(uses_are_counted_whoever_is_remembered),
		cmocka_unit_test(a_life_that_begins_anew_prolongs_no_other),
		cmocka_unit_test(kernel_evictions_are_noticed),
		cmocka_unit_test(a_small_map_costs_misses_alone),
		cmocka_unit_test(a_changed_sa_keeps_its_seat_and_a_deleted_one_leaves_nothing),
		cmocka_unit_test(memory_and_map_are_bounded),
		cmocka_unit_test(a_bad_key_is_not_tried_for_ever),
		cmocka_unit_test(a_map_of_the_right_size_evicts_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
