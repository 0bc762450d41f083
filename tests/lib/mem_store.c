/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "mem_store.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int write_step(struct mem_store *m, char letter)
{
	m->writes++;
	if (m->nlog < sizeof(m->log) - 1)
		m->log[m->nlog++] = letter;
	if (m->fail_at && m->writes >= m->fail_at && m->writes < m->fail_at + m->fail_for)
		return -EIO;
	return 0;
}

/*
 * First row that is used and equal in the len bytes at off; or the first free one when make is set.
 */
#define ROW_FIND(rows, n, field, want, make) ({ \
	__typeof__(&(rows)[0]) row_ = NULL, free_ = NULL; \
	unsigned int i_; \
	for (i_ = 0; i_ < (n) && !row_; i_++) { \
		if (!(rows)[i_].used) { \
			if (!free_) \
				free_ = &(rows)[i_]; \
		} else if (!memcmp(&(rows)[i_].field, want, sizeof((rows)[i_].field))) { \
			row_ = &(rows)[i_]; \
		} \
	} \
	row_ ? row_ : (make) ? free_ : NULL; })

static int mem_sa_put(void *s, uint32_t sa_index, const struct xi_sa *sa,
		      const struct xi_sa_key *key)
{
	struct mem_store *m = s;
	struct mem_sa *row = ROW_FIND(m->sas, MEM_STORE_SAS, sa_index, &sa_index, true);
	int err = write_step(m, 'S');

	if (err)
		return err;
	if (!row)
		return -E2BIG;
	row->used = true;
	row->sa_index = sa_index;
	row->sa = *sa;
	if (key)
		row->key = *key;
	return 0;
}

static int mem_sa_get(void *s, uint32_t sa_index, struct xi_sa *sa, struct xi_sa_key *key)
{
	struct mem_store *m = s;
	const struct mem_sa *row = ROW_FIND(m->sas, MEM_STORE_SAS, sa_index, &sa_index, false);

	if (!row || !row->key.len)
		return -ENOENT;
	*sa = row->sa;
	*key = row->key;
	return 0;
}

static int mem_sa_del(void *s, uint32_t sa_index)
{
	struct mem_store *m = s;
	struct mem_sa *row = ROW_FIND(m->sas, MEM_STORE_SAS, sa_index, &sa_index, false);
	int err = write_step(m, 's');

	if (err)
		return err;
	if (!row)
		return -ENOENT;
	memset(row, 0, sizeof(*row));
	return 0;
}

static int mem_lookup_put(void *s, const struct xi_sa_id *id, uint32_t sa_index)
{
	struct mem_store *m = s;
	struct mem_lookup *row = ROW_FIND(m->lookups, MEM_STORE_SAS, id, id, true);
	int err = write_step(m, 'L');

	if (err)
		return err;
	if (!row)
		return -E2BIG;
	row->used = true;
	row->id = *id;
	row->sa_index = sa_index;
	return 0;
}

static int mem_lookup_del(void *s, const struct xi_sa_id *id)
{
	struct mem_store *m = s;
	struct mem_lookup *row = ROW_FIND(m->lookups, MEM_STORE_SAS, id, id, false);
	int err = write_step(m, 'l');

	if (err)
		return err;
	if (!row)
		return -ENOENT;
	memset(row, 0, sizeof(*row));
	return 0;
}

static int mem_policy_put(void *s, uint32_t index, const struct xi_policy *policy)
{
	struct mem_store *m = s;
	struct mem_policy *row = ROW_FIND(m->policies, MEM_STORE_POLICIES, index, &index, true);
	int err = write_step(m, 'P');

	if (err)
		return err;
	if (!row)
		return -E2BIG;
	row->used = true;
	row->index = index;
	row->policy = *policy;
	return 0;
}

