// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the control thread makes of miss messages: sa_cache and flow_cache in real maps, SAD and SPD
 * above a store in memory. Skipped where BPF maps cannot be made.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <xipsec/flow_key.h>
#include "cache/cache.h"
#include "mem_store.h"

#define LOCAL "192.0.2.1"
#define PEER "192.0.2.2"
#define SPI 0x1000

struct bed {
	struct event_base *base;
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_cache *cache;
	int sa_cache, flow_cache, flow_masks;
	uint64_t counts[XI_REASON_MAX];
	unsigned int acquires;
	struct xi_policy acquired; /* the last one, as shown */
};

static int lru(const char *name, uint32_t key, uint32_t value)
{
	return bpf_map_create(BPF_MAP_TYPE_LRU_HASH, name, key, value, 1024, NULL);
}

static void on_acquire(void *arg, const struct xi_flow *flow, const struct xi_policy *policy)
{
	struct bed *bed = arg;

	assert_int_equal(flow->dir, XI_OUT);
	bed->acquired = *policy;
	bed->acquires++;
}

/* n context slots */
static void bed_open(struct bed *bed, uint32_t n)
{
	struct xi_sad_config sad_config = { 0 };
	struct xi_cache_config config = {
		.engine = &xi_engine_openssl,
		.nworkers = 1,
		.sa_entries = n,
		.policy = "lru",
		.misses_fd = -1,
		.counts = bed->counts,
		.acquire = on_acquire,
		.arg = bed,
	};

	if (bed->sa_cache < 0 || bed->flow_cache < 0) {
		print_message("# skip: BPF maps cannot be made here (root needed)\n");
		skip();
	}
	assert_int_equal(xi_sad_create(&bed->sad, &sad_config, &bed->m->store), 0);
	assert_int_equal(xi_spd_create(&bed->spd, bed->sad, &bed->m->store), 0);
	config.base = bed->base;
	config.sad = bed->sad;
	config.spd = bed->spd;
	config.sa_cache_fd = bed->sa_cache;
	config.flow_cache_fd = bed->flow_cache;
	config.flow_masks_fd = bed->flow_masks;
	assert_int_equal(xi_cache_create(&bed->cache, &config), 0);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));

	bed->base = event_base_new();
	bed->m = mem_store_new(64, 0);
	bed->sa_cache = lru(XI_MAP_SA_CACHE, sizeof(struct xi_sa_id), sizeof(struct xi_sa_cached));
	bed->flow_masks = bpf_map_create(BPF_MAP_TYPE_ARRAY, XI_MAP_FLOW_MASKS, sizeof(uint32_t),
					 sizeof(struct xi_flow_masks), XI_FLOW_TABLES, NULL);
	bed->flow_cache = lru(XI_MAP_FLOW_CACHE, sizeof(struct xi_flow_key), sizeof(struct xi_flow_verdict));
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;

	/* as the daemon does: the SPD tells the cache of grace periods until it is gone */
	if (bed->cache) {
		xi_spd_destroy(bed->spd);
		xi_sad_destroy(bed->sad);
		xi_cache_destroy(bed->cache);
	}
	close(bed->sa_cache);
	close(bed->flow_cache);
	close(bed->flow_masks);
	mem_store_free(bed->m);
	event_base_free(bed->base);
	free(bed);
	return 0;
}

static const struct xi_sa_rec *add_sa(struct bed *bed, const char *src, const char *dst, uint32_t spi)
{
	struct xi_sa sa = sample_sa(src, dst, spi);
	struct xi_sa_key key = sample_key((uint8_t)spi);
	const char *why = NULL;

	sa.reqid = 1;
	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
	return xi_sad_find(bed->sad, &sa.id);
}

static void used_at(const struct xi_sa_rec *rec, uint64_t when)
{
	rec->state->last_use = when;
}

