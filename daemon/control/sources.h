/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where the control commands read from. The daemon fills one of these and keeps it as long as the
 * commands are registered; everything is called on the control thread. Tests fill it with their own
 * data.
 */
#ifndef XI_CONTROL_SOURCES_H
#define XI_CONTROL_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "cache/cache.h"
#include "dataplane/interface.h"
#include "dataplane/link.h"
#include "dataplane/port.h"
#include "dataplane/routes.h"
#include "dataplane/tx.h"
#include "sad/sad.h"
#include "sad/spd.h"
#include "source/acquire.h"
#include "source/mirror.h"

enum xi_table { XI_TABLE_SA, XI_TABLE_FLOW }; /* sa_cache, flow_cache */

struct xi_table_usage {
	uint64_t entries;
	uint64_t capacity;
	uint64_t evictions;
};

/* What is in the SAD and the SPD, and the most that they hold. */
struct xi_held {
	uint64_t sas, max_sas;
	uint64_t policies, max_policies;
};

/* Packets that workers hold for want of an SA, and what key managers were asked for. */
struct xi_waiting {
	uint64_t packets;
	bool key_manager;            /* somebody listens to ACQUIREs */
	uint64_t now;                /* as in the list */
	const struct xi_acquire_list *acquires; /* oldest first */
};

#define XI_NO_AGE UINT64_MAX

/* An SA that the fast path's table knows: its answer, and how it came to it. */
struct xi_cached_sa {
	struct xi_sa_id id;
	uint32_t handle;
	enum xi_method method;
	const char *why;             /* names of XI_CHOICES */
	uint32_t slot;               /* context slot, XI_NO_SLOT = none */
	bool cached;                 /* in sa_cache */
	uint64_t age;                /* of the answer, seconds; XI_NO_AGE = nobody asked */
	uint64_t hits;               /* packets that passed their checks since then, */
	uint64_t uses;               /* and since the admission policy last counted */
	uint64_t misses;             /* times it was asked for */
};

struct xi_sa_figures {
	uint64_t methods[XI_METHOD_DROP + 1]; /* SAs in the table, by method */
	struct xi_sa_table_figures table;
	struct xi_cache_misses misses;
};

/* A nonzero return ends the iteration. */
typedef int (*xi_cached_sa_fn)(void *ctx, const struct xi_cached_sa *sa);
typedef int (*xi_cached_flow_fn)(void *ctx, const struct xi_flow_key *key,
				 const struct xi_flow_verdict *verdict);

struct xi_control_sources {
	/* the process */
	const char *run_dir, *pin_dir;
	const char *engine;          /* in use: "ipsec-mb", "openssl" */
	unsigned int workers;
	uint64_t started;            /* CLOCK_MONOTONIC, seconds */

	const struct xi_routes *routes; /* NULL: none are made */
	const struct xi_interface_config *interfaces;
	uint32_t ninterfaces;

	/* SAD and SPD: xi_control_sources_init() */
	const struct xi_sad *sad;
	const struct xi_spd *spd;
	uint32_t max_sas, max_policies; /* in effect */
	void (*held)(const struct xi_control_sources *src, struct xi_held *held);
	const struct xi_sa_rec *(*next_sa)(const struct xi_control_sources *src, uint32_t *slot);
	const struct xi_policy *(*next_policy)(const struct xi_control_sources *src,
					       uint32_t *index);
	bool (*is_local)(const struct xi_control_sources *src, const uint8_t addr[16],
			 enum xi_family family);

	/* datapath; arg goes to each */
	const struct xi_port_dev *(*port)(void *arg, unsigned int i); /* NULL: no i-th port */
	uint32_t (*interface_state)(void *arg, const struct xi_interface_config *config, bool *up);
	/* counters of all workers; path, why and zerocopy of the first that sends there */
	void (*port_tx)(void *arg, uint32_t slot, struct xi_tx_status *status);
	/* what the driver counts; 0, or -errno where it does not */
	int (*port_xmit)(void *arg, uint32_t slot, struct xi_link_xmit *xmit);
	uint64_t (*reason)(void *arg, unsigned int reason); /* XDP, tc and workers, all CPUs */
	void (*usage)(void *arg, enum xi_table table, struct xi_table_usage *usage);
	void (*sa_figures)(void *arg, struct xi_sa_figures *figures);
	/* false: the table does not know it */
	bool (*sa_cached)(void *arg, uint32_t handle, struct xi_cached_sa *sa);
	int (*each_cached_sa)(void *arg, xi_cached_sa_fn fn, void *ctx);
	/* those that packets may still find */
	int (*each_cached_flow)(void *arg, xi_cached_flow_fn fn, void *ctx);
	void (*waiting)(void *arg, struct xi_waiting *waiting);
	/* sends dummy packets on an outbound SA of ESP: how many; fewer than asked for set *why */
	unsigned int (*dummy)(void *arg, const struct xi_sa_rec *rec, unsigned int count,
			      uint32_t size, const char **why);
	/* NULL, or false: the kernel's XFRM is not followed */
	bool (*mirror)(void *arg, struct xi_mirror_figures *figures);
	/* does a policy put another SA around what this one protects? */
	bool (*wraps)(const struct xi_control_sources *src, const struct xi_sa *sa);
	void *arg;
};

/* Sets `started` to now, and sad, spd and the functions that read them. */
void xi_control_sources_init(struct xi_control_sources *src, const struct xi_sad *sad,
			     const struct xi_spd *spd);

#endif
