/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Command line of xipsecd(8). */
#ifndef XI_OPTIONS_H
#define XI_OPTIONS_H

#include <stdbool.h>

struct xi_options {
	const char *config;          /* never NULL */
	const char *run_dir;         /* NULL: as configured */
	const char *pin_dir;
	bool check;                  /* -n: check the configuration and exit */
	bool fence_down;             /* what systemd runs after any end of a daemon; fence.h */
	int verbose;
};

enum xi_options_result {
	XI_OPTIONS_RUN,
	XI_OPTIONS_DONE,             /* help or version was printed: exit 0 */
	XI_OPTIONS_BAD,              /* said on stderr: exit 2 */
};

/* Strings point into argv. */
enum xi_options_result xi_options_parse(struct xi_options *options, int argc, char **argv);

#endif
