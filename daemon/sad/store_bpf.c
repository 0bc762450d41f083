/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/store_bpf.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "sad/store_scan.h"

#define SAS_AT_ONCE 128

struct store_bpf {
	struct xi_store store;       /* first: closed as the whole */
	struct xi_store_bpf_fds fds;
	size_t states_size, windows_size;
};

static int map_put(int fd, const void *key, const void *value)
{
	return bpf_map_update_elem(fd, key, value, BPF_ANY) ? -errno : 0;
}

static int map_del(int fd, const void *key)
{
	return bpf_map_delete_elem(fd, key) ? -errno : 0;
}

static int map_get(int fd, const void *key, void *value)
{
	return bpf_map_lookup_elem(fd, key, value) ? -errno : 0;
}

/* Key first: an SA without a key is dropped at the next start, a key without SA would stay. */
static int bpf_sa_put(void *s, uint32_t sa_index, const struct xi_sa *sa,
		      const struct xi_sa_key *key)
{
	struct store_bpf *b = s;
	int err = key ? map_put(b->fds.sad_keys, &sa_index, key) : 0;

	return err ? err : map_put(b->fds.sad, &sa_index, sa);
}

static int bpf_sa_get(void *s, uint32_t sa_index, struct xi_sa *sa, struct xi_sa_key *key)
{
	struct store_bpf *b = s;
	int err = map_get(b->fds.sad, &sa_index, sa);

	return err ? err : map_get(b->fds.sad_keys, &sa_index, key);
}

/*
 * An update of a hash map writes a new element and frees the old one unwiped; the next update on
 * the same CPU takes that one. So of two updates with zeros the second overwrites the key.
 */
static void key_wipe(struct store_bpf *b, uint32_t sa_index)
{
	static const struct xi_sa_key none;

	if (!bpf_map_update_elem(b->fds.sad_keys, &sa_index, &none, BPF_EXIST))
		bpf_map_update_elem(b->fds.sad_keys, &sa_index, &none, BPF_EXIST);
}

static int key_del(struct store_bpf *b, uint32_t sa_index)
{
	key_wipe(b, sa_index);
	return map_del(b->fds.sad_keys, &sa_index);
}

static int bpf_sa_del(void *s, uint32_t sa_index)
{
	struct store_bpf *b = s;
	int err = key_del(b, sa_index);

	if (err && err != -ENOENT)
		return err;
	return map_del(b->fds.sad, &sa_index);
}

/* *done: how many elements the call got through. */
static int map_del_batch(int fd, const uint32_t *keys, uint32_t n, uint32_t *done)
{
	*done = n;
	return bpf_map_delete_batch(fd, keys, done, NULL) ? -errno : 0;
}

/*
 * As key_wipe(): each update overwrites the key that the one before it freed. The kernel takes no
 * BPF_EXIST in a batch: a key that was not there is, for a moment, there as zeros.
 */
static int keys_wipe(struct store_bpf *b, const uint32_t *sa_indexes, uint32_t n)
{
	static const struct xi_sa_key none[SAS_AT_ONCE];
	uint32_t done = n;

	if (bpf_map_update_batch(b->fds.sad_keys, sa_indexes, none, &done, NULL))
		return -errno;
	return map_put(b->fds.sad_keys, &sa_indexes[n - 1], none);
}

/*
 * Where a call stops in the middle, what comes before it is as gone as it would be one by one; the
 * caller does the rest so, and misses nothing: deleting twice does no harm.
 */
static int sas_del_some(struct store_bpf *b, const uint32_t *sa_indexes, uint32_t n, uint32_t *done)
{
	uint32_t keys;
	int err;

	*done = 0;
	err = keys_wipe(b, sa_indexes, n);
	if (!err)
		err = map_del_batch(b->fds.sad_keys, sa_indexes, n, &keys);
	return err ? err : map_del_batch(b->fds.sad, sa_indexes, n, done);
}

static int bpf_sas_del(void *s, const uint32_t *sa_indexes, uint32_t n, uint32_t *done)
{
	uint32_t some, step;
	int err = 0;

	for (*done = 0; *done < n && !err; *done += some) {
		step = n - *done < SAS_AT_ONCE ? n - *done : SAS_AT_ONCE;
		err = sas_del_some(s, sa_indexes + *done, step, &some);
	}
	return err;
}

