/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a worker does with packets that come before their SA has keys: which wait, in which order they come out, and where
 * each is counted. Packets are sealed by the SA that the test makes, from a peer that knows it all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <event2/event.h>

#include "dataplane/batch.h"
#include "esp_sa.h"
#include "ipsec/checksum.h"
#include "mem_store.h"
#include "sad/sad.h"
#include "sad/spd.h"

#define NFRAMES 1200
#define HEADROOM 256
#define ETH 14
#define CIPHER 1
#define HOLD_MS 30000
#define PER_SPI 64
#define SHARE 256            /* of one peer */
#define ROOM 1024            /* of a worker */
#define WORKERS 2
#define OUT_MAX 4096
#define INNER 60
#define LONGS 72             /* long buffers; of what waits in them 64 may */

/* The host's side of xipsec0, which takes all that comes out. */
struct host {
	struct xi_tx tx;
	struct xi_frames *frames;
	uint32_t got[OUT_MAX];       /* numbers in the packets */
	uint32_t n;
};

struct bed {
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct event_base *base;
	struct xi_nexthops *nexthops;
	struct xi_worker *workers[WORKERS];
	struct host hosts[WORKERS];
	struct xi_port_dev cipher;
	struct xi_port_dev *ports[XI_MAX_PORTS];
	struct xi_slots slots;       /* empty */
	atomic_uint changes, hold_ms;
	struct test_sa peer;
};

static bool host_send(struct xi_tx *tx, uint64_t addr, uint32_t len)
{
	struct host *host = (struct host *)tx;

	assert_int_equal(len, ETH + INNER);
	assert_true(host->n < OUT_MAX);
	memcpy(&host->got[host->n++], host->frames->base + addr + ETH + 20, 4);
	xi_frame_put(host->frames, addr);
	return true;
}

static void host_idle(struct xi_tx *tx)
{
}

static const struct xi_tx_ops host_ops = {.send = host_send, .flush = host_idle, .reap = host_idle};

static void on_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	const struct bed *bed = arg;

	xi_spd_sa_changed(bed->spd, new ? &new->sa : &old->sa);
}

/* As the cache does. */
static void on_sync(void *arg)
{
	struct bed *bed = arg;

	xi_spd_sas_changed(bed->spd);
	bed->changes++;
}

static void worker_new(struct bed *bed, unsigned int index, uint32_t per_spi)
{
	struct xi_worker *w = calloc(1, sizeof(*w));
	struct host *host = &bed->hosts[index];
	uint32_t i;

	w->slots = &bed->slots;
	w->config = (struct xi_worker_config){
		.index = index,
		.ports = bed->ports,
		.sad = bed->sad,
		.spd = bed->spd,
		.nexthops = bed->nexthops,
		.engine = xi_engine_find("openssl"),
		.host_mtu = 1500,
		.hold_ms = &bed->hold_ms,
	};
	w->changes = &bed->changes;
	w->now_ms = 1000000;
	w->now = 1000;
	w->counts = calloc(XI_REASON_MAX, sizeof(uint64_t));
	w->allowed = calloc(XI_ALLOWED, sizeof(*w->allowed));
	w->frames.base = calloc(NFRAMES + LONGS * XI_LONG_FRAMES, XI_FRAME_SIZE);
	w->frames.free = calloc(NFRAMES, sizeof(uint64_t));
	for (i = 0; i < NFRAMES; i++)
		xi_frame_put(&w->frames, (uint64_t)i * XI_FRAME_SIZE);
	w->frames.long_base = NFRAMES * XI_FRAME_SIZE;
	w->frames.long_size = LONGS * XI_LONG_SIZE;
	w->frames.longs = calloc(LONGS, sizeof(*w->frames.longs));
	for (i = 0; i < LONGS; i++)
		w->frames.longs[i].next = i + 1 < LONGS ? i + 1 : XI_NO_LONG;
	assert_int_equal(xi_batch_fragments_create(w), 0);
	*host = (struct host){.tx.ops = &host_ops, .frames = &w->frames};
	w->by_port[0] = &host->tx;
	assert_int_equal(w->config.engine->create(&w->crypto, index), 0);
	assert_int_equal(xi_await_create(&w->await, per_spi), 0);
	assert_int_equal(xi_await_create(&w->early, per_spi), 0);
	bed->workers[index] = w;
}

