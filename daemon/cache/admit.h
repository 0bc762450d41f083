/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which SAs are worth a context slot, and which one gives its slot up: admission and eviction, and nothing else. Pure:
 * no maps, threads, sockets or clock, so that the simulator runs the very code of the daemon.
 *
 * Nobody tells a policy of hits: packets that hit are done in XDP and by workers. A policy asks how often an SA was
 * used since it last asked (`uses`), when it wants to know. Only verified packets count as use, so a peer
 * that forges or replays packets wins nothing.
 *
 * Memory is proportional to the capacity, whatever the number of SAs; each call costs O(1), and a miss asks for the
 * uses of eight SAs at most.
 */
#ifndef XI_ADMIT_H
#define XI_ADMIT_H

#include <stdint.h>

struct xi_admit;

struct xi_admit_config {
	const char *policy;          /* "lru" ...; NULL: the one that measured best */
	uint32_t capacity;           /* SAs that may be resident */
	/* Uses of an SA since this function was last called for it (or since it became resident). */
	uint32_t (*uses)(void *arg, uint32_t sa_index);
	void *arg;
};

enum xi_admit_verdict {
	XI_ADMIT_FREE,               /* admitted; there was room */
	XI_ADMIT_EVICT,              /* admitted in place of `victim` */
	XI_ADMIT_REFUSED,            /* not worth a slot now: used less than whoever would have to go */
};

struct xi_admission {
	enum xi_admit_verdict verdict;
	uint32_t victim;             /* sa_index; no longer resident */
};

/* 0, -EINVAL for an unknown policy or capacity 0, -ENOMEM (always above 2^24 SAs), -errno of getrandom(2). */
int xi_admit_create(struct xi_admit **out, const struct xi_admit_config *config);
void xi_admit_destroy(struct xi_admit *admit);
/* Names of the policies, NULL-terminated; the default first. */
const char *const *xi_admit_policies(void);

/*
 * An SA that is not resident was used `weight` times (at least 1) since it was last missed: all of its uses, told of or
 * not, for they are weighed against all of the residents'. If admitted it is resident from now on. Asking for one that
 * is resident changes nothing and says XI_ADMIT_FREE.
 */
void xi_admit_miss(struct xi_admit *admit, uint32_t sa_index, uint32_t weight,
		   struct xi_admission *out);
/* The SA is gone, or lost its slot for a reason of its own. Unknown ones are ignored. */
void xi_admit_remove(struct xi_admit *admit, uint32_t sa_index);
uint32_t xi_admit_resident(const struct xi_admit *admit);

#endif
