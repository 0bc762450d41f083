/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the daemon follows of its network namespace: devices, addresses, routes; and what it has there. */
#include "daemon_priv.h"

#include <errno.h>
#include <string.h>

#include "localaddrs.h"
#include "log.h"

/*
 * A device that was deleted and made again carries no program and no guard: what policy protects
 * could leave by it in clear.
 */
static void daemon_on_links(void *arg)
{
	struct xi_daemon *d = arg;
	uint32_t again;
	int err;

	err = xi_ports_look(d->portset, &again);
	if (!err && again) {
		xi_workers_stop(&d->workers);
		err = xi_ports_reopen(d->portset, again);
		if (!err)
			err = xi_daemon_write_hostif(d);
		if (!err && d->routes)
			xi_routes_device(d->routes, d->hostif.ifindex);
		if (!err && d->live)
			err = xi_daemon_start_workers(d);
	}
	if (err) {
		log_warnx("ports: a device that was made anew cannot be used; stopping");
		xi_daemon_stop(d, 1);
	}
}

static int daemon_port_slot(void *arg, uint32_t ifindex)
{
	const struct xi_daemon *d = arg;

	return xi_ports_slot(d->portset, ifindex);
}

static void daemon_on_addrs(void *arg, const struct xi_addr *addrs, uint32_t n)
{
	struct xi_daemon *d = arg;

	xi_localaddrs_set(xi_bpfobj_map_fd(d->bpf, XI_MAP_LOCAL_ADDRS), addrs, n);
	if (xi_spd_set_local(d->spd, addrs, n))
		log_warnx("SPD: cannot take over the host's addresses");
	if (d->routes)
		xi_routes_addrs(d->routes, addrs, n);
}

static void daemon_sync(void *arg)
{
	struct xi_daemon *d = arg;

	xi_cache_sync(d->cache);
}

int xi_daemon_nexthops(struct xi_daemon *d)
{
	const struct xi_nexthop_config config = {
		.base = d->base,
		.nworkers = d->nworkers,
		.port = daemon_port_slot,
		.addrs = daemon_on_addrs,
		.links = daemon_on_links,
		.sync = daemon_sync,
		.mark = d->config->routes_table ? XI_ROUTES_MARK : 0,
		.sport = d->config->routes_table ? XI_ROUTES_SPORT : 0,
		.foreign_table = d->config->routes_table,
		.arg = d,
	};

	return xi_nexthops_create(&d->nexthops, &config);
}

/* After all that packets wait for. */
int xi_daemon_routes(struct xi_daemon *d)
{
	const struct xi_routes_config config = {
		.base = d->base,
		.spd = d->spd,
		.table = d->config->routes_table,
		.ifindex = d->hostif.ifindex,
	};
	int err;

	if (config.table) {
		err = xi_routes_create(&d->routes, &config);
		d->sources.routes = d->routes;
		return err;
	}
	err = xi_routes_remove();
	if (err)
		log_warnx("routes: those of an earlier daemon cannot be removed: %s", strerror(-err));
	return 0;
}

int xi_daemon_pathmtu(struct xi_daemon *d)
{
	const struct xi_pathmtu_config config = {
		.base = d->base,
		.sad = d->sad,
		.spd = d->spd,
		.counts = xi_bpfobj_counts(d->bpf, XI_CONTROL_ROW),
	};

	return xi_pathmtu_create(&d->pathmtu, &config);
}

int xi_daemon_keepalives(struct xi_daemon *d)
{
	const struct xi_keepalive_config config = {.sad = d->sad};
	int err = xi_keepalives_create(&d->keepalives, &config);

	if (err) {
		errno = -err;
		log_warn("NAT keepalives: cannot be set up");
	}
	return err;
}

int xi_daemon_dummy(struct xi_daemon *d)
{
	const struct xi_dummy_config config = {
		.engine = d->engine,
		.sad = d->sad,
		.counts = xi_bpfobj_counts(d->bpf, XI_CONTROL_ROW),
	};

	return xi_dummy_create(&d->dummy, &config);
}
