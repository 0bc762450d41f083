/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/await.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define HASH_BITS 11
#define WORDS (sizeof(struct xi_flow) / 4)

XI_ASSERT(1 << HASH_BITS == XI_AWAIT_HASH && sizeof(struct xi_flow) % 4 == 0);
XI_ASSERT(XI_AWAIT_SHARE <= UINT16_MAX);

static void await_link_free(struct xi_await *a)
{
	uint32_t i;

	for (i = 0; i < XI_AWAIT_ROOM; i++) {
		uint32_t next = i + 1 < XI_AWAIT_ROOM ? i + 1 : XI_AWAIT_NONE;

		a->packets[i].next = next;
		a->flows[i].newer = next;
	}
	for (i = 0; i < XI_AWAIT_HASH; i++)
		a->heads[i] = XI_AWAIT_NONE;
	a->oldest = a->newest = XI_AWAIT_NONE;
}

int xi_await_create(struct xi_await *a, uint32_t per_flow)
{
	int err = -ENOMEM;

	memset(a, 0, sizeof(*a));
	if (!per_flow)
		return 0;
	a->per_flow = per_flow;
	a->packets = calloc(XI_AWAIT_ROOM, sizeof(*a->packets));
	a->flows = calloc(XI_AWAIT_ROOM, sizeof(*a->flows));
	a->heads = calloc(XI_AWAIT_HASH, sizeof(*a->heads));
	a->shares = calloc(XI_AWAIT_SHARES, sizeof(*a->shares));
	if (!a->packets || !a->flows || !a->heads || !a->shares)
		goto fail;
	if (getrandom(a->seeds, sizeof(a->seeds), 0) != sizeof(a->seeds)) {
		err = -errno;
		goto fail;
	}
	await_link_free(a);
	return 0;
fail:
	xi_await_destroy(a);
	return err;
}

void xi_await_destroy(struct xi_await *a)
{
	free(a->packets);
	free(a->flows);
	free(a->heads);
	free(a->shares);
	memset(a, 0, sizeof(*a));
}

/* Vector multiply-shift by random numbers: nobody can send flows that collide. */
static uint32_t await_hash(const struct xi_await *a, const struct xi_flow *flow)
{
	uint64_t sum = a->seeds[WORDS];
	uint32_t words[WORDS], i;

	memcpy(words, flow, sizeof(words));
	for (i = 0; i < WORDS; i++)
		sum += a->seeds[i] * words[i];
	return sum >> (64 - HASH_BITS);
}

/* An index as a policy's, in whose low bits is the direction. */
uint32_t xi_await_peer(const struct xi_await *a, const uint8_t addr[16])
{
	struct xi_flow flow = { 0 };

	memcpy(flow.saddr, addr, 16);
	return await_hash(a, &flow) << 3;
}

struct xi_await_flow *xi_await_find(const struct xi_await *a, const struct xi_flow *flow)
{
	uint32_t i;

	if (!a->n)
		return NULL;
	for (i = a->heads[await_hash(a, flow)]; i != XI_AWAIT_NONE; i = a->flows[i].chain)
		if (!memcmp(&a->flows[i].flow, flow, sizeof(*flow)))
			return &a->flows[i];
	return NULL;
}

static struct xi_await_flow *await_flow(const struct xi_await *a, uint32_t i)
{
	return i == XI_AWAIT_NONE ? NULL : &a->flows[i];
}

struct xi_await_flow *xi_await_first(const struct xi_await *a)
{
	return a->n ? await_flow(a, a->oldest) : NULL;
}

struct xi_await_flow *xi_await_next(const struct xi_await *a, const struct xi_await_flow *f)
{
	return await_flow(a, f->newer);
}

/* There are as many as packets, and each of those that are in use has one. */
static struct xi_await_flow *await_begin(struct xi_await *a, const struct xi_flow *flow,
					 uint32_t policy)
{
	uint32_t i = a->free_flow, hash = await_hash(a, flow);
	struct xi_await_flow *f = &a->flows[i];

	a->free_flow = f->newer;
	*f = (struct xi_await_flow){
		.flow = *flow,
		.hash = hash,
		.policy = policy,
		/* an index has the direction in its low bits */
		.share = (policy >> 3) % XI_AWAIT_SHARES,
		.chain = a->heads[hash],
		.older = a->newest,
		.newer = XI_AWAIT_NONE,
		.first = XI_AWAIT_NONE,
		.last = XI_AWAIT_NONE,
	};
	a->heads[hash] = i;
	if (a->newest == XI_AWAIT_NONE)
		a->oldest = i;
	else
		a->flows[a->newest].newer = i;
	a->newest = i;
	return f;
}

static void await_end(struct xi_await *a, struct xi_await_flow *f)
{
	uint32_t i = (uint32_t)(f - a->flows), *link = &a->heads[f->hash];

	while (*link != i)
		link = &a->flows[*link].chain;
	*link = f->chain;
	if (f->older == XI_AWAIT_NONE)
		a->oldest = f->newer;
	else
		a->flows[f->older].newer = f->newer;
	if (f->newer == XI_AWAIT_NONE)
		a->newest = f->older;
	else
		a->flows[f->newer].older = f->older;
	f->newer = a->free_flow;
	a->free_flow = i;
}

static void await_count(struct xi_await *a, uint32_t n)
{
	__atomic_store_n(&a->n, n, __ATOMIC_RELAXED);
}

static bool await_has_room(const struct xi_await *a, const struct xi_await_flow *f,
			   uint32_t policy, bool is_long)
{
	uint32_t share = f ? f->share : (policy >> 3) % XI_AWAIT_SHARES;

	return a->per_flow && a->n < XI_AWAIT_ROOM && (!f || f->n < a->per_flow) &&
	       a->shares[share] < XI_AWAIT_SHARE && (!is_long || a->longs < XI_AWAIT_LONGS);
}

bool xi_await_put(struct xi_await *a, const struct xi_flow *flow, uint32_t policy,
		  const struct xi_awaited *packet, bool *began)
{
	struct xi_await_flow *f = xi_await_find(a, flow);
	uint32_t i;

	*began = false;
	if (!await_has_room(a, f, policy, packet->is_long))
		return false;
	*began = !f;
	if (!f)
		f = await_begin(a, flow, policy);
	i = a->free_packet;
	a->free_packet = a->packets[i].next;
	a->packets[i] = *packet;
	a->packets[i].next = XI_AWAIT_NONE;
	if (f->last == XI_AWAIT_NONE)
		f->first = i;
	else
		a->packets[f->last].next = i;
	f->last = i;
	f->n++;
	a->shares[f->share]++;
	a->longs += packet->is_long;
	await_count(a, a->n + 1);
	return true;
}

bool xi_await_take(struct xi_await *a, struct xi_await_flow *f, struct xi_awaited *packet)
{
	uint32_t i = f->first;

	*packet = a->packets[i];
	f->first = packet->next;
	a->packets[i].next = a->free_packet;
	a->free_packet = i;
	a->shares[f->share]--;
	a->longs -= packet->is_long;
	await_count(a, a->n - 1);
	if (--f->n)
		return false;
	await_end(a, f);
	return true;
}
