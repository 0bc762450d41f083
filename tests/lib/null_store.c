/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "null_store.h"

#include <stdlib.h>

static int null_sa_put(void *s, uint32_t sa_index, const struct xi_sa *sa,
		       const struct xi_sa_key *key)
{
	return 0;
}

static int null_sa_del(void *s, uint32_t sa_index)
{
	return 0;
}

static int null_lookup_put(void *s, const struct xi_sa_id *id, uint32_t sa_index)
{
	return 0;
}

static int null_lookup_del(void *s, const struct xi_sa_id *id)
{
	return 0;
}

static int null_config_get(void *s, struct xi_config *config)
{
	*config = (struct xi_config){ .abi_version = XI_ABI_VERSION };
	return 0;
}

static int null_config_put(void *s, const struct xi_config *config)
{
	return 0;
}

static const struct xi_store_ops null_ops = {
	.sa_put = null_sa_put,
	.sa_del = null_sa_del,
	.lookup_put = null_lookup_put,
	.lookup_del = null_lookup_del,
	.config_get = null_config_get,
	.config_put = null_config_put,
};

struct xi_store *null_store_new(uint32_t nstates)
{
	struct xi_store *store = calloc(1, sizeof(*store));

	if (!store)
		abort();
	store->ops = &null_ops;
	store->states = calloc(nstates, sizeof(*store->states));
	store->nstates = nstates;
	if (!store->states)
		abort();
	return store;
}

void null_store_free(struct xi_store *store)
{
	free(store->states);
	free(store);
}
