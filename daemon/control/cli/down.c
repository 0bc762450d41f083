/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "control/client.h"
#include "dataplane/down.h"
#include "fence.h"
#include "log.h"
#include "source/program.h"

/* The daemon holds this lock until everything is taken down. */
static int down_wait(const struct cli *cli)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/lock", cli->run_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? CLI_OK : CLI_FAILED;
	while (flock(fd, LOCK_SH) && errno == EINTR)
		;
	close(fd);
	return CLI_OK;
}

static int down_by_daemon(const struct cli *cli, const json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (!error)
		return down_wait(cli);
	fprintf(stderr, "xipsec: down: %s\n", error);
	return CLI_FAILED;
}

/*
 * Without a daemon. One that runs with another run directory would go on as if its ports were
 * guarded, while what it protects leaves in clear.
 */
static int down_from_here(const struct cli *cli)
{
	bool pinned = !access(cli->pin_dir, F_OK) || errno != ENOENT;
	int err;

	if (xi_xfrm_probe(NULL) != -ECONNREFUSED) {
		fprintf(stderr,
			"xipsec: down: no daemon answers at %s, and one serves this network namespace: name its run directory with --run-dir\n",
			cli->run_dir);
		return CLI_FAILED;
	}
	log_init(0);
	if (!pinned)
		log_warnx("%s: nothing is pinned here; where pin-dir is configured, give --pin-dir",
			  cli->pin_dir);
	xi_fence_down(cli->pin_dir);
	err = xi_down(cli->pin_dir);
	if (!err)
		return pinned ? CLI_OK : CLI_FAILED;
	fprintf(stderr, "xipsec: down: %s: %s%s\n", cli->pin_dir, strerror(-err),
		err == -EPERM || err == -EACCES ? ": run this as root" : "");
	return CLI_FAILED;
}

int cli_down(const struct cli *cli, int argc, char **argv)
{
	json_t *reply;
	int err, status;

	if (argc > 1) {
		fputs("usage: xipsec [--run-dir DIR] [--pin-dir DIR] down\n", stderr);
		return CLI_USAGE;
	}
	err = xi_control_call(cli->run_dir, "down", &reply);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return down_from_here(cli);
	if (err == -EACCES) {
		fputs("xipsec: down: permission denied: this command is for root\n", stderr);
		return CLI_FAILED;
	}
	if (err) {
		xi_control_explain(stderr, cli->run_dir, err);
		return CLI_FAILED;
	}
	status = down_by_daemon(cli, reply);
	json_decref(reply);
	return status;
}
