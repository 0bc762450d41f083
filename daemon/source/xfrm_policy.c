/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policies. The texts are the kernel's where the kernel has one for the same fault. */
#include "source/xfrm_msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* Low three bits of an index are the direction, as in the kernel. */
#define INDEX_DIR(index) ((index)&7)

/* -ENOENT: a sub-policy, of which there are none. */
static int type_get(struct xi_policy *policy, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct xfrm_userpolicy_type type;

	if (!xi_attr_copy(attrs, XFRMA_POLICY_TYPE, &type, sizeof(type)))
		return 0;
	if (type.type == XFRM_POLICY_TYPE_SUB)
		return -ENOENT;
	if (type.type != XFRM_POLICY_TYPE_MAIN)
		return xi_refuse(ack, -EINVAL, "Invalid policy type");
	policy->type = type.type;
	return 0;
}

/* Part of the key of a policy. */
static void marks_get(struct xi_policy *policy, const struct xi_attrs *attrs)
{
	struct xfrm_mark mark;

	if (xi_attr_copy(attrs, XFRMA_MARK, &mark, sizeof(mark))) {
		policy->mark_v = mark.v;
		policy->mark_m = mark.m;
	}
	policy->if_id = xi_attr_u32(attrs, XFRMA_IF_ID);
}

static int dir_check(unsigned int dir, struct xi_extack *ack)
{
	return dir < XI_DIR_MAX ? 0 : xi_refuse(ack, -EINVAL, "Invalid policy direction");
}

static int info_get(struct xi_policy *policy, const struct xfrm_userpolicy_info *info,
		    struct xi_extack *ack)
{
	int err;

	if (info->share > XFRM_SHARE_UNIQUE)
		return xi_refuse(ack, -EINVAL, "Invalid policy share");
	if (info->action != XFRM_POLICY_ALLOW && info->action != XFRM_POLICY_BLOCK)
		return xi_refuse(ack, -EINVAL, "Invalid policy action");
	if (!xi_family_known(info->sel.family))
		return xi_refuse(ack, -EINVAL, "Invalid selector family");
	err = dir_check(info->dir, ack);
	if (!err && info->index && INDEX_DIR(info->index) != info->dir)
		err = xi_refuse(ack, -EINVAL, "Policy index doesn't match direction");
	if (!err)
		err = xi_selector_from_xfrm(&policy->sel, &info->sel, 0, ack);
	if (err)
		return err;
	xi_limits_from_xfrm(&policy->limits, &info->lft);
	policy->index = info->index;
	policy->priority = info->priority;
	policy->dir = (enum xi_dir)info->dir;
	policy->action = (enum xi_action)info->action;
	policy->flags = info->flags;
	policy->share = info->share;
	return 0;
}

static int tmpl_get(struct xi_tmpl *tmpl, const struct xfrm_user_tmpl *in, enum xi_dir dir,
		    unsigned int *family, struct xi_extack *ack)
{
	unsigned int own = in->family ? in->family : *family;

	if (!xi_family_known(own))
		return xi_refuse(ack, -EINVAL, "Invalid family in template");
	if (in->mode > XFRM_MODE_BEET)
		return xi_refuse(ack, -EINVAL, "Mode in template must be < XFRM_MODE_MAX (5)");
	if (in->mode == XFRM_MODE_TUNNEL && in->optional && dir == XI_OUT)
		return xi_refuse(ack, -EINVAL,
				 "Mode in optional template not allowed in outbound policy");
	if (in->mode != XFRM_MODE_TUNNEL && in->mode != XFRM_MODE_BEET && own != *family)
		return xi_refuse(ack, -EINVAL, "Mode in template doesn't support a family change");
	if (in->mode != XFRM_MODE_TRANSPORT && in->mode != XFRM_MODE_TUNNEL)
		return xi_refuse(ack, -EOPNOTSUPP,
				 "only transport and tunnel mode are known in a template");
	if (in->id.proto != XI_ESP && in->id.proto != XI_AH && in->id.proto != XI_COMP)
		return xi_refuse(ack, -EINVAL, "Invalid XFRM protocol in template");
	*family = own;
	memset(tmpl, 0, sizeof(*tmpl));
	xi_addr_from_xfrm(tmpl->id.daddr, &in->id.daddr, own);
	tmpl->id.spi = ntohl(in->id.spi);
	tmpl->id.proto = in->id.proto;
	tmpl->id.family = own;
	xi_addr_from_xfrm(tmpl->saddr, &in->saddr, own);
	tmpl->mode = in->mode == XFRM_MODE_TUNNEL ? XI_TUNNEL : XI_TRANSPORT;
	tmpl->reqid = in->reqid;
	tmpl->optional = in->optional;
	tmpl->share = in->share;
	tmpl->aalgos = in->aalgos;
	tmpl->ealgos = in->ealgos;
	tmpl->calgos = in->calgos;
	tmpl->family = own;
	return 0;
}

