/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Values of the ABI as the words and JSON that users read. Strings are static. */
#ifndef XI_CONTROL_NAMES_H
#define XI_CONTROL_NAMES_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

const char *xi_proto_name(enum xi_proto proto);
const char *xi_mode_name(enum xi_mode mode);
const char *xi_dir_name(enum xi_dir dir);
const char *xi_action_name(enum xi_action action);
const char *xi_method_name(enum xi_method method);
const char *xi_verdict_name(enum xi_verdict verdict);
const char *xi_role_name(enum xi_role role);
const char *xi_alg_name(enum xi_alg alg);    /* as in the kernel: "rfc4106(gcm(aes))" */
const char *xi_encap_name(enum xi_encap encap);
const char *xi_df_name(enum xi_df df);
const char *xi_auth_name(enum xi_auth auth); /* "hmac(sha256)" */

/*
 * New references; NULL: out of memory. A number beyond JSON's signed 64 bits becomes the largest
 * one.
 */
json_t *xi_json_u64(uint64_t n);
json_t *xi_json_spi(uint32_t spi);           /* "0x0000c0de" */
json_t *xi_json_addr(const uint8_t addr[16], enum xi_family family);
/* null: any; a number; or "value/mask" */
json_t *xi_json_match(uint16_t value, uint16_t mask);
json_t *xi_json_prefix(const uint8_t addr[16], enum xi_family family, unsigned int plen);
/* An SPI or a handle as a string, decimal, hexadecimal or octal as in C. False: value is none, or 0. */
bool xi_json_get_id(const json_t *value, uint32_t *id);

#endif
