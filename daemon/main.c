/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdbool.h>
#include <stdio.h>

#include "check.h"
#include "config.h"
#include "daemon.h"
#include "fence.h"
#include "log.h"
#include "options.h"
#include "source/batch.h"

/* The file of SAs is part of the configuration: it is read before anything is done, too. */
static bool sas_good(const struct xi_config_file *config)
{
	char why[512];

	if (!config->sas || !xi_batch_check(config->sas, why, sizeof(why)))
		return true;
	log_warnx("%s", why);
	return false;
}

/* The file is good; what it names may not be there. */
static int check(const struct xi_config_file *config, const char *path)
{
	if (xi_check_host(config, path))
		return 1;
	printf("%s: configuration is good\n", path);
	return 0;
}

int main(int argc, char **argv)
{
	struct xi_config_file *config;
	struct xi_options options;
	int status = 0;

	switch (xi_options_parse(&options, argc, argv)) {
	case XI_OPTIONS_DONE:
		return 0;
	case XI_OPTIONS_BAD:
		return 2;
	case XI_OPTIONS_RUN:
		break;
	}
	log_init(options.verbose);
	if (xi_config_load(&config, options.config)) {
		if (options.fence_down)
			xi_fence_down(options.pin_dir ? options.pin_dir : XI_PIN_DIR);
		return 2;
	}
	if (xi_config_override(config, options.run_dir, options.pin_dir))
		status = 2;
	else if (options.fence_down)
		xi_fence_down(config->pin_dir);
	else if (!sas_good(config))
		status = 2;
	else if (options.check)
		status = check(config, options.config);
	else
		status = xi_daemon_run(config);
	xi_config_free(config);
	return status;
}
