/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The baseline: who was not used for the longest time goes, and every newcomer gets in. Uses are learnt of when an SA
 * has come to the end of the list: one that was used begins anew. After XI_ADMIT_LOOKS of those the next goes unasked.
 */
#include "cache/admit_priv.h"

struct lru {
	struct xi_admit admit;
	struct xi_admit_list list;
};

static int lru_init(struct xi_admit *admit)
{
	((struct lru *)admit)->list = XI_ADMIT_LIST;
	return 0;
}

static void lru_remove(struct xi_admit *admit, uint32_t node)
{
	xi_admit_unlink(admit, &((struct lru *)admit)->list, node);
}

static void lru_make_room(struct lru *lru, struct xi_admission *out)
{
	struct xi_admit *admit = &lru->admit;
	uint32_t node, i;

	for (i = 0; i < XI_ADMIT_LOOKS; i++) {
		node = lru->list.tail;
		if (!xi_admit_uses(admit, node))
			break;
		xi_admit_unlink(admit, &lru->list, node);
		xi_admit_push(admit, &lru->list, node);
	}
	node = lru->list.tail;
	xi_admit_evict(admit, node, out);
	xi_admit_unlink(admit, &lru->list, node);
	xi_admit_del(admit, node);
}

static void lru_miss(struct xi_admit *admit, uint32_t node, uint32_t sa_index, uint32_t weight,
		     struct xi_admission *out)
{
	struct lru *lru = (struct lru *)admit;

	if (admit->resident == admit->config.capacity)
		lru_make_room(lru, out);
	node = xi_admit_add(admit, sa_index);
	xi_admit_push(admit, &lru->list, node);
	xi_admit_admit(admit, node);
}

const struct xi_admit_ops xi_admit_lru = {
	.name = "lru",
	.size = sizeof(struct lru),
	.nodes_per_sa = 1,
	.init = lru_init,
	.miss = lru_miss,
	.remove = lru_remove,
};
