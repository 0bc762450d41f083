/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Numbers. The kernel's counter of an SA that is ours stands at the end of what is
 * reserved for us, always: it is moved on before a number is used. What the kernel itself may have
 * sent between the look at its counter and its being moved lies in a gap that nobody uses; the time
 * between the two bounds it.
 */
#include "source/mirror_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "log.h"

#define GAP (1ULL << 16)
#define GAP_MAX (1ULL << 22)

void xi_mirror_ae_begin(struct xi_nlmsg *msg, const struct xi_sa *sa)
{
	struct xfrm_aevent_id *ae;

	ae = xi_nlmsg_begin(msg, XFRM_MSG_NEWAE, NLM_F_REPLACE | NLM_F_ACK, 0, 0, sizeof(*ae));
	xi_addr_to_xfrm(&ae->sa_id.daddr, sa->id.daddr);
	ae->sa_id.spi = htonl(sa->id.spi);
	ae->sa_id.family = sa->id.family;
	ae->sa_id.proto = sa->id.proto;
	xi_addr_to_xfrm(&ae->saddr, sa->saddr);
	ae->reqid = sa->reqid;
}

/* The kernel's own replay state, as it answered last. -ENOENT: it told none. */
static int replay_copy(const struct xi_mirror *m, struct xi_nlmsg *msg)
{
	static const int types[] = {XFRMA_REPLAY_ESN_VAL, XFRMA_REPLAY_VAL};
	struct xi_extack ack;
	struct xi_attrs attrs;

	if (xi_attrs_parse(&attrs, &m->answer.hdr, sizeof(struct xfrm_usersa_info), &ack))
		return -EBADMSG;
	for (unsigned int i = 0; i < 2; i++) {
		const struct nlattr *nla = attrs.tb[types[i]];

		if (!nla)
			continue;
		xi_nlmsg_put(msg, types[i], xi_attr_data(nla), xi_attr_len(nla));
		return 0;
	}
	return -ENOENT;
}

/* In the only attribute. */
static void replay_set_oseq(struct xi_nlmsg *msg, uint64_t oseq)
{
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct xfrm_aevent_id));
	struct nlattr *nla = (struct nlattr *)(msg->buf + at);
	struct xfrm_replay_state_esn esn;
	struct xfrm_replay_state legacy;

	if (nla->nla_type == XFRMA_REPLAY_VAL) {
		memcpy(&legacy, msg->buf + at + NLA_HDRLEN, sizeof(legacy));
		legacy.oseq = oseq;
		memcpy(msg->buf + at + NLA_HDRLEN, &legacy, sizeof(legacy));
		return;
	}
	memcpy(&esn, msg->buf + at + NLA_HDRLEN, sizeof(esn));
	esn.oseq = oseq;
	esn.oseq_hi = oseq >> 32;
	memcpy(msg->buf + at + NLA_HDRLEN, &esn, sizeof(esn));
}

int xi_mirror_extend(struct xi_mirror *m, const struct xi_sa *sa, uint64_t limit)
{
	struct xi_nlmsg msg;
	int err;

	xi_mirror_ae_begin(&msg, sa);
	err = replay_copy(m, &msg);
	if (err)
		return err;
	replay_set_oseq(&msg, limit);
	return xi_mirror_ask(m, &msg);
}

static uint64_t behind(uint64_t k, uint64_t n, uint64_t max)
{
	return max - k > n ? k + n : max;
}

int xi_mirror_reserve(struct xi_mirror *m, const struct xi_sa *sa, uint64_t k, uint64_t asked,
		      uint64_t *first, uint64_t *limit)
{
	uint64_t max = sa->flags & XFRM_STATE_ESN ? UINT64_MAX : UINT32_MAX, gap, from;
	struct xi_nlmsg msg;
	int err;

	xi_mirror_ae_begin(&msg, sa);
	err = replay_copy(m, &msg);
	for (gap = GAP; !err && gap <= GAP_MAX; gap <<= 2) {
		*first = behind(k, gap, max);
		*limit = behind(*first, XI_MIRROR_BLOCK, max);
		replay_set_oseq(&msg, *limit);
		from = xi_mirror_clock();
		err = xi_mirror_ask(m, &msg);
		if (err || xi_mirror_clock() - asked <= gap * XI_MIRROR_NS_A_PACKET)
			return err;
		/* it took so long that the kernel may have used the gap up; it stands at the limit
		 * now */
		k = *limit;
		asked = from;
	}
	return err ? err : -EAGAIN;
}

/* A limit of bytes or packets, which the kernel does not see; it tells its key managers then. */
void xi_mirror_expired(void *arg, const struct xi_sa_rec *rec, bool hard)
{
	struct xi_mirror *m = arg;
	struct xfrm_user_expire *expire;
	struct xi_mirror_sa *sa;
	struct xi_nlmsg msg;
	int err;

	HASH_FIND(hh, m->sas, &rec->sa.id, sizeof(rec->sa.id), sa);
	if (sa)
		xi_mirror_tell(m, sa, rec);
	expire = xi_nlmsg_begin(&msg, XFRM_MSG_EXPIRE, NLM_F_ACK, 0, 0, sizeof(*expire));
	xi_addr_to_xfrm(&expire->state.id.daddr, rec->sa.id.daddr);
	expire->state.id.spi = htonl(rec->sa.id.spi);
	expire->state.id.proto = rec->sa.id.proto;
	xi_addr_to_xfrm(&expire->state.saddr, rec->sa.saddr);
	expire->state.family = rec->sa.id.family;
	expire->hard = hard;
	err = xi_mirror_ask(m, &msg);
	if (err && err != -ESRCH)
		log_warnx("mirror: SA with SPI 0x%08x reached a limit, and the kernel would not "
			  "hear of it: %s",
			  rec->sa.id.spi, strerror(-err));
}
