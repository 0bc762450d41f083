/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "control/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/algs.h"

#define NAME(names, value)                                                                         \
	((size_t)(value) < sizeof(names) / sizeof(names[0]) && names[value] ? names[value] : "?")

const char *xi_proto_name(enum xi_proto proto)
{
	switch (proto) {
	case XI_PROTO_ANY:
		return "any";
	case XI_ESP:
		return "esp";
	case XI_AH:
		return "ah";
	case XI_COMP:
		return "comp";
	}
	return "?";
}

const char *xi_mode_name(enum xi_mode mode)
{
	static const char *const names[] = { [XI_TRANSPORT] = "transport", [XI_TUNNEL] = "tunnel" };

	return NAME(names, mode);
}

const char *xi_dir_name(enum xi_dir dir)
{
	static const char *const names[XI_DIR_MAX] = {
		[XI_IN] = "in", [XI_OUT] = "out", [XI_FWD] = "fwd"
	};

	return NAME(names, dir);
}

const char *xi_action_name(enum xi_action action)
{
	static const char *const names[] = { [XI_ALLOW] = "allow", [XI_BLOCK] = "block" };

	return NAME(names, action);
}

const char *xi_method_name(enum xi_method method)
{
	static const char *const names[] = {
		[XI_METHOD_NONE] = "none",     [XI_METHOD_FAST] = "fast", [XI_METHOD_SLOW] = "slow",
		[XI_METHOD_KERNEL] = "kernel", [XI_METHOD_DROP] = "drop",
	};

	return NAME(names, method);
}

const char *xi_verdict_name(enum xi_verdict verdict)
{
	static const char *const names[] = {
		[XI_VERDICT_NONE] = "none",
		[XI_VERDICT_PROTECT] = "protect",
		[XI_VERDICT_BYPASS] = "bypass",
		[XI_VERDICT_DISCARD] = "discard",
		[XI_VERDICT_KERNEL] = "kernel",
	};

	return NAME(names, verdict);
}

const char *xi_role_name(enum xi_role role)
{
	static const char *const names[] = {
		[XI_ROLE_NONE] = "none",
		[XI_ROLE_CIPHER] = "cipher",
		[XI_ROLE_PLAIN] = "plain",
		[XI_ROLE_HOST] = "host",
	};

	return NAME(names, role);
}

const char *xi_encap_name(enum xi_encap encap)
{
	static const char *const names[] = {
		[XI_ENCAP_NONE] = "none", [XI_ENCAP_ESPINUDP] = "espinudp"
	};

	return NAME(names, encap);
}

const char *xi_df_name(enum xi_df df)
{
	static const char *const names[] = {
		[XI_DF_COPY] = "copy", [XI_DF_SET] = "set", [XI_DF_CLEAR] = "clear"
	};

	return NAME(names, df);
}

const char *xi_alg_name(enum xi_alg alg)
{
	const struct xi_cipher_info *info = xi_cipher_info(alg);

	return info ? info->name : "none";
}

const char *xi_auth_name(enum xi_auth auth)
{
	const struct xi_auth_info *info = xi_auth_info(auth);

	return info ? info->name : "none";
}

json_t *xi_json_u64(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *xi_json_spi(uint32_t spi)
{
	return json_sprintf("0x%08x", spi);
}

static int address_text(char text[INET6_ADDRSTRLEN], const uint8_t addr[16], enum xi_family family)
{
	int af = family == XI_IPV6 ? AF_INET6 : AF_INET;

	return inet_ntop(af, addr, text, INET6_ADDRSTRLEN) ? 0 : -1;
}

json_t *xi_json_addr(const uint8_t addr[16], enum xi_family family)
{
	char text[INET6_ADDRSTRLEN];

	if (family == XI_FAMILY_NONE || address_text(text, addr, family) < 0)
		return json_string("any");
	return json_string(text);
}

json_t *xi_json_prefix(const uint8_t addr[16], enum xi_family family, unsigned int plen)
{
	char text[INET6_ADDRSTRLEN];

	if (family == XI_FAMILY_NONE || address_text(text, addr, family) < 0)
		return json_string("any");
	return json_sprintf("%s/%u", text, plen);
}

json_t *xi_json_match(uint16_t value, uint16_t mask)
{
	if (!mask)
		return json_null();
	return mask == 0xffff ? json_integer(value) : json_sprintf("0x%x/0x%x", value, mask);
}

bool xi_json_get_id(const json_t *value, uint32_t *id)
{
	const char *text = json_string_value(value);
	unsigned long long n;
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 0);
	*id = (uint32_t)n;
	return !errno && !*end && n && n <= UINT32_MAX;
}
