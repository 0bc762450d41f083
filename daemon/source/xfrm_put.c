/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Messages about SAs, with live counters. Attributes in the order of the kernel's
 * copy_to_user_state_extra(). */
#include "source/xfrm_alg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "ipsec/replay.h"

static uint64_t load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static bool has_ring(const struct xi_sa *sa)
{
	return (sa->flags & XFRM_STATE_ESN) || sa->replay_window > 32;
}

static void curlft_fill(struct xfrm_lifetime_cur *cur, const struct xi_sa_rec *rec)
{
	memset(cur, 0, sizeof(*cur));
	cur->add_time = rec->sa.add_time;
	if (!rec->state)
		return;
	cur->bytes = load(&rec->state->bytes);
	cur->packets = load(&rec->state->packets);
	cur->use_time = load(&rec->state->use_time);
}

static void info_fill(struct xfrm_usersa_info *info, const struct xi_sa_rec *rec)
{
	const struct xi_sa *sa = &rec->sa;

	memset(info, 0, sizeof(*info));
	xi_selector_to_xfrm(&info->sel, &sa->sel);
	if (sa->life & XI_SA_LARVAL)
		info->sel.family = 0; /* as xfrm_init_tempstate() leaves it */
	xi_addr_to_xfrm(&info->id.daddr, sa->id.daddr);
	info->id.spi = htonl(sa->id.spi);
	info->id.proto = sa->id.proto;
	xi_addr_to_xfrm(&info->saddr, sa->saddr);
	xi_limits_to_xfrm(&info->lft, &sa->limits);
	curlft_fill(&info->curlft, rec);
	if (rec->state) {
		info->stats.replay = load(&rec->state->replay_failed);
		info->stats.integrity_failed = load(&rec->state->integrity_failed);
	}
	info->seq = sa->seq;
	info->reqid = sa->reqid;
	info->family = sa->id.family;
	info->mode = sa->mode;
	info->replay_window = has_ring(sa) ? 0 : sa->replay_window;
	info->flags = sa->flags;
}

static void ring_read(const struct xi_sa_rec *rec, uint32_t *bmp, uint32_t words, uint64_t *top)
{
	struct xi_replay r = {
		.top = (uint64_t *)&rec->state->top,
		.words = rec->words,
		.word_mask = rec->nwords - 1,
		.window = rec->sa.replay_window,
		.esn = rec->sa.flags & XFRM_STATE_ESN,
	};

	*top = load(&rec->state->top);
	if (rec->words && rec->nwords && words)
		xi_replay_export(&r, bmp, words);
}

static void esn_put(struct xi_nlmsg *msg, const struct xi_sa_rec *rec)
{
	uint32_t words = (rec->sa.replay_window + 31) / 32;
	struct xfrm_replay_state_esn *rs;
	uint64_t top = 0, oseq = 0;

	rs = xi_nlmsg_reserve(msg, XFRMA_REPLAY_ESN_VAL, sizeof(*rs) + words * 4);
	if (!rs)
		return;
	if (rec->state) {
		ring_read(rec, rs->bmp, words, &top);
		oseq = load(&rec->state->oseq);
	}
	rs->bmp_len = words;
	rs->replay_window = rec->sa.replay_window;
	rs->oseq = oseq;
	rs->seq = top;
	if (rec->sa.flags & XFRM_STATE_ESN) {
		rs->oseq_hi = oseq >> 32;
		rs->seq_hi = top >> 32;
	}
}

/* The ring counts packets modulo the window; XFRMA_REPLAY_VAL counts bits back from the newest. */
static void legacy_put(struct xi_nlmsg *msg, const struct xi_sa_rec *rec)
{
	uint32_t window = rec->sa.replay_window;
	struct xfrm_replay_state rs = { 0 };
	uint64_t top = 0;
	uint32_t ring = 0;

	if (rec->state) {
		ring_read(rec, &ring, window ? 1 : 0, &top);
		rs.oseq = load(&rec->state->oseq);
		rs.seq = top;
	}
	for (uint32_t back = 0; back < window && back < top; back++) {
		if (ring & (1U << ((top - back - 1) % window)))
			rs.bitmap |= 1U << back;
	}
	xi_nlmsg_put(msg, XFRMA_REPLAY_VAL, &rs, sizeof(rs));
}

void xi_xfrm_put_replay(struct xi_nlmsg *msg, const struct xi_sa_rec *rec)
{
	if (has_ring(&rec->sa))
		esn_put(msg, rec);
	else
		legacy_put(msg, rec);
}

