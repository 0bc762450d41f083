/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A worker: one thread that owns its packet memory, its AF_XDP sockets (one or more queues of every port) and its
 * crypto manager. Per batch: receive, prepare, crypto, finish, transmit, one quiescent state. It does not lock,
 * allocate or make a system call but those that receive and send a batch, or hand a packet to the host.
 */
#ifndef XI_WORKER_H
#define XI_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "cache/cache.h"
#include "crypto/crypto.h"
#include "dataplane/news.h"
#include "dataplane/nexthop.h"
#include "dataplane/port.h"
#include "dataplane/tx.h"
#include "sad/sad.h"
#include "sad/spd.h"

struct xi_worker;

struct xi_worker_config {
	unsigned int index;
	unsigned int nworkers;       /* serves queues q with q % nworkers == index */
	struct xi_port_dev *const *ports; /* by slot, NULL = unused; slot 0 is xipsec0's inner end */
	uint32_t spin_us;            /* how long a worker looks for more packets before it sleeps */
	int xsks_fd;
	uint8_t host_mac[6];         /* of xipsec0 */
	const struct xi_engine *engine;
	uint32_t hold;               /* packets of one flow that are held until a key manager brings its SA; 0: none */
	const atomic_uint *hold_ms;  /* for how long; these two may be NULL when hold is 0 */
	const atomic_bool *acquiring; /* a key manager listens; else nothing is held */
	const atomic_bool *adopting; /* NULL, or while it is true not all SAs are known yet; never again once false */
	/* these six come with xi_worker_start() */
	const struct xi_sad *sad;
	const struct xi_spd *spd;
	struct xi_cache *cache;
	struct xi_nexthops *nexthops;
	struct xi_mailbox *news;   /* NULL: nobody listens */
	struct xi_mailbox *asks;   /* struct xi_flow: those that want an SA; NULL: nobody listens */
	bool fragment_after;         /* too long packets are cut after ESP, not before it */
	uint32_t host_mtu;           /* of xipsec0 */
	uint64_t *counts;            /* this worker's row of worker_stats */
	/* Frames received from cipher ports come out of plain ports unchanged and the other way round: the measure that
	 * ESP is held against in the benchmark. No crypto, no policy; never set by a configuration file. */
	bool forward_only;
};

/* What the control thread owns and a worker reads. */
struct xi_worker_bases {
	const struct xi_sad *sad;
	const struct xi_spd *spd;
	struct xi_cache *cache;
	struct xi_nexthops *nexthops;
	struct xi_mailbox *news;     /* NULL: nobody listens */
	struct xi_mailbox *asks;     /* the same */
};

/*
 * Opens packet memory and sockets and enters them into xsks: from then on packets wait in the rings, XI_XSK_RING
 * of them a queue. 0 or -errno, logged.
 */
int xi_worker_create(struct xi_worker **out, const struct xi_worker_config *config);
/* All else that a worker needs of its own: burst transmit, crypto. 0 or -errno. */
int xi_worker_equip(struct xi_worker *worker);
int xi_worker_start(struct xi_worker *worker, const struct xi_worker_bases *bases);
/* Stops and joins the thread, if it was started, and frees everything. NULL is fine. */
void xi_worker_destroy(struct xi_worker *worker);

/* Any thread; counters are a moment's. slot < XI_MAX_PORTS. */
void xi_worker_tx_status(const struct xi_worker *worker, uint32_t slot, struct xi_tx_status *status);

/* Packets held for want of an SA. Any thread; a moment's. */
uint32_t xi_worker_held(const struct xi_worker *worker);

/*
 * Control thread, a few times a second: logs ports that changed between burst and AF_XDP, each at most
 * every XI_TX_LOG_SECONDS.
 */
#define XI_TX_LOG_SECONDS 10
void xi_worker_report(struct xi_worker *worker);

#endif
