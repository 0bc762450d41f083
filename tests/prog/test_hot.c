/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The SAs that an earlier daemon's caches name, of maps with more flows than are read in one call. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <bpf/bpf.h>

#include <xipsec/abi.h>
#include "hot.h"
#include "sad/store_scan.h"

#define FLOWS 4000
#define SAS 100

static int map_new(const char *name, uint32_t key_size, uint32_t value_size)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, name, key_size, value_size, 2 * FLOWS, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* Flow n is protected by SA n, but every fourth by none; SAs from FLOWS on are in sa_cache. */
static void fill(int sas, int flows)
{
	struct xi_flow_verdict verdict = { 0 };
	struct xi_sa_cached cached = { 0 };
	struct xi_flow_key key = { 0 };
	struct xi_sa_id id = { 0 };
	uint32_t n;

	for (n = 0; n < FLOWS; n++) {
		memcpy(key.saddr, &n, sizeof(n));
		key.prefixlen_s = key.prefixlen_d = 32;
		verdict.verdict = n % 4 ? XI_VERDICT_PROTECT : XI_VERDICT_BYPASS;
		verdict.handle = XI_SA_SLOT_MASK + 1 + n;
		assert_int_equal(bpf_map_update_elem(flows, &key, &verdict, BPF_ANY), 0);
	}
	for (; n < FLOWS + SAS; n++) {
		id.spi = 0x1000 + n;
		cached.sa_index = XI_SA_SLOT_MASK + 1 + n;
		assert_int_equal(bpf_map_update_elem(sas, &id, &cached, BPF_ANY), 0);
	}
}

static void test_every_sa_of_both_caches_is_found_once(void **state)
{
	int sas = map_new("sas", sizeof(struct xi_sa_id), sizeof(struct xi_sa_cached));
	int flows = map_new("flows", sizeof(struct xi_flow_key), sizeof(struct xi_flow_verdict));
	bool seen[FLOWS + SAS] = { false };
	uint32_t *handles = NULL;
	unsigned int n = 0;

	fill(sas, flows);
	assert_int_equal(xi_hot_handles(sas, flows, &handles, &n), 0);
	assert_int_equal(n, FLOWS / 4 * 3 + SAS);
	for (unsigned int i = 0; i < n; i++) {
		uint32_t slot = XI_SA_SLOT(handles[i]);

		assert_in_range(slot, 0, FLOWS + SAS - 1);
		assert_false(seen[slot]);
		assert_true(slot >= FLOWS || slot % 4);
		seen[slot] = true;
	}
	free(handles);
	close(sas);
	close(flows);
}

static int visit(void *arg, const void *key, const void *value)
{
	fail();
	return 0;
}

/* The kernel would write beyond what was made for them. */
static void test_a_map_of_other_sizes_is_not_read(void **state)
{
	int fd = map_new("other", 48, 16);
	const struct xi_scan key = { fd, 44, 16, visit, NULL }, value = { fd, 48, 8, visit, NULL };
	char zero[48] = { 0 };

	assert_int_equal(bpf_map_update_elem(fd, zero, zero, BPF_ANY), 0);
	assert_int_equal(xi_scan_map(&key), -EINVAL);
	assert_int_equal(xi_scan_map(&value), -EINVAL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_sa_of_both_caches_is_found_once),
		cmocka_unit_test(test_a_map_of_other_sizes_is_not_read),
	};

	return cmocka_run_group_tests_name("hot", tests, NULL, NULL);
}
