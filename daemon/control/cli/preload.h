/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Putting the preload library in front of a program, for the commands that run one. */
#ifndef XI_CLI_PRELOAD_H
#define XI_CLI_PRELOAD_H

/*
 * Will the daemon of this network namespace serve us? 0, or as xi_xfrm_probe(), with text saying
 * it and what to do.
 */
int cli_daemon_check(char *text, int size);
/* LD_PRELOAD with the library, in front of what is in it already. 0, or -1 after a message. */
int cli_preload_set(void);

#endif
