/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define MAX_COMMANDS 16
#define REQUEST_MS 5000
#define REPLY_MS 30000
#define RETRY_MS 1000
#define WRITE_MAX (256 << 10) /* bytes a call; about a socket's buffer */
#define PENDING_MAX (64U << 20) /* bytes of replies not taken yet, all clients together */

struct command {
	const char *name;
	xi_control_fn fn;
	void *arg;
	bool admin;
};

struct client {
	LIST_ENTRY(client) link;
	struct xi_control *ctl;
	struct bufferevent *bev;
	struct event *deadline; /* of the request as a whole, then of the reply as a whole */
	bool admin;
	bool replying;
};

struct xi_control {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *retry;
	bool starved; /* no descriptor for a client: said so */
	unsigned int request_ms, reply_ms;
	LIST_HEAD(, client) clients;
	unsigned int nclients;
	unsigned int ncommands;
	struct command commands[MAX_COMMANDS];
	struct sockaddr_un sun;
};

static void client_free(struct client *c)
{
	struct xi_control *ctl = c->ctl;

	LIST_REMOVE(c, link);
	if (c->deadline)
		event_free(c->deadline);
	if (c->bev)
		bufferevent_free(c->bev);
	free(c);
	if (ctl->nclients-- == XI_CONTROL_CLIENTS)
		evconnlistener_enable(ctl->listener);
}

static void arm(struct xi_control *ctl, struct event *ev, unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000 };

	event_base_update_cache_time(ctl->base); /* else a long command's time would count */
	event_add(ev, &tv);
}

static void free_text(const void *data, size_t len, void *arg)
{
	free((void *)(uintptr_t)data);
}

/* Consumes reply; NULL: out of memory. The connection ends when the peer has taken it all. */
static void client_reply(struct client *c, json_t *reply)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;

	json_decref(reply);
	if (!text)
		text = strdup("{\"error\":\"out of memory: try again later\"}");
	if (!text || evbuffer_add_reference(out, text, strlen(text), free_text, NULL) < 0) {
		free(text);
		client_free(c);
		return;
	}
	evbuffer_add(out, "\n", 1);
	c->replying = true;
	bufferevent_disable(c->bev, EV_READ);
	arm(c->ctl, c->deadline, c->ctl->reply_ms);
}

static void client_refuse(struct client *c, const char *why)
{
	client_reply(c, json_pack("{s:s}", "error", why));
}

static bool too_much_pending(struct xi_control *ctl)
{
	size_t sum = 0;
	struct client *c;

	LIST_FOREACH(c, &ctl->clients, link)
		sum += evbuffer_get_length(bufferevent_get_output(c->bev));
	return sum > PENDING_MAX;
}

static const struct command *find_command(const struct xi_control *ctl, const char *name)
{
	for (unsigned int i = 0; i < ctl->ncommands; i++)
		if (!strcmp(ctl->commands[i].name, name))
			return &ctl->commands[i];
	return NULL;
}

static void client_run(struct client *c, const json_t *req)
{
	const char *name = json_string_value(json_object_get(req, "cmd"));
	const char *error = "internal error: see the daemon's log";
	const struct command *command;
	json_t *reply;

	if (!name) {
		client_refuse(c, "no command: send {\"cmd\": name} on one line");
		return;
	}
	command = find_command(c->ctl, name);
	if (!command) {
		client_refuse(c, "unknown command: tool and daemon may be of different versions");
		return;
	}
	if (command->admin && !c->admin) {
		client_refuse(c, "permission denied: this command is for root");
		return;
	}
	if (too_much_pending(c->ctl)) {
		client_refuse(c, "too many large replies under way: try again later");
		return;
	}
	reply = command->fn(command->arg, req, &error);
	if (reply)
		client_reply(c, reply);
	else
		client_refuse(c, error);
}

