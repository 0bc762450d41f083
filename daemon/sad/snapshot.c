/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What workers read: never changed. A change makes another, which shares what it can with it. */
#include "sad/spd_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct snapshot_mem {
	struct xi_spd_snapshot s;    /* first: freed as the whole */
	struct xi_spd_part *segments[XI_DIR_MAX][XI_SPD_SEGMENTS];
	struct xi_spd_part *local;
};

void xi_snapshot_free(struct xi_spd_snapshot *snap)
{
	struct snapshot_mem *mem = (struct snapshot_mem *)snap;
	unsigned int dir, i;

	if (!mem)
		return;
	for (dir = 0; dir < XI_DIR_MAX; dir++)
		for (i = 0; i < XI_SPD_SEGMENTS; i++)
			xi_part_put(mem->segments[dir][i]);
	xi_part_put(mem->local);
	free(mem);
}

static int local_build(struct xi_spd *spd)
{
	size_t size = spd->nlocal * sizeof(*spd->local);
	void *copy;

	if (spd->local_part)
		return 0;
	copy = malloc(size ? size : 1);
	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, spd->local, size);
	spd->local_part = xi_part_new(copy);
	return spd->local_part ? 0 : -ENOMEM;
}

struct xi_spd_snapshot *xi_snapshot_build(struct xi_spd *spd, uint32_t generation)
{
	struct snapshot_mem *mem;
	unsigned int dir, i;

	for (dir = 0; dir < XI_DIR_MAX; dir++)
		if (xi_side_build(&spd->sides[dir]))
			return NULL;
	if (local_build(spd))
		return NULL;
	mem = calloc(1, sizeof(*mem));
	if (!mem)
		return NULL;
	for (dir = 0; dir < XI_DIR_MAX; dir++) {
		for (i = 0; i < XI_SPD_SEGMENTS; i++) {
			mem->segments[dir][i] = xi_part_get(spd->sides[dir].segments[i]);
			mem->s.segments[dir][i] = *xi_part_segment(mem->segments[dir][i]);
		}
		mem->s.default_action[dir] = spd->default_action[dir];
	}
	mem->local = xi_part_get(spd->local_part);
	mem->s.local = xi_part_mem(mem->local);
	mem->s.nlocal = spd->nlocal;
	mem->s.bundles = spd->bundles != NULL;
	mem->s.generation = generation;
	mem->s.flow_mask = xi_spd_flow_mask(spd);
	mem->s.mark_mask = xi_spd_mark_mask(spd);
	mem->s.if_marks = spd->nif_marks > 0;
	return &mem->s;
}

void xi_garbage_free(struct xi_spd *spd)
{
	struct xi_spd_pub *pub;

	while ((pub = spd->garbage)) {
		spd->garbage = pub->next;
		free(pub);
	}
}

/* Returns when no worker judges by the old snapshot. */
void xi_snapshot_publish(struct xi_spd *spd, struct xi_spd_snapshot *snap)
{
	struct xi_spd_snapshot *old = spd->snap;

	spd->unpublished = false;
	rcu_assign_pointer(spd->snap, snap);
	if (spd->sync)
		spd->sync(spd->sync_arg);
	xi_snapshot_free(old);
	xi_garbage_free(spd);
}

int xi_snapshot_prepare(struct xi_spd *spd, uint32_t generation, struct xi_spd_snapshot **snap)
{
	*snap = spd->held ? NULL : xi_snapshot_build(spd, generation);
	return *snap || spd->held ? 0 : -ENOMEM;
}

void xi_snapshot_commit(struct xi_spd *spd, struct xi_spd_snapshot *snap)
{
	spd->unpublished = true;
	if (snap)
		xi_snapshot_publish(spd, snap);
}

const struct xi_spd_snapshot *xi_spd_snapshot(const struct xi_spd *spd)
{
	return rcu_dereference(spd->snap);
}

static int addr_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct xi_addr));
}

bool xi_spd_is_local(const struct xi_spd_snapshot *snap, const uint8_t addr[16],
		     enum xi_family family)
{
	struct xi_addr key = { .family = family };

	memcpy(key.addr, addr, sizeof(key.addr));
	return snap->nlocal && bsearch(&key, snap->local, snap->nlocal, sizeof(key), addr_cmp);
}
