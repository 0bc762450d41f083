/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What can be said of one policy, or of two, without the SPD. */
#include "sad/spd_priv.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <string.h>

#include "sad/selector.h"

/* What the kernel's verify_newpolicy_info() and verify_policy_type() want. */
static int selector_check(const struct xi_selector *sel, const char **why)
{
	unsigned int max = sel->family == XI_IPV4 ? 32 : 128;

	if (sel->family != XI_IPV4 && sel->family != XI_IPV6) {
		*why = "selector of a policy needs an address family; give src or dst";
		return -EINVAL;
	}
	if (sel->prefixlen_s > max || sel->prefixlen_d > max) {
		*why = "prefix length of the selector beyond its address family; at most 32 for ipv4, 128 for ipv6";
		return -EINVAL;
	}
	if (sel->ifindex) {
		*why = "selectors that name a device are not carried: a packet is judged before it is routed; leave dev out, or use an interface of an if_id";
		return -EOPNOTSUPP;
	}
	return 0;
}

/*
 * prev: family of what the template is applied to; then of what comes out (validate_tmpl() of the
 * kernel).
 */
static int tmpl_check(const struct xi_tmpl *tmpl, enum xi_family *prev, const char **why)
{
	if (tmpl->id.proto != XI_ESP && tmpl->id.proto != XI_AH) {
		*why = "only templates with proto esp or ah are carried; turn ipcomp off";
		return -EOPNOTSUPP;
	}
	if (tmpl->mode != XI_TUNNEL && tmpl->mode != XI_TRANSPORT) {
		*why = "mode of a template is neither transport nor tunnel";
		return -EINVAL;
	}
	if (tmpl->mode == XI_TRANSPORT && tmpl->family != *prev) {
		*why = "a template in transport mode cannot change the address family; use the family of the selector, or of the tunnel inside";
		return -EINVAL;
	}
	*prev = tmpl->family;
	return 0;
}

static int tmpls_check(const struct xi_policy *policy, const char **why)
{
	enum xi_family family = policy->sel.family;
	uint32_t i;
	int err = 0;

	if (policy->ntmpls > XI_MAX_TMPLS) {
		*why = "too many templates; at most 6";
		return -EINVAL;
	}
	if (policy->action == XI_BLOCK)
		return 0;
	if (policy->ntmpls > XI_PATH_MAX) {
		*why = "more than two templates in a policy are not carried; use one, or one inside another";
		return -EOPNOTSUPP;
	}
	for (i = 0; i < policy->ntmpls && !err; i++)
		err = tmpl_check(&policy->tmpls[i], &family, why);
	return err;
}

int xi_policy_check(const struct xi_policy *policy, const char **why)
{
	int err = -EINVAL;

	if (policy->dir >= XI_DIR_MAX)
		*why = "policy direction is none of in, out, fwd";
	else if (policy->action != XI_ALLOW && policy->action != XI_BLOCK)
		*why = "policy action is neither allow nor block";
	else if (policy->share > XFRM_SHARE_UNIQUE)
		*why = "policy share is none of any, session, user, unique";
	else if (policy->type != XFRM_POLICY_TYPE_MAIN)
		*why = "only policies of type main are carried; leave ptype out";
	else if (policy->index && (policy->index & 7) != policy->dir)
		*why = "policy index does not fit its direction; leave the index out";
	else
		err = selector_check(&policy->sel, why);
	return err ? err : tmpls_check(policy, why);
}

bool xi_policy_sees_flows(const struct xi_policy *policy)
{
	return !(policy->mark_v & ~policy->mark_m);
}

bool xi_policy_protects(const struct xi_policy *policy)
{
	return policy->action == XI_ALLOW && policy->ntmpls > 0;
}

/*
 * The guard is asked on ports, where no packet has an if_id, and what arrives has no mark; what leaves one
 * may have any. Behind xipsec0 it is not asked.
 */
bool xi_policy_guarded(const struct xi_policy *policy)
{
	return xi_policy_sees_flows(policy) && !policy->if_id &&
	       (policy->dir == XI_OUT || !policy->mark_v) &&
	       (policy->action == XI_BLOCK || policy->ntmpls > 0 ||
		policy->origin & XI_POLICY_IN_KERNEL);
}

static bool selector_is_pair(const struct xi_selector *sel)
{
	unsigned int max = sel->family == XI_IPV4 ? 32 : 128;

	return sel->prefixlen_s == max && sel->prefixlen_d == max;
}

