/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * {"cmd": "show"}: daemon and ports, SAs, policies. "next" is null, or what to send as "from" for
 * the next page of SAs and policies.
 */
#ifndef XI_CONTROL_SHOW_H
#define XI_CONTROL_SHOW_H

#include "control/control.h"
#include "control/sources.h"

#define XI_SHOW_PAGE 4096            /* SAs, and policies, a reply */

/* src must outlive ctl. As xi_control_register(). */
int xi_show_register(struct xi_control *ctl, const struct xi_control_sources *src);

#endif
