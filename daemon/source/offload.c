/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who is put in hardware. SAs that the mirror carries are looked at in rounds of a second or more;
 * the admission policy is told of those that were used and are outside. It is made for single
 * packets, and counts time in them, so it gets a sample: all SAs of a device share eight a round
 * and place, as they had packets.
 *
 * A device says that it is full by refusing; what it had then is what it holds, until a later try
 * proves otherwise. What it refuses for another reason it refuses of all SAs of that kind, unless
 * it has one.
 */
#include "source/offload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cache/admit.h"
#include "log.h"
#include "source/mirror_int.h"

#define ROUND_NS 1000000000ULL
#define LOOKS 16384      /* SAs a tick, of which there are four a second */
#define ROUTES 64        /* of them whose device is asked for */
#define ASKS 256         /* SAs in hardware that the kernel is asked about, a tick */
#define ABLE_ROUNDS 5    /* until devices are looked at again */
#define ROUTED_S 30      /* until a route is asked for again */
#define MOVES 16         /* a round: into free places, and */
#define EVICTIONS 4      /* in exchange for another */
#define STAY_S 10        /* an SA that was moved stays at least so long */
#define LATER_S 60       /* after a refusal that may be for now */
#define LATER_MAX_S 3600
#define SAMPLES 8        /* a round and place */
#define WEIGHT_MAX 255
#define SLOTS_UNKNOWN 1024
#define KINDS 32

/* What a device may refuse, other than one SA. No padding: compared as bytes. */
struct kind {
	uint32_t alg, auth, icv, mode, family, proto, encap, esn, key_len;
};

struct xi_offload_resident {
	uint32_t id;
	struct xi_mirror_sa *sa;
	struct kind kind;
	TAILQ_ENTRY(xi_offload_resident) next;
	UT_hash_handle hh;
};

struct device {
	struct xi_offload_port port;
	struct xi_offload *offload;
	uint32_t ifindex;            /* 0: it cannot, or there is none */
	struct xi_admit *admit;      /* NULL: capacity 0 */
	uint32_t capacity;
	bool known;                  /* what the device holds */
	uint32_t retry_at, retry_s;
	struct xi_offload_resident *by_id;
	TAILQ_HEAD(, xi_offload_resident) residents;
	uint32_t unlooked;           /* residents not looked at in this round */
	uint32_t there, others, outs;
	uint32_t moves, evictions;   /* in this round */
	uint64_t packets, total;     /* of all SAs, in this round and in the last */
	struct kind kinds[KINDS];
	uint32_t nkinds;
	uint64_t in, out, refused;
};

struct xi_offload {
	struct xi_offload_config config;
	struct xi_offload_net *net;
	struct xi_offload_notes *notes;
	uint32_t last_id;
	uint64_t round_at;
	uint32_t rounds, left;       /* SAs to be looked at in this round */
	unsigned int ndevices;
	struct device devices[XI_OFFLOAD_DEVICES];
};

static uint64_t clock_ns(const struct xi_mirror *m)
{
	return xi_mirror_clock() + m->offload_clock;
}

static uint32_t seconds(const struct xi_mirror *m)
{
	return (uint32_t)(clock_ns(m) / 1000000000ULL);
}

static uint32_t resident_uses(void *arg, uint32_t id)
{
	struct device *dev = arg;
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
static int capacity_set(struct device *dev, uint32_t capacity)
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
	xi_admit_miss(admit, r->id, SAMPLES, &out);
	return 0;
}

static uint32_t able(const struct device *dev)
{
	const struct xi_offload_config *config = &dev->offload->config;

	return config->able ? config->able(config->arg, dev->port.name)
			    : xi_offload_net_able(dev->port.name);
}

static int device_init(struct xi_offload *o, struct device *dev, const struct xi_offload_port *port)
{
	dev->port = *port;
	dev->offload = o;
	dev->ifindex = able(dev);
	if (!dev->ifindex)
		log_warnx("mirror: %s takes no SAs: its esp-hw-offload is off; it is looked at again",
			  port->name);
	dev->retry_s = LATER_S;
	TAILQ_INIT(&dev->residents);
	return capacity_set(dev, port->slots ? port->slots : SLOTS_UNKNOWN);
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
		err = device_init(o, &o->devices[o->ndevices], &config->ports[o->ndevices]);
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
		struct device *dev = &o->devices[i];

		HASH_CLEAR(hh, dev->by_id);
		while ((r = TAILQ_FIRST(&dev->residents))) {
			TAILQ_REMOVE(&dev->residents, r, next);
			r->sa->offload = (struct xi_offload_sa){0};
			free(r);
		}
		xi_admit_destroy(dev->admit);
	}
	xi_offload_net_close(o->net);
	xi_offload_notes_close(o->notes);
	free(o);
}

