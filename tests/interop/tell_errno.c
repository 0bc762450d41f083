/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Preloaded: writes the error numbers of netlink's answers to the descriptor TELL_ERRNO. A program that is given words prints no number. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t (*next)(int, struct msghdr *, int) = dlsym(RTLD_NEXT, "recvmsg");
	const char *to = getenv("TELL_ERRNO");
	ssize_t n = next(fd, msg, flags);
	struct {
		struct nlmsghdr hdr;
		int error;
	} answer;

	if (n < (ssize_t)sizeof(answer) || !msg->msg_iovlen || msg->msg_iov[0].iov_len < sizeof(answer))
		return n;
	memcpy(&answer, msg->msg_iov[0].iov_base, sizeof(answer));
	if (answer.hdr.nlmsg_type == NLMSG_ERROR && answer.error && to)
		dprintf(atoi(to), "%d\n", -answer.error);
	return n;
}
