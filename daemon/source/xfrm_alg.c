/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules are those of the kernel's verify_one_alg(), attach_auth_trunc() and their kin. */
#include "source/xfrm_alg.h"

#include <errno.h>
#include <string.h>

#include "source/xfrm_words.h"

/* What the three kinds of attribute have in common. */
struct algo {
	char name[64];
	unsigned int key_bits;
	const uint8_t *key;
};

struct presence {
	bool auth, crypt, aead, comp, tfcpad;
};

/* What follows from the presence of attributes alone. */
static int esp_presence(const struct presence *has, struct xi_extack *ack)
{
	if (has->comp)
		return xi_refuse(ack, -EINVAL, "Invalid attribute for ESP: COMP");
	if (!has->auth && !has->crypt && !has->aead)
		return xi_refuse(ack, -EINVAL,
				 "Missing required attribute for ESP: at least one of AUTH, "
				 "AUTH_TRUNC, CRYPT, AEAD");
	if ((has->auth || has->crypt) && has->aead)
		return xi_refuse(ack, -EINVAL,
				 "Invalid attribute combination for ESP: AEAD can't be used with "
				 "AUTH, AUTH_TRUNC, CRYPT");
	if (has->crypt && !has->auth)
		return xi_refuse(ack, -EOPNOTSUPP,
				 "encryption without integrity is not carried (RFC 8221 section "
				 "4): give an AUTH algorithm");
	if (has->auth && !has->crypt)
		return xi_refuse(ack, -EINVAL,
				 "ESP: AEAD or CRYPT must be provided: integrity alone takes "
				 "ecb(cipher_null)");
	return 0;
}

/* The kernel has no AEAD in AH. Here there is one, AES-GMAC (RFC 4543): aead_get() sees to that. */
static int ah_presence(const struct presence *has, struct xi_extack *ack)
{
	if (has->crypt || has->comp || has->tfcpad || (has->aead && has->auth))
		return xi_refuse(ack, -EINVAL,
				 "Invalid attributes for AH: AEAD, CRYPT, COMP, TFCPAD");
	if (!has->auth && !has->aead)
		return xi_refuse(ack, -EINVAL,
				 "Missing required attribute for AH: AUTH_TRUNC or AUTH");
	return 0;
}

