/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A ring of SA indexes from one worker to the control thread: one writer, one reader, no lock, no wait. */
#ifndef XI_WANT_H
#define XI_WANT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define XI_WANT_RING 256

struct xi_want {
	_Alignas(64) _Atomic uint32_t head; /* written by the worker */
	uint32_t last;               /* the worker's: last one posted, to post a run of packets once */
	_Alignas(64) _Atomic uint32_t tail; /* written by the control thread */
	uint32_t ring[XI_WANT_RING];
};

/*
 * True: the reader may have found the ring empty, so it has to be woken. The fences order each
 * side's store before its look at the other's: either the reader finds the new one, or the worker
 * sees that the reader was through.
 */
static inline bool xi_want_post(struct xi_want *want, uint32_t sa_index)
{
	uint32_t head = atomic_load_explicit(&want->head, memory_order_relaxed);
	uint32_t tail = atomic_load_explicit(&want->tail, memory_order_acquire);

	if (head - tail >= XI_WANT_RING || (head != tail && want->last == sa_index))
		return false;
	want->last = sa_index;
	want->ring[head % XI_WANT_RING] = sa_index;
	atomic_store_explicit(&want->head, head + 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	return atomic_load_explicit(&want->tail, memory_order_relaxed) == head;
}

static inline bool xi_want_take(struct xi_want *want, uint32_t *sa_index)
{
	uint32_t tail = atomic_load_explicit(&want->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&want->head, memory_order_acquire))
		return false;
	*sa_index = want->ring[tail % XI_WANT_RING];
	atomic_store_explicit(&want->tail, tail + 1, memory_order_release);
	atomic_thread_fence(memory_order_seq_cst);
	return true;
}

#endif