static void miss_sa(struct bed *bed, const struct xi_sa_rec *rec)
{
	struct xi_miss miss = { .kind = XI_MISS_SA, .handle = rec->sa.sa_index, .id = rec->sa.id };

	xi_cache_miss(bed->cache, &miss, sizeof(miss));
}

/* Method of what sa_cache holds, -ENOENT: nothing. */
static int method(struct bed *bed, const struct xi_sa_rec *rec, struct xi_sa_cached *cached)
{
	return bpf_map_lookup_elem(bed->sa_cache, &rec->sa.id, cached) ? -errno : (int)cached->method;
}

static void a_miss_brings_the_sa_in(void **state)
{
	struct bed *bed = *state;
	struct xi_sa_cached cached;
	const struct xi_sa_rec *rec;

	bed_open(bed, 4);
	rec = add_sa(bed, PEER, LOCAL, SPI);
	assert_int_equal(method(bed, rec, &cached), -ENOENT);
	assert_int_equal(xi_cache_slots(bed->cache)->used, 0);
	miss_sa(bed, rec);
	assert_int_equal(method(bed, rec, &cached), XI_METHOD_FAST);
	assert_int_equal(cached.sa_index, rec->sa.sa_index);
	assert_non_null(xi_slots_find(xi_cache_slots(bed->cache), rec->sa.sa_index, cached.slot));
	assert_int_equal(cached.slot, xi_slots_number(xi_cache_slots(bed->cache), rec->sa.sa_index));
	assert_int_equal(xi_cache_slots(bed->cache)->used, 1);
	assert_int_equal(bed->counts[XI_SA_FILLED], 1);
	miss_sa(bed, rec);
	assert_int_equal(xi_cache_slots(bed->cache)->used, 1);
}

static void a_message_that_is_stale_or_cut_short_does_nothing(void **state)
{
	struct bed *bed = *state;
	struct xi_sa_cached cached;
	const struct xi_sa_rec *rec;
	struct xi_miss miss = { .kind = XI_MISS_SA };
	uint8_t longer[sizeof(miss) + 4] = { 0 };

	bed_open(bed, 4);
	rec = add_sa(bed, PEER, LOCAL, SPI);
	miss.handle = rec->sa.sa_index + (1U << XI_SA_SLOT_BITS);
	miss.id = rec->sa.id;
	xi_cache_miss(bed->cache, &miss, sizeof(miss));
	miss.handle = rec->sa.sa_index;
	miss.id.spi++;
	xi_cache_miss(bed->cache, &miss, sizeof(miss));
	miss.id.spi--;
	xi_cache_miss(bed->cache, &miss, sizeof(miss) - 1);
	xi_cache_miss(bed->cache, &miss, 0);
	miss.kind = 77;
	xi_cache_miss(bed->cache, &miss, sizeof(miss));
	assert_int_equal(method(bed, rec, &cached), -ENOENT);
	assert_int_equal(xi_cache_slots(bed->cache)->used, 0);
	/* the kernel rounds the size up */
	miss.kind = XI_MISS_SA;
	memcpy(longer, &miss, sizeof(miss));
	xi_cache_miss(bed->cache, longer, sizeof(longer));
	assert_int_equal(method(bed, rec, &cached), XI_METHOD_FAST);
}

static void a_deleted_sa_is_gone_when_delete_returns(void **state)
{
	struct bed *bed = *state;
	struct xi_sa_cached cached;
	struct xi_sa_rec copy[2];
	unsigned int n;

	bed_open(bed, 4);
	for (int i = 0; i < 2; i++) {
		copy[i] = *add_sa(bed, PEER, LOCAL, SPI + i);
		miss_sa(bed, &copy[i]);
		assert_int_equal(method(bed, &copy[i], &cached), XI_METHOD_FAST);
	}
	assert_int_equal(xi_sad_delete(bed->sad, &copy[0].sa.id), 0);
	assert_int_equal(method(bed, &copy[0], &cached), -ENOENT);
	assert_null(xi_slots_find(xi_cache_slots(bed->cache), copy[0].sa.sa_index, 0));
	assert_int_equal(method(bed, &copy[1], &cached), XI_METHOD_FAST);
	assert_int_equal(xi_cache_slots(bed->cache)->used, 1);
	assert_int_equal(xi_sad_flush(bed->sad, XI_PROTO_ANY, &n), 0);
	assert_int_equal(method(bed, &copy[1], &cached), -ENOENT);
	assert_int_equal(xi_cache_slots(bed->cache)->used, 0);
	/* a message that was on its way */
	miss_sa(bed, &copy[1]);
	assert_int_equal(method(bed, &copy[1], &cached), -ENOENT);
}

