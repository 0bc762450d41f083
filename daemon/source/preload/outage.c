/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * While there is no server. A timer stands in the connection's place: it becomes readable now and
 * then, so that a program that waits for news comes to ask, and finds the server again; a closed
 * connection would be readable all the time and make it spin. A timer is never writable: where an
 * epoll set waits for that, too, it is an eventfd, which always is; for others see hooks_poll.c.
 */
#include "source/preload/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_SECONDS 1
/* A server that hangs up at once (it trusts us not) must not make anybody spin. */
#define AGAIN_MS 200
/* How long answers of a dead server wait for who reads them. */
#define UNREAD_MS 1000

static void replace_fd(struct shim_sock *s, int fd, void *arg)
{
	int with = *(const int *)arg;
	int flags = REAL(fcntl)(fd, F_GETFD);

	shim_epolls_leave(s, fd);
	REAL(dup3)(with, fd, flags >= 0 && (flags & FD_CLOEXEC) ? O_CLOEXEC : 0);
	shim_epolls_enter(s, fd);
}

static void replace_all(struct shim_sock *s, int with)
{
	shim_each_fd(s, replace_fd, (void *)&with);
	REAL(close)(with);
}

/* Edge-triggered it would be told once, and of no tick: unless that is all that it waits for. */
static bool epoll_wants_out(const struct shim_sock *s)
{
	for (unsigned int i = 0; i < s->nepolls; i++) {
		uint32_t events = s->epolls[i].event.events;

		if (events & EPOLLOUT && (!(events & EPOLLET) || !(events & EPOLLIN)))
			return true;
	}
	return false;
}

static int timer_make(bool at_once)
{
	struct itimerspec every = { .it_value.tv_sec = TICK_SECONDS,
				    .it_interval.tv_sec = TICK_SECONDS };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (at_once)
		every.it_value = (struct timespec){ .tv_nsec = 1 };
	if (fd >= 0)
		timerfd_settime(fd, 0, &every, NULL);
	return fd;
}

static void stand_in_place(struct shim_sock *s)
{
	/* who waits by poll is to come for what we answer in the server's place */
	bool at_once = s->nfailed;
	int fd;

	s->writable = epoll_wants_out(s);
	fd = s->writable ? eventfd(at_once, EFD_CLOEXEC | EFD_NONBLOCK) : timer_make(at_once);
	if (fd >= 0) /* else no descriptor is left; recv waits in its own way */
		replace_all(s, fd);
}

void shim_stand_in_renew(struct shim_sock *s)
{
	if (s->down && epoll_wants_out(s) != s->writable)
		stand_in_place(s);
}

/*
 * Another thread may have reconnected already: then the descriptor is alive. What a dead server
 * has said is left to who reads it for a while.
 */
static bool is_dead(struct shim_sock *s, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int unread = 0;

	if (REAL(poll)(&p, 1, 0) < 1 || !(p.revents & POLLHUP))
		return false;
	if (REAL(ioctl)(fd, FIONREAD, &unread) || !unread)
		return true;
	if (!s->dying)
		s->dying = shim_now();
	return shim_now() - s->dying >= UNREAD_MS;
}

void shim_lost_server(struct shim_sock *s, int fd)
{
	struct shim_hold hold = shim_lock(s);

	if (!s->down && shim_find(fd) == s && is_dead(s, fd)) {
		s->dying = 0;
		shim_requests_fail(s);
		s->down = true;
		shim_any_lost = true;
		stand_in_place(s);
	}
	shim_unlock(&hold);
	if (s->down)
		shim_retry(s);
}

/* Everything the program told the old connection. */
static void replay_settings(const struct shim_sock *s, int fd)
{
	if (s->portid)
		shim_control(fd, XI_CTL_HELLO, s->portid, getpid());
	for (uint32_t opt = 0; opt < 32; opt++) {
		if (s->opts & (1U << opt))
			shim_control(fd, XI_CTL_OPT, opt, 1);
	}
	shim_options_restore(s, fd);
	if (s->groups) {
		shim_control(fd, XI_CTL_GROUPS, s->groups, 0);
		shim_control(fd, XI_CTL_OVERRUN, 0, 0);
	}
	if (s->nfailed)
		shim_control(fd, XI_CTL_ECHO, 0, 0);
}

bool shim_retry(struct shim_sock *s)
{
	struct shim_hold hold;
	int fd;

	if (!s->down)
		return true;
	if (s->found && shim_now() - s->found < AGAIN_MS)
		return false;
	fd = shim_connect(SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	hold = shim_lock(s);
	if (s->down && s->refs) {
		s->found = shim_now();
		replay_settings(s, fd);
		if (s->nonblock)
			REAL(fcntl)(fd, F_SETFL, O_RDWR | O_NONBLOCK);
		replace_all(s, fd);
		s->down = false;
	} else {
		REAL(close)(fd);
	}
	shim_unlock(&hold);
	return !s->down;
}

bool shim_tick(struct shim_sock *s, int fd)
{
	struct shim_hold hold = shim_lock(s);
	uint64_t ticks;
	bool ticked = s->down && shim_find(fd) == s &&
		      REAL(read)(fd, &ticks, sizeof(ticks)) == sizeof(ticks);

	shim_unlock(&hold);
	return ticked;
}
