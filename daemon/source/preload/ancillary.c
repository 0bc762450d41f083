/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ancillary data of a received message: who sent it (the kernel), and to which group. */
#include "source/preload/shim.h"

#include <linux/xfrm.h>
#include <string.h>

/*
 * Appends after the `used` bytes that are there; returns what is used then. What does not fit is
 * cut as by put_cmsg() of the kernel: libnl doubles what was used until it fits.
 */
static size_t put(struct msghdr *msg, size_t room, size_t used, int level, int type,
		  const void *data, size_t len)
{
	struct cmsghdr hdr = { .cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type };
	char *at = (char *)msg->msg_control + used;

	if (!msg->msg_control || used > room || room - used < sizeof(hdr)) {
		msg->msg_flags |= MSG_CTRUNC;
		return used;
	}
	if (room - used < hdr.cmsg_len) {
		msg->msg_flags |= MSG_CTRUNC;
		hdr.cmsg_len = room - used;
	}
	memcpy(at, &hdr, sizeof(hdr));
	memcpy(at + sizeof(hdr), data, hdr.cmsg_len - sizeof(hdr));
	used += CMSG_SPACE(len);
	return used < room ? used : room;
}

/* The group that hears of it, unless it answers somebody. */
static uint32_t group_of(const struct nlmsghdr *nlh)
{
	switch (nlh->nlmsg_type) {
	case XFRM_MSG_ACQUIRE:
		return XFRMNLGRP_ACQUIRE;
	case XFRM_MSG_EXPIRE:
	case XFRM_MSG_POLEXPIRE:
		return XFRMNLGRP_EXPIRE;
	case XFRM_MSG_NEWSA:
	case XFRM_MSG_UPDSA:
	case XFRM_MSG_DELSA:
	case XFRM_MSG_FLUSHSA:
		return XFRMNLGRP_SA;
	case XFRM_MSG_NEWPOLICY:
	case XFRM_MSG_UPDPOLICY:
	case XFRM_MSG_DELPOLICY:
	case XFRM_MSG_FLUSHPOLICY:
		return XFRMNLGRP_POLICY;
	case XFRM_MSG_NEWAE:
		return XFRMNLGRP_AEVENTS;
	case XFRM_MSG_REPORT:
		return XFRMNLGRP_REPORT;
	case XFRM_MSG_MIGRATE:
		return XFRMNLGRP_MIGRATE;
	case XFRM_MSG_MAPPING:
		return XFRMNLGRP_MAPPING;
	}
	return 0;
}

static bool is_answer(struct shim_sock *s, const struct nlmsghdr *nlh)
{
	struct shim_hold hold = shim_lock(s);
	bool found = false;

	for (unsigned int i = 0; i < s->npending; i++)
		found |= s->pending[i].hdr.nlmsg_seq == nlh->nlmsg_seq;
	shim_unlock(&hold);
	return found;
}

void shim_ancillary(struct shim_sock *s, struct msghdr *msg, size_t room, size_t native,
		    const struct nlmsghdr *nlh)
{
	struct nl_pktinfo info = { 0 };
	struct ucred kernel = { 0 };

	if (s->opts & (1U << NETLINK_PKTINFO)) {
		info.group = is_answer(s, nlh) ? 0 : group_of(nlh);
		native = put(msg, room, native, SOL_NETLINK, NETLINK_PKTINFO, &info, sizeof(info));
	}
	if (s->passcred)
		native = put(msg, room, native, SOL_SOCKET, SCM_CREDENTIALS, &kernel,
			     sizeof(kernel));
	msg->msg_controllen = native;
}