static int tmpls_get(struct xi_policy *policy, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	const struct nlattr *nla = attrs->tb[XFRMA_TMPL];
	unsigned int family = policy->sel.family;
	struct xfrm_user_tmpl in;
	size_t n;
	int err;

	if (!nla)
		return 0;
	n = xi_attr_len(nla) / sizeof(in);
	xi_attr_blame(attrs, XFRMA_TMPL, ack);
	if (xi_attr_len(nla) % sizeof(in))
		return xi_refuse(ack, -EINVAL, "templates of %zu bytes: not a multiple of %zu",
				 xi_attr_len(nla), sizeof(in));
	if (n > XI_MAX_TMPLS)
		return xi_refuse(ack, -EINVAL, "Template count must be <= XFRM_MAX_DEPTH (6)");
	for (size_t i = 0; i < n; i++) {
		memcpy(&in, (const uint8_t *)xi_attr_data(nla) + i * sizeof(in), sizeof(in));
		err = tmpl_get(&policy->tmpls[i], &in, policy->dir, &family, ack);
		if (err)
			return err;
	}
	policy->ntmpls = n;
	ack->offset = 0;
	return 0;
}

static int carries_check(const struct xi_policy *policy, struct xi_extack *ack)
{
	if (policy->sel.ifindex)
		return xi_refuse(
			ack, -EOPNOTSUPP,
			"selectors that name a device are not carried: a packet is judged before it is routed; leave dev out, or use an interface of an if_id");
	return 0;
}

static int newpolicy_get(struct xi_policy *policy, const struct nlmsghdr *nlh,
			 struct xi_extack *ack)
{
	struct xfrm_userpolicy_info info;
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(info), ack);
	if (err)
		return err;
	memcpy(&info, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(info));
	err = info_get(policy, &info, ack);
	if (!err)
		err = type_get(policy, &attrs, ack);
	if (err == -ENOENT)
		return xi_refuse(ack, -EOPNOTSUPP, "sub-policies are not carried");
	if (!err)
		err = tmpls_get(policy, &attrs, ack);
	if (!err)
		err = xi_datapath_check_attrs(&attrs, ack);
	if (!err)
		err = xi_xfrm_check_policy_extra(&attrs, ack);
	if (err)
		return err;
	marks_get(policy, &attrs);
	return carries_check(policy, ack);
}

int xi_xfrm_get_newpolicy(struct xi_policy *policy, const struct nlmsghdr *nlh,
			  struct xi_extack *ack)
{
	int err;

	memset(policy, 0, sizeof(*policy));
	err = newpolicy_get(policy, nlh, ack);
	if (err)
		memset(policy, 0, sizeof(*policy));
	return err;
}

static int acquire_get(struct xi_acquire_request *req, const struct nlmsghdr *nlh,
		       struct xi_extack *ack)
{
	struct xfrm_user_acquire in;
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(in), ack);
	if (err)
		return err;
	memcpy(&in, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(in));
	err = info_get(&req->policy, &in.policy, ack);
	if (!err)
		err = type_get(&req->policy, &attrs, ack);
	if (!err)
		err = tmpls_get(&req->policy, &attrs, ack);
	if (!err)
		err = xi_xfrm_check_policy_extra(&attrs, ack);
	if (err)
		return err;
	marks_get(&req->policy, &attrs);
	req->saddr = in.saddr;
	req->sel = in.sel;
	req->aalgos = in.aalgos;
	req->ealgos = in.ealgos;
	req->calgos = in.calgos;
	return 0;
}

int xi_xfrm_get_acquire(struct xi_acquire_request *req, const struct nlmsghdr *nlh,
			struct xi_extack *ack)
{
	int err;

	memset(req, 0, sizeof(*req));
	err = acquire_get(req, nlh, ack);
	if (err)
		memset(req, 0, sizeof(*req));
	return err;
}

/* What no policy can have is not found, without a word about it. */
static int key_get(struct xi_policy *key, const struct xfrm_selector *sel)
{
	struct xi_extack unsaid;

	if (key->index)
		return INDEX_DIR(key->index) == (uint32_t)key->dir ? 0 : -ENOENT;
	return xi_selector_from_xfrm(&key->sel, sel, 0, &unsaid) ? -ENOENT : 0;
}

int xi_xfrm_get_policy_id(struct xi_policy *key, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xfrm_userpolicy_id in;
	struct xi_attrs attrs;
	int err;

	memset(key, 0, sizeof(*key));
	err = xi_attrs_parse(&attrs, nlh, sizeof(in), ack);
	if (err)
		return err;
	memcpy(&in, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(in));
	err = type_get(key, &attrs, ack);
	if (!err)
		err = dir_check(in.dir, ack);
	if (err)
		return err;
	marks_get(key, &attrs);
	key->dir = (enum xi_dir)in.dir;
	key->index = in.index;
	return key_get(key, &in.sel);
}

