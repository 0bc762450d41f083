/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One policy of the kernel's. What is carried is in the SPD as it is. An outbound one that is not,
 * or whose SAs are not, is there without templates, and its packets are left to the kernel; an
 * inbound one blocks what the ports bring, as the kernel would, which opens what is protected by it
 * behind them. Policies of marks, of XFRM interfaces and of sockets XDP cannot tell: they are no
 * matter of the SPD.
 */
#include "source/mirror_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

/* What the kernel answered to GETPOLICY. */
struct seen {
	struct xfrm_userpolicy_info info;
	struct xi_policy policy; /* carried as it is, if there is no err */
	struct xi_extack ack;
	int err;
	bool elsewhere; /* not told by what a packet shows */
	unsigned int ntmpls;
	bool wants; /* some template is not optional */
	struct xfrm_user_tmpl tmpls[XI_MAX_TMPLS];
};

void xi_mirror_policy_touch(struct xi_mirror *m, struct xi_mirror_policy *policy)
{
	if (policy->dirty)
		return;
	policy->dirty = true;
	TAILQ_INSERT_TAIL(&m->dirty_policies, policy, queue);
	event_active(m->work, EV_TIMEOUT, 0);
}

/* first: a dump tells the youngest first, and among equals the order of their making counts. */
void xi_mirror_policy_dirty(struct xi_mirror *m, const struct xi_mirror_policy_key *key, bool first)
{
	struct xi_mirror_policy *policy;

	HASH_FIND(hh, m->policies, key, sizeof(*key), policy);
	if (policy) {
		xi_mirror_policy_touch(m, policy);
		return;
	}
	policy = calloc(1, sizeof(*policy));
	if (!policy) {
		m->resync = true;
		return;
	}
	policy->key = *key;
	HASH_ADD(hh, m->policies, key, sizeof(policy->key), policy);
	policy->dirty = true;
	if (first)
		TAILQ_INSERT_HEAD(&m->dirty_policies, policy, queue);
	else
		TAILQ_INSERT_TAIL(&m->dirty_policies, policy, queue);
	event_active(m->work, EV_TIMEOUT, 0);
}

struct xi_mirror_policy_key xi_mirror_policy_key_of(const struct xi_policy *policy)
{
	struct xi_mirror_policy_key key;

	memset(&key, 0, sizeof(key));
	xi_selector_to_xfrm(&key.sel, &policy->sel);
	key.dir = policy->dir;
	key.mark_v = policy->mark_v;
	key.mark_m = policy->mark_m;
	key.if_id = policy->if_id;
	return key;
}

/* Where the policy stands in a message, and where attributes begin. */
static bool message_info(const struct nlmsghdr *nlh, struct xi_attrs *attrs,
			 struct xfrm_userpolicy_info *info)
{
	bool deleted = nlh->nlmsg_type == XFRM_MSG_DELPOLICY;
	size_t body = deleted ? sizeof(struct xfrm_userpolicy_id) : sizeof(*info);
	struct xi_extack ack;

	if (nlh->nlmsg_type == XFRM_MSG_POLEXPIRE)
		body = sizeof(struct xfrm_user_polexpire);
	if (xi_attrs_parse(attrs, nlh, body, &ack))
		return false;
	if (deleted)
		return xi_attr_copy(attrs, XFRMA_POLICY, info, sizeof(*info));
	memcpy(info, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(*info));
	return true;
}

bool xi_mirror_policy_key(struct xi_mirror_policy_key *key, const struct nlmsghdr *nlh)
{
	struct xfrm_userpolicy_info info;
	struct xfrm_userpolicy_type type;
	struct xfrm_mark mark;
	struct xi_attrs attrs;

	memset(key, 0, sizeof(*key));
	if (!message_info(nlh, &attrs, &info) || info.dir >= XI_DIR_MAX)
		return false;
	if (xi_attr_copy(&attrs, XFRMA_POLICY_TYPE, &type, sizeof(type)) &&
	    type.type != XFRM_POLICY_TYPE_MAIN)
		return false;
	key->sel = info.sel;
	key->dir = info.dir;
	if (xi_attr_copy(&attrs, XFRMA_MARK, &mark, sizeof(mark))) {
		key->mark_v = mark.v;
		key->mark_m = mark.m;
	}
	key->if_id = xi_attr_u32(&attrs, XFRMA_IF_ID);
	return true;
}

