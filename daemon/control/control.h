/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control socket: <run-dir>/control.sock, a Unix stream socket for the members of one group.
 * One request a connection, a JSON object on one line with a string "cmd"; one reply, a JSON object
 * on one line; close. An error is a reply {"error": text}. Everything happens on the event base's
 * thread.
 */
#ifndef XI_CONTROL_H
#define XI_CONTROL_H

#include <jansson.h>

#define XI_CONTROL_SOCKET "control.sock"
#define XI_CONTROL_REQUEST_MAX 4096  /* bytes without the newline */
#define XI_CONTROL_CLIENTS 32        /* more wait in the listen queue */

struct event_base;
struct xi_control;

struct xi_control_config {
	struct event_base *base;
	const char *run_dir;         /* made (0755) when absent; its parent must exist */
	const char *group;           /* NULL or unknown: the daemon's own user only */
	unsigned int request_ms;     /* time for a client's whole request; 0: 5000 */
	unsigned int reply_ms;       /* time for it to take the reply; 0: 30000 */
};

/* The reply, which the caller owns; or NULL with *error set to a static text. */
typedef json_t *(*xi_control_fn)(void *arg, const json_t *req, const char **error);

/*
 * Opens the socket, replacing a stale one. Ignores SIGPIPE for the process. 0, -EADDRINUSE when
 * another daemon answers there, or another -errno; logged.
 */
int xi_control_create(struct xi_control **out, const struct xi_control_config *config);
/*
 * Sends what the kernel takes of replies under way, closes all connections and removes the socket.
 */
void xi_control_destroy(struct xi_control *ctl);

/* cmd must outlive ctl. 0, -EEXIST, -ENOSPC. */
int xi_control_register(struct xi_control *ctl, const char *cmd, xi_control_fn fn, void *arg);
/*
 * The same for a command that changes something: refused to all but root and the daemon's own user.
 */
int xi_control_register_admin(struct xi_control *ctl, const char *cmd, xi_control_fn fn, void *arg);

#endif
