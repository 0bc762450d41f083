/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Policies and what asks for their SAs: the codec against bytes that charon really sent, and against damaged ones. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../interop/charon_messages.h"
#include "xfrm_message.h"

static void charon_policies(void **state)
{
	struct xi_extack ack;
	struct xi_policy p;
	struct message m;

	from_hex(&m, charon_newpolicy_out);
	assert_int_equal(get_policy(&p, &m, &ack), 0);
	assert_addr4(p.sel.saddr, "10.1.1.0");
	assert_addr4(p.sel.daddr, "10.1.2.0");
	assert_int_equal(p.sel.prefixlen_s, 24);
	assert_int_equal(p.dir, XI_OUT);
	assert_int_equal(p.priority, 375423);
	assert_int_equal(p.ntmpls, 1);
	assert_int_equal(p.tmpls[0].id.spi, 0xc2e7b9cd);
	assert_int_equal(p.tmpls[0].reqid, 1);
	assert_int_equal(p.tmpls[0].mode, XI_TUNNEL);
	assert_addr4(p.tmpls[0].saddr, "192.0.2.1");
	from_hex(&m, charon_updpolicy_in);
	assert_int_equal(get_policy(&p, &m, &ack), 0);
	assert_int_equal(p.dir, XI_IN);
	from_hex(&m, charon_delpolicy);
	assert_int_equal(xi_xfrm_get_policy_id(&p, &m.hdr, &ack), 0);
	assert_int_equal(p.dir, XI_OUT);
	assert_int_equal(p.index, 0);
	assert_addr4(p.sel.daddr, "10.1.2.0");
}

static void policy_cut_at_every_length(void **state)
{
	size_t bare = NLMSG_HDRLEN + sizeof(struct xfrm_userpolicy_info);
	struct xi_extack ack;
	struct xi_policy p;
	struct message m;

	from_hex(&m, charon_newpolicy_in);
	for (size_t len = NLMSG_HDRLEN; len < m.len; len++) {
		m.hdr.nlmsg_len = len;
		/* without templates it is a policy too */
		assert_int_equal(get_policy(&p, &m, &ack), len == bare ? 0 : -EINVAL);
	}
}

static void policy_is_given_back_as_it_came(void **state)
{
	struct xi_extack ack;
	struct xi_nlmsg out;
	struct xi_policy p;
	struct message m;

	from_hex(&m, charon_newpolicy_out);
	assert_int_equal(get_policy(&p, &m, &ack), 0);
	xi_xfrm_put_policy(&out, XFRM_MSG_NEWPOLICY, &nobody, &p);
	assert_memory_equal(out.buf + NLMSG_HDRLEN, m.buf + NLMSG_HDRLEN, m.len - NLMSG_HDRLEN);
	/* and one attribute more: the type */
	assert_int_equal(out.hdr.nlmsg_len, m.len + 12);
	memcpy(m.buf, out.buf, out.hdr.nlmsg_len);
	assert_int_equal(get_policy(&p, &m, &ack), 0);
}

/* RFC 2367 section 3.1.6; the layout is what charon and pluto were seen to accept. */
static void acquire_names_flow_and_policy(void **state)
{
	struct xi_flow flow = {
		.proto = IPPROTO_ICMP, .sport = 8, .dir = XI_OUT, .family = XI_IPV4
	};
	struct xfrm_user_acquire *acq;
	struct xi_extack ack;
	struct xi_nlmsg out;
	struct xi_policy p;
	struct message m;

	from_hex(&m, charon_newpolicy_out);
	assert_int_equal(get_policy(&p, &m, &ack), 0);
	inet_pton(AF_INET, "10.1.1.1", flow.saddr);
	inet_pton(AF_INET, "10.1.2.1", flow.daddr);
	xi_xfrm_put_acquire(&out, &flow, &p, 9);
	acq = (struct xfrm_user_acquire *)(out.buf + NLMSG_HDRLEN);
	assert_int_equal(out.hdr.nlmsg_type, XFRM_MSG_ACQUIRE);
	assert_int_equal(acq->id.daddr.a4, inet_addr("192.0.2.2"));
	assert_int_equal(acq->saddr.a4, inet_addr("192.0.2.1"));
	assert_int_equal(acq->id.proto, 50);
	assert_int_equal(acq->seq, 9);
	assert_int_equal(acq->sel.prefixlen_d, 32);
	assert_int_equal(ntohs(acq->sel.sport), 8);
	assert_int_equal(acq->sel.daddr.a4, inet_addr("10.1.2.1"));
	assert_memory_equal(&acq->policy, m.buf + NLMSG_HDRLEN, sizeof(acq->policy));
	/* libreswan's trap has no endpoints: those of the flow then */
	memset(&p.tmpls[0].id.daddr, 0, 16);
	xi_xfrm_put_acquire(&out, &flow, &p, 9);
	assert_int_equal(acq->id.daddr.a4, inet_addr("10.1.2.1"));
}

