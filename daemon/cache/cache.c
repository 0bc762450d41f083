/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/cache.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <event2/event.h>

#include "cache/want.h"
#include "log.h"

#define PERF_PAGES 64            /* of each CPU's ring */
#define FORGET_BATCH 1024
#define NSEC_PER_USEC 1000ULL
#define NSEC_PER_SEC 1000000000ULL
/*
 * One turn at the rings; a longer one is followed by as long a rest, so that misses take half of
 * the control thread's time at most. A turn that was long because the thread did not run needs no longer rest.
 */
#define TURN_LONG (1000 * NSEC_PER_USEC)
#define TURN_MOST (10000 * NSEC_PER_USEC)

struct xi_cache {
	struct xi_cache_config config;
	struct xi_sa_table table;
	struct xi_flows flows;
	struct perf_buffer *misses;
	struct event *miss_event;
	struct event *rest_event;
	struct event *watch_event;
	struct event *want_event;
	struct event *tick_event;    /* pending while sa_cache holds answers that have a life */
	int want_fd;
	struct xi_want *wants;       /* one a worker */
	size_t ring;                 /* whose turn it is */
	struct xi_cache_misses figures;
	bool sas_changed;            /* the SPD has not been told yet */
	atomic_uint changes;
};

static uint64_t cache_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

void xi_cache_sync(struct xi_cache *cache)
{
	xi_sa_table_sync(&cache->table);
}

/* Before the grace period: a round of a worker that begins after it knows. */
static void cache_changed(struct xi_cache *cache)
{
	atomic_fetch_add_explicit(&cache->changes, 1, memory_order_release);
	xi_cache_sync(cache);
}

static void cache_spd_sync(void *arg)
{
	cache_changed(arg);
}

static void cache_sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct xi_cache *cache = arg;

	xi_sa_table_changed(&cache->table, old, new);
	if (old)
		xi_spd_sa_changed(cache->config.spd, &old->sa);
	if (new)
		xi_spd_sa_changed(cache->config.spd, &new->sa);
	cache->sas_changed = true;
}

/*
 * A flush calls changed() for each SA and this once; the SPD's new snapshot brings the grace period
 * with it.
 */
static void cache_sad_sync(void *arg)
{
	struct xi_cache *cache = arg;

	if (cache->sas_changed) {
		cache->sas_changed = false;
		xi_spd_sas_changed(cache->config.spd);
	}
	cache_changed(cache);
}

static void cache_tick_later(struct xi_cache *cache)
{
	const struct timeval quarter = { .tv_usec = 250000 };

	if (!event_pending(cache->tick_event, EV_TIMEOUT, NULL))
		event_add(cache->tick_event, &quarter);
}

static bool cache_sa_miss(struct xi_cache *cache, const struct xi_miss *miss)
{
	const struct xi_sa_rec *rec = xi_sad_rec(cache->config.sad, miss->handle);

	if (!rec || memcmp(&rec->sa.id, &miss->id, sizeof(miss->id)))
		return false;        /* deleted meanwhile */
	if (!xi_sa_table_miss(&cache->table, rec, miss->ktime))
		return false;
	if (xi_shadow_negatives(&cache->table.shadow))
		cache_tick_later(cache);
	return true;
}

static bool cache_ready_out(void *arg, uint32_t sa_index)
{
	struct xi_cache *cache = arg;
	const struct xi_sa_rec *rec = xi_sad_rec(cache->config.sad, sa_index);

	if (!rec)
		return false;
	xi_sa_table_want(&cache->table, rec);
	return true;
}

/* From the packet that missed to the answer. */
static void cache_note_latency(struct xi_latency *latency, uint64_t ktime)
{
	uint64_t now = cache_clock();

	if (ktime && now >= ktime)
		xi_latency_add(latency, now - ktime);
}

void xi_cache_miss(struct xi_cache *cache, const void *record, uint32_t len)
{
	struct xi_miss miss;

	if (len < sizeof(miss))
		return;
	memcpy(&miss, record, sizeof(miss));
	cache->figures.messages++;
	if (miss.kind == XI_MISS_SA) {
		if (cache_sa_miss(cache, &miss))
			cache_note_latency(&cache->figures.sa, miss.ktime);
	} else if (miss.kind == XI_MISS_FLOW) {
		xi_flows_miss(&cache->flows, &miss.flow);
		cache_note_latency(&cache->figures.flow, miss.ktime);
	}
}

static void cache_on_sample(void *arg, int cpu, void *data, __u32 len)
{
	xi_cache_miss(arg, data, len);
}

/*
 * The ring overran: the packets went the SLOW way, and the next of each SA or flow raises its
 * message again. XDP has counted each as MISS_LOST already.
 */
