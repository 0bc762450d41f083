/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The BPF object: loads it, reuses maps that an earlier daemon pinned, pins maps and programs below the pin directory.
 * What is pinned outlives the process, and the attached programs go on failing closed.
 */
#ifndef XI_BPFOBJ_H
#define XI_BPFOBJ_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

struct xi_bpfobj;

struct xi_bpfobj_config {
	const char *pin_dir;
	uint32_t max_sas;           /* SAs */
	uint32_t max_policies;           /* policies */
	uint32_t sa_entries;         /* SAs that sa_cache must hold */
	uint32_t flow_entries;       /* flows that flow_cache must hold */
};

/*
 * Afterwards all maps are there, those that an earlier daemon pinned (*adopted: there were some) as pins.h says, others
 * made and pinned. pin_dir must outlive the object. 0 or -errno, logged.
 */
int xi_bpfobj_open(struct xi_bpfobj **out, const struct xi_bpfobj_config *config, bool *adopted);
/* Loads the programs and pins them, if that was not necessary to make maps: it takes the longest. 0 or -errno, logged. */
int xi_bpfobj_load(struct xi_bpfobj *obj);
/* A first start failed before any program was attached: unpins what it pinned. Else does nothing. */
void xi_bpfobj_abandon(struct xi_bpfobj *obj);
/* Closes file descriptors; pins stay. */
void xi_bpfobj_close(struct xi_bpfobj *obj);

/* XI_MAP_... name; an unknown name is a programmer's error. */
int xi_bpfobj_map_fd(const struct xi_bpfobj *obj, const char *name);
uint32_t xi_bpfobj_map_size(const struct xi_bpfobj *obj, const char *name);
/* As configured, unless the maps of an earlier daemon have other room (logged). */
uint32_t xi_bpfobj_sa_entries(const struct xi_bpfobj *obj);
uint32_t xi_bpfobj_flow_entries(const struct xi_bpfobj *obj);
int xi_bpfobj_prog_fd(const struct xi_bpfobj *obj, const char *name);

/* This worker's row of worker_stats, mapped; the row behind the last worker is the control thread's. */
uint64_t *xi_bpfobj_counts(const struct xi_bpfobj *obj, unsigned int row);
#define XI_CONTROL_ROW XI_MAX_WORKERS
/* Sum over all CPUs and rows. */
uint64_t xi_bpfobj_reason(const struct xi_bpfobj *obj, unsigned int reason);

#endif
