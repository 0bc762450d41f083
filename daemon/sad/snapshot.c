/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What workers read: made anew for each change, never changed. */
#include "sad/spd_priv.h"

#include <stdlib.h>
#include <string.h>

#include "sad/spd_index.h"

struct snapshot_mem {
	struct xi_spd_snapshot s;    /* first: freed as the whole */
	struct xi_addr *local;
	const struct xi_spd_policy **policies;
	struct xi_spd_index *index[XI_DIR_MAX];
};

void xi_snapshot_free(struct xi_spd_snapshot *snap)
{
	struct snapshot_mem *mem = (struct snapshot_mem *)snap;
	unsigned int dir;

	if (!mem)
		return;
	for (dir = 0; dir < XI_DIR_MAX; dir++)
		xi_spd_index_free(mem->index[dir]);
	free(mem->policies);
	free(mem->local);
	free(mem);
}

static int snapshot_fill(struct snapshot_mem *mem, const struct xi_spd *spd)
{
	const struct xi_spd_policy **next = mem->policies;
	unsigned int dir;
	uint32_t i;

	for (dir = 0; dir < XI_DIR_MAX; dir++) {
		const struct xi_spd_list *list = &spd->lists[dir];

		mem->s.policies[dir] = next;
		for (i = 0; i < list->n; i++)
			if (xi_policy_sees_flows(&list->nodes[i]->pub->p.policy))
				*next++ = &list->nodes[i]->pub->p;
		mem->s.n[dir] = next - mem->s.policies[dir];
		mem->s.default_action[dir] = spd->default_action[dir];
		if (xi_spd_index_build(&mem->index[dir], mem->s.policies[dir], mem->s.n[dir]))
			return -1;
		mem->s.index[dir] = mem->index[dir];
	}
	return 0;
}

struct xi_spd_snapshot *xi_snapshot_build(const struct xi_spd *spd, uint32_t generation)
{
	struct snapshot_mem *mem = calloc(1, sizeof(*mem));
	uint32_t n = spd->by_index.n;

	if (!mem)
		return NULL;
	mem->policies = calloc(n ? n : 1, sizeof(*mem->policies));
	mem->local = calloc(spd->nlocal ? spd->nlocal : 1, sizeof(*mem->local));
	if (!mem->policies || !mem->local || snapshot_fill(mem, spd)) {
		xi_snapshot_free(&mem->s);
		return NULL;
	}
	if (spd->nlocal)
		memcpy(mem->local, spd->local, spd->nlocal * sizeof(*mem->local));
	mem->s.local = mem->local;
	mem->s.nlocal = spd->nlocal;
	mem->s.generation = generation;
	mem->s.flow_mask = xi_spd_flow_mask(spd);
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

	rcu_assign_pointer(spd->snap, snap);
	if (spd->sync)
		spd->sync(spd->sync_arg);
	xi_snapshot_free(old);
	xi_garbage_free(spd);
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
