/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/hostif.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "dataplane/link.h"
#include "log.h"

/*
 * Non-frags XDP on one end of a veth pair caps the MTU of the other: a page less headroom and skb
 * overhead.
 */
#define HOSTIF_MTU_MAX 3506
#define HOSTIF_ROOM 128

/*
 * Locally administered and always the same, so frames and neighbour caches outlive a remake of the
 * pair.
 */
static const uint8_t hostif_macs[2][6] = {
	{0x02, 0x78, 0x69, 0x70, 0x73, 0x30},
	{0x02, 0x78, 0x69, 0x70, 0x73, 0x31},
};

/* What one end is made with, and set to when it is there already. */
static void hostif_put_end(struct nl_msg *msg, const char *name, const uint8_t mac[6], uint32_t mtu)
{
	xi_rtnl_put_str(msg, IFLA_IFNAME, name);
	xi_rtnl_put(msg, IFLA_ADDRESS, mac, 6);
	xi_rtnl_put_u32(msg, IFLA_MTU, mtu);
}

/*
 * As many queues as can ever be asked for: the number in use can then follow the ports without a
 * new pair.
 */
static void hostif_put_queues(struct nl_msg *msg)
{
	xi_rtnl_put_u32(msg, IFLA_NUM_TX_QUEUES, XI_MAX_QUEUES);
	xi_rtnl_put_u32(msg, IFLA_NUM_RX_QUEUES, XI_MAX_QUEUES);
}

static int hostif_make(struct xi_rtnl *rt, uint32_t mtu, uint32_t inner_mtu)
{
	struct ifinfomsg ifi = {0};
	struct nl_msg *msg =
		xi_rtnl_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	struct nlattr *info, *data, *peer;

	if (!msg)
		return -ENOMEM;
	hostif_put_end(msg, XI_HOSTIF_NAME, hostif_macs[0], mtu);
	hostif_put_queues(msg);
	info = nla_nest_start(msg, IFLA_LINKINFO);
	xi_rtnl_put_str(msg, IFLA_INFO_KIND, "veth");
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	peer = nla_nest_start(msg, VETH_INFO_PEER);
	nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO);
	hostif_put_end(msg, XI_HOSTIF_PEER, hostif_macs[1], inner_mtu);
	hostif_put_queues(msg);
	nla_nest_end(msg, peer);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return xi_rtnl_request(rt, msg, NULL, NULL);
}

/*
 * 0: both ends are there and belong together. -ENODEV: neither is. Anything else is not ours to
 * touch.
 */
static int hostif_find(struct xi_rtnl *rt, struct xi_link ends[2])
{
	int outer = xi_link_get(rt, XI_HOSTIF_NAME, &ends[0]);
	int inner = xi_link_get(rt, XI_HOSTIF_PEER, &ends[1]);

	if (outer == -ENODEV && inner == -ENODEV)
		return -ENODEV;
	if (outer && outer != -ENODEV)
		return outer;
	if (inner && inner != -ENODEV)
		return inner;
	if (outer || inner || ends[0].peer != ends[1].ifindex || ends[1].peer != ends[0].ifindex) {
		log_warnx(
			"%s: a device of this name, or of the name %s, is there and is not our veth pair: rename or delete it",
			XI_HOSTIF_NAME, XI_HOSTIF_PEER);
		return -EEXIST;
	}
	return 0;
}

