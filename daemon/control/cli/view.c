/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cli/cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/client.h"
#include "control/print.h"

/* Leaves one port of the reply. Nonzero: there is none of this name, and that was said. */
static int select_port(json_t *reply, const char *name)
{
	json_t *ports = json_object_get(reply, "ports"), *port;
	size_t i;

	json_array_foreach(ports, i, port) {
		if (strcmp(xi_member_string(port, "name"), name))
			continue;
		json_object_set_new(reply, "ports", json_pack("[O]", port));
		return CLI_OK;
	}
	fprintf(stderr, "xipsec: port: %s: no port of this name: there are", name);
	json_array_foreach(ports, i, port)
		fprintf(stderr, "%s %s", i ? "," : "", xi_member_string(port, "name"));
	fputc('\n', stderr);
	return CLI_FAILED;
}

static const struct view {
	const char *cmd;
	void (*print)(FILE *out, const json_t *reply);
	const char *takes;           /* usage of an argument; NULL: takes none */
	int (*select)(json_t *reply, const char *name); /* the argument is chosen of the reply, */
	const char *member;          /* or sent, under this name */
} views[] = {
	{ "show", xi_print_show, NULL, NULL, NULL },
	{ "stats", xi_print_stats, NULL, NULL, NULL },
	{ "cache", xi_print_cache, "SPI|HANDLE", NULL, "sa" },
	{ "port", xi_print_port, "NAME", select_port, NULL },
	{ "routes", xi_print_routes, NULL, NULL, NULL },
};

static const struct view *find_view(const char *cmd)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (!strcmp(views[i].cmd, cmd))
			return &views[i];
	return NULL;
}

static int flush_output(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return CLI_OK;
	fprintf(stderr, "xipsec: cannot write the output: %s\n", strerror(errno));
	return CLI_FAILED;
}

static int print_reply(const struct view *view, json_t *reply, bool json, const char *name)
{
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (error) {
		fprintf(stderr, "xipsec: %s: %s\n", view->cmd, error);
		return CLI_FAILED;
	}
	if (name && view->select && view->select(reply, name))
		return CLI_FAILED;
	if (json) {
		json_dumpf(reply, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		view->print(stdout, reply);
	}
	return flush_output();
}

static int ask(const struct cli *cli, const struct view *view, const char *name, json_t **reply)
{
	json_t *req;
	int err;

	if (!name || !view->member)
		return xi_control_call(cli->run_dir, view->cmd, reply);
	req = json_pack("{s:s s:s}", "cmd", view->cmd, view->member, name);
	err = req ? xi_control_request(cli->run_dir, req, reply) : -EINVAL;
	json_decref(req);
	return err;
}

static int show_view(const struct cli *cli, const struct view *view, bool json, const char *name)
{
	json_t *reply;
	int status, err = ask(cli, view, name, &reply);

	if (err) {
		xi_control_explain(stderr, cli->run_dir, err);
		return CLI_FAILED;
	}
	status = print_reply(view, reply, json, name);
	json_decref(reply);
	return status;
}

bool cli_is_view(const char *cmd)
{
	return find_view(cmd) != NULL;
}

int cli_view(const struct cli *cli, int argc, char **argv)
{
	const struct view *view = find_view(argv[0]);
	const char *name = NULL;
	bool json = false;

	for (int i = 1; i < argc; i++) {
		if (!json && (!strcmp(argv[i], "-j") || !strcmp(argv[i], "--json"))) {
			json = true;
		} else if (view->takes && !name && argv[i][0] != '-') {
			name = argv[i];
		} else {
			fprintf(stderr, "usage: xipsec %s [-j]%s%s%s\n", argv[0],
				view->takes ? " [" : "", view->takes ? view->takes : "",
				view->takes ? "]" : "");
			return CLI_USAGE;
		}
	}
	return show_view(cli, view, json, name);
}
