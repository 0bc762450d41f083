/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sending and receiving. Everything goes through xfrm_send() and xfrm_recv(). */
#include "source/preload/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Netlink's answer is there when send() returns; programs with non-blocking sockets rely on it. */
#define ANSWER_MS 1000
#define RETRY_MS 1000

static size_t iov_copy_out(void *to, size_t n, const struct iovec *iov, size_t niov)
{
	size_t done = 0;

	for (size_t i = 0; i < niov && done < n; i++) {
		size_t part = iov[i].iov_len < n - done ? iov[i].iov_len : n - done;

		memcpy((char *)to + done, iov[i].iov_base, part);
		done += part;
	}
	return done;
}

static size_t iov_copy_in(const struct iovec *iov, size_t niov, const void *from, size_t n)
{
	size_t done = 0;

	for (size_t i = 0; i < niov && done < n; i++) {
		size_t part = iov[i].iov_len < n - done ? iov[i].iov_len : n - done;

		memcpy(iov[i].iov_base, (const char *)from + done, part);
		done += part;
	}
	return done;
}

static bool is_nonblock(const struct shim_sock *s, int fd)
{
	int flags;

	if (s->down)
		return s->nonblock;
	flags = REAL(fcntl)(fd, F_GETFL);
	return flags >= 0 && (flags & O_NONBLOCK);
}

static void pending_add(struct shim_sock *s, const struct nlmsghdr *nlh)
{
	pthread_mutex_lock(&s->lock);
	if (s->npending == SHIM_PENDING) {
		memmove(s->pending, s->pending + 1, (SHIM_PENDING - 1) * sizeof(s->pending[0]));
		s->npending--;
	}
	s->pending[s->npending++] = *nlh;
	pthread_mutex_unlock(&s->lock);
}

static void pending_done(struct shim_sock *s, const struct nlmsghdr *nlh)
{
	if ((nlh->nlmsg_flags & NLM_F_MULTI) && nlh->nlmsg_type != NLMSG_DONE)
		return;
	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < s->npending; i++) {
		if (s->pending[i].nlmsg_seq != nlh->nlmsg_seq)
			continue;
		s->npending--;
		memmove(&s->pending[i], &s->pending[i + 1],
			(s->npending - i) * sizeof(s->pending[0]));
		break;
	}
	pthread_mutex_unlock(&s->lock);
}

/* A bare request is one for information, or a probe for an error. */
static bool is_answered(const struct nlmsghdr *nlh)
{
	if (!(nlh->nlmsg_flags & NLM_F_REQUEST) || nlh->nlmsg_type < NLMSG_MIN_TYPE)
		return false;
	return (nlh->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)) || nlh->nlmsg_flags == NLM_F_REQUEST;
}

static void await_answer(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, ANSWER_MS) < 0 && errno == EINTR)
		;
}

static ssize_t send_once(struct shim_sock *s, int fd, const struct msghdr *msg, int flags)
{
	struct msghdr plain = { .msg_iov = msg->msg_iov, .msg_iovlen = msg->msg_iovlen };
	ssize_t n;

	if (s->down && !shim_retry(s, fd)) {
		errno = ECONNREFUSED;
		return -1;
	}
	n = REAL(sendmsg)(fd, &plain, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)) {
		shim_lost_server(s, fd);
		if (s->down) {
			errno = ECONNREFUSED;
			return -1;
		}
		n = REAL(sendmsg)(fd, &plain, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
	}
	return n;
}

static ssize_t xfrm_send(struct shim_sock *s, int fd, const struct msghdr *msg, int flags)
{
	const struct sockaddr_nl *to = msg->msg_name;
	struct nlmsghdr nlh = { 0 };
	bool awaited = false;
	int saved;
	ssize_t n;

	if (to && msg->msg_namelen >= sizeof(*to) && to->nl_pid) {
		errno = ECONNREFUSED;
		return -1;
	}
	shim_autobind(s, fd);
	if (iov_copy_out(&nlh, sizeof(nlh), msg->msg_iov, msg->msg_iovlen) == sizeof(nlh))
		awaited = is_answered(&nlh);
	/* Before sending: another thread may receive the answer before we return. */
	if (awaited)
		pending_add(s, &nlh);
	n = send_once(s, fd, msg, flags);
	saved = errno;
	if (n < 0)
		pending_done(s, &nlh);
	else if (awaited && !s->down && is_nonblock(s, fd))
		await_answer(fd);
	errno = saved;
	return n;
}

