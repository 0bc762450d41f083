/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Lifetimes of policies. Hardly any policy has one, so those that do wait in a heap; use moves the
 * time at which one is due back, which is found out when it comes to the top.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define NO_LIMIT UINT64_MAX      /* XFRM_INF */
#define TOLD_AGAIN 30            /* seconds, the kernel's XFRM_KM_TIMEOUT */

int xi_spd_dues_reserve(struct xi_spd *spd, uint32_t more)
{
	struct xi_spd_dues *d = &spd->dues;
	uint32_t room = 2 * d->room + more;
	struct xi_spd_node **heap;

	if (d->n + more <= d->room)
		return 0;
	heap = realloc(d->heap, room * sizeof(struct xi_spd_node *));
	if (!heap)
		return -ENOMEM;
	d->heap = heap;
	d->room = room;
	return 0;
}

void xi_policy_use(const struct xi_spd *spd, struct xi_spd_node *node)
{
	struct xi_spd_policy *p = &node->pub->p;
	uint64_t last, used = __atomic_load_n(&p->policy.use_time, __ATOMIC_RELAXED), before = used;
	uint32_t i;

	for (i = 0; i < p->nsas; i++) {
		const struct xi_sa_rec *rec = xi_sad_rec(spd->sad, p->sas[i]);

		last = rec ? __atomic_load_n(&rec->state->last_use, __ATOMIC_RELAXED) : 0;
		used = last > used ? last : used;
	}
	/* what an SA did before the policy was there is no use of it */
	if (used != before && used >= p->policy.add_time)
		__atomic_store_n(&p->policy.use_time, used, __ATOMIC_RELAXED);
}

static uint64_t when(uint64_t since, uint64_t limit)
{
	return limit && limit != NO_LIMIT && limit < NO_LIMIT - since ? since + limit : NO_LIMIT;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The kernel counts the use of a policy that was never used from when it was added. */
static uint64_t since_use(const struct xi_policy *policy)
{
	uint64_t used = __atomic_load_n(&policy->use_time, __ATOMIC_RELAXED);

	return used ? used : policy->add_time;
}

static uint64_t hard_due(const struct xi_policy *policy)
{
	return earlier(when(policy->add_time, policy->limits.hard_add),
		       when(since_use(policy), policy->limits.hard_use));
}

static uint64_t soft_due(const struct xi_spd_node *node)
{
	const struct xi_policy *policy = &node->pub->p.policy;
	uint64_t due = earlier(when(policy->add_time, policy->limits.soft_add),
			       when(since_use(policy), policy->limits.soft_use));

	if (node->told && due < node->told + TOLD_AGAIN)
		return node->told + TOLD_AGAIN;
	return due;
}

static void heap_set(struct xi_spd_dues *d, uint32_t at, struct xi_spd_node *node)
{
	d->heap[at - 1] = node;
	node->due_at = at;
}

/* To where it belongs, from the place `at`, which is free. Places count from 1. */
static void heap_settle(struct xi_spd_dues *d, uint32_t at, struct xi_spd_node *node)
{
	uint32_t child;

	for (; at > 1 && d->heap[at / 2 - 1]->due > node->due; at /= 2)
		heap_set(d, at, d->heap[at / 2 - 1]);
	while ((child = 2 * at) <= d->n) {
		if (child < d->n && d->heap[child]->due < d->heap[child - 1]->due)
			child++;
		if (d->heap[child - 1]->due >= node->due)
			break;
		heap_set(d, at, d->heap[child - 1]);
		at = child;
	}
	heap_set(d, at, node);
}

void xi_policy_due_del(struct xi_spd *spd, struct xi_spd_node *node)
{
	struct xi_spd_dues *d = &spd->dues;
	struct xi_spd_node *last;
	uint32_t at = node->due_at;

	if (!at)
		return;
	node->due_at = 0;
	last = d->heap[--d->n];
	if (last != node)
		heap_settle(d, at, last);
}

void xi_policy_due_add(struct xi_spd *spd, struct xi_spd_node *node)
{
	struct xi_spd_dues *d = &spd->dues;

	node->due = earlier(hard_due(&node->pub->p.policy), soft_due(node));
	if (node->due == NO_LIMIT || node->due_at)
		return;
	d->n++;
	heap_settle(d, d->n, node);
}

static void look_later(struct xi_spd *spd, struct xi_spd_node *node, uint64_t at)
{
	node->due = at;
	heap_settle(&spd->dues, node->due_at, node);
}

/* Gone in the same round as all that is due. */
static void hard_expire(struct xi_spd *spd, struct xi_spd_node *node, uint64_t now,
			xi_policy_expired expired, void *arg)
{
	struct xi_policy policy = node->pub->p.policy;
	int err = xi_spd_delete(spd, &policy);

	if (!err) {
		expired(arg, &policy, true);
		return;
	}
	log_warnx("a policy with index %u reached its hard lifetime but could not be deleted: %s; trying again",
		  policy.index, strerror(-err));
	look_later(spd, node, now + 1);
}

static void look(struct xi_spd *spd, struct xi_spd_node *node, uint64_t now,
		 xi_policy_expired expired, void *arg)
{
	xi_policy_use(spd, node);
	if (hard_due(&node->pub->p.policy) <= now) {
		hard_expire(spd, node, now, expired, arg);
		return;
	}
	if (soft_due(node) <= now) {
		node->told = now;
		expired(arg, &node->pub->p.policy, false);
	}
	look_later(spd, node, earlier(hard_due(&node->pub->p.policy), soft_due(node)));
}

void xi_spd_tick(struct xi_spd *spd, uint64_t now, xi_policy_expired expired, void *arg)
{
	uint32_t n;

	if (!spd->dues.n || spd->dues.heap[0]->due > now)
		return;
	xi_spd_hold(spd);
	for (n = 0; n < XI_POLICIES_DUE && spd->dues.n && spd->dues.heap[0]->due <= now; n++)
		look(spd, spd->dues.heap[0], now, expired, arg);
	xi_spd_release(spd);
}
