/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What workers tell the control thread of SAs: a ring a worker, one writer and one reader each, and one eventfd
 * that wakes the reader once for all that is waiting. News may be lost (full ring), so they say what is, not what
 * has happened: the next packet that finds it so tells it again.
 */
#ifndef XI_NEWS_H
#define XI_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "sad/sad.h"

enum xi_news_kind {
	XI_NEWS_MAPPING,             /* verified ESP in UDP from another address or port than the SA's */
	XI_NEWS_EXPIRED,             /* hard limit reached */
	XI_NEWS_SOFT,                /* soft limit reached */
};

struct xi_news {
	enum xi_news_kind kind;
	uint32_t sa_index;
	struct xi_addr addr;         /* MAPPING: where from; else zero */
	uint16_t port;
};

struct xi_news_ring;

int xi_news_create(struct xi_news_ring **out, unsigned int nworkers);
void xi_news_destroy(struct xi_news_ring *ring);
/* Readable when there is something to pop. */
int xi_news_fd(const struct xi_news_ring *ring);

/*
 * Worker, after the ICV was verified. A system call at most once for all that is waiting; what was told since the
 * last xi_news_renew is left out.
 */
void xi_news_push(struct xi_news_ring *ring, unsigned int worker, const struct xi_news *news);

/* Control thread, once after each wake-up and before the first pop. */
void xi_news_ack(struct xi_news_ring *ring);
bool xi_news_pop(struct xi_news_ring *ring, struct xi_news *news);
/* Control thread: lets workers tell again what they have told. */
void xi_news_renew(struct xi_news_ring *ring);

/* Control thread: who does something about it. */
struct xi_news_desk {
	/* rec is not where the peer sends from: saddr and sport are */
	void (*mapping)(void *arg, const struct xi_sa_rec *rec, const uint8_t saddr[16], uint16_t sport);
	/* a limit of this SA is reached; which one, its counters say. NULL: nobody cares, as with mapping */
	void (*expire)(void *arg, uint32_t sa_index);
	void *arg;
};

/*
 * Control thread, on each wake-up: hands on a bounded number of news. What is no longer so (the SA is gone, or has
 * the new mapping) is left out. True: there may be more, and nothing else will wake the reader.
 */
bool xi_news_read(struct xi_news_ring *ring, const struct xi_sad *sad, const struct xi_news_desk *desk);

#endif
