/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A datagram to the server. */
#include "source/preload/shim.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>

/* Netlink's answer is there when send() returns; programs with non-blocking sockets rely on it. */
#define ANSWER_MS 1000

static int unread(int fd)
{
	int bytes = 0;

	return REAL(ioctl)(fd, FIONREAD, &bytes) ? 0 : bytes;
}

/* More is there than the `before` bytes. Where that is none, poll can tell. */
static void await_answer(int fd, int before)
{
	static const struct timespec nap = { .tv_nsec = 200000 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t end = shim_now() + ANSWER_MS, left = ANSWER_MS;
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	while (left > 0) {
		if (before)
			nanosleep(&nap, NULL);
		else
			REAL(poll)(&p, 1, left);
		if (before ? unread(fd) != before : p.revents)
			break;
		left = end - shim_now();
	}
	pthread_setcancelstate(cancel, NULL);
}

static bool is_echo(const struct shim_control *c)
{
	return c->hdr.nlmsg_type == XI_XFRM_CTL && c->ctl.op == XI_CTL_ECHO;
}

/*
 * If nothing is before them: nobody would read the echoes of a socket that is never read, until
 * there is no room for more. Should another thread read at the same time, what was taken may be
 * news.
 */
static void take_echoes(struct shim_sock *s, int fd)
{
	struct shim_control c = { 0 };
	struct shim_hold hold;

	while (REAL(recv)(fd, &c, sizeof(c), MSG_PEEK | MSG_DONTWAIT) == sizeof(c) && is_echo(&c)) {
		if (REAL(recv)(fd, &c, sizeof(c), MSG_DONTWAIT) <= 0)
			return;
		if (is_echo(&c))
			continue;
		hold = shim_lock(s);
		s->lost = true;
		shim_unlock(&hold);
	}
}

/*
 * What makes no answer when it succeeds is followed by an echo, or nobody could tell when it is
 * done.
 */
static void await_done(struct shim_sock *s, int fd, int before, bool answered)
{
	if (!answered)
		shim_control(fd, XI_CTL_ECHO, 0, 0);
	if (!s->down)
		await_answer(fd, before);
	if (!answered && !s->inherited && !s->down)
		take_echoes(s, fd);
}

static bool is_gone(int err)
{
	return err == EPIPE || err == ECONNRESET || err == ENOTCONN || err == ENOTSOCK;
}

static ssize_t refused(void)
{
	errno = ECONNREFUSED;
	return -1;
}

static ssize_t send_plain(struct shim_sock *s, int fd, const struct msghdr *msg, int flags)
{
	struct msghdr plain = { .msg_iov = msg->msg_iov, .msg_iovlen = msg->msg_iovlen };
	bool nonblock = s->nonblock;
	bool answered = false;
	int before = nonblock && !s->down ? unread(fd) : 0;
	uint32_t serial = shim_requests_add(s, msg, &answered);
	ssize_t n = REAL(sendmsg)(fd, &plain, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	int saved = errno;

	if (n < 0)
		shim_requests_drop(s, serial);
	else if (nonblock)
		await_done(s, fd, before, answered);
	errno = saved;
	return n;
}

/* As netlink_sendmsg() of the kernel judges them. */
static int destination(const struct shim_sock *s, const struct msghdr *msg, uint32_t *to)
{
	const struct sockaddr_nl *nl = msg->msg_name;

	*to = s->connected ? s->peer : 0;
	if (!nl || !msg->msg_namelen)
		return 0;
	if (msg->msg_namelen < sizeof(*nl) || nl->nl_family != AF_NETLINK)
		return EINVAL;
	*to = nl->nl_pid;
	return 0;
}

static int check(const struct shim_sock *s, const struct msghdr *msg, int flags)
{
	size_t len = shim_iov_len(msg->msg_iov, msg->msg_iovlen);
	uint32_t to;
	int err;

	if (flags & MSG_OOB)
		return EOPNOTSUPP;
	if (!len)
		return ENODATA; /* which would be the end of the connection */
	err = destination(s, msg, &to);
	if (err)
		return err;
	if (len > XI_XFRM_REQUEST_MAX)
		return EMSGSIZE;
	return to ? ECONNREFUSED : 0; /* only the server is on this bus */
}

ssize_t shim_send(int fd, const struct msghdr *msg, int flags)
{
	SHIM_GET(s, fd);
	int err = s ? check(s, msg, flags) : EBADF;
	ssize_t n;

	if (err) {
		errno = err;
		return -1;
	}
	shim_autobind(s, fd);
	if (s->down && !shim_retry(s))
		return refused();
	n = send_plain(s, fd, msg, flags);
	if (n >= 0 || !is_gone(errno))
		return n;
	shim_lost_server(s, fd);
	if (s->down)
		return refused();
	n = send_plain(s, fd, msg, flags);
	return n < 0 && is_gone(errno) ? refused() : n;
}
