/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/acquire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source/server_int.h"

#define ACQ_EXPIRES "/proc/sys/net/core/xfrm_acq_expires"
#define ACQ_EXPIRES_DEFAULT 30
#define FNV_BASIS 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

static const uint8_t none[16];

struct xi_acquires *xi_acquires_new(void)
{
	struct xi_acquires *as = calloc(1, sizeof(*as));
	uint32_t i;

	if (!as)
		return NULL;
	TAILQ_INIT(&as->pending);
	TAILQ_INIT(&as->free);
	for (i = 0; i < XI_ACQUIRE_HASH; i++) {
		LIST_INIT(&as->by_key[i]);
		LIST_INIT(&as->by_seq[i]);
		LIST_INIT(&as->by_policy[i]);
	}
	for (i = 0; i < XI_ACQUIRES_MAX; i++)
		TAILQ_INSERT_TAIL(&as->free, &as->all[i], age);
	return as;
}

void xi_acquires_free(struct xi_acquires *as)
{
	free(as);
}

/* Chains are as long as there are ACQUIREs at most, whoever chooses the addresses. */
static uint32_t key_hash(const struct xi_acquire_key *key)
{
	const uint8_t *bytes = (const uint8_t *)key;
	uint64_t hash = FNV_BASIS;
	size_t i;

	for (i = 0; i < sizeof(*key); i++)
		hash = (hash ^ bytes[i]) * FNV_PRIME;
	return (hash ^ hash >> 32) % XI_ACQUIRE_HASH;
}

static void key_make(struct xi_acquire_key *key, const struct xi_flow *flow,
		     const struct xi_policy *policy)
{
	const struct xi_tmpl *tmpl = policy->ntmpls ? &policy->tmpls[0] : NULL;
	bool given = tmpl && memcmp(tmpl->id.daddr, none, 16);

	*key = (struct xi_acquire_key){
		.family = given ? tmpl->family : flow->family,
		.proto = tmpl ? tmpl->id.proto : XI_ESP,
		.mode = tmpl ? tmpl->mode : XI_TRANSPORT,
		.reqid = tmpl ? tmpl->reqid : 0,
		.mark_v = policy->mark_v & policy->mark_m,
		.mark_m = policy->mark_m,
		.if_id = policy->if_id,
	};
	xi_xfrm_acquire_ends(flow, tmpl, key->saddr, key->daddr);
}

static struct xi_acquire *find_key(const struct xi_acquires *as, const struct xi_acquire_key *key)
{
	struct xi_acquire *a;

	LIST_FOREACH (a, &as->by_key[key_hash(key)], by_key)
		if (!memcmp(&a->key, key, sizeof(*key)))
			return a;
	return NULL;
}

static struct xi_acquire *find_seq(const struct xi_acquires *as, uint32_t seq)
{
	struct xi_acquire *a;

	LIST_FOREACH (a, &as->by_seq[seq % XI_ACQUIRE_HASH], by_seq)
		if (a->seq == seq)
			return a;
	return NULL;
}

/* The direction is in an index's low bits. */
static uint32_t policy_hash(uint32_t index)
{
	return (index >> 3) % XI_ACQUIRE_HASH;
}

static void acquire_end(struct xi_acquires *as, struct xi_acquire *a)
{
	as->shares[policy_hash(a->policy_index)]--;
	LIST_REMOVE(a, by_key);
	LIST_REMOVE(a, by_seq);
	LIST_REMOVE(a, by_policy);
	a->seq = 0;
	TAILQ_REMOVE(&as->pending, a, age);
	TAILQ_INSERT_HEAD(&as->free, a, age);
	as->n--;
}

static void acquire_expire(struct xi_acquires *as, struct xi_acquire *a)
{
	if (as->expired)
		as->expired(as->arg, a);
	acquire_end(as, a);
}

/* Almost in the order in which they end: of those begun before the sysctl was lowered, some wait longer. */
void xi_acquires_expire(struct xi_acquires *as, uint64_t now)
{
	struct xi_acquire *a;

	while ((a = TAILQ_FIRST(&as->pending)) && a->until <= now)
		acquire_expire(as, a);
}

