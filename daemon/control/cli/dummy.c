/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/client.h"
#include "control/print.h"

static int usage(void)
{
	fputs("usage: xipsec dummy [-n COUNT] [-s SIZE] SPI [DST]\n", stderr);
	return CLI_USAGE;
}

/* The daemon judges what the numbers may be. False: it is none. */
static bool put_number(json_t *req, const char *name, const char *text)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(text, &end, 10);
	return end != text && !*end && !errno && !json_object_set_new(req, name, json_integer(n));
}

/* {"cmd": "dummy", ...}, or NULL: misused. */
static json_t *request_make(int argc, char **argv)
{
	json_t *req = json_pack("{s:s}", "cmd", "dummy");
	bool good = true;
	int c;

	optind = 0; /* main() has used getopt for its own options */
	while (good && (c = getopt(argc, argv, "+n:s:")) != -1)
		good = c == 'n'	  ? put_number(req, "count", optarg)
		       : c == 's' ? put_number(req, "size", optarg)
				  : false;
	good = good && (argc - optind == 1 || argc - optind == 2);
	if (good)
		good = !json_object_set_new(req, "spi", json_string(argv[optind]));
	if (good && argc - optind == 2)
		good = !json_object_set_new(req, "dst", json_string(argv[optind + 1]));
	if (good)
		return req;
	json_decref(req);
	return NULL;
}

static int report(const json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));
	const char *why = json_string_value(json_object_get(reply, "why"));

	if (error) {
		fprintf(stderr, "xipsec: dummy: %s\n", error);
		return CLI_FAILED;
	}
	printf("%lld of %lld dummy packets sent on SA %s to %s\n",
	       json_integer_value(json_object_get(reply, "sent")),
	       json_integer_value(json_object_get(reply, "asked")), xi_member_string(reply, "spi"),
	       xi_member_string(reply, "dst"));
	if (!why)
		return CLI_OK;
	fprintf(stderr, "xipsec: dummy: %s\n", why);
	return CLI_FAILED;
}

int cli_dummy(const struct cli *cli, int argc, char **argv)
{
	json_t *req = request_make(argc, argv), *reply;
	int err, status = CLI_FAILED;

	if (!req)
		return usage();
	err = xi_control_request(cli->run_dir, req, &reply);
	json_decref(req);
	if (err == -EACCES) {
		fputs("xipsec: dummy: permission denied: this command is for root\n", stderr);
		return status;
	}
	if (err) {
		xi_control_explain(stderr, cli->run_dir, err);
		return status;
	}
	status = report(reply);
	json_decref(reply);
	return status;
}
