// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "crypto/crypto.h"

#include <string.h>

/* In the order that "auto" prefers. */
static const struct xi_engine *const engines[] = {&xi_engine_ipsec_mb, &xi_engine_openssl};

const struct xi_engine *xi_engine_find(const char *name)
{
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if ((!strcmp(name, "auto") || !strcmp(name, engines[i]->name)) &&
		    engines[i]->usable())
			return engines[i];
	return NULL;
}
