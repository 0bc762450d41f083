/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parts of the flood: packets (pure), sender threads, one receiver thread. See flood.c. */
#ifndef XI_FLOOD_H
#define XI_FLOOD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "flood_abi.h"

#define FLOOD_SAS 8
#define FLOOD_DSTS 8
#define FLOOD_EDGES 16
#define FLOOD_FLOWS 64
#define FLOOD_SENDERS 8
#define FLOOD_NUMBERS (1U << 27) /* packets of one run, and sequence numbers of one SA, at most */
#define FLOOD_TTL 64

struct flood_addr {
	int family;                  /* AF_INET, AF_INET6 */
	uint8_t bytes[16];
};

/* What packet number n looks like, for every n. */
struct flood_plan {
	struct flood_addr src, dst[FLOOD_DSTS];
	unsigned int ndst;
	unsigned int flows;          /* flow of packet n: n % flows; its destination: flow % ndst */
	uint32_t size_min, size_max; /* bytes of IP packet */
	uint32_t edges[FLOOD_EDGES]; /* sizes that every eighth packet has */
	unsigned int nedges;
};

/* One SA with AES-GCM (RFC 4106), tunnel mode, without ESN. */
struct flood_sa {
	uint32_t spi;
	struct flood_addr src, dst;
	uint8_t salt[4];
	EVP_CIPHER_CTX *ctx;
	uint32_t seq;                /* last used by the sender */
	uint32_t last, lowest, highest; /* seen by the receiver */
	uint8_t *seen;               /* bit a sequence number */
};

struct flood_end {
	char netns[128], dev[16];    /* empty: this end is somebody else's */
};

struct flood {
	struct flood_plan plan;
	struct flood_end from, to, hole[2]; /* hole: veth pair beside the receiver */
	uint8_t eth_dst[6], eth_src[6];
	struct flood_sa in[FLOOD_SAS]; /* the receiver opens; none: clear packets are expected */
	unsigned int nin;
	struct flood_sa out;         /* the sender seals with it when it has a key; one sender thread then */
	uint64_t count;
	double seconds, pps;
	uint32_t first;              /* number of the first packet */
	const char *park[FLOOD_SENDERS];
	unsigned int npark, senders, window, patience_ms;
	bool mix, spoil, pin;
	const char *status;          /* file that holds the counts, anew every 20 ms */

	atomic_bool stop, drained;   /* senders stop; the receiver stops */
	atomic_uint running;         /* sender threads; before them, the receiver until it is ready */
	atomic_int failed;           /* a thread's -errno */
	_Atomic uint64_t sent, checked, wrong, duplicates, out_of_order, overtaken, clear, foreign;
	_Atomic uint64_t written_off, ring_lost;
	_Atomic uint64_t sent_by[FLOOD_SENDERS];
	uint64_t *spoiled;           /* of the program, mapped; NULL without it */
	char first_wrong[256], first_foreign[256];
};

/* Bytes of packet number n as it is with this TTL. Returns its length. */
uint32_t flood_inner(const struct flood_plan *plan, uint32_t number, uint8_t ttl, uint8_t *out);
/* The number that a packet says it has; -1: it is none of the flood's. */
int64_t flood_number(const uint8_t *packet, uint32_t len);
/* Whether the packet is number n, sent by a router that took one from the TTL; else says why in text. */
bool flood_same(const struct flood_plan *plan, uint32_t number, const uint8_t *packet, uint32_t len,
		char *text, uint32_t room);

int flood_sa_key(struct flood_sa *sa, const uint8_t *key, unsigned int len, bool seal);
/* Outer header and ESP around the packet; returns the length. */
uint32_t flood_seal(struct flood_sa *sa, const uint8_t *packet, uint32_t len, uint8_t *out);
/* Checks outer header, ICV, padding; returns the inner length, or -1, said in text. */
int flood_open(struct flood_sa *sa, const uint8_t *packet, uint32_t len, uint8_t *out, char *text,
	       uint32_t room);
/* SPI of an ESP packet, *seq set; 0: it is none. */
uint32_t flood_esp(const uint8_t *packet, uint32_t len, uint32_t *seq);

/* Thread functions; the argument is struct flood_sender, struct flood. */
struct flood_sender {
	struct flood *flood;
	unsigned int index;
};
void *flood_sender_main(void *arg);
void *flood_receiver_main(void *arg);

int flood_enter(const struct flood_end *end, unsigned int *ifindex);
double flood_now(void);
void flood_pause(long us);
uint64_t flood_mix(uint64_t x);
uint64_t flood_spoiled(const struct flood *flood);

#endif
