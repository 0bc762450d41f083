/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where SAD and SPD keep what must outlive the process: the pinned maps (store_bpf.c), or plain memory
 * in tests (tests/lib). Every function: 0 or -errno. Pointers passed in are not kept.
 */
#ifndef XI_STORE_H
#define XI_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

struct xi_store_ops {
	/* key NULL leaves the stored key alone */
	int (*sa_put)(void *s, uint32_t sa_index, const struct xi_sa *sa, const struct xi_sa_key *key);
	/* -ENOENT: the SA or its key is not there */
	int (*sa_get)(void *s, uint32_t sa_index, struct xi_sa *sa, struct xi_sa_key *key);
	int (*sa_del)(void *s, uint32_t sa_index); /* key first, overwritten */
	/*
	 * May be NULL. *done of them were deleted, from the first on. 0: that is all; or the reason why not the next one,
	 * which sa_del() may tell better.
	 */
	int (*sas_del)(void *s, const uint32_t *sa_indexes, uint32_t n, uint32_t *done);
	int (*lookup_put)(void *s, const struct xi_sa_id *id, uint32_t sa_index);
	int (*lookup_del)(void *s, const struct xi_sa_id *id);
	int (*policy_put)(void *s, uint32_t index, const struct xi_policy *policy);
	int (*policy_del)(void *s, uint32_t index);
	int (*guard_put)(void *s, const struct xi_guard_key *key, uint32_t policies);
	int (*guard_del)(void *s, const struct xi_guard_key *key);
	int (*masks_put)(void *s, const struct xi_guard_mask masks[XI_MAX_MASKS]);
	int (*config_get)(void *s, struct xi_config *config);
	int (*config_put)(void *s, const struct xi_config *config);
	/* Iteration for adoption at start, while nothing changes. fn's nonzero return ends it and is returned. */
	int (*each_sa)(void *s, int (*fn)(void *arg, uint32_t sa_index, const struct xi_sa *sa), void *arg);
	int (*each_key)(void *s, int (*fn)(void *arg, uint32_t sa_index, const struct xi_sa_key *key),
			void *arg);
	int (*each_lookup)(void *s, int (*fn)(void *arg, const struct xi_sa_id *id, uint32_t sa_index),
			   void *arg);
	int (*each_policy)(void *s, int (*fn)(void *arg, const struct xi_policy *policy), void *arg);
};

struct xi_store {
	const struct xi_store_ops *ops;
	void *s;
	struct xi_sa_state *states;  /* mapped sa_state, nstates of them, by SA slot */
	uint32_t nstates;
	struct xi_window *windows;   /* mapped sa_window, by window slot */
	uint32_t nwindows;
};

#endif
