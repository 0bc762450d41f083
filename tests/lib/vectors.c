// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static json_t *load(const char *dir, const char *name)
{
	json_error_t err;
	char path[512];
	json_t *root;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	root = json_load_file(path, 0, &err);
	if (!root)
		fail_msg("%s: %s (line %d)", path, err.text, err.line);
	return root;
}

json_t *vec_load(const char *name)
{
	return load("tests/vectors", name);
}

json_t *vec_load_shared(const char *name)
{
	const char *dir = getenv("XIPSEC_VECTORS");
	char path[512];

	if (!dir || !*dir) {
		print_message("%s not read: XIPSEC_VECTORS is not set\n", name);
		skip();
	}
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (access(path, R_OK)) {
		print_message("%s is not there\n", path);
		skip();
	}
	return load(dir, name);
}

size_t vec_unhex(const char *hex, uint8_t *buf, size_t max)
{
	size_t n = strlen(hex);

	assert_int_equal(n % 2, 0);
	assert_true(n / 2 <= max);
	for (size_t i = 0; i < n / 2; i++) {
		unsigned int byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		buf[i] = (uint8_t)byte;
	}
	return n / 2;
}

size_t vec_hex(const json_t *obj, const char *key, uint8_t *buf, size_t max)
{
	const char *hex = json_string_value(json_object_get(obj, key));

	if (!hex)
		fail_msg("vector lacks %s", key);
	return vec_unhex(hex, buf, max);
}

uint64_t vec_int(const json_t *obj, const char *key)
{
	const json_t *value = json_object_get(obj, key);

	if (!json_is_integer(value))
		fail_msg("vector lacks %s", key);
	return (uint64_t)json_integer_value(value);
}

bool vec_bool(const json_t *obj, const char *key)
{
	return json_is_true(json_object_get(obj, key));
}

const char *vec_str(const json_t *obj, const char *key)
{
	const char *value = json_string_value(json_object_get(obj, key));

	return value ? value : "";
}