static struct device *device_of(const struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	return sa->offload.device ? &m->offload->devices[sa->offload.device - 1] : NULL;
}

static uint8_t device_by_ifindex(const struct xi_offload *o, uint32_t ifindex)
{
	for (unsigned int i = 0; i < o->ndevices; i++)
		if (ifindex && o->devices[i].ifindex == ifindex)
			return (uint8_t)(i + 1);
	return 0;
}

static bool resident_add(struct device *dev, struct xi_mirror_sa *sa, const struct kind *kind)
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

static void resident_free(struct device *dev, struct xi_mirror_sa *sa)
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

void xi_offload_forget(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	struct device *dev;

	if (!m->offload || sa->offload.where == XI_OFFLOAD_NO)
		return;
	dev = device_of(m, sa);
	if (dev) {
		resident_free(dev, sa);
		dev->there -= sa->offload.where == XI_OFFLOAD_THERE;
		dev->outs -= sa->offload.where == XI_OFFLOAD_OUT;
		dev->others -= sa->offload.where == XI_OFFLOAD_OTHERS;
		if (sa->offload.where == XI_OFFLOAD_OTHERS)
			dev->retry_at = 0; /* it has left room */
	}
	if (sa->offload.where == XI_OFFLOAD_THERE || sa->offload.where == XI_OFFLOAD_OUT)
		xi_offload_unnote(m->offload->notes, &sa->id);
	sa->offload.where = XI_OFFLOAD_NO;
}

/* A place is given up: its policy comes back first, then the SA. */
static void out(struct xi_mirror *m, struct device *dev, struct xi_mirror_sa *sa)
{
	resident_free(dev, sa);
	dev->there--;
	dev->outs++;
	sa->offload.where = XI_OFFLOAD_OUT;
	xi_mirror_sa_keep(m, sa, false);
	xi_mirror_sa_touch(m, sa);
}

/* The key manager gave it there, or it could not be taken out. */
static void others(struct xi_mirror *m, struct xi_mirror_sa *sa, uint8_t device)
{
	xi_offload_forget(m, sa);
	sa->offload.device = device;
	sa->offload.where = XI_OFFLOAD_OTHERS;
	if (device)
		m->offload->devices[device - 1].others++;
}

/* A former daemon put it there. */
static void adopt(struct xi_mirror *m, struct xi_mirror_sa *sa, uint8_t device)
{
	struct device *dev = &m->offload->devices[device - 1];
	const struct kind unknown = {0};
	struct xi_admission admission = {.verdict = XI_ADMIT_REFUSED};

	if (!sa->offload.id)
		sa->offload.id = ++m->offload->last_id;
	sa->offload.device = device;
	sa->offload.packets = 0;
	sa->offload.where = XI_OFFLOAD_THERE;
	dev->there++;
	if (dev->admit && xi_admit_resident(dev->admit) < dev->capacity &&
	    resident_add(dev, sa, &unknown))
		xi_admit_miss(dev->admit, sa->offload.id, SAMPLES, &admission);
	if (admission.verdict != XI_ADMIT_FREE)
		out(m, dev, sa);
}

bool xi_offload_waits(const struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	bool policies = !TAILQ_EMPTY(&m->dirty_policies) || m->touch_policies;

	if (!m->offload || m->starting)
		return false;
	switch (sa->offload.where) {
	case XI_OFFLOAD_IN:
		return device_of(m, sa)->outs;
	case XI_OFFLOAD_THERE:
		return policies && sa->where == XI_MIRROR_OURS;
	case XI_OFFLOAD_OUT:
		return policies;
	default:
		return false;
	}
}

static void seen_nowhere(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->offload.where == XI_OFFLOAD_IN || sa->offload.where == XI_OFFLOAD_NO)
		return;
	if (sa->offload.where == XI_OFFLOAD_OUT)
		device_of(m, sa)->out++;
	xi_offload_forget(m, sa);
	sa->offload.not_before = seconds(m) + STAY_S;
}

