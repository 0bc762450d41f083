/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "cache/masks.h"

#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <xipsec/flow_key.h>

#include "log.h"
#include "sad/flowmask.h"

_Static_assert(XI_FLOW_MASKS <= 32, "rows fit one word");

static struct xi_flow_mask row_get(const struct xi_masks_table *table, uint32_t i)
{
	uint64_t word = __atomic_load_n(&table->rows[i], __ATOMIC_RELAXED);
	struct xi_flow_mask mask;

	memcpy(&mask, &word, sizeof(mask));
	return mask;
}

static void row_set(struct xi_masks_table *table, uint32_t i, const struct xi_flow_mask *mask)
{
	uint64_t word;

	memcpy(&word, mask, sizeof(word));
	__atomic_store_n(&table->rows[i], word, __ATOMIC_RELAXED);
}

static void rows_end(struct xi_masks_table *table, uint32_t n)
{
	__atomic_store_n(&table->n, n, __ATOMIC_RELEASE);
}

static bool mask_equal(const struct xi_flow_mask *a, const struct xi_flow_mask *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static int table_store(const struct xi_masks *masks, uint32_t table)
{
	const struct xi_masks_table *t = &masks->tables[table];
	struct xi_flow_masks value = {.n = t->n};
	uint32_t i;

	for (i = 0; i < t->n; i++)
		value.rows[i] = row_get(t, i);
	if (bpf_map_update_elem(masks->fd, &table, &value, BPF_ANY)) {
		log_warn("flow_masks: cannot write");
		return -errno;
	}
	return 0;
}

int xi_masks_open(struct xi_masks *masks, int fd)
{
	struct xi_flow_masks value;
	uint32_t table, i;
	int err;

	memset(masks, 0, sizeof(*masks));
	masks->fd = fd;
	for (table = 0; table < XI_FLOW_TABLES; table++) {
		struct xi_masks_table *t = &masks->tables[table];
		const struct xi_flow_mask whole =
			xi_flow_mask_whole(table & 1 ? XI_IPV6 : XI_IPV4);

		if (bpf_map_lookup_elem(fd, &table, &value))
			return -errno;
		if (!value.n || value.n > XI_FLOW_MASKS ||
		    !mask_equal(&value.rows[value.n - 1], &whole)) {
			value.n = 1;
			value.rows[0] = whole;
		}
		for (i = 0; i < value.n; i++)
			row_set(t, i, &value.rows[i]);
		rows_end(t, value.n);
		err = table_store(masks, table);
		if (err)
			return err;
	}
	return 0;
}

bool xi_masks_row(const struct xi_masks *masks, uint32_t table, uint32_t i,
		  struct xi_flow_mask *row)
{
	const struct xi_masks_table *t = &masks->tables[table];

	if (i >= __atomic_load_n(&t->n, __ATOMIC_ACQUIRE))
		return false;
	*row = row_get(t, i);
	return true;
}

struct xi_flow_mask xi_masks_find(const struct xi_masks *masks, uint32_t table,
				  const struct xi_flow_mask *want)
{
	struct xi_flow_mask best = xi_flow_mask_whole(table & 1 ? XI_IPV6 : XI_IPV4), row;
	uint32_t i;

	for (i = 0; xi_masks_row(masks, table, i, &row); i++)
		if (xi_flowmask_covers(&row, want) &&
		    xi_flowmask_bits(&row) < xi_flowmask_bits(&best))
			best = row;
	return best;
}

/* If it is not there yet. Coarse ones first: they have the most flows. The last row stays the last. */
static void row_insert(struct xi_masks_table *t, const struct xi_flow_mask *mask)
{
	struct xi_flow_mask row;
	uint32_t i;

	for (i = 0; i < t->n; i++) {
		row = row_get(t, i);
		if (mask_equal(&row, mask))
			return;
	}
	row = row_get(t, t->n - 1);
	row_set(t, t->n, &row);
	rows_end(t, t->n + 1);
	for (i = t->n - 2; i > 0; i--) {
		row = row_get(t, i - 1);
		if (xi_flowmask_bits(&row) <= xi_flowmask_bits(mask))
			break;
		row_set(t, i, &row);
	}
	row_set(t, i, mask);
}

static void row_remove(struct xi_masks_table *t, uint32_t at)
{
	struct xi_flow_mask row;
	uint32_t i;

	for (i = at; i + 1 < t->n; i++) {
		row = row_get(t, i + 1);
		row_set(t, i, &row);
	}
	rows_end(t, t->n - 1);
}

/* How many bits more two masks' elements get by being joined. */
static unsigned int join_cost(const struct xi_flow_mask *a, const struct xi_flow_mask *b)
{
	const struct xi_flow_mask joined = xi_flowmask_join(a, b);

	return 2 * xi_flowmask_bits(&joined) - xi_flowmask_bits(a) - xi_flowmask_bits(b);
}

/*
 * The cheapest two of a full table's masks and the one wanted become one. The last row takes no
 * part: joined with it, a mask would be lost.
 */
static void table_join(struct xi_masks_table *t, const struct xi_flow_mask *want)
{
	struct xi_flow_mask all[XI_FLOW_MASKS];
	uint32_t n = t->n, i, j, a = 0, b = 1;
	unsigned int cost, least = ~0U;
	struct xi_flow_mask joined;

	for (i = 0; i + 1 < n; i++)
		all[i] = row_get(t, i);
	all[n - 1] = *want;
	for (i = 0; i < n; i++) {
		for (j = i + 1; j < n; j++) {
			cost = join_cost(&all[i], &all[j]);
			if (cost < least) {
				least = cost;
				a = i;
				b = j;
			}
		}
	}
	joined = xi_flowmask_join(&all[a], &all[b]);
	if (b < n - 1) {
		row_remove(t, b);
		row_remove(t, a);
		row_insert(t, want);
	} else {
		row_remove(t, a);
	}
	row_insert(t, &joined);
}

bool xi_masks_full(const struct xi_masks *masks, uint32_t table, const struct xi_flow_mask *want)
{
	struct xi_flow_mask near = xi_masks_find(masks, table, want);

	return masks->tables[table].n == XI_FLOW_MASKS && !mask_equal(&near, want);
}

struct xi_flow_mask xi_masks_get(struct xi_masks *masks, uint32_t table,
				 const struct xi_flow_mask *want)
{
	struct xi_masks_table *t = &masks->tables[table];
	struct xi_flow_mask found = xi_masks_find(masks, table, want), last;

	if (mask_equal(&found, want))
		return found;
	if (t->n < XI_FLOW_MASKS) {
		row_insert(t, want);
	} else {
		t->joined = true;
		last = row_get(t, t->n - 1);
		if (!mask_equal(&found, &last))
			return found;
		table_join(t, want);
	}
	table_store(masks, table);
	return xi_masks_find(masks, table, want);
}

void xi_masks_keep(struct xi_masks *masks, uint32_t table, uint32_t used)
{
	struct xi_masks_table *t = &masks->tables[table];
	uint32_t i, n = t->n;

	for (i = n - 1; i-- > 0;)
		if (!(used & 1U << i))
			row_remove(t, i);
	if (t->n == 1)
		t->joined = false;
	if (t->n != n)
		table_store(masks, table);
}
