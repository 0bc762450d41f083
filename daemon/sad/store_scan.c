/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/store_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

/* Elements a call. The kernel hands out whole buckets, and in none that it makes are that many. */
#define SCAN_BATCH 1024

struct chunk {
	char *keys, *values;
	uint32_t n;
	uint32_t at;                 /* bucket in which the next call goes on */
};

static int chunk_read(struct chunk *c, int fd, bool first, bool *last)
{
	uint32_t next = 0;
	int err;

	c->n = SCAN_BATCH;
	err = bpf_map_lookup_batch(fd, first ? NULL : &c->at, &next, c->keys, c->values, &c->n,
				   NULL);
	*last = err == -ENOENT;
	c->at = next;
	return *last ? 0 : err;
}

static int chunk_visit(const struct chunk *c, const struct xi_scan *scan)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < c->n && !err; i++)
		err = scan->visit(scan->arg, c->keys + (size_t)i * scan->key_size,
				  c->values + (size_t)i * scan->value_size);
	return err;
}

/* The kernel writes elements of the map's sizes, whatever room was made for them. */
static int scan_check(const struct xi_scan *scan)
{
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);

	if (bpf_obj_get_info_by_fd(scan->fd, &info, &len))
		return -errno;
	return info.key_size == scan->key_size && info.value_size == scan->value_size ? 0 : -EINVAL;
}

int xi_scan_map(const struct xi_scan *scan)
{
	struct chunk c = {
		.keys = calloc(SCAN_BATCH, scan->key_size),
		.values = calloc(SCAN_BATCH, scan->value_size),
	};
	bool first = true, last = false;
	int err = c.keys && c.values ? scan_check(scan) : -ENOMEM;

	while (!err && !last) {
		err = chunk_read(&c, scan->fd, first, &last);
		if (!err)
			err = chunk_visit(&c, scan);
		first = false;
	}
	if (c.values)
		explicit_bzero(c.values, (size_t)SCAN_BATCH * scan->value_size);
	free(c.values);
	free(c.keys);
	return err;
}
