/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* {"cmd": "stats"}: how packets ended, and what the caches were good for. */
#ifndef XI_CONTROL_STATS_H
#define XI_CONTROL_STATS_H

#include "control/control.h"
#include "control/sources.h"

/* src must outlive ctl. As xi_control_register(). */
int xi_stats_register(struct xi_control *ctl, const struct xi_control_sources *src);

/* {"sas", "max_sas", "policies", "max_policies"} */
json_t *xi_held_json(const struct xi_control_sources *src);
/* "drops", all packets dropped, and "drop_reasons", an object of those reasons that there were. */
void xi_drops_put(json_t *out, const struct xi_control_sources *src);
/* {"packets", "key_manager"}: packets held for want of an SA, and whether anybody may bring one. */
json_t *xi_waiting_json(const struct xi_control_sources *src);
/* {"hits", "misses", "evictions", "entries", "capacity"} of one table. */
json_t *xi_usage_json(const struct xi_control_sources *src, enum xi_table table);
/* {"methods", "hits_per_million", "slow_packets", "filled", "evicted", ...}: what the table of SAs did. */
json_t *xi_sa_table_json(const struct xi_control_sources *src, const struct xi_sa_figures *figures);
/* {"sent", "lost", ..., "latency"}: messages that asked for SAs and flows. */
json_t *xi_misses_json(const struct xi_control_sources *src, const struct xi_sa_figures *figures);

#endif
