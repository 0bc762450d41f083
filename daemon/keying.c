/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whom SAs and policies come from: key managers by the XFRM server, and the kernel by the mirror. */
#include "daemon_priv.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <xipsec/reasons.h>
#include "fence.h"
#include "log.h"
#include "source/kernel_esp.h"
#include "source/proto.h"

/* Key managers that have given up root. */
static void daemon_xfrm_group(struct xi_daemon *d)
{
	const char *name = d->config->xfrm_group;
	const struct group *group = name ? getgrnam(name) : NULL;

	if (group)
		xi_xfrm_server_set_group(d->server, group->gr_gid);
	else if (name)
		log_warnx("xfrm-group = %s: there is no such group: the XFRM socket serves root alone; groupadd %s",
			  name, name);
}

int xi_daemon_server(struct xi_daemon *d)
{
	int err;

	err = xi_xfrm_server_create(&d->server, d->base, d->sad, d->spd, getenv(XI_XFRM_SOCK_ENV));
	if (err == -EADDRINUSE) {
		log_warnx("another xipsecd serves this network namespace; stop it, or start this one in "
			  "a namespace of its own");
	} else if (err) {
		errno = -err;
		log_warn("cannot open the XFRM socket");
	} else {
		daemon_xfrm_group(d);
		/* the kernel asks its key managers, if it has any */
		atomic_store(&d->acquiring, d->config->mirror);
		if (!d->config->mirror)
			xi_xfrm_server_on_acquiring(d->server, &d->acquiring);
	}
	return err;
}

void xi_daemon_acquire(void *arg, const struct xi_flow *flow, const struct xi_policy *policy)
{
	struct xi_daemon *d = arg;
	uint64_t *counts = xi_bpfobj_counts(d->bpf, XI_CONTROL_ROW);
	int err = -ESRCH;

	if (policy->origin & XI_POLICY_FROM_KERNEL)
		err = d->mirror ? xi_mirror_acquire(d->mirror, flow, policy) : -ESRCH;
	else if (d->server)
		err = xi_xfrm_server_acquire(d->server, flow, policy);
	if (!err)
		__atomic_fetch_add(&counts[XI_ACQUIRE_SENT], 1, __ATOMIC_RELAXED);
	else if (err == -ENOBUFS)
		__atomic_fetch_add(&counts[XI_ACQUIRE_FULL], 1, __ATOMIC_RELAXED);
}

static void daemon_fence(void *arg, bool up)
{
	struct xi_daemon *d = arg;

	if (up)
		xi_fence_up(d->config);
	else
		xi_fence_down(d->config->pin_dir);
}

/* Ports whose devices take SAs; where that is noted. */
static void daemon_offload(struct xi_daemon *d, struct xi_offload_config *config,
			   struct xi_offload_port *ports, char *notes, size_t n)
{
	snprintf(notes, n, "%s/offload", d->config->run_dir);
	config->ports = ports;
	config->notes = notes;
	config->policy = d->config->admission;
	for (uint32_t i = 0; i < d->config->nports; i++) {
		const struct xi_port_config *port = &d->config->ports[i];

		if (!port->offload)
			continue;
		memcpy(ports[config->nports].name, port->name, sizeof(port->name));
		ports[config->nports++].slots = port->offload_slots;
	}
}

/* Nothing tells an operator why nothing comes but this. */
static void daemon_say_kernel_esp(void)
{
	struct utsname name = { 0 };

	uname(&name);
	switch (xi_kernel_esp("", name.release)) {
	case XI_KERNEL_ESP_NONE:
		log_warnx("mirror: this kernel has XFRM and no ESP: IKE daemons cannot give it SAs, so only policies will be taken over; run the IKE daemon against xipsecd itself (xipsec run)");
		break;
	case XI_KERNEL_ESP_MODULE:
		log_info("mirror: the kernel's ESP is not loaded as yet; the first SA loads it (modules esp4, esp6), unless they are blacklisted: then no SAs will come");
		break;
	case XI_KERNEL_ESP_HIDDEN:
		log_info("mirror: whether this kernel has ESP cannot be seen; without it no SAs will come");
		break;
	case XI_KERNEL_ESP_THERE:
		log_info("mirror: following the kernel's XFRM; it has ESP");
		break;
	}
}

int xi_daemon_mirror(struct xi_daemon *d)
{
	struct xi_offload_port ports[XI_OFFLOAD_DEVICES];
	char notes[PATH_MAX];
	struct xi_mirror_config config = {
		.base = d->base,
		.sad = d->sad,
		.spd = d->spd,
		.fence = daemon_fence,
		.arg = d,
	};
	unsigned int n;
	int err;

	if (!d->config->mirror) {
		n = xi_mirror_forget(d->sad, d->spd);
		if (n)
			log_info("SAs and policies that were taken over from the kernel are its own again: %u",
				 n);
		xi_fence_down(d->config->pin_dir);
		return 0;
	}
	daemon_offload(d, &config.offload, ports, notes, sizeof(notes));
	err = xi_mirror_create(&d->mirror, &config);
	d->inspect.mirror = d->mirror;
	if (!err)
		daemon_say_kernel_esp();
	return err;
}
