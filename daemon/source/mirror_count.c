/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Numbers and usage. The kernel's counter of an SA that is ours stands at the end of what is
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
#define TELL_SECONDS 2
#define LOOKS 65536 /* SAs a tick, of which there are four a second */
#define TELLS 512   /* of them to be told of */

static uint32_t seconds(void)
{
	return xi_mirror_clock() / 1000000000ULL;
}

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

static void usage_put(struct xi_nlmsg *msg, const struct xi_sa_rec *rec)
{
	struct xfrm_lifetime_cur cur = {
		.bytes = __atomic_load_n(&rec->state->bytes, __ATOMIC_RELAXED),
		.packets = __atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED),
		.add_time = rec->sa.add_time,
		.use_time = __atomic_load_n(&rec->state->use_time, __ATOMIC_RELAXED),
	};

	xi_nlmsg_put(msg, XFRMA_LTIME_VAL, &cur, sizeof(cur));
}

/* Of an outbound SA the counter is not touched: the kernel may be sending again. */
int xi_mirror_tell(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	struct xi_nlmsg msg;
	int err;

	sa->told_at = seconds();
	sa->told_packets = __atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED);
	sa->told_top = __atomic_load_n(&rec->state->top, __ATOMIC_RELAXED);
	xi_mirror_ae_begin(&msg, &rec->sa);
	if (!sa->outbound && rec->sa.replay_window)
		xi_xfrm_put_replay(&msg, rec);
	usage_put(&msg, rec);
	err = xi_mirror_ask(m, &msg);
	if (!err)
		m->figures.written++;
	return err;
}

bool xi_mirror_moved(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	return sa->told_packets != __atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED) ||
	       sa->told_top != __atomic_load_n(&rec->state->top, __ATOMIC_RELAXED);
}

static bool runs_out(const struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	uint64_t max = rec->sa.flags & XFRM_STATE_ESN ? UINT64_MAX : UINT32_MAX;
	uint64_t oseq = __atomic_load_n(&rec->state->oseq, __ATOMIC_RELAXED);

	return sa->outbound && sa->written < max && oseq + XI_MIRROR_BLOCK / 2 > sa->written;
}

/* An outbound SA is looked at first: the kernel may have used it, which it should not. */
static unsigned int count_look(struct xi_mirror *m, struct xi_mirror_sa *sa, uint32_t now,
			       bool tell)
{
	const struct xi_sa_rec *rec =
		sa->where == XI_MIRROR_OURS ? xi_sad_find(m->sad, &sa->id) : NULL;

	if (!rec || sa->dirty)
		return 0;
	if (tell && now - sa->told_at >= TELL_SECONDS && xi_mirror_moved(sa, rec)) {
		if (!sa->outbound) {
			if (xi_mirror_tell(m, sa, rec))
				xi_mirror_sa_touch(m, sa);
			return 1;
		}
		sa->check = true;
		xi_mirror_sa_touch(m, sa);
		return 1;
	}
	if (runs_out(sa, rec))
		xi_mirror_sa_touch(m, sa);
	return 0;
}

void xi_mirror_count_tick(struct xi_mirror *m)
{
	unsigned int looks, tells = 0, n = HASH_COUNT(m->sas);
	uint32_t now = seconds();

	if (n > LOOKS)
		n = LOOKS;
	for (looks = 0; looks < n; looks++) {
		struct xi_mirror_sa *sa = m->cursor ? m->cursor : TAILQ_FIRST(&m->all_sas);

		m->cursor = TAILQ_NEXT(sa, all);
		tells += count_look(m, sa, now, tells < TELLS);
	}
}

void xi_mirror_count_all(struct xi_mirror *m)
{
	const struct xi_sa_rec *rec;
	struct xi_mirror_sa *sa;

	TAILQ_FOREACH(sa, &m->all_sas, all)
	{
		rec = sa->where == XI_MIRROR_OURS ? xi_sad_find(m->sad, &sa->id) : NULL;
		if (rec && xi_mirror_moved(sa, rec) && xi_mirror_tell(m, sa, rec) == -ETIMEDOUT)
			return;
	}
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
