/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CPU time of a gateway's threads, and a CPU taken from them for half of the time. */
#ifndef XI_BENCH_GEN_CPU_H
#define XI_BENCH_GEN_CPU_H

#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

struct gen_hold {
	atomic_ulong *turns;
	unsigned long before;
	pid_t pid;
};

/*
 * CPU seconds so far of threads: their ids, or pPID for all threads of a process, with commas between; softirq work
 * in their system calls included. -1: cannot tell.
 */
double gen_cpu_seconds(const char *threads);

/* Takes a CPU from everybody else for half of the time, in turns of 200 us, until gen_hold_end(). 0 or -errno. */
int gen_hold_begin(struct gen_hold *hold, int cpu);
/* Of what it should have held in these seconds since it began. */
double gen_hold_end(struct gen_hold *hold, double seconds);

void gen_sleep_ms(long ms);

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

#endif
