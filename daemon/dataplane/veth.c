/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/veth.h"

#include <errno.h>
#include <string.h>

#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "log.h"

void xi_veth_put_end(struct nl_msg *msg, const struct xi_veth_end *end)
{
	static const uint8_t none[6];

	if (memcmp(end->mac, none, sizeof(none)))
		xi_rtnl_put(msg, IFLA_ADDRESS, end->mac, sizeof(end->mac));
	xi_rtnl_put_u32(msg, IFLA_MTU, end->mtu);
}

static void veth_put_new(struct nl_msg *msg, const struct xi_veth_end *end)
{
	xi_rtnl_put_str(msg, IFLA_IFNAME, end->name);
	xi_veth_put_end(msg, end);
	xi_rtnl_put_u32(msg, IFLA_NUM_TX_QUEUES, end->queues);
	xi_rtnl_put_u32(msg, IFLA_NUM_RX_QUEUES, end->queues);
}

int xi_veth_make(struct xi_rtnl *rt, const struct xi_veth_end ends[2])
{
	struct ifinfomsg ifi = {0};
	struct nl_msg *msg =
		xi_rtnl_message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	struct nlattr *info, *data, *peer;

	if (!msg)
		return -ENOMEM;
	veth_put_new(msg, &ends[0]);
	info = nla_nest_start(msg, IFLA_LINKINFO);
	xi_rtnl_put_str(msg, IFLA_INFO_KIND, "veth");
	data = nla_nest_start(msg, IFLA_INFO_DATA);
	peer = nla_nest_start(msg, VETH_INFO_PEER);
	nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO);
	veth_put_new(msg, &ends[1]);
	nla_nest_end(msg, peer);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return xi_rtnl_request(rt, msg, NULL, NULL);
}

int xi_veth_find(struct xi_rtnl *rt, const char *name, const char *peer, struct xi_link ends[2])
{
	int outer = xi_link_get(rt, name, &ends[0]);
	int inner = xi_link_get(rt, peer, &ends[1]);

	if (outer == -ENODEV && inner == -ENODEV)
		return -ENODEV;
	if (outer && outer != -ENODEV)
		return outer;
	if (inner && inner != -ENODEV)
		return inner;
	if (outer || inner || ends[0].peer != ends[1].ifindex || ends[1].peer != ends[0].ifindex) {
		log_warnx(
			"%s: a device of this name, or of the name %s, is there and is not our veth pair: rename or delete it",
			name, peer);
		return -EEXIST;
	}
	return 0;
}

int xi_veth_remove(struct xi_rtnl *rt, const char *name, const char *peer)
{
	struct ifinfomsg ifi = {0};
	struct xi_link ends[2];
	int err = xi_veth_find(rt, name, peer, ends);

	if (err)
		return err;
	ifi.ifi_index = (int)ends[0].ifindex;
	err = xi_rtnl_request(rt, xi_rtnl_message(RTM_DELLINK, 0, &ifi, sizeof(ifi)), NULL, NULL);
	if (err)
		log_warnx("%s: cannot remove the pair: %s", name, strerror(-err));
	return err;
}
