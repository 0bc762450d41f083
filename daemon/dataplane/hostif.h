/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * xipsec0: a veth pair between the host's stack and the workers. The outer end, xipsec0, carries the host's routes and
 * is what tcpdump and nftables see; the inner end, xipsec0-p, is a port of role HOST. It outlives the daemon.
 */
#ifndef XI_HOSTIF_H
#define XI_HOSTIF_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/port.h"

#define XI_HOSTIF_NAME "xipsec0"
#define XI_HOSTIF_PEER "xipsec0-p"
#define XI_HOSTIF_MTU_MAX 9216   /* with the room inside, less than XI_PACKET_LONG */

struct xi_hostif {
	uint32_t ifindex;            /* of xipsec0 */
	uint8_t mac[6];              /* of xipsec0: destination of frames handed to the host */
	uint32_t mtu;                /* of xipsec0 */
	bool made;                   /* now: it was not there before */
	struct xi_port_dev port;     /* of the inner end */
};

/*
 * Makes the pair, or adopts the one that is there: queues receive queues on both ends, no ARP, no multicast
 * snooping noise, tx checksumming and segmentation off on both ends (a worker must see finished packets),
 * rp_filter 0 and accept_ra 0 on xipsec0, MTU mtu on xipsec0 (largest inner packet) and room above it inside,
 * both up. Works when already configured. 0 or -errno, logged.
 */
int xi_hostif_up(struct xi_hostif *hostif, uint32_t slot, uint32_t queues, uint32_t mtu);
/* `xipsec down`: removes the pair. */
int xi_hostif_down(void);

/* Where a packet of the inner end comes from (xipsec/origin.h), in front of which its frame's header is: for its flow. */
void xi_hostif_origin(struct xi_flow *flow, const uint8_t *l3);
/* The receive record (abi.h): flags and status come in one byte. */
void xi_hostif_record(uint8_t mac[6], uint32_t sa_index, uint8_t status);

#endif
