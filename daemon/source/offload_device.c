/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One device. It says that it is full by refusing; what it had then is what it holds, until a later
 * try proves otherwise. What it refuses for another reason it refuses of all SAs of that kind,
 * unless it has one.
 */
#include "source/offload_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define LATER_MAX_S 3600
#define SLOTS_UNKNOWN 1024

static uint32_t resident_uses(void *arg, uint32_t id)
{
	struct xi_offload_device *dev = arg;
	struct xi_offload_resident *r;
	uint32_t uses;

	HASH_FIND(hh, dev->by_id, &id, sizeof(id), r);
	if (!r)
		return 0;
	uses = (uint32_t)r->sa->offload.samples;
	r->sa->offload.samples -= (float)uses;
	return uses;
}

/* Residents are told of anew; there are no more than the capacity. */
static int offload_capacity(struct xi_offload_device *dev, uint32_t capacity)
{
	const struct xi_admit_config config = {.policy = dev->offload->config.policy,
					       .capacity = capacity,
					       .uses = resident_uses,
					       .arg = dev};
	struct xi_admit *admit = NULL;
	struct xi_offload_resident *r;
	struct xi_admission out;
	int err = capacity ? xi_admit_create(&admit, &config) : 0;

	if (err)
		return err;
	xi_admit_destroy(dev->admit);
	dev->admit = admit;
	dev->capacity = capacity;
	TAILQ_FOREACH(r, &dev->residents, next)
	xi_admit_miss(admit, r->id, XI_OFFLOAD_SAMPLES, &out);
	return 0;
}

uint32_t xi_offload_able(const struct xi_offload_device *dev)
{
	const struct xi_offload_config *config = &dev->offload->config;

	return config->able ? config->able(config->arg, dev->port.name)
			    : xi_offload_net_able(dev->port.name);
}

int xi_offload_device_init(struct xi_offload *o, struct xi_offload_device *dev,
			   const struct xi_offload_port *port)
{
	dev->port = *port;
	dev->offload = o;
	dev->ifindex = dev->link = xi_offload_able(dev);
	if (!dev->ifindex)
		log_warnx("mirror: %s takes no SAs: it is down, or its esp-hw-offload is off; it "
			  "is looked at again",
			  port->name);
	dev->retry_s = XI_OFFLOAD_LATER_S;
	TAILQ_INIT(&dev->residents);
	return offload_capacity(dev, port->slots ? port->slots : SLOTS_UNKNOWN);
}

struct xi_offload_device *xi_offload_device_of(const struct xi_mirror *m,
					       const struct xi_mirror_sa *sa)
{
	return sa->offload.device ? &m->offload->devices[sa->offload.device - 1] : NULL;
}

uint8_t xi_offload_device_by_ifindex(const struct xi_offload *o, uint32_t ifindex)
{
	for (unsigned int i = 0; i < o->ndevices; i++)
		if (ifindex && o->devices[i].ifindex == ifindex)
			return (uint8_t)(i + 1);
	return 0;
}

bool xi_offload_resident_add(struct xi_offload_device *dev, struct xi_mirror_sa *sa,
			     const struct xi_offload_kind *kind)
{
	struct xi_offload_resident *r = calloc(1, sizeof(*r));

	if (!r)
		return false;
	r->id = sa->offload.id;
	r->sa = sa;
	r->kind = *kind;
	HASH_ADD(hh, dev->by_id, id, sizeof(r->id), r);
	TAILQ_INSERT_TAIL(&dev->residents, r, next);
	sa->offload.resident = r;
	return true;
}

void xi_offload_resident_free(struct xi_offload_device *dev, struct xi_mirror_sa *sa)
{
	struct xi_offload_resident *r = sa->offload.resident;

	if (!r)
		return;
	if (dev->admit)
		xi_admit_remove(dev->admit, r->id);
	HASH_DEL(dev->by_id, r);
	TAILQ_REMOVE(&dev->residents, r, next);
	sa->offload.resident = NULL;
	free(r);
}

void xi_offload_kind_of(struct xi_offload_kind *kind, const struct xi_mirror_sa *which,
			const struct xi_sa_rec *rec)
{
	const struct xi_sa *sa = &rec->sa;

	memset(kind, 0, sizeof(*kind));
	kind->alg = sa->alg;
	kind->auth = sa->auth;
	kind->icv = sa->icv_len;
	kind->mode = sa->mode;
	kind->family = sa->id.family;
	kind->proto = sa->id.proto;
	kind->encap = sa->encap;
	kind->esn = sa->flags & XFRM_STATE_ESN;
	kind->key_len = rec->key.len;
	kind->in = !which->outbound;
}

bool xi_offload_kind_refused(const struct xi_offload_device *dev,
			     const struct xi_offload_kind *kind)
{
	for (uint32_t i = 0; i < dev->nkinds && i < XI_OFFLOAD_KINDS; i++)
		if (!memcmp(&dev->kinds[i], kind, sizeof(*kind)))
			return true;
	return false;
}

bool xi_offload_kind_is_there(const struct xi_offload_device *dev,
			      const struct xi_offload_kind *kind, const struct xi_mirror_sa *but)
{
	const struct xi_offload_resident *r;

	TAILQ_FOREACH(r, &dev->residents, next)
	if (r->sa != but && r->sa->offload.where == XI_OFFLOAD_THERE &&
	    !memcmp(&r->kind, kind, sizeof(*kind)))
		return true;
	return false;
}

void xi_offload_full(struct xi_mirror *m, struct xi_offload_device *dev, uint32_t now)
{
	struct xi_offload_resident *r, *next;

	if (!dev->known || dev->capacity != dev->there + 1)
		log_info("mirror: %s takes no more SAs: it has %u of the mirror's, and %u others",
			 dev->port.name, dev->there, dev->others);
	dev->known = true;
	dev->probing = false;
	dev->retry_at = now + dev->retry_s;
	dev->retry_s = dev->retry_s * 2 < LATER_MAX_S ? dev->retry_s * 2 : LATER_MAX_S;
	for (r = TAILQ_FIRST(&dev->residents); r; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->sa->offload.where == XI_OFFLOAD_IN)
			xi_offload_forget(m, r->sa);
	}
	offload_capacity(dev, dev->there);
}

void xi_offload_room_check(struct xi_offload_device *dev, uint32_t now)
{
	if (!dev->known || now < dev->retry_at || dev->there < dev->capacity ||
	    (dev->port.slots && dev->capacity >= dev->port.slots))
		return;
	dev->retry_at = now + 1;
	dev->probing = true;
	offload_capacity(dev, dev->capacity + 1);
}

void xi_offload_device_log(struct xi_offload_device *dev)
{
	if (dev->in + dev->out == dev->told)
		return;
	dev->told = dev->in + dev->out;
	log_info("mirror: %s has %u SAs of the mirror's; put in so far: %llu, taken out: %llu",
		 dev->port.name, dev->there + dev->outs, (unsigned long long)dev->in,
		 (unsigned long long)dev->out);
}
