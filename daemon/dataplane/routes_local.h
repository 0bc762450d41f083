/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The host's own addresses beside the source selectors of policies. */
#ifndef XI_ROUTES_LOCAL_H
#define XI_ROUTES_LOCAL_H

#include "dataplane/routes_plan.h"

struct xi_source;

struct xi_locals {
	struct xi_addr *addrs;       /* in order; none of loopback, none of link-local scope in IPv6 */
	uint32_t n;
	struct xi_source *sources;   /* prefixes that policies have, and how many */
	uint32_t by_len[2][129];     /* of sources, by family and length */
};

void xi_prefix_set(struct xi_prefix *prefix, const uint8_t addr[16], enum xi_family family,
		   uint32_t plen);
static inline uint32_t xi_family_row(enum xi_family family)
{
	return family == XI_IPV6;
}
static inline uint32_t xi_family_bits(enum xi_family family)
{
	return family == XI_IPV6 ? 128 : 32;
}

int xi_locals_set(struct xi_locals *locals, const struct xi_addr *addrs, uint32_t n);
void xi_locals_free(struct xi_locals *locals);
/* The lowest within a prefix; NULL: none. */
const struct xi_addr *xi_locals_in(const struct xi_locals *locals, const struct xi_prefix *prefix);

/* One more policy with this source, one less. *changed is set when it is the first or the last. 0 or -ENOMEM. */
int xi_source_add(struct xi_locals *locals, const struct xi_prefix *prefix, bool *changed);
void xi_source_drop(struct xi_locals *locals, const struct xi_prefix *prefix, bool *changed);
/* Is the address in some policy's source? */
bool xi_source_covers(const struct xi_locals *locals, const struct xi_addr *addr);

#endif
