/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An XFRM server over a store in memory, and clients that speak to it by its socket. Include cmocka.h first. */
#ifndef XI_SERVER_BED_H
#define XI_SERVER_BED_H

#include <errno.h>
#include <event2/event.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem_store.h"
#include "source/proto.h"
#include "source/server_int.h"

#define BED_SLOTS 64

struct bed {
	struct event_base *base;
	struct mem_store *m;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_xfrm_server *server;
	char name[32];
	int fd, listener;            /* one that asks, one that listens */
	uint32_t seq, keys;
};

struct bed_msg {
	union {
		struct nlmsghdr hdr;
		uint64_t align;
		uint8_t buf[XI_XFRM_REPLY_MAX];
	};
};

static inline void bed_sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct bed *b = arg;

	if (old)
		xi_spd_sa_changed(b->spd, &old->sa);
	if (new)
		xi_spd_sa_changed(b->spd, &new->sa);
}

static inline void bed_sas_changed(void *arg)
{
	struct bed *b = arg;

	xi_spd_sas_changed(b->spd);
}

static inline int bed_client(struct bed *b)
{
	struct sockaddr_un addr;
	socklen_t len = 0;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(xi_xfrm_sock_addr(&addr, &len, b->name), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, len), 0);
	event_base_loop(b->base, EVLOOP_NONBLOCK);
	return fd;
}

static inline int bed_setup(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));
	struct xi_sad_config config = { .carries = xi_datapath_carries };

	b->m = mem_store_new(BED_SLOTS, 17);
	b->base = event_base_new();
	snprintf(b->name, sizeof(b->name), "xi-bed-%d", getpid());
	assert_int_equal(xi_sad_create(&b->sad, &config, &b->m->store), 0);
	assert_int_equal(xi_spd_create(&b->spd, b->sad, &b->m->store), 0);
	xi_sad_listen(b->sad, &(struct xi_sad_listener){.changed = bed_sa_changed, .sync = bed_sas_changed, .arg = b});
	assert_int_equal(xi_xfrm_server_create(&b->server, b->base, b->sad, b->spd, b->name), 0);
	b->fd = bed_client(b);
	b->listener = bed_client(b);
	*state = b;
	return 0;
}

static inline int bed_teardown(void **state)
{
	struct bed *b = *state;

	close(b->fd);
	close(b->listener);
	xi_xfrm_server_destroy(b->server);
	xi_spd_destroy(b->spd);
	xi_sad_destroy(b->sad);
	event_base_free(b->base);
	mem_store_free(b->m);
	free(b);
	return 0;
}

/* A request under construction. */
static inline void *bed_begin(struct bed_msg *m, uint16_t type, uint16_t flags, size_t body)
{
	memset(m, 0, sizeof(*m));
	m->hdr.nlmsg_len = NLMSG_HDRLEN + NLMSG_ALIGN(body);
	m->hdr.nlmsg_type = type;
	m->hdr.nlmsg_flags = NLM_F_REQUEST | flags;
	return m->buf + NLMSG_HDRLEN;
}

static inline void bed_attr(struct bed_msg *m, uint16_t type, const void *data, size_t n)
{
	struct nlattr nla = { .nla_len = NLA_HDRLEN + n, .nla_type = type };
	uint8_t *at = m->buf + m->hdr.nlmsg_len;

	memcpy(at, &nla, sizeof(nla));
	if (n)
		memcpy(at + NLA_HDRLEN, data, n);
	m->hdr.nlmsg_len += NLA_HDRLEN + NLA_ALIGN(n);
}

static inline void bed_attr_u32(struct bed_msg *m, uint16_t type, uint32_t value)
{
	bed_attr(m, type, &value, sizeof(value));
}

/* Its payload; NULL: none of this type. nth: from 0. */
static inline const void *bed_find(const struct bed_msg *m, size_t body, uint16_t type, int nth)
{
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(body);

	while (at + NLA_HDRLEN <= m->hdr.nlmsg_len) {
		const struct nlattr *nla = (const struct nlattr *)(m->buf + at);

		if (nla->nla_type == type && !nth--)
			return m->buf + at + NLA_HDRLEN;
		at += NLA_ALIGN(nla->nla_len);
	}
	return NULL;
}

