/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/server_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

#define ACCEPT_AGAIN_MS 200
#define PEER_GROUPS 1024         /* who is in more has to have it as its first one */

static const xi_handler handlers[XFRM_NR_MSGTYPES] = {
	[XFRM_MSG_NEWSA - XFRM_MSG_BASE] = xi_handle_newsa,
	[XFRM_MSG_UPDSA - XFRM_MSG_BASE] = xi_handle_newsa,
	[XFRM_MSG_DELSA - XFRM_MSG_BASE] = xi_handle_delsa,
	[XFRM_MSG_GETSA - XFRM_MSG_BASE] = xi_handle_getsa,
	[XFRM_MSG_FLUSHSA - XFRM_MSG_BASE] = xi_handle_flushsa,
	[XFRM_MSG_ALLOCSPI - XFRM_MSG_BASE] = xi_handle_allocspi,
	[XFRM_MSG_NEWAE - XFRM_MSG_BASE] = xi_handle_newae,
	[XFRM_MSG_GETAE - XFRM_MSG_BASE] = xi_handle_getae,
	[XFRM_MSG_EXPIRE - XFRM_MSG_BASE] = xi_handle_expire,
	[XFRM_MSG_NEWPOLICY - XFRM_MSG_BASE] = xi_handle_newpolicy,
	[XFRM_MSG_UPDPOLICY - XFRM_MSG_BASE] = xi_handle_newpolicy,
	[XFRM_MSG_DELPOLICY - XFRM_MSG_BASE] = xi_handle_delpolicy,
	[XFRM_MSG_GETPOLICY - XFRM_MSG_BASE] = xi_handle_getpolicy,
	[XFRM_MSG_FLUSHPOLICY - XFRM_MSG_BASE] = xi_handle_flushpolicy,
	[XFRM_MSG_POLEXPIRE - XFRM_MSG_BASE] = xi_handle_polexpire,
	[XFRM_MSG_GETSADINFO - XFRM_MSG_BASE] = xi_handle_sadinfo,
	[XFRM_MSG_GETSPDINFO - XFRM_MSG_BASE] = xi_handle_getspdinfo,
	[XFRM_MSG_NEWSPDINFO - XFRM_MSG_BASE] = xi_handle_newspdinfo,
	[XFRM_MSG_GETDEFAULT - XFRM_MSG_BASE] = xi_handle_getdefault,
	[XFRM_MSG_SETDEFAULT - XFRM_MSG_BASE] = xi_handle_setdefault,
	[XFRM_MSG_ACQUIRE - XFRM_MSG_BASE] = xi_handle_acquire,
	[XFRM_MSG_MIGRATE - XFRM_MSG_BASE] = xi_handle_migrate,
};

struct xi_nl_to xi_nl_answer(const struct xi_client *c, const struct nlmsghdr *nlh)
{
	return (struct xi_nl_to){ .seq = nlh->nlmsg_seq, .portid = c->portid };
}

void xi_server_multicast(struct xi_xfrm_server *server, unsigned int group, struct xi_nlmsg *msg)
{
	struct xi_client *c;

	LIST_FOREACH (c, &server->clients, next) {
		if (c->groups & (1U << (group - 1)))
			xi_client_news(c, msg);
	}
	explicit_bzero(msg->buf, msg->hdr.nlmsg_len);
}

bool xi_server_listened(const struct xi_xfrm_server *server, unsigned int group)
{
	struct xi_client *c;

	LIST_FOREACH (c, &server->clients, next) {
		if (c->groups & (1U << (group - 1)))
			return true;
	}
	return false;
}

void xi_server_hold(struct xi_xfrm_server *server)
{
	server->held = true;
	server->requests = 0;
	xi_sad_hold(server->sad);
	xi_spd_hold(server->spd);
}

void xi_server_release(struct xi_xfrm_server *server)
{
	struct xi_client *c;
	int err;

	xi_sad_release(server->sad);
	err = xi_spd_release(server->spd);
	server->held = false;
	LIST_FOREACH (c, &server->clients, next) {
		if (err && !STAILQ_EMPTY(&c->queue))
			xi_client_fail(c); /* its acknowledgements would not be true */
		if (c->overrun || !STAILQ_EMPTY(&c->queue))
			xi_client_flush(c);
	}
}

static uint32_t group_bit(uint32_t group)
{
	return group >= 1 && group <= 32 ? 1U << (group - 1) : 0;
}

static void echo(struct xi_client *c)
{
	struct xi_nlmsg msg;
	struct xi_xfrm_ctl *ctl = xi_nlmsg_begin(&msg, XI_XFRM_CTL, 0, 0, 0, sizeof(*ctl));

	*ctl = (struct xi_xfrm_ctl){ XI_CTL_ECHO, c->portid, c->groups };
	xi_client_reply(c, &msg);
}

