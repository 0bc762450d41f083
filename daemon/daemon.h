/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process: makes every part, connects them, and takes them down in the right order. */
#ifndef XI_DAEMON_H
#define XI_DAEMON_H

#include "config.h"

/* Runs until SIGTERM or SIGINT, or until `xipsec down`. Exit status of the process. */
int xi_daemon_run(const struct xi_config_file *config);

#endif
