/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Preload library: puts a connection to xipsecd in the place of every NETLINK_XFRM socket of a
 * program that knows nothing of it. All other descriptors pass through untouched.
 *
 * It fails closed: without a server in the network namespace there is no XFRM socket, never the
 * kernel's.
 */
#ifndef XI_SHIM_H
#define XI_SHIM_H

#include <dlfcn.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include "source/proto.h"

#define XI_EXPORT __attribute__((visibility("default")))

/* libc's own function behind the one we stand in front of. */
void *shim_real(_Atomic(void *) *slot, const char *name);
#define REAL(fn) \
	({ \
		static _Atomic(void *) slot_; \
		(__typeof__(&fn))shim_real(&slot_, #fn); \
	})

#define SHIM_PENDING 16

/* One netlink socket; dup() makes several descriptors of it. */
struct shim_sock {
	pthread_mutex_t lock;
	bool used;
	unsigned int refs;           /* descriptors */
	int type;                    /* SOCK_RAW or SOCK_DGRAM, as the program asked */
	bool bound;
	uint32_t portid;
	uint32_t groups;
	uint32_t opts;               /* bit n: NETLINK_* option n is on */
	bool down;                   /* no server: the descriptors are timers */
	bool nonblock;               /* of the program; valid while down */
	time_t connected;            /* CLOCK_MONOTONIC, when the server was last found again */
	bool lost;                   /* news may have been missed: the next recv says ENOBUFS */
	unsigned int npending;       /* requests without an answer yet, oldest first */
	struct nlmsghdr pending[SHIM_PENDING];
	unsigned int nfailed;        /* requests whose server died: answered by us */
	struct nlmsghdr failed[SHIM_PENDING];
};

/* fd table. NULL: not ours. */
struct shim_sock *shim_find(int fd);
struct shim_sock *shim_alloc(void);
/* Takes a reference; -1 and EMFILE when fd is too large. */
int shim_track(int fd, struct shim_sock *s);
void shim_untrack(int fd);
/* Calls fn for each descriptor of s. */
void shim_each_fd(struct shim_sock *s, void (*fn)(int fd, void *arg), void *arg);
bool shim_portid_taken(const struct shim_sock *except, uint32_t portid);
int shim_last_fd(void);

/* Connects to the server and checks who it is. fd, or -1 with errno. flags: SOCK_CLOEXEC. */
int shim_connect(int flags);
int shim_control(int fd, uint32_t op, uint32_t a, uint32_t b);
/* Gives an unbound socket its port id, as the kernel does on first use. */
void shim_autobind(struct shim_sock *s, int fd);
/* The server went away: reconnects, or waits for it. Pending requests fail. */
void shim_lost_server(struct shim_sock *s, int fd);
/* While down: tries to connect again. True: up. */
bool shim_retry(struct shim_sock *s, int fd);

#endif
