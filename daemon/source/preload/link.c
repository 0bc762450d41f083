/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The connection behind a socket. */
#include "source/preload/shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* How long a connect may wait for a busy server. */
#define CONNECT_SECONDS 5

int64_t shim_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static bool server_trusted(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (REAL(getsockopt)(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

static int server_addr(struct sockaddr_un *addr, socklen_t *len)
{
	if (!xi_xfrm_sock_addr(addr, len, secure_getenv(XI_XFRM_SOCK_ENV)))
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int connect_to(int fd)
{
	struct timeval wait = { .tv_sec = CONNECT_SECONDS }, none = { 0 };
	struct sockaddr_un addr;
	socklen_t len;

	if (server_addr(&addr, &len))
		return -1;
	REAL(setsockopt)(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (REAL(connect)(fd, (struct sockaddr *)&addr, len))
		return -1;
	REAL(setsockopt)(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
	if (server_trusted(fd))
		return 0;
	errno = EPERM; /* somebody else took the name */
	return -1;
}

int shim_connect(int flags)
{
	int cancel, fd, saved;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET | flags, 0);
	if (fd >= 0 && connect_to(fd)) {
		saved = errno;
		REAL(close)(fd);
		errno = saved;
		fd = -1;
	}
	pthread_setcancelstate(cancel, NULL);
	return fd;
}

/* Is it one that another program image, or a parent, had from this library? */
bool shim_is_link(int fd)
{
	struct sockaddr_un peer, server;
	socklen_t len = sizeof(peer), server_len;

	if (REAL(getpeername)(fd, (struct sockaddr *)&peer, &len) ||
	    server_addr(&server, &server_len))
		return false;
	return len == server_len && !memcmp(&peer, &server, len) && server_trusted(fd);
}

int shim_control(int fd, uint32_t op, uint32_t a, uint32_t b)
{
	struct {
		struct nlmsghdr hdr;
		struct xi_xfrm_ctl ctl;
	} msg = {
		.hdr = { .nlmsg_len = sizeof(msg), .nlmsg_type = XI_XFRM_CTL },
		.ctl = { op, a, b },
	};
	int saved = errno, cancel, rc;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	rc = REAL(send)(fd, &msg, sizeof(msg), MSG_NOSIGNAL) < 0 ? -1 : 0;
	pthread_setcancelstate(cancel, NULL);
	errno = saved;
	return rc;
}

static void state_ask(struct shim_sock *s, int fd)
{
	if (s->inherited && !s->asked && !s->down)
		s->asked = !shim_control(fd, XI_CTL_ECHO, 0, 0);
}

void shim_autobind(struct shim_sock *s, int fd)
{
	static atomic_uint rover;
	uint32_t id = getpid();

	if (s->inherited)
		state_ask(s, fd);
	if (s->portid || s->inherited)
		return;
	while (shim_portid_taken(s, id))
		id = (uint32_t)-4097 - atomic_fetch_add(&rover, 1);
	s->portid = id;
	if (!s->down)
		shim_control(fd, XI_CTL_HELLO, s->portid, getpid());
}