static void worker_free(struct xi_worker *w)
{
	xi_await_destroy(&w->await);
	xi_await_destroy(&w->early);
	w->config.engine->destroy(w->crypto);
	xi_batch_fragments_destroy(w);
	free(w->frames.longs);
	free(w->frames.free);
	free(w->frames.base);
	free(w->allowed);
	free(w->counts);
	free(w);
}

static int no_port(void *arg, uint32_t ifindex)
{
	return -1;
}

static void no_addrs(void *arg, const struct xi_addr *addrs, uint32_t n)
{
}

static void no_sync(void *arg)
{
}

/* Whatever comes through the peer's tunnel. */
static void allow(struct bed *bed)
{
	const struct xi_sa sa = sample_sa("192.0.2.2", "192.0.2.1", 0);
	struct xi_policy p = {.dir = XI_FWD, .ntmpls = 1};
	const char *why;

	p.sel.family = XI_IPV4;
	p.tmpls[0] = (struct xi_tmpl){.id = sa.id, .mode = sa.mode, .family = XI_IPV4};
	memcpy(p.tmpls[0].saddr, sa.saddr, 16);
	assert_int_equal(xi_spd_add(bed->spd, &p, true, &why), 0);
}

static int setup(void **state)
{
	struct bed *bed = calloc(1, sizeof(*bed));
	const struct xi_nexthop_config hops = {
		.base = bed->base = event_base_new(), .nworkers = WORKERS,
		.port = no_port, .addrs = no_addrs, .sync = no_sync,
	};
	unsigned int i;

	bed->m = mem_store_new(64, 1);
	assert_int_equal(xi_slots_create(&bed->slots, xi_engine_find("openssl"), 1, WORKERS), 0);
	bed->cipher.config.role = XI_ROLE_CIPHER;
	bed->ports[CIPHER] = &bed->cipher;
	bed->hold_ms = HOLD_MS;
	assert_int_equal(xi_sad_create(&bed->sad, &(struct xi_sad_config){0}, &bed->m->store), 0);
	assert_int_equal(xi_spd_create(&bed->spd, bed->sad, &bed->m->store), 0);
	xi_sad_listen(bed->sad, &(struct xi_sad_listener){.changed = on_changed, .sync = on_sync, .arg = bed});
	allow(bed);
	assert_int_equal(xi_nexthops_create(&bed->nexthops, &hops), 0);
	for (i = 0; i < WORKERS; i++)
		worker_new(bed, i, PER_SPI);
	*state = bed;
	return 0;
}

static int teardown(void **state)
{
	struct bed *bed = *state;
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		worker_free(bed->workers[i]);
	xi_nexthops_destroy(bed->nexthops);
	event_base_free(bed->base);
	xi_slots_destroy(&bed->slots);
	xi_spd_destroy(bed->spd);
	xi_sad_destroy(bed->sad);
	mem_store_free(bed->m);
	free(bed);
	return 0;
}

/* Number n, of peer 192.0.2.p. */
static struct xi_sa sa_of(uint32_t n, uint8_t p)
{
	struct xi_sa sa = sample_sa("192.0.2.2", "192.0.2.1", 0x1000 + n);

	sa.saddr[3] = p;
	sa.replay_window = 256;
	return sa;
}

static uint32_t allocate(struct bed *bed, uint32_t n, uint8_t p)
{
	const struct xi_sa sa = sa_of(n, p);
	const struct xi_sa_rec *rec;

	assert_int_equal(xi_sad_alloc_spi(bed->sad, &sa, sa.id.spi, sa.id.spi, 30, &rec), 0);
	return rec->sa.sa_index;
}

