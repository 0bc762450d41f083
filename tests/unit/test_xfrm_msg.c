/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The codec against bytes that charon really sent, and against damaged ones. */
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

static void assert_addr4(const uint8_t addr[16], const char *text)
{
	uint8_t want[16] = { 0 };

	assert_int_equal(inet_pton(AF_INET, text, want), 1);
	assert_memory_equal(addr, want, 16);
}

static int get_policy(struct xi_policy *policy, const struct message *m, struct xi_extack *ack)
{
	memset(ack, 0, sizeof(*ack));
	return xi_xfrm_get_newpolicy(policy, &m->hdr, ack);
}

static void charon_inbound_sa(void **state)
{
	static const uint8_t key[20] = {
		0x27, 0xbc, 0x0b, 0xbb, 0x5f, 0xab, 0x9d, 0xe2, 0x8e, 0x19,
		0xad, 0xac, 0xc5, 0x6f, 0x72, 0x83, 0x9e, 0xa1, 0x0e, 0x65
	};
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	from_hex(&m, charon_upd_in);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	assert_addr4(req.sa.id.daddr, "192.0.2.1");
	assert_addr4(req.sa.saddr, "192.0.2.2");
	assert_int_equal(req.sa.id.spi, 0xc5f8a2a2);
	assert_int_equal(req.sa.id.proto, XI_ESP);
	assert_int_equal(req.sa.id.family, XI_IPV4);
	assert_int_equal(req.sa.mode, XI_TUNNEL);
	assert_int_equal(req.sa.alg, XI_ALG_AES_GCM);
	assert_int_equal(req.sa.key_bits, 128);
	assert_int_equal(req.sa.icv_len, 16);
	assert_int_equal(req.sa.replay_window, 128);
	assert_int_equal(req.sa.flags, XFRM_STATE_ESN | XFRM_STATE_AF_UNSPEC);
	assert_int_equal(req.sa.sel.family, XI_FAMILY_NONE);
	assert_int_equal(req.sa.reqid, 1);
	assert_int_equal(req.sa.limits.soft_add, 600);
	assert_int_equal(req.sa.limits.hard_add, 700);
	assert_true(req.sa.limits.hard_bytes == XFRM_INF);
	assert_int_equal(req.key.len, sizeof(key));
	assert_memory_equal(req.key.key, key, sizeof(key));
	assert_true(req.init.oseq == 0 && req.init.seq == 0);
}

static void charon_outbound_sa(void **state)
{
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	from_hex(&m, charon_new_out);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	assert_int_equal(req.sa.id.spi, 0xc2e7b9cd);
	assert_int_equal(req.sa.replay_window, 1);
	assert_int_equal(req.sa.limits.soft_add, 0);
	assert_int_equal(req.sa.limits.hard_add, 700);
}

static void charon_spi_request(void **state)
{
	struct xi_spi_request req;
	struct xi_extack ack = { 0 };
	struct message m;

	from_hex(&m, charon_allocspi);
	assert_int_equal(xi_xfrm_get_allocspi(&req, &m.hdr, 165, &ack), 0);
	assert_addr4(req.sa.id.daddr, "192.0.2.1");
	assert_int_equal(req.min, 0xc0000000);
	assert_int_equal(req.max, 0xcfffffff);
	/* as the kernel fills a larval SA */
	assert_int_equal(req.sa.sel.prefixlen_d, 32);
	assert_int_equal(req.sa.limits.hard_add, 165);
	for (size_t len = NLMSG_HDRLEN; len < m.len; len++) {
		m.hdr.nlmsg_len = len;
		assert_int_equal(xi_xfrm_get_allocspi(&req, &m.hdr, 165, &ack), -EINVAL);
	}
}

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

static void charon_sa_ids(void **state)
{
	struct xi_extack ack = { 0 };
	struct xi_sa_id id;
	struct message m;

	from_hex(&m, charon_getsa);
	assert_int_equal(xi_xfrm_get_sa_id(&id, &m.hdr, &ack), 0);
	assert_int_equal(id.spi, 0xc5f8a2a2);
	assert_addr4(id.daddr, "192.0.2.1");
	from_hex(&m, charon_delsa);
	assert_int_equal(xi_xfrm_get_sa_id(&id, &m.hdr, &ack), 0);
	assert_int_equal(id.spi, 0xc2e7b9cd);
	for (size_t len = NLMSG_HDRLEN; len < m.len; len++) {
		m.hdr.nlmsg_len = len;
		ack.text[0] = '\0';
		assert_int_equal(xi_xfrm_get_sa_id(&id, &m.hdr, &ack), -EINVAL);
		assert_true(ack.text[0]);
	}
}

