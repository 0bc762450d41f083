/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/port.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "dataplane/link.h"
#include "dataplane/xsk.h"
#include "log.h"

/* What makes an attached program ours: its name. */
static const char *const port_programs[] = {"xdp_cipher", "xdp_plain"};

static const char *port_program(const struct xi_port_dev *port)
{
	return port_programs[port->config.role == XI_ROLE_CIPHER ? 0 : 1];
}

/* Receive queues in use; where the driver does not tell, those that the device was made with. */
static int port_queues(struct xi_port_dev *port, const struct xi_link *link, char why[XI_PORT_WHY])
{
	const char *name = port->config.name;
	uint32_t rx = 0, tx = 0;

	if (!xi_link_channels(name, &rx, &tx)) {
		if (rx > XI_MAX_QUEUES) {
			snprintf(why, XI_PORT_WHY,
				 "%u receive queues and at most %d are served: run 'ethtool -L %s combined %d' (or rx %d)",
				 rx, XI_MAX_QUEUES, name, XI_MAX_QUEUES, XI_MAX_QUEUES);
			return -E2BIG;
		}
		port->queues = rx;
		port->tx_queues = tx ? tx : rx;
		return 0;
	}
	port->queues = link->rx_queues ? link->rx_queues : 1;
	if (port->queues > XI_MAX_QUEUES)
		port->queues = XI_MAX_QUEUES;
	port->tx_queues = port->queues;
	return 0;
}

/*
 * Many a driver has zero-copy or packets of several descriptors, not both: these only where the MTU
 * is for them.
 */
void xi_port_set_mtu(struct xi_port_dev *port, uint32_t mtu)
{
	const char *name = port->config.name;
	bool wants = xi_port_wants_long(mtu), has = wants && xi_xsk_has_sg();

	port->mtu = mtu;
	port->packet_max = has ? XI_PACKET_LONG : XI_PACKET_ONE;
	/* what comes from the host is bounded by the MTU of the other end, xipsec0 */
	if (port->mtu <= port->packet_max || port->config.role == XI_ROLE_HOST)
		return;
	if (has)
		log_warnx(
			"port %s: MTU %u: packets of more than %u bytes are dropped (too_big): set the MTU to %u or less",
			name, port->mtu, port->packet_max, port->packet_max);
	else
		log_warnx(
			"port %s: MTU %u: packets of more than %u bytes are dropped (too_big): this kernel has no multi-buffer AF_XDP (Linux 6.6); set the MTU to %u or less",
			name, port->mtu, port->packet_max, port->packet_max);
}

int xi_port_look(struct xi_port_dev *port, const struct xi_port_config *config,
		 char why[XI_PORT_WHY])
{
	struct xi_rtnl rt;
	struct xi_link link;
	int err = xi_rtnl_open(&rt);

	*port = (struct xi_port_dev){.config = *config};
	if (err) {
		snprintf(why, XI_PORT_WHY, "cannot open a netlink socket: %s", strerror(-err));
		return err;
	}
	err = xi_link_get(&rt, config->name, &link);
	xi_rtnl_close(&rt);
	if (err == -ENODEV)
		snprintf(why, XI_PORT_WHY, "%s",
			 "no such device in this network namespace (`ip link` lists them): correct the name, create it, or remove its section from the configuration");
	else if (err)
		snprintf(why, XI_PORT_WHY, "cannot ask for the device: %s", strerror(-err));
	if (err)
		return err;
	if (!link.ethernet || (link.flags & IFF_LOOPBACK)) {
		snprintf(why, XI_PORT_WHY, "%s",
			 "not an ethernet device: a port needs one, remove its section from the configuration");
		return -EOPNOTSUPP;
	}
	port->ifindex = link.ifindex;
	port->mtu = link.mtu;
	memcpy(port->mac, link.mac, sizeof(port->mac));
	return port_queues(port, &link, why);
}

int xi_port_open(struct xi_port_dev *port, const struct xi_port_config *config, uint32_t slot)
{
	char why[XI_PORT_WHY];
	int err;

	if (slot >= XI_MAX_PORTS)
		return -EINVAL;
	err = xi_port_look(port, config, why);
	port->slot = slot;
	if (err) {
		log_warnx("port %s: %s", config->name, why);
		return err;
	}
	xi_port_set_mtu(port, port->mtu);
	return 0;
}

/* bpffs refuses dots in names (they are reserved); a colon never occurs in a device name. */
static int port_link_path(const struct xi_port_dev *port, const char *pin_dir, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/link_%s", pin_dir, port->config.name);

	if (n < 0 || n >= PATH_MAX)
		return -ENAMETOOLONG;
	for (char *c = path + n - strlen(port->config.name); *c; c++)
		if (*c == '.')
			*c = ':';
	return 0;
}

static uint32_t port_xdp_flags(const struct xi_port_dev *port)
{
	return port->config.mode == XI_PORT_SKB ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
}

