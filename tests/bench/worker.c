/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a worker does with a packet between the AF_XDP receive ring and the transmit ring, by phase.
 *
 *   worker [-d out|in] [-l BYTES] [-s SAS] [-n SLOTS] [-o ORDER] [-f FRAMES] [-r ROUNDS] [-e ENGINE]
 *          [-c CPU[,CPU]]
 *
 * BYTES of the inner packet; FRAMES of 4096 bytes, gone through once a round; without -d, -l or -s
 * a table of both directions, 64 and 1408 bytes, 1 and 1000 SAs. SAD, SPD, context slots and next
 * hops are the daemon's own (the latter in a network namespace, so root), the transmit path only
 * writes descriptors down. Before each round the frames are written as XDP and the kernel would, by
 * a second thread on the second CPU of -c (0,1), so that their lines come from another core; with
 * one CPU, by the worker itself.
 *
 * ORDER is that in which packets are of SAs: turn, hot (64 of them at random), zipf (exponent 0.99),
 * uniform; without -o turn, with more than 1024 SAs each of the others. The SLOTS (1024) most popular
 * SAs have context slots, packets of the others go by the SLOW method; "slow" is their share. Traffic of
 * any order but turn repeats itself after SEQUENCE packets.
 *
 * Printed: nanoseconds a packet, minimum over all rounds and (median).
 *   take      metadata read, packet put into its batch
 *   prepare   SA, next hop, headers, jobs
 *   crypto    the engine
 *   finish    status, replay, policy, transmit ring
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker_bed.h"

#define SAS_MAX 1048575
#define SLOTS 1024

enum phase { TAKE, PREPARE, CRYPTO, FINISH, ALL, PHASES };

static uint64_t crypto_from, crypto_to;

/* What one reading of the clock costs, to be taken off each phase. */
static double clock_cost(void)
{
	uint64_t from, took, best = UINT64_MAX;
	int i, k;

	for (i = 0; i < 1000; i++) {
		from = clock_ns();
		for (k = 0; k < 15; k++)
			clock_ns();
		took = clock_ns() - from;
		if (took < best)
			best = took;
	}
	return best / 16.0;
}

static void timed_seal(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	crypto_from = clock_ns();
	real_engine->seal(c, jobs, n);
	crypto_to = clock_ns();
}

static void timed_open(struct xi_crypto *c, struct xi_aead_job *jobs, unsigned int n)
{
	crypto_from = clock_ns();
	real_engine->open(c, jobs, n);
	crypto_to = clock_ns();
}

static void cpu_set(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu >= 0 && sched_setaffinity(0, sizeof(set), &set))
		die("cannot run on CPU %d", cpu);
}

static void *filler_main(void *arg)
{
	unsigned int round;

	cpu_set(bed.opt.cpus[1]);
	for (round = 1; round <= bed.opt.rounds; round++) {
		worker_frames_fill(round);
		atomic_store(&bed.filled, round);
		while (atomic_load(&bed.drained) < round)
			sched_yield();
	}
	return NULL;
}

/* The same packets come again: forget that they came. */
static void windows_reset(void)
{
	uint32_t i;

	for (i = 0; i < bed.ntemplates; i++) {
		uint32_t slot = XI_SA_SLOT(bed.handles[bed.sa_of[i]]);

		bed.store.states[slot].top = 0;
		memset(bed.store.states[slot].words, 0, sizeof(bed.store.states[slot].words));
	}
}

/* As worker_receive() does it. */
static void batch_run(unsigned int round, uint32_t first, uint64_t ns[PHASES])
{
	struct xi_worker *w = bed.w;
	uint64_t addr = (uint64_t)first * XI_FRAME_SIZE + XDP_ROOM;
	uint64_t from, taken, to;
	uint32_t i, lens[XI_BATCH];

	for (i = 0; i < XI_BATCH; i++)
		lens[i] = worker_template((round - 1) * bed.opt.frames + first + i)->len;
	from = clock_ns();
	for (i = 0; i < XI_BATCH; i++)
		xi_batch_prefetch(w, addr + i * XI_FRAME_SIZE);
	for (i = 0; i < XI_BATCH; i++)
		xi_batch_take(w, addr + i * XI_FRAME_SIZE, lens[i]);
	xi_batch_prefetch_contexts(w);
	taken = clock_ns();
	if (w->nin)
		xi_batch_in(w);
	if (w->nout)
		xi_batch_out(w);
	to = clock_ns();
	ns[TAKE] += taken - from;
	ns[PREPARE] += crypto_from - taken;
	ns[CRYPTO] += crypto_to - crypto_from;
	ns[FINISH] += to - crypto_to;
}