/* NLMSG_ERROR in place of an answer that a dead server cannot give. */
static ssize_t answer_failed(struct shim_sock *s, struct msghdr *msg, int flags)
{
	struct {
		struct nlmsghdr hdr;
		struct nlmsgerr err;
	} e = { .hdr = { .nlmsg_len = sizeof(e),
			 .nlmsg_type = NLMSG_ERROR,
			 .nlmsg_flags = 0x100 /* CAPPED */ } };
	size_t done;

	pthread_mutex_lock(&s->lock);
	if (!s->nfailed) {
		pthread_mutex_unlock(&s->lock);
		return -1;
	}
	e.err.error = -ECONNREFUSED;
	e.err.msg = s->failed[0];
	e.hdr.nlmsg_seq = e.err.msg.nlmsg_seq;
	e.hdr.nlmsg_pid = s->portid;
	if (!(flags & MSG_PEEK)) {
		s->nfailed--;
		memmove(s->failed, s->failed + 1, s->nfailed * sizeof(s->failed[0]));
	}
	pthread_mutex_unlock(&s->lock);
	done = iov_copy_in(msg->msg_iov, msg->msg_iovlen, &e, sizeof(e));
	msg->msg_flags = done < sizeof(e) ? MSG_TRUNC : 0;
	msg->msg_controllen = 0;
	return flags & MSG_TRUNC ? (ssize_t)sizeof(e) : (ssize_t)done;
}

/* While there is no server: 0 to try again, -1 with errno. */
static int recv_down(struct shim_sock *s, int fd, int flags)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (shim_retry(s, fd))
		return 0;
	if ((flags & MSG_DONTWAIT) || s->nonblock) {
		errno = EAGAIN;
		return -1;
	}
	return poll(&p, 1, RETRY_MS) < 0 ? -1 : 0;
}

static bool take_lost(struct shim_sock *s)
{
	bool lost;

	pthread_mutex_lock(&s->lock);
	lost = s->lost;
	s->lost = false;
	pthread_mutex_unlock(&s->lock);
	return lost;
}

static void name_fill(struct msghdr *msg)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };

	if (!msg->msg_name)
		return;
	memcpy(msg->msg_name, &nl, msg->msg_namelen < sizeof(nl) ? msg->msg_namelen : sizeof(nl));
	msg->msg_namelen = sizeof(nl);
}

/* What the server tells us in between. True: not for the program. */
static bool is_control(struct shim_sock *s, int fd, const struct nlmsghdr *nlh, int flags)
{
	char byte;

	if (nlh->nlmsg_type != XI_XFRM_CTL)
		return false;
	if (flags & MSG_PEEK)
		REAL(recv)(fd, &byte, 1, MSG_DONTWAIT);
	pthread_mutex_lock(&s->lock);
	s->lost = true;
	pthread_mutex_unlock(&s->lock);
	return true;
}

static ssize_t recv_once(int fd, struct msghdr *msg, int flags)
{
	struct msghdr plain = *msg;
	ssize_t n;

	plain.msg_name = NULL;
	plain.msg_namelen = 0;
	n = REAL(recvmsg)(fd, &plain, flags);
	msg->msg_flags = plain.msg_flags;
	msg->msg_controllen = plain.msg_controllen;
	return n;
}

static ssize_t xfrm_recv(struct shim_sock *s, int fd, struct msghdr *msg, int flags)
{
	for (;;) {
		struct nlmsghdr nlh = { 0 };
		size_t seen;
		ssize_t n;

		name_fill(msg);
		n = answer_failed(s, msg, flags);
		if (n >= 0)
			return n;
		if (take_lost(s)) {
			errno = ENOBUFS;
			return -1;
		}
		if (s->down) {
			if (recv_down(s, fd, flags))
				return -1;
			continue;
		}
		n = recv_once(fd, msg, flags);
		if (n < 0 && errno != ECONNRESET && errno != ENOTSOCK)
			return -1;
		if (n <= 0) {
			shim_lost_server(s, fd);
			continue;
		}
		seen = iov_copy_out(&nlh, sizeof(nlh), msg->msg_iov, msg->msg_iovlen);
		if (seen < sizeof(nlh) || (size_t)n < sizeof(nlh))
			return n;
		if (is_control(s, fd, &nlh, flags))
			continue;
		if (!(flags & MSG_PEEK))
			pending_done(s, &nlh);
		return n;
	}
}

