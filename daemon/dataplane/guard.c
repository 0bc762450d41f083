/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Our tc programs: the guard on a cipher port's egress, the mark on xipsec0's ingress. Handle and
 * priority are fixed, so a later daemon finds and replaces them.
 */
#include "dataplane/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "dataplane/rtnl.h"
#include "log.h"

#define GUARD_HANDLE 0x7869
/* First: a filter in front of it that redirects or accepts would let cleartext by. */
#define GUARD_PRIORITY 1

/* Makes or removes clsact, the queueing discipline that holds the filters of both directions. */
static int guard_clsact(const struct xi_port_dev *port, struct xi_rtnl *rt, int type, int flags)
{
	struct tcmsg tcm = {
		.tcm_ifindex = (int)port->ifindex,
		.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0),
		.tcm_parent = TC_H_CLSACT,
	};
	struct nl_msg *msg = xi_rtnl_message(type, flags, &tcm, sizeof(tcm));

	xi_rtnl_put_str(msg, TCA_KIND, "clsact");
	return xi_rtnl_request(rt, msg, NULL, NULL);
}

static int guard_make_clsact(const struct xi_port_dev *port)
{
	struct xi_rtnl rt;
	int err = xi_rtnl_open(&rt);

	if (!err)
		err = guard_clsact(port, &rt, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
	if (err == -EEXIST)
		err = 0;
	if (err)
		log_warnx(
			"port %s: cannot make the clsact queueing discipline of our tc program: %s: the kernel needs NET_SCH_INGRESS and NET_CLS_BPF",
			port->config.name, strerror(-err));
	xi_rtnl_close(&rt);
	return err;
}

static int guard_attach(struct xi_port_dev *port, enum bpf_tc_attach_point point, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)port->ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY,
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
	int err = guard_make_clsact(port);

	if (err)
		return err;
	err = bpf_tc_attach(&hook, &opts);
	if (err)
		log_warnx(
			"port %s: cannot attach a tc program: %s: see 'tc filter show dev %s %s' for a filter of another kind at priority %d",
			port->config.name, strerror(-err), port->config.name,
			point == BPF_TC_EGRESS ? "egress" : "ingress", GUARD_PRIORITY);
	return err;
}

int xi_port_guard_attach(struct xi_port_dev *port, int prog_fd)
{
	return guard_attach(port, BPF_TC_EGRESS, prog_fd);
}

int xi_port_mark_attach(struct xi_port_dev *port, int prog_fd)
{
	return guard_attach(port, BPF_TC_INGRESS, prog_fd);
}

static int guard_count(void *arg, const struct nlmsghdr *nlh)
{
	if (nlh->nlmsg_type == RTM_NEWTFILTER)
		++*(unsigned int *)arg;
	return 0;
}

/* Filters left on either hook of clsact. */
static int guard_filters(const struct xi_port_dev *port, struct xi_rtnl *rt, unsigned int *n)
{
	static const uint32_t hooks[] = {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS};
	int err = 0;

	*n = 0;
	for (int i = 0; !err && i < 2; i++) {
		struct tcmsg tcm = {
			.tcm_ifindex = (int)port->ifindex,
			.tcm_parent = TC_H_MAKE(TC_H_CLSACT, hooks[i]),
		};

		err = xi_rtnl_request(
			rt, xi_rtnl_message(RTM_GETTFILTER, NLM_F_DUMP, &tcm, sizeof(tcm)),
			guard_count, n);
	}
	return err;
}

static int guard_remove(const struct xi_port_dev *port, struct xi_rtnl *rt)
{
	struct tcmsg tcm = {
		.tcm_ifindex = (int)port->ifindex,
		.tcm_handle = GUARD_HANDLE,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS),
		.tcm_info = TC_H_MAKE(GUARD_PRIORITY << 16, htons(ETH_P_ALL)),
	};
	struct nl_msg *msg = xi_rtnl_message(RTM_DELTFILTER, 0, &tcm, sizeof(tcm));

	xi_rtnl_put_str(msg, TCA_KIND, "bpf");
	return xi_rtnl_request(rt, msg, NULL, NULL);
}

int xi_port_guard_detach(struct xi_port_dev *port)
{
	unsigned int left;
	struct xi_rtnl rt;
	int err = xi_rtnl_open(&rt);

	if (!err)
		err = guard_remove(port, &rt);
	if (!err)
		err = guard_filters(port, &rt, &left);
	if (!err && !left)
		err = guard_clsact(port, &rt, RTM_DELQDISC, 0);
	/* EINVAL: there is no clsact. ENOENT: there is no such filter. */
	if (err == -ENOENT || err == -EINVAL)
		err = 0;
	if (err)
		log_warnx("port %s: cannot detach the egress guard: %s", port->config.name,
			  strerror(-err));
	xi_rtnl_close(&rt);
	return err;
}
