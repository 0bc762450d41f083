/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Requests about SAs. The texts are the kernel's where the kernel has one for the same fault. */
#include "source/xfrm_alg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* RFC 4303 section 2.1: 1 to 255 are reserved, 0 is for local use. No packet may carry them. */
#define SPI_FIRST 256

static bool proto_is_ipsec(unsigned int proto)
{
	return proto == XI_ESP || proto == XI_AH || proto == XI_COMP;
}

static int id_from_xfrm(struct xi_sa_id *id, const xfrm_address_t *daddr, uint32_t spi_be,
			unsigned int proto, unsigned int family, struct xi_extack *ack)
{
	memset(id, 0, sizeof(*id));
	if (!xi_family_known(family))
		return xi_refuse(ack, -EINVAL, "Invalid address family");
	if (!proto_is_ipsec(proto))
		return xi_refuse(ack, -EINVAL, "Unsupported protocol");
	xi_addr_from_xfrm(id->daddr, daddr, family);
	id->spi = ntohl(spi_be);
	id->proto = proto;
	id->family = family;
	return 0;
}

/* Checks an attribute of kind REPLAY_ESN_VAL by itself and copies its fixed part. */
static int esn_head(struct xfrm_replay_state_esn *rs, const struct xi_attrs *attrs,
		    struct xi_extack *ack)
{
	const struct nlattr *nla = attrs->tb[XFRMA_REPLAY_ESN_VAL];
	size_t len = xi_attr_len(nla);

	memcpy(rs, xi_attr_data(nla), sizeof(*rs));
	xi_attr_blame(attrs, XFRMA_REPLAY_ESN_VAL, ack);
	if (rs->bmp_len > XI_BMP_WORDS)
		return xi_refuse(ack, -EINVAL, "ESN bitmap length must be <= %u", XI_BMP_WORDS);
	if (len < sizeof(*rs) + rs->bmp_len * 4UL && len != sizeof(*rs))
		return xi_refuse(ack, -EINVAL,
				 "ESN attribute is too short to fit the full bitmap length");
	if (len > sizeof(*rs) + rs->bmp_len * 4UL)
		return xi_refuse(ack, -EINVAL, "ESN attribute is longer than its bitmap");
	if (rs->replay_window > rs->bmp_len * 32)
		return xi_refuse(ack, -EINVAL,
				 "ESN replay window is too large for the chosen bitmap size");
	ack->offset = 0;
	return 0;
}

/* Bits of the ring beyond the window would mean nothing: they are refused rather than carried
 * along. */
static int esn_bitmap(uint32_t bmp[XI_BMP_WORDS], const struct xfrm_replay_state_esn *rs,
		      const struct xi_attrs *attrs, struct xi_extack *ack)
{
	const struct nlattr *nla = attrs->tb[XFRMA_REPLAY_ESN_VAL];

	memset(bmp, 0, XI_BMP_WORDS * sizeof(bmp[0]));
	if (xi_attr_len(nla) > sizeof(*rs))
		memcpy(bmp, (const uint8_t *)xi_attr_data(nla) + sizeof(*rs), rs->bmp_len * 4UL);
	for (uint32_t bit = rs->replay_window; bit < rs->bmp_len * 32; bit++) {
		if (bmp[bit / 32] & (1U << (bit % 32)))
			return xi_refuse(ack, -EINVAL,
					 "ESN bitmap has bits beyond the replay window");
	}
	return 0;
}

static void esn_counters(struct xi_replay_init *init, const struct xfrm_replay_state_esn *rs,
			 bool esn)
{
	init->oseq = rs->oseq | (esn ? (uint64_t)rs->oseq_hi << 32 : 0);
	init->seq = rs->seq | (esn ? (uint64_t)rs->seq_hi << 32 : 0);
}

/* XFRMA_REPLAY_VAL counts bits back from the newest packet; the ring counts packets modulo the
 * window. */
static void legacy_to_ring(uint32_t bmp[XI_BMP_WORDS], const struct xfrm_replay_state *rs,
			   uint32_t window)
{
	memset(bmp, 0, XI_BMP_WORDS * sizeof(bmp[0]));
	for (uint32_t back = 0; back < window && back < 32 && back < rs->seq; back++) {
		uint32_t bit = (rs->seq - back - 1) % window;

		if (rs->bitmap & (1U << back))
			bmp[bit / 32] |= 1U << (bit % 32);
	}
}

static void bitmap_given(struct xi_replay_init *init, const uint32_t *bmp, uint32_t window)
{
	init->bmp = window ? bmp : NULL;
	init->bmp_len = (window + 31) / 32;
}

