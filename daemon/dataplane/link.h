/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Network devices as the kernel describes them: rtnetlink for what they are, ethtool for queues and
 * offloads.
 */
#ifndef XI_LINK_H
#define XI_LINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/rtnl.h"

struct xi_link {
	char name[IFNAMSIZ];
	char kind[IFNAMSIZ];         /* "veth", "vlan" ...; empty for hardware */
	uint32_t ifindex;
	uint32_t peer;               /* other end of a veth in this namespace, else 0 */
	uint32_t mtu;
	uint32_t flags;              /* IFF_* */
	uint32_t rx_queues;          /* allocated, not necessarily in use */
	bool ethernet;
	uint8_t mac[6];              /* Ethernet only */
};

/* From an RTM_NEWLINK or RTM_DELLINK message. 0, or -EBADMSG. */
int xi_link_parse(const struct nlmsghdr *nlh, struct xi_link *link);
/* -ENODEV: no device of that name in this namespace. */
int xi_link_get(struct xi_rtnl *rt, const char *name, struct xi_link *link);

/* Receive and transmit queues in use. 0 or -errno, -EOPNOTSUPP where the driver does not tell. */
int xi_link_channels(const char *name, uint32_t *rx, uint32_t *tx);
int xi_link_set_channels(const char *name, uint32_t rx, uint32_t tx);
/*
 * Turns off checksum offload, segmentation, scatter-gather and receive merging: what leaves the
 * device is then a finished packet. 0 or -errno; -EBUSY: the device keeps one of them on.
 */
int xi_link_offloads_off(const char *name);

/* Receive merging alone: on a veth end it also makes the end take frames that XDP redirects there. */
int xi_link_gro_on(const char *name);
int xi_link_set_up(struct xi_rtnl *rt, uint32_t ifindex, bool up);

/*
 * net.<family>.conf.<device>.<name>, of one character. Written only where it differs: /proc/sys may be
 * read-only in a container that an operator prepared. 0 or -errno, logged; a kernel without IPv6
 * needs none of its settings.
 */
int xi_link_sysctl(const char *device, const char *family, const char *name, char value);
/* 0: cannot be read. */
char xi_link_sysctl_get(const char *device, const char *family, const char *name);

/* What the driver counts of frames that XDP redirected to the device. */
struct xi_link_xmit {
	uint64_t packets;
	uint64_t errors;
	bool counts_errors;
};

/* Sum over the queues. 0 or -errno, -EOPNOTSUPP where the driver does not count them. */
int xi_link_xmit(const char *name, struct xi_link_xmit *xmit);
/*
 * The same from n counters of ethtool and their names, which have no zero byte when they fill all
 * 32 bytes. 0 or -EOPNOTSUPP.
 */
int xi_link_xmit_sum(const char (*names)[32], const uint64_t *values, uint32_t n,
		     struct xi_link_xmit *xmit);

#endif