/* Without a verified packet of its own an SA takes no slot away, even from an idle one. */
static void forged_packets_evict_nobody(void **state)
{
	struct bed *bed = *state;
	const struct xi_sa_rec *idle, *forged;
	struct xi_sa_cached cached;

	bed_open(bed, 1);
	idle = add_sa(bed, PEER, LOCAL, SPI);
	forged = add_sa(bed, PEER, LOCAL, SPI + 1);
	miss_sa(bed, idle);
	used_at(idle, 1);
	miss_sa(bed, forged);
	assert_int_equal(method(bed, idle, &cached), XI_METHOD_FAST);
	/* it is SLOW all the same; should it go on, XDP is told so */
	assert_int_equal(method(bed, forged, &cached), -ENOENT);
	miss_sa(bed, forged);
	assert_int_equal(method(bed, idle, &cached), XI_METHOD_FAST);
	assert_int_equal(method(bed, forged, &cached), XI_METHOD_SLOW);
	assert_int_equal(cached.slot, XI_NO_SLOT);
	assert_int_equal(bed->counts[XI_SA_DENIED], 2);
	assert_int_equal(bed->counts[XI_SA_EVICTED], 0);
}

static void an_idle_sa_makes_room_for_a_live_one(void **state)
{
	struct bed *bed = *state;
	const struct xi_sa_rec *idle, *live;
	struct xi_sa_cached cached;

	bed_open(bed, 1);
	idle = add_sa(bed, PEER, LOCAL, SPI);
	live = add_sa(bed, PEER, LOCAL, SPI + 1);
	miss_sa(bed, idle);
	used_at(idle, 1);
	used_at(live, time(NULL) + 5);
	miss_sa(bed, live);
	assert_int_equal(method(bed, idle, &cached), -ENOENT);
	assert_int_equal(method(bed, live, &cached), XI_METHOD_FAST);
	assert_int_equal(bed->counts[XI_SA_EVICTED], 1);
	assert_int_equal(xi_cache_slots(bed->cache)->used, 1);
}

/* As many as an earlier daemon can have left there: a hit on one would raise no message. */
static void what_an_earlier_daemon_cached_is_forgotten(void **state)
{
	struct bed *bed = *state;
	struct xi_sa_id id = { .proto = XI_ESP, .family = XI_IPV4 };
	struct xi_sa_cached cached = { .method = XI_METHOD_FAST };

	for (id.spi = 1; id.spi <= 1024; id.spi++)
		bpf_map_update_elem(bed->sa_cache, &id, &cached, BPF_ANY);
	bed_open(bed, 4);
	assert_int_equal(bpf_map_get_next_key(bed->sa_cache, NULL, &id), -ENOENT);
}

/* The times go into the histogram of their kind, those that changed nothing into none. */
static void answers_are_timed(void **state)
{
	struct bed *bed = *state;
	const struct xi_cache_misses *misses;
	struct xi_miss miss = { .kind = XI_MISS_SA };
	const struct xi_sa_rec *rec;
	struct timespec now;

	bed_open(bed, 4);
	rec = add_sa(bed, PEER, LOCAL, SPI);
	misses = xi_cache_misses(bed->cache);
	clock_gettime(CLOCK_MONOTONIC, &now);
	miss.ktime = now.tv_sec * 1000000000ULL + now.tv_nsec - 3000000;
	miss.handle = rec->sa.sa_index;
	miss.id = rec->sa.id;
	xi_cache_miss(bed->cache, &miss, sizeof(miss));
	xi_cache_miss(bed->cache, &miss, sizeof(miss)); /* stale */
	assert_int_equal(misses->messages, 2);
	assert_int_equal(misses->sa.count, 1);
	assert_true(misses->sa.max >= 3000000);
	miss.kind = XI_MISS_FLOW;
	miss.flow.dir = XI_IN;
	xi_cache_miss(bed->cache, &miss, sizeof(miss));
	assert_int_equal(misses->flow.count, 1);
	assert_int_equal(misses->sa.count, 1);
}