/* XFRMA_SA_DIR (Linux 6.10): each direction has settings of its own. */
static int dir_check(const struct xfrm_usersa_info *info, const struct xi_sa *sa,
		     const struct xi_replay_init *init, struct xi_extack *ack)
{
	if (sa->sa_dir == XI_SA_DIR_OUT) {
		if (info->flags & (XFRM_STATE_DECAP_DSCP | XFRM_STATE_ICMP | XFRM_STATE_WILDRECV))
			return xi_refuse(
				ack, -EINVAL,
				"Flags decap-dscp, icmp and wildrecv should not be set for output SA");
		if (sa->replay_window)
			return xi_refuse(ack, -EINVAL, "Replay window should be 0 for output SA");
		if (init->seq)
			return xi_refuse(ack, -EINVAL, "Replay seq should be 0 for output SA");
	}
	if (sa->sa_dir == XI_SA_DIR_IN) {
		if (info->flags & XFRM_STATE_NOPMTUDISC)
			return xi_refuse(ack, -EINVAL,
					 "Flag NOPMTUDISC should not be set for input SA");
		if (sa->extra_flags)
			return xi_refuse(ack, -EINVAL,
					 "Extra flags should not be set for input SA");
		if (init->oseq)
			return xi_refuse(ack, -EINVAL, "Replay oseq should be 0 for input SA");
	}
	return 0;
}

static int replay_get(struct xi_sa_request *req, const struct xfrm_usersa_info *info,
		      const struct xi_attrs *attrs, struct xi_extack *ack)
{
	bool esn = info->flags & XFRM_STATE_ESN;
	struct xfrm_replay_state legacy;
	struct xfrm_replay_state_esn rs;
	int err;

	if (!xi_attr_has(attrs, XFRMA_REPLAY_ESN_VAL)) {
		if (esn)
			return xi_refuse(ack, -EINVAL, "Missing required attribute for ESN");
		req->sa.replay_window = info->replay_window < 32 ? info->replay_window : 32;
		if (xi_attr_copy(attrs, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy))) {
			req->init.oseq = legacy.oseq;
			req->init.seq = legacy.seq;
			legacy_to_ring(req->bmp, &legacy, req->sa.replay_window);
			bitmap_given(&req->init, req->bmp, req->sa.replay_window);
		}
		return 0;
	}
	err = esn_head(&rs, attrs, ack);
	if (err)
		return err;
	if (info->replay_window)
		return xi_refuse(ack, -EINVAL, "ESN not compatible with legacy replay_window");
	req->sa.replay_window = rs.replay_window;
	esn_counters(&req->init, &rs, esn);
	bitmap_given(&req->init, req->bmp, rs.replay_window);
	return esn_bitmap(req->bmp, &rs, attrs, ack);
}

/* Types, ports and where it may stand: xi_datapath_check(). */
static int encap_get(struct xi_sa *sa, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct xfrm_encap_tmpl encap;

	sa->tfcpad = xi_attr_u32(attrs, XFRMA_TFCPAD);
	if (!xi_attr_copy(attrs, XFRMA_ENCAP, &encap, sizeof(encap)))
		return 0;
	if (encap.encap_type != XI_ENCAP_ESPINUDP) {
		xi_attr_blame(attrs, XFRMA_ENCAP, ack);
		return xi_refuse(ack, -EINVAL,
				 "Unsupported encapsulation type for ESP: espinudp is carried");
	}
	sa->encap = XI_ENCAP_ESPINUDP;
	sa->encap_sport = ntohs(encap.encap_sport);
	sa->encap_dport = ntohs(encap.encap_dport);
	memcpy(sa->encap_oa, &encap.encap_oa, sizeof(sa->encap_oa));
	return 0;
}

static void lifetime_get(struct xi_replay_init *init, const struct xi_attrs *attrs)
{
	struct xfrm_lifetime_cur cur;

	if (!xi_attr_copy(attrs, XFRMA_LTIME_VAL, &cur, sizeof(cur)))
		return;
	init->has_lifetime = true;
	init->bytes = cur.bytes;
	init->packets = cur.packets;
	init->use_time = cur.use_time;
}

