/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel says of its devices: which offload ESP, which are set down, and which one reaches
 * an SA's peer. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/fib.h"
#include "source/mirror_int.h"

#define FEATURE "esp-hw-offload"

struct xi_offload_net {
	struct xi_rtnl rt;
	int links; /* news of them */
};

static int links_open(int *out)
{
	const struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

int xi_offload_net_open(struct xi_offload_net **out)
{
	struct xi_offload_net *net = calloc(1, sizeof(*net));
	int err = net ? xi_rtnl_open(&net->rt) : -ENOMEM;

	if (!err) {
		err = links_open(&net->links);
		if (err)
			xi_rtnl_close(&net->rt);
	}
	*out = err ? NULL : net;
	if (err)
		free(net);
	return err;
}

void xi_offload_net_close(struct xi_offload_net *net)
{
	if (!net)
		return;
	xi_rtnl_close(&net->rt);
	close(net->links);
	free(net);
}

int xi_offload_net_fd(const struct xi_offload_net *net)
{
	return net->links;
}

/* 0: it is not about a link. */
static uint32_t link_read(const struct nlmsghdr *nlh, bool *up)
{
	struct ifinfomsg ifi;

	if ((nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK) ||
	    nlh->nlmsg_len < NLMSG_LENGTH(sizeof(ifi)))
		return 0;
	memcpy(&ifi, NLMSG_DATA(nlh), sizeof(ifi));
	*up = nlh->nlmsg_type == RTM_NEWLINK && ifi.ifi_flags & IFF_UP;
	return (uint32_t)ifi.ifi_index;
}

void xi_offload_net_links(struct xi_offload_net *net, struct xi_mirror *m)
{
	union {
		struct nlmsghdr hdr;
		uint8_t buf[32768];
	} news;
	struct sockaddr_nl from;
	uint32_t ifindex;
	ssize_t n;
	bool up;

	for (;;) {
		socklen_t len = sizeof(from);

		n = recvfrom(net->links, news.buf, sizeof(news), MSG_TRUNC,
			     (struct sockaddr *)&from, &len);
		if (n < 0 && errno == EINTR)
			continue;
		if ((n < 0 && errno == ENOBUFS) || n > (ssize_t)sizeof(news)) {
			xi_offload_link(m, 0, true);
			continue;
		}
		if (n <= 0)
			return;
		if (len < sizeof(from) || from.nl_pid)
			continue;
		for (struct nlmsghdr *nlh = &news.hdr; NLMSG_OK(nlh, n); nlh = NLMSG_NEXT(nlh, n)) {
			ifindex = link_read(nlh, &up);
			if (ifindex)
				xi_offload_link(m, ifindex, up);
		}
	}
}

uint32_t xi_offload_net_route(struct xi_offload_net *net, const struct xi_sa *sa, bool outbound)
{
	const uint32_t mark = outbound ? sa->output_mark & sa->output_mark_mask : 0;
	struct xi_fib_route route;

	if (xi_fib_route(&net->rt, outbound ? sa->id.daddr : sa->saddr, sa->id.family, mark,
			 &route))
		return 0;
	return route.unicast ? route.ifindex : 0;
}

static int ethtool(int fd, const char *name, void *data)
{
	struct ifreq ifr = {.ifr_data = data};

	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	return ioctl(fd, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

/* The place of the feature among all those that this kernel knows; -1: it does not know it. */
static int feature_place(int fd, const char *name, uint32_t *n)
{
	union {
		struct ethtool_sset_info info;
		uint8_t buf[sizeof(struct ethtool_sset_info) + sizeof(uint32_t)];
	} sset = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES}};
	struct ethtool_gstrings *strings;
	int place = -1;

	if (ethtool(fd, name, &sset) || !sset.info.sset_mask)
		return -1;
	memcpy(n, sset.buf + sizeof(sset.info), sizeof(*n));
	strings = calloc(1, sizeof(*strings) + (size_t)*n * ETH_GSTRING_LEN);
	if (!strings)
		return -1;
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_FEATURES;
	strings->len = *n;
	if (!ethtool(fd, name, strings))
		for (uint32_t i = 0; i < *n && place < 0; i++)
			if (!strncmp((const char *)strings->data + (size_t)i * ETH_GSTRING_LEN,
				     FEATURE, ETH_GSTRING_LEN))
				place = (int)i;
	free(strings);
	return place;
}

static bool feature_on(int fd, const char *name)
{
	struct ethtool_gfeatures *features;
	uint32_t n = 0, blocks;
	int place = feature_place(fd, name, &n);
	bool on;

	if (place < 0)
		return false;
	blocks = (n + 31) / 32;
	features = calloc(1, sizeof(*features) + blocks * sizeof(features->features[0]));
	if (!features)
		return false;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = blocks;
	on = !ethtool(fd, name, features) &&
	     features->features[place / 32].active & 1U << place % 32;
	free(features);
	return on;
}

static bool is_up(int fd, const char *name)
{
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	return !ioctl(fd, SIOCGIFFLAGS, &ifr) && ifr.ifr_flags & IFF_UP;
}

uint32_t xi_offload_net_able(const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t ifindex = 0;

	if (fd < 0)
		return 0;
	if (is_up(fd, name) && feature_on(fd, name))
		ifindex = if_nametoindex(name);
	close(fd);
	return ifindex;
}
