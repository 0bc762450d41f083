/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's window of an inbound SA that changes hands. While both may still have packets of it,
 * the kernel is to accept none: so its window refuses every number until ours, which is final then,
 * takes its place.
 *
 * Without ESN such a window has the highest number 2^32 - 1 and all bits set
 * (xfrm_replay_check_legacy(), xfrm_replay_check_bmp()). With ESN what lies below the window is
 * taken for a number of the next 2^32 (RFC 4303 appendix A2.2), and no bitmap refuses that. But the
 * upper half of a number is part of what the ICV covers, and is told by the window alone
 * (xfrm_replay_seqhi()): so with one that is 2^31 off, which no sender reaches, no packet's ICV is
 * right, and one that was being verified is found to be of another half (xfrm_replay_recheck_esn()).
 * What a device has verified the kernel believes, whatever the half: so this is not for those.
 */
#include "source/mirror_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "log.h"

#define ESN_HI offsetof(struct xfrm_replay_state_esn, seq_hi)
#define FAR_OFF (1U << 31)

const struct nlattr *xi_mirror_window_find(const struct xi_attrs *attrs)
{
	const struct nlattr *nla = attrs->tb[XFRMA_REPLAY_ESN_VAL];
	size_t least = sizeof(struct xfrm_replay_state_esn);

	if (!nla) {
		nla = attrs->tb[XFRMA_REPLAY_VAL];
		least = sizeof(struct xfrm_replay_state);
	}
	return nla && xi_attr_len(nla) >= least ? nla : NULL;
}

void xi_mirror_window_refuse(uint8_t *replay, int type, size_t len, bool esn)
{
	const uint32_t highest = UINT32_MAX;
	uint32_t hi;

	if (type == XFRMA_REPLAY_VAL) {
		memcpy(replay + offsetof(struct xfrm_replay_state, seq), &highest, sizeof(highest));
		memcpy(replay + offsetof(struct xfrm_replay_state, bitmap), &highest,
		       sizeof(highest));
	} else if (esn) {
		memcpy(&hi, replay + ESN_HI, sizeof(hi));
		hi |= FAR_OFF;
		memcpy(replay + ESN_HI, &hi, sizeof(hi));
	} else {
		memcpy(replay + offsetof(struct xfrm_replay_state_esn, seq), &highest,
		       sizeof(highest));
		memset(replay + sizeof(struct xfrm_replay_state_esn), 0xff,
		       len - sizeof(struct xfrm_replay_state_esn));
	}
}

bool xi_mirror_window_refuses(const struct xi_replay_init *init, bool esn)
{
	return esn ? init->seq >> 32 & FAR_OFF : init->seq == UINT32_MAX;
}

/* The only attribute of a NEWAE. */
static void ae_refuse(struct xi_nlmsg *msg, bool esn)
{
	size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(struct xfrm_aevent_id));
	struct nlattr nla;

	memcpy(&nla, msg->buf + at, sizeof(nla));
	xi_mirror_window_refuse(msg->buf + at + NLA_HDRLEN, nla.nla_type,
				nla.nla_len - NLA_HDRLEN, esn);
}

int xi_mirror_shut(struct xi_mirror *m, const struct xi_sa_rec *rec)
{
	struct xi_nlmsg msg;

	xi_mirror_ae_begin(&msg, &rec->sa);
	xi_xfrm_put_replay(&msg, rec);
	if (msg.full)
		return -EMSGSIZE;
	ae_refuse(&msg, rec->sa.flags & XFRM_STATE_ESN);
	return xi_mirror_ask(m, &msg);
}

static int packets_look(struct xi_mirror *m, const struct xi_sa_id *id, uint64_t *packets)
{
	int err = xi_mirror_ask_sa(m, id);

	return err ? err : xi_mirror_packets(m, packets);
}

/*
 * The kernel counts a packet and notes its number under one lock, which NEWAE takes, too: so if the
 * count is what it was when the window was read, that was the last one.
 */
int xi_mirror_seal(struct xi_mirror *m, const struct xi_mirror_seen *seen, struct xi_nlmsg *open)
{
	const struct xi_sa *sa = &seen->req.sa;
	const struct nlattr *nla;
	struct xi_extack ack;
	struct xi_attrs attrs;
	struct xi_nlmsg shut;
	uint64_t packets;
	int err;

	err = xi_attrs_parse(&attrs, &m->answer.hdr, sizeof(struct xfrm_usersa_info), &ack);
	if (err)
		return err;
	nla = xi_mirror_window_find(&attrs);
	if (!nla)
		return -ENOENT;
	xi_mirror_ae_begin(open, sa);
	xi_nlmsg_put(open, nla->nla_type & NLA_TYPE_MASK, xi_attr_data(nla), xi_attr_len(nla));
	if (open->full)
		return -EMSGSIZE;
	shut = *open;
	ae_refuse(&shut, sa->flags & XFRM_STATE_ESN);
	err = xi_mirror_ask(m, &shut);
	if (!err)
		err = packets_look(m, &sa->id, &packets);
	if (err)
		return err;
	return packets == seen->info.curlft.packets ? 0 : -ESTALE;
}

void xi_mirror_replace(struct xi_mirror *m, const struct xi_sa_id *id)
{
	struct xfrm_user_expire *expired;
	struct xi_nlmsg msg;
	int err;

	expired = xi_nlmsg_begin(&msg, XFRM_MSG_EXPIRE, NLM_F_ACK, 0, 0, sizeof(*expired));
	xi_addr_to_xfrm(&expired->state.id.daddr, id->daddr);
	expired->state.id.spi = htonl(id->spi);
	expired->state.id.proto = id->proto;
	expired->state.family = id->family;
	err = xi_mirror_ask(m, &msg);
	if (err)
		log_warnx("mirror: the key manager could not be told to replace the SA with SPI 0x%08x: %s",
			  id->spi, strerror(-err));
}
