/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules are those of the kernel's verify_one_alg(), attach_auth_trunc() and their kin. */
#include "source/xfrm_alg.h"

#include <errno.h>
#include <string.h>

#include "crypto/algs.h"

/* What the three kinds of attribute have in common. */
struct algo {
	char name[64];
	unsigned int key_bits;
	const uint8_t *key;
};

/* What follows from the presence of attributes alone. */
static int presence_check(const struct xfrm_usersa_info *info, const struct xi_attrs *attrs,
			  struct xi_extack *ack)
{
	bool auth = xi_attr_has(attrs, XFRMA_ALG_AUTH) || xi_attr_has(attrs, XFRMA_ALG_AUTH_TRUNC);
	bool crypt = xi_attr_has(attrs, XFRMA_ALG_CRYPT);
	bool aead = xi_attr_has(attrs, XFRMA_ALG_AEAD);

	if (info->id.proto != XI_ESP)
		return xi_refuse(ack, -EPROTONOSUPPORT, "only ESP is carried");
	if (xi_attr_has(attrs, XFRMA_ALG_COMP))
		return xi_refuse(ack, -EINVAL, "Invalid attribute for ESP: COMP");
	if (!auth && !crypt && !aead)
		return xi_refuse(ack, -EINVAL,
				 "Missing required attribute for ESP: at least one of AUTH, "
				 "AUTH_TRUNC, CRYPT, AEAD");
	if ((auth || crypt) && aead)
		return xi_refuse(ack, -EINVAL,
				 "Invalid attribute combination for ESP: AEAD can't be used with "
				 "AUTH, AUTH_TRUNC, CRYPT");
	if (crypt && !auth)
		return xi_refuse(ack, -EOPNOTSUPP,
				 "encryption without integrity is not carried (RFC 8221 section "
				 "4): give an AUTH algorithm");
	if (auth && !crypt)
		return xi_refuse(
			ack, -EOPNOTSUPP,
			"integrity without encryption is not carried: give a CRYPT algorithm");
	return 0;
}

/* head: size of the attribute's struct, which begins with name and key length. */
static int algo_get(struct algo *algo, const struct xi_attrs *attrs, int type, size_t head,
		    const char *kind, struct xi_extack *ack)
{
	const struct nlattr *nla = attrs->tb[type];
	const uint8_t *data = xi_attr_data(nla);
	size_t len = xi_attr_len(nla), keylen;
	uint32_t bits;

	xi_attr_blame(attrs, type, ack);
	memcpy(algo->name, data, sizeof(algo->name));
	algo->name[sizeof(algo->name) - 1] = '\0';
	memcpy(&bits, data + sizeof(algo->name), sizeof(bits));
	keylen = bits / 8 + (bits % 8 != 0);
	if (len < head + keylen)
		return xi_refuse(ack, -EINVAL, "Invalid %s key length", kind);
	if (len > (size_t)NLA_ALIGN(head + keylen))
		return xi_refuse(ack, -EINVAL, "%s attribute is longer than its key", kind);
	algo->key_bits = bits;
	algo->key = data + head;
	return 0;
}

static bool key_append(struct xi_sa_key *key, const struct algo *algo)
{
	if (algo->key_bits % 8 || algo->key_bits / 8 > sizeof(key->key) - key->len)
		return false;
	memcpy(key->key + key->len, algo->key, algo->key_bits / 8);
	key->len += algo->key_bits / 8;
	return true;
}

static int aead_get(struct xi_sa_request *req, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct xfrm_algo_aead head;
	struct algo algo;
	unsigned int salt;
	int err = algo_get(&algo, attrs, XFRMA_ALG_AEAD, sizeof(head), "AEAD", ack);

	if (err)
		return err;
	memcpy(&head, xi_attr_data(attrs->tb[XFRMA_ALG_AEAD]), sizeof(head));
	req->sa.alg = xi_cipher_named(algo.name, true);
	if (req->sa.alg == XI_ALG_NONE)
		return xi_refuse(ack, -ENOSYS,
				 "Requested AEAD algorithm not found: carried is rfc4106(gcm(aes)) "
				 "with a 128-bit ICV");
	salt = xi_cipher_info(req->sa.alg)->salt_len * 8U;
	if (algo.key_bits < salt || !key_append(&req->key, &algo))
		return xi_refuse(ack, -EINVAL,
				 "rfc4106(gcm(aes)) takes a key of 160, 224 or 288 bits: 128, 192 "
				 "or 256 and 32 of salt");
	req->sa.key_bits = algo.key_bits - salt;
	req->sa.icv_len = head.alg_icv_len % 8 ? 0 : head.alg_icv_len / 8;
	return 0;
}

static int crypt_get(struct xi_sa_request *req, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct algo algo;
	int err = algo_get(&algo, attrs, XFRMA_ALG_CRYPT, sizeof(struct xfrm_algo), "CRYPT", ack);

	if (err)
		return err;
	req->sa.alg = xi_cipher_named(algo.name, false);
	if (req->sa.alg == XI_ALG_NONE)
		return xi_refuse(ack, -ENOSYS,
				 "Requested CRYPT algorithm not found: carried is cbc(aes)");
	if (!key_append(&req->key, &algo))
		return xi_refuse(ack, -EINVAL, "cbc(aes) takes a key of 128, 192 or 256 bits");
	req->sa.key_bits = algo.key_bits;
	return 0;
}

