/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "log.h"

static void link_copy_name(char out[IFNAMSIZ], const struct nlattr *attr)
{
	if (attr)
		nla_strlcpy(out, attr, IFNAMSIZ);
}

static uint32_t link_u32(const struct nlattr *attr)
{
	return attr && nla_len(attr) >= 4 ? nla_get_u32(attr) : 0;
}

int xi_link_parse(const struct nlmsghdr *nlh, struct xi_link *link)
{
	struct nlattr *tb[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
	const struct ifinfomsg *ifi = nlmsg_data(nlh);

	*link = (struct xi_link){0};
	if (xi_rtnl_parse(nlh, sizeof(*ifi), tb, IFLA_MAX))
		return -EBADMSG;
	link_copy_name(link->name, tb[IFLA_IFNAME]);
	link->ifindex = (uint32_t)ifi->ifi_index;
	link->flags = ifi->ifi_flags;
	link->mtu = link_u32(tb[IFLA_MTU]);
	link->rx_queues = link_u32(tb[IFLA_NUM_RX_QUEUES]);
	if (tb[IFLA_LINKINFO] && !nla_parse_nested(info, IFLA_INFO_MAX, tb[IFLA_LINKINFO], NULL))
		link_copy_name(link->kind, info[IFLA_INFO_KIND]);
	if (!strcmp(link->kind, "veth") && !tb[IFLA_LINK_NETNSID])
		link->peer = link_u32(tb[IFLA_LINK]);
	if (ifi->ifi_type == ARPHRD_ETHER && tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == 6) {
		link->ethernet = true;
		memcpy(link->mac, nla_data(tb[IFLA_ADDRESS]), 6);
	}
	return 0;
}

static int link_take(void *arg, const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_type == RTM_NEWLINK ? xi_link_parse(nlh, arg) : 0;
}

int xi_link_get(struct xi_rtnl *rt, const char *name, struct xi_link *link)
{
	struct ifinfomsg ifi = {0};
	struct nl_msg *msg = xi_rtnl_message(RTM_GETLINK, 0, &ifi, sizeof(ifi));
	int err;

	*link = (struct xi_link){0};
	xi_rtnl_put_str(msg, IFLA_IFNAME, name);
	err = xi_rtnl_request(rt, msg, link_take, link);
	return err ? err : link->ifindex ? 0 : -ENODEV;
}

static int ethtool_ioctl(const char *name, void *command)
{
	struct ifreq ifr = {.ifr_data = command};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	err = ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int xi_link_channels(const char *name, uint32_t *rx, uint32_t *tx)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	int err = ethtool_ioctl(name, &ch);

	if (err)
		return err;
	*rx = ch.rx_count + ch.combined_count;
	*tx = ch.tx_count + ch.combined_count;
	return *rx ? 0 : -EOPNOTSUPP;
}

int xi_link_set_channels(const char *name, uint32_t rx, uint32_t tx)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	int err = ethtool_ioctl(name, &ch);

	if (err)
		return err;
	if (ch.rx_count == rx && ch.tx_count == tx)
		return 0;
	ch.cmd = ETHTOOL_SCHANNELS;
	ch.rx_count = rx;
	ch.tx_count = tx;
	return ethtool_ioctl(name, &ch);
}

/*
 * The strings are the kernel's interface (net/ethtool/common.c); bit numbers differ from kernel to
 * kernel.
 */
