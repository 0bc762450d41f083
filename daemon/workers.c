/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "workers.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "stopwatch.h"

/* The sockets of all, before anything else of one. */
static void *workers_opener(void *arg)
{
	struct xi_workers *ws = arg;
	struct xi_worker_config config = ws->config;
	unsigned int i;
	int err = 0;

	for (i = 0; i < config.nworkers && !err; i++) {
		config.index = i;
		config.counts = xi_bpfobj_counts(ws->bpf, i);
		err = xi_worker_create(&ws->list[i], &config);
	}
	ws->bound_us = xi_stopwatch_now();
	for (i = 0; i < config.nworkers && !err; i++)
		err = xi_worker_equip(ws->list[i]);
	ws->err = err;
	return NULL;
}

int xi_workers_open(struct xi_workers *ws, const struct xi_worker_config *config,
		    const struct xi_bpfobj *bpf)
{
	sigset_t all, old;
	int err;

	ws->config = *config;
	ws->bpf = bpf;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&ws->opener, NULL, workers_opener, ws);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	ws->opening = !err;
	return err;
}

static int workers_join(struct xi_workers *ws)
{
	if (!ws->opening)
		return 0;
	pthread_join(ws->opener, NULL);
	ws->opening = false;
	return ws->err;
}

int xi_workers_start(struct xi_workers *ws, const struct xi_worker_config *config,
		     const struct xi_bpfobj *bpf, const struct xi_worker_bases *bases)
{
	unsigned int i;
	int err = 0;

	if (!ws->opening && !ws->list[0])
		err = xi_workers_open(ws, config, bpf);
	if (!err)
		err = workers_join(ws);
	for (i = 0; i < ws->config.nworkers && !err; i++)
		err = xi_worker_start(ws->list[i], bases);
	return err;
}

void xi_workers_stop(struct xi_workers *ws)
{
	unsigned int i;

	workers_join(ws);
	for (i = 0; i < XI_MAX_WORKERS; i++) {
		xi_worker_destroy(ws->list[i]);
		ws->list[i] = NULL;
	}
}