XI_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct shim_sock *s = shim_find(fd);

	return s ? xfrm_send(s, fd, msg, flags) : REAL(sendmsg)(fd, msg, flags);
}

XI_EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, __CONST_SOCKADDR_ARG addr,
			 socklen_t addrlen)
{
	struct shim_sock *s = shim_find(fd);
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_name = (void *)addr.__sockaddr__,
			      .msg_namelen = addrlen,
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };

	return s ? xfrm_send(s, fd, &msg, flags) : REAL(sendto)(fd, buf, len, flags, addr, addrlen);
}

XI_EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct shim_sock *s = shim_find(fd);
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return s ? xfrm_send(s, fd, &msg, flags) : REAL(send)(fd, buf, len, flags);
}

XI_EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	struct shim_sock *s = shim_find(fd);
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return s ? xfrm_send(s, fd, &msg, 0) : REAL(write)(fd, buf, len);
}

XI_EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct shim_sock *s = shim_find(fd);
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };

	return s ? xfrm_send(s, fd, &msg, 0) : REAL(writev)(fd, iov, n);
}

XI_EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	struct shim_sock *s = shim_find(fd);
	unsigned int i;

	if (!s)
		return REAL(sendmmsg)(fd, msgs, n, flags);
	for (i = 0; i < n; i++) {
		ssize_t sent = xfrm_send(s, fd, &msgs[i].msg_hdr, flags);

		if (sent < 0)
			break;
		msgs[i].msg_len = sent;
	}
	return i || !n ? (int)i : -1;
}

XI_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct shim_sock *s = shim_find(fd);

	return s ? xfrm_recv(s, fd, msg, flags) : REAL(recvmsg)(fd, msg, flags);
}

XI_EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags, __SOCKADDR_ARG addr,
			   socklen_t *restrict addrlen)
{
	struct shim_sock *s = shim_find(fd);
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (!s)
		return REAL(recvfrom)(fd, buf, len, flags, addr, addrlen);
	msg.msg_name = addr.__sockaddr__;
	msg.msg_namelen = msg.msg_name && addrlen ? *addrlen : 0;
	n = xfrm_recv(s, fd, &msg, flags);
	if (n >= 0 && msg.msg_name && addrlen)
		*addrlen = msg.msg_namelen;
	return n;
}

XI_EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	struct shim_sock *s = shim_find(fd);
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return s ? xfrm_recv(s, fd, &msg, flags) : REAL(recv)(fd, buf, len, flags);
}

XI_EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	struct shim_sock *s = shim_find(fd);
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return s ? xfrm_recv(s, fd, &msg, 0) : REAL(read)(fd, buf, len);
}

XI_EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct shim_sock *s = shim_find(fd);
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };

	return s ? xfrm_recv(s, fd, &msg, 0) : REAL(readv)(fd, iov, n);
}

XI_EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		       struct timespec *timeout)
{
	struct shim_sock *s = shim_find(fd);
	int more = flags & ~MSG_WAITFORONE;
	unsigned int i;

	if (!s)
		return REAL(recvmmsg)(fd, msgs, n, flags, timeout);
	for (i = 0; i < n; i++) {
		ssize_t got = xfrm_recv(s, fd, &msgs[i].msg_hdr, more);

		if (got < 0)
			break;
		msgs[i].msg_len = got;
		if (flags & MSG_WAITFORONE)
			more |= MSG_DONTWAIT;
	}
	return i || !n ? (int)i : -1;
}

/* Entry points of programs built with _FORTIFY_SOURCE; libc's own abort on an overflow. */
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t room, int flags,
		       __SOCKADDR_ARG addr, socklen_t *restrict addrlen);
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);

XI_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
	return shim_find(fd) && len <= room ? recv(fd, buf, len, flags)
					    : REAL(__recv_chk)(fd, buf, len, room, flags);
}

XI_EXPORT ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t room, int flags,
				 __SOCKADDR_ARG addr, socklen_t *restrict addrlen)
{
	return shim_find(fd) && len <= room
		       ? recvfrom(fd, buf, len, flags, addr, addrlen)
		       : REAL(__recvfrom_chk)(fd, buf, len, room, flags, addr, addrlen);
}

XI_EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	return shim_find(fd) && len <= room ? read(fd, buf, len)
					    : REAL(__read_chk)(fd, buf, len, room);
}
