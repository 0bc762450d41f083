/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All workers of the process. After a restart packets are lost until their sockets are bound, so that comes first, and in
 * a thread of its own: meanwhile the control thread adopts what it finds in the maps, and packets wait in the sockets' rings.
 */
#ifndef XI_WORKERS_H
#define XI_WORKERS_H

#include <pthread.h>
#include <stdbool.h>

#include "bpfobj.h"
#include "dataplane/worker.h"

struct xi_workers {
	struct xi_worker_config config; /* of each, but for its index and its counters */
	const struct xi_bpfobj *bpf;
	struct xi_worker *list[XI_MAX_WORKERS]; /* config.nworkers of them, or none */
	pthread_t opener;
	bool opening;
	int err;
	uint64_t bound_us;           /* monotonic: when packets were taken in again */
};

/* Goes on after it has returned; xi_workers_start() tells what became of it. 0 or -errno. */
int xi_workers_open(struct xi_workers *workers, const struct xi_worker_config *config, const struct xi_bpfobj *bpf);
/* Opens them, if nobody has, and lets them run. 0 or -errno, logged. */
int xi_workers_start(struct xi_workers *workers, const struct xi_worker_config *config, const struct xi_bpfobj *bpf,
		     const struct xi_worker_bases *bases);
/* Stops them and frees everything; also before xi_workers_start(). */
void xi_workers_stop(struct xi_workers *workers);

#endif
