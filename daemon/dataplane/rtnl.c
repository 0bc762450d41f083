/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "dataplane/rtnl.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>

/* The kernel fills dump datagrams up to 32 KiB, whatever the page size. */
#define XI_RTNL_BUF 32768
#define XI_RTNL_RCVBUF (4 << 20)
#define XI_RTNL_DUMP_TRIES 8
#define XI_RTNL_EVENTS 256

int xi_rtnl_open(struct xi_rtnl *rt)
{
	struct sockaddr_nl local = {.nl_family = AF_NETLINK};
	int one = 1;
	int err;

	*rt = (struct xi_rtnl){.fd = -1};
	rt->buf = malloc(XI_RTNL_BUF);
	if (!rt->buf)
		return -ENOMEM;
	rt->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (rt->fd < 0 || bind(rt->fd, (struct sockaddr *)&local, sizeof(local)) < 0) {
		err = -errno;
		xi_rtnl_close(rt);
		return err;
	}
	/*
	 * Capped: an error carries the kernel's text right behind the header, not behind our own
	 * request.
	 */
	(void)setsockopt(rt->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	(void)setsockopt(rt->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	return 0;
}

void xi_rtnl_close(struct xi_rtnl *rt)
{
	if (rt->buf && rt->fd >= 0)
		close(rt->fd);
	free(rt->buf);
	*rt = (struct xi_rtnl){.fd = -1};
}

int xi_rtnl_subscribe(struct xi_rtnl *rt, const unsigned int *groups, size_t n)
{
	int size = XI_RTNL_RCVBUF;
	int flags;

	if (setsockopt(rt->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(rt->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (size_t i = 0; i < n; i++)
		if (setsockopt(rt->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])) < 0)
			return -errno;
	flags = fcntl(rt->fd, F_GETFL);
	if (flags < 0 || fcntl(rt->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

struct nl_msg *xi_rtnl_message(int type, int flags, const void *hdr, size_t len)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);
	int err = msg ? nlmsg_append(msg, (void *)hdr, len, NLMSG_ALIGNTO) : 0;

	assert(!err);
	(void)err;
	return msg;
}

/*
 * Messages here are far smaller than the page that nlmsg_alloc gives: running out is a programmer's
 * error.
 */
void xi_rtnl_put(struct nl_msg *msg, int type, const void *data, size_t len)
{
	int err = msg ? nla_put(msg, type, (int)len, data) : 0;

	assert(!err);
	(void)err;
}

void xi_rtnl_put_u32(struct nl_msg *msg, int type, uint32_t value)
{
	xi_rtnl_put(msg, type, &value, sizeof(value));
}

void xi_rtnl_put_str(struct nl_msg *msg, int type, const char *value)
{
	xi_rtnl_put(msg, type, value, strlen(value) + 1);
}

/* One datagram of the kernel's. Bytes, 0 to try again, or -errno. */
static ssize_t rtnl_receive(struct xi_rtnl *rt)
{
	struct sockaddr_nl from = {0};
	struct iovec iov = {.iov_base = rt->buf, .iov_len = XI_RTNL_BUF};
	struct msghdr mh = {
		.msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(rt->fd, &mh, 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (from.nl_pid)
		return 0;
	return mh.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

static void rtnl_keep_text(struct xi_rtnl *rt, const struct nlmsghdr *nlh)
{
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS) ||
	    xi_rtnl_parse(nlh, sizeof(struct nlmsgerr), tb, NLMSGERR_ATTR_MAX))
		return;
	if (tb[NLMSGERR_ATTR_MSG])
		snprintf(rt->text, sizeof(rt->text), "%.*s", nla_len(tb[NLMSGERR_ATTR_MSG]),
			 (const char *)nla_data(tb[NLMSGERR_ATTR_MSG]));
}

/* Everything in one datagram. 1: the answer is complete. */
static int rtnl_answers(struct xi_rtnl *rt, ssize_t n, xi_rtnl_fn fn, void *arg, bool *disturbed)
{
	int left = (int)n;

	for (struct nlmsghdr *nlh = (void *)rt->buf; nlmsg_ok(nlh, left);
	     nlh = nlmsg_next(nlh, &left)) {
		const struct nlmsgerr *e = nlmsg_data(nlh);
		int err;

		if (nlh->nlmsg_seq != rt->seq)
			continue;
		*disturbed |= nlh->nlmsg_flags & NLM_F_DUMP_INTR;
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
				return -EBADMSG;
			rtnl_keep_text(rt, nlh);
			return e->error ? e->error : 1;
		}
		err = fn ? fn(arg, nlh) : 0;
		if (err < 0)
			return err;
	}
	return 0;
}

int xi_rtnl_request(struct xi_rtnl *rt, struct nl_msg *msg, xi_rtnl_fn fn, void *arg)
{
	struct nlmsghdr *nlh;
	bool disturbed = false;
	int err = 0;

	if (!msg)
		return -ENOMEM;
	rt->text[0] = '\0';
	nlh = nlmsg_hdr(msg);
	nlh->nlmsg_seq = ++rt->seq;
	if ((nlh->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlh->nlmsg_flags |= NLM_F_ACK;
	if (send(rt->fd, nlh, nlh->nlmsg_len, 0) < 0)
		err = -errno;
	nlmsg_free(msg);
	while (!err) {
		ssize_t n = rtnl_receive(rt);

		err = n < 0 ? (int)n : rtnl_answers(rt, n, fn, arg, &disturbed);
	}
	if (err < 0)
		return err;
	return disturbed ? -EAGAIN : 0;
}

/* The kernel has dealt with all of them when they are sent: errors are there, and nothing else comes. */
static void rtnl_take_errors(struct xi_rtnl *rt, uint32_t first, int *errs, size_t n)
{
	ssize_t len;

	while ((len = recv(rt->fd, rt->buf, XI_RTNL_BUF, MSG_DONTWAIT)) > 0) {
		int left = (int)len;

		for (struct nlmsghdr *nlh = (void *)rt->buf; nlmsg_ok(nlh, left);
		     nlh = nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = nlmsg_data(nlh);

			if (nlh->nlmsg_type == NLMSG_ERROR &&
			    nlh->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) && nlh->nlmsg_seq - first < n)
				errs[nlh->nlmsg_seq - first] = e->error;
		}
	}
}

int xi_rtnl_batch(struct xi_rtnl *rt, struct nl_msg *const *msgs, int *errs, size_t n)
{
	struct iovec iov[XI_RTNL_BATCH];
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = n};
	uint32_t first = rt->seq + 1;
	int err = n > XI_RTNL_BATCH ? -E2BIG : 0;

	for (size_t i = 0; i < n && !err; i++) {
		struct nlmsghdr *nlh = msgs[i] ? nlmsg_hdr(msgs[i]) : NULL;

		errs[i] = 0;
		if (!nlh) {
			err = -ENOMEM;
			break;
		}
		nlh->nlmsg_seq = ++rt->seq;
		iov[i] = (struct iovec){.iov_base = nlh, .iov_len = NLMSG_ALIGN(nlh->nlmsg_len)};
	}
	if (!err && sendmsg(rt->fd, &mh, 0) < 0)
		err = -errno;
	for (size_t i = 0; i < n; i++)
		if (msgs[i])
			nlmsg_free(msgs[i]);
	if (!err)
		rtnl_take_errors(rt, first, errs, n);
	return err;
}

int xi_rtnl_dump(struct xi_rtnl *rt, int type, unsigned char family, xi_rtnl_fn fn,
		 void (*restart)(void *arg), void *arg)
{
	struct rtgenmsg hdr = {.rtgen_family = family};
	int err = -EAGAIN;

	for (int i = 0; i < XI_RTNL_DUMP_TRIES && err == -EAGAIN; i++) {
		if (restart)
			restart(arg);
		err = xi_rtnl_request(rt, xi_rtnl_message(type, NLM_F_DUMP, &hdr, sizeof(hdr)), fn,
				      arg);
	}
	return err;
}

int xi_rtnl_events(struct xi_rtnl *rt, xi_rtnl_fn fn, void *arg)
{
	for (int i = 0; i < XI_RTNL_EVENTS; i++) {
		ssize_t n = rtnl_receive(rt);
		int left = (int)n;

		if (n < 0)
			return n == -EAGAIN ? 0 : (int)n;
		for (struct nlmsghdr *nlh = (void *)rt->buf; nlmsg_ok(nlh, left);
		     nlh = nlmsg_next(nlh, &left)) {
			int err = nlh->nlmsg_type < NLMSG_MIN_TYPE ? 0 : fn(arg, nlh);

			if (err < 0)
				return err;
		}
	}
	return 0;
}

int xi_rtnl_parse(const struct nlmsghdr *nlh, size_t hdrlen, struct nlattr *tb[], int max)
{
	struct nlmsghdr *h = (struct nlmsghdr *)nlh;

	if (!nlmsg_valid_hdr(h, (int)hdrlen))
		return -EBADMSG;
	return nla_parse(tb, max, nlmsg_attrdata(h, (int)hdrlen), nlmsg_attrlen(h, (int)hdrlen),
			 NULL)
		       ? -EBADMSG
		       : 0;
}
