/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Attributes of an SA that its packets do not depend on: what is kept for the key manager alone,
 * and what asks for a device or a label that there is none of. Rules and texts are the kernel's.
 */
#include "source/xfrm_msg.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* <linux/xfrm.h> of Linux 6.1 has no packet offload, 6.2 brought it. */
enum { XI_OFFLOAD_PACKET = 4 };

#define OFFLOAD_KNOWN (XFRM_OFFLOAD_IPV6 | XFRM_OFFLOAD_INBOUND | XI_OFFLOAD_PACKET)

/*
 * xfrm_dev_state_add() for a device without offload, which is what every device is to a datapath in
 * user space: crypto offload is a hint, and falls back to software without a word; packet offload
 * is a demand.
 */
int xi_xfrm_check_offload(const struct xi_sa *sa, const struct xi_attrs *attrs,
			  struct xi_extack *ack)
{
	struct xfrm_user_offload offload;
	bool inbound;

	if (!xi_attr_copy(attrs, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload)))
		return 0;
	inbound = offload.flags & XFRM_OFFLOAD_INBOUND;
	if (sa->id.proto != XI_ESP)
		return xi_refuse(ack, -EINVAL, "Type doesn't support offload");
	if (offload.flags & ~OFFLOAD_KNOWN)
		return xi_refuse(ack, -EINVAL, "Unrecognized flags in offload request");
	if (sa->sa_dir && inbound != (sa->sa_dir == XI_SA_DIR_IN))
		return xi_refuse(ack, -EINVAL, "Mismatched SA and offload direction");
	if (sa->tfcpad || (sa->encap && !(offload.flags & XI_OFFLOAD_PACKET)))
		return xi_refuse(ack, -EINVAL, "Encapsulation and TFC padding can't be offloaded");
	if (offload.flags & XI_OFFLOAD_PACKET)
		return xi_refuse(ack, -EINVAL,
				 "packet offload is not carried: no device does the work of a datapath in user space");
	return 0;
}

/* verify_sec_ctx_len(). A kernel without labelled networking takes a context, and keeps nothing. */
static int sec_ctx_check(const struct xi_attrs *attrs, struct xi_extack *ack)
{
	const struct nlattr *nla = attrs->tb[XFRMA_SEC_CTX];
	struct xfrm_user_sec_ctx ctx;

	if (!xi_attr_copy(attrs, XFRMA_SEC_CTX, &ctx, sizeof(ctx)))
		return 0;
	xi_attr_blame(attrs, XFRMA_SEC_CTX, ack);
	if (ctx.len > xi_attr_len(nla) || ctx.len != sizeof(ctx) + ctx.ctx_len)
		return xi_refuse(ack, -EINVAL, "Invalid security context length");
	ack->offset = 0;
	return 0;
}

static int mapping_check(const struct xi_sa *sa, const struct xi_attrs *attrs,
			 struct xi_extack *ack)
{
	if (!xi_attr_has(attrs, XFRMA_MTIMER_THRESH))
		return 0;
	if (!xi_attr_has(attrs, XFRMA_ENCAP))
		return xi_refuse(ack, -EINVAL,
				 "MTIMER_THRESH attribute can only be set on ENCAP states");
	if (sa->sa_dir == XI_SA_DIR_OUT)
		return xi_refuse(ack, -EINVAL,
				 "MTIMER_THRESH attribute should not be set on output SA");
	return 0;
}

/* The rules of __xfrm_init_state(), Linux 6.11. */
static int keepalive_get(struct xi_sa *sa, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	sa->nat_keepalive = xi_attr_u32(attrs, XI_XFRMA_NAT_KEEPALIVE);
	if (!sa->nat_keepalive)
		return 0;
	if (sa->sa_dir != XI_SA_DIR_OUT)
		return xi_refuse(ack, -EINVAL, "NAT keepalive is only supported for outbound SAs");
	if (sa->encap != XI_ENCAP_ESPINUDP)
		return xi_refuse(ack, -EINVAL,
				 "NAT keepalive is only supported for UDP encapsulation");
	return 0;
}

static uint32_t one_more(uint32_t value)
{
	return value < UINT32_MAX ? value + 1 : UINT32_MAX;
}

void xi_xfrm_get_thresholds(struct xi_ae_thresholds *out, const struct xi_attrs *attrs)
{
	*out = (struct xi_ae_thresholds){0};
	if (xi_attr_has(attrs, XFRMA_REPLAY_THRESH))
		out->replay = one_more(xi_attr_u32(attrs, XFRMA_REPLAY_THRESH));
	if (xi_attr_has(attrs, XFRMA_ETIMER_THRESH))
		out->etimer = one_more(xi_attr_u32(attrs, XFRMA_ETIMER_THRESH));
}

int xi_xfrm_get_pcpu(struct xi_sa *sa, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	uint32_t cpu;
	long cpus;

	if (!xi_attr_copy(attrs, XI_XFRMA_SA_PCPU, &cpu, sizeof(cpu)))
		return 0;
	cpus = sysconf(_SC_NPROCESSORS_CONF);
	xi_attr_blame(attrs, XI_XFRMA_SA_PCPU, ack);
	if (!sa->sa_dir)
		return xi_refuse(ack, -EINVAL, "SA_PCPU only supported with SA_DIR");
	if (cpus > 0 && cpu >= (unsigned long)cpus)
		return xi_refuse(ack, -ERANGE, "pCPU number too big");
	ack->offset = 0;
	sa->pcpu = cpu + 1;
	return 0;
}

int xi_xfrm_get_extra(struct xi_sa *sa, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct xi_ae_thresholds thresholds;
	xfrm_address_t coaddr;
	int err;

	err = mapping_check(sa, attrs, ack);
	if (!err)
		err = keepalive_get(sa, attrs, ack);
	if (!err)
		err = xi_xfrm_check_offload(sa, attrs, ack);
	if (!err)
		err = sec_ctx_check(attrs, ack);
	if (!err)
		err = xi_xfrm_get_pcpu(sa, attrs, ack);
	if (err)
		return err;
	if (xi_attr_copy(attrs, XFRMA_COADDR, &coaddr, sizeof(coaddr)))
		xi_addr_from_xfrm(sa->coaddr, &coaddr, sa->id.family);
	xi_xfrm_get_thresholds(&thresholds, attrs);
	sa->replay_thresh = thresholds.replay;
	sa->etimer_thresh = thresholds.etimer;
	sa->mtimer_thresh = xi_attr_u32(attrs, XFRMA_MTIMER_THRESH);
	return 0;
}

int xi_xfrm_check_policy_extra(const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct xfrm_user_offload offload;

	if (!xi_attr_copy(attrs, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload)))
		return sec_ctx_check(attrs, ack);
	if (offload.flags != XI_OFFLOAD_PACKET)
		return xi_refuse(ack, -EINVAL,
				 "We support only Full offload mode and it means that user must set XFRM_OFFLOAD_PACKET bit");
	return xi_refuse(ack, -EINVAL, "Policy offload is not supported");
}
