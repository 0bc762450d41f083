/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* {"cmd": "port"}: the ports, how packets leave by each, and why in this way. */
#ifndef XI_CONTROL_PORTCMD_H
#define XI_CONTROL_PORTCMD_H

#include "control/control.h"
#include "control/sources.h"

/* src must outlive ctl. As xi_control_register(). */
int xi_portcmd_register(struct xi_control *ctl, const struct xi_control_sources *src);

/* What a port is: name, role, how it is attached, its device. A new reference. */
json_t *xi_port_json(const struct xi_port_dev *port);

#endif
