/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The store in real maps, with SAD and SPD above it. Skipped where BPF maps cannot be made. */
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "hot.h"
#include "mem_store.h"
#include "sad/sad.h"
#include "sad/spd.h"
#include "sad/store_bpf.h"
#include "sad/store_scan.h"

#define NSTATES 100
#define NWINDOWS 3

static int map_new(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value,
		   uint32_t n, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return bpf_map_create(type, name, key, value, n, &opts);
}

static void maps_open(struct xi_store_bpf_fds *fds)
{
	enum bpf_map_type hash = BPF_MAP_TYPE_HASH, array = BPF_MAP_TYPE_ARRAY;
	uint32_t late = BPF_F_NO_PREALLOC;

	fds->sad = map_new(hash, XI_MAP_SAD, 4, sizeof(struct xi_sa), NSTATES, late);
	fds->sad_keys = map_new(hash, XI_MAP_SAD_KEYS, 4, sizeof(struct xi_sa_key), NSTATES, late);
	fds->sad_lookup =
		map_new(hash, XI_MAP_SAD_LOOKUP, sizeof(struct xi_sa_id), 4, NSTATES, late);
	fds->spd = map_new(hash, XI_MAP_SPD, 4, sizeof(struct xi_policy), 64, late);
	fds->spd_guard = map_new(hash, XI_MAP_SPD_GUARD, sizeof(struct xi_guard_key), 4, 64, late);
	fds->spd_masks =
		map_new(array, XI_MAP_SPD_MASKS, 4, sizeof(struct xi_guard_masks), 1, 0);
	fds->config = map_new(array, XI_MAP_CONFIG, 4, sizeof(struct xi_config), 1, 0);
	fds->sa_state = map_new(array, XI_MAP_SA_STATE, 4, sizeof(struct xi_sa_state), NSTATES,
				BPF_F_MMAPABLE);
	fds->sa_window = map_new(array, XI_MAP_SA_WINDOW, 4, sizeof(struct xi_window), NWINDOWS,
				 BPF_F_MMAPABLE);
}

static void maps_close(struct xi_store_bpf_fds *fds)
{
	int *fd = (int *)fds;
	unsigned int i;

	for (i = 0; i < sizeof(*fds) / sizeof(*fd); i++)
		close(fd[i]);
}

struct fixture {
	struct xi_store_bpf_fds fds;
	struct xi_store *store;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	maps_open(&f->fds);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	xi_store_bpf_close(f->store);
	maps_close(&f->fds);
	free(f);
	return 0;
}

