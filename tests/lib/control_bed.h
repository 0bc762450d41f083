/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A control socket over a daemon of fixed data, and a client of it on the server's own thread. */
#ifndef XI_TEST_CONTROL_BED_H
#define XI_TEST_CONTROL_BED_H

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>

#include "control/control.h"
#include "control/sources.h"
#include "sad/sad.h"

#define SECRET "S3cretKeyBytes!?"

struct fake {
	struct event_base *base;
	struct xi_control *ctl;
	struct xi_control_sources src;
	struct xi_sa_state states[2];
	struct xi_sa_rec recs[2];
	struct xi_policy policy;
	struct xi_port_dev port;
	char dir[32];
	struct xi_tx_status tx;
	struct xi_link_xmit xmit;
	int xmit_err;
	bool cached;
	unsigned int ncached_flows;
	unsigned int nsas;
};

json_t *cmd_fail(void *arg, const json_t *req, const char **error);
int control_start(void **state, unsigned int request_ms, unsigned int reply_ms);
int control_setup(void **state);
int control_teardown(void **state);
void socket_name(struct sockaddr_un *sun, const char *dir);
int dial(struct fake *f);
/* All until the server closes; the event loop runs while there is nothing. For free(). */
char *drain(struct fake *f, int fd);
char *ask_bytes(struct fake *f, const char *bytes, size_t len);
char *ask(struct fake *f, const char *request);

#endif
