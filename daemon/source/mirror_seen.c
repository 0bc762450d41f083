/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the kernel says of one SA, and what of that xipsec cannot do. */
#include "source/mirror_int.h"

#include <errno.h>
#include <string.h>

static bool answer_has_algorithm(const struct xi_attrs *attrs)
{
	return xi_attr_has(attrs, XFRMA_ALG_AEAD) || xi_attr_has(attrs, XFRMA_ALG_AUTH) ||
	       xi_attr_has(attrs, XFRMA_ALG_AUTH_TRUNC) || xi_attr_has(attrs, XFRMA_ALG_CRYPT) ||
	       xi_attr_has(attrs, XFRMA_ALG_COMP);
}

/* What the kernel alone can do, though the codec knows it. */
static int sa_refused(const struct xi_attrs *attrs, struct xi_extack *ack)
{
	static const struct {
		int type;
		const char *why;
	} refused[] = {
		{XFRMA_OFFLOAD_DEV, "it is offloaded to a device"},
		{XFRMA_IF_ID, "it belongs to an XFRM interface"},
		{XFRMA_MARK, "it is chosen by a mark"},
		{XFRMA_SEC_CTX, "it has a security context"},
		{XFRMA_COADDR, "it has a care-of address"},
		{XI_XFRMA_SA_PCPU, "it is of one CPU"},
	};

	for (unsigned int i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (xi_attr_has(attrs, refused[i].type))
			return xi_refuse(ack, -EOPNOTSUPP, "%s", refused[i].why);
	return 0;
}

/*
 * NEWAE takes a window of the very length that there is, and XFRMA_REPLAY_VAL it takes and ignores
 * where there is a ring (xfrm_replay_verify_len(), xfrm_update_ae_params()).
 */
static bool window_odd(const struct xi_attrs *attrs, const struct xfrm_usersa_info *info)
{
	struct xfrm_replay_state_esn rs;

	if (!xi_attr_copy(attrs, XFRMA_REPLAY_ESN_VAL, &rs, sizeof(rs)) || !rs.replay_window)
		return false;
	return rs.bmp_len != (rs.replay_window + 31) / 32 ||
	       (!(info->flags & XFRM_STATE_ESN) && rs.replay_window <= 32);
}

int xi_mirror_sa_look(struct xi_mirror *m, const struct xi_mirror_sa *sa,
		      struct xi_mirror_seen *seen)
{
	struct xi_attrs attrs;
	int err;

	memset(&seen->ack, 0, sizeof(seen->ack));
	seen->elsewhere = false;
	memset(&seen->device, 0, sizeof(seen->device));
	seen->asked = xi_mirror_clock();
	err = xi_mirror_ask_sa(m, &sa->id);
	if (err)
		return err;
	if (m->answer.hdr.nlmsg_type != XFRM_MSG_NEWSA ||
	    m->answer.hdr.nlmsg_len < NLMSG_HDRLEN + sizeof(seen->info))
		return -EBADMSG;
	memcpy(&seen->info, m->answer.buf + NLMSG_HDRLEN, sizeof(seen->info));
	seen->err = xi_attrs_parse(&attrs, &m->answer.hdr, sizeof(seen->info), &seen->ack);
	if (seen->err)
		return 0;
	if (!answer_has_algorithm(&attrs))
		return -ESRCH;
	seen->elsewhere = xi_attr_u32(&attrs, XFRMA_IF_ID);
	seen->odd_window = window_odd(&attrs, &seen->info);
	xi_attr_copy(&attrs, XFRMA_OFFLOAD_DEV, &seen->device, sizeof(seen->device));
	seen->err = sa_refused(&attrs, &seen->ack);
	if (!seen->err)
		seen->err = xi_xfrm_get_newsa(&seen->req, &m->answer.hdr, &seen->ack);
	return 0;
}
