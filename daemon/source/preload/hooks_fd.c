/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Descriptors: closing, duplicating, flags. */
#include "source/preload/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <unistd.h>

/* A duplicate that cannot be tracked would be a socket nobody translates. */
static int track_dup(int fd, struct shim_sock *s)
{
	if (fd < 0 || !s || !shim_track(fd, s))
		return fd;
	REAL(close)(fd);
	errno = EMFILE;
	return -1;
}

XI_EXPORT int close(int fd)
{
	shim_untrack(fd);
	return REAL(close)(fd);
}

static void untrack_range(unsigned int first, unsigned int last)
{
	int end = shim_last_fd();

	if (end < 0)
		return;
	for (unsigned int fd = first; fd <= (unsigned int)end && fd <= last; fd++)
		shim_untrack(fd);
}

XI_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	if (!(flags & CLOSE_RANGE_CLOEXEC))
		untrack_range(first, last);
	return REAL(close_range)(first, last, flags);
}

XI_EXPORT void closefrom(int low)
{
	untrack_range(low < 0 ? 0 : low, ~0U);
	REAL(closefrom)(low);
}

XI_EXPORT int dup(int fd)
{
	return track_dup(REAL(dup)(fd), shim_find(fd));
}

XI_EXPORT int dup2(int fd, int to)
{
	struct shim_sock *s = shim_find(fd);
	int made = REAL(dup2)(fd, to);

	if (made < 0 || fd == to)
		return made;
	shim_untrack(to);
	return track_dup(made, s);
}

XI_EXPORT int dup3(int fd, int to, int flags)
{
	struct shim_sock *s = shim_find(fd);
	int made = REAL(dup3)(fd, to, flags);

	if (made < 0)
		return made;
	shim_untrack(to);
	return track_dup(made, s);
}

/* While there is no server, the program's O_NONBLOCK is ours to remember. */
static int flags_down(struct shim_sock *s, int cmd, long arg)
{
	if (cmd == F_SETFL) {
		s->nonblock = arg & O_NONBLOCK;
		return 0;
	}
	return O_RDWR | (s->nonblock ? O_NONBLOCK : 0);
}

static int xfrm_fcntl(struct shim_sock *s, int fd, int cmd, void *arg)
{
	if (s->down && (cmd == F_SETFL || cmd == F_GETFL))
		return flags_down(s, cmd, (long)arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return track_dup(REAL(fcntl)(fd, cmd, arg), s);
	return REAL(fcntl)(fd, cmd, arg);
}

XI_EXPORT int fcntl(int fd, int cmd, ...)
{
	struct shim_sock *s = shim_find(fd);
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return s ? xfrm_fcntl(s, fd, cmd, arg) : REAL(fcntl)(fd, cmd, arg);
}

XI_EXPORT int fcntl64(int fd, int cmd, ...)
{
	struct shim_sock *s = shim_find(fd);
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	return s ? xfrm_fcntl(s, fd, cmd, arg) : REAL(fcntl64)(fd, cmd, arg);
}
