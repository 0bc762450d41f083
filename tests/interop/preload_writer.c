/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * preload_writer poll|ppoll|select|pselect|level|out|oneshot
 *
 * Sends XFRM requests, and waits before each until the socket takes one, in one of the ways in which programs wait: netlink's
 * always does. Says "ready", then "answered" or "refused" whenever that changes; a line on its standard input ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int xfrm, ep;

static void *finish_later(void *arg)
{
	char byte;

	if (read(0, &byte, 1) >= 0)
		exit(0);
	return NULL;
}

static bool by_poll(bool with_mask)
{
	struct pollfd p[2] = { { ep, POLLIN, 0 }, { xfrm, POLLIN | POLLOUT, 0 } };
	int n = with_mask ? ppoll(p, 2, NULL, NULL) : poll(p, 2, -1);

	return n == 1 && !p[0].revents && p[1].revents & POLLOUT;
}

static bool by_select(bool with_mask)
{
	fd_set in, out;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_SET(ep, &in);
	FD_SET(xfrm, &out);
	n = with_mask ? pselect(xfrm + 1, &in, &out, NULL, NULL, NULL)
		      : select(xfrm + 1, &in, &out, NULL, NULL);
	return n == 1 && !FD_ISSET(ep, &in) && FD_ISSET(xfrm, &out);
}

static bool by_epoll(const char *how)
{
	struct epoll_event e = { .events = EPOLLOUT, .data.fd = xfrm };
	static bool added;

	if (!strcmp(how, "level"))
		e.events |= EPOLLIN;
	if (!strcmp(how, "oneshot"))
		e.events |= EPOLLONESHOT | EPOLLET;
	if ((!added || e.events & EPOLLONESHOT) &&
	    epoll_ctl(ep, added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, xfrm, &e))
		exit(1);
	added = true;
	return epoll_wait(ep, &e, 1, -1) == 1 && e.data.fd == xfrm && e.events & EPOLLOUT;
}

static bool is_writable(const char *how)
{
	if (strstr(how, "poll"))
		return by_poll(how[1] == 'p');
	if (strstr(how, "select"))
		return by_select(how[0] == 'p');
	return by_epoll(how);
}

/* The state of things: an answer came, or the request was refused as netlink would. */
static const char *ask(void)
{
	static uint32_t seq;
	struct {
		struct nlmsghdr hdr;
		uint32_t flags;
	} r = { { sizeof(r), XFRM_MSG_GETSADINFO, NLM_F_REQUEST, ++seq, 0 }, 0 };
	union {
		struct nlmsghdr hdr;
		char buf[4096];
	} m;
	ssize_t n = send(xfrm, &r, sizeof(r), 0);

	if (n < 0 && errno == ECONNREFUSED)
		return "refused";
	if (n < 0)
		return strerror(errno);
	n = recv(xfrm, &m, sizeof(m), 0);
	if (n < 0)
		return errno == ENOBUFS || errno == EAGAIN ? NULL : strerror(errno);
	return m.hdr.nlmsg_type == XFRM_MSG_NEWSADINFO ? "answered" : "refused";
}

int main(int argc, char **argv)
{
	const struct timespec nap = { .tv_nsec = 20000000 };
	const char *now, *last = "";
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	ep = epoll_create1(EPOLL_CLOEXEC);
	xfrm = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_XFRM);
	if (ep < 0 || xfrm < 0 || argc < 2) {
		perror("socket");
		return 1;
	}
	pthread_create(&thread, NULL, finish_later, NULL);
	puts("ready");
	for (;; nanosleep(&nap, NULL)) {
		if (!is_writable(argv[1]))
			continue;
		now = ask();
		if (now && strcmp(now, last))
			puts(last = now);
	}
}
