/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/wants.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WANTS_RING 256
#define WANTS_ASKED 64

/* head and asked belong to the worker, tail to the control thread; both numbers only grow. */
struct ring {
	_Alignas(64) atomic_uint head;
	unsigned int epoch;
	uint64_t asked[WANTS_ASKED];
	_Alignas(64) atomic_uint tail;
	_Alignas(64) struct xi_addr slots[WANTS_RING];
};

struct xi_wants {
	int fd;
	unsigned int nworkers;
	unsigned int next; /* ring to pop from first: none starves */
	atomic_uint epoch;
	atomic_bool pending; /* the eventfd was written and not yet acknowledged */
	struct ring rings[];
};

int xi_wants_create(struct xi_wants **out, unsigned int nworkers)
{
	size_t size = sizeof(struct xi_wants) + nworkers * sizeof(struct ring);
	struct xi_wants *wants = aligned_alloc(64, (size + 63) / 64 * 64);

	if (!wants)
		return -ENOMEM;
	memset(wants, 0, size);
	wants->nworkers = nworkers;
	wants->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wants->fd < 0) {
		int err = -errno;

		free(wants);
		return err;
	}
	*out = wants;
	return 0;
}

void xi_wants_destroy(struct xi_wants *wants)
{
	if (!wants)
		return;
	close(wants->fd);
	free(wants);
}

int xi_wants_fd(const struct xi_wants *wants)
{
	return wants->fd;
}

static bool ring_asked(struct ring *ring, unsigned int epoch, uint64_t hash)
{
	if (ring->epoch != epoch) {
		memset(ring->asked, 0, sizeof(ring->asked));
		ring->epoch = epoch;
	}
	return ring->asked[hash % WANTS_ASKED] == hash;
}

void xi_wants_push(struct xi_wants *wants, unsigned int worker, uint64_t hash,
		   const uint8_t addr[16], enum xi_family family)
{
	struct ring *ring = &wants->rings[worker];
	struct xi_addr *slot;
	unsigned int head;

	assert(worker < wants->nworkers);
	if (ring_asked(ring, atomic_load_explicit(&wants->epoch, memory_order_relaxed), hash))
		return;
	head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (head - atomic_load_explicit(&ring->tail, memory_order_acquire) == WANTS_RING)
		return;
	ring->asked[hash % WANTS_ASKED] = hash;
	slot = &ring->slots[head % WANTS_RING];
	memcpy(slot->addr, addr, sizeof(slot->addr));
	slot->family = family;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
	/*
	 * Both sides exchange: whoever comes second sees what the first has written, so no wake-up
	 * is lost.
	 */
	if (!atomic_exchange_explicit(&wants->pending, true, memory_order_acq_rel))
		(void)eventfd_write(wants->fd, 1);
}

void xi_wants_ack(struct xi_wants *wants)
{
	eventfd_t n;

	(void)eventfd_read(wants->fd, &n);
	atomic_exchange_explicit(&wants->pending, false, memory_order_acq_rel);
}

bool xi_wants_pop(struct xi_wants *wants, struct xi_addr *addr)
{
	for (unsigned int i = 0; i < wants->nworkers; i++) {
		struct ring *ring = &wants->rings[wants->next];
		unsigned int tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

		wants->next = (wants->next + 1) % wants->nworkers;
		if (tail == atomic_load_explicit(&ring->head, memory_order_acquire))
			continue;
		*addr = ring->slots[tail % WANTS_RING];
		atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
		return true;
	}
	return false;
}

void xi_wants_renew(struct xi_wants *wants)
{
	atomic_fetch_add_explicit(&wants->epoch, 1, memory_order_relaxed);
}
