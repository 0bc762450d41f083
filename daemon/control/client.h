/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tool's end of the control socket. */
#ifndef XI_CONTROL_CLIENT_H
#define XI_CONTROL_CLIENT_H

#include <jansson.h>
#include <stdio.h>

/*
 * Sends {"cmd": cmd} to the daemon of run_dir and waits for its reply, an object that the caller
 * owns; the pages of a long one come in one piece. 0 or -errno: -ENOENT
 * and -ECONNREFUSED when none runs, -EACCES, -ETIMEDOUT when it is silent for 30 seconds, -EPROTO
 * for what is no JSON object.
 */
int xi_control_call(const char *run_dir, const char *cmd, json_t **reply);

/* The same for one request of more than a name, {"cmd": ...}, whose reply is one page. */
int xi_control_request(const char *run_dir, const json_t *req, json_t **reply);

/* Says why such a call failed, and what to do. */
void xi_control_explain(FILE *out, const char *run_dir, int err);

#endif
