/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* socket() and names. */
#include "source/preload/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static int fail(int err)
{
	errno = err;
	return -1;
}

static int type_of(int type)
{
	return type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static bool is_xfrm(int domain, int type, int protocol)
{
	return domain == AF_NETLINK && protocol == NETLINK_XFRM &&
	       (type_of(type) == SOCK_RAW || type_of(type) == SOCK_DGRAM);
}

static int xfrm_socket(int type)
{
	struct shim_sock *s;
	int fd = shim_connect(type & SOCK_CLOEXEC);

	if (fd < 0) /* what a kernel without XFRM says */
		return fail(errno == EMFILE || errno == ENFILE ? errno : EPROTONOSUPPORT);
	/* Connected in blocking mode: a non-blocking connect to a busy server would fail. */
	if (type & SOCK_NONBLOCK)
		REAL(fcntl)(fd, F_SETFL, O_RDWR | O_NONBLOCK);
	/* a child of vfork() has no table of its own; what it executes will know the socket */
	if (shim_is_vfork_child())
		return fd;
	s = shim_alloc();
	if (s) {
		s->type = type_of(type);
		s->nonblock = type & SOCK_NONBLOCK;
	}
	if (!s || shim_track(fd, s)) {
		if (s)
			shim_free(s);
		REAL(close)(fd);
		return fail(EMFILE);
	}
	return fd;
}

XI_EXPORT int socket(int domain, int type, int protocol)
{
	if (is_xfrm(domain, type, protocol))
		return xfrm_socket(type);
	return REAL(socket)(domain, type, protocol);
}

/* As netlink_bind() of the kernel. */
static int xfrm_bind(struct shim_sock *s, int fd, const struct sockaddr_nl *nl, socklen_t len)
{
	struct shim_hold hold;

	if (len < sizeof(*nl) || nl->nl_family != AF_NETLINK)
		return fail(EINVAL);
	if (s->portid && nl->nl_pid != s->portid)
		return fail(EINVAL);
	if (!s->portid && nl->nl_pid) {
		if (shim_portid_taken(s, nl->nl_pid))
			return fail(EADDRINUSE);
		s->portid = nl->nl_pid;
		if (!s->down)
			shim_control(fd, XI_CTL_HELLO, s->portid, getpid());
	}
	shim_autobind(s, fd);
	hold = shim_lock(s);
	s->groups = nl->nl_groups;
	if (!s->down)
		shim_control(fd, XI_CTL_GROUPS, s->groups, 0);
	shim_unlock(&hold);
	return 0;
}

XI_EXPORT int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	SHIM_GET(s, fd);

	if (s)
		return xfrm_bind(s, fd, (const struct sockaddr_nl *)(const void *)addr.__sockaddr__,
				 len);
	return REAL(bind)(fd, addr, len);
}

/* As netlink_connect() of the kernel: it is sending that finds nobody there. */
static int xfrm_connect(struct shim_sock *s, int fd, const struct sockaddr_nl *nl, socklen_t len)
{
	if (len < sizeof(nl->nl_family))
		return fail(EINVAL);
	if (nl->nl_family == AF_UNSPEC) {
		s->connected = false;
		s->peer = 0;
		s->peer_group = 0;
		return 0;
	}
	if (len < sizeof(*nl) || nl->nl_family != AF_NETLINK)
		return fail(EINVAL);
	shim_autobind(s, fd);
	s->connected = true;
	s->peer = nl->nl_pid;
	s->peer_group = nl->nl_groups & -nl->nl_groups;
	return 0;
}

XI_EXPORT int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	SHIM_GET(s, fd);

	if (s)
		return xfrm_connect(s, fd,
				    (const struct sockaddr_nl *)(const void *)addr.__sockaddr__,
				    len);
	return REAL(connect)(fd, addr, len);
}

static int name_out(void *to, socklen_t *len, uint32_t portid, uint32_t groups)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_pid = portid, .nl_groups = groups };

	memcpy(to, &nl, *len < sizeof(nl) ? *len : sizeof(nl));
	*len = sizeof(nl);
	return 0;
}

XI_EXPORT int getsockname(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	SHIM_GET(s, fd);

	if (s)
		return name_out(addr.__sockaddr__, len, s->portid, s->groups);
	return REAL(getsockname)(fd, addr, len);
}

XI_EXPORT int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	SHIM_GET(s, fd);

	if (s)
		return name_out(addr.__sockaddr__, len, s->peer, s->peer_group);
	return REAL(getpeername)(fd, addr, len);
}

/* It would end the connection. */
XI_EXPORT int shutdown(int fd, int how)
{
	return shim_find(fd) ? fail(EOPNOTSUPP) : REAL(shutdown)(fd, how);
}
