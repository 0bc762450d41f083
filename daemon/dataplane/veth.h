/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pair of virtual Ethernet devices of the daemon's own. */
#ifndef XI_VETH_H
#define XI_VETH_H

#include <stdint.h>

#include "dataplane/link.h"

struct xi_veth_end {
	const char *name;
	uint8_t mac[6];              /* zero: the kernel chooses */
	uint32_t mtu;
	uint32_t queues;             /* receive and transmit queues to make room for */
};

/* 0 or -errno; rt->text has the kernel's words. */
int xi_veth_make(struct xi_rtnl *rt, const struct xi_veth_end ends[2]);
/*
 * 0: both ends are there and belong together. -ENODEV: neither is. -EEXIST: something else has one
 * of the names, which is not ours to touch (logged).
 */
int xi_veth_find(struct xi_rtnl *rt, const char *name, const char *peer, struct xi_link ends[2]);
/* Both ends go. -ENODEV: there was no such pair. */
int xi_veth_remove(struct xi_rtnl *rt, const char *name, const char *peer);

/*
 * MAC (unless zero) and MTU, as part of a message about a device. Not its name: before Linux 6.2 none that is up takes
 * one, even its own.
 */
void xi_veth_put_end(struct nl_msg *msg, const struct xi_veth_end *end);

#endif
