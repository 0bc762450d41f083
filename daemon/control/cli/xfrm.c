/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `xipsec xfrm ...` is the system's `ip xfrm ...`, and `xipsec run CMD` is CMD, with the preload
 * library in front. */
#include "control/cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/program.h"

static int daemon_check(void)
{
	int err = xi_xfrm_probe(NULL);

	if (!err)
		return 0;
	if (err == -ECONNREFUSED)
		fputs("xipsecd is not running in this network namespace: start it with xipsecd -c "
		      "FILE\n",
		      stderr);
	else if (err == -EPERM)
		fputs("xipsecd does not serve this user, for keys would be seen: run this as "
		      "root\n",
		      stderr);
	else if (err == -ETIMEDOUT)
		fputs("xipsecd does not answer: see its log\n", stderr);
	else
		fprintf(stderr, "cannot reach xipsecd: %s\n", strerror(-err));
	return -1;
}

/* In front of what is preloaded already. */
static int preload_set(void)
{
	const char *already = getenv("LD_PRELOAD");
	char path[PATH_MAX];
	char *value;

	if (xi_find_preload(path)) {
		fputs(XI_PRELOAD_NAME " not found: reinstall xipsec, or set " XI_PRELOAD_ENV
				      " to its path\n",
		      stderr);
		return -1;
	}
	if (asprintf(&value, "%s%s%s", path, already && *already ? ":" : "",
		     already ? already : "") < 0)
		return -1;
	setenv("LD_PRELOAD", value, 1);
	free(value);
	return 0;
}

static int exec_preloaded(const char *program, char **argv)
{
	if (daemon_check() || preload_set())
		return 1;
	fflush(NULL);
	execvp(program, argv);
	fprintf(stderr, "%s: %s\n", program, strerror(errno));
	return 1;
}

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

int cli_xfrm(int argc, char **argv)
{
	char **args = ip_arguments(argc, argv);
	char ip[PATH_MAX];
	int status = 1;

	if (!args)
		return 1;
	if (xi_find_ip(ip))
		fputs("no ip program found: install iproute2\n", stderr);
	else
		status = exec_preloaded(ip, args);
	free(args);
	return status;
}

int cli_run(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: xipsec run COMMAND [ARGUMENT ...]\n", stderr);
		return 2;
	}
	return exec_preloaded(argv[1], argv + 1);
}