static bool addr_given(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return memcmp(addr, zero, sizeof(zero));
}

bool xi_tmpl_with_ends(const struct xi_policy *policy, uint32_t t, struct xi_tmpl *tmpl)
{
	const struct xi_tmpl *inside = NULL;
	uint32_t i;

	*tmpl = policy->tmpls[t];
	if (tmpl->mode == XI_TUNNEL)
		return true;
	for (i = 0; i < t; i++)
		if (policy->tmpls[i].mode == XI_TUNNEL)
			inside = &policy->tmpls[i];
	if (inside) {
		memcpy(tmpl->saddr, inside->saddr, 16);
		memcpy(tmpl->id.daddr, inside->id.daddr, 16);
		return !inside->optional && addr_given(inside->saddr) &&
		       addr_given(inside->id.daddr);
	}
	memcpy(tmpl->saddr, policy->sel.saddr, 16);
	memcpy(tmpl->id.daddr, policy->sel.daddr, 16);
	return selector_is_pair(&policy->sel);
}

bool xi_policy_judges_alike(const struct xi_policy *a, const struct xi_policy *b)
{
	struct xi_policy x = *a;
	struct xi_tmpl tmpl;
	uint32_t i;

	x.index = b->index;
	x.add_time = b->add_time;
	x.use_time = b->use_time;
	x.order = b->order;
	x.limits = b->limits;
	x.origin = (b->origin & ~XI_POLICY_IN_KERNEL) | (a->origin & XI_POLICY_IN_KERNEL);
	/* on the way in a template's SPI says which SA a packet may have come through */
	for (i = 0; i < b->ntmpls && b->dir == XI_OUT; i++)
		if (xi_tmpl_with_ends(b, i, &tmpl))
			x.tmpls[i].id.spi = b->tmpls[i].id.spi;
	return !memcmp(&x, b, sizeof(x));
}

struct xi_spd_key xi_policy_key(const struct xi_policy *policy)
{
	struct xi_spd_key key = {
		.sel = policy->sel,
		.dir = policy->dir,
		.type = policy->type,
		.mark_v = policy->mark_v,
		.mark_m = policy->mark_m,
		.if_id = policy->if_id,
	};

	key.sel.pad = 0;
	return key;
}

/* Values under masks: does the first match all that the second matches? Any of what both match? */
static bool port_covers(uint16_t v1, uint16_t m1, uint16_t v2, uint16_t m2)
{
	return !(m1 & ~m2) && !((v1 ^ v2) & m1);
}

static bool port_overlaps(uint16_t v1, uint16_t m1, uint16_t v2, uint16_t m2)
{
	return !((v1 ^ v2) & m1 & m2);
}

static bool selector_any(const struct xi_selector *sel)
{
	return sel->family == XI_FAMILY_NONE;
}

bool xi_selector_covers(const struct xi_selector *outer, const struct xi_selector *inner)
{
	if (selector_any(outer) && !outer->prefixlen_s && !outer->prefixlen_d && !outer->proto &&
	    !outer->sport_mask && !outer->dport_mask)
		return true;
	return outer->family == inner->family && (!outer->proto || outer->proto == inner->proto) &&
	       outer->prefixlen_s <= inner->prefixlen_s &&
	       outer->prefixlen_d <= inner->prefixlen_d &&
	       xi_prefix_equal(outer->saddr, inner->saddr, outer->prefixlen_s) &&
	       xi_prefix_equal(outer->daddr, inner->daddr, outer->prefixlen_d) &&
	       port_covers(outer->sport, outer->sport_mask, inner->sport, inner->sport_mask) &&
	       port_covers(outer->dport, outer->dport_mask, inner->dport, inner->dport_mask);
}

static unsigned int lesser(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

bool xi_selector_overlaps(const struct xi_selector *a, const struct xi_selector *b)
{
	return (selector_any(a) || selector_any(b) || a->family == b->family) &&
	       (!a->proto || !b->proto || a->proto == b->proto) &&
	       xi_prefix_equal(a->saddr, b->saddr, lesser(a->prefixlen_s, b->prefixlen_s)) &&
	       xi_prefix_equal(a->daddr, b->daddr, lesser(a->prefixlen_d, b->prefixlen_d)) &&
	       port_overlaps(a->sport, a->sport_mask, b->sport, b->sport_mask) &&
	       port_overlaps(a->dport, a->dport_mask, b->dport, b->dport_mask);
}
