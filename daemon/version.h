/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef XI_VERSION_H
#define XI_VERSION_H

#define XI_VERSION "0.1.0"

#endif
