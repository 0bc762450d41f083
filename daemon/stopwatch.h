/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How long the parts of something took, for one line of the log. */
#ifndef XI_STOPWATCH_H
#define XI_STOPWATCH_H

#include <stdint.h>

struct xi_stopwatch {
	uint64_t from_us, lap_us;
	char parts[400];
	char text[440];              /* "12.3 ms: engine 1.0, ports 2.0"; what does not fit is left out */
};

uint64_t xi_stopwatch_now(void); /* monotonic, microseconds */
void xi_stopwatch_start(struct xi_stopwatch *watch);
/* A part ends, and the next begins. */
void xi_stopwatch_lap(struct xi_stopwatch *watch, const char *part);

#endif
