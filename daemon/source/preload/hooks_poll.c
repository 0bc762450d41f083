/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who waits until a socket takes a request: netlink's always does, and what stands in the place of a lost connection never
 * says so. As long as no server was ever lost this costs one load.
 */
#include "source/preload/shim.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

#define OUT_EVENTS (POLLOUT | POLLWRNORM)

atomic_bool shim_any_lost;

static bool takes_requests(int fd)
{
	struct shim_sock *s = shim_find(fd);

	return s && s->down;
}

static bool any_lost(void)
{
	return atomic_load_explicit(&shim_any_lost, memory_order_relaxed);
}

/* The C library declares that poll() does nothing but write to them. */
static struct pollfd *read_too(struct pollfd *fds)
{
	__asm__("" : "+r"(fds));
	return fds;
}

static bool poll_is_over(struct pollfd *given, nfds_t n)
{
	const struct pollfd *fds = any_lost() ? read_too(given) : NULL;

	for (nfds_t i = 0; i < n && fds; i++)
		if (fds[i].events & OUT_EVENTS && takes_requests(fds[i].fd))
			return true;
	return false;
}

/* What else is there, without waiting for it. */
static int poll_at_once(struct pollfd *fds, nfds_t n, const sigset_t *mask)
{
	static const struct timespec none;
	int rc = REAL(ppoll)(fds, n, &none, mask);

	fds = read_too(fds);
	for (nfds_t i = 0; i < n && rc >= 0; i++) {
		short out = fds[i].events & OUT_EVENTS;

		if (!out || !takes_requests(fds[i].fd))
			continue;
		rc += !fds[i].revents;
		fds[i].revents |= out;
	}
	return rc;
}

XI_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	return poll_is_over(fds, n) ? poll_at_once(fds, n, NULL) : REAL(poll)(fds, n, timeout);
}

XI_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		    const sigset_t *mask)
{
	return poll_is_over(fds, n) ? poll_at_once(fds, n, mask)
				    : REAL(ppoll)(fds, n, timeout, mask);
}

/* Entry points of programs built with _FORTIFY_SOURCE; libc's own abort on an overflow. */
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask,
		size_t room);

XI_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t room)
{
	return n <= room / sizeof(*fds) ? poll(fds, n, timeout)
					: REAL(__poll_chk)(fds, n, timeout, room);
}

XI_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
			  const sigset_t *mask, size_t room)
{
	return n <= room / sizeof(*fds) ? ppoll(fds, n, timeout, mask)
					: REAL(__ppoll_chk)(fds, n, timeout, mask, room);
}

/* A program's set may be longer than the type, so FD_ISSET() is not for it. */
static fd_mask *word(fd_set *set, int fd)
{
	return (fd_mask *)(void *)set + fd / NFDBITS;
}

static fd_mask bit(int fd)
{
	return (fd_mask)(1UL << (fd % NFDBITS));
}

static bool select_is_over(int n, fd_set *out)
{
	if (!any_lost() || !out)
		return false;
	for (int fd = 0; fd < n; fd++)
		if (*word(out, fd) & bit(fd) && takes_requests(fd))
			return true;
	return false;
}

/* Those of ours are not among what the kernel is asked: it says no of them. */
static int select_at_once(int n, fd_set *in, fd_set *out, fd_set *except, const sigset_t *mask)
{
	static const struct timespec none;
	size_t size = (n + NFDBITS - 1) / NFDBITS * sizeof(fd_mask);
	fd_mask asked[size / sizeof(fd_mask)];
	int rc;

	memcpy(asked, out, size);
	rc = REAL(pselect)(n, in, out, except, &none, mask);
	for (int fd = 0; fd < n && rc >= 0; fd++) {
		if (!(asked[fd / NFDBITS] & bit(fd)) || *word(out, fd) & bit(fd) || !takes_requests(fd))
			continue;
		*word(out, fd) |= bit(fd);
		rc++;
	}
	return rc;
}

XI_EXPORT int select(int n, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		     struct timeval *restrict timeout)
{
	return select_is_over(n, out) ? select_at_once(n, in, out, except, NULL)
				      : REAL(select)(n, in, out, except, timeout);
}

XI_EXPORT int pselect(int n, fd_set *restrict in, fd_set *restrict out, fd_set *restrict except,
		      const struct timespec *restrict timeout, const sigset_t *restrict mask)
{
	return select_is_over(n, out) ? select_at_once(n, in, out, except, mask)
				      : REAL(pselect)(n, in, out, except, timeout, mask);
}
