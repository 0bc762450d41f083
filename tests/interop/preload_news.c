/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * preload_news poll|block|level|edge|libevent
 *
 * A reader of XFRM news of the group SA, in one of the ways in which programs wait. Says "ready",
 * then "news TYPE" for each message and "lost" for each ENOBUFS; when a line comes on its standard
 * input "woken N": how often it came to look.
 */
#include <errno.h>
#include <event2/event.h>
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
#include <sys/socket.h>
#include <unistd.h>

static int xfrm;
static unsigned long woken;

/* false: there is no more. Prints what there is. */
static bool read_one(int flags)
{
	union {
		struct nlmsghdr hdr;
		char buf[12288];
	} m;
	ssize_t n = recv(xfrm, &m, sizeof(m), flags);

	if (n > 0) {
		printf("news %d\n", m.hdr.nlmsg_type);
		return true;
	}
	if (n < 0 && errno == ENOBUFS) {
		puts("lost");
		return true;
	}
	if (n == 0 || errno != EAGAIN) {
		printf("wrong: recv %zd: %s\n", n, strerror(errno));
		exit(1);
	}
	return false;
}

static void finish(void)
{
	printf("woken %lu\n", woken);
	exit(0);
}

static bool input_came(void)
{
	char byte;

	return read(0, &byte, 1) >= 0;
}

static void *finish_later(void *arg)
{
	while (!input_came())
		;
	finish();
	return NULL;
}

static void by_blocking(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, finish_later, NULL);
	for (;; woken++)
		read_one(0);
}

/* With a blocking socket: it must not wait in recv() when poll() said that something is there. */
static void by_poll(void)
{
	struct pollfd p[2] = { { 0, POLLIN, 0 }, { xfrm, POLLIN, 0 } };

	for (;; woken++) {
		if (poll(p, 2, -1) < 0)
			exit(1);
		if (p[0].revents && input_came())
			finish();
		if (p[1].revents)
			read_one(0);
	}
}

static void by_epoll(uint32_t flags)
{
	struct epoll_event in = { .events = EPOLLIN, .data.fd = 0 };
	struct epoll_event news = { .events = EPOLLIN | flags, .data.fd = xfrm };
	int ep = epoll_create1(EPOLL_CLOEXEC);

	fcntl(xfrm, F_SETFL, fcntl(xfrm, F_GETFL) | O_NONBLOCK);
	if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &in) || epoll_ctl(ep, EPOLL_CTL_ADD, xfrm, &news))
		exit(1);
	for (;; woken++) {
		struct epoll_event e;

		if (epoll_wait(ep, &e, 1, -1) < 1)
			exit(1);
		if (e.data.fd == 0 && input_came())
			finish();
		while (e.data.fd == xfrm && read_one(0) && flags)
			;
	}
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
	woken++;
	read_one(0);
}

static void on_input(evutil_socket_t fd, short what, void *arg)
{
	if (input_came())
		finish();
}

static void by_libevent(void)
{
	struct event_base *base = event_base_new();

	evutil_make_socket_nonblocking(xfrm);
	event_add(event_new(base, xfrm, EV_READ | EV_PERSIST, on_news, NULL), NULL);
	event_add(event_new(base, 0, EV_READ | EV_PERSIST, on_input, NULL), NULL);
	puts(event_base_get_method(base));
	event_base_dispatch(base);
}

int main(int argc, char **argv)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = 1 << (XFRMNLGRP_SA - 1) };
	const char *how = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	xfrm = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);
	if (xfrm < 0 || bind(xfrm, (struct sockaddr *)&nl, sizeof(nl))) {
		perror("socket");
		return 1;
	}
	puts("ready");
	if (!strcmp(how, "poll"))
		by_poll();
	else if (!strcmp(how, "block"))
		by_blocking();
	else if (!strcmp(how, "level"))
		by_epoll(0);
	else if (!strcmp(how, "edge"))
		by_epoll(EPOLLET);
	else if (!strcmp(how, "libevent"))
		by_libevent();
	return 2;
}
