/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/xfrm_attr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* fixed: a longer payload than its padding explains is an error too. */
struct attr_rule {
	uint16_t len;
	bool fixed;
};

static const struct attr_rule rules[XI_XFRMA_MAX + 1] = {
	[XFRMA_ALG_AUTH] = { sizeof(struct xfrm_algo), false },
	[XFRMA_ALG_CRYPT] = { sizeof(struct xfrm_algo), false },
	[XFRMA_ALG_COMP] = { sizeof(struct xfrm_algo), false },
	[XFRMA_ENCAP] = { sizeof(struct xfrm_encap_tmpl), true },
	[XFRMA_TMPL] = { sizeof(struct xfrm_user_tmpl), false },
	[XFRMA_SA] = { sizeof(struct xfrm_usersa_info), true },
	[XFRMA_POLICY] = { sizeof(struct xfrm_userpolicy_info), true },
	[XFRMA_SEC_CTX] = { sizeof(struct xfrm_user_sec_ctx), false },
	[XFRMA_LTIME_VAL] = { sizeof(struct xfrm_lifetime_cur), true },
	[XFRMA_REPLAY_VAL] = { sizeof(struct xfrm_replay_state), true },
	[XFRMA_REPLAY_THRESH] = { 4, true },
	[XFRMA_ETIMER_THRESH] = { 4, true },
	[XFRMA_SRCADDR] = { sizeof(xfrm_address_t), true },
	[XFRMA_COADDR] = { sizeof(xfrm_address_t), true },
	[XFRMA_LASTUSED] = { 8, true },
	[XFRMA_POLICY_TYPE] = { sizeof(struct xfrm_userpolicy_type), true },
	[XFRMA_MIGRATE] = { sizeof(struct xfrm_user_migrate), false },
	[XFRMA_ALG_AEAD] = { sizeof(struct xfrm_algo_aead), false },
	[XFRMA_KMADDRESS] = { sizeof(struct xfrm_user_kmaddress), true },
	[XFRMA_ALG_AUTH_TRUNC] = { sizeof(struct xfrm_algo_auth), false },
	[XFRMA_MARK] = { sizeof(struct xfrm_mark), true },
	[XFRMA_TFCPAD] = { 4, true },
	[XFRMA_REPLAY_ESN_VAL] = { sizeof(struct xfrm_replay_state_esn), false },
	[XFRMA_SA_EXTRA_FLAGS] = { 4, true },
	[XFRMA_PROTO] = { 1, true },
	[XFRMA_ADDRESS_FILTER] = { sizeof(struct xfrm_address_filter), true },
	[XFRMA_OFFLOAD_DEV] = { sizeof(struct xfrm_user_offload), true },
	[XFRMA_SET_MARK] = { 4, true },
	[XFRMA_SET_MARK_MASK] = { 4, true },
	[XFRMA_IF_ID] = { 4, true },
	[XFRMA_MTIMER_THRESH] = { 4, true },
	[XI_XFRMA_SA_DIR] = { 1, true },
	[XI_XFRMA_NAT_KEEPALIVE] = { 4, true },
	[XI_XFRMA_SA_PCPU] = { 4, true },
};

int xi_refuse(struct xi_extack *ack, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ack->text, sizeof(ack->text), fmt, ap);
	va_end(ap);
	return err;
}

int xi_refuse_length(struct xi_extack *ack, const struct nlmsghdr *nlh, size_t need)
{
	return xi_refuse(ack, -EINVAL,
			 "Invalid header length: message type %u is %u bytes long, fewer than the %zu it needs",
			 nlh->nlmsg_type, nlh->nlmsg_len, need);
}

const void *xi_attr_data(const struct nlattr *nla)
{
	return (const uint8_t *)nla + NLA_HDRLEN;
}

size_t xi_attr_len(const struct nlattr *nla)
{
	return nla->nla_len - NLA_HDRLEN;
}

void xi_attr_blame(const struct xi_attrs *attrs, int type, struct xi_extack *ack)
{
	if (attrs->tb[type])
		ack->offset = (const uint8_t *)attrs->tb[type] - (const uint8_t *)attrs->nlh;
}

