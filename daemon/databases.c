/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The start of SAD and SPD: maps, configuration, and what an earlier daemon left. */
#include "daemon_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "hot.h"
#include "log.h"
#include "sad/reserve.h"
#include "sad/store_bpf.h"
#include "source/xfrm_msg.h"

#define MISS_DEDUP_MS 5

int xi_daemon_bpf(struct xi_daemon *d)
{
	const struct xi_bpfobj_config config = {
		.pin_dir = d->config->pin_dir,
		.max_sas = d->config->max_sas,
		.max_policies = d->config->max_policies,
		.sa_entries = d->config->sa_entries,
		.flow_entries = d->config->flow_entries,
	};
	struct xi_store_bpf_fds fds;
	int err;

	err = xi_ports_check_lost(d->config);
	if (!err)
		err = xi_bpfobj_open(&d->bpf, &config, &d->adopted);
	if (err)
		return err;
	fds = (struct xi_store_bpf_fds){
		.sad = xi_bpfobj_map_fd(d->bpf, XI_MAP_SAD),
		.sad_keys = xi_bpfobj_map_fd(d->bpf, XI_MAP_SAD_KEYS),
		.sad_lookup = xi_bpfobj_map_fd(d->bpf, XI_MAP_SAD_LOOKUP),
		.spd = xi_bpfobj_map_fd(d->bpf, XI_MAP_SPD),
		.spd_guard = xi_bpfobj_map_fd(d->bpf, XI_MAP_SPD_GUARD),
		.spd_masks = xi_bpfobj_map_fd(d->bpf, XI_MAP_SPD_MASKS),
		.config = xi_bpfobj_map_fd(d->bpf, XI_MAP_CONFIG),
		.sa_state = xi_bpfobj_map_fd(d->bpf, XI_MAP_SA_STATE),
		.sa_window = xi_bpfobj_map_fd(d->bpf, XI_MAP_SA_WINDOW),
	};
	return xi_store_bpf_open(&d->store, &fds);
}

/* The part of `config` that comes from the configuration file; SPD and SAD keep the rest. */
static int daemon_write_config(struct xi_daemon *d)
{
	struct xi_config config = { 0 };
	int err;

	err = d->store->ops->config_get(d->store->s, &config);
	if (err)
		return err;
	config.abi_version = XI_ABI_VERSION;
	/* the kernel has SAs that are not carried, and those that are not taken over yet */
	config.unknown_spi = d->config->mirror ? XI_METHOD_KERNEL : d->config->unknown_spi;
	config.miss_per_second = d->config->misses;
	config.miss_dedup_ms = MISS_DEDUP_MS;
	return d->store->ops->config_put(d->store->s, &config);
}

int xi_daemon_write_hostif(struct xi_daemon *d)
{
	struct xi_config config;
	int err = d->store->ops->config_get(d->store->s, &config);

	if (err)
		return err;
	config.host_ifindex = d->hostif.ifindex;
	return d->store->ops->config_put(d->store->s, &config);
}

static int daemon_state_dir(struct xi_daemon *d)
{
	int err;

	if (!d->config->sas)
		return 0;
	err = xi_reserve_dir(d->config->state_dir);
	if (err) {
		errno = -err;
		log_warn("%s: cannot make the state directory, where SAs from a file reserve sequence numbers; make what it lies in, or set state-dir",
			 d->config->state_dir);
	}
	return err;
}

int xi_daemon_databases(struct xi_daemon *d)
{
	const struct xi_sad_config config = {
		.state_dir = d->config->state_dir,
		.carries = xi_datapath_carries,
		.df = d->config->df,
	};
	int err;

	err = daemon_write_config(d);
	if (!err)
		err = daemon_state_dir(d);
	if (!err)
		err = xi_sad_create(&d->sad, &config, d->store);
	if (!err)
		err = xi_spd_create(&d->spd, d->sad, d->store);
	if (err) {
		errno = -err;
		log_warn("SAD and SPD: cannot be set up");
	}
	return err;
}

static int daemon_encap_ports(struct xi_daemon *d)
{
	return xi_encap_ports_create(&d->encap_ports, d->sad, d->spd, d->store,
				     xi_bpfobj_map_fd(d->bpf, XI_MAP_ENCAP_PORTS));
}

/* The SAs that packets were using, and all policies: what workers need to carry on. */
static int daemon_adopt_hot(struct xi_daemon *d)
{
	unsigned int n = 0, npolicies = 0;
	uint32_t *handles = NULL;
	int err;

	err = xi_hot_handles(xi_bpfobj_map_fd(d->bpf, XI_MAP_SA_CACHE),
			     xi_bpfobj_map_fd(d->bpf, XI_MAP_FLOW_CACHE), &handles, &n);
	if (!err)
		err = xi_sad_adopt_hot(d->sad, handles, n);
	free(handles);
	xi_stopwatch_lap(&d->watch, "hot SAs");
	if (!err)
		err = xi_spd_adopt(d->spd, &npolicies);
	if (!err)
		log_debug("policies adopted: %u; SAs that were in use: %u", npolicies, n);
	return err;
}

int xi_daemon_adopt_rest(struct xi_daemon *d)
{
	unsigned int n = 0;
	int err;

	err = xi_sad_adopt_first(d->sad, &n);
	xi_stopwatch_lap(&d->watch, "SAs");
	if (!err)
		err = daemon_encap_ports(d);
	if (err) {
		/* what was put aside stays so: without its SAs, policy would pass over optional ones */
		errno = -err;
		log_warn("SAD: what an earlier daemon left cannot be taken over");
		return err;
	}
	atomic_store_explicit(&d->adopting, false, memory_order_release);
	xi_sad_adopt_rest(d->sad);
	xi_stopwatch_lap(&d->watch, "rest");
	log_info("adopted %u SAs of an earlier daemon", n);
	return 0;
}

/* Nothing is there: this is a first start. */
static int daemon_adopt_nothing(struct xi_daemon *d)
{
	unsigned int n;
	int err;

	err = xi_sad_adopt(d->sad, &n);
	if (!err)
		err = xi_spd_adopt(d->spd, &n);
	return err ? err : daemon_encap_ports(d);
}

int xi_daemon_adopt(struct xi_daemon *d)
{
	int err = d->adopted ? daemon_adopt_hot(d) : daemon_adopt_nothing(d);

	if (err) {
		errno = -err;
		log_warn("SAD and SPD: what an earlier daemon left cannot be taken over");
	}
	return err;
}
