// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "ipsec/sa_ctx.h"

#include <errno.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/xfrm.h>

#include "crypto/algs.h"
#include "ipsec/tunnel.h"

#define WINDOW_BLOCK 32

static bool is_carried(const struct xi_sa *sa, const struct xi_sa_key *raw)
{
	if (sa->id.proto != XI_ESP || sa->mode != XI_TUNNEL)
		return false;
	if (sa->id.family != XI_IPV4 && sa->id.family != XI_IPV6)
		return false;
	if (sa->alg != XI_ALG_AES_GCM && sa->alg != XI_ALG_AES_CBC)
		return false;
	if (!xi_transform_valid(sa->alg, sa->auth, sa->key_bits, sa->icv_len))
		return false;
	return raw->alg == sa->alg && raw->auth == sa->auth && xi_key_valid(raw) &&
	       raw->len - raw->auth_len == sa->key_bits / 8 + xi_cipher_info(sa->alg)->salt_len;
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

int xi_sa_ctx_init(struct xi_sa_ctx *ctx, const struct xi_sa *sa, const struct xi_sa_key *raw,
		   struct xi_sa_state *state, uint64_t *words, uint32_t nwords)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(sa->alg);

	if (!is_carried(sa, raw) || !window_fits(sa->replay_window, nwords))
		return -EOPNOTSUPP;
	*ctx = (struct xi_sa_ctx){
		.sa_index = sa->sa_index,
		.spi_be = htonl(sa->id.spi),
		.state = state,
		.raw = raw,
		.family = ip_version(sa->id.family),
		.icv_len = (uint8_t)sa->icv_len,
		.iv_len = cipher->iv_len,
		.pad_align = cipher->pad_align,
		.esn = !!(sa->flags & XFRM_STATE_ESN),
		.inner_family = inner_family(sa),
		.dscp_copy = !(sa->extra_flags & XFRM_SA_XFLAG_DONT_ENCAP_DSCP),
		.dscp_decap = !!(sa->flags & XFRM_STATE_DECAP_DSCP),
		.ecn = !(sa->flags & XFRM_STATE_NOECN),
		.df_clear = !!(sa->flags & XFRM_STATE_NOPMTUDISC),
		.salt_len = cipher->salt_len,
		.sa = sa,
		.output_marked = !!sa->output_mark_mask,
		.block_mask = cipher->block - 1,
		.random_iv = cipher->random_iv,
		.proto = IPPROTO_ESP,
		.replay =
			{
				.top = (uint64_t *)&state->top,
				.words = words,
				.word_mask = nwords - 1,
				.window = sa->replay_window,
				.esn = !!(sa->flags & XFRM_STATE_ESN),
			},
	};
	memcpy(ctx->salt, xi_key_auth(raw) - cipher->salt_len, cipher->salt_len);
	xi_tunnel_template(ctx, sa->saddr, sa->id.daddr);
	return 0;
}
