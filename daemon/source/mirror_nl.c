/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mirror's sockets: one for questions, one for dumps, one for news. */
#include "source/mirror_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define NEWS_BYTES (32 << 20)
#define ANSWER_MS 1000

#define GROUP(n) (1U << ((n)-1))
/* Not AEVENTS: the kernel tells of every second packet there. */
#define NEWS_GROUPS                                                                                \
	(GROUP(XFRMNLGRP_EXPIRE) | GROUP(XFRMNLGRP_SA) | GROUP(XFRMNLGRP_POLICY) |                 \
	 GROUP(XFRMNLGRP_MIGRATE))

uint64_t xi_mirror_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t xi_mirror_now(const struct xi_mirror *m)
{
	return xi_mirror_clock() + m->clock_ahead;
}

static int kernel_open(uint32_t groups)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = groups};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_XFRM);
	int bytes = NEWS_BYTES, one = 1, err;

	if (fd < 0)
		return -errno;
	if (groups && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (!bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int one_open(struct xi_mirror *m, int *fd, uint32_t groups)
{
	*fd = m->config.open ? m->config.open(m->config.arg, groups) : kernel_open(groups);
	return *fd < 0 ? *fd : 0;
}

int xi_mirror_open(struct xi_mirror *m)
{
	int err;

	err = one_open(m, &m->news_fd, NEWS_GROUPS);
	if (!err)
		err = one_open(m, &m->ask_fd, 0);
	if (!err)
		err = one_open(m, &m->dump_fd, 0);
	return err;
}

int xi_mirror_reopen_dump(struct xi_mirror *m)
{
	int fd, err = one_open(m, &fd, 0);

	if (err)
		return err;
	close(m->dump_fd);
	m->dump_fd = fd;
	return 0;
}

void xi_mirror_close(struct xi_mirror *m)
{
	int *fds[] = {&m->news_fd, &m->ask_fd, &m->dump_fd};

	for (unsigned int i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int answer_wait(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	int n;

	do {
		n = poll(&pfd, 1, ANSWER_MS);
	} while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n ? -errno : -ETIMEDOUT;
}

static int answer_error(const struct xi_mirror *m, size_t len)
{
	int error;

	if (m->answer.hdr.nlmsg_type != NLMSG_ERROR)
		return 0;
	if (len < NLMSG_HDRLEN + sizeof(error))
		return -EBADMSG;
	memcpy(&error, m->answer.buf + NLMSG_HDRLEN, sizeof(error));
	return error;
}

/* recv(2). Of one datagram that another process sent, which does not count: -1, EINTR. */
static ssize_t kernel_recv(int fd, void *buf, size_t len)
{
	struct sockaddr_nl from = {0};
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(fd, buf, len, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from,
			     &from_len);

	if (n < 0 || from_len < sizeof(from) || from.nl_family != AF_NETLINK || !from.nl_pid)
		return n;
	errno = EINTR;
	return -1;
}

/* 0: the message in m->answer answers one of `first` to `last`. -EBADMSG, -ETIMEDOUT ...: there is none. */
static int answer_read(struct xi_mirror *m, uint32_t first, uint32_t last, size_t *len)
{
	ssize_t n;
	int err;

	for (;;) {
		n = kernel_recv(m->ask_fd, m->answer.buf, sizeof(m->answer.buf));
		if (n < 0 && errno == EAGAIN) {
			err = answer_wait(m->ask_fd);
			if (err)
				return err;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		if (n < NLMSG_HDRLEN || n > (ssize_t)sizeof(m->answer.buf) ||
		    m->answer.hdr.nlmsg_len < NLMSG_HDRLEN || m->answer.hdr.nlmsg_len > (size_t)n)
			return -EBADMSG;
		*len = n;
		if (m->answer.hdr.nlmsg_seq - first <= last - first)
			return 0;
		/* the answer to one that was given up */
	}
}

int xi_mirror_ask(struct xi_mirror *m, struct xi_nlmsg *msg)
{
	size_t len;
	int err;

	if (msg->full)
		return -EMSGSIZE;
	msg->hdr.nlmsg_flags |= NLM_F_REQUEST;
	msg->hdr.nlmsg_seq = ++m->seq;
	if (send(m->ask_fd, msg->buf, msg->hdr.nlmsg_len, MSG_NOSIGNAL) < 0)
		return -errno;
	err = answer_read(m, m->seq, m->seq, &len);
	return err ? err : answer_error(m, len);
}

int xi_mirror_ask_batch(struct xi_mirror *m, struct xi_nlmsg *msgs, int *errs, unsigned int n)
{
	struct iovec iov[XI_MIRROR_BATCH];
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	uint32_t first = m->seq + 1;
	size_t len;
	int err;

	for (unsigned int i = 0; i < n; i++) {
		if (msgs[i].full)
			return -EMSGSIZE;
		msgs[i].hdr.nlmsg_flags |= NLM_F_REQUEST;
		msgs[i].hdr.nlmsg_seq = ++m->seq;
		iov[i] = (struct iovec){msgs[i].buf, msgs[i].hdr.nlmsg_len};
	}
	if (sendmsg(m->ask_fd, &msg, MSG_NOSIGNAL) < 0)
		return -errno;
	for (unsigned int i = 0; i < n; i++) {
		err = answer_read(m, first + i, first + i, &len);
		if (err)
			return err;
		errs[i] = answer_error(m, len);
	}
	return 0;
}

bool xi_mirror_many_fits(const struct xi_mirror_many *many, size_t len)
{
	return many->len + NLMSG_ALIGN(len) <= sizeof(many->buf);
}

void xi_mirror_many_put(struct xi_mirror_many *many, const struct xi_nlmsg *msg)
{
	memcpy(many->buf + many->len, msg->buf, msg->hdr.nlmsg_len);
	many->last = many->len;
	many->len += NLMSG_ALIGN(msg->hdr.nlmsg_len);
	many->n++;
}

/* Returns the number of the first. */
static uint32_t many_number(struct xi_mirror *m, struct xi_mirror_many *many)
{
	uint32_t first = m->seq + 1;
	struct nlmsghdr *nlh;

	for (size_t at = 0; at < many->len; at += NLMSG_ALIGN(nlh->nlmsg_len)) {
		nlh = (struct nlmsghdr *)(many->buf + at);
		nlh->nlmsg_flags |= NLM_F_REQUEST | (at == many->last ? NLM_F_ACK : 0);
		nlh->nlmsg_seq = ++m->seq;
	}
	return first;
}

int xi_mirror_ask_many(struct xi_mirror *m, struct xi_mirror_many *many,
		       void (*fn)(struct xi_mirror *m, uint32_t nth, int err))
{
	uint32_t first = many_number(m, many), last = m->seq;
	size_t len;
	int err;

	if (send(m->ask_fd, many->buf, many->len, MSG_NOSIGNAL) < 0)
		return -errno;
	do {
		err = answer_read(m, first, last, &len);
		if (err)
			return err;
		fn(m, m->answer.hdr.nlmsg_seq - first, answer_error(m, len));
	} while (m->answer.hdr.nlmsg_seq != last || m->answer.hdr.nlmsg_type != NLMSG_ERROR);
	return 0;
}

int xi_mirror_ask_dump(struct xi_mirror *m, uint16_t type)
{
	struct xi_nlmsg msg;

	xi_nlmsg_begin(&msg, type, NLM_F_REQUEST | NLM_F_DUMP, ++m->seq, 0, 0);
	return send(m->dump_fd, msg.buf, msg.hdr.nlmsg_len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int xi_mirror_ask_sa(struct xi_mirror *m, const struct xi_sa_id *id)
{
	struct xfrm_usersa_id *body;
	struct xi_nlmsg msg;

	body = xi_nlmsg_begin(&msg, XFRM_MSG_GETSA, 0, 0, 0, sizeof(*body));
	xi_addr_to_xfrm(&body->daddr, id->daddr);
	body->spi = htonl(id->spi);
	body->family = id->family;
	body->proto = id->proto;
	return xi_mirror_ask(m, &msg);
}

int xi_mirror_ask_policy(struct xi_mirror *m, const struct xi_mirror_policy_key *key)
{
	const struct xfrm_mark mark = {.v = key->mark_v, .m = key->mark_m};
	struct xfrm_userpolicy_id *body;
	struct xi_nlmsg msg;

	body = xi_nlmsg_begin(&msg, XFRM_MSG_GETPOLICY, 0, 0, 0, sizeof(*body));
	body->sel = key->sel;
	body->dir = key->dir;
	if (mark.v | mark.m)
		xi_nlmsg_put(&msg, XFRMA_MARK, &mark, sizeof(mark));
	if (key->if_id)
		xi_nlmsg_put_u32(&msg, XFRMA_IF_ID, key->if_id);
	return xi_mirror_ask(m, &msg);
}

int xi_mirror_read(struct xi_mirror *m, int fd)
{
	ssize_t n = kernel_recv(fd, m->datagram.buf, sizeof(m->datagram.buf));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -ECONNRESET;
	if (n <= (ssize_t)sizeof(m->datagram.buf))
		return (int)n;
	explicit_bzero(m->datagram.buf, sizeof(m->datagram.buf)); /* keys */
	return -ENOBUFS;
}
