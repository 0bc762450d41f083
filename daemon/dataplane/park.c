/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/park.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <xipsec/abi.h>
#include "dataplane/veth.h"

#define PARK_MTU 1500

static void park_name(struct xi_park *park, unsigned int worker)
{
	*park = (struct xi_park){0};
	snprintf(park->name, sizeof(park->name), XI_PARK_NAME "%u", worker % XI_MAX_WORKERS);
	snprintf(park->peer, sizeof(park->peer), XI_PARK_NAME "%u-p", worker % XI_MAX_WORKERS);
}

static int park_make(struct xi_rtnl *rt, const struct xi_park *park)
{
	const struct xi_veth_end ends[2] = {
		{.name = park->name, .mtu = PARK_MTU, .queues = 1},
		{.name = park->peer, .mtu = PARK_MTU, .queues = 1},
	};

	return xi_veth_make(rt, ends);
}

/*
 * In a container that may not write it, the kernel asks for neighbours: nobody's business in the
 * moments in which the ends are up.
 */
static int park_no_ipv6(const char *name)
{
	int err = xi_link_sysctl(name, "ipv6", "disable_ipv6", '1');

	return err == -EROFS || err == -EACCES || err == -EPERM ? 0 : err;
}

/* Nobody speaks here: neither ARP, which no address means, nor neighbour discovery. */
static int park_quiet(struct xi_rtnl *rt, const struct xi_park *park)
{
	int err = park_no_ipv6(park->name);

	if (!err)
		err = park_no_ipv6(park->peer);
	if (!err)
		err = xi_link_gro_on(park->peer);
	if (!err)
		err = xi_link_set_up(rt, park->ifindex, true);
	return err ? err : xi_link_set_up(rt, park->peer_ifindex, true);
}

int xi_park_open(struct xi_park *park, unsigned int worker)
{
	struct xi_link ends[2];
	struct xi_rtnl rt;
	int err;

	park_name(park, worker);
	err = xi_rtnl_open(&rt);
	if (err)
		return err;
	err = xi_veth_find(&rt, park->name, park->peer, ends);
	if (err == -ENODEV) {
		err = park_make(&rt, park);
		if (!err)
			err = xi_veth_find(&rt, park->name, park->peer, ends);
	}
	if (!err) {
		park->ifindex = ends[0].ifindex;
		park->peer_ifindex = ends[1].ifindex;
		err = park_quiet(&rt, park);
	}
	xi_rtnl_close(&rt);
	return err;
}

static int park_down(uint32_t ifindex)
{
	struct xi_rtnl rt;
	int err;

	err = xi_rtnl_open(&rt);
	if (!err)
		err = xi_link_set_up(&rt, ifindex, false);
	xi_rtnl_close(&rt);
	return err;
}

int xi_park_close_peer(const struct xi_park *park)
{
	return park_down(park->peer_ifindex);
}

int xi_park_rest(const struct xi_park *park)
{
	return park_down(park->ifindex);
}

void xi_park_close(const struct xi_park *park)
{
	struct xi_rtnl rt;

	if (!park->ifindex || xi_rtnl_open(&rt))
		return;
	xi_veth_remove(&rt, park->name, park->peer);
	xi_rtnl_close(&rt);
}

int xi_park_remove_all(void)
{
	struct xi_park park;
	struct xi_rtnl rt;
	unsigned int i;
	int err, one;

	err = xi_rtnl_open(&rt);
	if (err)
		return err;
	for (i = 0; i < XI_MAX_WORKERS; i++) {
		park_name(&park, i);
		one = xi_veth_remove(&rt, park.name, park.peer);
		if (!err && one != -ENODEV)
			err = one;
	}
	xi_rtnl_close(&rt);
	return err;
}