/* What the library tells about a socket. None of it gives rights. */
static void control_message(struct xi_client *c, const struct nlmsghdr *nlh)
{
	struct xi_xfrm_ctl ctl;

	if (nlh->nlmsg_len < NLMSG_HDRLEN + sizeof(ctl))
		return;
	memcpy(&ctl, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(ctl));
	if (ctl.op == XI_CTL_HELLO)
		c->portid = ctl.a;
	else if (ctl.op == XI_CTL_GROUPS)
		c->groups = ctl.a;
	else if (ctl.op == XI_CTL_ADD)
		c->groups |= group_bit(ctl.a);
	else if (ctl.op == XI_CTL_DROP)
		c->groups &= ~group_bit(ctl.a);
	else if (ctl.op == XI_CTL_OPT && ctl.a == NETLINK_CAP_ACK)
		c->cap_ack = ctl.b;
	else if (ctl.op == XI_CTL_OPT && ctl.a == NETLINK_EXT_ACK)
		c->ext_ack = ctl.b;
	else if (ctl.op == XI_CTL_OVERRUN)
		c->overrun = true;
	else if (ctl.op == XI_CTL_ECHO)
		echo(c);
	xi_acquire_listened(c->server);
	xi_aevents_joined(c->server->aevents);
}

bool xi_client_is_file(const struct xi_client *c)
{
	return c->server->file_pid && c->pid == c->server->file_pid;
}

static bool is_addition(unsigned int type)
{
	return type == XFRM_MSG_NEWSA || type == XFRM_MSG_UPDSA || type == XFRM_MSG_NEWPOLICY ||
	       type == XFRM_MSG_UPDPOLICY;
}

/* A file is loaded at each start; what was adopted from the last run is there already. */
static int file_verdict(struct xi_client *c, const struct nlmsghdr *nlh, int err)
{
	if (!xi_client_is_file(c) || !is_addition(nlh->nlmsg_type))
		return err;
	if (err == -EEXIST)
		err = 0;
	c->server->file_requests++;
	c->server->file_refused += err < 0;
	return err;
}

static int dispatch(struct xi_client *c, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	unsigned int type = nlh->nlmsg_type;

	if (!(nlh->nlmsg_flags & NLM_F_REQUEST) || type < NLMSG_MIN_TYPE)
		return 0;
	if (type > XFRM_MSG_MAX || !handlers[type - XFRM_MSG_BASE])
		return xi_refuse(ack, -EINVAL, "message type %u is not a request", type);
	return file_verdict(c, nlh, handlers[type - XFRM_MSG_BASE](c, nlh, ack));
}

void xi_server_acknowledge(struct xi_client *c, const struct nlmsghdr *nlh, int err,
			   const struct xi_extack *ack)
{
	struct xi_nlmsg msg;

	xi_xfrm_put_error(&msg, nlh, c->portid, err, c->cap_ack, c->ext_ack ? ack : NULL);
	xi_client_reply(c, &msg);
}

/* A header that does not fit its datagram: what there is of it is echoed. */
static void refuse_header(struct xi_client *c, const uint8_t *data, size_t left)
{
	struct xi_extack ack = { .text = "message length doesn't fit the datagram" };
	struct nlmsghdr nlh = { 0 };

	memcpy(&nlh, data, left < sizeof(nlh) ? left : sizeof(nlh));
	nlh.nlmsg_len = sizeof(nlh);
	xi_server_acknowledge(c, &nlh, -EINVAL, &ack);
}

/* One message. */
static void request(struct xi_client *c, const struct nlmsghdr *nlh)
{
	struct xi_extack ack = { 0 };
	int err;

	if (nlh->nlmsg_type == XI_XFRM_CTL) {
		control_message(c, nlh);
		return;
	}
	c->server->requests++;
	err = dispatch(c, nlh, &ack);
	if (err < 0 || (!err && (nlh->nlmsg_flags & NLM_F_ACK)))
		xi_server_acknowledge(c, nlh, err, &ack);
}

void xi_server_request(struct xi_client *c, const uint8_t *data, size_t len)
{
	while (len) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)data;
		size_t step;

		if (len < NLMSG_HDRLEN || nlh->nlmsg_len < NLMSG_HDRLEN || nlh->nlmsg_len > len) {
			refuse_header(c, data, len);
			return;
		}
		request(c, nlh);
		step = NLMSG_ALIGN(nlh->nlmsg_len);
		if (step > len)
			step = len;
		data += step;
		len -= step;
		if (!c->flush.kind)
			continue;
		if (xi_flush_put_off(c, data, len))
			xi_client_fail(c); /* it would wait for answers that do not come */
		return;
	}
}

