/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/interface.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/rtnetlink.h>

#include "dataplane/veth.h"
#include "log.h"

static void peer_name(char name[IFNAMSIZ], uint32_t if_id)
{
	snprintf(name, IFNAMSIZ, XI_INTERFACE_PEER "%x", if_id);
}

bool xi_interface_is_peer(const char *name)
{
	size_t len = strlen(XI_INTERFACE_PEER);

	return !strncmp(name, XI_INTERFACE_PEER, len) && name[len] &&
	       strspn(name + len, "0123456789abcdef") == strlen(name + len);
}

/* As it should be: no ARP, and the address of xipsec0, which frames are for that come in there. */
static struct xi_veth_end interface_end(const struct xi_interfaces *all,
					const struct xi_interface_config *config)
{
	struct xi_veth_end end = { .name = config->name, .mtu = all->hostif->mtu, .queues = 1 };

	memcpy(end.mac, all->hostif->mac, sizeof(end.mac));
	return end;
}

static int device_remove(struct xi_rtnl *rt, uint32_t ifindex)
{
	struct ifinfomsg ifi = { .ifi_index = (int)ifindex };

	return xi_rtnl_request(rt, xi_rtnl_message(RTM_DELLINK, 0, &ifi, sizeof(ifi)), NULL, NULL);
}

/* Removes a pair of ours by the name of its other end. One of somebody else stays. */
static int peer_remove(struct xi_rtnl *rt, const char *name)
{
	struct xi_link link;
	int err = xi_link_get(rt, name, &link);

	if (err || strcmp(link.kind, "veth"))
		return err == -ENODEV ? 0 : err;
	err = device_remove(rt, link.ifindex);
	if (err)
		log_warnx("%s: cannot remove the device of an interface: %s", name, strerror(-err));
	return err == -ENODEV ? 0 : err;
}

/* Is this pair one of those configured, by both of its names? */
static bool is_configured(const struct xi_interfaces *all, struct xi_rtnl *rt, const char *peer)
{
	char wanted[IFNAMSIZ], name[IFNAMSIZ];
	struct xi_link link;

	if (xi_link_get(rt, peer, &link) || !link.peer || !if_indextoname(link.peer, name))
		return false;
	for (uint32_t i = 0; i < all->n; i++) {
		peer_name(wanted, all->configs[i].if_id);
		if (!strcmp(wanted, peer) && !strcmp(all->configs[i].name, name))
			return true;
	}
	return false;
}

/* all NULL: none is configured. */
static int peers_remove(const struct xi_interfaces *all, struct xi_rtnl *rt)
{
	struct if_nameindex *devices = if_nameindex();
	int err = 0, one;

	if (!devices)
		return -errno;
	for (struct if_nameindex *d = devices; d->if_index; d++) {
		if (!xi_interface_is_peer(d->if_name) ||
		    (all && is_configured(all, rt, d->if_name)))
			continue;
		one = peer_remove(rt, d->if_name);
		err = err ? err : one;
	}
	if_freenameindex(devices);
	return err;
}

/*
 * No chatter of the kernel's on a link where nobody listens; and policies of its own XFRM have no say here, as on
 * xipsec0.
 */
static int interface_quiet(const char *name, const char *peer)
{
	static const char *const zeros[] = { "accept_ra", "autoconf", "accept_dad", "dad_transmits",
					     "router_solicitations" };
	int err = xi_link_sysctl(peer, "ipv6", "disable_ipv6", '1');

	for (size_t i = 0; !err && i < sizeof(zeros) / sizeof(zeros[0]); i++)
		err = xi_link_sysctl(name, "ipv6", zeros[i], '0');
	if (!err)
		err = xi_link_sysctl(name, "ipv4", "disable_xfrm", '1');
	if (!err)
		err = xi_link_sysctl(name, "ipv4", "disable_policy", '1');
	if (!err)
		err = xi_link_sysctl(name, "ipv6", "disable_policy", '1');
	return err ? err : xi_link_sysctl(name, "ipv6", "addr_gen_mode", '1');
}

static int interface_noarp(struct xi_rtnl *rt, uint32_t ifindex)
{
	struct ifinfomsg ifi = {
		.ifi_index = (int)ifindex,
		.ifi_flags = IFF_NOARP,
		.ifi_change = IFF_NOARP | IFF_MULTICAST,
	};

	return xi_rtnl_request(rt, xi_rtnl_message(RTM_NEWLINK, 0, &ifi, sizeof(ifi)), NULL, NULL);
}

/* The device itself, down if it is new. One that is down may have been left by a start that was cut short. */
static int interface_find(const struct xi_interfaces *all, const struct xi_interface_config *config,
			  struct xi_rtnl *rt, struct xi_link ends[2])
{
	char peer[IFNAMSIZ];
	struct xi_veth_end wanted[2] = { interface_end(all, config),
					 { .name = peer, .queues = 1 } };
	int err;

	peer_name(peer, config->if_id);
	wanted[1].mtu = wanted[0].mtu;
	err = xi_veth_find(rt, config->name, peer, ends);
	if (err == -ENODEV) {
		err = xi_veth_make(rt, wanted);
		if (!err)
			err = xi_veth_find(rt, config->name, peer, ends);
	}
	if (err || ends[0].flags & IFF_UP)
		return err;
	for (int i = 0; !err && i < 2; i++)
		err = interface_noarp(rt, ends[i].ifindex);
	return err ? err : interface_quiet(config->name, peer);
}

