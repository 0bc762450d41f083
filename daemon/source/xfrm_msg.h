/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Codec between XFRM netlink messages (<linux/xfrm.h>) and SAs and policies. Requests may be
 * hostile: every function either fills its whole result, or returns -errno with the reason in
 * *ack. The rules are those of the kernel's verify_newsa_info() and verify_newpolicy_info().
 */
#ifndef XI_XFRM_MSG_H
#define XI_XFRM_MSG_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>
#include "sad/sad.h"
#include "source/xfrm_attr.h"

#define XI_BMP_WORDS (XI_WINDOW_MAX / 32)

/* NEWSA and UPDSA. Holds a key: wipe it. `init.bmp` points into the struct, or is NULL; do not copy it. */
struct xi_sa_request {
	struct xi_sa sa;
	struct xi_sa_key key;
	struct xi_replay_init init;
	uint32_t bmp[XI_BMP_WORDS];
};

int xi_xfrm_get_newsa(struct xi_sa_request *req, const struct nlmsghdr *nlh, struct xi_extack *ack);

/*
 * Whether the datapath can do this SA: 0, -ENOSYS (algorithm), -EPROTONOSUPPORT (protocol), -EINVAL
 * (makes no sense, to the kernel neither) or -EOPNOTSUPP (all else); *why is a static text.
 */
int xi_datapath_check(const struct xi_sa *sa, const char **why);
/* The same, for xi_sad_config.carries. */
bool xi_datapath_carries(const struct xi_sa *sa, const char **why);
/* Attributes that have no place in struct xi_sa because nothing carries them. */
int xi_datapath_check_attrs(const struct xi_attrs *attrs, struct xi_extack *ack);

/* xfrm_extra.c: attributes of an SA that the datapath does not look at, and those that ask for devices and labels. */
int xi_xfrm_get_extra(struct xi_sa *sa, const struct xi_attrs *attrs, struct xi_extack *ack);
int xi_xfrm_check_offload(const struct xi_sa *sa, const struct xi_attrs *attrs,
			  struct xi_extack *ack);
int xi_xfrm_get_pcpu(struct xi_sa *sa, const struct xi_attrs *attrs, struct xi_extack *ack);
/* The same of a policy: none is kept. */
int xi_xfrm_check_policy_extra(const struct xi_attrs *attrs, struct xi_extack *ack);

/* DELSA, GETSA: -EINVAL when the protocol is none of IPsec. */
int xi_xfrm_get_sa_id(struct xi_sa_id *id, const struct nlmsghdr *nlh, struct xi_extack *ack);
/*
 * The mark that a request about one SA names, 0 for none: it means an SA only if that has (mark & mark_m) == mark_v.
 * fixed: bytes of the message's own struct.
 */
uint32_t xi_xfrm_get_mark(const struct nlmsghdr *nlh, size_t fixed);

struct xi_spi_request {
	struct xi_sa sa;             /* larval, filled as the kernel does */
	uint32_t min, max;
};

/* ttl: lifetime of a larval SA, seconds. */
int xi_xfrm_get_allocspi(struct xi_spi_request *req, const struct nlmsghdr *nlh, uint32_t ttl,
			 struct xi_extack *ack);

/* As in struct xi_sa: one more than what was given; 0: not given. */
struct xi_ae_thresholds {
	uint32_t replay, etimer;
};

void xi_xfrm_get_thresholds(struct xi_ae_thresholds *out, const struct xi_attrs *attrs);
/* Of an SA that asks for none: net.core.xfrm_aevent_rseqth and _etime (packets, 100 ms). */
struct xi_ae_defaults {
	uint32_t replay, etimer;
};

/* NEWAE and GETAE. */
struct xi_ae_request {
	struct xi_sa_id id;
	uint32_t flags;              /* XFRM_AE_* */
	bool has_replay;
	struct xi_ae_thresholds thresholds;
	struct xi_replay_init init;  /* only what was given; see has_replay, init.has_lifetime */
	uint32_t bmp[XI_BMP_WORDS];
};

int xi_xfrm_get_ae_id(struct xi_ae_request *req, const struct nlmsghdr *nlh, struct xi_extack *ack);
/* The rest of NEWAE, whose form depends on the SA. */
int xi_xfrm_get_newae(struct xi_ae_request *req, const struct nlmsghdr *nlh, const struct xi_sa *sa,
		      struct xi_extack *ack);

struct xi_expire_request {
	struct xi_sa_id id;
	bool hard;
};

int xi_xfrm_get_expire(struct xi_expire_request *req, const struct nlmsghdr *nlh,
		       struct xi_extack *ack);

/* Which SAs a dump wants. */
struct xi_sa_filter {
	uint8_t proto;               /* 0: any; 255: ESP, AH and IPComp */
	struct xfrm_address_filter addr;
	bool has_addr;
};