static int mem_policy_del(void *s, uint32_t index)
{
	struct mem_store *m = s;
	struct mem_policy *row = ROW_FIND(m->policies, MEM_STORE_POLICIES, index, &index, false);
	int err = write_step(m, 'p');

	if (err)
		return err;
	if (!row)
		return -ENOENT;
	memset(row, 0, sizeof(*row));
	return 0;
}

static int mem_guard_put(void *s, const struct xi_guard_key *key, uint32_t policies)
{
	struct mem_store *m = s;
	struct mem_guard *row = ROW_FIND(m->guards, MEM_STORE_GUARDS, key, key, true);
	int err = write_step(m, 'G');

	if (err)
		return err;
	if (!row)
		return -E2BIG;
	row->used = true;
	row->key = *key;
	row->policies = policies;
	return 0;
}

static int mem_guard_del(void *s, const struct xi_guard_key *key)
{
	struct mem_store *m = s;
	struct mem_guard *row = ROW_FIND(m->guards, MEM_STORE_GUARDS, key, key, false);
	int err = write_step(m, 'g');

	if (err)
		return err;
	if (!row)
		return -ENOENT;
	memset(row, 0, sizeof(*row));
	return 0;
}

static int mem_masks_put(void *s, const struct xi_guard_mask masks[XI_MAX_MASKS])
{
	struct mem_store *m = s;
	int err = write_step(m, 'M');

	/* row by row in maps: when it fails, any part may have been written */
	memcpy(m->masks, masks, sizeof(m->masks));
	return err;
}

static int mem_config_get(void *s, struct xi_config *config)
{
	struct mem_store *m = s;

	*config = m->config;
	return 0;
}

static int mem_config_put(void *s, const struct xi_config *config)
{
	struct mem_store *m = s;
	int err = write_step(m, 'C');

	if (!err)
		m->config = *config;
	return err;
}

static int mem_each_sa(void *s, int (*fn)(void *arg, uint32_t sa_index, const struct xi_sa *sa),
		       void *arg)
{
	struct mem_store *m = s;
	unsigned int i;
	int err = 0;

	for (i = 0; i < MEM_STORE_SAS && !err; i++)
		if (m->sas[i].used)
			err = fn(arg, m->sas[i].sa_index, &m->sas[i].sa);
	return err;
}

static int mem_each_key(void *s, int (*fn)(void *arg, uint32_t sa_index,
					   const struct xi_sa_key *key), void *arg)
{
	struct mem_store *m = s;
	unsigned int i;
	int err = 0;

	for (i = 0; i < MEM_STORE_SAS && !err; i++)
		if (m->sas[i].used && m->sas[i].key.len)
			err = fn(arg, m->sas[i].sa_index, &m->sas[i].key);
	return err;
}

static int mem_each_lookup(void *s, int (*fn)(void *arg, const struct xi_sa_id *id,
					      uint32_t sa_index), void *arg)
{
	struct mem_store *m = s;
	unsigned int i;
	int err = 0;

	for (i = 0; i < MEM_STORE_SAS && !err; i++)
		if (m->lookups[i].used)
			err = fn(arg, &m->lookups[i].id, m->lookups[i].sa_index);
	return err;
}

static int mem_each_policy(void *s, int (*fn)(void *arg, const struct xi_policy *policy), void *arg)
{
	struct mem_store *m = s;
	unsigned int i;
	int err = 0;

	for (i = 0; i < MEM_STORE_POLICIES && !err; i++)
		if (m->policies[i].used)
			err = fn(arg, &m->policies[i].policy);
	return err;
}

static const struct xi_store_ops mem_store_ops = {
	.sa_put = mem_sa_put,
	.sa_get = mem_sa_get,
	.sa_del = mem_sa_del,
	.lookup_put = mem_lookup_put,
	.lookup_del = mem_lookup_del,
	.policy_put = mem_policy_put,
	.policy_del = mem_policy_del,
	.guard_put = mem_guard_put,
	.guard_del = mem_guard_del,
	.masks_put = mem_masks_put,
	.config_get = mem_config_get,
	.config_put = mem_config_put,
	.each_sa = mem_each_sa,
	.each_key = mem_each_key,
	.each_lookup = mem_each_lookup,
	.each_policy = mem_each_policy,
};