/* As the groups were when it connected: by what the process is now, another one could be taken for it. */
static bool peer_in_group(int fd, gid_t group)
{
	gid_t groups[PEER_GROUPS];
	socklen_t len = sizeof(groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (size_t i = 0; i < len / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static int peer_check(const struct xi_xfrm_server *server, int fd, struct ucred *cred)
{
	socklen_t len = sizeof(*cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, cred, &len))
		return -errno;
	if (cred->uid == 0 || cred->uid == geteuid())
		return 0;
	if (server->has_group && (cred->gid == server->group || peer_in_group(fd, server->group)))
		return 0;
	return -EPERM;
}

void xi_xfrm_server_set_group(struct xi_xfrm_server *server, gid_t group)
{
	server->has_group = true;
	server->group = group;
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct xi_xfrm_server *server = arg;

	event_add(server->ev_accept, NULL);
}

/* Without a descriptor for it the client stays where it is, and the listener readable: no reason to ask all the time. */
static void accept_pause(struct xi_xfrm_server *server, int err)
{
	static const struct timeval pause = { .tv_usec = ACCEPT_AGAIN_MS * 1000 };

	if (!server->starved)
		log_warnx("xfrm: cannot accept a client: %s; it waits until that is over",
			  strerror(err));
	server->starved = true;
	event_del(server->ev_accept);
	event_add(server->ev_accept_again, &pause);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct xi_xfrm_server *server = arg;
	struct ucred cred = { 0 };
	int err;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			accept_pause(server, errno);
		return;
	}
	server->starved = false;
	err = peer_check(server, fd, &cred);
	if (!err && server->nclients >= XI_CLIENTS_MAX)
		err = -EMFILE;
	if (!err)
		err = xi_client_create(server, fd, cred.pid);
	if (!err)
		return;
	log_warnx("xfrm: connection of pid %d, uid %u refused: %s%s", (int)cred.pid, cred.uid,
		  strerror(-err),
		  err == -EPERM ? ": it is for root and the members of xfrm-group" : "");
	close(fd);
}

static int server_listen(struct xi_xfrm_server *server)
{
	struct sockaddr_un addr;
	socklen_t len;

	if (xi_xfrm_sock_addr(&addr, &len, server->name))
		return -ENAMETOOLONG;
	server->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->fd < 0)
		return -errno;
	if (bind(server->fd, (struct sockaddr *)&addr, len) || listen(server->fd, 64))
		return -errno;
	server->ev_accept = event_new(server->base, server->fd, EV_READ | EV_PERSIST, on_accept,
				      server);
	server->ev_accept_again = evtimer_new(server->base, on_accept_again, server);
	if (!server->ev_accept || !server->ev_accept_again || event_add(server->ev_accept, NULL))
		return -ENOMEM;
	return 0;
}

int xi_xfrm_server_create(struct xi_xfrm_server **out, struct event_base *base, struct xi_sad *sad,
			  struct xi_spd *spd, const char *name)
{
	struct xi_xfrm_server *server = calloc(1, sizeof(*server));
	int err;

	*out = NULL;
	if (!server)
		return -ENOMEM;
	server->base = base;
	server->sad = sad;
	server->spd = spd;
	server->fd = -1;
	LIST_INIT(&server->clients);
	memset(server->thresholds[0], 32, 2);
	memset(server->thresholds[1], 128, 2);
	if (!name)
		name = secure_getenv(XI_XFRM_SOCK_ENV);
	if (!name || !*name)
		name = XI_XFRM_SOCK_DEFAULT;
	snprintf(server->name, sizeof(server->name), "%s", name);
	err = xi_acquire_start(server);
	if (!err)
		err = xi_aevents_create(&server->aevents, server);
	if (!err)
		err = server_listen(server);
	if (err) {
		xi_xfrm_server_destroy(server);
		return err;
	}
	xi_sad_on_event(sad, &(struct xi_sad_events){ .expire = xi_server_expired, .arg = server });
	*out = server;
	return 0;
}

void xi_xfrm_server_destroy(struct xi_xfrm_server *server)
{
	struct xi_client *c;

	if (!server)
		return;
	if (server->ev_accept) {
		xi_sad_on_event(server->sad, &(struct xi_sad_events){ 0 });
		event_free(server->ev_accept);
	}
	if (server->ev_accept_again)
		event_free(server->ev_accept_again);
	while ((c = LIST_FIRST(&server->clients)))
		xi_client_destroy(c);
	if (server->fd >= 0)
		close(server->fd);
	xi_acquires_free(server->acquires);
	xi_aevents_destroy(server->aevents);
	free(server);
}

static void on_policy_expired(void *arg, const struct xi_policy *policy, bool hard)
{
	struct xi_nlmsg msg;

	xi_xfrm_put_polexpire(&msg, &(struct xi_nl_to){0}, policy, hard);
	xi_server_multicast(arg, XFRMNLGRP_EXPIRE, &msg);
}

void xi_xfrm_server_tick(struct xi_xfrm_server *server, uint64_t now)
{
	xi_server_hold(server);
	xi_spd_tick(server->spd, now, on_policy_expired, server);
	xi_acquire_tick(server);
	xi_server_release(server);
}

void xi_xfrm_server_set_file_pid(struct xi_xfrm_server *server, pid_t pid)
{
	server->file_pid = pid;
	server->file_requests = server->file_refused = 0;
}

void xi_xfrm_server_file_progress(const struct xi_xfrm_server *server, unsigned int *requests,
				  unsigned int *refused)
{
	*requests = server->file_requests;
	*refused = server->file_refused;
}

const char *xi_xfrm_server_name(const struct xi_xfrm_server *server)
{
	return server->name;
}
