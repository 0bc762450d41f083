/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Commands of xipsec(8). Each gets its own arguments, argv[0] being its name, and returns the exit
 * status.
 */
#ifndef XI_CLI_H
#define XI_CLI_H

#include <stdbool.h>

struct cli {
	const char *run_dir;
	const char *pin_dir;
};

#define CLI_OK 0
#define CLI_FAILED 1
#define CLI_USAGE 2

/* `show`, `stats`, `cache`, `port` */
bool cli_is_view(const char *cmd);
int cli_view(const struct cli *cli, int argc, char **argv);
int cli_dummy(const struct cli *cli, int argc, char **argv);
int cli_down(const struct cli *cli, int argc, char **argv);
/* The system's `ip xfrm`, run against the daemon of this network namespace. */
int cli_xfrm(int argc, char **argv);
/* Any program, likewise. The daemon may come later. */
int cli_run(int argc, char **argv);

#endif