uint32_t xi_acquires_seq(struct xi_acquires *as)
{
	do {
		as->seq++;
	} while (!as->seq || find_seq(as, as->seq));
	return as->seq;
}

int xi_acquires_begin(struct xi_acquires *as, const struct xi_flow *flow,
		      const struct xi_policy *policy, uint64_t now, uint32_t ttl, uint32_t *seq)
{
	struct xi_acquire_key key;
	struct xi_acquire *a;

	key_make(&key, flow, policy);
	a = find_key(as, &key);
	if (a && a->until > now)
		return -EALREADY;
	if (a)
		acquire_expire(as, a);
	else
		xi_acquires_expire(as, now);
	a = TAILQ_FIRST(&as->free);
	if (!a || as->shares[policy_hash(policy->index)] >= XI_ACQUIRE_SHARE)
		return -ENOBUFS;
	as->shares[policy_hash(policy->index)]++;
	TAILQ_REMOVE(&as->free, a, age);
	a->key = key;
	a->flow = *flow;
	a->spi = policy->ntmpls ? policy->tmpls[0].id.spi : 0;
	a->policy_index = policy->index;
	a->seq = *seq = xi_acquires_seq(as);
	a->since = now;
	a->until = now + ttl;
	TAILQ_INSERT_TAIL(&as->pending, a, age);
	LIST_INSERT_HEAD(&as->by_key[key_hash(&key)], a, by_key);
	LIST_INSERT_HEAD(&as->by_seq[a->seq % XI_ACQUIRE_HASH], a, by_seq);
	LIST_INSERT_HEAD(&as->by_policy[policy_hash(a->policy_index)], a, by_policy);
	as->n++;
	return 0;
}

static void settle_key(struct xi_acquires *as, const struct xi_acquire_key *key)
{
	struct xi_acquire *a = find_key(as, key);

	if (a)
		acquire_end(as, a);
}

/* A template may leave open what an SA has: reqid, source. */
static void settle_open(struct xi_acquires *as, const struct xi_sa *sa)
{
	struct xi_acquire_key key = {
		.family = sa->id.family,
		.proto = sa->id.proto,
		.mode = sa->mode,
		.mark_v = sa->mark_v & sa->mark_m,
		.mark_m = sa->mark_m,
		.if_id = sa->if_id,
	};
	unsigned int i;

	memcpy(key.daddr, sa->id.daddr, 16);
	for (i = 0; i < 4; i++) {
		key.reqid = i & 1 ? 0 : sa->reqid;
		memcpy(key.saddr, i & 2 ? none : sa->saddr, 16);
		settle_key(as, &key);
	}
}

/* The kernel's xfrm_state_add(). */
void xi_acquires_settle(struct xi_acquires *as, const struct xi_sa *sa, uint64_t now)
{
	struct xi_acquire *a;

	if (!as->n)
		return;
	xi_acquires_expire(as, now);
	a = sa->seq ? find_seq(as, sa->seq) : NULL;
	if (a && a->key.proto == sa->id.proto && !memcmp(a->key.daddr, sa->id.daddr, 16))
		acquire_end(as, a);
	settle_open(as, sa);
}

void xi_acquires_policy(struct xi_acquires *as, uint32_t index)
{
	struct xi_acquire *a, *next;

	for (a = LIST_FIRST(&as->by_policy[policy_hash(index)]); a; a = next) {
		next = LIST_NEXT(a, by_policy);
		if (a->policy_index == index)
			acquire_end(as, a);
	}
}

unsigned int xi_acquires_flush(struct xi_acquires *as, enum xi_proto proto)
{
	struct xi_acquire *a, *next;
	unsigned int n = 0;

	for (a = TAILQ_FIRST(&as->pending); a; a = next) {
		next = TAILQ_NEXT(a, age);
		if (proto != XI_PROTO_ANY && a->key.proto != proto)
			continue;
		acquire_end(as, a);
		n++;
	}
	return n;
}

/* The next one that is pending, from *pos on, which begins at 0; NULL: no more. */
static const struct xi_acquire *acquires_next(const struct xi_acquires *as, uint32_t *pos)
{
	while (*pos < XI_ACQUIRES_MAX) {
		const struct xi_acquire *a = &as->all[(*pos)++];

		if (a->seq)
			return a;
	}
	return NULL;
}