static int attr_check(const struct nlattr *nla, unsigned int type, struct xi_extack *ack)
{
	const struct attr_rule *rule;
	size_t len = xi_attr_len(nla);

	if (type == XFRMA_UNSPEC || type > XI_XFRMA_MAX)
		return xi_refuse(ack, -EINVAL, "unknown attribute type %u", type);
	rule = &rules[type];
	if (len < rule->len)
		return xi_refuse(ack, -ERANGE,
				 "Attribute failed policy validation: type %u has %zu bytes, fewer than the %u it needs",
				 type, len, rule->len);
	if (rule->fixed && len > (size_t)NLA_ALIGN(rule->len))
		return xi_refuse(ack, -EINVAL, "attribute type %u has %zu bytes instead of %u",
				 type, len, rule->len);
	return 0;
}

static int attrs_walk(struct xi_attrs *attrs, const uint8_t *at, size_t left, struct xi_extack *ack)
{
	while (left >= NLA_HDRLEN) {
		const struct nlattr *nla = (const struct nlattr *)at;
		unsigned int type = nla->nla_type & NLA_TYPE_MASK;
		size_t step;
		int err;

		ack->offset = at - (const uint8_t *)attrs->nlh;
		if (nla->nla_len < NLA_HDRLEN || nla->nla_len > left)
			return xi_refuse(ack, -EINVAL, "attribute type %u is cut short", type);
		err = attr_check(nla, type, ack);
		if (err)
			return err;
		attrs->tb[type] = nla;
		step = NLA_ALIGN(nla->nla_len);
		if (step > left)
			step = left;
		at += step;
		left -= step;
	}
	if (left)
		return xi_refuse(ack, -EINVAL, "%zu stray bytes behind the attributes", left);
	ack->offset = 0;
	return 0;
}

int xi_attrs_parse(struct xi_attrs *attrs, const struct nlmsghdr *nlh, size_t body,
		   struct xi_extack *ack)
{
	size_t len = nlh->nlmsg_len;

	memset(attrs, 0, sizeof(*attrs));
	attrs->nlh = nlh;
	if (len < NLMSG_HDRLEN + body)
		return xi_refuse_length(ack, nlh, NLMSG_HDRLEN + body);
	/* The last body may end unaligned (FLUSHSA: 17 bytes), with nothing behind it. */
	if (len <= NLMSG_HDRLEN + NLMSG_ALIGN(body))
		return 0;
	return attrs_walk(attrs, (const uint8_t *)nlh + NLMSG_HDRLEN + NLMSG_ALIGN(body),
			  len - NLMSG_HDRLEN - NLMSG_ALIGN(body), ack);
}

uint32_t xi_attr_u32(const struct xi_attrs *attrs, int type)
{
	uint32_t value = 0;

	xi_attr_copy(attrs, type, &value, sizeof(value));
	return value;
}

bool xi_attr_copy(const struct xi_attrs *attrs, int type, void *out, size_t n)
{
	if (!attrs->tb[type])
		return false;
	memcpy(out, xi_attr_data(attrs->tb[type]), n);
	return true;
}

void *xi_nlmsg_begin(struct xi_nlmsg *msg, uint16_t type, uint16_t flags, uint32_t seq,
		     uint32_t portid, size_t n)
{
	msg->full = false;
	memset(msg->buf, 0, NLMSG_HDRLEN + NLMSG_ALIGN(n));
	msg->hdr.nlmsg_len = NLMSG_HDRLEN + NLMSG_ALIGN(n);
	msg->hdr.nlmsg_type = type;
	msg->hdr.nlmsg_flags = flags;
	msg->hdr.nlmsg_seq = seq;
	msg->hdr.nlmsg_pid = portid;
	return msg->buf + NLMSG_HDRLEN;
}

void *xi_nlmsg_reserve(struct xi_nlmsg *msg, uint16_t type, size_t n)
{
	size_t at = msg->hdr.nlmsg_len;
	struct nlattr *nla = (struct nlattr *)(msg->buf + at);

	if (n > sizeof(msg->buf) || at + NLA_HDRLEN + NLA_ALIGN(n) > sizeof(msg->buf)) {
		msg->full = true;
		return NULL;
	}
	memset(nla, 0, NLA_HDRLEN + NLA_ALIGN(n));
	nla->nla_len = NLA_HDRLEN + n;
	nla->nla_type = type;
	msg->hdr.nlmsg_len = at + NLA_HDRLEN + NLA_ALIGN(n);
	return (uint8_t *)nla + NLA_HDRLEN;
}

