/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * {"cmd": "dummy", "spi": "0x1001", "dst": "192.0.2.2", "count": 1, "size": 100}: dummy packets
 * (RFC 4303 section 2.6) on an outbound SA of ESP. All but spi may be left out: dst where one SA
 * alone has that SPI; count is 1 then, and size random. For root.
 */
#ifndef XI_CONTROL_DUMMYCMD_H
#define XI_CONTROL_DUMMYCMD_H

#include "control/control.h"
#include "control/sources.h"

/* src must outlive ctl. As xi_control_register_admin(). */
int xi_dummycmd_register(struct xi_control *ctl, const struct xi_control_sources *src);

#endif
