/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "localaddrs.h"

#include <stdbool.h>
#include <string.h>

#include <bpf/bpf.h>

#include "log.h"

static bool localaddrs_has(const struct xi_addr *addrs, uint32_t n, const struct xi_addr *addr)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (!memcmp(&addrs[i], addr, sizeof(*addr)))
			return true;
	return false;
}

void xi_localaddrs_set(int map_fd, const struct xi_addr *addrs, uint32_t n)
{
	const uint32_t one = 1;
	struct xi_addr key, next;
	uint32_t i;
	int more;

	for (i = 0; i < n; i++)
		if (bpf_map_update_elem(map_fd, &addrs[i], &one, BPF_ANY))
			log_warn("local_addrs: cannot insert an address");
	more = !bpf_map_get_next_key(map_fd, NULL, &key);
	while (more) {
		more = !bpf_map_get_next_key(map_fd, &key, &next);
		if (!localaddrs_has(addrs, n, &key))
			bpf_map_delete_elem(map_fd, &key);
		key = next;
	}
}
