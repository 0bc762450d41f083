/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/routes_local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "sad/selector.h"

struct xi_source {
	struct xi_prefix prefix;
	uint32_t policies;
	UT_hash_handle hh;
};

void xi_prefix_set(struct xi_prefix *prefix, const uint8_t addr[16], enum xi_family family,
		   uint32_t plen)
{
	uint32_t whole = plen / 8;

	memset(prefix, 0, sizeof(*prefix));
	prefix->family = family;
	prefix->plen = plen;
	memcpy(prefix->addr, addr, whole);
	if (plen % 8)
		prefix->addr[whole] = addr[whole] & (uint8_t)(0xff00 >> plen % 8);
}

static int locals_cmp(const void *a, const void *b)
{
	const struct xi_addr *x = a, *y = b;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	return memcmp(x->addr, y->addr, sizeof(x->addr));
}

/* Packets from such an address do not leave the link. */
static bool local_stays(const struct xi_addr *addr)
{
	static const uint8_t loopback[16] = { [15] = 1 };

	if (addr->family == XI_IPV4)
		return addr->addr[0] == 127;
	return !memcmp(addr->addr, loopback, 16) ||
	       (addr->addr[0] == 0xfe && (addr->addr[1] & 0xc0) == 0x80);
}

int xi_locals_set(struct xi_locals *locals, const struct xi_addr *addrs, uint32_t n)
{
	struct xi_addr *copy = calloc(n ? n : 1, sizeof(*copy));
	uint32_t i, kept = 0;

	if (!copy)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		if (!local_stays(&addrs[i]))
			copy[kept++] = addrs[i];
	qsort(copy, kept, sizeof(*copy), locals_cmp);
	free(locals->addrs);
	locals->addrs = copy;
	locals->n = kept;
	return 0;
}

void xi_locals_free(struct xi_locals *locals)
{
	struct xi_source *source, *next;

	HASH_ITER(hh, locals->sources, source, next) {
		HASH_DEL(locals->sources, source);
		free(source);
	}
	free(locals->addrs);
	*locals = (struct xi_locals){ 0 };
}

const struct xi_addr *xi_locals_in(const struct xi_locals *locals, const struct xi_prefix *prefix)
{
	struct xi_addr from = { .family = prefix->family };
	uint32_t low = 0, high = locals->n, mid;

	memcpy(from.addr, prefix->addr, sizeof(from.addr));
	while (low < high) {
		mid = low + (high - low) / 2;
		if (locals_cmp(&locals->addrs[mid], &from) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == locals->n || locals->addrs[low].family != prefix->family ||
	    !xi_prefix_equal(locals->addrs[low].addr, prefix->addr, prefix->plen))
		return NULL;
	return &locals->addrs[low];
}

int xi_source_add(struct xi_locals *locals, const struct xi_prefix *prefix, bool *changed)
{
	struct xi_source *source;

	HASH_FIND(hh, locals->sources, prefix, sizeof(*prefix), source);
	if (!source) {
		source = calloc(1, sizeof(*source));
		if (!source)
			return -ENOMEM;
		source->prefix = *prefix;
		HASH_ADD(hh, locals->sources, prefix, sizeof(source->prefix), source);
		if (!source->hh.tbl) {
			free(source);
			return -ENOMEM;
		}
		locals->by_len[xi_family_row(prefix->family)][prefix->plen]++;
		*changed = true;
	}
	source->policies++;
	return 0;
}

void xi_source_drop(struct xi_locals *locals, const struct xi_prefix *prefix, bool *changed)
{
	struct xi_source *source;

	HASH_FIND(hh, locals->sources, prefix, sizeof(*prefix), source);
	if (!source || --source->policies)
		return;
	HASH_DEL(locals->sources, source);
	free(source);
	locals->by_len[xi_family_row(prefix->family)][prefix->plen]--;
	*changed = true;
}

bool xi_source_covers(const struct xi_locals *locals, const struct xi_addr *addr)
{
	const uint32_t *by_len = locals->by_len[xi_family_row(addr->family)];
	struct xi_source *source;
	struct xi_prefix prefix;
	uint32_t plen;

	for (plen = 0; plen <= xi_family_bits(addr->family); plen++) {
		if (!by_len[plen])
			continue;
		xi_prefix_set(&prefix, addr->addr, addr->family, plen);
		HASH_FIND(hh, locals->sources, &prefix, sizeof(prefix), source);
		if (source)
			return true;
	}
	return false;
}
