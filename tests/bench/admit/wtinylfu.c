/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * W-TinyLFU (Einziger, Friedman and Manes, 2017): newcomers enter a window of a hundredth of the capacity. Who leaves
 * it contends with the oldest on probation of a segmented LRU, four fifths of which are protected, by how often each
 * was used of late as a sketch tells, which is halved every ten times the capacity. Uses of residents reach the sketch
 * when they are asked for.
 */
#include "cache/admit_sketch.h"
#include "policies.h"

enum { WINDOW, PROBATION, PROTECTED, LISTS };

struct wtinylfu {
	struct xi_admit admit;
	struct xi_admit_list lists[LISTS];
	struct xi_sketch sketch;
	uint32_t window, protected;  /* lengths, at most */
	uint64_t sample;
};

static int wtinylfu_init(struct xi_admit *admit)
{
	struct wtinylfu *w = (struct wtinylfu *)admit;
	uint32_t capacity = admit->config.capacity;
	int i;

	for (i = 0; i < LISTS; i++)
		w->lists[i] = XI_ADMIT_LIST;
	w->window = XI_MAX(capacity / 100, 1U);
	w->protected = (uint32_t)((uint64_t)(capacity - w->window) * 4 / 5);
	return xi_sketch_init(&w->sketch, 4 * (uint64_t)capacity);
}

static void wtinylfu_fini(struct xi_admit *admit)
{
	xi_sketch_fini(&((struct wtinylfu *)admit)->sketch);
}

static void wtinylfu_learn(struct wtinylfu *w, uint32_t sa_index, uint32_t n)
{
	xi_sketch_add(&w->sketch, sa_index, n);
	w->sample += XI_MIN(n, 15U);
	if (w->sample < 10 * (uint64_t)w->admit.config.capacity)
		return;
	w->sample = 0;
	xi_sketch_age(&w->sketch);
}

static bool wtinylfu_used(struct wtinylfu *w, uint32_t node)
{
	uint32_t uses = xi_admit_uses(&w->admit, node);

	if (uses)
		wtinylfu_learn(w, xi_admit_node(&w->admit, node)->sa_index, uses);
	return uses;
}

static void wtinylfu_remove(struct xi_admit *admit, uint32_t node)
{
	struct wtinylfu *w = (struct wtinylfu *)admit;

	xi_admit_unlink(admit, &w->lists[xi_admit_node(admit, node)->list], node);
}

static void wtinylfu_move(struct wtinylfu *w, uint32_t node, uint8_t to)
{
	wtinylfu_remove(&w->admit, node);
	xi_admit_push(&w->admit, &w->lists[to], node);
	xi_admit_node(&w->admit, node)->list = to;
}

/* The oldest that was not used; those that were go where they belong. *looks is what is left of them. */
static uint32_t wtinylfu_oldest(struct wtinylfu *w, uint32_t *looks)
{
	uint32_t node;

	while (*looks && w->lists[PROBATION].len) {
		node = w->lists[PROBATION].tail;
		--*looks;
		if (!wtinylfu_used(w, node))
			return node;
		wtinylfu_move(w, node, PROTECTED);
		while (*looks && w->lists[PROTECTED].len > w->protected) {
			node = w->lists[PROTECTED].tail;
			--*looks;
			wtinylfu_move(w, node, wtinylfu_used(w, node) ? PROTECTED : PROBATION);
		}
		if (w->lists[PROTECTED].len > w->protected)
			wtinylfu_move(w, w->lists[PROTECTED].tail, PROBATION);
	}
	return w->lists[PROBATION].len ? w->lists[PROBATION].tail : w->lists[WINDOW].tail;
}

static void wtinylfu_make_room(struct wtinylfu *w, struct xi_admission *out)
{
	struct xi_admit *admit = &w->admit;
	uint32_t looks = XI_ADMIT_LOOKS, candidate = w->lists[WINDOW].tail, victim;

	if (candidate == XI_ADMIT_NONE || w->lists[WINDOW].len < w->window) {
		victim = wtinylfu_oldest(w, &looks);
	} else {
		wtinylfu_used(w, candidate);
		victim = w->lists[PROBATION].len ? wtinylfu_oldest(w, &looks) : candidate;
		if (victim != candidate &&
		    xi_sketch_get(&w->sketch, xi_admit_node(admit, candidate)->sa_index) >
			    xi_sketch_get(&w->sketch, xi_admit_node(admit, victim)->sa_index))
			wtinylfu_move(w, candidate, PROBATION);
		else
			victim = candidate;
	}
	xi_admit_evict(admit, victim, out);
	wtinylfu_remove(admit, victim);
	xi_admit_del(admit, victim);
}

static void wtinylfu_miss(struct xi_admit *admit, uint32_t node, uint32_t sa_index, uint32_t weight,
			  struct xi_admission *out)
{
	struct wtinylfu *w = (struct wtinylfu *)admit;

	wtinylfu_learn(w, sa_index, weight);
	if (admit->resident == admit->config.capacity)
		wtinylfu_make_room(w, out);
	else if (w->lists[WINDOW].len >= w->window)
		wtinylfu_move(w, w->lists[WINDOW].tail, PROBATION);
	node = xi_admit_add(admit, sa_index);
	xi_admit_node(admit, node)->list = WINDOW;
	xi_admit_push(admit, &w->lists[WINDOW], node);
	xi_admit_admit(admit, node);
}

const struct xi_admit_ops xi_admit_wtinylfu = {
	.name = "w-tinylfu",
	.size = sizeof(struct wtinylfu),
	.nodes_per_sa = 1,
	.init = wtinylfu_init,
	.fini = wtinylfu_fini,
	.miss = wtinylfu_miss,
	.remove = wtinylfu_remove,
};
