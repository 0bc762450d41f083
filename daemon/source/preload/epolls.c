/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An epoll set knows files, not numbers: what replaces a connection under the program's number
 * has to be put into the sets where that was. An edge-triggered set then tells of it anew.
 */
#include "source/preload/shim.h"

#include <errno.h>

static struct shim_epoll *find(struct shim_sock *s, int epfd, int fd)
{
	for (unsigned int i = 0; i < s->nepolls; i++) {
		if (s->epolls[i].epfd == epfd && s->epolls[i].fd == fd)
			return &s->epolls[i];
	}
	return NULL;
}

static void forget(struct shim_sock *s, struct shim_epoll *e)
{
	*e = s->epolls[--s->nepolls];
}

/* Sets that were closed, or of a number that is another file now, hold it no longer. */
static void purge(struct shim_sock *s)
{
	for (unsigned int i = s->nepolls; i-- > 0;) {
		struct shim_epoll *e = &s->epolls[i];

		if (REAL(epoll_ctl)(e->epfd, EPOLL_CTL_MOD, e->fd, &e->event))
			forget(s, e);
	}
}

static int note(struct shim_sock *s, int epfd, int op, int fd, const struct epoll_event *event)
{
	struct shim_epoll *e = find(s, epfd, fd);

	if (op == EPOLL_CTL_DEL) {
		if (e)
			forget(s, e);
		return 0;
	}
	if (!e && s->nepolls == SHIM_EPOLLS)
		purge(s);
	if (!e && s->nepolls == SHIM_EPOLLS)
		return -1;
	if (!e)
		e = &s->epolls[s->nepolls++];
	*e = (struct shim_epoll){ .epfd = epfd, .fd = fd, .event = *event };
	return 0;
}

static int xfrm_epoll_ctl(struct shim_sock *s, int epfd, int op, int fd, struct epoll_event *event)
{
	struct shim_hold hold = shim_lock(s);
	int rc = REAL(epoll_ctl)(epfd, op, fd, event);

	if (!rc && note(s, epfd, op, fd, event)) {
		REAL(epoll_ctl)(epfd, EPOLL_CTL_DEL, fd, NULL);
		errno = ENOSPC; /* it would be deaf after the first restart of the server */
		rc = -1;
	}
	shim_stand_in_renew(s);
	shim_unlock(&hold);
	return rc;
}

XI_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	SHIM_GET(s, fd);

	return s && !shim_is_vfork_child() ? xfrm_epoll_ctl(s, epfd, op, fd, event)
					   : REAL(epoll_ctl)(epfd, op, fd, event);
}

/* A child of fork() that holds the old file would keep it in the set, readable for ever. */
void shim_epolls_leave(struct shim_sock *s, int fd)
{
	for (unsigned int i = s->nepolls; i-- > 0;) {
		struct shim_epoll *e = &s->epolls[i];

		if (e->fd == fd && REAL(epoll_ctl)(e->epfd, EPOLL_CTL_DEL, fd, NULL))
			forget(s, e);
	}
}

void shim_epolls_enter(struct shim_sock *s, int fd)
{
	for (unsigned int i = 0; i < s->nepolls; i++) {
		struct shim_epoll *e = &s->epolls[i];

		if (e->fd == fd)
			REAL(epoll_ctl)(e->epfd, EPOLL_CTL_ADD, fd, &e->event);
	}
}

void shim_epolls_forget(struct shim_sock *s, int fd)
{
	for (unsigned int i = s->nepolls; i-- > 0;) {
		if (s->epolls[i].fd == fd)
			forget(s, &s->epolls[i]);
	}
}