bool xi_offload_seen(struct xi_mirror *m, struct xi_mirror_sa *sa, uint32_t ifindex)
{
	struct xi_offload *o = m->offload;
	uint8_t device;
	int err;

	if (!o)
		return false;
	if (!ifindex) {
		seen_nowhere(m, sa);
		return false;
	}
	device = device_by_ifindex(o, ifindex);
	if (sa->offload.where == XI_OFFLOAD_OTHERS && device != sa->offload.device)
		xi_offload_forget(m, sa);
	if (sa->offload.where == XI_OFFLOAD_IN ||
	    (sa->offload.where == XI_OFFLOAD_NO && !device)) {
		others(m, sa, device);
	} else if (sa->offload.where == XI_OFFLOAD_NO) {
		if (xi_offload_noted(o->notes, &sa->id))
			adopt(m, sa, device);
		else
			others(m, sa, device);
	}
	if (sa->offload.where != XI_OFFLOAD_OUT || (!m->starting && xi_offload_waits(m, sa)))
		return sa->offload.where == XI_OFFLOAD_OUT;
	err = xi_offload_swap(m, sa, NULL, 0);
	if (!err || err == -ESRCH || err == -ENOTRECOVERABLE)
		return true;
	log_info("mirror: SA with SPI 0x%08x stays in hardware until it is replaced: %s",
		 sa->id.spi, strerror(-err));
	others(m, sa, device);
	return false;
}

static void kind_of(struct kind *kind, const struct xi_sa_rec *rec)
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
}

static bool kind_refused(const struct device *dev, const struct kind *kind)
{
	for (uint32_t i = 0; i < dev->nkinds && i < KINDS; i++)
		if (!memcmp(&dev->kinds[i], kind, sizeof(*kind)))
			return true;
	return false;
}

static bool kind_is_there(const struct device *dev, const struct kind *kind,
			  const struct xi_mirror_sa *but)
{
	const struct xi_offload_resident *r;

	TAILQ_FOREACH(r, &dev->residents, next)
	if (r->sa != but && r->sa->offload.where == XI_OFFLOAD_THERE &&
	    !memcmp(&r->kind, kind, sizeof(*kind)))
		return true;
	return false;
}

/* As many as are there now fit; others that are to be put there are not. */
static void full(struct xi_mirror *m, struct device *dev, uint32_t now)
{
	struct xi_offload_resident *r, *next;

	if (!dev->known || dev->capacity != dev->there + 1)
		log_info("mirror: %s takes no more SAs: it has %u of the mirror's, and %u others",
			 dev->port.name, dev->there, dev->others);
	dev->known = true;
	dev->retry_at = now + dev->retry_s;
	dev->retry_s = dev->retry_s * 2 < LATER_MAX_S ? dev->retry_s * 2 : LATER_MAX_S;
	for (r = TAILQ_FIRST(&dev->residents); r; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->sa->offload.where == XI_OFFLOAD_IN)
			xi_offload_forget(m, r->sa);
	}
	capacity_set(dev, dev->there);
}

/* The SA goes on here. */
static void refused(struct xi_mirror *m, struct device *dev, struct xi_mirror_sa *sa,
		    const struct kind *kind, int err)
{
	uint32_t now = seconds(m);
	bool room = err == -ENOSPC || err == -ENOBUFS || err == -ENOMEM;

	sa->offload.not_before = now + LATER_S;
	if (err != -EAGAIN && err != -ERANGE)
		dev->refused++;
	if (err == -EINVAL || err == -EOPNOTSUPP || err == -ERANGE)
		sa->offload.refused = true;
	if ((err == -EINVAL || err == -EOPNOTSUPP) && !kind_is_there(dev, kind, sa)) {
		/* the oldest is tried again */
		dev->kinds[dev->nkinds++ % KINDS] = *kind;
		log_info("mirror: %s does not take SAs like the one with SPI 0x%08x: %s",
			 dev->port.name, sa->id.spi, strerror(-err));
	} else {
		log_debug("mirror: %s does not take the SA with SPI 0x%08x: %s", dev->port.name,
			  sa->id.spi, strerror(-err));
	}
	xi_offload_forget(m, sa);
	xi_offload_unnote(m->offload->notes, &sa->id);
	if (room)
		full(m, dev, now);
}

/* The kernel's SA is another, which begins behind the numbers that were ours. */
static void numbers_anew(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	uint64_t asked = xi_mirror_clock(), first, limit;

	if (xi_mirror_ask_sa(m, &sa->id))
		return;
	if (!xi_mirror_reserve(m, &rec->sa, sa->written + XI_MIRROR_BLOCK, asked, &first, &limit)) {
		sa->written = limit;
		xi_sad_set_limit(m->sad, &sa->id, first, limit);
	}
}

