/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets that were there before exec: the image before this one had them of this library. They
 * are looked for once, at the start; later on no call for another descriptor costs more than
 * without the library.
 */
#include "source/preload/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

/* Numbers above it are not looked at. */
#define INHERITED_MAX 1024

static void adopt(int fd)
{
	struct shim_sock *s;
	int flags;

	if (shim_find(fd) || !shim_is_link(fd))
		return;
	s = shim_alloc();
	if (!s)
		return;
	flags = REAL(fcntl)(fd, F_GETFL);
	s->type = SOCK_RAW;
	s->nonblock = flags >= 0 && (flags & O_NONBLOCK);
	s->inherited = true;
	if (shim_track(fd, s))
		shim_free(s);
}

__attribute__((constructor(103))) static void inherit(void)
{
	struct pollfd fds[INHERITED_MAX];
	struct rlimit limit;
	nfds_t n = INHERITED_MAX;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < n)
		n = limit.rlim_cur;
	for (nfds_t fd = 0; fd < n; fd++)
		fds[fd] = (struct pollfd){ .fd = (int)fd };
	if (REAL(poll)(fds, n, 0) < 0)
		return;
	for (nfds_t fd = 0; fd < n; fd++) {
		if (!(fds[fd].revents & POLLNVAL))
			adopt((int)fd);
	}
}
