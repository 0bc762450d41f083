/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Rounds: many changes, one sync of the listeners and with it one grace period (invariant
 * "cache-coherent": a change is in force before it is acknowledged).
 */
#include "sad/sad_priv.h"

#include <errno.h>
#include <stdlib.h>

void xi_sad_hold(struct xi_sad *sad)
{
	sad->round.held++;
}

int xi_sad_round_reserve(struct xi_sad *sad)
{
	struct xi_sad_round *round = &sad->round;
	uint32_t room = 2 * round->room + 4;
	struct xi_sa_rec **replaced;

	if (round->nreplaced < round->room)
		return 0;
	replaced = realloc(round->replaced, room * sizeof(*replaced));
	if (!replaced)
		return -ENOMEM;
	round->replaced = replaced;
	round->room = room;
	return 0;
}

/* Listeners may hold and release in their turn: what they change is of the next round. */
void xi_sad_settle(struct xi_sad *sad)
{
	struct xi_sad_round round = sad->round;
	uint32_t i;

	if (!round.changed)
		return;
	sad->round = (struct xi_sad_round){ .held = round.held };
	xi_sad_sync(sad);
	for (i = 0; i < round.nreplaced; i++)
		xi_rec_free(round.replaced[i]);
	free(round.replaced);
	xi_keys_died(sad);
	xi_sad_bury(sad, round.doomed);
}

void xi_sad_release(struct xi_sad *sad)
{
	if (sad->round.held == 1)
		xi_sad_settle(sad);
	sad->round.held--;
}