/* A dump request may be a bare header. */
int xi_xfrm_get_sa_filter(struct xi_sa_filter *filter, const struct nlmsghdr *nlh,
			  struct xi_extack *ack);
bool xi_sa_filter_matches(const struct xi_sa_filter *filter, const struct xi_sa *sa);

int xi_xfrm_get_newpolicy(struct xi_policy *policy, const struct nlmsghdr *nlh,
			  struct xi_extack *ack);
/* DELPOLICY, GETPOLICY: the key of a policy; index != 0 when it is meant by index. */
int xi_xfrm_get_policy_id(struct xi_policy *key, const struct nlmsghdr *nlh, struct xi_extack *ack);
int xi_xfrm_get_polexpire(struct xi_policy *key, bool *hard, const struct nlmsghdr *nlh,
			  struct xi_extack *ack);

/* ACQUIRE of a program: for what, and the policy that wants it. All but the policy goes out as it came in. */
struct xi_acquire_request {
	struct xi_policy policy;
	xfrm_address_t saddr;
	struct xfrm_selector sel;
	uint32_t aalgos, ealgos, calgos;
};

int xi_xfrm_get_acquire(struct xi_acquire_request *req, const struct nlmsghdr *nlh,
			struct xi_extack *ack);

/* Who a message answers; zero for news that nobody asked for. */
struct xi_nl_to {
	uint32_t seq;
	uint32_t portid;
	uint16_t flags;
};

/* type: NEWSA or UPDSA. Counters and window are read live. */
void xi_xfrm_put_sa(struct xi_nlmsg *msg, uint16_t type, const struct xi_nl_to *to,
		    const struct xi_sa_rec *rec);
/* Counters and window as they are: XFRMA_REPLAY_VAL or XFRMA_REPLAY_ESN_VAL, whichever the SA has. */
void xi_xfrm_put_replay(struct xi_nlmsg *msg, const struct xi_sa_rec *rec);
void xi_xfrm_put_delsa(struct xi_nlmsg *msg, const struct xi_nl_to *to,
		       const struct xi_sa_rec *rec);
void xi_xfrm_put_expire(struct xi_nlmsg *msg, const struct xi_nl_to *to,
			const struct xi_sa_rec *rec, bool hard);
/* flags: XFRM_AE_*; RTHR and ETHR ask for the thresholds. */
void xi_xfrm_put_ae(struct xi_nlmsg *msg, const struct xi_nl_to *to, const struct xi_sa_rec *rec,
		    uint32_t flags, const struct xi_ae_defaults *defaults);

/* type: NEWPOLICY or UPDPOLICY. */
void xi_xfrm_put_policy(struct xi_nlmsg *msg, uint16_t type, const struct xi_nl_to *to,
			const struct xi_policy *policy);
void xi_xfrm_put_delpolicy(struct xi_nlmsg *msg, const struct xi_nl_to *to,
			   const struct xi_policy *policy, bool by_index);
void xi_xfrm_put_polexpire(struct xi_nlmsg *msg, const struct xi_nl_to *to,
			   const struct xi_policy *policy, bool hard);
/*
 * Addresses of the SA that template tmpl (NULL: of nothing known) wants for a flow, as the kernel's xfrm_init_tempstate():
 * the template's, as far as it has any, else the flow's.
 */
void xi_xfrm_acquire_ends(const struct xi_flow *flow, const struct xi_tmpl *tmpl, uint8_t saddr[16],
			  uint8_t daddr[16]);
/* What the kernel says of a flow in an ACQUIRE, and in the SA that stands for it. */
void xi_xfrm_flow_selector(struct xi_selector *sel, const struct xi_flow *flow);
/* ACQUIRE for a flow that `policy` wants protected (RFC 2367 section 3.1.6). seq is not 0. */
void xi_xfrm_put_acquire(struct xi_nlmsg *msg, const struct xi_flow *flow,
			 const struct xi_policy *policy, uint32_t seq);

/*
 * The same as a program asked for it, for one of its templates, which gets the algorithms asked for (the kernel's
 * xfrm_add_acquire()). One template after the other, from 0 on.
 */
void xi_xfrm_put_acquire_again(struct xi_nlmsg *msg, struct xi_acquire_request *req,
			       unsigned int tmpl, uint32_t seq);

/*
 * MAPPING: verified packets of this SA of ESP in UDP come from another address or port (host
 * order) than it says.
 */
void xi_xfrm_put_mapping(struct xi_nlmsg *msg, const struct xi_sa_rec *rec,
			 const uint8_t new_saddr[16], uint16_t new_sport);

/*
 * NLMSG_ERROR in answer to `req`, whose nlmsg_len bytes are readable. err 0: success. cap: send
 * back the header alone (success always does); ack NULL: no extended acknowledgement wanted.
 */
void xi_xfrm_put_error(struct xi_nlmsg *msg, const struct nlmsghdr *req, uint32_t portid, int err,
		       bool cap, const struct xi_extack *ack);

#endif
