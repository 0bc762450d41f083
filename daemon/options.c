/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "options.h"

#include <getopt.h>
#include <stdio.h>

#include "config.h"
#include "version.h"

static const char usage[] =
	"usage: xipsecd [-nvV] [-c FILE] [--run-dir DIR] [--pin-dir DIR] [--fence-down]\n"
	"  -c, --config FILE  configuration (default " XI_CONFIG_PATH ")\n"
	"  -n, --check        check the configuration and exit: 0 good, 1 not for this host as it is, 2 bad\n"
	"      --run-dir DIR  instead of run-dir of the configuration\n"
	"      --pin-dir DIR  instead of pin-dir of the configuration\n"
	"      --fence-down   set back the sysctls that a mirroring daemon left when it was killed, and exit\n"
	"  -v, --verbose      log more\n"
	"  -V, --version      print the version\n"
	"  -h, --help         print this\n";

enum { OPT_RUN_DIR = 256, OPT_PIN_DIR, OPT_FENCE_DOWN };

static const struct option longopts[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, 'n' },
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "pin-dir", required_argument, NULL, OPT_PIN_DIR },
	{ "fence-down", no_argument, NULL, OPT_FENCE_DOWN },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

enum xi_options_result xi_options_parse(struct xi_options *options, int argc, char **argv)
{
	int c;

	*options = (struct xi_options){ .config = XI_CONFIG_PATH };
	optind = 0; /* glibc: start afresh */
	while ((c = getopt_long(argc, argv, "c:nvVh", longopts, NULL)) != -1) {
		switch (c) {
		case 'c':
			options->config = optarg;
			break;
		case 'n':
			options->check = true;
			break;
		case 'v':
			options->verbose++;
			break;
		case OPT_RUN_DIR:
			options->run_dir = optarg;
			break;
		case OPT_PIN_DIR:
			options->pin_dir = optarg;
			break;
		case OPT_FENCE_DOWN:
			options->fence_down = true;
			break;
		case 'V':
			printf("xipsecd %s\n", XI_VERSION);
			return XI_OPTIONS_DONE;
		case 'h':
			fputs(usage, stdout);
			return XI_OPTIONS_DONE;
		default:
			fputs(usage, stderr);
			return XI_OPTIONS_BAD;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "xipsecd: %s: unexpected argument: a file is named with -c\n%s",
			argv[optind], usage);
		return XI_OPTIONS_BAD;
	}
	return XI_OPTIONS_RUN;
}
