/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/xfrm_migrate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const uint8_t any[16];

static int item_get(struct xi_migrate *m, const struct xfrm_user_migrate *in, struct xi_extack *ack)
{
	if (!xi_family_known(in->old_family) || !xi_family_known(in->new_family))
		return xi_refuse(ack, -EINVAL, "Invalid address family in the MIGRATE attribute's list");
	m->old_family = (enum xi_family)in->old_family;
	m->new_family = (enum xi_family)in->new_family;
	xi_addr_from_xfrm(m->old_saddr, &in->old_saddr, in->old_family);
	xi_addr_from_xfrm(m->old_daddr, &in->old_daddr, in->old_family);
	xi_addr_from_xfrm(m->new_saddr, &in->new_saddr, in->new_family);
	xi_addr_from_xfrm(m->new_daddr, &in->new_daddr, in->new_family);
	m->proto = in->proto;
	m->mode = in->mode;
	m->reqid = in->reqid;
	if (!memcmp(m->new_saddr, any, 16) || !memcmp(m->new_daddr, any, 16))
		return xi_refuse(ack, -EINVAL,
				 "Addresses in the MIGRATE attribute's list cannot be null");
	return 0;
}

static bool same_meant(const struct xi_migrate *a, const struct xi_migrate *b)
{
	return !memcmp(a->old_saddr, b->old_saddr, 16) && !memcmp(a->old_daddr, b->old_daddr, 16) &&
	       a->old_family == b->old_family && a->proto == b->proto && a->mode == b->mode &&
	       a->reqid == b->reqid;
}

/* xfrm_migrate_check(). */
static int items_get(struct xi_migrate_request *req, const struct xi_attrs *attrs,
		     struct xi_extack *ack)
{
	const struct nlattr *nla = attrs->tb[XFRMA_MIGRATE];
	struct xfrm_user_migrate in;
	unsigned int i, n;
	int err;

	n = xi_attr_len(nla) / sizeof(in);
	if (!n || n > XI_MAX_TMPLS)
		return xi_refuse(ack, -EINVAL,
				 "Invalid number of SAs to migrate, must be 0 < num <= XFRM_MAX_DEPTH (6)");
	for (req->n = 0; req->n < n; req->n++) {
		memcpy(&in, (const uint8_t *)xi_attr_data(nla) + req->n * sizeof(in), sizeof(in));
		err = item_get(&req->items[req->n], &in, ack);
		if (err)
			return err;
		for (i = 0; i < req->n; i++)
			if (same_meant(&req->items[i], &req->items[req->n]))
				return xi_refuse(ack, -EINVAL,
						 "Entries in the MIGRATE attribute's list must be unique");
	}
	return 0;
}

/* Whether the SA may have it, xi_datapath_check() says when it is known which SA. */
static int encap_get(struct xi_migrate_encap *out, const struct xi_attrs *attrs,
		     struct xi_extack *ack)
{
	struct xfrm_encap_tmpl in;

	if (!xi_attr_copy(attrs, XFRMA_ENCAP, &in, sizeof(in)))
		return 0;
	if (in.encap_type != XI_ENCAP_ESPINUDP) {
		xi_attr_blame(attrs, XFRMA_ENCAP, ack);
		return xi_refuse(ack, -EINVAL,
				 "Unsupported encapsulation type for ESP: espinudp is carried");
	}
	out->given = true;
	out->type = XI_ENCAP_ESPINUDP;
	out->sport = ntohs(in.encap_sport);
	out->dport = ntohs(in.encap_dport);
	memcpy(out->oa, &in.encap_oa, sizeof(out->oa));
	return 0;
}

/* The kernel offloads the new SA where the old one was; see xi_xfrm_get_extra() for what that means here. */
static int migrate_get(struct xi_migrate_request *req, const struct nlmsghdr *nlh,
		       struct xi_extack *ack)
{
	struct xi_sa esp = {.id.proto = XI_ESP};
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(struct xfrm_userpolicy_id), ack);
	if (err)
		return err;
	if (!xi_attr_has(&attrs, XFRMA_MIGRATE))
		return xi_refuse(ack, -EINVAL, "Missing required MIGRATE attribute");
	err = items_get(req, &attrs, ack);
	if (!err)
		err = encap_get(&req->encap, &attrs, ack);
	if (!err)
		err = xi_xfrm_check_offload(&esp, &attrs, ack);
	if (!err)
		err = xi_xfrm_get_policy_id(&req->key, nlh, ack);
	if (err)
		return err;
	req->key.index = 0;          /* the kernel does not look at it */
	req->has_kmaddress = xi_attr_copy(&attrs, XFRMA_KMADDRESS, &req->kmaddress,
					  sizeof(req->kmaddress));
	return 0;
}

int xi_xfrm_get_migrate(struct xi_migrate_request *req, const struct nlmsghdr *nlh,
			struct xi_extack *ack)
{
	int err;

	memset(req, 0, sizeof(*req));
	err = migrate_get(req, nlh, ack);
	if (err)
		memset(req, 0, sizeof(*req));
	return err;
}

static void encap_put(struct xi_nlmsg *msg, const struct xi_migrate_encap *encap)
{
	struct xfrm_encap_tmpl out = {
		.encap_type = encap->type,
		.encap_sport = htons(encap->sport),
		.encap_dport = htons(encap->dport),
	};

	xi_addr_to_xfrm(&out.encap_oa, encap->oa);
	xi_nlmsg_put(msg, XFRMA_ENCAP, &out, sizeof(out));
}

static void item_put(struct xi_nlmsg *msg, const struct xi_migrate *m)
{
	struct xfrm_user_migrate out = {
		.proto = m->proto,
		.mode = m->mode,
		.reqid = m->reqid,
		.old_family = m->old_family,
		.new_family = m->new_family,
	};

	xi_addr_to_xfrm(&out.old_saddr, m->old_saddr);
	xi_addr_to_xfrm(&out.old_daddr, m->old_daddr);
	xi_addr_to_xfrm(&out.new_saddr, m->new_saddr);
	xi_addr_to_xfrm(&out.new_daddr, m->new_daddr);
	xi_nlmsg_put(msg, XFRMA_MIGRATE, &out, sizeof(out));
}

/* As the kernel's build_migrate(): an attribute an item, where the request has all in one. */
void xi_xfrm_put_migrate(struct xi_nlmsg *msg, const struct xi_migrate_request *req)
{
	struct xfrm_userpolicy_type type = {.type = req->key.type};
	struct xfrm_userpolicy_id *id;
	unsigned int i;

	id = xi_nlmsg_begin(msg, XFRM_MSG_MIGRATE, 0, 0, 0, sizeof(*id));
	xi_selector_to_xfrm(&id->sel, &req->key.sel);
	id->dir = req->key.dir;
	if (req->has_kmaddress)
		xi_nlmsg_put(msg, XFRMA_KMADDRESS, &req->kmaddress, sizeof(req->kmaddress));
	if (req->encap.given)
		encap_put(msg, &req->encap);
	xi_nlmsg_put(msg, XFRMA_POLICY_TYPE, &type, sizeof(type));
	for (i = 0; i < req->n; i++)
		item_put(msg, &req->items[i]);
}