static void install(struct bed *bed, uint32_t n, uint8_t p)
{
	const struct xi_sa_key key = sample_key(n + 1);
	const struct xi_sa sa = sa_of(n, p);
	const char *why;

	assert_int_equal(xi_sad_update(bed->sad, &sa, &key, NULL, &why), 0);
}

/* Tunnel mode, around a packet whose first payload bytes are number. */
static void seal(struct bed *bed, uint32_t n, uint32_t number, struct test_pkt *out)
{
	struct test_sa *t = &bed->peer;
	uint8_t inner[INNER];

	test_sa_default(t, XI_IPV4);
	t->sa = sa_of(n, 2);
	t->sa.sa_index = 1;
	t->raw = sample_key(n + 1);
	test_sa_start(t, xi_engine_find("openssl"));
	test_inner4(inner, sizeof(inner), 0);
	memcpy(inner + 20, &number, 4);
	test_pkt_set(out, inner, sizeof(inner));
	assert_int_equal(test_seal(t, number, &out->pkt), XI_NONE);
	test_sa_stop(t);
}

/* A frame as XDP hands it on. */
static void frame_comes(struct xi_worker *w, const struct xi_pkt *pkt, uint32_t handle, uint16_t flags)
{
	const struct xi_meta meta = {
		.magic = XI_META_MAGIC, .handle = handle, .slot = XI_NO_SLOT, .next_slot = XI_NO_SLOT,
		.flags = flags, .dir = XI_IN, .l3_offset = ETH, .port = CIPHER,
	};
	uint64_t addr = xi_frame_get(&w->frames) + HEADROOM;

	memcpy(w->frames.base + addr - sizeof(meta), &meta, sizeof(meta));
	memset(w->frames.base + addr, 0, ETH);
	memcpy(w->frames.base + addr + ETH, pkt->data, pkt->len);
	xi_batch_take(w, addr, ETH + pkt->len);
}

/* Before XDP knows of an SA. */
static void comes_early(struct bed *bed, struct xi_worker *w, uint32_t n, uint32_t number)
{
	struct test_pkt out;

	seal(bed, n, number, &out);
	frame_comes(w, &out.pkt, 0, XI_META_LARVAL);
}

static void comes(struct bed *bed, struct xi_worker *w, uint32_t n, uint32_t handle, uint32_t number)
{
	struct test_pkt out;

	seal(bed, n, number, &out);
	frame_comes(w, &out.pkt, handle, XI_META_MISS);
}

/* In two fragments of IPv4, of which the first has 48 bytes. */
static void comes_in_pieces(struct bed *bed, struct xi_worker *w, uint32_t n, uint32_t number)
{
	struct test_pkt out;
	struct xi_pkt piece;

	seal(bed, n, number, &out);
	piece = out.pkt;
	piece.data[4] = (uint8_t)n;
	piece.data[5] = (uint8_t)number;
	piece.data[6] = 0x20;                /* more fragments */
	piece.len = 20 + 48;
	xi_ip4_finish(piece.data, (uint16_t)piece.len);
	frame_comes(w, &piece, 0, XI_META_FRAGMENT);
	memmove(piece.data + 20, piece.data + 20 + 48, out.pkt.len - 20 - 48);
	piece.data[6] = 0;
	piece.data[7] = 48 / 8;
	piece.len = out.pkt.len - 48;
	xi_ip4_finish(piece.data, (uint16_t)piece.len);
	frame_comes(w, &piece, 0, XI_META_FRAGMENT);
}

static uint32_t longs_free(const struct xi_worker *w)
{
	uint32_t i, n = 0;

	for (i = w->frames.long_free; i != XI_NO_LONG; i = w->frames.longs[i].next)
		n++;
	return n;
}

static void batch_ends(struct xi_worker *w)
{
	if (w->nin)
		xi_batch_in(w);
}

/* Numbers from first on have come out, n of them, each behind the one before. */
static void has_got(const struct bed *bed, unsigned int worker, uint32_t first, uint32_t n)
{
	const struct host *host = &bed->hosts[worker];
	uint32_t i;

	assert_int_equal(host->n, n);
	for (i = 0; i < n; i++)
		assert_int_equal(host->got[i], first + i);
}

