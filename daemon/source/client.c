/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One connection: its output queue, its dump, its read and write events. */
#include "source/server_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

/* Of one client before the others get their turn; the last datagram may have more requests. */
#define REQUESTS_A_TURN 256
#define TURN_NS 1000000
#define DUMP_A_TURN 512
#define SENT_AT_ONCE 64

static void out_free(struct xi_out_msg *out)
{
	explicit_bzero(out->data, out->len);
	free(out);
}

/* The reader's end of file frees the client; nobody else may, it may be in use up the stack. */
void xi_client_fail(struct xi_client *c)
{
	if (c->dead)
		return;
	c->dead = true;
	c->dump.kind = XI_DUMP_NONE;
	c->groups = 0;
	xi_acquire_listened(c->server);
	shutdown(c->fd, SHUT_RDWR);
	event_add(c->ev_read, NULL);
}

/* 0: gone (sent, or the client is dead). -EAGAIN: later. */
static int client_send(struct xi_client *c, const void *data, size_t len)
{
	ssize_t n;

	if (c->dead)
		return 0;
	do {
		n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return -EAGAIN;
	xi_client_fail(c);
	return 0;
}

static void client_queue(struct xi_client *c, const void *data, size_t len)
{
	struct xi_out_msg *out = malloc(sizeof(*out) + len);

	if (!out) {
		xi_client_fail(c); /* a lost reply would leave the client waiting for ever */
		return;
	}
	out->len = len;
	memcpy(out->data, data, len);
	STAILQ_INSERT_TAIL(&c->queue, out, next);
	c->queued += len;
	if (!c->server->held)
		event_add(c->ev_write, NULL);
}

static void client_out(struct xi_client *c, const struct xi_nlmsg *msg)
{
	size_t len = msg->hdr.nlmsg_len;

	if (!c->server->held && STAILQ_EMPTY(&c->queue) && !client_send(c, msg->buf, len))
		return;
	if (!c->dead)
		client_queue(c, msg->buf, len);
}

void xi_client_reply(struct xi_client *c, struct xi_nlmsg *msg)
{
	client_out(c, msg);
	explicit_bzero(msg->buf, msg->hdr.nlmsg_len);
}

void xi_client_news(struct xi_client *c, const struct xi_nlmsg *msg)
{
	if (c->overrun || c->queued + msg->hdr.nlmsg_len > XI_QUEUE_NEWS) {
		c->overrun = true;
		if (!c->server->held)
			event_add(c->ev_write, NULL);
		return;
	}
	client_out(c, msg);
}

/* As many of the queue as the socket takes at once: 0, or -EAGAIN. */
static int queue_send(struct xi_client *c, int *sent)
{
	struct mmsghdr msgs[SENT_AT_ONCE] = { 0 };
	struct iovec iovs[SENT_AT_ONCE];
	struct xi_out_msg *out;
	int n = 0;

	STAILQ_FOREACH (out, &c->queue, next) {
		iovs[n] = (struct iovec){ out->data, out->len };
		msgs[n].msg_hdr = (struct msghdr){ .msg_iov = &iovs[n], .msg_iovlen = 1 };
		if (++n == SENT_AT_ONCE)
			break;
	}
	do {
		*sent = sendmmsg(c->fd, msgs, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (*sent < 0 && errno == EINTR);
	if (*sent >= 0)
		return 0;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return -EAGAIN;
	xi_client_fail(c);
	return -EPIPE;
}

static void queue_free(struct xi_client *c, int n)
{
	struct xi_out_msg *out;

	for (; n && (out = STAILQ_FIRST(&c->queue)); n--) {
		STAILQ_REMOVE_HEAD(&c->queue, next);
		c->queued -= out->len;
		out_free(out);
	}
}

/* False: the rest later. The queue of a client that is dead goes nowhere. */
static bool queue_drain(struct xi_client *c)
{
	int err, sent;

	while (!STAILQ_EMPTY(&c->queue) && !c->dead) {
		err = queue_send(c, &sent);
		if (err == -EAGAIN)
			return false;
		if (!err)
			queue_free(c, sent);
	}
	if (c->dead)
		queue_free(c, -1);
	return true;
}

void xi_client_flush(struct xi_client *c)
{
	if (!queue_drain(c) || c->overrun)
		event_add(c->ev_write, NULL);
}

static void overrun_tell(struct xi_client *c)
{
	struct xi_nlmsg msg;
	struct xi_xfrm_ctl *ctl = xi_nlmsg_begin(&msg, XI_XFRM_CTL, 0, 0, 0, sizeof(*ctl));

	ctl->op = XI_CTL_OVERRUN;
	c->overrun = false;
	client_out(c, &msg);
}

static void dump_pump(struct xi_client *c)
{
	struct xi_nlmsg msg;

	for (int i = 0; i < DUMP_A_TURN && c->dump.kind && STAILQ_EMPTY(&c->queue); i++) {
		bool more = xi_dump_step(c, &msg);

		xi_client_reply(c, &msg);
		if (!more)
			c->dump.kind = XI_DUMP_NONE;
	}
	if (c->dump.kind)
		event_add(c->ev_write, NULL);
}

/* Requests wait while an answer is still on its way: dumps do not overlap and queues stay bounded. */
static bool may_read(const struct xi_client *c)
{
	return !c->flush.kind && (c->dead || (!c->dump.kind && c->queued < XI_QUEUE_REPLIES));
}

/* A flush waits for no reader, nor do others for all of it. */
static void client_write_later(struct xi_client *c)
{
	static const struct timeval at_once;

	event_add(c->ev_write, c->flush.kind ? &at_once : NULL);
}

static void client_schedule(struct xi_client *c)
{
	if (c->flush.kind)
		client_write_later(c);
	if (may_read(c))
		event_add(c->ev_read, NULL);
	else
		event_del(c->ev_read);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct xi_client *c = arg;

	if (!queue_drain(c)) {
		xi_flush_turn(c);
		client_write_later(c);
		return;
	}
	if (c->overrun)
		overrun_tell(c);
	xi_flush_turn(c);
	dump_pump(c);
	client_schedule(c);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* One datagram. 0, -EAGAIN: none is there, or -errno: the connection is over. */
static int read_one(struct xi_client *c)
{
	struct xi_xfrm_server *server = c->server;
	uint8_t *buf = server->request.buf;
	ssize_t n = recv(c->fd, buf, sizeof(server->request.buf), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (n <= 0)
		return -EPIPE;
	if ((size_t)n > sizeof(server->request.buf)) {
		log_warnx("xfrm: request of %zd bytes from pid %d: longer than any client sends, connection closed",
			  n, (int)c->pid);
		return -EMSGSIZE;
	}
	xi_server_request(c, buf, n);
	explicit_bzero(buf, n);
	return 0;
}

/* What is there of requests is one round, as far as it does not keep the others waiting. */
static int read_round(struct xi_client *c)
{
	struct xi_xfrm_server *server = c->server;
	uint64_t start = now_ns();
	int err = 0;

	xi_server_hold(server);
	while (!err && may_read(c) && server->requests < REQUESTS_A_TURN &&
	       now_ns() - start < TURN_NS)
		err = read_one(c);
	xi_server_release(server);
	return err == -EAGAIN ? 0 : err;
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct xi_client *c = arg;

	if (!c->flush.kind && (c->dead || read_round(c))) {
		xi_client_destroy(c);
		return;
	}
	dump_pump(c);
	client_schedule(c);
}

/* A unix socket charges the sender: its default of 208 KiB holds about 167 SAs. */
static void grow_sndbuf(int fd)
{
	int bytes = 1 << 20;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

int xi_client_create(struct xi_xfrm_server *server, int fd, pid_t pid)
{
	struct xi_client *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->server = server;
	c->fd = fd;
	c->pid = pid;
	c->portid = pid;
	STAILQ_INIT(&c->queue);
	c->ev_read = event_new(server->base, fd, EV_READ | EV_PERSIST, on_read, c);
	c->ev_write = event_new(server->base, fd, EV_WRITE, on_write, c);
	if (!c->ev_read || !c->ev_write || event_add(c->ev_read, NULL)) {
		if (c->ev_read)
			event_free(c->ev_read);
		if (c->ev_write)
			event_free(c->ev_write);
		free(c);
		return -ENOMEM;
	}
	grow_sndbuf(fd);
	LIST_INSERT_HEAD(&server->clients, c, next);
	server->nclients++;
	return 0;
}

void xi_client_destroy(struct xi_client *c)
{
	struct xi_out_msg *out;

	xi_flush_finish(c);
	LIST_REMOVE(c, next);
	c->server->nclients--;
	xi_acquire_listened(c->server);
	event_free(c->ev_read);
	event_free(c->ev_write);
	close(c->fd);
	while ((out = STAILQ_FIRST(&c->queue))) {
		STAILQ_REMOVE_HEAD(&c->queue, next);
		out_free(out);
	}
	free(c);
}
