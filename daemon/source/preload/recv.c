/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A datagram from the server, or what netlink would say instead. */
#include "source/preload/shim.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define RETRY_MS 1000
/*
 * Netlink's answers are there when a request was sent, and the rest of a dump is made while it is
 * read. So what does not want to wait waits all the same for what was asked for.
 */
#define ANSWER_MS 1000
#define NAP_NS 100000000

/* One call of the program. */
struct reading {
	struct shim_sock *s;
	int fd;
	int flags;
	bool dontwait;
	bool waited;                 /* nothing was there when the program came */
	bool lost;                   /* the server, during this call */
	int64_t until;               /* ms; -1: for ever */
	int64_t answer_until;        /* ms; 0: did not wait for one yet */
};

static int fail(int err)
{
	errno = err;
	return -1;
}

static int wait_readable(struct reading *r)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	int64_t left = r->until < 0 ? RETRY_MS : r->until - shim_now();
	int n;

	if (left <= 0)
		return fail(EAGAIN);
	n = REAL(poll)(&p, 1, left < RETRY_MS ? left : RETRY_MS);
	if (n > 0 && (p.revents & POLLHUP))
		nanosleep(&nap, NULL); /* there was no descriptor for a timer */
	return n < 0 ? -1 : 0;
}

/*
 * While there is no server: 0 to try again, -1 with errno. Who waited by poll must not be made
 * to wait here, for other descriptors of the program would starve.
 */
static int recv_down(struct reading *r)
{
	bool polled = shim_tick(r->s, r->fd) || r->lost;

	r->lost = false;
	if (shim_retry(r->s))
		return 0;
	if (r->dontwait)
		return fail(EAGAIN);
	if (polled && !r->waited)
		return fail(ENOBUFS);
	r->waited = true;
	return wait_readable(r);
}

static bool take_lost(struct shim_sock *s)
{
	struct shim_hold hold = shim_lock(s);
	bool lost = s->lost;

	s->lost = false;
	shim_unlock(&hold);
	return lost && !(s->opts & (1U << NETLINK_NO_ENOBUFS));
}

static void name_fill(struct msghdr *msg)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };

	if (!msg->msg_name)
		return;
	memcpy(msg->msg_name, &nl, msg->msg_namelen < sizeof(nl) ? msg->msg_namelen : sizeof(nl));
	msg->msg_namelen = sizeof(nl);
}

/* What the server tells us in between. */
static void control_take(struct shim_sock *s, const struct shim_control *c, size_t len)
{
	struct shim_hold hold = shim_lock(s);

	if (c->ctl.op == XI_CTL_OVERRUN)
		s->lost = true;
	if (c->ctl.op == XI_CTL_ECHO && s->inherited && len >= sizeof(*c)) {
		s->portid = c->ctl.a;
		s->groups = c->ctl.b;
		s->inherited = false;
	}
	shim_unlock(&hold);
}

/* Into msg; of a control message c is the whole. Waits only where `flags` permit it. */
static ssize_t recv_raw(struct reading *r, struct msghdr *msg, int flags, struct shim_control *c)
{
	struct msghdr plain = *msg;
	char byte;
	ssize_t n;

	memset(c, 0, sizeof(*c));
	plain.msg_name = NULL;
	plain.msg_namelen = 0;
	/* the program's own buffer may be too short for ours, or a look is all that it takes */
	if ((flags & MSG_PEEK) || shim_iov_len(msg->msg_iov, msg->msg_iovlen) < sizeof(*c)) {
		n = REAL(recv)(r->fd, c, sizeof(*c), MSG_PEEK | (flags & MSG_DONTWAIT));
		if (n <= 0)
			return n;
		if (c->hdr.nlmsg_type == XI_XFRM_CTL)
			return REAL(recv)(r->fd, &byte, 1, MSG_DONTWAIT);
		flags |= MSG_DONTWAIT;
	}
	n = REAL(recvmsg)(r->fd, &plain, flags);
	if (n <= 0)
		return n;
	if (!c->hdr.nlmsg_len)
		shim_iov_copy(c, (size_t)n < sizeof(*c) ? (size_t)n : sizeof(*c), msg->msg_iov,
			      msg->msg_iovlen, 0);
	msg->msg_flags = plain.msg_flags;
	if (c->hdr.nlmsg_type != XI_XFRM_CTL)
		shim_ancillary(r->s, msg, msg->msg_controllen, plain.msg_controllen, &c->hdr);
	return n;
}

static bool answer_wait(struct reading *r)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	int64_t now = shim_now();

	if (!r->s->npending)
		return false;
	if (!r->answer_until)
		r->answer_until = now + ANSWER_MS;
	if (now < r->answer_until && REAL(poll)(&p, 1, (int)(r->answer_until - now)))
		return true; /* EINTR as well */
	shim_requests_forget(r->s);
	return false;
}

/*
 * Looks first whether the server is gone already, as a program that came by poll would have been
 * told: then it must not wait. Who waits for an answer does not need it.
 */
static ssize_t recv_wait(struct reading *r, struct msghdr *msg, struct shim_control *c)
{
	ssize_t n;

	if (!r->dontwait && (r->waited || r->s->npending))
		return recv_raw(r, msg, r->flags, c);
	n = recv_raw(r, msg, r->flags | MSG_DONTWAIT, c);
	if (n >= 0 || errno != EAGAIN)
		return n;
	if (!r->dontwait) {
		r->waited = true;
		return recv_raw(r, msg, r->flags, c);
	}
	return answer_wait(r) ? recv_raw(r, msg, r->flags | MSG_DONTWAIT, c) : fail(EAGAIN);
}

/* 1: done, *n is the result; 0: again. */
static int recv_step(struct reading *r, struct msghdr *msg, ssize_t *n)
{
	struct shim_control c;

	*n = shim_requests_answer(r->s, msg, r->flags);
	if (*n >= 0)
		return 1;
	if (r->s->lost && take_lost(r->s)) {
		*n = fail(ENOBUFS);
		return 1;
	}
	if (r->s->down) {
		*n = recv_down(r);
		return *n < 0;
	}
	*n = recv_wait(r, msg, &c);
	if (*n < 0 && errno != ECONNRESET && errno != ENOTSOCK)
		return 1;
	if (*n <= 0) {
		shim_lost_server(r->s, r->fd);
		r->lost = true;
		return 0;
	}
	if (c.hdr.nlmsg_type == XI_XFRM_CTL) {
		control_take(r->s, &c, sizeof(c));
		return 0;
	}
	if (!(r->flags & MSG_PEEK) && r->s->npending)
		shim_requests_done(r->s, &c.hdr);
	return 1;
}

ssize_t shim_recv(int fd, struct msghdr *msg, int flags)
{
	SHIM_GET(s, fd);
	struct reading r = { .s = s, .fd = fd, .flags = flags, .until = -1 };
	ssize_t n;

	if (!s)
		return fail(EBADF);
	if (flags & MSG_OOB)
		return fail(EOPNOTSUPP);
	r.dontwait = (flags & MSG_DONTWAIT) || s->nonblock;
	if (!r.dontwait && shim_recv_timeout(s) >= 0)
		r.until = shim_now() + shim_recv_timeout(s);
	while (!recv_step(&r, msg, &n))
		;
	if (n >= 0)
		name_fill(msg);
	return n;
}