static void client_request(struct client *c, const char *text, size_t len)
{
	json_error_t error;
	char why[256];
	json_t *req;

	if (len > XI_CONTROL_REQUEST_MAX) {
		client_refuse(c, "request longer than 4096 bytes");
		return;
	}
	req = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (req) {
		client_run(c, req);
		json_decref(req);
		return;
	}
	/* the parser quotes what it read, which need not be UTF-8 */
	snprintf(why, sizeof(why),
		 "not a JSON object (error at byte %d): send {\"cmd\": name} on one line",
		 error.position);
	client_refuse(c, why);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_ptr eol = evbuffer_search(in, "\n", 1, NULL);
	size_t len = eol.pos >= 0 ? (size_t)eol.pos : evbuffer_get_length(in);
	struct client *c = arg;

	if (c->replying || (eol.pos < 0 && len <= XI_CONTROL_REQUEST_MAX))
		return;
	client_request(c, (const char *)evbuffer_pullup(in, (ssize_t)len), len);
}

/* Called when the output is empty. */
static void on_written(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	if (c->replying)
		client_free(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	struct client *c = arg;

	if ((what & BEV_EVENT_EOF) && !c->replying && len)
		client_request(c, (const char *)evbuffer_pullup(in, -1), len);
	else
		client_free(c);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	if (c->replying)
		client_free(c);
	else
		client_refuse(c, "no complete request in time: end it with a newline");
}

static bool peer_is_admin(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	return cred.uid == 0 || cred.uid == geteuid();
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *sa,
		      int salen, void *arg)
{
	struct xi_control *ctl = arg;
	struct client *c = calloc(1, sizeof(*c));

	ctl->starved = false;
	if (!c) {
		close(fd);
		return;
	}
	c->ctl = ctl;
	c->admin = peer_is_admin(fd);
	LIST_INSERT_HEAD(&ctl->clients, c, link);
	if (++ctl->nclients == XI_CONTROL_CLIENTS)
		evconnlistener_disable(ctl->listener);
	c->bev = bufferevent_socket_new(ctl->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		close(fd);
	c->deadline = evtimer_new(ctl->base, on_deadline, c);
	if (!c->bev || !c->deadline) {
		client_free(c);
		return;
	}
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_set_max_single_write(c->bev, WRITE_MAX);
	bufferevent_setwatermark(c->bev, EV_READ, 0, XI_CONTROL_REQUEST_MAX + 1);
	arm(ctl, c->deadline, ctl->request_ms);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct xi_control *ctl = arg;

	if (ctl->nclients < XI_CONTROL_CLIENTS)
		evconnlistener_enable(ctl->listener);
}

/* Out of descriptors: the listener would stay readable and spin. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct xi_control *ctl = arg;

	if (!ctl->starved)
		log_warnx("%s: cannot accept a client: %s; it waits until that is over",
			  ctl->sun.sun_path, strerror(errno));
	ctl->starved = true;
	evconnlistener_disable(listener);
	arm(ctl, ctl->retry, RETRY_MS);
}

/* A socket that nobody listens on is what a killed daemon left. */
static int remove_stale(const struct sockaddr_un *sun)
{
	int err = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) || errno == EAGAIN)
		err = -EADDRINUSE;
	else if (errno == ECONNREFUSED && unlink(sun->sun_path) < 0)
		err = -errno;
	close(fd);
	return err;
}

static void share_with_group(const char *path, const char *name)
{
	const struct group *group = name ? getgrnam(name) : NULL;

	if (!name)
		return;
	if (!group)
		log_info("%s: no group %s: only its owner may use it; groupadd %s shares it",
			 path, name, name);
	else if (chown(path, (uid_t)-1, group->gr_gid) < 0)
		log_warn("%s: cannot give it to group %s", path, name);
	else if (chmod(path, 0660) < 0)
		log_warn("%s: cannot open it to group %s", path, name);
}

