/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ports of the configuration and the inner end of xipsec0: opens them, enters them into the
 * ports map, attaches the programs, and follows devices that go, come back or change their address.
 * Control thread only.
 */
#ifndef XI_PORTS_H
#define XI_PORTS_H

#include "bpfobj.h"
#include "config.h"
#include "dataplane/hostif.h"
#include "dataplane/port.h"

struct xi_ports;

/*
 * A port with a program of ours whose pinned maps are gone: what it protected is not known any
 * more, and a program with an empty SPD in its place would let it out in clear. 0, or -EBUSY and
 * logged.
 */
int xi_ports_check_lost(const struct xi_config_file *config);

/*
 * Opens the devices and sets up xipsec0, which *hostif describes from then on. All three arguments
 * must outlive the ports. 0 or -errno, logged.
 */
int xi_ports_create(struct xi_ports **out, const struct xi_config_file *config,
		    const struct xi_bpfobj *bpf, struct xi_hostif *hostif);
/* Frees memory; devices and programs stay as they are. NULL is fine. */
void xi_ports_destroy(struct xi_ports *ports);

/* As configured, and no more than there are queues to serve. */
unsigned int xi_ports_workers(const struct xi_ports *ports);
/* XI_MAX_PORTS pointers, NULL = unused; slot 0 is xipsec0's inner end. */
struct xi_port_dev *const *xi_ports_by_slot(const struct xi_ports *ports);
/* -1: no port of ours. */
int xi_ports_slot(const struct xi_ports *ports, uint32_t ifindex);

/* Programs onto all ports; those reopened later get theirs at once. 0 or -errno, logged. */
int xi_ports_attach(struct xi_ports *ports);

/*
 * Compares every port with its device of today: one that is gone leaves the ports map, a new MAC
 * address enters it. Bit n of *again: slot n has to be opened again. 0 or -errno.
 */
int xi_ports_look(struct xi_ports *ports, uint32_t *again);
/* Opens these slots again; nobody may have sockets on them. 0 or -errno, logged. */
int xi_ports_reopen(struct xi_ports *ports, uint32_t again);

#endif
