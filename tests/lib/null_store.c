/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "null_store.h"

#include <errno.h>
#include <stdlib.h>

static int written(void *s)
{
	struct null_store *n = s;

	n->writes++;
	return 0;
}

static int null_sa_put(void *s, uint32_t sa_index, const struct xi_sa *sa,
		       const struct xi_sa_key *key)
{
	return written(s);
}

static int null_del(void *s, uint32_t index)
{
	return written(s);
}

static int null_lookup_put(void *s, const struct xi_sa_id *id, uint32_t sa_index)
{
	return written(s);
}

static int null_lookup_del(void *s, const struct xi_sa_id *id)
{
	return written(s);
}

static int null_policy_put(void *s, uint32_t index, const struct xi_policy *policy)
{
	return written(s);
}

static int null_guard_put(void *s, const struct xi_guard_key *key, uint32_t policies)
{
	return written(s);
}

static int null_guard_del(void *s, const struct xi_guard_key *key)
{
	return written(s);
}

static int null_masks_put(void *s, const struct xi_guard_mask masks[XI_MAX_MASKS])
{
	return written(s);
}

static int null_config_get(void *s, struct xi_config *config)
{
	struct null_store *n = s;

	*config = n->config;
	return 0;
}

static int null_config_put(void *s, const struct xi_config *config)
{
	struct null_store *n = s;

	n->config = *config;
	return written(s);
}

static int null_sa_get(void *s, uint32_t sa_index, struct xi_sa *sa, struct xi_sa_key *key)
{
	return -ENOENT;
}

static int null_each_sa(void *s, int (*fn)(void *arg, uint32_t sa_index, const struct xi_sa *sa),
			void *arg)
{
	return 0;
}

static int null_each_key(void *s, int (*fn)(void *arg, uint32_t sa_index,
					    const struct xi_sa_key *key), void *arg)
{
	return 0;
}

static int null_each_lookup(void *s, int (*fn)(void *arg, const struct xi_sa_id *id,
					       uint32_t sa_index), void *arg)
{
	return 0;
}

static int null_each_policy(void *s, int (*fn)(void *arg, const struct xi_policy *policy), void *arg)
{
	return 0;
}

static const struct xi_store_ops ops = {
	.sa_put = null_sa_put,
	.sa_get = null_sa_get,
	.sa_del = null_del,
	.lookup_put = null_lookup_put,
	.lookup_del = null_lookup_del,
	.policy_put = null_policy_put,
	.policy_del = null_del,
	.guard_put = null_guard_put,
	.guard_del = null_guard_del,
	.masks_put = null_masks_put,
	.config_get = null_config_get,
	.config_put = null_config_put,
	.each_sa = null_each_sa,
	.each_key = null_each_key,
	.each_lookup = null_each_lookup,
	.each_policy = null_each_policy,
};

struct null_store *null_store_new(uint32_t nstates)
{
	struct null_store *n = calloc(1, sizeof(*n));

	if (!n)
		abort();
	n->store.ops = &ops;
	n->store.s = n;
	n->store.states = calloc(nstates, sizeof(*n->store.states));
	n->store.nstates = nstates;
	if (!n->store.states)
		abort();
	return n;
}

void null_store_free(struct null_store *n)
{
	free(n->store.states);
	free(n);
}