/* A bound, listening socket or -errno. From its first moment nobody but its owner can connect. */
static int open_socket(const struct sockaddr_un *sun, const char *group)
{
	int fd, err = remove_stale(sun);
	mode_t mask;

	if (err)
		return err;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0177);
	err = bind(fd, (const struct sockaddr *)sun, sizeof(*sun)) < 0 ? -errno : 0;
	umask(mask);
	if (!err) {
		share_with_group(sun->sun_path, group);
		err = listen(fd, XI_CONTROL_CLIENTS) < 0 ? -errno : 0;
	}
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

static int control_open(struct xi_control *ctl, const struct xi_control_config *config)
{
	int fd, n;

	ctl->sun.sun_family = AF_UNIX;
	n = snprintf(ctl->sun.sun_path, sizeof(ctl->sun.sun_path), "%s/%s", config->run_dir,
		     XI_CONTROL_SOCKET);
	if (n < 0 || (size_t)n >= sizeof(ctl->sun.sun_path))
		return -ENAMETOOLONG;
	/* chmod: the umask may be narrower, and the group must get to the socket */
	if (!mkdir(config->run_dir, 0755)) {
		if (chmod(config->run_dir, 0755) < 0)
			return -errno;
	} else if (errno != EEXIST) {
		return -errno;
	}
	fd = open_socket(&ctl->sun, config->group);
	if (fd < 0)
		return fd;
	ctl->listener = evconnlistener_new(ctl->base, on_accept, ctl,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!ctl->listener) {
		close(fd);
		unlink(ctl->sun.sun_path);
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(ctl->listener, on_accept_error);
	return 0;
}

int xi_control_create(struct xi_control **out, const struct xi_control_config *config)
{
	struct xi_control *ctl = calloc(1, sizeof(*ctl));
	int err = -ENOMEM;

	if (!ctl)
		return err;
	LIST_INIT(&ctl->clients);
	ctl->base = config->base;
	ctl->request_ms = config->request_ms ? config->request_ms : REQUEST_MS;
	ctl->reply_ms = config->reply_ms ? config->reply_ms : REPLY_MS;
	ctl->retry = evtimer_new(ctl->base, on_retry, ctl);
	if (ctl->retry)
		err = control_open(ctl, config);
	if (err) {
		log_warnx("%s: cannot open the control socket: %s%s", config->run_dir,
			  strerror(-err),
			  err == -EADDRINUSE ? ": another xipsecd runs with this run-dir" : "");
		xi_control_destroy(ctl);
		return err;
	}
	signal(SIGPIPE, SIG_IGN); /* libevent writes without MSG_NOSIGNAL */
	*out = ctl;
	return 0;
}

/*
 * The event loop has ended; a short reply, as to "down", still reaches its client. libevent keeps
 * all but itself from draining a socket's output, hence unfreeze, and closes a socket only in the
 * next turn of the loop, hence shutdown().
 */
static void client_end(struct client *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	int fd = bufferevent_getfd(c->bev);

	evbuffer_unfreeze(out, 1);
	if (c->replying)
		evbuffer_write(out, fd);
	shutdown(fd, SHUT_RDWR);
	client_free(c);
}

void xi_control_destroy(struct xi_control *ctl)
{
	struct client *c;

	if (!ctl)
		return;
	while ((c = LIST_FIRST(&ctl->clients)))
		client_end(c);
	if (ctl->listener) {
		evconnlistener_free(ctl->listener);
		unlink(ctl->sun.sun_path);
	}
	if (ctl->retry)
		event_free(ctl->retry);
	free(ctl);
}

static int add_command(struct xi_control *ctl, struct command command)
{
	if (find_command(ctl, command.name))
		return -EEXIST;
	if (ctl->ncommands == MAX_COMMANDS)
		return -ENOSPC;
	ctl->commands[ctl->ncommands++] = command;
	return 0;
}

int xi_control_register(struct xi_control *ctl, const char *cmd, xi_control_fn fn, void *arg)
{
	return add_command(ctl, (struct command){ cmd, fn, arg, false });
}

int xi_control_register_admin(struct xi_control *ctl, const char *cmd, xi_control_fn fn, void *arg)
{
	return add_command(ctl, (struct command){ cmd, fn, arg, true });
}
