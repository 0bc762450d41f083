/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finding and running programs against the server: the system's ip, the preload library, the
 * server itself.
 */
#ifndef XI_PROGRAM_H
#define XI_PROGRAM_H

#include <limits.h>
#include <stddef.h>

#define XI_PRELOAD_ENV "XIPSEC_PRELOAD"
#define XI_PRELOAD_NAME "libxipsec-xfrm.so"

/*
 * Path of the preload library: $XIPSEC_PRELOAD, beside this executable, ../lib/xipsec/,
 * /usr/lib/xipsec/. -ENOENT.
 */
int xi_find_preload(char path[PATH_MAX]);
/* Path of iproute2's ip: /sbin, /usr/sbin, /bin, /usr/bin, then $PATH. -ENOENT. */
int xi_find_ip(char path[PATH_MAX]);
/*
 * Asks the server of this network namespace for a sign of life. name NULL: as the preload
 * library looks for it. -ECONNREFUSED: none listens; -EPERM: it does not serve this user, or is
 * not one to trust; -ETIMEDOUT: silent.
 */
int xi_xfrm_probe(const char *name);

#endif
