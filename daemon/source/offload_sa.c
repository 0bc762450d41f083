/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way of one SA into a device, and out of it. */
#include "source/offload_int.h"

#include <errno.h>
#include <string.h>

#include "log.h"

#define STAY_S 10 /* an SA that was moved stays at least so long */

void xi_offload_forget(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	struct xi_offload_device *dev;

	xi_offload_copy_free(sa);
	if (!m->offload || sa->offload.where == XI_OFFLOAD_NO)
		return;
	dev = xi_offload_device_of(m, sa);
	if (dev) {
		xi_offload_resident_free(dev, sa);
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

void xi_offload_out(struct xi_mirror *m, struct xi_offload_device *dev, struct xi_mirror_sa *sa)
{
	xi_offload_resident_free(dev, sa);
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
	struct xi_offload_device *dev = &m->offload->devices[device - 1];
	const struct xi_offload_kind unknown = {0};
	struct xi_admission admission = {.verdict = XI_ADMIT_REFUSED};

	if (!sa->offload.id)
		sa->offload.id = ++m->offload->last_id;
	sa->offload.device = device;
	sa->offload.packets = 0;
	sa->offload.where = XI_OFFLOAD_THERE;
	dev->there++;
	if (dev->admit && xi_admit_resident(dev->admit) < dev->capacity &&
	    xi_offload_resident_add(dev, sa, &unknown))
		xi_admit_miss(dev->admit, sa->offload.id, XI_OFFLOAD_SAMPLES, &admission);
	if (admission.verdict != XI_ADMIT_FREE)
		xi_offload_out(m, dev, sa);
}

bool xi_offload_waits(const struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	bool policies = !TAILQ_EMPTY(&m->dirty_policies) || m->touch_policies;

	if (!m->offload || m->starting)
		return false;
	switch (sa->offload.where) {
	case XI_OFFLOAD_IN:
		return xi_offload_device_of(m, sa)->outs;
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
		xi_offload_device_of(m, sa)->out++;
	xi_offload_forget(m, sa);
	sa->offload.not_before = xi_offload_seconds(m) + STAY_S;
}

void xi_offload_left(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->offload.where == XI_OFFLOAD_IN)
		xi_offload_forget(m, sa);
}

/* Off the device, when nobody sends or receives with it. */
static int come_out(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	int err = sa->outbound ? 0 : xi_mirror_hold(m, sa);

	return err ? err : xi_offload_swap(m, sa, NULL, 0);
}

bool xi_offload_seen(struct xi_mirror *m, struct xi_mirror_sa *sa,
		     const struct xfrm_user_offload *on)
{
	struct xi_offload *o = m->offload;
	uint8_t device;
	int err;

	if (!o)
		return false;
	if (!on->ifindex) {
		seen_nowhere(m, sa);
		return false;
	}
	device = xi_offload_device_by_ifindex(o, (uint32_t)on->ifindex);
	if (sa->offload.where == XI_OFFLOAD_OTHERS && device != sa->offload.device)
		xi_offload_forget(m, sa);
	if (sa->offload.where == XI_OFFLOAD_IN || (sa->offload.where == XI_OFFLOAD_NO && !device)) {
		others(m, sa, device);
	} else if (sa->offload.where == XI_OFFLOAD_NO) {
		sa->outbound = !(on->flags & XFRM_OFFLOAD_INBOUND);
		if (xi_offload_noted(o->notes, &sa->id))
			adopt(m, sa, device);
		else
			others(m, sa, device);
	}
	if (sa->offload.where != XI_OFFLOAD_OTHERS)
		xi_offload_copy(m, sa);
	if (sa->offload.where != XI_OFFLOAD_OUT || (!m->starting && xi_offload_waits(m, sa)))
		return sa->offload.where == XI_OFFLOAD_OUT;
	err = come_out(m, sa);
	if (!err || err == -EAGAIN || err == -ESRCH || err == -ENOTRECOVERABLE)
		return true;
	log_info("mirror: SA with SPI 0x%08x stays in hardware until it is replaced: %s",
		 sa->id.spi, strerror(-err));
	others(m, sa, device);
	xi_mirror_hold_end(m, sa);
	return false;
}

/* The SA goes on here. */
static void refused(struct xi_mirror *m, struct xi_offload_device *dev, struct xi_mirror_sa *sa,
		    const struct xi_offload_kind *kind, int err)
{
	uint32_t now = xi_offload_seconds(m);
	bool room = err == -ENOSPC || err == -ENOBUFS || err == -ENOMEM;

	if (!room) /* else it is not its fault */
		sa->offload.not_before = now + XI_OFFLOAD_LATER_S;
	if (err != -EAGAIN && err != -ERANGE)
		dev->refused++;
	if (err == -EINVAL || err == -EOPNOTSUPP || err == -ERANGE)
		sa->offload.refused = true;
	if ((err == -EINVAL || err == -EOPNOTSUPP) && !xi_offload_kind_is_there(dev, kind, sa)) {
		/* the oldest is tried again */
		dev->kinds[dev->nkinds++ % XI_OFFLOAD_KINDS] = *kind;
		log_info("mirror: %s does not take SAs like the one with SPI 0x%08x: %s",
			 dev->port.name, sa->id.spi, strerror(-err));
	} else {
		log_debug("mirror: %s does not take the SA with SPI 0x%08x: %s", dev->port.name,
			  sa->id.spi, strerror(-err));
	}
	xi_offload_forget(m, sa);
	xi_offload_unnote(m->offload->notes, &sa->id);
	if (room)
		xi_offload_full(m, dev, now);
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
	struct xi_offload_device *dev =
		sa->offload.where == XI_OFFLOAD_IN ? xi_offload_device_of(m, sa) : NULL;
	const struct xi_sa_rec *rec = dev ? xi_sad_find(m->sad, &sa->id) : NULL;
	struct xi_offload_kind kind;
	int err;

	if (!dev)
		return;
	if (!rec || !dev->ifindex || !xi_group_alone(m, sa)) {
		xi_offload_forget(m, sa);
		return;
	}
	xi_offload_kind_of(&kind, sa, rec);
	if (xi_offload_kind_refused(dev, &kind)) { /* meanwhile */
		xi_offload_forget(m, sa);
		return;
	}
	err = xi_offload_note(m->offload->notes, &sa->id);
	if (!err)
		err = xi_offload_swap(m, sa, rec, dev->ifindex);
	if (!err)
		err = is_there(m, sa);
	if (err) {
		refused(m, dev, sa, &kind, err);
		/* the kernel's begins behind what was reserved: so do we, when it is looked at anew
		 */
		xi_mirror_sa_touch(m, sa);
		return;
	}
	xi_offload_copy(m, sa);
	sa->offload.where = XI_OFFLOAD_THERE;
	sa->offload.not_before = xi_offload_seconds(m) + STAY_S;
	sa->offload.packets = __atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED);
	dev->there++;
	dev->in++;
	if (dev->probing && dev->there >= dev->capacity)
		dev->retry_s = XI_OFFLOAD_LATER_S;
	log_debug("mirror: SA with SPI 0x%08x goes to %s", sa->id.spi, dev->port.name);
	/* from now on the policy is the kernel's, and then the SA */
	xi_mirror_sa_keep(m, sa, true);
	xi_mirror_sa_touch(m, sa);
}