static int bpf_lookup_put(void *s, const struct xi_sa_id *id, uint32_t sa_index)
{
	struct store_bpf *b = s;

	return map_put(b->fds.sad_lookup, id, &sa_index);
}

static int bpf_lookup_del(void *s, const struct xi_sa_id *id)
{
	struct store_bpf *b = s;

	return map_del(b->fds.sad_lookup, id);
}

static int bpf_policy_put(void *s, uint32_t index, const struct xi_policy *policy)
{
	struct store_bpf *b = s;

	return map_put(b->fds.spd, &index, policy);
}

static int bpf_policy_del(void *s, uint32_t index)
{
	struct store_bpf *b = s;

	return map_del(b->fds.spd, &index);
}

static int bpf_guard_put(void *s, const struct xi_guard_key *key, uint32_t policies)
{
	struct store_bpf *b = s;

	return map_put(b->fds.spd_guard, key, &policies);
}

static int bpf_guard_del(void *s, const struct xi_guard_key *key)
{
	struct store_bpf *b = s;

	return map_del(b->fds.spd_guard, key);
}

static int bpf_masks_put(void *s, const struct xi_guard_mask masks[XI_MAX_MASKS])
{
	struct store_bpf *b = s;
	uint32_t zero = 0;

	return map_put(b->fds.spd_masks, &zero, masks);
}

static int bpf_config_get(void *s, struct xi_config *config)
{
	struct store_bpf *b = s;
	uint32_t zero = 0;

	return map_get(b->fds.config, &zero, config);
}

static int bpf_config_put(void *s, const struct xi_config *config)
{
	struct store_bpf *b = s;
	uint32_t zero = 0;

	return map_put(b->fds.config, &zero, config);
}

/* What the callers of each_...() gave, behind the signature of a scan. */
struct each {
	union {
		int (*sa)(void *arg, uint32_t sa_index, const struct xi_sa *sa);
		int (*key)(void *arg, uint32_t sa_index, const struct xi_sa_key *key);
		int (*lookup)(void *arg, const struct xi_sa_id *id, uint32_t sa_index);
		int (*policy)(void *arg, const struct xi_policy *policy);
	} fn;
	void *arg;
};

static int visit_sa(void *arg, const void *key, const void *value)
{
	const struct each *each = arg;

	return each->fn.sa(each->arg, *(const uint32_t *)key, value);
}

static int bpf_each_sa(void *s, int (*fn)(void *arg, uint32_t sa_index, const struct xi_sa *sa),
		       void *arg)
{
	struct store_bpf *b = s;
	struct each each = { .fn.sa = fn, .arg = arg };

	return xi_scan_map(&(struct xi_scan){ b->fds.sad, 4, sizeof(struct xi_sa), visit_sa, &each });
}

static int visit_key(void *arg, const void *key, const void *value)
{
	const struct each *each = arg;

	return each->fn.key(each->arg, *(const uint32_t *)key, value);
}

static int bpf_each_key(void *s, int (*fn)(void *arg, uint32_t sa_index,
					   const struct xi_sa_key *key), void *arg)
{
	struct store_bpf *b = s;
	struct each each = { .fn.key = fn, .arg = arg };

	return xi_scan_map(&(struct xi_scan){ b->fds.sad_keys, 4, sizeof(struct xi_sa_key),
					      visit_key, &each });
}

static int visit_lookup(void *arg, const void *key, const void *value)
{
	const struct each *each = arg;

	return each->fn.lookup(each->arg, key, *(const uint32_t *)value);
}

static int bpf_each_lookup(void *s, int (*fn)(void *arg, const struct xi_sa_id *id,
					      uint32_t sa_index), void *arg)
{
	struct store_bpf *b = s;
	struct each each = { .fn.lookup = fn, .arg = arg };

	return xi_scan_map(&(struct xi_scan){ b->fds.sad_lookup, sizeof(struct xi_sa_id), 4,
					      visit_lookup, &each });
}

static int visit_policy(void *arg, const void *key, const void *value)
{
	const struct each *each = arg;

	return each->fn.policy(each->arg, value);
}

