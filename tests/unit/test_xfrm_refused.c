/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What of an SA is not carried: each is refused with the errno that is its own, and with a word. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../interop/charon_messages.h"
#include "xfrm_message.h"

struct refusal {
	const char *what;
	int err;
	void (*spoil)(struct message *m);
};

static struct xfrm_algo_aead *aead_of(struct message *m)
{
	return (struct xfrm_algo_aead *)((uint8_t *)attr(m, sizeof(struct xfrm_usersa_info),
							 XFRMA_ALG_AEAD) +
					 NLA_HDRLEN);
}

static struct xfrm_replay_state_esn *esn_of(struct message *m)
{
	return (struct xfrm_replay_state_esn *)((uint8_t *)attr(m, sizeof(struct xfrm_usersa_info),
								XFRMA_REPLAY_ESN_VAL) +
						NLA_HDRLEN);
}

/* clang-format off */
static void spoil_proto_ah(struct message *m) { info_of(m)->id.proto = XI_AH; }
static void spoil_proto_comp(struct message *m) { info_of(m)->id.proto = XI_COMP; }
static void spoil_proto_tcp(struct message *m) { info_of(m)->id.proto = 6; }
static void spoil_family(struct message *m) { info_of(m)->family = 0; }
static void spoil_family_high(struct message *m) { info_of(m)->family = 0x0102; }
static void spoil_iptfs_mode(struct message *m) { info_of(m)->mode = XI_XFRM_MODE_IPTFS; }
static void spoil_wildrecv(struct message *m) { info_of(m)->flags |= XFRM_STATE_WILDRECV; }
static void spoil_beet(struct message *m) { info_of(m)->mode = XFRM_MODE_BEET; }
static void spoil_mode(struct message *m) { info_of(m)->mode = 77; }
static void spoil_spi_zero(struct message *m) { info_of(m)->id.spi = 0; }
static void spoil_spi_reserved(struct message *m) { info_of(m)->id.spi = htonl(255); }
static void spoil_sel_family(struct message *m) { info_of(m)->sel.family = 7; }
static void spoil_window(struct message *m) { info_of(m)->replay_window = 32; }
static void spoil_alg(struct message *m) { strcpy(aead_of(m)->alg_name, "rfc4106(gcm(foo))"); }
static void spoil_cipher(struct message *m) { strcpy(aead_of(m)->alg_name, "cbc(aes)"); }
static void spoil_ccm(struct message *m) { strcpy(aead_of(m)->alg_name, "rfc4309(ccm(aes))"); }
static void spoil_icv(struct message *m) { aead_of(m)->alg_icv_len = 80; }
static void spoil_icv_none(struct message *m) { aead_of(m)->alg_icv_len = 0; }
static void spoil_icv_bits(struct message *m) { aead_of(m)->alg_icv_len = 129; }
static void spoil_name(struct message *m) { memset(aead_of(m)->alg_name, 'A', 64); }
static void spoil_esn_words(struct message *m) { esn_of(m)->bmp_len = XI_WINDOW_MAX / 32 + 1; }
static void spoil_esn_huge(struct message *m) { esn_of(m)->bmp_len = 0x40000001; }
static void spoil_esn_window(struct message *m) { esn_of(m)->replay_window = 129; }
static void spoil_esn_short(struct message *m) { esn_of(m)->bmp_len = XI_WINDOW_MAX / 32; }
static void spoil_esn_bits(struct message *m) { esn_of(m)->replay_window = 100, esn_of(m)->bmp[3] = ~0U; }
/* clang-format on */

static void spoil_sel_prefix(struct message *m)
{
	info_of(m)->sel.family = AF_INET;
	info_of(m)->sel.prefixlen_d = 33;
}

static void spoil_sel_other(struct message *m)
{
	info_of(m)->mode = XFRM_MODE_TRANSPORT;
	info_of(m)->sel.family = AF_INET6;
}

static void encap(struct message *m, uint16_t type, uint16_t sport, uint16_t dport)
{
	struct xfrm_encap_tmpl tmpl = { .encap_type = type,
					.encap_sport = htons(sport),
					.encap_dport = htons(dport) };

	append(m, XFRMA_ENCAP, &tmpl, sizeof(tmpl));
}

/* clang-format off */
static void spoil_encap_none(struct message *m) { encap(m, 0, 4500, 4500); }
static void spoil_encap_old(struct message *m) { encap(m, 1, 4500, 4500); }
static void spoil_encap_tcp(struct message *m) { encap(m, 7, 4500, 4500); }
static void spoil_encap_sport(struct message *m) { encap(m, 2, 0, 4500); }
static void spoil_encap_dport(struct message *m) { encap(m, 2, 4500, 0); }
/* clang-format on */

static void spoil_offload(struct message *m)
{
	struct xfrm_user_offload offload = { .ifindex = 1, .flags = 4 };

	append(m, XFRMA_OFFLOAD_DEV, &offload, sizeof(offload));
}

static void spoil_auth(struct message *m)
{
	struct xfrm_algo auth = { .alg_name = "hmac(sha256)" };

	append(m, XFRMA_ALG_AUTH, &auth, sizeof(auth));
}

static void spoil_mark(struct message *m)
{
	struct xfrm_mark mark = { .v = 3, .m = 1 };

	append(m, XFRMA_MARK, &mark, sizeof(mark));
}