static void store_open(struct fixture *f)
{
	if (f->fds.sad < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	assert_int_equal(xi_store_bpf_open(&f->store, &f->fds), 0);
}

static void sizes_come_from_the_maps(void **state)
{
	struct fixture *f = *state;

	store_open(f);
	assert_int_equal(f->store->nstates, NSTATES);
	assert_int_equal(f->store->nwindows, NWINDOWS);
}

static void states_are_the_maps_memory(void **state)
{
	struct fixture *f = *state;
	struct xi_sa_state seen;
	struct xi_window *window = calloc(1, sizeof(*window));
	uint32_t slot = NSTATES - 1;

	store_open(f);
	f->store->states[slot].oseq = 42;
	assert_int_equal(bpf_map_lookup_elem(f->fds.sa_state, &slot, &seen), 0);
	assert_true(seen.oseq == 42);
	slot = NWINDOWS - 1;
	f->store->windows[slot].words[XI_WINDOW_WORDS - 1] = 43;
	assert_int_equal(bpf_map_lookup_elem(f->fds.sa_window, &slot, window), 0);
	assert_true(window->words[XI_WINDOW_WORDS - 1] == 43);
	free(window);
}

static void other_layouts_are_refused(void **state)
{
	struct fixture *f = *state;
	struct xi_store_bpf_fds wrong = f->fds;

	store_open(f);
	xi_store_bpf_close(f->store);
	f->store = NULL;
	wrong.sad = f->fds.sad_keys;
	assert_int_equal(xi_store_bpf_open(&f->store, &wrong), -EINVAL);
	wrong = f->fds;
	wrong.sa_state = f->fds.sa_window;
	assert_int_equal(xi_store_bpf_open(&f->store, &wrong), -EINVAL);
	wrong.sa_state = -1;         /* -EBADF or -EBADFD, as the kernel likes */
	assert_true(xi_store_bpf_open(&f->store, &wrong) < 0);
}

static int count_sa(void *arg, uint32_t sa_index, const struct xi_sa *sa)
{
	unsigned int *n = arg;

	assert_int_equal(sa->sa_index, sa_index);
	++*n;
	return 0;
}

static int stop_at_once(void *arg, uint32_t sa_index, const struct xi_sa *sa)
{
	return -ECANCELED;
}

static int count_policy(void *arg, const struct xi_policy *policy)
{
	unsigned int *n = arg;

	++*n;
	return 0;
}

static void sad_on_maps(void **state)
{
	struct fixture *f = *state;
	struct xi_sad_config config = { 0 };
	struct xi_sa_key key, none;
	struct xi_sa sa;
	struct xi_sad *sad;
	const char *why;
	unsigned int i, n = 0;
	uint32_t index;

	store_open(f);
	assert_int_equal(xi_sad_create(&sad, &config, f->store), 0);
	for (i = 0; i < 50; i++) {
		sa = sample_sa("2001:db8::1", "2001:db8::2", 0x1000 + i);
		sa.replay_window = i < NWINDOWS ? 4096 : 64;
		key = sample_key(i);
		assert_int_equal(xi_sad_add(sad, &sa, &key, NULL, &why), 0);
	}
	index = xi_sad_find(sad, &sa.id)->sa.sa_index;
	xi_sad_destroy(sad);
	assert_int_equal(xi_sad_create(&sad, &config, f->store), 0);
	assert_int_equal(xi_sad_adopt(sad, &n), 0);
	assert_int_equal(n, 50);
	assert_int_equal(xi_sad_find(sad, &sa.id)->sa.sa_index, index);
	n = 0;
	assert_int_equal(f->store->ops->each_sa(f->store->s, count_sa, &n), 0);
	assert_int_equal(n, 50);
	assert_int_equal(f->store->ops->each_sa(f->store->s, stop_at_once, NULL), -ECANCELED);
	assert_int_equal(xi_sad_delete(sad, &sa.id), 0);
	assert_int_equal(bpf_map_lookup_elem(f->fds.sad_keys, &index, &none), -ENOENT);
	assert_int_equal(xi_sad_flush(sad, XI_PROTO_ANY, &n), 0);
	assert_int_equal(n, 49);
	n = 0;
	assert_int_equal(f->store->ops->each_sa(f->store->s, count_sa, &n), 0);
	assert_int_equal(n, 0);
	xi_sad_destroy(sad);
}

static unsigned int elements(int fd)
{
	unsigned int n = 0;
	uint32_t key, *prev = NULL;

	for (; !bpf_map_get_next_key(fd, prev, &key); prev = &key)
		n++;
	return n;
}

/* Many SAs are forgotten by a few calls, which stop where something is missing. A full table. */
static void what_is_missing_keeps_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct xi_sad_config config = { 0 };
	struct xi_sad *sad;
	unsigned int i, n, round;
	const char *why;
	uint32_t index;

	store_open(f);
	assert_int_equal(xi_sad_create(&sad, &config, f->store), 0);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < NSTATES; i++) {
			struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000 + i);
			struct xi_sa_key key = sample_key(i);

			assert_int_equal(xi_sad_add(sad, &sa, &key, NULL, &why), 0);
			index = xi_sad_find(sad, &sa.id)->sa.sa_index;
			if (i % 20 == 3)
				assert_int_equal(bpf_map_delete_elem(f->fds.sad, &index), 0);
			if (i % 20 == 7 || i == NSTATES - 1)
				assert_int_equal(bpf_map_delete_elem(f->fds.sad_keys, &index), 0);
		}
		assert_int_equal(xi_sad_flush(sad, XI_PROTO_ANY, &n), 0);
		assert_int_equal(n, NSTATES);
		assert_int_equal(elements(f->fds.sad), 0);
		assert_int_equal(elements(f->fds.sad_keys), 0);
	}
	xi_sad_destroy(sad);
}

