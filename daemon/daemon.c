/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "daemon.h"

#include "daemon_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "caps.h"
#include "dataplane/down.h"
#include "dataplane/hostpath.h"
#include "fence.h"
#include "log.h"
#include "notify.h"
#include "sad/store_bpf.h"

#define TIDY_SAS 1000           /* up to so many are freed at the end */
#define TICK_MS 250              /* a busy SA from a file needs new numbers from disk in time */
#define LOADING_S 3 /* between signs of life while SAs are loaded */

void xi_daemon_stop(struct xi_daemon *d, int status)
{
	d->status = status;
	event_base_loopbreak(d->base);
}

static void daemon_on_signal(evutil_socket_t sig, short what, void *arg)
{
	log_info("signal %d: stopping; programs and maps stay, protected traffic is held back",
		 (int)sig);
	xi_daemon_stop(arg, 0);
}

static unsigned int daemon_held(const struct xi_daemon *d)
{
	return xi_sad_count(d->sad) + xi_spd_count(d->spd, XI_IN) + xi_spd_count(d->spd, XI_OUT) +
	       xi_spd_count(d->spd, XI_FWD);
}

/* A long file of SAs takes longer than systemd waits; it is to wait as long as more of them come. */
static void daemon_still_loading(struct xi_daemon *d)
{
	unsigned int held = daemon_held(d);

	if (!d->batch || d->live || held == d->loading.held || time(NULL) < d->loading.next)
		return;
	d->loading.held = held;
	d->loading.next = time(NULL) + LOADING_S;
	xi_notify("EXTEND_TIMEOUT_USEC=%u\nSTATUS=loading %s: %u SAs and policies so far",
		  10 * LOADING_S * 1000000, d->config->sas, held);
}

static void daemon_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct xi_daemon *d = arg;
	unsigned int i;

	daemon_still_loading(d);
	xi_sad_tick(d->sad, time(NULL));
	if (d->keepalives)
		xi_keepalives_tick(d->keepalives, time(NULL));
	if (d->server)
		xi_xfrm_server_tick(d->server, time(NULL));
	xi_mailbox_renew(d->news);
	xi_mailbox_renew(d->asks);
	xi_daemon_hold_time(d);
	for (i = 0; i < XI_MAX_WORKERS; i++)
		if (d->workers.list[i])
			xi_worker_report(d->workers.list[i]);
}

/* chmod: the umask may be narrower, and the group must get to the control socket. */
static int daemon_run_dir(const char *dir)
{
	int err;

	if (mkdir(dir, 0755) ? errno == EEXIST : !chmod(dir, 0755))
		return 0;
	err = -errno;
	log_warn("%s: cannot make the run directory; make what it lies in, or set run-dir", dir);
	return err;
}

static int daemon_caps(struct xi_daemon *d)
{
	return xi_caps_check_self();
}

static int daemon_lock(struct xi_daemon *d)
{
	char path[PATH_MAX];
	int err;

	err = daemon_run_dir(d->config->run_dir);
	if (err)
		return err;
	snprintf(path, sizeof(path), "%s/lock", d->config->run_dir);
	d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->lock_fd >= 0 && !flock(d->lock_fd, LOCK_EX | LOCK_NB))
		return 0;
	err = -errno;
	if (err == -EWOULDBLOCK)
		log_warnx(
			"%s: another xipsecd uses this run directory; stop it, or give --run-dir and --pin-dir to one in another network namespace",
			path);
	else
		log_warn("%s: cannot lock the run directory; see that it is writable for the user of xipsecd, or set run-dir", path);
	return err;
}

static int daemon_loop(struct xi_daemon *d)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	const struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	unsigned int i;

	d->base = event_base_new();
	if (!d->base)
		return -ENOMEM;
	for (i = 0; i < 3; i++) {
		d->signals[i] = evsignal_new(d->base, signals[i], daemon_on_signal, d);
		if (!d->signals[i] || event_add(d->signals[i], NULL))
			return -ENOMEM;
	}
	d->tick = event_new(d->base, -1, EV_PERSIST, daemon_on_tick, d);
	return d->tick && !event_add(d->tick, &tick) ? 0 : -ENOMEM;
}

static int daemon_engine(struct xi_daemon *d)
{
	d->engine = xi_engine_find(d->config->engine);
	if (!d->engine) {
		log_warnx("engine = %s: this CPU cannot run it; use engine = auto or openssl",
			  d->config->engine);
		return -ENOTSUP;
	}
	return 0;
}

