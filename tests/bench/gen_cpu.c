/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "gen_cpu.h"

#include <errno.h>
#include <glob.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* in it a generator of 5 Mpps fills the receive ring of a gateway (XI_XSK_RING) */
#define HOLD_US 200
#define HOLD_SETTLE_MS 20

void gen_sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* Nanoseconds on a CPU, softirq work in the thread's system calls included; -1: cannot tell. */
static double thread_ns(const char *path)
{
	unsigned long long ns;
	FILE *f = fopen(path, "re");
	int n;

	if (!f)
		return -1;
	n = fscanf(f, "%llu", &ns);
	fclose(f);
	return n == 1 ? (double)ns : -1;
}

static double process_ns(const char *pid)
{
	char pattern[64];
	double sum = -1;
	glob_t tasks;

	snprintf(pattern, sizeof(pattern), "/proc/%s/task/*/schedstat", pid);
	if (glob(pattern, 0, NULL, &tasks))
		return -1;
	for (size_t i = 0; i < tasks.gl_pathc; i++) {
		double ns = thread_ns(tasks.gl_pathv[i]);

		/* a thread may have ended since it was listed */
		if (ns >= 0)
			sum = (sum < 0 ? 0 : sum) + ns;
	}
	globfree(&tasks);
	return sum;
}

double gen_cpu_seconds(const char *threads)
{
	char list[256], path[300], *save = NULL;
	double sum = 0;

	if (!threads || !*threads || strlen(threads) >= sizeof(list))
		return -1;
	strcpy(list, threads);
	for (char *id = strtok_r(list, ",", &save); id; id = strtok_r(NULL, ",", &save)) {
		double ns;

		snprintf(path, sizeof(path), "/proc/%s/schedstat", id);
		ns = *id == 'p' ? process_ns(id + 1) : thread_ns(path);
		if (ns < 0)
			return -1;
		sum += ns;
	}
	return sum / 1e9;
}

/* Takes its CPU from everybody else for half of the time. */
static void hold_cpu(int cpu, atomic_ulong *turns)
{
	const struct sched_param param = { .sched_priority = 1 };
	double next = now();
	cpu_set_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, SCHED_FIFO, &param))
		_exit(1);
	for (;; (*turns)++) {
		struct timespec ts;
		double end = next + HOLD_US / 1e6;

		while (now() < end)
			;
		next = end + HOLD_US / 1e6;
		ts.tv_sec = next;
		ts.tv_nsec = (next - ts.tv_sec) * 1e9;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	}
}

int gen_hold_begin(struct gen_hold *hold, int cpu)
{
	hold->turns = mmap(NULL, sizeof(*hold->turns), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (hold->turns == MAP_FAILED)
		return -errno;
	hold->pid = fork();
	if (!hold->pid)
		hold_cpu(cpu, hold->turns);
	if (hold->pid < 0)
		return -errno;
	gen_sleep_ms(HOLD_SETTLE_MS);
	hold->before = *hold->turns;
	return 0;
}

double gen_hold_end(struct gen_hold *hold, double seconds)
{
	double held = (*hold->turns - hold->before) * 2 * HOLD_US / 1e6 / seconds;

	kill(hold->pid, SIGKILL);
	waitpid(hold->pid, NULL, 0);
	munmap(hold->turns, sizeof(*hold->turns));
	return held;
}
