/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/news.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NEWS_RING 256
#define NEWS_TOLD 64
#define NEWS_A_ROUND 64

/* head and told belong to the worker, tail to the control thread; both numbers only grow. */
struct row {
	_Alignas(64) atomic_uint head;
	unsigned int epoch;
	struct xi_news told[NEWS_TOLD]; /* sa_index 0: unused, for no SA has it */
	_Alignas(64) atomic_uint tail;
	_Alignas(64) struct xi_news slots[NEWS_RING];
};

struct xi_news_ring {
	int fd;
	unsigned int nworkers;
	unsigned int next;   /* row to pop from first: none starves */
	atomic_uint epoch;
	atomic_bool pending; /* the eventfd was written and not yet acknowledged */
	struct row rows[];
};

int xi_news_create(struct xi_news_ring **out, unsigned int nworkers)
{
	size_t size = sizeof(struct xi_news_ring) + nworkers * sizeof(struct row);
	struct xi_news_ring *ring = aligned_alloc(64, (size + 63) / 64 * 64);

	if (!ring)
		return -ENOMEM;
	memset(ring, 0, size);
	ring->nworkers = nworkers;
	ring->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ring->fd < 0) {
		int err = -errno;

		free(ring);
		return err;
	}
	*out = ring;
	return 0;
}

void xi_news_destroy(struct xi_news_ring *ring)
{
	if (!ring)
		return;
	close(ring->fd);
	free(ring);
}

int xi_news_fd(const struct xi_news_ring *ring)
{
	return ring->fd;
}

static bool news_equal(const struct xi_news *a, const struct xi_news *b)
{
	return a->sa_index == b->sa_index && a->kind == b->kind && a->port == b->port &&
	       !memcmp(&a->addr, &b->addr, sizeof(a->addr));
}

/*
 * Neighbours in the SAD, kinds of one SA, and ports between which a peer goes to and fro have places
 * of their own.
 */
static struct xi_news *row_told(struct row *row, unsigned int epoch, const struct xi_news *news)
{
	if (row->epoch != epoch) {
		memset(row->told, 0, sizeof(row->told));
		row->epoch = epoch;
	}
	return &row->told[(news->sa_index * 3 + news->kind + news->port) % NEWS_TOLD];
}

void xi_news_push(struct xi_news_ring *ring, unsigned int worker, const struct xi_news *news)
{
	struct row *row = &ring->rows[worker];
	struct xi_news *told;
	unsigned int head;

	assert(worker < ring->nworkers);
	told = row_told(row, atomic_load_explicit(&ring->epoch, memory_order_relaxed), news);
	if (news_equal(told, news))
		return;
	head = atomic_load_explicit(&row->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&row->tail, memory_order_acquire) == NEWS_RING)
		return;
	*told = *news;
	row->slots[head % NEWS_RING] = *news;
	atomic_store_explicit(&row->head, head + 1, memory_order_release);
	/*
	 * Both sides exchange: whoever comes second sees what the first has written, so no wake-up
	 * is lost.
	 */
	if (!atomic_exchange_explicit(&ring->pending, true, memory_order_acq_rel))
		(void)eventfd_write(ring->fd, 1);
}

void xi_news_ack(struct xi_news_ring *ring)
{
	eventfd_t n;

	(void)eventfd_read(ring->fd, &n);
	atomic_exchange_explicit(&ring->pending, false, memory_order_acq_rel);
}

bool xi_news_pop(struct xi_news_ring *ring, struct xi_news *news)
{
	for (unsigned int i = 0; i < ring->nworkers; i++) {
		struct row *row = &ring->rows[ring->next];
		unsigned int tail = atomic_load_explicit(&row->tail, memory_order_relaxed);

		ring->next = (ring->next + 1) % ring->nworkers;
		if (tail == atomic_load_explicit(&row->head, memory_order_acquire))
			continue;
		*news = row->slots[tail % NEWS_RING];
		atomic_store_explicit(&row->tail, tail + 1, memory_order_release);
		return true;
	}
	return false;
}

void xi_news_renew(struct xi_news_ring *ring)
{
	atomic_fetch_add_explicit(&ring->epoch, 1, memory_order_relaxed);
}

static void desk_mapping(const struct xi_sad *sad, const struct xi_news_desk *desk,
			 const struct xi_news *news)
{
	const struct xi_sa_rec *rec = xi_sad_rec(sad, news->sa_index);

	if (!desk->mapping || !rec || rec->sa.encap == XI_ENCAP_NONE ||
	    rec->sa.id.family != news->addr.family)
		return;
	if (rec->sa.encap_sport == news->port &&
	    !memcmp(rec->sa.saddr, news->addr.addr, sizeof(rec->sa.saddr)))
		return;
	desk->mapping(desk->arg, rec, news->addr.addr, news->port);
}

bool xi_news_read(struct xi_news_ring *ring, const struct xi_sad *sad,
		  const struct xi_news_desk *desk)
{
	struct xi_news news;
	int i;

	xi_news_ack(ring);
	for (i = 0; i < NEWS_A_ROUND && xi_news_pop(ring, &news); i++) {
		if (news.kind == XI_NEWS_MAPPING)
			desk_mapping(sad, desk, &news);
		else if (desk->expire && xi_sad_rec(sad, news.sa_index))
			desk->expire(desk->arg, news.sa_index);
	}
	return i == NEWS_A_ROUND;
}
