/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parking devices: a veth pair a worker on whose first end its burst program is attached, for no
 * packet ever to come in there. The kernel's XDP dispatcher then knows the program, without which
 * every call of more than one packet would wait tens of milliseconds for it to be entered. The
 * second end is where a worker sends to itself to find out whether burst transmit works.
 */
#ifndef XI_PARK_H
#define XI_PARK_H

#include <net/if.h>
#include <stdint.h>

#define XI_PARK_NAME "xipsec-tx" /* then the worker's number, and "-p" for the second end */

struct xi_park {
	char name[IFNAMSIZ];
	char peer[IFNAMSIZ];
	uint32_t ifindex;
	uint32_t peer_ifindex;
};

/* Makes worker's pair, or takes the one that an earlier daemon left; both ends up, quiet. 0 or -errno. */
int xi_park_open(struct xi_park *park, unsigned int worker);
/* Takes the second end down: nothing arrives there any more. */
int xi_park_close_peer(const struct xi_park *park);
/*
 * Takes the first end down as well, when all that was to be found out is: nothing can come in there
 * then, and run the program, unless somebody takes both ends up. The kernel calls it all the same.
 */
int xi_park_rest(const struct xi_park *park);
/* Removes the pair; works on a zeroed struct, too. */
void xi_park_close(const struct xi_park *park);
/* Removes what daemons left behind that could not do it themselves. 0 or -errno of the first that would not go. */
int xi_park_remove_all(void);

#endif
