/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A struct xi_store that keeps the configuration and counts the rest: for tests of size and of cost. */
#ifndef XI_NULL_STORE_H
#define XI_NULL_STORE_H

#include "sad/store.h"

struct null_store {
	struct xi_store store;
	struct xi_config config;
	uint64_t writes;
};

/* nstates SA slots. Aborts when out of memory. */
struct null_store *null_store_new(uint32_t nstates);
void null_store_free(struct null_store *n);

#endif
