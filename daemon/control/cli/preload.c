/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cli/preload.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/program.h"

int cli_daemon_check(char *text, int size)
{
	int err = xi_xfrm_probe(NULL);

	if (err == -ECONNREFUSED)
		snprintf(text, size, "%s",
			 "xipsecd is not running in this network namespace: start it with xipsecd -c FILE");
	else if (err == -EPERM)
		snprintf(text, size, "%s",
			 "xipsecd does not serve this user, for keys would be seen: run this as root");
	else if (err == -ETIMEDOUT)
		snprintf(text, size, "%s", "xipsecd does not answer: see its log");
	else if (err)
		snprintf(text, size, "cannot reach xipsecd: %s", strerror(-err));
	return err;
}

/* ld.so parts them by colons and spaces. */
static int is_first(const char *list, const char *path)
{
	size_t n = strlen(path);

	return list && !strncmp(list, path, n) && strchr(": ", list[n]);
}

int cli_preload_set(void)
{
	const char *given = secure_getenv(XI_PRELOAD_ENV);
	const char *already = getenv("LD_PRELOAD");
	char path[PATH_MAX];
	char *value;
	int rc;

	if (xi_find_preload(path)) {
		if (given && *given)
			fprintf(stderr, "%s: the library that " XI_PRELOAD_ENV
				" names cannot be read: correct or unset it\n", given);
		else
			fputs(XI_PRELOAD_NAME " not found: reinstall xipsec, or set " XI_PRELOAD_ENV
					      " to its path\n",
			      stderr);
		return -1;
	}
	if (strpbrk(path, ": ")) {
		fprintf(stderr, "%s: LD_PRELOAD takes no path with a colon or a space: move it\n",
			path);
		return -1;
	}
	if (is_first(already, path))
		return 0;
	if (asprintf(&value, "%s%s%s", path, already && *already ? ":" : "",
		     already ? already : "") < 0)
		return -1;
	rc = setenv("LD_PRELOAD", value, 1);
	free(value);
	return rc;
}
