/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An inbound SA that is to come from the kernel, be it in a device or not. Its window there is final
 * when no packet arrives any more, so first XDP hands them to the workers: there is a larval SA of
 * its id, by which packets are held. What XDP passed before goes its way through the kernel's stack
 * meanwhile, and when that has accepted nothing for a while, the SA is looked at again, and taken
 * over. All SAs that wait do so at the same time; who waited is looked at before any other.
 */
#include "source/mirror_int.h"

#include <errno.h>
#include <string.h>

/* Queues of the stack, and of a cipher that works aside, are empty by then; */
#define QUIET_NS 50000000ULL
/* of an SA by which nothing ever came what is under way is in the batch of its device's queue. */
#define FRESH_NS 1000000ULL
#define LOOK_US 1000
#define TRIES 10
#define TTL_S 10 /* should nobody see to it: the kernel goes on, with the window it has */

int xi_mirror_packets(const struct xi_mirror *m, uint64_t *packets)
{
	struct xfrm_usersa_info info;

	if (m->answer.hdr.nlmsg_type != XFRM_MSG_NEWSA ||
	    m->answer.hdr.nlmsg_len < NLMSG_HDRLEN + sizeof(info))
		return -EBADMSG;
	memcpy(&info, m->answer.buf + NLMSG_HDRLEN, sizeof(info));
	*packets = info.curlft.packets;
	return 0;
}

static struct xi_mirror_holds *holds_of(struct xi_mirror *m, const struct xi_mirror_sa *sa)
{
	return sa->fresh ? &m->fresh_holds : &m->holds;
}

static int look_later(struct xi_mirror *m)
{
	const struct timeval soon = {.tv_usec = LOOK_US};

	return evtimer_pending(m->on_holds, NULL) || !evtimer_add(m->on_holds, &soon) ? 0 : -ENOMEM;
}

static void wait_end(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	if (sa->in_holds)
		TAILQ_REMOVE(holds_of(m, sa), sa, holding);
	sa->in_holds = false;
}

static int wait_begin(struct xi_mirror *m, struct xi_mirror_sa *sa, bool fresh)
{
	wait_end(m, sa);
	sa->fresh = fresh;
	sa->quiet_at = xi_mirror_now(m) + (fresh ? FRESH_NS : QUIET_NS);
	TAILQ_INSERT_TAIL(holds_of(m, sa), sa, holding);
	sa->in_holds = true;
	return look_later(m);
}

int xi_mirror_wait(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	return wait_begin(m, sa, true);
}

static void holds_look(struct xi_mirror *m, struct xi_mirror_holds *holds)
{
	struct xi_mirror_sa *sa;

	while ((sa = TAILQ_FIRST(holds)) && sa->quiet_at <= xi_mirror_now(m)) {
		wait_end(m, sa);
		xi_mirror_sa_touch_first(m, sa);
	}
}

void xi_mirror_on_holds(evutil_socket_t fd, short what, void *arg)
{
	struct xi_mirror *m = arg;

	holds_look(m, &m->holds);
	holds_look(m, &m->fresh_holds);
	if (xi_mirror_holding(m))
		look_later(m);
}

bool xi_mirror_holding(const struct xi_mirror *m)
{
	return !TAILQ_EMPTY(&m->holds) || !TAILQ_EMPTY(&m->fresh_holds);
}

static void larval_of(struct xi_sa *larval, const struct xi_sa *sa)
{
	memset(larval, 0, sizeof(*larval));
	larval->id = sa->id;
	memcpy(larval->saddr, sa->saddr, sizeof(larval->saddr));
	larval->sa_dir = sa->sa_dir;
	larval->mode = sa->mode;
	larval->reqid = sa->reqid;
}

static int hold_begin(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec;
	struct xi_sa_request req;
	struct xi_extack ack;
	struct xi_sa larval;
	bool empty;
	int err = xi_xfrm_get_newsa(&req, &m->answer.hdr, &ack);

	if (!err)
		larval_of(&larval, &req.sa);
	explicit_bzero(&req.key, sizeof(req.key));
	if (err)
		return err;
	empty = !req.init.seq;
	err = xi_sad_alloc_spi(m->sad, &larval, sa->id.spi, sa->id.spi, TTL_S, &rec);
	if (err)
		return err;
	sa->held = true;
	sa->tries = 0;
	err = xi_mirror_ask_sa(m, &sa->id);
	if (!err)
		err = xi_mirror_packets(m, &sa->held_packets);
	if (!err)
		err = wait_begin(m, sa, empty && !sa->held_packets);
	return err ? err : -EAGAIN;
}

int xi_mirror_hold(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = xi_sad_find(m->sad, &sa->id);
	uint64_t packets;
	int err;

	if (rec && !(rec->sa.life & XI_SA_LARVAL))
		return 0; /* it is ours already, and the kernel idle */
	if (!sa->held || !rec) {
		xi_mirror_hold_end(m, sa);
		return hold_begin(m, sa);
	}
	if (sa->in_holds)
		return -EAGAIN;
	err = xi_mirror_packets(m, &packets);
	if (err || packets == sa->held_packets)
		return err;
	if (++sa->tries >= TRIES)
		return -EBUSY; /* they come by a way that XDP does not see */
	sa->held_packets = packets;
	err = wait_begin(m, sa, false);
	return err ? err : -EAGAIN;
}

bool xi_mirror_holds(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	return sa->held && rec->sa.life & XI_SA_LARVAL;
}

void xi_mirror_hold_end(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = sa->held ? xi_sad_find(m->sad, &sa->id) : NULL;

	wait_end(m, sa);
	if (rec && rec->sa.life & XI_SA_LARVAL)
		xi_sad_delete(m->sad, &sa->id);
	sa->held = false;
}