static void policies_that_make_no_sense(void **state)
{
	struct xfrm_userpolicy_info *info;
	struct xfrm_user_tmpl *tmpl;
	struct xi_extack ack;
	struct xi_policy p;
	struct message m, good;

	from_hex(&good, charon_newpolicy_out);
	info = (struct xfrm_userpolicy_info *)(m.buf + NLMSG_HDRLEN);
	tmpl = (struct xfrm_user_tmpl *)(m.buf + NLMSG_HDRLEN + sizeof(*info) + NLA_HDRLEN);
#define REFUSED(code, change) \
	do { \
		m = good; \
		change; \
		assert_int_equal(get_policy(&p, &m, &ack), code); \
		assert_true(ack.text[0]); \
	} while (0)
	REFUSED(-EINVAL, info->dir = 3);
	REFUSED(-EINVAL, info->action = 2);
	REFUSED(-EINVAL, info->share = 4);
	REFUSED(-EINVAL, info->sel.family = 0);
	REFUSED(-EINVAL, info->sel.prefixlen_s = 33);
	REFUSED(-EINVAL, info->index = 8);
	REFUSED(-EINVAL, tmpl->family = 1);
	REFUSED(-EINVAL, tmpl->id.proto = 6);
	REFUSED(-EINVAL, tmpl->mode = 9);
	REFUSED(-EINVAL, tmpl->optional = 1);
	REFUSED(-EINVAL, (tmpl->mode = 0, tmpl->family = AF_INET6));
	REFUSED(-EOPNOTSUPP, append(&m, XFRMA_POLICY_TYPE, "\1\0\0\0\0\0", 6));
	REFUSED(-EINVAL, append(&m, XFRMA_POLICY_TYPE, "\7\0\0\0\0\0", 6));
	REFUSED(-EOPNOTSUPP, info->sel.ifindex = 5);
#undef REFUSED
}

static void seven_templates_are_too_many(void **state)
{
	uint8_t seven[7 * sizeof(struct xfrm_user_tmpl)];
	struct xi_extack ack;
	struct xi_policy p;
	struct message m;

	from_hex(&m, charon_newpolicy_out);
	for (size_t i = 0; i < 7; i++)
		memcpy(seven + i * sizeof(struct xfrm_user_tmpl),
		       m.buf + NLMSG_HDRLEN + 168 + NLA_HDRLEN, sizeof(struct xfrm_user_tmpl));
	m.len = NLMSG_HDRLEN + sizeof(struct xfrm_userpolicy_info);
	append(&m, XFRMA_TMPL, seven, sizeof(seven));
	assert_int_equal(get_policy(&p, &m, &ack), -EINVAL);
	m.len = NLMSG_HDRLEN + sizeof(struct xfrm_userpolicy_info);
	append(&m, XFRMA_TMPL, seven, 6 * sizeof(struct xfrm_user_tmpl));
	assert_int_equal(get_policy(&p, &m, &ack), 0);
	assert_int_equal(p.ntmpls, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(charon_policies),
		cmocka_unit_test(policy_cut_at_every_length),
		cmocka_unit_test(policy_is_given_back_as_it_came),
		cmocka_unit_test(acquire_names_flow_and_policy),
		cmocka_unit_test(policies_that_make_no_sense),
		cmocka_unit_test(seven_templates_are_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
