/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All policies go, in turns. Of a direction the one that is asked last goes first: until its own policy goes, a flow is
 * judged by that, then by the default, and never by one behind it, which was not to judge it at all.
 */
#include "sad/spd_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

int xi_spd_flush_begin(struct xi_spd *spd, struct xi_spd_flush *flush)
{
	const struct xi_spd_policy **list;
	unsigned int dir;
	uint32_t n, i;

	*flush = (struct xi_spd_flush){ .before = spd->order_next };
	flush->indexes = calloc(spd->by_index.live + 1, sizeof(*flush->indexes));
	list = calloc(spd->by_index.live + 1, sizeof(*list));
	if (!flush->indexes || !list) {
		free(list);
		xi_spd_flush_end(flush);
		return -ENOMEM;
	}
	for (dir = 0; dir < XI_DIR_MAX; dir++) {
		n = xi_side_list(&spd->sides[dir], list);
		for (i = 0; i < n; i++)
			flush->indexes[flush->n++] = list[n - 1 - i]->policy.index;
	}
	free(list);
	return 0;
}

/* Those that no flow meets have no place in the order, and come at the end. NULL: it does not go. */
static struct xi_spd_node *flush_next(const struct xi_spd *spd, struct xi_spd_flush *flush)
{
	bool ordered = flush->at < flush->n;
	struct xi_spd_node *node;

	if (ordered) {
		node = xi_spd_rows_find(&spd->by_index, flush->indexes[flush->at++]);
	} else {
		node = xi_spd_rows_seek(&spd->by_index, flush->rest + 1);
		flush->done = !node;
		if (node)
			flush->rest = node->pub->p.policy.index;
	}
	if (!node || node->since >= flush->before || (!ordered && node->seat != XI_SEAT_NONE))
		return NULL;
	return node;
}

bool xi_spd_flush_step(struct xi_spd *spd, struct xi_spd_flush *flush, unsigned int most)
{
	struct xi_spd_node *node;
	unsigned int n;
	int err;

	xi_spd_hold(spd);
	for (n = 0; n < most && !flush->done; n++) {
		node = flush_next(spd, flush);
		if (!node)
			continue;
		err = xi_spd_node_delete(spd, node);
		if (err)
			flush->err = err;
		else
			flush->gone++;
	}
	err = xi_spd_release(spd);
	if (err)
		flush->err = err;
	return !flush->done;
}

void xi_spd_flush_end(struct xi_spd_flush *flush)
{
	free(flush->indexes);
	flush->indexes = NULL;
}

int xi_spd_flush(struct xi_spd *spd, unsigned int *gone)
{
	struct xi_spd_flush flush;
	int err = xi_spd_flush_begin(spd, &flush);

	*gone = 0;
	if (err)
		return err;
	xi_spd_flush_step(spd, &flush, UINT_MAX);
	xi_spd_flush_end(&flush);
	*gone = flush.gone;
	return flush.err;
}