/* The message lies at the very end of its own allocation, so that a tool sees any byte read beyond.
 */
static int get_sa_exact(const uint8_t *bytes, size_t len, struct xi_extack *ack)
{
	struct nlmsghdr *nlh = malloc(len);
	struct xi_sa_request req;
	int err;

	assert_non_null(nlh);
	memcpy(nlh, bytes, len);
	nlh->nlmsg_len = len;
	memset(ack, 0, sizeof(*ack));
	err = xi_xfrm_get_newsa(&req, nlh, ack);
	free(nlh);
	return err;
}

static void sa_cut_at_every_length(void **state)
{
	struct xi_extack ack;
	struct message m;

	from_hex(&m, charon_upd_in);
	for (size_t len = NLMSG_HDRLEN; len < m.len; len++) {
		assert_int_equal(get_sa_exact(m.buf, len, &ack), -EINVAL);
		assert_true(ack.text[0]);
	}
	assert_int_equal(get_sa_exact(m.buf, m.len, &ack), 0);
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

static void every_attribute_length(void **state)
{
	static const uint16_t types[] = { XFRMA_ALG_AEAD, XFRMA_REPLAY_ESN_VAL };
	struct xi_extack ack;
	struct message m;
	int err;

	from_hex(&m, charon_upd_in);
	for (size_t i = 0; i < 2; i++) {
		struct nlattr *nla = attr(&m, sizeof(struct xfrm_usersa_info), types[i]);
		uint16_t right = nla->nla_len;

		for (unsigned int len = 0; len <= 0xffff; len += len < 1024 ? 1 : 61) {
			nla->nla_len = len;
			err = get_sa_exact(m.buf, m.len, &ack);
			if (len == right)
				assert_int_equal(err, 0);
			else
				assert_true(err == -EINVAL || err == -ERANGE);
		}
		nla->nla_len = right;
	}
}

static void key_length_in_bits_is_checked(void **state)
{
	struct xfrm_algo_aead *alg;
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	from_hex(&m, charon_upd_in);
	alg = (struct xfrm_algo_aead *)((uint8_t *)attr(&m, sizeof(struct xfrm_usersa_info),
							XFRMA_ALG_AEAD) +
					NLA_HDRLEN);
	for (unsigned int bits = 0; bits < 400; bits++) {
		alg->alg_key_len = bits;
		assert_int_equal(get_sa(&req, &m, &ack), bits == 160 ? 0 : -EINVAL);
	}
	alg->alg_key_len = 0xffffffff;
	assert_int_equal(get_sa(&req, &m, &ack), -EINVAL);
	alg->alg_key_len = 0xfffffff8;
	assert_int_equal(get_sa(&req, &m, &ack), -EINVAL);
}

struct refusal {
	const char *what;
	int err;
	void (*spoil)(struct message *m);
};

static struct xfrm_algo_aead *aead_of(struct message *m)
{
	return (struct xfrm_algo_aead *)((uint8_t *)attr(m, sizeof(struct xfrm_usersa_info),
							 XFRMA_ALG_AEAD) +
					 NLA_HDRLEN);
}

static struct xfrm_replay_state_esn *esn_of(struct message *m)
{
	return (struct xfrm_replay_state_esn *)((uint8_t *)attr(m, sizeof(struct xfrm_usersa_info),
								XFRMA_REPLAY_ESN_VAL) +
						NLA_HDRLEN);
}

/* clang-format off */
static void spoil_proto_ah(struct message *m) { info_of(m)->id.proto = XI_AH; }
static void spoil_proto_comp(struct message *m) { info_of(m)->id.proto = XI_COMP; }
static void spoil_proto_tcp(struct message *m) { info_of(m)->id.proto = 6; }
static void spoil_family(struct message *m) { info_of(m)->family = 0; }
static void spoil_family_high(struct message *m) { info_of(m)->family = 0x0102; }
static void spoil_iptfs_mode(struct message *m) { info_of(m)->mode = XI_XFRM_MODE_IPTFS; }
static void spoil_wildrecv(struct message *m) { info_of(m)->flags |= XFRM_STATE_WILDRECV; }
static void spoil_beet(struct message *m) { info_of(m)->mode = XFRM_MODE_BEET; }
static void spoil_mode(struct message *m) { info_of(m)->mode = 77; }
static void spoil_spi_zero(struct message *m) { info_of(m)->id.spi = 0; }
static void spoil_spi_reserved(struct message *m) { info_of(m)->id.spi = htonl(255); }
static void spoil_sel_family(struct message *m) { info_of(m)->sel.family = 7; }
static void spoil_window(struct message *m) { info_of(m)->replay_window = 32; }
static void spoil_alg(struct message *m) { strcpy(aead_of(m)->alg_name, "rfc4106(gcm(foo))"); }
static void spoil_cipher(struct message *m) { strcpy(aead_of(m)->alg_name, "cbc(aes)"); }
static void spoil_ccm(struct message *m) { strcpy(aead_of(m)->alg_name, "rfc4309(ccm(aes))"); }
static void spoil_icv(struct message *m) { aead_of(m)->alg_icv_len = 80; }
static void spoil_icv_none(struct message *m) { aead_of(m)->alg_icv_len = 0; }
static void spoil_icv_bits(struct message *m) { aead_of(m)->alg_icv_len = 129; }
static void spoil_name(struct message *m) { memset(aead_of(m)->alg_name, 'A', 64); }
static void spoil_esn_words(struct message *m) { esn_of(m)->bmp_len = XI_WINDOW_MAX / 32 + 1; }
static void spoil_esn_huge(struct message *m) { esn_of(m)->bmp_len = 0x40000001; }
static void spoil_esn_window(struct message *m) { esn_of(m)->replay_window = 129; }
static void spoil_esn_short(struct message *m) { esn_of(m)->bmp_len = XI_WINDOW_MAX / 32; }
static void spoil_esn_bits(struct message *m) { esn_of(m)->replay_window = 100, esn_of(m)->bmp[3] = ~0U; }
/* clang-format on */

static void spoil_sel_prefix(struct message *m)
{
	info_of(m)->sel.family = AF_INET;
	info_of(m)->sel.prefixlen_d = 33;
}

static void spoil_sel_other(struct message *m)
{
	info_of(m)->mode = XFRM_MODE_TRANSPORT;
	info_of(m)->sel.family = AF_INET6;
}

static void encap(struct message *m, uint16_t type, uint16_t sport, uint16_t dport)
{
	struct xfrm_encap_tmpl tmpl = { .encap_type = type,
					.encap_sport = htons(sport),
					.encap_dport = htons(dport) };

	append(m, XFRMA_ENCAP, &tmpl, sizeof(tmpl));
}

/* clang-format off */
static void spoil_encap_none(struct message *m) { encap(m, 0, 4500, 4500); }
static void spoil_encap_old(struct message *m) { encap(m, 1, 4500, 4500); }
static void spoil_encap_tcp(struct message *m) { encap(m, 7, 4500, 4500); }
static void spoil_encap_sport(struct message *m) { encap(m, 2, 0, 4500); }
static void spoil_encap_dport(struct message *m) { encap(m, 2, 4500, 0); }
/* clang-format on */

static void spoil_offload(struct message *m)
{
	struct xfrm_user_offload offload = { .ifindex = 1, .flags = 4 };

	append(m, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
}

static void spoil_auth(struct message *m)
{
	struct xfrm_algo auth = { .alg_name = "hmac(sha256)" };

	append(m, XFRMA_ALG_AUTH, &auth, sizeof(auth));
}

static void spoil_mark(struct message *m)
{
	struct xfrm_mark mark = { .v = 3, .m = 1 };

	append(m, XFRMA_MARK, &mark, sizeof(mark));
}

/* clang-format off */
static void spoil_tfc(struct message *m) { info_of(m)->mode = 0, append_u32(m, XFRMA_TFCPAD, 100); }
static void spoil_wrap(struct message *m) { append_u32(m, XFRMA_SA_EXTRA_FLAGS, 2); }
static void spoil_xflag(struct message *m) { append_u32(m, XFRMA_SA_EXTRA_FLAGS, 1U << 30); }
static void spoil_pcpu(struct message *m) { append_u32(m, XI_XFRMA_SA_PCPU, 1); }
static void spoil_iptfs(struct message *m) { append_u32(m, XI_XFRMA_IPTFS_FIRST, 1); }
static void spoil_unknown(struct message *m) { append_u32(m, 42, 1); }
static void spoil_unknown_high(struct message *m) { append_u32(m, 0x3fff, 1); }
static void spoil_unspec(struct message *m) { append_u32(m, XFRMA_UNSPEC, 1); }
static void spoil_dir(struct message *m) { append(m, XI_XFRMA_SA_DIR, "\3", 1); }
static void spoil_dir_out(struct message *m) { append(m, XI_XFRMA_SA_DIR, "\2", 1); }
static void spoil_long_u32(struct message *m) { append(m, XFRMA_IF_ID, "12345678", 8); }
static void spoil_short_u32(struct message *m) { append(m, XFRMA_IF_ID, "12", 2); }
/* clang-format on */

static const struct refusal refusals[] = {
	{ "AES-GCM in AH", -EINVAL, spoil_proto_ah },
	{ "IPComp", -EPROTONOSUPPORT, spoil_proto_comp },
	{ "TCP", -EINVAL, spoil_proto_tcp },
	{ "no family", -EINVAL, spoil_family },
	{ "family with a high byte", -EINVAL, spoil_family_high },
	{ "transport mode between families", -EPROTONOSUPPORT, spoil_sel_other },
	{ "IP-TFS mode", -EOPNOTSUPP, spoil_iptfs_mode },
	{ "any destination", -EOPNOTSUPP, spoil_wildrecv },
	{ "BEET mode", -EOPNOTSUPP, spoil_beet },
	{ "mode 77", -EINVAL, spoil_mode },
	{ "SPI 0", -EINVAL, spoil_spi_zero },
	{ "SPI 255", -EINVAL, spoil_spi_reserved },
	{ "selector of family 7", -EINVAL, spoil_sel_family },
	{ "selector prefix 33", -EINVAL, spoil_sel_prefix },
	{ "two windows", -EINVAL, spoil_window },
	{ "an unknown AEAD", -ENOSYS, spoil_alg },
	{ "a cipher as AEAD", -ENOSYS, spoil_cipher },
	{ "a salt that CCM has not", -EINVAL, spoil_ccm },
	{ "ICV of 80 bits", -ENOSYS, spoil_icv },
	{ "ICV of no bits", -ENOSYS, spoil_icv_none },
	{ "ICV of 129 bits", -ENOSYS, spoil_icv_bits },
	{ "algorithm name without end", -ENOSYS, spoil_name },
	{ "bitmap of 2049 words", -EINVAL, spoil_esn_words },
	{ "bitmap of 2^30 words", -EINVAL, spoil_esn_huge },
	{ "window beyond its bitmap", -EINVAL, spoil_esn_window },
	{ "bitmap beyond its attribute", -EINVAL, spoil_esn_short },
	{ "bits beyond the window", -EINVAL, spoil_esn_bits },
	{ "encapsulation in nothing", -EINVAL, spoil_encap_none },
	{ "encapsulation of before RFC 3948", -EINVAL, spoil_encap_old },
	{ "encapsulation in TCP", -EINVAL, spoil_encap_tcp },
	{ "encapsulation from port 0", -EINVAL, spoil_encap_sport },
	{ "encapsulation to port 0", -EINVAL, spoil_encap_dport },
	{ "packet offload", -EINVAL, spoil_offload },
	{ "AEAD and AUTH", -EINVAL, spoil_auth },
	{ "a mark that no packet has", -EOPNOTSUPP, spoil_mark },
	{ "TFC padding in transport mode", -EINVAL, spoil_tfc },
	{ "oseq-may-wrap", -EOPNOTSUPP, spoil_wrap },
	{ "unknown extra flag", -EINVAL, spoil_xflag },
	{ "one CPU's SA without a direction", -EINVAL, spoil_pcpu },
	{ "IP-TFS", -EOPNOTSUPP, spoil_iptfs },
	{ "attribute 42", -EINVAL, spoil_unknown },
	{ "attribute 0x3fff", -EINVAL, spoil_unknown_high },
	{ "attribute 0", -EINVAL, spoil_unspec },
	{ "direction 3", -EINVAL, spoil_dir },
	{ "direction out with a window", -EINVAL, spoil_dir_out },
	{ "u32 of 8 bytes", -EINVAL, spoil_long_u32 },
	{ "u32 of 2 bytes", -ERANGE, spoil_short_u32 },
};

static void what_is_not_carried_is_refused(void **state)
{
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		from_hex(&m, charon_upd_in);
		refusals[i].spoil(&m);
		if (get_sa(&req, &m, &ack) != refusals[i].err)
			fail_msg("%s: not refused with %d (%s)", refusals[i].what, refusals[i].err,
				 ack.text);
		if (!ack.text[0])
			fail_msg("%s: refused without a word", refusals[i].what);
	}
}

static void a_reply_is_accepted_back(void **state)
{
	struct xi_sa_request req, again;
	struct xi_extack ack = { 0 };
	struct xi_nlmsg sa, ae;
	struct live l;
	struct message m;
	struct xi_replay r;

	from_hex(&m, charon_upd_in);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	live_init(&l, &req);
	r = live_replay(&l);
	for (uint64_t seq = 0x1fffffff0; seq < 0x200000010; seq += 3)
		assert_int_equal(xi_replay_commit(&r, seq), XI_NONE);
	l.state.oseq = 0x300000007;
	l.state.last_use = 1700000000;
	l.state.bytes = 4242;
	xi_xfrm_put_sa(&sa, XFRM_MSG_NEWSA, &nobody, &l.rec);
	xi_xfrm_put_ae(&ae, &nobody, &l.rec, 0, &(struct xi_ae_defaults){2, 10});
	assert_false(sa.full || ae.full);
	assert_true(sa.hdr.nlmsg_len % 4 == 0 && ae.hdr.nlmsg_len % 4 == 0);

	/* MOBIKE: NEWSA made of the attributes of both */
	memcpy(m.buf, sa.buf, sa.hdr.nlmsg_len);
	m.len = sa.hdr.nlmsg_len;
	memcpy(m.buf + m.len, ae.buf + NLMSG_HDRLEN + sizeof(struct xfrm_aevent_id),
	       ae.hdr.nlmsg_len - NLMSG_HDRLEN - sizeof(struct xfrm_aevent_id));
	m.len += ae.hdr.nlmsg_len - NLMSG_HDRLEN - sizeof(struct xfrm_aevent_id);
	m.hdr.nlmsg_len = m.len;
	assert_int_equal(get_sa(&again, &m, &ack), 0);
	assert_memory_equal(&again.sa, &req.sa, sizeof(req.sa));
	assert_memory_equal(&again.key, &req.key, sizeof(req.key));
	assert_true(again.init.oseq == 0x300000007);
	assert_true(again.init.seq == l.state.top);
	assert_true(again.init.has_lifetime && again.init.bytes == 4242);
	xi_replay_export(&r, req.bmp, 4);
	assert_int_equal(again.init.bmp_len, 4);
	assert_memory_equal(again.init.bmp, req.bmp, 16);
}

static void reply_to_charon_is_the_kernels(void **state)
{
	struct xi_nl_to to = { .seq = 209, .portid = 19995 };
	struct xi_sa_request req;
	struct xi_extack ack;
	struct xi_nlmsg sa;
	struct message m;
	struct live l;

	/* charon's request is what a kernel gives back, but for type, flags, numbers and the time
	 * of addition */
	from_hex(&m, charon_upd_in);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	live_init(&l, &req);
	xi_xfrm_put_sa(&sa, XFRM_MSG_NEWSA, &to, &l.rec);
	assert_int_equal(sa.hdr.nlmsg_len, 380);
	assert_int_equal(sa.hdr.nlmsg_type, XFRM_MSG_NEWSA);
	assert_int_equal(sa.hdr.nlmsg_seq, 209);
	assert_int_equal(sa.hdr.nlmsg_pid, 19995);
	assert_memory_equal(sa.buf + NLMSG_HDRLEN, m.buf + NLMSG_HDRLEN, 380 - NLMSG_HDRLEN);
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

/* XFRMA_REPLAY_VAL: bit i is packet seq - i. Packets 40, 39 and 37 of a window of 32: ring bits 7,
 * 6 and 4. */
static void legacy_window_becomes_a_ring(void **state)
{
	struct xfrm_replay_state rs = { .oseq = 5, .seq = 40, .bitmap = 0xb };
	struct xi_sa_request req;
	struct xi_extack ack;
	struct xi_nlmsg sa;
	struct message m;
	struct live l;
	struct xi_replay r;

	from_hex(&m, charon_upd_in);
	attr(&m, sizeof(struct xfrm_usersa_info), XFRMA_REPLAY_ESN_VAL)->nla_type = XFRMA_PAD;
	info_of(&m)->flags = 0;
	info_of(&m)->replay_window = 32;
	append(&m, XFRMA_REPLAY_VAL, &rs, sizeof(rs));
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	assert_int_equal(req.sa.replay_window, 32);
	assert_true(req.init.oseq == 5 && req.init.seq == 40);
	assert_int_equal(req.init.bmp[0], (1U << 7) | (1U << 6) | (1U << 4));
	/* and back */
	live_init(&l, &req);
	l.state.oseq = 5;
	r = live_replay(&l);
	xi_replay_import(&r, req.init.seq, req.init.bmp, req.init.bmp_len);
	xi_xfrm_put_sa(&sa, XFRM_MSG_NEWSA, &nobody, &l.rec);
	memcpy(m.buf, sa.buf, m.len = sa.hdr.nlmsg_len);
	assert_memory_equal((uint8_t *)attr(&m, sizeof(struct xfrm_usersa_info), XFRMA_REPLAY_VAL) +
				    NLA_HDRLEN,
			    &rs, sizeof(rs));
	assert_int_equal(info_of(&m)->replay_window, 32);
}

static void success_is_36_bytes_capped(void **state)
{
	/* NLMSG_ERROR 0 with NLM_F_CAPPED and the header of the request */
	static const char kernel[] =
		"2400000002000001cc0000001b4e0000000000007c0100001a000500cc0000001b4e0000";
	struct xi_nlmsg msg;
	struct message request, want;

	from_hex(&request, charon_upd_in);
	from_hex(&want, kernel);
	xi_xfrm_put_error(&msg, &request.hdr, 19995, 0, false, NULL);
	assert_int_equal(msg.hdr.nlmsg_len, 36);
	assert_memory_equal(msg.buf, want.buf, 36);
}

static void an_error_echoes_and_explains(void **state)
{
	struct xi_extack ack = { .text = "why", .offset = 240 };
	struct message request;
	struct xi_nlmsg msg;
	struct nlmsgerr *e;

	from_hex(&request, charon_upd_in);
	xi_xfrm_put_error(&msg, &request.hdr, 7, -EINVAL, false, NULL);
	assert_int_equal(msg.hdr.nlmsg_len, 20 + 380);
	assert_int_equal(msg.hdr.nlmsg_flags, 0);
	e = (struct nlmsgerr *)(msg.buf + NLMSG_HDRLEN);
	assert_int_equal(e->error, -EINVAL);
	assert_memory_equal(&e->msg, request.buf, 380);
	xi_xfrm_put_error(&msg, &request.hdr, 7, -EINVAL, true, &ack);
	assert_int_equal(msg.hdr.nlmsg_flags, NLM_F_CAPPED | NLM_F_ACK_TLVS);
	assert_memory_equal(msg.buf + 36, "\x08\x00\x01\x00why", 8);
	assert_memory_equal(msg.buf + 44, "\x08\x00\x02\x00\xf0\x00\x00\x00", 8);
	assert_int_equal(msg.hdr.nlmsg_len, 52);
	/* an unaligned request must not make an unaligned answer: iproute2's monitor dies of it */
	request.hdr.nlmsg_len = 17;
	xi_xfrm_put_error(&msg, &request.hdr, 7, -EINVAL, false, &ack);
	assert_int_equal(msg.hdr.nlmsg_len % 4, 0);
}

static void filters_of_a_dump(void **state)
{
	struct xfrm_address_filter filter = { .family = AF_INET, .dplen = 20 };
	struct xi_sa_filter f;
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	from_hex(&m, charon_upd_in);
	assert_int_equal(get_sa(&req, &m, &ack), 0);
	memset(&m, 0, sizeof(m));
	m.len = m.hdr.nlmsg_len = NLMSG_HDRLEN; /* a bare header asks for all */
	assert_int_equal(xi_xfrm_get_sa_filter(&f, &m.hdr, &ack), 0);
	assert_true(xi_sa_filter_matches(&f, &req.sa));
	filter.daddr.a4 = inet_addr("192.0.15.255");
	append(&m, XFRMA_ADDRESS_FILTER, &filter, sizeof(filter));
	assert_int_equal(xi_xfrm_get_sa_filter(&f, &m.hdr, &ack), 0);
	assert_true(xi_sa_filter_matches(&f, &req.sa));
	f.addr.dplen = 24;
	assert_false(xi_sa_filter_matches(&f, &req.sa));
	f.addr.dplen = 0;
	f.addr.family = AF_INET6;
	assert_false(xi_sa_filter_matches(&f, &req.sa));
	f.has_addr = false;
	f.proto = XI_AH;
	assert_false(xi_sa_filter_matches(&f, &req.sa));
	f.proto = 255;
	assert_true(xi_sa_filter_matches(&f, &req.sa));
	append(&m, XFRMA_PROTO, "\6", 1);
	assert_int_equal(xi_xfrm_get_sa_filter(&f, &m.hdr, &ack), 0);
	assert_false(xi_sa_filter_matches(&f, &req.sa)); /* no SA is of TCP */
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

/* Random damage: only the absence of a crash is asserted, and that a refusal leaves no key behind.
 */
static void random_damage(void **state)
{
	static const struct xi_sa_request empty;
	static const char *const seeds[] = { charon_upd_in, charon_new_out, charon_newpolicy_in };
	struct xi_sa_request req;
	struct xi_ae_request ae;
	struct xi_extack ack;
	struct xi_policy p;
	uint64_t x = 88172645463325252ULL;

	for (int round = 0; round < 60000; round++) {
		struct message m;
		struct nlmsghdr *exact;

		from_hex(&m, seeds[round % 3]);
		for (int n = 0; n <= round % 4; n++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			m.buf[NLMSG_HDRLEN + x % (m.len - NLMSG_HDRLEN)] = x >> 32;
		}
		m.hdr.nlmsg_len = m.len - (x >> 20) % 9;
		exact = malloc(m.hdr.nlmsg_len);
		assert_non_null(exact);
		memcpy(exact, m.buf, m.hdr.nlmsg_len);
		memset(&ack, 0, sizeof(ack));
		if (xi_xfrm_get_newsa(&req, exact, &ack))
			assert_memory_equal(&req, &empty, offsetof(struct xi_sa_request, bmp));
		xi_xfrm_get_newpolicy(&p, exact, &ack);
		if (!xi_xfrm_get_ae_id(&ae, exact, &ack))
			xi_xfrm_get_newae(&ae, exact, &req.sa, &ack);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(charon_inbound_sa),
		cmocka_unit_test(charon_outbound_sa),
		cmocka_unit_test(charon_spi_request),
		cmocka_unit_test(charon_policies),
		cmocka_unit_test(charon_sa_ids),
		cmocka_unit_test(sa_cut_at_every_length),
		cmocka_unit_test(policy_cut_at_every_length),
		cmocka_unit_test(every_attribute_length),
		cmocka_unit_test(key_length_in_bits_is_checked),
		cmocka_unit_test(what_is_not_carried_is_refused),
		cmocka_unit_test(a_reply_is_accepted_back),
		cmocka_unit_test(reply_to_charon_is_the_kernels),
		cmocka_unit_test(policy_is_given_back_as_it_came),
		cmocka_unit_test(legacy_window_becomes_a_ring),
		cmocka_unit_test(success_is_36_bytes_capped),
		cmocka_unit_test(an_error_echoes_and_explains),
		cmocka_unit_test(filters_of_a_dump),
		cmocka_unit_test(acquire_names_flow_and_policy),
		cmocka_unit_test(policies_that_make_no_sense),
		cmocka_unit_test(seven_templates_are_too_many),
		cmocka_unit_test(random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
