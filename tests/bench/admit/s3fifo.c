/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * S3-FIFO (Yang and others, SOSP 2023): newcomers wait in a small queue, a tenth of the capacity, and move on to the
 * main queue when they were used there; who leaves the small queue unused is remembered, and goes to the main queue
 * at once when it comes back. Uses are learnt of at the end of a queue, so the small one asks for two (the paper's
 * "more than one").
 */
#include "policies.h"

#define COUNT_MAX 3

enum { SMALL, MAIN, GHOST, LISTS };

struct s3fifo {
	struct xi_admit admit;
	struct xi_admit_list lists[LISTS];
};

static int s3fifo_init(struct xi_admit *admit)
{
	struct s3fifo *s = (struct s3fifo *)admit;
	int i;

	for (i = 0; i < LISTS; i++)
		s->lists[i] = XI_ADMIT_LIST;
	return 0;
}

static void s3fifo_remove(struct xi_admit *admit, uint32_t node)
{
	struct s3fifo *s = (struct s3fifo *)admit;

	xi_admit_unlink(admit, &s->lists[xi_admit_node(admit, node)->list], node);
}

static void s3fifo_move(struct s3fifo *s, uint32_t node, uint8_t to)
{
	s3fifo_remove(&s->admit, node);
	xi_admit_push(&s->admit, &s->lists[to], node);
	xi_admit_node(&s->admit, node)->list = to;
}

static void s3fifo_forget(struct s3fifo *s, uint32_t node)
{
	s3fifo_remove(&s->admit, node);
	xi_admit_del(&s->admit, node);
}

static void s3fifo_evict_small(struct s3fifo *s, uint32_t node, struct xi_admission *out)
{
	xi_admit_evict(&s->admit, node, out);
	if (s->lists[GHOST].len == s->admit.config.capacity)
		s3fifo_forget(s, s->lists[GHOST].tail);
	s3fifo_move(s, node, GHOST);
}

static void s3fifo_make_room(struct s3fifo *s, struct xi_admission *out)
{
	struct xi_admit *admit = &s->admit;
	uint32_t node, i;

	for (i = 0; i < XI_ADMIT_LOOKS; i++) {
		struct xi_admit_node *n;

		if (s->lists[SMALL].len * 10 > admit->config.capacity || !s->lists[MAIN].len) {
			node = s->lists[SMALL].tail;
			if (xi_admit_uses(admit, node) < 2) {
				s3fifo_evict_small(s, node, out);
				return;
			}
			s3fifo_move(s, node, MAIN);
			continue;
		}
		node = s->lists[MAIN].tail;
		n = xi_admit_node(admit, node);
		n->count = (uint8_t)XI_MIN(n->count + xi_admit_uses(admit, node), COUNT_MAX);
		if (!n->count)
			break;
		n->count--;
		s3fifo_move(s, node, MAIN);
	}
	node = s->lists[MAIN].tail;
	xi_admit_evict(admit, node, out);
	s3fifo_forget(s, node);
}

static void s3fifo_miss(struct xi_admit *admit, uint32_t node, uint32_t sa_index, uint32_t weight,
			struct xi_admission *out)
{
	struct s3fifo *s = (struct s3fifo *)admit;
	bool known = node != XI_ADMIT_NONE;

	if (known)
		s3fifo_forget(s, node);
	if (admit->resident == admit->config.capacity)
		s3fifo_make_room(s, out);
	node = xi_admit_add(admit, sa_index);
	xi_admit_node(admit, node)->list = known ? MAIN : SMALL;
	xi_admit_push(admit, &s->lists[known ? MAIN : SMALL], node);
	xi_admit_admit(admit, node);
}

const struct xi_admit_ops xi_admit_s3fifo = {
	.name = "s3fifo",
	.size = sizeof(struct s3fifo),
	.nodes_per_sa = 2,
	.init = s3fifo_init,
	.miss = s3fifo_miss,
	.remove = s3fifo_remove,
};
