/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/admit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cache/admit_priv.h"

#define CAPACITY_MAX (1U << 24)

/* The default first. */
static const struct xi_admit_ops *const policies[] = { &xi_admit_rate, &xi_admit_lru };
#define NPOLICIES (sizeof(policies) / sizeof(policies[0]))

int xi_admit_random(void *to, size_t len)
{
	ssize_t n = getrandom(to, len, 0);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int table_init(struct xi_admit_table *table, uint32_t n)
{
	unsigned int bits = 4;
	uint32_t i;

	while (1U << bits < n)
		bits++;
	table->shift = 64 - bits;
	table->n = n;
	table->nodes = calloc(n, sizeof(*table->nodes));
	table->buckets = malloc(sizeof(*table->buckets) << bits);
	if (!table->nodes || !table->buckets)
		return -ENOMEM;
	memset(table->buckets, 0xff, sizeof(*table->buckets) << bits);
	for (i = 0; i < n; i++)
		table->nodes[i].chain = i + 1 < n ? i + 1 : XI_ADMIT_NONE;
	return xi_admit_random(table->seed, sizeof(table->seed));
}

static uint32_t admit_find(const struct xi_admit *admit, uint32_t sa_index)
{
	const struct xi_admit_table *t = &admit->table;
	uint32_t node = t->buckets[xi_admit_hash(t->seed, sa_index, t->shift)];

	while (node != XI_ADMIT_NONE && t->nodes[node].sa_index != sa_index)
		node = t->nodes[node].chain;
	return node;
}

uint32_t xi_admit_add(struct xi_admit *admit, uint32_t sa_index)
{
	struct xi_admit_table *t = &admit->table;
	uint32_t node = t->free, *head = &t->buckets[xi_admit_hash(t->seed, sa_index, t->shift)];

	t->free = t->nodes[node].chain;
	t->nodes[node] = (struct xi_admit_node){ .sa_index = sa_index, .chain = *head };
	*head = node;
	return node;
}

void xi_admit_del(struct xi_admit *admit, uint32_t node)
{
	struct xi_admit_table *t = &admit->table;
	uint32_t *link = &t->buckets[xi_admit_hash(t->seed, t->nodes[node].sa_index, t->shift)];

	while (*link != node)
		link = &t->nodes[*link].chain;
	*link = t->nodes[node].chain;
	t->nodes[node].chain = t->free;
	t->free = node;
}

void xi_admit_push(struct xi_admit *admit, struct xi_admit_list *list, uint32_t node)
{
	struct xi_admit_node *nodes = admit->table.nodes;

	nodes[node].prev = XI_ADMIT_NONE;
	nodes[node].next = list->head;
	if (list->head == XI_ADMIT_NONE)
		list->tail = node;
	else
		nodes[list->head].prev = node;
	list->head = node;
	list->len++;
}

void xi_admit_unlink(struct xi_admit *admit, struct xi_admit_list *list, uint32_t node)
{
	struct xi_admit_node *nodes = admit->table.nodes;

	if (nodes[node].prev == XI_ADMIT_NONE)
		list->head = nodes[node].next;
	else
		nodes[nodes[node].prev].next = nodes[node].next;
	if (nodes[node].next == XI_ADMIT_NONE)
		list->tail = nodes[node].prev;
	else
		nodes[nodes[node].next].prev = nodes[node].prev;
	list->len--;
}

int xi_admit_create_ops(struct xi_admit **out, const struct xi_admit_config *config,
			const struct xi_admit_ops *ops)
{
	struct xi_admit *admit;
	int err;

	if (!config->capacity || !config->uses)
		return -EINVAL;
	if (config->capacity > CAPACITY_MAX)
		return -ENOMEM;
	admit = calloc(1, ops->size);
	if (!admit)
		return -ENOMEM;
	admit->ops = ops;
	admit->config = *config;
	err = table_init(&admit->table, config->capacity * ops->nodes_per_sa);
	if (!err)
		err = ops->init(admit);
	if (err) {
		xi_admit_destroy(admit);
		return err;
	}
	*out = admit;
	return 0;
}

int xi_admit_create(struct xi_admit **out, const struct xi_admit_config *config)
{
	size_t i;

	for (i = 0; i < NPOLICIES; i++)
		if (!config->policy || !strcmp(config->policy, policies[i]->name))
			return xi_admit_create_ops(out, config, policies[i]);
	return -EINVAL;
}

void xi_admit_destroy(struct xi_admit *admit)
{
	if (!admit)
		return;
	if (admit->ops->fini)
		admit->ops->fini(admit);
	free(admit->table.nodes);
	free(admit->table.buckets);
	free(admit);
}

const char *const *xi_admit_policies(void)
{
	static const char *names[NPOLICIES + 1];
	size_t i;

	for (i = 0; i < NPOLICIES; i++)
		names[i] = policies[i]->name;
	return names;
}

void xi_admit_miss(struct xi_admit *admit, uint32_t sa_index, uint32_t weight,
		   struct xi_admission *out)
{
	uint32_t node = admit_find(admit, sa_index);

	*out = (struct xi_admission){ .verdict = XI_ADMIT_FREE };
	if (node != XI_ADMIT_NONE && admit->table.nodes[node].resident)
		return;
	admit->ops->miss(admit, node, sa_index, weight ? weight : 1, out);
}

void xi_admit_remove(struct xi_admit *admit, uint32_t sa_index)
{
	uint32_t node = admit_find(admit, sa_index);

	if (node == XI_ADMIT_NONE)
		return;
	if (admit->table.nodes[node].resident)
		admit->resident--;
	if (admit->ops->remove)
		admit->ops->remove(admit, node);
	xi_admit_del(admit, node);
}

uint32_t xi_admit_resident(const struct xi_admit *admit)
{
	return admit->resident;
}
