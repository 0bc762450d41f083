/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When burst transmit is worth its call, and when it has to be set aside for a while. Pure: the
 * caller brings the clock and what became of a call.
 *
 * A call takes a mutex that every attachment of an XDP program on the machine takes, and makes a
 * page pool, of which the machine has 65,535 and which lives as long as a receiver holds a frame of
 * it. So calls can stall (two slow ones within a second: pause) and fail with ENOSPC (pause at
 * once), neither of which is in this daemon's hands. A pause is twice as long as the last one when
 * trouble came back soon after it, up to XI_BURST_PAUSE_MAX_MS.
 */
#ifndef XI_BURST_WATCH_H
#define XI_BURST_WATCH_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Below this number of packets AF_XDP costs no more than the call's fixed 13 us, and makes no page
 * pool for a few packets that a slow receiver may hold on to.
 */
#define XI_BURST_MIN 20
/*
 * After a batch of that many, smaller ones go by burst as well for so long: frames of burst and of
 * AF_XDP may enter different queues, of the device or of one behind it, and what was sent first must have
 * left those before anything comes by the others.
 */
#define XI_BURST_HOLD_MS 100
#define XI_BURST_SLOW_NS 1000000
#define XI_BURST_SLOW_WINDOW_MS 1000
#define XI_BURST_PAUSE_MS 100
#define XI_BURST_PAUSE_MAX_MS 16000

struct xi_burst_watch {
	uint64_t until_ms;           /* paused until then */
	uint64_t trouble_ms;         /* last slow call */
	uint32_t pause_ms;           /* length of the last pause */
	uint32_t slow;               /* slow calls of late */
	uint64_t pauses;
	uint64_t hold_ms;            /* until then small batches follow big ones */
};

/* What became of one call. */
struct xi_burst_call {
	int err;                     /* 0 or -errno */
	uint32_t packets;
	uint64_t ns;                 /* wall clock */
	bool waited;                 /* the thread gave up its CPU by itself: it waited for the kernel */
};

enum xi_burst_verdict { XI_BURST_FINE, XI_BURST_WAS_SLOW, XI_BURST_SET_ASIDE };

/* May n packets go by burst now? */
static inline bool xi_burst_watch_open(const struct xi_burst_watch *watch, uint64_t now_ms, uint32_t n)
{
	if (now_ms < watch->until_ms)
		return false;
	return n >= XI_BURST_MIN || now_ms < watch->hold_ms;
}

/* Judges a call that was just made. */
enum xi_burst_verdict xi_burst_watch_call(struct xi_burst_watch *watch, uint64_t now_ms,
					  const struct xi_burst_call *call);
/* Sets burst aside from now on, for longer if there was trouble a short while ago. */
void xi_burst_watch_pause(struct xi_burst_watch *watch, uint64_t now_ms);

#endif
