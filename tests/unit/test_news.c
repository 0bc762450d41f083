/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * News of workers: each once, none lost while there is room, one wake-up for many, and only what
 * still holds is acted on.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <cmocka.h>

#include "dataplane/news.h"
#include "mem_store.h"

#define WORKERS 2
#define ROUNDS 20000
#define BURST 200000U

static void push(struct xi_mailbox *ring, unsigned int worker, enum xi_news_kind kind, uint32_t sa_index)
{
	const struct xi_news news = { .kind = kind, .sa_index = sa_index };

	xi_news_push(ring, worker, &news);
}

static void push_mapping(struct xi_mailbox *ring, uint32_t sa_index, const char *addr, uint16_t port)
{
	struct xi_news news = { .kind = XI_NEWS_MAPPING, .sa_index = sa_index, .port = port };

	news.addr.family = sample_addr(news.addr.addr, addr);
	xi_news_push(ring, 0, &news);
}

static bool readable(const struct xi_mailbox *ring, int ms)
{
	struct pollfd p = { .fd = xi_mailbox_fd(ring), .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static unsigned int drain(struct xi_mailbox *ring)
{
	struct xi_news news;
	unsigned int n = 0;

	while (xi_mailbox_pop(ring, &news))
		n++;
	return n;
}

static void one_wake_up_serves_many(void **state)
{
	struct xi_mailbox *ring;
	eventfd_t writes;

	assert_int_equal(xi_mailbox_create(&ring, WORKERS, sizeof(struct xi_news)), 0);
	assert_false(readable(ring, 0));
	for (uint32_t i = 1; i <= 30; i++)
		push(ring, i % WORKERS, XI_NEWS_SOFT, i);
	assert_int_equal(eventfd_read(xi_mailbox_fd(ring), &writes), 0);
	assert_int_equal(writes, 1);
	xi_mailbox_ack(ring);
	assert_int_equal(drain(ring), 30);
	assert_false(readable(ring, 0));
	push(ring, 0, XI_NEWS_SOFT, 31);
	assert_true(readable(ring, 0));
	xi_mailbox_destroy(ring);
}

static void all_of_it_arrives(void **state)
{
	struct xi_mailbox *ring;
	struct xi_addr want = { .family = XI_IPV6 };
	struct xi_news news;

	sample_addr(want.addr, "2001:db8::7");
	assert_int_equal(xi_mailbox_create(&ring, 1, sizeof(struct xi_news)), 0);
	push_mapping(ring, 0x12345678, "2001:db8::7", 61234);
	assert_true(xi_mailbox_pop(ring, &news));
	assert_int_equal(news.kind, XI_NEWS_MAPPING);
	assert_int_equal(news.sa_index, 0x12345678);
	assert_memory_equal(&news.addr, &want, sizeof(want));
	assert_int_equal(news.port, 61234);
	assert_false(xi_mailbox_pop(ring, &news));
	xi_mailbox_destroy(ring);
}

static void repeats_wait_for_renewal(void **state)
{
	struct xi_mailbox *ring;

	assert_int_equal(xi_mailbox_create(&ring, 1, sizeof(struct xi_news)), 0);
	push(ring, 0, XI_NEWS_SOFT, 5);
	push(ring, 0, XI_NEWS_SOFT, 5);
	assert_int_equal(drain(ring), 1);
	push(ring, 0, XI_NEWS_SOFT, 5);
	assert_int_equal(drain(ring), 0);
	/* of the same SA, but something else */
	push(ring, 0, XI_NEWS_EXPIRED, 5);
	push_mapping(ring, 5, "192.0.2.2", 4500);
	push_mapping(ring, 5, "192.0.2.2", 4501);
	push_mapping(ring, 5, "192.0.2.3", 4501);
	assert_int_equal(drain(ring), 4);
	xi_mailbox_renew(ring);
	push(ring, 0, XI_NEWS_SOFT, 5);
	assert_int_equal(drain(ring), 1);
	xi_mailbox_destroy(ring);
}

static void full_ring_refuses_and_remembers_nothing(void **state)
{
	struct xi_mailbox *ring;
	unsigned int held;

	assert_int_equal(xi_mailbox_create(&ring, 2, sizeof(struct xi_news)), 0);
	for (uint32_t i = 1; i <= 1000; i++)
		push(ring, 0, XI_NEWS_SOFT, i);
	push(ring, 1, XI_NEWS_SOFT, 1);
	held = drain(ring);
	assert_in_range(held, 2, 999);
	/* the last one was refused, so it is no repeat */
	push(ring, 0, XI_NEWS_SOFT, 1000);
	assert_int_equal(drain(ring), 1);
	xi_mailbox_destroy(ring);
}

struct worker {
	struct xi_mailbox *ring;
	unsigned int number;
	atomic_uint served;
};

/* Tells more only after the last was taken: a lost wake-up leaves everybody waiting. */
static void *lockstep(void *arg)
{
	struct worker *w = arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		push(w->ring, w->number, XI_NEWS_EXPIRED, (i + 1) * WORKERS + w->number);
		while (atomic_load(&w->served) <= i)
			sched_yield();
	}
	return NULL;
}

static void no_wake_up_is_lost(void **state)
{
	struct worker workers[WORKERS] = { 0 };
	pthread_t threads[WORKERS];
	struct xi_mailbox *ring;
	unsigned int total = 0;
	struct xi_news news;

	assert_int_equal(xi_mailbox_create(&ring, WORKERS, sizeof(struct xi_news)), 0);
	for (unsigned int i = 0; i < WORKERS; i++) {
		workers[i].ring = ring;
		workers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, lockstep, &workers[i]), 0);
	}
	while (total < WORKERS * ROUNDS) {
		assert_true(readable(ring, 10000));
		xi_mailbox_ack(ring);
		while (xi_mailbox_pop(ring, &news)) {
			struct worker *w = &workers[news.sa_index % WORKERS];

			assert_int_equal(news.sa_index / WORKERS, atomic_load(&w->served) + 1);
			atomic_fetch_add(&w->served, 1);
			total++;
		}
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	xi_mailbox_destroy(ring);
}

