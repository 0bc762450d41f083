/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interfaces of an if_id, as the kernel's XFRM interfaces are: what the host routes to one goes by policies of its if_id,
 * and what comes through SAs of its if_id is received by it. Each is one end of a veth pair of which nothing but the name
 * is used: a tc program sends on to xipsec0 what leaves it. They outlive the daemon.
 */
#ifndef XI_INTERFACE_H
#define XI_INTERFACE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/hostif.h"
#include "dataplane/rtnl.h"

#define XI_INTERFACE_PEER "xipsec-" /* and the if_id in hexadecimal: the other ends */

struct xi_interface_config {
	char name[IFNAMSIZ];
	uint32_t if_id;
	unsigned int line;           /* in the configuration file, for messages */
};

/* What interfaces need of everything else. */
struct xi_interfaces {
	const struct xi_interface_config *configs;
	uint32_t n;
	const struct xi_hostif *hostif;
	int interfaces_fd, if_ids_fd; /* maps */
	int prog_fd;                 /* tc_interface */
};

/* Why there cannot be a device of this name, and what to do; NULL: there can. */
const char *xi_interface_objection(struct xi_rtnl *rt, const struct xi_interface_config *config);
/* Before anything is made: may devices of these names be? 0, -EEXIST or another -errno, logged. */
int xi_interfaces_check(const struct xi_interface_config *configs, uint32_t n);
/*
 * Makes these, or adopts those that are there with their routes and addresses, and removes all others of an earlier
 * daemon's. When one is up, its program runs. 0 or -errno, logged.
 */
int xi_interfaces_up(const struct xi_interfaces *interfaces);
/* `xipsec down`: removes all. 0 or -errno. */
int xi_interfaces_down(void);
/* Index of its device, 0: there is none of this name now. *up: packets may go by it. */
uint32_t xi_interface_state(const struct xi_interface_config *config, bool *up);
/* Is it a name that the other end of one may have? */
bool xi_interface_is_peer(const char *name);

#endif
