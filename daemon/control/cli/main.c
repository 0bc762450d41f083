/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/cli/cli.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "version.h"

static const char usage[] =
	"usage: xipsec [--run-dir DIR] [--pin-dir DIR] COMMAND ...\n"
	"  show [-j]         daemon, SAs and policies, with traffic and what is in the cache\n"
	"  stats [-j]        how packets ended: drops and events, by reason\n"
	"  cache [-j] [SPI|HANDLE]\n"
	"                    SAs and flows that the fast path holds, or what it makes of this SA, and why\n"
	"  port [-j] [NAME]  all ports, or this one: how packets leave by it, and why so\n"
	"  routes [-j]       routes into xipsec0 that policies ask for\n"
	"  dummy [-n COUNT] [-s SIZE] SPI [DST]\n"
	"                    send ESP dummy packets on an outbound SA\n"
	"  xfrm ...          ip xfrm against the daemon of this network namespace: xfrm state list\n"
	"  run [--] CMD ...  any program that speaks XFRM netlink, as an IKE daemon, likewise\n"
	"  down              end the daemon and remove programs, maps and xipsec0\n"
	"  help              print this, as COMMAND --help does\n"
	"-j prints JSON. See xipsec(8).\n";

enum { OPT_RUN_DIR = 256, OPT_PIN_DIR };

static const struct option longopts[] = {
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "pin-dir", required_argument, NULL, OPT_PIN_DIR },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static bool wants_help(int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		return true;
	return !strcmp(argv[0], "help");
}

static int run_command(const struct cli *cli, int argc, char **argv)
{
	if (wants_help(argc, argv)) {
		fputs(usage, stdout);
		return CLI_OK;
	}
	if (cli_is_view(argv[0]))
		return cli_view(cli, argc, argv);
	if (!strcmp(argv[0], "down"))
		return cli_down(cli, argc, argv);
	if (!strcmp(argv[0], "dummy"))
		return cli_dummy(cli, argc, argv);
	if (!strcmp(argv[0], "xfrm"))
		return cli_xfrm(argc, argv);
	if (!strcmp(argv[0], "run"))
		return cli_run(argc, argv);
	fprintf(stderr, "xipsec: %s: unknown command: see `xipsec help`\n", argv[0]);
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	const char *run_dir = getenv("XIPSEC_RUN_DIR");
	struct cli cli = {
		.run_dir = run_dir && *run_dir ? run_dir : XI_RUN_DIR,
		.pin_dir = XI_PIN_DIR,
	};
	int c;

	while ((c = getopt_long(argc, argv, "+Vh", longopts, NULL)) != -1) {
		switch (c) {
		case OPT_RUN_DIR:
			cli.run_dir = optarg;
			break;
		case OPT_PIN_DIR:
			cli.pin_dir = optarg;
			break;
		case 'V':
			printf("xipsec %s\n", XI_VERSION);
			return CLI_OK;
		case 'h':
			fputs(usage, stdout);
			return CLI_OK;
		default:
			fputs(usage, stderr);
			return CLI_USAGE;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return CLI_USAGE;
	}
	return run_command(&cli, argc - optind, argv + optind);
}
