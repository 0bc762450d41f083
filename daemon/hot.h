/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which SAs an earlier daemon's packets were using: those in the tables of the fast path. */
#ifndef XI_HOT_H
#define XI_HOT_H

#include <stdint.h>

#define XI_HOT_MAX 16384

/* Each handle once, at most XI_HOT_MAX of them; *handles is the caller's to free. 0 or -errno. */
int xi_hot_handles(int sa_cache_fd, int flow_cache_fd, uint32_t **handles, unsigned int *n);

#endif
