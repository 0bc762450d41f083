/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Routes into xipsec0 for outbound policies (routes_plan.h says which), in a table of their own (routes_table.h). The
 * control thread's. They are made in batches between other work, outlive the daemon as programs and maps do, are
 * taken over by the next one, and put back within a second or two when somebody else removes them.
 */
#ifndef XI_ROUTES_H
#define XI_ROUTES_H

#include "dataplane/routes_plan.h"
#include "dataplane/routes_table.h"

struct event_base;
struct xi_routes;
struct xi_spd;

struct xi_routes_config {
	struct event_base *base;
	struct xi_spd *spd;
	uint32_t table;
	uint32_t ifindex;            /* of xipsec0 */
};

/*
 * Takes over the routes that are there, and in turns the SPD's policies of now; listens to it. 0 or -errno, logged.
 * Without routes configured, xi_routes_remove() in its place.
 */
int xi_routes_create(struct xi_routes **out, const struct xi_routes_config *config);
/* Leaves the routes where they are. */
void xi_routes_destroy(struct xi_routes *routes);

/* The host's addresses changed. */
void xi_routes_addrs(struct xi_routes *routes, const struct xi_addr *addrs, uint32_t n);
/* xipsec0 was made anew. */
void xi_routes_device(struct xi_routes *routes, uint32_t ifindex);

struct xi_routes_figures {
	uint32_t table, priority;
	struct xi_plan_counts counts;
	uint64_t changes;            /* made so far */
	uint64_t refused;            /* by the kernel, and tried again */
	uint64_t restored;           /* removed by others */
	bool busy;                   /* changes are under way */
};
void xi_routes_figures(const struct xi_routes *routes, struct xi_routes_figures *figures);
/* As xi_plan_next(). */
const struct xi_route *xi_routes_next(const struct xi_routes *routes, uint64_t *at);

#endif
