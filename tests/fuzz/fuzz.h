/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the fuzz targets share: their input, memory whose edges are watched, outer headers. */
#ifndef XI_FUZZ_H
#define XI_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ipsec/packet.h"

#define FUZZ_DATA_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What does not hold is a finding. */
#define require(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* The rest of an input: choices are taken from its front, what is left is data. */
struct fuzz_in {
	const uint8_t *p;
	size_t left;
};

/* 0 when there is none. */
static inline uint8_t fuzz_choice(struct fuzz_in *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/*
 * Memory of exactly len bytes. What the compiler instruments may not touch its surroundings by a
 * single byte; what engines in assembler write there is found when it is freed.
 */
struct fuzz_buf {
	uint8_t *mem;
	uint8_t *data;
	size_t len;
};

struct fuzz_buf fuzz_buf_new(size_t len);
void fuzz_buf_free(struct fuzz_buf *buf);

/* A packet in such memory with so much room around it. */
struct xi_pkt fuzz_pkt_new(struct fuzz_buf *buf, const uint8_t *data, size_t len, size_t headroom,
			   size_t tailroom);
/* Packet and room together are still the buffer. */
void fuzz_pkt_check(const struct xi_pkt *pkt, const struct fuzz_buf *buf);

/* Fits the lengths that an IP header of this family says to the packet. */
void fuzz_fit(uint8_t *ip, size_t len, bool v6);

/*
 * IP header at ip, and options or extension headers of the fuzzer's bytes behind it; the length in
 * it is left for fuzz_fit(). Returns its bytes: at most 40 more than it took of the input.
 */
size_t fuzz_header(uint8_t *ip, bool v6, uint8_t proto, struct fuzz_in *in);

#endif
