/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "hot.h"

#include <errno.h>
#include <stdlib.h>

#include <xipsec/abi.h>
#include "sad/store_scan.h"

struct hot {
	uint32_t *handles;
	unsigned int n;
	uint8_t *seen;               /* by SA slot, a bit each */
};

static void hot_add(struct hot *hot, uint32_t handle)
{
	uint32_t slot = XI_SA_SLOT(handle);

	if (!handle || hot->n == XI_HOT_MAX || hot->seen[slot / 8] & 1U << slot % 8)
		return;
	hot->seen[slot / 8] |= 1U << slot % 8;
	hot->handles[hot->n++] = handle;
}

static int visit_sa(void *arg, const void *key, const void *value)
{
	const struct xi_sa_cached *cached = value;

	hot_add(arg, cached->sa_index);
	return 0;
}

static int visit_flow(void *arg, const void *key, const void *value)
{
	const struct xi_flow_verdict *verdict = value;

	if (verdict->verdict == XI_VERDICT_PROTECT) {
		hot_add(arg, verdict->handle);
		hot_add(arg, verdict->next_handle);
	}
	return 0;
}

int xi_hot_handles(int sa_cache_fd, int flow_cache_fd, uint32_t **handles, unsigned int *n)
{
	struct hot hot = {
		.handles = calloc(XI_HOT_MAX, sizeof(*hot.handles)),
		.seen = calloc((XI_SA_SLOT_MASK + 1) / 8, 1),
	};
	const struct xi_scan sas = { sa_cache_fd, sizeof(struct xi_sa_id),
				     sizeof(struct xi_sa_cached), visit_sa, &hot };
	const struct xi_scan flows = { flow_cache_fd, sizeof(struct xi_flow_key),
				       sizeof(struct xi_flow_verdict), visit_flow, &hot };
	int err = hot.handles && hot.seen ? 0 : -ENOMEM;

	if (!err)
		err = xi_scan_map(&flows);
	if (!err)
		err = xi_scan_map(&sas);
	free(hot.seen);
	if (err) {
		free(hot.handles);
		return err;
	}
	*handles = hot.handles;
	*n = hot.n;
	return 0;
}