static int daemon_cache(struct xi_daemon *d)
{
	const struct xi_cache_config config = {
		.base = d->base,
		.sad = d->sad,
		.spd = d->spd,
		.engine = d->engine,
		.nworkers = d->nworkers,
		.sa_entries = xi_bpfobj_sa_entries(d->bpf),
		.policy = d->config->admission,
		.sa_cache_fd = xi_bpfobj_map_fd(d->bpf, XI_MAP_SA_CACHE),
		.flow_cache_fd = xi_bpfobj_map_fd(d->bpf, XI_MAP_FLOW_CACHE),
		.flow_masks_fd = xi_bpfobj_map_fd(d->bpf, XI_MAP_FLOW_MASKS),
		.misses_fd = xi_bpfobj_map_fd(d->bpf, XI_MAP_MISSES),
		.counts = xi_bpfobj_counts(d->bpf, XI_CONTROL_ROW),
		.acquire = xi_daemon_acquire,
		.arg = d,
	};

	return xi_cache_create(&d->cache, &config);
}

static int daemon_ports(struct xi_daemon *d)
{
	int err = xi_ports_create(&d->portset, d->config, d->bpf, &d->hostif);

	if (err)
		return err;
	d->ports = xi_ports_by_slot(d->portset);
	d->nworkers = xi_ports_workers(d->portset);
	return xi_daemon_write_hostif(d);
}

/*
 * From here on packets flow: workers first, then programs, so that nothing is dropped for want of a
 * socket.
 */
static int daemon_go_live(struct xi_daemon *d)
{
	int err;

	err = xi_daemon_start_workers(d);
	xi_stopwatch_lap(&d->watch, "workers");
	if (!err && d->adopted)
		err = xi_daemon_adopt_rest(d);
	/* an earlier daemon's programs are attached so far */
	if (!err)
		err = xi_bpfobj_load(d->bpf);
	xi_stopwatch_lap(&d->watch, "programs");
	d->attached = true;
	if (!err)
		err = xi_ports_attach(d->portset);
	if (!err)
		err = xi_esp_sink_open(d->esp_sink);
	if (!err)
		err = xi_daemon_mirror(d);
	if (err)
		return err;
	xi_stopwatch_lap(&d->watch, "attach");
	d->live = true;
	log_debug("starting took %s; sockets were bound after %.1f ms", d->watch.text,
		  (d->workers.bound_us - d->watch.from_us) / 1e3);
	log_info("ready: engine %s, workers: %u, ports: %u, SAs: %u", d->engine->name, d->nworkers,
		 d->config->nports, xi_sad_count(d->sad));
	xi_notify("READY=1\nSTATUS=%u ports, %u workers, engine %s", d->config->nports, d->nworkers,
		  d->engine->name);
	return 0;
}

/* The log is of lines: one message each. */
static void daemon_log_lines(const char *text)
{
	size_t n;

	for (; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		log_warnx("%.*s", (int)n, text);
	}
}

/* The file of SAs is loaded. A gateway whose file has an error must not run with half of it. */
static void daemon_on_batch(void *arg, int status, const char *report)
{
	struct xi_daemon *d = arg;

	d->batch = NULL;
	if (status) {
		daemon_log_lines(report);
		log_warnx("%s: xipsecd ends, for a part of the file would protect a part: correct it and start again",
			  d->config->sas);
		xi_daemon_stop(d, 1);
		return;
	}
	if (!d->live && daemon_go_live(d))
		xi_daemon_stop(d, 1);
}

static int daemon_load(struct xi_daemon *d)
{
	const struct xi_batch_config config = {
		.base = d->base,
		.server = d->server,
		.file = d->config->sas,
		.done = daemon_on_batch,
		.arg = d,
	};
	char why[512];
	int err;

	/* an adopted gateway has programs attached and traffic waiting */
	if (d->adopted || !d->config->sas) {
		err = daemon_go_live(d);
		if (err)
			return err;
	}
	if (!d->config->sas)
		return 0;
	err = xi_batch_start(&d->batch, &config, why, sizeof(why));
	if (err)
		log_warnx("%s", why);
	return err;
}

/*
 * In this order: nothing of the network namespace is touched before it is clear that no other
 * daemon serves it, and what a restart takes before the sockets are bound is lost packets.
 */