static void seen_tmpls(struct seen *seen, const struct xi_attrs *attrs)
{
	const struct nlattr *nla = attrs->tb[XFRMA_TMPL];

	if (!nla)
		return;
	seen->ntmpls = xi_attr_len(nla) / sizeof(seen->tmpls[0]);
	if (seen->ntmpls > XI_MAX_TMPLS)
		seen->ntmpls = XI_MAX_TMPLS;
	memcpy(seen->tmpls, xi_attr_data(nla), seen->ntmpls * sizeof(seen->tmpls[0]));
	for (unsigned int i = 0; i < seen->ntmpls; i++)
		seen->wants |= !seen->tmpls[i].optional;
}

/* 0, or -errno: -ENOENT when there is none. */
static int policy_look(struct xi_mirror *m, const struct xi_mirror_policy *policy,
		       struct seen *seen)
{
	struct xi_attrs attrs;
	int err;

	memset(seen, 0, sizeof(*seen));
	err = xi_mirror_ask_policy(m, &policy->key);
	if (err)
		return err;
	if (m->answer.hdr.nlmsg_type != XFRM_MSG_NEWPOLICY ||
	    xi_attrs_parse(&attrs, &m->answer.hdr, sizeof(seen->info), &seen->ack))
		return -EBADMSG;
	memcpy(&seen->info, m->answer.buf + NLMSG_HDRLEN, sizeof(seen->info));
	seen_tmpls(seen, &attrs);
	seen->elsewhere = policy->key.if_id || policy->key.mark_v || policy->key.mark_m ||
			  seen->info.sel.ifindex || seen->info.sel.user ||
			  xi_attr_has(&attrs, XFRMA_SEC_CTX);
	seen->err = xi_xfrm_get_newpolicy(&seen->policy, &m->answer.hdr, &seen->ack);
	return 0;
}

/* Which SAs a template means. In transport mode their ends are the packet's, or the tunnel's
 * inside. */
static void tmpl_pattern(struct xi_pattern *p, const struct seen *seen, unsigned int t)
{
	const struct xfrm_user_tmpl *tmpl = &seen->tmpls[t];
	const struct xfrm_selector *sel = &seen->info.sel;
	const struct xfrm_user_tmpl *ends = tmpl;

	memset(p, 0, sizeof(*p));
	p->family = tmpl->family ? tmpl->family : sel->family;
	p->reqid = tmpl->reqid;
	while (ends->mode == XFRM_MODE_TRANSPORT && ends != seen->tmpls)
		ends--;
	if (ends->mode != XFRM_MODE_TRANSPORT)
		xi_addr_from_xfrm(p->daddr, &ends->id.daddr, p->family);
	else if (xi_family_known(sel->family) && sel->prefixlen_d == xi_family_bits(sel->family))
		xi_addr_from_xfrm(p->daddr, &sel->daddr, p->family);
}

static void asks(struct xi_mirror *m, struct xi_mirror_policy *policy, bool on)
{
	if (policy->asks == on)
		return;
	policy->asks = on;
	for (uint32_t i = 0; i < policy->ntmpls; i++)
		xi_group_ask(m, &policy->tmpls[i].group->pattern, on);
}

static void keeps(struct xi_mirror *m, struct xi_mirror_policy *policy, bool on)
{
	if (policy->keeps == on)
		return;
	policy->keeps = on;
	for (uint32_t i = 0; i < policy->ntmpls; i++)
		xi_group_keep(m, &policy->tmpls[i].group->pattern, on);
}

static void out_kept(struct xi_mirror *m, struct xi_mirror_policy *policy, bool on)
{
	if (policy->out_kept != on)
		m->out_kept += on ? 1 : -1;
	policy->out_kept = on;
}

static void goes(struct xi_mirror *m, struct xi_mirror_policy *policy, enum xi_mirror_where where)
{
	m->figures.policies -= policy->where == XI_MIRROR_OURS;
	m->figures.policies_kept -= policy->where == XI_MIRROR_KEPT;
	m->out_ours -= policy->where == XI_MIRROR_OURS && policy->key.dir == XI_OUT;
	policy->where = where;
	m->figures.policies += where == XI_MIRROR_OURS;
	m->figures.policies_kept += where == XI_MIRROR_KEPT;
	m->out_ours += where == XI_MIRROR_OURS && policy->key.dir == XI_OUT;
}

static const struct xi_policy *spd_find(const struct xi_mirror *m,
					const struct xi_mirror_policy *policy)
{
	struct xi_policy key = {.sel = policy->sel, .dir = (enum xi_dir)policy->key.dir};

	return xi_spd_find(m->spd, &key);
}

