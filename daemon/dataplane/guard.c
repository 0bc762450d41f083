/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tc program on a port's egress. Its handle and priority are fixed, so a later daemon finds and replaces it. */
#include "dataplane/port.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "dataplane/rtnl.h"
#include "log.h"

#define GUARD_HANDLE 0x7869
/* First: a filter in front of it that redirects or accepts would let cleartext by. */
#define GUARD_PRIORITY 1

static struct bpf_tc_hook guard_hook(const struct xi_port_dev *port)
{
	return (struct bpf_tc_hook){.sz = sizeof(struct bpf_tc_hook),
				    .ifindex = (int)port->ifindex,
				    .attach_point = BPF_TC_EGRESS};
}

int xi_port_guard_attach(struct xi_port_dev *port, int prog_fd)
{
	struct bpf_tc_hook hook = guard_hook(port);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY,
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
	int err = bpf_tc_hook_create(&hook);

	if (err && err != -EEXIST) {
		log_warnx(
			"port %s: cannot make the clsact queueing discipline of the egress guard: %s: the kernel needs NET_SCH_INGRESS and NET_CLS_BPF",
			port->config.name, strerror(-err));
		return err;
	}
	err = bpf_tc_attach(&hook, &opts);
	if (err)
		log_warnx(
			"port %s: cannot attach the egress guard: %s: see 'tc filter show dev %s egress' for a filter of another kind at priority %d",
			port->config.name, strerror(-err), port->config.name, GUARD_PRIORITY);
	return err;
}

static int guard_count(void *arg, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == RTM_NEWTFILTER)
		++*(unsigned int *)arg;
	return 0;
}

/* Filters left on either hook of clsact. */
static int guard_filters(const struct xi_port_dev *port, unsigned int *n)
{
	static const uint32_t parents[] = {TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
					   TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)};
	struct xi_rtnl rt;
	int err = xi_rtnl_open(&rt);

	*n = 0;
	for (int i = 0; !err && i < 2; i++) {
		struct tcmsg tcm = {.tcm_ifindex = (int)port->ifindex, .tcm_parent = parents[i]};

		err = xi_rtnl_request(
			&rt, xi_rtnl_message(RTM_GETTFILTER, NLM_F_DUMP, &tcm, sizeof(tcm)),
			guard_count, n);
	}
	xi_rtnl_close(&rt);
	return err;
}

int xi_port_guard_detach(struct xi_port_dev *port)
{
	struct bpf_tc_hook hook = guard_hook(port);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY);
	unsigned int left;
	int err = bpf_tc_detach(&hook, &opts);

	/* EINVAL: no clsact here. ENOENT: no such filter. */
	if (err == -ENOENT || err == -EINVAL)
		return 0;
	if (err) {
		log_warnx("port %s: cannot detach the egress guard: %s", port->config.name,
			  strerror(-err));
		return err;
	}
	err = guard_filters(port, &left);
	if (err || left)
		return err;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	return bpf_tc_hook_destroy(&hook);
}
