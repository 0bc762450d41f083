/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "inspect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include <xipsec/reasons.h>

#define BATCH 256

static const struct xi_port_dev *inspect_port(void *arg, unsigned int i)
{
	const struct xi_inspect *inspect = arg;
	unsigned int slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++)
		if (inspect->ports[slot] && i-- == 0)
			return inspect->ports[slot];
	return NULL;
}

/* Adds what one worker did; the first that sends out of the port speaks for all. */
static void inspect_add_tx(struct xi_tx_status *sum, const struct xi_tx_status *one)
{
	if (!strcmp(one->path, "none"))
		return;
	if (!strcmp(sum->path, "none")) {
		sum->path = one->path;
		sum->zerocopy = one->zerocopy;
		memcpy(sum->why, one->why, sizeof(sum->why));
	}
	sum->paused |= one->paused;
	sum->burst_packets += one->burst_packets;
	sum->burst_lost += one->burst_lost;
	sum->xsk_packets += one->xsk_packets;
	sum->pauses += one->pauses;
}

static void inspect_port_tx(void *arg, uint32_t slot, struct xi_tx_status *status)
{
	const struct xi_inspect *inspect = arg;
	struct xi_tx_status one;
	unsigned int i;

	*status = (struct xi_tx_status){ .path = "none",
					 .why = "no worker has a socket on this port" };
	for (i = 0; i < XI_MAX_WORKERS; i++) {
		if (!inspect->workers[i])
			continue;
		xi_worker_tx_status(inspect->workers[i], slot, &one);
		inspect_add_tx(status, &one);
	}
}

static int inspect_port_xmit(void *arg, uint32_t slot, struct xi_link_xmit *xmit)
{
	const struct xi_inspect *inspect = arg;

	return xi_link_xmit(inspect->ports[slot]->config.name, xmit);
}

static uint64_t inspect_reason(void *arg, unsigned int reason)
{
	const struct xi_inspect *inspect = arg;

	return xi_bpfobj_reason(inspect->bpf, reason);
}

typedef int (*inspect_fn)(void *ctx, const void *key, const void *value);

/*
 * Walks a hash map a batch at a time; a map that changes meanwhile may show an element twice or not
 * at all.
 */
static int inspect_walk(int fd, uint32_t key_size, uint32_t value_size, inspect_fn fn, void *ctx)
{
	void *keys = calloc(BATCH, key_size), *values = calloc(BATCH, value_size);
	uint8_t token[128], next[128];
	void *in = NULL;
	uint32_t i, n;
	int err = 0, more = 1;

	if (!keys || !values)
		more = 0;
	while (more && !err) {
		n = BATCH;
		more = !bpf_map_lookup_batch(fd, in, next, keys, values, &n, NULL);
		if (!more && errno != ENOENT)
			break;
		for (i = 0; i < n && !err; i++)
			err = fn(ctx, (char *)keys + i * key_size, (char *)values + i * value_size);
		__builtin_memcpy(token, next, sizeof(token));
		in = token;
	}
	free(keys);
	free(values);
	return err;
}

static int inspect_count_one(void *ctx, const void *key, const void *value)
{
	++*(uint64_t *)ctx;
	return 0;
}

static void inspect_usage(void *arg, enum xi_table table, struct xi_table_usage *usage)
{
	const struct xi_inspect *inspect = arg;
	const struct xi_sa_table *sas = xi_cache_table(inspect->cache);
	uint64_t n = 0;

	*usage = (struct xi_table_usage){ 0 };
	if (table == XI_TABLE_SA) {
		n = sas->slots.used;
		usage->capacity = sas->config.sa_entries;
		usage->evictions = xi_bpfobj_reason(inspect->bpf, XI_SA_EVICTED);
	} else {
		inspect_walk(xi_bpfobj_map_fd(inspect->bpf, XI_MAP_FLOW_CACHE),
			     sizeof(struct xi_flow_key), sizeof(struct xi_flow_verdict),
			     inspect_count_one, &n);
		usage->capacity = inspect->flow_entries;
	}
	usage->entries = n;
}

static uint64_t inspect_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void inspect_sa(const struct xi_sa_table *table, const struct xi_shadow_sa *known,
		       struct xi_cached_sa *sa)
{
	*sa = (struct xi_cached_sa){
		.id = known->id,
		.handle = known->sa_index,
		.method = xi_choice_method(known->why),
		.why = xi_choice_name(known->why),
		.slot = xi_slots_number(&table->slots, known->sa_index),
		.cached = known->cached,
		.age = (inspect_clock() - known->since) / 1000000000,
		.hits = xi_sa_table_hits(known),
		.uses = xi_sa_table_uses(known->state),
		.misses = known->misses,
	};
}

