/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/burst_watch.h"

#include <errno.h>

void xi_burst_watch_pause(struct xi_burst_watch *watch, uint64_t now_ms)
{
	uint32_t ms = watch->pause_ms * 2;

	if (!watch->pause_ms ||
	    now_ms > watch->until_ms + watch->pause_ms + XI_BURST_SLOW_WINDOW_MS)
		ms = XI_BURST_PAUSE_MS;
	if (ms > XI_BURST_PAUSE_MAX_MS)
		ms = XI_BURST_PAUSE_MAX_MS;
	watch->pause_ms = ms;
	watch->until_ms = now_ms + ms;
	watch->slow = 0;
	__atomic_store_n(&watch->pauses, watch->pauses + 1, __ATOMIC_RELAXED);
}

/*
 * Time that the receivers take for the packets is theirs by either path, and time that others had the CPU
 * is nobody's fault; waiting for the kernel is.
 */
static bool call_was_slow(const struct xi_burst_call *call)
{
	return call->ns > XI_BURST_SLOW_NS && call->waited;
}

enum xi_burst_verdict xi_burst_watch_call(struct xi_burst_watch *watch, uint64_t now_ms,
					  const struct xi_burst_call *call)
{
	bool slow = call_was_slow(call);

	if (call->packets >= XI_BURST_MIN)
		watch->hold_ms = now_ms + XI_BURST_HOLD_MS;
	if (slow) {
		/* one in a while is nobody's fault */
		if (now_ms > watch->trouble_ms + XI_BURST_SLOW_WINDOW_MS)
			watch->slow = 0;
		watch->slow++;
		watch->trouble_ms = now_ms;
	}
	if ((call->err && call->err != -EINTR) || watch->slow >= 2) {
		xi_burst_watch_pause(watch, now_ms);
		return XI_BURST_SET_ASIDE;
	}
	return slow ? XI_BURST_WAS_SLOW : XI_BURST_FINE;
}