static const struct daemon_step {
	int (*run)(struct xi_daemon *d);
	const char *lap;             /* ends here; NULL: it goes on */
} daemon_steps[] = {
	{ daemon_caps, NULL },
	{ daemon_lock, NULL },
	{ daemon_loop, NULL },
	{ daemon_engine, "engine" },
	{ xi_daemon_bpf, "maps" },
	{ xi_daemon_databases, "tables" },
	{ xi_daemon_server, NULL },
	{ daemon_ports, "ports" },
	{ xi_daemon_open_workers, NULL },
	{ xi_daemon_adopt, "policies" },
	{ daemon_cache, "cache" },
	{ xi_daemon_news, NULL },
	{ xi_daemon_asks, NULL },
	{ xi_daemon_nexthops, "next hops" },
	{ xi_daemon_pathmtu, NULL },
	{ xi_daemon_dummy, NULL },
	{ xi_daemon_keepalives, NULL },
	{ xi_daemon_control, "control" },
	{ daemon_load, NULL },
	{ xi_daemon_routes, NULL },
};

static int daemon_open(struct xi_daemon *d)
{
	unsigned int i;
	int err = 0;

	xi_stopwatch_start(&d->watch);
	for (i = 0; i < sizeof(daemon_steps) / sizeof(daemon_steps[0]) && !err; i++) {
		err = daemon_steps[i].run(d);
		if (daemon_steps[i].lap)
			xi_stopwatch_lap(&d->watch, daemon_steps[i].lap);
	}
	return err;
}

/*
 * Packets are lost until the next daemon is up, and that one waits for the end of this process: of
 * many SAs the kernel takes the memory back faster than one by one. The SPD tells the cache of
 * grace periods until it is gone.
 */
static void daemon_close_databases(struct xi_daemon *d)
{
	if (d->sad && xi_sad_count(d->sad) > TIDY_SAS) {
		xi_sad_wipe(d->sad);
		return;
	}
	xi_spd_destroy(d->spd);
	xi_sad_destroy(d->sad);
}

static void daemon_close(struct xi_daemon *d)
{
	unsigned int i;

	xi_batch_cancel(d->batch);
	xi_control_destroy(d->control);
	xi_xfrm_server_destroy(d->server);
	xi_workers_stop(&d->workers);
	xi_mirror_destroy(d->mirror);
	if (d->on_news)
		event_free(d->on_news);
	if (d->on_asks)
		event_free(d->on_asks);
	xi_mailbox_destroy(d->news);
	xi_mailbox_destroy(d->asks);
	xi_pathmtu_destroy(d->pathmtu);
	xi_dummy_destroy(d->dummy);
	xi_keepalives_destroy(d->keepalives);
	xi_routes_destroy(d->routes);
	xi_nexthops_destroy(d->nexthops);
	daemon_close_databases(d);
	xi_encap_ports_destroy(d->encap_ports);
	xi_cache_destroy(d->cache);
	xi_store_bpf_close(d->store);
	xi_ports_destroy(d->portset);
	if (!d->attached)
		xi_bpfobj_abandon(d->bpf);
	/* a first start that failed leaves no device behind, either */
	if (!d->attached && !d->adopted && d->hostif.made)
		xi_hostif_down();
	xi_bpfobj_close(d->bpf);
	xi_esp_sink_close(d->esp_sink);
	for (i = 0; i < 3; i++)
		if (d->signals[i])
			event_free(d->signals[i]);
	if (d->tick)
		event_free(d->tick);
	if (d->base)
		event_base_free(d->base);
}

int xi_daemon_run(const struct xi_config_file *config)
{
	struct xi_daemon *d = calloc(1, sizeof(*d));
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int status;

	if (!d)
		return 1;
	d->config = config;
	d->lock_fd = d->esp_sink[0] = d->esp_sink[1] = -1;
	/* keys are in this process's memory: no core files, no ptrace by others of the same user */
	prctl(PR_SET_DUMPABLE, 0);
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited))
		log_debug("memlock limit stays as it is; CAP_IPC_LOCK makes up for it");
	signal(SIGPIPE, SIG_IGN);
	/* a limit on file sizes is a full disk, and no reason to die */
	signal(SIGXFSZ, SIG_IGN);
	if (daemon_open(d))
		d->status = 1;
	else
		event_base_dispatch(d->base);
	xi_notify("STOPPING=1");
	daemon_close(d);
	status = d->status;
	if (d->down)
		xi_fence_down(config->pin_dir);
	if (d->down && xi_down(config->pin_dir))
		status = 1;
	/* `xipsec down` waits for this */
	if (d->lock_fd >= 0)
		close(d->lock_fd);
	free(d);
	return status;
}
