/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/encap_ports.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define NPORTS 65536

struct xi_encap_ports {
	struct xi_sad *sad;
	struct xi_spd *spd;
	struct xi_store store;
	int fd;
	bool behind;		 /* a write failed: all are written again */
	uint32_t sas;		 /* with encapsulation */
	uint32_t counts[NPORTS]; /* by port; 0 of no use */
};

static int port_write(const struct xi_encap_ports *p, uint32_t port)
{
	int err;

	if (p->counts[port])
		return bpf_map_update_elem(p->fd, &port, &p->counts[port], BPF_ANY) ? -errno : 0;
	err = bpf_map_delete_elem(p->fd, &port) ? -errno : 0;
	return err == -ENOENT ? 0 : err;
}

static int flag_write(const struct xi_encap_ports *p)
{
	struct xi_config config;
	uint32_t flags;
	int err = p->store.ops->config_get(p->store.s, &config);

	if (err)
		return err;
	flags = (config.flags & ~XI_CONFIG_ENCAP) | (p->sas ? XI_CONFIG_ENCAP : 0);
	if (flags == config.flags)
		return 0;
	config.flags = flags;
	return p->store.ops->config_put(p->store.s, &config);
}

static void write_failed(struct xi_encap_ports *p, int err)
{
	if (!p->behind)
		log_warnx("UDP encapsulation: ports could not be made known to XDP: %s; packets to them may not be taken for ESP",
			  strerror(-err));
	p->behind = true;
}

static void sa_count(struct xi_encap_ports *p, const struct xi_sa *sa, int by, uint16_t ports[2])
{
	const struct xi_spd_snapshot *snap = xi_spd_snapshot(p->spd);

	ports[0] = ports[1] = 0;
	if (sa->encap == XI_ENCAP_NONE)
		return;
	p->sas += by;
	if (xi_spd_is_local(snap, sa->saddr, sa->id.family))
		ports[0] = sa->encap_sport;
	if (xi_spd_is_local(snap, sa->id.daddr, sa->id.family))
		ports[1] = sa->encap_dport;
	p->counts[ports[0]] += by;
	p->counts[ports[1]] += by;
}

/* Ports that ended with a former daemon, or with an address of the host, go. */
static int map_clean(const struct xi_encap_ports *p)
{
	uint32_t port, next;
	bool more = !bpf_map_get_next_key(p->fd, NULL, &port);
	int err = 0, failed;

	while (more) {
		more = !bpf_map_get_next_key(p->fd, &port, &next);
		if (port == 0 || port >= NPORTS || !p->counts[port]) {
			failed = bpf_map_delete_elem(p->fd, &port) ? -errno : 0;
			err = failed ? failed : err;
		}
		port = next;
	}
	return err;
}

static void write_all(struct xi_encap_ports *p)
{
	int err = map_clean(p), failed = 0;
	uint32_t port;

	for (port = 1; port < NPORTS; port++)
		if (p->counts[port] && (failed = port_write(p, port)))
			err = failed;
	failed = flag_write(p);
	if (failed)
		err = failed;
	if (err)
		write_failed(p, err);
	else
		p->behind = false;
}

/* From scratch. Before the host's addresses are known, what an earlier daemon wrote stands. */
static void recount(void *arg)
{
	struct xi_encap_ports *p = arg;
	const struct xi_sa_rec *rec;
	uint16_t ports[2];
	uint32_t slot = 0;

	memset(p->counts, 0, sizeof(p->counts));
	p->sas = 0;
	while ((rec = xi_sad_next(p->sad, &slot)))
		if (!(rec->sa.life & XI_SA_LARVAL))
			sa_count(p, &rec->sa, 1, ports);
	if (xi_spd_snapshot(p->spd)->nlocal)
		write_all(p);
}

static void sa_changed(void *arg, const struct xi_sa_rec *old, const struct xi_sa_rec *new)
{
	struct xi_encap_ports *p = arg;
	uint16_t ports[4] = {0};
	uint32_t before = p->sas;
	unsigned int i;
	int err = 0, failed;

	if (new)
		sa_count(p, &new->sa, 1, &ports[0]);
	if (old)
		sa_count(p, &old->sa, -1, &ports[2]);
	for (i = 0; i < 4; i++) {
		failed = ports[i] ? port_write(p, ports[i]) : 0;
		err = failed ? failed : err;
	}
	failed = !before != !p->sas ? flag_write(p) : 0;
	if (err || failed)
		write_failed(p, err ? err : failed);
}

static void sas_sync(void *arg)
{
	struct xi_encap_ports *p = arg;

	if (p->behind)
		write_all(p);
}

int xi_encap_ports_create(struct xi_encap_ports **out, struct xi_sad *sad, struct xi_spd *spd,
			  const struct xi_store *store, int fd)
{
	struct xi_encap_ports *p = calloc(1, sizeof(*p));
	const struct xi_sad_listener listener = {.changed = sa_changed, .sync = sas_sync, .arg = p};

	if (!p)
		return -ENOMEM;
	p->sad = sad;
	p->spd = spd;
	p->store = *store;
	p->fd = fd;
	xi_sad_listen(sad, &listener);
	xi_spd_on_local(spd, recount, p);
	recount(p);
	*out = p;
	return 0;
}

void xi_encap_ports_destroy(struct xi_encap_ports *ports)
{
	free(ports);
}