/* clang-format off */
static void spoil_tfc(struct message *m) { info_of(m)->mode = 0, append_u32(m, XFRMA_TFCPAD, 100); }
static void spoil_wrap(struct message *m) { append_u32(m, XFRMA_SA_EXTRA_FLAGS, 2); }
static void spoil_xflag(struct message *m) { append_u32(m, XFRMA_SA_EXTRA_FLAGS, 1U << 30); }
static void spoil_pcpu(struct message *m) { append_u32(m, XI_XFRMA_SA_PCPU, 1); }
static void spoil_iptfs(struct message *m) { append_u32(m, XI_XFRMA_IPTFS_FIRST, 1); }
static void spoil_unknown(struct message *m) { append_u32(m, 42, 1); }
static void spoil_unknown_high(struct message *m) { append_u32(m, 0x3fff, 1); }
static void spoil_unspec(struct message *m) { append_u32(m, XFRMA_UNSPEC, 1); }
static void spoil_dir(struct message *m) { append(m, XI_XFRMA_SA_DIR, "\3", 1); }
static void spoil_dir_out(struct message *m) { append(m, XI_XFRMA_SA_DIR, "\2", 1); }
static void spoil_long_u32(struct message *m) { append(m, XFRMA_IF_ID, "12345678", 8); }
static void spoil_short_u32(struct message *m) { append(m, XFRMA_IF_ID, "12", 2); }
/* clang-format on */

static const struct refusal refusals[] = {
	{ "AES-GCM in AH", -EINVAL, spoil_proto_ah },
	{ "IPComp", -EPROTONOSUPPORT, spoil_proto_comp },
	{ "TCP", -EINVAL, spoil_proto_tcp },
	{ "no family", -EINVAL, spoil_family },
	{ "family with a high byte", -EINVAL, spoil_family_high },
	{ "transport mode between families", -EPROTONOSUPPORT, spoil_sel_other },
	{ "IP-TFS mode", -EOPNOTSUPP, spoil_iptfs_mode },
	{ "any destination", -EOPNOTSUPP, spoil_wildrecv },
	{ "BEET mode", -EOPNOTSUPP, spoil_beet },
	{ "mode 77", -EINVAL, spoil_mode },
	{ "SPI 0", -EINVAL, spoil_spi_zero },
	{ "SPI 255", -EINVAL, spoil_spi_reserved },
	{ "selector of family 7", -EINVAL, spoil_sel_family },
	{ "selector prefix 33", -EINVAL, spoil_sel_prefix },
	{ "two windows", -EINVAL, spoil_window },
	{ "an unknown AEAD", -ENOSYS, spoil_alg },
	{ "a cipher as AEAD", -ENOSYS, spoil_cipher },
	{ "a salt that CCM has not", -EINVAL, spoil_ccm },
	{ "ICV of 80 bits", -ENOSYS, spoil_icv },
	{ "ICV of no bits", -ENOSYS, spoil_icv_none },
	{ "ICV of 129 bits", -ENOSYS, spoil_icv_bits },
	{ "algorithm name without end", -ENOSYS, spoil_name },
	{ "bitmap of 2049 words", -EINVAL, spoil_esn_words },
	{ "bitmap of 2^30 words", -EINVAL, spoil_esn_huge },
	{ "window beyond its bitmap", -EINVAL, spoil_esn_window },
	{ "bitmap beyond its attribute", -EINVAL, spoil_esn_short },
	{ "bits beyond the window", -EINVAL, spoil_esn_bits },
	{ "encapsulation in nothing", -EINVAL, spoil_encap_none },
	{ "encapsulation of before RFC 3948", -EINVAL, spoil_encap_old },
	{ "encapsulation in TCP", -EINVAL, spoil_encap_tcp },
	{ "encapsulation from port 0", -EINVAL, spoil_encap_sport },
	{ "encapsulation to port 0", -EINVAL, spoil_encap_dport },
	{ "packet offload", -EINVAL, spoil_offload },
	{ "AEAD and AUTH", -EINVAL, spoil_auth },
	{ "a mark that no packet has", -EOPNOTSUPP, spoil_mark },
	{ "TFC padding in transport mode", -EINVAL, spoil_tfc },
	{ "oseq-may-wrap", -EOPNOTSUPP, spoil_wrap },
	{ "unknown extra flag", -EINVAL, spoil_xflag },
	{ "one CPU's SA without a direction", -EINVAL, spoil_pcpu },
	{ "IP-TFS", -EOPNOTSUPP, spoil_iptfs },
	{ "attribute 42", -EINVAL, spoil_unknown },
	{ "attribute 0x3fff", -EINVAL, spoil_unknown_high },
	{ "attribute 0", -EINVAL, spoil_unspec },
	{ "direction 3", -EINVAL, spoil_dir },
	{ "direction out with a window", -EINVAL, spoil_dir_out },
	{ "u32 of 8 bytes", -EINVAL, spoil_long_u32 },
	{ "u32 of 2 bytes", -ERANGE, spoil_short_u32 },
};

static void what_is_not_carried_is_refused(void **state)
{
	struct xi_sa_request req;
	struct xi_extack ack;
	struct message m;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		from_hex(&m, charon_upd_in);
		refusals[i].spoil(&m);
		if (get_sa(&req, &m, &ack) != refusals[i].err)
			fail_msg("%s: not refused with %d (%s)", refusals[i].what, refusals[i].err,
				 ack.text);
		if (!ack.text[0])
			fail_msg("%s: refused without a word", refusals[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_carried_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