static bool offload_unwanted(const char *feature)
{
	static const char *const prefixes[] = {
		"tx-checksum-",
		"tx-scatter-gather",
		"tx-generic-segmentation",
		"tx-tcp",
		"tx-udp",
		"tx-sctp",
		"tx-gso-",
		"tx-gre-",
		"tx-ipxip",
		"rx-gro",
		"rx-udp-gro-forwarding",
		"rx-lro",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(feature, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/*
 * The kernel writes as many names, and values, as it has by then: channels that are added after it
 * told how many add more. This room is only touched as far as it is filled.
 */
#define STRINGS_ROOM 65536

/* Names of one string set (ETH_SS_*), in the kernel's order; *n of them. The caller frees. */
static int string_set(const char *name, uint32_t set, struct ethtool_gstrings **out, uint32_t *n)
{
	uint64_t room[(sizeof(struct ethtool_sset_info) + sizeof(uint32_t) + 7) / 8] = {0};
	struct ethtool_sset_info *sset = (void *)room;
	struct ethtool_gstrings *names;
	int err;

	sset->cmd = ETHTOOL_GSSET_INFO;
	sset->sset_mask = 1ULL << set;
	err = ethtool_ioctl(name, sset);
	if (err || !sset->sset_mask || sset->data[0] > STRINGS_ROOM / 2)
		return err ? err : -EOPNOTSUPP;
	names = calloc(1, sizeof(*names) + (size_t)STRINGS_ROOM * ETH_GSTRING_LEN);
	if (!names)
		return -ENOMEM;
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = set;
	names->len = sset->data[0];
	err = ethtool_ioctl(name, names);
	if (err) {
		free(names);
		return err;
	}
	*n = names->len;
	*out = names;
	return 0;
}

_Static_assert(sizeof(struct ethtool_stats) == sizeof(uint64_t), "values follow a 64-bit header");
_Static_assert(ETH_GSTRING_LEN == 32, "as in xi_link_xmit_sum()");

static const char *string_at(const struct ethtool_gstrings *names, uint32_t i)
{
	return (const char *)names->data + (size_t)i * ETH_GSTRING_LEN;
}

/*
 * Calls the kernel with a struct of blocks of 32 features; get and set differ in what a block is.
 */
static int offloads_clear(const char *name, const struct ethtool_gstrings *names, uint32_t n)
{
	uint32_t blocks = (n + 31) / 32;
	struct ethtool_gfeatures *get = calloc(1, sizeof(*get) + blocks * sizeof(get->features[0]));
	struct ethtool_sfeatures *set = calloc(1, sizeof(*set) + blocks * sizeof(set->features[0]));
	int err = -ENOMEM;

	if (!get || !set)
		goto out;
	get->cmd = ETHTOOL_GFEATURES;
	set->cmd = ETHTOOL_SFEATURES;
	get->size = set->size = blocks;
	err = ethtool_ioctl(name, get);
	if (err)
		goto out;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bit = 1U << (i % 32);

		if ((get->features[i / 32].available & bit) &&
		    offload_unwanted(string_at(names, i)))
			set->features[i / 32].valid |= bit;
	}
	err = ethtool_ioctl(name, set);
	if (!err)
		err = ethtool_ioctl(name, get);
	for (uint32_t b = 0; !err && b < blocks; b++)
		if (get->features[b].active & set->features[b].valid)
			err = -EBUSY;
out:
	free(get);
	free(set);
	return err;
}

int xi_link_offloads_off(const char *name)
{
	struct ethtool_gstrings *names = NULL;
	uint32_t n = 0;
	int err = string_set(name, ETH_SS_FEATURES, &names, &n);

	if (err)
		return err;
	err = offloads_clear(name, names, n);
	free(names);
	return err;
}

int xi_link_gro_on(const char *name)
{
	struct ethtool_value on = {.cmd = ETHTOOL_SGRO, .data = 1};

	return ethtool_ioctl(name, &on);
}

int xi_link_set_up(struct xi_rtnl *rt, uint32_t ifindex, bool up)
{
	struct ifinfomsg ifi = {
		.ifi_index = (int)ifindex, .ifi_flags = up ? IFF_UP : 0, .ifi_change = IFF_UP};

	return xi_rtnl_request(rt, xi_rtnl_message(RTM_NEWLINK, 0, &ifi, sizeof(ifi)), NULL, NULL);
}

static void sysctl_path(char path[128], const char *device, const char *family, const char *name)
{
	snprintf(path, 128, "/proc/sys/net/%s/conf/%s/%s", family, device, name);
}

char xi_link_sysctl_get(const char *device, const char *family, const char *name)
{
	char path[128], c = 0;
	int fd;

	sysctl_path(path, device, family, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c;
}

int xi_link_sysctl(const char *device, const char *family, const char *name, char value)
{
	char path[128];
	int fd, err = 0;

	if (xi_link_sysctl_get(device, family, name) == value)
		return 0;
	sysctl_path(path, device, family, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT && !strcmp(family, "ipv6") ? 0 : -errno;
	if (write(fd, &value, 1) != 1)
		err = -errno;
	close(fd);
	if (err)
		log_warnx("%s: cannot set %s to %c: %s", device, path, value, strerror(-err));
	return err;
}

/*
 * Drivers call them tx_queue_0_xdp_xmit and tx_queue_0_xdp_xmit_errors (veth), tx0_xdp_xmit
 * (mlx5), tx_xdp_xmit (mvneta). Some have the queues' counters and their sum, which is the one
 * without a number.
 */
struct xmit_sums {
	struct xi_link_xmit queues, total;
	bool in_queues, in_total;
};

static void xmit_add(struct xmit_sums *sums, const char *counter, uint64_t value)
{
	bool total = !counter[strcspn(counter, "0123456789")];
	struct xi_link_xmit *sum = total ? &sums->total : &sums->queues;
	const char *tail = strstr(counter, "xdp_xmit");

	if (!tail)
		return;
	tail += strlen("xdp_xmit");
	if (!*tail) {
		sum->packets += value;
		*(total ? &sums->in_total : &sums->in_queues) = true;
	} else if (!strcmp(tail, "_errors")) {
		sum->errors += value;
		sum->counts_errors = true;
	}
}

int xi_link_xmit_sum(const char (*names)[ETH_GSTRING_LEN], const uint64_t *values, uint32_t n,
		     struct xi_link_xmit *xmit)
{
	char counter[ETH_GSTRING_LEN + 1] = "";
	struct xmit_sums sums = {0};

	for (uint32_t i = 0; i < n; i++) {
		memcpy(counter, names[i], ETH_GSTRING_LEN);
		xmit_add(&sums, counter, values[i]);
	}
	if (!sums.in_total && !sums.in_queues)
		return -EOPNOTSUPP;
	*xmit = sums.in_total ? sums.total : sums.queues;
	return 0;
}

int xi_link_xmit(const char *name, struct xi_link_xmit *xmit)
{
	struct ethtool_gstrings *names = NULL;
	uint64_t *room = NULL;
	struct ethtool_stats *stats;
	uint32_t n = 0;
	int err = string_set(name, ETH_SS_STATS, &names, &n);

	if (err)
		return err;
	room = calloc(STRINGS_ROOM + 1, sizeof(*room));
	if (!room) {
		free(names);
		return -ENOMEM;
	}
	stats = (void *)room;
	stats->cmd = ETHTOOL_GSTATS;
	stats->n_stats = n;
	err = ethtool_ioctl(name, stats);
	/* another number of them: these are not the values of those names */
	if (!err && stats->n_stats != n)
		err = -EAGAIN;
	if (!err)
		err = xi_link_xmit_sum((const void *)names->data, room + 1, n, xmit);
	free(room);
	free(names);
	return err;
}
