/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hardware on demand as a whole: rounds of a second or more, in which the mirror's SAs are looked
 * at. */
#include "source/offload_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define ROUND_NS 1000000000ULL
#define LOOKS 16384    /* SAs a tick, of which there are four a second */
#define ROUTES 64      /* of them whose device is asked for */
#define ABLE_ROUNDS 5  /* until devices are looked at again */
#define TELL_ROUNDS 60 /* until moves are logged again */

uint32_t xi_offload_seconds(const struct xi_mirror *m)
{
	return (uint32_t)(xi_mirror_now(m) / 1000000000ULL);
}

int xi_offload_create(struct xi_offload **out, const struct xi_offload_config *config)
{
	struct xi_offload *o;
	int err = 0;

	*out = NULL;
	if (!config->nports)
		return 0;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->config = *config;
	while (!err && o->ndevices < config->nports && o->ndevices < XI_OFFLOAD_DEVICES) {
		err = xi_offload_device_init(o, &o->devices[o->ndevices],
					     &config->ports[o->ndevices]);
		o->ndevices++;
	}
	if (!err && !config->route)
		err = xi_offload_net_open(&o->net);
	if (!err)
		err = xi_offload_notes_open(&o->notes, config->notes);
	o->config.ports = NULL; /* the caller's */
	o->config.notes = NULL;
	if (err) {
		xi_offload_destroy(o);
		return err;
	}
	*out = o;
	return 0;
}

void xi_offload_destroy(struct xi_offload *o)
{
	struct xi_offload_resident *r;

	if (!o)
		return;
	for (unsigned int i = 0; i < o->ndevices; i++) {
		struct xi_offload_device *dev = &o->devices[i];

		HASH_CLEAR(hh, dev->by_id);
		while ((r = TAILQ_FIRST(&dev->residents))) {
			TAILQ_REMOVE(&dev->residents, r, next);
			xi_offload_copy_free(r->sa);
			r->sa->offload = (struct xi_offload_sa){0};
			free(r);
		}
		xi_admit_destroy(dev->admit);
	}
	if (o->on_links)
		event_free(o->on_links);
	xi_offload_net_close(o->net);
	xi_offload_notes_close(o->notes);
	free(o);
}

static void able_check(struct xi_mirror *m, struct xi_offload_device *dev)
{
	uint32_t ifindex = xi_offload_able(dev);
	struct xi_offload_resident *r, *next;

	if (ifindex == dev->ifindex)
		return;
	log_info("mirror: %s %s", dev->port.name,
		 ifindex ? "takes SAs: it is up, and its esp-hw-offload is on"
			 : "takes no SAs: it is down or gone, or its esp-hw-offload is off");
	dev->ifindex = ifindex;
	if (ifindex)
		dev->link = ifindex;
	dev->nkinds = 0;
	for (r = TAILQ_FIRST(&dev->residents); r; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->sa->offload.where == XI_OFFLOAD_THERE)
			xi_offload_out(m, dev, r->sa);
	}
	/* those of a former daemon, and of others */
	if (ifindex)
		xi_mirror_touch_sas(m);
}

static void round_begin(struct xi_mirror *m, uint64_t clock)
{
	struct xi_offload *o = m->offload;
	uint32_t now = (uint32_t)(clock / 1000000000ULL);

	o->round_at = clock;
	o->left = HASH_COUNT(m->sas);
	for (unsigned int i = 0; i < o->ndevices; i++) {
		struct xi_offload_device *dev = &o->devices[i];

		if (o->rounds % ABLE_ROUNDS == 0)
			able_check(m, dev);
		if (o->rounds % TELL_ROUNDS == 0)
			xi_offload_device_log(dev);
		xi_offload_room_check(dev, now);
		dev->total = dev->packets;
		dev->packets = 0;
		dev->moves = dev->evictions = 0;
		dev->unlooked = HASH_COUNT(dev->by_id);
	}
	o->rounds++;
}

void xi_offload_tick(struct xi_mirror *m)
{
	struct xi_offload *o = m->offload;
	uint64_t clock = xi_mirror_now(m);
	unsigned int routes = ROUTES;

	if (!o || m->starting)
		return;
	if (!o->left && (!o->rounds || clock - o->round_at >= ROUND_NS))
		round_begin(m, clock);
	for (unsigned int i = 0; i < o->ndevices; i++)
		xi_offload_residents_look(m, &o->devices[i]);
	for (unsigned int n = 0; n < LOOKS && o->left; n++, o->left--) {
		struct xi_mirror_sa *sa =
			m->offload_cursor ? m->offload_cursor : TAILQ_FIRST(&m->all_sas);

		if (!sa) {
			o->left = 0;
			break;
		}
		m->offload_cursor = TAILQ_NEXT(sa, all);
		xi_offload_look(m, sa, &routes, (uint32_t)(clock / 1000000000ULL));
	}
}

unsigned int xi_offload_figures(const struct xi_offload *o, struct xi_offload_figures *out)
{
	for (unsigned int i = 0; o && i < o->ndevices; i++) {
		const struct xi_offload_device *dev = &o->devices[i];

		memset(&out[i], 0, sizeof(out[i]));
		memcpy(out[i].name, dev->port.name, sizeof(out[i].name));
		out[i].able = dev->ifindex;
		out[i].sas = dev->there + dev->outs;
		out[i].others = dev->others;
		out[i].slots = dev->known || dev->port.slots ? dev->capacity : 0;
		out[i].kinds = dev->nkinds < XI_OFFLOAD_KINDS ? dev->nkinds : XI_OFFLOAD_KINDS;
		out[i].in = dev->in;
		out[i].out = dev->out;
		out[i].refused = dev->refused;
		out[i].restored = dev->restored;
	}
	return o ? o->ndevices : 0;
}
