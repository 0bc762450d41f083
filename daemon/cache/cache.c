/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/cache.h"

#include <errno.h>
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
#define SLOTS_PER_GRACE 16       /* victims taken before one grace period is waited for */

struct xi_cache {
	struct xi_cache_config config;
	struct xi_slots slots;
	struct xi_flows flows;
	struct perf_buffer *misses;
	struct event *miss_event;
	struct event *want_event;
	struct event *tick_event;
	int want_fd;
	struct xi_want *wants;       /* one a worker */
	uint32_t slow_cached;        /* SAs sitting in sa_cache with method SLOW */
	bool sas_changed;            /* the SPD has not been told yet */
};

static void cache_count(struct xi_cache *cache, enum xi_reason reason, uint64_t n)
{
	if (cache->config.counts)
		__atomic_fetch_add(&cache->config.counts[reason], n, __ATOMIC_RELAXED);
}

static uint64_t cache_now(void)
{
	return (uint64_t)time(NULL);
}

void xi_cache_sync(struct xi_cache *cache)
{
	synchronize_rcu();
	xi_slots_reclaim(&cache->slots);
}

static void cache_spd_sync(void *arg)
{
	xi_cache_sync(arg);
}

/*
 * Out of sa_cache and out of its slot. XDP may have read the handle just before: the worker then
 * finds the SA gone.
 */
static void cache_drop_sa(struct xi_cache *cache, const struct xi_sa_rec *rec)
{
	bpf_map_delete_elem(cache->config.sa_cache_fd, &rec->sa.id);
	xi_slots_empty(&cache->slots, rec->sa.sa_index);
}

static void cache_sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct xi_cache *cache = arg;

	if (old)
		cache_drop_sa(cache, old);
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
	xi_cache_sync(cache);
}

/*
 * Makes room by taking slots from SAs that have not been used for a second, a few at a time so that
 * one grace period serves many. False: every SA looked at is in use.
 */
static bool cache_make_room(struct xi_cache *cache, uint64_t now)
{
	uint32_t i, victim, taken = 0;

	for (i = 0; i < SLOTS_PER_GRACE; i++) {
		const struct xi_sa_rec *rec;

		victim = xi_slots_victim(&cache->slots, now ? now - 1 : 0);
		if (!victim)
			break;
		rec = xi_sad_rec(cache->config.sad, victim);
		if (rec)
			cache_drop_sa(cache, rec);
		else
			xi_slots_empty(&cache->slots, victim);
		taken++;
		if (taken * 16 > cache->slots.n)
			break;
	}
	if (!taken)
		return false;
	cache_count(cache, XI_SA_EVICTED, taken);
	xi_cache_sync(cache);
	return true;
}

/*
 * Gives an SA a context slot. When all are taken, an inbound SA must have shown a verified packet
 * lately before another loses its slot for it: forged packets with a known SPI then cannot push
 * live SAs out.
 */
static int cache_ensure_slot(struct xi_cache *cache, const struct xi_sa_rec *rec, bool inbound,
			     uint32_t *number)
{
	uint64_t now = cache_now();
	int err;

	*number = xi_slots_number(&cache->slots, rec->sa.sa_index);
	if (*number != XI_NO_SLOT)
		return 0;
	err = xi_slots_fill(&cache->slots, rec, number);
	if (err != -ENOSPC)
		return err;
	if (inbound && __atomic_load_n(&rec->state->last_use, __ATOMIC_RELAXED) + 1 < now)
		return -ENOSPC;
	if (!cache_make_room(cache, now))
		return -ENOSPC;
	return xi_slots_fill(&cache->slots, rec, number);
}

static enum xi_method cache_choose_method(struct xi_cache *cache, const struct xi_sa_rec *rec,
					  uint32_t *slot)
{
	int err;

	*slot = XI_NO_SLOT;
	if (rec->sa.life & XI_SA_LARVAL)
		return XI_METHOD_DROP;
	err = cache_ensure_slot(cache, rec, true, slot);
	if (!err)
		return XI_METHOD_FAST;
	cache_count(cache, XI_SA_DENIED, 1);
	if (err != -ENOSPC)
		log_warnx("SA with SPI 0x%08x: context slot not filled: %s", rec->sa.id.spi,
			  strerror(-err));
	*slot = XI_NO_SLOT;
	return XI_METHOD_SLOW;
}

static void cache_sa_miss(struct xi_cache *cache, const struct xi_miss *miss)
{
	const struct xi_sa_rec *rec = xi_sad_rec(cache->config.sad, miss->handle);
	struct xi_sa_cached cached = { 0 };

	if (!rec || memcmp(&rec->sa.id, &miss->id, sizeof(miss->id)))
		return;              /* deleted meanwhile */
	cached.sa_index = rec->sa.sa_index;
	cached.generation = rec->sa.generation;
	cached.method = cache_choose_method(cache, rec, &cached.slot);
	if (bpf_map_update_elem(cache->config.sa_cache_fd, &rec->sa.id, &cached, BPF_ANY)) {
		log_warn("sa_cache: cannot insert SPI 0x%08x", rec->sa.id.spi);
		return;
	}
	if (cached.method == XI_METHOD_SLOW)
		cache->slow_cached++;
	cache_count(cache, XI_SA_FILLED, 1);
}

