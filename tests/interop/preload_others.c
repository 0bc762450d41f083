/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * preload_others
 *
 * Uses descriptors that are no XFRM sockets in every way that the preload library stands in front
 * of, for a comparison of the system calls. They begin with a call of dup(-7).
 */
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	char buf[16] = "x";
	struct iovec iov = { buf, sizeof(buf) };
	struct mmsghdr m = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
	struct epoll_event e = { .events = EPOLLIN };
	int pair[2], on = 1, ep, route, other;

	dup(-7);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
		return 1;
	ep = epoll_create1(0);
	epoll_ctl(ep, EPOLL_CTL_ADD, pair[0], &e);
	route = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	bind(route, (struct sockaddr *)&nl, sizeof(nl));
	connect(route, (struct sockaddr *)&nl, sizeof(nl));
	getsockname(route, (struct sockaddr *)&name, &len);
	getpeername(route, (struct sockaddr *)&name, &len);
	setsockopt(route, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	len = sizeof(on);
	getsockopt(route, SOL_SOCKET, SO_DOMAIN, &on, &len);
	for (int i = 0; i < 2; i++) {
		send(pair[0], buf, 4, 0);
		recv(pair[1], buf, sizeof(buf), 0);
		sendto(pair[0], buf, 4, 0, NULL, 0);
		recvfrom(pair[1], buf, sizeof(buf), 0, NULL, NULL);
		sendmsg(pair[0], &m.msg_hdr, 0);
		recvmsg(pair[1], &m.msg_hdr, 0);
		sendmmsg(pair[0], &m, 1, 0);
		recvmmsg(pair[1], &m, 1, 0, NULL);
		if (write(pair[0], buf, 4) != 4 || read(pair[1], buf, sizeof(buf)) != 4 ||
		    writev(pair[0], &iov, 1) < 0 || readv(pair[1], &iov, 1) < 0)
			return 1;
	}
	ioctl(pair[0], FIONBIO, &on);
	fcntl(pair[0], F_SETFL, fcntl(pair[0], F_GETFL));
	other = dup(pair[0]);
	dup2(pair[1], other);
	dup3(pair[1], other, O_CLOEXEC);
	close(fcntl(other, F_DUPFD_CLOEXEC, 0));
	shutdown(pair[0], SHUT_RDWR);
	close(other);
	close_range(ep, route, 0);
	closefrom(3);
	_exit(0);
}