static void nothing_is_held(const struct xi_worker *w)
{
	assert_int_equal(w->early.n, 0);
	assert_int_equal(w->frames.nfree, NFRAMES);
	assert_int_equal(longs_free(w), LONGS);
}

static void they_wait_for_their_sa_in_order(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	uint32_t i;

	allocate(bed, 0, 2);
	for (i = 1; i <= 5; i++)
		comes_early(bed, w, 0, i);
	batch_ends(w);
	xi_batch_look_again(w);
	assert_int_equal(w->counts[XI_HELD], 5);
	assert_int_equal(w->early.n, 5);
	assert_int_equal(w->frames.nfree, NFRAMES - 5);
	has_got(bed, 0, 0, 0);
	install(bed, 0, 2);
	xi_batch_look_again(w);
	has_got(bed, 0, 1, 5);
	assert_int_equal(w->counts[XI_HELD_DONE], 5);
	assert_int_equal(w->counts[XI_STATUS_SUCCESS], 5);
	nothing_is_held(w);
}

/* More than a batch, so several. */
static void later_ones_do_not_overtake_them(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	uint32_t i, handle, other;

	handle = allocate(bed, 0, 2);
	other = allocate(bed, 1, 2);
	install(bed, 1, 2);
	for (i = 1; i <= 20; i++)
		comes_early(bed, w, 0, i);
	comes(bed, w, 1, other, 999);        /* of another SA: in the batch before */
	assert_int_equal(w->nin, 1);
	install(bed, 0, 2);
	comes_early(bed, w, 0, 21);          /* XDP did not know yet */
	for (i = 22; i <= 70; i++)
		comes(bed, w, 0, handle, i);
	batch_ends(w);
	assert_int_equal(bed->hosts[0].got[0], 999);
	memmove(bed->hosts[0].got, bed->hosts[0].got + 1, sizeof(uint32_t) * --bed->hosts[0].n);
	has_got(bed, 0, 1, 70);
	nothing_is_held(w);
}

static void xdp_may_know_the_sa_first(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	uint32_t i, handle = allocate(bed, 0, 2);

	for (i = 1; i <= 3; i++)
		comes_early(bed, w, 0, i);
	install(bed, 0, 2);
	comes(bed, w, 0, handle, 4);
	batch_ends(w);
	has_got(bed, 0, 1, 4);
	nothing_is_held(w);
}

/* Held or not: sequence numbers count once, and nothing goes on unverified. */
static void they_are_verified_as_any(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	struct test_pkt out;

	allocate(bed, 0, 2);
	comes_early(bed, w, 0, 1);
	comes_early(bed, w, 0, 1);
	comes_early(bed, w, 0, 2);
	seal(bed, 0, 3, &out);
	out.pkt.data[out.pkt.len - 1] ^= 1;
	frame_comes(w, &out.pkt, 0, XI_META_LARVAL);
	comes_early(bed, w, 0, 3);
	seal(bed, 0, 4, &out);
	out.pkt.len = 28;                    /* SPI and number alone */
	out.pkt.data[3] = 28;
	frame_comes(w, &out.pkt, 0, XI_META_LARVAL);
	install(bed, 0, 2);
	xi_batch_look_again(w);
	has_got(bed, 0, 1, 3);
	assert_int_equal(w->counts[XI_DROP_REPLAY], 1);
	assert_int_equal(w->counts[XI_DROP_ICV], 1);
	assert_int_equal(w->counts[XI_DROP_SHORT], 1);
	assert_int_equal(w->counts[XI_HELD_DONE], 6);
	nothing_is_held(w);
}

