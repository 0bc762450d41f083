/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "control/client.h"
#include "dataplane/down.h"
#include "log.h"

static int down_by_daemon(const json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (!error)
		return CLI_OK;
	fprintf(stderr, "xipsec: down: %s\n", error);
	return CLI_FAILED;
}

static int down_from_here(const struct cli *cli)
{
	int err;

	log_init(0);
	err = xi_down(cli->pin_dir);
	if (!err)
		return CLI_OK;
	fprintf(stderr, "xipsec: down: %s: %s%s\n", cli->pin_dir, strerror(-err),
		err == -EPERM || err == -EACCES ? ": run this as root" : "");
	return CLI_FAILED;
}

int cli_down(const struct cli *cli, int argc, char **argv)
{
	json_t *reply;
	int err, status;

	if (argc > 1) {
		fputs("usage: xipsec down\n", stderr);
		return CLI_USAGE;
	}
	err = xi_control_call(cli->run_dir, "down", &reply);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return down_from_here(cli);
	if (err) {
		xi_control_explain(stderr, cli->run_dir, err);
		return CLI_FAILED;
	}
	status = down_by_daemon(reply);
	json_decref(reply);
	return status;
}