/* Id of the program in this port's mode (*here) and in the other one (*other); 0 = none. */
static int port_query(const struct xi_port_dev *port, uint32_t *here, uint32_t *other)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	int err = bpf_xdp_query((int)port->ifindex, 0, &opts);

	if (err)
		return err;
	*here = port->config.mode == XI_PORT_SKB ? opts.skb_prog_id : opts.drv_prog_id;
	*other = port->config.mode == XI_PORT_SKB ? opts.drv_prog_id : opts.skb_prog_id;
	if (!*other)
		*other = opts.hw_prog_id;
	return 0;
}

static int program_info(int fd, struct bpf_prog_info *info)
{
	uint32_t len = sizeof(*info);

	*info = (struct bpf_prog_info){0};
	return bpf_obj_get_info_by_fd(fd, info, &len);
}

/* A file descriptor of program id if it is one of ours, -EBUSY if it is somebody else's. */
static int own_program(uint32_t id, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info;
	int fd = bpf_prog_get_fd_by_id(id);
	int err;

	if (fd < 0)
		return fd;
	err = program_info(fd, &info);
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	for (size_t i = 0; !err && i < sizeof(port_programs) / sizeof(port_programs[0]); i++)
		if (!strcmp(info.name, port_programs[i]))
			return fd;
	close(fd);
	return err ? err : -EBUSY;
}

/* The same, and says why not. */
static int port_own_program(const struct xi_port_dev *port, uint32_t id)
{
	const char *name = port->config.name;
	char program[BPF_OBJ_NAME_LEN] = "";
	int fd = own_program(id, program);

	if (fd == -EBUSY)
		log_warnx(
			"port %s: XDP program '%s' (id %u) of somebody else is attached: detach it ('ip link set dev %s xdp off') and start again",
			name, program, id, name);
	else if (fd < 0)
		log_warnx("port %s: cannot look at XDP program %u that is attached: %s", name, id,
			  strerror(-fd));
	return fd;
}

/*
 * A program in the other mode cannot be replaced in one step, and a port must not be without one in
 * between.
 */
static int port_check_other(const struct xi_port_dev *port, uint32_t other)
{
	const char *name = port->config.name;
	int fd;

	if (!other)
		return 0;
	fd = port_own_program(port, other);
	if (fd < 0)
		return fd;
	close(fd);
	log_warnx(
		"port %s: an earlier start attached in another mode: run 'xipsec down' first, or set mode = %s",
		name, port->config.mode == XI_PORT_SKB ? "native" : "skb");
	return -EBUSY;
}

static void port_attach_failed(const struct xi_port_dev *port, int err)
{
	const char *hint = "";

	if (port->config.mode == XI_PORT_NATIVE && (err == -EOPNOTSUPP || err == -ENOTSUP))
		hint = ": its driver has no native XDP, set mode = skb for this port";
	else if (err == -EINVAL || err == -ERANGE)
		hint = ": its MTU or offloads do not suit native XDP, lower the MTU or set mode = skb for this port";
	else if (err == -EPERM)
		hint = ": CAP_NET_ADMIN and CAP_BPF are needed";
	log_warnx("port %s: cannot attach the XDP program: %s%s", port->config.name, strerror(-err),
		  hint);
}

static int attach_netlink(struct xi_port_dev *port, int prog_fd, const char *pin_dir)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	uint32_t flags = port_xdp_flags(port);
	char path[PATH_MAX];
	uint32_t here, other;
	int err, old = -1;

	err = port_link_path(port, pin_dir, path);
	if (err)
		return err;
	if (!access(path, F_OK)) {
		log_warnx(
			"port %s: %s holds it since a start with attach = link: run 'xipsec down' first, or set attach = link",
			port->config.name, path);
		return -EBUSY;
	}
	err = port_query(port, &here, &other);
	if (!err)
		err = port_check_other(port, other);
	if (err)
		return err;
	if (here) {
		old = port_own_program(port, here);
		if (old < 0)
			return old;
		opts.old_prog_fd = old;
		flags |= XDP_FLAGS_REPLACE;
	} else {
		flags |= XDP_FLAGS_UPDATE_IF_NOEXIST;
	}
	err = bpf_xdp_attach((int)port->ifindex, prog_fd, flags, &opts);
	if (old >= 0)
		close(old);
	if (err)
		port_attach_failed(port, err);
	return err;
}

/*
 * The pinned link of an earlier daemon, if it still holds this device; a link whose device is gone
 * is unpinned.
 */
static int link_adopt(const struct xi_port_dev *port, const char *path)
{
	struct bpf_link_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_obj_get(path);
	int err;

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == port->ifindex)
		return fd;
	close(fd);
	if (err || info.type != BPF_LINK_TYPE_XDP || info.xdp.ifindex) {
		log_warnx(
			"port %s: %s is not the link of this device: remove the file and start again",
			port->config.name, path);
		return err ? err : -EBUSY;
	}
	return unlink(path) ? -errno : -ENOENT;
}

