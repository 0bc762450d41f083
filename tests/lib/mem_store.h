/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A struct xi_store in plain memory, for tests. Keeps copies, fails on demand, and can be looked
 * into.
 */
#ifndef XI_MEM_STORE_H
#define XI_MEM_STORE_H

#include "sad/store.h"

#define MEM_STORE_SAS 4096
#define MEM_STORE_POLICIES 4096
#define MEM_STORE_GUARDS 4096

struct mem_sa {
	bool used;
	uint32_t sa_index;
	struct xi_sa sa;
	struct xi_sa_key key;
};

struct mem_lookup {
	bool used;
	struct xi_sa_id id;
	uint32_t sa_index;
};

struct mem_policy {
	bool used;
	uint32_t index;
	struct xi_policy policy;
};

struct mem_guard {
	bool used;
	struct xi_guard_key key;
	uint32_t policies;
};

struct mem_store {
	struct xi_store store;       /* give this to xi_sad_create(), xi_spd_create() */
	struct mem_sa sas[MEM_STORE_SAS];
	struct mem_lookup lookups[MEM_STORE_SAS];
	struct mem_policy policies[MEM_STORE_POLICIES];
	struct mem_guard guards[MEM_STORE_GUARDS];
	struct xi_guard_mask masks[XI_MAX_MASKS];
	struct xi_config config;
	unsigned int writes;         /* since mem_store_fail() */
	unsigned int fail_at;        /* the write that fails, from 1; 0: none */
	unsigned int fail_for;       /* how many writes fail from there on */
	/* one letter a write, in order: S s sa, L l lookup, P p policy, G g guard, M masks, C config */
	char log[4096];
	unsigned int nlog;
};

/* nstates SA slots, nwindows large windows. Aborts when out of memory. */
struct mem_store *mem_store_new(uint32_t nstates, uint32_t nwindows);
void mem_store_free(struct mem_store *m);
/* The k-th write from now fails with -EIO, and n - 1 after it; k 0: none. Clears the log. */
void mem_store_fail(struct mem_store *m, unsigned int k, unsigned int n);
unsigned int mem_store_count_sas(const struct mem_store *m);
unsigned int mem_store_count_lookups(const struct mem_store *m);
unsigned int mem_store_count_policies(const struct mem_store *m);
unsigned int mem_store_count_guards(const struct mem_store *m);
const struct mem_sa *mem_store_sa(const struct mem_store *m, uint32_t sa_index);
/* 0: not there */
uint32_t mem_store_lookup(const struct mem_store *m, const struct xi_sa_id *id);
const struct mem_guard *mem_store_guard(const struct mem_store *m, const struct xi_guard_key *key);

/* ESP tunnel SA with AES-GCM-128, no limits, window 32; addresses as text, both of one family. */
struct xi_sa sample_sa(const char *saddr, const char *daddr, uint32_t spi);
/* A 20-byte key (16 and salt), every byte `fill`. */
struct xi_sa_key sample_key(uint32_t n);
/* Address of either family, as abi.h lays it out. Returns the family. */
enum xi_family sample_addr(uint8_t out[16], const char *text);

#endif