static int marks_get(struct xi_sa *sa, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct xfrm_mark mark;
	uint8_t dir;

	if (xi_attr_copy(attrs, XFRMA_MARK, &mark, sizeof(mark))) {
		sa->mark_v = mark.v;
		sa->mark_m = mark.m;
	}
	if (xi_attr_has(attrs, XFRMA_SET_MARK)) {
		sa->output_mark = xi_attr_u32(attrs, XFRMA_SET_MARK);
		sa->output_mark_mask = xi_attr_has(attrs, XFRMA_SET_MARK_MASK)
					       ? xi_attr_u32(attrs, XFRMA_SET_MARK_MASK)
					       : 0xffffffff;
	}
	sa->if_id = xi_attr_u32(attrs, XFRMA_IF_ID);
	sa->extra_flags = xi_attr_u32(attrs, XFRMA_SA_EXTRA_FLAGS);
	if (xi_attr_copy(attrs, XI_XFRMA_SA_DIR, &dir, sizeof(dir))) {
		if (dir != XI_SA_DIR_IN && dir != XI_SA_DIR_OUT)
			return xi_refuse(ack, -EINVAL, "XFRMA_SA_DIR attribute is out of range");
		sa->sa_dir = dir;
	}
	if (sa->extra_flags & ~(XFRM_SA_XFLAG_DONT_ENCAP_DSCP | XFRM_SA_XFLAG_OSEQ_MAY_WRAP))
		return xi_refuse(ack, -EINVAL, "unknown extra flags 0x%x", sa->extra_flags);
	return 0;
}

static int info_get(struct xi_sa *sa, const struct xfrm_usersa_info *info, struct xi_extack *ack)
{
	bool any_family = info->flags & XFRM_STATE_AF_UNSPEC;
	int err;

	err = id_from_xfrm(&sa->id, &info->id.daddr, info->id.spi, info->id.proto, info->family,
			   ack);
	if (err)
		return err;
	err = xi_selector_from_xfrm(&sa->sel, &info->sel, any_family ? 0 : info->family, ack);
	if (err)
		return err;
	if (info->mode > XI_XFRM_MODE_IPTFS || info->mode == XFRM_MODE_IN_TRIGGER)
		return xi_refuse(ack, -EINVAL, "Unsupported mode");
	if (info->mode == XFRM_MODE_ROUTEOPTIMIZATION) /* Mobile IPv6, neither ESP nor AH */
		return xi_refuse(ack, -EPROTONOSUPPORT, "Requested mode not found");
	if (info->mode != XFRM_MODE_TRANSPORT && info->mode != XFRM_MODE_TUNNEL)
		return xi_refuse(ack, -EOPNOTSUPP, "only tunnel and transport mode are carried");
	if (sa->id.spi < SPI_FIRST)
		return xi_refuse(ack, -EINVAL,
				 "SPI %u is reserved (RFC 4303 section 2.1): take one from 256 on",
				 sa->id.spi);
	xi_addr_from_xfrm(sa->saddr, &info->saddr, info->family);
	xi_limits_from_xfrm(&sa->limits, &info->lft);
	sa->mode = info->mode;
	sa->reqid = info->reqid;
	sa->flags = info->flags;
	sa->seq = info->seq;
	return 0;
}

static int newsa_get(struct xi_sa_request *req, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xfrm_usersa_info info;
	struct xi_attrs attrs;
	const char *why;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(info), ack);
	if (err)
		return err;
	memcpy(&info, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(info));
	err = info_get(&req->sa, &info, ack);
	if (!err)
		err = xi_xfrm_get_algs(req, &attrs, ack);
	if (!err)
		err = encap_get(&req->sa, &attrs, ack);
	if (!err)
		err = marks_get(&req->sa, &attrs, ack);
	if (!err)
		err = replay_get(req, &info, &attrs, ack);
	if (!err)
		err = dir_check(&info, &req->sa, &req->init, ack);
	if (!err)
		err = xi_datapath_check_attrs(&attrs, ack);
	if (!err)
		err = xi_xfrm_get_extra(&req->sa, &attrs, ack);
	if (err)
		return err;
	lifetime_get(&req->init, &attrs);
	err = xi_datapath_check(&req->sa, &why);
	return err ? xi_refuse(ack, err, "%s", why) : 0;
}

int xi_xfrm_get_newsa(struct xi_sa_request *req, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	int err;

	memset(req, 0, offsetof(struct xi_sa_request, bmp));
	err = newsa_get(req, nlh, ack);
	if (err)
		explicit_bzero(req, offsetof(struct xi_sa_request, bmp));
	return err;
}

int xi_xfrm_get_sa_id(struct xi_sa_id *id, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xfrm_usersa_id in;
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(in), ack);
	if (err)
		return err;
	memcpy(&in, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(in));
	if (!xi_family_known(in.family) && proto_is_ipsec(in.proto))
		return -ESRCH;
	return id_from_xfrm(id, &in.daddr, in.spi, in.proto, in.family, ack);
}