static void mark_put(struct xi_nlmsg *msg, uint32_t v, uint32_t m)
{
	struct xfrm_mark mark = { .v = v, .m = m };

	if (v | m)
		xi_nlmsg_put(msg, XFRMA_MARK, &mark, sizeof(mark));
}

static void dir_put(struct xi_nlmsg *msg, const struct xi_sa *sa)
{
	uint8_t dir = sa->sa_dir;

	if (dir)
		xi_nlmsg_put(msg, XI_XFRMA_SA_DIR, &dir, sizeof(dir));
}

static void pcpu_put(struct xi_nlmsg *msg, const struct xi_sa *sa)
{
	if (sa->pcpu)
		xi_nlmsg_put_u32(msg, XI_XFRMA_SA_PCPU, sa->pcpu - 1);
}

static void encap_put(struct xi_nlmsg *msg, const struct xi_sa *sa)
{
	struct xfrm_encap_tmpl encap = {
		.encap_type = sa->encap,
		.encap_sport = htons(sa->encap_sport),
		.encap_dport = htons(sa->encap_dport),
	};

	if (!sa->encap)
		return;
	xi_addr_to_xfrm(&encap.encap_oa, sa->encap_oa);
	xi_nlmsg_put(msg, XFRMA_ENCAP, &encap, sizeof(encap));
}

static void extra_put(struct xi_nlmsg *msg, const struct xi_sa_rec *rec)
{
	static const uint8_t none[16];
	const struct xi_sa *sa = &rec->sa;
	uint64_t last_use = rec->state ? load(&rec->state->last_use) : 0;

	if (sa->extra_flags)
		xi_nlmsg_put_u32(msg, XFRMA_SA_EXTRA_FLAGS, sa->extra_flags);
	if (memcmp(sa->coaddr, none, sizeof(none)))
		xi_nlmsg_put(msg, XFRMA_COADDR, sa->coaddr, sizeof(sa->coaddr));
	if (last_use)
		xi_nlmsg_put(msg, XFRMA_LASTUSED, &last_use, sizeof(last_use));
	xi_xfrm_put_algs(msg, rec);
	encap_put(msg, sa);
	if (sa->tfcpad)
		xi_nlmsg_put_u32(msg, XFRMA_TFCPAD, sa->tfcpad);
	mark_put(msg, sa->mark_v, sa->mark_m);
	if (sa->output_mark | sa->output_mark_mask) {
		xi_nlmsg_put_u32(msg, XFRMA_SET_MARK, sa->output_mark);
		xi_nlmsg_put_u32(msg, XFRMA_SET_MARK_MASK, sa->output_mark_mask);
	}
	xi_xfrm_put_replay(msg, rec);
	if (sa->if_id)
		xi_nlmsg_put_u32(msg, XFRMA_IF_ID, sa->if_id);
	if (sa->mtimer_thresh)
		xi_nlmsg_put_u32(msg, XFRMA_MTIMER_THRESH, sa->mtimer_thresh);
	pcpu_put(msg, sa);
	dir_put(msg, sa);
	if (sa->nat_keepalive)
		xi_nlmsg_put_u32(msg, XI_XFRMA_NAT_KEEPALIVE, sa->nat_keepalive);
}

void xi_xfrm_put_sa(struct xi_nlmsg *msg, uint16_t type, const struct xi_nl_to *to,
		    const struct xi_sa_rec *rec)
{
	struct xfrm_usersa_info *info;

	info = xi_nlmsg_begin(msg, type, to->flags, to->seq, to->portid, sizeof(*info));
	info_fill(info, rec);
	extra_put(msg, rec);
}

static void sa_id_fill(struct xfrm_usersa_id *id, const struct xi_sa *sa)
{
	memset(id, 0, sizeof(*id));
	xi_addr_to_xfrm(&id->daddr, sa->id.daddr);
	id->spi = htonl(sa->id.spi);
	id->family = sa->id.family;
	id->proto = sa->id.proto;
}

void xi_xfrm_put_delsa(struct xi_nlmsg *msg, const struct xi_nl_to *to, const struct xi_sa_rec *rec)
{
	struct xfrm_usersa_info info;
	struct xfrm_usersa_id *id;

	id = xi_nlmsg_begin(msg, XFRM_MSG_DELSA, to->flags, to->seq, to->portid, sizeof(*id));
	sa_id_fill(id, &rec->sa);
	info_fill(&info, rec);
	xi_nlmsg_put(msg, XFRMA_SA, &info, sizeof(info));
	extra_put(msg, rec);
}

