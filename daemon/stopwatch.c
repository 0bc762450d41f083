/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "stopwatch.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t xi_stopwatch_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void xi_stopwatch_start(struct xi_stopwatch *watch)
{
	memset(watch, 0, sizeof(*watch));
	watch->from_us = watch->lap_us = xi_stopwatch_now();
}

void xi_stopwatch_lap(struct xi_stopwatch *watch, const char *part)
{
	size_t len = strlen(watch->parts);
	uint64_t now = xi_stopwatch_now();

	snprintf(watch->parts + len, sizeof(watch->parts) - len, "%s%s %.1f", len ? ", " : "", part,
		 (now - watch->lap_us) / 1e3);
	snprintf(watch->text, sizeof(watch->text), "%.1f ms: %s", (now - watch->from_us) / 1e3,
		 watch->parts);
	watch->lap_us = now;
}
