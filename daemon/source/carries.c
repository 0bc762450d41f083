/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one place that says what the datapath of this release carries. */
#include "source/xfrm_msg.h"

#include <errno.h>

#include "crypto/algs.h"

/* xi_xfrm_get_algs() has said so before, and in more words, of whatever came as a message. */
static int transform_check(const struct xi_sa *sa, const char **why)
{
	bool alone = sa->alg == XI_ALG_NONE; /* integrity algorithm and no cipher */

	if (!xi_transform_valid(sa->alg, sa->auth, sa->key_bits, sa->icv_len)) {
		*why = "algorithms or their lengths are not carried";
		return -ENOSYS;
	}
	if (sa->id.proto == XI_ESP ? alone : !alone && sa->alg != XI_ALG_AES_GMAC) {
		*why = "algorithms do not belong to this protocol";
		return -EINVAL;
	}
	return 0;
}

/* What the kernel refuses too, in its words. */
static int combination_check(const struct xi_sa *sa, const char **why)
{
	if (sa->encap != XI_ENCAP_NONE && sa->encap != XI_ENCAP_ESPINUDP)
		*why = "Unsupported encapsulation type for ESP: espinudp is carried";
	else if (sa->encap && sa->id.proto != XI_ESP)
		*why = "AH is not compatible with encapsulation";
	else if (sa->encap && (!sa->encap_sport || !sa->encap_dport))
		*why = "UDP encapsulation takes two ports, none of them 0";
	else if (sa->tfcpad && sa->mode != XI_TUNNEL)
		*why = "TFC padding can only be used in tunnel mode";
	else if (sa->tfcpad && sa->id.proto != XI_ESP)
		*why = "TFC padding can only be used in ESP";
	else if (sa->mode == XI_TUNNEL || !sa->sel.family || sa->sel.family == sa->id.family)
		return 0;
	if (*why)
		return -EINVAL;
	*why = "Only tunnel modes can accommodate a change of family";
	return -EPROTONOSUPPORT;
}

static int features_check(const struct xi_sa *sa, const char **why)
{
	if (sa->mode != XI_TUNNEL && sa->mode != XI_TRANSPORT)
		*why = "only tunnel and transport mode are carried";
	else if (sa->replay_window > XI_WINDOW_MAX)
		*why = "replay windows of more than 65536 packets are not carried";
	else if (sa->extra_flags & XFRM_SA_XFLAG_OSEQ_MAY_WRAP)
		*why = "oseq-may-wrap would use sequence numbers, and with them the IVs of counter modes, again and is not carried";
	else if (sa->flags & XFRM_STATE_WILDRECV)
		*why = "SAs for any destination (wildrecv) are not carried";
	else if (sa->mark_v & ~sa->mark_m)
		*why = "the mark has bits outside of its mask, so no packet could have it";
	else
		return 0;
	return -EOPNOTSUPP;
}

int xi_datapath_check(const struct xi_sa *sa, const char **why)
{
	int err;

	*why = NULL;
	if (sa->id.proto != XI_ESP && sa->id.proto != XI_AH) {
		*why = "only ESP and AH are carried";
		return -EPROTONOSUPPORT;
	}
	err = transform_check(sa, why);
	if (!err)
		err = combination_check(sa, why);
	return err ? err : features_check(sa, why);
}

bool xi_datapath_carries(const struct xi_sa *sa, const char **why)
{
	return !xi_datapath_check(sa, why);
}

int xi_datapath_check_attrs(const struct xi_attrs *attrs, struct xi_extack *ack)
{
	for (int type = XI_XFRMA_IPTFS_FIRST; type <= XI_XFRMA_IPTFS_LAST; type++) {
		if (xi_attr_has(attrs, type)) {
			xi_attr_blame(attrs, type, ack);
			return xi_refuse(ack, -EOPNOTSUPP, "IP-TFS (RFC 9347) is not carried");
		}
	}
	return 0;
}
