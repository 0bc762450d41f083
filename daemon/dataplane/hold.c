/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/batch.h"
#include "dataplane/hostif.h"
#include "sad/selector.h"

#define FRAMES_LEFT (4 * XI_BATCH)

int xi_hold_create(struct xi_hold *hold, uint32_t room)
{
	hold->list = calloc(room, sizeof(*hold->list));
	hold->room = hold->list ? room : 0;
	return hold->list ? 0 : -ENOMEM;
}

void xi_hold_destroy(struct xi_hold *hold)
{
	free(hold->list);
	memset(hold, 0, sizeof(*hold));
}

bool xi_hold_has_room(const struct xi_worker *w)
{
	return w->hold.n + XI_BATCH <= w->hold.room && w->frames.nfree >= FRAMES_LEFT;
}

/*
 * Others become known one by one meanwhile, but all of an SA's packets that came before the end are
 * put aside: a later one that went first would make replays of the earlier ones.
 */
static bool hold_knows(const struct xi_worker *w, uint32_t handle)
{
	return xi_sad_is_hot(w->config.sad, handle) && !xi_sad_superseded(w->config.sad, handle);
}

/*
 * Policies are known; of their SAs perhaps not all. The answer stands only when each template has
 * found one: an optional one that seems to have none would be passed over.
 */
static bool hold_decided(const struct xi_worker *w, uint16_t port, const uint8_t *pkt,
			 uint32_t len)
{
	const struct xi_spd_policy *policy = NULL;
	struct xi_flow_verdict verdict = { 0 };
	struct xi_flow flow;

	if (xi_flow_parse(&flow, pkt, len))
		return true;         /* it will be dropped */
	flow.dir = XI_OUT;
	if (w->config.ports[port]->config.role == XI_ROLE_HOST)
		xi_hostif_origin(&flow, pkt);
	xi_spd_judge_out(xi_spd_snapshot(w->config.spd), w->config.sad, &flow, &verdict, &policy);
	if (!policy)
		return true;
	if (verdict.verdict != XI_VERDICT_PROTECT)
		return !policy->policy.ntmpls;
	return policy->policy.ntmpls == 1U + !!verdict.next_handle &&
	       hold_knows(w, verdict.handle) &&
	       (!verdict.next_handle || hold_knows(w, verdict.next_handle));
}

/*
 * What comes out of an SA may be for one inside of it. No table of the fast path names those, so
 * they are among the last to be known.
 */
static bool hold_may_nest(const struct xi_worker *w, const struct xi_meta *meta)
{
	return meta->dir == XI_IN && meta->handle && xi_spd_snapshot(w->config.spd)->bundles;
}

static bool hold_ready(const struct xi_worker *w, const struct xi_meta *meta, const uint8_t *data,
		       uint32_t len)
{
	if (meta->magic != XI_META_MAGIC || meta->l3_offset >= len ||
	    meta->port >= XI_MAX_PORTS || !w->config.ports[meta->port])
		return true;         /* it will be dropped */
	if (meta->flags & XI_META_FRAGMENT)
		return false;        /* its SA shows when it is whole */
	if (hold_may_nest(w, meta))
		return false;
	if (meta->handle && !hold_knows(w, meta->handle))
		return false;
	if (meta->next_handle && !hold_knows(w, meta->next_handle))
		return false;
	return meta->handle || meta->dir != XI_OUT ||
	       hold_decided(w, meta->port, data + meta->l3_offset, len - meta->l3_offset);
}

void xi_hold_or_take(struct xi_worker *w, uint64_t addr, uint32_t len)
{
	const uint8_t *data = w->frames.base + addr;
	struct xi_meta meta;

	memcpy(&meta, data - sizeof(meta), sizeof(meta));
	if (hold_ready(w, &meta, data, len))
		xi_batch_take(w, addr, len);
	else
		w->hold.list[w->hold.n++] = (struct xi_held){ .addr = addr, .len = len };
}
