/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A struct xi_store that remembers nothing but states: for tests of very many SAs. */
#ifndef XI_NULL_STORE_H
#define XI_NULL_STORE_H

#include "sad/store.h"

/* nstates SA slots, no large windows. Aborts when out of memory. */
struct xi_store *null_store_new(uint32_t nstates);
void null_store_free(struct xi_store *store);

#endif
