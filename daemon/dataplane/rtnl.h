/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A routing netlink socket: requests with their answers, and change notifications. Not thread-safe.
 */
#ifndef XI_RTNL_H
#define XI_RTNL_H

#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>
#include <netlink/msg.h>

#define XI_RTNL_BATCH 128        /* messages of one datagram */

struct xi_rtnl {
	int fd;
	uint32_t seq;
	char *buf;                   /* XI_RTNL_BUF bytes: one datagram */
	char text[128];              /* the kernel's words on the last failed request, or empty */
};

/*
 * A message that is no error, acknowledgement or end of dump. A negative return ends the reading.
 */
typedef int (*xi_rtnl_fn)(void *arg, const struct nlmsghdr *nlh);

int xi_rtnl_open(struct xi_rtnl *rt);
/* Works on a zeroed struct, too. */
void xi_rtnl_close(struct xi_rtnl *rt);
/*
 * Joins RTNLGRP_* groups and makes the socket non-blocking: it serves xi_rtnl_events from then on.
 */
int xi_rtnl_subscribe(struct xi_rtnl *rt, const unsigned int *groups, size_t n);

/*
 * A message of type with the family header hdr. NULL: no memory, which xi_rtnl_request turns into
 * -ENOMEM.
 */
struct nl_msg *xi_rtnl_message(int type, int flags, const void *hdr, size_t len);
void xi_rtnl_put(struct nl_msg *msg, int type, const void *data, size_t len);
void xi_rtnl_put_u32(struct nl_msg *msg, int type, uint32_t value);
void xi_rtnl_put_str(struct nl_msg *msg, int type, const char *value);

/*
 * Sends msg (and frees it), hands every answer to fn (may be NULL) and waits for the kernel's
 * acknowledgement. The kernel's error as -errno; -EAGAIN: a dump was disturbed by a change, ask
 * again.
 */
int xi_rtnl_request(struct xi_rtnl *rt, struct nl_msg *msg, xi_rtnl_fn fn, void *arg);
/*
 * Sends n messages (and frees them) as one datagram; errs[i]: 0, or what the kernel answered to the i-th as -errno. For a
 * socket of its own, which waits for nothing. 0, or -errno when the datagram as a whole could not be sent.
 */
int xi_rtnl_batch(struct xi_rtnl *rt, struct nl_msg *const *msgs, int *errs, size_t n);
/*
 * The same for a dump, asked again when disturbed; restart (may be NULL) forgets what fn has
 * collected.
 */
int xi_rtnl_dump(struct xi_rtnl *rt, int type, unsigned char family, xi_rtnl_fn fn,
		 void (*restart)(void *arg), void *arg);
/*
 * Hands waiting notifications to fn, but not without end: the socket stays readable when there are
 * more. -ENOBUFS: some were lost, start over with dumps.
 */
int xi_rtnl_events(struct xi_rtnl *rt, xi_rtnl_fn fn, void *arg);

/* Parses the attributes behind a family header of hdrlen bytes; tb has max + 1 places. */
int xi_rtnl_parse(const struct nlmsghdr *nlh, size_t hdrlen, struct nlattr *tb[], int max);

#endif
