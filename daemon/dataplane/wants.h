/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What workers ask of the control thread: a ring of addresses a worker, one writer and one reader
 * each, and one eventfd that wakes the reader once for all that is waiting.
 */
#ifndef XI_WANTS_H
#define XI_WANTS_H

#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

struct xi_wants;

int xi_wants_create(struct xi_wants **out, unsigned int nworkers);
void xi_wants_destroy(struct xi_wants *wants);
/* Readable when there is something to pop. */
int xi_wants_fd(const struct xi_wants *wants);

/*
 * Worker. hash is any good hash of the address: by it, what was asked since the last xi_wants_renew
 * is left out.
 */
void xi_wants_push(struct xi_wants *wants, unsigned int worker, uint64_t hash,
		   const uint8_t addr[16], enum xi_family family);

/* Control thread, once after each wake-up and before the first pop. */
void xi_wants_ack(struct xi_wants *wants);
bool xi_wants_pop(struct xi_wants *wants, struct xi_addr *addr);
/* Control thread: lets workers ask again for what they have asked for. */
void xi_wants_renew(struct xi_wants *wants);

#endif
