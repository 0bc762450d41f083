/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one place that says what the datapath of this release carries. */
#include "source/xfrm_msg.h"

#include <errno.h>

#include "crypto/algs.h"

static int aead_check(const struct xi_sa *sa, const char **why)
{
	if (sa->icv_len != 16) {
		*why = "Requested AEAD algorithm not found: rfc4106(gcm(aes)) is carried with a 128-bit ICV only";
		return -ENOSYS;
	}
	if (!xi_bits_listed(xi_cipher_info(sa->alg)->key_bits, sa->key_bits)) {
		*why = "rfc4106(gcm(aes)) takes a key of 160, 224 or 288 bits: 128, 192 or 256 and 32 of salt";
		return -EINVAL;
	}
	return 0;
}

static int cipher_check(const struct xi_sa *sa, const char **why)
{
	const struct xi_auth_info *auth = xi_auth_info(sa->auth);

	if (!auth || !xi_bits_listed(auth->icv_bits, sa->icv_len * 8)) {
		*why = "Requested AUTH_TRUNC algorithm not found: carried are hmac(sha1) 96, hmac(sha256) 128 or 96, hmac(sha384) 192, hmac(sha512) 256";
		return -ENOSYS;
	}
	if (!xi_bits_listed(xi_cipher_info(sa->alg)->key_bits, sa->key_bits)) {
		*why = "cbc(aes) takes a key of 128, 192 or 256 bits";
		return -EINVAL;
	}
	return 0;
}

static int algorithm_check(const struct xi_sa *sa, const char **why)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(sa->alg);

	if (!cipher) {
		*why = "Requested algorithm not found: carried are rfc4106(gcm(aes)), and cbc(aes) with an HMAC";
		return -ENOSYS;
	}
	return cipher->aead ? aead_check(sa, why) : cipher_check(sa, why);
}

static int features_check(const struct xi_sa *sa, const char **why)
{
	if (sa->mode != XI_TUNNEL)
		*why = "only tunnel mode is carried";
	else if (sa->replay_window > XI_WINDOW_MAX)
		*why = "replay windows of more than 4096 packets are not carried";
	else if (sa->extra_flags & XFRM_SA_XFLAG_OSEQ_MAY_WRAP)
		*why = "oseq-may-wrap would use sequence numbers, and with them AES-GCM IVs, again and is not carried";
	else if (sa->mark_v || sa->mark_m)
		*why = "SAs chosen by a mark are not carried";
	else if (sa->if_id)
		*why = "SAs of an XFRM interface (if_id) are not carried";
	else
		return 0;
	return -EOPNOTSUPP;
}

int xi_datapath_check(const struct xi_sa *sa, const char **why)
{
	int err;

	*why = NULL;
	if (sa->id.proto != XI_ESP) {
		*why = "only ESP is carried";
		return -EPROTONOSUPPORT;
	}
	err = algorithm_check(sa, why);
	return err ? err : features_check(sa, why);
}

bool xi_datapath_carries(const struct xi_sa *sa, const char **why)
{
	return !xi_datapath_check(sa, why);
}

static const struct {
	int type;
	const char *text;
} not_carried[] = {
	{ XFRMA_ENCAP, "UDP encapsulation of ESP is not carried" },
	{ XFRMA_OFFLOAD_DEV, "hardware offload is not carried" },
	{ XFRMA_TFCPAD, "TFC padding is not carried" },
	{ XFRMA_SEC_CTX, "security contexts are not carried" },
	{ XFRMA_COADDR, "care-of addresses are not carried" },
	{ XFRMA_REPLAY_THRESH, "replay event thresholds are not carried" },
	{ XFRMA_ETIMER_THRESH, "event timer thresholds are not carried" },
	{ XFRMA_MTIMER_THRESH, "mapping timer thresholds are not carried" },
	{ XI_XFRMA_NAT_KEEPALIVE, "NAT keepalives are not carried" },
	{ XI_XFRMA_SA_PCPU, "SAs of one CPU are not carried" },
};

int xi_datapath_check_attrs(const struct xi_attrs *attrs, struct xi_extack *ack)
{
	for (size_t i = 0; i < sizeof(not_carried) / sizeof(not_carried[0]); i++) {
		if (xi_attr_has(attrs, not_carried[i].type)) {
			xi_attr_blame(attrs, not_carried[i].type, ack);
			return xi_refuse(ack, -EOPNOTSUPP, "%s", not_carried[i].text);
		}
	}
	for (int type = XI_XFRMA_IPTFS_FIRST; type <= XI_XFRMA_IPTFS_LAST; type++) {
		if (xi_attr_has(attrs, type)) {
			xi_attr_blame(attrs, type, ack);
			return xi_refuse(ack, -EOPNOTSUPP, "IP-TFS (RFC 9347) is not carried");
		}
	}
	return 0;
}
