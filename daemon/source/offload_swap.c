/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One SA onto a device, or off it. XFRM knows no way to change that in place, so it is DELSA and
 * NEWSA, with all that GETSA told. In one datagram: the kernel works it off within send(2), so
 * there is no state in which the SA exists in this process alone.
 *
 * Numbers: the SA that comes begins behind those that the kernel may have used since it was asked.
 * It is idle then: xipsec carries the SA, or the policy is in force here; what it sends all the
 * same are packets that were under way in its stack.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "log.h"
#include "source/offload_int.h"

#define GAP_OURS (1ULL << 16)

/* The kernel's counter. -ENOENT: it told none. */
static int oseq_get(const struct xi_attrs *attrs, uint64_t *oseq)
{
	struct xfrm_replay_state_esn esn;
	struct xfrm_replay_state legacy;

	if (!xi_mirror_window_find(attrs))
		return -ENOENT;
	if (xi_attr_copy(attrs, XFRMA_REPLAY_ESN_VAL, &esn, sizeof(esn)))
		*oseq = esn.oseq | (uint64_t)esn.oseq_hi << 32;
	else if (xi_attr_copy(attrs, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy)))
		*oseq = legacy.oseq;
	return 0;
}

/* As it was told, but for the counter, and a window that is to accept nothing. */
static void replay_put(struct xi_nlmsg *msg, const struct xi_offload_made *made)
{
	const struct nlattr *nla = xi_mirror_window_find(&made->attrs);
	int type = nla->nla_type & NLA_TYPE_MASK;
	uint8_t *to = xi_nlmsg_reserve(msg, (uint16_t)type, xi_attr_len(nla));
	const uint32_t lo = (uint32_t)made->oseq, hi = (uint32_t)(made->oseq >> 32);

	if (!to)
		return;
	memcpy(to, xi_attr_data(nla), xi_attr_len(nla));
	if (type == XFRMA_REPLAY_VAL) {
		memcpy(to + offsetof(struct xfrm_replay_state, oseq), &lo, sizeof(lo));
	} else {
		memcpy(to + offsetof(struct xfrm_replay_state_esn, oseq), &lo, sizeof(lo));
		memcpy(to + offsetof(struct xfrm_replay_state_esn, oseq_hi), &hi, sizeof(hi));
	}
	if (made->shut)
		xi_mirror_window_refuse(to, type, xi_attr_len(nla),
					made->info.flags & XFRM_STATE_ESN);
}

/* What is made anew, or is no part of an SA that is made. */
static bool attr_is_state(int type)
{
	return type == XFRMA_OFFLOAD_DEV || type == XFRMA_REPLAY_ESN_VAL ||
	       type == XFRMA_REPLAY_VAL || type == XFRMA_LTIME_VAL || type == XFRMA_LASTUSED ||
	       type == XFRMA_PAD;
}

/* As the kernel told it, known here or not. */
static void attrs_put(struct xi_nlmsg *msg, const struct nlmsghdr *nlh)
{
	const uint8_t *at =
		(const uint8_t *)nlh + NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct xfrm_usersa_info));
	const uint8_t *end = (const uint8_t *)nlh + nlh->nlmsg_len;
	struct nlattr nla;

	while (end - at >= NLA_HDRLEN) {
		memcpy(&nla, at, sizeof(nla));
		if (nla.nla_len < NLA_HDRLEN || nla.nla_len > end - at)
			return;
		if (!attr_is_state(nla.nla_type & NLA_TYPE_MASK))
			xi_nlmsg_put(msg, nla.nla_type, at + NLA_HDRLEN, nla.nla_len - NLA_HDRLEN);
		at += NLA_ALIGN(nla.nla_len) < end - at ? NLA_ALIGN(nla.nla_len) : end - at;
	}
}

