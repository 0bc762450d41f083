/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/devices.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/rtnetlink.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct xi_device {
	struct xi_link link;
	UT_hash_handle hh;
};

static struct xi_device *device_find(const struct xi_devices *devices, uint32_t ifindex)
{
	struct xi_device *device;

	HASH_FIND(hh, devices->by_ifindex, &ifindex, sizeof(ifindex), device);
	return device;
}

const struct xi_link *xi_devices_find(const struct xi_devices *devices, uint32_t ifindex)
{
	const struct xi_device *device = device_find(devices, ifindex);

	return device ? &device->link : NULL;
}

static bool link_changed(const struct xi_link *a, const struct xi_link *b)
{
	return a->mtu != b->mtu || ((a->flags ^ b->flags) & (IFF_UP | IFF_RUNNING)) ||
	       a->ethernet != b->ethernet || memcmp(a->mac, b->mac, sizeof(a->mac));
}

static void device_remove(struct xi_devices *devices, struct xi_device *device)
{
	HASH_DEL(devices->by_ifindex, device);
	free(device);
}

/*
 * Without memory the device stays unknown, and what is routed to it goes through the host's stack.
 */
static void device_add(struct xi_devices *devices, const struct xi_link *link)
{
	struct xi_device *device = calloc(1, sizeof(*device));

	if (!device)
		return;
	device->link = *link;
	HASH_ADD(hh, devices->by_ifindex, link.ifindex, sizeof(device->link.ifindex), device);
	if (!device->hh.tbl)
		free(device);
}

bool xi_devices_event(struct xi_devices *devices, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = nlmsg_data(nlh);
	struct xi_device *device;
	struct xi_link link;
	bool changed;

	/* AF_BRIDGE: about a device's place in a bridge, not about the device. */
	if (xi_link_parse(nlh, &link) || ifi->ifi_family != AF_UNSPEC)
		return false;
	device = device_find(devices, link.ifindex);
	if (nlh->nlmsg_type == RTM_DELLINK) {
		if (!device)
			return false;
		device_remove(devices, device);
		return true;
	}
	if (!device) {
		device_add(devices, &link);
		return true;
	}
	changed = link_changed(&device->link, &link);
	device->link = link;
	return changed;
}

static void devices_restart(void *arg)
{
	xi_devices_clear(arg);
}

static int devices_take(void *arg, const struct nlmsghdr *nlh)
{
	xi_devices_event(arg, nlh);
	return 0;
}

int xi_devices_load(struct xi_devices *devices, struct xi_rtnl *rt)
{
	return xi_rtnl_dump(rt, RTM_GETLINK, AF_UNSPEC, devices_take, devices_restart, devices);
}

void xi_devices_clear(struct xi_devices *devices)
{
	struct xi_device *device, *next;

	HASH_ITER (hh, devices->by_ifindex, device, next)
		device_remove(devices, device);
}
