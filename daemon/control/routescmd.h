/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* "routes": those into xipsec0 that follow from policies. */
#ifndef XI_ROUTESCMD_H
#define XI_ROUTESCMD_H

#include "control/control.h"
#include "control/sources.h"

/*
 * {"table": number or null, "priority", "via", "thrown", "waiting", "changes", "refused", "restored": numbers, "busy": boolean,
 * "routes": [{"dst": prefix, "type": "xipsec0", "throw" or "waiting", "src": address or null}], "next": null, or what goes into
 * "from" of the next request}
 */
int xi_routescmd_register(struct xi_control *ctl, const struct xi_control_sources *src);

#endif
