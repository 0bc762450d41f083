/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Descriptors: closing, duplicating, flags. */
#include "source/preload/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <unistd.h>

/*
 * A duplicate that cannot be tracked would be a socket nobody translates. In a child of vfork()
 * it is for the program that is executed, which finds it by itself.
 */
static int track_dup(int fd, struct shim_sock *s)
{
	if (fd < 0 || !s || shim_is_vfork_child() || !shim_track(fd, s))
		return fd;
	REAL(close)(fd);
	errno = EMFILE;
	return -1;
}

XI_EXPORT int close(int fd)
{
	if (shim_find(fd))
		shim_untrack(fd);
	return REAL(close)(fd);
}

static void untrack_range(unsigned int first, unsigned int last)
{
	int end = shim_last_fd();

	if (end < 0)
		return;
	for (unsigned int fd = first; fd <= (unsigned int)end && fd <= last; fd++) {
		if (shim_find((int)fd))
			shim_untrack((int)fd);
	}
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
	SHIM_GET(s, fd);

	return track_dup(REAL(dup)(fd), s);
}

/* What is closed by it is untracked first, or a reconnection could come in between. */
static void make_way(int fd, int to)
{
	if (fd != to && shim_find(to) && REAL(fcntl)(fd, F_GETFD) >= 0) /* dup2 will do it */
		shim_untrack(to);
}

XI_EXPORT int dup2(int fd, int to)
{
	SHIM_GET(s, fd);
	int made;

	make_way(fd, to);
	made = REAL(dup2)(fd, to);
	return fd == to ? made : track_dup(made, s);
}

XI_EXPORT int dup3(int fd, int to, int flags)
{
	SHIM_GET(s, fd);

	make_way(fd, to);
	return track_dup(REAL(dup3)(fd, to, flags), s);
}

/* A timer in the place of the connection is never to block. */
static int set_flags(struct shim_sock *s, int fd, long flags)
{
	struct shim_hold hold = shim_lock(s);
	int rc = s->down ? 0 : REAL(fcntl)(fd, F_SETFL, flags);

	if (!rc)
		s->nonblock = flags & O_NONBLOCK;
	shim_unlock(&hold);
	return rc;
}

static int xfrm_fcntl(struct shim_sock *s, int fd, int cmd, void *arg)
{
	if (cmd == F_SETFL)
		return set_flags(s, fd, (long)arg);
	if (cmd == F_GETFL && s->down)
		return O_RDWR | (s->nonblock ? O_NONBLOCK : 0);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC)
		return track_dup(REAL(fcntl)(fd, cmd, arg), s);
	return REAL(fcntl)(fd, cmd, arg);
}

/* Under every name that programs call it by; the argument is passed on as it came. */
#define FCNTL(name) \
	XI_EXPORT int name(int fd, int cmd, ...) \
	{ \
		SHIM_GET(s, fd); \
		va_list ap; \
		void *arg; \
\
		va_start(ap, cmd); \
		arg = va_arg(ap, void *); \
		va_end(ap); \
		return s ? xfrm_fcntl(s, fd, cmd, arg) : REAL(name)(fd, cmd, arg); \
	}

FCNTL(fcntl)
FCNTL(fcntl64)

static int set_nonblock(struct shim_sock *s, int fd, const int *on)
{
	struct shim_hold hold = shim_lock(s);
	int rc = s->down ? 0 : REAL(ioctl)(fd, FIONBIO, on);

	if (!rc)
		s->nonblock = *on;
	shim_unlock(&hold);
	return rc;
}

XI_EXPORT int ioctl(int fd, unsigned long request, ...)
{
	SHIM_GET(s, fd);
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return s && request == FIONBIO && arg ? set_nonblock(s, fd, arg)
					      : REAL(ioctl)(fd, request, arg);
}
