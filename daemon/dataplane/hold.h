/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that came while the daemon was still adopting what an earlier one left, and whose SA or policy's choice it did
 * not know yet: put aside, and taken up again in their order once it does. One a worker.
 */
#ifndef XI_HOLD_H
#define XI_HOLD_H

#include <stdbool.h>
#include <stdint.h>

struct xi_worker;

struct xi_held {
	uint64_t addr;
	uint32_t len;
};

struct xi_hold {
	struct xi_held *list;
	uint32_t n, room;
};

int xi_hold_create(struct xi_hold *hold, uint32_t room);
void xi_hold_destroy(struct xi_hold *hold);
/* Room for another batch, and frames for what is to be received meanwhile; else packets wait in the rings. */
bool xi_hold_has_room(const struct xi_worker *w);
/* Puts the packet aside if it has to be; as xi_batch_take() otherwise. Only while there is room. */
void xi_hold_or_take(struct xi_worker *w, uint64_t addr, uint32_t len);

#endif