/* As fast as it goes, each with an address that only its own index has: the ring overflows all the time. */
static void *flood(void *arg)
{
	struct worker *w = arg;

	for (uint32_t i = 1; i <= BURST; i++) {
		struct xi_news news = { .kind = XI_NEWS_MAPPING, .sa_index = i * WORKERS + w->number };

		memset(news.addr.addr, (uint8_t)(news.sa_index * 7), sizeof(news.addr.addr));
		news.port = (uint16_t)(news.sa_index * 3);
		xi_news_push(w->ring, w->number, &news);
	}
	atomic_store(&w->served, 1);
	return NULL;
}

static void check_untorn(const struct xi_news *news, uint32_t last[WORKERS])
{
	uint32_t worker = news->sa_index % WORKERS;

	for (unsigned int i = 0; i < sizeof(news->addr.addr); i++)
		assert_int_equal(news->addr.addr[i], (uint8_t)(news->sa_index * 7));
	assert_int_equal(news->port, (uint16_t)(news->sa_index * 3));
	assert_true(news->sa_index > last[worker]);
	last[worker] = news->sa_index;
}

static void overflow_tears_and_reorders_nothing(void **state)
{
	struct worker workers[WORKERS] = { 0 };
	uint32_t last[WORKERS] = { 0 };
	pthread_t threads[WORKERS];
	struct xi_mailbox *ring;
	unsigned int running;
	struct xi_news news;

	assert_int_equal(xi_mailbox_create(&ring, WORKERS, sizeof(struct xi_news)), 0);
	for (unsigned int i = 0; i < WORKERS; i++) {
		workers[i].ring = ring;
		workers[i].number = i;
		assert_int_equal(pthread_create(&threads[i], NULL, flood, &workers[i]), 0);
	}
	do {
		running = 0;
		for (unsigned int i = 0; i < WORKERS; i++)
			running += !atomic_load(&workers[i].served);
		while (xi_mailbox_pop(ring, &news))
			check_untorn(&news, last);
		sched_yield();
	} while (running);
	for (unsigned int i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(last[i] > 0);
	}
	xi_mailbox_destroy(ring);
}

struct desk {
	unsigned int mappings, expiries;
	uint32_t sa_index;
	uint8_t saddr[16];
	uint16_t sport;
};