static void spd_remove(struct xi_mirror *m, struct xi_mirror_policy *policy)
{
	const struct xi_policy *there = policy->in_spd ? spd_find(m, policy) : NULL;
	struct xi_policy key;
	int err;

	policy->in_spd = false;
	if (!there || !(there->origin & XI_POLICY_FROM_KERNEL))
		return;
	key = *there;
	err = xi_spd_delete(m->spd, &key);
	if (!err)
		return;
	policy->in_spd = true;
	m->resync = true;
	log_warnx("mirror: a policy that the kernel deleted stays for now: %s", strerror(-err));
}

static bool spd_same(const struct xi_policy *a, const struct xi_policy *b)
{
	return a->priority == b->priority && a->action == b->action && a->origin == b->origin &&
	       a->flags == b->flags && a->share == b->share && a->ntmpls == b->ntmpls &&
	       !memcmp(&a->limits, &b->limits, sizeof(a->limits)) &&
	       !memcmp(a->tmpls, b->tmpls, a->ntmpls * sizeof(a->tmpls[0]));
}

/* 0; -EEXIST: somebody else's is there; -errno, *why. */
static int spd_put(struct xi_mirror *m, struct xi_mirror_policy *policy, struct xi_policy *p,
		   const char **why)
{
	const struct xi_policy *there;
	int err;

	/* the kernel's clock ends it */
	p->limits = (struct xi_limits){XFRM_INF, XFRM_INF, XFRM_INF, XFRM_INF, 0, 0, 0, 0};
	p->origin |= XI_POLICY_FROM_KERNEL;
	policy->sel = p->sel;
	there = spd_find(m, policy);
	if (there && !(there->origin & XI_POLICY_FROM_KERNEL))
		return -EEXIST;
	if (there && spd_same(there, p)) {
		policy->in_spd = true;
		return 0;
	}
	err = xi_spd_add(m->spd, p, true, why);
	if (!err)
		policy->in_spd = true;
	return err;
}

/* Stands for one that is not carried. False: then there is nothing to be known of it. */
static bool stand_in(struct xi_policy *p, const struct seen *seen)
{
	struct xi_extack ack;

	memset(p, 0, sizeof(*p));
	if (seen->elsewhere || !xi_family_known(seen->info.sel.family) ||
	    (seen->info.dir != XI_OUT && !seen->wants) ||
	    xi_selector_from_xfrm(&p->sel, &seen->info.sel, 0, &ack))
		return false;
	xi_limits_from_xfrm(&p->limits, &seen->info.lft);
	p->index = seen->info.index;
	p->priority = seen->info.priority;
	p->dir = (enum xi_dir)seen->info.dir;
	p->flags = seen->info.flags;
	p->action = seen->info.dir == XI_OUT ? XI_ALLOW : XI_BLOCK;
	if (seen->info.dir == XI_OUT)
		p->origin = XI_POLICY_IN_KERNEL;
	return true;
}

/* By us: that comes and goes. Such an SA is the only one of its pattern. */
static bool in_hardware(const struct xi_mirror_policy *policy)
{
	const struct xi_sa_link *link =
		policy->ntmpls ? LIST_FIRST(&policy->tmpls[0].group->sas) : NULL;

	return link && link->sa->offload.where == XI_OFFLOAD_THERE;
}

static void policy_keep(struct xi_mirror *m, struct xi_mirror_policy *policy,
			const struct seen *seen, const char *reason)
{
	const char *why = "";
	struct xi_policy p;

	asks(m, policy, false);
	if (policy->where != XI_MIRROR_KEPT && policy->where != XI_MIRROR_IDLE &&
	    !in_hardware(policy))
		log_info("mirror: a policy (index %u) stays with the kernel: %s", seen->info.index,
			 reason);
	out_kept(m, policy, seen->info.dir == XI_OUT);
	if (stand_in(&p, seen) && !spd_put(m, policy, &p, &why)) {
		goes(m, policy, XI_MIRROR_KEPT);
		return;
	}
	spd_remove(m, policy);
	goes(m, policy, XI_MIRROR_IDLE);
}

static bool tmpls_kept(const struct xi_mirror *m, const struct xi_mirror_policy *policy)
{
	for (uint32_t i = 0; i < policy->ntmpls; i++)
		if (xi_group_kept(m, &policy->tmpls[i].group->pattern))
			return true;
	return false;
}