/* Linux before 6.2 says yes, and takes it in software, where the driver says -EOPNOTSUPP. */
static int is_there(struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	struct xi_extack ack;
	struct xi_attrs attrs;
	int err = xi_mirror_ask_sa(m, &sa->id);

	if (err)
		return err;
	err = xi_attrs_parse(&attrs, &m->answer.hdr, sizeof(struct xfrm_usersa_info), &ack);
	if (err)
		return err;
	return xi_attr_has(&attrs, XFRMA_OFFLOAD_DEV) ? 0 : -EOPNOTSUPP;
}

void xi_offload_carried(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	struct device *dev = sa->offload.where == XI_OFFLOAD_IN ? device_of(m, sa) : NULL;
	const struct xi_sa_rec *rec = dev ? xi_sad_find(m->sad, &sa->id) : NULL;
	struct kind kind;
	int err;

	if (!dev)
		return;
	if (!rec || !dev->ifindex || !xi_group_alone(m, sa)) {
		xi_offload_forget(m, sa);
		return;
	}
	kind_of(&kind, rec);
	if (kind_refused(dev, &kind)) { /* meanwhile */
		xi_offload_forget(m, sa);
		return;
	}
	err = xi_offload_note(m->offload->notes, &sa->id);
	if (!err)
		err = xi_offload_swap(m, sa, rec, dev->ifindex);
	if (!err)
		err = is_there(m, sa);
	if (err) {
		if (err != -EAGAIN && err != -ERANGE)
			numbers_anew(m, sa, rec);
		refused(m, dev, sa, &kind, err);
		xi_mirror_sa_touch(m, sa);
		return;
	}
	sa->offload.where = XI_OFFLOAD_THERE;
	sa->offload.not_before = seconds(m) + STAY_S;
	sa->offload.packets = __atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED);
	dev->there++;
	dev->in++;
	dev->retry_s = LATER_S;
	log_debug("mirror: SA with SPI 0x%08x goes to %s", sa->id.spi, dev->port.name);
	/* from now on the policy is the kernel's, and then the SA */
	xi_mirror_sa_keep(m, sa, true);
	xi_mirror_sa_touch(m, sa);
}

/* Its share of a round's samples. What is less than one is kept for the next round. */
static uint32_t samples(struct device *dev, struct xi_mirror_sa *sa, uint64_t packets)
{
	double share = dev->total ? (double)packets / (double)dev->total : 0;

	dev->packets += packets;
	sa->offload.samples += (float)(share * SAMPLES * dev->capacity);
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
static bool evict(struct xi_mirror *m, struct device *dev, uint32_t id, uint32_t now)
{
	struct xi_offload_resident *r;

	HASH_FIND(hh, dev->by_id, &id, sizeof(id), r);
	if (!r)
		return true;
	if (r->sa->offload.where == XI_OFFLOAD_THERE && r->sa->offload.not_before <= now) {
		dev->evictions++;
		out(m, dev, r->sa);
		return true;
	}
	return false;
}

static void admit(struct xi_mirror *m, struct device *dev, struct xi_mirror_sa *sa, uint32_t weight,
		  uint32_t now)
{
	const struct xi_sa_rec *rec = xi_sad_find(m->sad, &sa->id);
	struct xi_admission admission;
	struct kind kind;

	kind_of(&kind, rec);
	if (kind_refused(dev, &kind))
		return;
	xi_admit_miss(dev->admit, sa->offload.id, weight, &admission);
	if (admission.verdict == XI_ADMIT_REFUSED)
		return;
	if (admission.verdict == XI_ADMIT_EVICT) {
		/* room for the victim, should it stay */
		if (!evict(m, dev, admission.victim, now)) {
			xi_admit_remove(dev->admit, sa->offload.id);
			xi_admit_miss(dev->admit, admission.victim, SAMPLES, &admission);
			return;
		}
	}
	dev->moves++;
	if (!resident_add(dev, sa, &kind)) {
		xi_admit_remove(dev->admit, sa->offload.id);
		return;
	}
	sa->offload.where = XI_OFFLOAD_IN;
	xi_mirror_sa_touch(m, sa);
}

static bool has_budget(const struct device *dev)
{
	if (dev->moves >= MOVES)
		return false;
	return xi_admit_resident(dev->admit) < dev->capacity || dev->evictions < EVICTIONS;
}

static uint32_t route(struct xi_offload *o, const struct xi_sa *sa)
{
	return o->config.route ? o->config.route(o->config.arg, sa)
			       : xi_offload_net_route(o->net, sa);
}

static void look(struct xi_mirror *m, struct xi_mirror_sa *sa, unsigned int *routes, uint32_t now)
{
	const struct xi_sa_rec *rec =
		sa->where == XI_MIRROR_OURS && sa->outbound && !sa->dirty &&
				sa->offload.where == XI_OFFLOAD_NO
			? xi_sad_find(m->sad, &sa->id)
			: NULL;
	struct xi_offload *o = m->offload;
	struct device *dev;
	uint64_t packets;
	uint32_t weight;

	if (!rec)
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
		sa->offload.device = device_by_ifindex(o, route(o, &rec->sa));
	}
	dev = device_of(m, sa);
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

static void residents_look(struct xi_mirror *m, struct device *dev)
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
		memcpy(&info, m->answer.buf + NLMSG_HDRLEN, sizeof(info));
		if (!r->sa->offload.packets) /* a former daemon's */
			r->sa->offload.packets = info.curlft.packets;
		samples(dev, r->sa, used_since(r->sa, info.curlft.packets));
	}
	explicit_bzero(m->answer.buf, sizeof(m->answer.buf));
}