/* It as the kernel's SA (xfrm_init_tempstate()), which is nowhere else: of no state, and no keys. */
static void acquire_rec(const struct xi_acquire *a, uint64_t now, struct xi_sa_rec *rec)
{
	const struct xi_acquire_key *key = &a->key;

	*rec = (struct xi_sa_rec){
		.sa = {
			.id = { .spi = a->spi, .proto = key->proto, .family = key->family },
			.mode = key->mode,
			.reqid = key->reqid,
			.seq = a->seq,
			.mark_v = key->mark_v,
			.mark_m = key->mark_m,
			.if_id = key->if_id,
			.window_slot = XI_NO_SLOT,
			.add_time = (uint64_t)time(NULL) - (now - a->since),
			.limits = {
				.soft_bytes = UINT64_MAX, .hard_bytes = UINT64_MAX,
				.soft_packets = UINT64_MAX, .hard_packets = UINT64_MAX,
				.hard_add = a->until - a->since,
			},
		},
	};
	memcpy(rec->sa.id.daddr, key->daddr, 16);
	memcpy(rec->sa.saddr, key->saddr, 16);
	xi_xfrm_flow_selector(&rec->sa.sel, &a->flow);
}

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

/* Read once a second: a flood of flows asks far more often. */
static uint32_t server_ttl(struct xi_xfrm_server *server, uint64_t now)
{
	if (server->ttl_read != now)
		server->ttl = xi_acquire_ttl();
	server->ttl_read = now;
	return server->ttl;
}

int xi_xfrm_server_acquire(struct xi_xfrm_server *server, const struct xi_flow *flow,
			   const struct xi_policy *policy)
{
	uint64_t now = now_seconds();
	struct xi_nlmsg msg;
	uint32_t seq;
	int err;

	if (!xi_server_listened(server, XFRMNLGRP_ACQUIRE))
		return -ESRCH;
	err = xi_acquires_begin(server->acquires, flow, policy, now, server_ttl(server, now), &seq);
	if (err)
		return err;
	xi_xfrm_put_acquire(&msg, flow, policy, seq);
	xi_server_multicast(server, XFRMNLGRP_ACQUIRE, &msg);
	return 0;
}

/* Should the SA go again, the next packet may ask again at once. */
void xi_acquire_settled(struct xi_xfrm_server *server, const struct xi_sa *sa)
{
	xi_acquires_settle(server->acquires, sa, now_seconds());
}

static void on_expired(void *arg, const struct xi_acquire *a)
{
	struct xi_sa_rec rec;

	acquire_rec(a, now_seconds(), &rec);
	xi_server_expired(arg, &rec, true);
}

int xi_acquire_start(struct xi_xfrm_server *server)
{
	server->acquires = xi_acquires_new();
	if (!server->acquires)
		return -ENOMEM;
	server->acquires->expired = on_expired;
	server->acquires->arg = server;
	return 0;
}

void xi_acquire_tick(struct xi_xfrm_server *server)
{
	xi_acquires_expire(server->acquires, now_seconds());
}

bool xi_acquire_dump(struct xi_xfrm_server *server, struct xi_dump *dump, struct xi_nlmsg *msg)
{
	const struct xi_acquire *a;
	struct xi_sa_rec rec;

	while ((a = acquires_next(server->acquires, &dump->acquire))) {
		acquire_rec(a, now_seconds(), &rec);
		if (!xi_sa_filter_matches(&dump->filter, &rec.sa))
			continue;
		xi_xfrm_put_sa(msg, XFRM_MSG_NEWSA, &dump->to, &rec);
		return true;
	}
	return false;
}

const struct xi_acquires *xi_xfrm_server_acquires(struct xi_xfrm_server *server)
{
	xi_acquires_expire(server->acquires, now_seconds());
	return server->acquires;
}

void xi_acquire_listened(struct xi_xfrm_server *server)
{
	if (server->acquiring)
		atomic_store(server->acquiring, xi_server_listened(server, XFRMNLGRP_ACQUIRE));
}

void xi_xfrm_server_on_acquiring(struct xi_xfrm_server *server, atomic_bool *acquiring)
{
	server->acquiring = acquiring;
	xi_acquire_listened(server);
}