static void each_bound_is_counted_and_nobody_elses(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	uint32_t i, n, p;

	allocate(bed, 0, 2);
	for (i = 1; i <= PER_SPI + 9; i++)
		comes_early(bed, w, 0, i);
	assert_int_equal(w->early.n, PER_SPI);
	assert_int_equal(w->counts[XI_DROP_HOLD_FULL], 9);
	assert_int_equal(w->frames.nfree, NFRAMES - PER_SPI);
	for (n = 1; n < 6; n++) {            /* other SPIs of the same peer */
		allocate(bed, n, 2);
		for (i = 1; i <= PER_SPI; i++)
			comes_early(bed, w, n, i);
	}
	assert_int_equal(w->early.n, SHARE);
	assert_int_equal(w->counts[XI_HELD], SHARE);
	assert_int_equal(w->counts[XI_DROP_HOLD_FULL], 9 + 2 * PER_SPI);
	for (p = 3; p < 40; p++) {           /* and other peers, each with an SPI */
		allocate(bed, 10 + p, p);
		for (i = 1; i <= PER_SPI; i++)
			comes_early(bed, w, 10 + p, i);
	}
	assert_int_equal(w->early.n, ROOM);
	assert_int_equal(w->await.n, 0);
	install(bed, 0, 2);
	xi_batch_look_again(w);
	has_got(bed, 0, 1, PER_SPI);         /* the first ones */
	assert_int_equal(w->early.n, ROOM - PER_SPI);
}

static void of_a_larval_sa_that_goes_they_are_dropped(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	struct xi_sa sa = sa_of(0, 2);
	uint32_t i, old;

	old = allocate(bed, 0, 2);
	allocate(bed, 1, 2);
	for (i = 1; i <= 5; i++)
		comes_early(bed, w, 0, i);
	comes_early(bed, w, 1, 1);
	assert_int_equal(xi_sad_delete(bed->sad, &sa.id), 0);
	comes_early(bed, w, 0, 6);           /* XDP did not know yet */
	assert_int_equal(w->counts[XI_DROP_UNKNOWN_SPI], 1);
	xi_batch_look_again(w);
	assert_int_equal(w->counts[XI_DROP_SA_GONE], 5);
	assert_int_equal(w->early.n, 1);
	/* the same SPI, allocated anew, is not theirs */
	assert_int_not_equal(allocate(bed, 0, 2), old);
	comes_early(bed, w, 0, 7);
	install(bed, 0, 2);
	xi_batch_look_again(w);
	has_got(bed, 0, 7, 1);
	xi_sad_tick(bed->sad, time(NULL) + 60);
	xi_batch_look_again(w);
	assert_int_equal(w->counts[XI_DROP_SA_GONE], 6);
	nothing_is_held(w);
}

static void an_spi_of_nobody_is_not_held(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	struct test_pkt out;

	comes_early(bed, w, 0, 1);
	assert_int_equal(w->counts[XI_DROP_UNKNOWN_SPI], 1);
	seal(bed, 0, 1, &out);
	out.pkt.data[9] = 17;                /* which XDP does not hand on */
	out.pkt.data[3] = 20;
	frame_comes(w, &out.pkt, 0, XI_META_LARVAL);
	assert_int_equal(w->counts[XI_DROP_WORKER_MALFORMED], 1);
	nothing_is_held(w);
}

static void their_time_is_bounded(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];

	allocate(bed, 0, 2);
	comes_early(bed, w, 0, 1);
	w->now_ms += HOLD_MS / 2;
	comes_early(bed, w, 0, 2);
	xi_batch_look_again(w);
	assert_int_equal(w->early.n, 2);
	w->now_ms += HOLD_MS / 2 + 1000;
	xi_batch_look_again(w);
	assert_int_equal(w->early.n, 1);
	assert_int_equal(w->counts[XI_DROP_HOLD_TIMEOUT], 1);
	install(bed, 0, 2);
	xi_batch_look_again(w);
	has_got(bed, 0, 2, 1);
	nothing_is_held(w);
}

static void without_room_none_is_held(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w;

	worker_free(bed->workers[0]);
	worker_new(bed, 0, 0);
	w = bed->workers[0];
	allocate(bed, 0, 2);
	comes_early(bed, w, 0, 1);
	assert_int_equal(w->counts[XI_DROP_UNKNOWN_SPI], 1);
	assert_int_equal(w->counts[XI_HELD], 0);
	nothing_is_held(w);
	install(bed, 0, 2);
	comes_early(bed, w, 0, 2);           /* the SA came between XDP and here */
	batch_ends(w);
	has_got(bed, 0, 2, 1);
}