static int hostif_set_end(struct xi_rtnl *rt, const struct xi_link *end, const uint8_t mac[6],
			  uint32_t mtu)
{
	struct ifinfomsg ifi = {
		.ifi_index = (int)end->ifindex,
		.ifi_flags = IFF_NOARP,
		.ifi_change = IFF_NOARP | IFF_MULTICAST,
	};
	struct nl_msg *msg = xi_rtnl_message(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	hostif_put_end(msg, end->name, mac, mtu);
	return xi_rtnl_request(rt, msg, NULL, NULL);
}

static int hostif_set_up(struct xi_rtnl *rt, const struct xi_link *end)
{
	struct ifinfomsg ifi = {
		.ifi_index = (int)end->ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};

	return xi_rtnl_request(rt, xi_rtnl_message(RTM_NEWLINK, 0, &ifi, sizeof(ifi)), NULL, NULL);
}

/*
 * Both directions have the same number of queues. With XDP attached, veth wants at every moment no
 * more transmit queues on one end than receive queues on the other: shrink transmit, set receive,
 * set transmit.
 */
static int hostif_set_queues(const struct xi_link ends[2], uint32_t queues)
{
	uint32_t rx[2], tx[2];
	int err = 0;

	for (int i = 0; i < 2; i++) {
		err = xi_link_channels(ends[i].name, &rx[i], &tx[i]);
		if (err)
			return err;
	}
	for (int i = 0; !err && i < 2; i++)
		err = xi_link_set_channels(ends[i].name, rx[i], tx[i] < queues ? tx[i] : queues);
	for (int i = 0; !err && i < 2; i++)
		err = xi_link_set_channels(ends[i].name, queues, tx[i] < queues ? tx[i] : queues);
	for (int i = 0; !err && i < 2; i++)
		err = xi_link_set_channels(ends[i].name, queues, queues);
	return err;
}

struct hostif_sysctl {
	const char *device;
	const char *family;
	const char *name;
	char value;
};

/*
 * rp_filter: decrypted packets come from where the routing table does not expect them. The IPv6
 * lines keep the kernel from talking on the link (router solicitations, duplicate address
 * detection, an address of its own), and addr_gen_mode 1 is "none". The inner end is no interface
 * of the host at all.
 */
static const struct hostif_sysctl hostif_sysctls[] = {
	{XI_HOSTIF_NAME, "ipv4", "rp_filter", '0'},
	{XI_HOSTIF_NAME, "ipv4", "send_redirects", '0'},
	{XI_HOSTIF_NAME, "ipv4", "accept_redirects", '0'},
	{XI_HOSTIF_NAME, "ipv6", "accept_ra", '0'},
	{XI_HOSTIF_NAME, "ipv6", "autoconf", '0'},
	{XI_HOSTIF_NAME, "ipv6", "accept_dad", '0'},
	{XI_HOSTIF_NAME, "ipv6", "dad_transmits", '0'},
	{XI_HOSTIF_NAME, "ipv6", "router_solicitations", '0'},
	{XI_HOSTIF_NAME, "ipv6", "accept_redirects", '0'},
	{XI_HOSTIF_NAME, "ipv6", "addr_gen_mode", '1'},
	{XI_HOSTIF_PEER, "ipv6", "disable_ipv6", '1'},
};

/* First character of a sysctl, or 0. */
static char sysctl_read(const char *path)
{
	char c = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c;
}

static int hostif_sysctl_write(const struct hostif_sysctl *s)
{
	char path[128];
	int fd, err = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", s->family, s->device, s->name);
	/*
	 * Written only where it differs: /proc/sys may be read-only in a container that an operator
	 * prepared.
	 */
	if (sysctl_read(path) == s->value)
		return 0;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT && !strcmp(s->family, "ipv6") ? 0 : -errno;
	if (write(fd, &s->value, 1) != 1)
		err = -errno;
	close(fd);
	if (err)
		log_warnx("%s: cannot set %s to %c: %s", s->device, path, s->value, strerror(-err));
	return err;
}

static int hostif_set_sysctls(void)
{
	for (size_t i = 0; i < sizeof(hostif_sysctls) / sizeof(hostif_sysctls[0]); i++) {
		int err = hostif_sysctl_write(&hostif_sysctls[i]);

		if (err) {
			log_warnx(
				"%s: net.%s.conf.%s.%s must be %c and cannot be set: %s: make /proc/sys writable, or set it before the start",
				XI_HOSTIF_NAME, hostif_sysctls[i].family, hostif_sysctls[i].device,
				hostif_sysctls[i].name, hostif_sysctls[i].value, strerror(-err));
			return err;
		}
	}
	/* The kernel takes the larger of "all" and the device's own value. */
	if (sysctl_read("/proc/sys/net/ipv4/conf/all/rp_filter") == '1')
		log_warnx(
			"%s: net.ipv4.conf.all.rp_filter = 1 drops decrypted packets whose sources are not routed to %s: set it to 0 or 2",
			XI_HOSTIF_NAME, XI_HOSTIF_NAME);
	return 0;
}

static int hostif_configure(struct xi_rtnl *rt, uint32_t queues, uint32_t mtu, uint32_t inner_mtu)
{
	struct xi_link ends[2];
	const char *step = "find the pair";
	int err = hostif_find(rt, ends);

	if (err == -ENODEV) {
		step = "make the pair";
		err = hostif_make(rt, mtu, inner_mtu);
		if (!err)
			err = hostif_find(rt, ends);
	}
	if (err)
		goto out;
	step = "set the number of queues";
	err = hostif_set_queues(ends, queues);
	for (int i = 0; !err && i < 2; i++) {
		step = "set MTU, address and flags";
		err = hostif_set_end(rt, &ends[i], hostif_macs[i], i ? inner_mtu : mtu);
		if (err)
			break;
		step = "turn the offloads off";
		err = xi_link_offloads_off(ends[i].name);
	}
	if (!err)
		err = hostif_set_sysctls();
	for (int i = 1; !err && i >= 0; i--) {
		step = "bring the pair up";
		err = hostif_set_up(rt, &ends[i]);
	}
out:
	if (err)
		log_warnx("%s: cannot %s: %s%s%s", XI_HOSTIF_NAME, step, strerror(-err),
			  rt->text[0] ? ": " : "", rt->text);
	return err;
}

int xi_hostif_up(struct xi_hostif *hostif, uint32_t slot, uint32_t queues, uint32_t mtu)
{
	struct xi_port_config config = {
		.name = XI_HOSTIF_PEER,
		.role = XI_ROLE_HOST,
		.mode = XI_PORT_NATIVE,
		.attach = XI_ATTACH_NETLINK,
	};
	uint32_t inner_mtu =
		mtu + HOSTIF_ROOM < HOSTIF_MTU_MAX ? mtu + HOSTIF_ROOM : HOSTIF_MTU_MAX;
	struct xi_link outer;
	struct xi_rtnl rt;
	int err;

	*hostif = (struct xi_hostif){0};
	if (!queues || queues > XI_MAX_QUEUES || mtu > HOSTIF_MTU_MAX) {
		log_warnx(
			"%s: %u queues and MTU %u: 1 to %d queues and an MTU of at most %d are served",
			XI_HOSTIF_NAME, queues, mtu, XI_MAX_QUEUES, HOSTIF_MTU_MAX);
		return -ERANGE;
	}
	err = xi_rtnl_open(&rt);
	if (err) {
		log_warnx("%s: cannot open a netlink socket: %s", XI_HOSTIF_NAME, strerror(-err));
		return err;
	}
	err = hostif_configure(&rt, queues, mtu, inner_mtu);
	if (!err)
		err = xi_link_get(&rt, XI_HOSTIF_NAME, &outer);
	if (!err) {
		hostif->ifindex = outer.ifindex;
		memcpy(hostif->mac, outer.mac, sizeof(hostif->mac));
		err = xi_port_open(&hostif->port, &config, slot);
	}
	xi_rtnl_close(&rt);
	return err;
}

int xi_hostif_down(void)
{
	struct ifinfomsg ifi = {0};
	struct xi_link ends[2];
	struct xi_rtnl rt;
	int err;

	err = xi_rtnl_open(&rt);
	if (err)
		return err;
	err = hostif_find(&rt, ends);
	if (!err) {
		ifi.ifi_index = (int)ends[0].ifindex;
		err = xi_rtnl_request(&rt, xi_rtnl_message(RTM_DELLINK, 0, &ifi, sizeof(ifi)), NULL,
				      NULL);
		if (err)
			log_warnx("%s: cannot remove the pair: %s", XI_HOSTIF_NAME, strerror(-err));
	}
	xi_rtnl_close(&rt);
	return err == -ENODEV ? 0 : err;
}

void xi_hostif_record(uint8_t mac[6], uint32_t sa_index, uint8_t status)
{
	mac[0] = 0x02;
	mac[1] = status;
	mac[2] = (uint8_t)(sa_index >> 24);
	mac[3] = (uint8_t)(sa_index >> 16);
	mac[4] = (uint8_t)(sa_index >> 8);
	mac[5] = (uint8_t)sa_index;
}