static void on_mapping(void *arg, const struct xi_sa_rec *rec, const uint8_t saddr[16], uint16_t sport)
{
	struct desk *desk = arg;

	desk->mappings++;
	desk->sa_index = rec->sa.sa_index;
	memcpy(desk->saddr, saddr, 16);
	desk->sport = sport;
}

static void on_expire(void *arg, uint32_t sa_index)
{
	struct desk *desk = arg;

	desk->expiries++;
	desk->sa_index = sa_index;
}

static bool carries(const struct xi_sa *sa, const char **why)
{
	return true;
}

static void only_what_holds_is_acted_on(void **state)
{
	const struct xi_sad_config config = { .carries = carries };
	struct mem_store *m = mem_store_new(8, 2);
	struct xi_sa sa = sample_sa("192.0.2.2", "192.0.2.1", 0x1001);
	struct xi_sa_key key = sample_key(1);
	struct desk seen = { 0 };
	const struct xi_news_desk desk = { on_mapping, on_expire, &seen };
	struct xi_mailbox *ring;
	struct xi_sad *sad;
	uint8_t want[16];
	const char *why;
	uint32_t index;

	sa.encap = XI_ENCAP_ESPINUDP;
	sa.encap_sport = sa.encap_dport = 4500;
	assert_int_equal(xi_sad_create(&sad, &config, &m->store), 0);
	assert_int_equal(xi_sad_add(sad, &sa, &key, NULL, &why), 0);
	index = xi_sad_find(sad, &sa.id)->sa.sa_index;
	assert_int_equal(xi_mailbox_create(&ring, 1, sizeof(struct xi_news)), 0);

	push_mapping(ring, index, "192.0.2.2", 4500);
	push_mapping(ring, index, "2001:db8::2", 4500);
	push_mapping(ring, index + 1, "192.0.2.3", 4500);
	push(ring, 0, XI_NEWS_EXPIRED, index + 1);
	assert_false(xi_news_read(ring, sad, &desk));
	assert_int_equal(seen.mappings + seen.expiries, 0);

	sample_addr(want, "192.0.2.3");
	push_mapping(ring, index, "192.0.2.3", 4501);
	assert_false(xi_news_read(ring, sad, &desk));
	assert_int_equal(seen.mappings, 1);
	assert_int_equal(seen.sa_index, index);
	assert_memory_equal(seen.saddr, want, 16);
	assert_int_equal(seen.sport, 4501);

	push(ring, 0, XI_NEWS_EXPIRED, index);
	push(ring, 0, XI_NEWS_SOFT, index);
	assert_false(xi_news_read(ring, sad, &desk));
	assert_int_equal(seen.expiries, 2);
	xi_sad_destroy(sad);
	mem_store_free(m);
	xi_mailbox_destroy(ring);
}

static void a_round_is_bounded(void **state)
{
	const struct xi_sad_config config = { .carries = carries };
	struct mem_store *m = mem_store_new(8, 2);
	struct desk seen = { 0 };
	const struct xi_news_desk desk = { on_mapping, on_expire, &seen };
	struct xi_mailbox *ring;
	unsigned int rounds = 1;
	struct xi_sad *sad;

	assert_int_equal(xi_sad_create(&sad, &config, &m->store), 0);
	assert_int_equal(xi_mailbox_create(&ring, 1, sizeof(struct xi_news)), 0);
	for (uint32_t i = 1; i <= 256; i++)
		push(ring, 0, XI_NEWS_SOFT, i);
	while (xi_news_read(ring, sad, &desk))
		rounds++;
	assert_in_range(rounds, 2, 256);
	assert_int_equal(drain(ring), 0);
	xi_sad_destroy(sad);
	mem_store_free(m);
	xi_mailbox_destroy(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_wake_up_serves_many),
		cmocka_unit_test(all_of_it_arrives),
		cmocka_unit_test(repeats_wait_for_renewal),
		cmocka_unit_test(full_ring_refuses_and_remembers_nothing),
		cmocka_unit_test(no_wake_up_is_lost),
		cmocka_unit_test(overflow_tears_and_reorders_nothing),
		cmocka_unit_test(only_what_holds_is_acted_on),
		cmocka_unit_test(a_round_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