static bool cache_ready_out(void *arg, uint32_t sa_index)
{
	struct xi_cache *cache = arg;
	const struct xi_sa_rec *rec = xi_sad_rec(cache->config.sad, sa_index);
	uint32_t number;

	if (!rec)
		return false;
	if (cache_ensure_slot(cache, rec, false, &number))
		cache_count(cache, XI_SA_DENIED, 1);
	return true;
}

void xi_cache_miss(struct xi_cache *cache, const void *record, uint32_t len)
{
	struct xi_miss miss;

	if (len < sizeof(miss))
		return;
	memcpy(&miss, record, sizeof(miss));
	if (miss.kind == XI_MISS_SA)
		cache_sa_miss(cache, &miss);
	else if (miss.kind == XI_MISS_FLOW)
		xi_flows_miss(&cache->flows, &miss.flow);
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
	log_debug("misses: %llu messages lost on CPU %d", (unsigned long long)n, cpu);
}

static void cache_on_misses(evutil_socket_t fd, short what, void *arg)
{
	struct xi_cache *cache = arg;

	perf_buffer__consume(cache->misses);
}

void xi_cache_want(struct xi_cache *cache, unsigned int worker, uint32_t sa_index)
{
	if (xi_want_post(&cache->wants[worker], sa_index))
		eventfd_write(cache->want_fd, 1);
}

/* False: there may be more. A worker that posts while its ring is being read wakes nobody. */
static bool cache_take_wants(struct xi_cache *cache, struct xi_want *want)
{
	uint32_t sa_index, number;
	unsigned int n;

	for (n = 0; n < XI_WANT_RING; n++) {
		const struct xi_sa_rec *rec;

		if (!xi_want_take(want, &sa_index))
			return true;
		rec = xi_sad_rec(cache->config.sad, sa_index);
		if (rec && cache_ensure_slot(cache, rec, false, &number))
			cache_count(cache, XI_SA_DENIED, 1);
	}
	return false;
}

static void cache_on_wants(evutil_socket_t fd, short what, void *arg)
{
	struct xi_cache *cache = arg;
	bool done = true;
	eventfd_t value;
	unsigned int i;

	eventfd_read(fd, &value);
	for (i = 0; i < cache->config.nworkers; i++)
		done &= cache_take_wants(cache, &cache->wants[i]);
	if (!done)
		eventfd_write(fd, 1);
}

/* SAs that had to be SLOW get another chance each second: their next packet misses again. */
static void cache_retry_slow(struct xi_cache *cache)
{
	struct xi_sa_cached cached;
	struct xi_sa_id id, next;
	int err;

	if (!cache->slow_cached)
		return;
	cache->slow_cached = 0;
	err = bpf_map_get_next_key(cache->config.sa_cache_fd, NULL, &id);
	while (!err) {
		err = bpf_map_get_next_key(cache->config.sa_cache_fd, &id, &next);
		if (!bpf_map_lookup_elem(cache->config.sa_cache_fd, &id, &cached) &&
		    cached.method == XI_METHOD_SLOW)
			bpf_map_delete_elem(cache->config.sa_cache_fd, &id);
		id = next;
	}
}

static void cache_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct xi_cache *cache = arg;

	cache_retry_slow(cache);
	xi_flows_tick(&cache->flows);
}

/*
 * What an earlier daemon cached names context slots that are gone: a hit on it raises no message,
 * so its SA would stay SLOW for ever.
 */
static void cache_forget(const struct xi_cache *cache)
{
	struct xi_sa_id id, next;
	int err = bpf_map_get_next_key(cache->config.sa_cache_fd, NULL, &id);

	while (!err) {
		err = bpf_map_get_next_key(cache->config.sa_cache_fd, &id, &next);
		bpf_map_delete_elem(cache->config.sa_cache_fd, &id);
		id = next;
	}
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
	cache->tick_event = event_new(config->base, -1, EV_PERSIST, cache_on_tick, cache);
	if (!cache->want_event || !cache->tick_event || event_add(cache->want_event, NULL) ||
	    event_add(cache->tick_event, &second))
		return -ENOMEM;
	return 0;
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
		.slots = &cache->slots,
		.flow_cache_fd = config->flow_cache_fd,
		.counts = config->counts,
		.ready_out = cache_ready_out,
		.cache = cache,
		.acquire = config->acquire,
		.arg = config->arg,
	};
	err = xi_masks_open(&cache->flows.masks, config->flow_masks_fd);
	if (!err)
		err = xi_slots_create(&cache->slots, config->engine, config->sa_entries,
				      xi_sad_capacity(config->sad), config->nworkers);
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
	cache_forget(cache);
	*out = cache;
	return 0;
}

void xi_cache_destroy(struct xi_cache *cache)
{
	if (!cache)
		return;
	if (cache->miss_event)
		event_free(cache->miss_event);
	if (cache->want_event)
		event_free(cache->want_event);
	if (cache->tick_event)
		event_free(cache->tick_event);
	perf_buffer__free(cache->misses);
	if (cache->want_fd >= 0)
		close(cache->want_fd);
	free(cache->wants);
	xi_slots_destroy(&cache->slots);
	free(cache);
}

const struct xi_flows *xi_cache_flows(const struct xi_cache *cache)
{
	return &cache->flows;
}

const struct xi_slots *xi_cache_slots(const struct xi_cache *cache)
{
	return &cache->slots;
}

uint32_t xi_cache_slots_used(const struct xi_cache *cache)
{
	return cache->slots.used;
}

uint32_t xi_cache_slots_capacity(const struct xi_cache *cache)
{
	return cache->slots.n;
}
