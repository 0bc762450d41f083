/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network byte order at any alignment. */
#ifndef XI_BYTES_H
#define XI_BYTES_H

#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>
#include <endian.h>

static inline uint16_t xi_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return ntohs(v);
}

static inline uint32_t xi_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static inline void xi_put16(uint8_t *p, uint16_t v)
{
	v = htons(v);
	memcpy(p, &v, sizeof(v));
}

static inline void xi_put32(uint8_t *p, uint32_t v)
{
	v = htonl(v);
	memcpy(p, &v, sizeof(v));
}

static inline void xi_put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

#endif