int xi_xfrm_get_polexpire(struct xi_policy *key, bool *hard, const struct nlmsghdr *nlh,
			  struct xi_extack *ack)
{
	struct xfrm_user_polexpire in;
	struct xi_attrs attrs;
	int err;

	memset(key, 0, sizeof(*key));
	err = xi_attrs_parse(&attrs, nlh, sizeof(in), ack);
	if (err)
		return err;
	memcpy(&in, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(in));
	err = type_get(key, &attrs, ack);
	if (!err)
		err = dir_check(in.pol.dir, ack);
	if (err)
		return err;
	marks_get(key, &attrs);
	key->dir = (enum xi_dir)in.pol.dir;
	key->index = in.pol.index;
	*hard = in.hard;
	return key_get(key, &in.pol.sel);
}

static void info_fill(struct xfrm_userpolicy_info *info, const struct xi_policy *policy)
{
	memset(info, 0, sizeof(*info));
	xi_selector_to_xfrm(&info->sel, &policy->sel);
	xi_limits_to_xfrm(&info->lft, &policy->limits);
	info->curlft.add_time = policy->add_time;
	info->curlft.use_time = policy->use_time;
	info->priority = policy->priority;
	info->index = policy->index;
	info->dir = policy->dir;
	info->action = policy->action;
	info->flags = policy->flags;
	info->share = XFRM_SHARE_ANY; /* nor does struct xfrm_policy of the kernel keep it */
}

static void tmpl_fill(struct xfrm_user_tmpl *out, const struct xi_tmpl *tmpl)
{
	memset(out, 0, sizeof(*out));
	xi_addr_to_xfrm(&out->id.daddr, tmpl->id.daddr);
	out->id.spi = htonl(tmpl->id.spi);
	out->id.proto = tmpl->id.proto;
	out->family = tmpl->family;
	xi_addr_to_xfrm(&out->saddr, tmpl->saddr);
	out->reqid = tmpl->reqid;
	out->mode = tmpl->mode;
	out->share = tmpl->share;
	out->optional = tmpl->optional;
	out->aalgos = tmpl->aalgos;
	out->ealgos = tmpl->ealgos;
	out->calgos = tmpl->calgos;
}

static void extra_put(struct xi_nlmsg *msg, const struct xi_policy *policy)
{
	struct xfrm_userpolicy_type type = { .type = policy->type };
	struct xfrm_mark mark = { .v = policy->mark_v, .m = policy->mark_m };
	struct xfrm_user_tmpl tmpls[XI_MAX_TMPLS];

	for (uint32_t i = 0; i < policy->ntmpls && i < XI_MAX_TMPLS; i++)
		tmpl_fill(&tmpls[i], &policy->tmpls[i]);
	if (policy->ntmpls && policy->ntmpls <= XI_MAX_TMPLS)
		xi_nlmsg_put(msg, XFRMA_TMPL, tmpls, policy->ntmpls * sizeof(tmpls[0]));
	xi_nlmsg_put(msg, XFRMA_POLICY_TYPE, &type, sizeof(type));
	if (mark.v | mark.m)
		xi_nlmsg_put(msg, XFRMA_MARK, &mark, sizeof(mark));
	if (policy->if_id)
		xi_nlmsg_put_u32(msg, XFRMA_IF_ID, policy->if_id);
}

void xi_xfrm_put_policy(struct xi_nlmsg *msg, uint16_t type, const struct xi_nl_to *to,
			const struct xi_policy *policy)
{
	struct xfrm_userpolicy_info *info;

	info = xi_nlmsg_begin(msg, type, to->flags, to->seq, to->portid, sizeof(*info));
	info_fill(info, policy);
	extra_put(msg, policy);
}

void xi_xfrm_put_delpolicy(struct xi_nlmsg *msg, const struct xi_nl_to *to,
			   const struct xi_policy *policy, bool by_index)
{
	struct xfrm_userpolicy_info info;
	struct xfrm_userpolicy_id *id;

	id = xi_nlmsg_begin(msg, XFRM_MSG_DELPOLICY, to->flags, to->seq, to->portid, sizeof(*id));
	id->dir = policy->dir;
	if (by_index)
		id->index = policy->index;
	else
		xi_selector_to_xfrm(&id->sel, &policy->sel);
	info_fill(&info, policy);
	xi_nlmsg_put(msg, XFRMA_POLICY, &info, sizeof(info));
	extra_put(msg, policy);
}