/* kill -9 between the two writes of a new SA. */
static void key_without_sa_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct xi_sa sa = sample_sa("192.0.2.1", "192.0.2.2", 0x1000);
	struct xi_sa_key key = sample_key(7), got;
	struct xi_sad_config config = { 0 };
	struct xi_sad *sad;
	const char *why;
	unsigned int n;
	uint32_t index, i;

	store_open(f);
	assert_int_equal(xi_sad_create(&sad, &config, f->store), 0);
	assert_int_equal(xi_sad_add(sad, &sa, &key, NULL, &why), 0);
	index = xi_sad_find(sad, &sa.id)->sa.sa_index;
	xi_sad_destroy(sad);
	for (i = 1; i <= 3; i++) {
		uint32_t orphan = index + i;

		assert_int_equal(bpf_map_update_elem(f->fds.sad_keys, &orphan, &key, BPF_ANY), 0);
	}
	assert_int_equal(xi_sad_create(&sad, &config, f->store), 0);
	assert_int_equal(xi_sad_adopt(sad, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(bpf_map_lookup_elem(f->fds.sad_keys, &index, &got), 0);
	assert_memory_equal(&got, &key, sizeof(key));
	for (i = 1; i <= 3; i++) {
		uint32_t orphan = index + i;

		assert_int_equal(bpf_map_lookup_elem(f->fds.sad_keys, &orphan, &got), -ENOENT);
	}
	xi_sad_destroy(sad);
}

static int count_element(void *arg, const void *key, const void *value)
{
	unsigned int *n = arg;

	++*n;
	return 0;
}

/* The kernel would write beyond what was allocated for a smaller element. */
static void a_scan_knows_the_size_of_what_it_reads(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;
	struct xi_scan scan = { f->fds.sad_lookup, sizeof(struct xi_sa_id), 4, count_element, &n };
	struct xi_sa_id id = { .spi = 0x1000 };
	uint32_t index = 1;

	store_open(f);
	assert_int_equal(bpf_map_update_elem(f->fds.sad_lookup, &id, &index, BPF_ANY), 0);
	assert_int_equal(xi_scan_map(&scan), 0);
	assert_int_equal(n, 1);
	scan.key_size--;
	assert_int_equal(xi_scan_map(&scan), -EINVAL);
	scan.key_size++;
	scan.value_size++;
	assert_int_equal(xi_scan_map(&scan), -EINVAL);
	assert_int_equal(n, 1);
}

#define NHOT 5000                /* elements of each table; more than one call of a scan reads */

static uint32_t hot_index(uint32_t slot)
{
	return XI_SA_INDEX(1 + slot % 7, slot);
}

/* Tables of the fast path as bpf/ has them: flow i is of SA 2i inside of 2i + 1, element i is of SA i. */
static void sas_in_use_are_those_of_both_tables(void **state)
{
	struct fixture *f = *state;
	int sas = map_new(BPF_MAP_TYPE_LRU_HASH, XI_MAP_SA_CACHE, sizeof(struct xi_sa_id),
			  sizeof(struct xi_sa_cached), 2 * NHOT, 0);
	int flows = map_new(BPF_MAP_TYPE_LRU_HASH, XI_MAP_FLOW_CACHE, sizeof(struct xi_flow_key),
			    sizeof(struct xi_flow_verdict), 2 * NHOT, 0);
	uint8_t *seen = calloc(2 * NHOT, 1);
	uint32_t i, *handles;
	unsigned int n;

	store_open(f);
	for (i = 0; i < NHOT; i++) {
		struct xi_sa_cached cached = { .sa_index = hot_index(i) };
		struct xi_flow_verdict verdict = {
			.verdict = i % 3 ? XI_VERDICT_PROTECT : XI_VERDICT_BYPASS,
			.handle = hot_index(2 * i),
			.next_handle = hot_index(2 * i + 1),
		};
		struct xi_flow_key flow = { .sport = i, .mask = { .sport = UINT16_MAX } };
		struct xi_sa_id id = { .spi = 0x1000 + i };

		assert_int_equal(bpf_map_update_elem(sas, &id, &cached, BPF_ANY), 0);
		assert_int_equal(bpf_map_update_elem(flows, &flow, &verdict, BPF_ANY), 0);
	}
	assert_int_equal(xi_hot_handles(sas, flows, &handles, &n), 0);
	for (i = 0; i < n; i++) {
		uint32_t slot = XI_SA_SLOT(handles[i]);

		assert_true(slot < 2 * NHOT && !seen[slot]++);
		assert_int_equal(handles[i], hot_index(slot));
	}
	for (i = 0; i < 2 * NHOT; i++)
		assert_int_equal(seen[i], i < NHOT || i / 2 % 3);
	free(handles);
	free(seen);
	close(sas);
	close(flows);
}

static void spd_on_maps(void **state)
{
	struct fixture *f = *state;
	struct xi_policy p = { .dir = XI_OUT, .action = XI_BLOCK };
	struct xi_sad_config sad_config = { 0 };
	struct xi_guard_masks masks;
	struct xi_config config;
	struct xi_spd *spd;
	struct xi_sad *sad;
	const char *why;
	uint32_t zero = 0;
	unsigned int i, n;
	int err;

	store_open(f);
	assert_int_equal(xi_sad_create(&sad, &sad_config, f->store), 0);
	assert_int_equal(xi_spd_create(&spd, sad, f->store), 0);
	p.sel.family = XI_IPV4;
	p.sel.prefixlen_s = 16;
	p.sel.saddr[0] = 10;
	for (i = 0; i < 64; i++) {
		p.sel.saddr[1] = i;
		assert_int_equal(xi_spd_add(spd, &p, false, &why), 0);
	}
	p.sel.saddr[1] = i;
	why = NULL;
	err = xi_spd_add(spd, &p, false, &why);
	assert_int_equal(err, -E2BIG);
	assert_non_null(why);
	assert_int_equal(xi_spd_count(spd, XI_OUT), 64);
	assert_int_equal(bpf_map_lookup_elem(f->fds.spd_masks, &zero, &masks), 0);
	assert_int_equal(masks.rows[0].used, 1);
	assert_int_equal(masks.rows[0].prefixlen_s, 16);
	xi_spd_destroy(spd);
	assert_int_equal(xi_spd_create(&spd, sad, f->store), 0);
	assert_int_equal(xi_spd_adopt(spd, &n), 0);
	assert_int_equal(n, 64);
	assert_int_equal(bpf_map_lookup_elem(f->fds.config, &zero, &config), 0);
	assert_int_equal(config.spd_generation, xi_spd_snapshot(spd)->generation);
	assert_int_equal(xi_spd_flush(spd, &n), 0);
	assert_int_equal(n, 64);
	n = 0;
	assert_int_equal(f->store->ops->each_policy(f->store->s, count_policy, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(bpf_map_lookup_elem(f->fds.spd_masks, &zero, &masks), 0);
	assert_int_equal(masks.rows[0].used, 0);
	xi_spd_destroy(spd);
	xi_sad_destroy(sad);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct rlimit no_limit = { RLIM_INFINITY, RLIM_INFINITY };
	const struct CMUnitTest tests[] = {
		T(sizes_come_from_the_maps),
		T(states_are_the_maps_memory),
		T(other_layouts_are_refused),
		T(sad_on_maps),
		T(what_is_missing_keeps_nothing_else),
		T(key_without_sa_is_forgotten),
		T(a_scan_knows_the_size_of_what_it_reads),
		T(sas_in_use_are_those_of_both_tables),
		T(spd_on_maps),
	};

	setrlimit(RLIMIT_MEMLOCK,
		  &no_limit); /* kernels before 5.11; may fail elsewhere, and need not succeed */
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