static int presence_check(enum xi_proto proto, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct presence has = {
		.auth = xi_attr_has(attrs, XFRMA_ALG_AUTH) ||
			xi_attr_has(attrs, XFRMA_ALG_AUTH_TRUNC),
		.crypt = xi_attr_has(attrs, XFRMA_ALG_CRYPT),
		.aead = xi_attr_has(attrs, XFRMA_ALG_AEAD),
		.comp = xi_attr_has(attrs, XFRMA_ALG_COMP),
		.tfcpad = xi_attr_has(attrs, XFRMA_TFCPAD),
	};

	if (proto == XI_ESP)
		return esp_presence(&has, ack);
	if (proto == XI_AH)
		return ah_presence(&has, ack);
	return xi_refuse(ack, -EPROTONOSUPPORT, "IPComp is not carried: only ESP and AH are");
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

static bool bits_fit(const struct xi_cipher_info *info, unsigned int bits)
{
	return info->key_bits[0] ? xi_bits_listed(info->key_bits, bits) : !bits;
}

/* Key and salt, whose length must be one of the cipher's. */
static int cipher_key_get(struct xi_sa_request *req, const struct algo *algo, struct xi_extack *ack)
{
	const struct xi_cipher_info *info = xi_cipher_info(req->sa.alg);
	unsigned int salt = info->salt_len * 8U;

	if (algo->key_bits < salt || !bits_fit(info, algo->key_bits - salt) ||
	    !key_append(&req->key, algo))
		return xi_refuse_cipher_key(ack, info);
	req->sa.key_bits = algo->key_bits - salt;
	return 0;
}

static int aead_get(struct xi_sa_request *req, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	const struct xi_cipher_info *info;
	struct xfrm_algo_aead head;
	struct algo algo;
	int err = algo_get(&algo, attrs, XFRMA_ALG_AEAD, sizeof(head), "AEAD", ack);

	if (err)
		return err;
	memcpy(&head, xi_attr_data(attrs->tb[XFRMA_ALG_AEAD]), sizeof(head));
	req->sa.alg = xi_cipher_named(algo.name, true);
	info = xi_cipher_info(req->sa.alg);
	if (req->sa.id.proto == XI_AH && req->sa.alg != XI_ALG_AES_GMAC)
		return xi_refuse(ack, -EINVAL,
				 "Invalid attributes for AH: AEAD, CRYPT, COMP, TFCPAD");
	if (!info)
		return xi_refuse_cipher_name(ack, "AEAD", true);
	if (!xi_bits_listed(info->icv_bits, head.alg_icv_len))
		return xi_refuse_icv(ack, "AEAD", info->name, info->icv_bits);
	req->sa.icv_len = head.alg_icv_len / 8;
	return cipher_key_get(req, &algo, ack);
}

static int crypt_get(struct xi_sa_request *req, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	struct algo algo;
	int err = algo_get(&algo, attrs, XFRMA_ALG_CRYPT, sizeof(struct xfrm_algo), "CRYPT", ack);

	if (err)
		return err;
	req->sa.alg = xi_cipher_named(algo.name, false);
	if (req->sa.alg == XI_ALG_NONE)
		return xi_refuse_cipher_name(ack, "CRYPT", false);
	return cipher_key_get(req, &algo, ack);
}

/* AUTH_TRUNC wins over AUTH, and a length of 0 in it means the same as AUTH. */
static int auth_get(struct xi_sa_request *req, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	bool trunc = xi_attr_has(attrs, XFRMA_ALG_AUTH_TRUNC);
	int type = trunc ? XFRMA_ALG_AUTH_TRUNC : XFRMA_ALG_AUTH;
	const char *kind = trunc ? "AUTH_TRUNC" : "AUTH";
	struct xfrm_algo_auth head = {.alg_trunc_len = 0};
	const struct xi_auth_info *info;
	struct algo algo;
	int err;

	err = algo_get(&algo, attrs, type, trunc ? sizeof(head) : sizeof(struct xfrm_algo), kind,
		       ack);
	if (err)
		return err;
	if (trunc)
		memcpy(&head, xi_attr_data(attrs->tb[type]), sizeof(head));
	req->sa.auth = xi_auth_named(algo.name);
	info = xi_auth_info(req->sa.auth);
	if (!info)
		return xi_refuse_auth_name(ack, kind);
	if (head.alg_trunc_len > info->full_bits)
		return xi_refuse_trunc(ack, info->name, info->icv_bits);
	if (!head.alg_trunc_len)
		head.alg_trunc_len = info->trunc_bits;
	if (!xi_bits_listed(info->icv_bits, head.alg_trunc_len))
		return xi_refuse_icv(ack, kind, info->name, info->icv_bits);
	if (algo.key_bits != info->key_bits || !key_append(&req->key, &algo))
		return xi_refuse_auth_key(ack, req->sa.auth);
	req->key.auth_len = algo.key_bits / 8;
	req->sa.auth_bits = algo.key_bits;
	req->sa.icv_len = head.alg_trunc_len / 8;
	return 0;
}

int xi_xfrm_get_algs(struct xi_sa_request *req, const struct xi_attrs *attrs, struct xi_extack *ack)
{
	int err = presence_check(req->sa.id.proto, attrs, ack);

	if (!err && xi_attr_has(attrs, XFRMA_ALG_AEAD)) {
		err = aead_get(req, attrs, ack);
	} else if (!err) {
		if (req->sa.id.proto == XI_ESP)
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
	if (!auth)
		return;
	algo_put(msg, XFRMA_ALG_AUTH, auth->name, xi_key_auth(&rec->key), rec->key.auth_len);
	auth_trunc_put(msg, rec, auth->name);
	if (cipher)
		algo_put(msg, XFRMA_ALG_CRYPT, cipher->name, rec->key.key,
			 rec->key.len - rec->key.auth_len);
}
