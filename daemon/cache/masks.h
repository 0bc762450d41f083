/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The masks under which flow_cache has elements: a short table for each direction and family, in which every packet
 * looks for its flow under one mask after the other. The mask that leaves nothing out is always the last. A table that
 * is full joins two of its masks to one that covers both: then elements are more, and no verdict is wrong. It does so only
 * for what no mask but the last would cover: each time, the elements under the two are lost, and were all that had them to
 * come back in their own right, others would have to go.
 *
 * The control thread writes; workers read, at any time, what may be a moment old: an element under a mask that is no
 * longer there is not found, and that is all.
 */
#ifndef XI_MASKS_H
#define XI_MASKS_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

struct xi_masks_table {
	uint32_t n;
	bool joined;                 /* since it was last cleared, it had to join masks or to do with one */
	uint64_t rows[XI_FLOW_MASKS]; /* struct xi_flow_mask, each read and written as a whole */
};

struct xi_masks {
	int fd;                      /* of flow_masks */
	struct xi_masks_table tables[XI_FLOW_TABLES];
};

/* Takes over what fd holds. 0 or -errno. */
int xi_masks_open(struct xi_masks *masks, int fd);

/* The i-th mask of a table; false: there are fewer. */
bool xi_masks_row(const struct xi_masks *masks, uint32_t table, uint32_t i, struct xi_flow_mask *row);
/* Of the masks there are, the coarsest that covers want. */
struct xi_flow_mask xi_masks_find(const struct xi_masks *masks, uint32_t table, const struct xi_flow_mask *want);
/* Is there no row left for want? */
bool xi_masks_full(const struct xi_masks *masks, uint32_t table, const struct xi_flow_mask *want);
/* The same as find, after the table was given one that is as coarse as there is room for. */
struct xi_flow_mask xi_masks_get(struct xi_masks *masks, uint32_t table, const struct xi_flow_mask *want);
/* used: bit i for the i-th mask. Drops the others. */
void xi_masks_keep(struct xi_masks *masks, uint32_t table, uint32_t used);

#endif
