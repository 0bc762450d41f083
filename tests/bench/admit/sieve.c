/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SIEVE (Zhang and others, NSDI 2024): a queue in order of arrival, through which a hand goes from the oldest to the
 * newest; who was used since it last came by stays where it is. After XI_ADMIT_LOOKS of those the newcomer is refused.
 */
#include "policies.h"

struct sieve {
	struct xi_admit admit;
	struct xi_admit_list list;
	uint32_t hand;
};

static int sieve_init(struct xi_admit *admit)
{
	struct sieve *s = (struct sieve *)admit;

	s->list = XI_ADMIT_LIST;
	s->hand = XI_ADMIT_NONE;
	return 0;
}

static void sieve_remove(struct xi_admit *admit, uint32_t node)
{
	struct sieve *s = (struct sieve *)admit;

	if (s->hand == node)
		s->hand = xi_admit_node(admit, node)->prev;
	xi_admit_unlink(admit, &s->list, node);
}

static void sieve_miss(struct xi_admit *admit, uint32_t node, uint32_t sa_index, uint32_t weight,
		       struct xi_admission *out)
{
	struct sieve *s = (struct sieve *)admit;
	uint32_t i;

	if (admit->resident == admit->config.capacity) {
		for (i = 0; i < XI_ADMIT_LOOKS; i++) {
			node = s->hand == XI_ADMIT_NONE ? s->list.tail : s->hand;
			s->hand = node;
			if (!xi_admit_uses(admit, node))
				break;
			s->hand = xi_admit_node(admit, node)->prev;
		}
		if (i == XI_ADMIT_LOOKS) {
			out->verdict = XI_ADMIT_REFUSED;
			return;
		}
		xi_admit_evict(admit, node, out);
		sieve_remove(admit, node);
		xi_admit_del(admit, node);
	}
	node = xi_admit_add(admit, sa_index);
	xi_admit_push(admit, &s->list, node);
	xi_admit_admit(admit, node);
}

const struct xi_admit_ops xi_admit_sieve = {
	.name = "sieve",
	.size = sizeof(struct sieve),
	.nodes_per_sa = 1,
	.init = sieve_init,
	.miss = sieve_miss,
	.remove = sieve_remove,
};
