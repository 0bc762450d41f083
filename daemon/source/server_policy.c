/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the server does about policies, about ACQUIREs, and about the two databases as a whole. */
#include "source/server_int.h"

#include <errno.h>
#include <string.h>

int xi_handle_newpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	bool replace = nlh->nlmsg_type == XFRM_MSG_UPDPOLICY;
	const struct xi_policy *made;
	struct xi_policy policy;
	const char *why = NULL;
	struct xi_nlmsg msg;
	int err;

	err = xi_xfrm_get_newpolicy(&policy, nlh, ack);
	if (err)
		return err;
	policy.origin = xi_client_is_file(c) ? XI_POLICY_FROM_FILE : 0;
	err = xi_spd_add(c->server->spd, &policy, replace, &why);
	if (err)
		return why && err != -EEXIST ? xi_refuse(ack, err, "%s", why) : err;
	policy.index = 0;
	made = xi_spd_find(c->server->spd, &policy);
	if (made) {
		xi_acquires_policy(c->server->acquires, made->index);
		xi_xfrm_put_policy(&msg, nlh->nlmsg_type, &to, made);
		xi_server_multicast(c->server, XFRMNLGRP_POLICY, &msg);
	}
	return 0;
}

int xi_handle_delpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	const struct xi_policy *policy;
	struct xi_policy key;
	struct xi_nlmsg msg;
	int err;

	err = xi_xfrm_get_policy_id(&key, nlh, ack);
	if (err)
		return err;
	policy = xi_spd_find(c->server->spd, &key);
	if (!policy)
		return -ENOENT;
	xi_xfrm_put_delpolicy(&msg, &to, policy, key.index);
	err = xi_spd_delete(c->server->spd, &key);
	if (!err)
		xi_server_multicast(c->server, XFRMNLGRP_POLICY, &msg);
	return err;
}

int xi_handle_polexpire(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	const struct xi_policy *policy;
	struct xi_policy key;
	struct xi_nlmsg msg;
	bool hard;
	int err;

	err = xi_xfrm_get_polexpire(&key, &hard, nlh, ack);
	if (err)
		return err;
	policy = xi_spd_find(c->server->spd, &key);
	if (!policy)
		return -ENOENT;
	xi_xfrm_put_polexpire(&msg, &to, policy, hard);
	err = hard ? xi_spd_delete(c->server->spd, &key) : 0;
	if (!err)
		xi_server_multicast(c->server, XFRMNLGRP_EXPIRE, &msg);
	return err;
}

/*
 * A program asks on behalf of packets of its own: the key managers hear of each template, as of an
 * ACQUIRE of ours. Neither the policy nor an SA comes of it.
 */
int xi_handle_acquire(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_xfrm_server *server = c->server;
	struct xi_acquire_request req;
	struct xi_nlmsg msg;
	uint32_t i;
	int err;

	err = xi_xfrm_get_acquire(&req, nlh, ack);
	if (err)
		return err;
	for (i = 0; i < req.policy.ntmpls; i++) {
		xi_xfrm_put_acquire_again(&msg, &req, i, xi_acquires_seq(server->acquires));
		xi_server_multicast(server, XFRMNLGRP_ACQUIRE, &msg);
	}
	return 0;
}

static int info_request(const struct nlmsghdr *nlh, uint32_t *flags, struct xi_extack *ack)
{
	if (nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(*flags))
		return xi_refuse_length(ack, nlh, NLMSG_HDRLEN + sizeof(*flags));
	memcpy(flags, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(*flags));
	return 0;
}

int xi_handle_sadinfo(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	struct xfrmu_sadhinfo hash;
	struct xi_nlmsg msg;
	uint32_t flags = 0;
	int err;

	err = info_request(nlh, &flags, ack);
	if (err)
		return err;
	hash.sadhcnt = hash.sadhmcnt = xi_sad_capacity(c->server->sad);
	*(uint32_t *)xi_nlmsg_begin(&msg, XFRM_MSG_NEWSADINFO, 0, to.seq, to.portid,
				    sizeof(flags)) = flags;
	xi_nlmsg_put_u32(&msg, XFRMA_SAD_CNT, xi_sad_count(c->server->sad));
	xi_nlmsg_put(&msg, XFRMA_SAD_HINFO, &hash, sizeof(hash));
	xi_client_reply(c, &msg);
	return 0;
}

int xi_handle_getspdinfo(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	struct xi_spd *spd = c->server->spd;
	struct xfrmu_spdhinfo hash = { .spdhcnt = 7, .spdhmcnt = 1 << 20 };
	struct xfrmu_spdinfo count = { 0 };
	struct xi_nlmsg msg;
	uint32_t flags = 0;
	int err;

	err = info_request(nlh, &flags, ack);
	if (err)
		return err;
	count.incnt = xi_spd_count(spd, XI_IN);
	count.outcnt = xi_spd_count(spd, XI_OUT);
	count.fwdcnt = xi_spd_count(spd, XI_FWD);
	*(uint32_t *)xi_nlmsg_begin(&msg, XFRM_MSG_NEWSPDINFO, 0, to.seq, to.portid,
				    sizeof(flags)) = flags;
	xi_nlmsg_put(&msg, XFRMA_SPD_INFO, &count, sizeof(count));
	xi_nlmsg_put(&msg, XFRMA_SPD_HINFO, &hash, sizeof(hash));
	xi_nlmsg_put(&msg, XFRMA_SPD_IPV4_HTHRESH, c->server->thresholds[0], 2);
	xi_nlmsg_put(&msg, XFRMA_SPD_IPV6_HTHRESH, c->server->thresholds[1], 2);
	xi_client_reply(c, &msg);
	return 0;
}

