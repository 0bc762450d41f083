/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ways into the host's stack that are no device: raw sockets for encapsulated packets whose next
 * hop is not resolved yet, and the sink that keeps the host from refusing ESP.
 */
#ifndef XI_HOSTPATH_H
#define XI_HOSTPATH_H

#include <stdint.h>

/* One a worker. */
struct xi_rawout {
	int fd4;
	int fd6;                     /* -1: this host has no IPv6 */
};

int xi_rawout_open(struct xi_rawout *r);
void xi_rawout_close(struct xi_rawout *r);
/*
 * Sends a whole IP packet by the host's routing table: it does ARP and ND, and holds the packet
 * meanwhile. mark, unless it is 0, is the packet's for routing rules and beyond. Never blocks. Addresses, DF, TTL, DSCP and a non-zero IPv4 ID leave as they are; IPv4
 * checksum and an ID of zero are the kernel's to fill. 0, -EMSGSIZE (larger than the device; never
 * fragmented), -EAGAIN (the socket is full), -EINVAL (no IP packet), -ENETUNREACH, -EHOSTUNREACH
 * ... as the routing table says.
 */
int xi_rawout_send(struct xi_rawout *r, const uint8_t *ip_packet, uint32_t len, uint32_t mark);

/*
 * Raw ESP sockets (IPv4, IPv6; -1 where the family is missing) that swallow everything. While they
 * are open the host does not answer ESP with protocol unreachable. It learns no path MTU by them:
 * dataplane/pathmtu.h does, and looks closer.
 */
int xi_esp_sink_open(int fds[2]);
void xi_esp_sink_close(int fds[2]);

#endif
