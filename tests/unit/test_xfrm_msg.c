/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs: the codec against bytes that charon really sent, and against damaged ones. */
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
		cmocka_unit_test(charon_sa_ids),
		cmocka_unit_test(sa_cut_at_every_length),
		cmocka_unit_test(every_attribute_length),
		cmocka_unit_test(key_length_in_bits_is_checked),
		cmocka_unit_test(a_reply_is_accepted_back),
		cmocka_unit_test(reply_to_charon_is_the_kernels),
		cmocka_unit_test(legacy_window_becomes_a_ring),
		cmocka_unit_test(success_is_36_bytes_capped),
		cmocka_unit_test(an_error_echoes_and_explains),
		cmocka_unit_test(filters_of_a_dump),
		cmocka_unit_test(random_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