void xi_xfrm_put_expire(struct xi_nlmsg *msg, const struct xi_nl_to *to,
			const struct xi_sa_rec *rec, bool hard)
{
	struct xfrm_user_expire *expire;

	expire = xi_nlmsg_begin(msg, XFRM_MSG_EXPIRE, to->flags, to->seq, to->portid,
				sizeof(*expire));
	info_fill(&expire->state, rec);
	expire->hard = hard;
	mark_put(msg, rec->sa.mark_v, rec->sa.mark_m);
	if (rec->sa.if_id)
		xi_nlmsg_put_u32(msg, XFRMA_IF_ID, rec->sa.if_id);
	dir_put(msg, &rec->sa);
}

static void thresholds_put(struct xi_nlmsg *msg, const struct xi_sa *sa, uint32_t flags,
			   const struct xi_ae_defaults *defaults)
{
	if (flags & XFRM_AE_RTHR)
		xi_nlmsg_put_u32(msg, XFRMA_REPLAY_THRESH,
				 sa->replay_thresh ? sa->replay_thresh - 1 : defaults->replay);
	if (flags & XFRM_AE_ETHR)
		xi_nlmsg_put_u32(msg, XFRMA_ETIMER_THRESH,
				 sa->etimer_thresh ? sa->etimer_thresh - 1 : defaults->etimer);
}

void xi_xfrm_put_ae(struct xi_nlmsg *msg, const struct xi_nl_to *to, const struct xi_sa_rec *rec,
		    uint32_t flags, const struct xi_ae_defaults *defaults)
{
	struct xfrm_lifetime_cur cur;
	struct xfrm_aevent_id *ae;

	ae = xi_nlmsg_begin(msg, XFRM_MSG_NEWAE, to->flags, to->seq, to->portid, sizeof(*ae));
	sa_id_fill(&ae->sa_id, &rec->sa);
	xi_addr_to_xfrm(&ae->saddr, rec->sa.saddr);
	ae->reqid = rec->sa.reqid;
	ae->flags = flags;
	xi_xfrm_put_replay(msg, rec);
	curlft_fill(&cur, rec);
	xi_nlmsg_put(msg, XFRMA_LTIME_VAL, &cur, sizeof(cur));
	thresholds_put(msg, &rec->sa, flags, defaults);
	mark_put(msg, rec->sa.mark_v, rec->sa.mark_m);
	if (rec->sa.if_id)
		xi_nlmsg_put_u32(msg, XFRMA_IF_ID, rec->sa.if_id);
	pcpu_put(msg, &rec->sa);
	dir_put(msg, &rec->sa);
}

void xi_xfrm_put_mapping(struct xi_nlmsg *msg, const struct xi_sa_rec *rec,
			 const uint8_t new_saddr[16], uint16_t new_sport)
{
	struct xfrm_user_mapping *um;

	um = xi_nlmsg_begin(msg, XFRM_MSG_MAPPING, 0, 0, 0, sizeof(*um));
	sa_id_fill(&um->id, &rec->sa);
	um->reqid = rec->sa.reqid;
	xi_addr_to_xfrm(&um->old_saddr, rec->sa.saddr);
	xi_addr_to_xfrm(&um->new_saddr, new_saddr);
	um->old_sport = htons(rec->sa.encap_sport);
	um->new_sport = htons(new_sport);
}

/* Attributes of the error itself, behind the echoed request. */
static void ack_tlvs_put(struct xi_nlmsg *msg, const struct xi_extack *ack)
{
	if (ack->text[0]) {
		xi_nlmsg_put(msg, NLMSGERR_ATTR_MSG, ack->text, strlen(ack->text) + 1);
		msg->hdr.nlmsg_flags |= NLM_F_ACK_TLVS;
	}
	if (ack->offset) {
		xi_nlmsg_put_u32(msg, NLMSGERR_ATTR_OFFS, ack->offset);
		msg->hdr.nlmsg_flags |= NLM_F_ACK_TLVS;
	}
}

void xi_xfrm_put_error(struct xi_nlmsg *msg, const struct nlmsghdr *req, uint32_t portid, int err,
		       bool cap, const struct xi_extack *ack)
{
	size_t room = XI_XFRM_ERROR_MAX - sizeof(struct nlmsgerr) - sizeof(struct xi_extack) - 64;
	bool capped = !err || cap || req->nlmsg_len > room;
	size_t echo = capped ? sizeof(*req) : req->nlmsg_len;
	struct nlmsgerr *e;

	e = xi_nlmsg_begin(msg, NLMSG_ERROR, capped ? NLM_F_CAPPED : 0, req->nlmsg_seq, portid,
			   sizeof(int) + echo);
	e->error = err;
	memcpy(&e->msg, req, echo);
	if (err && ack)
		ack_tlvs_put(msg, ack);
}
