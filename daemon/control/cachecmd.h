/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * {"cmd": "cache"}: the SAs and flows that the fast path holds, and SAs that asked for a place in it. With "sa": "0x1001"
 * only the SAs of this SPI or handle, whether the fast path knows them or not.
 */
#ifndef XI_CONTROL_CACHECMD_H
#define XI_CONTROL_CACHECMD_H

#include "control/control.h"
#include "control/sources.h"

#define XI_CACHE_LIST_MAX 16384      /* of SAs and of flows; beyond: "truncated": true */

/* src must outlive ctl. As xi_control_register(). */
int xi_cachecmd_register(struct xi_control *ctl, const struct xi_control_sources *src);

#endif
