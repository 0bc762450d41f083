/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Network namespaces of a test program's own: they vanish with it, whatever happens to it. */
#ifndef XI_TESTNS_H
#define XI_TESTNS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Moves the program into a fresh namespace with lo up. Skips the cmocka test, with a word, where it
 * must not.
 */
void testns_enter(void);
/* Another fresh namespace with lo up; the program stays in its own. */
int testns_new(void);
/* Moves into the namespace fd; the descriptor of the one that was left. */
int testns_switch(int fd);
/* Runs a shell command and asserts that it succeeds. */
void testns_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Moves device into the namespace fd. */
void testns_give(const char *device, int fd);

/* Address text as 16 bytes, IPv4 in the first four; returns the family. */
int testns_addr(const char *text, uint8_t addr[16]);

/* Packet socket for every frame that arrives at device. */
int testns_packets(const char *device);
/* One frame or datagram, waiting at most 5 s; its length, or -1. */
int testns_receive(int fd, void *buf, int room);
/* Is anything there right now? */
bool testns_readable(int fd);

/*
 * Internet checksum (RFC 1071) over pseudo header and transport header of a whole IP packet: 0 when
 * it is right.
 */
uint16_t testns_l4_checksum(const uint8_t *ip, int len);

#endif
