/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Preloaded: a program's netlink answers come without words, so that ip tells the error number that it hides behind them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int (*next)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");

	if (level != SOL_NETLINK || name != NETLINK_EXT_ACK)
		return next(fd, level, name, value, len);
	errno = ENOPROTOOPT;
	return -1;
}