/* False: nothing is there. */
static inline bool bed_receive(int fd, struct bed_msg *m)
{
	ssize_t n = recv(fd, m, sizeof(*m), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	assert_int_equal(n, m->hdr.nlmsg_len);
	assert_int_equal(n % 4, 0);
	return true;
}

static inline void bed_turn(struct bed *b)
{
	event_base_loop(b->base, EVLOOP_NONBLOCK);
}

/* The error, or 0; *answer is what came. */
static inline int bed_ask(struct bed *b, struct bed_msg *request, struct bed_msg *answer)
{
	request->hdr.nlmsg_seq = ++b->seq;
	assert_int_equal(send(b->fd, request->buf, request->hdr.nlmsg_len, 0), request->hdr.nlmsg_len);
	bed_turn(b);
	assert_true(bed_receive(b->fd, answer));
	assert_int_equal(answer->hdr.nlmsg_seq, b->seq);
	if (answer->hdr.nlmsg_type != NLMSG_ERROR)
		return 0;
	return ((const struct nlmsgerr *)(answer->buf + NLMSG_HDRLEN))->error;
}

static inline int bed_do(struct bed *b, struct bed_msg *request)
{
	struct bed_msg answer;

	request->hdr.nlmsg_flags |= NLM_F_ACK;
	return bed_ask(b, request, &answer);
}

static inline void bed_ctl(struct bed *b, int fd, uint32_t op, uint32_t a)
{
	struct bed_msg m;
	struct xi_xfrm_ctl *ctl = bed_begin(&m, XI_XFRM_CTL, 0, sizeof(*ctl));

	ctl->op = op;
	ctl->a = a;
	assert_int_equal(send(fd, m.buf, m.hdr.nlmsg_len, 0), m.hdr.nlmsg_len);
	bed_turn(b);
}

static inline void bed_join(struct bed *b, unsigned int group)
{
	bed_ctl(b, b->listener, XI_CTL_ADD, group);
}

/* An SA by the SAD's own door, with a key that no other has. */
static inline struct xi_sa bed_add(struct bed *b, const char *saddr, const char *daddr, uint32_t spi,
				   uint32_t reqid)
{
	struct xi_sa sa = sample_sa(saddr, daddr, spi);
	struct xi_sa_key key = sample_key(++b->keys);
	const char *why = NULL;

	sa.reqid = reqid;
	assert_int_equal(xi_sad_add(b->sad, &sa, &key, NULL, &why), 0);
	return xi_sad_find(b->sad, &sa.id)->sa;
}

static inline struct xi_policy bed_policy(enum xi_dir dir, const char *src, const char *dst, uint8_t bits)
{
	struct xi_policy p = { .dir = dir, .action = XI_ALLOW, .priority = 100 };

	p.sel.family = sample_addr(p.sel.saddr, src);
	sample_addr(p.sel.daddr, dst);
	p.sel.prefixlen_s = p.sel.prefixlen_d = bits;
	p.limits.soft_bytes = p.limits.hard_bytes = XFRM_INF;
	p.limits.soft_packets = p.limits.hard_packets = XFRM_INF;
	return p;
}

static inline void bed_tmpl(struct xi_policy *p, const char *src, const char *dst, enum xi_mode mode,
			    uint32_t reqid)
{
	struct xi_tmpl *t = &p->tmpls[p->ntmpls++];

	t->family = sample_addr(t->saddr, src);
	sample_addr(t->id.daddr, dst);
	t->id.family = t->family;
	t->id.proto = XI_ESP;
	t->mode = mode;
	t->reqid = reqid;
	t->aalgos = t->ealgos = t->calgos = ~0U;
}

static inline void bed_policy_add(struct bed *b, const struct xi_policy *policy)
{
	const char *why = NULL;

	assert_int_equal(xi_spd_add(b->spd, policy, false, &why), 0);
}

static inline void put_addr(xfrm_address_t *out, const char *text)
{
	uint8_t bytes[16];

	sample_addr(bytes, text);
	memcpy(out, bytes, sizeof(*out));
}
#endif
