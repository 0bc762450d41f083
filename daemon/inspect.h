/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the control commands see of the datapath: ports, how workers send, counters and the two
 * caches, read from maps, workers and devices.
 */
#ifndef XI_INSPECT_H
#define XI_INSPECT_H

#include "bpfobj.h"
#include "cache/cache.h"
#include "control/sources.h"
#include "dataplane/dummy.h"
#include "dataplane/worker.h"
#include "source/server.h"

struct xi_inspect {
	const struct xi_bpfobj *bpf;
	const struct xi_cache *cache;
	struct xi_port_dev *const *ports; /* by slot */
	struct xi_worker *const *workers; /* XI_MAX_WORKERS, NULL = none */
	struct xi_dummy *dummy;
	const struct xi_mirror *mirror; /* NULL: none */
	struct xi_xfrm_server *server;
	const atomic_bool *acquiring; /* a key manager listens */
	uint32_t flow_entries;       /* in effect */
};

/* Fills the datapath part of src; inspect must live as long as src. */
void xi_inspect_fill(struct xi_control_sources *src, struct xi_inspect *inspect);

#endif