static struct xi_policy policy(enum xi_dir dir, enum xi_action action, bool tunnel)
{
	struct xi_policy p = { .dir = dir, .action = action, .ntmpls = tunnel };
	const char *net[2] = { "10.1.0.0", "10.2.0.0" };

	p.sel.family = sample_addr(p.sel.saddr, net[dir != XI_OUT]);
	sample_addr(p.sel.daddr, net[dir == XI_OUT]);
	p.sel.prefixlen_s = p.sel.prefixlen_d = 16;
	if (tunnel) {
		p.tmpls[0] = (struct xi_tmpl){ .mode = XI_TUNNEL, .reqid = 1, .family = XI_IPV4 };
		p.tmpls[0].id.proto = XI_ESP;
		p.tmpls[0].id.family = sample_addr(p.tmpls[0].id.daddr, dir == XI_OUT ? PEER : LOCAL);
		sample_addr(p.tmpls[0].saddr, dir == XI_OUT ? LOCAL : PEER);
	}
	return p;
}

static void set_policy(struct bed *bed, struct xi_policy p)
{
	const char *why = NULL;

	assert_int_equal(xi_spd_add(bed->spd, &p, true, &why), 0);
}

static struct xi_flow flow_of(enum xi_dir dir)
{
	struct xi_flow flow = { .dir = dir };

	flow.family = sample_addr(flow.saddr, dir == XI_OUT ? "10.1.0.2" : "10.2.0.2");
	sample_addr(flow.daddr, dir == XI_OUT ? "10.2.0.2" : "10.1.0.2");
	return flow;
}

/* What a packet of the flow finds, as XDP looks for it; XI_VERDICT_NONE: nothing that decides. */
static struct xi_flow_verdict find_flow(struct bed *bed, const struct xi_flow *flow)
{
	struct xi_flow_verdict verdict, none = { .verdict = XI_VERDICT_NONE };
	uint32_t table = XI_FLOW_TABLE(flow->dir, flow->family);
	uint32_t mark = xi_flow_key_mark(flow, bed->m->config.mark_mask);
	struct xi_flow_masks masks;
	struct xi_flow_key key;

	assert_int_equal(bpf_map_lookup_elem(bed->flow_masks, &table, &masks), 0);
	for (uint32_t i = 0; i < masks.n; i++) {
		xi_flow_key_make(&key, flow, flow->dir, &masks.rows[i], mark);
		if (!bpf_map_lookup_elem(bed->flow_cache, &key, &verdict) &&
		    verdict.generation == bed->m->config.spd_generation &&
		    verdict.verdict != XI_VERDICT_NONE)
			return verdict;
	}
	return none;
}

static void tell_miss(struct bed *bed, const struct xi_flow *flow)
{
	struct xi_miss miss = { .kind = XI_MISS_FLOW, .flow = *flow };

	xi_cache_miss(bed->cache, &miss, sizeof(miss));
}

/* The verdict that a miss of the flow brings about. */
static struct xi_flow_verdict miss_flow(struct bed *bed, enum xi_dir dir)
{
	struct xi_flow flow = flow_of(dir);

	tell_miss(bed, &flow);
	return find_flow(bed, &flow);
}

