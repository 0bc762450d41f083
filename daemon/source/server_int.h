/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Inside of the XFRM server. */
#ifndef XI_SERVER_INT_H
#define XI_SERVER_INT_H

#include <event2/event.h>
#include <sys/queue.h>

#include "source/acquire.h"
#include "source/server.h"
#include "source/xfrm_msg.h"

/*
 * Bytes queued to a client that does not read. Beyond REPLIES its requests wait in its socket;
 * beyond NEWS it loses multicast messages, and is told so (as netlink does with ENOBUFS).
 */
#define XI_QUEUE_REPLIES (64U << 10)
#define XI_QUEUE_NEWS (1U << 20)
#define XI_CLIENTS_MAX 256
#define XI_MAPPINGS_MAX 256
#define XI_AE_LOOKS 16384        /* slots a tick */
#define XI_AE_NEWS 1024          /* events a tick */

struct xi_out_msg {
	STAILQ_ENTRY(xi_out_msg) next;
	uint32_t len;
	uint8_t data[];
};

enum xi_dump_kind { XI_DUMP_NONE, XI_DUMP_SA, XI_DUMP_POLICY };

/* A dump goes out as the client reads: it holds a position, never the list. */
struct xi_dump {
	enum xi_dump_kind kind;
	uint32_t pos;
	struct xi_nl_to to;
	struct xi_sa_filter filter;
};

enum xi_flush_kind { XI_FLUSH_NONE, XI_FLUSH_SAS, XI_FLUSH_POLICIES };

/* A flush, done in turns; the answer comes at its end. It goes on when its client is gone. */
struct xi_flush {
	enum xi_flush_kind kind;
	struct xi_sad_flush sas;
	struct xi_spd_flush policies;
	struct nlmsghdr request;
	uint8_t proto;               /* of SAs, as the client said it */
	uint8_t *rest;               /* of the datagram: what comes after it */
	size_t nrest;
};

/* Keyed by connection, never by pid: a process has several. */
struct xi_client {
	LIST_ENTRY(xi_client) next;
	struct xi_xfrm_server *server;
	int fd;
	struct event *ev_read, *ev_write;
	pid_t pid;                   /* by SO_PEERCRED */
	uint32_t portid;             /* what the client calls itself; for its own checks only */
	uint32_t groups;             /* bit n - 1: group n */
	bool cap_ack, ext_ack;
	bool overrun;                /* news were lost, the client does not know yet */
	bool dead;                   /* sending failed; freed by its own read event, when no flush of it is under way */
	STAILQ_HEAD(, xi_out_msg) queue;
	uint32_t queued;             /* bytes */
	struct xi_dump dump;
	struct xi_flush flush;
};

struct xi_mapping {
	uint32_t handle;             /* of the SA, 0: none */
	uint8_t saddr[16];           /* what was told */
	uint16_t sport;
	uint64_t until;              /* CLOCK_MONOTONIC, seconds: then it may be told again */
};

struct xi_aevents;

struct xi_xfrm_server {
	struct event_base *base;
	struct xi_sad *sad;
	struct xi_spd *spd;
	char name[64];
	int fd;
	struct event *ev_accept, *ev_accept_again;
	bool starved;                /* no descriptor for a client: said so */
	LIST_HEAD(, xi_client) clients;
	unsigned int nclients;
	bool has_group;
	gid_t group;                 /* may connect, too */
	pid_t file_pid;
	unsigned int file_requests, file_refused;
	bool held;                   /* what is sent is queued: the round is not over */
	unsigned int requests;       /* of the round */
	struct xi_acquires *acquires;
	uint64_t ttl_read;           /* CLOCK_MONOTONIC, seconds: when */
	uint32_t ttl;                /* was read */
	atomic_bool *acquiring;      /* NULL, or where it says that somebody listens to ACQUIREs */
	struct xi_mapping mappings[XI_MAPPINGS_MAX];
	struct xi_aevents *aevents;
	uint8_t thresholds[2][2];    /* SPD hash: IPv4 and IPv6, local and remote bits */
	union {
		uint64_t align;
		uint8_t buf[XI_XFRM_REQUEST_MAX];
	} request;
};

/* 0 or -errno, which is acknowledged to the client; XI_NO_ACK: a dump or a long flush was started. */
#define XI_NO_ACK 1
typedef int (*xi_handler)(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);

/*
 * A round of requests: one sync of the SAD, and one snapshot of the SPD, for all of them. Everything for clients waits for its end, in order, so
 * that nobody reads of a change before it is in force.
 */
void xi_server_hold(struct xi_xfrm_server *server);
void xi_server_release(struct xi_xfrm_server *server);

bool xi_client_is_file(const struct xi_client *c);
int xi_client_create(struct xi_xfrm_server *server, int fd, pid_t pid);
void xi_client_destroy(struct xi_client *c);
/* Nothing more is sent, not even what is queued; its next event destroys it. */
void xi_client_fail(struct xi_client *c);
/* Sends or queues. Wipes msg: it may hold a key. */
void xi_client_reply(struct xi_client *c, struct xi_nlmsg *msg);
void xi_client_news(struct xi_client *c, const struct xi_nlmsg *msg);
/* Sends what is queued, as far as the client has room for it. */
void xi_client_flush(struct xi_client *c);
/* To every member of the group; wipes msg. */
void xi_server_multicast(struct xi_xfrm_server *server, unsigned int group, struct xi_nlmsg *msg);
bool xi_server_listened(const struct xi_xfrm_server *server, unsigned int group);
struct xi_nl_to xi_nl_answer(const struct xi_client *c, const struct nlmsghdr *nlh);

/* One datagram of a client: one or more messages. */
void xi_server_request(struct xi_client *c, const uint8_t *data, size_t len);
void xi_server_acknowledge(struct xi_client *c, const struct nlmsghdr *nlh, int err,
			   const struct xi_extack *ack);
/* A turn of the client's flush, if it has one. At its end it is acknowledged, and what came behind it is done. */
void xi_flush_turn(struct xi_client *c);
/* All of it, at once. */
void xi_flush_finish(struct xi_client *c);
/* What stands behind it in its datagram waits; -ENOMEM. */
int xi_flush_put_off(struct xi_client *c, const uint8_t *data, size_t len);
/* The next message of a dump; false: that was the last one. */
bool xi_dump_step(struct xi_client *c, struct xi_nlmsg *msg);

void xi_acquire_settled(struct xi_xfrm_server *server, const struct xi_sa *sa);
/* A client joined or left groups. */
void xi_acquire_listened(struct xi_xfrm_server *server);
void xi_server_expired(void *server, const struct xi_sa_rec *rec, bool hard);

/* aevents.c: 0 or -ENOMEM; *out is to be destroyed either way. */
int xi_aevents_create(struct xi_aevents **out, struct xi_xfrm_server *server);
void xi_aevents_destroy(struct xi_aevents *ae);
/* The groups of a client changed. */
void xi_aevents_joined(struct xi_aevents *ae);
/* The SA begins, or was set by a key manager: what moves from now on is news. */
void xi_aevents_start(struct xi_aevents *ae, const struct xi_sa_rec *rec);
void xi_aevents_tick(struct xi_aevents *ae);
struct xi_ae_defaults xi_aevents_defaults(void);

int xi_handle_migrate(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_acquire(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_newsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_delsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_getsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_flushsa(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_allocspi(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_newae(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_getae(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_expire(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_newpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_delpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_getpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_flushpolicy(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_polexpire(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_sadinfo(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_getspdinfo(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_newspdinfo(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_getdefault(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_handle_setdefault(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack);

#endif