/*
 * With several templates, all their SAs stay with the kernel when those of one do, and the policy
 * with them until its templates change: policies that have one another's SAs would otherwise turn
 * round and round.
 */
static void policy_carry(struct xi_mirror *m, struct xi_mirror_policy *policy, struct seen *seen)
{
	const char *why = "it could not be taken over";
	int err;

	if (policy->key.dir == XI_OUT && (policy->keeps || tmpls_kept(m, policy))) {
		keeps(m, policy, policy->ntmpls > 1);
		policy_keep(m, policy, seen, "SAs that may serve it are not carried");
		return;
	}
	err = spd_put(m, policy, &seen->policy, &why);
	if (err == -EEXIST) {
		if (policy->where != XI_MIRROR_SHADOWED)
			log_warnx("mirror: a policy of the kernel (index %u) is not taken over: "
				  "xipsec was given one with this direction and selector",
				  seen->info.index);
		out_kept(m, policy, false);
		goes(m, policy, XI_MIRROR_SHADOWED);
		return;
	}
	if (err) {
		policy->refused = err;
		xi_mirror_retry_policy(m, policy, err);
		keeps(m, policy, true);
		policy_keep(m, policy, seen, why);
		return;
	}
	out_kept(m, policy, false);
	if (policy->waits)
		xi_mirror_retry_went_well(m);
	xi_mirror_retry_no_policy(m, policy);
	goes(m, policy, XI_MIRROR_OURS);
	asks(m, policy, policy->key.dir == XI_OUT && seen->policy.action == XI_ALLOW);
}

static void policy_unlink(struct xi_mirror *m, struct xi_mirror_policy *policy)
{
	asks(m, policy, false);
	keeps(m, policy, false);
	xi_group_unlink_tmpls(m, policy);
}

static int policy_place(struct xi_mirror *m, struct xi_mirror_policy *policy,
			const struct seen *seen)
{
	struct xi_pattern p;
	unsigned int i;

	for (i = 0; i < seen->ntmpls && i < policy->ntmpls; i++) {
		tmpl_pattern(&p, seen, i);
		if (memcmp(&p, &policy->tmpls[i].group->pattern, sizeof(p)))
			break;
	}
	if (i == seen->ntmpls && i == policy->ntmpls)
		return 0;
	policy_unlink(m, policy);
	policy->refused = 0;
	xi_mirror_retry_no_policy(m, policy);
	for (i = 0; i < seen->ntmpls; i++) {
		tmpl_pattern(&p, seen, i);
		if (xi_group_link_tmpl(m, policy, &p))
			return -ENOMEM;
	}
	return 0;
}

static void policy_free(struct xi_mirror *m, struct xi_mirror_policy *policy)
{
	out_kept(m, policy, false);
	goes(m, policy, XI_MIRROR_UNKNOWN);
	xi_mirror_retry_no_policy(m, policy);
	policy_unlink(m, policy);
	if (policy->dirty)
		TAILQ_REMOVE(&m->dirty_policies, policy, queue);
	HASH_DEL(m->policies, policy);
	free(policy);
}

void xi_mirror_policies_free(struct xi_mirror *m)
{
	struct xi_mirror_policy *policy, *next;

	HASH_ITER(hh, m->policies, policy, next)
	policy_free(m, policy);
}

static void policy_settle(struct xi_mirror *m, struct xi_mirror_policy *policy, struct seen *seen)
{
	int err = policy_look(m, policy, seen);

	if (err == -ENOENT) {
		spd_remove(m, policy);
		if (!policy->in_spd)
			policy_free(m, policy);
		return;
	}
	if (err || policy_place(m, policy, seen)) {
		m->resync = true;
		return;
	}
	if (seen->elsewhere) {
		/* an SA without a mark serves a policy that has one; one without if_id none that
		 * has */
		keeps(m, policy, policy->key.dir == XI_OUT && !policy->key.if_id);
		policy_keep(m, policy, seen,
			    "what a packet shows does not tell whether it applies");
	} else if (seen->err || policy->refused) {
		keeps(m, policy, true);
		policy_keep(m, policy, seen, seen->ack.text);
	} else {
		if (policy->key.dir != XI_OUT || policy->ntmpls < 2)
			keeps(m, policy, false);
		policy_carry(m, policy, seen);
	}
}

void xi_mirror_policy_settle(struct xi_mirror *m, struct xi_mirror_policy *policy)
{
	struct seen seen;

	policy->dirty = false;
	TAILQ_REMOVE(&m->dirty_policies, policy, queue);
	policy_settle(m, policy, &seen);
}
