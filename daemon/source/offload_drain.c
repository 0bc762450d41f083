/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An inbound SA that comes out of a device. Its window in the kernel is final when no packet
 * arrives there any more, so first XDP hands them to the workers: there is a larval SA of its id,
 * by which packets are held. What XDP passed before goes its way through the kernel's stack
 * meanwhile, and when that has accepted nothing for a while, its window is read, and the SA taken
 * over with it.
 */
#include "source/offload_int.h"

#include <errno.h>
#include <string.h>

#define QUIET_NS                                                                                   \
	50000000ULL /* queues of the stack, and of a cipher that works aside, are empty by then */
#define TRIES 10
#define TTL_S 10 /* should nobody see to it: the kernel goes on, with the window it has */

static int packets_get(const struct xi_mirror *m, uint64_t *packets)
{
	struct xfrm_usersa_info info;

	if (m->answer.hdr.nlmsg_type != XFRM_MSG_NEWSA ||
	    m->answer.hdr.nlmsg_len < NLMSG_HDRLEN + sizeof(info))
		return -EBADMSG;
	memcpy(&info, m->answer.buf + NLMSG_HDRLEN, sizeof(info));
	*packets = info.curlft.packets;
	return 0;
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
	int err = xi_xfrm_get_newsa(&req, &m->answer.hdr, &ack);

	if (!err)
		larval_of(&larval, &req.sa);
	explicit_bzero(&req.key, sizeof(req.key));
	if (err)
		return err;
	err = xi_sad_alloc_spi(m->sad, &larval, sa->id.spi, sa->id.spi, TTL_S, &rec);
	if (err)
		return err;
	sa->offload.held = true;
	sa->offload.tries = 0;
	err = xi_mirror_ask_sa(m, &sa->id);
	if (!err)
		err = packets_get(m, &sa->offload.packets);
	sa->offload.quiet_at = xi_offload_clock(m) + QUIET_NS;
	return err ? err : -EAGAIN;
}

int xi_offload_drain(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = xi_sad_find(m->sad, &sa->id);
	uint64_t packets;
	int err;

	if (rec && !(rec->sa.life & XI_SA_LARVAL))
		return 0; /* it is ours already, and the kernel idle */
	if (!sa->offload.held)
		return hold_begin(m, sa);
	if (xi_offload_clock(m) < sa->offload.quiet_at)
		return -EAGAIN;
	err = packets_get(m, &packets);
	if (err || packets == sa->offload.packets)
		return err;
	if (++sa->offload.tries >= TRIES)
		return -EBUSY; /* they come by a way that XDP does not see */
	sa->offload.packets = packets;
	sa->offload.quiet_at = xi_offload_clock(m) + QUIET_NS;
	return -EAGAIN;
}

bool xi_offload_holds(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	return sa->offload.held && rec->sa.life & XI_SA_LARVAL;
}

void xi_offload_hold_end(struct xi_mirror *m, struct xi_mirror_sa *sa)
{
	const struct xi_sa_rec *rec = sa->offload.held ? xi_sad_find(m->sad, &sa->id) : NULL;

	if (rec && rec->sa.life & XI_SA_LARVAL)
		xi_sad_delete(m->sad, &sa->id);
	sa->offload.held = false;
}
