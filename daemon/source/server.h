/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The XFRM netlink server: SAD and SPD behind a SEQPACKET Unix socket that the preload library
 * puts in the place of a NETLINK_XFRM socket. Runs on the control thread.
 *
 * Only uid 0 and the daemon's own uid may connect: keys flow in both directions.
 */
#ifndef XI_SERVER_H
#define XI_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "sad/sad.h"
#include "sad/spd.h"

struct event_base;
struct xi_xfrm_server;

/*
 * name: of the abstract socket, NULL for XIPSEC_XFRM_SOCK or the default (source/proto.h).
 * Becomes the SAD's event listener. -EADDRINUSE: another daemon serves this network namespace.
 */
int xi_xfrm_server_create(struct xi_xfrm_server **out, struct event_base *base, struct xi_sad *sad,
			  struct xi_spd *spd, const char *name);
void xi_xfrm_server_destroy(struct xi_xfrm_server *server);
/* Beside root and the daemon's own user, who is in this group may do all that the socket can. */
void xi_xfrm_server_set_group(struct xi_xfrm_server *server, gid_t group);

/*
 * A packet of `flow` needs an SA that nobody has negotiated: tells the key managers (ACQUIRE),
 * once while the acquisition is pending (net.core.xfrm_acq_expires seconds). 0: told; -EALREADY: pending;
 * -ENOBUFS: as many are pending as there may be; -ESRCH: nobody listens.
 */
int xi_xfrm_server_acquire(struct xi_xfrm_server *server, const struct xi_flow *flow,
			   const struct xi_policy *policy);
struct xi_acquires;
/* Those pending (source/acquire.h). */
const struct xi_acquires *xi_xfrm_server_acquires(struct xi_xfrm_server *server);
/* From now on *acquiring says whether anybody listens to ACQUIREs; false when the server is destroyed. */
void xi_xfrm_server_on_acquiring(struct xi_xfrm_server *server, atomic_bool *acquiring);
uint32_t xi_acquire_ttl(void); /* net.core.xfrm_acq_expires of this network namespace, seconds */

/*
 * A verified packet of `rec`, an SA of ESP in UDP, came from another address or port (host order)
 * than the SA says: tells the key managers (MAPPING), once a change; they may then change the SA.
 */
void xi_xfrm_server_mapping(struct xi_xfrm_server *server, const struct xi_sa_rec *rec,
			    const uint8_t saddr[16], uint16_t sport);

/* Four times a second: lifetimes of policies. now: seconds since the epoch. */
void xi_xfrm_server_tick(struct xi_xfrm_server *server, uint64_t now);

/*
 * SAs and policies that this process adds are marked as coming from a file, and adding what
 * exists already is then no error. 0: none. Starts the count of file_progress anew.
 */
void xi_xfrm_server_set_file_pid(struct xi_xfrm_server *server, pid_t pid);
/* How many SAs and policies it has tried to add so far, and how many of those were refused. */
void xi_xfrm_server_file_progress(const struct xi_xfrm_server *server, unsigned int *requests,
				  unsigned int *refused);

/* The socket's name as a client must be given it in XIPSEC_XFRM_SOCK. */
const char *xi_xfrm_server_name(const struct xi_xfrm_server *server);

#endif