static void able_check(struct xi_mirror *m, struct device *dev)
{
	uint32_t ifindex = able(dev);
	struct xi_offload_resident *r, *next;

	if (ifindex == dev->ifindex)
		return;
	log_info("mirror: %s %s", dev->port.name,
		 ifindex ? "takes SAs: its esp-hw-offload is on"
			 : "takes no SAs: its esp-hw-offload is off, or it is gone");
	dev->ifindex = ifindex;
	dev->nkinds = 0;
	for (r = TAILQ_FIRST(&dev->residents); r; r = next) {
		next = TAILQ_NEXT(r, next);
		if (r->sa->offload.where == XI_OFFLOAD_THERE)
			out(m, dev, r->sa);
	}
	/* those of a former daemon, and of others */
	if (ifindex)
		xi_mirror_touch_sas(m);
}

/* Once in a while there may be more room than there was. */
static void room_check(struct device *dev, uint32_t now)
{
	if (!dev->known || now < dev->retry_at || dev->there < dev->capacity ||
	    (dev->port.slots && dev->capacity >= dev->port.slots))
		return;
	dev->retry_at = now + 1;
	capacity_set(dev, dev->capacity + 1);
}

static void round_begin(struct xi_mirror *m, uint64_t clock)
{
	struct xi_offload *o = m->offload;
	uint32_t now = (uint32_t)(clock / 1000000000ULL);

	o->round_at = clock;
	o->left = HASH_COUNT(m->sas);
	for (unsigned int i = 0; i < o->ndevices; i++) {
		struct device *dev = &o->devices[i];

		if (o->rounds % ABLE_ROUNDS == 0)
			able_check(m, dev);
		room_check(dev, now);
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
	uint64_t clock = clock_ns(m);
	unsigned int routes = ROUTES;

	if (!o || m->starting)
		return;
	if (!o->left && (!o->rounds || clock - o->round_at >= ROUND_NS))
		round_begin(m, clock);
	for (unsigned int i = 0; i < o->ndevices; i++)
		residents_look(m, &o->devices[i]);
	for (unsigned int n = 0; n < LOOKS && o->left; n++, o->left--) {
		struct xi_mirror_sa *sa =
			m->offload_cursor ? m->offload_cursor : TAILQ_FIRST(&m->all_sas);

		if (!sa) {
			o->left = 0;
			break;
		}
		m->offload_cursor = TAILQ_NEXT(sa, all);
		look(m, sa, &routes, (uint32_t)(clock / 1000000000ULL));
	}
}

unsigned int xi_offload_figures(const struct xi_offload *o, struct xi_offload_figures *out)
{
	for (unsigned int i = 0; o && i < o->ndevices; i++) {
		const struct device *dev = &o->devices[i];

		memset(&out[i], 0, sizeof(out[i]));
		memcpy(out[i].name, dev->port.name, sizeof(out[i].name));
		out[i].able = dev->ifindex;
		out[i].sas = dev->there + dev->outs;
		out[i].others = dev->others;
		out[i].slots = dev->known || dev->port.slots ? dev->capacity : 0;
		out[i].kinds = dev->nkinds < KINDS ? dev->nkinds : KINDS;
		out[i].in = dev->in;
		out[i].out = dev->out;
		out[i].refused = dev->refused;
	}
	return o ? o->ndevices : 0;
}
