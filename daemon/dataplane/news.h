/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What workers tell the control thread of SAs: records of a mailbox. */
#ifndef XI_NEWS_H
#define XI_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "dataplane/mailbox.h"
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
	uint16_t pad;
};
XI_ASSERT(sizeof(struct xi_news) <= XI_MAILBOX_RECORD_MAX);

/* Worker, after the ICV was verified. */
void xi_news_push(struct xi_mailbox *box, unsigned int worker, const struct xi_news *news);

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
bool xi_news_read(struct xi_mailbox *box, const struct xi_sad *sad, const struct xi_news_desk *desk);

#endif