void xi_offload_newsa(struct xi_nlmsg *msg, const struct xi_offload_made *made, uint32_t ifindex)
{
	const struct xfrm_user_offload offload = {
		.ifindex = (int)ifindex, .flags = made->inbound ? XFRM_OFFLOAD_INBOUND : 0};

	memcpy(xi_nlmsg_begin(msg, XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0, 0,
			      sizeof(made->info)),
	       &made->info, sizeof(made->info));
	attrs_put(msg, made->told);
	replay_put(msg, made);
	xi_nlmsg_put(msg, XFRMA_LTIME_VAL, &made->cur, sizeof(made->cur));
	if (ifindex)
		xi_nlmsg_put(msg, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
}

static void delsa(struct xi_nlmsg *msg, const struct xi_mirror *m, const struct xi_sa_id *id)
{
	struct xfrm_usersa_id *body;

	body = xi_nlmsg_begin(msg, XFRM_MSG_DELSA, NLM_F_ACK, 0, 0, sizeof(*body));
	xi_addr_to_xfrm(&body->daddr, id->daddr);
	body->spi = htonl(id->spi);
	body->family = id->family;
	body->proto = id->proto;
}

int xi_offload_told(struct xi_offload_made *made, const struct nlmsghdr *told)
{
	struct xi_extack ack;
	int err;

	memset(made, 0, sizeof(*made));
	if (told->nlmsg_type != XFRM_MSG_NEWSA ||
	    told->nlmsg_len < NLMSG_HDRLEN + sizeof(made->info))
		return -EBADMSG;
	made->told = told;
	memcpy(&made->info, (const uint8_t *)told + NLMSG_HDRLEN, sizeof(made->info));
	made->cur = made->info.curlft;
	err = xi_attrs_parse(&made->attrs, told, sizeof(made->info), &ack);
	return err ? err : oseq_get(&made->attrs, &made->oseq);
}

int xi_offload_skip(struct xi_offload_made *made, uint64_t n)
{
	uint64_t max = made->info.flags & XFRM_STATE_ESN ? UINT64_MAX : UINT32_MAX;

	if (made->oseq > max / 2 || n > max / 4)
		return -ERANGE;
	made->oseq += n;
	return 0;
}

static int swap_look(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec,
		     struct xi_offload_made *swap)
{
	int err = xi_mirror_ask_sa(m, &sa->id);

	if (!err)
		err = xi_offload_told(swap, &m->answer.hdr);
	swap->inbound = !sa->outbound;
	if (err || swap->inbound)
		return err;
	if (rec && swap->oseq != sa->written)
		return -EAGAIN; /* the kernel sends with it, which is seen to otherwise */
	return xi_offload_skip(swap, rec ? GAP_OURS : XI_OFFLOAD_GAP);
}

static void usage_take(struct xi_offload_made *swap, const struct xi_sa_rec *rec)
{
	swap->cur.bytes = __atomic_load_n(&rec->state->bytes, __ATOMIC_RELAXED);
	swap->cur.packets = __atomic_load_n(&rec->state->packets, __ATOMIC_RELAXED);
	swap->cur.use_time = __atomic_load_n(&rec->state->use_time, __ATOMIC_RELAXED);
	swap->cur.add_time = rec->sa.add_time;
}

int xi_offload_swap(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec,
		    uint32_t ifindex)
{
	struct xi_nlmsg msgs[3];
	struct xi_offload_made swap;
	int errs[3], err;

	err = swap_look(m, sa, rec, &swap);
	if (err)
		return err;
	if (rec)
		usage_take(&swap, rec);
	delsa(&msgs[0], m, &sa->id);
	xi_offload_newsa(&msgs[1], &swap, ifindex);
	xi_offload_newsa(&msgs[2], &swap, 0); /* as it was on no device, if it is not there now */
	err = xi_mirror_ask_batch(m, msgs, errs, 3);
	if (!err && !errs[0] && errs[1] && errs[2] && errs[2] != -EEXIST) {
		err = xi_mirror_ask(m, &msgs[2]);
		if (err == -EEXIST)
			err = 0;
		if (err)
			log_warnx("mirror: SA with SPI 0x%08x is lost: the kernel does not take it "
				  "back: %s; "
				  "the key manager has to make another",
				  sa->id.spi, strerror(-err));
		if (err)
			err = -ENOTRECOVERABLE;
	}
	/* the key manager deleted it after it was looked at */
	if (!err && errs[0] && (!errs[1] || !errs[2]))
		xi_mirror_ask(m, &msgs[0]);
	if (!err)
		err = errs[0] ? errs[0] : errs[1];
	for (unsigned int i = 0; i < 3; i++)
		explicit_bzero(msgs[i].buf, sizeof(msgs[i].buf));
	return err;
}
