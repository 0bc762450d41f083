/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of keys, against naive ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sad/used_key.h"

#define NAIVE 512

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Few hashes, at the end of the table, so that searches wrap and gaps are closed across its end. */
static void slot_map_is_a_bag(void **state)
{
	struct { uint64_t hash; uint32_t value; } naive[NAIVE] = { { 0 } };
	struct xi_slot_map map = { 0 };
	uint32_t n = 0, round, i, at, found, want, got, value;
	uint64_t hash;

	assert_int_equal(xi_slot_map_next(&map, 5, &(uint32_t){ 0 }), XI_SLOT_MAP_NONE);
	for (round = 0; round < 200000; round++) {
		hash = (uint64_t)round << 32 | (0xfffffff0 + random_below(40));
		if (n < NAIVE && random_below(2)) {
			assert_int_equal(xi_slot_map_reserve(&map, n + 1), 0);
			xi_slot_map_add(&map, hash, round);
			naive[n].hash = hash;
			naive[n++].value = round;
		} else if (n) {
			i = random_below(n);
			xi_slot_map_del(&map, naive[i].hash, naive[i].value);
			naive[i] = naive[--n];
		}
		assert_int_equal(map.n, n);
		if (round % 16)
			continue;
		hash = 0xfffffff0 + random_below(40);
		for (i = want = 0; i < n; i++)
			want += (uint32_t)naive[i].hash == (uint32_t)hash;
		for (at = got = 0; (value = xi_slot_map_next(&map, hash, &at)) != XI_SLOT_MAP_NONE; got++) {
			for (i = found = 0; i < n; i++)
				found += naive[i].value == value &&
					 (uint32_t)naive[i].hash == (uint32_t)hash;
			assert_int_equal(found, 1);
		}
		assert_int_equal(got, want);
	}
	xi_slot_map_free(&map);
}

static struct xi_key_name name_no(uint32_t n)
{
	struct xi_key_name name = { { 0 } };

	/* alike in what the table hashes, for some */
	memcpy(name.digest + 8 * (n % 2), &n, sizeof(n));
	return name;
}

/* The newest of them are kept; the naive list has the newest at its end. */
static void used_keys_forget_the_oldest(void **state)
{
	struct { uint32_t no; uint64_t oseq; } naive[100], moved;
	struct xi_used_keys used;
	struct xi_key_name name;
	uint32_t round, i, n = 0, no;
	uint64_t oseq;

	xi_used_keys_init(&used, 100);
	for (round = 0; round < 50000; round++) {
		no = random_below(180);
		name = name_no(no);
		for (i = 0; i < n && naive[i].no != no; i++)
			;
		assert_int_equal(xi_used_keys_oseq(&used, &name), i < n ? naive[i].oseq : 0);
		oseq = random_below(1000);
		xi_used_keys_note(&used, &name, oseq);
		if (!oseq)
			continue;
		if (i == n && n == 100)
			i = 0;
		else if (i == n)
			naive[n++] = (__typeof__(moved)){ no, 0 };
		moved = naive[i];
		memmove(&naive[i], &naive[i + 1], (n - i - 1) * sizeof(naive[0]));
		if (moved.no != no)
			moved = (__typeof__(moved)){ no, 0 };
		moved.oseq = moved.oseq > oseq ? moved.oseq : oseq;
		naive[n - 1] = moved;
	}
	assert_int_equal(used.n, 100);
	xi_used_keys_free(&used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slot_map_is_a_bag),
		cmocka_unit_test(used_keys_forget_the_oldest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