static int bpf_each_policy(void *s, int (*fn)(void *arg, const struct xi_policy *policy), void *arg)
{
	struct store_bpf *b = s;
	struct each each = { .fn.policy = fn, .arg = arg };

	return xi_scan_map(&(struct xi_scan){ b->fds.spd, 4, sizeof(struct xi_policy),
					      visit_policy, &each });
}

static const struct xi_store_ops store_bpf_ops = {
	.sa_put = bpf_sa_put,
	.sa_get = bpf_sa_get,
	.sa_del = bpf_sa_del,
	.sas_del = bpf_sas_del,
	.lookup_put = bpf_lookup_put,
	.lookup_del = bpf_lookup_del,
	.policy_put = bpf_policy_put,
	.policy_del = bpf_policy_del,
	.guard_put = bpf_guard_put,
	.guard_del = bpf_guard_del,
	.masks_put = bpf_masks_put,
	.config_get = bpf_config_get,
	.config_put = bpf_config_put,
	.each_sa = bpf_each_sa,
	.each_key = bpf_each_key,
	.each_lookup = bpf_each_lookup,
	.each_policy = bpf_each_policy,
};

/* *n: how many elements the map has. */
static int map_check(int fd, const char *name, uint32_t key_size, uint32_t value_size, uint32_t *n)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.key_size != key_size || info.value_size != value_size) {
		log_warnx("map %s was pinned by another version of xipsec; run `xipsec down` to start afresh",
			  name);
		return -EINVAL;
	}
	*n = info.max_entries;
	return 0;
}

static int maps_check(struct store_bpf *b)
{
	const struct xi_store_bpf_fds *f = &b->fds;
	const struct {
		int fd;
		const char *name;
		uint32_t key_size, value_size;
	} maps[] = {
		{ f->sad, XI_MAP_SAD, 4, sizeof(struct xi_sa) },
		{ f->sad_keys, XI_MAP_SAD_KEYS, 4, sizeof(struct xi_sa_key) },
		{ f->sad_lookup, XI_MAP_SAD_LOOKUP, sizeof(struct xi_sa_id), 4 },
		{ f->spd, XI_MAP_SPD, 4, sizeof(struct xi_policy) },
		{ f->spd_guard, XI_MAP_SPD_GUARD, sizeof(struct xi_guard_key), 4 },
		{ f->spd_masks, XI_MAP_SPD_MASKS, 4, sizeof(struct xi_guard_masks) },
		{ f->config, XI_MAP_CONFIG, 4, sizeof(struct xi_config) },
	};
	unsigned int i;
	uint32_t n;
	int err = 0;

	for (i = 0; i < sizeof(maps) / sizeof(maps[0]) && !err; i++)
		err = map_check(maps[i].fd, maps[i].name, maps[i].key_size, maps[i].value_size, &n);
	if (!err)
		err = map_check(f->sa_state, XI_MAP_SA_STATE, 4, sizeof(struct xi_sa_state),
				&b->store.nstates);
	if (!err)
		err = map_check(f->sa_window, XI_MAP_SA_WINDOW, 4, sizeof(struct xi_window),
				&b->store.nwindows);
	return err;
}

static int map_mmap(int fd, size_t bytes, void **at, size_t *size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *p;

	*size = (bytes + page - 1) / page * page;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	*at = p;
	return 0;
}

int xi_store_bpf_open(struct xi_store **out, const struct xi_store_bpf_fds *fds)
{
	struct store_bpf *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->fds = *fds;
	b->store.ops = &store_bpf_ops;
	b->store.s = b;
	err = maps_check(b);
	if (!err)
		err = map_mmap(fds->sa_state, b->store.nstates * sizeof(struct xi_sa_state),
			       (void **)&b->store.states, &b->states_size);
	if (!err)
		err = map_mmap(fds->sa_window, b->store.nwindows * sizeof(struct xi_window),
			       (void **)&b->store.windows, &b->windows_size);
	if (err) {
		xi_store_bpf_close(&b->store);
		return err;
	}
	*out = &b->store;
	return 0;
}

void xi_store_bpf_close(struct xi_store *store)
{
	struct store_bpf *b = (struct store_bpf *)store;

	if (!b)
		return;
	if (b->store.states)
		munmap(b->store.states, b->states_size);
	if (b->store.windows)
		munmap(b->store.windows, b->windows_size);
	free(b);
}
