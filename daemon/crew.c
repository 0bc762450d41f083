/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Workers, and what they tell the control thread. */
#include "daemon_priv.h"

#include <errno.h>
#include <string.h>

#include <event2/event.h>

#include "log.h"

#define HOLD_MAX_S 3600
#define ASKS_A_ROUND 64

/* The default is the time for which key managers are asked once: charon sets it. */
void xi_daemon_hold_time(struct xi_daemon *d)
{
	uint32_t s = d->config->hold_s ? d->config->hold_s : xi_acquire_ttl();

	d->hold_ms = (s < HOLD_MAX_S ? s : HOLD_MAX_S) * 1000;
}

static void daemon_on_news(evutil_socket_t fd, short what, void *arg)
{
	struct xi_daemon *d = arg;

	if (xi_news_read(d->news, d->sad, &d->desk))
		event_active(d->on_news, EV_READ, 0);
}

static void daemon_on_mapping(void *arg, const struct xi_sa_rec *rec, const uint8_t saddr[16],
			      uint16_t sport)
{
	struct xi_daemon *d = arg;

	xi_xfrm_server_mapping(d->server, rec, saddr, sport);
}

static void daemon_on_expired(void *arg, uint32_t sa_index)
{
	struct xi_daemon *d = arg;

	xi_sad_expire_now(d->sad, sa_index);
}

static void daemon_on_asks(evutil_socket_t fd, short what, void *arg)
{
	struct xi_daemon *d = arg;
	struct xi_flow flow;
	unsigned int i;

	xi_mailbox_ack(d->asks);
	for (i = 0; i < ASKS_A_ROUND && xi_mailbox_pop(d->asks, &flow); i++)
		xi_cache_ask(d->cache, &flow);
	if (i == ASKS_A_ROUND)
		event_active(d->on_asks, EV_READ, 0);
}

XI_ASSERT(sizeof(struct xi_flow) <= XI_MAILBOX_RECORD_MAX);

int xi_daemon_asks(struct xi_daemon *d)
{
	int err = xi_mailbox_create(&d->asks, d->nworkers, sizeof(struct xi_flow));

	if (err)
		return err;
	xi_daemon_hold_time(d);
	d->on_asks = event_new(d->base, xi_mailbox_fd(d->asks), EV_READ | EV_PERSIST,
			       daemon_on_asks, d);
	return d->on_asks && !event_add(d->on_asks, NULL) ? 0 : -ENOMEM;
}

int xi_daemon_news(struct xi_daemon *d)
{
	int err = xi_mailbox_create(&d->news, d->nworkers, sizeof(struct xi_news));

	if (err)
		return err;
	d->desk = (struct xi_news_desk){
		.mapping = daemon_on_mapping, .expire = daemon_on_expired, .arg = d,
	};
	d->on_news = event_new(d->base, xi_mailbox_fd(d->news), EV_READ | EV_PERSIST, daemon_on_news,
			       d);
	return d->on_news && !event_add(d->on_news, NULL) ? 0 : -ENOMEM;
}

static struct xi_worker_config daemon_worker_config(const struct xi_daemon *d)
{
	struct xi_worker_config config = {
		.nworkers = d->nworkers,
		.spin_us = d->config->spin_us,
		.ports = d->ports,
		.xsks_fd = xi_bpfobj_map_fd(d->bpf, XI_MAP_XSKS),
		.engine = d->engine,
		.hold = d->config->hold,
		.hold_ms = &d->hold_ms,
		.acquiring = &d->acquiring,
		.adopting = &d->adopting,
		.fragment_after = d->config->fragment == XI_FRAGMENT_AFTER,
		.host_mtu = d->hostif.mtu,
		.forward_only = getenv("XIPSEC_FORWARD_ONLY") != NULL,
	};

	memcpy(config.host_mac, d->hostif.mac, sizeof(config.host_mac));
	return config;
}

/*
 * After a restart, programs are attached and packets are coming: the sockets take them in from here
 * on. At a first start nothing comes before daemon_go_live().
 */
int xi_daemon_open_workers(struct xi_daemon *d)
{
	struct xi_worker_config config;

	if (!d->adopted)
		return 0;
	d->adopting = true;
	config = daemon_worker_config(d);
	return xi_workers_open(&d->workers, &config, d->bpf);
}

int xi_daemon_start_workers(struct xi_daemon *d)
{
	const struct xi_worker_config config = daemon_worker_config(d);
	const struct xi_worker_bases bases = {
		.sad = d->sad,
		.spd = d->spd,
		.cache = d->cache,
		.nexthops = d->nexthops,
		.news = d->news,
		.asks = d->asks,
	};

	if (config.forward_only)
		log_warnx(
			"XIPSEC_FORWARD_ONLY is set: packets cross this gateway UNPROTECTED; it is for benchmarks, unset it and start again");
	return xi_workers_start(&d->workers, &config, d->bpf, &bases);
}
