/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the XFRM server and the preload library agree on. XFRM netlink messages travel unchanged,
 * one a datagram, over a SEQPACKET Unix socket with an abstract name, which belongs to the
 * network namespace.
 *
 * The name is ten bytes: NUL, one letter, eight NULs. A receiver then sees an address of 12
 * bytes (sizeof(struct sockaddr_nl)) whose nl_pid and nl_groups are 0, as if the kernel had sent
 * the message.
 */
#ifndef XI_XFRM_PROTO_H
#define XI_XFRM_PROTO_H

#include <linux/types.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define XI_XFRM_SOCK_DEFAULT "x"
#define XI_XFRM_SOCK_ENV "XIPSEC_XFRM_SOCK"
#define XI_XFRM_SOCK_MIN 10

/*
 * Longest message to a client: an SA with a replay window of 65536 packets, that is 8 KiB of
 * bitmap. charon's receive buffer has 4096 bytes: it has no room to ask for such a window, and
 * nothing else is as long as that.
 */
#define XI_XFRM_REPLY_MAX 12288
#define XI_XFRM_ERROR_MAX 4096
#define XI_XFRM_REQUEST_MAX 212992   /* what netlink takes by default: many messages in one datagram */

/*
 * Control message: nlmsg_type below NLMSG_MIN_TYPE, body struct xi_xfrm_ctl. It travels in order
 * with the requests and has no answer, but for an echo.
 */
#define XI_XFRM_CTL 0x0f

enum xi_xfrm_ctl_op {
	XI_CTL_HELLO = 1,            /* a: port id of this socket, b: pid (informative only) */
	XI_CTL_GROUPS = 2,           /* a: nl_groups of bind() */
	XI_CTL_ADD = 3,              /* a: group number */
	XI_CTL_DROP = 4,             /* a: group number */
	XI_CTL_OPT = 5,              /* a: NETLINK_* option, b: value */
	XI_CTL_OVERRUN = 6,          /* to the client: multicast messages were lost; to the server: say so */
	XI_CTL_ECHO = 7,             /* to the server: answer it; the answer is a: port id, b: groups */
};

struct xi_xfrm_ctl {
	__u32 op;
	__u32 a;
	__u32 b;
};

/* Address of the server called `name` (NULL: the default). 0, or -1 when the name is too long. */
static inline int xi_xfrm_sock_addr(struct sockaddr_un *addr, socklen_t *len, const char *name)
{
	size_t n;

	if (!name || !*name)
		name = XI_XFRM_SOCK_DEFAULT;
	n = strlen(name);
	if (n > sizeof(addr->sun_path) - 1)
		return -1;
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path + 1, name, n);
	if (n + 1 < XI_XFRM_SOCK_MIN)
		n = XI_XFRM_SOCK_MIN - 1;
	*len = offsetof(struct sockaddr_un, sun_path) + 1 + n;
	return 0;
}

#endif