/* Its attributes have numbers of their own. Thresholds tune a hash that this SPD does not have:
 * kept and told. */
int xi_handle_newspdinfo(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	uint8_t wanted[2][2];
	uint32_t flags = 0;
	size_t at = NLMSG_HDRLEN + sizeof(flags);
	int err = info_request(nlh, &flags, ack);

	if (err)
		return err;
	memcpy(wanted, c->server->thresholds, sizeof(wanted));
	while (at + NLA_HDRLEN <= nlh->nlmsg_len) {
		const struct nlattr *nla = (const struct nlattr *)((const uint8_t *)nlh + at);
		unsigned int v6 = nla->nla_type == XFRMA_SPD_IPV6_HTHRESH;

		if (nla->nla_len < NLA_HDRLEN || nla->nla_len > nlh->nlmsg_len - at)
			return xi_refuse(ack, -EINVAL, "attribute type %u is cut short",
					 nla->nla_type);
		if (!v6 && nla->nla_type != XFRMA_SPD_IPV4_HTHRESH)
			return xi_refuse(ack, -EINVAL, "unknown attribute type %u", nla->nla_type);
		if (xi_attr_len(nla) < 2)
			return xi_refuse(ack, -ERANGE,
					 "Attribute failed policy validation: thresholds are two bytes");
		memcpy(wanted[v6], xi_attr_data(nla), 2);
		if (wanted[v6][0] > (v6 ? 128 : 32) || wanted[v6][1] > (v6 ? 128 : 32))
			return xi_refuse(ack, -EINVAL, "Invalid SPD threshold (must be <= %u)",
					 v6 ? 128 : 32);
		at += NLA_ALIGN(nla->nla_len);
	}
	memcpy(c->server->thresholds, wanted, sizeof(wanted));
	return 0;
}

static uint8_t default_of(const struct xi_spd *spd, enum xi_dir dir)
{
	return xi_spd_get_default(spd, dir) == XI_BLOCK ? XFRM_USERPOLICY_BLOCK
							: XFRM_USERPOLICY_ACCEPT;
}

static void defaults_put(struct xi_nlmsg *msg, const struct xi_nl_to *to, const struct xi_spd *spd)
{
	struct xfrm_userpolicy_default *def;

	def = xi_nlmsg_begin(msg, XFRM_MSG_GETDEFAULT, 0, to->seq, to->portid, sizeof(*def));
	def->in = default_of(spd, XI_IN);
	def->fwd = default_of(spd, XI_FWD);
	def->out = default_of(spd, XI_OUT);
}

int xi_handle_getdefault(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xi_nl_to to = xi_nl_answer(c, nlh);
	struct xi_nlmsg msg;

	if (nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(struct xfrm_userpolicy_default))
		return xi_refuse_length(ack, nlh,
					NLMSG_HDRLEN + sizeof(struct xfrm_userpolicy_default));
	defaults_put(&msg, &to, c->server->spd);
	xi_client_reply(c, &msg);
	return 0;
}

static int default_set(struct xi_spd *spd, enum xi_dir dir, uint8_t value)
{
	if (value == XFRM_USERPOLICY_UNSPEC)
		return 0;
	return xi_spd_set_default(spd, dir, value == XFRM_USERPOLICY_BLOCK ? XI_BLOCK : XI_ALLOW);
}

int xi_handle_setdefault(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	static const struct xi_nl_to nobody;
	struct xi_spd *spd = c->server->spd;
	struct xfrm_userpolicy_default def;
	struct xi_nlmsg msg;
	int err;

	if (nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(def))
		return xi_refuse_length(ack, nlh, NLMSG_HDRLEN + sizeof(def));
	memcpy(&def, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(def));
	if (def.in > XFRM_USERPOLICY_ACCEPT || def.fwd > XFRM_USERPOLICY_ACCEPT ||
	    def.out > XFRM_USERPOLICY_ACCEPT)
		return xi_refuse(ack, -EINVAL, "Invalid default policy");
	err = default_set(spd, XI_IN, def.in);
	if (!err)
		err = default_set(spd, XI_FWD, def.fwd);
	if (!err)
		err = default_set(spd, XI_OUT, def.out);
	if (err)
		return err;
	defaults_put(&msg, &nobody, spd);
	xi_server_multicast(c->server, XFRMNLGRP_POLICY, &msg);
	return 0;
}