uint32_t xi_xfrm_get_mark(const struct nlmsghdr *nlh, size_t fixed)
{
	struct xi_extack ack = { 0 };
	struct xfrm_mark mark;
	struct xi_attrs attrs;

	if (xi_attrs_parse(&attrs, nlh, fixed, &ack) ||
	    !xi_attr_copy(&attrs, XFRMA_MARK, &mark, sizeof(mark)))
		return 0;
	return mark.v & mark.m;
}

int xi_xfrm_get_allocspi(struct xi_spi_request *req, const struct nlmsghdr *nlh, uint32_t ttl,
			 struct xi_extack *ack)
{
	struct xfrm_userspi_info in;
	struct xi_attrs attrs;
	struct xi_sa *sa = &req->sa;
	int err;

	memset(req, 0, sizeof(*req));
	err = xi_attrs_parse(&attrs, nlh, sizeof(in), ack);
	if (err)
		return err;
	memcpy(&in, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(in));
	err = id_from_xfrm(&sa->id, &in.info.id.daddr, 0, in.info.id.proto, in.info.family, ack);
	if (!err)
		err = marks_get(sa, &attrs, ack);
	if (!err)
		err = xi_datapath_check_attrs(&attrs, ack);
	if (!err)
		err = xi_xfrm_get_pcpu(sa, &attrs, ack);
	if (err)
		return err;
	if (sa->id.proto != XI_ESP && sa->id.proto != XI_AH)
		return xi_refuse(ack, -EPROTONOSUPPORT,
				 "IPComp is not carried: only ESP and AH are");
	if (in.info.mode != XFRM_MODE_TRANSPORT && in.info.mode != XFRM_MODE_TUNNEL)
		return xi_refuse(ack, -EOPNOTSUPP, "only tunnel and transport mode are carried");
	if (in.min > in.max)
		return xi_refuse(ack, -EINVAL, "Invalid SPI range: min > max");
	if (in.max < SPI_FIRST)
		return xi_refuse(ack, -EINVAL,
				 "SPIs below 256 are reserved (RFC 4303 section 2.1)");
	req->min = in.min < SPI_FIRST ? SPI_FIRST : in.min;
	req->max = in.max;
	xi_addr_from_xfrm(sa->saddr, &in.info.saddr, in.info.family);
	sa->mode = in.info.mode == XFRM_MODE_TUNNEL ? XI_TUNNEL : XI_TRANSPORT;
	sa->reqid = in.info.reqid;
	sa->seq = in.info.seq;
	memcpy(sa->sel.saddr, sa->saddr, sizeof(sa->sel.saddr));
	memcpy(sa->sel.daddr, sa->id.daddr, sizeof(sa->sel.daddr));
	sa->sel.prefixlen_s = sa->sel.prefixlen_d = xi_family_bits(in.info.family);
	sa->sel.family = in.info.family;
	sa->limits.soft_bytes = sa->limits.hard_bytes = XFRM_INF;
	sa->limits.soft_packets = sa->limits.hard_packets = XFRM_INF;
	sa->limits.hard_add = ttl;
	return 0;
}

int xi_xfrm_get_ae_id(struct xi_ae_request *req, const struct nlmsghdr *nlh, struct xi_extack *ack)
{
	struct xfrm_aevent_id in;
	struct xi_attrs attrs;
	int err;

	memset(req, 0, sizeof(*req));
	err = xi_attrs_parse(&attrs, nlh, sizeof(in), ack);
	if (err)
		return err;
	memcpy(&in, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(in));
	req->flags = in.flags;
	if (!xi_family_known(in.sa_id.family) || !proto_is_ipsec(in.sa_id.proto))
		return -ESRCH;
	return id_from_xfrm(&req->id, &in.sa_id.daddr, in.sa_id.spi, in.sa_id.proto,
			    in.sa_id.family, ack);
}