static void outbound_flows_get_the_policys_verdict(void **state)
{
	struct bed *bed = *state;
	struct xi_flow_verdict verdict;
	const struct xi_sa_rec *rec;

	bed_open(bed, 4);
	set_policy(bed, policy(XI_OUT, XI_ALLOW, true));
	/* no SA: not cached, so that the first packet after it comes goes through; the key managers hear of it */
	assert_int_equal(miss_flow(bed, XI_OUT).verdict, XI_VERDICT_NONE);
	assert_int_equal(bed->acquires, 1);
	assert_int_equal(bed->acquired.ntmpls, 1);
	assert_int_equal(bed->counts[XI_ACQUIRE], 1);
	rec = add_sa(bed, LOCAL, PEER, SPI);
	verdict = miss_flow(bed, XI_OUT);
	assert_int_equal(verdict.verdict, XI_VERDICT_PROTECT);
	assert_int_equal(verdict.handle, rec->sa.sa_index);
	assert_non_null(xi_slots_find(xi_cache_slots(bed->cache), verdict.handle, verdict.slot));
	assert_int_equal(verdict.generation, bed->m->config.spd_generation);
	set_policy(bed, policy(XI_OUT, XI_BLOCK, false));
	assert_int_not_equal(verdict.generation, bed->m->config.spd_generation);
	assert_int_equal(miss_flow(bed, XI_OUT).verdict, XI_VERDICT_DISCARD);
	set_policy(bed, policy(XI_OUT, XI_ALLOW, false));
	assert_int_equal(miss_flow(bed, XI_OUT).verdict, XI_VERDICT_BYPASS);
	assert_int_equal(bed->acquires, 1);
}

/*
 * An SA in transport mode, found by the addresses of the packet (no template has them), is given to another interface:
 * it serves the policy of before no longer.
 */
static void an_sa_that_changes_interfaces_serves_no_flow_of_before(void **state)
{
	struct bed *bed = *state;
	struct xi_policy p = policy(XI_OUT, XI_ALLOW, true);
	struct xi_sa sa = sample_sa("10.1.0.2", "10.2.0.2", SPI);
	struct xi_sa_key key = sample_key(1);
	struct xi_flow flow = flow_of(XI_OUT);
	struct xi_sa older = sa;
	const struct xi_sa_rec *rec;
	const char *why = NULL;

	p.tmpls[0] = (struct xi_tmpl){ .mode = XI_TRANSPORT, .reqid = 1, .family = XI_IPV4 };
	p.tmpls[0].id.proto = XI_ESP;
	sa.mode = XI_TRANSPORT;
	sa.reqid = 1;
	bed_open(bed, 4);
	set_policy(bed, p);
	p.if_id = 7;
	set_policy(bed, p);
	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
	tell_miss(bed, &flow);
	assert_int_equal(find_flow(bed, &flow).verdict, XI_VERDICT_PROTECT);
	sa.if_id = 7;
	assert_int_equal(xi_sad_update(bed->sad, &sa, &key, NULL, &why), 0);
	assert_int_equal(find_flow(bed, &flow).verdict, XI_VERDICT_NONE);
	flow.if_id = 7;
	tell_miss(bed, &flow);
	assert_int_equal(find_flow(bed, &flow).verdict, XI_VERDICT_PROTECT);
	/* what a newer one had superseded is the policy's again */
	older.mode = XI_TRANSPORT;
	older.reqid = 1;
	older.id.spi = SPI + 1;
	key = sample_key(2);
	assert_int_equal(xi_sad_add(bed->sad, &older, &key, NULL, &why), 0);
	sa = older;
	sa.id.spi = SPI + 2;
	key = sample_key(3);
	assert_int_equal(xi_sad_add(bed->sad, &sa, &key, NULL, &why), 0);
	rec = xi_sad_find(bed->sad, &older.id);
	assert_true(xi_sad_superseded(bed->sad, rec->sa.sa_index));
	sa.if_id = 8;
	assert_int_equal(xi_sad_update(bed->sad, &sa, &key, NULL, &why), 0);
	assert_false(xi_sad_superseded(bed->sad, rec->sa.sa_index));
}

