/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* socket(), names and options. */
#include "source/preload/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

	if (fd < 0) {
		errno = EPROTONOSUPPORT; /* what a kernel without XFRM says */
		return -1;
	}
	/* Connected in blocking mode: a non-blocking connect to a busy server would fail. */
	if (type & SOCK_NONBLOCK)
		REAL(fcntl)(fd, F_SETFL, O_NONBLOCK);
	s = shim_alloc();
	if (!s || shim_track(fd, s)) {
		if (s)
			s->used = false;
		REAL(close)(fd);
		errno = EMFILE;
		return -1;
	}
	s->type = type_of(type);
	return fd;
}

XI_EXPORT int socket(int domain, int type, int protocol)
{
	if (is_xfrm(domain, type, protocol))
		return xfrm_socket(type);
	return REAL(socket)(domain, type, protocol);
}

static int xfrm_bind(struct shim_sock *s, int fd, const struct sockaddr_nl *nl, socklen_t len)
{
	if (len < sizeof(*nl) || nl->nl_family != AF_NETLINK) {
		errno = EINVAL;
		return -1;
	}
	if (s->bound && nl->nl_pid && nl->nl_pid != s->portid) {
		errno = EINVAL;
		return -1;
	}
	if (!s->bound && nl->nl_pid) {
		if (shim_portid_taken(s, nl->nl_pid)) {
			errno = EADDRINUSE;
			return -1;
		}
		s->portid = nl->nl_pid;
		s->bound = true;
		shim_control(fd, XI_CTL_HELLO, s->portid, getpid());
	}
	shim_autobind(s, fd);
	s->groups = nl->nl_groups;
	if (!s->down)
		shim_control(fd, XI_CTL_GROUPS, s->groups, 0);
	return 0;
}

XI_EXPORT int bind(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	struct shim_sock *s = shim_find(fd);

	if (s)
		return xfrm_bind(s, fd, (const struct sockaddr_nl *)(const void *)addr.__sockaddr__,
				 len);
	return REAL(bind)(fd, addr, len);
}

XI_EXPORT int connect(int fd, __CONST_SOCKADDR_ARG addr, socklen_t len)
{
	const struct sockaddr_nl *nl = (const struct sockaddr_nl *)(const void *)addr.__sockaddr__;
	struct shim_sock *s = shim_find(fd);

	if (!s)
		return REAL(connect)(fd, addr, len);
	if (len < sizeof(*nl) || nl->nl_family != AF_NETLINK) {
		errno = EINVAL;
		return -1;
	}
	if (nl->nl_pid) {
		errno = ECONNREFUSED; /* only the server is on this bus */
		return -1;
	}
	shim_autobind(s, fd);
	return 0;
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
	struct shim_sock *s = shim_find(fd);

	if (s)
		return name_out(addr.__sockaddr__, len, s->portid, s->groups);
	return REAL(getsockname)(fd, addr, len);
}

XI_EXPORT int getpeername(int fd, __SOCKADDR_ARG addr, socklen_t *len)
{
	if (shim_find(fd))
		return name_out(addr.__sockaddr__, len, 0, 0);
	return REAL(getpeername)(fd, addr, len);
}

static int membership(struct shim_sock *s, int fd, int opt, uint32_t group)
{
	bool add = opt == NETLINK_ADD_MEMBERSHIP;
	uint32_t bit;

	if (group < 1 || group > 32) {
		errno = EINVAL;
		return -1;
	}
	bit = 1U << (group - 1);
	shim_autobind(s, fd);
	s->groups = add ? s->groups | bit : s->groups & ~bit;
	if (!s->down)
		shim_control(fd, add ? XI_CTL_ADD : XI_CTL_DROP, group, 0);
	return 0;
}

static int netlink_setopt(struct shim_sock *s, int fd, int opt, const void *val, socklen_t len)
{
	uint32_t value;

	if (len < sizeof(value)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(&value, val, sizeof(value));
	if (opt == NETLINK_ADD_MEMBERSHIP || opt == NETLINK_DROP_MEMBERSHIP)
		return membership(s, fd, opt, value);
	if (opt < 0 || opt > NETLINK_GET_STRICT_CHK) {
		errno = ENOPROTOOPT;
		return -1;
	}
	s->opts = value ? s->opts | (1U << opt) : s->opts & ~(1U << opt);
	if (!s->down)
		shim_control(fd, XI_CTL_OPT, opt, !!value);
	return 0;
}

XI_EXPORT int setsockopt(int fd, int level, int opt, const void *val, socklen_t len)
{
	struct shim_sock *s = shim_find(fd);

	if (s && level == SOL_NETLINK)
		return netlink_setopt(s, fd, opt, val, len);
	if (s && s->down)
		return 0; /* buffer sizes of a connection that is not there */
	return REAL(setsockopt)(fd, level, opt, val, len);
}

static int int_out(void *val, socklen_t *len, int value)
{
	if (*len < sizeof(value)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(val, &value, sizeof(value));
	*len = sizeof(value);
	return 0;
}

static int netlink_getopt(struct shim_sock *s, int opt, void *val, socklen_t *len)
{
	if (opt == NETLINK_LIST_MEMBERSHIPS) {
		if (*len >= sizeof(s->groups))
			memcpy(val, &s->groups, sizeof(s->groups));
		*len = sizeof(s->groups);
		return 0;
	}
	if (opt < 0 || opt > NETLINK_GET_STRICT_CHK) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return int_out(val, len, !!(s->opts & (1U << opt)));
}

XI_EXPORT int getsockopt(int fd, int level, int opt, void *restrict val, socklen_t *restrict len)
{
	struct shim_sock *s = shim_find(fd);

	if (!s)
		return REAL(getsockopt)(fd, level, opt, val, len);
	if (level == SOL_NETLINK)
		return netlink_getopt(s, opt, val, len);
	if (level == SOL_SOCKET && opt == SO_DOMAIN)
		return int_out(val, len, AF_NETLINK);
	if (level == SOL_SOCKET && opt == SO_PROTOCOL)
		return int_out(val, len, NETLINK_XFRM);
	if (level == SOL_SOCKET && opt == SO_TYPE)
		return int_out(val, len, s->type);
	if (s->down)
		return int_out(val, len, 0);
	return REAL(getsockopt)(fd, level, opt, val, len);
}
