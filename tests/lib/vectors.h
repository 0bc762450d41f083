/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Test vectors in JSON: our own below tests/vectors, others' where XIPSEC_VECTORS points. */
#ifndef XI_TEST_VECTORS_H
#define XI_TEST_VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

/* A file below tests/vectors; tests run at the top of the tree. Fails the test when it is missing.
 */
json_t *vec_load(const char *name);

/* A file below $XIPSEC_VECTORS. Says so and skips the test where that is unset or has no such file.
 */
json_t *vec_load_shared(const char *name);

/* Hex at obj[key] into buf; its length in bytes. Fails the test when absent, bad or longer than
 * max. */
size_t vec_hex(const json_t *obj, const char *key, uint8_t *buf, size_t max);
size_t vec_unhex(const char *hex, uint8_t *buf, size_t max);

uint64_t vec_int(const json_t *obj, const char *key);
bool vec_bool(const json_t *obj, const char *key);
const char *vec_str(const json_t *obj, const char *key); /* "" for null */

#endif
