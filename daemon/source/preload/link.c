/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The connection behind a socket: making it, and making it again when the server was restarted. */
#include "source/preload/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* How long a connect may wait for a busy server. */
#define CONNECT_SECONDS 5
#define RETRY_SECONDS 1

static int server_trusted(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (REAL(getsockopt)(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return 0;
	return cred.uid == 0 || cred.uid == geteuid();
}

static int connect_to(int fd)
{
	struct timeval wait = { .tv_sec = CONNECT_SECONDS }, none = { 0 };
	struct sockaddr_un addr;
	socklen_t len;

	if (xi_xfrm_sock_addr(&addr, &len, secure_getenv(XI_XFRM_SOCK_ENV))) {
		errno = ENAMETOOLONG;
		return -1;
	}
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
	int fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET | flags, 0);
	int saved;

	if (fd < 0)
		return -1;
	if (!connect_to(fd))
		return fd;
	saved = errno;
	REAL(close)(fd);
	errno = saved;
	return -1;
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

	return REAL(send)(fd, &msg, sizeof(msg), MSG_NOSIGNAL) < 0 ? -1 : 0;
}

void shim_autobind(struct shim_sock *s, int fd)
{
	static atomic_uint rover;
	uint32_t id = getpid();

	if (s->bound)
		return;
	while (shim_portid_taken(s, id))
		id = (uint32_t)-4097 - atomic_fetch_add(&rover, 1);
	s->portid = id;
	s->bound = true;
	if (!s->down)
		shim_control(fd, XI_CTL_HELLO, s->portid, getpid());
}

/* Everything the program told the old connection. */
static void replay_settings(const struct shim_sock *s, int fd)
{
	if (s->bound)
		shim_control(fd, XI_CTL_HELLO, s->portid, getpid());
	shim_control(fd, XI_CTL_GROUPS, s->groups, 0);
	for (uint32_t opt = 0; opt < 32; opt++) {
		if (s->opts & (1U << opt))
			shim_control(fd, XI_CTL_OPT, opt, 1);
	}
}

/* dup3() puts the new file under the number that the program knows. */
static void replace_fd(int fd, void *arg)
{
	int with = *(const int *)arg;
	int flags = REAL(fcntl)(fd, F_GETFD);

	REAL(dup3)(with, fd, flags >= 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
}

static void replace_all(struct shim_sock *s, int with, bool nonblock)
{
	int flags = REAL(fcntl)(with, F_GETFL);

	REAL(fcntl)(with, F_SETFL, nonblock ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
	shim_each_fd(s, replace_fd, &with);
	REAL(close)(with);
}

/* At most once a second: a server that hangs up at once (it trusts us not) must not make anybody
 * spin. */
static bool server_connect(struct shim_sock *s)
{
	struct timespec now;
	int fd;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (s->connected && now.tv_sec - s->connected < RETRY_SECONDS)
		return false;
	fd = shim_connect(SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	s->connected = now.tv_sec;
	replay_settings(s, fd);
	replace_all(s, fd, s->nonblock);
	s->down = false;
	s->lost = s->groups != 0;
	return true;
}

/*
 * A timer becomes readable now and then, so that a program that waits for news comes to ask, and
 * finds the server again; a closed connection would be readable all the time and make it spin.
 */
static void wait_for_server(struct shim_sock *s)
{
	struct itimerspec every = { .it_value.tv_sec = RETRY_SECONDS,
				    .it_interval.tv_sec = RETRY_SECONDS };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return;
	timerfd_settime(fd, 0, &every, NULL);
	replace_all(s, fd, true);
	s->down = true;
}

static void fail_pending(struct shim_sock *s)
{
	for (unsigned int i = 0; i < s->npending && s->nfailed < SHIM_PENDING; i++)
		s->failed[s->nfailed++] = s->pending[i];
	s->npending = 0;
}

/* Another thread may have reconnected already: then the descriptor is alive. */
static bool is_dead(int fd)
{
	char byte;
	ssize_t n = REAL(recv)(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void shim_lost_server(struct shim_sock *s, int fd)
{
	int flags;

	pthread_mutex_lock(&s->lock);
	if (!s->down && is_dead(fd)) {
		flags = REAL(fcntl)(fd, F_GETFL);
		s->nonblock = flags >= 0 && (flags & O_NONBLOCK);
		fail_pending(s);
		if (!server_connect(s))
			wait_for_server(s);
	}
	pthread_mutex_unlock(&s->lock);
}

bool shim_retry(struct shim_sock *s, int fd)
{
	uint64_t ticks;
	bool up;

	pthread_mutex_lock(&s->lock);
	if (s->down) {
		if (REAL(read)(fd, &ticks, sizeof(ticks)) < 0)
			ticks = 0;
		server_connect(s);
	}
	up = !s->down;
	pthread_mutex_unlock(&s->lock);
	return up;
}
