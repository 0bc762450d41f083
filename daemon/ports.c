/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "ports.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/interface.h"
#include "dataplane/link.h"
#include "dataplane/xsk.h"
#include "log.h"
#include "pins.h"
#include "source/program.h"
#include "source/proto.h"

struct xi_ports {
	const struct xi_config_file *config;
	const struct xi_bpfobj *bpf;
	struct xi_hostif *hostif;
	uint32_t hostif_mtu;
	unsigned int nworkers;
	bool attached;
	struct xi_port_dev devs[XI_MAX_PORTS];
	struct xi_port_dev *by_slot[XI_MAX_PORTS];
};

XI_ASSERT(XI_MAX_PORTS <= 32); /* slots in a bit mask */

int xi_ports_check_lost(const struct xi_config_file *config)
{
	const char *lost = xi_pins_lost(config->pin_dir);
	uint32_t i;

	if (!lost)
		return 0;
	for (i = 0; i < config->nports; i++) {
		struct xi_port_dev dev = { .config = config->ports[i] };

		dev.ifindex = if_nametoindex(dev.config.name);
		if (!dev.ifindex || !xi_port_find(&dev, config->pin_dir))
			continue;
		/* a daemon is running here: claiming the XFRM socket will say so */
		if (!xi_xfrm_probe(getenv(XI_XFRM_SOCK_ENV)))
			return 0;
		log_warnx(
			"port %s: carries a program of an earlier xipsecd, but %s/%s is gone, and with it what was to be protected; set pin-dir as it was, or run `xipsec down`, then start again",
			dev.config.name, config->pin_dir, lost);
		return -EBUSY;
	}
	return 0;
}

static int ports_enter(const struct xi_ports *ports, const struct xi_port_dev *dev)
{
	struct xi_port value = {.role = dev->config.role, .slot = dev->slot, .queues = dev->queues,
				.packet_max = (uint16_t)dev->packet_max};

	memcpy(value.mac, dev->mac, sizeof(value.mac));
	if (bpf_map_update_elem(xi_bpfobj_map_fd(ports->bpf, XI_MAP_PORTS), &dev->ifindex, &value,
				BPF_ANY)) {
		log_warn("%s: cannot be entered into the ports map", dev->config.name);
		return -EIO;
	}
	return 0;
}

/*
 * Devices that an earlier daemon had as ports and this one has not: whatever still runs there
 * drops.
 */
static void ports_forget(const struct xi_ports *ports)
{
	int fd = xi_bpfobj_map_fd(ports->bpf, XI_MAP_PORTS);
	uint32_t key, next;
	int more = !bpf_map_get_next_key(fd, NULL, &key);

	while (more) {
		more = !bpf_map_get_next_key(fd, &key, &next);
		if (xi_ports_slot(ports, key) < 0)
			bpf_map_delete_elem(fd, &key);
		key = next;
	}
}

/* As that of the widest port, as far as packets are carried. */
static uint32_t ports_hostif_mtu(uint32_t mtu)
{
	uint32_t most = xi_xsk_has_sg() ? XI_HOSTIF_MTU_MAX : XI_PORT_MTU_ONE;

	return mtu < most ? mtu : most;
}

static int ports_open_devices(struct xi_ports *ports)
{
	const struct xi_config_file *config = ports->config;
	uint32_t i, mtu = 0, queues = 1;
	int err;

	for (i = 0; i < config->nports; i++) {
		struct xi_port_dev *dev = &ports->devs[i + 1];

		err = xi_port_open(dev, &config->ports[i], i + 1);
		if (err)
			return err;
		ports->by_slot[i + 1] = dev;
		mtu = dev->mtu > mtu ? dev->mtu : mtu;
		queues = dev->queues > queues ? dev->queues : queues;
	}
	ports->hostif_mtu = ports_hostif_mtu(mtu);
	ports->nworkers = config->workers ? config->workers : queues;
	if (ports->nworkers > queues) {
		log_warnx("workers = %u: only %u queues to serve; using %u", ports->nworkers,
			  queues, queues);
		ports->nworkers = queues;
	}
	return 0;
}