/* AUTH_TRUNC wins over AUTH, and a length of 0 in it means the same as AUTH. */
static int auth_get(struct xi_sa_request *req, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	bool trunc = xi_attr_has(attrs, XFRMA_ALG_AUTH_TRUNC);
	int type = trunc ? XFRMA_ALG_AUTH_TRUNC : XFRMA_ALG_AUTH;
	struct xfrm_algo_auth head = {.alg_trunc_len = 0};
	const struct xi_auth_info *info;
	struct algo algo;
	int err;

	err = algo_get(&algo, attrs, type, trunc ? sizeof(head) : sizeof(struct xfrm_algo),
		       trunc ? "AUTH_TRUNC" : "AUTH", ack);
	if (err)
		return err;
	if (trunc)
		memcpy(&head, xi_attr_data(attrs->tb[type]), sizeof(head));
	req->sa.auth = xi_auth_named(algo.name);
	info = xi_auth_info(req->sa.auth);
	if (!info)
		return xi_refuse(ack, -ENOSYS,
				 "Requested %s algorithm not found: carried are hmac(sha1), "
				 "hmac(sha256), hmac(sha384), hmac(sha512)",
				 trunc ? "AUTH_TRUNC" : "AUTH");
	if (head.alg_trunc_len > info->full_bits)
		return xi_refuse(ack, -EINVAL, "Invalid length requested for truncated ICV");
	if (!head.alg_trunc_len)
		head.alg_trunc_len = info->trunc_bits;
	if (algo.key_bits != info->key_bits || !key_append(&req->key, &algo))
		return xi_refuse(ack, -EINVAL, "%s takes a key of %u bits (RFC %u)", info->name,
				 info->key_bits, req->sa.auth == XI_AUTH_HMAC_SHA1 ? 2404 : 4868);
	req->key.auth_len = algo.key_bits / 8;
	req->sa.auth_bits = algo.key_bits;
	req->sa.icv_len = head.alg_trunc_len % 8 ? 0 : head.alg_trunc_len / 8;
	return 0;
}

int xi_xfrm_get_algs(struct xi_sa_request *req, const struct xfrm_usersa_info *info,
		     const struct xi_attrs *attrs, struct xi_extack *ack)
{
	int err = presence_check(info, attrs, ack);

	if (!err && xi_attr_has(attrs, XFRMA_ALG_AEAD)) {
		err = aead_get(req, attrs, ack);
	} else if (!err) {
		err = crypt_get(req, attrs, ack);
		if (!err)
			err = auth_get(req, attrs, ack);
	}
	if (err)
		return err;
	req->key.alg = req->sa.alg;
	req->key.auth = req->sa.auth;
	ack->offset = 0;
	return 0;
}

static void aead_put(struct xi_nlmsg *msg, const struct xi_sa_rec *rec, const char *name)
{
	struct xfrm_algo_aead *alg;

	alg = xi_nlmsg_reserve(msg, XFRMA_ALG_AEAD, sizeof(*alg) + rec->key.len);
	if (!alg)
		return;
	strcpy(alg->alg_name, name);
	alg->alg_key_len = rec->key.len * 8;
	alg->alg_icv_len = rec->sa.icv_len * 8;
	memcpy(alg->alg_key, rec->key.key, rec->key.len);
}

static void algo_put(struct xi_nlmsg *msg, uint16_t type, const char *name, const uint8_t *key,
		     uint32_t len)
{
	struct xfrm_algo *alg = xi_nlmsg_reserve(msg, type, sizeof(*alg) + len);

	if (!alg)
		return;
	strcpy(alg->alg_name, name);
	alg->alg_key_len = len * 8;
	memcpy(alg->alg_key, key, len);
}

static void auth_trunc_put(struct xi_nlmsg *msg, const struct xi_sa_rec *rec, const char *name)
{
	struct xfrm_algo_auth *alg;

	alg = xi_nlmsg_reserve(msg, XFRMA_ALG_AUTH_TRUNC, sizeof(*alg) + rec->key.auth_len);
	if (!alg)
		return;
	strcpy(alg->alg_name, name);
	alg->alg_key_len = rec->key.auth_len * 8;
	alg->alg_trunc_len = rec->sa.icv_len * 8;
	memcpy(alg->alg_key, xi_key_auth(&rec->key), rec->key.auth_len);
}

void xi_xfrm_put_algs(struct xi_nlmsg *msg, const struct xi_sa_rec *rec)
{
	const struct xi_cipher_info *cipher = xi_cipher_info(rec->key.alg);
	const struct xi_auth_info *auth = xi_auth_info(rec->key.auth);

	if (cipher && cipher->aead)
		aead_put(msg, rec, cipher->name);
	if (!cipher || !auth)
		return;
	algo_put(msg, XFRMA_ALG_AUTH, auth->name, xi_key_auth(&rec->key), rec->key.auth_len);
	auth_trunc_put(msg, rec, auth->name);
	algo_put(msg, XFRMA_ALG_CRYPT, cipher->name, rec->key.key,
		 rec->key.len - rec->key.auth_len);
}
