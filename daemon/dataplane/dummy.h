/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Dummy packets on request (RFC 4303 section 2.6): ESP that carries nothing, to hide when there is
 * traffic. The control thread sends them, by way of the host's stack.
 */
#ifndef XI_DATAPLANE_DUMMY_H
#define XI_DATAPLANE_DUMMY_H

#include <stdint.h>

#include "crypto/crypto.h"
#include "sad/sad.h"

struct xi_dummy;

#define XI_DUMMY_COUNT_MAX 1000 /* a request: the control thread has other work */
#define XI_DUMMY_SIZE_MAX 65535
#define XI_DUMMY_SIZE_RANDOM                                                                       \
	UINT32_MAX /* of each packet anew: 40 to 1200 bytes, as far as the path takes them */

struct xi_dummy_config {
	const struct xi_engine *engine;
	struct xi_sad *sad;
	uint64_t *counts; /* by reason; NULL: none */
};

/* Opens raw sockets. 0 or -errno, logged. */
int xi_dummy_create(struct xi_dummy **out, const struct xi_dummy_config *config);
void xi_dummy_destroy(struct xi_dummy *d); /* NULL is fine */

/*
 * Sends count packets of size random bytes on an outbound SA of ESP with keys. Sequence numbers,
 * lifetimes and counters are the SA's own, as for any packet. Returns how many were sent; fewer
 * than count set *why to a text for the user. The SA may be gone afterwards: one of them can be
 * what its lifetime allowed last.
 */
unsigned int xi_dummy_send(struct xi_dummy *d, const struct xi_sa_rec *rec, unsigned int count,
			   uint32_t size, const char **why);

#endif