static int ports_open(struct xi_ports *ports)
{
	uint32_t slot;
	int err;

	err = ports_open_devices(ports);
	if (!err)
		err = xi_interfaces_check(ports->config->interfaces, ports->config->ninterfaces);
	if (!err)
		err = xi_hostif_up(ports->hostif, 0, ports->nworkers, ports->hostif_mtu);
	if (err)
		return err;
	ports->by_slot[0] = &ports->hostif->port;
	ports_forget(ports);
	for (slot = 0; slot < XI_MAX_PORTS && !err; slot++)
		err = ports->by_slot[slot] ? ports_enter(ports, ports->by_slot[slot]) : 0;
	return err;
}

int xi_ports_create(struct xi_ports **out, const struct xi_config_file *config,
		    const struct xi_bpfobj *bpf, struct xi_hostif *hostif)
{
	struct xi_ports *ports = calloc(1, sizeof(*ports));
	int err;

	if (!ports)
		return -ENOMEM;
	ports->config = config;
	ports->bpf = bpf;
	ports->hostif = hostif;
	err = ports_open(ports);
	if (err) {
		xi_ports_destroy(ports);
		return err;
	}
	*out = ports;
	return 0;
}

void xi_ports_destroy(struct xi_ports *ports)
{
	free(ports);
}

unsigned int xi_ports_workers(const struct xi_ports *ports)
{
	return ports->nworkers;
}

struct xi_port_dev *const *xi_ports_by_slot(const struct xi_ports *ports)
{
	return ports->by_slot;
}

int xi_ports_slot(const struct xi_ports *ports, uint32_t ifindex)
{
	int slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++)
		if (ports->by_slot[slot] && ports->by_slot[slot]->ifindex == ifindex)
			return slot;
	return -1;
}

static int ports_interfaces(const struct xi_ports *ports)
{
	const struct xi_interfaces interfaces = {
		.configs = ports->config->interfaces,
		.n = ports->config->ninterfaces,
		.hostif = ports->hostif,
		.interfaces_fd = xi_bpfobj_map_fd(ports->bpf, XI_MAP_INTERFACES),
		.if_ids_fd = xi_bpfobj_map_fd(ports->bpf, XI_MAP_IF_IDS),
		.prog_fd = xi_bpfobj_prog_fd(ports->bpf, "tc_interface"),
	};

	return xi_interfaces_up(&interfaces);
}

/*
 * On xipsec0: marks of the SA that the worker's record names become the packet's; and what goes to the
 * workers says where it comes from.
 */
static int ports_attach_host(const struct xi_ports *ports)
{
	struct xi_port_dev dev = { .config = { .name = XI_HOSTIF_NAME, .role = XI_ROLE_HOST },
				   .ifindex = ports->hostif->ifindex };
	int err;

	err = xi_port_mark_attach(&dev, xi_bpfobj_prog_fd(ports->bpf, "tc_mark"));
	if (!err)
		err = xi_port_guard_attach(&dev, xi_bpfobj_prog_fd(ports->bpf, "tc_host"));
	return err;
}

static int ports_attach_one(const struct xi_ports *ports, struct xi_port_dev *dev)
{
	bool cipher = dev->config.role == XI_ROLE_CIPHER, host = dev->config.role == XI_ROLE_HOST;
	int err = 0;

	/* before the program that reads what these write */
	if (host)
		err = ports_attach_host(ports);
	if (!err)
		err = xi_port_attach(dev, xi_bpfobj_prog_fd(ports->bpf, cipher ? "xdp_cipher" : "xdp_plain"),
				     ports->config->pin_dir);
	if (!err && cipher)
		err = xi_port_guard_attach(dev, xi_bpfobj_prog_fd(ports->bpf, "tc_guard"));
	return err;
}

