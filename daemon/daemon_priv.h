/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the process share: all its parts. Nobody else includes this. */
#ifndef XI_DAEMON_PRIV_H
#define XI_DAEMON_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "bpfobj.h"
#include "cache/cache.h"
#include "config.h"
#include "control/control.h"
#include "control/sources.h"
#include "dataplane/dummy.h"
#include "dataplane/hostif.h"
#include "dataplane/keepalive.h"
#include "dataplane/mailbox.h"
#include "dataplane/news.h"
#include "dataplane/nexthop.h"
#include "dataplane/pathmtu.h"
#include "dataplane/routes.h"
#include "inspect.h"
#include "ports.h"
#include "sad/encap_ports.h"
#include "sad/sad.h"
#include "sad/spd.h"
#include "source/batch.h"
#include "source/mirror.h"
#include "source/server.h"
#include "stopwatch.h"
#include "workers.h"

struct xi_daemon {
	const struct xi_config_file *config;
	struct event_base *base;
	struct event *signals[3];
	struct event *tick;
	struct {
		unsigned int held;   /* SAs and policies when it was last told */
		time_t next;
	} loading;
	int lock_fd;
	const struct xi_engine *engine;
	struct xi_bpfobj *bpf;
	bool adopted;
	atomic_bool adopting;        /* workers run, and not all SAs are known yet */
	struct xi_store *store;
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_encap_ports *encap_ports;
	struct xi_cache *cache;
	struct xi_nexthops *nexthops;
	struct xi_routes *routes;    /* NULL: not configured */
	struct xi_pathmtu *pathmtu;
	struct xi_dummy *dummy;
	struct xi_keepalives *keepalives;
	struct xi_mailbox *news;
	struct event *on_news;
	struct xi_news_desk desk;
	struct xi_mailbox *asks;     /* flows of which workers hold packets */
	struct event *on_asks;
	atomic_bool acquiring;       /* a key manager listens */
	atomic_uint hold_ms;         /* for how long they do */
	struct xi_hostif hostif;
	struct xi_ports *portset;
	struct xi_port_dev *const *ports; /* of portset, by slot */
	unsigned int nworkers;
	struct xi_workers workers;
	bool live;
	bool attached;               /* some programs, at least */
	struct xi_xfrm_server *server;
	struct xi_batch *batch;
	struct xi_mirror *mirror;
	struct xi_control *control;
	struct xi_control_sources sources;
	struct xi_inspect inspect;
	int esp_sink[2];
	bool down;                   /* asked to take everything away on the way out */
	int status;
	struct xi_stopwatch watch;   /* of the start */
};

/* daemon.c: the process ends with this status. */
void xi_daemon_stop(struct xi_daemon *d, int status);

/* crew.c; each 0 or -errno, logged. */

/* What workers tell. */
int xi_daemon_news(struct xi_daemon *d);
/* For which flows they hold packets. */
int xi_daemon_asks(struct xi_daemon *d);
/* hold_ms follows the settings. */
void xi_daemon_hold_time(struct xi_daemon *d);
int xi_daemon_open_workers(struct xi_daemon *d);
int xi_daemon_start_workers(struct xi_daemon *d);

/* keying.c; each 0 or -errno, logged. */

/* The XFRM server. Before anything of the network namespace is touched: two daemons would fight for it. */
int xi_daemon_server(struct xi_daemon *d);
/* The mirror; without one, what an earlier daemon took over is the kernel's again. */
int xi_daemon_mirror(struct xi_daemon *d);
/* arg is the daemon: asks the policy's key managers for an SA, and counts that. */
void xi_daemon_acquire(void *arg, const struct xi_flow *flow, const struct xi_policy *policy);

/* commands.c: the control socket and what it serves. 0 or -errno. */
int xi_daemon_control(struct xi_daemon *d);

/* network.c; each 0 or -errno, logged. */
int xi_daemon_nexthops(struct xi_daemon *d);
/* After all that packets wait for. */
int xi_daemon_routes(struct xi_daemon *d);
int xi_daemon_pathmtu(struct xi_daemon *d);
int xi_daemon_dummy(struct xi_daemon *d);
int xi_daemon_keepalives(struct xi_daemon *d);

/* databases.c; each 0 or -errno, logged. */

/* Opens the maps: pinned ones, or new ones that nobody sees yet. */
int xi_daemon_bpf(struct xi_daemon *d);
/* SAD and SPD over them, empty. */
int xi_daemon_databases(struct xi_daemon *d);
/* Takes over what workers need to carry on; at a first start, where nothing is there, all. */
int xi_daemon_adopt(struct xi_daemon *d);
/* All other SAs, while workers run. */
int xi_daemon_adopt_rest(struct xi_daemon *d);
/* From now on what the host sends out of a cipher port, and policy wants protected, is. */
int xi_daemon_write_hostif(struct xi_daemon *d);

#endif
