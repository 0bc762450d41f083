// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "dataplane/mailbox.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING 256
#define TOLD 64

struct record {
	uint8_t bytes[XI_MAILBOX_RECORD_MAX];
};

/* head, epoch and told belong to the worker, tail to the control thread; both numbers only grow. */
struct ring {
	_Alignas(64) atomic_uint head;
	unsigned int epoch;
	uint64_t used; /* of told, one bit each */
	struct record told[TOLD];
	_Alignas(64) atomic_uint tail;
	_Alignas(64) struct record slots[RING];
};

struct xi_mailbox {
	int fd;
	unsigned int nworkers;
	unsigned int next; /* ring to pop from first: none starves */
	size_t size;
	atomic_uint epoch;
	atomic_bool pending; /* the eventfd was written and not yet acknowledged */
	struct ring rings[];
};

int xi_mailbox_create(struct xi_mailbox **out, unsigned int nworkers, size_t size)
{
	size_t bytes = sizeof(struct xi_mailbox) + nworkers * sizeof(struct ring);
	struct xi_mailbox *box = aligned_alloc(64, (bytes + 63) / 64 * 64);

	assert(size <= XI_MAILBOX_RECORD_MAX);
	if (!box)
		return -ENOMEM;
	memset(box, 0, bytes);
	box->nworkers = nworkers;
	box->size = size;
	box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (box->fd < 0) {
		int err = -errno;

		free(box);
		return err;
	}
	*out = box;
	return 0;
}

void xi_mailbox_destroy(struct xi_mailbox *box)
{
	if (!box)
		return;
	close(box->fd);
	free(box);
}

int xi_mailbox_fd(const struct xi_mailbox *box)
{
	return box->fd;
}

/* Where a record of this hash is remembered; *told: it is this one. */
static struct record *ring_told(struct xi_mailbox *box, struct ring *ring, uint64_t hash,
				const struct record *record, bool *told)
{
	unsigned int epoch = atomic_load_explicit(&box->epoch, memory_order_relaxed);
	struct record *place = &ring->told[hash % TOLD];

	if (ring->epoch != epoch) {
		ring->used = 0;
		ring->epoch = epoch;
	}
	*told = (ring->used >> hash % TOLD & 1) && !memcmp(place, record, sizeof(*record));
	return place;
}

void xi_mailbox_push(struct xi_mailbox *box, unsigned int worker, uint64_t hash, const void *bytes)
{
	struct ring *ring = &box->rings[worker];
	struct record record = {{0}}, *place;
	unsigned int head;
	bool told;

	assert(worker < box->nworkers);
	memcpy(record.bytes, bytes, box->size);
	place = ring_told(box, ring, hash, &record, &told);
	if (told)
		return;
	head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == RING)
		return;
	*place = record;
	ring->used |= 1ULL << hash % TOLD;
	ring->slots[head % RING] = record;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
	/*
	 * Both sides exchange: whoever comes second sees what the first has written, so no wake-up
	 * is lost.
	 */
	if (!atomic_exchange_explicit(&box->pending, true, memory_order_acq_rel))
		(void)eventfd_write(box->fd, 1);
}

void xi_mailbox_ack(struct xi_mailbox *box)
{
	eventfd_t n;

	(void)eventfd_read(box->fd, &n);
	atomic_exchange_explicit(&box->pending, false, memory_order_acq_rel);
}

bool xi_mailbox_pop(struct xi_mailbox *box, void *record)
{
	for (unsigned int i = 0; i < box->nworkers; i++) {
		struct ring *ring = &box->rings[box->next];
		unsigned int tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

		box->next = (box->next + 1) % box->nworkers;
		if (tail == atomic_load_explicit(&ring->head, memory_order_acquire))
			continue;
		memcpy(record, ring->slots[tail % RING].bytes, box->size);
		atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
		return true;
	}
	return false;
}

void xi_mailbox_renew(struct xi_mailbox *box)
{
	atomic_fetch_add_explicit(&box->epoch, 1, memory_order_relaxed);
}
