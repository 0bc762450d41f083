/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Options of SOL_NETLINK, which the server or this library knows, and of SOL_SOCKET. */
#include "source/preload/shim.h"

#include <errno.h>
#include <string.h>
#include <sys/time.h>

#define SETTABLE \
	((1U << NETLINK_PKTINFO) | (1U << NETLINK_BROADCAST_ERROR) | (1U << NETLINK_NO_ENOBUFS) | \
	 (1U << NETLINK_LISTEN_ALL_NSID) | (1U << NETLINK_CAP_ACK) | (1U << NETLINK_EXT_ACK) | \
	 (1U << NETLINK_GET_STRICT_CHK))

static int fail(int err)
{
	errno = err;
	return -1;
}

static bool is_settable(int opt)
{
	return opt > 0 && opt < 32 && (SETTABLE & (1U << opt));
}

static int membership(struct shim_sock *s, int fd, int opt, uint32_t group)
{
	bool add = opt == NETLINK_ADD_MEMBERSHIP;
	struct shim_hold hold;
	uint32_t bit;

	if (group < 1 || group > 32)
		return fail(EINVAL);
	bit = 1U << (group - 1);
	hold = shim_lock(s);
	s->groups = add ? s->groups | bit : s->groups & ~bit;
	if (!s->down)
		shim_control(fd, add ? XI_CTL_ADD : XI_CTL_DROP, group, 0);
	shim_unlock(&hold);
	return 0;
}

static int netlink_setopt(struct shim_sock *s, int fd, int opt, const void *val, socklen_t len)
{
	struct shim_hold hold;
	uint32_t value = 0;

	if (len >= sizeof(value)) {
		if (!val)
			return fail(EFAULT);
		memcpy(&value, val, sizeof(value));
	}
	if (opt == NETLINK_ADD_MEMBERSHIP || opt == NETLINK_DROP_MEMBERSHIP)
		return membership(s, fd, opt, value);
	if (!is_settable(opt))
		return fail(ENOPROTOOPT);
	hold = shim_lock(s);
	s->opts = value ? s->opts | (1U << opt) : s->opts & ~(1U << opt);
	if (!s->down)
		shim_control(fd, XI_CTL_OPT, opt, !!value);
	shim_unlock(&hold);
	return 0;
}

/* The same of both ends is on an AF_UNIX socket: these last over a reconnection. */
static bool is_kept(int opt)
{
	return opt == SO_RCVTIMEO || opt == SO_SNDTIMEO || opt == SO_RCVBUF || opt == SO_SNDBUF ||
	       opt == SO_RCVBUFFORCE || opt == SO_SNDBUFFORCE || opt == SO_TIMESTAMP ||
	       opt == SO_TIMESTAMPNS;
}

static void keep(struct shim_sock *s, int opt, const void *val, socklen_t len)
{
	struct shim_hold hold = shim_lock(s);
	unsigned int i = 0;

	while (i < s->nkept && s->kept[i].opt != opt)
		i++;
	if (i < SHIM_KEPT && len <= sizeof(s->kept[i].value)) {
		s->kept[i].opt = opt;
		s->kept[i].len = len;
		memcpy(s->kept[i].value, val, len);
		s->nkept += i == s->nkept;
	}
	shim_unlock(&hold);
}

void shim_options_restore(const struct shim_sock *s, int fd)
{
	for (unsigned int i = 0; i < s->nkept; i++)
		REAL(setsockopt)(fd, SOL_SOCKET, s->kept[i].opt, s->kept[i].value, s->kept[i].len);
}

int64_t shim_recv_timeout(const struct shim_sock *s)
{
	struct timeval tv;
	int64_t ms;

	for (unsigned int i = 0; i < s->nkept; i++) {
		if (s->kept[i].opt != SO_RCVTIMEO || s->kept[i].len < sizeof(tv))
			continue;
		memcpy(&tv, s->kept[i].value, sizeof(tv));
		ms = tv.tv_sec * 1000LL + (tv.tv_usec + 999) / 1000;
		return ms > 0 ? ms : -1;
	}
	return -1;
}

static int passcred_set(struct shim_sock *s, const void *val, socklen_t len)
{
	int value;

	if (len < sizeof(value))
		return fail(EINVAL);
	memcpy(&value, val, sizeof(value));
	s->passcred = value;
	return 0;
}

static int socket_setopt(struct shim_sock *s, int fd, int opt, const void *val, socklen_t len)
{
	if (opt == SO_PASSCRED)
		return passcred_set(s, val, len);
	if (!s->down && REAL(setsockopt)(fd, SOL_SOCKET, opt, val, len))
		return -1;
	if (is_kept(opt))
		keep(s, opt, val, len);
	return 0;
}

XI_EXPORT int setsockopt(int fd, int level, int opt, const void *val, socklen_t len)
{
	SHIM_GET(s, fd);

	if (s && level == SOL_NETLINK)
		return netlink_setopt(s, fd, opt, val, len);
	if (s && level == SOL_SOCKET)
		return socket_setopt(s, fd, opt, val, len);
	if (s)
		return fail(ENOPROTOOPT);
	return REAL(setsockopt)(fd, level, opt, val, len);
}

static int out(void *val, socklen_t *len, const void *from, socklen_t size)
{
	if (*len > size)
		*len = size;
	memcpy(val, from, *len);
	return 0;
}

static int int_out(void *val, socklen_t *len, int value)
{
	return out(val, len, &value, sizeof(value));
}

static int netlink_getopt(struct shim_sock *s, int opt, void *val, socklen_t *len)
{
	uint32_t groups = s->groups;

	if (opt == NETLINK_LIST_MEMBERSHIPS) {
		if (*len >= sizeof(groups))
			memcpy(val, &groups, sizeof(groups));
		*len = sizeof(groups);
		return 0;
	}
	if (!is_settable(opt) || opt == NETLINK_LISTEN_ALL_NSID)
		return fail(ENOPROTOOPT);
	if (*len < sizeof(int))
		return fail(EINVAL);
	return int_out(val, len, !!(s->opts & (1U << opt)));
}

static int down_getopt(struct shim_sock *s, int opt, void *val, socklen_t *len)
{
	for (unsigned int i = 0; i < s->nkept; i++) {
		if (s->kept[i].opt == opt)
			return out(val, len, s->kept[i].value, s->kept[i].len);
	}
	return int_out(val, len, 0);
}

static int socket_getopt(struct shim_sock *s, int fd, int opt, void *val, socklen_t *len)
{
	switch (opt) {
	case SO_DOMAIN:
		return int_out(val, len, AF_NETLINK);
	case SO_PROTOCOL:
		return int_out(val, len, NETLINK_XFRM);
	case SO_TYPE:
		return int_out(val, len, s->type);
	case SO_PASSCRED:
		return int_out(val, len, s->passcred);
	}
	return s->down ? down_getopt(s, opt, val, len)
		       : REAL(getsockopt)(fd, SOL_SOCKET, opt, val, len);
}

XI_EXPORT int getsockopt(int fd, int level, int opt, void *restrict val, socklen_t *restrict len)
{
	SHIM_GET(s, fd);

	if (s && level == SOL_NETLINK)
		return netlink_getopt(s, opt, val, len);
	if (s && level == SOL_SOCKET)
		return socket_getopt(s, fd, opt, val, len);
	if (s)
		return fail(ENOPROTOOPT);
	return REAL(getsockopt)(fd, level, opt, val, len);
}