static void cache_on_lost(void *arg, int cpu, __u64 n)
{
	struct xi_cache *cache = arg;

	cache->figures.lost += n;
	log_debug("misses: %llu messages lost on CPU %d", (unsigned long long)n, cpu);
}

void xi_cache_want(struct xi_cache *cache, unsigned int worker, uint32_t sa_index)
{
	if (xi_want_post(&cache->wants[worker], sa_index))
		eventfd_write(cache->want_fd, 1);
}

/* False: there may be more. A worker that posts while its ring is being read wakes nobody. */
static bool cache_take_wants(struct xi_cache *cache, struct xi_want *want)
{
	uint32_t sa_index;
	unsigned int n;

	for (n = 0; n < XI_WANT_RING; n++) {
		const struct xi_sa_rec *rec;

		if (!xi_want_take(want, &sa_index))
			return true;
		rec = xi_sad_rec(cache->config.sad, sa_index);
		if (rec)
			xi_sa_table_want(&cache->table, rec);
	}
	return false;
}

static void cache_rest(struct xi_cache *cache, uint64_t spent)
{
	const uint64_t ns = spent < TURN_MOST ? spent : TURN_MOST;
	const struct timeval rest = { .tv_usec = ns / NSEC_PER_USEC };

	if (cache->miss_event)
		event_del(cache->miss_event);
	event_del(cache->want_event);
	event_add(cache->rest_event, &rest);
	cache->figures.rests++;
}

/* What workers want, a ring of each at most, then what XDP missed. */
static void cache_turn(struct xi_cache *cache)
{
	size_t i, nrings = cache->misses ? perf_buffer__buffer_cnt(cache->misses) : 0;
	uint64_t start = cache_clock(), spent = 0;
	bool done = true;

	for (i = 0; i < cache->config.nworkers; i++)
		done &= cache_take_wants(cache, &cache->wants[i]);
	for (i = 0; i < nrings && spent < TURN_MOST; i++) {
		cache->ring = (cache->ring + 1) % nrings;
		perf_buffer__consume_buffer(cache->misses, cache->ring);
		spent = cache_clock() - start;
	}
	if (!done)
		eventfd_write(cache->want_fd, 1);
	if (spent >= TURN_LONG)
		cache_rest(cache, spent);
}

/* A ring that was left unread wakes nobody until there is a new message in it. */
static void cache_on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct xi_cache *cache = arg;

	if (cache->miss_event)
		event_add(cache->miss_event, NULL);
	event_add(cache->want_event, NULL);
	cache_turn(cache);
}

static void cache_on_misses(evutil_socket_t fd, short what, void *arg)
{
	cache_turn(arg);
}

/*
 * The kernel tells of a message once, to whoever polls first, and of a full ring never again: without
 * this, one wake-up lost would be the end of all answers.
 */
static void cache_on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct xi_cache *cache = arg;

	if (!event_pending(cache->rest_event, EV_TIMEOUT, NULL))
		cache_turn(cache);
}

static void cache_on_wants(evutil_socket_t fd, short what, void *arg)
{
	eventfd_t value;

	eventfd_read(fd, &value);
	cache_turn(arg);
}

static void cache_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct xi_cache *cache = arg;

	if (xi_sa_table_tick(&cache->table, cache_clock()))
		cache_tick_later(cache);
}

/*
 * What an earlier daemon cached names context slots that are gone: a hit on it raises no message,
 * so its SA would stay SLOW for ever. Nobody but the table inserts, so it stays empty until then.
 */
static int cache_forget(const struct xi_cache *cache)
{
	struct xi_sa_cached *values = calloc(FORGET_BATCH, sizeof(*values));
	struct xi_sa_id *ids = calloc(FORGET_BATCH, sizeof(*ids));
	uint32_t token, n;
	void *from = NULL;
	int err = -ENOMEM;

	while (ids && values && (!from || !err)) {
		n = FORGET_BATCH;
		err = bpf_map_lookup_and_delete_batch(cache->config.sa_cache_fd, from, &token, ids,
						      values, &n, NULL);
		from = &token;
	}
	free(values);
	free(ids);
	if (err == -ENOENT)
		return 0;
	log_warnx("sa_cache: cannot empty it: %s", strerror(-err));
	return err;
}

