/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/xfrm_words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Above every value of enum xi_alg and enum xi_auth; the table has no row for the rest. */
#define VALUES 32

struct words {
	char text[160];
};

static void add(struct words *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct words *w, const char *fmt, ...)
{
	size_t used = strlen(w->text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(w->text + used, sizeof(w->text) - used, fmt, ap);
	va_end(ap);
}

static void add_name(struct words *w, const char *name)
{
	add(w, "%s%s", w->text[0] ? ", " : "", name);
}

/* "64, 96 or 128" */
static void add_bits(struct words *w, const uint16_t bits[4])
{
	for (int i = 0; i < 4 && bits[i]; i++) {
		bool last = i == 3 || !bits[i + 1];

		add(w, "%s%u", !i ? "" : last ? " or " : ", ", bits[i]);
	}
}

int xi_refuse_cipher_name(struct xi_extack *ack, const char *kind, bool aead)
{
	struct words names = { "" };

	for (int alg = 0; alg < VALUES; alg++) {
		const struct xi_cipher_info *info = xi_cipher_info((enum xi_alg)alg);

		if (info && info->aead == aead)
			add_name(&names, info->name);
	}
	return xi_refuse(ack, -ENOSYS, "Requested %s algorithm not found: carried are %s", kind,
			 names.text);
}

int xi_refuse_auth_name(struct xi_extack *ack, const char *kind)
{
	struct words names = { "" };

	for (int auth = 0; auth < VALUES; auth++) {
		const struct xi_auth_info *info = xi_auth_info((enum xi_auth)auth);

		if (info)
			add_name(&names, info->name);
	}
	return xi_refuse(ack, -ENOSYS, "Requested %s algorithm not found: carried are %s", kind,
			 names.text);
}

int xi_refuse_icv(struct xi_extack *ack, const char *kind, const char *name,
		  const uint16_t icv_bits[4])
{
	struct words bits = { "" };

	add_bits(&bits, icv_bits);
	return xi_refuse(ack, -ENOSYS,
			 "Requested %s algorithm not found: %s is carried with an ICV of %s bits",
			 kind, name, bits.text);
}

int xi_refuse_trunc(struct xi_extack *ack, const char *name, const uint16_t icv_bits[4])
{
	struct words bits = { "" };

	add_bits(&bits, icv_bits);
	return xi_refuse(ack, -EINVAL,
			 "Invalid length requested for truncated ICV: %s is carried with one of %s bits",
			 name, bits.text);
}

int xi_refuse_cipher_key(struct xi_extack *ack, const struct xi_cipher_info *info)
{
	struct words key = { "" };

	if (!info->key_bits[0])
		return xi_refuse(ack, -EINVAL, "%s takes no key", info->name);
	add_bits(&key, info->key_bits);
	if (info->salt_len)
		add(&key, " bits and %u of salt behind it", info->salt_len * 8U);
	else
		add(&key, " bits");
	return xi_refuse(ack, -EINVAL, "%s takes a key of %s", info->name, key.text);
}

static unsigned int rfc_of(enum xi_auth auth)
{
	switch (auth) {
	case XI_AUTH_HMAC_SHA1:
		return 2404;
	case XI_AUTH_AES_CMAC:
		return 4494;
	default:
		return 4868;
	}
}

int xi_refuse_auth_key(struct xi_extack *ack, enum xi_auth auth)
{
	const struct xi_auth_info *info = xi_auth_info(auth);

	return xi_refuse(ack, -EINVAL, "%s takes a key of %u bits (RFC %u)", info->name,
			 info->key_bits, rfc_of(auth));
}
