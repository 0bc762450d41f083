/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages of XFRM under test: from hexadecimal, taken apart, added to. Include cmocka.h first. */
#ifndef XI_XFRM_MESSAGE_H
#define XI_XFRM_MESSAGE_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipsec/replay.h"
#include "source/xfrm_msg.h"

struct message {
	union {
		struct nlmsghdr hdr;
		uint64_t align;
		uint8_t buf[XI_XFRM_REPLY_MAX];
	};
	size_t len;
};

static inline void from_hex(struct message *m, const char *hex)
{
	memset(m, 0, sizeof(*m));
	m->len = strlen(hex) / 2;
	for (size_t i = 0; i < m->len; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		m->buf[i] = byte;
	}
	assert_int_equal(m->hdr.nlmsg_len, m->len);
}

static inline void append(struct message *m, uint16_t type, const void *data, size_t n)
{
	struct nlattr nla = { .nla_len = NLA_HDRLEN + n, .nla_type = type };

	memcpy(m->buf + m->len, &nla, sizeof(nla));
	memset(m->buf + m->len + NLA_HDRLEN, 0, NLA_ALIGN(n));
	if (n)
		memcpy(m->buf + m->len + NLA_HDRLEN, data, n);
	m->len += NLA_HDRLEN + NLA_ALIGN(n);
	m->hdr.nlmsg_len = m->len;
}

static inline void append_u32(struct message *m, uint16_t type, uint32_t value)
{
	append(m, type, &value, sizeof(value));
}

static inline struct nlattr *attr(struct message *m, size_t body, uint16_t type)
{
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(body);

	while (at + NLA_HDRLEN <= m->len) {
		struct nlattr *nla = (struct nlattr *)(m->buf + at);

		if (nla->nla_type == type)
			return nla;
		at += NLA_ALIGN(nla->nla_len);
	}
	fail_msg("no attribute %u", type);
	return NULL;
}

static inline struct xfrm_usersa_info *info_of(struct message *m)
{
	return (struct xfrm_usersa_info *)(m->buf + NLMSG_HDRLEN);
}

static inline int get_sa(struct xi_sa_request *req, const struct message *m, struct xi_extack *ack)
{
	memset(ack, 0, sizeof(*ack));
	return xi_xfrm_get_newsa(req, &m->hdr, ack);
}

static inline int get_policy(struct xi_policy *policy, const struct message *m, struct xi_extack *ack)
{
	memset(ack, 0, sizeof(*ack));
	return xi_xfrm_get_newpolicy(policy, &m->hdr, ack);
}

static inline void assert_addr4(const uint8_t addr[16], const char *text)
{
	uint8_t want[16] = { 0 };

	assert_int_equal(inet_pton(AF_INET, text, want), 1);
	assert_memory_equal(addr, want, 16);
}

/* A record whose window holds what a kernel would have put there. */
#define LIVE_WORDS (XI_WINDOW_WORDS * XI_WINDOW_RUN)

struct live {
	struct xi_sa_state state;
	uint64_t words[LIVE_WORDS];
	struct xi_sa_rec rec;
};

static inline void live_init(struct live *l, const struct xi_sa_request *req)
{
	memset(l, 0, sizeof(*l));
	l->rec.sa = req->sa;
	l->rec.key = req->key;
	l->rec.state = &l->state;
	l->rec.words = l->words;
	l->rec.nwords = LIVE_WORDS;
}

static inline struct xi_replay live_replay(struct live *l)
{
	return (struct xi_replay){ .top = (uint64_t *)&l->state.top,
				   .words = l->words,
				   .word_mask = l->rec.nwords - 1,
				   .window = l->rec.sa.replay_window,
				   .esn = l->rec.sa.flags & XFRM_STATE_ESN };
}

static const struct xi_nl_to nobody;

#endif
