/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A port: a network device with one of our XDP programs on it. Control thread only. */
#ifndef XI_PORT_H
#define XI_PORT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include <xipsec/abi.h>

enum xi_port_mode { XI_PORT_NATIVE, XI_PORT_SKB };
/* AUTO: zero-copy AF_XDP where the driver has it, burst where it does not and the probe passes, else AF_XDP. */
enum xi_port_tx { XI_PORT_TX_AUTO, XI_PORT_TX_BURST, XI_PORT_TX_XSK };
enum xi_port_attach { XI_ATTACH_NETLINK, XI_ATTACH_LINK, XI_ATTACH_NONE };

struct xi_port_config {
	char name[IFNAMSIZ];
	enum xi_role role;
	enum xi_port_mode mode;
	enum xi_port_attach attach;
	enum xi_port_tx tx;
	int offload;                 /* the mirror may put SAs into the device */
	uint32_t offload_slots;      /* at most so many; 0: as many as it takes */
	unsigned int line;           /* in the configuration file, for messages */
};

struct xi_port_dev {
	struct xi_port_config config;
	uint32_t ifindex;
	uint32_t slot;
	uint32_t queues;             /* receive queues, at most XI_MAX_QUEUES */
	uint32_t tx_queues;          /* transmit queues: a socket of a queue beyond them cannot send */
	uint32_t mtu;
	uint32_t packet_max;         /* longest IP packet carried: XI_PACKET_ONE, or XI_PACKET_LONG with long buffers */
	uint8_t mac[6];
};

/* Above this MTU a port wants long buffers. Below, whatever is in one, decapsulated, lies within its first frame. */
#define XI_PORT_MTU_ONE 3400

static inline bool xi_port_wants_long(uint32_t mtu)
{
	return mtu > XI_PORT_MTU_ONE;
}

#define XI_PORT_WHY 256

/*
 * Looks the device up, and changes nothing: ifindex, MAC, MTU, number of receive queues (ethtool channels, else sysfs-free
 * fallback of 1). 0, or -errno with the reason and the next step in why.
 */
int xi_port_look(struct xi_port_dev *port, const struct xi_port_config *config, char why[XI_PORT_WHY]);
/* The same for a port that is served: with what its MTU means. 0 or -errno; logs subject, reason and next step. */
int xi_port_open(struct xi_port_dev *port, const struct xi_port_config *config, uint32_t slot);

/* The device's MTU, and what it means for the packets that are carried; logs what is not. */
void xi_port_set_mtu(struct xi_port_dev *port, uint32_t mtu);

/*
 * Attaches prog_fd as the port's config says, replacing in one step a program that an earlier daemon of ours left
 * there (so the port is never without one), refusing to replace a foreign one. pin_dir/link_<name> holds the
 * link with attach = link. XI_ATTACH_NONE: only checks and says what to run.
 */
int xi_port_attach(struct xi_port_dev *port, int prog_fd, const char *pin_dir);
/*
 * Is a program of ours on the device of port->ifindex and config.name? True: config.mode and config.attach say how it
 * was attached, whatever the configuration says today.
 */
bool xi_port_find(struct xi_port_dev *port, const char *pin_dir);
/* The deliberate `xipsec down`. */
int xi_port_detach(struct xi_port_dev *port, const char *pin_dir);
/* Attaches a tc program (clsact egress, replacing ours) that guards against cleartext leaving; and removes it. */
int xi_port_guard_attach(struct xi_port_dev *port, int prog_fd);
int xi_port_guard_detach(struct xi_port_dev *port);
/* The same on clsact ingress, for xipsec0: sets skb->mark from the SA a packet came through. It goes with the device. */
int xi_port_mark_attach(struct xi_port_dev *port, int prog_fd);

#endif
