/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capabilities (capabilities(7)) that the daemon cannot do without. */
#ifndef XI_CAPS_H
#define XI_CAPS_H

/* 0, or -EPERM when one is missing; each missing one is logged, with what it is for and the remedy. */
int xi_caps_check(void);

#endif
