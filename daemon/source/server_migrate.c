/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MIGRATE: a policy and its SAs get other endpoints, all of them or none. */
#include "source/server_int.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "source/xfrm_migrate.h"

/* What was moved, for the way back. */
struct moves {
	struct xi_sa old[XI_MAX_TMPLS];
	unsigned int n;
};

static uint32_t generation_of(const struct xi_xfrm_server *server)
{
	return xi_spd_snapshot(server->spd)->generation;
}

static void moves_undo(struct xi_xfrm_server *server, struct moves *moves)
{
	const char *why;
	int err;

	while (moves->n) {
		const struct xi_sa *old = &moves->old[--moves->n];

		err = xi_sad_move(server->sad, old->sa_index, old, generation_of(server), &why);
		if (err)
			log_warnx("SA with SPI 0x%08x could not be moved back when MIGRATE failed: %s; delete it",
				  old->id.spi, why);
	}
}

/* An item without an SA is about the policy alone. */
static int sas_move(struct xi_xfrm_server *server, const struct xi_migrate_request *req,
		    struct moves *moves, struct xi_extack *ack)
{
	const char *why = NULL;
	unsigned int i;

	for (i = 0; i < req->n; i++) {
		const struct xi_sa_rec *rec =
			xi_sad_migrate_find(server->sad, &req->items[i], req->key.if_id);
		struct xi_sa to;

		if (!rec)
			continue;
		to = moves->old[moves->n] = rec->sa;
		xi_sa_migrate(&to, &req->items[i], &req->encap);
		if (xi_sad_move(server->sad, to.sa_index, &to, generation_of(server), &why))
			return xi_refuse(ack, -ENODATA, "SA with SPI 0x%08x cannot be migrated: %s",
					 to.id.spi, why);
		moves->n++;
	}
	return 0;
}

/*
 * The policy of this very selector; else the one that decides on a packet between the selector's
 * addresses, as since Linux 6.12.
 */
static const struct xi_policy *policy_find(const struct xi_spd *spd, const struct xi_policy *key)
{
	const struct xi_policy *policy = xi_spd_find(spd, key);
	const struct xi_spd_policy *match;
	struct xi_flow flow = {
		.sport = key->sel.sport,
		.dport = key->sel.dport,
		.proto = key->sel.proto,
		.dir = key->dir,
		.family = key->sel.family,
		.if_id = key->if_id,
	};

	if (policy || key->mark_m)
		return policy;
	memcpy(flow.saddr, key->sel.saddr, 16);
	memcpy(flow.daddr, key->sel.daddr, 16);
	match = xi_spd_lookup(xi_spd_snapshot(spd), key->dir, &flow);
	/* of a round that is held: it may have gone since */
	policy = match ? xi_spd_find(spd, &match->policy) : NULL;
	return policy && policy->type == key->type ? policy : NULL;
}

static int migrate(struct xi_client *c, const struct xi_migrate_request *req,
		   struct xi_extack *ack)
{
	struct xi_xfrm_server *server = c->server;
	const struct xi_policy *found = policy_find(server->spd, &req->key);
	struct moves moves = {.n = 0};
	struct xi_policy policy;
	const char *why = NULL;
	int err;

	if (!found)
		return xi_refuse(ack, -ENOENT, "Target policy not found");
	policy = *found;
	if (!xi_policy_migrate(&policy, req->items, req->n))
		return xi_refuse(ack, -ENODATA, "no template of the policy is what is to be migrated");
	err = sas_move(server, req, &moves, ack);
	if (!err) {
		err = xi_spd_change(server->spd, &policy, &why);
		if (err)
			xi_refuse(ack, err, "%s", why);
	}
	if (moves.n)
		xi_spd_disturb(server->spd);
	if (err)
		moves_undo(server, &moves);
	return err;
}

int xi_handle_migrate(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_migrate_request req;
	struct xi_nlmsg msg;
	int err;

	err = xi_xfrm_get_migrate(&req, nlh, ack);
	if (!err)
		err = migrate(c, &req, ack);
	if (err)
		return err;
	xi_xfrm_put_migrate(&msg, &req);
	xi_server_multicast(c->server, XFRMNLGRP_MIGRATE, &msg);
	return 0;
}