static void each_worker_has_its_own(void **state)
{
	struct bed *bed = *state;
	uint32_t i;

	allocate(bed, 0, 2);
	for (i = 1; i <= 4; i++)
		comes_early(bed, bed->workers[i % 2], 0, i);
	install(bed, 0, 2);
	xi_batch_look_again(bed->workers[0]);
	assert_int_equal(bed->hosts[0].n, 2);
	assert_int_equal(bed->hosts[1].n, 0);
	xi_batch_look_again(bed->workers[1]);
	assert_int_equal(bed->hosts[1].n, 2);
	assert_int_equal(bed->hosts[0].got[0] + bed->hosts[0].got[1], 6);
	nothing_is_held(bed->workers[0]);
	nothing_is_held(bed->workers[1]);
}

/* An UPDSA that fails leaves a larval SA, for which they go on waiting. */
static void an_sa_that_could_not_be_made_is_larval_still(void **state)
{
	const struct xi_sa_key key = sample_key(1);
	const struct xi_sa sa = sa_of(0, 2);
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	const char *why;

	allocate(bed, 0, 2);
	comes_early(bed, w, 0, 1);
	mem_store_fail(bed->m, 2, 1);
	assert_int_equal(xi_sad_update(bed->sad, &sa, &key, NULL, &why), -EIO);
	mem_store_fail(bed->m, 0, 0);
	xi_batch_look_again(w);
	assert_int_equal(w->early.n, 1);
	comes_early(bed, w, 0, 2);
	install(bed, 0, 2);
	xi_batch_look_again(w);
	has_got(bed, 0, 1, 2);
	nothing_is_held(w);
}

/* Of long buffers, which are few, so many may wait as the worker has more for that. */
static void fragments_wait_when_they_are_whole(void **state)
{
	struct bed *bed = *state;
	struct xi_worker *w = bed->workers[0];
	uint32_t i;

	allocate(bed, 0, 2);
	allocate(bed, 1, 2);
	for (i = 1; i <= 40; i++)
		comes_in_pieces(bed, w, 0, i);
	assert_int_equal(w->counts[XI_HELD], 40);
	assert_int_equal(longs_free(w), LONGS - 40);
	for (i = 1; i <= 40; i++)
		comes_in_pieces(bed, w, 1, i);
	assert_int_equal(w->early.n, 64);
	assert_int_equal(w->counts[XI_DROP_HOLD_FULL], 16);
	assert_int_equal(longs_free(w), LONGS - 64);
	assert_int_equal(w->frames.nfree, NFRAMES);
	comes_early(bed, w, 1, 41);          /* there is room for others */
	assert_int_equal(w->early.n, 65);
	install(bed, 0, 2);
	xi_batch_look_again(w);
	has_got(bed, 0, 1, 40);
	comes_in_pieces(bed, w, 1, 42);
	assert_int_equal(w->early.n, 26);
	install(bed, 1, 2);
	comes_in_pieces(bed, w, 1, 43);
	batch_ends(w);
	assert_int_equal(bed->hosts[0].n, 40 + 24 + 3);
	assert_int_equal(bed->hosts[0].got[40 + 24 + 2], 43);
	nothing_is_held(w);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(they_wait_for_their_sa_in_order),
		T(later_ones_do_not_overtake_them),
		T(xdp_may_know_the_sa_first),
		T(they_are_verified_as_any),
		T(each_bound_is_counted_and_nobody_elses),
		T(of_a_larval_sa_that_goes_they_are_dropped),
		T(an_spi_of_nobody_is_not_held),
		T(their_time_is_bounded),
		T(without_room_none_is_held),
		T(each_worker_has_its_own),
		T(an_sa_that_could_not_be_made_is_larval_still),
		T(fragments_wait_when_they_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