void xi_nlmsg_put(struct xi_nlmsg *msg, uint16_t type, const void *data, size_t n)
{
	void *to = xi_nlmsg_reserve(msg, type, n);

	if (to)
		memcpy(to, data, n);
}

void xi_nlmsg_put_u32(struct xi_nlmsg *msg, uint16_t type, uint32_t value)
{
	xi_nlmsg_put(msg, type, &value, sizeof(value));
}

bool xi_family_known(unsigned int family)
{
	return family == XI_IPV4 || family == XI_IPV6;
}

unsigned int xi_family_bits(unsigned int family)
{
	return family == XI_IPV4 ? 32 : 128;
}

void xi_addr_from_xfrm(uint8_t out[16], const xfrm_address_t *in, unsigned int family)
{
	memset(out, 0, 16);
	memcpy(out, in, family == XI_IPV4 ? 4 : 16);
}

void xi_addr_to_xfrm(xfrm_address_t *out, const uint8_t in[16])
{
	memcpy(out, in, sizeof(*out));
}

int xi_selector_from_xfrm(struct xi_selector *out, const struct xfrm_selector *in,
			  unsigned int family, struct xi_extack *ack)
{
	memset(out, 0, sizeof(*out));
	if (in->family)
		family = in->family;
	if (family && !xi_family_known(family))
		return xi_refuse(ack, -EINVAL, "Invalid address family in selector");
	if (!family && (in->prefixlen_d || in->prefixlen_s))
		return xi_refuse(ack, -EINVAL,
				 "selector has a prefix length but no address family");
	if (family &&
	    (in->prefixlen_d > xi_family_bits(family) || in->prefixlen_s > xi_family_bits(family)))
		return xi_refuse(ack, -EINVAL,
				 "Invalid prefix length in selector (must be <= %u for %s)",
				 xi_family_bits(family), family == XI_IPV4 ? "IPv4" : "IPv6");
	if (family) {
		xi_addr_from_xfrm(out->saddr, &in->saddr, family);
		xi_addr_from_xfrm(out->daddr, &in->daddr, family);
	}
	out->family = family;
	out->sport = ntohs(in->sport);
	out->sport_mask = ntohs(in->sport_mask);
	out->dport = ntohs(in->dport);
	out->dport_mask = ntohs(in->dport_mask);
	out->prefixlen_s = in->prefixlen_s;
	out->prefixlen_d = in->prefixlen_d;
	out->proto = in->proto;
	out->ifindex = in->ifindex;
	out->user = in->user;
	return 0;
}

void xi_selector_to_xfrm(struct xfrm_selector *out, const struct xi_selector *in)
{
	memset(out, 0, sizeof(*out));
	xi_addr_to_xfrm(&out->saddr, in->saddr);
	xi_addr_to_xfrm(&out->daddr, in->daddr);
	out->family = in->family;
	out->sport = htons(in->sport);
	out->sport_mask = htons(in->sport_mask);
	out->dport = htons(in->dport);
	out->dport_mask = htons(in->dport_mask);
	out->prefixlen_s = in->prefixlen_s;
	out->prefixlen_d = in->prefixlen_d;
	out->proto = in->proto;
	out->ifindex = in->ifindex;
	out->user = in->user;
}

void xi_limits_from_xfrm(struct xi_limits *out, const struct xfrm_lifetime_cfg *in)
{
	out->soft_bytes = in->soft_byte_limit;
	out->hard_bytes = in->hard_byte_limit;
	out->soft_packets = in->soft_packet_limit;
	out->hard_packets = in->hard_packet_limit;
	out->soft_add = in->soft_add_expires_seconds;
	out->hard_add = in->hard_add_expires_seconds;
	out->soft_use = in->soft_use_expires_seconds;
	out->hard_use = in->hard_use_expires_seconds;
}

void xi_limits_to_xfrm(struct xfrm_lifetime_cfg *out, const struct xi_limits *in)
{
	out->soft_byte_limit = in->soft_bytes;
	out->hard_byte_limit = in->hard_bytes;
	out->soft_packet_limit = in->soft_packets;
	out->hard_packet_limit = in->hard_packets;
	out->soft_add_expires_seconds = in->soft_add;
	out->hard_add_expires_seconds = in->hard_add;
	out->soft_use_expires_seconds = in->soft_use;
	out->hard_use_expires_seconds = in->hard_use;
}
