/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of the devices of this namespace, kept up by dump and notifications. Control thread
 * only.
 */
#ifndef XI_DEVICES_H
#define XI_DEVICES_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/link.h"

struct xi_device;

/* Zeroed: empty. */
struct xi_devices {
	struct xi_device *by_ifindex;
};

/* NULL: not known. Valid until the next event. */
const struct xi_link *xi_devices_find(const struct xi_devices *devices, uint32_t ifindex);
/* An RTM_NEWLINK or RTM_DELLINK. True: something that a next hop depends on is different. */
bool xi_devices_event(struct xi_devices *devices, const struct nlmsghdr *nlh);
/* From scratch. 0 or -errno. */
int xi_devices_load(struct xi_devices *devices, struct xi_rtnl *rt);
void xi_devices_clear(struct xi_devices *devices);

#endif