static void round_run(unsigned int round, double clock, double ns[PHASES])
{
	uint64_t sums[PHASES] = { 0 };
	uint32_t first, p;

	bed.nsent = 0;
	if (bed.opt.in && !((round - 1) * bed.opt.frames % bed.ntemplates))
		windows_reset();
	if (bed.opt.cpus[1] < 0)
		worker_frames_fill(round);
	while (bed.opt.cpus[1] >= 0 && atomic_load(&bed.filled) < round)
		sched_yield();
	for (first = 0; first < bed.opt.frames; first += XI_BATCH)
		batch_run(round, first, sums);
	atomic_store(&bed.drained, round);
	if (bed.nsent != bed.opt.frames)
		die("%u of %u packets came through", bed.nsent, bed.opt.frames);
	ns[ALL] = 0;
	for (p = 0; p < ALL; p++) {
		ns[p] = (double)sums[p] / bed.opt.frames - clock / XI_BATCH;
		ns[ALL] += ns[p];
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void report(double (*ns)[PHASES])
{
	double *column = calloc(bed.opt.rounds, sizeof(*column));
	uint64_t slow = bed.counts[XI_SLOW_IN] + bed.counts[XI_SLOW_OUT];
	uint64_t all = slow + bed.counts[XI_FAST_IN] + bed.counts[XI_FAST_OUT];
	uint32_t i, p;

	printf("%-4s %5u %7u %-7s %3.0f%%", bed.opt.in ? "in" : "out", bed.opt.len, bed.opt.sas,
	       traffic_names[bed.opt.order], 100.0 * slow / all);
	for (p = 0; p < PHASES; p++) {
		for (i = 0; i < bed.opt.rounds; i++)
			column[i] = ns[i][p];
		qsort(column, bed.opt.rounds, sizeof(*column), by_value);
		printf("  %6.1f (%6.1f)", column[0], column[bed.opt.rounds / 2]);
	}
	printf("\n");
	free(column);
}

/* A fork leaves out what is shared: each page would be missed once while the clock runs. */
static void states_touch(void)
{
	uint32_t i;

	for (i = 0; i < bed.store.nstates; i++)
		__atomic_fetch_add(&bed.store.states[i].packets, 0, __ATOMIC_RELAXED);
}

static void measure(const struct options *opt)
{
	double clock = clock_cost(), (*ns)[PHASES] = calloc(opt->rounds, sizeof(*ns));
	pthread_t filler;
	uint32_t i;

	bed.opt = *opt;
	states_touch();
	worker_bed_open();
	bed.engine.seal = timed_seal;
	bed.engine.open = timed_open;
	worker_templates_make();
	cpu_set(opt->cpus[0]);
	if (opt->cpus[1] >= 0 && pthread_create(&filler, NULL, filler_main, NULL))
		die("no second thread");
	for (i = 0; i < opt->rounds; i++)
		round_run(i + 1, clock, ns[i]);
	if (opt->cpus[1] >= 0)
		pthread_join(filler, NULL);
	report(ns);
	free(ns);
}

/* In a process of its own, which leaves nothing behind. */
static void apart(void (*fn)(const struct options *opt), const struct options *opt)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn(opt);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		exit(1);
}

static const int *dirs = (const int[]){ 0, 1, -1 };
static const int *lens = (const int[]){ 64, 1408, -1 };
static const int *sas = (const int[]){ 1, 1000, -1 };
static const int *orders;        /* NULL: as the number of SAs says */

/* One set of SAs. The records of a million are made once, and shared by the measurements. */
static void measure_sas(const struct options *given)
{
	static const int few[] = { TRAFFIC_TURN, -1 };
	static const int many[] = { TRAFFIC_HOT_SET, TRAFFIC_ZIPF, TRAFFIC_UNIFORM, -1 };
	struct options opt = *given;
	const int *d, *l, *o;

	bed.opt = opt;
	worker_sas_open();
	for (d = dirs; *d >= 0; d++)
		for (l = lens; *l >= 0; l++)
			for (o = orders ? orders : opt.sas > SLOTS ? many : few; *o >= 0; o++) {
				opt.in = *d;
				opt.len = *l;
				opt.order = *o;
				apart(measure, &opt);
			}
}

static uint32_t number(const char *text, uint32_t min, uint32_t max)
{
	unsigned long n = strtoul(text, NULL, 10);

	if (n < min || n > max)
		die("%s: %u to %u are possible", text, min, max);
	return n;
}

static const int *one(int value)
{
	int *list = malloc(2 * sizeof(*list));

	if (!list)
		die("out of memory");
	list[0] = value;
	list[1] = -1;
	return list;
}

static void options_parse(struct options *opt, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "d:l:s:n:o:f:r:e:c:")) != -1) {
		switch (c) {
		case 'd':
			dirs = one(!strcmp(optarg, "in"));
			break;
		case 'l':
			lens = one(number(optarg, 28, 1500));
			break;
		case 's':
			sas = one(number(optarg, 1, SAS_MAX));
			break;
		case 'n':
			opt->slots = number(optarg, 1, SAS_MAX);
			break;
		case 'o':
			if (traffic_find(optarg) == TRAFFIC_MAX)
				die("%s: no such order", optarg);
			orders = one(traffic_find(optarg));
			break;
		case 'f':
			opt->frames = number(optarg, XI_BATCH, 65536) & ~(XI_BATCH - 1U);
			break;
		case 'r':
			opt->rounds = number(optarg, 1, 1000000);
			break;
		case 'e':
			opt->engine = optarg;
			break;
		case 'c':
			opt->cpus[1] = -1;
			if (sscanf(optarg, "%d,%d", &opt->cpus[0], &opt->cpus[1]) < 1)
				die("%s: no CPU", optarg);
			break;
		default:
			die("usage: worker [-d out|in] [-l BYTES] [-s SAS] [-n SLOTS] [-o turn|hot|zipf|uniform] [-f FRAMES] [-r ROUNDS] [-e ENGINE] [-c CPU[,CPU]]");
		}
	}
}

int main(int argc, char **argv)
{
	struct options opt = { .frames = 1024, .rounds = 400, .slots = SLOTS, .engine = "auto",
			       .cpus = { 1, 0 } };
	const int *s;

	options_parse(&opt, argc, argv);
	real_engine = xi_engine_find(opt.engine);
	if (!real_engine)
		die("%s: no such engine on this CPU", opt.engine);
	worker_namespace_enter();
	printf("%s, ns a packet, minimum and (median) of %u rounds of %u packets\n"
	       "dir  bytes     SAs order   slow  %15s  %15s  %15s  %15s  %15s\n", real_engine->name,
	       opt.rounds, opt.frames, "take", "prepare", "crypto", "finish", "all");
	for (s = sas; *s >= 0; s++) {
		opt.sas = *s;
		apart(measure_sas, &opt);
	}
	return 0;
}
