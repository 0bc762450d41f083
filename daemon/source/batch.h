/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SAs and policies from a file of `ip -batch` lines, loaded at start: the system's ip reads it
 * and talks to the server like any other client, while the loop goes on serving. What exists
 * already (adopted from a former run) is no error.
 */
#ifndef XI_BATCH_H
#define XI_BATCH_H

#include <stddef.h>

struct event_base;
struct xi_batch;
struct xi_xfrm_server;

/*
 * status: 0, or -EINVAL when lines were refused; report then has a line "FILE:LINE: reason" for
 * each (the first of them), else "". *batch is gone when this is called.
 */
typedef void (*xi_batch_done)(void *arg, int status, const char *report);

struct xi_batch_config {
	struct event_base *base;
	struct xi_xfrm_server *server; /* its SAs and policies get marked as coming from a file */
	const char *file;
	xi_batch_done done;
	void *arg;
};

/*
 * Reads and checks the file (only `xfrm state|policy add|update` and comments may stand in it)
 * and starts ip. On failure -errno with the reason in why[n], and done is not called.
 */
int xi_batch_start(struct xi_batch **out, const struct xi_batch_config *config, char *why,
		   size_t n);
/* Kills ip, if it still runs. done is not called. */
void xi_batch_cancel(struct xi_batch *batch);
/* Reads and checks the file, as `xipsecd -n` does; 0 or -errno with the reason. */
int xi_batch_check(const char *file, char *why, size_t n);

#endif
