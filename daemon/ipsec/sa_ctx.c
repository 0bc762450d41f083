// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/sa_ctx.h"

#include <errno.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>

#include "crypto/algs.h"
#include "ipsec/ah.h"
#include "ipsec/tunnel.h"

#define WINDOW_BLOCK 32

/* The algorithms of ESP have a cipher, those of AH have none. */
static bool transform_fits(const struct xi_sa *sa)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(sa->alg);

	if (!xi_transform_valid(sa->alg, sa->auth, sa->key_bits, sa->icv_len))
		return false;
	if (sa->id.proto == XI_AH)
		return !cipher || sa->alg == XI_ALG_AES_GMAC;
	return sa->id.proto == XI_ESP && cipher;
}

static bool is_carried(const struct xi_sa *sa, const struct xi_sa_key *raw)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(sa->alg);
	uint32_t salt_len = cipher ? cipher->salt_len : 0;

	if (sa->mode != XI_TUNNEL && sa->mode != XI_TRANSPORT)
		return false;
	if (sa->id.family != XI_IPV4 && sa->id.family != XI_IPV6)
		return false;
	if (sa->encap != XI_ENCAP_NONE &&
	    (sa->encap != XI_ENCAP_ESPINUDP || sa->id.proto != XI_ESP))
		return false;
	return transform_fits(sa) && raw->alg == sa->alg && raw->auth == sa->auth &&
	       xi_key_valid(raw) && raw->len - raw->auth_len == sa->key_bits / 8 + salt_len;
}

static bool window_fits(uint32_t window, uint32_t nwords)
{
	return nwords && !(nwords & (nwords - 1)) && window <= WINDOW_BLOCK * (nwords - 1);
}

static uint8_t ip_version(enum xi_family family)
{
	return family == XI_IPV6 ? 6 : 4;
}

static uint8_t inner_family(const struct xi_sa *sa)
{
	if (sa->sel.family != XI_FAMILY_NONE)
		return ip_version(sa->sel.family);
	return sa->flags & XFRM_STATE_AF_UNSPEC ? 0 : ip_version(sa->id.family);
}

/* RFC 4303 section 2.7: no more than one payload can have. */
static uint16_t tfcpad(const struct xi_sa *sa)
{
	return sa->mode != XI_TUNNEL ? 0 : sa->tfcpad < UINT16_MAX ? (uint16_t)sa->tfcpad : UINT16_MAX;
}

static bool is_limited(const struct xi_limits *limits)
{
	return limits->soft_bytes != UINT64_MAX || limits->hard_bytes != UINT64_MAX ||
	       limits->soft_packets != UINT64_MAX || limits->hard_packets != UINT64_MAX;
}

/* What of the runtime form follows from the algorithms. */
static void init_algorithms(struct xi_sa_ctx *ctx, const struct xi_sa *sa,
			    const struct xi_sa_key *raw)
{
	static const struct xi_cipher_info none = {.block = 1, .pad_align = 4};
	const struct xi_cipher_info *cipher = xi_cipher_info(sa->alg);

	if (!cipher)
		cipher = &none;
	ctx->icv_len = (uint8_t)sa->icv_len;
	ctx->iv_len = cipher->iv_len;
	ctx->pad_align = cipher->pad_align;
	ctx->block_mask = cipher->block - 1;
	ctx->random_iv = cipher->random_iv;
	ctx->salt_len = cipher->salt_len;
	memcpy(ctx->salt, xi_key_auth(raw) - cipher->salt_len, cipher->salt_len);
}

int xi_sa_ctx_init(struct xi_sa_ctx *ctx, const struct xi_sa *sa, const struct xi_sa_key *raw,
		   struct xi_sa_state *state, uint64_t *words, uint32_t nwords)
{
	if (!is_carried(sa, raw) || !window_fits(sa->replay_window, nwords))
		return -EOPNOTSUPP;
	*ctx = (struct xi_sa_ctx){
		.sa_index = sa->sa_index,
		.spi_be = htonl(sa->id.spi),
		.state = state,
		.raw = raw,
		.family = ip_version(sa->id.family),
		.esn = !!(sa->flags & XFRM_STATE_ESN),
		.inner_family = inner_family(sa),
		.dscp_copy = !(sa->extra_flags & XFRM_SA_XFLAG_DONT_ENCAP_DSCP),
		.dscp_decap = !!(sa->flags & XFRM_STATE_DECAP_DSCP),
		.ecn = !(sa->flags & XFRM_STATE_NOECN),
		.df_clear = (sa->flags & XFRM_STATE_NOPMTUDISC) || sa->df == XI_DF_CLEAR,
		.sa = sa,
		.proto = (uint8_t)sa->id.proto,
		.transport = sa->mode == XI_TRANSPORT,
		.encap = sa->encap != XI_ENCAP_NONE,
		.limited = is_limited(&sa->limits),
		.tfcpad = tfcpad(sa),
		.to_host = sa->output_mark_mask || sa->mark_v || sa->if_id,
		.replay =
			{
				.top = (uint64_t *)&state->top,
				.words = words,
				.word_mask = nwords - 1,
				.window = sa->replay_window,
				.esn = !!(sa->flags & XFRM_STATE_ESN),
			},
	};
	/* in transport mode a packet goes the way that it had before (xfrm_bundle_create() of the kernel) */
	if (!ctx->transport) {
		ctx->mark_mask = sa->output_mark_mask;
		ctx->mark = sa->output_mark & sa->output_mark_mask;
	}
	ctx->df_set = !ctx->df_clear && sa->df == XI_DF_SET;
	init_algorithms(ctx, sa, raw);
	xi_tunnel_template(ctx, sa);
	if (ctx->proto == XI_AH)
		ctx->ah_len = (uint8_t)xi_ah_len(ctx);
	return 0;
}