/* Two SAs, two slots; the key managers hear which template lacks its SA. */
static void bundles_get_two_slots(void **state)
{
	struct bed *bed = *state;
	struct xi_policy p = policy(XI_OUT, XI_ALLOW, true);
	struct xi_sa ah = sample_sa(LOCAL, PEER, SPI);
	struct xi_sa_key key = sample_key(77);
	struct xi_flow_verdict verdict;
	const struct xi_sa_rec *rec;
	const char *why = NULL;

	/* AH in transport mode around the tunnel */
	p.ntmpls = 2;
	p.tmpls[1] = (struct xi_tmpl){.mode = XI_TRANSPORT, .reqid = 2, .family = XI_IPV4};
	p.tmpls[1].id.proto = XI_AH;
	bed_open(bed, 4);
	set_policy(bed, p);
	assert_int_equal(miss_flow(bed, XI_OUT).verdict, XI_VERDICT_NONE);
	assert_int_equal(bed->acquired.tmpls[0].id.proto, XI_ESP);
	rec = add_sa(bed, LOCAL, PEER, SPI);
	assert_int_equal(miss_flow(bed, XI_OUT).verdict, XI_VERDICT_NONE);
	assert_int_equal(bed->acquires, 2);
	assert_int_equal(bed->acquired.ntmpls, 2);
	assert_int_equal(bed->acquired.index, xi_spd_find(bed->spd, &p)->index);
	assert_int_equal(bed->acquired.tmpls[0].id.proto, XI_AH);
	assert_int_equal(bed->acquired.tmpls[0].reqid, 2);
	assert_memory_equal(bed->acquired.tmpls[0].id.daddr, p.tmpls[0].id.daddr, 16);
	assert_memory_equal(bed->acquired.tmpls[0].saddr, p.tmpls[0].saddr, 16);
	assert_int_equal(bed->acquired.tmpls[1].id.proto, XI_ESP);
	ah.id.proto = XI_AH;
	ah.mode = XI_TRANSPORT;
	ah.reqid = 2;
	assert_int_equal(xi_sad_add(bed->sad, &ah, &key, NULL, &why), 0);
	verdict = miss_flow(bed, XI_OUT);
	assert_int_equal(verdict.verdict, XI_VERDICT_PROTECT);
	assert_int_equal(verdict.handle, rec->sa.sa_index);
	assert_int_equal(verdict.next_handle, xi_sad_find(bed->sad, &ah.id)->sa.sa_index);
	assert_int_equal(verdict.slot, xi_slots_number(xi_cache_slots(bed->cache), verdict.handle));
	assert_int_not_equal(verdict.slot, XI_NO_SLOT);
	/* another tunnel around the tunnel */
	p.tmpls[1].mode = XI_TUNNEL;
	p.tmpls[1].id.proto = XI_ESP;
	sample_addr(p.tmpls[1].saddr, LOCAL);
	sample_addr(p.tmpls[1].id.daddr, "203.0.113.1");
	set_policy(bed, p);
	ah = sample_sa(LOCAL, "203.0.113.1", SPI);
	ah.reqid = 2;
	key = sample_key(78);
	assert_int_equal(xi_sad_add(bed->sad, &ah, &key, NULL, &why), 0);
	verdict = miss_flow(bed, XI_OUT);
	assert_int_equal(verdict.next_handle, xi_sad_find(bed->sad, &ah.id)->sa.sa_index);
	assert_non_null(xi_slots_find(xi_cache_slots(bed->cache), verdict.handle, verdict.slot));
	assert_int_equal(verdict.next_slot,
			 xi_slots_number(xi_cache_slots(bed->cache), verdict.next_handle));
	assert_int_not_equal(verdict.next_slot, XI_NO_SLOT);
	assert_int_not_equal(verdict.next_slot, verdict.slot);
}

