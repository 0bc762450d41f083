/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The start-up protocol of sd_notify(3): datagrams to $NOTIFY_SOCKET. */
#ifndef XI_NOTIFY_H
#define XI_NOTIFY_H

#include "log.h"

/*
 * Sends assignments such as "READY=1\nSTATUS=2 ports, 4 workers". 0 (also when nobody asked: no
 * NOTIFY_SOCKET) or -errno.
 */
int xi_notify(const char *fmt, ...) XI_PRINTF(1, 2);

#endif