static int ae_replay(struct xi_ae_request *req, const struct xi_attrs *attrs,
		     const struct xi_sa *sa, struct xi_extack *ack)
{
	bool esn = sa->flags & XFRM_STATE_ESN;
	bool ring = esn || sa->replay_window > 32;
	struct xfrm_replay_state legacy;
	struct xfrm_replay_state_esn rs;
	int err;

	if (xi_attr_has(attrs, XFRMA_REPLAY_ESN_VAL)) {
		err = esn_head(&rs, attrs, ack);
		if (err)
			return err;
		if (!ring || rs.replay_window != sa->replay_window ||
		    rs.bmp_len != (sa->replay_window + 31) / 32)
			return xi_refuse(ack, -EINVAL, "ESN replay length doesn't match");
		req->has_replay = true;
		esn_counters(&req->init, &rs, esn);
		bitmap_given(&req->init, req->bmp, sa->replay_window);
		return esn_bitmap(req->bmp, &rs, attrs, ack);
	}
	if (!xi_attr_copy(attrs, XFRMA_REPLAY_VAL, &legacy, sizeof(legacy)))
		return 0;
	if (ring)
		return xi_refuse(ack, -EINVAL,
				 "this SA takes XFRMA_REPLAY_ESN_VAL, not XFRMA_REPLAY_VAL");
	req->has_replay = true;
	req->init.oseq = legacy.oseq;
	req->init.seq = legacy.seq;
	legacy_to_ring(req->bmp, &legacy, sa->replay_window);
	bitmap_given(&req->init, req->bmp, sa->replay_window);
	return 0;
}

int xi_xfrm_get_newae(struct xi_ae_request *req, const struct nlmsghdr *nlh, const struct xi_sa *sa,
		      struct xi_extack *ack)
{
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(struct xfrm_aevent_id), ack);
	if (!err)
		err = xi_datapath_check_attrs(&attrs, ack);
	if (!err)
		err = ae_replay(req, &attrs, sa, ack);
	if (err)
		return err;
	lifetime_get(&req->init, &attrs);
	xi_xfrm_get_thresholds(&req->thresholds, &attrs);
	if (!req->has_replay && !req->init.has_lifetime && !req->thresholds.replay &&
	    !req->thresholds.etimer)
		return xi_refuse(ack, -EINVAL, "Missing required attribute for AE");
	if (!(nlh->nlmsg_flags & NLM_F_REPLACE))
		return xi_refuse(ack, -EINVAL, "NLM_F_REPLACE flag is required");
	return 0;
}

int xi_xfrm_get_expire(struct xi_expire_request *req, const struct nlmsghdr *nlh,
		       struct xi_extack *ack)
{
	struct xfrm_user_expire in;
	struct xi_attrs attrs;
	int err;

	err = xi_attrs_parse(&attrs, nlh, sizeof(in), ack);
	if (err)
		return err;
	memcpy(&in, (const uint8_t *)nlh + NLMSG_HDRLEN, sizeof(in));
	req->hard = in.hard;
	if (!xi_family_known(in.state.family) || !proto_is_ipsec(in.state.id.proto))
		return -ENOENT;
	return id_from_xfrm(&req->id, &in.state.id.daddr, in.state.id.spi, in.state.id.proto,
			    in.state.family, ack);
}

int xi_xfrm_get_sa_filter(struct xi_sa_filter *filter, const struct nlmsghdr *nlh,
			  struct xi_extack *ack)
{
	struct xi_attrs attrs;
	int err;

	memset(filter, 0, sizeof(*filter));
	err = xi_attrs_parse(&attrs, nlh, 0, ack);
	if (err == -ERANGE)
		return err;
	*ack = (struct xi_extack){ 0 }; /* a body of another kind says: all of them */
	xi_attr_copy(&attrs, XFRMA_PROTO, &filter->proto, sizeof(filter->proto));
	filter->has_addr = xi_attr_copy(&attrs, XFRMA_ADDRESS_FILTER, &filter->addr,
					sizeof(filter->addr));
	if (filter->has_addr && (filter->addr.splen > 128 || filter->addr.dplen > 128))
		return xi_refuse(ack, -EINVAL, "Invalid prefix length in address filter");
	return 0;
}

static bool prefix_matches(const uint8_t addr[16], const xfrm_address_t *want, unsigned int bits)
{
	const uint8_t *b = (const uint8_t *)want;
	unsigned int rest = bits % 8;

	if (memcmp(addr, b, bits / 8))
		return false;
	return !rest || !((addr[bits / 8] ^ b[bits / 8]) >> (8 - rest));
}

bool xi_sa_filter_matches(const struct xi_sa_filter *filter, const struct xi_sa *sa)
{
	if (filter->proto && filter->proto != 255 && filter->proto != sa->id.proto)
		return false;
	if (!filter->has_addr)
		return true;
	if (xi_family_known(filter->addr.family) && filter->addr.family != sa->id.family)
		return false;
	return prefix_matches(sa->saddr, &filter->addr.saddr, filter->addr.splen) &&
	       prefix_matches(sa->id.daddr, &filter->addr.daddr, filter->addr.dplen);
}
