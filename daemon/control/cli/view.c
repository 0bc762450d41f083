/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "control/client.h"
#include "control/print.h"

static const struct {
	const char *cmd;
	void (*print)(FILE *out, const json_t *reply);
} views[] = {
	{ "show", xi_print_show },
	{ "stats", xi_print_stats },
	{ "cache", xi_print_cache },
};

static int flush_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return CLI_OK;
	fprintf(stderr, "xipsec: cannot write the output: %s\n", strerror(errno));
	return CLI_FAILED;
}

static int view(const struct cli *cli, size_t which, bool json)
{
	const char *error;
	json_t *reply;
	int err = xi_control_call(cli->run_dir, views[which].cmd, &reply);

	if (err) {
		xi_control_explain(stderr, cli->run_dir, err);
		return CLI_FAILED;
	}
	error = json_string_value(json_object_get(reply, "error"));
	if (error) {
		fprintf(stderr, "xipsec: %s: %s\n", views[which].cmd, error);
		json_decref(reply);
		return CLI_FAILED;
	}
	if (json) {
		json_dumpf(reply, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		views[which].print(stdout, reply);
	}
	json_decref(reply);
	return flush_output();
}

int cli_view(const struct cli *cli, int argc, char **argv)
{
	bool json = argc == 2 && (!strcmp(argv[1], "-j") || !strcmp(argv[1], "--json"));

	if (argc > 1 && !json) {
		fprintf(stderr, "usage: xipsec %s [-j]\n", argv[0]);
		return CLI_USAGE;
	}
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (!strcmp(views[i].cmd, argv[0]))
			return view(cli, i, json);
	return CLI_USAGE;
}
