/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is put in hardware. The admission policy is told of SAs that were used and are outside. It is
 * made for single packets, and counts time in them, so it gets a sample: all SAs of a device share
 * eight a round and place, as they had packets.
 */
#include "source/offload_int.h"

#include <string.h>

#define ASKS 256    /* SAs in hardware that the kernel is asked about, a tick */
#define ROUTED_S 30 /* until a route is asked for again */
#define MOVES 16    /* a round: into free places, and */
#define EVICTIONS 4 /* in exchange for another */
#define WEIGHT_MAX 255

/* Its share of a round's samples. What is less than one is kept for the next round. */
static uint32_t samples(struct xi_offload_device *dev, struct xi_mirror_sa *sa, uint64_t packets)
{
	double share = dev->total ? (double)packets / (double)dev->total : 0;

	dev->packets += packets;
	sa->offload.samples += (float)(share * XI_OFFLOAD_SAMPLES * dev->capacity);
	if (sa->offload.samples > WEIGHT_MAX)
		sa->offload.samples = WEIGHT_MAX;
	return (uint32_t)sa->offload.samples;
}

static uint64_t used_since(struct xi_mirror_sa *sa, uint64_t packets)
{
	uint64_t used = packets > sa->offload.packets ? packets - sa->offload.packets : 0;

	sa->offload.packets = packets;
	return used;
}

/* In exchange for a victim, which is not to have come of late. False: it stays. */
static bool evict(struct xi_mirror *m, struct xi_offload_device *dev, uint32_t id, uint32_t now)
{
	struct xi_offload_resident *r;

	HASH_FIND(hh, dev->by_id, &id, sizeof(id), r);
	if (!r)
		return true;
	if (r->sa->offload.where == XI_OFFLOAD_THERE && r->sa->offload.not_before <= now) {
		dev->evictions++;
		xi_offload_out(m, dev, r->sa);
		return true;
	}
	return false;
}

static void admit(struct xi_mirror *m, struct xi_offload_device *dev, struct xi_mirror_sa *sa,
		  uint32_t weight, uint32_t now)
{
	const struct xi_sa_rec *rec = xi_sad_find(m->sad, &sa->id);
	struct xi_admission admission;
	struct xi_offload_kind kind;

	xi_offload_kind_of(&kind, sa, rec);
	if (xi_offload_kind_refused(dev, &kind))
		return;
	xi_admit_miss(dev->admit, sa->offload.id, weight, &admission);
	if (admission.verdict == XI_ADMIT_REFUSED)
		return;
	if (admission.verdict == XI_ADMIT_EVICT) {
		/* room for the victim, should it stay */
		if (!evict(m, dev, admission.victim, now)) {
			xi_admit_remove(dev->admit, sa->offload.id);
			xi_admit_miss(dev->admit, admission.victim, XI_OFFLOAD_SAMPLES, &admission);
			return;
		}
	}
	dev->moves++;
	if (!xi_offload_resident_add(dev, sa, &kind)) {
		xi_admit_remove(dev->admit, sa->offload.id);
		return;
	}
	sa->offload.where = XI_OFFLOAD_IN;
	xi_mirror_sa_touch(m, sa);
}

static bool has_budget(const struct xi_offload_device *dev)
{
	if (dev->moves >= MOVES)
		return false;
	return xi_admit_resident(dev->admit) < dev->capacity || dev->evictions < EVICTIONS;
}

static uint32_t route(struct xi_offload *o, const struct xi_sa *sa, bool outbound)
{
	return o->config.route ? o->config.route(o->config.arg, sa, outbound)
			       : xi_offload_net_route(o->net, sa, outbound);
}

/* Of an inbound one with ESN the window of a device cannot be shut (mirror_window.c). */
static bool may_go(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	return sa->outbound || !(rec->sa.flags & XFRM_STATE_ESN);
}

void xi_offload_look(struct xi_mirror *m, struct xi_mirror_sa *sa, unsigned int *routes,
		     uint32_t now)
{
	const struct xi_sa_rec *rec =
		sa->where == XI_MIRROR_OURS && !sa->dirty && sa->offload.where == XI_OFFLOAD_NO
			? xi_sad_find(m->sad, &sa->id)
			: NULL;
	struct xi_offload *o = m->offload;
	struct xi_offload_device *dev;
	uint64_t packets;
	uint32_t weight;

	if (!rec || !may_go(sa, rec))
		return;
	packets = __atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED);
	if (!sa->offload.id) {
		sa->offload.id = ++o->last_id;
		sa->offload.packets = packets;
	}
	if (packets == sa->offload.packets || sa->offload.refused)
		return;
	if (!sa->offload.routed || now - sa->offload.routed >= ROUTED_S) {
		if (!*routes)
			return;
		--*routes;
		sa->offload.routed = now;
		sa->offload.device =
			xi_offload_device_by_ifindex(o, route(o, &rec->sa, sa->outbound));
	}
	dev = xi_offload_device_of(m, sa);
	if (dev && (!dev->ifindex || !dev->admit || !has_budget(dev)))
		return;
	packets = used_since(sa, packets);
	if (!dev)
		return;
	weight = samples(dev, sa, packets);
	sa->offload.samples -= (float)weight;
	if (weight && now >= sa->offload.not_before && xi_group_alone(m, sa))
		admit(m, dev, sa, weight, now);
}

void xi_offload_residents_look(struct xi_mirror *m, struct xi_offload_device *dev)
{
	struct xi_offload_resident *r;
	struct xfrm_usersa_info info;

	for (unsigned int n = 0; n < ASKS && dev->unlooked; n++, dev->unlooked--) {
		r = TAILQ_FIRST(&dev->residents);
		if (!r)
			return;
		TAILQ_REMOVE(&dev->residents, r, next);
		TAILQ_INSERT_TAIL(&dev->residents, r, next);
		if (r->sa->offload.where != XI_OFFLOAD_THERE || r->sa->where == XI_MIRROR_OURS)
			continue;
		if (xi_mirror_ask_sa(m, &r->sa->id)) {
			xi_mirror_sa_touch(m, r->sa);
			continue;
		}
		if (!xi_group_alone(m, r->sa)) { /* rekeyed: the new one is to be ours */
			xi_offload_out(m, dev, r->sa);
			continue;
		}
		xi_offload_copy(m, r->sa);
		memcpy(&info, m->answer.buf + NLMSG_HDRLEN, sizeof(info));
		if (!r->sa->offload.packets) /* a former daemon's */
			r->sa->offload.packets = info.curlft.packets;
		samples(dev, r->sa, used_since(r->sa, info.curlft.packets));
	}
	explicit_bzero(m->answer.buf, sizeof(m->answer.buf));
}
