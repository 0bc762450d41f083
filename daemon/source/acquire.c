/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ACQUIREs that are pending: a packet flood asks the key manager once. */
#include "source/server_int.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ACQ_EXPIRES "/proc/sys/net/core/xfrm_acq_expires"
#define ACQ_EXPIRES_DEFAULT 30

uint32_t xi_acquire_ttl(void)
{
	unsigned int ttl = ACQ_EXPIRES_DEFAULT;
	FILE *f = fopen(ACQ_EXPIRES, "re");

	if (!f)
		return ttl;
	if (fscanf(f, "%u", &ttl) != 1 || !ttl)
		ttl = ACQ_EXPIRES_DEFAULT;
	fclose(f);
	return ttl;
}

static uint64_t now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* The slot to note it in; NULL: pending already, or as many pending as there may be. */
static struct xi_acquire *acquire_slot(struct xi_xfrm_server *server, const struct xi_flow *flow,
				       uint32_t index, uint64_t now)
{
	struct xi_acquire *free_slot = NULL;

	for (size_t i = 0; i < XI_ACQUIRES_MAX; i++) {
		struct xi_acquire *a = &server->acquires[i];

		if (a->until <= now)
			free_slot = free_slot ? free_slot : a;
		else if (a->policy_index == index && !memcmp(&a->flow, flow, sizeof(*flow)))
			return NULL;
	}
	return free_slot;
}

void xi_xfrm_server_acquire(struct xi_xfrm_server *server, const struct xi_flow *flow,
			    const struct xi_policy *policy)
{
	static const uint8_t none[16];
	uint64_t now = now_seconds();
	struct xi_acquire *slot;
	const uint8_t *peer;
	struct xi_nlmsg msg;

	if (!xi_server_listened(server, XFRMNLGRP_ACQUIRE))
		return;
	slot = acquire_slot(server, flow, policy->index, now);
	if (!slot)
		return;
	peer = policy->ntmpls ? policy->tmpls[0].id.daddr : none;
	slot->flow = *flow;
	slot->policy_index = policy->index;
	slot->until = now + xi_acquire_ttl();
	if (server->acquires_until < slot->until)
		server->acquires_until = slot->until;
	memcpy(slot->peer, memcmp(peer, none, sizeof(none)) ? peer : flow->daddr,
	       sizeof(slot->peer));
	if (!++server->acquire_seq)
		server->acquire_seq = 1;
	xi_xfrm_put_acquire(&msg, flow, policy, server->acquire_seq);
	xi_server_multicast(server, XFRMNLGRP_ACQUIRE, &msg);
}

/* An SA to the peer came: should it go again, the next packet may ask again at once. */
void xi_acquire_settled(struct xi_xfrm_server *server, const struct xi_sa *sa)
{
	if (!server->acquires_until)
		return;
	if (server->acquires_until <= now_seconds())
		server->acquires_until = 0;
	for (size_t i = 0; i < XI_ACQUIRES_MAX; i++) {
		if (!memcmp(server->acquires[i].peer, sa->id.daddr, sizeof(sa->id.daddr)))
			server->acquires[i].until = 0;
	}
}