static int maps_enter(const struct xi_interfaces *all, uint32_t if_id, uint32_t ifindex)
{
	if (bpf_map_update_elem(all->interfaces_fd, &ifindex, &if_id, BPF_ANY) ||
	    bpf_map_update_elem(all->if_ids_fd, &if_id, &ifindex, BPF_ANY))
		return -errno;
	return 0;
}

/* Maps and program first: from the moment in which it is up, it is what it should be. */
static int interface_up(const struct xi_interfaces *all, const struct xi_interface_config *config,
			struct xi_rtnl *rt)
{
	struct xi_port_dev dev = { .config = { .role = XI_ROLE_HOST } };
	const char *step = "find or make the device";
	struct xi_link ends[2];
	int err = interface_find(all, config, rt, ends);

	if (!err) {
		memcpy(dev.config.name, config->name, sizeof(dev.config.name));
		dev.ifindex = ends[0].ifindex;
		step = "turn the offloads off";
		err = xi_link_offloads_off(config->name);
	}
	if (!err) {
		step = "enter it into the maps";
		err = maps_enter(all, config->if_id, dev.ifindex);
	}
	if (!err) {
		step = "attach its program";
		err = xi_port_guard_attach(&dev, all->prog_fd);
	}
	for (int i = 1; !err && i >= 0; i--) {
		step = "bring it up";
		err = xi_link_set_up(rt, ends[i].ifindex, true);
	}
	if (err)
		log_warnx("interface %s: cannot %s: %s%s%s", config->name, step, strerror(-err),
			  rt->text[0] ? ": " : "", rt->text);
	return err;
}

/* Rows of interfaces that are not configured, or whose device is another by now. */
static void maps_clear(const struct xi_interfaces *all)
{
	uint32_t key, next, value;
	char name[IFNAMSIZ];
	bool more = !bpf_map_get_next_key(all->interfaces_fd, NULL, &key);

	while (more) {
		more = !bpf_map_get_next_key(all->interfaces_fd, &key, &next);
		if (!if_indextoname(key, name))
			bpf_map_delete_elem(all->interfaces_fd, &key);
		key = next;
	}
	more = !bpf_map_get_next_key(all->if_ids_fd, NULL, &key);
	while (more) {
		more = !bpf_map_get_next_key(all->if_ids_fd, &key, &next);
		if (!bpf_map_lookup_elem(all->if_ids_fd, &key, &value) &&
		    !if_indextoname(value, name))
			bpf_map_delete_elem(all->if_ids_fd, &key);
		key = next;
	}
}

int xi_interfaces_up(const struct xi_interfaces *all)
{
	struct xi_rtnl rt;
	int err = xi_rtnl_open(&rt);

	if (!err)
		err = peers_remove(all, &rt);
	if (!err)
		maps_clear(all);
	for (uint32_t i = 0; i < all->n && !err; i++)
		err = interface_up(all, &all->configs[i], &rt);
	xi_rtnl_close(&rt);
	return err;
}

/* Is there no device of this name, or one end of a pair of ours? */
static bool name_is_free(struct xi_rtnl *rt, const char *name)
{
	struct xi_link link;
	char peer[IFNAMSIZ];

	return xi_link_get(rt, name, &link) ||
	       (!strcmp(link.kind, "veth") && link.peer && if_indextoname(link.peer, peer) &&
		xi_interface_is_peer(peer));
}

const char *xi_interface_objection(struct xi_rtnl *rt, const struct xi_interface_config *config)
{
	if (name_is_free(rt, config->name))
		return NULL;
	return "a device of this name is there and is not ours: name the interface otherwise, or rename or delete the device";
}

int xi_interfaces_check(const struct xi_interface_config *configs, uint32_t n)
{
	struct xi_rtnl rt;
	const char *why;
	int err = xi_rtnl_open(&rt);

	for (uint32_t i = 0; i < n && !err; i++) {
		why = xi_interface_objection(&rt, &configs[i]);
		if (!why)
			continue;
		log_warnx("interface %s: %s", configs[i].name, why);
		err = -EEXIST;
	}
	xi_rtnl_close(&rt);
	return err;
}

uint32_t xi_interface_state(const struct xi_interface_config *config, bool *up)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t ifindex = 0;

	*up = false;
	if (fd < 0)
		return 0;
	memcpy(ifr.ifr_name, config->name, sizeof(ifr.ifr_name));
	if (!ioctl(fd, SIOCGIFFLAGS, &ifr)) {
		*up = ifr.ifr_flags & IFF_UP;
		if (!ioctl(fd, SIOCGIFINDEX, &ifr))
			ifindex = (uint32_t)ifr.ifr_ifindex;
	}
	close(fd);
	return ifindex;
}

int xi_interfaces_down(void)
{
	struct xi_rtnl rt;
	int err = xi_rtnl_open(&rt);

	if (!err)
		err = peers_remove(NULL, &rt);
	xi_rtnl_close(&rt);
	return err;
}
