/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "sad/why.h"

const char *xi_why_text(enum xi_why code)
{
#define XI_WHY_TEXT(name, text) [name] = text,
	static const char *const texts[] = { XI_WHYS(XI_WHY_TEXT) };
#undef XI_WHY_TEXT

	_Static_assert(sizeof(texts) / sizeof(texts[0]) == XI_WHY_MAX, "every why has a text");
	return code < XI_WHY_MAX ? texts[code] : "unknown";
}
