/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The window of an inbound SA that goes into a device. Between the moment XDP leaves its packets to
 * the kernel and the last one that a worker accepts, the kernel is to accept none: so its window
 * refuses every number from before the first until ours, which is final then, takes its place.
 *
 * Such a window there is without ESN: highest number 2^32 - 1, and all bits set
 * (xfrm_replay_check_legacy(), xfrm_replay_check_bmp()). With ESN there is none, for what lies
 * below the window is taken for a number of the next 2^32 (RFC 4303 appendix A2.2), so such SAs
 * stay.
 */
#include "source/offload_int.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

void xi_offload_window_shut(uint8_t *replay, int type, size_t len)
{
	const uint32_t highest = UINT32_MAX;

	if (type == XFRMA_REPLAY_VAL) {
		memcpy(replay + offsetof(struct xfrm_replay_state, seq), &highest, sizeof(highest));
		memcpy(replay + offsetof(struct xfrm_replay_state, bitmap), &highest,
		       sizeof(highest));
		return;
	}
	memcpy(replay + offsetof(struct xfrm_replay_state_esn, seq), &highest, sizeof(highest));
	memset(replay + sizeof(struct xfrm_replay_state_esn), 0xff,
	       len - sizeof(struct xfrm_replay_state_esn));
}

const struct nlattr *xi_offload_window_find(const struct xi_attrs *attrs)
{
	const struct nlattr *nla = attrs->tb[XFRMA_REPLAY_ESN_VAL];
	size_t least = sizeof(struct xfrm_replay_state_esn);

	if (!nla) {
		nla = attrs->tb[XFRMA_REPLAY_VAL];
		least = sizeof(struct xfrm_replay_state);
	}
	return nla && xi_attr_len(nla) >= least ? nla : NULL;
}

static int window_shut(struct xi_mirror *m, const struct xi_sa *sa)
{
	const struct nlattr *nla;
	struct xi_extack ack;
	struct xi_attrs attrs;
	struct xi_nlmsg msg;
	uint8_t *replay;
	int err, type;

	err = xi_mirror_ask_sa(m, &sa->id);
	if (!err)
		err = xi_attrs_parse(&attrs, &m->answer.hdr, sizeof(struct xfrm_usersa_info), &ack);
	if (err)
		return err;
	nla = xi_offload_window_find(&attrs);
	if (!nla)
		return -ENOENT;
	type = nla->nla_type & NLA_TYPE_MASK;
	xi_mirror_ae_begin(&msg, sa);
	replay = xi_nlmsg_reserve(&msg, (uint16_t)type, xi_attr_len(nla));
	if (!replay)
		return -EMSGSIZE;
	memcpy(replay, xi_attr_data(nla), xi_attr_len(nla));
	xi_offload_window_shut(replay, type, xi_attr_len(nla));
	return xi_mirror_ask(m, &msg);
}

bool xi_offload_shut(struct xi_mirror *m, struct xi_mirror_sa *sa, const struct xi_sa_rec *rec)
{
	if (sa->offload.where == XI_OFFLOAD_NO || sa->offload.where == XI_OFFLOAD_IN ||
	    !rec->sa.replay_window || rec->sa.flags & XFRM_STATE_ESN)
		return false;
	sa->offload.shut = !window_shut(m, &rec->sa);
	return sa->offload.shut;
}
