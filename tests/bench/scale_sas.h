/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* SAs of the benchmark of many SAs, by number: keys and packets. Inbound, AES-128-GCM, tunnel mode, IPv4 in IPv4. */
#ifndef XI_BENCH_SCALE_SAS_H
#define XI_BENCH_SCALE_SAS_H

#include <stdint.h>

#include "scale_gen.h"

#define SCALE_KEY 16
#define SCALE_SALT 4
#define SCALE_AH_KEY 32          /* of AH with hmac(sha256) */
#define SCALE_GATEWAY 0xc0000201U /* 192.0.2.1 */
#define SCALE_PEER 0xc0000202U   /* 192.0.2.2 */
#define SCALE_HOST 0x0a010102U   /* 10.1.1.2, behind the gateway */
#define SCALE_NET_IN 0x0a400000U /* 10.64.0.0/10: one host an SA, behind the peer */

/* n pseudo-random bytes that are this SA's. A benchmark's keys: nothing secret is in them. */
void scale_key(uint32_t number, uint8_t *key, uint32_t n);
/* Bytes from the SPI to the ICV of a packet that has size bytes inside. */
uint32_t scale_esp_len(uint32_t size);
/* For SAs first, first + 1 ... in element 0, 1 ... of `to`, stride bytes each. Sequence number and IV are 1. 0 or -errno. */
int scale_seal(uint32_t first, uint32_t count, uint32_t size, uint16_t port, uint8_t *to, uint32_t stride);

/* An IPv4 header and, of UDP, header and payload: size bytes in all, protocol as given. */
void scale_ip(uint8_t *to, uint32_t size, uint8_t proto, uint32_t src, uint32_t dst);
void scale_udp(uint8_t *to, uint32_t size, uint32_t src, uint32_t dst, uint16_t port);

#endif
