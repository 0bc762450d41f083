/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The capabilities that the daemon needs, see capabilities(7). */
#ifndef XI_CAPS_H
#define XI_CAPS_H

#include <stdint.h>

/*
 * 0; or -EPERM when one is missing from the set (bit n: capability n), each logged with what it is for.
 * memlock: how many bytes may be locked without CAP_IPC_LOCK.
 */
int xi_caps_check(uint64_t effective, uint64_t memlock);
/* The same for this process. */
int xi_caps_check_self(void);

#endif