static void arriving_cleartext_gets_the_policys_verdict(void **state)
{
	struct bed *bed = *state;

	bed_open(bed, 4);
	assert_int_equal(miss_flow(bed, XI_FWD).verdict, XI_VERDICT_BYPASS);
	set_policy(bed, policy(XI_FWD, XI_ALLOW, true));
	assert_int_equal(miss_flow(bed, XI_FWD).verdict, XI_VERDICT_DISCARD);
	set_policy(bed, policy(XI_FWD, XI_ALLOW, false));
	assert_int_equal(miss_flow(bed, XI_FWD).verdict, XI_VERDICT_BYPASS);
	set_policy(bed, policy(XI_FWD, XI_BLOCK, false));
	assert_int_equal(miss_flow(bed, XI_FWD).verdict, XI_VERDICT_DISCARD);
}

/* A worker asks for a slot: idle SAs make room, and an outbound SA needs no proof. */
static void a_worker_gets_the_slot_it_wants(void **state)
{
	struct bed *bed = *state;
	const struct xi_sa_rec *idle, *out;
	uint32_t number;

	bed_open(bed, 1);
	idle = add_sa(bed, PEER, LOCAL, SPI);
	out = add_sa(bed, LOCAL, PEER, SPI);
	miss_sa(bed, idle);
	used_at(idle, 1);
	xi_cache_want(bed->cache, 0, out->sa.sa_index);
	event_base_loop(bed->base, EVLOOP_ONCE);
	number = xi_slots_number(xi_cache_slots(bed->cache), out->sa.sa_index);
	assert_int_not_equal(number, XI_NO_SLOT);
	assert_int_equal(xi_cache_slots(bed->cache)->used, 1);
}

/* Workers judge what waits again by this alone; for what changes nothing they must not. */
static void changes_are_counted(void **state)
{
	struct bed *bed = *state;
	const struct xi_sa_rec *rec;
	struct xi_flow flow = flow_of(XI_OUT);
	struct xi_policy p = policy(XI_OUT, XI_ALLOW, true);
	const atomic_uint *changes;
	unsigned int before;
	struct xi_sa_id id;

	bed_open(bed, 4);
	changes = xi_cache_changes(bed->cache);
#define COUNTS(what)                                                                               \
	before = *changes;                                                                         \
	what;                                                                                      \
	assert_int_not_equal(*changes, before)
	COUNTS(set_policy(bed, p));
	/* a worker that holds a packet of it asks */
	before = *changes;
	xi_cache_ask(bed->cache, &flow);
	assert_int_equal(bed->acquires, 1);
	assert_int_equal(miss_flow(bed, XI_OUT).verdict, XI_VERDICT_NONE);
	assert_int_equal(*changes, before);
	COUNTS(rec = add_sa(bed, LOCAL, PEER, SPI));
	before = *changes;
	xi_cache_ask(bed->cache, &flow);
	assert_int_equal(find_flow(bed, &flow).verdict, XI_VERDICT_PROTECT);
	assert_int_equal(*changes, before);
	id = rec->sa.id;
	COUNTS(xi_sad_delete(bed->sad, &id));
	/* one that no policy lists: those in transport mode without addresses find theirs in the SAD */
	COUNTS(add_sa(bed, LOCAL, "192.0.2.3", SPI + 1));
	COUNTS(xi_spd_delete(bed->spd, &p));
#undef COUNTS
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_miss_brings_the_sa_in),
		T(a_message_that_is_stale_or_cut_short_does_nothing),
		T(a_deleted_sa_is_gone_when_delete_returns),
		T(forged_packets_evict_nobody),
		T(an_idle_sa_makes_room_for_a_live_one),
		T(what_an_earlier_daemon_cached_is_forgotten),
		T(answers_are_timed),
		T(outbound_flows_get_the_policys_verdict),
		T(bundles_get_two_slots),
		T(an_sa_that_changes_interfaces_serves_no_flow_of_before),
		T(arriving_cleartext_gets_the_policys_verdict),
		T(a_worker_gets_the_slot_it_wants),
		T(changes_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
