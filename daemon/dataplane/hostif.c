/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/hostif.h"

#include <errno.h>
#include <string.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <xipsec/origin.h>

#include "dataplane/veth.h"
#include "log.h"

#define HOSTIF_ROOM 128

/*
 * Locally administered and always the same, so frames and neighbour caches outlive a remake of the
 * pair.
 */
static const uint8_t hostif_macs[2][6] = {
	{0x02, 0x78, 0x69, 0x70, 0x73, 0x30},
	{0x02, 0x78, 0x69, 0x70, 0x73, 0x31},
};

static struct xi_veth_end hostif_end(int i, uint32_t mtu)
{
	struct xi_veth_end end = {
		.name = i ? XI_HOSTIF_PEER : XI_HOSTIF_NAME,
		.mtu = mtu,
		/* as many as can ever be asked for: the number in use can then follow the ports */
		.queues = XI_MAX_QUEUES,
	};

	memcpy(end.mac, hostif_macs[i], sizeof(end.mac));
	return end;
}

static int hostif_set_end(struct xi_rtnl *rt, const struct xi_link *link,
			  const struct xi_veth_end *end)
{
	struct ifinfomsg ifi = {
		.ifi_index = (int)link->ifindex,
		.ifi_flags = IFF_NOARP,
		.ifi_change = IFF_NOARP | IFF_MULTICAST,
	};
	struct nl_msg *msg = xi_rtnl_message(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	xi_veth_put_end(msg, end);
	return xi_rtnl_request(rt, msg, NULL, NULL);
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
 * disable_xfrm, disable_policy: policies of the kernel's own XFRM have no say in what goes to the
 * workers or comes from them. IPv6 has no disable_xfrm, and its disable_policy spares what is
 * forwarded (Linux 5.18), not what is for the host. rp_filter: decrypted packets come from where the routing table does not expect them. The
 * IPv6 lines keep the kernel from talking on the link (router solicitations, duplicate address
 * detection, an address of its own), and addr_gen_mode 1 is "none". The inner end is no interface of the
 * host at all.
 */
static const struct hostif_sysctl hostif_sysctls[] = {
	{XI_HOSTIF_NAME, "ipv4", "disable_xfrm", '1'},
	{XI_HOSTIF_NAME, "ipv4", "disable_policy", '1'},
	{XI_HOSTIF_NAME, "ipv4", "rp_filter", '0'},
	{XI_HOSTIF_NAME, "ipv4", "send_redirects", '0'},
	{XI_HOSTIF_NAME, "ipv4", "accept_redirects", '0'},
	{XI_HOSTIF_NAME, "ipv6", "disable_policy", '1'},
	{XI_HOSTIF_NAME, "ipv6", "accept_ra", '0'},
	{XI_HOSTIF_NAME, "ipv6", "autoconf", '0'},
	{XI_HOSTIF_NAME, "ipv6", "accept_dad", '0'},
	{XI_HOSTIF_NAME, "ipv6", "dad_transmits", '0'},
	{XI_HOSTIF_NAME, "ipv6", "router_solicitations", '0'},
	{XI_HOSTIF_NAME, "ipv6", "accept_redirects", '0'},
	{XI_HOSTIF_NAME, "ipv6", "addr_gen_mode", '1'},
	{XI_HOSTIF_PEER, "ipv6", "disable_ipv6", '1'},
};

static int hostif_set_sysctls(void)
{
	for (size_t i = 0; i < sizeof(hostif_sysctls) / sizeof(hostif_sysctls[0]); i++) {
		const struct hostif_sysctl *s = &hostif_sysctls[i];
		int err = xi_link_sysctl(s->device, s->family, s->name, s->value);

		if (err) {
			log_warnx(
				"%s: net.%s.conf.%s.%s must be %c and cannot be set: %s: make /proc/sys writable, or set it before the start",
				XI_HOSTIF_NAME, s->family, s->device,
				s->name, s->value, strerror(-err));
			return err;
		}
	}
	/* The kernel takes the larger of "all" and the device's own value. */
	if (xi_link_sysctl_get("all", "ipv4", "rp_filter") == '1')
		log_warnx(
			"%s: net.ipv4.conf.all.rp_filter = 1 drops decrypted packets whose sources are not routed to %s: set it to 0 or 2",
			XI_HOSTIF_NAME, XI_HOSTIF_NAME);
	return 0;
}

static int hostif_configure(struct xi_rtnl *rt, uint32_t queues, uint32_t mtu, uint32_t inner_mtu,
			    bool *made)
{
	const struct xi_veth_end wanted[2] = {hostif_end(0, mtu), hostif_end(1, inner_mtu)};
	struct xi_link ends[2];
	const char *step = "find the pair";
	int err = xi_veth_find(rt, XI_HOSTIF_NAME, XI_HOSTIF_PEER, ends);

	if (err == -ENODEV) {
		step = "make the pair";
		err = xi_veth_make(rt, wanted);
		*made = !err;
		if (!err)
			err = xi_veth_find(rt, XI_HOSTIF_NAME, XI_HOSTIF_PEER, ends);
	}
	if (err)
		goto out;
	step = "set the number of queues";
	err = hostif_set_queues(ends, queues);
	for (int i = 0; !err && i < 2; i++) {
		step = "set MTU, address and flags";
		err = hostif_set_end(rt, &ends[i], &wanted[i]);
		if (err)
			break;
		step = "turn the offloads off";
		err = xi_link_offloads_off(ends[i].name);
	}
	if (!err)
		err = hostif_set_sysctls();
	for (int i = 1; !err && i >= 0; i--) {
		step = "bring the pair up";
		err = xi_link_set_up(rt, ends[i].ifindex, true);
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
	struct xi_link outer;
	struct xi_rtnl rt;
	int err;

	*hostif = (struct xi_hostif){0};
	if (!queues || queues > XI_MAX_QUEUES || mtu > XI_HOSTIF_MTU_MAX) {
		log_warnx(
			"%s: %u queues and MTU %u: 1 to %d queues and an MTU of at most %d are served",
			XI_HOSTIF_NAME, queues, mtu, XI_MAX_QUEUES, XI_HOSTIF_MTU_MAX);
		return -ERANGE;
	}
	err = xi_rtnl_open(&rt);
	if (err) {
		log_warnx("%s: cannot open a netlink socket: %s", XI_HOSTIF_NAME, strerror(-err));
		return err;
	}
	err = hostif_configure(&rt, queues, mtu, mtu + HOSTIF_ROOM, &hostif->made);
	if (!err)
		err = xi_link_get(&rt, XI_HOSTIF_NAME, &outer);
	if (!err) {
		hostif->ifindex = outer.ifindex;
		memcpy(hostif->mac, outer.mac, sizeof(hostif->mac));
		hostif->mtu = mtu;
		err = xi_port_open(&hostif->port, &config, slot);
	}
	xi_rtnl_close(&rt);
	return err;
}

int xi_hostif_down(void)
{
	struct xi_rtnl rt;
	int err;

	err = xi_rtnl_open(&rt);
	if (err)
		return err;
	err = xi_veth_remove(&rt, XI_HOSTIF_NAME, XI_HOSTIF_PEER);
	xi_rtnl_close(&rt);
	return err == -ENODEV ? 0 : err;
}

void xi_hostif_origin(struct xi_flow *flow, const uint8_t *l3)
{
	const struct xi_origin origin = xi_origin_read(l3 - ETH_HLEN);

	flow->mark = origin.mark;
	flow->if_id = origin.if_id;
}

void xi_hostif_record(uint8_t mac[6], uint32_t sa_index, uint8_t status)
{
	mac[0] = XI_RECORD_MAC;
	mac[1] = status;
	mac[2] = (uint8_t)(sa_index >> 24);
	mac[3] = (uint8_t)(sa_index >> 16);
	mac[4] = (uint8_t)(sa_index >> 8);
	mac[5] = (uint8_t)sa_index;
}
