// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Preloaded into user-mode Linux, whose devices are packet sockets of the host. What comes while the host runs somebody else
 * waits in the socket, beside what was sent by it. The default of 208 KB does not hold what comes in the tenths of a second
 * that a busy machine takes, and the kernel in there sees nothing of the loss.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define WAITING (32 << 20)       /* bytes, which the kernel doubles: seconds of all that the tests send */

/* A device has two, one to send: that one gets IPv4, too, and nobody reads it. */
static int packet_prepare(int fd, int protocol)
{
	static struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	const struct sock_fprog deaf = {.len = 1, .filter = &nothing};
	int bytes = WAITING, one = 1;

	if (!protocol)
		return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &deaf, sizeof(deaf));
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		return -1;
	return setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
}

int socket(int domain, int type, int protocol)
{
	static int (*next)(int domain, int type, int protocol);
	int fd;

	if (!next)
		next = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
	if (!next) {
		errno = ENOSYS;
		return -1;
	}
	fd = next(domain, type, protocol);
	if (fd < 0 || domain != AF_PACKET || !packet_prepare(fd, protocol))
		return fd;
	perror("user-mode Linux: a packet socket cannot be prepared");
	close(fd);
	return -1;
}