void xi_xfrm_put_polexpire(struct xi_nlmsg *msg, const struct xi_nl_to *to,
			   const struct xi_policy *policy, bool hard)
{
	struct xfrm_user_polexpire *expire;

	expire = xi_nlmsg_begin(msg, XFRM_MSG_POLEXPIRE, to->flags, to->seq, to->portid,
				sizeof(*expire));
	info_fill(&expire->pol, policy);
	expire->hard = hard;
	extra_put(msg, policy);
}

void xi_xfrm_flow_selector(struct xi_selector *sel, const struct xi_flow *flow)
{
	bool has_ports = !flow->fragment &&
			 (flow->proto == IPPROTO_TCP || flow->proto == IPPROTO_UDP ||
			  flow->proto == IPPROTO_SCTP || flow->proto == IPPROTO_UDPLITE ||
			  flow->proto == IPPROTO_ICMP || flow->proto == IPPROTO_ICMPV6);

	memset(sel, 0, sizeof(*sel));
	memcpy(sel->saddr, flow->saddr, 16);
	memcpy(sel->daddr, flow->daddr, 16);
	sel->family = flow->family;
	sel->prefixlen_s = sel->prefixlen_d = xi_family_bits(flow->family);
	sel->proto = flow->proto;
	if (!has_ports)
		return;
	sel->sport = flow->sport;
	sel->dport = flow->dport;
	sel->sport_mask = sel->dport_mask = 0xffff;
}

void xi_xfrm_acquire_ends(const struct xi_flow *flow, const struct xi_tmpl *tmpl,
			  uint8_t saddr[16], uint8_t daddr[16])
{
	static const uint8_t none[16];
	bool src = tmpl && memcmp(tmpl->saddr, none, 16);
	bool dst = tmpl && memcmp(tmpl->id.daddr, none, 16);

	/* behind a tunnel the flow's own address is not the source: the key manager knows it */
	if (!src && dst && tmpl->mode == XI_TUNNEL)
		memcpy(saddr, none, 16);
	else
		memcpy(saddr, src ? tmpl->saddr : flow->saddr, 16);
	memcpy(daddr, dst ? tmpl->id.daddr : flow->daddr, 16);
}

/* Of the flow where the template has none, as libreswan's traps. */
static void acquire_endpoints(struct xfrm_user_acquire *acq, const struct xi_flow *flow,
			      const struct xi_tmpl *tmpl)
{
	uint8_t saddr[16], daddr[16];

	xi_xfrm_acquire_ends(flow, tmpl, saddr, daddr);
	xi_addr_to_xfrm(&acq->id.daddr, daddr);
	xi_addr_to_xfrm(&acq->saddr, saddr);
	acq->id.spi = tmpl ? htonl(tmpl->id.spi) : 0;
	acq->id.proto = tmpl ? tmpl->id.proto : XI_ESP;
}

void xi_xfrm_put_acquire(struct xi_nlmsg *msg, const struct xi_flow *flow,
			 const struct xi_policy *policy, uint32_t seq)
{
	const struct xi_tmpl *tmpl = policy->ntmpls ? &policy->tmpls[0] : NULL;
	struct xfrm_user_acquire *acq;
	struct xi_selector sel;

	acq = xi_nlmsg_begin(msg, XFRM_MSG_ACQUIRE, 0, 0, 0, sizeof(*acq));
	acquire_endpoints(acq, flow, tmpl);
	xi_xfrm_flow_selector(&sel, flow);
	xi_selector_to_xfrm(&acq->sel, &sel);
	info_fill(&acq->policy, policy);
	acq->aalgos = tmpl ? tmpl->aalgos : ~0U;
	acq->ealgos = tmpl ? tmpl->ealgos : ~0U;
	acq->calgos = tmpl ? tmpl->calgos : ~0U;
	acq->seq = seq;
	extra_put(msg, policy);
}

/* build_acquire(): the policy is always said to be an outbound one. */
void xi_xfrm_put_acquire_again(struct xi_nlmsg *msg, struct xi_acquire_request *req, unsigned int t,
			       uint32_t seq)
{
	struct xi_tmpl *tmpl = &req->policy.tmpls[t];
	struct xfrm_user_acquire *acq;

	tmpl->aalgos = req->aalgos;
	tmpl->ealgos = req->ealgos;
	tmpl->calgos = req->calgos;
	acq = xi_nlmsg_begin(msg, XFRM_MSG_ACQUIRE, 0, 0, 0, sizeof(*acq));
	xi_addr_to_xfrm(&acq->id.daddr, tmpl->id.daddr);
	acq->id.spi = htonl(tmpl->id.spi);
	acq->id.proto = tmpl->id.proto;
	acq->saddr = req->saddr;
	acq->sel = req->sel;
	info_fill(&acq->policy, &req->policy);
	acq->policy.dir = XI_OUT;
	acq->aalgos = tmpl->aalgos;
	acq->ealgos = tmpl->ealgos;
	acq->calgos = tmpl->calgos;
	acq->seq = seq;
	extra_put(msg, &req->policy);
}
