/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a good configuration asks for and this host may not have: devices, groups, a CPU for the engine, a bpf file
 * system for pins, ESP for the mirror. Changes nothing and needs no rights.
 */
#ifndef XI_CHECK_H
#define XI_CHECK_H

#include "config.h"

/*
 * Each thing is logged with `name`, the file's, and its line. What keeps a start from succeeding is an error; what the
 * daemon does without is a warning. 0, or -errno of the first error.
 */
int xi_check_host(const struct xi_config_file *config, const char *name);

#endif
