/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is measured by tests/bench/worker: a worker with the daemon's own SAD, SPD, context slots and next hops, and
 * packets for it.
 */
#ifndef XI_BENCH_WORKER_BED_H
#define XI_BENCH_WORKER_BED_H

#include <event2/event.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "dataplane/batch.h"
#include "traffic.h"

#define PLAIN_PORT 1
#define CIPHER_PORT 2
#define XDP_ROOM 256             /* XDP_PACKET_HEADROOM: where a received frame begins */
#define SEQUENCE 131072
#define ETH 14

struct options {
	bool in;
	enum traffic order;
	uint32_t len, sas, slots, frames, rounds;
	const char *engine;
	int cpus[2];
};

/* A frame as it comes out of XDP. */
struct template {
	struct xi_meta meta;
	uint32_t len;
	uint8_t data[];
};

struct bed {
	struct options opt;
	struct xi_store store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_slots slots;
	struct event_base *base;
	struct xi_nexthops *nexthops;
	struct xi_port_dev ports[XI_MAX_PORTS];
	struct xi_port_dev *port_of_slot[XI_MAX_PORTS];
	struct xi_engine engine;     /* the real one, with clocks around seal and open */
	struct xi_worker *w;
	struct xi_tx sink;
	struct xdp_desc *sent;
	uint32_t nsent;
	uint32_t *handles, *slot_of; /* by popularity */
	uint8_t *templates;          /* one a packet */
	size_t template_size;
	uint32_t ntemplates;
	uint32_t *sa_of;             /* of each template */
	uint64_t counts[XI_REASON_MAX];
	atomic_uint filled, drained; /* rounds */
};

extern struct bed bed;
extern const struct xi_engine *real_engine;

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Ends the process. */
void die(const char *fmt, ...);
/* A network namespace with both ports and the neighbours behind them. */
void worker_namespace_enter(void);
/* bed.opt says how many. In an order of memory that has nothing to do with popularity. */
void worker_sas_open(void);
/* The worker, after its SAs. */
void worker_bed_open(void);
/* Behind this gateway, host i. */
void worker_local_addr(uint8_t addr[16], uint32_t i);

/* worker_frames.c */
void worker_templates_make(void);
struct template *worker_template(uint32_t packet);
/* For round number `round`, from 1. */
void worker_frames_fill(unsigned int round);

#endif
