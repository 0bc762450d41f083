/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the control socket serves. */
#include "daemon_priv.h"

#include "control/cachecmd.h"
#include "control/dummycmd.h"
#include "control/portcmd.h"
#include "control/routescmd.h"
#include "control/show.h"
#include "control/stats.h"
#include "log.h"

static json_t *daemon_cmd_down(void *arg, const json_t *req, const char **error)
{
	struct xi_daemon *d = arg;

	log_info("down: stopping; SAs, policies, programs and maps are removed, and traffic is no longer protected");
	d->down = true;
	xi_mirror_leave(d->mirror);
	xi_daemon_stop(d, 0);
	return json_pack("{s:b}", "down", 1);
}

int xi_daemon_control(struct xi_daemon *d)
{
	const struct xi_control_config config = {
		.base = d->base,
		.run_dir = d->config->run_dir,
		.group = d->config->group,
	};
	int err;

	xi_control_sources_init(&d->sources, d->sad, d->spd);
	d->sources.run_dir = d->config->run_dir;
	d->sources.pin_dir = d->config->pin_dir;
	d->sources.engine = d->engine->name;
	d->sources.workers = d->nworkers;
	d->sources.interfaces = d->config->interfaces;
	d->sources.ninterfaces = d->config->ninterfaces;
	d->sources.max_sas = xi_bpfobj_map_size(d->bpf, XI_MAP_SAD);
	d->sources.max_policies = xi_bpfobj_map_size(d->bpf, XI_MAP_SPD);
	d->inspect = (struct xi_inspect){
		.bpf = d->bpf,
		.cache = d->cache,
		.ports = d->ports,
		.workers = d->workers.list,
		.server = d->server,
		.acquiring = &d->acquiring,
		.dummy = d->dummy,
		.flow_entries = xi_bpfobj_flow_entries(d->bpf),
	};
	xi_inspect_fill(&d->sources, &d->inspect);
	err = xi_control_create(&d->control, &config);
	if (!err)
		err = xi_show_register(d->control, &d->sources);
	if (!err)
		err = xi_stats_register(d->control, &d->sources);
	if (!err)
		err = xi_cachecmd_register(d->control, &d->sources);
	if (!err)
		err = xi_portcmd_register(d->control, &d->sources);
	if (!err)
		err = xi_routescmd_register(d->control, &d->sources);
	if (!err)
		err = xi_dummycmd_register(d->control, &d->sources);
	if (!err)
		err = xi_control_register_admin(d->control, "down", daemon_cmd_down, d);
	return err;
}
