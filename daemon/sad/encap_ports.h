/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UDP ports of this host at which SAs end (RFC 3948), for XDP: the map encap_ports, by port how many SAs, and
 * XI_CONFIG_ENCAP for as long as there is an SA with encapsulation. Only the host's own end counts, told by its
 * addresses: a peer behind a NAT may have any port, and what this host sends from an encapsulation port is not
 * held against policy.
 */
#ifndef XI_ENCAP_PORTS_H
#define XI_ENCAP_PORTS_H

#include "sad/sad.h"
#include "sad/spd.h"
#include "sad/store.h"

struct xi_encap_ports;

/*
 * fd: of the map, which stays the caller's. Counts what the SAD holds, so after adoption; listens from now on to the
 * SAD, and to the SPD for the host's addresses, both of which must be gone before it is destroyed. 0 or -errno.
 */
int xi_encap_ports_create(struct xi_encap_ports **out, struct xi_sad *sad, struct xi_spd *spd,
			  const struct xi_store *store, int fd);
void xi_encap_ports_destroy(struct xi_encap_ports *ports); /* NULL is fine; the map keeps what it has */

#endif