struct mem_store *mem_store_new(uint32_t nstates, uint32_t nwindows)
{
	struct mem_store *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->store.ops = &mem_store_ops;
	m->store.s = m;
	m->store.nstates = nstates;
	m->store.states = calloc(nstates ? nstates : 1, sizeof(*m->store.states));
	m->store.nwindows = nwindows;
	m->store.windows = calloc(nwindows ? nwindows : 1, sizeof(*m->store.windows));
	if (!m->store.states || !m->store.windows)
		abort();
	m->config.abi_version = XI_ABI_VERSION;
	return m;
}

void mem_store_free(struct mem_store *m)
{
	if (!m)
		return;
	free(m->store.states);
	free(m->store.windows);
	free(m);
}

void mem_store_fail(struct mem_store *m, unsigned int k, unsigned int n)
{
	m->writes = 0;
	m->fail_at = k;
	m->fail_for = n;
	m->nlog = 0;
	memset(m->log, 0, sizeof(m->log));
}

#define COUNT_USED(rows, n) ({ \
	unsigned int i_, used_ = 0; \
	for (i_ = 0; i_ < (n); i_++) \
		used_ += (rows)[i_].used; \
	used_; })

unsigned int mem_store_count_sas(const struct mem_store *m)
{
	return COUNT_USED(m->sas, MEM_STORE_SAS);
}

unsigned int mem_store_count_lookups(const struct mem_store *m)
{
	return COUNT_USED(m->lookups, MEM_STORE_SAS);
}

unsigned int mem_store_count_policies(const struct mem_store *m)
{
	return COUNT_USED(m->policies, MEM_STORE_POLICIES);
}

unsigned int mem_store_count_guards(const struct mem_store *m)
{
	return COUNT_USED(m->guards, MEM_STORE_GUARDS);
}

const struct mem_sa *mem_store_sa(const struct mem_store *m, uint32_t sa_index)
{
	return ROW_FIND(m->sas, MEM_STORE_SAS, sa_index, &sa_index, false);
}

uint32_t mem_store_lookup(const struct mem_store *m, const struct xi_sa_id *id)
{
	const struct mem_lookup *row = ROW_FIND(m->lookups, MEM_STORE_SAS, id, id, false);

	return row ? row->sa_index : 0;
}

const struct mem_guard *mem_store_guard(const struct mem_store *m, const struct xi_guard_key *key)
{
	return ROW_FIND(m->guards, MEM_STORE_GUARDS, key, key, false);
}

enum xi_family sample_addr(uint8_t out[16], const char *text)
{
	memset(out, 0, 16);
	if (inet_pton(AF_INET, text, out) == 1)
		return XI_IPV4;
	if (inet_pton(AF_INET6, text, out) == 1)
		return XI_IPV6;
	abort();
}

struct xi_sa sample_sa(const char *saddr, const char *daddr, uint32_t spi)
{
	struct xi_sa sa = {
		.id = { .spi = spi, .proto = XI_ESP },
		.mode = XI_TUNNEL,
		.alg = XI_ALG_AES_GCM,
		.key_bits = 128,
		.icv_len = 16,
		.replay_window = 32,
		.limits = {
			.soft_bytes = UINT64_MAX, .hard_bytes = UINT64_MAX,
			.soft_packets = UINT64_MAX, .hard_packets = UINT64_MAX,
		},
	};

	sa.id.family = sample_addr(sa.id.daddr, daddr);
	sample_addr(sa.saddr, saddr);
	return sa;
}

struct xi_sa_key sample_key(uint32_t n)
{
	struct xi_sa_key key = { .alg = XI_ALG_AES_GCM, .len = 20 };

	memset(key.key, n, key.len);
	memcpy(key.key, &n, sizeof(n));
	return key;
}
