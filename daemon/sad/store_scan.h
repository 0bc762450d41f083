/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reading whole hash maps, as adoption at start does: many elements a system call (Linux 5.6). */
#ifndef XI_STORE_SCAN_H
#define XI_STORE_SCAN_H

#include <stdint.h>

struct xi_scan {
	int fd;                      /* of a hash map that nobody changes meanwhile */
	uint32_t key_size, value_size; /* -EINVAL: not those of the map */
	/* A nonzero return ends the scan and is returned. key and value are wiped after the scan. */
	int (*visit)(void *arg, const void *key, const void *value);
	void *arg;
};

/* Every element once, in no order. 0, what visit returned, or -errno. */
int xi_scan_map(const struct xi_scan *scan);

#endif
