/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs and policies that were refused for want of room or memory: they are tried again when there
 * may be some. Each try moves what hangs together with an SA to and fro, and may cost packets, so
 * tries that fail come ever more seldom.
 */
#include "source/mirror_int.h"

#include <errno.h>

#define BATCH_MIN 16
#define BATCH_MAX 4096
#define FIRST_SECONDS 1
#define LAST_SECONDS 512

static uint64_t seconds(void)
{
	return xi_mirror_clock() / 1000000000ULL;
}

/* Not for what it is, but for the state of things here. */
bool xi_mirror_refusal_passes(int err)
{
	return err == -ENOSPC || err == -E2BIG || err == -ENOMEM || err == -ENOBUFS ||
	       err == -EIO || err == -ETIMEDOUT || err == -EBUSY;
}

/* What is added while nothing waits has its first try soon. */
static void retry_wait(struct xi_mirror *m)
{
	m->retry.batch = BATCH_MIN;
	if (!TAILQ_EMPTY(&m->retry.sas) || !TAILQ_EMPTY(&m->retry.policies))
		return;
	m->retry.after = FIRST_SECONDS;
	m->retry.at = seconds() + FIRST_SECONDS;
}

void xi_mirror_retry_sa(struct xi_mirror *m, struct xi_mirror_sa *sa, int err)
{
	if (!xi_mirror_refusal_passes(err))
		return;
	retry_wait(m);
	if (!sa->waits)
		TAILQ_INSERT_TAIL(&m->retry.sas, sa, waiting);
	sa->waits = true;
}

void xi_mirror_retry_policy(struct xi_mirror *m, struct xi_mirror_policy *policy, int err)
{
	if (!xi_mirror_refusal_passes(err))
		return;
	retry_wait(m);
	if (!policy->waits)
		TAILQ_INSERT_TAIL(&m->retry.policies, policy, waiting);
	policy->waits = true;
}

void xi_mirror_retry_no_sa(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->waits)
		TAILQ_REMOVE(&m->retry.sas, sa, waiting);
	sa->waits = false;
}

void xi_mirror_retry_no_policy(struct xi_mirror *m, struct xi_mirror_policy *policy)
{
	if (policy->waits)
		TAILQ_REMOVE(&m->retry.policies, policy, waiting);
	policy->waits = false;
}

void xi_mirror_retry_soon(struct xi_mirror *m)
{
	uint64_t soon = seconds() + FIRST_SECONDS;

	m->retry.after = FIRST_SECONDS;
	if (m->retry.at > soon)
		m->retry.at = soon;
}

void xi_mirror_retry_went_well(struct xi_mirror *m)
{
	m->retry.after = FIRST_SECONDS;
	m->retry.at = 0;
	if (m->retry.batch < BATCH_MAX)
		m->retry.batch *= 2;
}

/* Whoever was tried stays in line, at its end, until it is known what became of it. */
static unsigned int retry_policies(struct xi_mirror *m, unsigned int most)
{
	struct xi_mirror_policy *policy;
	unsigned int n = 0;

	while (n < most && (policy = TAILQ_FIRST(&m->retry.policies)) && policy->refused) {
		TAILQ_REMOVE(&m->retry.policies, policy, waiting);
		TAILQ_INSERT_TAIL(&m->retry.policies, policy, waiting);
		policy->refused = 0;
		xi_mirror_policy_touch(m, policy);
		n++;
	}
	return n;
}

static unsigned int retry_sas(struct xi_mirror *m, unsigned int most)
{
	struct xi_mirror_sa *sa;
	unsigned int n = 0;

	while (n < most && (sa = TAILQ_FIRST(&m->retry.sas)) && sa->refused) {
		TAILQ_REMOVE(&m->retry.sas, sa, waiting);
		TAILQ_INSERT_TAIL(&m->retry.sas, sa, waiting);
		sa->refused = 0;
		xi_mirror_sa_touch(m, sa);
		n++;
	}
	return n;
}

/* Those that a try made another matter than a refusal. */
static void retry_tidy(struct xi_mirror *m)
{
	struct xi_mirror_policy *policy;
	struct xi_mirror_sa *sa;

	while ((policy = TAILQ_FIRST(&m->retry.policies)) && !policy->refused && !policy->dirty)
		xi_mirror_retry_no_policy(m, policy);
	while ((sa = TAILQ_FIRST(&m->retry.sas)) && !sa->refused && !sa->dirty)
		xi_mirror_retry_no_sa(m, sa);
}

void xi_mirror_retry_tick(struct xi_mirror *m)
{
	unsigned int n, count = xi_sad_count(m->sad), capacity = xi_sad_capacity(m->sad);

	if (seconds() < m->retry.at)
		return;
	retry_tidy(m);
	n = retry_policies(m, m->retry.batch);
	/* while the SAD is full a try is known to fail */
	if (capacity - count < m->retry.batch - n)
		n += retry_sas(m, capacity - count);
	else
		n += retry_sas(m, m->retry.batch - n);
	if (!n)
		return;
	m->retry.at = seconds() + m->retry.after;
	if (m->retry.after < LAST_SECONDS)
		m->retry.after *= 2;
}