static int link_make(struct xi_port_dev *port, int prog_fd, const char *path)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = port_xdp_flags(port));
	int fd, err;

	fd = bpf_link_create(prog_fd, (int)port->ifindex, BPF_XDP, &opts);
	if (fd < 0) {
		port_attach_failed(port, fd);
		return fd;
	}
	err = bpf_obj_pin(fd, path);
	if (err)
		log_warnx("port %s: cannot pin its link at %s: %s", port->config.name, path,
			  strerror(-err));
	close(fd);
	return err;
}

static int attach_link(struct xi_port_dev *port, int prog_fd, const char *pin_dir)
{
	uint32_t here, other;
	char path[PATH_MAX];
	int err, fd;

	err = port_link_path(port, pin_dir, path);
	if (!err)
		err = port_query(port, &here, &other);
	if (!err)
		err = port_check_other(port, other);
	if (err)
		return err;
	fd = link_adopt(port, path);
	if (fd >= 0) {
		err = bpf_link_update(fd, prog_fd, NULL);
		close(fd);
		if (err)
			port_attach_failed(port, err);
		return err;
	}
	if (fd != -ENOENT)
		return fd;
	if (here) {
		fd = port_own_program(port, here);
		if (fd < 0)
			return fd;
		close(fd);
		log_warnx(
			"port %s: an earlier start attached by netlink: run 'xipsec down' first, or set attach = netlink",
			port->config.name);
		return -EBUSY;
	}
	return link_make(port, prog_fd, path);
}

static const char *port_ip_keyword(const struct xi_port_dev *port)
{
	return port->config.mode == XI_PORT_SKB ? "xdpgeneric" : "xdpdrv";
}

static int attach_none(struct xi_port_dev *port, int prog_fd, const char *pin_dir)
{
	const char *name = port->config.name;
	struct bpf_prog_info info;
	uint32_t here, other;
	int err = port_query(port, &here, &other);

	if (!err)
		err = program_info(prog_fd, &info);
	if (err) {
		log_warnx("port %s: cannot see what is attached: %s", name, strerror(-err));
		return err;
	}
	if (here == info.id) {
		log_info("port %s: %s is attached", name, port_program(port));
		return 0;
	}
	log_warnx(
		"port %s: attach = none and %s is not attached: run 'ip %slink set dev %s %s pinned %s/%s'",
		name, port_program(port), here ? "-force " : "", name, port_ip_keyword(port),
		pin_dir, port_program(port));
	return 0;
}

int xi_port_attach(struct xi_port_dev *port, int prog_fd, const char *pin_dir)
{
	switch (port->config.attach) {
	case XI_ATTACH_NETLINK:
		return attach_netlink(port, prog_fd, pin_dir);
	case XI_ATTACH_LINK:
		return attach_link(port, prog_fd, pin_dir);
	case XI_ATTACH_NONE:
		return attach_none(port, prog_fd, pin_dir);
	}
	return -EINVAL;
}

static int detach_netlink(const struct xi_port_dev *port)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	char program[BPF_OBJ_NAME_LEN];
	uint32_t here, other;
	int err, fd;

	err = port_query(port, &here, &other);
	if (err || !here)
		return err;
	fd = own_program(here, program);
	if (fd < 0)
		return fd == -EBUSY ? 0 : fd;
	opts.old_prog_fd = fd;
	err = bpf_xdp_detach((int)port->ifindex, port_xdp_flags(port) | XDP_FLAGS_REPLACE, &opts);
	close(fd);
	return err;
}

static int detach_link(const struct xi_port_dev *port, const char *pin_dir)
{
	char path[PATH_MAX];
	int err, fd;

	err = port_link_path(port, pin_dir, path);
	if (err)
		return err;
	fd = link_adopt(port, path);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = bpf_link_detach(fd);
	close(fd);
	if (!err && unlink(path))
		err = -errno;
	return err;
}

bool xi_port_find(struct xi_port_dev *port, const char *pin_dir)
{
	char path[PATH_MAX], program[BPF_OBJ_NAME_LEN];
	uint32_t here, other;
	int fd;

	port->config.mode = XI_PORT_NATIVE;
	if (port_link_path(port, pin_dir, path) || port_query(port, &here, &other))
		return false;
	port->config.attach = access(path, F_OK) ? XI_ATTACH_NETLINK : XI_ATTACH_LINK;
	if (!here) {
		port->config.mode = XI_PORT_SKB;
		here = other;
	}
	fd = here ? own_program(here, program) : -ENOENT;
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

int xi_port_detach(struct xi_port_dev *port, const char *pin_dir)
{
	const char *name = port->config.name;
	uint32_t here = 0, other = 0;
	int err = 0;

	if (port->config.attach == XI_ATTACH_NETLINK)
		err = detach_netlink(port);
	else if (port->config.attach == XI_ATTACH_LINK)
		err = detach_link(port, pin_dir);
	else if (!port_query(port, &here, &other) && here)
		log_info(
			"port %s: attach = none, its program stays: run 'ip link set dev %s %s off'",
			name, name, port_ip_keyword(port));
	if (err)
		log_warnx("port %s: cannot detach the XDP program: %s", name, strerror(-err));
	return err;
}
