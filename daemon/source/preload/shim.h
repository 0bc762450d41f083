/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Preload library: puts a connection to xipsecd in the place of every NETLINK_XFRM socket of a
 * program that knows nothing of it. All other descriptors pass through untouched, with no more
 * than one load for each call.
 *
 * It fails closed: without a server in the network namespace there is no XFRM socket, never the
 * kernel's.
 *
 * No descriptor of its own stays open: a program that closes all it does not know, or counts
 * them, finds its own alone. A reconnection therefore puts the new file under the program's
 * number (dup3), and into the epoll sets where the old one was.
 */
#ifndef XI_SHIM_H
#define XI_SHIM_H

#include <linux/netlink.h>
#include <pthread.h>
#include <stdatomic.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "source/preload/real.h"
#include "source/proto.h"

#define SHIM_PENDING 64
#define SHIM_EPOLLS 16
#define SHIM_KEPT 8

/* To and from the server, beside netlink. */
struct shim_control {
	struct nlmsghdr hdr;
	struct xi_xfrm_ctl ctl;
};

struct shim_request {
	uint32_t serial;             /* of sending, in this process */
	struct nlmsghdr hdr;
};

struct shim_epoll {
	int epfd;
	int fd;
	struct epoll_event event;
};

/* An option of SOL_SOCKET that the next connection must have, too. */
struct shim_kept {
	int opt;
	socklen_t len;
	char value[16];
};

/* One netlink socket; dup() makes several descriptors of it. */
struct shim_sock {
	atomic_bool used;
	atomic_uint refs;            /* descriptors */
	atomic_uint users;           /* calls under way: until they end nobody else gets it */
	pthread_mutex_t lock;
	/* from here on zero in a new one; what is read without the lock is atomic */
	int type;                    /* SOCK_RAW or SOCK_DGRAM, as the program asked */
	atomic_bool nonblock;        /* the program's O_NONBLOCK */
	atomic_bool inherited;       /* over exec: the server knows more of it than we do */
	atomic_bool asked;           /* and was asked */
	atomic_bool connected;       /* by connect(), to peer */
	_Atomic(uint32_t) peer;
	uint32_t peer_group;         /* as a mask */
	_Atomic(uint32_t) portid;    /* 0: not bound */
	_Atomic(uint32_t) groups;
	_Atomic(uint32_t) opts;      /* bit n: NETLINK_* option n is on */
	atomic_bool passcred;
	atomic_uint nkept;
	struct shim_kept kept[SHIM_KEPT];
	unsigned int nepolls;
	struct shim_epoll epolls[SHIM_EPOLLS];
	atomic_bool down;            /* no server: something else stands in for the descriptors */
	bool writable;               /* and an epoll set is told that it takes requests */
	_Atomic(int64_t) found;      /* CLOCK_MONOTONIC, ms: when the server was last found again */
	int64_t dying;               /* ms: since when it is gone, with answers of it still unread */
	atomic_bool lost;            /* news may have been missed: the next recv says ENOBUFS */
	uint32_t serial;
	atomic_uint npending;        /* requests without an answer yet, oldest first */
	struct shim_request pending[SHIM_PENDING];
	atomic_uint nfailed;         /* requests whose server died: answered by us */
	struct shim_request failed[SHIM_PENDING];
};

/* table.c: which descriptors are ours. Lock-free, so for signal handlers as well. */
struct shim_sock *shim_find(int fd);
/* With it the socket stays what it is until shim_put(). NULL: not ours (any more). */
struct shim_sock *shim_get(int fd);
void shim_put(struct shim_sock **s);
#define SHIM_GET(name, fd) \
	__attribute__((cleanup(shim_put))) struct shim_sock *name = shim_get(fd)
struct shim_sock *shim_alloc(void);
void shim_free(struct shim_sock *s);
/* Takes a reference; -1 and EMFILE when fd is too large. */
int shim_track(int fd, struct shim_sock *s);
void shim_untrack(int fd);
/* Calls fn for each descriptor of s. */
void shim_each_fd(struct shim_sock *s, void (*fn)(struct shim_sock *s, int fd, void *arg),
		  void *arg);
bool shim_portid_taken(const struct shim_sock *except, uint32_t portid);
int shim_last_fd(void);
/* Between vfork() and exec the child shares the table with its parent, and must not change it. */
bool shim_is_vfork_child(void);

/*
 * The lock of a socket is held for memory and system calls that do not wait, and no signal handler
 * runs in its thread meanwhile: one that closes a descriptor takes the lock. Who holds it already
 * goes on with it.
 */
struct shim_hold {
	struct shim_sock *s;
	bool locked;
	int cancel;
	sigset_t signals; /* that were blocked before */
};
struct shim_hold shim_lock(struct shim_sock *s);
void shim_unlock(struct shim_hold *hold);

/* link.c: connects to the server and checks who it is. fd, or -1 with errno. */
int shim_connect(int flags);
bool shim_is_link(int fd);
int shim_control(int fd, uint32_t op, uint32_t a, uint32_t b);
/* Gives an unbound socket its port id, as the kernel does on first use. */
void shim_autobind(struct shim_sock *s, int fd);
int64_t shim_now(void);

/* outage.c: the server went away. Reconnects, or waits for it; pending requests fail. */
void shim_lost_server(struct shim_sock *s, int fd);
/* While down: tries to connect again. True: up. */
bool shim_retry(struct shim_sock *s);
/* Takes a tick of what stands in for a descriptor while down. */
bool shim_tick(struct shim_sock *s, int fd);
/* An epoll set waits for other things than before. Under the lock. */
void shim_stand_in_renew(struct shim_sock *s);
/* hooks_poll.c: some server was lost, some time. */
extern atomic_bool shim_any_lost;

/* epolls.c: around the replacement of a descriptor's file. Under the lock. */
void shim_epolls_leave(struct shim_sock *s, int fd);
void shim_epolls_enter(struct shim_sock *s, int fd);
void shim_epolls_forget(struct shim_sock *s, int fd);

/* requests.c */
size_t shim_iov_copy(void *to, size_t n, const struct iovec *iov, size_t niov, size_t from);
size_t shim_iov_len(const struct iovec *iov, size_t niov);
/* Notes the requests of a datagram before it is sent; returns the serial of the first. */
uint32_t shim_requests_add(struct shim_sock *s, const struct msghdr *msg, bool *answered);
/* They were not sent. */
void shim_requests_drop(struct shim_sock *s, uint32_t serial);
void shim_requests_done(struct shim_sock *s, const struct nlmsghdr *answer);
/* They will not be answered. */
void shim_requests_forget(struct shim_sock *s);
/* Under the lock. */
void shim_requests_fail(struct shim_sock *s);
/* NLMSG_ERROR in place of an answer that a dead server cannot give. -1: there is none. */
ssize_t shim_requests_answer(struct shim_sock *s, struct msghdr *msg, int flags);

/* send.c, recv.c */
ssize_t shim_send(int fd, const struct msghdr *msg, int flags);
ssize_t shim_recv(int fd, struct msghdr *msg, int flags);

/* ancillary.c: what netlink would say in msg_control. native: bytes of it that are there. */
void shim_ancillary(struct shim_sock *s, struct msghdr *msg, size_t room, size_t native,
		    const struct nlmsghdr *nlh);

/* options.c */
void shim_options_restore(const struct shim_sock *s, int fd);
int64_t shim_recv_timeout(const struct shim_sock *s); /* ms, -1: none */

#endif
