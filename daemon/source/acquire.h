/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ACQUIREs that key managers were told and have not answered: the kernel's SAs of state XFRM_STATE_ACQ (xfrm_state_find()).
 * There is one for all flows whose SA would have the same addresses, mode, protocol, reqid, mark and if_id, whatever
 * policy and selector they have; it ends when such an SA comes, or one that carries its number, or by its time. At most
 * XI_ACQUIRES_MAX at a time, for a flood of flows must not fill the key managers' queues, and a quarter of them for one
 * policy (policies of one hash share theirs): each host that a template without addresses is tried for has its own.
 */
#ifndef XI_ACQUIRE_H
#define XI_ACQUIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <xipsec/abi.h>
#include "sad/sad.h"

#define XI_ACQUIRES_MAX 1024
#define XI_ACQUIRE_SHARE (XI_ACQUIRES_MAX / 4)
#define XI_ACQUIRE_HASH 1024

/* What the SA that is wanted will be. No padding. */
struct xi_acquire_key {
	uint8_t saddr[16];
	uint8_t daddr[16];
	enum xi_family family;
	enum xi_proto proto;
	enum xi_mode mode;
	uint32_t reqid;
	uint32_t mark_v, mark_m;
	uint32_t if_id;
};
XI_ASSERT(sizeof(struct xi_acquire_key) == 60);

struct xi_acquire {
	TAILQ_ENTRY(xi_acquire) age; /* free: of the free ones */
	LIST_ENTRY(xi_acquire) by_key, by_seq, by_policy;
	struct xi_acquire_key key;
	struct xi_flow flow;         /* the first one that wanted it */
	uint32_t spi;                /* of its template, mostly 0 */
	uint32_t policy_index;       /* of that one */
	uint32_t seq;                /* 0: not pending */
	uint64_t since, until;       /* CLOCK_MONOTONIC, seconds */
};

TAILQ_HEAD(xi_acquire_list, xi_acquire);
LIST_HEAD(xi_acquire_chain, xi_acquire);

struct xi_acquires {
	uint32_t seq;                /* last one given */
	uint32_t n;                  /* pending */
	struct xi_acquire_list pending, free; /* pending: oldest first */
	struct xi_acquire_chain by_key[XI_ACQUIRE_HASH], by_seq[XI_ACQUIRE_HASH];
	struct xi_acquire_chain by_policy[XI_ACQUIRE_HASH];
	uint16_t shares[XI_ACQUIRE_HASH]; /* in the chains of by_policy */
	void (*expired)(void *arg, const struct xi_acquire *a); /* its time is up; NULL: nobody cares */
	void *arg;
	struct xi_acquire all[XI_ACQUIRES_MAX];
};

/* NULL: no memory. */
struct xi_acquires *xi_acquires_new(void);
void xi_acquires_free(struct xi_acquires *as);
/* A number for an ACQUIRE, never 0, that none pending has. */
uint32_t xi_acquires_seq(struct xi_acquires *as);

/*
 * The first template of policy lacks its SA. 0: *seq is the number of a new ACQUIRE, pending for ttl seconds; -EALREADY:
 * one is pending; -ENOBUFS: as many are pending as there may be, of all or of its policy.
 */
int xi_acquires_begin(struct xi_acquires *as, const struct xi_flow *flow,
		      const struct xi_policy *policy, uint64_t now, uint32_t ttl, uint32_t *seq);
/* An SA came. */
void xi_acquires_settle(struct xi_acquires *as, const struct xi_sa *sa, uint64_t now);
/*
 * The policy with this index is another now: ends what was asked for it. libreswan traps by a template that is open, of
 * transport mode, and answers by a tunnel's SA and by that tunnel's template in the policy: the SA ends nothing.
 */
void xi_acquires_policy(struct xi_acquires *as, uint32_t index);
/* Ends those whose time is up. */
void xi_acquires_expire(struct xi_acquires *as, uint64_t now);
/* Ends those of a protocol, XI_PROTO_ANY: all. Returns how many. */
unsigned int xi_acquires_flush(struct xi_acquires *as, enum xi_proto proto);

#endif