int xi_ports_attach(struct xi_ports *ports)
{
	uint32_t slot;
	int err = 0;

	for (slot = 0; slot < XI_MAX_PORTS && !err; slot++)
		err = ports->by_slot[slot] ? ports_attach_one(ports, ports->by_slot[slot]) : 0;
	if (!err)
		err = ports_interfaces(ports);
	ports->attached = !err;
	return err;
}

/* True: its sockets have to be others. */
static bool ports_new_mtu(struct xi_port_dev *dev, uint32_t mtu)
{
	if (mtu == dev->mtu || dev->config.role == XI_ROLE_HOST)
		return false;
	if (xi_port_wants_long(mtu) != xi_port_wants_long(dev->mtu))
		return true;
	xi_port_set_mtu(dev, mtu);
	return false;
}

/* What became of a port's device. True: it has to be opened again. */
static bool ports_look_at(struct xi_ports *ports, struct xi_rtnl *rt, struct xi_port_dev *dev)
{
	char name[IFNAMSIZ];
	struct xi_link link;
	int err = xi_link_get(rt, dev->config.name, &link);

	if (err == -ENODEV && dev->ifindex && !if_indextoname(dev->ifindex, name)) {
		log_warnx(
			"port %s: the device is gone; nothing goes that way until there is one of this name again",
			dev->config.name);
		bpf_map_delete_elem(xi_bpfobj_map_fd(ports->bpf, XI_MAP_PORTS), &dev->ifindex);
		dev->ifindex = 0;
		return dev->config.role == XI_ROLE_HOST;
	}
	if (err)
		return false;
	if (!dev->ifindex)
		return true;
	if (link.ifindex == dev->ifindex && memcmp(link.mac, dev->mac, sizeof(dev->mac))) {
		memcpy(dev->mac, link.mac, sizeof(dev->mac));
		ports_enter(ports, dev);
	}
	return link.ifindex != dev->ifindex || ports_new_mtu(dev, link.mtu);
}

int xi_ports_look(struct xi_ports *ports, uint32_t *again)
{
	struct xi_rtnl rt;
	uint32_t slot;
	int err;

	*again = 0;
	err = xi_rtnl_open(&rt);
	for (slot = 0; slot < XI_MAX_PORTS && !err; slot++)
		if (ports->by_slot[slot] && ports_look_at(ports, &rt, ports->by_slot[slot]))
			*again |= 1U << slot;
	xi_rtnl_close(&rt);
	return err;
}

/* A port whose device was made anew. Programs come first: until workers run, they hold back. */
static int ports_reopen_one(struct xi_ports *ports, uint32_t slot)
{
	struct xi_port_dev *dev = ports->by_slot[slot];
	int err;

	if (slot)
		err = xi_port_open(dev, &ports->config->ports[slot - 1], slot);
	else
		err = xi_hostif_up(ports->hostif, 0, ports->nworkers, ports->hostif_mtu);
	if (!err)
		err = ports_enter(ports, dev);
	if (!err && ports->attached)
		err = ports_attach_one(ports, dev);
	return err;
}

/* xipsec0 follows the ports. */
static bool ports_hostif_changed(struct xi_ports *ports)
{
	uint32_t slot, mtu = 0, before = ports->hostif_mtu;

	for (slot = 1; slot < XI_MAX_PORTS; slot++)
		if (ports->by_slot[slot] && ports->by_slot[slot]->mtu > mtu)
			mtu = ports->by_slot[slot]->mtu;
	ports->hostif_mtu = ports_hostif_mtu(mtu);
	return ports->hostif_mtu != before;
}

int xi_ports_reopen(struct xi_ports *ports, uint32_t again)
{
	uint32_t i, slot;
	int err = 0;

	for (i = 1; i <= XI_MAX_PORTS && !err; i++) {
		slot = i % XI_MAX_PORTS; /* xipsec0 last */
		if (!slot && ports_hostif_changed(ports))
			again |= 1;
		err = again & 1U << slot ? ports_reopen_one(ports, slot) : 0;
		/* gone already: its next event brings the caller back here */
		if (err == -ENODEV)
			err = 0;
	}
	ports_forget(ports);
	return err;
}
