/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An instance of reassembly, and fragments of which each byte is known. */
#ifndef XI_TEST_FRAG_BED_H
#define XI_TEST_FRAG_BED_H

#include <stdbool.h>
#include <stdint.h>

#include "ipsec/reassemble.h"

#define FRAG_PKT_MAX 9216 /* what the instance takes */
#define FRAG_TIMEOUT 1000

struct frag_bed {
	struct xi_reassembly *r;
	uint64_t counts[XI_REASON_MAX];
	uint64_t now;
	uint8_t out[FRAG_PKT_MAX + 100];
	struct xi_pkt whole; /* what the last fragment made */
};

extern struct frag_bed frag_bed;
extern bool frag_v6; /* the family of frag_add() and frag_expect_spec() */

/* A fragment of bytes start to start + len - 1 of a payload that all fragments of a seed share. */
struct frag_spec {
	uint32_t start;
	uint32_t len;
	bool more;
	uint8_t ecn;
	uint32_t id;
	uint8_t host; /* of the sender */
	uint8_t proto;
	uint8_t salt; /* other bytes of payload */
};

/* A fragment that others follow, and one that none does. */
#define FRAG_MORE(s, l, ...) ((struct frag_spec){.start = s, .len = l, .more = true, ##__VA_ARGS__})
#define FRAG_LAST(s, l, ...) ((struct frag_spec){.start = s, .len = l, ##__VA_ARGS__})

void frag_bed_open(uint32_t packets, uint32_t bytes);
int frag_setup(void **state); /* 256 packets, 1 MiB */
int frag_teardown(void **state);

/* Fragments dropped, and those held. */
uint64_t frag_drops(void);
uint32_t frag_held(void);

/*
 * Adds a fragment from memory of just this length, which is overwritten afterwards, as a frame
 * given back is. Checks that it is held or counted once.
 */
enum xi_reason frag_add_bytes(const uint8_t *bytes, uint32_t len);
enum xi_reason frag_add(struct frag_spec s);
/* Write a fragment, return its length. */
uint32_t frag_spec_v4(uint8_t *p, const struct frag_spec *s);
uint32_t frag_spec_v6(uint8_t *p, const struct frag_spec *s);

void frag_expect_whole(const char *name, const uint8_t *want, uint32_t len);
/* What a spec's packet of len bytes of payload must be once whole. */
void frag_expect_spec(uint32_t len, uint8_t ecn, uint32_t id);
void frag_expect_empty(void);

void frag_in_both_families(void (*test)(void));

/* A test of this name that runs the body for IPv4 and for IPv6. */
#define FRAG_BOTH(name, body)                                                                      \
	static void name(void **state)                                                             \
	{                                                                                          \
		frag_in_both_families(body);                                                       \
	}

#endif
