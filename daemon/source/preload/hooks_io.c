/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Every way to send and to receive, made one of each. */
#include "source/preload/shim.h"

#include <errno.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

XI_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{

	return shim_find(fd) ? shim_send(fd, msg, flags) : REAL(sendmsg)(fd, msg, flags);
}

XI_EXPORT ssize_t sendto(int fd, const void *buf, size_t len, int flags, __CONST_SOCKADDR_ARG addr,
			 socklen_t addrlen)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_name = (void *)addr.__sockaddr__,
			      .msg_namelen = addrlen,
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };

	return shim_find(fd) ? shim_send(fd, &msg, flags) : REAL(sendto)(fd, buf, len, flags, addr, addrlen);
}

XI_EXPORT ssize_t send(int fd, const void *buf, size_t len, int flags)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return shim_find(fd) ? shim_send(fd, &msg, flags) : REAL(send)(fd, buf, len, flags);
}

XI_EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	struct iovec iov = { .iov_base = (void *)buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return shim_find(fd) ? shim_send(fd, &msg, 0) : REAL(write)(fd, buf, len);
}

XI_EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };

	return shim_find(fd) ? shim_send(fd, &msg, 0) : REAL(writev)(fd, iov, n);
}

XI_EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	unsigned int i;

	if (!shim_find(fd))
		return REAL(sendmmsg)(fd, msgs, n, flags);
	for (i = 0; i < n; i++) {
		ssize_t sent = shim_send(fd, &msgs[i].msg_hdr, flags);

		if (sent < 0)
			break;
		msgs[i].msg_len = sent;
	}
	return i || !n ? (int)i : -1;
}

XI_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{

	return shim_find(fd) ? shim_recv(fd, msg, flags) : REAL(recvmsg)(fd, msg, flags);
}

XI_EXPORT ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags, __SOCKADDR_ARG addr,
			   socklen_t *restrict addrlen)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (!shim_find(fd))
		return REAL(recvfrom)(fd, buf, len, flags, addr, addrlen);
	msg.msg_name = addr.__sockaddr__;
	msg.msg_namelen = msg.msg_name && addrlen ? *addrlen : 0;
	n = shim_recv(fd, &msg, flags);
	if (n >= 0 && msg.msg_name && addrlen)
		*addrlen = msg.msg_namelen;
	return n;
}

XI_EXPORT ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return shim_find(fd) ? shim_recv(fd, &msg, flags) : REAL(recv)(fd, buf, len, flags);
}

XI_EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return shim_find(fd) ? shim_recv(fd, &msg, 0) : REAL(read)(fd, buf, len);
}

XI_EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = n };

	return shim_find(fd) ? shim_recv(fd, &msg, 0) : REAL(readv)(fd, iov, n);
}

XI_EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
		       struct timespec *timeout)
{
	int more = flags & ~MSG_WAITFORONE;
	unsigned int i;

	if (!shim_find(fd))
		return REAL(recvmmsg)(fd, msgs, n, flags, timeout);
	for (i = 0; i < n; i++) {
		ssize_t got = shim_recv(fd, &msgs[i].msg_hdr, more);

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