static int cache_open_misses(struct xi_cache *cache)
{
	struct xi_cache_config *config = &cache->config;
	int err;

	if (config->misses_fd < 0)
		return 0;
	cache->misses = perf_buffer__new(config->misses_fd, PERF_PAGES, cache_on_sample,
					 cache_on_lost, cache, NULL);
	if (!cache->misses) {
		err = -errno;
		log_warn(
			"misses: cannot open the perf rings; the daemon needs CAP_PERFMON and CAP_IPC_LOCK");
		return err;
	}
	cache->miss_event = event_new(config->base, perf_buffer__epoll_fd(cache->misses),
				      EV_READ | EV_PERSIST, cache_on_misses, cache);
	return cache->miss_event && !event_add(cache->miss_event, NULL) ? 0 : -ENOMEM;
}

static int cache_open_wants(struct xi_cache *cache)
{
	const struct timeval second = { .tv_sec = 1 };
	struct xi_cache_config *config = &cache->config;

	cache->wants = aligned_alloc(64, sizeof(*cache->wants) * config->nworkers);
	cache->want_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!cache->wants || cache->want_fd < 0)
		return -ENOMEM;
	memset(cache->wants, 0, sizeof(*cache->wants) * config->nworkers);
	cache->want_event = event_new(config->base, cache->want_fd, EV_READ | EV_PERSIST,
				      cache_on_wants, cache);
	cache->tick_event = evtimer_new(config->base, cache_on_tick, cache);
	cache->rest_event = evtimer_new(config->base, cache_on_rested, cache);
	cache->watch_event = event_new(config->base, -1, EV_PERSIST, cache_on_watch, cache);
	if (!cache->want_event || !cache->tick_event || !cache->rest_event || !cache->watch_event ||
	    event_add(cache->want_event, NULL) || event_add(cache->watch_event, &second))
		return -ENOMEM;
	return 0;
}

static int cache_open_table(struct xi_cache *cache)
{
	const struct xi_cache_config *config = &cache->config;
	const struct xi_sa_table_config table = {
		.engine = config->engine,
		.nworkers = config->nworkers,
		.sa_entries = config->sa_entries,
		.sa_cache_fd = config->sa_cache_fd,
		.policy = config->policy,
		.counts = config->counts,
	};
	int err = cache_forget(cache);

	return err ? err : xi_sa_table_create(&cache->table, &table);
}

int xi_cache_create(struct xi_cache **out, const struct xi_cache_config *config)
{
	struct xi_cache *cache;
	int err;

	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	cache->config = *config;
	cache->want_fd = -1;
	cache->flows = (struct xi_flows){
		.sad = config->sad,
		.spd = config->spd,
		.slots = &cache->table.slots,
		.flow_cache_fd = config->flow_cache_fd,
		.counts = config->counts,
		.ready_out = cache_ready_out,
		.cache = cache,
		.acquire = config->acquire,
		.arg = config->arg,
	};
	err = xi_flows_open(&cache->flows, config->base, config->flow_masks_fd);
	if (!err)
		err = cache_open_table(cache);
	if (!err)
		err = cache_open_misses(cache);
	if (!err)
		err = cache_open_wants(cache);
	if (err) {
		xi_cache_destroy(cache);
		return err;
	}
	xi_sad_listen(config->sad, &(struct xi_sad_listener){
		.changed = cache_sa_changed,
		.sync = cache_sad_sync,
		.arg = cache,
	});
	xi_spd_on_sync(config->spd, cache_spd_sync, cache);
	*out = cache;
	return 0;
}

const atomic_uint *xi_cache_changes(const struct xi_cache *cache)
{
	return &cache->changes;
}

void xi_cache_ask(struct xi_cache *cache, const struct xi_flow *flow)
{
	xi_flows_miss(&cache->flows, flow);
}

void xi_cache_destroy(struct xi_cache *cache)
{
	if (!cache)
		return;
	if (cache->miss_event)
		event_free(cache->miss_event);
	if (cache->rest_event)
		event_free(cache->rest_event);
	if (cache->watch_event)
		event_free(cache->watch_event);
	if (cache->want_event)
		event_free(cache->want_event);
	xi_flows_close(&cache->flows);
	if (cache->tick_event)
		event_free(cache->tick_event);
	perf_buffer__free(cache->misses);
	if (cache->want_fd >= 0)
		close(cache->want_fd);
	free(cache->wants);
	xi_sa_table_destroy(&cache->table);
	free(cache);
}

const struct xi_flows *xi_cache_flows(const struct xi_cache *cache)
{
	return &cache->flows;
}

const struct xi_slots *xi_cache_slots(const struct xi_cache *cache)
{
	return &cache->table.slots;
}

const struct xi_sa_table *xi_cache_table(const struct xi_cache *cache)
{
	return &cache->table;
}

const struct xi_cache_misses *xi_cache_misses(const struct xi_cache *cache)
{
	return &cache->figures;
}