static bool inspect_sa_cached(void *arg, uint32_t handle, struct xi_cached_sa *sa)
{
	const struct xi_inspect *inspect = arg;
	const struct xi_sa_table *table = xi_cache_table(inspect->cache);
	const struct xi_shadow_sa *known = xi_shadow_find(&table->shadow, handle);

	if (known)
		inspect_sa(table, known, sa);
	return known;
}

static int inspect_each_sa(void *arg, xi_cached_sa_fn fn, void *ctx)
{
	const struct xi_inspect *inspect = arg;
	const struct xi_sa_table *table = xi_cache_table(inspect->cache);
	struct xi_cached_sa sa;
	uint32_t i;
	int err = 0;

	for (i = 0; i < table->shadow.n && !err; i++) {
		if (!table->shadow.sas[i].sa_index)
			continue;
		inspect_sa(table, &table->shadow.sas[i], &sa);
		err = fn(ctx, &sa);
	}
	return err;
}

static void inspect_sa_figures(void *arg, struct xi_sa_figures *figures)
{
	const struct xi_inspect *inspect = arg;
	const struct xi_sa_table *table = xi_cache_table(inspect->cache);
	uint32_t i;

	memset(figures->methods, 0, sizeof(figures->methods));
	for (i = 0; i < table->shadow.n; i++)
		if (table->shadow.sas[i].sa_index)
			figures->methods[xi_choice_method(table->shadow.sas[i].why)]++;
	figures->table = table->figures;
	figures->misses = *xi_cache_misses(inspect->cache);
}

struct inspect_flow_walk {
	xi_cached_flow_fn fn;
	void *ctx;
	uint32_t generation;
};

static int inspect_flow_one(void *arg, const void *key, const void *value)
{
	const struct inspect_flow_walk *walk = arg;
	const struct xi_flow_verdict *verdict = value;

	return verdict->generation == walk->generation ? walk->fn(walk->ctx, key, value) : 0;
}

static int inspect_each_flow(void *arg, xi_cached_flow_fn fn, void *ctx)
{
	const struct xi_inspect *inspect = arg;
	struct inspect_flow_walk walk = {
		.fn = fn,
		.ctx = ctx,
		.generation = xi_spd_snapshot(xi_cache_flows(inspect->cache)->spd)->generation,
	};

	return inspect_walk(xi_bpfobj_map_fd(inspect->bpf, XI_MAP_FLOW_CACHE),
			    sizeof(struct xi_flow_key), sizeof(struct xi_flow_verdict),
			    inspect_flow_one, &walk);
}

static void inspect_waiting(void *arg, struct xi_waiting *waiting)
{
	const struct xi_inspect *inspect = arg;
	unsigned int i;

	*waiting = (struct xi_waiting){
		.key_manager = *inspect->acquiring,
		.now = inspect_clock() / 1000000000,
		.acquires = &xi_xfrm_server_acquires(inspect->server)->pending,
	};
	for (i = 0; i < XI_MAX_WORKERS; i++)
		if (inspect->workers[i])
			waiting->packets += xi_worker_held(inspect->workers[i]);
}

static unsigned int inspect_dummy(void *arg, const struct xi_sa_rec *rec, unsigned int count,
				  uint32_t size, const char **why)
{
	const struct xi_inspect *inspect = arg;

	return xi_dummy_send(inspect->dummy, rec, count, size, why);
}

static bool inspect_mirror(void *arg, struct xi_mirror_figures *figures)
{
	const struct xi_inspect *inspect = arg;

	if (inspect->mirror)
		xi_mirror_figures(inspect->mirror, figures);
	return inspect->mirror;
}

static uint32_t interface_state(void *arg, const struct xi_interface_config *config, bool *up)
{
	return xi_interface_state(config, up);
}

void xi_inspect_fill(struct xi_control_sources *src, struct xi_inspect *inspect)
{
	src->port = inspect_port;
	src->interface_state = interface_state;
	src->port_tx = inspect_port_tx;
	src->port_xmit = inspect_port_xmit;
	src->reason = inspect_reason;
	src->usage = inspect_usage;
	src->sa_figures = inspect_sa_figures;
	src->sa_cached = inspect_sa_cached;
	src->each_cached_sa = inspect_each_sa;
	src->each_cached_flow = inspect_each_flow;
	src->waiting = inspect_waiting;
	src->dummy = inspect_dummy;
	src->mirror = inspect_mirror;
	src->arg = inspect;
}
