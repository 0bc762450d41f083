/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xipsec xfrm ...` is the system's `ip xfrm ...` with the preload library in front. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/cli/preload.h"
#include "source/program.h"

/* Options right behind `xfrm` are ip's own (-s, -d, -4, -6, -o ...), which ip wants in front of it.
 */
static char **ip_arguments(int argc, char **argv)
{
	char **args = calloc(argc + 2, sizeof(*args));
	int at = 0, next = 1;

	if (!args)
		return NULL;
	args[at++] = (char *)"ip";
	while (next < argc && argv[next][0] == '-')
		args[at++] = argv[next++];
	args[at++] = (char *)"xfrm";
	while (next < argc)
		args[at++] = argv[next++];
	return args;
}

static void exec_ip(const char *ip, char **args)
{
	char text[128];

	if (cli_daemon_check(text, sizeof(text))) {
		fprintf(stderr, "%s\n", text);
		return;
	}
	if (cli_preload_set())
		return;
	fflush(NULL);
	execv(ip, args);
	fprintf(stderr, "%s: %s\n", ip, strerror(errno));
}

int cli_xfrm(int argc, char **argv)
{
	char **args = ip_arguments(argc, argv);
	char ip[PATH_MAX];

	if (!args)
		return CLI_FAILED;
	if (xi_find_ip(ip))
		fputs("no ip program found: install iproute2\n", stderr);
	else
		exec_ip(ip, args);
	free(args);
	return CLI_FAILED;
}
