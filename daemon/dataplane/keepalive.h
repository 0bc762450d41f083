/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * NAT keepalives (RFC 3948 section 4) for outbound SAs of ESP in UDP whose key manager leaves them to the datapath
 * (XFRMA_NAT_KEEPALIVE_INTERVAL, Linux 6.11): one byte 0xff between the SA's ports whenever it has sent nothing for that
 * many seconds. The control thread sends them, by way of the host's stack.
 */
#ifndef XI_KEEPALIVE_H
#define XI_KEEPALIVE_H

#include <stdint.h>

#include "sad/sad.h"

struct xi_keepalives;

#define XI_KEEPALIVE_LOOKS 65536 /* SAs a second; of more that want them each is looked at less often */
#define XI_KEEPALIVE_TURN (XI_KEEPALIVE_LOOKS / 4) /* of them, in one go: the control thread has others to serve */

struct xi_keepalive_config {
	struct xi_sad *sad;
	/* a whole IP packet, and its mark in routing rules; NULL: a raw socket. 0 or -errno */
	int (*send)(void *arg, const uint8_t *packet, uint32_t len, uint32_t mark);
	void *arg;
};

/* Becomes a listener of the SAD. 0 or -errno. */
int xi_keepalives_create(struct xi_keepalives **out, const struct xi_keepalive_config *config);
/* Before the SAD. NULL is fine. */
void xi_keepalives_destroy(struct xi_keepalives *k);
/* Four times a second: a turn, of which a second has as many as it takes to look at all. now: seconds since the epoch. */
void xi_keepalives_tick(struct xi_keepalives *k, uint64_t now);

#endif
